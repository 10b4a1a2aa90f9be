"""Training: it learns, resumes to the bit, calibrates, and its weights open without any other file."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from data.errors import CovarionError, MapError
from nets.calibrate import _fit_logistic, _Sample, packed_contact_logits, tuning_scores
from nets.card import acquaintance, learned_clusters
from nets.checkpoint import _with_depth, load_refiner
from nets.config import RefinerConfig, TrainConfig
from nets.dataset import Example, read_example, write_example
from nets.predict import predict
from nets.probability import DEPTHS, calibrated
from nets.shipped import find_weights
from nets.train import Trainer, data_card, schedule, train_refiner

MODEL = RefinerConfig(channels=8, blocks=2)
LENGTH = 30


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Families whose true contacts are their strongest covariations: pairs (i, L - 1 - i) share a letter."""
    folder = tmp_path_factory.mktemp("examples")
    made = []
    for n in range(5):
        rng = np.random.default_rng(n)
        tokens = rng.integers(0, 20, size=(150, LENGTH)).astype(np.int8)
        distance = np.full((LENGTH, LENGTH), 15.0, dtype=np.float32)
        for i in range(LENGTH // 2 - 3):
            j = LENGTH - 1 - i
            tokens[:, j] = np.where(rng.random(150) < 0.8, tokens[:, i], tokens[:, j])
            distance[i, j] = distance[j, i] = 6.0
        path = folder / f"{n}.npz"
        write_example(path, tokens, distance, rng, count=1)
        made.append(Example(f"p{n}", str(path), f"c{n}", "tune" if n == 4 else "train"))
    return made


def settings(**changes):
    return TrainConfig(**{"steps": 8, "batch": 2, "crop": 24, "save_every": 2, "evaluate_every": 4} | changes)


def test_labels_in_other_bins_than_the_networks_are_refused(examples, tmp_path):
    with pytest.raises(CovarionError, match="labels in other distance bins"):
        Trainer(examples, replace(MODEL, bin_edges=(0.0, 8.0, 16.0)), settings(), tmp_path)


def test_it_learns_and_its_weights_say_so(examples, tmp_path):
    trainer = Trainer(examples, MODEL, settings(steps=60, learning_rate=5e-3, average=0.9), tmp_path)
    trainer.run()
    losses = [row["loss"] for row in trainer.history]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    path = trainer.finish(data_card(examples))
    loaded = load_refiner(str(path))
    prediction = predict(loaded, read_example(examples[4].path, 0)[0])
    hits = [prediction.contact[i, LENGTH - 1 - i] for i in range(LENGTH // 2 - 3)]
    others = prediction.contact[np.triu_indices(LENGTH, 6)]
    assert np.mean(hits) > 5 * others.mean()
    assert loaded.card["train"]["proteins"] == ["p0", "p1", "p2", "p3"]
    assert loaded.card["tune"]["clusters"] == ["c4"]
    known = [
        acquaintance(loaded.card, *names) for names in (("p0", "x"), ("x", "c1"), ("p4", "c4"), ("p9", "c9"))
    ]
    assert known == ["protein", "cluster", "tuned", ""]
    later = data_card([Example("q", examples[0].path, "d", "train")], loaded)
    assert [acquaintance(later, "q", "d"), acquaintance(later, "p0", "x")] == ["protein", "protein"]
    assert prediction.distance.sum(-1) == pytest.approx(1.0, abs=1e-5)


def test_a_killed_run_ends_in_the_same_weights(examples, tmp_path):
    whole = Trainer(examples, MODEL, settings(), tmp_path / "whole")
    whole.run()
    broken = Trainer(examples, MODEL, settings(), tmp_path / "broken")
    update = broken._update

    def dies(crops):
        if broken.step == 5:
            raise KeyboardInterrupt
        update(crops)

    broken._update = dies
    with pytest.raises(KeyboardInterrupt):
        broken.run()
    again = Trainer(examples, MODEL, settings(), tmp_path / "broken")
    again.run()
    assert again.history == whole.history
    for name, value in whole.average.items():
        assert torch.equal(value, again.average[name]), name


def test_a_checkpoint_of_other_settings_is_not_continued(examples, tmp_path):
    Trainer(examples, MODEL, settings(steps=4), tmp_path).run()
    other = Trainer(examples, MODEL, settings(steps=4, seed=9), tmp_path)
    other.resume()
    assert other.step == 0


def test_a_checkpoint_of_another_split_is_not_continued(examples, tmp_path):
    Trainer(examples, MODEL, settings(steps=4), tmp_path).run()
    swapped = [replace(e, split="tune" if e.protein == "p0" else "train") for e in examples]
    other = Trainer(swapped, MODEL, settings(steps=4), tmp_path)
    other.resume()
    assert other.step == 0


def test_training_on_nothing_is_refused(examples, tmp_path):
    with pytest.raises(CovarionError, match="nothing to train on"):
        Trainer([e for e in examples if e.split == "tune"], MODEL, settings(), tmp_path)


def test_the_rule_s_entry_point_writes_weights(examples, tmp_path):
    files = [vars(example) for example in examples]
    out = tmp_path / "weights.safetensors"
    train_refiner(files, out, {"channels": 8, "blocks": 1}, {"steps": 2, "batch": 1, "crop": 16}, "cpu", 1)
    assert load_refiner(str(out)).model.config.blocks == 1
    assert not (tmp_path / "checkpoint.safetensors").exists()  # whole weights need none


def test_weights_have_the_name_that_was_asked_for(examples, tmp_path):
    """Runs with names of their own share a folder: one leaves the files of the other alone."""
    files, run = [vars(example) for example in examples], {"steps": 2, "batch": 1, "crop": 16}
    for name in ("mine", "weights"):
        out = tmp_path / f"{name}.safetensors"
        train_refiner(files, str(out), {"channels": 8, "blocks": 1}, run, "cpu", 1)
        assert load_refiner(str(out)).model.config.blocks == 1
    of_mine = {"mine.safetensors", "mine.families.tsv", "mine.history.tsv"}
    assert {path.name for path in tmp_path.iterdir()} == of_mine | {
        "weights.safetensors", "weights.families.tsv", "history.tsv"
    }  # fmt: skip


def test_a_run_of_another_name_goes_on_from_its_own_checkpoint(examples, tmp_path):
    Trainer(examples, MODEL, settings(steps=4), tmp_path, name="mine.safetensors").run()
    assert (tmp_path / "mine.checkpoint.safetensors").is_file()
    own, other = (Trainer(examples, MODEL, settings(steps=4), tmp_path, name=f"{n}.safetensors") for n in
                  ("mine", "weights"))  # fmt: skip
    own.resume()
    other.resume()
    assert own.step == 4
    assert other.step == 0


@pytest.mark.parametrize("name", ["weights", "w.npz", "checkpoint.safetensors", "a.checkpoint.safetensors"])
def test_a_name_that_weights_cannot_have_is_refused(examples, tmp_path, name):
    with pytest.raises(CovarionError, match="cannot have this name"):
        train_refiner([vars(e) for e in examples], str(tmp_path / name), {}, {"steps": 1}, "cpu", 1)
    assert not list(tmp_path.iterdir())


def test_training_goes_on_from_weights(examples, tmp_path, caplog):
    first = Trainer(examples, MODEL, settings(steps=4), tmp_path / "first")
    first.run()
    path = first.finish(data_card(examples))
    files = [vars(example) for example in examples]
    out = tmp_path / "second" / "weights.safetensors"
    small = {"steps": 1, "batch": 1, "crop": 16, "learning_rate": 1e-9, "average": 0.0}
    with caplog.at_level("INFO"):
        train_refiner(files, out, {}, small, "cpu", 1, start=str(path))
    assert "before training: {'full_L1'" in caplog.text
    begun, after = load_refiner(str(path)), load_refiner(str(out))
    for name, value in begun.model.state_dict().items():
        torch.testing.assert_close(after.model.state_dict()[name], value, atol=1e-3, rtol=1e-3)
    assert after.card["start"]["sha256"] == begun.sha256
    assert learned_clusters(after.card) == {"c0", "c1", "c2", "c3"}


def test_no_step_at_all_fits_chains_and_calibration_of_a_start(examples, tmp_path):
    first = Trainer(examples, MODEL, settings(steps=4), tmp_path / "first")
    first.run()
    path = first.finish(data_card(examples))
    out, files = tmp_path / "second" / "weights.safetensors", [vars(example) for example in examples]
    train_refiner(files, out, {}, {"steps": 0, "chain": 0.4}, "cpu", 1, start=str(path))
    begun, after = load_refiner(str(path)), load_refiner(str(out))
    assert begun.chain is None
    assert after.chain.weight == 0.4
    for name, value in begun.model.state_dict().items():
        torch.testing.assert_close(after.model.state_dict()[name], value, rtol=0, atol=0)
    tuning = next(e for e in examples if e.split == "tune")
    plain = packed_contact_logits(after.model, tuning, 0)[0]
    assert np.abs(packed_contact_logits(after.model, tuning, 0, after.chain)[0] - plain).max() > 0.01
    untuned = [entry for entry in files if entry["split"] == "train"]
    train_refiner(untuned, out, {}, {"steps": 0, "chain": 0.4}, "cpu", 1, start=str(path))
    assert load_refiner(str(out)).chain is None  # nothing to know the mean from


def test_what_is_kept_of_the_start(examples, tmp_path):
    first = Trainer(examples, MODEL, settings(steps=2), tmp_path / "first")
    first.run()
    begun = load_refiner(str(first.finish(data_card(examples))))
    trained = []
    for keep in (0.0, 0.25, 1.0):
        trainer = Trainer(
            examples, MODEL, settings(keep_start=keep, learning_rate=5e-3), tmp_path / str(keep), start=begun
        )
        trainer.run()
        trained.append(trainer.averaged().state_dict())
    for name, value in begun.model.state_dict().items():
        torch.testing.assert_close(
            trained[1][name], 0.75 * trained[0][name] + 0.25 * value, atol=1e-6, rtol=1e-5
        )
        torch.testing.assert_close(trained[2][name], value)


def test_a_start_that_cannot_be_used_is_refused(examples, tmp_path):
    first = Trainer(examples, MODEL, settings(steps=1), tmp_path / "first")
    first.run()
    begun = load_refiner(str(first.finish(data_card(examples))))
    wider = replace(MODEL, channels=16)
    with pytest.raises(CovarionError, match="another shape"):
        Trainer(examples, wider, settings(), tmp_path, start=begun)
    turned = [replace(e, split="tune" if e.cluster == "c0" else "train") for e in examples]
    with pytest.raises(CovarionError, match="have learned from tuning families; found: c0"):
        Trainer(turned, MODEL, settings(), tmp_path, start=begun)


def test_a_start_that_knows_a_tuning_protein_from_another_cluster_is_refused(examples, tmp_path):
    first = Trainer(examples, MODEL, settings(steps=1), tmp_path / "first")
    first.run()
    begun = load_refiner(str(first.finish(data_card(examples))))
    alone = [replace(examples[0], cluster="p0", split="tune"), *examples[1:4]]  # no cluster in the table
    with pytest.raises(CovarionError, match="have learned from tuning families; found: p0"):
        Trainer(alone, MODEL, settings(), tmp_path, start=begun)


def test_shuffled_labels_teach_nothing_about_pairs(examples, tmp_path):
    """With its labels put on other pairs, what is learned cannot tell contacts from other pairs."""
    shuffled = []
    for number, example in enumerate(examples):
        with np.load(example.path) as archive:
            arrays = dict(archive)
        if example.split == "train":
            arrays["bins"] = np.random.default_rng(number).permutation(arrays["bins"])
        path = tmp_path / f"{number}.npz"
        np.savez(path, **arrays)
        shuffled.append(replace(example, path=str(path)))
    found = {}
    for name, files in (("true", examples), ("shuffled", shuffled)):
        run = settings(steps=60, learning_rate=5e-3, average=0.9)
        trainer = Trainer(files, MODEL, run, tmp_path / name)
        trainer.run()
        logit, truth, separation = packed_contact_logits(trainer.averaged(), files[4], 0)
        far = separation >= 6
        probability = 1 / (1 + np.exp(-logit[far]))
        found[name] = probability[truth[far] == 1].mean() / probability.mean()
    assert found["true"] > 1.2  # contacts are told from other pairs
    assert found["shuffled"] == pytest.approx(1, abs=0.05)  # all pairs get the base rate


def test_a_cluster_is_scored_by_its_first_member_that_is_short_enough(examples, tmp_path, monkeypatch):
    longer = tmp_path / "long.npz"
    tokens, distance = np.zeros((20, LENGTH + 1), np.int8), np.full((LENGTH + 1, LENGTH + 1), 6.0, np.float32)
    write_example(longer, tokens, distance, np.random.default_rng(1), count=1)
    long_one = Example("a", str(longer), "c4", "tune")
    later = replace(examples[0], protein="q", cluster="c4")
    model = Trainer(examples, MODEL, settings(), tmp_path).averaged()
    monkeypatch.setattr("nets.calibrate.LONGEST_LOOK", LENGTH)
    assert tuning_scores(model, [later, examples[4], long_one]) == tuning_scores(model, [examples[4]])
    assert tuning_scores(model, [long_one]) == {}


def test_the_length_of_an_example_is_that_of_its_features(examples):
    assert examples[0].length == examples[0].read(0)[0].length == LENGTH


@pytest.mark.parametrize(
    ("steps", "said"), [(1, "tensors beyond half precision, first "), (8, "loss nan at step")]
)
def test_a_run_that_diverged_says_so_and_writes_no_weights(examples, tmp_path, steps, said):
    out = tmp_path / "weights.safetensors"
    run = {"steps": steps, "batch": 1, "crop": 16, "learning_rate": 1e20, "save_every": 1}
    with pytest.raises(CovarionError, match=f"has diverged.*{said}.*lower the learning rate"):
        train_refiner([vars(e) for e in examples], str(out), {"channels": 8, "blocks": 1}, run, "cpu", 1)
    assert not out.exists()
    assert (tmp_path / "checkpoint.safetensors").exists()


def test_losses_that_were_left_on_a_device_are_looked_at_when_they_are_read(examples, tmp_path):
    trainer = Trainer(examples, MODEL, settings(), tmp_path)
    trainer.history.append({"step": 1, "loss": 0.0})
    trainer.unread.append((0, torch.tensor(float("inf"))))
    with pytest.raises(CovarionError, match="loss inf at step 1"):
        trainer.save()
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_learning_rate_rises_then_falls():
    values = [schedule(step, 100) for step in range(100)]
    assert values[0] < values[4] == max(values)
    assert values[-1] < 0.02


def test_calibration_recovers_known_numbers():
    rng = np.random.default_rng(0)
    samples = []
    for depth in (-2.0, 0.0, 2.0):
        logit = rng.normal(0, 2, size=200_000)
        odds = np.exp(-0.7 + 0.1 * depth) * logit - 1.0 + 0.3 * depth
        samples.append(_Sample(logit, rng.random(logit.size) < 1 / (1 + np.exp(-odds)), depth, 1.0))
    assert _fit_logistic(samples) == pytest.approx([-0.7, 0.1, -1.0, 0.3], abs=0.02)


def test_calibration_at_one_depth_leaves_the_other_numbers_alone():
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 2, size=200_000)
    truth = rng.random(logit.size) < 1 / (1 + np.exp(-(0.5 * logit - 1.0)))
    a, b, c, d = _fit_logistic([_Sample(logit, truth, 0.0, 1.0)])
    assert (np.exp(a), c) == pytest.approx((0.5, -1.0), abs=0.02)
    assert (b, d) == pytest.approx((0.0, 0.0), abs=1e-6)


def test_probabilities_follow_range_and_depth():
    numbers = [[0.0, 0.0, 0.0, 0.0], [0.5, 0.0, -1.0, 0.0], [0.0, 0.1, 0.0, 0.5]]
    odds, separation = np.array([0.5, 0.5, 0.5]), np.array([6, 12, 24])
    n = np.log(1000 / 300)
    z = [0.5, np.exp(0.5) * 0.5 - 1, np.exp(0.1 * n) * 0.5 + 0.5 * n]
    found = calibrated(odds, separation, 1000.0, numbers)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-np.array(z))), rtol=1e-12)
    deep = calibrated(odds, separation, 1e9, numbers)
    np.testing.assert_array_equal(deep, calibrated(odds, separation, 300 * np.exp(DEPTHS[1]), numbers))


def test_weights_of_the_first_version_keep_their_probabilities():
    odds, separation = np.linspace(-5, 5, 9), np.full(9, 30)
    new = calibrated(odds, separation, 50.0, [_with_depth([0.8, -0.3])] * 3)
    np.testing.assert_allclose(new, 1 / (1 + np.exp(-(0.8 * odds - 0.3))), rtol=1e-12)


def test_unknown_weights_name_the_remedy():
    with pytest.raises(MapError, match="no-such-weights"):
        find_weights("no-such-weights")


def test_a_file_that_is_no_weights_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"\x80\x04junk")
    with pytest.raises(MapError, match="not refiner weights"):
        load_refiner(str(path))
    save_file({"x": torch.zeros(1)}, path, metadata={"config": json.dumps({"channels": 8})})
    with pytest.raises(MapError, match="not refiner weights"):
        load_refiner(str(path))
