"""Searches by MMseqs2 and HH-suite where they are installed, and what is said where they are not."""

import json
import logging
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from data_fixtures import write_text

from data import search_memory
from data.errors import AlignmentError, FetchError, TableError
from data.msa import read_alignment
from data.programs import SearchSettings, run_program, still_running
from data.search import search
from data.table import read_proteins

LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
CSTRANSLATE = Path("/usr/libexec/hhsuite/cstranslate-plain")  # Debian's; not on the PATH
HH_DATA = Path("/usr/share/hhsuite/data")


def needs(*programs):
    missing = [name for name in programs if not (shutil.which(str(name)) or Path(name).is_file())]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(map(str, missing))}")


def mutated(rng, letters, share):
    return np.where(rng.random(letters.size) < share, rng.choice(LETTERS, letters.size), letters)


def family(rng, length=80, rows=40):
    """A query, its relatives by name, one of them with an insertion of five letters."""
    query = rng.choice(LETTERS, length)
    found = {f"relative{n}": mutated(rng, query, 0.4) for n in range(rows)}
    close = mutated(rng, query, 0.2)
    found["longer"] = np.concatenate([close[:40], list("GGWGG"), close[40:]])
    found["tail"] = mutated(rng, query, 0.1)[60:]
    return "".join(query), {name: "".join(row) for name, row in found.items()}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A query, and a FASTA file of its relatives and of strangers."""
    rng = np.random.default_rng(11)
    query, rows = family(rng)
    strangers = {f"stranger{n}": "".join(rng.choice(LETTERS, 150)) for n in range(100)}
    path = tmp_path_factory.mktemp("database with spaces; and signs") / "proteins.fasta"
    path.write_text("".join(f">{name} some protein\n{row}\n" for name, row in (rows | strangers).items()))
    return query, path


def check(out, query, provenance, program):
    alignment = read_alignment(out)
    assert alignment.query == query
    names = {name.split()[0] for name in alignment.names[1:]}
    assert len(names & {f"relative{n}" for n in range(40)}) > 30
    assert "longer" in names
    assert "tail" not in names  # it covers a quarter
    assert not any(name.startswith("stranger") for name in names)
    longer = alignment.tokens[[name.startswith("longer") for name in alignment.names]][0]
    assert (longer == alignment.tokens[0]).mean() > 0.6  # an insertion shifts no column
    assert provenance == json.loads(Path(f"{out}.json").read_text())
    assert provenance["source"] == program
    assert provenance["search"]["query"] == query
    assert provenance["search"][program]
    assert provenance["citation"]


@pytest.mark.slow
@needs("mmseqs")
def test_mmseqs_searches_a_fasta_file_and_a_database(database, tmp_path, caplog):
    query, path = database
    with caplog.at_level(logging.INFO):
        found = search(query, path, tmp_path / "p.a3m.gz", program="mmseqs")
    check(tmp_path / "p.a3m.gz", query, found, "mmseqs")
    assert found["search"]["sha256_of"] == "proteins.fasta"
    assert "$ mmseqs search" in caplog.text
    subprocess.run(["mmseqs", "createdb", path, path.with_name("made")], check=True, capture_output=True)
    again = search(query, path.with_name("made"), tmp_path / "q.a3m.gz", program="mmseqs")
    check(tmp_path / "q.a3m.gz", query, again, "mmseqs")
    assert again["output_sha256"] == found["output_sha256"]
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "p.a3m.gz", "p.a3m.gz.json", "q.a3m.gz", "q.a3m.gz.json"
    ]  # fmt: skip


@pytest.mark.slow
@needs("mmseqs")
def test_mmseqs_finds_nothing_or_cannot_read(database, tmp_path):
    _, path = database
    with pytest.raises(AlignmentError, match=r"found nothing; found: E-value 0\.001, coverage 0\.5"):
        search("MKVLWEMKVLWEMKVLWE", path, tmp_path / "p.a3m.gz", SearchSettings(iterations=1), "mmseqs")
    empty = write_text(tmp_path / "empty.fasta", "")
    with pytest.raises(FetchError, match="mmseqs ended with an error"):
        search("MKVLWEMKVLWEMKVLWE", empty, tmp_path / "p.a3m.gz", program="mmseqs")
    assert not (tmp_path / "p.a3m.gz").exists()


@pytest.mark.slow
@needs("hhblits", "ffindex_build", "hhmake", CSTRANSLATE)
def test_hhblits(tmp_path):
    """A database of two families is built as HH-suite's documentation says, and searched."""
    rng = np.random.default_rng(12)
    query, rows = family(rng)
    aligned = {name: row for name, row in rows.items() if len(row) == len(query)}
    aligned["longer"] = rows["longer"][:40] + rows["longer"][40:45].lower() + rows["longer"][45:]
    aligned["tail"] = "-" * 60 + rows["tail"]
    other = {f"stranger{n}": "".join(mutated(rng, rng.choice(LETTERS, 90), 0.3)) for n in range(10)}
    for name, members in (("near", aligned), ("far", other)):
        write_text(tmp_path / f"{name}.a3m", "".join(f">{key}\n{row}\n" for key, row in members.items()))
        subprocess.run(
            ["hhmake", "-i", f"{name}.a3m", "-o", f"{name}.hhm", "-v", "0"], cwd=tmp_path, check=True
        )
    for ending in ("a3m", "hhm"):
        build = ["ffindex_build", "-s", f"db_{ending}.ffdata", f"db_{ending}.ffindex"]
        subprocess.run([*build, f"far.{ending}", f"near.{ending}"], cwd=tmp_path, check=True)
        index = tmp_path / f"db_{ending}.ffindex"
        index.write_text(index.read_text().replace(f".{ending}", ""))
    translate = [
        CSTRANSLATE, "-f", "-x", "0.3", "-c", "4", "-I", "a3m", "-b", "-i", "db_a3m", "-o", "db_cs219",
        "-A", HH_DATA / "cs219.lib", "-D", HH_DATA / "context_data.lib",
    ]  # fmt: skip
    subprocess.run(translate, cwd=tmp_path, check=True, capture_output=True)
    out = tmp_path / "p.a3m.gz"
    found = search(query, tmp_path / "db", out, program="hhblits")
    check(out, query, found, "hhblits")
    assert found["search"]["sha256_of"] == "db_cs219.ffindex"


