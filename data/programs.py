"""Searches by programs that are installed on this machine: MMseqs2 and HH-suite.

They are started with a list of arguments, never through a shell, in a folder of their own; what they say goes
to the log line by line.
"""

import contextlib
import logging
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import AlignmentError, FetchError
from data.query import ungapped
from data.rows import read_rows

logger = logging.getLogger(__name__)

_HEARTBEAT = 60.0
_INSTALL = {"mmseqs": "apt-get install mmseqs2", "hhblits": "apt-get install hhsuite"}
_PROTEINS = b"\0\0"  # what a .dbtype file of amino acid sequences begins with


@dataclass(frozen=True)
class SearchSettings:
    """How a database is searched.

    Attributes
    ----------
    iterations : int
        Rounds at most; it ends earlier where nothing new is found.
    evalue : float
        Largest E-value, of a sequence and of a domain, that enters the next round and the alignment.
    min_coverage : float
        Rows that cover a smaller share of the query are left out.
    """

    iterations: int = 3
    evalue: float = 1e-3
    min_coverage: float = 0.5


def mmseqs(
    sequence: str, database: Path, settings: SearchSettings, threads: int, limit: int = 0
) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """Rows of an iterative MMseqs2 search as A3M, the query first, and how it went.

    Where its arrays would take more than `limit` bytes it searches the database part by part; 0 is the memory
    of the machine.

    Raises
    ------
    FetchError
        The program is not installed, fails, or the database is not one of protein sequences.
    """
    version = _version("mmseqs", ["version"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "query.fasta").write_text(f">query\n{sequence}\n")
        run_program(["mmseqs", "createdb", "query.fasta", "query"], folder)
        target = _sequence_database(database.absolute(), folder)
        common = ["--threads", str(threads)]
        run_program(
            ["mmseqs", "search", "query", target, "found", "scratch", "-a", "1", "--max-seqs", "100000",
             "--num-iterations", str(settings.iterations), "-e", repr(settings.evalue),
             "--split-memory-limit", f"{limit >> 20}M" if limit else "0", *common],
            folder,
        )  # fmt: skip
        wanted = ["--msa-format-mode", "5"]  # A3M
        run_program(["mmseqs", "result2msa", "query", target, "found", "alignment", *wanted, *common], folder)
        if (folder / "alignment").is_file():
            # The entries of a database are divided by NUL bytes; ours is the only one
            text = (folder / "alignment").read_bytes().replace(b"\0", b"")
            (folder / "found.a3m").write_bytes(text)
        rows = _rows(folder / "found.a3m", sequence, "mmseqs")
    return rows, {"mmseqs": version, "threads": threads}


def _sequence_database(database: Path, folder: Path) -> str:
    """Name of the MMseqs2 database to search: the one given, or one made of the FASTA file given."""
    kind = database.with_name(database.name + ".dbtype")
    if not kind.is_file():
        run_program(["mmseqs", "createdb", str(database), "target"], folder)
        return "target"
    if kind.read_bytes()[:2] != _PROTEINS:
        raise FetchError(
            "no database of protein sequences",
            file=kind,
            value=kind.read_bytes()[:4].hex(),
            remedy="give a FASTA file or what mmseqs createdb made of one; search ColabFold's databases with "
            "colabfold_search and name the folder that it wrote: folder:PATH",
        )
    return str(database)


def hhblits(
    sequence: str, database: Path, settings: SearchSettings, threads: int
) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """Rows of an iterative HHblits search as A3M, the query first, and how it went.

    Raises
    ------
    FetchError
        The program is not installed or fails.
    """
    version = _version("hhblits", ["-h"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "query.fasta").write_text(f">query\n{sequence}\n")
        run_program(
            ["hhblits", "-i", "query.fasta", "-d", str(database.absolute()), "-oa3m", "found.a3m", "-all",
             "-o", "found.hhr", "-n", str(min(settings.iterations, 8)), "-e", repr(settings.evalue),
             "-cpu", str(threads)],
            folder,
        )  # fmt: skip
        rows = _rows(folder / "found.a3m", sequence, "hhblits")
    return rows, {"hhblits": version, "threads": threads}


def _rows(path: Path, sequence: str, program: str) -> list[tuple[str, str]]:
    """Rows of a program's A3M; its first must be the query."""
    try:
        rows = [(row.name, row.text) for row in read_rows(path)]
    except AlignmentError as error:
        raise FetchError(
            f"{program} wrote no alignment", value=error.problem, remedy="see the log"
        ) from error
    if not rows or ungapped(rows[0][1]) != sequence:
        raise FetchError(
            f"the alignment that {program} wrote does not begin with the query",
            value=rows[0][1][:60] if rows else "nothing",
            remedy="see the log; another version of the program may help",
        )
    return [("query", sequence), *rows[1:]]


def run_program(command: list[str], folder: Path) -> None:
    """Run a program in a folder, its words in the log line by line.

    Raises
    ------
    FetchError
        It is not installed, or ends with an error; the message holds its last words.
    """
    program = find_program(command[0])
    logger.info("$ %s", " ".join(command))
    last: deque[str] = deque(maxlen=5)
    with (
        still_running(" ".join(command[:2])),
        subprocess.Popen(
            [program, *command[1:]],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None  # piped
        for line in process.stdout:
            if line.strip():
                logger.info("%s", line.rstrip()[:500])
                last.append(line.strip()[:200])
    if process.returncode:
        raise FetchError(
            f"{command[0]} ended with an error",
            place=f"exit code {process.returncode}",
            value=" / ".join(last) or "it said nothing",
            remedy="the stage's log holds all that it said; check the database",
        )


def find_program(name: str) -> str:
    """Path of an installed program.

    Raises
    ------
    FetchError
        It is not on the PATH.
    """
    path = shutil.which(name)
    if path is None:
        raise FetchError(
            f"the program {name} is not installed",
            value=f"{name} is not on the PATH",
            remedy=f"install it ({_INSTALL.get(name, name)}, or from conda's channel bioconda), or search "
            "with jackhmmer:PATH, which needs no program",
        )
    return path


def _version(program: str, arguments: list[str]) -> str:
    """First words that a program says of itself."""
    done = subprocess.run(
        [find_program(program), *arguments], capture_output=True, text=True, errors="replace", timeout=60
    )
    line = next((line for line in done.stdout.splitlines() if line.strip()), "unknown")
    return re.sub(r"[^\x20-\x7e]", "", line).strip().rstrip(":")[:80]


@contextlib.contextmanager
def still_running(what: str, every: float = _HEARTBEAT) -> Iterator[None]:
    """Log every minute that something still goes on, and for how long."""
    done, start = threading.Event(), time.monotonic()

    def beat() -> None:
        while not done.wait(every):
            logger.info("%s: still running, %.0f s", what, time.monotonic() - start)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
