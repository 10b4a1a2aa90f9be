"""Getting alignments and structures; `data.client` asks the network.

Whatever a source of `data.registry` delivers is written in one form (gzip A3M, gzip mmCIF) with its
provenance beside it.
"""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from data.client import Network, download
from data.errors import AlignmentError, FetchError, StructureError
from data.msa import write_a3m
from data.registry import SOURCES, Source, find_package_file, local_file, parse_cell
from data.remote_search import read_archive, search_name, submit
from data.rows import container, numbered_lines
from data.search import protein_sequence
from data.store import save_json, sha256
from data.structure import write_mmcif

__all__ = ["SOURCES", "Source", "fetch", "parse_cell"]

Kind = Literal["alignment", "structure"]
DEFAULT_NETWORK = Network()


def fetch(
    cell: str,
    kind: Kind,
    destination: str | Path,
    base_urls: dict[str, str] | None = None,
    base_directory: str | Path = ".",
    network: Network = DEFAULT_NETWORK,
    query: str = "",
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
    network : Network
        Cache, patience, limits.
    query : str
        Sequence, or path of a FASTA file, that a search server is asked for.

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
    if name == "jackhmmer":
        raise FetchError("a search is no download", value=cell, remedy="call data.search.search")
    if source.base:
        base = (base_urls or {}).get(name, source.base).rstrip("/")
        url = source.url.format(base=base, accession=value)
        if name == "colabfold":
            content, arrived = _fetch_search(value.lower(), destination, source, base, network, query)
        else:
            content, arrived = _fetch_remote(cell, kind, destination, source, url, network)
        origin = {"url": url, **arrived, "licence": source.licence, "citation": source.citation}
    else:
        path, terms = find_package_file(value) if name == "package" else local_file(value, base_directory)
        content = _normalise(path, destination, kind)
        origin = {"path": str(path), "time": datetime.now(UTC).isoformat(timespec="seconds"), **terms}
    provenance = {"cell": cell, "source": name, **origin, **_record(content, destination)}
    save_json(f"{destination}.json", provenance)
    return provenance


def _fetch_search(
    mode: str, destination: str | Path, source: Source, base: str, network: Network, query: str
) -> tuple[dict, dict]:
    """As `_fetch_remote`, of a search that a server does for us."""
    sequence, cell = protein_sequence(query), f"{source.name}:{mode}"
    if not network.remote_search:
        raise FetchError(
            "the query would be sent to a public server",
            file=base,
            value=f"{cell}, {len(sequence)} residues",
            remedy="set fetch: allow_remote_search: true, or search a local database: jackhmmer:PATH",
        )
    content: dict = {}
    url = search_name(base, mode, sequence)

    def use(arrived: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "found.a3m"
            path.write_text(read_archive(arrived, url, mode, sequence, network.largest), "latin-1")
            content.update(_normalise_download(path, destination, "alignment", url))
        content["sha256"] = sha256(arrived)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "archive"
        said = download(
            url, path, source, cell, network, use, lambda: submit(base, mode, sequence, source, network)
        )
        if not content:
            use(path)
    return content, {"time": said["time"], "mode": mode}


def network_of(settings: dict) -> Network:
    """The network as ``fetch`` in the configuration describes it."""
    known = {"remote_search": settings.get("allow_remote_search", False)}
    known |= {
        name: settings[name] for name in ("offline", "attempts", "timeout", "slots") if name in settings
    }
    if settings.get("cache"):
        known["cache"] = Path(settings["cache"])
    if "largest_gb" in settings:
        known["largest"] = int(settings["largest_gb"] * 1e9)
    return Network(**known)


def _fetch_remote(
    cell: str, kind: Kind, destination: str | Path, source: Source, url: str, network: Network
) -> tuple[dict, dict]:
    """Download and write in our form; the writer's report, and what the server said."""
    content: dict = {}

    def use(arrived: Path) -> None:
        _refuse_wrong_content(arrived, url, kind)
        content.update(_normalise_download(arrived, destination, kind, url))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / parse_cell(cell)[1]
        said = download(url, path, source, cell, network, use)  # what cannot be used is not kept
        if not content:  # it came from the cache
            use(path)
    return content, {name: said[name] for name in ("time", "etag", "modified") if name in said}


def _record(content: dict, destination: str | Path) -> dict:
    """What arrived: the part of the provenance that does not depend on the source."""
    return {
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
