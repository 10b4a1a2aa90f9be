"""Files for other programs, read back by their own rules."""

import csv
import re

import numpy as np
import pytest
from report_fixtures import FIRST, LENGTH, QUERY, distances, residue_numbers, symmetric, write_protein

from data.store import load_arrays
from report import formats
from report.bundle import downloads, everything, leading_methods, write_exports
from report.explain import NEAR
from report.exports import ranking
from report.payload import load_protein

ATOMS = ["CA" if letter == "G" else "CB" for letter in QUERY]
NUMBERS = [str(number) for number in residue_numbers()]


@pytest.fixture
def scores():
    return symmetric(np.random.default_rng(3))


@pytest.fixture
def best(scores):
    return ranking(scores, 6, LENGTH)


def test_evcouplings_table_holds_every_pair_once(tmp_path, scores):
    raw = scores + 1
    formats.write_evcouplings(QUERY, scores, raw, tmp_path / "x.csv", FIRST)
    rows = list(csv.DictReader((tmp_path / "x.csv").open()))
    assert list(rows[0]) == ["i", "A_i", "j", "A_j", "fn", "cn"]
    assert len({(row["i"], row["j"]) for row in rows}) == LENGTH * (LENGTH - 1) / 2 == len(rows)
    corrected = [float(row["cn"]) for row in rows]
    assert corrected == sorted(corrected, reverse=True)
    for row in rows[::50]:
        i, j = int(row["i"]) - FIRST, int(row["j"]) - FIRST
        assert i < j
        assert (row["A_i"], row["A_j"]) == (QUERY[i], QUERY[j])
        assert float(row["fn"]) == pytest.approx(raw[i, j], rel=1e-5)
        assert float(row["cn"]) == pytest.approx(scores[i, j], rel=1e-5)


def test_matrix_reads_back(tmp_path, scores):
    formats.write_matrix(scores, tmp_path / "x.mat")
    np.testing.assert_allclose(np.loadtxt(tmp_path / "x.mat"), scores, rtol=1e-5)


def test_restraints_name_real_atoms_and_the_range_of_a_contact(tmp_path, best):
    formats.write_restraints(QUERY, best, tmp_path / "x.tbl")
    pattern = (
        r"assign \(resid (\d+) and name (\w+)\) \(resid (\d+) and name (\w+)\) ([\d.]+) ([\d.]+) ([\d.]+)"
    )
    lines = (tmp_path / "x.tbl").read_text().splitlines()
    assert len(lines) == LENGTH
    for line, i, j in zip(lines, best.i, best.j, strict=True):
        first, atom, second, other, *numbers = re.fullmatch(pattern, line).groups()
        assert (int(first), int(second)) == (i + 1, j + 1)
        assert [atom, other] == ["ca" if QUERY[k] == "G" else "cb" for k in (i, j)]
        middle, below, above = map(float, numbers)
        assert (middle - below, middle + above) == pytest.approx((3.5, 8.0))


def test_alphalink_rate_is_what_is_missing_to_one(tmp_path, scores):
    probability = (1 / (1 + np.exp(-scores))).astype(np.float32)
    pairs = ranking(probability, 6, 10)
    formats.write_alphalink(pairs, tmp_path / "x.txt")
    table = np.loadtxt(tmp_path / "x.txt")
    np.testing.assert_array_equal(table[:, 0], pairs.i + 1)
    np.testing.assert_array_equal(table[:, 1], pairs.j + 1)
    np.testing.assert_allclose(table[:, 2], 1 - pairs.score, atol=1e-4)
    assert (np.diff(table[:, 2]) >= 0).all()


def kinds_by_hand(pairs):
    kinds = []
    for i, j in zip(pairs.i, pairs.j, strict=True):
        distance = distances()[i, j]
        kinds.append(
            "unknown"
            if np.isnan(distance)
            else "contact"
            if distance < 8
            else "near"
            if distance < 12
            else "wrong"
        )
    return kinds


def drawn(pairs):
    return [(i, j) for i, j in zip(pairs.i, pairs.j, strict=True) if NUMBERS[i] and NUMBERS[j]]


