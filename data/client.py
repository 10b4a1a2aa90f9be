"""Downloads: polite, resumable, checked, and kept in a cache that several runs share (`data.cache`)."""

import contextlib
import hashlib
import json
import logging
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import tenacity
from filelock import FileLock

from data.arrivals import refuse_damaged, refuse_open_end
from data.cache import Cache, Locks, known_json, slot, wait_turn
from data.errors import FetchError
from data.registry import Source
from data.store import save_json

log = logging.getLogger(__name__)

_LONGEST_WAIT = 120.0
# 408 is what InterPro answers while it still prepares an alignment
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_NO_ENTRY = {204, 404, 410}
_BLOCK = 1 << 16
_LARGEST_ANSWER = 10**7  # bytes of JSON
_HEADERS = {
    # A compressed file must arrive as it is, not unpacked on the way
    "Accept-Encoding": "identity",
    "User-Agent": "covarion (protein contact pipeline)",
}

Check = Callable[[Path], None]


@dataclass(frozen=True)
class Network:
    """How the network is used.

    Proxies and certificates are those of the environment (``HTTPS_PROXY``, ``NO_PROXY``, ``SSL_CERT_FILE``).

    Attributes
    ----------
    cache : path or None
        Folder that runs share; None keeps nothing, and keeps its pace within this process only.
    offline : bool
        Nothing is asked: what is not in the cache is an error.
    attempts : int
        How often a request is tried when the server is busy or the connection breaks.
    timeout : float
        Seconds without an answer, or without a further byte of it, that end a request.
    first_wait : float
        Seconds before the second attempt (doubled each time, with jitter); ``Retry-After`` goes first.
    largest : int
        Bytes that a download may have, packed or unpacked.
    slots : int
        Requests at a time to one host, over all processes that share the cache.
    remote_search : bool
        Whether a query may be sent to a search server.
    longest_search : float
        Seconds that a search server may take for one query.
    fallbacks : dict of str to tuple of str
        Sources of structures that are asked, in order, when one fails.
    """

    cache: Path | None = None
    offline: bool = False
    attempts: int = 5
    timeout: float = 60.0
    first_wait: float = 1.0
    largest: int = 4 * 10**9
    slots: int = 2
    remote_search: bool = False
    longest_search: float = 3600.0
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def download(
    url: str,
    path: Path,
    source: Source,
    cell: str,
    network: Network,
    check: Check,
    locate: Callable[[], str] | None = None,
) -> dict[str, Any]:
    """Write to `path` what an address delivers, from the cache where it is there.

    Parameters
    ----------
    url : str
    path : path
        Written in one step.
    source : Source
        Whose pace is kept and whose example an error shows.
    cell : str
        What asks, for errors.
    network : Network
    check : callable
        Looks at the whole file before it is kept; raises what is wrong with it.
    locate : callable, optional
        Where the cache does not hold `url`, which then only names what is wanted: finds out the address.

    Returns
    -------
    dict
        ``sha256``, ``bytes``, ``time`` (UTC, ISO 8601, when it was downloaded) and, where the server says
        them, ``etag``, ``modified`` and ``release``.

    Raises
    ------
    FetchError
        No such entry, refused, busy for too long, too large, damaged, or offline and not in the cache.
    """
    with contextlib.ExitStack() as stack:
        folder = network.cache or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cache = Cache(folder, hashlib.sha256(url.encode()).hexdigest(), Locks(network.cache))
        if found := cache.take(path):
            return found
        if network.offline:
            raise FetchError(
                "the run is offline, and this is not in the cache",
                file=url,
                value=f"{cell} ({folder})",
                remedy="run once with fetch: offline: false, or give the path of a local file",
            )
        with cache.locks.lock(cache.key):  # who comes second finds it in the cache
            if found := cache.take(path):
                return found
            address = locate() if locate else url
            _persist(_request, address, cache, source, cell, network)
            try:
                refuse_damaged(cache.partial, address, network.largest)
                check(cache.partial)
            except BaseException:
                cache.forget_partial()
                raise
            return cache.keep(url, path)


