"""What a source is asked for, and how what it delivers is checked and brought into the pipeline's form."""

import contextlib
import logging
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

from data.client import Network, download
from data.errors import AlignmentError, FetchError, StructureError
from data.models import MODEL_SOURCES
from data.msa import write_a3m
from data.query import write_sequence
from data.registry import BaseUrls, Source
from data.rows import container, numbered_lines
from data.structure import write_mmcif

log = logging.getLogger(__name__)

Kind = Literal["alignment", "structure", "sequence"]
T = TypeVar("T")
_WRITERS: dict[str, Callable[..., dict]] = {
    "alignment": write_a3m,
    "structure": write_mmcif,
    "sequence": write_sequence,
}


@dataclass(frozen=True)
class Request:
    """What a source is asked for.

    Attributes
    ----------
    cell : str
        As the table has it, for errors and provenance.
    source : Source
    value : str
        What the cell says behind the source's name.
    kind : str
        ``alignment``, ``structure`` or ``sequence``.
    destination : path
        File to write.
    bases : tuple of str
        Base URLs, tried in this order; empty for what is local.
    directory : path
        What relative paths are relative to.
    network : Network
    query : str
        Name, sequence or path of a FASTA file.
    protein : str
        Name of the row.
    base_urls : dict
        Base URLs of all sources that the configuration names, for a source that turns to another.
    """

    cell: str
    source: Source
    value: str
    kind: Kind
    destination: Path
    bases: tuple[str, ...] = ()
    directory: Path = Path()
    network: Network = field(default_factory=Network)
    query: str = ""
    protein: str = ""
    base_urls: BaseUrls = field(default_factory=dict)


# What a getter gives: the writer's report (with ``sha256`` and ``format`` of what arrived), and the origin
# (``url`` or ``path``, ``time``, ``licence``, ``citation`` and whatever else the source tells).
Delivery = tuple[dict[str, Any], dict[str, Any]]


def from_address(request: Request) -> Delivery:
    """What lies at the address that the registry's template gives, of the first base URL that serves it."""

    def get(base: str, network: Network) -> Delivery:
        return fetch_address(request, request.source.address(request.value, base), network)

    return from_first_base(request, get)


def from_first_base(request: Request, get: Callable[[str, Network], T]) -> T:
    """What `get` gives for the first base URL that serves; one that the cache already holds goes first.

    Raises
    ------
    FetchError
        None serves: the error of the only one, or what each of several said.
    """
    network = request.network
    if len(request.bases) > 1 and network.cache and not network.offline:
        for base in request.bases:
            with contextlib.suppress(FetchError):
                return get(base, replace(network, offline=True))
    failures: list[FetchError] = []
    for base in request.bases:
        try:
            return get(base, network)
        except FetchError as error:
            if len(request.bases) == 1:
                raise
            log.warning("%s", error)
            failures.append(error)
    raise FetchError(
        f"none of the {len(failures)} addresses of {request.source.name} delivers it",
        file=", ".join(request.bases),
        value="; ".join(f"{error.problem} ({error.value})" for error in failures),
        remedy=failures[0].remedy,
    ) from failures[0]


def fetch_address(request: Request, url: str, network: Network) -> Delivery:
    """Download one address and write it in our form; what cannot be used is not kept in the cache."""
    content: dict[str, Any] = {}
    model = request.source.name in MODEL_SOURCES

    def use(arrived: Path) -> None:
        refuse_wrong_content(arrived, url, request.kind)
        content.update(normalise_download(arrived, request.destination, request.kind, url, model))
        content["version"] = _version(arrived, request.source.version_line)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrived"
        said = download(url, path, request.source, request.cell, network, use)
        if not content:  # it came from the cache
            use(path)
    told: dict[str, Any] = {
        name: said[name] for name in ("time", "release", "etag", "modified") if name in said
    }
    terms = {"licence": request.source.licence, "citation": request.source.citation}
    return content, {"url": url, **told, "version": content.pop("version"), **terms}


def _version(path: Path, pattern: str) -> str:
    """Version of the entry, as one of the first lines of the file has it."""
    if not pattern:
        return ""
    found = (re.match(pattern, line) for _, line in islice(numbered_lines(path), 100))
    return next((match[1] for match in found if match), "")


def normalise(path: Path, destination: str | Path, kind: Kind, model: bool = False) -> dict[str, Any]:
    """Write a file in the pipeline's form: gzip A3M, gzip mmCIF or FASTA; returns the writer's report.

    A predicted model (`model`) is marked as one in its file.
    """
    return write_mmcif(path, destination, model=True) if model else _WRITERS[kind](path, destination)


def normalise_download(
    path: Path, destination: str | Path, kind: Kind, url: str, model: bool = False
) -> dict[str, Any]:
    """As `normalise`; a file that cannot be read is the source's fault, and the error names its address."""
    try:
        return normalise(path, destination, kind, model)
    except (AlignmentError, StructureError) as error:
        raise FetchError(
            f"what arrived cannot be used: {error.problem}",
            file=url,
            place=error.place,
            value=error.value,
            remedy="run again; if it stays so, open the address in a browser",
        ) from error


def refuse_wrong_content(path: Path, url: str, kind: Kind) -> None:
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
