"""True distances and contacts of a protein over the columns of its query."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data.errors import StructureError
from data.mapping import Mapping
from data.store import load_arrays, save_arrays
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
    """

    distance: np.ndarray
    resolved: np.ndarray
    residue: np.ndarray
    identity: float
    coverage: float
    chain: str
    entry: str
    notes: list[str] = field(default_factory=list)


def true_distances(chain: Chain, mapping: Mapping) -> Truth:
    """Distances between the residues that a query is mapped to.

    Raises
    ------
    StructureError
        Fewer than two mapped residues have coordinates.
    """
    mapped = mapping.index >= 0
    position = np.full((len(mapping.index), 3), np.nan)
    position[mapped] = chain.position[mapping.index[mapped]]
    resolved = ~np.isnan(position).any(axis=1)
    if resolved.sum() < 2:
        raise StructureError(
            "fewer than two query residues have coordinates",
            file=chain.source,
            place=f"chain {chain.name}",
            value=f"{int(resolved.sum())} of {len(resolved)}",
            remedy="give a structure that covers the query",
        )
    step = position[:, None, :] - position[None, :, :]
    distance = np.sqrt((step**2).sum(axis=-1)).astype(np.float32)
    labels = [chain.residue[index] if index >= 0 else "" for index in mapping.index]
    residue = np.where(resolved, np.array(labels), "")
    return Truth(
        distance,
        resolved,
        residue,
        mapping.identity,
        mapping.coverage,
        chain.name,
        chain.entry,
        [*chain.notes],
    )


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


def save_truth(path: str | Path, truth: Truth) -> None:
    """Write ``truth.npz`` (arrays as in `Truth`; notes as JSON)."""
    save_arrays(
        path,
        distance=truth.distance.astype(np.float32),
        resolved=truth.resolved.astype(bool),
        residue=np.asarray(truth.residue, dtype=np.str_),
        identity=np.float32(truth.identity),
        coverage=np.float32(truth.coverage),
        chain=np.array(truth.chain),
        entry=np.array(truth.entry),
        notes=np.array(json.dumps(truth.notes)),
    )


def truth_from_file(path: str | Path) -> Truth:
    """Read ``truth.npz``.

    Raises
    ------
    StructureError
        The file lacks one of the arrays.
    CovarionError
        The file cannot be read.
    """
    arrays = load_arrays(path)
    missing = [name for name in Truth.__dataclass_fields__ if name not in arrays]
    if missing:
        raise StructureError(
            "arrays are missing", file=path, value=", ".join(missing), remedy="delete it and run again"
        )
    return Truth(
        distance=arrays["distance"],
        resolved=arrays["resolved"],
        residue=arrays["residue"],
        identity=float(arrays["identity"]),
        coverage=float(arrays["coverage"]),
        chain=str(arrays["chain"]),
        entry=str(arrays["entry"]),
        notes=json.loads(str(arrays["notes"])),
    )
