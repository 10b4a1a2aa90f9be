"""Asymmetric pseudolikelihood: its optimum against L-BFGS on a naive objective, symmetries, bad input."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from dca import accelerate, asymmetric, kernels
from dca.accelerate import set_threads
from dca.asymmetric import asymmetric_pseudolikelihood
from dca.couplings import pair_index
from dca.gauge import zero_sum
from dca.kernels import WIDTH
from dca.maps import apc, frobenius
from dca.pseudolikelihood import PlmSettings, pseudolikelihood
from dca.simulate import simulate_family
from dca.words import shared_words

ROOT = Path(__file__).parent.parent
EXACT = PlmSettings(tolerance=1e-4, letters=3)


def site_objective(fields, couplings, tokens, weights, i, coupling_penalty, field_penalty):
    """Objective of site i and its gradients; couplings [L, q, q] are J_ij(a, b) as [j, a, b]."""
    length, letters = tokens.shape[1], fields.size
    total = field_penalty * (fields**2).sum() + coupling_penalty * (couplings**2).sum()
    by_field, by_coupling = 2 * field_penalty * fields, 2 * coupling_penalty * couplings
    for row, weight in zip(tokens, weights.astype(float), strict=True):
        energies = fields.copy()
        for j in range(length):
            if j != i:
                energies += couplings[j, :, row[j]]
        chances = np.exp(energies) / np.exp(energies).sum()
        total -= weight * np.log(chances[row[i]])
        for a in range(letters):
            residual = weight * (chances[a] - (row[i] == a))
            by_field[a] += residual
            for j in range(length):
                if j != i:
                    by_coupling[j, a, row[j]] += residual
    return total, by_field, by_coupling


def best_site(tokens, weights, i, letters, coupling_penalty, field_penalty):
    """Fields and couplings of site i by L-BFGS."""
    length = tokens.shape[1]

    def flat(values):
        total, by_field, by_coupling = site_objective(
            values[:letters],
            values[letters:].reshape(length, letters, letters),
            *(tokens, weights, i, coupling_penalty, field_penalty),
        )
        return total, np.concatenate([by_field, by_coupling.ravel()])

    start = np.zeros(letters + length * letters**2)
    found = minimize(flat, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9})
    return found.x[:letters], found.x[letters:].reshape(length, letters, letters)


def zero_sum_block(block):
    return block - block.mean(axis=0) - block.mean(axis=1, keepdims=True) + block.mean()


@pytest.fixture(scope="module")
def family():
    """Fifty sequences of five columns of three letters, columns 1 and 4 coupled."""
    rng = np.random.default_rng(11)
    tokens = rng.integers(0, 3, size=(50, 5)).astype(np.int8)
    tokens[:35, 4] = 2 - tokens[:35, 1]
    return tokens, rng.uniform(0.2, 1, size=50).astype(np.float32)


@pytest.mark.parametrize(("rows", "length", "letters"), [(40, 5, 3), (12, 9, 21)])
def test_gradient_twin(rows, length, letters):
    rng = np.random.default_rng(rows)
    tokens = rng.integers(0, letters, size=(rows, length)).astype(np.int8)
    weights = rng.uniform(0.2, 1, size=rows).astype(np.float32)
    frequencies = rng.dirichlet(np.ones(letters), size=length).astype(np.float32)
    i = length // 2
    couplings = rng.normal(scale=0.3, size=(length, letters, letters))
    couplings[i] = 0
    centred = rng.normal(size=letters)
    words = shared_words(tokens, letters)
    slab = np.zeros((length, letters, WIDTH), dtype=np.float32)
    slab[:, :, :letters] = couplings.transpose(0, 2, 1)
    by_field, by_slab = np.zeros(letters), np.full_like(slab, 9).reshape(length, -1)
    sizes = kernels.table_rows(words, letters), rows
    work = tuple(np.empty(size * WIDTH, dtype=np.float32) for size in sizes)
    data = (i, np.ascontiguousarray(tokens[:, i]), weights, words, frequencies, 0.7, 0.05, work)
    asymmetric._gradient(data, centred, slab.reshape(length, -1), by_field, by_slab)
    plain = centred - np.einsum("jab,jb->a", couplings, frequencies)
    _, expected_field, expected = site_objective(plain, couplings, tokens, weights, i, 0.7, 0.05)
    expected -= expected_field[None, :, None] * frequencies[:, None, :]
    expected[i] = 0
    found = by_slab.reshape(slab.shape)
    np.testing.assert_allclose(by_field, expected_field, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[:, :, :letters].transpose(0, 2, 1), expected, rtol=1e-4, atol=1e-4)
    assert not found[:, :, letters:].any()


def test_optimum_twin(family):
    tokens, weights = family
    sites = [best_site(tokens, weights, i, 3, 0.1 * 4, 0.01) for i in range(5)]
    model = asymmetric_pseudolikelihood(tokens, weights, EXACT)
    for i in range(5):
        for j in range(i + 1, 5):
            both = zero_sum_block(sites[i][1][j]) + zero_sum_block(sites[j][1][i]).T
            found = model.couplings[pair_index(i, j, 5)]
            np.testing.assert_allclose(found, both / 2, atol=2e-4)
        field = sites[i][0] + sites[i][1].mean(axis=2).sum(axis=0)
        np.testing.assert_allclose(model.fields[i], field - field.mean(), atol=2e-3)


def test_objective_twin_has_this_gradient(family):
    rng = np.random.default_rng(3)
    fields, couplings = rng.normal(size=3), rng.normal(size=(5, 3, 3))
    couplings[2] = 0
    _, by_field, by_coupling = site_objective(fields, couplings, *family, 2, 0.4, 0.1)
    for array, derivative, place in ((fields, by_field, (1,)), (couplings, by_coupling, (4, 0, 2))):
        values = []
        for sign in (1, -2):
            array[place] += sign * 1e-5
            values.append(site_objective(fields, couplings, *family, 2, 0.4, 0.1)[0])
        array[place] += 1e-5
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(derivative[place], rel=1e-5)


def test_couplings_are_zero_sum(family):
    model = asymmetric_pseudolikelihood(*family, EXACT)
    for axis in (1, 2):
        np.testing.assert_allclose(model.couplings.sum(axis=axis), 0, atol=1e-5)
    np.testing.assert_allclose(zero_sum(model).fields, model.fields, atol=1e-5)


def test_map_is_close_to_the_symmetric_one():
    contacts = np.zeros((30, 30), dtype=bool)
    for i, j in [(0, 9), (3, 20), (5, 14), (7, 28), (11, 25), (2, 17), (10, 22)]:
        contacts[i, j] = contacts[j, i] = True
    tokens, _ = simulate_family(contacts, 800, np.random.default_rng(5), mode="independent")
    weights = np.ones(800, np.float32)
    upper = np.triu_indices(30, 1)
    models = pseudolikelihood(tokens, weights), asymmetric_pseudolikelihood(tokens, weights)
    maps = [apc(frobenius(zero_sum(model))) for model in models]
    assert np.corrcoef(maps[0][upper], maps[1][upper])[0, 1] > 0.97
    best = np.argsort(-maps[1][upper])[:7]
    assert contacts[upper][best].sum() >= 6


def test_default_stop_is_close_to_the_optimum():
    rng = np.random.default_rng(2)
    tokens = rng.integers(0, 21, size=(300, 20)).astype(np.int8)
    for i in range(0, 18, 3):
        tokens[:120, i + 2] = (tokens[:120, i] + 5) % 21
    weights = np.ones(300, dtype=np.float32)
    settings = (None, PlmSettings(tolerance=1e-4))
    maps = [frobenius(asymmetric_pseudolikelihood(tokens, weights, s)) for s in settings]
    upper = np.triu_indices(20, 1)
    assert np.corrcoef(maps[0][upper], maps[1][upper])[0, 1] > 0.99


def test_half_the_symmetric_penalty(family):
    loose = asymmetric_pseudolikelihood(*family, EXACT)
    both = pseudolikelihood(*family, EXACT)
    assert np.linalg.norm(loose.couplings) == pytest.approx(np.linalg.norm(both.couplings), rel=0.05)


def test_threads_and_repeats_do_not_change_a_bit(family, monkeypatch):
    monkeypatch.setattr(accelerate, "_AVAILABLE", 2)  # also where there is one core
    models = []
    for threads in (1, 2, 2):
        set_threads(threads)
        models.append(asymmetric_pseudolikelihood(*family, EXACT))
    set_threads(1)
    for model in models[1:]:
        np.testing.assert_array_equal(model.couplings, models[0].couplings)
        np.testing.assert_array_equal(model.fields, models[0].fields)


def test_order_of_columns_moves_the_couplings_with_it(family):
    tokens, weights = family
    order = np.array([3, 0, 4, 1, 2])
    one = frobenius_of(asymmetric_pseudolikelihood(tokens, weights, EXACT))
    two = frobenius_of(asymmetric_pseudolikelihood(np.ascontiguousarray(tokens[:, order]), weights, EXACT))
    np.testing.assert_allclose(two, one[np.ix_(order, order)], atol=5e-4)
    assert np.unravel_index(one.argmax(), one.shape) == (1, 4)


def frobenius_of(model):
    full = np.zeros((model.length, model.length))
    full[np.triu_indices(model.length, 1)] = np.linalg.norm(model.couplings, axis=(1, 2))
    return full + full.T


@pytest.mark.parametrize("rows", [1, 2])
def test_very_few_sequences(rows):
    tokens = np.tile(np.arange(5, dtype=np.int8), (rows, 1))
    model = asymmetric_pseudolikelihood(tokens, np.ones(rows, np.float32))
    assert np.isfinite(model.couplings).all()
    assert np.isfinite(model.fields).all()


def test_conserved_and_gap_columns_stay_finite():
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 20, size=(300, 8)).astype(np.int8)
    tokens[:, 2], tokens[1:, 5] = 7, 20
    assert np.isfinite(asymmetric_pseudolikelihood(tokens, np.ones(300, np.float32)).couplings).all()


def test_stopping_early_is_said(family, caplog):
    with caplog.at_level(logging.WARNING):
        asymmetric_pseudolikelihood(*family, PlmSettings(tolerance=1e-7, max_iterations=2, letters=3))
    assert "5 of 5 sites stopped after 2 iterations" in caplog.text


@pytest.mark.parametrize(
    ("tokens", "weights", "match"),
    [
        (np.zeros((3, 1), np.int8), np.ones(3, np.float32), "L >= 2"),
        (np.full((3, 4), 21, np.int8), np.ones(3, np.float32), "0 .. 20"),
        (np.zeros((3, 4), np.int8), np.ones(4, np.float32), "weights"),
    ],
)
def test_bad_input(tokens, weights, match):
    with pytest.raises(ValueError, match=match):
        asymmetric_pseudolikelihood(tokens, weights)


@pytest.mark.skipif("NUMBA_DISABLE_JIT" in os.environ, reason="this is the inner run")
def test_twins_hold_without_compilation():
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        __file__,
        "-k",
        "twin and not jit",
    ]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:]
    assert run.stdout.split("\n")[0].count(".") >= 4, run.stdout


@pytest.mark.parametrize("share", [1.0, 0.02])
def test_the_last_move_comes_closer(share):
    """One iteration ends with it where the tolerance is reached, and without where no more are allowed.

    Where hardly anything varies searches go far, for the fields' sake: the last move must not.
    """
    rng = np.random.default_rng(4)
    tokens = np.tile(rng.integers(0, 20, size=20), (300, 1)).astype(np.int8)
    changed = rng.random(tokens.shape) < share
    tokens[changed] = rng.integers(0, 20, size=changed.sum())
    tokens[:100, 7] = tokens[:100, 2]
    weights = np.full(300, 1.0 if share == 1 else 1 / 300, dtype=np.float32)
    best, moved, plain = (
        asymmetric_pseudolikelihood(tokens, weights, chosen).couplings
        for chosen in (
            PlmSettings(tolerance=1e-4),
            PlmSettings(tolerance=1e3, max_iterations=1),
            PlmSettings(tolerance=1e-6, max_iterations=1),
        )
    )
    assert np.linalg.norm(moved - best) < 0.9 * np.linalg.norm(plain - best)
