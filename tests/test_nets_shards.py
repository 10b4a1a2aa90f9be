"""The data set: arrays survive, shards are bounded, the card tells the truth, and plain numpy reads it."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_fixtures import as_files, write_examples

from data.errors import CovarionError
from data.store import load_arrays, save_json
from nets import shards
from nets.config import RefinerConfig, TrainConfig
from nets.dataset import Example, random_crop
from nets.manifest import load_manifest, training_files, verify
from nets.shards import write_shards
from nets.train import Trainer

ROOT = Path(__file__).resolve().parent.parent
CARD = ROOT / "docs/dataset.md"


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    return write_examples(tmp_path_factory.mktemp("examples"), count=6, depths=2)


@pytest.fixture(scope="module")
def dataset(examples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    record = folder / "p0.a3m.gz.json"
    save_json(record, {"cell": "pfam:PF00072", "source": "pfam", "sha256": "ab", "etag": "x"})
    megabytes = 1  # two or three of the examples
    write_shards(as_files(examples), folder, megabytes, {"p0": [str(record)]}, CARD)
    return folder


def test_arrays_survive(dataset, examples):
    files, maps = training_files(dataset / "manifest.json")
    assert maps == ["ridge", "mi"]
    found = {entry["protein"]: Example(**entry) for entry in files}
    for example in examples:
        for k in range(example.depths()):
            before, after = example.read(k), found[example.protein].read(k)
            np.testing.assert_array_equal(before[1], after[1])
            for name, array in vars(before[0]).items():
                np.testing.assert_array_equal(array, vars(after[0])[name])
    crops = [random_crop(e, 20, np.random.default_rng(4)) for e in (examples[2], found["p2"])]
    for name, value in vars(crops[0][0]).items():
        other = vars(crops[1][0])[name]
        assert value is other is None or torch.equal(value, other)


def test_manifest_tells_what_is_where(dataset, examples):
    manifest = load_manifest(dataset / "manifest.json")
    first = next(entry for entry in manifest["examples"] if entry["key"] == "p0")
    assert (first["cluster"], first["split"], first["length"], first["simulated"]) == (
        "c0",
        "train",
        30,
        False,
    )
    assert first["sequences"] == load_arrays(examples[0].path)["depths"].tolist()
    features = examples[0].read(1)[0]
    assert first["neff"][1] == pytest.approx(features.neff, abs=0.01)
    assert first["sources"] == [{"of": "p0.a3m.gz", "cell": "pfam:PF00072", "source": "pfam", "sha256": "ab"}]
    assert {s["split"] for s in manifest["shards"]} == {"train", "tune"}
    for shard in manifest["shards"]:
        assert Path(shard["file"]).name.startswith(shard["split"])
    verify(dataset / "manifest.json")
    assert (dataset / "README.md").read_text() == CARD.read_text()


def test_shards_are_bounded(dataset):
    manifest = load_manifest(dataset / "manifest.json")
    assert len(manifest["shards"]) > 2
    sizes = {shard["file"]: shard["bytes"] for shard in manifest["shards"]}
    for name, size in sizes.items():
        members = [entry for entry in manifest["examples"] if entry["shard"] == name]
        assert size < 1.01e6 or len(members) == 1
        assert size == pytest.approx(sum(entry["bytes"] for entry in members), rel=0.02)


def test_the_same_examples_give_the_same_bytes(dataset, examples, tmp_path):
    write_shards(as_files(examples)[::-1], tmp_path, 1, card=CARD)
    again = {s["file"]: s["sha256"] for s in load_manifest(tmp_path / "manifest.json")["shards"]}
    write_shards(as_files(examples)[::-1], tmp_path / "b", 1, card=CARD)
    assert again == {s["file"]: s["sha256"] for s in load_manifest(tmp_path / "b/manifest.json")["shards"]}


def test_the_card_names_every_array(dataset):
    """Rows of the card: `name` | dtype | shape | meaning, with shapes in the letters L, P, q, M, K."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]+) \|", CARD.read_text(), re.M)
    told = {name: (dtype, shape.strip()) for name, dtype, shape in rows}
    manifest = load_manifest(dataset / "manifest.json")
    entry = manifest["examples"][0]
    length, depth = entry["length"], len(entry["sequences"])
    sizes = {"P": length * (length - 1) // 2, "L": length, "441": 441, "43": 43, "2": 2, "K": depth}
    sizes["M"] = len(manifest["pair_maps"])
    with np.load(dataset / entry["shard"]) as archive:
        arrays = {n.split("/")[1]: archive[n] for n in archive.files if n.startswith(f"{entry['key']}/")}
    wanted = {re.sub(r"_\d+$", "_k", name) for name in arrays}
    assert set(told) == wanted
    for name, array in arrays.items():
        dtype, shape = told[re.sub(r"_\d+$", "_k", name)]
        assert dtype == ("str" if array.dtype.kind == "U" else array.dtype.name)
        assert array.shape == tuple(sizes[part] for part in re.findall(r"\w+", shape))


def test_the_reader_of_the_card_is_plain_numpy(dataset, tmp_path):
    code = re.findall(r"```python\n(.*?)```", CARD.read_text(), re.S)
    assert len(code) == 2
    for part in code:
        script = tmp_path / "reader.py"
        script.write_text(part)
        command = [sys.executable, "-I", str(script)]
        done = subprocess.run(command, cwd=dataset, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "p0" in done.stdout
        assert "covarion" not in done.stderr


def test_training_from_shards_is_training_from_files(dataset, examples, tmp_path):
    files, _ = training_files(dataset / "manifest.json")
    settings = TrainConfig(steps=3, batch=2, crop=20, evaluate_every=3)
    model = RefinerConfig(channels=8, blocks=1)
    averages = []
    for name, members in (("files", examples), ("shards", [Example(**entry) for entry in files])):
        trainer = Trainer(members, model, settings, tmp_path / name)
        assert trainer.run()
        averages.append(trainer.average)
    for name, value in averages[0].items():
        assert torch.equal(value, averages[1][name])


def test_a_cluster_is_left_out(dataset):
    files, _ = training_files(dataset / "manifest.json", "c2")
    assert {entry["protein"] for entry in files} == {"p0", "p1", "p3", "p4", "p5"}
    with pytest.raises(CovarionError, match="no such cluster to leave out; found: c9"):
        training_files(dataset / "manifest.json", "c9")


def test_folds_and_simulated_families_have_keys_of_their_own(examples, tmp_path):
    made = [
        examples[0],
        replace(examples[1], protein="p0~0", cluster="c0"),
        replace(examples[2], protein="p0", cluster="fold:p0"),
    ]
    write_shards(as_files(made), tmp_path)
    entries = load_manifest(tmp_path / "manifest.json")["examples"]
    assert {entry["key"]: entry["simulated"] for entry in entries} == {
        "p0": False, "p0~0": True, "fold:p0": True,
    }  # fmt: skip


def test_what_cannot_be_one_data_set_is_refused(examples, tmp_path, monkeypatch):
    with pytest.raises(CovarionError, match="two examples of one name; found: p0"):
        write_shards(as_files([examples[0], replace(examples[0], cluster="c1")]), tmp_path)
    with pytest.raises(CovarionError, match="stands in two splits"):
        write_shards(as_files([examples[0], replace(examples[1], cluster="c0", split="tune")]), tmp_path)
    monkeypatch.setattr(shards, "FEATURE_VERSION", 99)
    with pytest.raises(CovarionError, match=r"other channels than those of version 99.*0\.npz: version 1"):
        write_shards(as_files(examples[:1]), tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_a_shard_that_changed_is_found(examples, tmp_path):
    write_shards(as_files(examples[:2]), tmp_path)
    manifest = tmp_path / "manifest.json"
    shard = tmp_path / "shards/train-00000.npz"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    load_manifest(manifest)  # sizes alone
    with pytest.raises(CovarionError, match=r"train-00000\.npz: a shard is not what was written"):
        verify(manifest)
    shard.write_bytes(content[:-5])
    with pytest.raises(CovarionError, match=r"found: .* bytes, written were"):
        load_manifest(manifest)
    shard.unlink()
    with pytest.raises(CovarionError, match="found: no file"):
        load_manifest(manifest)
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(told | {"feature_version": 0}))
    with pytest.raises(CovarionError, match="features of another version"):
        load_manifest(manifest)
    manifest.write_text("[]")
    with pytest.raises(CovarionError, match="is no manifest"):
        load_manifest(manifest)
