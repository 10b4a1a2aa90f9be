"""What fits into three dimensions: chains of C-beta atoms, folded by the predicted distances.

The network looks at pairs; contacts of one protein must also hold together in space. Short Langevin runs of
a chain of beads in the potential -log P(distance) + log P(distance | separation) show which of them do: a
pair that is near in most runs gains, one that the rest of the map pulls apart loses.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse.csgraph import shortest_path
from scipy.special import expit, log_softmax, logit

from dca.accelerate import in_parallel, jit
from nets.config import CHAIN_STEPS, CHAINS, SEPARATION_STARTS

_GROUP = 4  # chains that share the reading of the potential; threads share the groups
_HOLD = 0.6  # share of the steps after which the chain is no longer annealed, and contacts are counted
_SPREAD = 6.0  # angstrom, of the starts around the common one
_NOISE = 0.15  # angstrom per step, of a chain that is no longer annealed about a third of it
_CONTACT, _SOFT = 8.0, 0.7  # angstrom: a pair at 8 counts half, at 7.3 and 8.7 by 0.73 and 0.27
_OVERLAP, _STIFF = 3.8, 20.0  # C-beta atoms do not come nearer; force in 1 / angstrom^2
_BOND, _TIE = 7.0, 10.0  # and those of neighbours are no further apart
_FLOOR = 0.05  # of a frequency: nothing is impossible after so few runs
_NEAREST, _FURTHEST = 3.5, 22.0  # angstrom, stand for the first and the last, open bin
_GRID = 4  # steps per angstrom at which the pieces of the potential are looked up


@dataclass(frozen=True)
class ChainPrior:
    """How much the folded chains count, and which distances are expected of any pair.

    Attributes
    ----------
    weight : float
        Of the log odds of their frequencies, for a pair that the network thinks no contact; a pair of which
        it is sure does not change.
    reference : list of list of float [S, B]
        What the network expects of pairs at separations from each of `SEPARATION_STARTS` on, in the mean
        over proteins: see `fit_reference`.
    """

    weight: float
    reference: list[list[float]]

    def checked(self, bins: int) -> "ChainPrior":
        """Itself, where it fits a network of so many distance bins.

        Raises
        ------
        ValueError
            It does not, or holds a number that is not a positive share.
        """
        shares = np.array(self.reference, dtype=np.float64)
        if (
            shares.shape != (len(SEPARATION_STARTS), bins)
            or not (shares > 0).all()
            or not (shares <= 1).all()
        ):
            raise ValueError(f"a reference of {len(SEPARATION_STARTS)} x {bins} positive shares is needed")
        if not 0 < float(self.weight) <= 10:
            raise ValueError(f"the weight of folded chains must lie between 0 and 10, got {self.weight}")
        return self


def separation_class(separation: np.ndarray) -> np.ndarray:
    """Index into `SEPARATION_STARTS` of each |i - j| >= 1."""
    return np.searchsorted(SEPARATION_STARTS, separation, side="right") - 1


def fit_reference(maps: Iterable[np.ndarray], bins: int) -> list[list[float]]:
    """Mean of what a network predicts, by separation; every map weighs the same.

    Against the network's own mean its prejudices cancel. The shares of the true distances, tried first, bring
    half of the gain.

    Parameters
    ----------
    maps : iterable of float32 [L, L, B]
        Logits of the distance bins.
    bins : int
        Number of distance bins B.
    """
    total = np.full((len(SEPARATION_STARTS), bins), 1e-4)
    for logits in maps:
        upper = np.triu_indices(len(logits), 1)
        shares = np.exp(log_softmax(logits[upper].astype(np.float64), axis=-1))
        np.add.at(total, separation_class(upper[1] - upper[0]), shares / max(1, len(shares)))
    return (total / total.sum(1, keepdims=True)).tolist()


def with_chain(
    odds: np.ndarray, logits: np.ndarray, edges: Sequence[float], prior: ChainPrior | None, seed: int = 1
) -> np.ndarray:
    """Log odds of contact that know which contacts fold together.

    Parameters
    ----------
    odds : float64 [L, L]
        Log odds of contact, symmetric.
    logits : float32 [L, L, B]
        Of the distance bins, symmetric.
    edges : sequence of float [B + 1]
        Of the bins, angstrom.
    prior : ChainPrior or None
        None leaves the log odds as they are.

    Returns
    -------
    float64 [L, L]
        Symmetric.
    """
    length = len(odds)
    if prior is None or length < 2:
        return odds
    upper = np.triu_indices(length, 1)
    near = contact_frequency(logits, edges, np.array(prior.reference), seed)
    shift = prior.weight * expit(-odds[upper]) * (logit((near + _FLOOR) / (1 + 2 * _FLOOR)))
    found = odds.copy()
    found[upper] += shift
    found.T[upper] += shift
    return found


def contact_frequency(
    logits: np.ndarray, edges: Sequence[float], reference: np.ndarray, seed: int = 1
) -> np.ndarray:
    """Share of the time that each pair is in contact in chains folded by the predicted distances.

    Parameters
    ----------
    logits : float32 [L, L, B]
    edges : sequence of float [B + 1]
    reference : float64 [S, B]
        Of :class:`ChainPrior`.
    seed : int
        Of the starts and the noise.

    Returns
    -------
    float64 [L (L - 1) / 2]
        Of the packed upper triangle; the same for any number of threads.
    """
    length = len(logits)
    upper = np.triu_indices(length, 1)
    knots = np.array([_NEAREST, *(np.array(edges[1:-2]) + np.array(edges[2:-1])) / 2, _FURTHEST])
    chances = log_softmax(logits[upper].astype(np.float64), axis=-1)
    energy = np.log(reference)[separation_class(upper[1] - upper[0])] - chances
    slopes, piece = _pieces(energy, knots)
    middle = _embedded(np.exp(chances) @ knots, length)
    rng = np.random.default_rng(seed)
    places = (middle + rng.normal(0, _SPREAD, (CHAINS, length, 3))).astype(np.float32)
    noise = rng.standard_normal((CHAINS, CHAIN_STEPS, length, 3), dtype=np.float32)
    near = np.zeros((CHAINS, len(chances)), np.float32)
    in_parallel(_run_groups, CHAINS // _GROUP, places, slopes, piece, noise, near)
    return near.mean(0, dtype=np.float64)


def _pieces(energy: np.ndarray, knots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes between the knots, flat outside of them [P, B + 1], and which one holds on a grid of distances.

    The grid is finer than the bins of the shipped weights, whose knots lie on it; other knots move to it.
    """
    slopes = np.zeros((len(energy), len(knots) + 1), np.float32)
    slopes[:, 1:-1] = np.diff(energy, axis=1) / np.diff(knots)
    grid = (np.arange(int(np.ceil(_FURTHEST * _GRID)) + 1) + 0.5) / _GRID
    return slopes, np.searchsorted(knots, grid).astype(np.uint8)


