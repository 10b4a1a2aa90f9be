"""Scores against each structure, their union and the assembly are those of loops over what each says."""

import csv
import math

import numpy as np
import pytest
from structure_fixtures import Piece, assembly, mmcif, model_text

from data.comparisons import comparisons, union
from data.contacts import Truth
from data.prepare import map_structure
from data.scoring import AGREEMENT_COLUMNS, COLUMNS, RANGES, read_scores, score_files
from data.store import save_arrays, save_json
from data.truth_file import save_truth, truth_from_file

SEQUENCE = "MKVLWEHTRQNPYFADCISGKMEWLVRHAC"
LENGTH = len(SEQUENCE)


def places(seed):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 14, (LENGTH, 3))


def truth(seed, missing=(), kind="experiment", entry="1ABC", chain="A", **more):
    position = places(seed)
    position[list(missing)] = np.nan
    distance = np.linalg.norm(position[:, None] - position[None], axis=2).astype(np.float32)
    resolved = np.isfinite(np.diagonal(distance))
    residue = np.array([str(n) if known else "" for n, known in enumerate(resolved)])
    return Truth(distance, resolved, residue, 1.0, 1.0, chain, entry, ["a note"], kind=kind, **more)


def score(seed=0):
    values = np.random.default_rng(seed).normal(size=(LENGTH, LENGTH))
    return (values + values.T).astype(np.float32)


def expected(values, truths, low, high, k):
    """Precision at k by loops: a pair is known, and a contact, if it is so in any of the truths."""
    pairs = []
    for i in range(LENGTH):
        for j in range(i + low, LENGTH):
            known = [t.distance[i, j] for t in truths if not math.isnan(t.distance[i, j])]
            if known and (high is None or j - i <= high):
                pairs.append((-values[i, j], i, j, min(known) < 8))
    best = sorted(pairs)[:k]
    return sum(hit for *_, hit in best) / len(best), len(pairs), sum(hit for *_, hit in pairs)


def test_each_structure_the_union_and_the_assembly(tmp_path):
    near = np.fmin(truth(1, (3,)).distance, truth(9, (3,)).distance)
    first = truth(1, (3,), assembly_distance=near, assembly="assembly 1, 2 copies")
    others = [truth(2, (5, 6), entry="2XYZ", chain="B"), truth(3, kind="model", entry="AF 1")]
    first.further.extend(others)
    save_truth(tmp_path / "t.npz", first)
    save_arrays(tmp_path / "maps.npz", plm=score(), plm_raw=score(1))
    score_files("P", tmp_path / "t.npz", [tmp_path / "maps.npz"], tmp_path / "s.tsv", tmp_path / "a.tsv")
    rows = read_scores(tmp_path / "s.tsv", against=None)
    assert list(dict.fromkeys(row["against"] for row in rows)) == ["chain", "assembly", "2XYZ_B", "union"]
    members = {
        "chain": [first], "2XYZ_B": [others[0]], "union": [first, others[0]],
        "assembly": [first, truth(9, (3,))],
    }  # fmt: skip
    for row in rows:
        if row["cut"] == "L/5":
            low, high = RANGES[row["range"]]
            value, pairs, contacts = expected(score(), members[row["against"]], low, high, row["k"])
            assert row["precision"] == pytest.approx(value, abs=1e-6), row
            assert (row["pairs"], row["contacts"]) == (pairs, contacts), row
    models = read_scores(tmp_path / "a.tsv", against=None)
    assert {row["against"] for row in models} == {"AF_1_A"}
    assert models[0]["agreement"] == pytest.approx(
        expected(score(), [others[1]], 6, 11, models[0]["k"])[0], abs=1e-6
    )


