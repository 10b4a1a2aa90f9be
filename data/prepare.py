"""The two stages between files of the world and arrays: alignment.npz and truth.npz."""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from data.assembly import read_assembly
from data.contacts import Truth, true_distances
from data.errors import AlignmentError, FetchError
from data.mapping import best_row, map_query
from data.memory import domain_way, require_bytes, structures_bytes, text_size
from data.models import MIN_PLDDT, hide_uncertain
from data.msa import crop, filter_alignment, read_alignment
from data.query import protein_sequence
from data.store import load_arrays, load_json, open_arrays, save_arrays
from data.structure import read_chain
from data.structure_sources import pae_file
from data.truth_file import save_truth

LONGEST_NAME = 200  # letters kept; in the file each name takes as many as the longest, 4 bytes each

logger = logging.getLogger(__name__)


def prepare_alignment(
    path: str,
    out: str,
    structure: str = "",
    chain: str = "",
    query: str = "",
    region: str = "",
    first_index: int = 1,
    filters: dict[str, Any] | None = None,
) -> None:
    """Read an alignment, choose its query, crop and filter it, and write ``alignment.npz``.

    Parameters
    ----------
    path : path
        Any alignment that :func:`data.msa.read_alignment` reads.
    out : path
    structure, chain : str
        Where given and `query` is empty, the row that matches this chain best is the query. Without a
        chain, the one that was chosen when the structure was fetched, else the first.
    query : str
        Name or sequence of the query.
    region : str
        ``first-last`` in query residues, 1-based.
    first_index : int
        Number of the query's first residue, before `region` crops it, in what a person reads.
    filters : dict
        Arguments of :func:`data.msa.filter_alignment`.
    """
    choose = None
    if structure and not query:
        target = read_chain(structure, chain or chosen_chain(structure))
        choose = lambda rows: best_row(rows, target)  # noqa: E731 (a closure over the chain)
    alignment = read_alignment(path, query, choose)
    if region:
        alignment = crop(alignment, region)
        first_index += int(region.split("-")[0]) - 1  # numbers stay those of the whole query
    if len(alignment.query) < 2:
        raise AlignmentError(
            "the query has fewer than two residues", file=path, value=alignment.query,
            remedy="choose another query or a longer region",
        )  # fmt: skip
    rows = len(alignment.tokens)
    alignment, report = filter_alignment(alignment, **(filters or {}))
    logger.info(
        "query %s, %d columns, %d of %d rows",
        alignment.query_name,
        len(alignment.query),
        len(alignment.tokens),
        rows,
    )
    save_arrays(
        out,
        tokens=alignment.tokens,
        query=alignment.query,
        query_name=alignment.query_name,
        columns=alignment.columns,
        names=np.array([name[:LONGEST_NAME] for name in alignment.names]),
        unknown=np.int64(alignment.unknown),
        filters=json.dumps(report),
        first_index=np.int32(first_index),
        source=alignment.source,
    )


def require_origin(path: str | Path, cell: str, query: str = "") -> None:
    """Refuse a fetched file that another row's cell brought, in a run that shares the folder of resources.

    Parameters
    ----------
    path : path
        File of `data.sources.fetch` or `data.search.search`, its provenance beside it.
    cell : str
        What the row names now.
    query : str
        What a search is asked for, sequence or FASTA path; empty where the source is no search.

    Raises
    ------
    FetchError
        The provenance names another cell, or a search for another query.
    """
    found = load_json(f"{path}.json")
    found = found if isinstance(found, dict) else {}
    brought = str(found.get("cell", ""))
    if brought == cell and query and not _same_search(found.get("search"), protein_sequence(query)):
        brought, cell = f"{cell} for another query", f"{cell} for {query[:60]}"
    if brought != cell:
        raise FetchError(
            "the file was fetched for another row of the same name",
            file=path,
            value=f"{brought}, where this row names {cell}",
            remedy="give each protein table a folder of its own: --config resources=DIR; or delete the file",
        )


def _same_search(search: Any, sequence: str) -> bool:
    """Whether a search was made for this sequence, by what its record says."""
    known = search if isinstance(search, dict) else {}
    digest = hashlib.sha256(sequence.encode()).hexdigest()
    return known.get("query", sequence) == sequence and known.get("query_sha256", digest) == digest


def chosen_chain(structure: str | Path) -> str:
    """Chain that was chosen when a structure was fetched, by its provenance; empty where none was."""
    provenance = Path(f"{structure}.json")
    return str(load_json(provenance).get("chain", "")) if provenance.exists() else ""


