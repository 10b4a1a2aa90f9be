"""Every compiled kernel equals its naive twin, compiled and interpreted."""

import os
import subprocess
import sys
from pathlib import Path

import naive
import numpy as np
import pytest

from dca import accelerate, descent, kernels, simulate, weights
from dca.couplings import Couplings
from dca.frequencies import pair_frequencies, site_frequencies
from dca.gaussian import ridge
from dca.maps import direct_information, mutual_information
from dca.mean_field import mean_field, with_pseudocount
from dca.pseudolikelihood import PlmSettings, _independent_state, _Objective

ROOT = Path(__file__).parent.parent


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def random_alignment(rng, rows, length, letters=21):
    tokens = rng.integers(0, letters, size=(rows, length)).astype(np.int8)
    return tokens, rng.uniform(0.1, 1, size=rows).astype(np.float32)


def random_model(rng, length, letters, scale=0.5):
    pairs = length * (length - 1) // 2
    fields = rng.normal(scale=scale, size=(length, letters)).astype(np.float32)
    return Couplings(fields, rng.normal(scale=scale, size=(pairs, letters, letters)).astype(np.float32))


@pytest.mark.parametrize(
    ("rows", "length", "identity"), [(1, 3, 0.8), (25, 5, 0.6), (40, 70, 0.5), (90, 150, 0.7), (9, 130, 1.0)]
)
def test_sequence_weights_twin(rng, rows, length, identity):
    tokens = rng.integers(0, 21, size=(rows, length)).astype(np.int8)
    for n in range(1, rows):  # relatives at all distances
        kept = rng.random(length) < rng.random()
        tokens[n, kept] = tokens[rng.integers(n), kept]
    expected = naive.sequence_weights(tokens, identity)
    assert rows == 1 or expected.min() < 1 or identity == 1.0
    np.testing.assert_allclose(weights.sequence_weights(tokens, identity), expected, rtol=1e-6)


@pytest.mark.parametrize("chunks", [1, 3, 64])
def test_similar_rows_are_counted_once_whatever_the_number_of_chunks(rng, chunks):
    tokens = rng.integers(0, 3, size=(70, 10)).astype(np.int8)
    planes, allowed = weights._comparable(tokens, 0.6)
    own, other = np.ones(70, dtype=np.int64), np.zeros((chunks, 70), dtype=np.uint16)
    weights._count_similar(0, chunks, planes, allowed, own, other)
    expected = (tokens[:, None] == tokens[None]).mean(axis=2) >= 0.6
    assert expected.sum() > 2 * 70
    np.testing.assert_array_equal(own + other.sum(axis=0, dtype=np.int64), expected.sum(axis=1))


