"""Significance of couplings on the page, in the exports and for the script, counted again by loops."""

import base64
import csv
import io

import numpy as np
import pytest
from report_fixtures import LENGTH, distances, write_protein

from data.store import load_arrays, save_arrays
from report.bundle import everything, write_exports
from report.page import write_page
from report.payload import load_protein
from report.significance import pack_significance, significant_couplings


@pytest.fixture
def files(tmp_path):
    """A protein whose couplings were tested: q rises from almost 0 to 1 with the rank of plm."""
    files = write_protein(tmp_path / "hairpin")
    plm = load_arrays(files["maps"])["plm"]
    i, j = np.triu_indices(LENGTH, 6)
    order = np.argsort(-plm[i, j], kind="stable")
    p, q = (np.full((LENGTH, LENGTH), np.nan, np.float32) for _ in range(2))
    for k, at in enumerate(order, start=1):
        for a, b in ((i[at], j[at]), (j[at], i[at])):
            p[a, b], q[a, b] = k / 20000, min(1, k / 200)
    arrays = load_arrays(files["contacts"])
    numbers = {"nulls": np.int32(20), "smallest_p": np.float64(5e-5), "coarsest_p": np.float64(1e-3)}
    save_arrays(files["contacts"], **arrays, p=p, q=q, **numbers)
    return files


def test_counts_equal_the_loop(files):
    found = significant_couplings(load_protein("hairpin", files))
    q, distance = load_arrays(files["contacts"])["q"], distances()
    assert (found.nulls, found.pairs) == (20, (LENGTH - 6) * (LENGTH - 5) // 2)
    for level in found.levels:
        pairs = [(i, j) for i in range(LENGTH) for j in range(i + 6, LENGTH) if q[i, j] <= level.q]
        known = [distance[pair] for pair in pairs if np.isfinite(distance[pair])]
        counts = (len(pairs), len(known), sum(d < 8 for d in known))
        assert (level.pairs, level.resolved, level.contacts) == counts
        assert len(pairs) == round(200 * level.q)


def test_the_script_gets_the_small_ones_exactly(files):
    packed = pack_significance(load_protein("hairpin", files))
    q = load_arrays(files["contacts"])["q"]
    pairs = np.frombuffer(base64.b64decode(packed["pairs"]), "<u4")
    kept = np.frombuffer(base64.b64decode(packed["q"]), "<f4")
    i, j = np.triu_indices(LENGTH, 1)
    np.testing.assert_array_equal(q[i[pairs], j[pairs]], kept)
    assert kept.max() <= 0.5 < packed["above"] <= 0.51
    assert len(pairs) == np.sum(np.triu(np.nan_to_num(q, nan=9)) <= 0.5) - np.sum(np.tri(LENGTH, k=-1))


def test_page_and_exports_tell_it(files, tmp_path):
    write_page("hairpin", files, {}, {}, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "20 alignments with the same sequences" in page
    assert "5e-05" in page
    assert 'data-key="q"' in page
    protein = load_protein("hairpin", files)
    write_exports(protein, tmp_path / "exports")
    q = load_arrays(files["contacts"])["q"]
    for row in csv.DictReader(io.StringIO((tmp_path / "exports" / "refined.csv").read_text())):
        i, j = int(row["i"]) - protein.first_index, int(row["j"]) - protein.first_index
        assert float(row["coupling_q"]) == pytest.approx(q[i, j], rel=0.01)
    np.testing.assert_array_equal(everything(protein)["coupling_q"], q)


def test_without_a_test_the_page_says_how_to_ask_for_one(tmp_path):
    files = write_protein(tmp_path / "hairpin")
    write_page("hairpin", files, {}, {}, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "dca: {nulls: 20}" in page
    assert 'data-key="q"' not in page
    assert pack_significance(load_protein("hairpin", files)) is None
