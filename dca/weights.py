"""Sequence weights: one over the number of sequences that are as similar as the threshold, or more."""

import math

import numpy as np

from data.alphabet import GAP
from dca.accelerate import get_threads, in_parallel, jit
from dca.space import space

_CHUNKS = 32  # and more where one of them would see more rows than 16 bits count
_TILE = 256  # sequences whose first planes, 10 kB, fit the first-level cache; fewer hold relatives less often
_PLANES = 5  # bits of a letter code
_LINE = 8  # numbers of a cache line
_SPARSE = 32  # where fewer than one in so many rows may be similar, each is compared by itself


def sequence_weights(tokens: np.ndarray, identity: float = 0.8) -> np.ndarray:
    """Weight 1 / (number of rows with at least this identity, itself included) of each sequence.

    Identity is the share of all L columns with the same letter, and a gap is a letter (Morcos et al. 2011,
    PNAS 108:E1293; plmc and pydca count the same way, CCMpred asks for more than ceil(identity L) columns).
    Columns of gaps alone, as masked ones are, do not count.

    Parameters
    ----------
    tokens : int8 [N, L]
        Codes 0-31.
    identity : float
        Threshold in (0, 1].

    Returns
    -------
    float32 [N]
        Their sum is the effective number of sequences, Neff.

    Raises
    ------
    ValueError
        The alignment is empty or the threshold lies outside (0, 1].
    """
    planes, allowed = _comparable(tokens, identity)
    rows = tokens.shape[0]
    own, other = np.ones(rows, dtype=np.int64), np.zeros((_chunks(rows), rows), dtype=np.uint16)
    in_parallel(_count_similar, len(other), planes, allowed, own, other)
    return (1.0 / (own + other.sum(axis=0, dtype=np.int64))).astype(np.float32)


