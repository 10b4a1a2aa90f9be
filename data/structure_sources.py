"""Structures by accession: from a source or one that steps in, models, and the best chain of a protein."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from data.alphafold import find_prediction, predicted_aligned_error
from data.best_structure import best_structure
from data.client import Network
from data.delivery import Delivery, Request, fetch_address, from_address, from_first_base
from data.errors import FetchError
from data.json_answers import forget_answer, json_answer
from data.registry import SOURCES, base_addresses
from data.store import save_arrays

logger = logging.getLogger(__name__)


def pae_file(structure: str | Path) -> Path:
    """Where the predicted aligned error of a structure file stands; an empty array where it has none."""
    path = Path(structure)
    return path.with_name(path.name.removesuffix(".cif.gz") + ".pae.npz")


def write_pae(structure: str | Path, error: np.ndarray | None = None) -> None:
    """Write the predicted aligned error beside a structure: `error` float16 [R, R], or an empty one."""
    save_arrays(pae_file(structure), pae=np.zeros((0, 0), np.float16) if error is None else error)


def from_entry(request: Request) -> Delivery:
    """An entry of the PDB, from another source (``fetch: fallbacks``) where its own fails.

    The origin names as ``source`` the one that delivered, and where that is another one ``instead_of`` and
    ``because``.

    Raises
    ------
    FetchError
        No source delivers it.
    """
    name = request.source.name
    failures: list[FetchError] = []
    for candidate in (name, *request.network.fallbacks.get(name, ())):
        source = SOURCES[candidate]
        bases = base_addresses(source, request.base_urls)
        asked = replace(request, source=source, value=source.tidy(request.value), bases=bases)
        try:
            content, origin = from_address(asked)
        except FetchError as error:
            logger.warning("%s: %s", candidate, error)
            failures.append(error)
            continue
        stepped_in = {"instead_of": name, "because": str(failures[0])} if failures else {}
        return content, origin | {"source": candidate} | stepped_in
    first, *others = failures
    if not others:
        raise first
    also = "; ".join(f"{error.file}: {error.problem}" for error in others)
    value = f"{first.value}; instead of it {also}"
    raise FetchError(first.problem, file=first.file, value=value, remedy=first.remedy) from first


def from_best_structure(request: Request) -> Delivery:
    """The experimental chain that shows most of a protein; ``chain`` and ``chosen`` say which and why.

    Raises
    ------
    FetchError
        None is known, or it cannot be fetched.
    """
    service = request.source
    choice, record = from_first_base(
        request, lambda base, network: best_structure(request.value, service, base, network)
    )
    content, origin = from_entry(replace(request, source=SOURCES[service.delivered_by], value=choice.entry))
    citation = "; ".join(dict.fromkeys([origin["citation"], service.citation]))
    return content, origin | {"citation": citation, "chain": f"auth={choice.chain}", "chosen": record}


def from_alphafold(request: Request) -> Delivery:
    """Model of the AlphaFold database, its predicted aligned error written beside it.

    ``model`` in the origin is what the service says of it.

    Raises
    ------
    FetchError
        There is no model, or a file cannot be fetched or is none.
    """
    return from_first_base(request, lambda base, network: _fetch_model(request, base, network))


def _fetch_model(request: Request, base: str, network: Network) -> Delivery:
    url = request.source.address(request.value, base)
    answer, fresh = json_answer(url, request.source, request.cell, network)
    try:
        return _model_files(answer, request, url, network)
    except FetchError as error:
        if fresh or network.offline:
            raise
        # What the cache remembers may name files of a version that is gone
        logger.warning("%s; the service is asked anew", error)
        forget_answer(url, network)
        answer, _ = json_answer(url, request.source, request.cell, network)
        return _model_files(answer, request, url, network)


def _model_files(answer: Any, request: Request, url: str, network: Network) -> Delivery:
    found = find_prediction(answer, request.value, url)
    content, origin = fetch_address(request, found.cif, network)
    if found.pae:
        error, _ = json_answer(found.pae, request.source, request.cell, network)
        write_pae(request.destination, predicted_aligned_error(error, found.pae))
    return content, origin | {"version": found.version, "service": url, "model": found.record()}
