"""Internal repeats of a family, from its profile alone: which positions stand at one place of two copies.

The profile is compared with itself. Two columns score ``log2 sum_a p_i(a) p_j(a) / f(a)`` (Soeding 2005,
Bioinformatics 21:951, without its shift), and runs of columns a fixed distance apart are summed to the best
local segments. What chance gives is read off the same protein compared with itself backwards, the runs of
columns (i + k, j - k): they keep composition, conservation and the periods of helices and strands, and no
repeat. With ``P(best of a diagonal of n cells < s) = exp(-K n exp(-lambda s))`` (Karlin, Altschul 1990, PNAS
87:2264) fitted to them, a segment's E-value is ``K n exp(-lambda s)`` over all n cells. No gaps: copies of
another length show as several segments, where each is strong enough by itself.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize

MIN_PERIOD = 12  # columns; nearer ones are the turns of helices and coiled coils
SIGNIFICANT = 1e-6  # largest E-value of a segment
_PRIOR = 10.0  # sequences' worth of the mean composition that each column gets
_SHORTEST = 60  # columns; a shorter protein has too few diagonals to tell chance by
_MOST = 200  # segments


@dataclass(frozen=True)
class Segment:
    """Two runs of columns that resemble each other: `first` to `first + length - 1`, and `period` later.

    Attributes
    ----------
    first, length, period : int
        0-based column, columns, and how far apart the two runs are.
    evalue : float
        Chance segments this good that are expected in the whole protein.
    """

    first: int
    length: int
    period: int
    evalue: float


@dataclass(frozen=True)
class Repeats:
    """Repeats of a family.

    Attributes
    ----------
    segments : list of Segment
        Best first.
    same : bool [L, L]
        Pairs of columns at the same place of two copies; symmetric.
    """

    segments: list[Segment] = field(default_factory=list)
    same: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), bool))


def find_repeats(shares: np.ndarray, neff: float) -> Repeats:
    """Repeats in a profile.

    Parameters
    ----------
    shares : float [L, 20]
        Weighted shares of the residues at each position, from `report.evidence.profile`.
    neff : float
        Effective number of sequences behind them.
    """
    length = len(shares)
    same = np.zeros((length, length), bool)
    if length < _SHORTEST:
        return Repeats([], same)
    score = column_scores(shares, neff)
    forward, cells = _diagonals(score)
    backward, counts = _diagonals(score[:, ::-1], mirrored=True)
    scale, decay = _fit_chance(np.array([_best_run(row)[0] for row in backward]), counts)
    if not decay > 0:
        return Repeats([], same)
    total = float(cells.sum())
    limit = (np.log(scale * total) - np.log(SIGNIFICANT)) / decay
    found = []
    for period, row in enumerate(forward, start=MIN_PERIOD):
        for value, first, run in _runs_above(row, limit):
            found.append(Segment(first, run, period, float(scale * total * np.exp(-decay * value))))
    found = sorted(found, key=lambda one: one.evalue)[:_MOST]
    for one in found:
        at = np.arange(one.first, one.first + one.length)
        same[at, at + one.period] = same[at + one.period, at] = True
    return Repeats(found, same)


def column_scores(shares: np.ndarray, neff: float) -> np.ndarray:
    """Similarity of all pairs of columns in bits, float64 [L, L]."""
    mean = shares.mean(0) + 1e-4
    mean /= mean.sum()
    smooth = (neff * shares + _PRIOR * mean) / (neff * shares.sum(1, keepdims=True) + _PRIOR)
    return np.log2(smooth / mean @ smooth.T)


def _diagonals(score: np.ndarray, mirrored: bool = False) -> tuple[list[np.ndarray], np.ndarray]:
    """Diagonals of pairs at least `MIN_PERIOD` apart, and how many cells each has.

    Of a mirrored matrix the runs (i + k, j - k), each once, up to where its ends come nearer than that.
    """
    length = len(score)
    if not mirrored:
        rows = [np.diagonal(score, period) for period in range(MIN_PERIOD, length)]
    else:
        rows = []
        for total in range(MIN_PERIOD, 2 * length - 1 - MIN_PERIOD):  # i + j
            cells = np.diagonal(score, length - 1 - total)
            first = max(0, total - length + 1)
            inner = (total - MIN_PERIOD) // 2 - first + 1  # of them, those with j - i large enough
            if inner > 0:
                rows.append(cells[:inner])
    return rows, np.array([len(row) for row in rows])


def _best_run(row: np.ndarray) -> tuple[float, int, int]:
    """Score, start and length of the run of cells with the largest sum; nothing where none is positive."""
    ahead = np.concatenate([[0.0], np.cumsum(row)])
    rise = ahead - np.minimum.accumulate(ahead)
    end = int(np.argmax(rise))
    start = int(np.argmin(ahead[: end + 1]))
    return float(rise[end]), start, end - start


def _runs_above(row: np.ndarray, limit: float) -> list[tuple[float, int, int]]:
    """All separate runs of a diagonal that score at least `limit`: the best, then what is left beside it."""
    value, start, run = _best_run(row)
    if value < limit or run == 0:
        return []
    right = [(v, s + start + run, n) for v, s, n in _runs_above(row[start + run :], limit)]
    return [*_runs_above(row[:start], limit), (value, start, run), *right]


def _fit_chance(best: np.ndarray, cells: np.ndarray) -> tuple[float, float]:
    """K and lambda of the best runs of diagonals by maximum likelihood."""
    spread = max(float(best.std()), 1e-6)

    def loss(numbers: np.ndarray) -> float:
        log_scale, decay = numbers[0], np.exp(numbers[1])
        rate = log_scale + np.log(cells) - decay * best
        return float(-(np.log(decay) + rate - np.exp(np.minimum(rate, 50))).sum())

    start = [-np.log(cells.mean()) + best.mean() * 1.28 / spread, np.log(1.28 / spread)]
    found = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 2000}).x
    return float(np.exp(found[0])), float(np.exp(found[1]))


def repeat_words(repeats: Repeats, first_index: int, most: int = 3) -> str:
    """The best segments in a sentence; empty where there is none."""
    if not repeats.segments:
        return ""
    told = [
        f"{one.first + first_index} to {one.first + one.length - 1 + first_index} and {one.period} residues "
        f"later (E = {one.evalue:.0e})"
        for one in repeats.segments[:most]
    ]
    more = f", and {len(repeats.segments) - most} more" if len(repeats.segments) > most else ""
    return f"The family's profile repeats itself: residues {'; '.join(told)}{more}."
