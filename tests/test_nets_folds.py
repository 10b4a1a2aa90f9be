"""Simulated families on folds: a function of their settings, resumable, with labels of the structure."""

import numpy as np
import pytest

from data.errors import CovarionError
from data.families import CLUSTER, read_folds
from data.store import load_arrays
from nets.config import RefinerConfig, TrainConfig
from nets.dataset import Example, read_example, write_example
from nets.folds import build_folds, fold_distances
from nets.train import Trainer, data_card

LENGTH = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two hairpins, one with C-beta atoms only."""
    place = tmp_path_factory.mktemp("structures")
    k = np.arange(LENGTH)
    alpha = np.stack(
        [3.5 * np.where(k < LENGTH // 2, k, LENGTH - 1 - k), 5.0 * (k >= LENGTH // 2), 0 * k], axis=1
    )
    atoms = np.full((LENGTH, 4, 3), np.nan, dtype=np.float32)
    atoms[:, 1], atoms[:, 3] = alpha, np.add(alpha, (0, 0, 1.5))
    bare = atoms.copy()
    bare[:, 1] = np.nan
    np.savez(place / "coordinates.npz", a=atoms, b=bare)
    sequence = "G" + "A" * (LENGTH - 1)
    (place / "structures.tsv").write_text(
        f"id\tlength\tsequence\na\t{LENGTH}\t{sequence}\nb\t{LENGTH}\t{sequence}\n"
    )
    return place


def test_distances_take_the_alpha_carbon_of_glycine(folder):
    with np.load(folder / "coordinates.npz") as atoms:
        full = fold_distances(atoms["a"], "G" + "A" * (LENGTH - 1))
        bare = fold_distances(atoms["b"], "G" + "A" * (LENGTH - 1))
    assert full[0, 1] == pytest.approx(np.hypot(3.5, 1.5), rel=1e-5)
    assert bare[0, 1] == pytest.approx(3.5, rel=1e-5)
    assert full[2, 3] == bare[2, 3] == pytest.approx(3.5, rel=1e-5)


def test_examples_repeat_and_whole_ones_stay(folder, tmp_path):
    build_folds(folder, ["a", "b"], tmp_path / "one", seed=4)
    stamp = (tmp_path / "one" / "a.npz").stat().st_mtime_ns
    (tmp_path / "one" / "b.npz").unlink()
    build_folds(folder, ["b", "a"], tmp_path / "one", seed=4)
    assert (tmp_path / "one" / "a.npz").stat().st_mtime_ns == stamp
    build_folds(folder, ["b"], tmp_path / "two", seed=4)
    one, two = (load_arrays(tmp_path / name / "b.npz") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
    features, bins = read_example(tmp_path / "one" / "b.npz", 0)
    assert features.length == LENGTH
    assert (bins < 5).sum() > LENGTH  # contacts below 8 angstrom


def test_unknown_chain(folder, tmp_path):
    with pytest.raises(CovarionError, match="no such structure; found: c"):
        build_folds(folder, ["c"], tmp_path, seed=1)


def test_folder_of_structures(folder, tmp_path):
    assert read_folds(folder) == {"a": LENGTH, "b": LENGTH}
    assert read_folds(folder, longest=LENGTH - 1) == {}
    with pytest.raises(CovarionError, match="no folder of structures"):
        read_folds(tmp_path)


def test_share_of_folds_among_the_crops(folder, tmp_path):
    build_folds(folder, ["a", "b"], tmp_path / "folds", seed=1)
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 20, size=(60, LENGTH)).astype(np.int8)
    write_example(tmp_path / "real.npz", tokens, np.full((LENGTH, LENGTH), 9.0, np.float32), rng, count=1)
    examples = [Example("real", str(tmp_path / "real.npz"), "c1", "train")]
    examples += [Example(n, str(tmp_path / "folds" / f"{n}.npz"), CLUSTER + n, "train") for n in ("a", "b")]
    settings = TrainConfig(steps=1, fold_share=0.3)
    trainer = Trainer(examples, RefinerConfig(channels=8, blocks=1), settings, tmp_path)
    drawn = [trainer._example(n).protein for n in range(2000)]
    assert np.mean([name != "real" for name in drawn]) == pytest.approx(0.3, abs=0.04)
    assert {"a", "b"} < set(drawn)
    card = data_card(examples)
    assert card["train"] == {"proteins": ["real"], "clusters": ["c1"], "simulated": 0, "folds": 2}
