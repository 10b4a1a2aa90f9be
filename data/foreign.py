"""Maps that other programs made, as square maps of the query's residues.

Read are CASP RR files, plain matrices (CCMpred), and ``.npz`` with a distogram ``dist`` (trRosetta), or a map
under ``contact`` or ``score`` (ours).
"""

import os
import re
from pathlib import Path

import numpy as np

from data.errors import MapError
from data.limits import bounded_lines, memory_bound, require_file
from data.store import load_arrays, open_arrays, save_arrays

_INDEX = re.compile("[0-9]{1,9}")
NEAR_BINS = 12  # of a distogram of 37 bins: 2 to 8 angstrom in half steps


def read_map(path: str | Path, query: str) -> np.ndarray:
    """Score of every pair, higher is more likely in contact.

    Parameters
    ----------
    path : path
    query : str
        Sequence of the query; the map must have its length L, and an RR file's sequence must be it.

    Returns
    -------
    float32 [L, L]
        Symmetric, zero diagonal. Pairs that an RR file leaves out get the lowest score of the file less one.

    Raises
    ------
    MapError
        The file is missing, not of a known form, of another size, or holds a number that is not finite.
    """
    path = Path(path)
    if not os.path.exists(path):
        raise MapError("no such map", file=path, remedy="correct the path")
    require_file(path, MapError)
    length = len(query)
    with memory_bound(path, MapError):
        full = _from_npz(path) if path.suffix == ".npz" else _from_text(path, query)
    if full.shape != (length, length):
        raise MapError(
            "the map has another size than the query", file=path, value=f"{full.shape}",
            remedy=f"give a map of {length} residues",
        )  # fmt: skip
    with np.errstate(over="ignore", invalid="ignore"):
        even = ((full + full.T) / 2).astype(np.float32)
    if not np.isfinite(even).all():
        i, j = np.argwhere(~np.isfinite(even))[0]
        raise MapError(
            "a score is no number, or too large for one", file=path, place=f"pair {i + 1} {j + 1}",
            value=full[i, j], remedy="give finite scores",
        )  # fmt: skip
    np.fill_diagonal(even, 0.0)
    return even


def _from_npz(path: Path) -> np.ndarray:
    with open_arrays(path, MapError) as arrays:
        if "dist" in arrays and (dist := arrays["dist"]).ndim == 3:
            return _near(_numbers(dist, "dist", path), path)
        for name in ("contact", "score"):
            if name in arrays:
                return _numbers(arrays[name], name, path)
        known = ", ".join(arrays.keys())[:200]
    raise MapError(
        "no map in the file",
        file=path,
        value=known,
        remedy="name the array contact, score or dist",
    )


def _numbers(array: np.ndarray, name: str, path: Path) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise MapError(
            "an array holds no numbers", file=path, place=name, value=array.dtype, remedy="give real numbers"
        )
    return array.astype(np.float64)


def _near(dist: np.ndarray, path: Path) -> np.ndarray:
    """Probability below 8 angstrom; the bin "beyond 20 angstrom" is the first (trRosetta) or the last one."""
    if dist.shape[-1] != 37:
        raise MapError(
            "not a distogram of 37 bins", file=path, value=dist.shape, remedy="give its sum below 8 angstrom"
        )
    means = dist.mean(axis=(0, 1))  # most pairs of a protein lie beyond 20 angstrom
    start = 1 if means[0] > means[-1] else 0
    return dist[..., start : start + NEAR_BINS].sum(axis=-1)


def _from_text(path: Path, query: str) -> np.ndarray:
    # A matrix has some 25 characters a pair, RR at most 60 for each of half as many
    largest = 10**6 + 64 * len(query) ** 2
    found = bounded_lines(path, MapError, largest)
    lines = [line.split() for _, line in found if line.strip() and not line.startswith("#")]
    if lines and len(lines[0]) == len(lines) and len(lines) > 1:
        try:
            return np.array(lines, dtype=np.float64)
        except ValueError as error:
            raise MapError("not a square matrix of numbers", file=path, value=error) from error
    return _from_rr(path, lines, query)


def _check_sequence(path: Path, lines: list[list[str]], query: str) -> None:
    """An RR file may hold its sequence, in lines of letters alone; it must be the query's."""
    alone = [words[0] for words in lines if len(words) == 1 and words[0].isalpha() and words[0] != "END"]
    sequence = "".join(alone)
    same = len(sequence) == len(query) and all(
        a == b or "X" in (a, b) for a, b in zip(sequence, query, strict=True)
    )
    if sequence and not same:
        raise MapError(
            "the sequence of the file is not the query", file=path, value=sequence,
            remedy="give a map of this query, cropped as it is",
        )  # fmt: skip


def _from_rr(path: Path, lines: list[list[str]], query: str) -> np.ndarray:
    length = len(query)
    _check_sequence(path, lines, query)
    found = {}
    for number, words in enumerate(lines, 1):
        if len(words) < 3 or not (_INDEX.fullmatch(words[0]) and _INDEX.fullmatch(words[1])):
            continue  # header, sequence and remarks
        i, j = int(words[0]), int(words[1])
        if not (1 <= i <= length and 1 <= j <= length):
            raise MapError(
                "a residue lies outside the query", file=path, place=f"line {number}", value=f"{i} {j}",
                remedy=f"number residues from 1 to {length}",
            )  # fmt: skip
        try:
            found[min(i, j) - 1, max(i, j) - 1] = float(words[-1])
        except ValueError as error:
            raise MapError("not a score", file=path, place=f"line {number}", value=words[-1]) from error
    if not found:
        raise MapError(
            "neither a CASP RR file nor a square matrix", file=path, remedy="bring RR, a matrix or .npz"
        )
    full = np.full((length, length), min(found.values()) - 1.0)
    for (i, j), score in found.items():
        full[i, j] = full[j, i] = score
    return full


def import_maps(maps: list[tuple[str, str]], alignment: str, out: str) -> None:
    """Read the foreign maps of a row and write them, under their names, to one ``.npz``."""
    query = str(load_arrays(alignment)["query"])
    save_arrays(out, **{name: read_map(path, query) for name, path in maps})
