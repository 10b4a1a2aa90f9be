"""The network in runs of the real workflow: a connected phase, none afterwards, and one that is cut."""

import gzip
import io
import json
import shutil
import subprocess
import sys
import tarfile

import pytest
from data_fixtures import write_text
from web_fixtures import PROXIES, Answer, serving
from workflow_fixtures import planned, snakemake, write_family, write_table

from data.msa import read_alignment
from data.store import load_json

# Every process of a run imports this first. Unix sockets are no network.
WATCH = """
import os, sys
LOG = os.environ["SOCKET_LOG"]

def watch(event, arguments):
    if event == "socket.__new__" and arguments[1] in (2, 10):
        what = "open"
    elif event in ("socket.connect", "socket.sendto") and not isinstance(arguments[1], (str, bytes)):
        what = f"connect {arguments[1]}"
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        what = f"look up {arguments[0]}"
    else:
        return
    with open(LOG, "a") as stream:
        stream.write(f"{what} {sys.argv[0]}\\n")
    if what != "open":
        raise OSError(f"the network is not there: {what}")

sys.addaudithook(watch)
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Folder of a run."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def no_network(run, monkeypatch):
    """Refuse the network to every process that starts from now on; the file that tells who tried."""
    (run / "hook").mkdir()
    write_text(run / "hook" / "sitecustomize.py", WATCH)
    monkeypatch.setenv("SOCKET_LOG", str(run / "sockets.log"))

    def begin():
        monkeypatch.setenv("PYTHONPATH", str(run / "hook"))
        tried = subprocess.run(
            [sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 9))"],
            capture_output=True, text=True,
        )  # fmt: skip
        assert "the network is not there" in tried.stderr, "the watch does not watch"
        (run / "sockets.log").unlink()
        return run / "sockets.log"

    return begin


def stockholm(fasta):
    """A FASTA alignment as Pfam delivers it."""
    rows = [part.split("\n", 1) for part in fasta.read_text().split(">")[1:]]
    body = "".join(f"{name.split()[0]} {row.strip()}\n" for name, row in rows)
    return gzip.compress(f"# STOCKHOLM 1.0\n#=GF AC PF00001.20\n{body}//\n".encode(), mtime=0)


def address(number):
    return f"/entry/pfam/PF0000{number}/?annotation=alignment:full&download"


def settings(url, **further):
    said = {"base_urls": dict.fromkeys(("pfam", "pdb", "uniprotkb", "colabfold"), url), "cache": "cache"}
    return "fetch=" + json.dumps(said | {"attempts": 1, "timeout": 5} | further)


def can_unshare():
    done = subprocess.run(["unshare", "-n", "true"], capture_output=True) if shutil.which("unshare") else None
    return done is not None and done.returncode == 0


@pytest.mark.slow
def test_a_connected_phase_and_no_network_after_it(run, no_network, monkeypatch):
    """`snakemake fetch` gets all that needs a network, on this machine; the rest opens no socket.

    The second phase runs with sockets refused in every process and, where this may be done, in a network
    namespace that has no interface that is up, not even that of the loopback address.
    """
    query = write_family(run, "good")
    rows = [
        {"protein": "remote", "alignment": "pfam:PF00001", "structure": "pdb:1ABC"},
        {"protein": "local", "alignment": "good.fasta", "structure": "good.pdb"},
        {"protein": "searched", "alignment": "jackhmmer:db.fasta", "query": "uniprot:P69905"},
    ]
    write_table(run / "proteins.tsv", rows)
    sequences = (run / "good.fasta").read_text().split(">")[1:]
    write_text(run / "db.fasta", "".join(f">{part}".replace("-", "") for part in sequences))
    answers = {
        address(1): [Answer(body=stockholm(run / "good.fasta"))],
        "/1ABC.cif.gz": [Answer(body=gzip.compress((run / "good.pdb").read_bytes()))],
        "/uniprotkb/P69905.fasta": [Answer(body=f">sp|P69905|X\n{query}\n".encode())],
    }
    with serving(answers) as web:
        config = [settings(web.url)]
        done = snakemake(run, "fetch", config=config, check=0)
        assert sorted(path for _, path, _ in web.requests) == sorted(answers)
    ran = {line.split()[1].rstrip(":") for line in done.stderr.splitlines() if line.startswith("localrule ")}
    assert ran == {"fetch", "fetch_alignment", "fetch_structure", "fetch_query"}
    assert not [line for line in done.stderr.splitlines() if line.startswith("rule ")]
    log = no_network()
    if can_unshare():
        monkeypatch.setattr("workflow_fixtures.PREFIX", ["unshare", "-n"])
    snakemake(run, config=config, check=0)
    for row in rows:
        assert (run / "results" / row["protein"] / "report.html").exists()
    found = log.read_text().splitlines() if log.exists() else []
    # Snakemake's own start asks whether this machine has IPv6 (urllib3, which it imports): it opens a
    # socket, binds it to the machine itself and closes it
    assert {line for line in found if not line.endswith("snakemake/__main__.py")} == set()
    assert {line.split()[0] for line in found} <= {"open"}
    assert read_alignment(run / "resources/msa/searched.a3m.gz").query == query
    page = (run / "results/searched/report.html").read_text()
    assert "uniprotkb:P69905" in page
    assert "jackhmmer" in page


@pytest.mark.slow
def test_a_network_that_is_cut_in_the_middle(run):
    """What was finished stays, what was on its way goes on, and nothing is asked for twice."""
    write_family(run, "good")
    names = ["first", "second", "third", "fourth"]
    write_table(
        run / "proteins.tsv",
        [{"protein": name, "alignment": f"pfam:PF0000{n}"} for n, name in enumerate(names, 1)],
    )
    remark = "#=GF CC a remark that makes the file longer than what is written at a time\n" * 5000
    text = gzip.decompress(stockholm(run / "good.fasta")).decode()
    body, tag = text.replace("#=GF AC", f"{remark}#=GF AC").encode(), {"ETag": '"v1"'}
    served = []

    def until_the_third(path):
        served.append(path)
        if len(served) < 3:
            return Answer(body=body, headers=tag, ranges=True)
        web.socket.close()  # from here on nobody listens
        return Answer(body=body, headers=tag, cut=len(body) // 2)

    with serving({address(n): until_the_third for n in range(1, 5)}) as web:
        config = [settings(web.url)]
        port = web.server_port
        done = snakemake(run, "fetch", "--cores", "1", config=config, check=1)
    assert len(served) == 3
    finished = {path: path.stat().st_mtime_ns for path in run.glob("resources/msa/*.a3m.gz")}
    assert len(finished) == 2
    failures = [load_json(path) for path in run.glob("results/*/failure.json")]
    assert sorted(failure["problem"] for failure in failures) == ["cannot be fetched"] * 2
    said = " ".join(failure["value"] for failure in failures)
    assert "the connection broke off" in said
    assert "there is no connection to the server" in said, done.stderr
    ready = Answer(body=body, headers=tag, ranges=True)
    with serving({address(n): [ready] for n in range(1, 5)}, port) as web:
        snakemake(run, "fetch", "--cores", "1", config=config, check=0)
        asked = {path: headers.get("Range", "") for _, path, headers in web.requests}
    assert len(asked) == 2
    assert not set(asked) & set(served[:2])
    begun = int(asked[served[2]].removeprefix("bytes=").rstrip("-"))
    assert 0 < begun <= len(body) // 2
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert len(list(run.glob("resources/msa/*.a3m.gz"))) == 4
    assert not list(run.glob("results/*/failure.json"))
    assert planned(snakemake(run, "fetch", "--dry-run", config=config, check=0).stdout) == set()


@pytest.mark.slow
def test_the_same_query_is_sent_once(run):
    query = "MKVLWEAAKVRRSSTT"
    write_table(
        run / "proteins.tsv",
        [{"protein": name, "alignment": "colabfold:uniref", "query": query} for name in ("one", "two")],
    )
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        text = f">query\n{query}\n>U1\n{query[:-1]}S\n".encode()
        entry = tarfile.TarInfo("uniref.a3m")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    answers = {
        "/ticket/msa": [Answer(body=b'{"id": "T-1", "status": "COMPLETE"}')],
        "/result/download/T-1": [Answer(body=stream.getvalue())],
    }
    with serving(answers) as web:
        snakemake(run, "fetch", config=[settings(web.url, allow_remote_search=True)], check=0)
        assert len(web.posted) == 1
        assert [path for _, path, _ in web.requests] == list(answers)
    one, two = (load_json(run / f"resources/msa/{name}.a3m.gz.json") for name in ("one", "two"))
    assert one["output_sha256"] == two["output_sha256"]
    assert one["search"] == two["search"]
