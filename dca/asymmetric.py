"""Asymmetric pseudolikelihood maximisation (Ekeberg, Hartonen, Aurell 2014, J Comp Phys 276:341).

Each site i has couplings J^i_ij of its own and is a regularised logistic regression by itself:
minimised is sum_n w_n -log P(x_ni | x_n,-i) + lambda_J / 2 sum_{j != i} ||J^i_ij||^2 + lambda_h ||h_i||^2,
with lambda_J = 0.2 (L - 1) and lambda_h = 0.01 as in `dca.pseudolikelihood`. Each pair then has two
estimates; both are brought to the zero-sum gauge and averaged. Half of the symmetric penalty is right
because every coupling is then held by both of its sites: with J^i_ij = J^j_ij the sum over sites is
the symmetric objective.

A site is minimised as `dca.pseudolikelihood` minimises all of them at once (preconditioned nonlinear
conjugate gradients over centred fields, interpolated line minimum). Since sites share nothing, one
compiled function does a whole site in memory of its own, a few slabs of L q WIDTH floats, and sites go in
parallel. Deviations from the paper: the penalties, the minimiser and its stop, and the fields, which
the paper does not use.
"""

import logging

import numpy as np

from dca.accelerate import in_parallel, jit
from dca.couplings import Couplings
from dca.frequencies import site_frequencies
from dca.kernels import centred_field, rows_at_once, site_gradient, table_rows
from dca.pseudolikelihood import PlmSettings, check_alignment, independent_fields, require_number
from dca.slabs import (
    C,
    D,
    G,
    J,
    T,
    X,
    advance_slabs,
    dot_slabs,
    make_trial,
    move_field,
    turn_field,
    turn_slabs,
)
from dca.space import shaped, space
from dca.vector import WIDTH
from dca.words import Words, shared_words

log = logging.getLogger(__name__)

_FIRST_STEP = 0.3
_TRIALS = 6


