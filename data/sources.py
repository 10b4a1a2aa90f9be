"""Getting alignments and structures: the only code that uses the network.

Whatever a source of `data.registry` delivers is written in one form (gzip A3M, gzip mmCIF) with its
provenance beside it.
"""

import logging
import re
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

import httpx
import tenacity

from data.errors import AlignmentError, FetchError, StructureError
from data.msa import write_a3m
from data.registry import SOURCES, Source, find_package_file, local_file, parse_cell
from data.rows import container, numbered_lines
from data.store import save_json, sha256
from data.structure import write_mmcif

__all__ = ["SOURCES", "Source", "fetch", "parse_cell"]

log = logging.getLogger(__name__)

Kind = Literal["alignment", "structure"]

_LONGEST_WAIT = 120.0
# 408 is what InterPro answers while it still prepares an alignment
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class _Patience:
    """How long a server is waited for."""

    attempts: int
    timeout: float
    first_wait: float


_last_request: dict[str, float] = {}


def fetch(
    cell: str,
    kind: Kind,
    destination: str | Path,
    base_urls: dict[str, str] | None = None,
    base_directory: str | Path = ".",
    *,
    attempts: int = 5,
    timeout: float = 60.0,
    first_wait: float = 1.0,
) -> dict:
    """Get what a cell names and write it in the pipeline's form, with its provenance beside it.

    Parameters
    ----------
    cell : str
        As `parse_cell`.
    kind : str
        ``alignment`` (written as gzip A3M) or ``structure`` (gzip mmCIF).
    destination : path
        File to write, in one step; the provenance goes to the same name with ``.json`` added.
    base_urls : dict, optional
        Base URL per source that replaces the registry's (mirrors, tests).
    base_directory : path
        What relative paths are relative to.
    attempts : int
        How often a request is tried when the server is busy or the connection breaks.
    timeout : float
        Seconds without an answer, or without a further byte of it, that end a request.
    first_wait : float
        Seconds before the second attempt (doubled each time, with jitter); ``Retry-After`` goes first.

    Returns
    -------
    dict
        ``cell``, ``source``, ``url`` or ``path``, ``time`` (UTC, ISO 8601), ``sha256`` (of what arrived),
        ``licence``, ``citation``, ``format``, ``content`` (report of the writer), ``output_sha256``.

    Raises
    ------
    FetchError
        The source does not deliver this kind, has no such entry, cannot be reached, or sent something
        else or only a part.
    AlignmentError, StructureError
        A local file cannot be read as what it should be.
    """
    name, value = parse_cell(cell)
    source = SOURCES[name]
    if kind not in source.delivers:
        raise FetchError(
            f"the source {name} has no {kind}s",
            value=cell,
            remedy=f"it delivers {' and '.join(source.delivers)}: name another source",
        )
    if source.base:
        base = (base_urls or {}).get(name, source.base).rstrip("/")
        url = source.url.format(base=base, accession=value)
        content = _fetch_remote(
            cell, kind, destination, source, url, _Patience(attempts, timeout, first_wait)
        )
        origin = {"url": url, "licence": source.licence, "citation": source.citation}
    else:
        path, terms = find_package_file(value) if name == "package" else local_file(value, base_directory)
        content = _normalise(path, destination, kind)
        origin = {"path": str(path), **terms}
    provenance = {"cell": cell, "source": name, **origin, **_record(content, destination)}
    save_json(f"{destination}.json", provenance)
    return provenance


def _fetch_remote(
    cell: str, kind: Kind, destination: str | Path, source: Source, url: str, patience: _Patience
) -> dict:
    """Download to a temporary folder, check and write what arrived; the writer's report."""
    with tempfile.TemporaryDirectory() as folder:
        arrived = Path(folder) / parse_cell(cell)[1]
        _download(url, arrived, source, cell, patience)
        _refuse_wrong_content(arrived, url, kind)
        return _normalise_download(arrived, destination, kind, url)


