"""Compiled kernels of pseudolikelihood DCA: residuals and gradient of one site after the other.

The couplings of site i are laid out as a slab: row (j, b) holds J_ij(., b) over the letters of site i,
padded to 24 floats. An energy is then a sum of L rows picked by the sequence's letters, and a sequence adds
its residual row to the L rows of the gradient that it picks. A product with the dense one-hot alignment would
do q times the work; `dca.words` shares the sums between sequences, and batches them so that what
one visit touches stays in the second-level cache.

``fastmath`` is on where a kernel sums finite numbers and nothing else. Rows are copied by loops: numba
compiles for each array assignment the text of an error message, which takes seconds.
"""

import numpy as np

from dca.accelerate import folded, jit
from dca.space import shaped, space
from dca.vector import (
    LIMIT,
    WIDTH,
    collect_run,
    comes_first,
    expand_run,
    gather_rows,
    has_written,
    residual_row,
    scatter_row,
    wait_for_first,
    weigh_rows,
)
from dca.words import Words

BLOCK = 256  # sequences whose rows stay in the first-level cache
MOST_AT_ONCE = 32_768  # sequences whose rows are held, 3 MB


@jit
def load_slab(i: int, couplings: np.ndarray, direction: np.ndarray, step: float, slab: np.ndarray) -> None:
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


@jit
def centred_field(field: np.ndarray, slab: np.ndarray, frequencies: np.ndarray, out: np.ndarray) -> None:
    """out[a] = field[a] - sum_j sum_b J_ij(a, b) f_j(b), padded by -LIMIT."""
    q = field.shape[0]
    weigh_rows(out, shaped(slab, (slab.size,)), shaped(frequencies, (frequencies.size,)))
    for a in range(q):
        out[a] = field[a] - out[a]
    for a in range(q, WIDTH):
        out[a] = -LIMIT


@jit
def _gather(words: Words, batch: int, table: np.ndarray, lo: int, hi: int, sums: np.ndarray) -> None:
    """Row n - lo of sums += the rows of the table that sequence n picks in a batch, n from lo to hi - 1."""
    fours = words.fours[words.edges[batch, 3] : words.edges[batch + 1, 3]]
    singles = words.singles[words.edges[batch, 4] : words.edges[batch + 1, 4]]
    for start in range(lo, hi, BLOCK):
        stop = min(start + BLOCK, hi)
        for four in fours:
            for n in range(start, stop):
                o = four[n]
                gather_rows(sums, n - lo, table, (o[0], o[1], o[2], o[3]))
        for single in singles:
            for n in range(start, stop):
                gather_rows(sums, n - lo, table, (single[n],))


@jit
def _scatter(words: Words, batch: int, rows: np.ndarray, lo: int, hi: int, table: np.ndarray) -> None:
    """Row n - lo of rows is added to the rows of the table that sequence n picks, n from lo to hi - 1."""
    fours = words.fours[words.edges[batch, 3] : words.edges[batch + 1, 3]]
    singles = words.singles[words.edges[batch, 4] : words.edges[batch + 1, 4]]
    for start in range(lo, hi, BLOCK):
        stop = min(start + BLOCK, hi)
        for four in fours:
            for n in range(start, stop):
                o = four[n]
                scatter_row(table, (o[0], o[1], o[2], o[3]), rows, n - lo)
        for single in singles:
            for n in range(start, stop):
                scatter_row(table, (single[n],), rows, n - lo)


@jit
def _energies(words: Words, slab: np.ndarray, table: np.ndarray, lo: int, hi: int, sums: np.ndarray) -> None:
    """Row n - lo of sums = sum over all columns of the row of the slab that sequence n picks there."""
    size, edges = slab.shape[1], words.edges
    flat = shaped(slab, (slab.size,))
    for k in range((hi - lo) * WIDTH):
        sums[k] = 0.0
    for batch in range(edges.shape[0] - 1):
        part = flat[edges[batch, 0] * size : edges[batch + 1, 0] * size]
        for k in range(part.size):
            table[k] = part[k]
        shift = part.size // WIDTH - edges[batch, 2]
        for run in range(edges[batch, 1], edges[batch + 1, 1]):
            begin, end = words.starts[run], words.starts[run + 1]
            expand_run(table, words.lefts[run], words.rights, begin, end, shift)
        _gather(words, batch, table, lo, hi, sums)


@jit
def _slab_sums(
    words: Words, rows: np.ndarray, table: np.ndarray, lo: int, hi: int, by_slab: np.ndarray
) -> None:
    """Row (j, b) of by_slab = sum of the rows of the sequences with letter b in column j.

    Those from lo to hi - 1, the first of which is row 0; where lo is not 0 they are added to what is there.
    """
    size, edges = by_slab.shape[1], words.edges
    flat = shaped(by_slab, (by_slab.size,))
    for batch in range(edges.shape[0] - 1):
        part = flat[edges[batch, 0] * size : edges[batch + 1, 0] * size]
        shift = part.size // WIDTH - edges[batch, 2]
        for k in range((shift + edges[batch + 1, 2]) * WIDTH):
            table[k] = 0.0
        _scatter(words, batch, rows, lo, hi, table)
        # From last to first: parts come before the words that they are in
        for run in range(edges[batch + 1, 1] - 1, edges[batch, 1] - 1, -1):
            begin, end = words.starts[run], words.starts[run + 1]
            collect_run(table, words.lefts[run], words.rights, begin, end, shift)
        if lo == 0:
            for k in range(part.size):
                part[k] = table[k]
        else:
            for k in range(part.size):
                part[k] += table[k]