def _embedded(mean: np.ndarray, length: int) -> np.ndarray:
    """Places whose distances come near the shortest paths over mean distances (classical scaling)."""
    distance = np.zeros((length, length))
    distance[np.triu_indices(length, 1)] = mean
    distance = shortest_path(distance + distance.T)
    square = distance**2
    inner = -0.5 * (square - square.mean(0) - square.mean(1)[:, None] + square.mean())
    values, vectors = np.linalg.eigh(inner)
    places = vectors[:, -3:] * np.sqrt(np.maximum(values[-3:], 0))
    return np.pad(places, ((0, 0), (0, 3 - places.shape[1])))


@jit(fastmath=True)
def _run_groups(lo: int, hi: int, places: Any, slopes: Any, piece: Any, noise: Any, near: Any) -> None:
    """Runs of the chains of groups lo .. hi - 1, `_GROUP` chains each."""
    for group in range(lo, hi):
        _run_chains(group * _GROUP, (group + 1) * _GROUP, places, slopes, piece, noise, near)


@jit(fastmath=True)
def _run_chains(lo: int, hi: int, places: Any, slopes: Any, piece: Any, noise: Any, near: Any) -> None:
    """Langevin runs of chains lo .. hi - 1; `near` gets the share of the last steps that a pair is near.

    The step is scaled so that it moves the beads by the same mean square at each temperature: large moves
    while annealed (a half cosine over the first `_HOLD` of the steps), small ones while counted.
    """
    chains, steps, length = hi - lo, noise.shape[1], places.shape[1]
    hold = int(_HOLD * steps)
    x = np.zeros((length, 3, chains), np.float32)
    for chain in range(chains):
        for i in range(length):
            for c in range(3):
                x[i, c, chain] = places[lo + chain, i, c]
    force, drift = np.zeros_like(x), np.zeros_like(x)
    for step in range(steps):
        warmth = np.float32(0.5 * (1 + np.cos(np.pi * min(1.0, step / hold))))
        _forces(x, slopes, piece, force)
        if step >= hold:
            _count(x, near[lo:hi])
        shake = np.float32(_NOISE) * (np.float32(0.3) + warmth)
        for chain in range(chains):
            total = np.float32(0)
            for i in range(length):
                for c in range(3):
                    drift[i, c, chain] = np.float32(0.8) * drift[i, c, chain] + force[i, c, chain]
                    total += drift[i, c, chain] * drift[i, c, chain]
            size = np.sqrt(total / (3 * length)) + np.float32(1e-6)
            move = min(np.float32(0.05), (np.float32(0.03) + np.float32(0.2) * warmth) / size)
            for i in range(length):
                for c in range(3):
                    x[i, c, chain] += move * drift[i, c, chain] + shake * noise[lo + chain, step, i, c]
    for chain in range(lo, hi):
        for pair in range(near.shape[1]):
            near[chain, pair] /= np.float32(steps - hold)


