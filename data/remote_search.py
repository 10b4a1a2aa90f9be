"""Alignments from a public search server that speaks the protocol of ColabFold's MMseqs2 API.

Submitted is one sequence; the server is polled until its search is done, and the archive of alignments is
downloaded (Mirdita et al. 2022, Nat Methods 19:679). The sequence leaves this machine.
"""

import hashlib
import io
import logging
import tarfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from data.client import Network, ask, serially
from data.errors import FetchError
from data.registry import Source

logger = logging.getLogger(__name__)

_MEMBERS = {"env": ("uniref.a3m", "bfd.mgnify30.metaeuk30.smag30.a3m"), "uniref": ("uniref.a3m",)}
_MODES = {"env": "env", "uniref": "all"}  # as the server calls them
_WAITING = {"PENDING", "RUNNING", "UNKNOWN", "RATELIMIT"}
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 30.0


def search_name(base: str, mode: str, sequence: str) -> str:
    """Name of a search in the cache: the same query in the same mode is asked for once."""
    return f"{base}/search/{mode}/{hashlib.sha256(sequence.encode()).hexdigest()}"


def submit(
    base: str, mode: str, sequence: str, source: Source, network: Network, longest: float = 3600.0
) -> str:
    """Have a sequence searched, and wait for it; the server is asked for one search after the other.

    Parameters
    ----------
    base : str
        Base URL of the server.
    mode : str
        ``env`` searches metagenomes too, ``uniref`` does not.
    sequence : str
    source : Source
    network : Network
    longest : float
        Seconds to wait for the search.

    Returns
    -------
    str
        Address of the archive of alignments.

    Raises
    ------
    FetchError
        The server refuses, fails, or takes too long.
    """
    with serially(network, urlsplit(base).netloc):
        return _search(base, mode, sequence, source, network, longest)


def _search(base: str, mode: str, sequence: str, source: Source, network: Network, longest: float) -> str:
    host, cell = urlsplit(base).netloc, f"{source.name}:{mode}"
    logger.warning("sending the query of %d residues to %s", len(sequence), host)
    form = {"q": f">query\n{sequence}\n", "mode": _MODES[mode]}
    start, pause = time.monotonic(), _FIRST_PAUSE * min(1.0, network.first_wait)
    ticket = ask(f"{base}/ticket/msa", source, cell, network, form)
    while True:
        status, name = str(ticket.get("status", "")), str(ticket.get("id", ""))
        if status == "COMPLETE" and name.isascii() and name.replace("-", "").replace("_", "").isalnum():
            return f"{base}/result/download/{name}"
        if status not in _WAITING:
            raise FetchError(
                "the search server is under maintenance" if status == "MAINTENANCE" else "the search failed",
                file=base,
                value=f"status {status or 'missing'} of ticket {name[:80] or 'missing'}",
                remedy="try later, or build the alignment from a local database: jackhmmer:PATH",
            )
        if time.monotonic() - start > longest:
            raise FetchError(
                "the search takes too long",
                file=base,
                value=f"status {status} of ticket {name[:80]} after {longest:.0f} s",
                remedy="run again: the server goes on with the same search",
            )
        logger.info("search on %s: %s, %.0f s", host, status, time.monotonic() - start)
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_PAUSE)
        if status in ("RATELIMIT", "UNKNOWN"):  # it was not taken: ask for it again
            ticket = ask(f"{base}/ticket/msa", source, cell, network, form)
        else:
            ticket = ask(f"{base}/ticket/{name}", source, cell, network)


def read_archive(path: Path, url: str, mode: str, sequence: str, largest: int) -> str:
    """The alignments of an archive in one A3M text, the query first and once.

    Only members of known names are read, none is written anywhere.

    Raises
    ------
    FetchError
        It is no such archive, lacks an alignment, is too large, or its query is another.
    """
    rows: list[str] = []
    try:
        with tarfile.open(path, "r:*") as archive:
            members = {member.name.removeprefix("./"): member for member in archive if member.isreg()}
            for number, name in enumerate(_MEMBERS[mode]):
                member = members.get(name)
                if member is None:
                    raise FetchError(
                        "an alignment is missing in the archive", file=url, value=name, remedy="run again"
                    )
                if member.size > largest:
                    raise FetchError(
                        "an alignment is too large", file=url, value=name, remedy="raise fetch: largest_gb"
                    )
                stream = archive.extractfile(member)
                assert stream is not None  # a regular file
                # Searches are divided by NUL bytes; ours is the only one
                text = stream.read().decode("latin-1").replace("\0", "")
                query, rest = _split(text)
                if query != sequence:
                    raise FetchError(
                        "the alignment is not that of the query",
                        file=url,
                        value=query[:60],
                        remedy="run again",
                    )
                rows.append(text if number == 0 else rest)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FetchError(
            "what arrived is no archive of alignments", file=url, value=error, remedy="run again"
        ) from error
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in rows if part)


def _split(text: str) -> tuple[str, str]:
    """Sequence of the first row of an A3M text, and the text of all others."""
    lines = io.StringIO(text)
    query, offset = "", 0
    for number, line in enumerate(lines):
        if number and line.startswith(">"):
            break
        query += "" if number == 0 else line.strip()
        offset += len(line)
    return query, text[offset:]