def _record(content: dict, destination: str | Path) -> dict:
    """When and what: the part of the provenance that does not depend on the source."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "sha256": content["sha256"],
        "format": content["format"],
        "content": {key: value for key, value in content.items() if key not in ("sha256", "format")},
        "output_sha256": sha256(destination),
    }


def _normalise(path: Path, destination: str | Path, kind: Kind) -> dict:
    return write_a3m(path, destination) if kind == "alignment" else write_mmcif(path, destination)


def _normalise_download(path: Path, destination: str | Path, kind: Kind, url: str) -> dict:
    """As `_normalise`; a file that cannot be read is the source's fault, and the error names its address."""
    try:
        return _normalise(path, destination, kind)
    except (AlignmentError, StructureError) as error:
        raise FetchError(
            f"what arrived cannot be used: {error.problem}",
            file=url,
            place=error.place,
            value=error.value,
            remedy="run again; if it stays so, open the address in a browser",
        ) from error


class _BusyError(Exception):
    """The server asks to come again."""

    def __init__(self, status: int, retry_after: float | None):
        super().__init__(f"HTTP status {status}")
        self.retry_after = retry_after


def _download(url: str, path: Path, source: Source, cell: str, patience: _Patience) -> None:
    """Write what an address delivers, trying again while it is busy or the connection breaks."""
    first = patience.first_wait
    backoff = tenacity.wait_exponential_jitter(multiplier=first, max=60, jitter=first)

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = getattr(error, "retry_after", None)
        return backoff(state) if asked is None else min(asked, _LONGEST_WAIT)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((_BusyError, httpx.TransportError)),
        stop=tenacity.stop_after_attempt(patience.attempts),
        wait=wait,
        before_sleep=tenacity.before_sleep_log(log, logging.WARNING),
        reraise=True,
    )
    try:
        retrying(_request, url, path, source, cell, patience.timeout)
    except (_BusyError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise FetchError(
            "cannot be fetched",
            file=url,
            value=f"{type(error).__name__}: {error} ({cell}, {patience.attempts} attempts)",
            remedy="check the network and the base URL in the config, or give the path of a local file",
        ) from error


def _request(url: str, path: Path, source: Source, cell: str, seconds: float) -> None:
    """One request, streamed to a file."""
    _keep_distance(source)
    timeout = httpx.Timeout(seconds, connect=min(seconds, 15.0))
    # A compressed file must arrive as it is, not unpacked on the way
    headers = {"Accept-Encoding": "identity", "User-Agent": "covarion (protein contact pipeline)"}
    with httpx.stream("GET", url, timeout=timeout, headers=headers, follow_redirects=True) as answer:
        if answer.status_code in _TRY_AGAIN:
            raise _BusyError(answer.status_code, _retry_after(answer.headers.get("Retry-After", "")))
        if answer.status_code != 200:
            raise FetchError(
                f"{source.name} has no such entry" if answer.status_code in (204, 404, 410) else "refused",
                file=url,
                value=f"{cell} (HTTP status {answer.status_code})",
                remedy=f"check the accession; it is written as {source.example}",
            )
        with path.open("wb") as stream:
            for block in answer.iter_bytes():
                stream.write(block)


def _keep_distance(source: Source) -> None:
    """Wait until the source's pause since this process's last request to it is over."""
    left = _last_request.get(source.name, -source.pause) + source.pause - time.monotonic()
    if left > 0:
        time.sleep(left)
    _last_request[source.name] = time.monotonic()


def _retry_after(header: str) -> float | None:
    """Seconds that a ``Retry-After`` header asks for (a number or a date), None without one."""
    if re.fullmatch(r"\d+", header.strip()):
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _refuse_wrong_content(path: Path, url: str, kind: Kind) -> None:
    """Refuse a web page, an empty answer, and a Stockholm file without its end."""
    try:
        head = next((line for _, line in numbered_lines(path) if line.strip()), "")
        ended = kind == "structure" or _stockholm_is_whole(path)
    except AlignmentError as error:
        raise FetchError(
            f"what arrived is not whole: {error.problem}", file=url, value=error.value, remedy="run again"
        ) from error
    if head.lstrip()[:1] in ("<", "{", "") or not ended:
        raise FetchError(
            "what arrived is not whole" if head.startswith("#") else f"what arrived is no {kind}",
            file=url,
            value=head[:60] or "nothing",
            remedy="run again; if it stays so, open the address in a browser",
        )


def _stockholm_is_whole(path: Path) -> bool:
    try:
        stockholm = container(path) == "stockholm"
    except AlignmentError:
        return True  # judged by its first line
    return not stockholm or any(line.startswith("//") for _, line in numbered_lines(path))
