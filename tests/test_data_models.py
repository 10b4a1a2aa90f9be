"""Predicted models are known as such, keep their confidence, and are nothing to learn from."""

import numpy as np
import pytest
from data_fixtures import SHARED, seqres, straight, write_pdb
from structure_fixtures import Piece, line_of, mmcif, model_text

from data.alphafold import predicted_aligned_error
from data.contacts import true_distances
from data.errors import CovarionError
from data.json_answers import read_json
from data.mapping import map_query
from data.models import hide_uncertain
from data.structure import read_chain, write_mmcif
from data.truth_file import experimental_distance, save_truth

SEQUENCE = "MKVLWEHT"
PLDDT = [95.0, 90.0, 69.99, 70.0, 30.0, 80.0, 80.0, 80.0]


def model(tmp_path):
    path = tmp_path / "m.cif"
    path.write_text(model_text(SEQUENCE, PLDDT))
    return path


def test_a_model_says_so_and_keeps_its_confidence(tmp_path):
    assert write_mmcif(model(tmp_path), tmp_path / "m.cif.gz")["kind"] == "model"
    chain = read_chain(tmp_path / "m.cif.gz")
    assert chain.model
    np.testing.assert_allclose(chain.plddt, PLDDT, atol=1e-4)


def test_the_table_of_confidence_goes_before_b_factors(tmp_path):
    text = model_text(SEQUENCE, PLDDT)
    (tmp_path / "m.cif").write_text(text.replace(" 2 95.0 1 ", " 2 55.5 1 "))
    assert read_chain(tmp_path / "m.cif").plddt[0] == 55.5


def test_an_experiment_has_no_confidence(tmp_path):
    path = tmp_path / "x.cif"
    path.write_text(mmcif([Piece("A", "A", "1", SEQUENCE, line_of(8))]))
    chain = read_chain(path)
    assert (chain.model, chain.plddt) == (False, None)
    assert hide_uncertain(chain, 70) is chain


HEADS = {
    "title of the AlphaFold database": ["TITLE     ALPHAFOLD MONOMER V2.0 PREDICTION FOR X (P69905)"],
    "theoretical": ["EXPDTA    THEORETICAL MODEL"],
}


@pytest.mark.parametrize("case", HEADS)
def test_pdb_files_that_say_they_are_models(tmp_path, case):
    """The mark survives the conversion."""
    path = write_pdb(tmp_path / "m.pdb", [*HEADS[case], *seqres(SEQUENCE), *straight(SEQUENCE)])
    assert read_chain(path).model
    assert write_mmcif(path, tmp_path / "m.cif.gz")["kind"] == "model"
    assert read_chain(tmp_path / "m.cif.gz").model


def test_a_title_about_alphafold_makes_no_model(tmp_path):
    head = ["TITLE     CRYSTAL STRUCTURE SOLVED WITH AN ALPHAFOLD MODEL", "EXPDTA    X-RAY DIFFRACTION"]
    assert not read_chain(write_pdb(tmp_path / "x.pdb", [*head, *straight(SEQUENCE)])).model


def test_residues_below_the_cut_are_unresolved(tmp_path):
    chain = hide_uncertain(read_chain(model(tmp_path)), 70)
    assert np.flatnonzero(~chain.resolved).tolist() == [2, 4]
    assert "2 of 8 residues have a pLDDT below 70" in chain.notes[-1]
    assert hide_uncertain(read_chain(model(tmp_path)), 0).resolved.all()
    truth = true_distances(chain, map_query(SEQUENCE, chain))
    assert truth.kind == "model"
    assert np.flatnonzero(~truth.resolved).tolist() == [2, 4]
    np.testing.assert_allclose(truth.plddt, PLDDT, atol=1e-4)


def test_confidence_between_0_and_1_is_read_as_shares(tmp_path):
    (tmp_path / "m.cif").write_text(model_text(SEQUENCE, [value / 100 for value in PLDDT]))
    chain = hide_uncertain(read_chain(tmp_path / "m.cif"), 70)
    assert np.flatnonzero(~chain.resolved).tolist() == [2, 4]
    np.testing.assert_allclose(chain.plddt, PLDDT, atol=1e-4)
    assert "pLDDT between 0 and 1" in chain.notes[-2]


def test_a_model_without_confident_residues_is_named_as_that(tmp_path):
    (tmp_path / "m.cif").write_text(model_text(SEQUENCE, [30.0] * 8))
    chain = hide_uncertain(read_chain(tmp_path / "m.cif"), 70)
    with pytest.raises(
        CovarionError, match=r"no residue .* has coordinates with a pLDDT that is high enough"
    ):
        map_query(SEQUENCE, chain)


