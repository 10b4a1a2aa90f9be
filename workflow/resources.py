"""What jobs ask a cluster for: memory and time from N sequences and L columns, a GPU where it is configured.

Numbers are upper bounds with room: a job that asks too little is killed, one that asks too much waits. Memory
is counted from arrays, by the functions by which each stage refuses what will not fit; time is fitted to
benchmark files of the families in `docs/results.md`. Each retry asks for as much again. A job may hold
several alignments, one after the other: it needs the memory of the largest and the time of all.
"""

import functools
import math
import os
from collections.abc import Iterable, Sequence

from data.errors import CovarionError
from data.memory import structures_bytes, text_size
from data.search_memory import search_bytes
from data.store import open_arrays
from dca.memory import CERTAIN, Uncertainty, predicted_bytes
from nets.config import RefinerConfig
from nets.memory import TORCH, example_bytes, refinement_bytes
from report.memory import overview_bytes

NESTED_MB = 370  # the Snakemake that runs a job on its node, resident beside the job itself
START_MB = 330  # Python, its libraries, and numba where it has to compile
_ROOM = 1.25
_TEACHER_PIXEL = 12_000  # bytes per squared column that a published network and its inputs hold

Sizes = Sequence[tuple[int, int]]


def alignment_sizes(paths: Iterable[str]) -> list[tuple[int, int]]:
    """N and L of ``alignment.npz`` files, from their headers.

    Returns
    -------
    list of (int, int)
        (0, 0) for a file that cannot be read: its job is to say so, not the scheduler's.

    Raises
    ------
    FileNotFoundError
        A file does not exist yet; Snakemake then asks again when it does.
    """
    return [_size(path, os.stat(path).st_mtime_ns) for path in map(str, paths)]


@functools.lru_cache(maxsize=100_000)
def _size(path: str, changed: int) -> tuple[int, int]:
    try:
        with open_arrays(path) as arrays:
            rows, length = arrays.shape("tokens")
    except (CovarionError, ValueError):
        return 0, 0
    return rows, length


def memory_mb(size: float, attempt: int = 1) -> int:
    """Megabytes to ask for by a job whose arrays take `size` of them.

    Parameters
    ----------
    size : float
        MB beyond the interpreter and its libraries.
    attempt : int
        1 for the first try; what the job itself needs is asked for as often.
    """
    return NESTED_MB + math.ceil(attempt * (START_MB + size))


def minutes(seconds: float, attempt: int = 1) -> int:
    """Minutes to ask for, ten at least: queues and slow file systems take their part."""
    return math.ceil(attempt * max(10.0, 5.0 + seconds / 60))


def search_mb(program: str, database: str, threads: int = 1) -> float:
    """Memory of a search of a local database, by the sizes of its files, MB."""
    return search_bytes(program, database, threads) / 1e6


def inference_mb(sizes: Sizes, methods: Iterable[str], threads: int = 1, nulls: int = 0) -> float:
    """Memory of the methods' arrays for the largest of the alignments, MB; `plm` is tested against nulls."""
    beside = {method: Uncertainty(nulls=nulls) if method == "plm" else CERTAIN for method in methods}
    found = [predicted_bytes(m, *size, threads, asked) for m, asked in beside.items() for size in sizes]
    return _ROOM * max(found, default=0) / 1e6


def inference_seconds(sizes: Sizes, methods: Iterable[str], threads: int = 1, nulls: int = 0) -> float:
    """Time to infer couplings, one alignment after the other; those of `plm` anew for each of the nulls.

    Pseudolikelihood takes up to 5e-7 N L^2 s on one core; Boltzmann learning some fifty times as long.
    """
    each = {"mi": 0.1, "plm": 1.0 + nulls, "plm-asymmetric": 1.5, "boltzmann": 50.0}
    share = sum(each.get(method, 0.2) for method in methods)
    work = sum(share * 1e-6 * length**2 * (rows + 500) + 1e-9 * length * rows**2 for rows, length in sizes)
    return 30 * len(sizes) + work / threads


def refinement_mb(sizes: Sizes, *networks: RefinerConfig) -> float:
    """Memory of a network's features and its pass over the largest of the alignments, MB."""
    found = [refinement_bytes(*size, network) for network in networks for size in sizes]
    return _ROOM * max(found, default=0) / 1e6


def example_mb(sizes: Sizes, depths: int) -> float:
    """Memory of the features of the largest of the alignments at so many depths, MB."""
    return _ROOM * max((example_bytes(*size, depths) for size in sizes), default=0) / 1e6


def mapping_mb(sizes: Sizes, structures: Iterable[str]) -> float:
    """Memory of measuring the largest of the alignments in structure files, MB.

    Raises
    ------
    FileNotFoundError
        A file does not exist yet; Snakemake then asks again when it does.
    """
    return mapping_of_texts_mb(sizes, [text_size(path) for path in structures])


def mapping_of_texts_mb(sizes: Sizes, texts: Sequence[int]) -> float:
    """As `mapping_mb`, in structure files of so many bytes of text."""
    return _ROOM * max((structures_bytes(length, texts) for _, length in sizes), default=0) / 1e6


def overview_mb(proteins: int) -> float:
    """Memory of the overview of so many proteins, MB."""
    return _ROOM * overview_bytes(proteins) / 1e6


def refinement_seconds(sizes: Sizes, threads: int = 1, *networks: RefinerConfig) -> float:
    """Time to compute features and to refine by all networks, one alignment after the other."""
    pixel = 1e-3 * (sum(map(_share_of_default, networks)) or 1)
    work = sum(pixel * length**2 + 1e-9 * length * rows**2 for rows, length in sizes)
    return 60 * len(sizes) + work / threads


def _share_of_default(network: RefinerConfig) -> float:
    """Multiplications for each pair, by four networks of 24 blocks; a small one costs its features."""
    return max(1.0, network.members * network.blocks * network.channels**2 / (4 * 24 * 64**2))


def teacher_mb(sizes: Sizes) -> float:
    """Memory of the largest alignment's inverse covariance, input channels and pass, MB."""
    return TORCH / 1e6 + max((_TEACHER_PIXEL * length**2 for _, length in sizes), default=0) / 1e6


def teacher_seconds(sizes: Sizes, threads: int = 1) -> float:
    """Time of five published networks, 0.1 TFLOP each at L = 100."""
    work = sum(1e-2 * length**2 + 1e-9 * length * rows**2 for rows, length in sizes)
    return 60 * len(sizes) + work / threads


def gpu_request(name: str, cluster: dict, length: int | None = None, count: int = 1) -> int | str | None:
    """What a job asks for under the resource `name`, or None where it asks for nothing.

    Parameters
    ----------
    name : {"gpu", "gres"}
        ``gpu`` becomes ``--gpus=N`` of Slurm, ``gres`` becomes ``--gres=gpu:N``: clusters differ.
    cluster : dict
        Section of the configuration: ``gpu`` names the resource that is used, or ``none``; predictions of
        fewer columns than ``gpu_columns`` ask for nothing.
    length : int, optional
        Columns of the largest alignment of a prediction; None for training.
    count : int
        GPUs: as many as processes that train together.
    """
    if cluster["gpu"] != name or (length is not None and length < cluster["gpu_columns"]):
        return None
    return count if name == "gpu" else f"gpu:{count}"
