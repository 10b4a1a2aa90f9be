"""A teacher: its bins as ours, its labels in files and shards, and a network that learns from them."""

import logging
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from published_fixtures import publish
from training_fixtures import LENGTH, as_files, write_examples

from data.errors import CovarionError
from data.store import load_arrays, load_json, save_arrays
from nets.card import published
from nets.checkpoint import load_refiner
from nets.config import BIN_EDGES, RefinerConfig, TrainConfig
from nets.dataset import random_crop, read_example
from nets.experts import bin_groups
from nets.launch import train_dataset
from nets.losses import UNRESOLVED, refiner_loss, taught_loss, teacher_loss
from nets.manifest import training_files
from nets.model import contact_logit
from nets.predict import distance_logits
from nets.shards import write_shards
from nets.teacher import ask_teacher, save_labels, soft_bins
from nets.train import Trainer, data_card

MODEL = RefinerConfig(channels=8, blocks=2)
NETWORKS = {"name": "trrosetta", "networks_sha256": "0" * 64}


def settings(**changes):
    return TrainConfig(
        **{"steps": 6, "batch": 2, "crop": 24, "save_every": 3, "evaluate_every": 9, "teacher": "trrosetta"}
        | changes
    )


def naive_bins(published, edges):
    """Each published bin by the middle of its half angstrom; the first lies beyond 20."""
    found = np.zeros(len(edges) - 1)
    for k, share in enumerate(published):
        middle = 2.25 + 0.5 * (k - 1) if k else 1e6
        for b in range(len(edges) - 1):
            if edges[b] <= middle < edges[b + 1]:
                found[b] += share
    return found


@pytest.mark.parametrize("edges", [BIN_EDGES, (0.0, 8.0, 12.5, 1e9), (0.0, 8.0, 20.0, 1e9)])
def test_bins_are_those_of_the_naive_twin(edges):
    rng = np.random.default_rng(5)
    given = rng.dirichlet(np.full(37, 0.3), size=6)
    given[0] = np.eye(37)[0]
    found = soft_bins(given, edges)
    assert found == pytest.approx(np.array([naive_bins(row, edges) for row in given]), abs=1e-6)
    assert found.sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize("edges", [(0.0, 7.7, 8.0, 1e9), (0.0, 8.0, 25.0, 1e9), (0.0, 1.0, 8.0, 1e9)])
def test_bins_that_published_ones_do_not_make_up_are_refused(edges):
    with pytest.raises(CovarionError, match="half steps"):
        bin_groups(edges)


@pytest.fixture
def crop():
    """Logits, true bins with an unresolved residue, a teacher's distribution, separations."""
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(1, 9, 9, 16, generator=generator, requires_grad=True)
    bins = torch.randint(0, 16, (1, 9, 9), generator=generator).to(torch.uint8)
    bins[:, 2] = UNRESOLVED
    soft = torch.softmax(2 * torch.randn(1, 9, 9, 16, generator=generator), dim=-1)
    place = torch.arange(9)
    return logits, bins, soft, (place[:, None] - place).abs()[None]


def test_the_loss_is_that_of_the_formulas(crop):
    logits, bins, soft, separation = crop
    far = (separation >= 3)[0]
    log_p, p = torch.log_softmax(logits, -1)[0][far], soft[0][far]
    contact = torch.sigmoid(contact_logit(logits, 5))[0][far]
    near = p[:, :5].sum(1)
    binary = -(near * contact.log() + (1 - near) * (1 - contact).log()).mean()
    taught = -(p * log_p).sum(1).mean() + 3 * binary
    assert teacher_loss(logits, soft, separation, 5, 3.0).item() == pytest.approx(taught.item(), rel=1e-5)
    true = refiner_loss(logits, bins, separation, 5, 3.0)
    for share in (0.0, 0.25, 1.0):
        mixed = taught_loss(logits, bins, soft, separation, 5, 3.0, share)
        assert mixed.item() == pytest.approx(((1 - share) * true + share * taught).item(), rel=1e-5)


def test_where_the_teacher_says_nothing_true_labels_have_it_all(crop):
    logits, bins, soft, separation = crop
    true = refiner_loss(logits, bins, separation, 5, 3.0)
    for nothing in (None, torch.zeros_like(soft)):
        assert taught_loss(logits, bins, nothing, separation, 5, 3.0, 0.7) == true
    assert teacher_loss(logits, torch.zeros_like(soft), separation, 5, 3.0).item() == 0


