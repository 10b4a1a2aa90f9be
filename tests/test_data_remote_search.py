"""The search protocol of ColabFold's MMseqs2 API, against a server on the loopback address that speaks it."""

import io
import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import pytest
from faults import SEARCH_FAULTS, check
from web_fixtures import PROXIES, Answer, web

from data.client import Network
from data.errors import AlignmentError, FetchError
from data.msa import read_alignment
from data.sources import fetch

__all__ = ["web"]

QUERY = "MKVLWEAAKV"
UNIREF = f">query\n{QUERY}\n>U1 something\nMRVLW-AAKI\n>U2\nMKVgLWEAAR-\n\0"
ENV = f">query\n{QUERY}\n>E1\nMKILWEAGKV\n\0"
NAMES = ("uniref.a3m", "bfd.mgnify30.metaeuk30.smag30.a3m")


def archive(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, text in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return stream.getvalue()


def says(status, ticket="T-1"):
    return Answer(body=json.dumps({"id": ticket, "status": status}).encode())


def search(web, out, cell="colabfold:env", query=QUERY, **settings):
    settings = {"cache": out / "cache", "first_wait": 0.002, "remote_search": True} | settings
    network = Network(**settings)
    return fetch(cell, "alignment", out / "p.a3m.gz", {"colabfold": web.url}, network=network, query=query)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("data.client.wait_turn", lambda *_, **__: None)
    monkeypatch.setattr("data.remote_search._LONGEST_PAUSE", 0.02)


@pytest.fixture
def ready(web):
    web.answers["/ticket/msa"] = [says("PENDING")]
    web.answers["/ticket/T-1"] = [says("RUNNING"), says("COMPLETE")]
    web.answers["/result/download/T-1"] = [Answer(body=archive(dict(zip(NAMES, (UNIREF, ENV), strict=True))))]
    return web


def test_a_search(ready, tmp_path, caplog):
    provenance = search(ready, tmp_path)
    alignment = read_alignment(tmp_path / "p.a3m.gz")
    assert alignment.names == ["query", "U1 something", "U2", "E1"]
    assert alignment.query == QUERY
    form = parse_qs(ready.posted[0].decode())
    assert form == {"q": [f">query\n{QUERY}\n"], "mode": ["env"]}
    assert f"sending the query of 10 residues to {ready.url.removeprefix('http://')}" in caplog.text
    assert (provenance["source"], provenance["search"]["mode"]) == ("colabfold", "env")
    assert provenance == json.loads((tmp_path / "p.a3m.gz.json").read_text())
    assert provenance["url"] == f"{ready.url}/ticket/msa"
    assert all(provenance[name] for name in ("time", "licence", "citation", "sha256", "format"))
    assert provenance["search"]["query_length"] == 10
    asked = len(ready.requests)
    search(ready, tmp_path)  # the same query again comes from the cache
    search(ready, tmp_path, offline=True)
    assert len(ready.requests) == asked


def test_without_metagenomes(ready, tmp_path):
    search(ready, tmp_path, "colabfold:uniref")
    assert len(read_alignment(tmp_path / "p.a3m.gz").names) == 3
    assert parse_qs(ready.posted[0].decode())["mode"] == ["all"]


def test_nothing_is_sent_unless_it_is_allowed(ready, tmp_path):
    pattern = r"would be sent to a public server.*allow_remote_search: true"
    with pytest.raises(FetchError, match=pattern) as caught:
        search(ready, tmp_path, remote_search=False)
    assert caught.value.file == ready.url
    with pytest.raises(AlignmentError, match="needs the sequence of a protein"):
        search(ready, tmp_path, query="")
    assert not ready.requests


def test_a_server_that_takes_it_later(ready, tmp_path):
    ready.answers["/ticket/msa"] = [says("RATELIMIT", ""), says("UNKNOWN"), says("COMPLETE")]
    search(ready, tmp_path)
    assert len(ready.posted) == 3


@pytest.mark.parametrize("fault", SEARCH_FAULTS, ids=lambda fault: fault.name)
def test_faults(tmp_path, monkeypatch, fault):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    check(fault, tmp_path)


def test_one_search_after_the_other(ready, tmp_path):
    for name in "AB":
        ready.answers[f"/ticket/{name}"] = [says("RUNNING", name)] * 3 + [says("COMPLETE", name)]
        ready.answers[f"/result/download/{name}"] = ready.answers["/result/download/T-1"]
    ready.answers["/ticket/msa"] = [says("PENDING", "A"), says("PENDING", "B")]

    def one(cell):
        out = tmp_path / cell.replace(":", "-")
        out.mkdir()
        search(ready, out, cell, cache=tmp_path / "cache")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, ["colabfold:env", "colabfold:uniref"]))
    order = [path for _, path, _ in ready.requests if path.startswith("/ticket/") and path != "/ticket/msa"]
    assert order == ["/ticket/A"] * 4 + ["/ticket/B"] * 4
