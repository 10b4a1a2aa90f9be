"""One point per residue from real and hand-made files, whatever is odd about them."""

import gzip

import gemmi
import numpy as np
import pytest
from data_fixtures import atom, backbone, demo_file, seqres, straight, write_pdb

from data.errors import StructureError
from data.structure import read_chain, write_mmcif

DEMO = [
    ("DHFR/3QL0.pdb", "A", "3QL0"),
    ("S1A_serine_proteases/3tgi.pdb", "E", "3TGI"),
    ("S1A_serine_proteases/3tgi.pdb", "I", "3TGI"),
    ("rhomboid_proteases/2NRF.pdb", "B", "2NRF"),
]


def test_points_are_beta_and_alpha_in_glycine(tmp_path):
    chain = read_chain(write_pdb(tmp_path / "x.pdb", straight("MKGV")))
    assert (chain.name, chain.sequence, chain.residue) == ("A", "MKGV", ["1", "2", "3", "4"])
    assert chain.position.dtype == np.float32
    expected = [[0, 0, 1], [3.8, 0, 1], [7.6, 0, 0], [11.4, 0, 1]]
    assert np.allclose(chain.position, expected, atol=1e-3)
    assert chain.resolved.all()
    assert chain.entry == "x"
    assert chain.notes == []


@pytest.mark.parametrize("ending", ["x.pdb.gz", "named_wrongly.cif"])
def test_form_is_found_from_the_content(tmp_path, ending):
    plain = write_pdb(tmp_path / "plain.pdb", straight("MKGV"))
    content = plain.read_bytes()
    (tmp_path / ending).write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    assert read_chain(tmp_path / ending).sequence == "MKGV"


def test_missing_residues_stand_in_the_sequence(tmp_path):
    lines = seqres("MKGVLWEH") + straight("MKGVLWEH", first=11, skip=(0, 3, 4))
    chain = read_chain(write_pdb(tmp_path / "x.pdb", lines))
    assert chain.sequence == "MKGVLWEH"
    assert chain.residue == ["", "12", "13", "", "", "16", "17", "18"]
    assert chain.resolved.tolist() == [False, True, True, False, False, True, True, True]
    assert "3 residues of the sequence are not in the model" in chain.notes


def test_without_seqres_only_what_was_observed(tmp_path):
    chain = read_chain(write_pdb(tmp_path / "x.pdb", straight("MKGVLWEH", skip=(3, 4))))
    assert chain.sequence == "MKGWEH"
    assert chain.residue == ["1", "2", "3", "6", "7", "8"]


def test_altloc_of_highest_occupancy_wins(tmp_path):
    lines = straight("MK")
    lines += [
        atom("CA", "VAL", 3, (7.6, 0, 0)),
        atom("CB", "VAL", 3, (7.6, 5, 0), altloc="A", occupancy=0.3),
        atom("CB", "VAL", 3, (7.6, 9, 0), altloc="B", occupancy=0.7),
    ]
    chain = read_chain(write_pdb(tmp_path / "x.pdb", lines))
    assert chain.position[2].tolist() == pytest.approx([7.6, 9, 0], abs=1e-3)
    assert len(chain.sequence) == 3


def test_of_two_kinds_in_one_place_the_fuller_one_wins(tmp_path):
    lines = straight("MK")
    for name, altloc, occupancy, y in (("SER", "A", 0.4, 5), ("THR", "B", 0.6, 9)):
        lines.append(atom("CA", name, 3, (7.6, y, 0), altloc=altloc, occupancy=occupancy))
        lines.append(atom("CB", name, 3, (7.6, y, 1), altloc=altloc, occupancy=occupancy))
    lines += backbone("L", 4, (11.4, 0, 0))
    for header in ([], seqres("MKSL")):
        chain = read_chain(write_pdb(tmp_path / "x.pdb", header + lines))
        assert chain.sequence == "MKTL"
        assert chain.position[2].tolist() == pytest.approx([7.6, 9, 1], abs=1e-3)


def test_insertion_codes(tmp_path):
    lines = backbone("M", 57, (0, 0, 0)) + backbone("K", 57, (3.8, 0, 0), icode="A")
    lines += backbone("V", 57, (7.6, 0, 0), icode="B") + backbone("L", 58, (11.4, 0, 0))
    chain = read_chain(write_pdb(tmp_path / "x.pdb", lines))
    assert chain.residue == ["57", "57A", "57B", "58"]
    assert chain.sequence == "MKVL"


def test_modified_and_unknown_residues(tmp_path):
    lines = straight("AK")
    for number, name in ((3, "MSE"), (4, "SEP"), (5, "UNK")):
        x = 3.8 * (number - 1)
        lines += [
            atom("N", name, number, (x - 1.4, 0, 0), record="HETATM"),
            atom("CA", name, number, (x, 0, 0), record="HETATM"),
            atom("C", name, number, (x + 1.4, 0, 0), record="HETATM"),
            atom("CB", name, number, (x, 0, 1), record="HETATM"),
        ]
    lines += backbone("L", 6, (19.0, 0, 0))
    chain = read_chain(write_pdb(tmp_path / "x.pdb", lines))
    assert chain.sequence == "AKMSXL"
    assert chain.resolved.all()
    assert "1 residues of unknown kind" in chain.notes


