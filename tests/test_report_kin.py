"""What pages say of homologues among the families behind the weights."""

import json

import numpy as np
import pytest

from report.kin import RELATED, UNKNOWN, UNRELATED, overall, read_kinship


def record(evalue=None, split="train", **changes):
    """Arrays of a refined map whose search found one family, or none."""
    hit = {"family": "f<1>", "cluster": "c1", "split": split, "evalue": evalue, "identity": 0.347, "first": 4}
    hits = [] if evalue is None else [hit | {"last": 59}]
    kin = int(evalue is not None and evalue < 1e-3)
    content = {"searched": 407, "missing": 0, "threshold": 1e-3, "homologues": kin, "hits": hits} | changes
    return {"weights": np.array("w-1"), "homology": np.array(json.dumps(content)), "learned": np.array("")}


def test_a_homologue_is_named_with_its_numbers():
    kin = read_kinship("refined", record(3.4e-20), first_index=11)
    assert kin.word == RELATED
    assert kin.text == (
        "1 of the 407 families that the weights of refined (w-1) learned from or were tuned on is homologous "
        "to this protein by sequence (E < 0.001). Closest: f<1> (cluster c1, learned from), E = 3e-20, "
        "35 % of the residues from 15 to 70 as in its consensus."
    )


@pytest.mark.parametrize(("evalue", "said"), [(0.21, "Closest: f<1>"), (None, "None comes near")])
def test_no_homologue_is_said_with_the_closest(evalue, said):
    kin = read_kinship("refined", record(evalue))
    assert kin.word == UNRELATED
    assert "None of the 407 families" in kin.text
    assert said in kin.text


@pytest.mark.parametrize(("evalue", "said"), [(1e-9, "is homologous"), (None, "is not homologous")])
def test_one_family_alone_reads_well(evalue, said):
    text = read_kinship("refined", record(evalue, searched=1)).text
    assert text.startswith(
        f"The one family that the weights of refined (w-1) learned from or were tuned on {said}"
    )


def test_a_name_counts_even_without_a_hit():
    assert read_kinship("refined", record() | {"learned": np.array("cluster")}).word == RELATED


@pytest.mark.parametrize("homology", [None, "", "no json", "[]", json.dumps({"searched": 0, "missing": 3})])
def test_without_a_search_names_alone_are_known(homology):
    arrays = {"weights": np.array("w")} | ({} if homology is None else {"homology": np.array(homology)})
    kin = read_kinship("refined", arrays)
    assert kin.word == UNKNOWN
    assert "names alone are compared" in kin.text


def test_families_without_a_sequence_are_counted():
    assert "2 more families have no sequence" in read_kinship("refined", record(missing=2)).text


def test_the_closest_kin_speaks_for_a_protein():
    none, unknown = read_kinship("a", record(0.5)), read_kinship("b", {})
    far, near = read_kinship("c", record(1e-5)), read_kinship("d", record(1e-9))
    assert overall([none, unknown, far, near]) is near
    assert overall([none, unknown]) is unknown
    assert overall([]) is None
