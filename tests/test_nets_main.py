"""``python -m nets`` and the features behind it."""

import os
import subprocess
import sys

import numpy as np
import pytest
from training_fixtures import as_files, write_examples
from workflow_fixtures import LENGTH, ROOT, family, write_family

from data.errors import CovarionError
from nets.checkpoint import choose_device, load_refiner
from nets.features import SITE_CHANNELS, compute_features
from nets.shards import write_shards


def nets(*arguments, environment=None, stdout=subprocess.PIPE):
    return subprocess.run(
        [sys.executable, "-m", "nets", *map(str, arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | (environment or {}),
        timeout=300,
    )


def test_pairs_are_printed_best_first_and_the_map_is_whole(tmp_path):
    query = write_family(tmp_path, "p")
    out = tmp_path / "map.npz"
    done = nets(tmp_path / "p.fasta", "-o", out)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == (LENGTH - 6) * (LENGTH - 5) // 2
    probabilities = [float(row[4]) for row in rows]
    assert probabilities == sorted(probabilities, reverse=True)
    assert all(
        query[int(i) - 1] == a and query[int(j) - 1] == b and int(j) - int(i) >= 6 for i, j, a, b, _ in rows
    )
    arrays = np.load(out)
    contact = arrays["contact"]
    assert contact.shape == (LENGTH, LENGTH)
    assert np.array_equal(contact, contact.T)
    assert arrays["distance"].shape == (LENGTH, LENGTH, len(arrays["bin_edges"]) - 1)
    i, j = int(rows[0][0]) - 1, int(rows[0][1]) - 1
    assert contact[i, j] == pytest.approx(probabilities[0], abs=1e-4)


def test_a_reader_that_has_had_enough_is_no_error(tmp_path):
    write_family(tmp_path, "p")
    read, write = os.pipe()
    os.close(read)  # what `| head` leaves behind it
    words = [tmp_path / "p.fasta", "--weights", "covarion-1", "-o", tmp_path / "map.npz"]
    with os.fdopen(write, "w") as closed:
        done = nets(*words, stdout=closed)
    assert done.stderr == ""
    assert done.returncode == 0
    assert (tmp_path / "map.npz").is_file()


def test_several_weights_are_averaged(tmp_path):
    write_family(tmp_path, "p")
    maps = {}
    for name, chosen in {
        "one": ["covarion-1"],
        "two": ["covarion-2"],
        "both": ["covarion-1", "covarion-2"],
    }.items():
        out = tmp_path / f"{name}.npz"
        flags = [flag for weights in chosen for flag in ("--weights", weights)]
        done = nets(*flags, tmp_path / "p.fasta", "-o", out)
        assert done.returncode == 0, done.stderr
        maps[name] = np.load(out)
    mean = (maps["one"]["contact"] + maps["two"]["contact"]) / 2
    assert np.allclose(maps["both"]["contact"], mean, atol=1e-6)
    assert not np.allclose(maps["one"]["contact"], maps["two"]["contact"], atol=1e-3)
    assert str(maps["both"]["weights"]) == "covarion-1 + covarion-2"


@pytest.mark.parametrize(
    ("text", "said"), [("", "empty"), (">a\nMKVLWAA\n>b\nMK\n", "b"), (None, "no such file")]
)
def test_bad_input_leaves_a_message_and_no_file(tmp_path, text, said):
    path, out = tmp_path / "bad.fasta", tmp_path / "map.npz"
    if text is not None:
        path.write_text(text)
    done = nets(path, "-o", out)
    assert done.returncode == 1
    assert said.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_unknown_weights_are_named(tmp_path):
    write_family(tmp_path, "p")
    done = nets(tmp_path / "p.fasta", "--weights", "nobody")
    assert done.returncode == 1
    assert "nobody" in done.stderr


@pytest.mark.parametrize("command", ["predict", "train"])
def test_a_device_that_is_not_there_is_named_without_a_traceback(tmp_path, command):
    write_family(tmp_path, "p")
    words = {
        "predict": [tmp_path / "p.fasta", "--weights", "covarion-1"],
        "train": ["train", manifest_of_one(tmp_path), "-o", tmp_path / "weights.safetensors"],
    }[command]
    done = nets(*words, "--device", "cuda", environment={"CUDA_VISIBLE_DEVICES": ""})
    assert done.returncode == 1
    assert "the device cuda was asked for and is not there; found: torch" in done.stderr
    assert "Traceback" not in done.stderr


def manifest_of_one(folder):
    write_shards(as_files(write_examples(folder, count=2)), folder / "dataset")
    return folder / "dataset/manifest.json"


@pytest.mark.parametrize(("seen", "device"), [(0, "cuda"), (0, "cuda:0"), (2, "cuda:2")])
def test_a_device_that_torch_does_not_see_is_refused(monkeypatch, seen, device):
    gpus(monkeypatch, seen)
    with pytest.raises(CovarionError, match=f"the device {device} was .* sees {seen} CUDA devices"):
        choose_device(device)


@pytest.mark.parametrize(
    ("seen", "device", "found"),
    [(0, "auto", "cpu"), (1, "auto", "cuda"), (2, "cuda:1", "cuda:1"), (0, "cpu", "cpu")],
)
def test_a_device_that_is_there_is_taken(monkeypatch, seen, device, found):
    gpus(monkeypatch, seen)
    assert choose_device(device) == found


def gpus(monkeypatch, seen):
    monkeypatch.setattr("torch.cuda.is_available", lambda: seen > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: seen)


@pytest.mark.parametrize("kind", [RuntimeError, AssertionError])
def test_what_a_device_says_is_no_fault_of_the_weights(monkeypatch, kind):
    def fails(model, device):
        raise kind("no driver\nand more")

    monkeypatch.setattr("torch.nn.Module.to", fails)
    with pytest.raises(
        CovarionError, match="cannot be put on the device cuda; found: no driver; remedy: free"
    ):
        load_refiner("covarion-1", "cuda")


def test_features_do_not_depend_on_the_order_of_the_other_rows():
    tokens = family(3)
    shuffled = np.concatenate([tokens[:1], np.random.default_rng(0).permutation(tokens[1:])])
    one = compute_features(tokens)
    two = compute_features(shuffled)
    assert np.abs(one.couplings.astype(int) - two.couplings).max() <= 1
    np.testing.assert_allclose(one.maps, two.maps, atol=2e-2)
    np.testing.assert_allclose(one.sites, two.sites, atol=1e-3)
    assert one.sites.shape == (LENGTH, SITE_CHANNELS)


def test_a_foreign_map_enters_as_a_named_channel():
    tokens = family(3)
    brought = np.random.default_rng(0).normal(size=(LENGTH, LENGTH))
    brought += brought.T
    features = compute_features(tokens, ("ridge", "expert:mine"), {"mine": brought})
    packed = brought[np.triu_indices(LENGTH, 1)]
    assert np.corrcoef(np.sinh(features.maps[:, 1].astype(float)), packed)[0, 1] > 0.999
    with pytest.raises(ValueError, match="expert:mine"):
        compute_features(tokens, ("expert:mine",))