def test_the_teacher_labels_residues_without_a_place_and_no_neighbours(crop):
    logits, bins, soft, separation = crop
    taught_loss(logits, bins, soft, separation, 5, 3.0, 0.5).backward()
    assert logits.grad[0, 2, 8].abs().sum() > 0
    assert logits.grad[0, 2, 4].abs().sum() == 0
    logits.grad = None
    taught_loss(logits, bins, None, separation, 5, 3.0, 0.5).backward()
    assert logits.grad[0, 2, 8].abs().sum() == 0


def touching(pairs):
    """A teacher that is nearly sure: these pairs at 7 angstrom, all others far."""
    distance = np.full((LENGTH, LENGTH, 37), 1e-4, dtype=np.float32)
    distance[..., 0] = 1 - 36e-4
    for i, j in pairs:
        for a, b in ((i, j), (j, i)):
            distance[a, b, 0], distance[a, b, 11] = 1e-4, 1 - 36e-4
    return distance


PAIRS = [(i, LENGTH - 1 - i) for i in range(LENGTH // 2 - 3)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_examples(tmp_path_factory.mktemp("examples"), rows=150)


def taught(files, folder, pairs):
    """The same examples with a teacher's labels, but for the one that tunes."""
    made = []
    for example in files:
        path = folder / f"{example.protein}.teacher.npz"
        save_labels(path, touching(pairs), **NETWORKS)
        made.append(replace(example, teacher=str(path) if example.split == "train" else ""))
    return made


def test_a_crop_s_labels_are_those_of_its_pairs(files, tmp_path):
    example = taught(files, tmp_path, PAIRS)[0]
    whole = soft_bins(touching(PAIRS), BIN_EDGES)
    for seed in range(4):
        pixels, bins, soft = random_crop(example, 11, np.random.default_rng(seed), taught=BIN_EDGES)
        found = random_crop(example, 11, np.random.default_rng(seed))  # the draws are the same
        assert torch.equal(found[0].couplings, pixels.couplings)
        assert torch.equal(found[1], bins)
        begin = np.random.default_rng(seed)
        begin.integers(1 << 16)
        rows, cols = begin.integers(0, LENGTH - 10, size=2)
        cols = rows if begin.random() < 0.5 else cols
        expected = whole[rows : rows + 11, cols : cols + 11]
        off = pixels.separation[0] > 0
        assert soft[0][off].numpy() == pytest.approx(expected[off.numpy()], abs=1e-3)
    none = random_crop(files[0], 11, np.random.default_rng(0), taught=BIN_EDGES)
    assert not none[2].any()


def contact_margin(trainer, example):
    """How far log odds of the planted pairs lie above those of all others."""
    odds = contact_logit(distance_logits(trainer.averaged(), read_example(example.path, 0)[0]), 5).numpy()
    return np.mean([odds[pair] for pair in PAIRS]) - odds[np.triu_indices(LENGTH, 6)].mean()


def test_a_network_learns_what_the_teacher_says_and_nothing_from_a_shuffled_one(files, tmp_path):
    # Nothing but the teacher: with a share of 1 the true labels are not looked at.
    how = settings(steps=30, learning_rate=2e-2, average=0.9, teacher_weight=1.0, evaluate_every=1000)
    good = Trainer(taught(files, tmp_path, PAIRS), MODEL, how, tmp_path / "good")
    good.run()
    rng = np.random.default_rng(0)
    shuffled = []
    for example in taught(files, tmp_path, PAIRS):
        places = rng.permutation(LENGTH)
        path = tmp_path / f"{example.protein}.shuffled.npz"
        save_labels(path, touching(PAIRS)[places][:, places], **NETWORKS)
        shuffled.append(replace(example, teacher=str(path) if example.teacher else ""))
    bad = Trainer(shuffled, MODEL, how, tmp_path / "bad")
    bad.run()
    learned, chance = contact_margin(good, files[4]), contact_margin(bad, files[4])
    assert learned > 0.1
    assert abs(chance) < 0.2 * learned


def test_without_the_setting_labels_change_nothing(files, tmp_path):
    plain = Trainer(files, MODEL, settings(teacher=""), tmp_path / "plain")
    plain.run()
    given = Trainer(taught(files, tmp_path, PAIRS), MODEL, settings(teacher=""), tmp_path / "given")
    given.run()
    for name, value in plain.averaged().state_dict().items():
        assert torch.equal(value, given.averaged().state_dict()[name])
    with pytest.raises(CovarionError, match="labels of the teacher"):
        Trainer(files, MODEL, settings(), tmp_path / "none")


@pytest.mark.parametrize(("name", "value"), [("teacher", "someone"), ("teacher_weight", 1.5)])
def test_other_teachers_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        TrainConfig(**{name: value})


def test_the_card_says_who_taught_and_so_do_weights_that_go_on(files, tmp_path):
    first = Trainer(taught(files, tmp_path, PAIRS), MODEL, settings(), tmp_path / "first")
    first.run()
    loaded = load_refiner(str(first.finish(data_card(files))))
    assert published(loaded.card, loaded.model.config.pair_maps) == "trrosetta (teacher)"
    second = Trainer(files, MODEL, settings(teacher=""), tmp_path / "second", start=loaded)
    second.run()
    later = load_refiner(str(second.finish(data_card(files, loaded))))
    assert published(later.card) == "trrosetta (teacher)"
    assert published(load_refiner("default").card) == ""
    assert published({}, ("ridge", "expert:trrosetta-8")) == "trrosetta (expert)"


def test_shards_carry_the_labels(files, tmp_path):
    examples = taught(files, tmp_path, PAIRS)
    write_shards(as_files(examples), tmp_path / "set", megabytes=1)
    manifest = load_json(tmp_path / "set/manifest.json")
    assert manifest["teacher"] == NETWORKS
    assert [e.get("teacher", False) for e in manifest["examples"]] == [
        e["split"] == "train" for e in manifest["examples"]
    ]
    alone = Trainer(examples, MODEL, settings(), tmp_path / "alone")
    alone.run()
    path = str(tmp_path / "set/manifest.json")
    how = {"model": {"channels": 8, "blocks": 2}, "settings": vars(settings())}
    train_dataset(path, str(tmp_path / "sharded/weights.safetensors"), **how)
    sharded = load_refiner(str(tmp_path / "sharded/weights.safetensors")).model.state_dict()
    for name, value in alone.averaged().state_dict().items():
        assert torch.equal(value.to(torch.float16).float(), sharded[name])
    entries, _ = training_files(path)
    assert not any("teacher" in entry for entry in entries)


def test_a_data_set_without_a_teacher_or_of_two_is_refused(files, tmp_path):
    write_shards(as_files(files), tmp_path / "set")
    assert "teacher" not in load_json(tmp_path / "set/manifest.json")
    with pytest.raises(CovarionError, match="settings: teacher"):
        training_files(tmp_path / "set/manifest.json", teacher="trrosetta")
    examples = taught(files, tmp_path, PAIRS)
    save_labels(examples[0].teacher, touching(PAIRS), **NETWORKS | {"networks_sha256": "1" * 64})
    with pytest.raises(CovarionError, match="several teachers"):
        write_shards(as_files(examples), tmp_path / "two")


def test_labels_of_another_form_are_refused(files, tmp_path):
    save_arrays(tmp_path / "x.npz", teacher=np.zeros((3, 5), dtype=np.float16))
    for path, problem in ((tmp_path / "x.npz", "no soft labels"), (files[0].path, "missing; found: teacher")):
        with pytest.raises(CovarionError, match=problem):
            replace(files[0], teacher=str(path)).labels()


def test_the_teacher_is_asked_once(tmp_path, monkeypatch, caplog):
    publish(tmp_path, monkeypatch)
    tokens = np.random.default_rng(1).integers(0, 21, size=(20, 8)).astype(np.int8)
    alignment, out = tmp_path / "alignment.npz", tmp_path / "teacher.npz"
    save_arrays(alignment, tokens=tokens)
    ask_teacher(str(alignment), str(out))
    arrays = load_arrays(out)
    assert arrays["teacher"].shape == (28, 37)
    assert arrays["teacher"].astype(np.float32).sum(axis=1) == pytest.approx(1.0, abs=2e-3)
    assert (str(arrays["name"]), str(arrays["licence"])) == ("trrosetta", "MIT")
    os.utime(out, (1, 1))
    with caplog.at_level(logging.INFO):
        ask_teacher(str(alignment), str(out))
    assert "is current" in caplog.text
    assert out.stat().st_mtime == 1
    save_arrays(alignment, tokens=tokens[::-1])
    ask_teacher(str(alignment), str(out))  # another alignment
    assert out.stat().st_mtime > 1
    before = str(load_arrays(out)["networks_sha256"])
    publish(tmp_path, monkeypatch, seed=9)
    ask_teacher(str(alignment), str(out))  # other networks
    assert str(load_arrays(out)["networks_sha256"]) != before
    with pytest.raises(CovarionError, match="no such teacher"):
        ask_teacher(str(alignment), str(out), "someone")
