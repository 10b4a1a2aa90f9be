"""The structure for the page: atoms to the step, and copies where they touch the chain."""

import base64

import numpy as np
import pytest
from report_fixtures import LENGTH, SHIFT, distances, positions, write_protein

from data.contacts import distances_between
from data.store import load_arrays, save_arrays
from report.payload import load_protein
from report.picture import pack_structure


def unpacked(text, step, shape):
    levels = np.frombuffer(base64.b64decode(text), "<i2").reshape(shape)
    return np.where(levels == -32767, np.nan, levels * step)


def test_copies_lie_where_the_assembly_has_them(tmp_path):
    packed = pack_structure(load_protein("hairpin", write_protein(tmp_path / "p", structure=True)))
    atoms = unpacked(packed["atoms"], packed["step"], (LENGTH, 5, 3))
    (copy,) = (unpacked(one["points"], one["step"], (LENGTH, 3)) for one in packed["copies"])
    between = distances_between(atoms[:, 4], copy)
    wanted = distances_between(positions(), positions() + np.array(SHIFT))
    glycine = [k for k in range(LENGTH) if np.isnan(atoms[k, 4]).any() and not np.isnan(positions()[k]).any()]
    known = [k for k in range(LENGTH) if k not in glycine]
    np.testing.assert_allclose(between[known], wanted[known], atol=0.05)


@pytest.mark.parametrize("change", ["other distances", "no assembly"])
def test_copies_that_do_not_fit_are_left_out(tmp_path, change):
    files = write_protein(tmp_path / "p", structure=True)
    truth = load_arrays(files["truth"])
    if change == "no assembly":
        del truth["assembly_distance"]
    else:
        truth["assembly_distance"] = np.minimum(distances(), truth["assembly_distance"] + 1)
    save_arrays(files["truth"], **truth)
    assert pack_structure(load_protein("hairpin", files))["copies"] == []


def test_no_structure_no_picture(tmp_path):
    assert pack_structure(load_protein("hairpin", write_protein(tmp_path / "p"))) is None