@jit(fastmath=True)
def _forces(x: Any, slopes: Any, piece: Any, force: Any) -> None:
    """Force on each bead [L, 3, chains]; all chains pass each pair together, so its slopes are read once."""
    length = x.shape[0]
    last = np.int64(len(piece) - 1)
    pull = np.zeros(_GROUP, np.float32)
    square = np.zeros(_GROUP, np.float32)
    far = np.float32(_FURTHEST**2)  # where the potential is flat, most pairs of a long chain
    for i in range(length):
        for c in range(3):
            for n in range(_GROUP):
                force[i, c, n] = 0
    pair = -1
    for i in range(length):
        for j in range(i + 1, length):
            pair += 1
            for n in range(_GROUP):
                a, b, c = x[i, 0, n] - x[j, 0, n], x[i, 1, n] - x[j, 1, n], x[i, 2, n] - x[j, 2, n]
                square[n] = a * a + b * b + c * c
            nearest = square[0]
            for n in range(1, _GROUP):
                nearest = min(nearest, square[n])
            if j > i + 1 and nearest >= far:
                continue
            for n in range(_GROUP):
                a, b, c = x[i, 0, n] - x[j, 0, n], x[i, 1, n] - x[j, 1, n], x[i, 2, n] - x[j, 2, n]
                d = np.sqrt(a * a + b * b + c * c + np.float32(1e-6))
                push = slopes[pair, piece[min(np.int64(d * np.float32(_GRID)), last)]]
                push -= np.float32(_STIFF) * max(np.float32(0), np.float32(_OVERLAP) - d)
                pull[n] = push / d
            if j == i + 1:
                for n in range(_GROUP):
                    a, b, c = x[i, 0, n] - x[j, 0, n], x[i, 1, n] - x[j, 1, n], x[i, 2, n] - x[j, 2, n]
                    d = np.sqrt(a * a + b * b + c * c + np.float32(1e-6))
                    pull[n] += np.float32(_TIE) * max(np.float32(0), d - np.float32(_BOND)) / d
            for c in range(3):
                for n in range(_GROUP):
                    part = pull[n] * (x[i, c, n] - x[j, c, n])
                    force[i, c, n] -= part
                    force[j, c, n] += part


@jit(fastmath=True)
def _count(x: Any, near: Any) -> None:
    """Add to each pair [chains, P] how much it is in contact."""
    length = x.shape[0]
    reach = np.float32(_CONTACT + 6 * _SOFT)
    pair = 0
    for i in range(length):
        for j in range(i + 1, length):
            for n in range(_GROUP):
                a, b, c = x[i, 0, n] - x[j, 0, n], x[i, 1, n] - x[j, 1, n], x[i, 2, n] - x[j, 2, n]
                square = a * a + b * b + c * c
                if square < reach * reach:
                    d = (np.sqrt(square) - np.float32(_CONTACT)) / np.float32(_SOFT)
                    near[n, pair] += np.float32(1) / (np.float32(1) + np.exp(d))
            pair += 1
