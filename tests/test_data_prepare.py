"""From alignment file to alignment.npz: regions keep the query's numbers, useless queries are named."""

import hashlib
import json

import numpy as np
import pytest
from workflow_fixtures import write_family

from data.errors import AlignmentError, FetchError
from data.prepare import map_structure, prepare_alignment, require_origin
from data.store import load_arrays, save_json


def test_a_region_keeps_the_numbers_of_the_whole_query(tmp_path):
    query = write_family(tmp_path, "p")
    prepare_alignment(tmp_path / "p.fasta", tmp_path / "a.npz", region="11-40", first_index=100)
    arrays = load_arrays(tmp_path / "a.npz")
    assert str(arrays["query"]) == query[10:40]
    assert int(arrays["first_index"]) == 110
    assert arrays["columns"].tolist() == list(range(10, 40))


def test_a_masked_column_moves_no_residue(tmp_path):
    query = write_family(tmp_path, "p")
    rows = (tmp_path / "p.fasta").read_text().split(">")[1:]
    rows[1:] = [row[: (at := row.index("\n") + 1) + 5] + "-" * 10 + row[at + 15 :] for row in rows[1:]]
    (tmp_path / "gaps.fasta").write_text("".join(f">{row}" for row in rows))
    prepare_alignment(tmp_path / "gaps.fasta", tmp_path / "a.npz", filters={"max_column_gaps": 0.5})
    arrays = load_arrays(tmp_path / "a.npz")
    assert str(arrays["query"]) == query
    assert json.loads(str(arrays["filters"]))["max_column_gaps"]["columns_masked"] == 10
    assert (arrays["tokens"][:, 5:15] == 20).all()
    map_structure(str(tmp_path / "a.npz"), str(tmp_path / "p.pdb"), str(tmp_path / "t.npz"))
    truth = np.load(tmp_path / "t.npz")
    assert truth["residue"].tolist() == [str(101 + n) for n in range(len(query))]


def test_a_file_of_another_row_is_refused(tmp_path):
    path = tmp_path / "p.a3m.gz"
    save_json(f"{path}.json", {"cell": "pfam:PF00001"})
    require_origin(path, "pfam:PF00001")
    with pytest.raises(FetchError, match=r"PF00001, where this row names pfam:PF00002.*resources=DIR"):
        require_origin(path, "pfam:PF00002")


@pytest.mark.parametrize("record", ["query", "query_sha256"])
def test_a_search_for_another_query_is_refused(tmp_path, record):
    path = tmp_path / "p.a3m.gz"
    digest = hashlib.sha256(b"MKVLWE").hexdigest()
    known = {"query": "MKVLWE"} if record == "query" else {"query_sha256": digest}
    save_json(f"{path}.json", {"cell": "colabfold:env", "search": known})
    require_origin(path, "colabfold:env", "MKV-LWE")
    with pytest.raises(FetchError, match=r"env for another query, where this row names .* for MKVLWW"):
        require_origin(path, "colabfold:env", "MKVLWW")


def test_a_query_of_one_residue_is_named(tmp_path):
    write_family(tmp_path, "p")
    with pytest.raises(AlignmentError, match="fewer than two"):
        prepare_alignment(tmp_path / "p.fasta", tmp_path / "a.npz", region="3-3")
