"""What servers do to a download, and what becomes of it; ``make test-faults`` prints it as a table."""

import gzip
import io
import json
import random
import re
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from web_fixtures import Answer, serving

from data.client import Network
from data.errors import CovarionError
from data.msa import read_alignment
from data.registry import SOURCES
from data.sources import fetch

ADDRESS = "/entry/pfam/PF00072/?annotation=alignment:full&download"
SUBMIT, POLL, RESULT = "/ticket/msa", "/ticket/T-1", "/result/download/T-1"
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
LARGEST = 1_000_000


def family(rows: int = 400) -> str:
    """A Stockholm file of some 30 kB that does not pack well."""
    rng = random.Random(0)
    body = "".join(f"S{n}/1-60 {''.join(rng.choices(LETTERS, k=60))}\n" for n in range(rows))
    return f"# STOCKHOLM 1.0\n#=GF AC PF00072.30\n{body}//\n"


PLAIN = family().encode()
PACKED = gzip.compress(PLAIN, mtime=0)
TAG = {"ETag": '"v1"'}


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes
    ----------
    name : str
    answers : list of Answer, or dict of them by path
        What the server says, one after the other; the last for ever.
    message : str
        Regular expression of the error; empty where the download succeeds in spite of it.
    requests : int
        How often the server is asked; -1 where that depends on the clock.
    cell : str
    patience : float
        Seconds that a search may take.
    """

    name: str
    answers: list[Answer] | dict[str, list[Answer]]
    message: str
    requests: int
    cell: str = "pfam:PF00072"
    patience: float = 60.0

    @property
    def by_path(self) -> dict[str, list[Answer]]:
        """Answers by path."""
        return self.answers if isinstance(self.answers, dict) else {ADDRESS: list(self.answers)}


FAULTS = [
    Fault("none", [Answer(body=PACKED)], "", 1),
    Fault("404", [Answer(404)], r"pfam has no such entry; found: pfam:PF00072 \(HTTP status 404\)", 1),
    Fault("204, no content", [Answer(204)], "pfam has no such entry", 1),
    Fault("403", [Answer(403)], "refused", 1),
    Fault("429 with Retry-After", [Answer(429, headers={"Retry-After": "1"}), Answer(body=PACKED)], "", 2),
    Fault("429 for ever", [Answer(429)], "cannot be fetched; found: the server is busy: .*429", 3),
    Fault("500 twice, then success", [Answer(500), Answer(500), Answer(body=PACKED)], "", 3),
    Fault("500 for ever", [Answer(500)], "cannot be fetched; found: the server is busy: .*500", 3),
    Fault("body cut off, rest on request", [Answer(body=PACKED, headers=TAG, cut=15_000),
                                            Answer(body=PACKED, headers=TAG, ranges=True)], "", 2),
    Fault("body cut off for ever", [Answer(body=PACKED, cut=15_000)],
          "cannot be fetched; found: the connection broke off", 3),
    Fault("body stalls", [Answer(body=PACKED, stall=0.9)],
          "cannot be fetched; found: the server does not answer in time", 3),
    Fault("empty body with status 200", [Answer(body=b"")], "no alignment; found: nothing", 1),
    Fault("wrong content type, right content",
          [Answer(body=PACKED, headers={"Content-Type": "text/html"})], "", 1),
    Fault("HTML error page with status 200", [Answer(body=b"<!DOCTYPE html><html>Maintenance</html>")],
          "no alignment; found: <!DOCTYPE", 1),
    Fault("JSON message with status 200", [Answer(body=b'{"detail": "no data"}')],
          "no alignment; found: {", 1),
    Fault("redirect loop", [Answer(302, headers={"Location": ADDRESS})],
          "cannot be fetched; found: the server sends from address to address", 21),
    Fault("gzip cut off", [Answer(body=PACKED[:-9])], "not whole: the compressed data is damaged", 1),
    Fault("gzip corrupt", [Answer(body=PACKED[:9000] + b"\0\0\0\0" + PACKED[9004:])],
          "not whole: the compressed data is damaged", 1),
    Fault("gzip bomb", [Answer(body=gzip.compress(bytes(20 * LARGEST), mtime=0))], "unpacks to too much", 1),
    Fault("oversized body, announced", [Answer(body=bytes(LARGEST + 1))], "what is offered is too large", 1),
    Fault("oversized body, not announced", [Answer(body=bytes(LARGEST + 1), chunked=True)],
          "what is offered is too large", 1),
    Fault("Stockholm without its end", [Answer(body=PLAIN[:-3])], "what arrived is not whole", 1),
    Fault("nucleotides", [Answer(body=b"# STOCKHOLM 1.0\na ACGTTGACACGT\nb ACGTTGACACGA\n//\n")],
          "cannot be used: the alignment holds nucleotides", 1),
]  # fmt: skip


QUERY = "MKVLWEAAKV"
FOUND = f">query\n{QUERY}\n>U1\nMRVLW-AAKI\n\0"
MEMBERS = ("uniref.a3m", "bfd.mgnify30.metaeuk30.smag30.a3m")


def archive(names: tuple[str, ...] = MEMBERS, text: str = FOUND, link: str = "") -> bytes:
    """A search server's answer, with its alignments under these names, or links instead of them."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            if link:
                entry.type, entry.linkname = tarfile.SYMTYPE, link
            else:
                entry.size = len(text)
            tar.addfile(entry, None if link else io.BytesIO(text.encode()))
    return stream.getvalue()