def ask(
    url: str, source: Source, cell: str, network: Network, form: dict[str, str] | None = None
) -> dict[str, Any]:
    """A JSON answer, not cached; with a form it is posted.

    Raises
    ------
    FetchError
        As `download`, or the answer is no JSON object.
    """
    answer = _persist(_ask_once, url, Locks(network.cache), source, cell, network, form)
    return json_object(answer, url)


def json_object(answer: bytes, url: str) -> dict[str, Any]:
    """The JSON object that a server answered.

    Raises
    ------
    FetchError
        It is none.
    """
    try:
        content = json.loads(answer)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise FetchError(
            "what arrived is no answer of this server's protocol",
            file=url,
            value=answer[:60].decode("utf-8", "replace") or "nothing",
            remedy="run again; if it stays so, open the address in a browser",
        )
    return content


def serially(network: Network, name: str) -> FileLock:
    """A lock that one process holds at a time, among all that share the cache."""
    return Locks(network.cache).lock(f"serially-{re.sub(r'[^A-Za-z0-9.-]', '_', name)}")


def _ask_once(
    url: str, locks: Locks, source: Source, cell: str, network: Network, form: dict[str, str] | None
) -> bytes:
    timeout = httpx.Timeout(network.timeout, connect=min(network.timeout, 15.0))
    host = _host(url)
    with slot(locks, host, network.slots):
        wait_turn(locks, host, source.pause)
        method = "GET" if form is None else "POST"
        with httpx.stream(
            method, url, data=form, timeout=timeout, headers=_HEADERS, follow_redirects=True
        ) as answer:
            _refuse_status(answer, url, locks, source, cell)
            content = b""
            for block in answer.iter_bytes(_BLOCK):
                content += block
                if len(content) > _LARGEST_ANSWER:
                    raise FetchError(
                        "the answer is too large",
                        file=url,
                        value=f"more than {_LARGEST_ANSWER:,} bytes",
                        remedy="run again; if it stays so, open the address in a browser",
                    )
        return content


class _BusyError(Exception):
    """The server asks to come again."""

    def __init__(self, status: int, retry_after: float | None):
        super().__init__(f"it answers with HTTP status {status}")
        self.retry_after = retry_after