@pytest.mark.parametrize("rows", [1, 4000, weights._CHUNKS * 65_535, weights._CHUNKS * 65_535 + 1, 10**8])
def test_no_chunk_has_more_rows_than_16_bits_count(rows):
    assert -(-rows // weights._chunks(rows)) <= 2**16 - 1
    assert weights._chunks(4000) == weights._CHUNKS


def test_ones_twin(rng):
    for word in [0, 1, 2**64 - 1, *rng.integers(0, 2**64, size=20, dtype=np.uint64)]:
        assert int(weights._ones(np.uint64(word))) == int(word).bit_count()


def test_frequencies_twin(rng):
    tokens, weight = random_alignment(rng, 30, 5)
    np.testing.assert_allclose(
        site_frequencies(tokens, weight), naive.site_frequencies(tokens, weight), atol=1e-6
    )
    np.testing.assert_allclose(
        pair_frequencies(tokens, weight), naive.pair_frequencies(tokens, weight), atol=1e-6
    )


def test_mutual_information_twin(rng):
    tokens, weight = random_alignment(rng, 20, 4)
    expected = naive.mutual_information(tokens, weight, 2.0)
    np.testing.assert_allclose(mutual_information(tokens, weight, 2.0), expected, atol=1e-5)


def test_mean_field_twin(rng):
    tokens, weight = random_alignment(rng, 30, 4)
    sites, pairs = with_pseudocount(
        naive.site_frequencies(tokens, weight), naive.pair_frequencies(tokens, weight), 0.5
    )
    inverse = np.linalg.inv(naive.covariance(sites, pairs, 20))
    found = mean_field(tokens, weight, 0.5).couplings
    np.testing.assert_allclose(found[:, :20, :20], naive.negative_blocks(inverse, 4, 20), atol=2e-3)
    assert not found[:, 20].any()
    assert not found[:, :, 20].any()


def test_ridge_twin(rng):
    tokens, weight = random_alignment(rng, 30, 4)
    sites, pairs = naive.site_frequencies(tokens, weight), naive.pair_frequencies(tokens, weight)
    total = weight.sum(dtype=float)
    matrix = naive.covariance(sites, pairs, 21) * total / (total - np.sqrt(np.mean(weight, dtype=float)))
    inverse = np.linalg.inv(matrix + 4.5 / np.sqrt(total) * np.eye(84))
    np.testing.assert_allclose(
        ridge(tokens, weight).couplings, naive.negative_blocks(inverse, 4, 21), atol=1e-4
    )


def test_direct_information_twin(rng):
    tokens, weight = random_alignment(rng, 20, 3)
    model = random_model(rng, 3, 21)
    sites = 0.5 * naive.site_frequencies(tokens, weight) + 0.5 / 21
    found = direct_information(model, tokens, weight)[np.triu_indices(3, 1)]
    np.testing.assert_allclose(found, naive.direct_information(model.couplings, sites), rtol=2e-3)


@pytest.mark.parametrize(("rows", "length", "letters"), [(7, 5, 21), (kernels.BLOCK + 9, 9, 3), (1, 2, 2)])
def test_gradient_twin(rng, rows, length, letters):
    tokens, weight = random_alignment(rng, rows, length, letters)
    model, direction = random_model(rng, length, letters), random_model(rng, length, letters)
    objective = _Objective(tokens, weight, PlmSettings(letters=letters))
    out = np.empty_like(model.couplings)
    by_field, slope = objective.gradient(
        model.fields.astype(float), model.couplings, direction.couplings, 0.25, out
    )
    point = model.couplings + 0.25 * direction.couplings
    frequencies = naive.site_frequencies(tokens, weight, letters)
    plain = naive.uncentred(model.fields, point, frequencies)
    expected_field, expected = naive.gradient(plain, point, tokens, weight, 0.2 * (length - 1), 0.01)
    np.testing.assert_allclose(by_field, expected_field, rtol=1e-4, atol=2e-4)
    first, second = np.triu_indices(length, 1)
    expected -= expected_field[first][:, :, None] * frequencies[second][:, None, :]
    expected -= expected_field[second][:, None, :] * frequencies[first][:, :, None]
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-3)
    assert slope == pytest.approx(np.sum(expected * direction.couplings), rel=1e-3, abs=1e-2)
    np.testing.assert_allclose(objective.uncentred(model.fields.astype(float), point), plain, atol=1e-4)


def sites_of(rng, rows, length, letters):
    """What `_all_sites` takes: all before the gradient and the marks; and a gradient to be filled."""
    tokens, weight = random_alignment(rng, rows, length, letters)
    model, direction = random_model(rng, length, letters), random_model(rng, length, letters)
    objective = _Objective(tokens, weight, PlmSettings(letters=letters))
    given = objective.columns, objective.weights, objective.words, objective._single, model.fields
    plain, by_field = np.empty_like(model.fields), np.empty((length, letters))
    given += model.couplings, direction.couplings, 0.25, plain, by_field
    return given, np.empty_like(model.couplings)