def test_ligands_ions_and_water_are_not_residues(tmp_path):
    lines = [*straight("MKV"), "TER"]
    lines += [
        atom("CA", "CA", 201, (50, 0, 0), record="HETATM"),
        atom("C1", "HEM", 202, (60, 0, 0), record="HETATM"),
        atom("O", "HOH", 301, (70, 0, 0), record="HETATM"),
        # A free amino acid is a ligand, not the end of the chain
        atom("CA", "GLU", 401, (80, 0, 0), record="HETATM"),
        atom("CB", "GLU", 401, (81, 0, 0), record="HETATM"),
    ]
    assert read_chain(write_pdb(tmp_path / "x.pdb", lines)).sequence == "MKV"


def test_residue_without_beta_is_unresolved(tmp_path):
    lines = straight("MK") + backbone("V", 3, (7.6, 0, 0), beta=False) + backbone("G", 4, (11.4, 0, 0))
    chain = read_chain(write_pdb(tmp_path / "x.pdb", lines))
    assert chain.resolved.tolist() == [True, True, False, True]
    assert chain.residue[2] == "3"
    assert "1 residues without C-beta are unresolved" in chain.notes


@pytest.mark.parametrize("glycine", ["CA", "CB"])
def test_files_of_beta_atoms_alone(tmp_path, glycine):
    letters = [("MET", "CB"), ("GLY", glycine), ("LYS", "CB"), ("VAL", "CB")]
    lines = [atom(name, kind, i + 1, (5.0 * i, 0, 0)) for i, (kind, name) in enumerate(letters)]
    chain = read_chain(write_pdb(tmp_path / "x.pdb", lines))
    assert chain.sequence == "MGKV"
    assert np.allclose(chain.position[:, 0], [0, 5, 10, 15])
    assert any("glycines have C-beta alone" in note for note in chain.notes) == (glycine == "CB")


def test_chain_of_alpha_atoms_alone_is_refused(tmp_path):
    lines = [atom("CA", "LYS", i, (3.8 * i, 0, 0)) for i in range(1, 5)] + [atom("CA", "GLY", 5, (19, 0, 0))]
    with pytest.raises(StructureError, match="C-alpha atoms only; found: 5 residues"):
        read_chain(write_pdb(tmp_path / "x.pdb", lines))


def test_chain_without_any_point_is_refused(tmp_path):
    lines = [atom("N", "LYS", i, (3.8 * i, 0, 0)) for i in range(1, 5)]
    with pytest.raises(StructureError, match="no residue of the chain has a C-beta"):
        read_chain(write_pdb(tmp_path / "x.pdb", lines))


def two_models(tmp_path):
    lines = []
    for model, shift in ((1, 0.0), (2, 100.0)):
        lines.append(f"MODEL     {model:>4}")
        for chain, sequence in (("A", "MKV"), ("B", "GLWE")):
            for place, letter in enumerate(sequence):
                lines += backbone(letter, place + 1, (3.8 * place + shift, 0, 0), chain)
            lines.append("TER")
        lines.append("ENDMDL")
    return write_pdb(tmp_path / "x.pdb", lines)


def test_models_and_chains(tmp_path):
    path = two_models(tmp_path)
    first = read_chain(path)
    assert (first.name, first.sequence) == ("A", "MKV")
    assert "chain A: the first protein chain" in first.notes
    second = read_chain(path, "B", model=2)
    assert second.sequence == "GLWE"
    assert second.position[0, 0] == pytest.approx(100.0)
    assert second.notes == ["model 2 of 2"]


def test_what_is_not_there_is_named_with_what_is(tmp_path):
    path = two_models(tmp_path)
    with pytest.raises(StructureError, match=r"no such protein chain; found: Z; remedy: .*there: A, B"):
        read_chain(path, "Z")
    with pytest.raises(StructureError, match="no such model; found: 7; remedy: models there: 1, 2"):
        read_chain(path, "A", model=7)


def test_chain_without_a_name(tmp_path):
    chain = read_chain(write_pdb(tmp_path / "x.pdb", straight("MKV", chain=" ")))
    assert (chain.name, chain.sequence) == ("A", "MKV")