def _persist(
    request: Callable[..., Any],
    url: str,
    place: Any,
    source: Source,
    cell: str,
    network: Network,
    *further: Any,
) -> Any:
    """What a request gives, tried again while the server is busy or the connection breaks."""
    first = network.first_wait
    backoff = tenacity.wait_exponential_jitter(multiplier=first, max=60, jitter=first)

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = getattr(error, "retry_after", None)
        return backoff(state) if asked is None else min(asked, _LONGEST_WAIT)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((_BusyError, httpx.TransportError)),
        stop=tenacity.stop_after_attempt(network.attempts),
        wait=wait,
        before_sleep=tenacity.before_sleep_log(log, logging.WARNING),
        reraise=True,
    )
    try:
        return retrying(request, url, place, source, cell, network, *further)
    except (_BusyError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise FetchError(
            "cannot be fetched",
            file=url,
            value=f"{_in_words(error)} ({cell}, {network.attempts} attempts)",
            remedy="check the network and the base URL in the config, or give the path of a local file",
        ) from error


def _in_words(error: Exception) -> str:
    """What a person who does not program makes sense of, and the details."""
    words: dict[type[Exception], str] = {
        _BusyError: "the server is busy",
        httpx.TimeoutException: "the server does not answer in time",
        httpx.ConnectError: "there is no connection to the server",
        httpx.RemoteProtocolError: "the connection broke off",
        httpx.TooManyRedirects: "the server sends from address to address",
    }
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return f"the server's certificate is not trusted (SSL_CERT_FILE names your institute's): {error}"
    said = next((text for kind, text in words.items() if isinstance(error, kind)), type(error).__name__)
    return f"{said}: {error}"


def _request(url: str, cache: Cache, source: Source, cell: str, network: Network) -> None:
    """One request, streamed to the partial file, from where an earlier one was cut off."""
    timeout = httpx.Timeout(network.timeout, connect=min(network.timeout, 15.0))
    headers = _HEADERS | _resume_headers(cache)
    host = _host(url)
    with slot(cache.locks, host, network.slots):
        wait_turn(cache.locks, host, source.pause)
        with httpx.stream("GET", url, timeout=timeout, headers=headers, follow_redirects=True) as answer:
            if answer.status_code == 416:  # what is there does not fit what the server has: begin anew
                cache.forget_partial()
                raise _BusyError(416, None)
            _refuse_status(answer, url, cache.locks, source, cell)
            _receive(answer, url, cache, network.largest, source.release_header)
            if "Content-Length" not in answer.headers and "Transfer-Encoding" not in answer.headers:
                refuse_open_end(cache.partial, url)


def _host(url: str) -> str:
    """Host and port, as the name of a file."""
    return re.sub(r"[^A-Za-z0-9.-]", "_", urlsplit(url).netloc)


def _refuse_status(answer: httpx.Response, url: str, locks: Locks, source: Source, cell: str) -> None:
    """Raise for a server that is busy, and tell all who ask it; and for one that does not have it."""
    status = answer.status_code
    if status in _TRY_AGAIN:
        asked = _retry_after(answer.headers.get("Retry-After", ""))
        if asked:
            wait_turn(locks, _host(url), min(asked, _LONGEST_WAIT), ask=False)
        raise _BusyError(status, asked)
    if status not in (200, 206):
        raise FetchError(
            f"{source.name} has no such entry" if status in _NO_ENTRY else "refused",
            file=url,
            value=f"{cell} (HTTP status {status})",
            remedy=f"check the accession; it is written as {source.example}",
        )


def _resume_headers(cache: Cache) -> dict[str, str]:
    """Ask for the rest of what is there, if the file on the server is still the same."""
    if not cache.partial.exists() or not cache.state.exists():
        return {}
    state = known_json(cache.state)
    same = state.get("etag") or state.get("modified")
    if not same or not cache.partial.stat().st_size:
        return {}
    return {"Range": f"bytes={cache.partial.stat().st_size}-", "If-Range": same}


def _receive(answer: httpx.Response, url: str, cache: Cache, largest: int, release: str) -> None:
    headers = answer.headers
    follows = answer.status_code == 206 and headers.get("Content-Range", "").startswith(
        f"bytes {cache.partial.stat().st_size if cache.partial.exists() else 0}-"
    )
    if answer.status_code == 206 and not follows:
        cache.forget_partial()
        raise _BusyError(206, None)
    etag = headers.get("ETag", "")
    encoded = headers.get("Content-Encoding", "identity") != "identity"
    state = {
        "etag": "" if etag.startswith("W/") or encoded else etag,
        "modified": "" if encoded else headers.get("Last-Modified", ""),
        "release": headers.get(release, "") if release else "",
    }
    save_json(cache.state, state)
    with cache.partial.open("ab" if follows else "wb") as stream:
        size = stream.tell()
        said = headers.get("Content-Length", "")
        announced = int(said) if re.fullmatch("[0-9]{1,18}", said) else 0
        for block in [b""] if size + announced > largest else answer.iter_bytes():
            size += len(block)
            if max(size, announced) > largest:
                break
            stream.write(block)
    if max(size, announced) > largest:
        cache.forget_partial()
        raise FetchError(
            "what is offered is too large",
            file=url,
            value=f"more than {largest / 1e9:.1f} GB",
            remedy="raise fetch: largest_gb, or download it by hand and give its path",
        )


def _retry_after(header: str) -> float | None:
    """Seconds that a ``Retry-After`` header asks for (a number or a date), None without one."""
    if re.fullmatch(r"[0-9]{1,9}", header.strip()):
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
