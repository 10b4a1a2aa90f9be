"""Pseudolikelihood: its optimum, its symmetries, planted couplings, bad input."""

import dataclasses
import logging
import re

import naive
import numpy as np
import pytest

from dca import accelerate
from dca.accelerate import get_threads, set_threads
from dca.couplings import Couplings
from dca.gauge import zero_sum
from dca.maps import apc, frobenius
from dca.pseudolikelihood import PlmSettings, _independent_state, _Objective, _State, pseudolikelihood

EXACT = PlmSettings(tolerance=1e-4)
SMALL = PlmSettings(tolerance=1e-4, letters=4)


@pytest.fixture(scope="module")
def family():
    """Sixty sequences of six columns of four letters, columns 1 and 4 coupled."""
    rng = np.random.default_rng(11)
    tokens = rng.integers(0, 4, size=(60, 6)).astype(np.int8)
    tokens[:45, 4] = 3 - tokens[:45, 1]
    return tokens, rng.uniform(0.2, 1, size=60).astype(np.float32)


def test_gradient_vanishes_at_the_optimum(family):
    model = pseudolikelihood(*family, SMALL)
    by_field, by_coupling = naive.gradient(model.fields, model.couplings, *family, 0.2 * 5, 0.01)
    start = naive.gradient(np.zeros((6, 4)), np.zeros((15, 4, 4)), *family, 0.2 * 5, 0.01)
    assert np.abs(by_coupling).max() < 2e-3 * np.abs(start[1]).max()
    assert np.abs(by_field).max() < 2e-3 * np.abs(start[0]).max()


def test_penalties_shrink_the_couplings(family):
    loose = pseudolikelihood(*family, SMALL)
    tight = pseudolikelihood(*family, PlmSettings(coupling_penalty=2.0, tolerance=1e-4, letters=4))
    assert np.linalg.norm(tight.couplings) < 0.5 * np.linalg.norm(loose.couplings)


@pytest.fixture(scope="module")
def wide():
    """Four hundred sequences of thirty columns, eight pairs coupled, a quarter of them relatives."""
    rng = np.random.default_rng(2)
    tokens = rng.integers(0, 21, size=(400, 30)).astype(np.int8)
    for i in range(0, 24, 3):
        tokens[:150, i + 2] = (tokens[:150, i] + 5) % 21
    tokens[100:200, ::2] = tokens[100, ::2]  # a clade
    return tokens, np.ones(400, dtype=np.float32)


def test_default_stop_is_close_to_the_optimum(wide):
    maps = [apc(frobenius(zero_sum(pseudolikelihood(*wide, s)))) for s in (None, EXACT)]
    upper = np.triu_indices(30, 1)
    assert np.corrcoef(maps[0][upper], maps[1][upper])[0, 1] > 0.998


@pytest.mark.parametrize("tolerance", [0.3, 0.1, 0.03])
def test_the_last_move_comes_closer_without_a_gradient(wide, monkeypatch, caplog, tolerance):
    caplog.set_level(logging.INFO)
    best = pseudolikelihood(*wide, EXACT).couplings
    caplog.clear()
    distances = []
    for _ in range(2):
        found = pseudolikelihood(*wide, PlmSettings(tolerance=tolerance)).couplings
        distances.append(np.linalg.norm(found - best))
        monkeypatch.setattr(_State, "coast", lambda state: None)
    assert distances[0] < 0.9 * distances[1]
    assert len(set(re.findall(r"(\d+) gradients", caplog.text))) == 1


@pytest.mark.parametrize(("reached", "taken"), [(0.6, 0.6), (7.0, 1.0)])
def test_the_last_move_follows_the_direction(wide, reached, taken):
    state = _independent_state(_Objective(*wide, PlmSettings()), *wide)
    state.step()
    state._step = reached
    fields, couplings = state.fields.copy(), state.couplings.copy()
    state.coast()
    np.testing.assert_allclose(state.fields, fields + taken * state.field_direction, rtol=1e-12)
    np.testing.assert_allclose(state.couplings, couplings + taken * state.direction, rtol=1e-5, atol=1e-7)
    assert np.abs(state.field_direction).max() > 1e-4


def test_relatives_alone_are_not_overshot(monkeypatch):
    """Where hardly anything varies searches go far, for the fields' sake; the last move must not."""
    rng = np.random.default_rng(5)
    tokens = np.tile(rng.integers(0, 20, size=40), (500, 1)).astype(np.int8)
    changed = rng.random(tokens.shape) < 0.02
    tokens[changed] = rng.integers(0, 20, size=changed.sum())
    family = tokens, np.full(500, 1 / 500, dtype=np.float32)
    best = pseudolikelihood(*family, EXACT).couplings
    found = pseudolikelihood(*family).couplings
    monkeypatch.setattr(_State, "coast", lambda state: None)
    plain = pseudolikelihood(*family).couplings
    assert np.linalg.norm(found - best) < 0.7 * np.linalg.norm(plain - best)


@pytest.mark.parametrize("penalties", [{"coupling_penalty": 1e39}, {"field_penalty": 1e25}])
def test_no_number_is_an_error(family, penalties):
    with pytest.raises(RuntimeError, match="single precision"):
        pseudolikelihood(*family, PlmSettings(letters=4, **penalties))


