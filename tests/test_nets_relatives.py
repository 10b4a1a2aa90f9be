"""Weights carry the families that they learned from, and refined maps tell of homologues among them."""

import json

import numpy as np
import pytest

from data.homology import Family, load_families, save_families
from data.store import load_arrays, save_arrays
from nets.dataset import write_example
from nets.predict import refine_file
from nets.relatives import families_file, merged
from nets.shipped import PRETRAINED
from nets.train import train_refiner

LENGTH = 70


def family(number, rows=40):
    """Mutants of a random sequence, which is their consensus."""
    rng = np.random.default_rng(number)
    tokens = np.tile(rng.integers(0, 20, LENGTH), (rows, 1)).astype(np.int8)
    changed = rng.random(tokens[1:].shape) < 0.3
    tokens[1:][changed] = rng.integers(0, 20, changed.sum())
    return tokens


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights trained for a step on families 0 and 1, tuned on 2, and further ones that went on with 3."""
    folder = tmp_path_factory.mktemp("weights")
    distance = np.abs(np.subtract.outer(np.arange(LENGTH), np.arange(LENGTH))).astype(np.float32) * 3
    files = []
    for number, split in enumerate(("train", "train", "tune", "train")):
        path = folder / f"{number}.npz"
        write_example(path, family(number), distance, np.random.default_rng(number), count=1)
        files.append({"protein": f"p{number}", "path": str(path), "cluster": f"c{number}", "split": split})
    for entry in (files[0] | {"protein": "p0~0"}, files[1] | {"protein": "s1", "cluster": "fold:s1"}):
        files.insert(0, entry | {"path": str(folder / "3.npz")})  # simulated: no sequences of real proteins
    run = {"steps": 1, "batch": 1, "crop": 16}
    first, second = folder / "first" / "weights.safetensors", folder / "second" / "weights.safetensors"
    train_refiner(files[:5], first, {"channels": 8, "blocks": 1}, run, "cpu", 1)
    train_refiner(files[4:], second, {}, run, "cpu", 1, start=str(first))
    return first, second


def refined(folder, tokens, weights, **names):
    save_arrays(folder / "alignment.npz", tokens=tokens)
    refine_file(folder / "alignment.npz", folder / "out.npz", str(weights), "mine", "cpu", **names)
    arrays = load_arrays(folder / "out.npz")
    return str(arrays["learned"]), json.loads(str(arrays["homology"]))


def test_training_lists_its_families_with_their_consensus(weights):
    first, second = (load_families(families_file(path)) for path in weights)
    assert [(f.family, f.split) for f in first] == [("p0", "train"), ("p1", "train"), ("p2", "tune")]
    assert [f.family for f in second] == ["p0", "p1", "p2", "p3"]  # those of its start as well
    codes = np.array([["ACDEFGHIKLMNPQRSTVWY".index(letter) for letter in f.consensus] for f in second])
    truth = np.stack([family(number)[0] for number in range(4)])
    assert (codes == truth).mean() > 0.99


@pytest.mark.parametrize(
    ("number", "learned", "closest"), [(0, "homologue", "p0"), (2, "tuned-homologue", "p2"), (9, "", None)]
)
def test_a_refined_map_tells_of_homologues(weights, tmp_path, number, learned, closest):
    tokens = family(number)[5:, 10:]  # other members, another region, under another name
    found, record = refined(tmp_path, tokens, weights[0], protein="new", cluster="other")
    assert found == learned
    assert (record["searched"], record["missing"], record["homologues"]) == (3, 0, int(closest is not None))
    assert closest is None or record["hits"][0]["family"] == closest


def test_names_come_before_sequences(weights, tmp_path):
    found, record = refined(tmp_path, family(0), weights[0], protein="p0", cluster="c0")
    assert found == "protein"
    assert record["homologues"] == 1


def test_families_that_the_table_lacks_are_counted(weights, tmp_path):
    table = families_file(weights[0])
    before = table.read_text()
    try:
        save_families(table, load_families(table)[:1])
        assert refined(tmp_path, family(9), weights[0])[1]["missing"] == 2
        table.unlink()
        _, record = refined(tmp_path, family(0), weights[0])
        assert (record["searched"], record["missing"], record["hits"]) == (0, 3, [])
    finally:
        table.write_text(before)


def test_a_family_that_was_learned_from_anywhere_counts_as_that():
    tuned, learned = Family("x", "c", "tune", "A"), Family("x", "c", "train", "A")
    assert merged([tuned, learned]) == merged([learned, tuned]) == [learned]


@pytest.mark.parametrize("path", sorted(PRETRAINED.glob("*.safetensors")), ids=lambda path: path.stem)
def test_shipped_weights_have_their_table(path):
    from nets.card import learned_proteins, tuning_proteins
    from nets.checkpoint import load_refiner

    card = load_refiner(str(path)).card
    families = load_families(families_file(path))
    assert {f.family for f in families if f.split == "train"} == learned_proteins(card)
    assert {f.family for f in families if f.split == "tune"} == tuning_proteins(card) - learned_proteins(card)
    assert families_file(path).stat().st_size < 200_000
