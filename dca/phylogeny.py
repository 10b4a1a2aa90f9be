"""The relatedness of a family's rows: a rooted tree from similarities.

Two rows at distance t that evolved as `dca.site_process` says agree at site i with probability
h_i + (1 - h_i) exp(-r_i t), where h_i is the chance that unrelated rows agree and r_i the site's rate. Hence

- the similarity sum_i (same_i - h_i) / sum_i (1 - h_i), over the columns where both rows have a letter, is 1
  for copies, 0 on average for unrelated rows, and unbiased for the mean of exp(-r_i t);
- the tree is average linkage (UPGMA; Sokal, Michener 1958) of similarities. Averaging these and not distances
  keeps saturated pairs, whose distance would be infinite, harmless;
- heights follow through the inverse of the curve S(t) = sum_i (1 - h_i) exp(-r_i t) / sum_i (1 - h_i).

All rows end at the present: a molecular clock, which real families keep only roughly. Gaps are missing
letters.
"""

import numpy as np
from scipy.cluster.hierarchy import average

from data.alphabet import GAP
from dca.accelerate import in_parallel, jit
from dca.simulate import Tree

MOST_REPRESENTATIVES = 2000
_UNRELATED = 0.01  # similarities below are noise about 0; a branch this long forgets the letter
_FEWEST_COLUMNS = 5.0  # rows that share fewer informative columns count as less similar


def similarity_tree(
    tokens: np.ndarray, repeat: np.ndarray, representatives: int = MOST_REPRESENTATIVES
) -> tuple[np.ndarray, np.ndarray]:
    """A rooted tree whose inner nodes carry the mean similarity of the rows that they join.

    Up to `representatives` rows are joined by average linkage. Of more rows, that many are chosen by
    `spread_rows`, and the groups of rows most similar to each of them are joined by the mean similarity of
    their rows; the tree of each group is made in the same way.

    Parameters
    ----------
    tokens : int8 [N, L]
    repeat : float64 [L]
        Chance that unrelated rows agree.
    representatives : int
        Two at least.

    Returns
    -------
    parent : int32 [2 N - 1]
        Nodes below N are the rows; -1 for the root. Numbers are not sorted by age.
    similarity : float64 [2 N - 1]
        1 for rows; does not rise towards the root.
    """
    rows = tokens.shape[0]
    parent = np.full(2 * rows - 1, -1, dtype=np.int32)
    similarity = np.ones(2 * rows - 1)
    _join(tokens, np.arange(rows), repeat.astype(np.float32), representatives, rows, parent, similarity)
    _cap_by_parent(parent, similarity)
    return parent, similarity


def _join(
    tokens: np.ndarray,
    members: np.ndarray,
    chance: np.ndarray,
    representatives: int,
    free: int,
    parent: np.ndarray,
    similarity: np.ndarray,
) -> tuple[int, int]:
    """Join the rows `members`, inner nodes numbered from `free`; their root and the next free number."""
    if members.size == 1:
        return int(members[0]), free
    own = np.ascontiguousarray(tokens[members])
    chosen, nearest = spread_rows(own, chance, representatives)
    distance = group_similarity(own, nearest, chance)
    del own  # the groups below make their own
    np.subtract(1, distance, out=distance)
    np.maximum(distance, 0.0, out=distance)
    joined = average(distance)
    del distance
    inner = free + np.arange(chosen.size - 1)
    free += chosen.size - 1
    roots = np.empty(2 * chosen.size - 1, dtype=np.int64)
    roots[chosen.size :] = inner
    for k in range(chosen.size):
        followers = members[nearest == k]
        roots[k], free = _join(tokens, followers, chance, representatives, free, parent, similarity)
    for side in (0, 1):
        parent[roots[joined[:, side].astype(np.int64)]] = inner
    similarity[inner] = 1 - joined[:, 2]
    return int(inner[-1]), free


