"""The coupling stage on files: with nulls it also tests every pair, without them it does not."""

import numpy as np
import pytest

from data.store import load_arrays, save_arrays
from dca import methods
from dca.memory import Uncertainty
from dca.methods import MIN_SEPARATION, infer_maps

LENGTH = 24


@pytest.fixture
def alignment(tmp_path):
    """Random columns, of which the pairs (i, i + 12) copy each other in four of five rows."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 20, (120, LENGTH)).astype(np.int8)
    for i in range(4):
        tokens[:, i + 12] = np.where(rng.random(120) < 0.8, tokens[:, i], tokens[:, i + 12])
    save_arrays(tmp_path / "alignment.npz", tokens=tokens)
    return tmp_path / "alignment.npz"


def run(alignment, folder, **settings):
    names = ("weights", "maps", "contacts", "couplings")
    outputs = {name: str(folder / f"{name}-{len(settings)}.npz") for name in names}
    infer_maps(alignment, outputs, ["mi", "plm"], **settings)
    return {name: load_arrays(outputs[name]) for name in names}


def test_nulls_find_the_coupled_pairs(alignment, tmp_path):
    plain, tested = run(alignment, tmp_path), run(alignment, tmp_path, nulls=3)
    assert not {"p", "q"} & set(plain["contacts"])
    for name in ("pairs", "blocks"):
        np.testing.assert_array_equal(plain["contacts"][name], tested["contacts"][name])
    p, q = tested["contacts"]["p"], tested["contacts"]["q"]
    near = np.abs(np.subtract.outer(np.arange(LENGTH), np.arange(LENGTH))) < MIN_SEPARATION
    np.testing.assert_array_equal(np.isnan(q), near)
    coupled = np.array([q[i, i + 12] for i in range(4)])
    assert coupled.max() < 0.1
    assert np.triu(np.nan_to_num(q, nan=1) < 0.1).sum() <= 6  # of 171 pairs, the four among them
    smallest, coarsest = float(tested["contacts"]["smallest_p"]), float(tested["contacts"]["coarsest_p"])
    pairs = (LENGTH - 6) * (LENGTH - 5) // 2
    assert 1 / (1 + 3 * pairs) <= np.float32(np.nanmin(p)) >= np.float32(smallest)
    assert smallest <= coarsest
    assert tested["contacts"]["nulls"] == 3


def test_nulls_are_counted_before_they_begin(alignment, tmp_path, monkeypatch):
    asked = {}

    def note(method, rows, length, threads, uncertainty):
        asked[method] = rows, length, uncertainty

    monkeypatch.setattr(methods, "require_memory", note)
    run(alignment, tmp_path, nulls=2)
    assert asked == {"mi": (120, LENGTH, Uncertainty()), "plm": (120, LENGTH, Uncertainty(nulls=2))}


def test_the_test_is_the_same_again(alignment, tmp_path):
    first, second = (run(alignment, tmp_path, nulls=2)["contacts"]["p"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
