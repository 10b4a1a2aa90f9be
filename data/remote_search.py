"""Alignments from a public search server that speaks the protocol of ColabFold's MMseqs2 API.

Submitted is one sequence; the server is polled until its search is done, and the archive of alignments is
downloaded (Mirdita et al. 2022, Nat Methods 19:679). The sequence leaves this machine.
"""

import contextlib
import hashlib
import io
import logging
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from data.client import Network, ask, download, serially
from data.delivery import Delivery, Request, from_first_base, normalise_download
from data.errors import FetchError
from data.limits import memory_bound, open_bytes
from data.query import protein_sequence
from data.registry import Source
from data.store import sha256

logger = logging.getLogger(__name__)

_MEMBERS = {"env": ("uniref.a3m", "bfd.mgnify30.metaeuk30.smag30.a3m"), "uniref": ("uniref.a3m",)}
_MODES = {"env": "env", "uniref": "all"}  # as the server calls them
_WAITING = {"PENDING", "RUNNING", "UNKNOWN", "RATELIMIT"}
_REFUSALS = {
    "MAINTENANCE": "the search server is under maintenance",
    "ERROR": "the search server could not search this sequence",
    "COMPLETE": "the search failed: it is done, but has no name to be asked for by",
}
_TOO_MANY = "the search server takes no further search from here for now"
_LARGEST_TEXT = 10**9  # bytes of an alignment, held in memory
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 30.0


def from_search_server(request: Request) -> Delivery:
    """Alignment that a search server makes for the query; the same query is asked for once.

    Raises
    ------
    AlignmentError
        The query is no protein sequence.
    FetchError
        The configuration does not allow to send it, or the server refuses, fails or takes too long.
    """
    sequence, mode = protein_sequence(request.query), request.value.lower()
    if not request.network.remote_search:
        raise FetchError(
            "the query would be sent to a public server",
            file=request.bases[0],
            value=f"{request.cell}, {len(sequence)} residues",
            remedy="set fetch: allow_remote_search: true, or search a local database: jackhmmer:PATH",
        )
    return from_first_base(
        request, lambda base, network: _from_server(request, base, network, mode, sequence)
    )


def _from_server(request: Request, base: str, network: Network, mode: str, sequence: str) -> Delivery:
    content: dict[str, Any] = {}
    url, cell, source = search_name(base, mode, sequence), f"{request.source.name}:{mode}", request.source

    def use(arrived: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "found.a3m"
            path.write_text(read_archive(arrived, base, mode, sequence, network.largest), "latin-1")
            content.update(normalise_download(path, request.destination, "alignment", base))
        content["sha256"] = sha256(arrived)

    with tempfile.TemporaryDirectory() as folder, _in_terms_of_a_search(base):
        path = Path(folder) / "archive"
        said = download(
            url, path, source, cell, network, use, lambda: submit(base, mode, sequence, source, network)
        )
        if not content:
            use(path)
    search = {"mode": _MODES[mode], "query_length": len(sequence), "query_sha256": _digest(sequence)}
    terms = {"licence": source.licence, "citation": source.citation}
    return content, {"url": f"{base}/ticket/msa", "time": said["time"], **terms, "search": search}


@contextlib.contextmanager
def _in_terms_of_a_search(base: str) -> Iterator[None]:
    """Say of a ticket or result that is not there that the search is gone, not that an accession is wrong."""
    try:
        yield
    except FetchError as error:
        if "no such entry" not in error.problem:
            raise
        raise FetchError(
            "the search server no longer knows this search",
            file=base,
            value=error.value,
            remedy="run again: the query is sent anew",
        ) from error


def _digest(sequence: str) -> str:
    return hashlib.sha256(sequence.encode()).hexdigest()


def search_name(base: str, mode: str, sequence: str) -> str:
    """Name of a search in the cache: the same query in the same mode is asked for once."""
    return f"{base}/search/{mode}/{_digest(sequence)}"


def submit(base: str, mode: str, sequence: str, source: Source, network: Network) -> str:
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
        ``longest_search`` says how long to wait.

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
        return _search(base, mode, sequence, source, network)


def _search(base: str, mode: str, sequence: str, source: Source, network: Network) -> str:
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
                _REFUSALS.get(status, "the search server gives no answer that is known"),
                file=base,
                value=f"status {status[:40] or 'missing'} of ticket {name[:80] or 'missing'}",
                remedy="try later, or build the alignment from a local database: jackhmmer:PATH",
            )
        if time.monotonic() - start > network.longest_search:
            raise FetchError(
                _TOO_MANY if status == "RATELIMIT" else "the search takes too long",
                file=base,
                value=f"status {status} of ticket {name[:80] or 'missing'}, {network.longest_search:.0f} s",
                remedy="run again later: the server goes on with the same search",
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
    try:
        with (
            memory_bound(url, FetchError),
            open_bytes(path, FetchError) as unpacked,
            tarfile.open(fileobj=unpacked, mode="r|") as archive,
        ):
            texts = _texts(archive, url, _MEMBERS[mode], min(largest, _LARGEST_TEXT))
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError, OverflowError) as error:
        raise FetchError(
            "what arrived is no archive of alignments",
            file=url,
            value=str(error).split("\n")[0].rstrip(": -"),
            remedy="run again",
        ) from error
    rows: list[str] = []
    for name in _MEMBERS[mode]:
        if name not in texts:
            raise FetchError(
                "an alignment is missing in the archive", file=url, value=name, remedy="run again"
            )
        query, rest = _split(texts[name])
        if query != sequence:
            raise FetchError(
                "the alignment is not that of the query", file=url, value=query[:60], remedy="run again"
            )
        rows.append(rest if rows else texts[name])
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in rows if part)


def _texts(archive: tarfile.TarFile, url: str, names: tuple[str, ...], largest: int) -> dict[str, str]:
    """Text of the regular members of these names; links, devices and all others are passed over."""
    texts: dict[str, str] = {}
    for member in archive:
        name = member.name.removeprefix("./")
        if name not in names or name in texts or not member.isreg() or member.issparse():
            continue
        if member.size > largest:
            raise FetchError(
                "an alignment is too large", file=url, value=f"{name}, {member.size:,} bytes",
                remedy="build the alignment from a local database: jackhmmer:PATH",
            )  # fmt: skip
        stream = archive.extractfile(member)
        assert stream is not None  # a regular file
        # Searches are divided by NUL bytes; ours is the only one
        texts[name] = stream.read().replace(b"\0", b"").decode("latin-1")
    return texts


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
