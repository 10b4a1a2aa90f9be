"""What stands behind a prediction: the family's letters by position and by pair, and what depth to expect."""

from dataclasses import dataclass

import numpy as np

from data import scoring
from data.alphabet import GAP, LETTERS
from report.exports import ranking
from report.methods import CUTS, cut_size

_COMMON = 6  # letter pairs that a card lists
_AMINO = GAP
_DEPTH_EDGES = (30, 100, 300, 1000, 3000)  # of `scoring.DEPTH_BINS`


def profile(tokens: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted shares of the 20 residues among what is not a gap, and of gaps, at each position.

    Parameters
    ----------
    tokens : int8 [N, L]
    weights : float [N]

    Returns
    -------
    float64 [L, 20], float64 [L]
        Rows of zeros where a column holds gaps alone.
    """
    counts = np.stack([weights @ (tokens == letter) for letter in range(_AMINO)], axis=1)
    total = counts.sum(1, keepdims=True)
    shares = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    return shares, 1 - total[:, 0] / max(float(weights.sum()), 1e-12)


def information(shares: np.ndarray, neff: float) -> np.ndarray:
    """Information content of each position in bits, float64 [L]: the height of a sequence logo.

    ``log2 20 - H - e(n)`` with the small-sample correction ``e(n) = 19 / (2 n ln 2)`` of Schneider and
    Stephens (1990), Nucleic Acids Res 18, 6097; n is the effective number of sequences; never below zero.
    """
    entropy = -np.sum(shares * np.log2(np.where(shares > 0, shares, 1)), axis=1)
    correction = (_AMINO - 1) / (2 * np.log(2) * max(neff, 1.0))
    bits = np.maximum(0, np.log2(_AMINO) - entropy - correction)
    return np.where(shares.sum(1) > 0, bits, 0)


@dataclass(frozen=True)
class LetterPair:
    """Two residues that stand together at a pair of positions.

    Attributes
    ----------
    first, second : str
        One-letter codes.
    sequences : int
        Rows that hold both.
    share : float
        Weighted share of them among the rows without a gap at either position.
    expected : float
        The product of the two letters' own shares among those rows.
    example : int
        Row of greatest weight that holds both, the first one of equals.
    """

    first: str
    second: str
    sequences: int
    share: float
    expected: float
    example: int


def letter_pairs(
    tokens: np.ndarray, weights: np.ndarray, i: int, j: int, most: int = _COMMON
) -> list[LetterPair]:
    """Most frequent pairs of residues at positions `i` and `j`, by falling weighted share.

    Parameters
    ----------
    tokens : int8 [N, L]
    weights : float [N]
    i, j : int
        Columns.
    most : int
        How many to list.
    """
    rows = np.flatnonzero((tokens[:, i] != GAP) & (tokens[:, j] != GAP))
    if len(rows) == 0:
        return []
    a, b, weight = tokens[rows, i].astype(int), tokens[rows, j].astype(int), weights[rows].astype(float)
    code = a * _AMINO + b
    joint = np.bincount(code, weight, _AMINO**2) / weight.sum()
    counts = np.bincount(code, minlength=_AMINO**2)
    table = joint.reshape(_AMINO, _AMINO)
    expected = np.outer(table.sum(1), table.sum(0)).ravel()
    order = np.argsort(-joint, kind="stable")[:most]
    heaviest = rows[np.argsort(-weight, kind="stable")]
    codes = tokens[heaviest, i].astype(int) * _AMINO + tokens[heaviest, j]
    return [
        LetterPair(
            LETTERS[k // _AMINO], LETTERS[k % _AMINO], int(counts[k]), float(joint[k]), float(expected[k]),
            int(heaviest[np.argmax(codes == k)]),
        )
        for k in order
        if counts[k]
    ]  # fmt: skip


@dataclass(frozen=True)
class Expected:
    """What a refiner expects of its best k long-range pairs.

    Attributes
    ----------
    cut : str
    k : int
    precision : float
        Mean predicted probability.
    spread : float
        Standard deviation of the precision if the pairs were independent, ``sqrt(sum p (1 - p)) / k``;
        pairs are not, so that it is a lower bound.
    """

    cut: str
    k: int
    precision: float
    spread: float


def expected_precision(probability: np.ndarray) -> list[Expected]:
    """Expected precision at each cut of a map of calibrated probabilities, without any structure."""
    length = len(probability)
    best = ranking(probability, scoring.RANGES["long"][0], length).score.astype(np.float64)
    rows = []
    for cut in CUTS:
        chosen = best[: cut_size(length, cut)]
        if len(chosen):
            spread = float(np.sqrt((chosen * (1 - chosen)).sum()) / len(chosen))
            rows.append(Expected(cut, len(chosen), float(chosen.mean()), spread))
    return rows


def next_depth(neff: float) -> tuple[int, float] | None:
    """Effective sequences at which the next depth bin begins, and how many are missing; None in the last."""
    edges = [edge for edge in _DEPTH_EDGES if edge > neff]
    return (int(edges[0]), float(edges[0] - neff)) if edges else None
