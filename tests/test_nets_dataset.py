"""Examples of the refiner: bins, rectangles of packed maps, the stream of examples, the split."""

import numpy as np
import pytest
import torch

from data.contacts import Truth
from data.errors import CovarionError
from data.store import save_arrays
from data.truth_file import save_truth
from nets.config import BIN_EDGES
from nets.dataset import (
    Example,
    build_example,
    build_simulated,
    by_cluster,
    check_examples,
    check_split,
    cut_bins,
    cut_pixels,
    depths,
    distance_bins,
    example_at,
    packed_rectangle,
    read_example,
    subsample,
    write_example,
)
from nets.features import compute_features
from nets.losses import UNRESOLVED


def family(rows=40, length=12, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 21, size=(rows, length)).astype(np.int8)


def test_distance_bins_equal_a_plain_search():
    rng = np.random.default_rng(1)
    distance = rng.uniform(2, 30, size=(9, 9)).astype(np.float32)
    distance[3] = distance[:, 3] = np.nan
    found = distance_bins(distance)
    for value, (i, j) in zip(found, zip(*np.triu_indices(9, 1), strict=True), strict=True):
        if np.isnan(distance[i, j]):
            assert value == UNRESOLVED
        else:
            assert BIN_EDGES[value] <= distance[i, j] < BIN_EDGES[value + 1]


def test_eight_angstrom_is_no_contact():
    distance = np.full((2, 2), 8.0, dtype=np.float32)
    assert distance_bins(distance)[0] == BIN_EDGES.index(8.0)


def test_packed_rectangle_equals_the_upper_triangle_order():
    place = {pair: p for p, pair in enumerate(zip(*np.triu_indices(7, 1), strict=True))}
    rows, cols = np.arange(2, 7), np.arange(0, 5)
    pair, below = packed_rectangle(rows, cols, 7)
    for a, i in enumerate(rows):
        for b, j in enumerate(cols):
            assert below[a, b] == (i > j)
            if i != j:
                assert pair[a, b] == place[min(i, j), max(i, j)]


def test_pixels_below_the_diagonal_are_the_transposed_pairs():
    tokens = family()
    features = compute_features(tokens)
    every = np.arange(features.length)
    pixels = cut_pixels(features, every, every)
    blocks = pixels.couplings[0].reshape(12, 12, 21, 21)
    assert torch.equal(blocks, blocks.permute(1, 0, 3, 2))
    assert torch.equal(pixels.maps, pixels.maps.transpose(1, 2))
    part = cut_pixels(features, every[5:9], every[2:11])
    assert torch.equal(part.couplings[0], pixels.couplings[0, 5:9, 2:11])
    assert torch.equal(part.separation[0], pixels.separation[0, 5:9, 2:11])


def test_bins_of_a_rectangle_leave_the_diagonal_out():
    distance = np.full((6, 6), 5.5, dtype=np.float32)
    cut = cut_bins(distance_bins(distance), np.arange(6), np.arange(6), 6)[0].numpy()
    assert (np.diag(cut) == UNRESOLVED).all()
    assert (cut[~np.eye(6, dtype=bool)] == 2).all()


def test_an_example_survives_its_file(tmp_path):
    tokens, distance = family(60), np.full((12, 12), 9.0, dtype=np.float32)
    write_example(tmp_path / "e.npz", tokens, distance, np.random.default_rng(0), count=2)
    features, bins = read_example(tmp_path / "e.npz", 0)
    assert features.length == 12
    assert len(bins) == 66
    shallow, _ = read_example(tmp_path / "e.npz", -1)
    assert shallow.scalars[0] < features.scalars[0]  # fewer rows, smaller Neff


@pytest.mark.parametrize("kind", ["experiment", "model"])
def test_nothing_is_learned_from_a_predicted_model(tmp_path, kind):
    distance = np.full((12, 12), 9.0, dtype=np.float32)
    truth = Truth(distance, np.ones(12, bool), np.array(["1"] * 12), 1.0, 1.0, "A", "AF-X-F1", kind=kind)
    save_truth(tmp_path / "t.npz", truth)
    save_arrays(tmp_path / "a.npz", tokens=family(20))
    out = tmp_path / "e.npz"

    def build():
        settings = {"depths": 1, "pair_maps": ("mi",), "seed": 1}
        build_example(str(tmp_path / "a.npz"), str(tmp_path / "t.npz"), str(out), **settings)
        build_simulated(str(tmp_path / "t.npz"), str(out), rows=8, number=0, **settings)

    if kind == "experiment":
        build()
        assert out.exists()
        return
    with pytest.raises(CovarionError, match=r"a predicted model is nothing to learn from.*AF-X-F1"):
        build()
    with pytest.raises(CovarionError, match="a predicted model is nothing to learn from"):
        build_simulated(str(tmp_path / "t.npz"), str(out), 8, 0, 1, ("mi",), 1)
    assert not out.exists()


def test_subsample_keeps_the_query_and_the_order():
    tokens = np.arange(100, dtype=np.int8)[:, None]
    found = subsample(tokens, 10, np.random.default_rng(0))[:, 0]
    assert found[0] == 0
    assert len(found) == 10
    assert (np.diff(found) > 0).all()


def test_depths_begin_with_all_rows_and_fall():
    found = depths(5000, 4, np.random.default_rng(0))
    assert found[0] == 5000
    assert found == sorted(found, reverse=True)
    assert depths(20, 4, np.random.default_rng(0)) == [20]


def examples():
    return [Example(f"p{n}", "", f"c{n % 3}", "train") for n in range(9)]


def test_every_cluster_comes_once_an_epoch():
    clusters = by_cluster(examples())
    stream = [example_at(n, clusters, seed=4).cluster for n in range(12)]
    for epoch in range(4):
        assert sorted(stream[3 * epoch : 3 * epoch + 3]) == ["c0", "c1", "c2"]
    assert len({example_at(n, clusters, 4).protein for n in range(60)}) == 9


def test_a_cluster_in_two_splits_is_refused():
    bad = [*examples(), Example("q", "", "c1", "tune")]
    with pytest.raises(CovarionError, match=r"c1.*two splits.*p1 \(train\), q \(tune\)"):
        check_split(bad)
    with pytest.raises(CovarionError, match=r"c1.*two splits"):
        check_examples(bad, BIN_EDGES)


def test_a_network_of_other_bins_than_the_labels_is_refused():
    check_examples(examples(), BIN_EDGES)
    with pytest.raises(CovarionError, match=r"labels in other distance bins.*0, 8, 16"):
        check_examples(examples(), (0.0, 8.0, 16.0))
