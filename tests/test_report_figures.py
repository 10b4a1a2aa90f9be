"""Charts and thumbnails show the numbers they are given."""

import base64
import io
import re

import numpy as np
import pytest
from matplotlib import image
from report_fixtures import LENGTH, distances, symmetric

from data import contacts, scoring
from report import figures
from report.methods import best_method, cut_size, ordered, styles


def points(path):
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]


def precision_by_loop(values, distance, low, high):
    pairs = [
        (i, j)
        for i in range(len(values))
        for j in range(i + 1, len(values))
        if low <= j - i <= high and np.isfinite(distance[i, j])
    ]
    pairs.sort(key=lambda pair: (-values[pair], pair))
    hits, curve = 0, []
    for k, pair in enumerate(pairs, start=1):
        hits += distance[pair] < 8
        curve.append(hits / k)
    return curve


@pytest.mark.parametrize(("low", "high"), [(6, 11), (24, None)])
def test_precision_at_ranks_equals_the_loop_with_ties(low, high):
    values = np.round(symmetric(np.random.default_rng(5)) * 2)
    curve = figures.precision_at_ranks(values, distances(), low, high)
    np.testing.assert_allclose(curve, precision_by_loop(values, distances(), low, high or LENGTH))


def test_the_precision_chart_counts_its_pairs_and_draws_every_method():
    maps = {name: symmetric(np.random.default_rng(k)) for k, name in enumerate(("mi", "plm"))}
    distance = distances()
    chart = figures.precision_chart(maps, styles(maps), distance, "long")
    i, j = np.triu_indices(LENGTH, 24)
    known = np.isfinite(distance[i, j])
    assert chart.caption == f"{(distance[i, j] < 8).sum()} contacts among {known.sum()} resolved pairs"
    assert [line.label for line in chart.lines] == ["ceiling", "mi", "plm"]
    curve = figures.precision_at_ranks(maps["plm"], distance, 24, None)
    drawn = points(chart.lines[2].path)
    assert drawn[0][1] == pytest.approx(100 - 100 * curve[0], abs=0.01)
    assert drawn[-1] == (pytest.approx(100.0), pytest.approx(100 - 100 * curve[len(drawn) - 1], abs=0.01))
    assert [label for _, label in chart.x_ticks] == ["L/5\n8", "L/2\n20", "L\n40"]


def test_a_range_without_pairs_gives_an_empty_chart():
    chart = figures.precision_chart({"mi": np.zeros((20, 20))}, styles(["mi"]), np.zeros((20, 20)), "long")
    assert [line.path for line in chart.lines] == ["", ""]
    assert chart.caption.startswith("0 contacts among 0")


def test_long_lines_are_thinned_but_keep_their_ends():
    drawn = points(figures.path(np.linspace(0, 1, 5000), np.linspace(1, 0, 5000)))
    assert len(drawn) <= 160
    assert (drawn[0], drawn[-1]) == ((0.0, 0.0), (100.0, 100.0))


@pytest.mark.parametrize(("top", "ticks"), [(1470, [0, 500, 1000]), (4, [0, 1, 2, 3, 4]), (0, [0])])
def test_ticks_are_round(top, ticks):
    assert figures.round_ticks(top) == ticks


def test_depth_and_conservation_of_a_known_alignment():
    tokens = np.array([[0, 1, 20], [0, 2, 20], [0, 3, 5], [0, 4, 5]], np.int8)
    weights = np.array([1.0, 1.0, 0.5, 0.5])
    depth = figures.depth_chart(tokens, weights, 7)
    effective = points(depth.lines[1].path)
    assert [y for _, y in effective] == pytest.approx([25.0, 25.0, 75.0])
    assert [label for _, label in depth.x_ticks] == ["7", "8", "9"]
    conserved = points(figures.conservation_chart(tokens, weights, 7).lines[0].path)[1:-1]
    shares = np.array([1, 1, 0.5, 0.5]) / 3
    expected = 1 + (shares * np.log(shares)).sum() / np.log(20)
    assert [y for _, y in conserved] == pytest.approx([0.0, 100 - 100 * expected, 0.0], abs=0.01)


def test_identity_histogram_counts_covered_positions_only():
    tokens = np.array([[0, 1, 2, 3], [0, 1, 20, 20], [0, 1, 5, 6], [20, 20, 20, 20]], np.int8)
    inside = [100 - y for x, y in points(figures.identity_chart(tokens).lines[0].path)[1:-1]]
    assert [inside[0], inside[20], inside[-1]] == pytest.approx([100, 100, 100])
    assert sum(inside) == pytest.approx(600)


def test_axis_numbers_are_round_residue_numbers():
    chart = figures.depth_chart(np.zeros((2, 200), np.int8), np.ones(2), 16)
    numbers = [int(label) for _, label in chart.x_ticks]
    assert numbers == [50, 100, 150, 200]
    assert chart.x_ticks[0][0] == pytest.approx(100 * (50 - 16) / 199)


