"""Maps of other programs: every form reads to the same square map, and faults are named."""

import numpy as np
import pytest

from data.errors import MapError
from data.foreign import import_maps, read_map
from data.store import load_arrays, save_arrays

QUERY = "MKVLWAA"
LENGTH = 7


@pytest.fixture
def full():
    rng = np.random.default_rng(0)
    full = rng.random((LENGTH, LENGTH)).astype(np.float32)
    full = (full + full.T) / 2
    np.fill_diagonal(full, 0)
    return full


def test_a_matrix_an_npz_and_rr_agree(full, tmp_path):
    np.savetxt(tmp_path / "m.mat", full, fmt="%.6f")
    save_arrays(tmp_path / "m.npz", score=full)
    pairs = [(i, j) for i in range(LENGTH) for j in range(i + 1, LENGTH)]
    lines = ["PFRMAT RR", "TARGET T", "MODEL 1", QUERY]
    lines += [f"{i + 1} {j + 1} 0 8 {full[i, j]:.6f}" for i, j in pairs]
    (tmp_path / "m.rr").write_text("\n".join([*lines, "END"]))
    for name in ("m.mat", "m.npz", "m.rr"):
        np.testing.assert_allclose(read_map(tmp_path / name, QUERY), full, atol=1e-6)


def test_a_distogram_sums_its_bins_below_eight_angstrom(tmp_path):
    dist = np.zeros((LENGTH, LENGTH, 37))
    dist[..., 0] = 0.5
    dist[..., 12] = 0.3  # 7.5 to 8 angstrom
    dist[..., 13] = 0.2  # 8 to 8.5
    save_arrays(tmp_path / "d.npz", dist=dist)
    found = read_map(tmp_path / "d.npz", QUERY)
    assert found[0, 1] == pytest.approx(0.3)
    assert found[2, 2] == 0.0


def test_a_distogram_whose_last_bin_is_far_is_read_from_its_first(tmp_path):
    dist = np.zeros((LENGTH, LENGTH, 37))
    dist[..., 36] = 0.6
    dist[..., 11] = 0.3  # 7.5 to 8 angstrom
    dist[..., 12] = 0.1
    save_arrays(tmp_path / "d.npz", dist=dist)
    assert read_map(tmp_path / "d.npz", QUERY)[0, 1] == pytest.approx(0.3)


def test_a_matrix_with_comment_lines_is_read(full, tmp_path):
    np.savetxt(tmp_path / "m.mat", full, fmt="%.6f", footer=">META> {}")
    np.testing.assert_allclose(read_map(tmp_path / "m.mat", QUERY), full, atol=1e-6)


def test_pairs_that_rr_leaves_out_rank_last(tmp_path):
    (tmp_path / "m.rr").write_text("1 5 0 8 0.25\n2 7 0 8 0.75\n")
    found = read_map(tmp_path / "m.rr", QUERY)
    assert found[0, 4] == pytest.approx(0.25)
    assert found[0, 1] < found[0, 4]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("m.rr", "1 9 0 8 0.5\n", "line 1"),
        ("m.rr", "1 5 0 8 often\n", "often"),
        ("m.rr", "12 hello\n", "neither"),
        ("m.rr", "MKVLWAC\n1 5 0 8 0.5\n", "not the query"),
        ("m.rr", "MKVLWA\n1 5 0 8 0.5\n", "not the query"),
        ("m.mat", "0 1\n1 0\n", "another size"),
        ("m.mat", "0 x\n1 0\n", "x"),
        ("absent.mat", None, "no such map"),
    ],
)
def test_faults_are_named(tmp_path, name, text, said):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(MapError, match=said):
        read_map(tmp_path / name, QUERY)


def test_a_number_that_is_none_names_its_pair(full, tmp_path):
    full[2, 3] = np.nan
    save_arrays(tmp_path / "m.npz", score=full)
    with pytest.raises(MapError, match="pair 3 4"):
        read_map(tmp_path / "m.npz", QUERY)


def test_all_maps_of_a_row_land_in_one_file(full, tmp_path):
    save_arrays(tmp_path / "alignment.npz", query="MKVLWAA")
    save_arrays(tmp_path / "m.npz", contact=full)
    import_maps(
        [("one", str(tmp_path / "m.npz"))], str(tmp_path / "alignment.npz"), str(tmp_path / "out.npz")
    )
    np.testing.assert_allclose(load_arrays(tmp_path / "out.npz")["one"], full)
