"""A query finds its residues in a chain, or fails with the numbers."""

import csv

import numpy as np
import pytest
from data_fixtures import backbone, demo_file, families_folder, seqres, straight, write_pdb

from data.contacts import contact_map, true_distances
from data.errors import MappingError
from data.mapping import best_row, map_query
from data.msa import read_alignment, read_rows
from data.structure import read_chain

SEQUENCE = "MKVLWEHTRQNPYFADCISGKMEWLVRH"


def chain_of(tmp_path, sequence, **keywords):
    lines = keywords.pop("header", [])
    return read_chain(write_pdb(tmp_path / "x.pdb", lines + straight(sequence, **keywords)))


def test_same_sequence(tmp_path):
    mapping = map_query(SEQUENCE, chain_of(tmp_path, SEQUENCE))
    assert mapping.index.tolist() == list(range(len(SEQUENCE)))
    assert mapping.index.dtype == np.int32
    assert (mapping.identity, mapping.coverage) == (1.0, 1.0)


def test_ends_are_free_and_pieces_are_found(tmp_path):
    chain = chain_of(tmp_path, "GSHMAS" + SEQUENCE + "LEHHHHHH")
    assert map_query(SEQUENCE, chain).index.tolist() == list(range(6, 6 + len(SEQUENCE)))
    longer = map_query("AAAAA" + SEQUENCE + "SSSS", chain_of(tmp_path, SEQUENCE))
    assert longer.index[5:-4].tolist() == list(range(len(SEQUENCE)))
    assert longer.coverage == pytest.approx(len(SEQUENCE) / (len(SEQUENCE) + 9), abs=0.06)


def test_missing_residues_of_the_header_count_as_covered(tmp_path):
    chain = chain_of(tmp_path, SEQUENCE, header=seqres(SEQUENCE), skip=range(8, 14))
    mapping = map_query(SEQUENCE, chain)
    assert mapping.index.tolist() == list(range(len(SEQUENCE)))
    truth = true_distances(chain, mapping)
    assert np.flatnonzero(~truth.resolved).tolist() == list(range(8, 14))


def test_a_break_in_the_numbers_decides_where_a_gap_falls(tmp_path):
    # Without a header, K-K-K after the break could be laid on either side of it
    sequence = SEQUENCE[:10] + "KKKKKK" + SEQUENCE[10:]
    chain = chain_of(tmp_path, sequence, skip=range(11, 15))
    index = map_query(sequence, chain).index
    assert index.tolist() == [*range(11), -1, -1, -1, -1, *range(11, len(sequence) - 4)]


def test_a_short_jump_of_numbers_without_a_break_loses_no_residue(tmp_path):
    lines = []
    for place, letter in enumerate(SEQUENCE):
        number = 1 + place + (2 if place > len(SEQUENCE) - 4 else 0)
        lines += backbone(letter, number, (3.8 * place, 0, 0))
    chain = read_chain(write_pdb(tmp_path / "s.pdb", lines))
    assert map_query(SEQUENCE, chain).index.tolist() == list(range(len(SEQUENCE)))


def test_numbers_that_skip_without_a_break_do_no_harm(tmp_path):
    lines = []
    for place, letter in enumerate(SEQUENCE):  # as in chymotrypsin numbering
        number = 16 + place + (7 if place > 9 else 0) + (30 if place > 19 else 0)
        lines += backbone(letter, number, (3.8 * place, 0, 0))
    mapping = map_query(SEQUENCE, read_chain(write_pdb(tmp_path / "x.pdb", lines)))
    assert mapping.index.tolist() == list(range(len(SEQUENCE)))


def test_identity_counts_resolved_known_pairs(tmp_path):
    chain = chain_of(tmp_path, SEQUENCE, header=seqres(SEQUENCE), skip=(0, 1))
    query = "AA" + SEQUENCE[2:10] + "X" + SEQUENCE[11:19] + "W" + SEQUENCE[20:]
    mapping = map_query(query, chain)
    # Two wrong letters lie on unresolved residues and one is X: 25 pairs are left, one differs
    assert mapping.identity == pytest.approx(24 / 25)


