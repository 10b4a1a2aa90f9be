"""Boltzmann machine learning: kernels, moments against exact enumeration, planted contacts, warnings."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dca import accelerate
from dca import boltzmann as module
from dca.accelerate import set_threads
from dca.boltzmann import BoltzmannSettings, boltzmann, fit_boltzmann
from dca.chains import Chains, mixing, random_states
from dca.couplings import Couplings
from dca.gauge import zero_sum
from dca.kernels import BLOCK, WIDTH
from dca.maps import apc, frobenius
from dca.pseudolikelihood import pseudolikelihood
from dca.simulate import simulate_family

ROOT = Path(__file__).parent.parent
L, Q = 4, 3
# Without what shallow alignments get: the data's own correlations, the penalty as it is
TINY = {"letters": Q, "chains": 2000, "rate": 0.5, "equilibration": 15, "target": 0.99999,
        "shrinkage": 0.0, "largest_pull": 100.0}  # fmt: skip


@pytest.fixture
def rng():
    return np.random.default_rng(8)


@pytest.fixture(scope="module")
def family():
    """Forty sequences of four coupled columns: few enough for the pseudolikelihood to miss their moments."""
    rng = np.random.default_rng(3)
    tokens = rng.integers(0, Q, size=(40, L)).astype(np.int8)
    tokens[:24, 2] = tokens[:24, 0]
    tokens[10:30, 3] = 2 - tokens[10:30, 1]
    return tokens, rng.uniform(0.5, 1, size=40).astype(np.float32)


def random_model(rng, length, letters, scale=0.6):
    pairs = length * (length - 1) // 2
    fields = rng.normal(scale=scale, size=(length, letters)).astype(np.float32)
    return Couplings(fields, rng.normal(scale=scale, size=(pairs, letters, letters)).astype(np.float32))


def started(model, tokens, seed=1):
    chains = Chains(*tokens.shape, model.fields.shape[1])
    chains.start(tokens, np.random.default_rng(seed))
    chains.follow(model)
    return chains


def exact_statistics(model):
    states, chance = naive.boltzmann(model.fields, model.couplings)
    return naive.site_frequencies(states, chance, Q), naive.pair_frequencies(states, chance, Q)


def data_statistics(tokens, weights):
    """Frequencies with one pseudo-sequence spread evenly."""
    share = 1 / (weights.sum(dtype=float) + 1)
    sites, pairs = naive.site_frequencies(tokens, weights, Q), naive.pair_frequencies(tokens, weights, Q)
    return (1 - share) * sites + share / Q, (1 - share) * pairs + share / Q**2


def conditional(model, row, i):
    factors = np.exp(naive.site_energies(model.fields, model.couplings, row, i))
    return factors / factors.sum()


def naive_expectations(model, tokens):
    """Means of P_i(a) and of P_i(a) [x_j = b], the latter as [i, j, b, a]."""
    chains, length = tokens.shape
    letters = model.fields.shape[1]
    single, joint = np.zeros((length, letters)), np.zeros((length, length, letters, letters))
    for row in tokens:
        for i in range(length):
            chance = conditional(model, row, i) / chains
            single[i] += chance
            for j in range(length):
                joint[i, j, row[j]] += chance
    return single, joint


@pytest.mark.parametrize(("rows", "length", "letters"), [(5, 9, 4), (BLOCK + 3, 3, 2), (4, 3, 21)])
def test_sweeps_twin(rng, rows, length, letters):
    model = random_model(rng, length, letters)
    tokens = rng.integers(0, letters, size=(rows, length)).astype(np.int8)
    expected = tokens.copy()
    seeds = np.random.default_rng(1).integers(0, 2**64, size=rows, dtype=np.uint64)
    naive.sweep_chains(expected, model.fields, model.couplings, 3, seeds)
    chains = started(model, tokens)
    with np.errstate(over="ignore"):
        chains.sweep(1)
        chains.sweep(2)
    np.testing.assert_array_equal(chains.states(), expected)


@pytest.mark.parametrize(("rows", "length", "letters"), [(6, 9, 4), (BLOCK + 3, 3, 2), (4, 3, 21)])
def test_expectations_twin(rng, rows, length, letters):
    model = random_model(rng, length, letters)
    tokens = rng.integers(0, letters, size=(rows, length)).astype(np.int8)
    found = started(model, tokens).expectations()
    single, joint = naive_expectations(model, tokens)
    np.testing.assert_allclose(found.conditional, single, atol=1e-6)
    counts = naive.site_frequencies(tokens, np.ones(rows), letters)
    np.testing.assert_allclose(found.counted, counts, atol=1e-6)
    for i in range(length):
        for j in range(length):
            if i != j:
                np.testing.assert_allclose(found.joint[i, j, :, :letters], joint[i, j], atol=1e-6)


def test_several_looks_are_the_mean_of_single_ones(rng):
    model = random_model(rng, 5, 4)
    tokens = rng.integers(0, 4, size=(7, 5)).astype(np.int8)
    together, single = started(model, tokens), started(model, tokens)
    with np.errstate(over="ignore"):
        found = together.expectations(3, 2)
        looks = []
        for look in range(3):
            single.sweep(2 if look else 0)
            seen = single.expectations()
            looks.append((seen.conditional, seen.counted, seen.joint.copy()))
    for name, parts in zip(("conditional", "counted", "joint"), zip(*looks, strict=True), strict=True):
        np.testing.assert_allclose(getattr(found, name), np.mean(parts, axis=0), atol=1e-6)


def random_statistics(rng, length=4, letters=3):
    """Frequencies of data, and of chains in the layout of the kernels."""
    pairs = length * (length - 1) // 2
    sites, conditional, counted = rng.dirichlet(np.ones(letters), size=(3, length)).astype(np.float32)
    joint = rng.uniform(size=(length, 8, letters, WIDTH)).astype(np.float32)
    return sites, rng.uniform(size=(pairs, letters, letters)).astype(np.float32), conditional, counted, joint


def naive_correlations(sites, pairs, conditional, counted, joint):
    """Connected correlations [P, q, q] of data and of chains."""
    data, chains = np.zeros((2, *pairs.shape))
    for p, (i, j) in enumerate(zip(*np.triu_indices(len(sites), 1), strict=True)):
        for a in range(pairs.shape[1]):
            for b in range(pairs.shape[1]):
                data[p, a, b] = pairs[p, a, b] - sites[i, a] * sites[j, b]
                one = joint[i, j, b, a] - conditional[i, a] * counted[j, b]
                two = joint[j, i, a, b] - conditional[j, b] * counted[i, a]
                chains[p, a, b] = (one + two) / 2
    return data, chains


def test_moments_twin(rng):
    statistics = random_statistics(rng)
    sums = np.zeros((4, 5))
    module._moments(0, len(sums), *statistics, sums)
    x, y = naive_correlations(*statistics)
    expected = [v.sum() for v in (x, y, x * x, y * y, x * y)]
    np.testing.assert_allclose(sums.sum(axis=0), expected, rtol=1e-5)


def test_climb_twin(rng):
    statistics = random_statistics(rng)
    sites, _, conditional, *_ = statistics
    couplings = random_model(rng, 4, 3).couplings
    first, second = np.triu_indices(4, 1)
    x, y = naive_correlations(*statistics)
    error = (conditional - sites).astype(float)
    gradient = x - y - error[first][:, :, None] * error[second][:, None, :] - 0.3 * couplings
    spread = (sites * (1 - sites)).astype(float)
    diagonal = spread[first][:, :, None] * spread[second][:, None, :] + 0.1
    expected = couplings + 0.2 * gradient / diagonal
    module._climb(0, len(spread), *statistics, spread, 0.2, 0.3, 0.1, couplings)
    np.testing.assert_allclose(couplings, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif("NUMBA_DISABLE_JIT" in os.environ, reason="this is the inner run")
def test_twins_hold_without_compilation():
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "twin"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:]
    assert run.stdout.split("\n")[0].count(".") >= 8, run.stdout


def test_chains_sample_their_model(rng):
    model = random_model(rng, L, Q)
    sites, pairs = exact_statistics(model)
    chains = started(model, random_states(np.full((L, Q), 1 / Q), 20000, rng))
    chains.sweep(30)
    found = chains.expectations()
    error = 5 * np.sqrt(sites * (1 - sites) / 20000)
    assert (np.abs(found.counted - sites) < error).all()
    assert (np.abs(found.conditional - sites) < error).all()
    for p, (i, j) in enumerate(zip(*np.triu_indices(L, 1), strict=True)):
        error = 5 * np.sqrt(pairs[p] * (1 - pairs[p]) / 20000)
        assert (np.abs(found.joint[i, j, :, :Q].T - pairs[p]) < error).all()
        assert (np.abs(found.joint[j, i, :, :Q] - pairs[p]) < error).all()


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(2, 24), st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_conditionals_are_probabilities(seed, length, letters, rows):
    rng = np.random.default_rng(seed)
    model = random_model(rng, length, letters, scale=rng.choice([0.0, 1.0, 200.0]))
    chains = started(model, random_states(np.full((length, letters), 1 / letters), rows, rng))
    chains.sweep(2)
    assert 0 <= chains.states().min() <= chains.states().max() < letters
    found = chains.expectations()
    np.testing.assert_allclose(found.conditional.sum(axis=1), 1, atol=1e-5)
    for i in range(length):  # summed over a, P_i(a) [x_j = b] counts the letters of j
        for j in range(length):
            if i != j:
                np.testing.assert_allclose(found.joint[i, j].sum(axis=-1), found.counted[j], atol=1e-5)


def test_random_states_follow_their_frequencies(rng):
    sites = np.array([[1.0, 0.0, 0.0], [0.2, 0.5, 0.3], [0.0, 0.0, 1.0]])
    tokens = random_states(sites, 20000, rng)
    assert tokens.dtype == np.int8
    np.testing.assert_allclose(naive.site_frequencies(tokens, np.ones(20000), 3), sites, atol=0.02)


def moment_errors(model, family):
    return [
        np.abs(m - d).max() for m, d in zip(exact_statistics(model), data_statistics(*family), strict=True)
    ]


def test_exact_moments_of_the_fit_are_those_of_the_data(family):
    """Enumeration of all 81 states; the pseudolikelihood, where training starts, misses them."""
    fit = fit_boltzmann(*family, BoltzmannSettings(coupling_penalty=0.0, max_epochs=100, **TINY))
    assert max(moment_errors(fit.couplings, family)) < 0.01  # one standard error of 2,000 counts
    assert max(moment_errors(pseudolikelihood(*family, module.PlmSettings(letters=Q)), family)) > 0.02
    assert fit.pearson > 0.999
    assert fit.slope == pytest.approx(1, abs=0.03)
    assert fit.mixing.mixed


def test_penalised_gradient_vanishes_at_the_fit(family):
    fit = fit_boltzmann(*family, BoltzmannSettings(coupling_penalty=1.0, max_epochs=100, **TINY))
    neff = family[1].sum(dtype=float)
    (_, pairs), (_, expected) = exact_statistics(fit.couplings), data_statistics(*family)
    pull = 2 * 1.0 * (L - 1) / neff * fit.couplings.couplings
    assert np.abs(pull).max() > 0.05
    np.testing.assert_allclose(expected - pairs, pull, atol=0.004)
    assert max(moment_errors(fit.couplings, family)[:1]) < 0.01  # fields are free


@pytest.mark.parametrize("shrinkage", [0.2, 0.6])
def test_correlations_of_a_shallow_family_are_shrunk(family, shrinkage):
    """Of 150 / Neff or the largest share, whichever is less, nothing is left in the model."""
    tokens, weights = family
    weights = weights * np.float32(300 / weights.sum(dtype=float))
    setting = BoltzmannSettings(coupling_penalty=0.0, max_epochs=100, **TINY | {"shrinkage": shrinkage})
    fit = fit_boltzmann(tokens, weights, setting)
    (single, pairs), (of_data, expected) = exact_statistics(fit.couplings), data_statistics(tokens, weights)
    np.testing.assert_allclose(single, of_data, atol=0.01)
    first, second = np.triu_indices(L, 1)
    apart = of_data[first][:, :, None] * of_data[second][:, None, :]
    share = min(shrinkage, 0.5)
    np.testing.assert_allclose(pairs - apart, (1 - share) * (expected - apart), atol=0.012)
    assert np.abs(share * (expected - apart)).max() > 0.02


def test_the_pull_is_limited(family):
    strong = BoltzmannSettings(coupling_penalty=1000.0, max_epochs=40, **TINY | {"largest_pull": 0.01})
    free = BoltzmannSettings(coupling_penalty=0.0, max_epochs=40, **TINY)
    norms = [np.linalg.norm(boltzmann(*family, setting).couplings) for setting in (strong, free)]
    assert norms[0] > 0.7 * norms[1]


def test_penalty_pulls_couplings_to_zero(family):
    norms = []
    for penalty in (0.1, 1.0, 1000.0):
        plain = BoltzmannSettings(coupling_penalty=penalty, max_epochs=60, **TINY | {"chains": 500})
        norms.append(np.linalg.norm(boltzmann(*family, plain).couplings))
    assert norms[1] < 0.7 * norms[0]
    assert norms[2] < 0.01 * norms[0]


@pytest.fixture(scope="module")
def planted():
    """A family of thirty columns with thirty planted contacts."""
    rng = np.random.default_rng(6)
    contacts = np.zeros((30, 30), dtype=bool)
    while contacts.sum() < 60:
        i, j = rng.integers(0, 30, size=2)
        contacts[i, j] = contacts[j, i] = abs(i - j) >= 3
    tokens, _ = simulate_family(contacts, 3000, rng, "independent")
    return tokens, np.ones(3000, np.float32), contacts


SHORT = BoltzmannSettings(max_epochs=12, chains=300, equilibration=10, target=0.999)


def test_training_stops_at_the_target(family):
    first = fit_boltzmann(*family, BoltzmannSettings(coupling_penalty=0.5, **TINY | {"target": 0.5}))
    assert first.reached
    assert first.epochs == first.history.size == 0  # the pseudolikelihood's model was good enough
    last = fit_boltzmann(*family, BoltzmannSettings(coupling_penalty=0.0, **TINY | {"target": 0.9995}))
    assert last.reached
    assert last.pearson >= 0.9995
    assert 0 < last.epochs == last.history.size < 100


def test_planted_contacts_are_recovered(planted):
    tokens, weights, contacts = planted
    fit = fit_boltzmann(tokens, weights, BoltzmannSettings(chains=1000, max_epochs=20, equilibration=20))
    assert fit.history.size == 20
    assert fit.pearson > 0.88
    assert fit.mixing.mixed
    upper = np.triu_indices(30, 3)
    best = np.argsort(-apc(frobenius(zero_sum(fit.couplings)))[upper])[:30]
    assert contacts[upper][best].mean() > 0.85


def test_same_seed_same_bits_for_any_threads(planted, monkeypatch):
    monkeypatch.setattr(accelerate, "_AVAILABLE", 2)  # also where there is one core
    tokens, weights, _ = planted
    found = []
    for threads, seed in ((1, 5), (2, 5), (1, 6)):
        set_threads(threads)
        found.append(fit_boltzmann(tokens, weights, SHORT, np.random.default_rng(seed)))
    set_threads(1)
    np.testing.assert_array_equal(found[0].couplings.couplings, found[1].couplings.couplings)
    np.testing.assert_array_equal(found[0].couplings.fields, found[1].couplings.fields)
    np.testing.assert_array_equal(found[0].history, found[1].history)
    assert found[0].mixing == found[1].mixing
    assert (found[0].couplings.couplings != found[2].couplings.couplings).any()


def test_the_epoch_limit_is_said(planted, caplog):
    with caplog.at_level(logging.WARNING):
        fit = fit_boltzmann(*planted[:2], SHORT)
    assert not fit.reached
    assert fit.history.size == 12
    assert "stopped after 12 epochs" in caplog.text
    assert f"{fit.pearson:.3f}" in caplog.text


@pytest.mark.parametrize(("later", "kept"), [(0.85, 0), (0.895, 3), (0.95, 3)])
def test_a_model_out_of_equilibrium_is_not_returned(monkeypatch, later, kept):
    """Training after which fresh chains show this Pearson correlation, where the first model had 0.9."""

    class Scripted(module._Training):
        def __init__(self, tokens, weights, settings, rng):
            self.epoch = 0

        def restart(self):
            found = mixing(*np.zeros((2, 3, 4), np.int8), 5)
            return module._Check(ferromagnet(1.0), self.epoch, later if self.epoch else 0.9, 1.0, found)

        def step(self):
            self.epoch += 1
            return 0.99

    monkeypatch.setattr(module, "_Training", Scripted)
    fit = fit_boltzmann(np.zeros((1, 2), np.int8), np.ones(1, np.float32), BoltzmannSettings(max_epochs=3))
    assert fit.epochs == kept
    assert fit.history.size == 3
    assert np.isnan(fit.persistent) == (kept == 0)
    assert fit.reached == (later == 0.95)


def ferromagnet(strength, length=6):
    couplings = np.zeros((length * (length - 1) // 2, Q, Q), dtype=np.float32)
    couplings[:] = strength * np.eye(Q)
    return Couplings(np.zeros((length, Q), np.float32), couplings)


@pytest.mark.parametrize(("strength", "mixed"), [(0.1, True), (8.0, False)])
def test_frozen_chains_are_not_mixed(rng, strength, mixed):
    chains = started(ferromagnet(strength), random_states(np.full((6, Q), 1 / Q), 1000, rng))
    chains.sweep(20)
    earlier = chains.states()
    chains.sweep(20)
    found = mixing(earlier, chains.states(), 20)
    assert found.mixed == mixed
    assert found.lag == 20
    if not mixed:
        assert found.own > 0.99
        assert found.independent == pytest.approx(1 / Q, abs=0.05)


def test_a_frozen_fit_is_said(caplog):
    """Two clades that no chain can leave."""
    tokens = np.repeat(np.array([[0], [1]], np.int8), 200, axis=0).repeat(8, axis=1)
    frozen = BoltzmannSettings(letters=2, chains=300, coupling_penalty=1e-4, max_epochs=20, equilibration=10)
    with caplog.at_level(logging.WARNING):
        fit = fit_boltzmann(tokens, np.ones(400, np.float32), frozen)
    assert not fit.mixing.mixed
    assert "not mixed" in caplog.text


@pytest.mark.parametrize("rows", [1, 2])
def test_very_few_sequences(rows):
    tokens = np.tile(np.arange(5, dtype=np.int8), (rows, 1))
    few = BoltzmannSettings(max_epochs=5, chains=50, equilibration=2)
    fit = fit_boltzmann(tokens, np.ones(rows, np.float32), few)
    assert np.isfinite(fit.couplings.couplings).all()
    assert np.isfinite(fit.couplings.fields).all()
    assert np.isfinite(fit.pearson)


@pytest.mark.parametrize(
    "setting",
    [
        {"target": 1.0},
        {"max_epochs": 0},
        {"chains": 1},
        {"rate": 0},
        {"coupling_penalty": -1},
        {"largest_pull": -1},
        {"shrinkage": 1.0},
        {"letters": 30},
    ],
)
def test_bad_settings(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        BoltzmannSettings(**setting)


def test_bad_tokens():
    with pytest.raises(ValueError, match=r"0 \.\. 20"):
        fit_boltzmann(np.full((3, 4), 21, np.int8), np.ones(3, np.float32))
