"""Do probabilities mean what they say: predicted against observed over all proteins of a run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.contacts import contact_map
from data.models import MODEL
from data.store import load_arrays
from data.truth_file import kind_of_truth

EDGES = np.array([0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])


@dataclass(frozen=True)
class Reliability:
    """Pairs whose probability lies in one bin.

    Attributes
    ----------
    low, high : float
        Bin of the predicted probability.
    pairs : int
        How many pairs fall into it.
    predicted, observed : float
        Their mean probability, and the share of them in contact.
    """

    low: float
    high: float
    pairs: int
    predicted: float
    observed: float


def reliability(
    results: str | Path, proteins: list[str], method: str = "refined", min_separation: int = 6
) -> list[Reliability]:
    """Predicted probability against the share of contacts, over the resolved pairs of all proteins.

    Parameters
    ----------
    results : path
        Results folder.
    proteins : list of str
        Those without the method's map or without a truth are left out.
    method : str
        Stem of the file with the probabilities.
    min_separation : int
        Smallest j - i that counts.

    Returns
    -------
    list of Reliability
        Bins that hold pairs, from low to high; empty where no protein has both files.
    """
    parts = [_pairs(Path(results) / name, method, min_separation) for name in proteins]
    found = [part for part in parts if part is not None]
    if not found:
        return []
    probability, contact = (np.concatenate(column) for column in zip(*found, strict=True))
    return binned(probability, contact)


def binned(probability: np.ndarray, contact: np.ndarray) -> list[Reliability]:
    """Bins of pairs by probability (`EDGES`) that hold any, from low to high.

    Parameters
    ----------
    probability : float [K]
    contact : bool [K]
        Whether each pair is in contact.
    """
    place = np.clip(np.searchsorted(EDGES, probability, side="right") - 1, 0, len(EDGES) - 2)
    rows = []
    for k in np.unique(place):
        chosen = place == k
        means = float(probability[chosen].mean()), float(contact[chosen].mean())
        rows.append(Reliability(float(EDGES[k]), float(EDGES[k + 1]), int(chosen.sum()), *means))
    return rows


def _pairs(folder: Path, method: str, min_separation: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Probability and contact of a protein's resolved pairs; None without both files, or of a model."""
    if not (folder / f"{method}.npz").exists() or not (folder / "truth.npz").exists():
        return None
    truth = load_arrays(folder / "truth.npz")
    if kind_of_truth(truth) == MODEL:
        return None
    distance = truth["distance"]
    upper = np.triu_indices(len(distance), min_separation)
    resolved = ~np.isnan(distance[upper])
    probability = load_arrays(folder / f"{method}.npz")["contact"][upper][resolved]
    return probability.astype(np.float64), contact_map(distance)[upper][resolved]


def expected_error(rows: list[Reliability]) -> float:
    """Mean absolute difference of predicted and observed over the bins, weighted by their pairs."""
    total = sum(row.pairs for row in rows)
    return sum(row.pairs * abs(row.predicted - row.observed) for row in rows) / total


def reliability_text(rows: list[Reliability]) -> str:
    """The bins as a Markdown table."""
    lines = ["| probability | pairs | mean predicted | observed |", "|---|---|---|---|"]
    lines += [
        f"| {row.low:g} to {row.high:g} | {row.pairs:,} | {row.predicted:.3f} | {row.observed:.3f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"
