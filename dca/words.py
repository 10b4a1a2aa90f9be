"""An alignment as sums of shared words, so that pseudolikelihood adds each of them once.

The energy of a letter at a site is a sum over all columns of the row of a table that the sequence's letter
there picks; the gradient goes the same way back. Sequences of one family agree over stretches of columns: N
sequences have far fewer than N different words in a few neighbouring columns. Here neighbouring columns are
joined as long as this pays, two at a time: a word of the joined columns is a word of the left ones beside one
of the right ones, and its row is the sum of two rows. What is left for a sequence is one row for each tree
of joined columns.

Trees are laid out in batches whose rows fit the second-level cache: first the letters of their columns,
q rows each, then their words. Within a node words go by their left part, those that share it being a run.
"""

import heapq
from dataclasses import dataclass
from itertools import count, pairwise
from typing import NamedTuple

import numpy as np

from dca.accelerate import jit
from dca.space import space

SHARE = 0.2  # of N: a node with more words than this is not made
MOST_ROWS = 10_000  # of a batch, 24 floats each: 1 MB
ABREAST = 4  # trees whose rows a sequence picks at once
_NOTHING = np.empty(0, dtype=np.uint16)


class Words(NamedTuple):
    """The words of an alignment, as the kernels read them.

    Attributes
    ----------
    edges : int64 [batches + 1, 5]
        Where columns, runs, words, fours and singles of each batch begin.
    lefts : uint16 [runs]
        Row of a run's left part, in its batch.
    starts : int64 [runs + 1]
        Its first word.
    rights : uint16 [words]
        Row of a word's right part.
    fours : uint16 [., N, 4]
        Rows that each sequence picks, of four trees of a batch.
    singles : uint16 [., N]
        The same of the trees that are left, one by one.
    """

    edges: np.ndarray
    lefts: np.ndarray
    starts: np.ndarray
    rights: np.ndarray
    fours: np.ndarray
    singles: np.ndarray


@dataclass
class _Node:
    """Neighbouring columns lo .. hi - 1, and which of their `count` words each sequence has."""

    lo: int
    hi: int
    count: int
    ids: np.ndarray  # empty once the node is joined
    rows: int  # of the table, for its letters and all words below
    children: tuple["_Node", ...] = ()
    parts: tuple[np.ndarray, np.ndarray] = (_NOTHING, _NOTHING)  # of each word, left and right
    before: "_Node | None" = None
    after: "_Node | None" = None


