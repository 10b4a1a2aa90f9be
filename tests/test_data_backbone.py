"""Backbones and secondary structure of real and made-up chains."""

import gemmi
import numpy as np
import pytest
from data_fixtures import demo_file, straight, write_pdb
from report_fixtures import QUERY, positions, residue_numbers, write_structure

from data.backbone import ATOMS, Backbone, chain_pdb, measured_atoms, measured_points, read_backbone
from data.errors import StructureError
from data.structure import read_chain

DEMO = [("DHFR/3QL0.pdb", "A"), ("S1A_serine_proteases/3tgi.pdb", "E"), ("rhomboid_proteases/2NRF.pdb", "B")]


def header_kinds(path, name):
    """H and E by author number, from the HELIX and SHEET records of a PDB file."""
    kinds = {}
    structure = gemmi.read_pdb(str(path))
    spans = [("H", helix.start, helix.end) for helix in structure.helices]
    spans += [("E", strand.start, strand.end) for sheet in structure.sheets for strand in sheet.strands]
    for kind, start, end in spans:
        if start.chain_name == name:
            for number in range(start.res_id.seqid.num, end.res_id.seqid.num + 1):
                kinds[number] = kind
    return kinds


@pytest.mark.parametrize(("name", "chain"), DEMO)
def test_secondary_structure_agrees_with_the_depositors(name, chain):
    path = demo_file(name)
    kinds = header_kinds(path, chain)
    found = read_chain(path, chain)
    backbone = read_backbone(path, chain, found.residue)
    labels = [label for label in found.residue if label.isdigit()]
    ours = dict(zip(found.residue, backbone.secondary, strict=True))
    agree = [ours[label] == kinds.get(int(label), "C") for label in labels if ours[label]]
    assert kinds
    assert len(agree) > 100
    assert np.mean(agree) > 0.8


@pytest.mark.parametrize(("name", "chain"), DEMO)
def test_atoms_are_where_distances_are_measured(name, chain):
    path = demo_file(name)
    found = read_chain(path, chain)
    backbone = read_backbone(path, chain, found.residue)
    assert backbone.atoms.dtype == np.float32
    points = measured_points(backbone)
    np.testing.assert_allclose(points, found.position, atol=1e-3)
    bonds = np.linalg.norm(backbone.atoms[:, 0] - backbone.atoms[:, 1], axis=-1)
    assert np.nanmax(np.abs(bonds - 1.46)) < 0.15


def test_no_turn_crosses_a_missing_residue(tmp_path):
    path = demo_file("rhomboid_proteases/2NRF.pdb")
    labels = read_chain(path, "A").residue
    lines = path.read_text().splitlines()
    broken = [line for line in lines if not (line.startswith("ATOM") and line[21:26] == "A 152")]
    codes = {}
    for name, file in (("whole", path), ("broken", write_pdb(tmp_path / "x.pdb", broken))):
        secondary = read_backbone(file, "A", labels).secondary
        codes[name] = dict(zip(labels, secondary.tolist(), strict=True))
    assert [codes["whole"][number] for number in ("150", "151", "152", "153")] == ["H"] * 4
    assert [codes["broken"][number] for number in ("150", "151", "152", "153")] == ["C", "C", "", "C"]
    assert codes["broken"]["158"] == codes["whole"]["158"] == "H"


def test_what_the_model_lacks_is_not_known(tmp_path):
    path = write_pdb(tmp_path / "x.pdb", straight("MKGV"))
    backbone = read_backbone(path, "A", ["1", "2", "", "4"])
    assert np.isnan(backbone.atoms[2]).all()
    assert np.isnan(backbone.atoms[:, ATOMS.index("O")]).all()
    assert backbone.secondary.tolist() == [""] * 4  # without O no backbone is complete


def test_numbers_of_another_chain_are_refused(tmp_path):
    path = write_pdb(tmp_path / "x.pdb", straight("MKGV"))
    with pytest.raises(StructureError, match="no residue of the query is in the chain"):
        read_backbone(path, "A", ["101", "102"])


def test_the_drawn_chain_reads_back(tmp_path):
    path = write_structure(tmp_path / "x.cif")
    numbers = residue_numbers()
    (tmp_path / "chain.pdb").write_text(chain_pdb(read_backbone(path, "B", numbers), numbers))
    back = read_chain(tmp_path / "chain.pdb", "A")
    assert [label for label in back.residue if label] == [label for label in numbers if label]
    assert "".join(back.sequence) == "".join(a for a, label in zip(QUERY, numbers, strict=True) if label)
    np.testing.assert_allclose(back.position, positions()[numbers != ""], atol=1e-3)


def test_a_glycine_without_alpha_is_measured_from_its_beta():
    atoms = np.zeros((3, 5, 3), np.float32)
    atoms[1, 1] = np.nan
    backbone = Backbone(atoms, np.array([""] * 3), np.array(list("GGA")))
    assert measured_atoms(backbone) == ["CA", "CB", "CB"]


def test_residues_are_those_of_the_structure(tmp_path):
    path = write_pdb(tmp_path / "x.pdb", straight("MKGV"))
    backbone = read_backbone(path, "A", ["1", "2", "3", ""])
    assert backbone.letters.tolist() == ["M", "K", "G", ""]
    written = chain_pdb(backbone, ["1", "2", "3", ""])
    assert {line[17:20] for line in written.splitlines() if line.startswith("ATOM")} == {"MET", "LYS", "GLY"}