def test_label_name_of_mmcif_is_accepted_with_a_note(tmp_path):
    structure = gemmi.read_pdb(str(two_models(tmp_path)))
    structure[0][0].name, structure[1][0].name = "H", "H"
    structure.setup_entities()
    for model in structure:
        for chain, label in zip(model, ("A", "B"), strict=True):
            for residue in chain:
                residue.subchain = label
    structure.entities[0].subchains, structure.entities[1].subchains = ["A"], ["B"]
    structure.make_mmcif_document().write_file(str(tmp_path / "x.cif"))
    chain = read_chain(tmp_path / "x.cif", "A")
    assert (chain.name, chain.sequence) == ("H", "MKV")
    assert "chain A is the label name of author chain H" in chain.notes


def test_no_protein(tmp_path):
    lines = [atom("P", "DA", i, (6.0 * i, 0, 0)) for i in range(1, 4)]
    path = write_pdb(tmp_path / "x.pdb", lines)
    with pytest.raises(StructureError, match="no protein chain"):
        read_chain(path)
    with pytest.raises(StructureError, match="no protein chain"):
        write_mmcif(path, tmp_path / "x.cif.gz")
    assert not (tmp_path / "x.cif.gz").exists()


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (b"", "no atoms"),
        (b"<html>not here</html>\n", "no atoms; found: <html>"),
        (b"data_x\n_cell.length_a 1\n", "cannot be parsed; found: no data block with _atom_site"),
        (b"data_x\nloop_\n_a.b\n_a.c\n1\n", "cannot be parsed"),
        (gzip.compress(b"ATOM  " * 4000, mtime=0)[:40], "damaged or cut off"),
    ],
)
def test_files_that_are_no_structures(tmp_path, content, pattern):
    path = tmp_path / "x.pdb"
    path.write_bytes(content)
    with pytest.raises(StructureError, match=pattern) as caught:
        read_chain(path)
    assert caught.value.file == str(path)
    assert caught.value.remedy


def test_missing_file(tmp_path):
    with pytest.raises(StructureError, match=r"nowhere\.pdb: cannot be read; found: No such file"):
        read_chain(tmp_path / "nowhere.pdb")


@pytest.mark.parametrize(("name", "chain", "entry"), DEMO)
def test_mmcif_says_what_pdb_said(tmp_path, name, chain, entry):
    source = demo_file(name)
    report = write_mmcif(source, tmp_path / "x.cif.gz")
    assert (report["format"], report["entry"], report["models"]) == ("pdb", entry, 1)
    assert chain in report["chains"]
    before, after = read_chain(source, chain), read_chain(tmp_path / "x.cif.gz", chain)
    assert after.sequence == before.sequence
    assert after.residue == before.residue
    assert after.entry == entry
    assert np.allclose(after.position, before.position, atol=2e-3, equal_nan=True)


def test_mmcif_is_kept_and_bytes_are_stable(tmp_path):
    write_mmcif(write_pdb(tmp_path / "x.pdb", straight("MKV")), tmp_path / "1.cif.gz")
    report = write_mmcif(tmp_path / "1.cif.gz", tmp_path / "2.cif.gz")
    assert report["format"] == "mmcif"
    assert (tmp_path / "1.cif.gz").read_bytes() == (tmp_path / "2.cif.gz").read_bytes()


def test_odd_things_survive_the_way_through_mmcif(tmp_path):
    lines = seqres("MKSGVL") + backbone("M", 5, (0, 0, 0)) + backbone("K", 5, (3.8, 0, 0), icode="A")
    lines += [
        atom("CA", "SER", 6, (7.6, 0, 0)),
        atom("CB", "SER", 6, (7.6, 2, 0), altloc="A", occupancy=0.2),
        atom("CB", "SER", 6, (7.6, 3, 0), altloc="B", occupancy=0.8),
    ]
    lines += backbone("G", 7, (11.4, 0, 0)) + backbone("L", 9, (19, 0, 0))
    write_mmcif(write_pdb(tmp_path / "x.pdb", lines), tmp_path / "x.cif.gz")
    chain = read_chain(tmp_path / "x.cif.gz")
    assert chain.sequence == "MKSGVL"
    assert chain.residue == ["5", "5A", "6", "7", "", "9"]
    assert chain.position[2, 1] == pytest.approx(3.0)


@pytest.mark.parametrize(("name", "chain", "entry"), DEMO)
def test_points_agree_with_biopython(name, chain, entry):
    """Bio.PDB reads the same files by other code (its default altloc is also the fullest)."""
    from Bio.PDB import PDBParser

    ours = read_chain(demo_file(name), chain)
    theirs = {}
    for residue in PDBParser(QUIET=True).get_structure(entry, demo_file(name))[0][chain]:
        point = "CA" if residue.get_resname() == "GLY" else "CB"
        if point in residue:
            _, number, icode = residue.id
            theirs[f"{number}{icode.strip()}"] = residue[point].get_coord()
    labels = [label for label, known in zip(ours.residue, ours.resolved, strict=True) if known]
    assert len(labels) > 50
    assert set(labels) <= set(theirs)
    mine = ours.position[ours.resolved]
    assert np.allclose(mine, [theirs[label] for label in labels], atol=1e-3)
