"""Building an alignment on the spot: a query is searched in a local database.

The programs are those of `PROGRAMS`: jackhmmer in this process, MMseqs2 and HH-suite where installed.
"""

import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.errors import AlignmentError
from data.jackhmmer import jackhmmer
from data.msa import write_a3m
from data.programs import SearchSettings, hhblits, mmseqs
from data.query import protein_sequence
from data.registry import SOURCES, find_local
from data.search_memory import split_limit
from data.store import save_json, sha256

__all__ = ["PROGRAMS", "SearchSettings", "search"]

logger = logging.getLogger(__name__)

Rows = list[tuple[str, str]]
# By the source's name: sequence, database, settings, threads -> A3M rows with the query first, and a report
PROGRAMS: dict[str, Callable[..., tuple[Rows, dict[str, Any]]]] = {
    "jackhmmer": jackhmmer,
    "mmseqs": mmseqs,
    "hhblits": hhblits,
}


def search(
    query: str,
    database: str | Path,
    destination: str | Path,
    settings: SearchSettings | None = None,
    program: str = "jackhmmer",
    threads: int = 1,
    memory: int | None = None,
) -> dict[str, Any]:
    """Search a database and write the alignment of what is found.

    Parameters
    ----------
    query : str
        Sequence, or path of a FASTA file whose first sequence it is.
    database : path
        For jackhmmer a FASTA of proteins, plain or gzip, which is held in memory; for mmseqs such a FASTA or
        the name of a sequence database of ``mmseqs createdb``; for hhblits the name of its database (what
        stands before ``_cs219.ffindex``).
    destination : path
        gzip A3M, the query first, columns those of the query; provenance goes to the same name + ``.json``.
    settings : SearchSettings, optional
    program : str
        One of `PROGRAMS`.
    threads : int
        Used by mmseqs and hhblits.
    memory : int, optional
        Bytes that the job was given, for mmseqs, which searches a large database part by part in less; what
        is free otherwise.

    Returns
    -------
    dict
        The provenance, as `data.sources.fetch`.

    Raises
    ------
    AlignmentError
        The query is no protein sequence, the database cannot be read or holds nothing, or nothing is found.
    FetchError
        The database is not there, or the program is not installed or fails.
    """
    settings = settings or SearchSettings()
    sequence = protein_sequence(query)
    mark = find_local(SOURCES[program], str(database))
    start = time.monotonic()
    kept_to = {"limit": split_limit(database, threads, memory)} if program == "mmseqs" else {}
    rows, report = PROGRAMS[program](sequence, Path(database), settings, threads, **kept_to)
    rows = _covering(rows, settings.min_coverage)
    if len(rows) == 1:
        raise AlignmentError(
            "the search found nothing",
            file=database,
            value=f"E-value {settings.evalue:g}, coverage {settings.min_coverage:g}",
            remedy="allow a larger E-value or a smaller coverage, or search a larger database",
        )
    logger.info("%d sequences found, %.0f s", len(rows) - 1, time.monotonic() - start)
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found.a3m"
        found.write_text("".join(f">{name}\n{row}\n" for name, row in rows), "utf-8", "replace")
        content = write_a3m(found, destination)
    provenance = {
        "cell": f"{program}:{database}",
        "source": program,
        "version": "",
        "release": "",
        "path": str(database),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "licence": "",
        "citation": SOURCES[program].citation,
        "search": asdict(settings) | report | {"query": sequence, "sha256_of": mark.name},
        "sha256": sha256(mark),
        "format": content["format"],
        "content": {key: value for key, value in content.items() if key not in ("sha256", "format")},
        "output_sha256": sha256(destination),
    }
    save_json(f"{destination}.json", provenance)
    return provenance


def _covering(rows: Rows, min_coverage: float) -> Rows:
    """The query, and the rows that have a letter in at least this share of its columns."""
    length = len(rows[0][1])

    def covers(row: str) -> bool:
        return sum(letter.isupper() for letter in row) >= min_coverage * length

    return [rows[0], *(found for found in rows[1:] if covers(found[1]))]