def says(status: str, ticket: str = "T-1") -> Answer:
    """A search server's word on a ticket."""
    return Answer(body=json.dumps({"id": ticket, "status": status}).encode())


def server(name: str, message: str, requests: int, patience: float = 60.0, **said: list[Answer]) -> Fault:
    """A fault of a search server: what it says to the query, to who asks again, and as the result."""
    answers = {
        SUBMIT: said.get("submit", [says("PENDING")]),
        POLL: said.get("poll", [says("RUNNING"), says("COMPLETE")]),
        RESULT: said.get("result", [Answer(body=archive())]),
    }
    return Fault(f"search: {name}", answers, message, requests, "colabfold:env", patience)


SEARCH_FAULTS = [
    server("none", "", 4),
    server("it fails (ERROR)", r"could not search this sequence; found: status ERROR of ticket T-1; remedy: "
           "try later, or .* local database", 2, poll=[says("ERROR")]),
    server("MAINTENANCE", "the search server is under maintenance; .*try later", 1,
           submit=[says("MAINTENANCE")]),
    server("RATELIMIT, then taken", "", 5, submit=[says("RATELIMIT", ""), says("PENDING")]),
    server("RATELIMIT for ever", "takes no further search from here for now; .*run again later", -1, 0.3,
           submit=[says("RATELIMIT", "")]),
    server("it never ends", r"the search takes too long; found: status (RUNN|PEND)ING .*again later", -1, 0.3,
           poll=[says("RUNNING")]),
    server("polling stalls", "cannot be fetched; found: the server does not answer in time", 4,
           poll=[Answer(body=says("RUNNING").body, stall=0.9)]),
    server("429 to the query, then taken", "", 5,
           submit=[Answer(429, headers={"Retry-After": "0"}), says("PENDING")]),
    server("500 to who asks again, then done", "", 4, poll=[Answer(500), says("COMPLETE")]),
    server("the ticket is forgotten (404)", "no longer knows this search; .*anew", 2, poll=[Answer(404)]),
    server("web page instead of a ticket", "no answer of this server's protocol; found: <html>", 1,
           submit=[Answer(body=b"<html>Sign in</html>")]),
    server("status that nobody knows", "gives no answer that is known; found: status DOOMED", 1,
           submit=[says("DOOMED")]),
    server("ticket that is a path", "has no name to be asked for by; found: .*secret", 1,
           submit=[says("COMPLETE", "../../secret")]),
    server("result missing", "no longer knows this search; .*sent anew", 4, result=[Answer(404)]),
    server("archive cut off in the transfer", "cannot be fetched; found: the connection broke off", 6,
           result=[Answer(body=archive(), cut=100)]),
    server("archive corrupt", "the compressed data is damaged", 4,
           result=[Answer(body=archive()[:80] + b"\0\0\0\0" + archive()[84:])]),
    server("no archive", "no archive of alignments", 4, result=[Answer(body=b"<html></html>")]),
    server("archive without one alignment", "an alignment is missing in the archive; found: bfd.mgnify30", 4,
           result=[Answer(body=archive(MEMBERS[:1]))]),
    server("archive of absolute paths", "an alignment is missing in the archive; found: uniref.a3m", 4,
           result=[Answer(body=archive(tuple(f"/etc/{name}" for name in MEMBERS)))]),
    server("archive of paths that lead out", "an alignment is missing in the archive; found: uniref.a3m", 4,
           result=[Answer(body=archive(tuple(f"../{name}" for name in MEMBERS)))]),
    server("archive of links", "an alignment is missing in the archive; found: uniref.a3m", 4,
           result=[Answer(body=archive(link="/etc/passwd"))]),
    server("archive bomb", "unpacks to too much", 4,
           result=[Answer(body=archive(text=FOUND + "\n" * 2 * LARGEST))]),
    server("alignment of another query", "not that of the query; found: AAAA", 4,
           result=[Answer(body=archive(text=">query\nAAAA\n"))]),
    server("alignment with digits", "cannot be used: .*", 4,
           result=[Answer(body=archive(text=FOUND.replace("MRVLW", "MR1LW")))]),
]  # fmt: skip