@pytest.mark.parametrize(("rows", "length", "letters"), [(9, 6, 4), (60, 40, 21)])
def test_either_site_of_a_pair_may_come_first(rng, rows, length, letters, monkeypatch):
    """In turn, backwards, and on two and four threads: the same gradient to the bit, in memory of NaN."""
    if accelerate._interpreted and length > 10:
        pytest.skip("takes long in Python")
    given, expected = sites_of(rng, rows, length, letters)
    kernels._all_sites(0, length, *given, expected, np.zeros(0, np.int32))
    assert np.isfinite(expected).all()

    def backwards(gradient, marks):
        for i in reversed(range(length)):
            kernels._all_sites(i, i + 1, *given, gradient, marks)

    def at_once(gradient, marks):
        accelerate.in_parallel(kernels._all_sites, length, *given, gradient, marks)

    monkeypatch.setattr(accelerate, "_AVAILABLE", 4)
    threads = accelerate.get_threads()
    try:
        for way, number in [(backwards, 1)] + [(at_once, number) for number in (2, 4)] * 10:
            accelerate.set_threads(number)
            gradient, marks = np.full_like(expected, np.nan), np.zeros(len(expected), np.int32)
            way(gradient, marks)
            np.testing.assert_array_equal(gradient, expected)
            np.testing.assert_array_equal(marks, 3)
    finally:
        accelerate.set_threads(threads)


def test_gradient_twin_is_the_derivative(rng):
    tokens, weight = random_alignment(rng, 6, 3, 3)
    model = random_model(rng, 3, 3)
    by_field, by_coupling = naive.gradient(model.fields, model.couplings, tokens, weight, 0.4, 0.01)
    step = 1e-5
    for array, derivative in ((model.fields, by_field), (model.couplings, by_coupling)):
        moved = [m.astype(float) for m in (model.fields, model.couplings)]
        place = tuple(rng.integers(0, size) for size in array.shape)
        which = 0 if array is model.fields else 1
        values = []
        for sign in (1, -1):
            moved[which][place] += sign * step
            values.append(naive.objective(*moved, tokens, weight, 0.4, 0.01))
            moved[which][place] -= sign * step
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(derivative[place], rel=1e-5, abs=1e-7)


