"""Getting alignments, structures and query sequences; `data.client` asks the network.

Whatever a source of `data.registry` delivers is written in one form (gzip A3M, gzip mmCIF, FASTA) with its
provenance beside it. A source that is no plain download has its function in `GETTERS`.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.client import Network
from data.colabfold_folder import from_folder
from data.delivery import Delivery, Kind, Request, from_address, normalise
from data.errors import FetchError
from data.models import MODEL_SOURCES
from data.open_protein_set import from_chain
from data.registry import (
    SOURCES,
    BaseUrls,
    Source,
    base_addresses,
    find_package_file,
    local_file,
    parse_cell,
)
from data.remote_search import from_search_server
from data.store import save_json, sha256
from data.structure_sources import from_alphafold, from_best_structure, from_entry, write_pae

__all__ = ["SOURCES", "Source", "fetch", "network_of", "parse_cell"]

DEFAULT_NETWORK = Network()


def fetch(
    cell: str,
    kind: Kind,
    destination: str | Path,
    base_urls: BaseUrls | None = None,
    base_directory: str | Path = ".",
    network: Network = DEFAULT_NETWORK,
    query: str = "",
    protein: str = "",
) -> dict[str, Any]:
    """Get what a cell names and write it in the pipeline's form, with its provenance beside it.

    Parameters
    ----------
    cell : str
        As `parse_cell`.
    kind : str
        ``alignment`` (written as gzip A3M), ``structure`` (gzip mmCIF) or ``sequence`` (FASTA).
    destination : path
        File to write, in one step; the provenance goes to the same name with ``.json`` added, the
        predicted aligned error of a structure (empty for all but models) to ``.pae.npz`` beside it.
    base_urls : dict, optional
        Base URL per source, or several to be tried in this order, instead of the registry's (mirrors, tests).
    base_directory : path
        What relative paths are relative to.
    network : Network
        Cache, patience, limits.
    query : str
        Sequence or path of a FASTA file that a search server is asked for, or that chooses a folder's file.
    protein : str
        Name of the row, for a folder whose files are named so.

    Returns
    -------
    dict
        ``cell``, ``source``, ``url`` or ``path``, ``time`` (UTC, ISO 8601), ``version`` (of the entry) and
        ``release`` (of the source; both empty where it tells none), ``licence``, ``citation``, for searches
        ``search`` (its settings), ``sha256`` (of what arrived), ``format``, ``content`` (report of the
        writer), ``output_sha256``; of structures also what `data.structure_sources` adds.

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
    getter = GETTERS.get(name, from_address if source.base else None)
    if getter is None:
        raise FetchError("a search is no download", value=cell, remedy="call data.search.search")
    request = Request(
        cell,
        source,
        value,
        kind,
        Path(destination),
        base_addresses(source, base_urls),
        Path(base_directory),
        network,
        query,
        protein,
        base_urls or {},
    )
    if kind == "structure":
        write_pae(destination)  # none, unless the source has one
    content, origin = getter(request)
    known = {"cell": cell, "source": name, "version": "", "release": ""}
    origin["version"] = origin.get("version") or content.get("revision", "")
    provenance = known | origin | _record(content, destination)
    save_json(f"{destination}.json", provenance)
    return provenance


def _from_path(request: Request) -> Delivery:
    """A file of this machine."""
    return _from_disk(request, *local_file(request.value, request.directory))


def _from_package(request: Request) -> Delivery:
    """A file that an installed distribution brought."""
    return _from_disk(request, *find_package_file(request.value))


def _from_disk(request: Request, path: Path, terms: dict[str, str]) -> Delivery:
    model = request.source.name in MODEL_SOURCES
    content = normalise(path, request.destination, request.kind, model)
    return content, {"path": str(path), "time": datetime.now(UTC).isoformat(timespec="seconds"), **terms}


# Sources that are no plain download; all others with a base URL are `from_address`
GETTERS: dict[str, Callable[[Request], Delivery]] = {
    "path": _from_path,
    "package": _from_package,
    "folder": from_folder,
    "colabfold": from_search_server,
    "openproteinset": from_chain,
    "model": _from_path,
    "pdb": from_entry,
    "pdbe": from_entry,
    "pdbredo": from_entry,
    "afdb": from_alphafold,
    "uniprot": from_best_structure,
}


def network_of(settings: dict[str, Any]) -> Network:
    """The network as ``fetch`` in the configuration describes it."""
    known = {"remote_search": settings.get("allow_remote_search", False)}
    same = ("offline", "attempts", "timeout", "slots", "longest_search")
    known |= {name: settings[name] for name in same if name in settings}
    if "fallbacks" in settings:
        known["fallbacks"] = {name: tuple(others) for name, others in settings["fallbacks"].items()}
    if settings.get("cache"):
        known["cache"] = Path(settings["cache"])
    if "largest_gb" in settings:
        known["largest"] = int(settings["largest_gb"] * 1e9)
    return Network(**known)


def _record(content: dict[str, Any], destination: str | Path) -> dict[str, Any]:
    """What arrived: the part of the provenance that does not depend on the source."""
    return {
        "sha256": content["sha256"],
        "format": content["format"],
        "content": {key: value for key, value in content.items() if key not in ("sha256", "format")},
        "output_sha256": sha256(destination),
    }
