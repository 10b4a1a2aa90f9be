"""Average linkage (UPGMA; Sokal, Michener 1958): clusters joined two by two, the nearest first.

The joins are those of ``scipy.cluster.hierarchy.average`` to the bit. They are found here since its package
takes more time and memory to load than a small family's couplings, and since it copies the distances.
"""

import math

import numpy as np

from dca.accelerate import jit


def average_linkage(distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join the two nearest of K clusters until one is left; their distance is the mean over their members.

    Parameters
    ----------
    distance : float64 [K (K - 1) / 2]
        In the order of ``np.triu_indices(K, 1)``; overwritten.

    Returns
    -------
    joined : int64 [K - 1, 2]
        Numbers of the two clusters of each join, the smaller first: 0 .. K - 1 are those given, K + k is what
        join k made.
    height : float64 [K - 1]
        Their distance; rises.

    Raises
    ------
    ValueError
        A distance is not finite: such clusters would never be anybody's nearest.
    """
    if not np.isfinite(distance).all():
        raise ValueError("distances of clusters must be finite")
    count = (1 + math.isqrt(1 + 8 * distance.size)) // 2
    joined, height = np.empty((count - 1, 2), dtype=np.int64), np.empty(count - 1)
    _follow_chains(distance, joined, height)
    order = np.argsort(height, kind="stable")
    joined = joined[order]
    _number_joins(joined)
    return joined, height[order]


@jit
def _at(one: int, two: int, count: int) -> int:
    """Place of the distance of two clusters, in either order."""
    low, high = min(one, two), max(one, two)
    return low * count - low * (low + 1) // 2 + high - low - 1


@jit
def _nearest(distance: np.ndarray, size: np.ndarray, cluster: int, last: int) -> int:
    """The cluster nearest to this one; `last`, where there is such, before others that are as near."""
    count = size.shape[0]
    found, least = last, np.inf
    if last >= 0:
        least = distance[_at(cluster, last, count)]
    for other in range(count):
        if size[other] == 0 or other == cluster:
            continue
        value = distance[_at(cluster, other, count)]
        if value < least:
            found, least = other, value
    return found


@jit
def _follow_chains(distance: np.ndarray, joined: np.ndarray, height: np.ndarray) -> None:
    """Chains of nearest neighbours, some K^2 steps (algorithm NN-chain of Muellner 2011, arXiv:1109.2378).

    Two clusters that are each other's nearest are joined whatever is nearer elsewhere: no later cluster is
    nearer to the join than to both of its parts. What is joined goes by the larger number of the two. Joins
    come as chains end, and not by their heights.
    """
    count = height.shape[0] + 1
    size, chain = np.ones(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    links = 0
    for k in range(count - 1):
        if links == 0:
            first = 0
            while size[first] == 0:
                first += 1
            chain[0], links = first, 1
        last = chain[links - 2] if links > 1 else -1
        other = _nearest(distance, size, chain[links - 1], last)
        while other != last:
            last = chain[links - 1]
            chain[links] = other
            links += 1
            other = _nearest(distance, size, chain[links - 1], last)
        links -= 2
        low, high = min(chain[links], chain[links + 1]), max(chain[links], chain[links + 1])
        joined[k, 0], joined[k, 1] = low, high
        height[k] = distance[_at(low, high, count)]
        for third in range(count):
            if size[third] > 0 and third != low and third != high:
                there = _at(third, high, count)
                total = size[low] * distance[_at(third, low, count)] + size[high] * distance[there]
                distance[there] = total / (size[low] + size[high])
        size[high] += size[low]
        size[low] = 0


@jit
def _number_joins(joined: np.ndarray) -> None:
    """In place of a member of each cluster, the number of the last join that it is in, if any."""
    joins = joined.shape[0]
    above = np.full(2 * joins + 1, -1, dtype=np.int64)
    for k in range(joins):
        for side in range(2):
            node = joined[k, side]
            while above[node] >= 0:
                node = above[node]
            joined[k, side] = node
        low, high = min(joined[k, 0], joined[k, 1]), max(joined[k, 0], joined[k, 1])
        joined[k, 0], joined[k, 1] = low, high
        above[low] = joins + 1 + k
        above[high] = joins + 1 + k
