"""True distances and contacts of a protein over the columns of its query."""

from dataclasses import dataclass, field

import numpy as np

from data.errors import StructureError
from data.mapping import Mapping
from data.models import EXPERIMENT, MODEL
from data.structure import Chain

CUTOFF = 8.0


@dataclass(frozen=True)
class Truth:
    """What a structure says about the query's residues.

    Attributes
    ----------
    distance : float32 [L, L]
        C-beta distance (C-alpha for glycine) in angstrom, NaN where either residue is unresolved.
    resolved : bool [L]
        Residues with coordinates.
    residue : str [L]
        Author number and insertion code (``57A``), empty where unresolved.
    identity, coverage : float
        As in `data.mapping.Mapping`.
    chain, entry : str
        Author chain name and entry code.
    notes : list of str
        What a reader of the report should know.
    kind : str
        ``experiment``, or ``model`` for a predicted one.
    label : str
        Label chain name.
    plddt : float32 [L] or None
        Of a model: its confidence, NaN where unmapped.
    pae : float16 [L, L] or None
        Of a model: its predicted aligned error in angstrom, NaN where unmapped.
    uniprot : int32 [L]
        UniProt number of each query residue, also where unresolved; 0 where unknown.
    accession, numbering : str
        UniProt accession of these numbers, and what they were read from.
    assembly_distance : float32 [L, L] or None
        As `distance`, the smallest over all copies of the chain in the biological assembly.
    assembly : str
        Which assembly, and of how many copies.
    further : list of Truth
        Other structures of the protein, in the order of its row.
    """

    distance: np.ndarray
    resolved: np.ndarray
    residue: np.ndarray
    identity: float
    coverage: float
    chain: str
    entry: str
    notes: list[str] = field(default_factory=list)
    kind: str = EXPERIMENT
    label: str = ""
    plddt: np.ndarray | None = None
    pae: np.ndarray | None = None
    uniprot: np.ndarray | None = None
    accession: str = ""
    numbering: str = ""
    assembly_distance: np.ndarray | None = None
    assembly: str = ""
    further: list["Truth"] = field(default_factory=list)


def true_distances(chain: Chain, mapping: Mapping, pae: np.ndarray | None = None) -> Truth:
    """Distances between the residues that a query is mapped to.

    Parameters
    ----------
    chain : Chain
    mapping : Mapping
    pae : float [R, R], optional
        Predicted aligned error of the chain's residues.

    Raises
    ------
    StructureError
        Fewer than two mapped residues have coordinates.
    """
    position = query_positions(chain, mapping)
    resolved = ~np.isnan(position).any(axis=1)
    if resolved.sum() < 2:
        raise StructureError(
            "fewer than two query residues have coordinates",
            file=chain.source,
            place=f"chain {chain.name}",
            value=f"{int(resolved.sum())} of {len(resolved)}",
            remedy="give a structure that covers the query",
        )
    labels = [chain.residue[index] if index >= 0 else "" for index in mapping.index]
    numbers = chain.uniprot
    return Truth(
        distances_between(position, position),
        resolved,
        np.where(resolved, np.array(labels), ""),
        mapping.identity,
        mapping.coverage,
        chain.name,
        chain.entry,
        [*chain.notes],
        kind=MODEL if chain.model else EXPERIMENT,
        label=chain.label,
        plddt=None if chain.plddt is None else _at(chain.plddt, mapping.index, np.float32(np.nan)),
        pae=None if pae is None else _at(_at(pae, mapping.index, np.nan).T, mapping.index, np.nan).T,
        uniprot=None if numbers is None else _at(numbers.number, mapping.index, np.int32(0)),
        accession=numbers.accession if numbers else "",
        numbering=numbers.origin if numbers else "",
    )


def query_positions(chain: Chain, mapping: Mapping) -> np.ndarray:
    """Point of each query residue on a chain, float64 [L, 3], NaN where it has none."""
    return _at(chain.position.astype(np.float64), mapping.index, np.nan)


def _at(values: np.ndarray, index: np.ndarray, missing: object) -> np.ndarray:
    """Rows of `values` at an index, `missing` where it is -1."""
    found = np.array(values)[np.maximum(index, 0)]
    found[index < 0] = missing
    return found


def distances_between(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Distances in angstrom between points [L, 3], float32 [L, L]."""
    step = one[:, None, :] - other[None, :, :]
    return np.sqrt((step**2).sum(axis=-1)).astype(np.float32)


def contact_map(distance: np.ndarray, cutoff: float = CUTOFF) -> np.ndarray:
    """Pairs closer than a cutoff.

    Parameters
    ----------
    distance : float [L, L]
        Angstrom, NaN where unknown.
    cutoff : float
        Angstrom.

    Returns
    -------
    bool [L, L]
        False on the diagonal and where the distance is unknown.
    """
    contacts = np.asarray(distance) < cutoff  # a comparison with NaN is False
    np.fill_diagonal(contacts, False)
    return contacts