def asymmetric_pseudolikelihood(
    tokens: np.ndarray, weights: np.ndarray, settings: PlmSettings | None = None
) -> Couplings:
    """Zero-sum average of the two estimates that the regressions of both sites give each coupling.

    Parameters
    ----------
    tokens : int8 [N, L]
        Codes 0 .. letters - 1, at least two columns.
    weights : float32 [N]
        Sequence weights.
    settings : PlmSettings, optional
        ``coupling_penalty`` is that of the symmetric objective; each site takes half of it. The
        tolerance and the number of iterations hold for each site.

    Returns
    -------
    Couplings
        In the zero-sum gauge. The fields of a site are those of its own regression.

    Raises
    ------
    ValueError
        No sequence, fewer than two columns, or a code outside the alphabet.
    """
    settings = settings or PlmSettings()
    check_alignment(tokens, weights, settings.letters)
    length, q = tokens.shape[1], settings.letters
    frequencies = site_frequencies(tokens, weights, q)
    neff = float(weights.sum(dtype=np.float64))
    fields = independent_fields(frequencies, neff)
    one = np.zeros((length * (length - 1) // 2, q, q), dtype=np.float32)
    two = np.zeros_like(one)
    gradients, errors = np.zeros(length, dtype=np.int64), np.zeros(length)
    columns = np.ascontiguousarray(tokens.T)
    in_parallel(
        _solve_sites,
        length,
        columns,
        weights.astype(np.float32),
        shared_words(columns.T, q),
        frequencies.astype(np.float32),
        neff,
        0.5 * settings.coupling_penalty * (length - 1),
        settings.field_penalty,
        settings.tolerance,
        settings.max_iterations,
        fields,
        one,
        two,
        gradients,
        errors,
    )
    _report(gradients, errors, settings)
    in_parallel(_average, len(one), one, two)
    return Couplings(fields.astype(np.float32), one)


def _report(gradients: np.ndarray, errors: np.ndarray, settings: PlmSettings) -> None:
    require_number(float(errors.max()))
    late = int((errors >= settings.tolerance).sum())
    if late:
        log.warning(
            "asymmetric pseudolikelihood: %d of %d sites stopped after %d iterations, largest error %.3f",
            late,
            errors.size,
            settings.max_iterations,
            errors.max(),
        )
    log.info(
        "asymmetric pseudolikelihood: %.1f gradients a site, at most %d", gradients.mean(), gradients.max()
    )


@jit
def _solve_sites(
    lo: int,
    hi: int,
    columns: np.ndarray,
    weights: np.ndarray,
    words: Words,
    frequencies: np.ndarray,
    neff: float,
    coupling_penalty: float,
    field_penalty: float,
    tolerance: float,
    max_iterations: int,
    fields: np.ndarray,
    one: np.ndarray,
    two: np.ndarray,
    gradients: np.ndarray,
    errors: np.ndarray,
) -> None:
    """Minimise every site; `one` takes J^i_ij and `two` J^j_ij of the pairs i < j, both zero-sum."""
    q = frequencies.shape[1]
    table = space((table_rows(words, q) * WIDTH,), np.float32)
    rows = space((rows_at_once(weights.shape[0]) * WIDTH,), np.float32)
    for i in range(lo, hi):
        slabs = space((6, columns.shape[0], q * WIDTH), np.float32)
        every = shaped(slabs, (slabs.size,))
        for k in range(every.size):
            every[k] = 0.0
        _fill_curvature(i, frequencies, np.float32(neff), np.float32(2.0 * coupling_penalty), slabs[C])
        field = space((q,), np.float64)
        for a in range(q):
            field[a] = fields[i, a]
        gradients[i], errors[i] = _solve_site(
            i,
            columns[i],
            weights,
            words,
            frequencies,
            neff,
            coupling_penalty,
            field_penalty,
            tolerance,
            max_iterations,
            field,
            slabs,
            (table, rows),
        )
        _store_zero_sum(i, slabs[J], field, frequencies, fields[i], one, two)


@jit
def _fill_curvature(
    i: int, frequencies: np.ndarray, neff: float, floor: float, curvature: np.ndarray
) -> None:
    """Diagonal of the Hessian at J = 0, Neff f_i (1 - f_i) f_j (1 - f_j) + floor; 1 where no coupling is."""
    length, q = frequencies.shape
    rows = shaped(curvature, (length, q, WIDTH))
    for j in range(length):
        for b in range(q):
            spread = neff * frequencies[j, b] * (np.float32(1.0) - frequencies[j, b])
            for a in range(WIDTH):
                if j == i or a >= q:
                    rows[j, b, a] = np.float32(1.0)
                else:
                    rows[j, b, a] = spread * frequencies[i, a] * (np.float32(1.0) - frequencies[i, a]) + floor


@jit
def _solve_site(
    i: int,
    letters: np.ndarray,
    weights: np.ndarray,
    words: Words,
    frequencies: np.ndarray,
    neff: float,
    coupling_penalty: float,
    field_penalty: float,
    tolerance: float,
    max_iterations: int,
    field: np.ndarray,
    slabs: np.ndarray,
    work: tuple[np.ndarray, np.ndarray],
) -> tuple[int, float]:
    """Minimise one site from `field` (centred) and J = 0; number of gradients and expected relative error."""
    data = (i, letters, weights, words, frequencies, coupling_penalty, field_penalty, work)
    curvature, by_field, trial, turn = space((4, field.size), np.float64)
    for a in range(field.size):
        own = float(frequencies[i, a])
        curvature[a] = neff * own * (1.0 - own) + 1.0 + 2.0 * field_penalty
        by_field[a], turn[a] = 0.0, 0.0
    _gradient(data, field, slabs[X], by_field, slabs[G])
    norm = (
        advance_slabs(slabs, 0.0, 0.0)[0]
        + move_field(field, turn, by_field, by_field, curvature, 0.0, 0.0)[0]
    )
    slope = turn_slabs(slabs, 0.0) + turn_field(turn, by_field, curvature, 0.0)
    step, count, error = _FIRST_STEP, 1, 0.0
    for _ in range(max_iterations):
        if norm <= 0.0:  # nothing varies at this site
            return count, 0.0
        step, share, tried = _search(data, slabs, field, turn, slope, step, trial)
        count += tried
        new_norm, change, size = advance_slabs(slabs, share * step, share)
        field_norm, field_change = move_field(field, turn, by_field, trial, curvature, share * step, share)
        new_norm += field_norm
        change += field_change
        error = np.sqrt(new_norm / size)
        memory = max(0.0, change / norm)
        slope = turn_slabs(slabs, memory) + turn_field(turn, by_field, curvature, memory)
        if slope >= 0.0:  # uphill: memory is dropped
            slope = turn_slabs(slabs, 0.0) + turn_field(turn, by_field, curvature, 0.0)
        norm = new_norm
        step *= (1.0 + share) / 2.0
        if error < tolerance:  # on along the direction that is paid for, as `pseudolikelihood._State.coast`
            step = min(step, 1.0)
            advance_slabs(slabs, step, 0.0)
            move_field(field, turn, by_field, trial, curvature, step, 0.0)
            break
    return count, error


@jit
def _search(
    data: tuple,
    slabs: np.ndarray,
    field: np.ndarray,
    turn: np.ndarray,
    slope: float,
    step: float,
    trial: np.ndarray,
) -> tuple[float, float, int]:
    """Trial step, share of it where the slope vanishes, and gradients taken; `trial` is that by the field.

    A minimum far from the trial is not trusted: the next trial is made there.
    """
    share, tried, tried_field = 1.0, 0, space((field.size,), np.float64)
    while True:
        make_trial(slabs, np.float32(step))
        for a in range(field.size):
            tried_field[a] = field[a] + step * turn[a]
        _gradient(data, tried_field, slabs[X], trial, slabs[T])
        tried += 1
        reached = dot_slabs(slabs[D], slabs[T])
        for a in range(field.size):
            reached += turn[a] * trial[a]
        share = slope / (slope - reached) if reached > slope else 4.0
        if 0.4 < share < 2.5 or tried == _TRIALS:
            return step, min(share, 4.0), tried
        step *= min(max(share, 0.05), 4.0)


@jit
def _gradient(
    data: tuple, field: np.ndarray, slab: np.ndarray, by_field: np.ndarray, by_slab: np.ndarray
) -> None:
    """Gradient of one site's objective at a centred field and a slab of couplings, penalties included."""
    i, letters, weights, words, frequencies, coupling_penalty, field_penalty, work = data
    q = frequencies.shape[1]
    plain, single = space((WIDTH,), np.float32), space((q,), np.float32)
    for a in range(q):
        single[a] = field[a]
    centred_field(single, slab, frequencies, plain)
    site_gradient(letters, weights, words, plain, slab, by_field, by_slab, work[0], work[1])
    for a in range(q):
        by_field[a] += 2.0 * field_penalty * plain[a]
        single[a] = by_field[a]
    _centre(i, frequencies, single, np.float32(2.0 * coupling_penalty), slab, by_slab)


@jit
def _centre(
    i: int, frequencies: np.ndarray, by_field: np.ndarray, pull: float, slab: np.ndarray, by_slab: np.ndarray
) -> None:
    """Turn a gradient at constant fields into one at constant centred fields; 0 where no coupling is."""
    length, q = frequencies.shape
    values = shaped(slab, (length, q, WIDTH))
    rows = shaped(by_slab, (length, q, WIDTH))
    for j in range(length):
        for b in range(q):
            for a in range(WIDTH):
                if j == i or a >= q:
                    rows[j, b, a] = np.float32(0.0)
                else:
                    rows[j, b, a] += pull * values[j, b, a] - by_field[a] * frequencies[j, b]


@jit
def _store_zero_sum(
    i: int,
    slab: np.ndarray,
    centred: np.ndarray,
    frequencies: np.ndarray,
    field: np.ndarray,
    one: np.ndarray,
    two: np.ndarray,
) -> None:
    """Write a site's couplings in the zero-sum gauge, where the fields take what they lose."""
    length, q = frequencies.shape
    rows = shaped(slab, (length, q, WIDTH))
    by_a, by_b = space((q,), np.float64), space((q,), np.float64)
    for a in range(q):
        field[a] = centred[a]
    for j in range(length):
        if j == i:
            continue
        first, second = min(i, j), max(i, j)
        p = first * length - first * (first + 1) // 2 + second - first - 1
        overall = 0.0
        for k in range(q):
            by_a[k], by_b[k] = 0.0, 0.0
            for m in range(q):
                by_a[k] += float(rows[j, m, k]) / q
                by_b[k] += float(rows[j, k, m]) / q
            overall += by_a[k] / q
        for a in range(q):
            field[a] += by_a[a]
            for b in range(q):
                field[a] -= float(rows[j, b, a]) * frequencies[j, b]
                value = np.float32(rows[j, b, a] - by_a[a] - by_b[b] + overall)
                if i < j:
                    one[p, a, b] = value
                else:
                    two[p, b, a] = value
    mean = 0.0
    for a in range(q):
        mean += field[a] / q
    for a in range(q):
        field[a] -= mean


@jit
def _average(lo: int, hi: int, one: np.ndarray, two: np.ndarray) -> None:
    """one = (one + two) / 2, in place to spare a third array of couplings."""
    for p in range(lo, hi):
        for a in range(one.shape[1]):
            for b in range(one.shape[2]):
                one[p, a, b] = np.float32(0.5) * (one[p, a, b] + two[p, a, b])
