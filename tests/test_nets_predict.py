"""Predictions of one refiner and of an ensemble."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from data.errors import MapError
from data.store import load_arrays, save_arrays
from nets.checkpoint import Loaded, load_refiner, save_weights
from nets.config import RefinerConfig
from nets.features import compute_features
from nets.model import Refiner
from nets.predict import predict, predict_together, refine_file
from nets.probability import IDENTITY

SMALL = RefinerConfig(channels=8, blocks=2)


@pytest.fixture
def tokens():
    rng = np.random.default_rng(5)
    return rng.integers(0, 21, size=(40, 24)).astype(np.int8)


def fresh(path, seed, config=SMALL, proteins=()):
    """Weights of a random network, written and read."""
    torch.manual_seed(seed)
    model = Refiner(config)
    for block in model.blocks:
        torch.nn.init.normal_(block.second.weight, std=0.2)
    card = {"train": {"proteins": list(proteins), "clusters": []}}
    save_weights(path, model.state_dict(), config, IDENTITY, card)
    return load_refiner(str(path))


def test_an_ensemble_is_the_mean_of_its_members(tmp_path, tokens):
    members = [fresh(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2, 3)]
    found, neff = predict_together(members, tokens)
    features = compute_features(tokens, SMALL.pair_maps)
    single = [predict(loaded, features) for loaded in members]
    assert np.abs(single[0].contact - single[1].contact).max() > 1e-3  # or the mean would show nothing
    for name in ("contact", "distance"):
        mean = sum(getattr(part, name).astype(np.float64) for part in single) / 3
        assert np.allclose(getattr(found, name), mean, atol=1e-6)
        assert getattr(found, name).dtype == np.float32
    assert neff == pytest.approx(features.neff)


def test_members_may_read_other_maps(tmp_path, tokens):
    one = fresh(tmp_path / "one.safetensors", 1)
    other = fresh(tmp_path / "other.safetensors", 2, replace(SMALL, pair_maps=("mi",)))
    found, _ = predict_together([one, other], tokens)
    alone = [predict(m, compute_features(tokens, m.model.config.pair_maps)).contact for m in (one, other)]
    assert np.allclose(found.contact, np.mean(alone, axis=0), atol=1e-6)


def test_members_of_other_distance_bins_are_refused(tmp_path, tokens):
    other = replace(SMALL, bin_edges=(0.0, 8.0, 16.0, 1e9))
    members = [
        fresh(tmp_path / "one.safetensors", 1),
        fresh(tmp_path / "other.safetensors", 2, other),
    ]
    with pytest.raises(MapError, match="different distance bins"):
        predict_together(members, tokens)


def test_the_file_names_all_members_and_the_closest_acquaintance(tmp_path, tokens):
    save_arrays(tmp_path / "alignment.npz", tokens=tokens)
    members: list[Loaded] = [
        fresh(tmp_path / "one.safetensors", 1),
        fresh(tmp_path / "two.safetensors", 2, proteins=["p"]),
    ]
    paths = [str(tmp_path / f"{name}.safetensors") for name in ("one", "two")]
    out = tmp_path / "refined.npz"
    refine_file(str(tmp_path / "alignment.npz"), str(out), paths, "one + two", device="cpu", protein="p")
    arrays = load_arrays(out)
    assert str(arrays["weights_sha256"]) == " + ".join(loaded.sha256 for loaded in members)
    assert str(arrays["learned"]) == "protein"
    refine_file(str(tmp_path / "alignment.npz"), str(out), paths[0], "one", device="cpu", protein="p")
    assert str(load_arrays(out)["learned"]) == ""