def map_structure(
    alignment: str,
    structures: str | Sequence[str],
    out: str,
    chains: str | Sequence[str] = "",
    min_identity: float = 0.9,
    min_coverage: float = 0.5,
    min_plddt: float = MIN_PLDDT,
    assembly: bool = True,
) -> None:
    """Align the query to its structures and write ``truth.npz``.

    The first experimental structure comes first in it, a model only where there is no experiment.

    Parameters
    ----------
    alignment : path
    structures : path or sequence of paths
    out : path
    chains : str or sequence of str
        Chain of each structure; empty: the one that was chosen when it was fetched, else the first.
    min_identity, min_coverage : float
        Thresholds of `data.mapping.map_query`, for every structure.
    min_plddt : float
        Residues of a model below it are unresolved.
    assembly : bool
        Whether the first structure is measured in its biological assembly too.

    Raises
    ------
    StructureError
        A structure cannot be read or lacks the chain.
    MappingError
        Identity or coverage lies below its threshold.
    MemoryLimitError
        There is too little memory; the message says how much it takes.
    """
    with open_arrays(alignment) as arrays:
        query = str(arrays["query"])
    paths = [structures] if isinstance(structures, str) else list(structures)
    names = [chains] * len(paths) if isinstance(chains, str) else list(chains)
    _require_room(len(query), paths)
    thresholds = {"min_identity": min_identity, "min_coverage": min_coverage}
    found = [
        _truth_of(query, path, name, thresholds, min_plddt) for path, name in zip(paths, names, strict=True)
    ]
    order = sorted(range(len(found)), key=lambda number: found[number].kind == "model")
    first = found[order[0]]
    if first.uniprot is None:
        first = _numbered(first, [found[number] for number in order[1:]])
    if assembly and first.kind != "model":
        first = _in_assembly(first, query, paths[order[0]], thresholds)
    save_truth(out, replace(first, further=[found[number] for number in order[1:]]))


def _require_room(length: int, structures: Sequence[str]) -> None:
    """Refuse to measure what will not fit, by the sizes of the files."""
    texts = [text_size(path) for path in structures if os.path.isfile(path)]
    require_bytes(
        f"measuring {length} columns in {len(texts)} structures of up to {max(texts, default=0):,} bytes",
        structures_bytes(length, texts),
        lambda available: domain_way(length, lambda columns: structures_bytes(columns, texts), available),
    )


def _truth_of(query: str, path: str, chain: str, thresholds: dict[str, float], min_plddt: float) -> Truth:
    target = hide_uncertain(read_chain(path, chain or chosen_chain(path)), min_plddt)
    mapping = map_query(query, target, **thresholds)
    logger.info(
        "%s chain %s: identity %.3f, coverage %.3f", path, target.name, mapping.identity, mapping.coverage
    )
    notes = (
        []
        if not target.uniprot
        else [f"UniProt numbers of {target.uniprot.accession}: {target.uniprot.origin}"]
    )
    pae = load_arrays(pae_file(path))["pae"] if target.model and pae_file(path).exists() else np.zeros((0, 0))
    if pae.size and len(pae) != len(target.sequence):
        notes.append(
            f"the predicted aligned error is of {len(pae)} residues, the model of {len(target.sequence)}"
        )
    truth = true_distances(target, mapping, pae if len(pae) == len(target.sequence) else None)
    return replace(truth, notes=[*truth.notes, *notes])


def _numbered(truth: Truth, others: list[Truth]) -> Truth:
    """The truth with the UniProt numbers of the first other structure that has some."""
    for other in others:
        if other.uniprot is not None:
            origin = f"{other.numbering} of {other.entry}"
            return replace(truth, uniprot=other.uniprot, accession=other.accession, numbering=origin)
    return truth


def _in_assembly(truth: Truth, query: str, path: str, thresholds: dict[str, float]) -> Truth:
    """The truth with the distances in the assembly, where it holds further copies of the chain."""
    chain = read_chain(path, f"auth={truth.chain}")
    found = read_assembly(chain, query, **thresholds)
    if found is None or found.copies < 2:
        told = "tells of no assembly with" if found is None else f"has assembly {found.name} without"
        return replace(truth, notes=[*truth.notes, f"the file {told} further copies of the chain"])
    return replace(
        truth, assembly_distance=found.distance, assembly=f"assembly {found.name}, {found.copies} copies"
    )