def _chunks(rows: int) -> int:
    """Parts of the rows: one for each thread, and none too large to be counted in 16 bits."""
    return max(_CHUNKS, get_threads(), -(-rows // np.iinfo(np.uint16).max))


def effective_number(weights: np.ndarray) -> float:
    """Neff: the sum of the weights."""
    return float(weights.sum(dtype=np.float64))


def _comparable(tokens: np.ndarray, identity: float) -> tuple[np.ndarray, np.uint64]:
    """Bit planes of the rows, and in how many columns two similar ones may differ."""
    rows, length = tokens.shape
    if rows == 0 or length == 0:
        raise ValueError(f"the alignment is empty: shape {tokens.shape}")
    if not 0 < identity <= 1:
        raise ValueError(f"identity must lie in (0, 1], got {identity}")
    planes = _at_cache_line((-(-length // 64), _PLANES, -(-rows // _LINE) * _LINE))
    _pack(np.ascontiguousarray(tokens.T), _variable_first(tokens), planes)
    told = length - _empty_columns(tokens)
    return planes, np.uint64(told - math.ceil(identity * told - 1e-9))


def _empty_columns(tokens: np.ndarray) -> int:
    """Columns where no sequence has a residue; the first sequence tells most of the others at once."""
    return sum(not (tokens[:, k] != GAP).any() for k in np.flatnonzero(tokens[0] == GAP))


def _at_cache_line(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros that begin where a cache line does; a fifth of the time goes into rows that lie across two."""
    size = math.prod(shape)
    held = np.zeros(size + _LINE, dtype=np.uint64)
    first = -held.ctypes.data // 8 % _LINE
    return held[first : first + size].reshape(shape)


def _variable_first(tokens: np.ndarray) -> np.ndarray:
    """Columns by falling diversity, judged on at most 500 rows: most pairs then differ enough at once."""
    sample = tokens[:: max(1, tokens.shape[0] // 500)]
    counts = np.stack([(sample == code).sum(axis=0) for code in range(32)])
    return np.argsort((counts.astype(np.int64) ** 2).sum(axis=0), kind="stable")


@jit
def _pack(columns: np.ndarray, order: np.ndarray, planes: np.ndarray) -> None:
    """planes[c, p, n] holds bit p of the letters of sequence n in columns order[64 c] .. order[64 c + 63]."""
    for j in range(columns.shape[0]):
        shift, column = np.uint64(j % 64), columns[order[j]]
        for p in range(_PLANES):
            plane = planes[j // 64, p]
            for n in range(columns.shape[1]):
                bit = np.uint64((column[n] >> p) & 1)
                plane[n] = plane[n] | (bit << shift)


@jit
def _ones(word: np.uint64) -> np.uint64:
    """Number of set bits, in the form that compilers turn into one instruction."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


@jit
def _add_differences(planes: np.ndarray, n: int, start: int, out: np.ndarray) -> None:
    """out[k] += number of columns of one block of 64 in which rows n and start + k differ."""
    one, two, three, four, five = planes[0, n], planes[1, n], planes[2, n], planes[3, n], planes[4, n]
    stop = start + out.shape[0]  # slices, since numba wraps computed indices and then loads one by one
    a, b, c = planes[0, start:stop], planes[1, start:stop], planes[2, start:stop]
    d, e = planes[3, start:stop], planes[4, start:stop]
    for k in range(out.shape[0]):
        out[k] += _ones((a[k] ^ one) | (b[k] ^ two) | (c[k] ^ three) | (d[k] ^ four) | (e[k] ^ five))


@jit
def _all_within(planes: np.ndarray, n: int, m: int, first: int, seen: np.uint64, allowed: np.uint64) -> bool:
    """Whether rows n and m differ in at most `allowed` columns, `seen` of them before block `first`."""
    for c in range(first, planes.shape[0]):
        word = np.uint64(0)
        for p in range(_PLANES):
            word |= planes[c, p, n] ^ planes[c, p, m]
        seen += _ones(word)
        if seen > allowed:
            return False
    return bool(seen <= allowed)


@jit
def _number_within(found: np.ndarray, allowed: np.uint64) -> int:
    hits = 0
    for k in range(found.shape[0]):
        hits += found[k] <= allowed
    return hits


@jit
def _compare(planes: np.ndarray, n: int, start: int, allowed: np.uint64, found: np.ndarray) -> int:
    """Differences of row n from rows start + k, over as many blocks as pay for all of them at once.

    Returns the number of these blocks, 0 where no row can be similar any more.
    """
    for k in range(found.shape[0]):
        found[k] = np.uint64(0)
    for block in range(planes.shape[0]):
        _add_differences(planes[block], n, start, found)
        hits = _number_within(found, allowed)
        if hits == 0:
            return 0
        if hits * _SPARSE < found.shape[0]:
            return block + 1
    return int(planes.shape[0])


@jit
def _count_similar(
    lo: int, hi: int, planes: np.ndarray, allowed: np.uint64, own: np.ndarray, other: np.ndarray
) -> None:
    """Count the rows similar to each, each pair once: for the first of both in own, for the second in other.

    A chunk has every `other.shape[0]`-th row as first one, and a row of other to itself.
    """
    chunks, rows = other.shape  # planes are longer, to the end of a cache line
    for chunk in range(lo, hi):
        buffer = space((_TILE,), np.uint64)
        count = other[chunk]
        for tile in range(0, rows, _TILE):  # outside: its planes stay in the first-level cache for all n
            stop = min(tile + _TILE, rows)
            for n in range(chunk, stop - 1, chunks):
                start = max(tile, n + 1)
                found = buffer[: stop - start]
                block = _compare(planes, n, start, allowed, found)
                if block == 0:
                    continue
                hits = 0  # here, and not in own, where threads would wait for each other's cache lines
                for k in range(found.shape[0]):
                    if found[k] <= allowed and _all_within(planes, n, start + k, block, found[k], allowed):
                        hits += 1
                        count[start + k] += 1
                own[n] += hits
