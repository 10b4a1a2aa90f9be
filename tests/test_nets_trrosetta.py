"""A published network as a start: its own map at step 0, our loss from there on, and what its weights say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from published_fixtures import BLOCKS, publish

from data.errors import CovarionError, FetchError
from data.registry import find_package_file
from data.store import load_arrays, load_json, save_arrays, save_json
from nets import experts
from nets.card import published
from nets.chain import ChainPrior
from nets.checkpoint import load_refiner
from nets.config import INVERSE, RefinerConfig, TrainConfig
from nets.dataset import Example, cut_pixels, random_crop, write_example
from nets.experts import published_networks, trrosetta_inputs
from nets.features import compute_features
from nets.launch import train_dataset
from nets.model import contact_logit
from nets.networks import network_of
from nets.predict import distance_logits, predict_together, prediction_bytes, refine_file
from nets.relatives import known_families
from nets.shards import write_shards
from nets.train import Trainer, data_card, train_refiner
from nets.trrosetta import FITTED, published_expert, published_weights

SMALL = RefinerConfig(
    pair_maps=(INVERSE,), channels=8, blocks=2, dilations=(1, 2), pool_every=0, architecture="trrosetta"
)


def alignment(seed=3, rows=40, length=13):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, 21, size=(rows, length)) * (rng.random((rows, length)) < 0.6)
    return tokens.astype(np.int8)


def own_map(network, tokens):
    """P(d < 8) of a published network, by its own input and its own bins."""
    with torch.no_grad():
        x = torch.from_numpy(trrosetta_inputs(tokens))[None]
        return torch.softmax(network.eval()(x), dim=1)[0, 1:13].sum(0).numpy()


def agree(contact, own, tolerance):
    off = ~np.eye(len(own), dtype=bool)
    assert own[off].max() > 1.5 * own[off].min()  # there is something to tell apart
    assert contact[off] == pytest.approx(own[off], abs=tolerance)


def test_at_step_0_it_gives_the_published_map(tmp_path, monkeypatch):
    publish(tmp_path, monkeypatch)
    tokens = alignment()
    for number in (1, 4):
        path = tmp_path / f"{number}.safetensors"
        published_weights(number, path)
        loaded = load_refiner(str(path))
        assert loaded.model.config.blocks == BLOCKS
        network = [found for _, found in published_networks()][number - 1]
        prediction, _ = predict_together([loaded], tokens)
        agree(prediction.contact, own_map(network, tokens), 1e-3)  # features are rounded to 11 bits
        assert np.array_equal(prediction.contact, prediction.contact.T)
        assert np.array_equal(prediction.distance, prediction.distance.transpose(1, 0, 2))
        trainer = Trainer(
            examples_of(tmp_path / f"of{number}"), loaded.model.config, TrainConfig(), tmp_path, start=loaded
        )
        features = compute_features(tokens, (INVERSE,))
        contact = torch.sigmoid(contact_logit(distance_logits(trainer.averaged(), features), 5)).numpy()
        agree(contact, own_map(network, tokens), 1e-3)


def test_at_step_0_of_the_package_too(tmp_path):
    try:
        find_package_file(experts.TRROSETTA_FILE)
    except FetchError:
        pytest.skip("tr-rosetta-pytorch is not installed")
    published_weights(2, tmp_path / "2.safetensors")
    tokens = alignment(rows=300, length=24)
    prediction, _ = predict_together([load_refiner(str(tmp_path / "2.safetensors"))], tokens)
    agree(prediction.contact, own_map([network for _, network in published_networks()][1], tokens), 2e-3)


def test_its_input_is_that_of_the_published_networks():
    tokens = alignment()
    model = network_of(SMALL)
    every = np.arange(tokens.shape[1])
    features = compute_features(tokens, (INVERSE,))
    with torch.no_grad():
        found = model.embed(cut_pixels(features, every, every))[0]
        x = torch.from_numpy(trrosetta_inputs(tokens))[None]
        expected = model.network.first_block[0](x)[0].permute(1, 2, 0)
    assert torch.allclose(found, expected, atol=2e-3)
    assert (found - expected)[every, every].abs().max() < 2e-3  # the diagonal has blocks too, and no norm


def test_maps_of_a_batch_do_not_mix():
    pixels = [
        cut_pixels(compute_features(alignment(seed), (INVERSE,)), np.arange(13), np.arange(13))
        for seed in (1, 2)
    ]
    model = network_of(SMALL).eval()
    with torch.no_grad():
        both = model(pixels[0].joined(pixels))
        for k, one in enumerate(pixels):
            assert torch.allclose(both[k], model(one)[0], atol=1e-5)


def examples_of(folder, count=4, length=30):
    """Families whose contacts (i, L - 1 - i) are their covariations, in the form of this architecture."""
    made = []
    for n in range(count):
        rng = np.random.default_rng(n)
        tokens = rng.integers(0, 20, size=(120, length)).astype(np.int8)
        distance = np.full((length, length), 15.0, dtype=np.float32)
        for i in range(length // 2 - 3):
            j = length - 1 - i
            tokens[:, j] = np.where(rng.random(120) < 0.8, tokens[:, i], tokens[:, j])
            distance[i, j] = distance[j, i] = 6.0
        write_example(folder / f"{n}.npz", tokens, distance, rng, 1, (INVERSE,))
        made.append(
            Example(f"p{n}", str(folder / f"{n}.npz"), f"c{n}", "tune" if n == count - 1 else "train")
        )
    return made


def settings(**changes):
    return TrainConfig(
        **{"steps": 6, "batch": 2, "crop": 20, "save_every": 2, "evaluate_every": 6, "learning_rate": 5e-3}
        | changes
    )


def test_crops_are_squares_on_the_diagonal(tmp_path):
    example = examples_of(tmp_path, 1)[0]
    for seed in range(12):
        pixels, bins = random_crop(example, 20, np.random.default_rng(seed), diagonal=True)
        assert not pixels.separation[0].diagonal().any()
        assert torch.equal(bins[0], bins[0].T)


def test_it_learns_is_resumed_and_says_where_it_comes_from(tmp_path, monkeypatch):
    publish(tmp_path, monkeypatch)
    published_weights(1, tmp_path / "start.safetensors")
    start = load_refiner(str(tmp_path / "start.safetensors"))
    assert published(start.card) == "trrosetta (start)"
    examples = examples_of(tmp_path / "examples")
    how = settings(steps=10, average=0.9)
    whole = Trainer(examples, start.model.config, how, tmp_path / "whole", start=start)
    whole.run()
    losses = [row["loss"] for row in whole.history]
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])
    broken = Trainer(examples, start.model.config, how, tmp_path / "broken", start=start)
    broken.run(interrupted=lambda: broken.step == 5)
    again = Trainer(examples, start.model.config, how, tmp_path / "broken", start=start)
    again.run()
    for name, value in whole.averaged().state_dict().items():
        assert torch.equal(value, again.averaged().state_dict()[name])
    loaded = load_refiner(str(whole.finish(data_card(examples, start))))
    assert published(loaded.card) == "trrosetta (start)"
    assert loaded.card["start"]["card"]["published"]["licence"] == "MIT"
    tokens = alignment()
    save_arrays(tmp_path / "alignment.npz", tokens=tokens)
    refine_file(
        str(tmp_path / "alignment.npz"), str(tmp_path / "r.npz"), [loaded.name, "default"], "both", "cpu"
    )
    assert str(load_arrays(tmp_path / "r.npz")["published"]) == "trrosetta (start)"


def test_shards_and_files_train_alike_from_a_start(tmp_path, monkeypatch):
    publish(tmp_path, monkeypatch)
    published_weights(1, tmp_path / "start.safetensors")
    examples = examples_of(tmp_path / "examples")
    write_shards([vars(example) for example in examples], tmp_path / "set")
    assert load_json(tmp_path / "set/manifest.json")["pair_maps"] == [INVERSE]
    how = {"model": {}, "settings": vars(settings()), "start": str(tmp_path / "start.safetensors")}
    train_dataset(
        str(tmp_path / "set/manifest.json"), str(tmp_path / "shards/weights.safetensors"), **how, device="cpu"
    )
    train_refiner(
        [vars(example) for example in examples],
        str(tmp_path / "files/weights.safetensors"),
        **how,
        device="cpu",
    )
    states = [load_refiner(str(tmp_path / name / "weights.safetensors")) for name in ("shards", "files")]
    for name, value in states[0].model.state_dict().items():
        assert torch.equal(value, states[1].model.state_dict()[name])


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "refiner"},
        {"pair_maps": (INVERSE, "mi")},
        {"pair_maps": ("mi",)},
        {"architecture": "alphafold"},
    ],
)
def test_settings_that_no_network_has_are_refused(changes):
    with pytest.raises(ValueError, match="architecture"):
        replace(SMALL, **changes)


def test_a_start_of_the_other_architecture_is_refused(tmp_path):
    with pytest.raises(CovarionError, match="another shape"):
        Trainer(examples_of(tmp_path), SMALL, settings(), tmp_path, start=load_refiner("default"))


def test_memory_is_counted_before_it_is_taken():
    large = replace(SMALL, channels=64, blocks=61)
    assert prediction_bytes(1000, large) - prediction_bytes(100, large) > 3000 * (1000**2 - 100**2)


def test_a_network_that_is_not_there_is_refused(tmp_path, monkeypatch):
    publish(tmp_path, monkeypatch)
    with pytest.raises(CovarionError, match="1 to 5"):
        published_weights(6, tmp_path / "never.safetensors")
    assert not (tmp_path / "never.safetensors").exists()


def test_all_five_are_one_calibrated_expert(tmp_path, monkeypatch):
    publish(tmp_path, monkeypatch)
    tokens, path, fit = alignment(), tmp_path / "all.safetensors", tmp_path / "fit.json"
    published_expert(path, fitted=None)
    digest = load_refiner(str(path)).card["published"]["parameters_sha256"]
    fitted = load_json(FITTED) | {"parameters_sha256": digest}
    save_json(fit, fitted)
    published_expert(path, fit)
    loaded = load_refiner(str(path))
    assert loaded.model.config.members == 5
    assert loaded.calibration == fitted["calibration"]
    assert loaded.chain == ChainPrior(**fitted["chain"])
    assert published(loaded.card) == "trrosetta (start)"
    assert {row.family for row in known_families(path)} == set(fitted["tune"]["proteins"])
    assert {row.split for row in known_families(path)} == {"tune"}
    features = compute_features(tokens, (INVERSE,))
    alone = []
    for number in range(1, 6):
        published_weights(number, tmp_path / "one.safetensors")
        alone.append(distance_logits(load_refiner(str(tmp_path / "one.safetensors")).model, features))
    together = distance_logits(loaded.model, features)
    mean = torch.stack(alone).softmax(-1).mean(0).numpy()
    assert together.softmax(-1).numpy() == pytest.approx(mean, abs=0.005)  # half precision


def test_chains_and_calibration_go_with_the_networks_that_they_were_fitted_for(tmp_path, monkeypatch):
    publish(tmp_path, monkeypatch)
    with pytest.raises(CovarionError, match=r"trrosetta.json: other networks than those"):
        published_expert(tmp_path / "all.safetensors")
    assert list(tmp_path.glob("all*")) == []