def test_a_model_alone_has_agreement_and_no_precision(tmp_path):
    save_truth(tmp_path / "t.npz", truth(1, kind="model"))
    save_arrays(tmp_path / "maps.npz", plm=score())
    score_files("P", tmp_path / "t.npz", [tmp_path / "maps.npz"], tmp_path / "s.tsv", tmp_path / "a.tsv")
    assert (tmp_path / "s.tsv").read_text() == "\t".join(COLUMNS) + "\n"
    assert read_scores(tmp_path / "s.tsv") == []
    with (tmp_path / "a.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert tuple(rows[0]) == AGREEMENT_COLUMNS
    assert "precision" not in rows[0]
    assert len(rows) == 20
    assert {row["against"] for row in rows} == {"chain"}


def test_means_and_pages_read_the_first_chain_alone(tmp_path):
    first = truth(1)
    first.further.append(truth(2, entry="2XYZ"))
    save_truth(tmp_path / "t.npz", first)
    save_arrays(tmp_path / "maps.npz", plm=score())
    score_files("P", tmp_path / "t.npz", [tmp_path / "maps.npz"], tmp_path / "s.tsv")
    assert {row["against"] for row in read_scores(tmp_path / "s.tsv")} == {"chain"}
    assert len(read_scores(tmp_path / "s.tsv")) == 20
    assert len(read_scores(tmp_path / "s.tsv", against=None)) == 60


def test_tables_of_the_first_version_are_read(tmp_path):
    (tmp_path / "s.tsv").write_text("\t".join(COLUMNS[:-1]) + "\nP\tplm\tlong\tL\t3\t0.5\t1.0\t9\t4\n")
    assert read_scores(tmp_path / "s.tsv")[0]["precision"] == 0.5


def test_the_same_entry_twice_and_unions_of_models():
    first = truth(1)
    first.further.extend([truth(2), truth(3, kind="model"), truth(4, kind="model", entry="1ABC")])
    found = [(part.against, part.kind) for part in comparisons(first)]
    assert found == [
        ("chain", "experiment"),
        ("1ABC_A", "experiment"),
        ("1ABC_A~2", "model"),
        ("1ABC_A~3", "model"),
        ("union", "experiment"),
        ("union", "model"),
    ]


def test_a_union_resolves_what_any_of_its_members_does():
    both = union([truth(1, (3, 4)), truth(2, (4, 5))])
    assert np.flatnonzero(~both.resolved).tolist() == [4]
    assert np.isnan(both.distance[3, 5])  # no structure resolves both
    assert not np.isnan(both.distance[3, 6])


def test_all_that_is_known_comes_back_from_the_file(tmp_path):
    first = truth(
        1, (3,), kind="model", label="B", plddt=np.linspace(0, 100, LENGTH, dtype=np.float32),
        pae=np.ones((LENGTH, LENGTH), np.float16), uniprot=np.arange(LENGTH, dtype=np.int32),
        accession="P69905", numbering="SIFTS", assembly_distance=truth(2).distance, assembly="assembly 1",
    )  # fmt: skip
    first.further.append(truth(2, (5,), entry="2XYZ"))
    save_truth(tmp_path / "t.npz", first)
    again = truth_from_file(tmp_path / "t.npz")
    for name in Truth.__dataclass_fields__:
        before, after = getattr(first, name), getattr(again, name)
        if isinstance(before, np.ndarray):
            assert before.dtype == after.dtype, name
            np.testing.assert_array_equal(before, after)
        elif name != "further":
            assert before == after, name
    assert len(again.further) == 1
    other = again.further[0]
    assert (other.entry, other.notes, other.residue.tolist()[:6]) == ("2XYZ", ["a note"], [*"01234", ""])
    np.testing.assert_array_equal(other.distance, first.further[0].distance)
    np.testing.assert_array_equal(other.resolved, first.further[0].resolved)


@pytest.fixture
def prepared(tmp_path):
    """An alignment of the query, an entry of two copies with UniProt numbers, another entry, and a model."""
    save_arrays(tmp_path / "a.npz", query=np.array(SEQUENCE))
    twice = [Piece("A", "X", "1", SEQUENCE, places(1)), Piece("B", "Y", "1", SEQUENCE, places(2))]
    same = {"1": (np.eye(3), (0, 0, 0))}
    sifts = {("A", n): ("P69905", 10 + n) for n in range(1, LENGTH + 1)}
    (tmp_path / "two.cif").write_text(mmcif(twice, "2TWO", sifts, assembly([("1", "A,B")], same)))
    (tmp_path / "one.cif").write_text(mmcif([Piece("A", "A", "1", SEQUENCE, places(3), skip=(4,))], "1ONE"))
    (tmp_path / "model.cif").write_text(model_text(SEQUENCE, [60.0] * 5 + [90.0] * 25, places(4)))
    return tmp_path


def mapped(folder, names, chains="", **settings):
    map_structure(
        str(folder / "a.npz"),
        [str(folder / f"{n}.cif") for n in names],
        str(folder / "t.npz"),
        chains,
        **settings,
    )
    return truth_from_file(folder / "t.npz")


def test_the_first_experiment_comes_first(prepared):
    found = mapped(prepared, ["model", "one", "two"], ["", "", "X"])
    assert (found.kind, found.entry, found.chain) == ("experiment", "1ONE", "A")
    assert [(part.kind, part.entry) for part in found.further] == [
        ("experiment", "2TWO"),
        ("model", "AF-P69905-F1"),
    ]
    assert found.assembly_distance is None
    assert any("tells of no assembly" in note for note in found.notes)


def test_numbers_come_from_another_structure_where_the_first_has_none(prepared):
    found = mapped(prepared, ["one", "two"])
    assert found.uniprot.tolist() == list(range(11, 11 + LENGTH))
    assert found.accession == "P69905"
    assert found.numbering.endswith("of 2TWO")


def test_the_chain_and_its_copies(prepared):
    found = mapped(prepared, ["two"], ["label=B"])
    assert (found.chain, found.label, found.assembly) == ("Y", "B", "assembly 1, 2 copies")
    assert (found.assembly_distance <= found.distance + 1e-4).all()
    assert (found.assembly_distance < found.distance - 1).any()
    assert mapped(prepared, ["two"], assembly=False).assembly_distance is None


def test_a_chain_that_was_chosen_at_the_source_is_taken(prepared):
    save_json(prepared / "two.cif.json", {"chain": "auth=Y"})
    assert mapped(prepared, ["two"]).chain == "Y"
    assert mapped(prepared, ["two"], ["X"]).chain == "X"


def test_a_model_alone_keeps_its_confidence_and_its_cut(prepared):
    save_arrays(prepared / "model.cif.pae.npz", pae=np.full((LENGTH, LENGTH), 3.5, np.float16))
    found = mapped(prepared, ["model"])
    assert (found.kind, found.resolved.sum()) == ("model", LENGTH - 5)
    assert found.plddt.tolist() == [60.0] * 5 + [90.0] * 25
    assert (found.pae == 3.5).all()
    assert found.assembly_distance is None
    assert mapped(prepared, ["model"], min_plddt=50).resolved.all()
    save_arrays(prepared / "model.cif.pae.npz", pae=np.zeros((4, 4), np.float16))
    found = mapped(prepared, ["model"])
    assert found.pae is None
    assert any("predicted aligned error is of 4 residues" in note for note in found.notes)
