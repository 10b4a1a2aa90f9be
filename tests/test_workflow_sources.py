"""Rows of further sources in the real workflow, up to the alignment that the methods see."""

import re
import shutil

import numpy as np
import pytest
from data_fixtures import write_text
from workflow_fixtures import planned, snakemake, write_family, write_table

from data.store import load_json


@pytest.mark.slow
def test_a_folder_of_colabfold_search_and_a_local_search(tmp_path):
    query = write_family(tmp_path, "good")
    rows = (tmp_path / "good.fasta").read_text().split(">")[1:]
    (tmp_path / "msas").mkdir()
    write_text(tmp_path / "msas" / "0.a3m", ">101\nMKVLWEAA\n>x\nMKVLWEAR\n")
    write_text(tmp_path / "msas" / "1.a3m", "".join(f">{row}" for row in ["101\n" + query + "\n", *rows[1:]]))
    write_text(tmp_path / "db.fasta", "".join(f">{row}".replace("-", "") for row in rows))
    table = [
        {"protein": "chosen", "alignment": "folder:msas", "structure": "good.pdb", "query": query},
        {"protein": "local", "alignment": "jackhmmer:db.fasta", "query": query},
    ]
    if shutil.which("mmseqs"):
        table.append({"protein": "mmseqs", "alignment": "mmseqs:db.fasta", "query": query})
    write_table(tmp_path / "proteins.tsv", table)
    wanted = [f"results/{row['protein']}/alignment.npz" for row in table]
    snakemake(tmp_path, *wanted, check=0)
    for path in wanted:
        with np.load(tmp_path / path) as found:
            assert str(found["query"]) == query
            # Simulated rows are hardly alike: a search finds the query's own and few more
            assert len(found["tokens"]) >= 2
    said = load_json(tmp_path / "resources/msa/chosen.a3m.gz.json")
    assert said["path"].endswith("msas/1.a3m")
    assert planned(snakemake(tmp_path, *wanted, "--dry-run", check=0).stdout) == set()


@pytest.mark.slow
def test_a_row_that_the_folder_does_not_hold_fails_alone(tmp_path):
    (tmp_path / "msas").mkdir()
    write_text(tmp_path / "msas" / "here.a3m", ">101\nMKVLWEAA\n>x\nMKVLWEAR\n")
    names = ("here", "absent")
    write_table(tmp_path / "proteins.tsv", [{"protein": name, "alignment": "folder:msas"} for name in names])
    snakemake(tmp_path, "fetch", check=1)
    assert (tmp_path / "resources/msa/here.a3m.gz").exists()
    failure = load_json(tmp_path / "results/absent/failure.json")
    assert failure["stage"] == "fetch_alignment"
    assert failure["problem"] == "no alignment of the folder has this query"
    assert "here.a3m (8 residues)" in failure["remedy"]


def test_a_search_asks_for_memory_by_the_size_of_its_database(tmp_path):
    def asked(residues):
        for name, size in (("db", residues), ("db.index", residues // 20), ("db.dbtype", 4)):
            with (tmp_path / name).open("wb") as stream:
                stream.truncate(size)
        done = snakemake(tmp_path, "--dry-run", "results/p/alignment.npz", check=0)
        return int(re.search(r"rule search_alignment:(?:\n .*)*?mem_mb=(\d+)", done.stdout)[1])

    write_table(tmp_path / "proteins.tsv", [{"protein": "p", "alignment": "mmseqs:db", "query": "MKVLWEAA"}])
    assert asked(2_000_000_000) - asked(1_000_000_000) > 10_000