def test_contacts_with_another_copy_are_told_from_wrong_pairs(best):
    apart = distances()
    chosen = [k for k, kind in enumerate(kinds_by_hand(best)) if kind in ("near", "wrong")][::2]
    assembly = apart.copy()
    assembly[best.i[chosen], best.j[chosen]] = 7.9
    unknown = np.flatnonzero(np.isnan(apart[best.i, best.j]))
    assembly[best.i[unknown], best.j[unknown]] = 7.9  # without coordinates in the chain nothing is said
    expected = kinds_by_hand(best)
    for k in chosen:
        expected[k] = "copy"
    assert chosen
    assert formats.pair_kinds(best, apart, NEAR, assembly) == expected


def test_pymol_script_draws_every_resolved_pair(tmp_path, best):
    kinds = formats.pair_kinds(best, distances(), NEAR)
    assert kinds == kinds_by_hand(best)
    numbers = [f"-{number}" if number == "110" else number for number in NUMBERS]
    formats.write_pymol(ATOMS, best, kinds, numbers, tmp_path / "x.pml")
    text = (tmp_path / "x.pml").read_text()
    end = rf"/{formats.PYMOL_OBJECT}//A/(\S+)/(C[AB])"
    lines = re.findall(rf"^distance pairs_(\w+), {end}, {end}$", text, re.M)
    assert len(lines) == len(drawn(best))
    for (_, first, atom, second, other), (i, j) in zip(lines, drawn(best), strict=True):
        assert [first, second] == [numbers[k].replace("-", "\\-") for k in (i, j)]
        assert [atom, other] == ["CA" if QUERY[k] == "G" else "CB" for k in (i, j)]
    assert text.startswith(f"load chain.pdb, {formats.PYMOL_OBJECT}\n")
    for kind in {line[0] for line in lines}:
        assert f"color covarion_{kind}, pairs_{kind}" in text


def test_chimerax_bonds_are_the_same_pairs(tmp_path, best):
    kinds = formats.pair_kinds(best, distances(), NEAR)
    formats.write_chimerax(ATOMS, best, kinds, NUMBERS, tmp_path / "x.cxc")
    script = (tmp_path / "x.cxc").read_text()
    assert script.splitlines()[0] == "open chain.pdb"
    lines = script.splitlines()  # a pseudobond is drawn only between atoms that are drawn
    assert lines.index("hide atoms") < lines.index("show @CA,CB atoms")
    assert 'open "x.pb"' in script
    end = r"/A:(\S+)@C[AB]"
    bonds = re.findall(rf"^{end} {end} (#[0-9a-f]{{6}})$", (tmp_path / "x.pb").read_text(), re.M)
    shown = drawn(best)
    assert [bond[:2] for bond in bonds] == [(NUMBERS[i], NUMBERS[j]) for i, j in shown]
    kind_of = dict(zip(zip(best.i, best.j, strict=True), kinds, strict=True))
    assert [bond[2] for bond in bonds] == [formats.COLOURS[kind_of[pair]] for pair in shown]


@pytest.fixture
def protein(tmp_path):
    return load_protein("hairpin", write_protein(tmp_path / "p", structure=True))


def test_a_bundle_holds_what_it_says(tmp_path, protein):
    paths = write_exports(protein, tmp_path / "exports")
    assert sorted(paths) == sorted((tmp_path / "exports").iterdir())
    assert leading_methods(protein) == ["refined", "plm"]
    names = {path.name for path in paths}
    assert {"chain.pdb", "plm.pml", "plm.cxc", "plm.pb", "refined.pml", "plm.evcouplings.csv"} <= names
    assert "plm.alphalink.txt" not in names  # a score is no probability
    groups = downloads(paths, tmp_path / "report.html")
    assert sorted(file["name"] for group in groups for file in group["files"]) == sorted(names)
    by_title = {group["title"]: {file["name"] for file in group["files"]} for group in groups}
    assert by_title["Everything"] == {"everything.npz"}
    lists = {f"{name}.{end}" for name in protein.maps for end in ("rr", "csv")}
    assert by_title["Contacts as tables"] == lists


def test_everything_reads_back_without_pickle(tmp_path, protein):
    write_exports(protein, tmp_path)
    arrays = load_arrays(tmp_path / "everything.npz")
    assert set(arrays) == set(everything(protein))
    np.testing.assert_array_equal(arrays["map_plm"], protein.maps["plm"])
    np.testing.assert_array_equal(arrays["raw_plm"], protein.raw["plm"])
    np.testing.assert_array_equal(arrays["true_distance"], distances())
    assert str(arrays["query"]) == QUERY
    assert arrays["atoms"].shape == (LENGTH, 5, 3)
