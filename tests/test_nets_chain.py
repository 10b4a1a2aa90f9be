"""Chains folded by predicted distances: forces, what they give back and take away, how weights carry them."""

import tracemalloc

import numpy as np
import pytest
import torch

from data.errors import MapError
from dca.accelerate import get_threads, set_threads
from nets import chain
from nets.chain import ChainPrior, contact_frequency, fit_reference, separation_class, with_chain
from nets.checkpoint import load_refiner, save_weights
from nets.config import BIN_EDGES, SEPARATION_STARTS, RefinerConfig
from nets.features import compute_features
from nets.memory import chain_bytes
from nets.model import Refiner
from nets.predict import predict
from nets.probability import IDENTITY

BINS = len(BIN_EDGES) - 1
FLAT = [[1 / BINS] * BINS] * len(SEPARATION_STARTS)
KNOTS = np.array([3.5, *(np.array(BIN_EDGES[1:-2]) + np.array(BIN_EDGES[2:-1])) / 2, 22.0])


def compact_chain(length=60, seed=3):
    """A walk of steps of 5.5 angstrom that stays within a ball and does not cross itself."""
    rng = np.random.default_rng(seed)
    places = [np.zeros(3)]
    while len(places) < length:
        step = rng.normal(size=3)
        new = places[-1] + 5.5 * step / np.linalg.norm(step)
        free = np.linalg.norm(np.array(places) - new, axis=1).min() > 4.5
        if free and np.linalg.norm(new) < 2.6 * length ** (1 / 3) + 4:
            places.append(new)
    return np.array(places)


def distances(places):
    return np.linalg.norm(places[:, None] - places[None], axis=-1)


def told(distance, sure=3.0):
    """Logits of a network that knows the bin of each distance."""
    bins = np.digitize(distance, BIN_EDGES[1:-1])
    return (sure * np.eye(BINS)[bins]).astype(np.float32)


def test_forces_are_the_slope_of_the_energy():
    rng = np.random.default_rng(0)
    length = 9
    x = rng.normal(0, 6, (length, 3)).astype(np.float32)
    x[4] = x[3] + [2.0, 1.0, 0.5]  # too near
    x[7] = x[6] + [9.0, 0.0, 0.0]  # neighbours too far apart
    pairs = length * (length - 1) // 2
    energy = rng.normal(size=(pairs, BINS))

    def total(places):
        value, upper = 0.0, np.triu_indices(length, 1)
        for pair, (i, j) in enumerate(zip(*upper, strict=True)):
            d = np.sqrt(((places[i] - places[j]) ** 2).sum() + 1e-6)
            value += np.interp(d, KNOTS, energy[pair])
            value += 10 * max(0, 3.8 - d) ** 2 + (5 * max(0, d - 7.0) ** 2 if j == i + 1 else 0)
        return value

    moved, wide = x + 1, 3 * x  # in the last some pairs are so far that nothing pulls, and some only there
    four = np.stack([x, moved, wide, x - 2], axis=-1)
    force, near = np.zeros_like(four), np.zeros((4, pairs), np.float32)
    chain._forces(four, *chain._pieces(energy, KNOTS), force)
    chain._count(four, near)
    step = 1e-5
    for n in range(4):
        wanted = np.zeros((length, 3))
        for i, c in np.ndindex(length, 3):
            up, down = four[..., n].astype(np.float64), four[..., n].astype(np.float64)
            up[i, c] += step
            down[i, c] -= step
            wanted[i, c] = -(total(up) - total(down)) / (2 * step)
        np.testing.assert_allclose(force[..., n], wanted, rtol=1e-3, atol=1e-2)
        apart = distances(four[..., n].astype(np.float64))[np.triu_indices(length, 1)]
        np.testing.assert_allclose(near[n], 1 / (1 + np.exp((apart - 8) / 0.7)), atol=3e-3)


def test_pairs_that_are_far_in_every_chain_do_not_pull():
    rng = np.random.default_rng(2)
    x = np.zeros((3, 3, 4), np.float32)
    x[:, 0] = np.array([0, 7, 30])[:, None]
    x[2, 0, 3] = 15  # near enough in one chain alone
    slopes = chain._pieces(rng.normal(size=(3, BINS)), KNOTS)
    force = np.zeros_like(x)
    chain._forces(x, *slopes, force)
    assert force[0, 0, 3] != force[0, 0, 0]
    np.testing.assert_array_equal(force[0, :, :3], np.repeat(force[0, :, :1], 3, axis=1))


def test_contacts_that_nobody_told_come_back_and_lies_go():
    places = compact_chain()
    truth = distances(places)
    upper = np.triu_indices(len(places), 1)
    far_apart = upper[1] - upper[0] >= 6
    contact = truth[upper] < 7.0
    rng = np.random.default_rng(1)
    silent = far_apart & (rng.random(len(contact)) < 0.5)  # half of all pairs say nothing at all
    lies = np.flatnonzero(far_apart & (truth[upper] > 20))[:3]
    logits = told(truth)
    for pair in np.flatnonzero(silent):
        logits[upper[0][pair], upper[1][pair]] = logits[upper[1][pair], upper[0][pair]] = 0
    for pair in lies:
        logits[upper[0][pair], upper[1][pair]] = logits[upper[1][pair], upper[0][pair]] = 3 * np.eye(BINS)[3]
    near = contact_frequency(logits, BIN_EDGES, np.array(FLAT))
    hidden = silent & contact
    assert hidden.sum() >= 10
    assert near[hidden].mean() > 0.3
    assert near[hidden].mean() > 5 * near[silent & (truth[upper] > 12)].mean()
    assert near[lies].max() < 0.2