@pytest.mark.parametrize(("program", "package"), [("mmseqs", "mmseqs2"), ("hhblits", "hhsuite")])
def test_a_program_that_is_not_installed(database, tmp_path, monkeypatch, program, package):
    monkeypatch.setenv("PATH", str(tmp_path))
    write_text(tmp_path / "db_cs219.ffindex", "x")
    path = database[1] if program == "mmseqs" else tmp_path / "db"
    with pytest.raises(FetchError, match=f"{program} is not installed.*apt-get install {package}.*jackhmmer"):
        search("MKVLWE", path, tmp_path / "p.a3m.gz", program=program)


def stand_in(folder, body):
    """A program called mmseqs that does this."""
    path = write_text(folder / "mmseqs", f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_a_program_that_fails_says_its_last_words(tmp_path, monkeypatch, caplog):
    stand_in(tmp_path, 'echo "all is well"; echo "cannot open $1" >&2; exit 3')
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with (
        caplog.at_level(logging.INFO),
        pytest.raises(FetchError, match=r"exit code 3.*found: all is well / cannot open a; remedy: .*log"),
    ):
        run_program(["mmseqs", "a", "$(touch c)"], tmp_path)
    assert "all is well" in caplog.text
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mmseqs"]


@pytest.mark.parametrize(("memory", "told"), [(None, 80_000), (8700, 6400), (10**9, 80_000), (100, 1171)])
def test_mmseqs_is_told_the_memory_that_it_may_take(tmp_path, monkeypatch, caplog, memory, told):
    """In MB, of a job's memory and of 100 GB that are free; the last is the least with which it begins."""
    monkeypatch.setattr(search_memory, "available_bytes", lambda: (100_000_000_000, "free memory"))
    stand_in(tmp_path, "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    (tmp_path / "db.dbtype").write_bytes(bytes(4))
    given = None if memory is None else memory * 1_000_000
    with caplog.at_level(logging.INFO), pytest.raises(FetchError, match="wrote no alignment"):
        search("MKVLWE", tmp_path / "db", tmp_path / "p.a3m.gz", program="mmseqs", memory=given)
    (found,) = re.findall(r"mmseqs search .* --split-memory-limit (\d+)M", caplog.text)
    assert int(found) == pytest.approx(told * 1e6 / 2**20, rel=0.05)


def test_words_are_handed_over_as_they_are(tmp_path, monkeypatch, caplog):
    stand_in(tmp_path, 'for word in "$@"; do echo "<$word>"; done')
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with caplog.at_level(logging.INFO):
        run_program(["mmseqs", "a b", "$(touch c)", "; touch d", "*"], tmp_path)
    assert all(text in caplog.messages for text in ("<a b>", "<$(touch c)>", "<; touch d>", "<*>"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mmseqs"]


def test_databases_that_are_not_there_or_of_another_kind(tmp_path, monkeypatch):
    stand_in(tmp_path, "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(FetchError, match=r"no such database; .*looked for no\.dbtype"):
        search("MKVLWE", tmp_path / "no", tmp_path / "p.a3m.gz", program="mmseqs")
    with pytest.raises(FetchError, match=r"no such database; .*looked for no_cs219\.ffindex"):
        search("MKVLWE", tmp_path / "no", tmp_path / "p.a3m.gz", program="hhblits")
    (tmp_path / "profiles.dbtype").write_bytes(b"\2\0\0\0")
    with pytest.raises(
        FetchError, match=r"no database of protein sequences; found: 02000000; remedy: .*folder:PATH"
    ):
        search("MKVLWE", tmp_path / "profiles", tmp_path / "p.a3m.gz", program="mmseqs")
    (tmp_path / "silent.dbtype").write_bytes(bytes(4))
    with pytest.raises(FetchError, match="mmseqs wrote no alignment"):
        search("MKVLWE", tmp_path / "silent", tmp_path / "p.a3m.gz", program="mmseqs")


def test_a_long_search_says_that_it_goes_on(caplog):
    with caplog.at_level(logging.INFO), still_running("a search", every=0.05):
        time.sleep(0.3)
    assert 2 <= len([line for line in caplog.messages if line.startswith("a search: still running")]) <= 6


def test_rows_that_search_with_programs(tmp_path):
    write_text(tmp_path / "db.dbtype", "x")
    write_text(tmp_path / "hh_cs219.ffindex", "x")
    header = "protein\talignment\tquery\n"
    good = "p\tmmseqs:db\tMKVLWE\nq\thhblits:hh\tP69905\nr\tjackhmmer:db.dbtype\tuniprot:p69905\n"
    rows, _ = read_proteins(write_text(tmp_path / "t.tsv", header + good))
    assert [row.alignment for row in rows] == [
        f"mmseqs:{tmp_path / 'db'}", f"hhblits:{tmp_path / 'hh'}", f"jackhmmer:{tmp_path / 'db.dbtype'}"
    ]  # fmt: skip
    bad = "p\tmmseqs:none\tMKVLWE\nq\thhblits:db\t\nr\tmmseqs:db\thba_1\n"
    with pytest.raises(TableError) as caught:
        read_proteins(write_text(tmp_path / "bad.tsv", header + bad))
    said = str(caught.value)
    assert "line 2 (p): alignment: no such database 'none'" in said
    assert "line 3 (q): alignment: no such database 'db'" in said
    assert "line 3 (q): query: empty; a search needs" in said
    assert "line 4 (r): query: 'hba_1' is neither a sequence nor a file nor an accession" in said
