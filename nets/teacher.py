"""A published network as a teacher: its distance distributions, from all sequences, as soft labels.

Weights that learned from a teacher say so in their card (`nets.card.published`).
"""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data.errors import CovarionError
from data.mapped import map_arrays
from data.registry import find_package_file
from data.store import open_arrays, save_arrays, sha256
from nets.convolution import use_threads
from nets.experts import DISTANCE_BINS, TRROSETTA_FILE, bin_groups, trrosetta

ARRAY = "teacher"  # of soft labels, in a file of their own and in a shard

if TYPE_CHECKING:
    from nets.dataset import Example

logger = logging.getLogger(__name__)


def ask_teacher(alignment: str, out: str, teacher: str = "trrosetta", threads: int = 1) -> None:
    """Soft labels of an ``alignment.npz``, as `ask_about` writes them.

    Raises
    ------
    FetchError
        The package is not installed.
    CovarionError
        Not the published networks, or another teacher.
    """
    with open_arrays(alignment) as arrays:
        ask_about(arrays["tokens"], alignment, out, teacher, threads)


def ask_about(
    tokens: np.ndarray, alignment: str, out: str, teacher: str = "trrosetta", threads: int = 1
) -> None:
    """Soft labels of an alignment, by a published network that sees all of its sequences.

    Parameters
    ----------
    tokens : int8 [N, L]
        The query is row 0.
    alignment : path
        File that they come from.
    out : path
        ``.npz`` with ``teacher`` (float16 [P, 37], `nets.experts.trrosetta` of the packed pairs), ``name``,
        ``licence`` and the checksums ``networks_sha256`` and ``tokens_sha256``. What is there of the same
        name and checksums stays.
    teacher : str
        ``trrosetta``.
    threads : int

    Raises
    ------
    FetchError, CovarionError
        As `ask_teacher`.
    """
    if teacher != "trrosetta":
        raise CovarionError("no such teacher", value=teacher, remedy="name trrosetta")
    networks, origin = find_package_file(TRROSETTA_FILE)
    tokens_digest = hashlib.sha256(np.ascontiguousarray(tokens).tobytes()).hexdigest()
    said = {"name": teacher, "networks_sha256": sha256(networks), "tokens_sha256": tokens_digest}
    if _is_current(Path(out), said):
        logger.info("%s is current", out)
        return
    use_threads(threads)
    logger.info("%s: %d columns of %d sequences", alignment, tokens.shape[1], tokens.shape[0])
    save_labels(out, trrosetta(tokens), **said, licence=origin.get("licence", ""))


def save_labels(path: str | Path, distance: np.ndarray, **said: str) -> None:
    """Write a teacher's distribution, float32 [L, L, 37], as soft labels, and what is said of them."""
    packed = distance[np.triu_indices(len(distance), 1)].astype(np.float16)
    save_arrays(path, teacher=packed, **{name: np.array(value) for name, value in said.items()})


def _is_current(path: Path, said: dict[str, str]) -> bool:
    if not path.is_file():
        return False
    with open_arrays(path) as arrays:
        return all(name in arrays and str(arrays[name]) == value for name, value in said.items())


def common_teacher(examples: Sequence["Example"]) -> dict[str, dict[str, str]]:
    """Name and checksum of the published networks behind the soft labels of examples, as ``teacher``.

    Returns
    -------
    dict
        Empty where no example has any.

    Raises
    ------
    CovarionError
        They are of several teachers.
    """
    found: dict[tuple[str, str], str] = {}
    for path in (example.teacher for example in examples if example.teacher):
        with open_arrays(path) as arrays:
            found.setdefault((str(arrays["name"]), str(arrays["networks_sha256"])), path)
    if len(found) > 1:
        raise CovarionError(
            "soft labels of several teachers", value=", ".join(found.values())[:300],
            remedy="delete the older ones and run again",
        )  # fmt: skip
    return (
        {"teacher": dict(zip(("name", "networks_sha256"), next(iter(found)), strict=True))} if found else {}
    )


def soft_bins(published: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """A published network's distribution on our distance bins.

    Parameters
    ----------
    published : float [.., 37]
        In its own order of bins: beyond 20 angstrom first.
    edges : sequence of float
        Of our bins, see `nets.experts.bin_groups`.

    Returns
    -------
    float32 [.., B]
        Sums to 1.
    """
    by_distance = np.roll(published.astype(np.float32), -1, axis=-1)
    found = np.stack([by_distance[..., group].sum(axis=-1) for group in bin_groups(edges)], axis=-1)
    return found / found.sum(axis=-1, keepdims=True)


def read_labels(path: str | Path, name: str = ARRAY) -> np.ndarray:
    """Soft labels, float16 [P, 37], mapped from their file or from a shard.

    Raises
    ------
    CovarionError
        The file has none, or they are of another form.
    """
    found = map_arrays(path)[name]
    if found.ndim != 2 or found.shape[1] != DISTANCE_BINS:
        raise CovarionError(
            "no soft labels of a teacher", file=path, remedy="delete it and run again: snakemake dataset"
        )
    return found
