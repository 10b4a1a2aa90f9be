"""Precision of a score map against true contacts, as the field reports it.

Contact: C-beta (C-alpha for glycine) closer than 8 angstrom. L is the number of query columns. Only
pairs with both residues resolved are ranked, best score first, ties by (i, j).
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.comparisons import CHAIN, comparisons
from data.contacts import CUTOFF, Truth, contact_map
from data.errors import CovarionError, MapError
from data.memory import require_bytes, scoring_bytes
from data.models import EXPERIMENT, MODEL
from data.store import load_arrays, load_table, open_arrays, save_text
from data.truth_file import truth_from_file

# Name -> smallest and largest sequence separation
RANGES = {"short": (6, 11), "medium": (12, 23), "long": (24, None), "medium+long": (12, None)}
CUTS = {"L/10": 10, "L/5": 5, "L/2": 2, "L": 1}
MEASURED = ("protein", "method", "range", "cut", "k", "precision", "ceiling", "pairs", "contacts")
COLUMNS = (*MEASURED, "against")
# Against a predicted model: agreement of two predictions, in a table of its own
AGREEMENT_COLUMNS = tuple("agreement" if name == "precision" else name for name in COLUMNS)

DEPTH_BINS = ("< 30", "30-100", "100-300", "300-1,000", "1,000-3,000", "> 3,000")
_DEPTH_EDGES = (30, 100, 300, 1000)


def score_map(
    score: np.ndarray,
    truth: Truth,
    protein: str,
    method: str,
    cutoff: float = CUTOFF,
    against: str = CHAIN,
) -> list[dict]:
    """Score one map: precision at L/10, L/5, L/2, L and average precision, for each range.

    ``k = max(1, round(L / c))`` (Python's rounding). A range with fewer ranked pairs than k is divided
    by their number; one without any has NaN. The row ``AP`` holds the average precision over all ranked
    pairs of the range (mean of the precision at each contact's rank; NaN without contacts), its k their
    number.

    Parameters
    ----------
    score : float [L, L]
        Larger is likelier; the upper triangle counts.
    truth : Truth
    protein, method : str
        Copied into the rows.
    cutoff : float
        Angstrom.
    against : str
        What `truth` is, as `data.comparisons.Comparison` names it.

    Returns
    -------
    list of dict
        Keys `COLUMNS`: ``k`` ranked pairs asked for, ``precision``, its ``ceiling`` min(1, contacts / k),
        ``pairs`` ranked and ``contacts`` among them.

    Raises
    ------
    MapError
        The map has another shape than the truth, or holds NaN.
    """
    score = np.asarray(score)
    _check_map(score, truth, protein, method)
    contacts = contact_map(truth.distance, cutoff)
    known = ~np.isnan(truth.distance) & truth.resolved[:, None] & truth.resolved
    rows = []
    for name, (smallest, largest) in RANGES.items():
        hits = _ranked_hits(score, contacts, known, smallest, largest)
        counts = {"pairs": len(hits), "contacts": int(hits.sum())}
        for cut, (k, precision, ceiling) in _precisions(hits, len(score)).items():
            head = {"protein": protein, "method": method, "range": name, "cut": cut}
            values = {"k": k, "precision": precision, "ceiling": ceiling}
            rows.append(head | values | counts | {"against": against})
    return rows


def score_files(
    protein: str,
    truth_path: str | Path,
    map_paths: Sequence[str | Path],
    out: str | Path,
    agreement: str | Path = "",
) -> None:
    """Score every map of a protein's map files and write ``scores.tsv`` and ``agreement.tsv``.

    Of a refiner's file (``refined*.npz``) the array ``contact`` is scored under the file's name; of any
    other each square array is, under its own name, but for raw maps (suffix ``_raw``). Rows against the
    first chain come first, then those of `data.comparisons.comparisons`. What is measured against
    experiments goes to `out`, against predicted models to `agreement` (nowhere, without a path).

    Raises
    ------
    MapError, StructureError, CovarionError
        A file cannot be read, or a map does not fit the truth.
    """
    truth = truth_from_file(truth_path)
    length, count = len(truth.distance), sum(map(_arrays_in, map_paths))
    require_bytes(f"scoring {count} maps of {length} columns", scoring_bytes(length, count))
    maps = {name: score for path in map(Path, map_paths) for name, score in _maps_of(path).items()}
    rows: dict[str, list[dict]] = {EXPERIMENT: [], MODEL: []}
    for part in comparisons(truth):
        for method, score in maps.items():
            rows[part.kind] += score_map(score, part.truth, protein, method, against=part.against)
    write_scores(out, rows[EXPERIMENT])
    if agreement:
        write_scores(agreement, rows[MODEL], AGREEMENT_COLUMNS)


def _arrays_in(path: str | Path) -> int:
    with open_arrays(path) as arrays:
        return len(arrays.keys())


def _maps_of(path: Path) -> dict[str, np.ndarray]:
    """Maps of a file by method."""
    arrays = load_arrays(path)
    if path.stem.startswith("refined") and "contact" in arrays:
        return {path.stem: arrays["contact"]}
    return {name: array for name, array in arrays.items() if array.ndim == 2 and not name.endswith("_raw")}


def _check_map(score: np.ndarray, truth: Truth, protein: str, method: str) -> None:
    place = f"{protein}, method {method}"
    if score.shape != truth.distance.shape:
        raise MapError(
            "the map and the truth differ in shape",
            place=place,
            value=f"{score.shape} and {truth.distance.shape}",
            remedy="make the map over the query's columns",
        )
    bad = np.argwhere(np.triu(np.isnan(score), 1))
    if len(bad):
        i, j = bad[0]
        raise MapError(
            "the map holds NaN",
            place=f"{place}, pair ({i}, {j}), 0-based",
            value=f"{len(bad)} pairs",
            remedy="give every pair a number",
        )


def _ranked_hits(
    score: np.ndarray, contacts: np.ndarray, known: np.ndarray, smallest: int, largest: int | None
) -> np.ndarray:
    """Whether each ranked pair of a range is a contact, best score first, bool [pairs]."""
    i, j = np.triu_indices(len(score), smallest)
    keep = known[i, j]
    if largest is not None:
        keep &= j - i <= largest
    i, j = i[keep], j[keep]
    # Pairs come in the order of (i, j), which a stable sort keeps among equals
    return contacts[i, j][np.argsort(-score[i, j], kind="stable")]


def _precisions(hits: np.ndarray, length: int) -> dict[str, tuple[int, float, float]]:
    """Per cut: k, precision and ceiling."""
    total = int(hits.sum())
    found = {}
    for cut, divisor in CUTS.items():
        k = max(1, round(length / divisor))
        used = min(k, len(hits))
        precision = float(hits[:k].sum() / used) if used else math.nan
        found[cut] = (k, precision, min(1.0, total / used) if used else math.nan)
    found["AP"] = (len(hits), average_precision(hits), 1.0 if total else math.nan)
    return found


def average_precision(hits: np.ndarray) -> float:
    """Mean over contacts of the precision at each contact's rank; NaN without contacts.

    Parameters
    ----------
    hits : bool [pairs]
        Whether each ranked pair is a contact, best first.
    """
    ranks = np.flatnonzero(hits)
    if len(ranks) == 0:
        return math.nan
    return float(((np.arange(len(ranks)) + 1) / (ranks + 1)).mean())


def write_scores(path: str | Path, rows: Sequence[dict], columns: Sequence[str] = COLUMNS) -> None:
    """Write rows of `score_map` as a tab-separated table, floats with six digits, NaN as ``nan``.

    Parameters
    ----------
    path : path
    rows : sequence of dict
    columns : sequence of str
        `COLUMNS`, or `AGREEMENT_COLUMNS`, where the precision is called agreement.
    """
    lines = ["\t".join(columns)]
    lines += ["\t".join(_cell(row[column]) for column in COLUMNS) for row in rows]
    save_text(path, "\n".join(lines) + "\n")


def _cell(value: object) -> str:
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def read_scores(path: str | Path, against: str | None = CHAIN) -> list[dict]:
    """Read a table of `write_scores`; of ``agreement.tsv`` the key of the value is ``agreement``.

    Parameters
    ----------
    path : path
    against : str or None
        Rows against this alone, by default the first chain, which means and pages go by; None: all.

    Raises
    ------
    CovarionError
        The file is missing, has other columns, or a number that is none.
    """
    try:
        found = load_table(path)
        with open(path, encoding="utf-8-sig") as stream:  # a table of a model holds its header alone
            header = tuple(stream.readline().rstrip("\r\n").split("\t"))
        # MEASURED: a table of version 0.1
        if header not in (COLUMNS, AGREEMENT_COLUMNS, MEASURED):
            raise ValueError(f"columns {header}")
        typed = [_typed({"against": CHAIN} | row) for row in found]
    except (CovarionError, ValueError, TypeError) as error:
        raise CovarionError(
            "not a table of scores", file=path, value=error, remedy="delete it and run again"
        ) from error
    return [row for row in typed if against in (None, row["against"])]


def _typed(row: dict[str, str]) -> dict:
    whole = {name: int(row[name]) for name in ("k", "pairs", "contacts")}
    value = "agreement" if "agreement" in row else "precision"
    return dict(row) | whole | {name: float(row[name]) for name in (value, "ceiling")}


def bootstrap_mean(
    values: Sequence[float] | np.ndarray,
    clusters: Sequence[str] | np.ndarray,
    n: int = 2000,
    rng: np.random.Generator | None = None,
) -> tuple[float, float, float]:
    """Mean with a 95 % percentile interval from a bootstrap over clusters.

    Whole clusters are drawn with replacement, since their members are not independent.

    Parameters
    ----------
    values : float [n_values]
        NaN values (proteins without pairs or contacts) are left out.
    clusters : [n_values]
        Cluster of each value; an empty name is a cluster of its own.
    n : int
        Number of draws.
    rng : numpy.random.Generator, optional
        Default: a generator seeded with 0, so that a table is the same each time.

    Returns
    -------
    mean, low, high : float
        NaN without values.
    """
    values = np.asarray(values, dtype=float)
    names = [name or f"\0{number}" for number, name in enumerate(map(str, clusters))]
    if len(values) != len(names):
        raise ValueError(f"{len(values)} values for {len(names)} clusters")
    known = ~np.isnan(values)
    if not known.any():
        return math.nan, math.nan, math.nan
    _, member = np.unique(np.array(names)[known], return_inverse=True)
    sums = np.bincount(member, weights=values[known])
    sizes = np.bincount(member)
    rng = rng or np.random.default_rng(0)
    draws = rng.integers(len(sums), size=(n, len(sums)))
    means = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(values[known].mean()), float(low), float(high)


def depth_bin(neff: float) -> str:
    """Name of the depth bin (`DEPTH_BINS`) of an effective number of sequences.

    A bin holds its lower edge; 3,000 itself belongs to the last but one.
    """
    if neff > 3000:
        return DEPTH_BINS[-1]
    return DEPTH_BINS[int(np.searchsorted(_DEPTH_EDGES, neff, side="right"))]