def pixels_of(url):
    return image.imread(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_thumbnail_has_predictions_above_and_truth_below_the_diagonal():
    values = np.zeros((10, 10))
    values[0, 8] = values[8, 0] = 1
    distance = np.full((10, 10), 20.0)
    distance[1, 9] = distance[9, 1] = 5
    pixels = pixels_of(figures.thumbnail(values, distance))
    assert pixels.shape == (10, 10, 4)
    assert pixels[0, 8, 3] == 1
    assert pixels[9, 1, 3] == 1
    assert np.argwhere(np.tril(pixels[:, :, 3])).tolist() == [[9, 1]]
    assert not np.array_equal(pixels[0, 8], pixels[9, 1])


def test_a_large_map_shrinks_to_the_size_asked_for():
    values = np.zeros((300, 300))
    values[0, 299] = values[299, 0] = 1
    pixels = pixels_of(figures.thumbnail(values, None, size=60))
    assert pixels.shape == (60, 60, 4)
    assert pixels[0, 59, 3] == 1
    assert not np.tril(pixels[:, :, 3]).any()


def test_methods_have_one_order_and_distinct_looks():
    names = ["refined-demo", "plm", "theirs", "refined", "mi", "other", "mean-field"]
    assert ordered(names) == ["mi", "mean-field", "plm", "theirs", "other", "refined-demo", "refined"]
    looks = [(style.colour, style.dash) for style in styles(names).values()]
    assert len(set(looks)) == len(names)
    assert best_method(names) == "refined"
    assert best_method(["refined-x", "plm"]) == "refined-x"
    assert best_method(["mi", "plm", "theirs"]) == "plm"
    assert best_method(["mi", "theirs"]) == "theirs"


@pytest.mark.parametrize(("length", "cut", "size"), [(223, "L/10", 22), (223, "L", 223), (2, "L/10", 1)])
def test_cut_sizes(length, cut, size):
    assert cut_size(length, cut) == size


def test_curves_go_through_the_scores_of_the_evaluation():
    distance = distances()
    values = np.round(symmetric(np.random.default_rng(8)), 1)
    truth = contacts.Truth(
        distance=distance,
        resolved=np.isfinite(distance.diagonal()),
        residue=np.array([""] * LENGTH),
        identity=1.0,
        coverage=1.0,
        chain="A",
        entry="",
        notes=[],
    )
    for row in scoring.score_map(values, truth, "p", "m"):
        low, high = scoring.RANGES[row["range"]]
        curve = figures.precision_at_ranks(values, distance, low, high)
        assert len(curve) == row["pairs"]
        if row["cut"] != "AP":
            assert curve[min(row["k"], len(curve)) - 1] == pytest.approx(row["precision"])


def test_expected_precision_is_a_running_mean():
    rng = np.random.default_rng(8)
    probability = rng.uniform(size=(LENGTH, LENGTH))
    probability = (probability + probability.T) / 2
    chart = figures.expected_chart({"refined": probability}, styles(["refined"]))
    i, j = np.triu_indices(LENGTH, 24)
    best = np.sort(probability[i, j])[::-1][: round(1.5 * LENGTH)]
    expected = np.cumsum(best) / np.arange(1, len(best) + 1)
    drawn = [1 - y / 100 for _, y in points(chart.lines[0].path)]
    np.testing.assert_allclose(drawn, expected, atol=1e-4)


def test_reliability_of_one_protein_counts_its_pairs():
    distance = distances()
    certain = np.where(np.nan_to_num(distance, nan=99) < 8, 0.95, 0.02)
    chart = figures.reliability_chart({"refined": certain}, styles(["refined"]), distance)
    resolved = np.isfinite(distance[np.triu_indices(LENGTH, 6)]).sum()
    assert f"{resolved:,} resolved pairs" in chart.caption
    assert points(chart.lines[1].path) == [(2.0, 100.0), (95.0, 0.0)]


def test_dots_lie_at_depth_and_precision():
    found = {"plm": [(10, 0.25), (1000, 0.5)], "refined": [(100, 1.0)]}
    chart = figures.precision_by_depth_chart(found, styles(found))
    labels = {label: place for place, label in chart.x_ticks}
    assert labels["10"] < labels["100"] < labels["1,000"]
    (x, y), (across, _) = points(chart.lines[0].path)
    assert (x, y) == (pytest.approx(labels["10"]), 75.0)
    assert across == pytest.approx(labels["1,000"], abs=0.01)
    assert points(chart.lines[1].path) == [(pytest.approx(labels["100"], abs=0.01), 0.0)]
    assert all(line.dots for line in chart.lines)
