"""Compiled updates of pseudolikelihood DCA on packed pairs: preconditioner, steps and directions of search.

The curvature of the objective at independent sites is M_ij X = scale D_i X D_j + floor X for the couplings X
of a pair, where D_i = diag(f_i) - f_i f_i^T is the covariance of a site's letters and couplings between
different pairs are left out. Its inverse is exact and cheap in the bases that make D_i and D_j diagonal.
"""

import numpy as np

from dca.accelerate import folded, jit
from dca.space import shaped, space
from dca.vector import TRIPLE, WIDTH, combine_rows


@jit(fastmath=True)
def _curve(
    block: np.ndarray, one: np.ndarray, two: np.ndarray, scale: float, floor: float, out: np.ndarray
) -> None:
    """out = scale D_i block D_j + floor block."""
    q = block.shape[0]
    factor, ground = np.float32(scale), np.float32(floor)
    mean = space((q,), np.float32)
    for b in range(q):
        mean[b] = 0.0
    for a in range(q):
        for b in range(q):
            mean[b] += one[a] * block[a, b]
    for a in range(q):
        shift = np.float32(0.0)
        for b in range(q):
            shift += (block[a, b] - mean[b]) * two[b]
        for b in range(q):
            out[a, b] = factor * one[a] * two[b] * (block[a, b] - mean[b] - shift) + ground * block[a, b]


@jit
def _multiply(left: np.ndarray, right: np.ndarray, rows: int, out: np.ndarray) -> None:
    """out = left right for the first `rows` rows or a few more; all are WIDTH x WIDTH and flat."""
    for a in range(0, rows, TRIPLE):
        combine_rows(out, a, left, right)


@jit(fastmath=True)
def _precondition(
    block: np.ndarray,
    modes: tuple[np.ndarray, np.ndarray],
    bases: tuple[np.ndarray, np.ndarray],
    turned: tuple[np.ndarray, np.ndarray],
    scale: float,
    floor: float,
    out: np.ndarray,
    work: np.ndarray,
) -> None:
    """out = inverse of the curvature times block, in the bases where both covariances are diagonal."""
    q = block.shape[0]
    one, two = work[0], work[1]
    for a in range(q):
        for b in range(q):
            one[a * WIDTH + b] = block[a, b]
    _multiply(turned[0], one, q, two)
    _multiply(two, bases[1], q, one)
    for a in range(q):
        left = np.float32(scale) * modes[0][a]
        for b in range(q):
            one[a * WIDTH + b] /= left * modes[1][b] + np.float32(floor)
    _multiply(bases[0], one, q, two)
    _multiply(two, turned[1], q, one)
    for a in range(q):
        for b in range(q):
            out[a, b] = one[a * WIDTH + b]


@jit(fastmath=True)
def _product(one: np.ndarray, two: np.ndarray) -> float:
    total = np.float32(0.0)
    for k in range(one.size):
        total += one[k] * two[k]
    return float(total)


@jit
def _independent_gradient(
    lo: int, hi: int, pairs: np.ndarray, frequencies: np.ndarray, pulls: np.ndarray, neff: float
) -> None:
    """Turn pair frequencies into the gradient by centred couplings where all couplings are zero.

    pulls[i, a] is the penalty's part of the gradient by the fields.
    """
    length, q = frequencies.shape
    factor = np.float32(-2.0 * neff)
    for k in range(lo, hi):
        i = folded(k, length)
        for j in range(i + 1, length):
            p = i * length - i * (i + 1) // 2 + j - i - 1
            for a in range(q):
                for b in range(q):
                    value = factor * (pairs[p, a, b] - frequencies[i, a] * frequencies[j, b])
                    value -= pulls[i, a] * frequencies[j, b] + pulls[j, b] * frequencies[i, a]
                    pairs[p, a, b] = value


@jit(fastmath=True)
def _advance(
    lo: int,
    hi: int,
    couplings: np.ndarray,
    direction: np.ndarray,
    gradient: np.ndarray,
    trial: np.ndarray,
    step: float,
    share: float,
    frequencies: np.ndarray,
    scale: float,
    floor: float,
    modes: np.ndarray,
    bases: np.ndarray,
    turned: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Move by step along the direction, interpolate the gradient, precondition it.

    trial holds the gradient at the trial point and takes z, the preconditioned new gradient g'.
    sums[i] = (g' z, (g' - g) z, J M J) over the pairs i < j.
    """
    length, q = frequencies.shape
    stride, part = np.float32(step), np.float32(share)
    for k in range(lo, hi):
        i = folded(k, length)
        change, curved = space((q * q,), np.float32), space((q, q), np.float32)
        work = space((2, WIDTH * WIDTH), np.float32)
        for c in range(WIDTH * WIDTH):
            work[0, c] = 0.0
            work[1, c] = 0.0
        norm, turn, size = 0.0, 0.0, 0.0
        for j in range(i + 1, length):
            p = i * length - i * (i + 1) // 2 + j - i - 1
            point, course, slope, tried = (
                shaped(couplings[p], (q * q,)),
                shaped(direction[p], (q * q,)),
                shaped(gradient[p], (q * q,)),
                shaped(trial[p], (q * q,)),
            )
            for c in range(q * q):
                point[c] += stride * course[c]
            for c in range(q * q):
                change[c] = part * (tried[c] - slope[c])
            for c in range(q * q):
                slope[c] += change[c]
            pair = modes[i], modes[j]
            sides, turns = (bases[i], bases[j]), (turned[i], turned[j])
            _precondition(gradient[p], pair, sides, turns, scale, floor, trial[p], work)
            norm += _product(slope, tried)
            turn += _product(change, tried)
            _curve(couplings[p], frequencies[i], frequencies[j], scale, floor, curved)
            size += _product(point, shaped(curved, (q * q,)))
        sums[i, 0], sums[i, 1], sums[i, 2] = norm, turn, size


@jit(fastmath=True)
def _turn(
    lo: int,
    hi: int,
    direction: np.ndarray,
    gradient: np.ndarray,
    downhill: np.ndarray,
    memory: float,
    slopes: np.ndarray,
) -> None:
    """direction = memory direction - downhill; slopes[i] = sum of direction times gradient, i < j."""
    length, q, kept = slopes.shape[0], direction.shape[1], np.float32(memory)
    for k in range(lo, hi):
        i = folded(k, length)
        slope = 0.0
        for j in range(i + 1, length):
            p = i * length - i * (i + 1) // 2 + j - i - 1
            for a in range(q):
                part = np.float32(0.0)
                for b in range(q):
                    value = kept * direction[p, a, b] - downhill[p, a, b]
                    direction[p, a, b] = value
                    part += value * gradient[p, a, b]
                slope += float(part)
        slopes[i] = slope