def test_order_of_rows_does_not_matter(family):
    tokens, weights = family
    rows = np.random.default_rng(1).permutation(60)
    one = pseudolikelihood(tokens, weights, SMALL)
    two = pseudolikelihood(tokens[rows], weights[rows], SMALL)
    np.testing.assert_allclose(two.couplings, one.couplings, atol=2e-4)


def test_order_of_columns_moves_the_map_with_it(family):
    tokens, weights = family
    columns = np.array([3, 0, 5, 1, 4, 2])
    norms = []
    for chosen in (tokens, np.ascontiguousarray(tokens[:, columns])):
        model = zero_sum(pseudolikelihood(chosen, weights, SMALL))
        square = np.zeros((6, 6))
        square[np.triu_indices(6, 1)] = np.linalg.norm(model.couplings, axis=(1, 2))
        norms.append(square + square.T)
    np.testing.assert_allclose(norms[1], norms[0][np.ix_(columns, columns)], atol=5e-4)
    assert np.unravel_index(norms[0].argmax(), (6, 6)) == (1, 4)


def test_weights_count_as_copies(family):
    tokens, _ = family
    twice = np.concatenate([tokens, tokens])
    one = pseudolikelihood(twice, np.full(120, 0.5, np.float32), SMALL)
    two = pseudolikelihood(tokens, np.ones(60, np.float32), SMALL)
    np.testing.assert_allclose(one.couplings, two.couplings, atol=2e-4)


def test_threads_do_not_change_a_bit(family, monkeypatch):
    monkeypatch.setattr(accelerate, "_AVAILABLE", 2)  # also where there is one core
    set_threads(1)
    one = pseudolikelihood(*family, SMALL)
    set_threads(2)
    assert get_threads() == 2
    two = pseudolikelihood(*family, SMALL)
    set_threads(1)
    np.testing.assert_array_equal(one.couplings, two.couplings)


def test_a_start_may_be_in_any_gauge(family, caplog):
    """The same model, with energies of its parts far beyond those that exp takes, is the optimum."""
    caplog.set_level(logging.INFO)
    settings = dataclasses.replace(SMALL, tolerance=1e-3)
    model = pseudolikelihood(*family, settings)
    shifted = Couplings(model.fields + np.float32(150), model.couplings)
    for start in (shifted, naive.regauged(model, seed=1, size=60.0)):
        before = start.couplings.copy()
        caplog.clear()
        again = pseudolikelihood(*family, settings, start=start)
        assert int(re.search(r"(\d+) gradients", caplog.text)[1]) <= 4
        np.testing.assert_allclose(again.couplings, model.couplings, atol=2e-3)
        np.testing.assert_array_equal(start.couplings, before)


def test_couplings_leave_the_optimiser_close_to_zero_sum(family):
    model = pseudolikelihood(*family, SMALL)
    np.testing.assert_allclose(zero_sum(model).couplings, model.couplings, atol=5e-3)


@pytest.mark.parametrize("rows", [1, 2])
def test_very_few_sequences(rows):
    tokens = np.tile(np.arange(5, dtype=np.int8), (rows, 1))
    model = pseudolikelihood(tokens, np.ones(rows, np.float32))
    assert np.isfinite(model.couplings).all()
    assert np.isfinite(model.fields).all()


def test_conserved_and_gap_columns_stay_finite():
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 20, size=(500, 8)).astype(np.int8)
    tokens[:, 2], tokens[1:, 5] = 7, 20
    score = apc(frobenius(zero_sum(pseudolikelihood(tokens, np.ones(500, np.float32)))))
    assert np.isfinite(score).all()


def test_stopping_early_is_said(family, caplog):
    with caplog.at_level(logging.WARNING):
        pseudolikelihood(*family, PlmSettings(tolerance=1e-6, max_iterations=2, letters=4))
    assert "stopped after 2 iterations" in caplog.text


@pytest.mark.parametrize("setting", [{"tolerance": 0}, {"coupling_penalty": -1}, {"letters": 30}])
def test_bad_settings(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        PlmSettings(**setting)


@pytest.mark.parametrize(
    ("tokens", "match"),
    [
        (np.zeros((3, 1), np.int8), "L >= 2"),
        (np.full((3, 4), 21, np.int8), "0 .. 20"),
        (-np.ones((3, 4), np.int8), "-1"),
    ],
)
def test_bad_tokens(tokens, match):
    with pytest.raises(ValueError, match=match):
        pseudolikelihood(tokens, np.ones(3, np.float32))


def test_weights_of_another_alignment():
    with pytest.raises(ValueError, match="weights"):
        pseudolikelihood(np.zeros((3, 4), np.int8), np.ones(4, np.float32))


def test_nothing_depends_on_what_fresh_memory_holds(family, monkeypatch):
    plain = pseudolikelihood(*family, SMALL)
    empty = np.empty

    def poisoned(shape, dtype=float, **options):
        array = empty(shape, dtype, **options)
        if np.issubdtype(array.dtype, np.floating):
            array.fill(np.nan)
        return array

    monkeypatch.setattr(np, "empty", poisoned)
    monkeypatch.setattr(np, "empty_like", lambda a, **options: poisoned(a.shape, a.dtype))
    assert np.array_equal(pseudolikelihood(*family, SMALL).couplings, plain.couplings)
