"""What servers do to a download, and what becomes of it; ``make test-faults`` prints it as a table."""

import gzip
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from web_fixtures import Answer, serving

from data.client import Network
from data.errors import CovarionError
from data.sources import fetch

ADDRESS = "/entry/pfam/PF00072/?annotation=alignment:full&download"
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
    answers : list of Answer
        What the server says, one after the other; the last for ever.
    message : str
        Regular expression of the error; empty where the download succeeds in spite of it.
    requests : int
        How often the server is asked.
    """

    name: str
    answers: list[Answer]
    message: str
    requests: int


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


def meet(fault: Fault, folder: Path) -> tuple[str, int, float]:
    """Fetch from a server with this fault: the error's text, number of requests, seconds."""
    settings = Network(folder / "cache", attempts=3, timeout=0.3, first_wait=0.01, largest=LARGEST)
    with serving({ADDRESS: list(fault.answers)}) as server:
        start = time.monotonic()
        try:
            fetch("pfam:PF00072", "alignment", folder / "p.a3m.gz", {"pfam": server.url}, network=settings)
            said = ""
        except CovarionError as error:
            said = str(error).replace(server.url, "https://SERVER")
        return said, len(server.requests), time.monotonic() - start


def main() -> int:
    """Print the table; the exit code is 1 where something else happened than should."""
    wrong = 0
    print("| fault | requests | s | what the user reads |\n|---|---|---|---|")  # noqa: T201 (a table)
    for fault in FAULTS:
        with tempfile.TemporaryDirectory() as name:
            said, requests, seconds = meet(fault, Path(name))
            kept = (Path(name) / "p.a3m.gz").exists()
        right = kept == (not fault.message) and requests == fault.requests
        wrong += not right
        shown = (said or "(nothing: the alignment is there)").replace("|", "\\|").replace("\n", " ")
        mark = "" if right else "WRONG "
        print(f"| {fault.name} | {requests} | {seconds:.1f} | {mark}{shown} |", flush=True)  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
