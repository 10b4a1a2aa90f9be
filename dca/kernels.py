"""Compiled kernels of pseudolikelihood DCA: residuals and gradient of one site after the other.

The couplings of site i are laid out as a slab of L padded to whole groups of GROUP columns: row (j, b)
holds J_ij(., b) over the letters of site i, padded to 24 floats. An energy is then a sum of L rows
picked by the sequence's letters, and a sequence adds its residual row to the L rows of the gradient
that it picks. A product with the dense one-hot alignment would do q times the work.

Work goes by blocks of sequences and groups of columns, so that what one visit touches fits
the first-level cache. ``fastmath`` is on where a kernel sums finite numbers and nothing else. Rows are
copied by loops: numba compiles for each array assignment the text of an error message, which takes seconds.
"""

import numpy as np

from dca.accelerate import folded, jit
from dca.vector import WIDTH, gather_rows, scatter_row

GROUP = 8
BLOCK = 256
LIMIT = 80.0  # energies are held within +-LIMIT: exp stays finite in float32, regularised ones stay far below
_LOG2E = 1.4426950408889634
# 2^f on [-1/2, 1/2], Taylor terms ln(2)^k / k!; relative error 2e-7
_POWERS = (0.6931471805599453, 0.2402265069591007, 0.05550410866482158, 0.009618129107628477,
           0.0013333558146428443, 0.0001540353039338161)  # fmt: skip


