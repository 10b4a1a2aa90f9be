"""What a search of a local database is given: by its files, and no less than MMseqs2 begins with."""

import gzip
import os
import sys

import pytest

from data import search_memory
from data.search import PROGRAMS
from data.search_memory import BESIDE, LARGEST, search_bytes, split_limit
from workflow import resources


def write_sizes(folder, **sizes):
    """Files of these sizes, most of them holes."""
    for name, size in sizes.items():
        with (folder / name.replace("__", ".")).open("wb") as stream:
            stream.truncate(size)


def mmseqs_database(folder, residues, **more):
    """Files of a database of MMseqs2 of sequences of 300 residues; its name."""
    write_sizes(folder, db=residues, db__dbtype=4, db__index=residues // 300 * 18, **more)
    return folder / "db"


def test_a_database_that_is_larger_asks_for_more(tmp_path):
    asked = [search_bytes("mmseqs", mmseqs_database(tmp_path, size), 8) for size in (10**8, 10**9, 2 * 10**9)]
    assert asked[2] - asked[1] == pytest.approx(13e9, rel=0.1)
    assert asked[1] - asked[0] == pytest.approx(0.9 * (asked[2] - asked[1]), rel=0.01)


def test_what_was_measured_fits(tmp_path):
    """Version 14, 100,050 random sequences, 8 threads: 1.02 GB; it began with a limit of 1.4, not of 1.0."""
    write_sizes(tmp_path, db=20_207_600, db__dbtype=4, db__index=1_834_873)
    assert 1.0e9 < split_limit(tmp_path / "db", 8, 0) < 1.4e9
    assert search_bytes("mmseqs", tmp_path / "db", 8) > 1.4e9


@pytest.mark.parametrize("residues", [10**7, 10**9, 3 * 10**9])
def test_a_job_is_given_what_its_search_takes_in_one_part(tmp_path, monkeypatch, residues):
    monkeypatch.setattr(search_memory, "available_bytes", lambda: (10**12, "free memory"))
    path = mmseqs_database(tmp_path, residues)
    limit = split_limit(path, 8, search_bytes("mmseqs", path, 8) + BESIDE)
    assert 0.9 * limit > 7 * residues + 8 * 20**6 + 51 * 8 * residues // 300


def test_a_very_large_database_is_searched_in_parts_unless_it_has_an_index(tmp_path):
    path = mmseqs_database(tmp_path, 20 * 10**9)
    assert search_bytes("mmseqs", path, 8) == LARGEST
    assert split_limit(path, 8, 0) < 0.8 * LARGEST
    mmseqs_database(tmp_path, 20 * 10**9, db__idx__dbtype=4)
    assert search_bytes("mmseqs", path, 8) > 3 * LARGEST


def test_data_in_several_files_count_together(tmp_path):
    whole = search_bytes("mmseqs", mmseqs_database(tmp_path, 10**9), 8)
    write_sizes(tmp_path, db__0=6 * 10**8, db__1=4 * 10**8, db__lookup=10**9, db_h=10**9)
    os.remove(tmp_path / "db")
    assert search_bytes("mmseqs", tmp_path / "db", 8) == whole


def test_a_packed_fasta_file_counts_by_its_text(tmp_path):
    text = os.urandom(20_000) * 10
    (tmp_path / "a.fasta").write_bytes(text)
    (tmp_path / "a.fasta.gz").write_bytes(gzip.compress(text))
    asked = [search_bytes("mmseqs", tmp_path / name, 8) for name in ("a.fasta", "a.fasta.gz")]
    assert asked[0] == asked[1]


def test_states_and_indices_of_hhblits_count(tmp_path):
    write_sizes(
        tmp_path,
        hh_cs219__ffdata=6 * 10**9,
        hh_cs219__ffindex=10**9,
        hh_a3m__ffindex=10**9,
        hh_hhm__ffindex=10**8,
        hh_a3m__ffdata=10**11,
    )
    assert search_bytes("hhblits", tmp_path / "hh", 8) == 4 * 10**9 + 6 * 10**9 + 3 * 21 * 10**8


@pytest.mark.parametrize("program", PROGRAMS)
def test_files_that_are_not_there_are_for_the_search_to_name(tmp_path, program):
    assert 10**9 <= search_bytes(program, tmp_path / "none", 8) < 5 * 10**9


def test_all_memory_is_taken_where_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(search_memory, "available_bytes", lambda: (sys.maxsize, "no known limit"))
    assert split_limit(tmp_path / "db") == 0


def test_what_stands_beside_a_search_is_what_a_request_adds():
    assert resources.memory_mb(0) == BESIDE / 1e6
