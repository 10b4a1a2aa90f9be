"""Homologues by sequence: related families are found at any rows and columns, unrelated ones are not."""

import numpy as np
import pytest

from data.alphabet import GAP, LETTERS, encode
from data.errors import TableError
from data.homology import (
    HOMOLOGOUS,
    Family,
    consensus_sequence,
    find_homologues,
    load_families,
    save_families,
)

# Human haemoglobin alpha and beta, hen lysozyme, ubiquitin (UniProt P69905, P68871, P00698, P0CG48)
ALPHA = (
    "VLSPADKTNVKAAWGKVGAHAGEYGAEALERMFLSFPTTKTYFPHFDLSHGSAQVKGHGKKVADALTNAVAHVDDMPNALSALSDLHAHK"
    "LRVDPVNFKLLSHCLLVTLAAHLPAEFTPAVHASLDKFLASVSTVLTSKYR"
)
BETA = (
    "VHLTPEEKSAVTALWGKVNVDEVGGEALGRLLVVYPWTQRFFESFGDLSTPDAVMGNPKVKAHGKKVLGAFSDGLAHLDNLKGTFATLSE"
    "LHCDKLHVDPENFRLLGNVLVCVLAHHFGKEFTPPVQAAYQKVVAGVANALAHKYH"
)
LYSOZYME = (
    "KVFGRCELAAAMKRHGLDNYRGYSLGNWVCAAKFESNFNTQATNRNTDGSTDYGILQINSRWWCNDGRTPGSRNLCNIPCSALLSSDITA"
    "SVNCAKKIVSDGNGMNAWVAWRNRCKGTDVQAWIRGCRL"
)
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
FAMILIES = [
    Family("beta", "globins", "train", BETA),
    Family("lysozyme", "", "tune", LYSOZYME),
    Family("ubiquitin", "ub", "train", UBIQUITIN),
]


def mutants(sequence, count, share, seed=0):
    """The sequence and copies with a share of other residues and of gaps."""
    rng = np.random.default_rng(seed)
    tokens = np.tile(encode(sequence), (count, 1))
    changed = rng.random(tokens[1:].shape) < share
    tokens[1:][changed] = rng.integers(0, 21, changed.sum())
    return tokens


@pytest.mark.parametrize("rows", [1, 2, 40, 1500])
def test_a_related_family_is_found_and_no_other(rows):
    hits = find_homologues(mutants(ALPHA, rows, 0.3), FAMILIES)
    assert [hit.family for hit in hits if hit.evalue < HOMOLOGOUS] == ["beta"]
    assert (hits[0].cluster, hits[0].split) == ("globins", "train")
    assert 0.35 < hits[0].identity < 0.5  # known: 43 % of the aligned residues
    assert 0 <= hits[0].first < 10
    assert hits[0].last > 130


def test_identity_and_columns_are_those_of_the_query():
    """The alignment holds the family's residues 21 to 60 between columns of gaps, and the query has a gap."""
    inner = mutants(UBIQUITIN[20:60], 30, 0.1)
    tokens = np.full((30, 50), GAP, np.int8)
    tokens[:, 5:45] = inner
    tokens[0, 6:45:4] = (tokens[0, 6:45:4] + 1) % 20  # ten residues that differ
    tokens[0, 5] = GAP
    (hit,) = [hit for hit in find_homologues(tokens, FAMILIES) if hit.evalue < HOMOLOGOUS]
    assert hit.family == "ubiquitin"
    assert 5 <= hit.first <= 7
    assert 42 <= hit.last <= 44
    columns = np.arange(hit.first, hit.last + 1)
    same = tokens[0, columns] == encode(UBIQUITIN)[columns + 15]
    assert hit.identity == pytest.approx(same.mean(), abs=1e-9)


def test_shuffled_sequences_are_no_homologues():
    rng = np.random.default_rng(3)
    shuffled = ["".join(rng.permutation(list(ALPHA))) for _ in range(30)]
    for sequence in shuffled:
        hits = find_homologues(mutants(sequence, 20, 0.3), FAMILIES)
        assert not any(hit.evalue < HOMOLOGOUS for hit in hits)


def test_nothing_to_search_finds_nothing():
    assert find_homologues(mutants(ALPHA, 2, 0.1), []) == []
    assert find_homologues(np.full((3, 20), GAP, np.int8), FAMILIES) == []


def test_the_consensus_is_the_most_frequent_residue():
    shares = np.zeros((3, 20))
    shares[0, 4], shares[1, [2, 7]], shares[2, 19] = 1, 0.5, 0.2
    assert consensus_sequence(shares) == LETTERS[4] + LETTERS[2] + LETTERS[19]


def test_a_table_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "w.families.tsv"
    save_families(path, FAMILIES)
    assert load_families(path) == FAMILIES  # by name, as they are


def test_a_wrong_table_is_refused(tmp_path):
    path = tmp_path / "w.families.tsv"
    save_families(path, [Family("x", "", "train", "MK-L")])
    with pytest.raises(TableError, match="20 residues"):
        load_families(path)
    path.write_text("family\tcluster\n")
    with pytest.raises(TableError, match="columns are missing"):
        load_families(path)