def spread_rows(tokens: np.ndarray, chance: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that lie far apart: the first, then always the one least similar to those chosen.

    All rows in their order when there are no more than `most`. Chosen rows resemble each other no more than
    any other row resembles the nearest of them (Gonzalez 1985, Theor Comput Sci 38:293).

    Parameters
    ----------
    tokens : int8 [N, L]
    chance : float32 [L]
        Chance that unrelated rows agree.
    most : int

    Returns
    -------
    chosen : int64 [n]
    nearest : int64 [N]
        Place in `chosen` of the chosen row that each row is most similar to, itself where it is chosen.
    """
    if tokens.shape[0] <= most:
        return np.arange(tokens.shape[0]), np.arange(tokens.shape[0])
    chosen = np.zeros(most, dtype=np.int64)
    closest = np.full(tokens.shape[0], -np.inf, dtype=np.float32)
    nearest = np.zeros(tokens.shape[0], dtype=np.int64)
    for k in range(most):
        if k > 0:
            chosen[k] = closest.argmin()
        in_parallel(_update_closest, len(tokens), tokens, chosen[k], k, chance, closest, nearest)
        closest[chosen[k]], nearest[chosen[k]] = np.inf, k
    return chosen, nearest


def group_similarity(tokens: np.ndarray, group: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Mean similarity between the rows of groups: sums over all their pairs of rows and all columns.

    Parameters
    ----------
    tokens : int8 [N, L]
    group : int64 [N]
        From 0 to K - 1.
    chance : float32 [L]

    Returns
    -------
    float64 [K (K - 1) / 2]
        In the order of ``np.triu_indices(K, 1)``.
    """
    size = np.bincount(group).astype(np.float32)
    letters = np.zeros((size.size, tokens.shape[1], GAP), dtype=np.float32)
    _count_letters(tokens, group, letters)
    there = letters.sum(axis=2)
    flat = letters.reshape(size.size, -1)
    excess = flat @ flat.T
    del flat, letters  # from here on as few matrices [K, K] as can be
    possible = (there * chance) @ there.T
    excess -= possible
    np.matmul(there * (1 - chance), there.T, out=possible)
    for k in range(size.size):
        excess[k] /= np.maximum(possible[k], _FEWEST_COLUMNS * (size[k] * size))
    del possible
    return np.concatenate([row[k + 1 :] for k, row in enumerate(excess)], dtype=np.float64)


@jit
def _count_letters(tokens: np.ndarray, group: np.ndarray, letters: np.ndarray) -> None:
    """letters[k, i, a] += number of the rows of group k that have letter a in column i; gaps are none."""
    for n in range(tokens.shape[0]):
        for i in range(tokens.shape[1]):
            if 0 <= tokens[n, i] < GAP:
                letters[group[n], i, tokens[n, i]] += np.float32(1.0)


@jit
def _cap_by_parent(parent: np.ndarray, similarity: np.ndarray) -> None:
    """Raise each node's similarity to that of its most similar ancestor: no branch has negative length."""
    for start in range(parent.size):
        best = similarity[start]
        node = parent[start]
        while node >= 0:
            best = max(best, similarity[node])
            node = parent[node]
        similarity[start] = best


def timed_tree(
    parent: np.ndarray, similarity: np.ndarray, rows: int, repeat: np.ndarray, rates: np.ndarray
) -> Tree:
    """The tree with branch lengths, its nodes sorted so that parents come first."""
    times = np.concatenate([[0.0], np.geomspace(1e-4, 1e3, 2000)])
    share = (1 - repeat) / (1 - repeat).sum()
    curve = np.exp(-np.outer(times, rates)) @ share
    height = np.interp(-np.maximum(similarity, _UNRELATED), -curve, times) / 2
    levels = np.zeros(parent.size, dtype=np.int64)
    _count_levels(parent, levels)
    order = np.argsort(levels, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    above = parent[order]
    length = np.where(above < 0, 0.0, height[above] - height[order])
    return Tree(np.where(above < 0, -1, place[above]).astype(np.int32), length, place[:rows].astype(np.int32))


@jit
def _count_levels(parent: np.ndarray, levels: np.ndarray) -> None:
    """Number of nodes above each node."""
    for start in range(parent.size):
        node = parent[start]
        while node >= 0:
            levels[start] += 1
            node = parent[node]


@jit(fastmath=True)
def _similarity(one: np.ndarray, two: np.ndarray, chance: np.ndarray) -> np.float32:
    """sum (same - chance) / sum (1 - chance) over the columns without gaps."""
    excess = np.float32(0.0)
    possible = np.float32(0.0)
    for i in range(one.shape[0]):
        shared = np.float32((one[i] != GAP) & (two[i] != GAP))
        same = np.float32(one[i] == two[i])
        excess += shared * (same - chance[i])
        possible += shared * (np.float32(1.0) - chance[i])
    return excess / max(possible, np.float32(_FEWEST_COLUMNS))


@jit
def _update_closest(
    lo: int,
    hi: int,
    tokens: np.ndarray,
    row: int,
    k: int,
    chance: np.ndarray,
    closest: np.ndarray,
    nearest: np.ndarray,
) -> None:
    """Let each row that resembles `row`, the k-th chosen one, more than all before belong to it."""
    for n in range(lo, hi):
        value = _similarity(tokens[n], tokens[row], chance)
        if value > closest[n]:
            closest[n] = value
            nearest[n] = k