def test_thresholds_fail_loudly(tmp_path):
    chain = chain_of(tmp_path, SEQUENCE)
    wrong = "GATTWWYYPPQQRRSSTTVVCCDDEEFF"
    with pytest.raises(MappingError, match=r"chain A: the query does not match.*identity 0\.\d\d over"):
        map_query(wrong, chain)
    query = SEQUENCE[:10] + "AAAAA" + SEQUENCE[15:]
    mapping = map_query(query, chain, min_identity=0.8)
    with pytest.raises(
        MappingError, match=f"identity {mapping.identity:.2f} .*at least 0.9 asked.*lower the"
    ):
        map_query(query, chain)
    with pytest.raises(MappingError, match=r"coverage 0\.3\d of 84 query residues \(at least 0.5 asked"):
        map_query("PWPWPWPW" * 7 + SEQUENCE, chain, min_identity=0.5)


def test_nothing_resolved_where_the_query_lies(tmp_path):
    tail = "GGSGGSGGSGGS"
    chain = chain_of(tmp_path, SEQUENCE + tail, header=seqres(SEQUENCE + tail), skip=range(len(SEQUENCE)))
    with pytest.raises(MappingError, match="no residue that the query aligns with has coordinates"):
        map_query(SEQUENCE, chain)


def test_best_row_among_many(tmp_path):
    rng = np.random.default_rng(1)
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
    rows = [(f"r{i}", "".join(rng.choice(letters, 120))) for i in range(300)]
    target = "".join(rng.choice(letters, 110))
    close = target[:50] + "A" + target[51:]
    near = "".join(letter if rng.random() < 0.6 else "L" for letter in target)
    rows[40:40] = [("near", near)]
    rows[200:200] = [("close", close), ("piece", target[:60]), ("twin", close)]
    chain = chain_of(tmp_path, target)
    assert best_row(iter(rows), chain) == 200
    rows[10:10] = [("itself", target)]
    assert best_row(rows, chain) == 10


def test_best_row_of_unrelated_or_no_rows(tmp_path):
    chain = chain_of(tmp_path, SEQUENCE)
    assert best_row([("a", ""), ("b", "WW"), ("c", SEQUENCE[:5])], chain) == 2
    with pytest.raises(MappingError, match="no row"):
        best_row([], chain)


@pytest.mark.parametrize(
    ("structure", "alignment", "row", "identity"),
    [
        # The crystal has two mutations, one of them an insertion
        ("DHFR/3QL0.pdb", "DHFR/alignment.faa.gz", 0, 156 / 158),
        ("S1A_serine_proteases/3tgi.pdb", "S1A_serine_proteases/halabi_alignment.fasta", 0, 1.0),
        ("rhomboid_proteases/2NRF.pdb", "rhomboid_proteases/Data_S1_Rhomboid_MSA_short_names.fasta", 0, 1.0),
    ],
)
def test_families_of_the_demo_find_their_structure(structure, alignment, row, identity):
    chain = read_chain(demo_file(structure))
    family = read_alignment(demo_file(alignment), choose=lambda rows: best_row(rows, chain))
    assert family.query_row == row
    mapping = map_query(family.query, chain)
    assert mapping.identity == pytest.approx(identity)
    assert mapping.coverage == 1.0
    assert (np.diff(mapping.index) > 0).all()


def test_real_families_map_onto_their_own_numbers():
    """There residue number i is column i: every mapped residue is checked, also beside breaks."""
    folder = families_folder()
    with (folder / "families.tsv").open() as stream:
        families = list(csv.DictReader(stream, delimiter="\t"))[::20]
    for family in families:
        chain = read_chain(folder / family["id"] / "structure.pdb.gz")
        query = next(read_rows(folder / family["id"] / "msa.a3m.gz")).text
        mapping = map_query(query, chain)
        assert mapping.identity == 1.0, family["id"]
        mapped = np.flatnonzero(mapping.index >= 0)
        assert [chain.residue[k] for k in mapping.index[mapped]] == [str(i + 1) for i in mapped], family["id"]
        contacts = contact_map(true_distances(chain, mapping).distance)
        count = int(np.triu(contacts, 24).sum())
        assert abs(count - int(family["longrange_contacts"])) <= 5, family["id"]
