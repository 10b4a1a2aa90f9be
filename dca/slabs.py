"""Compiled updates of one site of the asymmetric pseudolikelihood: its slabs of couplings, and its field.

What `dca.descent` is to all pairs at once, with a diagonal curvature C in the place of exact ones.
"""

import numpy as np

from dca.accelerate import jit

# Which slab of a site's working memory is what: couplings, direction of search, gradient, gradient at the
# trial point, trial point, diagonal curvature
J, D, G, T, X, C = range(6)


@jit(fastmath=True)
def dot_slabs(one: np.ndarray, two: np.ndarray) -> float:
    """Sum of the products of two slabs; a column's sum stays in float32."""
    total = 0.0
    for j in range(one.shape[0]):
        part = np.float32(0.0)
        for k in range(one.shape[1]):
            part += one[j, k] * two[j, k]
        total += float(part)
    return total


@jit(fastmath=True)
def make_trial(slabs: np.ndarray, step: float) -> None:
    """Couplings + step direction, into the trial point."""
    couplings, direction, point = slabs[J], slabs[D], slabs[X]
    for j in range(point.shape[0]):
        for k in range(point.shape[1]):
            point[j, k] = couplings[j, k] + step * direction[j, k]


@jit(fastmath=True)
def advance_slabs(slabs: np.ndarray, step: float, share: float) -> tuple[float, float, float]:
    """Move along the direction and interpolate the gradient g to g'.

    Returns g' C^-1 g', (g' - g) C^-1 g' and J C J, with C the diagonal curvature.
    """
    couplings, direction, gradient, trial, curvature = slabs[J], slabs[D], slabs[G], slabs[T], slabs[C]
    stride, part = np.float32(step), np.float32(share)
    norm, change, size = 0.0, 0.0, 0.0
    for j in range(gradient.shape[0]):
        # One column's sums stay in float32, so that the loop fills vectors; columns are added in double.
        some_norm, some_change, some_size = np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for k in range(gradient.shape[1]):
            moved = couplings[j, k] + stride * direction[j, k]
            delta = part * (trial[j, k] - gradient[j, k])
            slope = gradient[j, k] + delta
            couplings[j, k], gradient[j, k] = moved, slope
            some_norm += slope * slope / curvature[j, k]
            some_change += delta * slope / curvature[j, k]
            some_size += moved * moved * curvature[j, k]
        norm, change, size = norm + float(some_norm), change + float(some_change), size + float(some_size)
    return norm, change, size


@jit(fastmath=True)
def turn_slabs(slabs: np.ndarray, memory: float) -> float:
    """direction = memory direction - C^-1 gradient; its slope, direction times gradient."""
    direction, gradient, curvature = slabs[D], slabs[G], slabs[C]
    kept = np.float32(memory)
    slope = 0.0
    for j in range(gradient.shape[0]):
        part = np.float32(0.0)
        for k in range(gradient.shape[1]):
            direction[j, k] = kept * direction[j, k] - gradient[j, k] / curvature[j, k]
            part += direction[j, k] * gradient[j, k]
        slope += float(part)
    return slope


@jit
def move_field(
    field: np.ndarray,
    turn: np.ndarray,
    by_field: np.ndarray,
    trial: np.ndarray,
    curvature: np.ndarray,
    step: float,
    share: float,
) -> tuple[float, float]:
    """What `advance_slabs` does with couplings, for the field and its gradient: norm and change."""
    norm, change = 0.0, 0.0
    for a in range(field.size):
        delta = share * (trial[a] - by_field[a])
        by_field[a] += delta
        field[a] += step * turn[a]
        norm += by_field[a] * by_field[a] / curvature[a]
        change += delta * by_field[a] / curvature[a]
    return norm, change


@jit
def turn_field(turn: np.ndarray, by_field: np.ndarray, curvature: np.ndarray, memory: float) -> float:
    """The next direction of search of the field; its slope."""
    slope = 0.0
    for a in range(turn.size):
        turn[a] = memory * turn[a] - by_field[a] / curvature[a]
        slope += turn[a] * by_field[a]
    return slope