def group_offsets(tokens: np.ndarray, letters: int) -> np.ndarray:
    """Where the row of each letter begins, uint16 [groups, N, GROUP]; see `_group_offsets`."""
    offsets = np.empty((-(-tokens.shape[1] // GROUP), tokens.shape[0], GROUP), dtype=np.uint16)
    _group_offsets(tokens, letters, offsets)
    return offsets


@jit
def _group_offsets(tokens: np.ndarray, letters: int, offsets: np.ndarray) -> None:
    """Where in its group's part of a slab the row of each letter begins; columns past L point at row 0."""
    groups, rows, _ = offsets.shape
    length = tokens.shape[1]
    for g in range(groups):
        for n in range(rows):
            for k in range(GROUP):
                j = g * GROUP + k
                letter = int(tokens[n, j]) if j < length else 0
                offsets[g, n, k] = (k * letters + letter) * WIDTH


@jit
def _load_slab(i: int, couplings: np.ndarray, direction: np.ndarray, step: float, slab: np.ndarray) -> None:
    """slab[j, b, a] = J_ij(a, b) + step D_ij(a, b) for all j of one site, D the direction; j = i is left."""
    q = couplings.shape[1]
    length = _columns_of(couplings.shape[0])
    for j in range(length):
        if j < i:
            p = j * length - j * (j + 1) // 2 + i - j - 1
            for b in range(q):
                for a in range(q):
                    slab[j, b, a] = couplings[p, b, a] + step * direction[p, b, a]
        elif j > i:
            p = i * length - i * (i + 1) // 2 + j - i - 1
            for b in range(q):
                for a in range(q):
                    slab[j, b, a] = couplings[p, a, b] + step * direction[p, a, b]


@jit
def _columns_of(pairs: int) -> int:
    """L of L (L - 1) / 2 pairs."""
    return int((1.0 + np.sqrt(1.0 + 8.0 * pairs)) / 2.0 + 0.5)


@jit(fastmath=True)
def _centred_field(field: np.ndarray, slab: np.ndarray, frequencies: np.ndarray, out: np.ndarray) -> None:
    """out[a] = field[a] - sum_j sum_b J_ij(a, b) f_j(b), padded by -LIMIT."""
    q = field.shape[0]
    for a in range(q, WIDTH):
        out[a] = -LIMIT
    for a in range(q):
        out[a] = field[a]
    for j in range(frequencies.shape[0]):
        for b in range(q):
            for a in range(q):
                out[a] -= slab[j, b, a] * frequencies[j, b]


@jit(fastmath=True)
def _exponentials(values: np.ndarray, bits: np.ndarray, powers: np.ndarray) -> None:
    """values = exp(values), written so that it vectorises; `powers` views `bits` as float32."""
    for k in range(values.size):
        scaled = min(max(values[k], np.float32(-LIMIT)), np.float32(LIMIT)) * np.float32(_LOG2E)
        whole = np.floor(scaled + np.float32(0.5))
        f = scaled - whole
        bits[k] = (np.int32(whole) + np.int32(127)) << np.int32(23)
        total = np.float32(_POWERS[5])
        total = total * f + np.float32(_POWERS[4])
        total = total * f + np.float32(_POWERS[3])
        total = total * f + np.float32(_POWERS[2])
        total = total * f + np.float32(_POWERS[1])
        total = total * f + np.float32(_POWERS[0])
        values[k] = total * f + np.float32(1.0)
    for k in range(values.size):
        values[k] *= powers[k]


@jit(fastmath=True)
def _residuals(rows: np.ndarray, letters: np.ndarray, weights: np.ndarray) -> None:
    """Turn Boltzmann factors [n, a] into weights[n] (P(a) - [a is the letter of n])."""
    for n in range(rows.shape[0]):
        total = np.float32(0.0)
        for a in range(WIDTH):
            total += rows[n, a]
        scale = weights[n] / total
        for a in range(WIDTH):
            rows[n, a] *= scale
        rows[n, letters[n]] -= weights[n]


@jit
def _block_residuals(
    letters: np.ndarray,
    weights: np.ndarray,
    offsets: np.ndarray,
    field: np.ndarray,
    slab: np.ndarray,
    block: np.ndarray,
    bits: np.ndarray,
) -> None:
    """Residuals w_n (P(a | x_-i) - [x_ni = a]) of one block of sequences at one site."""
    rows = block.shape[0]
    flat = block.reshape(-1)
    for n in range(rows):
        for a in range(WIDTH):
            block[n, a] = field[a]
    for g in range(offsets.shape[0]):
        part = slab[g]
        for n in range(rows):
            o = offsets[g, n]
            gather_rows(flat, n * WIDTH, part, (o[0], o[1], o[2], o[3], o[4], o[5], o[6], o[7]))
    _exponentials(flat, bits[: rows * WIDTH], bits[: rows * WIDTH].view(np.float32))
    _residuals(block, letters, weights)


@jit
def _scatter_block(offsets: np.ndarray, block: np.ndarray, gradient: np.ndarray) -> None:
    """gradient[j, x_nj, a] += block[n, a] for all columns j and sequences n of a block."""
    flat = block.reshape(-1)
    for g in range(offsets.shape[0]):
        part = gradient[g]
        for n in range(block.shape[0]):
            o = offsets[g, n]
            scatter_row(part, (o[0], o[1], o[2], o[3], o[4], o[5], o[6], o[7]), flat, n * WIDTH)


@jit
def _site_gradient(
    letters: np.ndarray,
    weights: np.ndarray,
    offsets: np.ndarray,
    field: np.ndarray,
    slab: np.ndarray,
    by_field: np.ndarray,
    by_slab: np.ndarray,
) -> None:
    """Gradient of one site's weighted -log P(x_i | x_-i) by its fields and by its slab."""
    rows = letters.shape[0]
    block = np.empty((BLOCK, WIDTH), dtype=np.float32)
    bits = np.empty(BLOCK * WIDTH, dtype=np.int32)
    for a in range(by_field.shape[0]):
        by_field[a] = 0.0
    for g in range(by_slab.shape[0]):
        for k in range(by_slab.shape[1]):
            by_slab[g, k] = 0.0
    for start in range(0, rows, BLOCK):
        stop = min(start + BLOCK, rows)
        part = block[: stop - start]
        picked = offsets[:, start:stop]
        _block_residuals(letters[start:stop], weights[start:stop], picked, field, slab, part, bits)
        for n in range(stop - start):
            for a in range(by_field.shape[0]):
                by_field[a] += part[n, a]
        _scatter_block(picked, part, by_slab)


@jit
def _all_sites(
    lo: int,
    hi: int,
    columns: np.ndarray,
    weights: np.ndarray,
    offsets: np.ndarray,
    frequencies: np.ndarray,
    fields: np.ndarray,
    couplings: np.ndarray,
    direction: np.ndarray,
    step: float,
    plain: np.ndarray,
    by_field: np.ndarray,
    by_coupling: np.ndarray,
) -> None:
    """Gradients of all sites at centred fields and couplings + step direction; plain = their fields."""
    groups, q = offsets.shape[0], fields.shape[1]
    for i in range(lo, hi):
        slab = np.zeros((groups, GROUP * q * WIDTH), dtype=np.float32)
        rows = slab.reshape((groups * GROUP, q, WIDTH))
        _load_slab(i, couplings, direction, np.float32(step), rows)
        field = np.empty(WIDTH, dtype=np.float32)
        _centred_field(fields[i], rows, frequencies, field)
        for a in range(q):
            plain[i, a] = field[a]
        _site_gradient(columns[i], weights, offsets, field, slab, by_field[i], by_coupling[i])


@jit(fastmath=True)
def _merge_sites(
    lo: int,
    hi: int,
    by_coupling: np.ndarray,
    by_field: np.ndarray,
    frequencies: np.ndarray,
    penalty: float,
    couplings: np.ndarray,
    direction: np.ndarray,
    step: float,
    gradient: np.ndarray,
    slopes: np.ndarray,
) -> None:
    """Gradient of each pair in centred coordinates; slopes[i] = sum of direction times gradient, i < j."""
    length = by_field.shape[0]
    q = couplings.shape[1]
    pull, stride = np.float32(2.0 * penalty), np.float32(step)
    for k in range(lo, hi):
        i = folded(k, length)
        slope = 0.0
        for j in range(i + 1, length):
            p = i * length - i * (i + 1) // 2 + j - i - 1
            one, two = by_coupling[i, j], by_coupling[j, i]
            for a in range(q):
                for b in range(q):
                    value = one[b, a] + two[a, b] + pull * (couplings[p, a, b] + stride * direction[p, a, b])
                    value -= by_field[i, a] * frequencies[j, b] + by_field[j, b] * frequencies[i, a]
                    gradient[p, a, b] = value
                    slope += value * direction[p, a, b]
        slopes[i] = slope
