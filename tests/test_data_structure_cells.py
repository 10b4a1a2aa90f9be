"""The cells of structures and chains mean one thing, or say what is wrong."""

import json
from pathlib import Path

import jsonschema
import pytest

from data.errors import FetchError
from data.structure_cells import NamedStructure, split_structures
from data.table import read_proteins

SCHEMA = json.loads((Path(__file__).parent.parent / "workflow/schemas/proteins.schema.json").read_text())


@pytest.mark.parametrize(
    ("structure", "chain", "expected"),
    [
        ("", "", []),
        ("pdb:2NRF", "", [("pdb:2NRF", "")]),
        ("pdb:2NRF", "B", [("pdb:2NRF", "B")]),
        ("pdb:2NRF:B", "", [("pdb:2NRF", "B")]),
        ("pdb:2NRF:B", "B", [("pdb:2NRF", "B")]),
        ("pdbe:2NRF:label=C", "", [("pdbe:2NRF", "label=C")]),
        ("a/b.pdb", "auth=A", [("a/b.pdb", "auth=A")]),
        ("C:/x.pdb", "A", [("C:/x.pdb", "A")]),
        ("pdb:1ABC:A;pdb:2XYZ:B", "", [("pdb:1ABC", "A"), ("pdb:2XYZ", "B")]),
        ("a.pdb; model:m.pdb;afdb:P69905", "A;;", [("a.pdb", "A"), ("model:m.pdb", ""), ("afdb:P69905", "")]),
        ("package:d:a/b.pdb;pdb:1ABC:B", "C;", [("package:d:a/b.pdb", "C"), ("pdb:1ABC", "B")]),
        ("uniprot:P69905", "", [("uniprot:P69905", "")]),
    ],
)
def test_structures_with_their_chains(structure, chain, expected):
    assert split_structures(structure, chain) == [NamedStructure(*pair) for pair in expected]


@pytest.mark.parametrize(
    ("structure", "chain", "pattern"),
    [
        ("pdb:1ABC;pdb:2XYZ", "A", "1 chains for 2 structures"),
        ("pdb:1ABC", "A;B", "2 chains for 1 structures"),
        ("pdb:1ABC:A", "B", "two chains for one structure"),
        ("pdb:1ABC:", "", "no chain after the colon"),
        ("pdb:1ABC;", "", "malformed cell"),
        ("pdb:1AB;pdb:2XYZ", "", "malformed accession"),
        ("uniprot:P69905", "A", "the chain is chosen with the entry"),
        ("afdb:XYZ", "", "malformed accession.*afdb:P69905"),
    ],
)
def test_cells_that_cannot_be_meant(structure, chain, pattern):
    with pytest.raises(FetchError, match=pattern):
        split_structures(structure, chain)


def test_models_are_known_by_their_source():
    kinds = [part.is_model for part in split_structures("pdb:1ABC;afdb:P69905;model:x.pdb;x.cif")]
    assert kinds == [False, True, True, False]


@pytest.mark.parametrize(
    "chain", ["A", "auth=A", "label=AAA", "A;B", ";B", "A;", "auth=A;label=B; C", "A;;C"]
)
def test_the_schema_takes_chains(chain):
    jsonschema.validate({"protein": "p", "alignment": "a", "chain": chain}, SCHEMA)


@pytest.mark.parametrize("chain", ["A B", "A,B", "chain=A", "auth=", "123456789", "A;B C"])
def test_the_schema_refuses_chains(chain):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"protein": "p", "alignment": "a", "chain": chain}, SCHEMA)


def test_a_row_of_several_structures(tmp_path):
    for name in ("a.fasta", "a.pdb", "m.pdb"):
        (tmp_path / name).write_text("x")
    table = tmp_path / "t.tsv"
    lines = ["protein\talignment\tstructure\tchain", "p\ta.fasta\ta.pdb;model:m.pdb;pdb:2NRF:B\t\t"]
    table.write_text("\n".join([lines[0], lines[1].rstrip("\t")]) + "\n")
    row = read_proteins(table, schema=SCHEMA)[0][0]
    assert [(part.cell, part.chain) for part in row.structures] == [
        (str(tmp_path / "a.pdb"), ""),
        (f"model:{tmp_path / 'm.pdb'}", ""),
        ("pdb:2NRF", "B"),
    ]
    table.write_text("\n".join([lines[0], "p\ta.fasta\ta.pdb;gone.pdb;pfam:PF00072\t"]) + "\n")
    with pytest.raises(
        Exception, match=r"(?s)no such file 'gone\.pdb'.*'pfam:PF00072'; the source pfam has no"
    ):
        read_proteins(table, schema=SCHEMA)