@jit
def rows_at_once(sequences: int) -> int:
    """How many sequences' rows are held: equal shares, each of `MOST_AT_ONCE` at most."""
    parts = max(1, -(-sequences // MOST_AT_ONCE))
    return -(-sequences // parts)


@jit
def table_rows(words: Words, letters: int) -> int:
    """Rows of the largest batch."""
    most = 0
    for batch in range(words.edges.shape[0] - 1):
        columns = words.edges[batch + 1, 0] - words.edges[batch, 0]
        most = max(most, columns * letters + words.edges[batch + 1, 2] - words.edges[batch, 2])
    return most


@jit
def site_gradient(
    letters: np.ndarray,
    weights: np.ndarray,
    words: Words,
    field: np.ndarray,
    slab: np.ndarray,
    by_field: np.ndarray,
    by_slab: np.ndarray,
    table: np.ndarray,
    rows: np.ndarray,
) -> None:
    """Gradient of one site's weighted -log P(x_i | x_-i) by its fields and by its slab.

    table and rows are work space: of `table_rows` and of `rows_at_once` rows.
    """
    count = letters.shape[0]
    step = rows_at_once(count)
    for lo in range(0, count, step):
        hi = min(lo + step, count)
        _energies(words, slab, table, lo, hi, rows)
        for n in range(lo, hi):
            residual_row(rows, n - lo, field, letters[n], weights[n])
        _slab_sums(words, rows, table, lo, hi, by_slab)
    for a in range(by_field.shape[0]):  # each sequence has one letter in the first column
        by_field[a] = 0.0
        for b in range(by_field.shape[0]):
            by_field[a] += by_slab[0, b * WIDTH + a]


@jit
def _add_halves(i: int, by_slab: np.ndarray, gradient: np.ndarray, marks: np.ndarray) -> None:
    """Add what a site brings to the gradients of its pairs, which take as much from their other site.

    Whichever of the two comes first writes, the second adds: which one it is changes nothing. marks has
    a zero for each pair; without room for them sites come in their order, on one thread.
    """
    length, q = by_slab.shape[0], gradient.shape[1]
    rows = shaped(by_slab, (length, q, WIDTH))
    for j in range(length):
        if j == i:
            continue
        first, second = (i, j) if i < j else (j, i)
        p = first * length - first * (first + 1) // 2 + second - first - 1
        empty = comes_first(marks, p) if marks.size > 0 else i < j
        if not empty and marks.size > 0:
            wait_for_first(marks, p)
        for b in range(q):
            for a in range(q):
                row, column = (a, b) if i < j else (b, a)
                held = np.float32(0.0) if empty else gradient[p, row, column]
                gradient[p, row, column] = held + rows[j, b, a]
        if empty and marks.size > 0:
            has_written(marks, p)


@jit
def _all_sites(
    lo: int,
    hi: int,
    columns: np.ndarray,
    weights: np.ndarray,
    words: Words,
    frequencies: np.ndarray,
    fields: np.ndarray,
    couplings: np.ndarray,
    direction: np.ndarray,
    step: float,
    plain: np.ndarray,
    by_field: np.ndarray,
    gradient: np.ndarray,
    marks: np.ndarray,
) -> None:
    """Gradients of all sites at centred fields and couplings + step direction; plain = their fields.

    gradient takes what they say of the couplings (`_add_halves`).
    """
    length, q = fields.shape
    table = space((table_rows(words, q) * WIDTH,), np.float32)
    rows = space((rows_at_once(weights.shape[0]) * WIDTH,), np.float32)
    slab = space((length, q * WIDTH), np.float32)
    by_slab = space((length, q * WIDTH), np.float32)
    field = space((WIDTH,), np.float32)
    for j in range(length):
        for k in range(q * WIDTH):
            slab[j, k] = 0.0
    for i in range(lo, hi):
        for k in range(q * WIDTH):
            slab[i, k] = 0.0
        load_slab(i, couplings, direction, np.float32(step), shaped(slab, (length, q, WIDTH)))
        centred_field(fields[i], slab, frequencies, field)
        for a in range(q):
            plain[i, a] = field[a]
        site_gradient(columns[i], weights, words, field, slab, by_field[i], by_slab, table, rows)
        _add_halves(i, by_slab, gradient, marks)


@jit(fastmath=True)
def _merge_sites(
    lo: int,
    hi: int,
    by_field: np.ndarray,
    frequencies: np.ndarray,
    penalty: float,
    couplings: np.ndarray,
    direction: np.ndarray,
    step: float,
    gradient: np.ndarray,
    slopes: np.ndarray,
) -> None:
    """Gradient of each pair in centred coordinates; slopes[i] = sum of direction times gradient, i < j.

    gradient holds what `_all_sites` puts there.
    """
    length = by_field.shape[0]
    q = couplings.shape[1]
    pull, stride = np.float32(2.0 * penalty), np.float32(step)
    for k in range(lo, hi):
        i = folded(k, length)
        slope = 0.0
        for j in range(i + 1, length):
            p = i * length - i * (i + 1) // 2 + j - i - 1
            for a in range(q):
                # A row's sum stays in float32, so that the loop fills vectors; rows are added in double
                part = np.float32(0.0)
                for b in range(q):
                    value = gradient[p, a, b] + pull * (couplings[p, a, b] + stride * direction[p, a, b])
                    value -= by_field[i, a] * frequencies[j, b] + by_field[j, b] * frequencies[i, a]
                    gradient[p, a, b] = value
                    part += value * direction[p, a, b]
                slope += float(part)
        slopes[i] = slope
