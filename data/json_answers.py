"""JSON answers of web services, kept in the cache of downloads like files."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from data.cache import Cache, Locks
from data.client import Network, download
from data.errors import FetchError
from data.registry import Source


def json_answer(url: str, source: Source, cell: str, network: Network) -> tuple[Any, bool]:
    """What an address answers, and whether it was asked just now (else the answer is the cache's).

    Raises
    ------
    FetchError
        As `data.client.download`, or the answer is no JSON.
    """
    read: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer.json"
        download(url, path, source, cell, network, lambda arrived: read.append(read_json(arrived, url)))
        return (read[0], True) if read else (read_json(path, url), False)


def forget_answer(url: str, network: Network) -> None:
    """Let the cache ask anew the next time."""
    if network.cache:
        key = hashlib.sha256(url.encode()).hexdigest()
        Cache(network.cache, key, Locks(network.cache)).index.unlink(missing_ok=True)


def read_json(path: Path, url: str) -> Any:
    """Content of a file that came from an address.

    Raises
    ------
    FetchError
        It is no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        start = path.read_bytes()[:60].decode("latin-1")
        raise unexpected(url, start or "nothing") from error


def unexpected(url: str, value: object) -> FetchError:
    """The error for an answer that is not what the service documents."""
    return FetchError(
        "what arrived is no answer of this service",
        file=url,
        value=str(value)[:200],
        remedy="run again; if it stays so, open the address in a browser",
    )