def shared_words(tokens: np.ndarray, letters: int, share: float = SHARE, most_rows: int = MOST_ROWS) -> Words:
    """Join neighbouring columns, those with the fewest words first.

    Parameters
    ----------
    tokens : int8 [N, L]
        Codes 0 .. letters - 1.
    letters : int
        q, at most 24.
    share : float
        Most words of a node, as a share of N.
    most_rows : int
        Most rows of a batch, at most 65,535; a single column may have `letters`.

    Raises
    ------
    ValueError
        Too many rows of a batch.
    """
    if most_rows > np.iinfo(np.uint16).max:
        raise ValueError(f"rows of a batch are numbered in 16 bits, got room for {most_rows}")
    columns = np.ascontiguousarray(tokens.T).view(np.uint8)
    leaves = [_Node(j, j + 1, letters, ids, letters) for j, ids in enumerate(columns)]
    for left, right in pairwise(leaves):
        left.after, right.before = right, left
    most, number = int(share * tokens.shape[0]), count()
    work = np.empty((3, tokens.shape[0]), dtype=np.uint16)
    # Of joined nodes, of which there are at most so many at a time: one array, which goes as one
    free = list(np.empty((len(columns) // 2, tokens.shape[0]), dtype=np.uint16))
    queue: list[tuple[int, int, _Node, _Node]] = []

    def propose(left: _Node | None, right: _Node | None) -> None:
        if left and right and (words := _words_of(left, right, most, most_rows, work).shape[1]):
            heapq.heappush(queue, (words, next(number), left, right))

    for left, right in pairwise(leaves):
        propose(left, right)
    first, nodes = leaves[0], list(leaves)
    while queue:
        _, _, left, right = heapq.heappop(queue)
        if left.ids.size and right.ids.size:  # neither is joined already
            node = _join(left, right, most, most_rows, work, free)
            nodes.append(node)
            first = node if node.before is None else first
            propose(node.before, node)
            propose(node, node.after)
    trees = [first]
    while trees[-1].after is not None:
        trees.append(trees[-1].after)
    for node in nodes:  # no cycles are left, so that all goes when the last name of it does
        node.before = node.after = None
    return _laid_out(trees, tokens.shape[0], letters, most_rows)


def _words_of(left: _Node, right: _Node, most: int, most_rows: int, work: np.ndarray) -> np.ndarray:
    """Parts [2, words] of the words of two nodes, none where there are too many; work[0] takes the ids."""
    room = min(most, most_rows - left.rows - right.rows)
    if room <= 0:
        return np.empty((2, 0), np.uint16)
    parts = np.empty((2, room), np.uint16)
    work[1], work[2] = left.ids, right.ids  # of one type, so that one kernel does for letters and words
    return parts[:, : _pair_words(work[1], left.count, work[2], right.count, work[0], parts)]


@jit
def _pair_words(
    one: np.ndarray, ones: int, two: np.ndarray, twos: int, ids: np.ndarray, parts: np.ndarray
) -> int:
    """Number the different pairs (one[n], two[n]) by their left part; 0 where there is no room for all."""
    rows = one.size
    first, place = space((ones + 1,), np.int64), space((ones,), np.int64)
    for k in range(ones + 1):
        first[k] = 0
    for n in range(rows):
        first[one[n] + 1] += 1
    for k in range(ones):
        place[k] = first[k]
        first[k + 1] += first[k]
    order = space((rows,), np.int64)
    for n in range(rows):
        order[place[one[n]]] = n
        place[one[n]] += 1
    met, number = space((twos,), np.int64), space((twos,), np.int64)
    for k in range(twos):
        met[k] = -1
    words = 0
    for k in range(ones):
        for t in range(first[k], first[k + 1]):
            n = order[t]
            right = two[n]
            if met[right] != k:
                if words == parts.shape[1]:
                    return 0
                met[right] = k
                number[right] = words
                parts[0, words] = k
                parts[1, words] = right
                words += 1
            ids[n] = number[right]
    return words


def _join(
    left: _Node, right: _Node, most: int, most_rows: int, work: np.ndarray, free: list[np.ndarray]
) -> _Node:
    """Put a node in the place of two neighbours; their ids, unless they are letters, are free again."""
    lefts, rights = _words_of(left, right, most, most_rows, work).copy()  # without the room for more
    free += [node.ids for node in (left, right) if node.children]
    ids = free.pop()
    ids[:] = work[0]
    rows = left.rows + right.rows + lefts.size
    node = _Node(left.lo, right.hi, lefts.size, ids, rows, (left, right), (lefts, rights))
    node.before, node.after = left.before, right.after
    if node.before:
        node.before.after = node
    if node.after:
        node.after.before = node
    left.ids = right.ids = _NOTHING
    return node


def _laid_out(trees: list[_Node], rows: int, letters: int, most_rows: int) -> Words:
    """Rows in batches, and what each sequence picks of them."""
    batches: list[list[_Node]] = [[]]
    for tree in trees:
        if batches[-1] and sum(other.rows for other in batches[-1]) + tree.rows > most_rows:
            batches.append([])
        batches[-1].append(tree)
    edges = np.zeros((len(batches) + 1, 5), dtype=np.int64)
    runs: tuple[list[np.ndarray], ...] = [_NOTHING], [_NOTHING], [_NOTHING]
    fours = np.empty((sum(len(batch) // ABREAST for batch in batches), rows, ABREAST), dtype=np.uint16)
    singles = np.empty((sum(len(batch) % ABREAST for batch in batches), rows), dtype=np.uint16)
    for number, batch in enumerate(batches, start=1):
        lo, hi, whole = batch[0].lo, batch[-1].hi, len(batch) // ABREAST
        four, single = edges[number - 1, 3:]
        row = (hi - lo) * letters
        for k, tree in enumerate(batch):
            root, row = _place(tree, row, lo, letters, *runs)
            aside = k - whole * ABREAST
            picked = singles[single + aside] if aside >= 0 else fours[four + k // ABREAST, :, k % ABREAST]
            np.add(tree.ids, np.uint16(root), out=picked)
        ends = four + whole, single + len(batch) % ABREAST
        edges[number] = hi, sum(map(len, runs[0])), sum(map(len, runs[2])), *ends
    lefts, lengths, rights = map(np.concatenate, runs)
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return Words(edges, lefts, starts, rights, fours, singles)


def _place(
    node: _Node,
    row: int,
    lo: int,
    letters: int,
    lefts: list[np.ndarray],
    lengths: list[np.ndarray],
    rights: list[np.ndarray],
) -> tuple[int, int]:
    """Lay out a tree from this row on, in a batch from column lo on: its own first row, the next free."""
    if not node.children:
        return (node.lo - lo) * letters, row
    left, row = _place(node.children[0], row, lo, letters, lefts, lengths, rights)
    right, row = _place(node.children[1], row, lo, letters, lefts, lengths, rights)
    begin = np.concatenate([[0], np.flatnonzero(np.diff(node.parts[0])) + 1])
    lefts.append(node.parts[0][begin] + np.uint16(left))
    lengths.append(np.diff(begin, append=node.count))
    rights.append(node.parts[1] + np.uint16(right))
    return row, row + node.count
