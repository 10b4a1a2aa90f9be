"""The two stages between files of the world and arrays: alignment.npz and truth.npz."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from data.contacts import save_truth, true_distances
from data.errors import AlignmentError, FetchError
from data.mapping import best_row, map_query
from data.msa import crop, filter_alignment, read_alignment
from data.query import protein_sequence
from data.store import load_arrays, load_json, save_arrays
from data.structure import read_chain

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
        Where given and `query` is empty, the row that matches this chain best is the query.
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
        target = read_chain(structure, chain)
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
        names=np.array(alignment.names),
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


def map_structure(
    alignment: str,
    structure: str,
    out: str,
    chain: str = "",
    min_identity: float = 0.9,
    min_coverage: float = 0.5,
) -> None:
    """Align the query to its structure and write ``truth.npz``.

    Raises
    ------
    StructureError
        The structure cannot be read or lacks the chain.
    MappingError
        Identity or coverage lies below its threshold.
    """
    query = str(load_arrays(alignment)["query"])
    target = read_chain(structure, chain)
    mapping = map_query(query, target, min_identity=min_identity, min_coverage=min_coverage)
    logger.info("identity %.3f, coverage %.3f", mapping.identity, mapping.coverage)
    save_truth(out, true_distances(target, mapping))
