"""UniProt numbers are those that the file tells, from the best place that it has."""

import gemmi
import numpy as np
import pytest
from data_fixtures import demo_file
from structure_fixtures import Piece, line_of, loop, mmcif

from data.contacts import true_distances
from data.errors import StructureError
from data.mapping import map_query
from data.numbering import OWN_REFERENCE, SIFTS_ATOMS, SIFTS_RESIDUES, segments, uniprot_numbers
from data.structure import read_chain, read_chains, write_mmcif

SEQUENCE = "GSMKVLWE"


def piece(**keywords):
    return Piece("B", "X", "1", SEQUENCE, line_of(8), first=51, **keywords)


def reference(rows):
    columns = ["ref_id", "pdbx_strand_id", "pdbx_db_accession", "seq_align_beg", "seq_align_end"]
    return loop("struct_ref", ["id", "entity_id", "db_name"], [(1, 1, "UNP"), (2, 1, "PDB")]) + loop(
        "struct_ref_seq", [*columns, "db_align_beg", "db_align_end"], rows
    )


def chain_of(tmp_path, text):
    (tmp_path / "x.cif").write_text(text)
    return read_chain(tmp_path / "x.cif")


def test_sifts_of_atoms(tmp_path):
    sifts = {("B", place): ("P69905", 20 + place) for place in range(3, 9)}
    chain = chain_of(tmp_path, mmcif([piece()], sifts=sifts, more=reference([(1, "X", "P1", 1, 8, 1, 8)])))
    assert (chain.uniprot.accession, chain.uniprot.origin) == ("P69905", SIFTS_ATOMS)
    assert chain.uniprot.number.tolist() == [0, 0, 23, 24, 25, 26, 27, 28]
    assert (chain.name, chain.label) == ("X", "B")


def test_sifts_of_residues_knows_those_without_atoms(tmp_path):
    rows = [("B", place, "P69905", place + 1) for place in range(3, 9)] + [("C", 1, "Q1", 7)]
    rows += [("B", 1, "?", "?")]
    table = loop("pdbx_sifts_xref_db", ["asym_id", "seq_id", "unp_acc", "unp_num"], rows)
    sifts = {("B", 8): ("P00000", 1)}
    chain = chain_of(tmp_path, mmcif([piece(skip=(3, 4))], sifts=sifts, more=table))
    assert chain.uniprot.origin == SIFTS_RESIDUES
    assert chain.uniprot.number.tolist() == [0, 0, 4, 5, 6, 7, 8, 9]
    truth = true_distances(chain, map_query("KVLWE", chain))
    assert truth.uniprot.tolist() == [5, 6, 7, 8, 9]
    assert truth.residue.tolist() == ["", "", "56", "57", "58"]
    assert truth.uniprot.dtype == np.int32


def test_the_entrys_own_reference_piece_by_piece(tmp_path):
    rows = [
        (1, "X", "P69905", 3, 5, 101, 103),
        (1, "X", "P69905", 6, 8, 110, 112),
        (1, "Y", "P9", 1, 8, 1, 8),
    ]
    chain = chain_of(tmp_path, mmcif([piece()], more=reference(rows)))
    assert (chain.uniprot.accession, chain.uniprot.origin) == ("P69905", OWN_REFERENCE)
    assert chain.uniprot.number.tolist() == [0, 0, 101, 102, 103, 110, 111, 112]


@pytest.mark.parametrize(
    "row",
    [
        (1, "X", "P69905", 3, 5, 101, 104),  # pieces of unequal length
        (2, "X", "P69905", 3, 5, 101, 103),  # a reference to another database
        (1, "X", "P69905", "?", 5, 101, 103),
    ],
)
def test_references_that_tell_nothing(tmp_path, row):
    assert chain_of(tmp_path, mmcif([piece()], more=reference([row]))).uniprot is None


def test_of_two_proteins_in_a_chain_the_larger_part_counts(tmp_path):
    sifts = {("B", place): ("P1" if place < 4 else "P2", place) for place in range(1, 9)}
    numbers = chain_of(tmp_path, mmcif([piece()], sifts=sifts)).uniprot
    assert (numbers.accession, numbers.number.tolist()) == ("P2", [0, 0, 0, 4, 5, 6, 7, 8])


def test_values_that_are_no_numbers_do_no_harm():
    rows = [("A", "x", "P1", 1), ("A", 1, "P1", "1e3"), ("A", 2, "P1", "-"), ("A", 3, "P1", 0)]
    table = loop("pdbx_sifts_xref_db", ["asym_id", "seq_id", "unp_acc", "unp_num"], rows)
    assert uniprot_numbers(gemmi.cif.read_string("data_x\n" + table)[0], "A", "A", [1, 2, 3]) is None


def test_real_entries_of_known_numbers(tmp_path):
    """2NRF is numbered as UniProt P09391; 3TGI by chymotrypsin, its chains are parts of two proteins."""
    write_mmcif(demo_file("rhomboid_proteases/2NRF.pdb"), tmp_path / "r.cif.gz")
    for chain in read_chains(tmp_path / "r.cif.gz"):
        assert chain.uniprot.accession == "P09391"
        known = [
            (label, str(n)) for label, n in zip(chain.residue, chain.uniprot.number, strict=True) if label
        ]
        assert len(known) > 170
        assert all(label == number for label, number in known)
    write_mmcif(demo_file("S1A_serine_proteases/3tgi.pdb"), tmp_path / "t.cif.gz")
    trypsin, inhibitor = read_chains(tmp_path / "t.cif.gz")
    assert (trypsin.uniprot.accession, trypsin.residue[0], trypsin.uniprot.number[0]) == ("P00763", "16", 24)
    assert trypsin.uniprot.number[-1] == 246
    assert (inhibitor.uniprot.accession, inhibitor.uniprot.number[0]) == ("P00974", 36)


def test_author_and_label_names_may_change_places(tmp_path):
    pieces = [Piece("A", "B", "1", SEQUENCE, line_of(8), 1), Piece("B", "A", "1", SEQUENCE, line_of(8), 101)]
    path = tmp_path / "x.cif"
    path.write_text(mmcif(pieces))
    found = {name: read_chain(path, name) for name in ("A", "auth=A", "label=A", "label=B", "")}
    assert {name: (chain.name, chain.label) for name, chain in found.items()} == {
        "A": ("A", "B"),
        "auth=A": ("A", "B"),
        "label=A": ("B", "A"),
        "label=B": ("A", "B"),
        "": ("B", "A"),
    }
    path.write_text(mmcif([Piece("A", "X", "1", SEQUENCE, line_of(8))]))
    assert read_chain(path, "A").name == "X"
    with pytest.raises(StructureError, match=r"no such protein chain; found: auth=A; .* X \(label A\)"):
        read_chain(path, "auth=A")
    with pytest.raises(StructureError, match="no such protein chain; found: label=X"):
        read_chain(path, "label=X")


def test_segments_equal_a_plain_walk():
    rng = np.random.default_rng(2)
    for _ in range(50):
        numbers = np.cumsum(rng.choice([1, 1, 1, 2, 5], 30)) * (rng.random(30) > 0.2)
        found = segments(numbers)
        told = {k: start + k - first for first, last, start in found for k in range(first, last + 1)}
        assert told == {k: int(n) for k, n in enumerate(numbers) if n}
        follows = [k > 0 and numbers[k - 1] and numbers[k] == numbers[k - 1] + 1 for k in range(30)]
        assert len(found) == sum(1 for k in range(30) if numbers[k] and not follows[k])
