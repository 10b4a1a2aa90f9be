"""Distances and contacts over the query's columns."""

import numpy as np
import pytest
from data_fixtures import demo_file, seqres, straight, write_pdb

from data.contacts import Truth, contact_map, true_distances
from data.errors import CovarionError, StructureError
from data.mapping import Mapping, map_query
from data.store import save_arrays
from data.structure import read_chain
from data.truth_file import save_truth, truth_from_file


def truth_of(tmp_path, skip=(3,)):
    lines = seqres("MKVLWEHT") + straight("MKVLWEHT", first=57, skip=skip)
    chain = read_chain(write_pdb(tmp_path / "x.pdb", lines))
    return true_distances(chain, map_query("MKVLWEHT", chain))


def test_distances_mask_and_labels(tmp_path):
    truth = truth_of(tmp_path)
    assert truth.distance.dtype == np.float32
    assert truth.distance[0, 2] == pytest.approx(7.6, abs=1e-3)
    assert np.array_equal(truth.distance, truth.distance.T, equal_nan=True)
    assert np.isnan(truth.distance[3]).all()
    assert truth.distance[1, 1] == 0
    assert truth.resolved.tolist() == [True, True, True, False, True, True, True, True]
    assert truth.residue.tolist() == ["57", "58", "59", "", "61", "62", "63", "64"]
    assert (truth.chain, truth.entry, truth.identity) == ("A", "x", 1.0)


def test_contacts_are_closer_than_the_cutoff():
    distance = np.array([[0, 8.0, 7.999], [8.0, 0, np.nan], [7.999, np.nan, 0]], dtype=np.float32)
    expected = [[False, False, True], [False, False, False], [True, False, False]]
    assert contact_map(distance).tolist() == expected
    assert contact_map(distance, 9.0)[0, 1]
    assert distance[0, 0] == 0  # the input is left alone


def test_unmapped_columns_are_unresolved(tmp_path):
    chain = read_chain(write_pdb(tmp_path / "x.pdb", straight("MKVL")))
    truth = true_distances(chain, Mapping(np.array([-1, 0, 3]), 1.0, 2 / 3))
    assert truth.resolved.tolist() == [False, True, True]
    assert truth.distance[1, 2] == pytest.approx(11.4, abs=1e-3)
    with pytest.raises(StructureError, match=r"fewer than two query residues.*found: 1 of 3"):
        true_distances(chain, Mapping(np.array([-1, 0, -1]), 1.0, 1 / 3))


def test_truth_comes_back_from_its_file(tmp_path):
    truth = truth_of(tmp_path)
    save_truth(tmp_path / "truth.npz", truth)
    again = truth_from_file(tmp_path / "truth.npz")
    for name in Truth.__dataclass_fields__:
        before, after = getattr(truth, name), getattr(again, name)
        if isinstance(before, np.ndarray):
            assert after.dtype == before.dtype
            assert np.array_equal(before, after, equal_nan=before.dtype.kind == "f")
        else:
            assert after == pytest.approx(before) if isinstance(before, float) else after == before


def test_files_that_are_no_truth(tmp_path):
    save_arrays(tmp_path / "t.npz", distance=np.zeros((2, 2)))
    with pytest.raises(StructureError, match="arrays are missing; found: resolved, residue"):
        truth_from_file(tmp_path / "t.npz")
    (tmp_path / "t.npz").write_bytes(b"PK")
    with pytest.raises(CovarionError, match=r"t\.npz: cannot be read"):
        truth_from_file(tmp_path / "t.npz")


def test_distances_agree_with_biopython():
    from Bio.PDB import PDBParser

    path = demo_file("S1A_serine_proteases/3tgi.pdb")
    chain = read_chain(path, "E")
    truth = true_distances(chain, map_query(chain.sequence, chain))
    theirs = PDBParser(QUIET=True).get_structure("x", path)[0]["E"]
    points = [theirs[(" ", int(label.rstrip("ABC")), label[-1] if label[-1].isalpha() else " ")]
              for label in truth.residue]  # fmt: skip
    points = [residue["CA" if residue.get_resname() == "GLY" else "CB"] for residue in points]
    rng = np.random.default_rng(0)
    for i, j in rng.integers(len(points), size=(500, 2)):
        assert truth.distance[i, j] == pytest.approx(points[i] - points[j], abs=1e-3)
