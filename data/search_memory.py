"""How much memory a search of a local database takes, by the sizes of the database's files.

Bytes that a job has to be given. Of MMseqs2 they follow its own estimate (``estimateMemoryConsumption`` in
its source), by which it decides into how many parts a search is split; of HHblits, which maps its files and
cannot split, they are an upper bound.
"""

import glob
import os
import sys
from collections.abc import Callable
from pathlib import Path

from data.memory import available_bytes, text_size

BESIDE = 700_000_000  # of a job's memory: the Snakemake that runs it, Python and its libraries
LARGEST = 64_000_000_000  # that MMseqs2 is given where no index was made beforehand: it splits the search
_BASE = 1_000_000_000
_SHARE = 0.8  # of its memory that MMseqs2 keeps to the limit; the rest it holds beside (its manual)
_TAKEN = 0.85  # of the limit: it splits from 0.9 of it on
_TABLE = {letters: 8 * 20**letters for letters in (6, 7)}  # of words of six or seven letters
_SEVEN = 3_350_000_000  # residues from which on words have seven letters
_EXTENDED = 8 * 20**6  # similar words of a sequence
_REALIGNED = 3_000_000_000  # HHblits' own limit (-maxmem)
_ENTRY, _RESIDUES = 16, 150  # least bytes of a line of an index, residues of a sequence where there is none


def search_bytes(program: str, database: str | Path, threads: int = 1) -> int:
    """Memory of a search beyond the interpreter; files that are not there count for nothing.

    Parameters
    ----------
    program : str
        One of `data.search.PROGRAMS`.
    database : path
        As `data.search.search`.
    threads : int
    """
    return _NEEDED[program](Path(database), threads)


def split_limit(database: str | Path, threads: int = 1, memory: int | None = None) -> int:
    """What MMseqs2 is told to keep to, ``--split-memory-limit``; 0 (all) where nothing is known.

    It reckons with all memory of the machine else, also inside a job that was given a part of it. It is told
    no less than the smallest parts need, with less it would not begin.

    Parameters
    ----------
    memory : int, optional
        Bytes that the job was given.
    """
    available, _ = available_bytes()
    room = available if memory is None else min(available, memory - BESIDE)
    if room == sys.maxsize:
        return 0
    return max(int(_SHARE * room), _limit(Path(database), threads, parts=1000))


def _limit(database: Path, threads: int, parts: int = 1) -> int:
    """The least limit with which MMseqs2 searches a database in so many parts."""
    residues, sequences = _extent(database)
    letters = 7 if parts == 1 and residues >= _SEVEN else 6
    needed = 7 * residues // parts + _TABLE[letters] + _EXTENDED
    needed += 51 * threads * sequences // parts + 50 * sequences
    return int(needed / _TAKEN)


def _extent(database: Path) -> tuple[int, int]:
    """Residues and sequences of a FASTA file or a database of MMseqs2, both at most."""
    if not _beside(database, ".dbtype").is_file():
        text = _text(database)
        return text, text // _RESIDUES
    # Where several threads wrote it, its data lie in NAME.0, NAME.1, ...
    named = database.parent.glob(f"{glob.escape(database.name)}.*")
    parts = [path for path in named if path.suffix[1:].isdigit()]
    residues = sum(map(_size, [database, *parts]))
    return residues, (_size(_beside(database, ".index")) // _ENTRY) or residues // _RESIDUES


def _mmseqs(database: Path, threads: int) -> int:
    whole = _BASE + int(_limit(database, threads) / _SHARE)
    if _beside(database, ".idx.dbtype").is_file():
        return whole  # an index can be read in one piece alone
    return min(whole, max(LARGEST, _BASE + int(_limit(database, threads, parts=1000) / _SHARE)))


def _hhblits(database: Path, threads: int) -> int:
    """The states of the first filter, the entries of all indices as structures, and what is realigned."""
    indices = sum(_size(_beside(database, f"_{kind}.ffindex")) for kind in ("cs219", "a3m", "hhm"))
    return _BASE + _REALIGNED + _size(_beside(database, "_cs219.ffdata")) + 3 * indices


def _jackhmmer(database: Path, threads: int) -> int:
    return _BASE + 4 * _size(database)


def _beside(database: Path, ending: str) -> Path:
    return database.with_name(database.name + ending)


def _text(path: Path) -> int:
    """Bytes of text of a FASTA file; a packed one of more than 4 GB says less at its end."""
    try:
        found = text_size(path)
    except OSError:
        return 0
    return found if found == _size(path) else max(found, 2 * _size(path))


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


_NEEDED: dict[str, Callable[[Path, int], int]] = {
    "jackhmmer": _jackhmmer,
    "mmseqs": _mmseqs,
    "hhblits": _hhblits,
}