def meet(fault: Fault, folder: Path) -> tuple[str, int, float]:
    """Fetch from a server with this fault: the error's text, number of requests, seconds."""
    settings = Network(
        folder / "cache", attempts=3, timeout=0.3, first_wait=0.002, largest=LARGEST, remote_search=True,
        longest_search=fault.patience,
    )  # fmt: skip
    out, quick = folder / "p.a3m.gz", replace(SOURCES["colabfold"], pause=0.001)
    with (
        serving({path: list(answers) for path, answers in fault.by_path.items()}) as web,
        patch.dict(SOURCES, colabfold=quick),  # a server of our own need not be spared
    ):
        start = time.monotonic()
        bases: dict[str, str | list[str]] = {fault.cell.split(":")[0]: web.url}
        try:
            fetch(fault.cell, "alignment", out, bases, network=settings, query=QUERY)
            said = ""
        except CovarionError as error:
            said = str(error).replace(web.url, "https://SERVER")
        return said, len(web.requests), time.monotonic() - start


def check(fault: Fault, folder: Path) -> None:
    """Hold what happens against what should: nothing half written or bad is kept, a message has a remedy."""
    (folder / "p.a3m.gz").write_text("the result of an earlier run")
    said, requests, _ = meet(fault, folder)
    assert fault.requests in (requests, -1)
    if not fault.message:
        assert said == ""
        shape = (400, 60) if fault.cell.startswith("pfam") else (3, 10)
        assert read_alignment(folder / "p.a3m.gz").tokens.shape == shape
        return
    assert re.search(fault.message, said)
    assert said.startswith("https://SERVER")
    assert "remedy: " in said
    assert (folder / "p.a3m.gz").read_text() == "the result of an earlier run"
    cache = folder / "cache"
    assert not [path for name in ("objects", "index") for path in (cache / name).rglob("*") if path.is_file()]


def main() -> int:
    """Print the table; the exit code is 1 where something else happened than should."""
    wrong = 0
    print("| fault | requests | s | what the user reads |\n|---|---|---|---|")  # noqa: T201 (a table)
    for fault in FAULTS + SEARCH_FAULTS:
        with tempfile.TemporaryDirectory() as name:
            said, requests, seconds = meet(fault, Path(name))
            kept = (Path(name) / "p.a3m.gz").exists()
        right = (kept == (not fault.message) and requests == fault.requests) or fault.requests < 0
        wrong += not right
        shown = (said or "(nothing: the alignment is there)").replace("|", "\\|").replace("\n", " ")
        mark = "" if right else "WRONG "
        print(f"| {fault.name} | {requests} | {seconds:.1f} | {mark}{shown} |", flush=True)  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