def test_a_residue_without_confidence_is_below_any_cut(tmp_path):
    (tmp_path / "m.cif").write_text(model_text(SEQUENCE, PLDDT).replace(" 2 90.0 1 ", " 2 ? 1 "))
    assert not hide_uncertain(read_chain(tmp_path / "m.cif"), 0).resolved[1]


def test_the_predicted_aligned_error_follows_the_query(tmp_path):
    chain = read_chain(model(tmp_path))
    pae = np.arange(64, dtype=np.float16).reshape(8, 8)  # not symmetric
    query = "VLWEHTAA"
    truth = true_distances(chain, map_query(query, chain, min_identity=0.5), pae)
    assert truth.pae[0, 3] == pae[2, 5]
    assert truth.pae[3, 0] == pae[5, 2]
    assert np.isnan(truth.pae[6:]).all()
    assert np.isnan(truth.pae[:, 6:]).all()


def test_both_forms_of_the_predicted_aligned_error():
    error = [[0.0, 1.5, 3.0], [2.0, 0.0, 4.0], [31.75, 6.0, 0.0]]
    new = [{"predicted_aligned_error": error, "max_predicted_aligned_error": 31.75}]
    pairs = [(i, j) for i in (1, 2, 3) for j in (1, 2, 3)]
    old = [{
        "residue1": [i for i, _ in pairs], "residue2": [j for _, j in pairs],
        "distance": [error[i - 1][j - 1] for i, j in pairs],
    }]  # fmt: skip
    for form in (new, old, new[0]):
        assert predicted_aligned_error(form, "u").tolist() == error


def test_nothing_is_learned_from_a_model(tmp_path):
    chain = read_chain(model(tmp_path))
    save_truth(tmp_path / "t.npz", true_distances(chain, map_query(SEQUENCE, chain)))
    with pytest.raises(
        CovarionError, match=r"t\.npz: a predicted model is nothing to learn from.*remedy: take"
    ):
        experimental_distance(tmp_path / "t.npz")


def shared(name):
    path = SHARED / "formats" / name
    if not path.is_file():
        pytest.skip("the optional folder ../shared/formats is absent")
    return path


@pytest.mark.parametrize(
    ("name", "length", "accession"),
    [
        ("afdb/AF-P00698.pdb", 147, "P00698"),
        ("afdb/AF-Q96HM7-F1-model_v4.pdb", 432, "Q96HM7"),
        ("af3/fold_5b8c_model_0.cif", 139, ""),
        ("boltz/pdl1_binder_model_0.cif", 94, ""),
    ],
)
def test_real_models_are_known(tmp_path, name, length, accession):
    assert write_mmcif(shared(name), tmp_path / "m.cif.gz")["kind"] == "model"
    chain = read_chain(tmp_path / "m.cif.gz")
    assert len(chain.sequence) == length
    assert chain.model
    assert 20 < np.min(chain.plddt) < np.max(chain.plddt) <= 100
    if accession:
        assert chain.uniprot.accession == accession
        assert chain.uniprot.number.tolist() == list(range(1, length + 1))


def test_a_real_predicted_aligned_error():
    path = shared("afdb/AF-P00698.json")
    error = predicted_aligned_error(read_json(path, str(path)), str(path))
    assert error.shape == (147, 147)
    assert error[0, :5].tolist() == [0, 1, 4, 7, 8]
    assert error[1, 0] == 2


@pytest.mark.parametrize(
    ("head", "factors", "told"),
    [
        ([], PLDDT, True),
        (["EXPDTA    X-RAY DIFFRACTION"], PLDDT, False),
        ([], [20.0] * 8, False),  # nothing refined
        ([], [120.0, *PLDDT[1:]], False),
    ],
)
def test_a_file_that_may_hold_a_model_is_told_of(tmp_path, head, factors, told):
    atoms = straight(SEQUENCE)
    for k, line in enumerate(atoms):
        atoms[k] = f"{line[:60]}{factors[int(line[22:26]) - 1]:6.2f}{line[66:]}"
    chain = read_chain(write_pdb(tmp_path / "m.pdb", [*head, *atoms]))
    assert not chain.model
    assert any("model:PATH" in note for note in chain.notes) == told


def test_every_atom_with_its_own_factor_is_an_experiment(tmp_path):
    atoms = [f"{line[:60]}{20 + k % 7:6.2f}{line[66:]}" for k, line in enumerate(straight(SEQUENCE))]
    assert not any("model:PATH" in note for note in read_chain(write_pdb(tmp_path / "x.pdb", atoms)).notes)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the optional folder ../shared is not there")
def test_files_of_colabfold_are_told_of():
    for path in sorted((SHARED / "formats" / "colabfold").glob("*.pdb")):
        assert any("model:PATH" in note for note in read_chain(path).notes)