def test_threads_change_nothing_and_seeds_do():
    logits, before = told(distances(compact_chain(30)), 1.0), get_threads()
    try:
        set_threads(1)
        one = contact_frequency(logits, BIN_EDGES, np.array(FLAT), seed=1)
        set_threads(2)
        np.testing.assert_array_equal(contact_frequency(logits, BIN_EDGES, np.array(FLAT), seed=1), one)
    finally:
        set_threads(before)
    other = contact_frequency(logits, BIN_EDGES, np.array(FLAT), seed=2)
    assert not np.array_equal(other, one)
    assert np.abs(other - one).mean() < 0.2


def test_log_odds_stay_symmetric_and_what_is_sure_stays():
    logits = told(distances(compact_chain(30)), 1.0)
    odds = np.full((30, 30), -2.0)
    odds[0, 20] = odds[20, 0] = 30.0
    found = with_chain(odds, logits, BIN_EDGES, ChainPrior(0.4, FLAT))
    np.testing.assert_array_equal(found, found.T)
    assert found[0, 20] == pytest.approx(30.0)
    shift = np.abs(found - odds)[np.triu_indices(30, 6)]
    assert 0.05 < shift.max() <= 0.4 * np.log(1.05 / 0.05) + 1e-6
    assert with_chain(odds, logits, BIN_EDGES, None) is odds
    assert with_chain(odds[:1, :1], logits[:1, :1], BIN_EDGES, ChainPrior(0.4, FLAT)).shape == (1, 1)
    assert with_chain(odds[:2, :2], logits[:2, :2], BIN_EDGES, ChainPrior(0.4, FLAT)).shape == (2, 2)


def test_the_reference_is_the_mean_prediction_by_separation():
    rng = np.random.default_rng(2)
    maps = [rng.normal(size=(length, length, BINS)).astype(np.float32) for length in (20, 70)]
    found = np.array(fit_reference(maps, BINS))
    np.testing.assert_allclose(found.sum(1), 1)
    sums = np.zeros_like(found)
    for logits in maps:
        length = len(logits)
        for i in range(length):
            for j in range(i + 1, length):
                share = np.exp(logits[i, j]) / np.exp(logits[i, j]).sum()
                kind = max(k for k, start in enumerate(SEPARATION_STARTS) if start <= j - i)
                sums[kind] += share / (length * (length - 1) / 2)
    np.testing.assert_allclose(found, sums / sums.sum(1, keepdims=True), atol=5e-3)
    assert separation_class(np.array([1, 5, 6, 8, 9, 500])).tolist() == [
        0,
        4,
        5,
        5,
        6,
        len(SEPARATION_STARTS) - 1,
    ]


def test_weights_carry_their_chains(tmp_path):
    config = RefinerConfig(channels=8, blocks=2)
    torch.manual_seed(1)
    model = Refiner(config)
    tokens = np.random.default_rng(5).integers(0, 21, size=(40, 24)).astype(np.int8)
    features = compute_features(tokens, config.pair_maps)
    found = {}
    for name, prior in (("without", None), ("with", ChainPrior(0.4, FLAT))):
        path = tmp_path / f"{name}.safetensors"
        save_weights(path, model.state_dict(), config, IDENTITY, {}, prior)
        loaded = load_refiner(str(path))
        assert loaded.chain == prior
        found[name] = predict(loaded, features)
    assert np.abs(found["with"].contact - found["without"].contact).max() > 1e-3
    np.testing.assert_array_equal(found["with"].contact, found["with"].contact.T)
    np.testing.assert_array_equal(found["with"].distance, found["without"].distance)
    np.testing.assert_array_equal(predict(loaded, features).contact, found["with"].contact)


def test_the_same_weights_give_the_same_bytes(tmp_path):
    config, prior = RefinerConfig(channels=8, blocks=2), ChainPrior(0.4, FLAT)
    tensors = Refiner(config).state_dict()
    paths = [tmp_path / f"{k}.safetensors" for k in range(8)]
    for path in paths:  # four kinds of metadata: as the library orders them, eight are hardly ever equal
        save_weights(path, tensors, config, IDENTITY, {"licence": "ünicode"}, prior)
    assert len({path.read_bytes() for path in paths}) == 1
    loaded = load_refiner(str(paths[0]))
    assert loaded.card == {"licence": "ünicode"}
    for name, tensor in loaded.model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), tensors[name].numpy())


@pytest.mark.parametrize(
    ("weight", "reference"),
    [(0.4, FLAT[1:]), (0.4, [[0.0] * BINS] * len(FLAT)), (np.nan, FLAT), (-1.0, FLAT), ("x", FLAT)],
)
def test_broken_chains_are_refused(tmp_path, weight, reference):
    config, path = RefinerConfig(channels=8, blocks=2), tmp_path / "broken.safetensors"
    save_weights(path, Refiner(config).state_dict(), config, IDENTITY, {}, ChainPrior(weight, reference))
    with pytest.raises(MapError, match="not refiner weights"):
        load_refiner(str(path))


def test_memory_is_counted():
    logits = told(distances(compact_chain(150, seed=4)), 1.0)
    tracemalloc.start()
    contact_frequency(logits, BIN_EDGES, np.array(FLAT))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.4 * chain_bytes(150, BINS) < peak < chain_bytes(150, BINS)