def test_advance_and_turn_twin(rng):
    length, letters, scale, floor = 4, 3, 5.0, 0.7
    j, d, g, trial = (random_model(rng, length, letters).couplings for _ in range(4))
    frequencies = rng.dirichlet(np.ones(letters), size=length).astype(np.float32)
    spread = np.array([np.diag(f) - np.outer(f, f) for f in frequencies])
    moved, turned = j + 0.3 * d, g + 0.6 * (trial - g)
    curved, down = np.empty_like(j, dtype=float), np.empty_like(j, dtype=float)
    for p, (one, two) in enumerate(zip(*np.triu_indices(length, 1), strict=True)):
        curvature = scale * np.kron(spread[one], spread[two]) + floor * np.eye(letters**2)
        curved[p] = (curvature @ moved[p].ravel()).reshape(letters, letters)
        down[p] = np.linalg.solve(curvature, turned[p].ravel()).reshape(letters, letters)
    expected = [(turned * down).sum(), ((turned - g) * down).sum(), (moved * curved).sum()]
    values, vectors = np.linalg.eigh(spread)
    bases = np.zeros((2, length, 24, 24), dtype=np.float32)
    bases[0, :, :letters, :letters], bases[1, :, :letters, :letters] = vectors, vectors.swapaxes(1, 2)
    bases = bases.reshape(2, length, -1)
    sums, slopes = np.empty((length, 3)), np.empty(length)
    modes = values.astype(np.float32)
    descent._advance(0, len(sums), j, d, g, trial, 0.3, 0.6, frequencies, scale, floor, modes, *bases, sums)
    np.testing.assert_allclose(j, moved, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(g, turned, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(trial, down, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(sums.sum(axis=0), expected, rtol=1e-4)
    direction = 0.4 * d - trial
    descent._turn(0, len(slopes), d, g, trial, 0.4, slopes)
    np.testing.assert_allclose(d, direction, rtol=1e-5, atol=1e-6)
    assert slopes.sum() == pytest.approx((direction * g).sum(), rel=1e-4)


def test_independent_gradient_is_the_gradient_without_couplings(rng):
    tokens = rng.integers(0, 5, size=(40, 6)).astype(np.int8)
    weight = rng.uniform(0.2, 1.0, size=40).astype(np.float32)
    objective = _Objective(tokens, weight, PlmSettings(letters=5))
    state = _independent_state(objective, tokens, weight)
    still, found = np.zeros_like(state.couplings), np.zeros_like(state.couplings)
    by_field, _ = objective.gradient(state.fields, still, still, 0.0, found)
    np.testing.assert_allclose(state.gradient, found, atol=1e-4)
    np.testing.assert_allclose(state.by_field, by_field, atol=1e-4)


def test_uniform_twin():
    state, twin = np.array([7], dtype=np.uint64), naive.SplitMix64(7)
    with np.errstate(over="ignore"):
        assert [simulate._uniform(state) for _ in range(20)] == [twin.uniform() for _ in range(20)]


def test_sweep_chains_twin(rng):
    model = random_model(rng, 5, 4)
    model.couplings[3] = 0  # a pair without a coupling has no table
    seeds = rng.integers(0, 2**64, size=6, dtype=np.uint64)
    tokens = rng.integers(0, 4, size=(6, 5)).astype(np.int8)
    expected = tokens.copy()
    naive.sweep_chains(expected, model.fields, model.couplings, 8, seeds)
    with np.errstate(over="ignore"):
        simulate._sweep_chains(0, len(tokens), tokens, model.fields, *simulate._neighbours(model), 8, seeds)
    np.testing.assert_array_equal(tokens, expected)


def test_evolve_twin(rng):
    model = random_model(rng, 5, 4)
    parent = np.array([-1, 0, 0, 1, 1], dtype=np.int32)
    updates = np.array([0, 3, 0, 7, 20])
    seeds = rng.integers(0, 2**64, size=5, dtype=np.uint64)
    tokens = rng.integers(0, 4, size=(5, 5)).astype(np.int8)
    expected = tokens.copy()
    naive.evolve(expected, parent, updates, model.fields, model.couplings, seeds)
    with np.errstate(over="ignore"):
        simulate._evolve(tokens, parent, updates, model.fields, *simulate._neighbours(model), seeds)
    np.testing.assert_array_equal(tokens, expected)
    np.testing.assert_array_equal(tokens[2], tokens[0])


@pytest.mark.skipif("NUMBA_DISABLE_JIT" in os.environ, reason="this is the inner run")
def test_twins_hold_without_compilation():
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "twin"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:]
    passed = run.stdout.split("\n")[0].count(".")
    assert passed >= 18, run.stdout


def test_deep_alignments_are_worked_on_in_equal_parts():
    most = kernels.MOST_AT_ONCE
    assert [kernels.rows_at_once(n) for n in (1, most, most + 1, 3 * most)] == [1, most, most // 2 + 1, most]


def test_the_gradient_of_a_deep_alignment_is_that_of_its_weights(rng):
    """Copies with a share of the weight each: more rows than are held at once, and the same sums."""
    few, weight = random_alignment(rng, 300, 4, letters=3)
    copies = kernels.MOST_AT_ONCE // len(few) * 2 + 3
    model = random_model(rng, 4, 3)
    found = []
    for tokens, share in ((few, weight), (np.tile(few, (copies, 1)), np.tile(weight / copies, copies))):
        objective = _Objective(tokens, share, PlmSettings(letters=3))
        gradient, still = np.empty_like(model.couplings), np.zeros_like(model.couplings)
        fields = model.fields.astype(np.float64)
        by_field, _ = objective.gradient(fields, model.couplings, still, 0.0, gradient)
        found.append((by_field, gradient))
    assert len(tokens) > 2 * kernels.MOST_AT_ONCE
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3 * abs(one).max())
