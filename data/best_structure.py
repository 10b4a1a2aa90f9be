"""The experimental chain that shows most of a protein, by the SIFTS mappings of PDBe.

The service ``mappings/best_structures/ACCESSION`` of the PDBe API lists chains of PDB entries that hold a
UniProt accession: ``{"P69905": [{"pdb_id", "chain_id", "coverage", "resolution", "experimental_method",
"start", "end", "unp_start", "unp_end", "tax_id"}, ...]}``, with author chain names; chains of methods
without a resolution have null.
"""

import math
import re
from dataclasses import asdict, dataclass
from typing import Any

from data.client import Network
from data.errors import FetchError
from data.json_answers import json_answer, unexpected
from data.registry import Source

# Without coordinates of atoms, or without an experiment of their own
_NO_ATOMS = re.compile("solution scattering|theoretical", re.IGNORECASE)
_RUNNERS_UP = 3


@dataclass(frozen=True)
class Candidate:
    """A chain that holds a protein, as SIFTS lists it.

    Attributes
    ----------
    entry : str
        PDB code, upper case.
    chain : str
        Author chain name.
    coverage : float
        Share of the protein's sequence in the chain.
    resolution : float or None
        Angstrom.
    method : str
    first, last : int
        UniProt numbers of the ends.
    """

    entry: str
    chain: str
    coverage: float
    resolution: float | None
    method: str
    first: int
    last: int


def best_structure(
    accession: str, source: Source, base: str, network: Network
) -> tuple[Candidate, dict[str, Any]]:
    """The best chain of a protein, and the record of how it was chosen.

    Largest coverage first, then best resolution (none is worst), then entry code and chain name, so that
    the choice does not hang on the order of an answer.

    Raises
    ------
    FetchError
        No experimental structure is known, or the service answers otherwise than it documents.
    """
    url = source.address(accession, base)
    answer, _ = json_answer(url, source, f"{source.name}:{accession}", network)
    ranked = sorted(candidates(answer, accession, url), key=_order)
    if not ranked:
        raise FetchError(
            "no experimental structure of this protein is known",
            file=url,
            value=accession,
            remedy=f"compare with a model, afdb:{accession}, or leave the structure empty",
        )
    record = {
        "service": url,
        "rule": "largest coverage, then best resolution, then entry and chain by name",
        "candidates": len(ranked),
        "best": asdict(ranked[0]),
        "next": [asdict(found) for found in ranked[1 : 1 + _RUNNERS_UP]],
    }
    return ranked[0], record


def _order(found: Candidate) -> tuple[float, float, str, str]:
    worst = math.inf if found.resolution is None else found.resolution
    return -found.coverage, worst, found.entry, found.chain


def candidates(answer: Any, accession: str, url: str) -> list[Candidate]:
    """Chains of an answer, in its order; what has no coordinates of atoms is left out.

    Raises
    ------
    FetchError
        The answer is not of the documented form.
    """
    rows = answer.get(accession, []) if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        raise unexpected(url, answer)
    return [found for row in rows if (found := _candidate(row, url)) is not None]


def _candidate(row: Any, url: str) -> Candidate | None:
    try:
        found = Candidate(
            str(row["pdb_id"]).upper(),
            str(row["chain_id"]),
            float(row["coverage"]),
            None if row.get("resolution") is None else float(row["resolution"]),
            str(row.get("experimental_method", "")),
            int(row["unp_start"]),
            int(row["unp_end"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise unexpected(url, row) from error
    # JSON of Python has NaN and infinity, which no order of candidates survives
    if not all(map(math.isfinite, (found.coverage, found.resolution or 0.0))):
        raise unexpected(url, row)
    # They become a part of an address and a chain name: nothing else may stand there
    if not re.fullmatch(r"[0-9][A-Z0-9]{3}", found.entry) or not re.fullmatch(r"[^\s;,=]{1,8}", found.chain):
        raise unexpected(url, row)
    return None if _NO_ATOMS.search(found.method) else found
