"""Which residue of a structure an alignment's column is, over structures of many awkward kinds.

Three independent answers must agree: ours, what the file was written to say, and biotite's reading of the
file with biotite's alignment of the query to the letters that it observes.
"""

import gzip
from itertools import pairwise

import numpy as np
import pytest
from biotite.sequence import ProteinSequence
from biotite.sequence.align import SubstitutionMatrix, align_optimal
from biotite.structure import get_residue_starts
from biotite.structure.info import one_letter_code
from biotite.structure.io import pdb, pdbx
from data_fixtures import demo_file
from numbering_cases import CASES, chain_of, cif_text, names_of, pdb_text

from data.alphabet import encode
from data.contacts import true_distances
from data.errors import StructureError
from data.mapping import map_query
from data.msa import read_alignment
from data.structure import read_chain, write_mmcif

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of biotite, over what a file lacks
GAPS = {7: 3, 21: 1, 40: 2}  # columns where the query has none of its residues, before these positions


def alignment_of(folder, query):
    """An alignment whose query row has gaps; returns it and the file's column of each query residue."""
    row, columns = "", []
    for k, letter in enumerate(query):
        row += "-" * GAPS.get(k, 0)
        columns.append(len(row))
        row += letter
    other = row.replace("-", "A").replace("M", "L")
    path = folder / "family.fasta"
    path.write_text(f">other\n{other}\n>query\n{row}\n>third\n{other}\n")
    return read_alignment(path, "query"), columns


def biotite_atoms(path, form, chain):
    """Atoms of a chain in the first model, numbers and names those of the author."""
    content = path.read_bytes()
    plain = path.with_name(f"plain.{form}")
    plain.write_bytes(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
    how = {"model": 1, "altloc": "all", "extra_fields": ["occupancy"]}
    if form == "pdb":
        atoms = pdb.PDBFile.read(plain).get_structure(**how)
    else:
        file = pdbx.CIFFile.read(plain)
        atoms = pdbx.get_structure(file, **how)
        if chain and chain not in atoms.chain_id:
            atoms.chain_id = pdbx.get_structure(file, **how, use_author_fields=False).chain_id
    return atoms[atoms.chain_id == (chain or atoms.chain_id[0])]


def biotite_residues(path, form, chain):
    """(label, letter, point or None) of each residue; of a mixture the fuller residue."""
    atoms = biotite_atoms(path, form, chain)
    found = []
    for start, stop in pairwise([*get_residue_starts(atoms), len(atoms)]):
        residue = atoms[start:stop]
        letter = one_letter_code(residue.res_name[0]) or "X"
        points = residue[residue.atom_name == ("CA" if letter == "G" else "CB")]
        best = int(np.argmax(points.occupancy)) if len(points) else None
        occupancy = -1.0 if best is None else points.occupancy[best]
        label = f"{residue.res_id[0]}{residue.ins_code[0]}"
        entry = (label, letter, None if best is None else points.coord[best], occupancy)
        if found and found[-1][0] == label and found[-1][1] != letter:
            found[-1] = max(found[-1], entry, key=lambda entry: entry[3])
        else:
            found.append(entry)
    return [entry[:3] for entry in found]


def biotite_answer(path, form, chain, query):
    """(label, point) of each query residue by biotite alone."""
    residues = biotite_residues(path, form, chain)
    letters = "".join(letter if letter in "ACDEFGHIKLMNPQRSTVWY" else "X" for _, letter, _ in residues)
    matrix = SubstitutionMatrix.std_protein_matrix()
    trace = align_optimal(
        ProteinSequence(query),
        ProteinSequence(letters),
        matrix,
        gap_penalty=(-11, -1),
        terminal_penalty=False,
    )[0].trace
    found = [None] * len(query)
    for i, j in trace:
        if i >= 0 and j >= 0 and residues[j][2] is not None:
            found[i] = (residues[j][0], residues[j][2])
    return found


def write(folder, name):
    case = CASES[name]
    path = folder / f"x.{case.form}{'.gz' if case.packed else ''}"
    path.write_bytes(case.text())
    return case, path


def check(truth, expected, name):
    labels = [entry[0] if entry else "" for entry in expected]
    assert truth.residue.tolist() == labels, name
    assert truth.resolved.tolist() == [bool(label) for label in labels]
    points = np.array([entry[1] if entry else [np.nan] * 3 for entry in expected])
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    assert np.allclose(truth.distance, distance, atol=0.02, equal_nan=True)


def test_there_are_many_kinds():
    assert len(CASES) >= 40


@pytest.mark.parametrize("way", ["read", "fetched"])
@pytest.mark.parametrize("name", CASES)
def test_columns_find_their_residues(tmp_path, name, way):
    case, path = write(tmp_path, name)
    family, columns = alignment_of(tmp_path, case.query)
    assert family.columns.tolist() == columns
    assert family.query == case.query
    assert np.array_equal(family.tokens[0], encode(case.query))
    if way == "fetched":  # as the pipeline does: first everything becomes mmCIF
        write_mmcif(path, tmp_path / "fetched.cif.gz")
        path = tmp_path / "fetched.cif.gz"
    chain = read_chain(path, case.chain)
    truth = true_distances(chain, map_query(family.query, chain))
    check(truth, case.expected(), name)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.peer])
def test_biotite_says_the_same(tmp_path, name):
    case, path = write(tmp_path, name)
    chain = read_chain(path, case.chain)
    truth = true_distances(chain, map_query(case.query, chain))
    check(truth, biotite_answer(path, case.form, case.chain, case.query), name)


@pytest.mark.parametrize(
    ("name", "chain", "alignment"),
    [
        ("DHFR/3QL0.pdb", "A", "DHFR/alignment.faa.gz"),
        ("S1A_serine_proteases/3tgi.pdb", "E", "S1A_serine_proteases/halabi_alignment.fasta"),
        ("rhomboid_proteases/2NRF.pdb", "A", "rhomboid_proteases/Data_S1_Rhomboid_MSA_short_names.fasta"),
        ("rhomboid_proteases/2NRF.pdb", "B", "rhomboid_proteases/Data_S1_Rhomboid_MSA_short_names.fasta"),
    ],
)
def test_real_families_with_biotite(tmp_path, name, chain, alignment):
    query = read_alignment(demo_file(alignment)).query
    path = tmp_path / "x.pdb"
    path.write_bytes(demo_file(name).read_bytes())
    found = read_chain(path, chain)
    truth = true_distances(found, map_query(query, found))
    check(truth, biotite_answer(path, "pdb", chain, query), name)


def alpha_only(form):
    residues = chain_of()
    for residue in residues:
        residue.atoms = [("CA", " ", 1.0, 0.0)]
    return (pdb_text([residues]) if form == "pdb" else cif_text([residues], names_of())).encode()


@pytest.mark.parametrize("form", ["pdb", "cif"])
def test_alpha_only_is_refused(tmp_path, form):
    path = tmp_path / f"x.{form}"
    path.write_bytes(alpha_only(form))
    with pytest.raises(StructureError, match="C-alpha atoms only"):
        read_chain(path)
