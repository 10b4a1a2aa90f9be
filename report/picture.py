"""The structure as the page draws it: the chain's atoms, and the copies in its assembly that touch it."""

import logging
from typing import Any

import numpy as np

from data.assembly import read_copies
from data.backbone import measured_atoms, measured_points
from data.contacts import distances_between
from data.errors import CovarionError
from data.structure import read_chain
from report.methods import CONTACT_DISTANCE
from report.payload import Protein
from report.rendering import base64_of

log = logging.getLogger(__name__)

_FARTHEST = 32767  # of int16; also marks a point that is missing
_MOST = 8  # copies
_SAME_DISTANCE = 0.05  # angstrom


def pack_structure(protein: Protein) -> dict[str, Any] | None:
    """Atoms and copies as int16 steps from the chain's middle, and the secondary structure.

    Returns
    -------
    dict or None
        ``atoms`` [L, 5, 3], ``copies`` (a list of [L, 3], the points that distances are measured from; the
        copy with the most contacts first), each with its own ``step`` in angstrom, ``measured``, the names of
        these atoms; None without a structure.
    """
    backbone = protein.backbone
    if backbone is None:
        return None
    known = np.isfinite(backbone.atoms).all(-1)
    middle = backbone.atoms[known].mean(0) if known.any() else np.zeros(3)
    atoms, step = _steps(backbone.atoms - middle)
    copies = [_steps(copy - middle) for copy in _touching_copies(protein)]
    return {
        "atoms": base64_of(atoms),
        "step": step,
        "missing": -_FARTHEST,
        "measured": measured_atoms(backbone),
        "secondary": [str(code) for code in backbone.secondary],
        "copies": [{"points": base64_of(points), "step": own} for points, own in copies],
    }


def _steps(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Points as whole steps, int16, and the step in angstrom; what is unknown is missing."""
    known = np.isfinite(points).all(-1)[..., None]
    largest = np.abs(np.where(known, points, 0)).max(initial=0)
    step = max(float(largest) / (_FARTHEST - 1), 0.01)
    levels = np.where(known, np.round(np.where(known, points, 0) / step), -_FARTHEST)
    return levels.astype(np.int16), step


def _touching_copies(protein: Protein) -> list[np.ndarray]:
    """Copies with a contact to the chain, the most contacts first.

    None where the structure file does not have the distances of the assembly in ``truth.npz``.
    """
    wanted = protein.truth.get("assembly_distance")
    if wanted is None or protein.backbone is None or protein.distance is None:
        return []
    copies = _read_copies(protein)
    own = measured_points(protein.backbone)
    near = [np.fmin(step, step.T) for step in (distances_between(own, copy) for copy in copies)]
    found = np.fmin.reduce([protein.distance, *near])
    both = np.isfinite(found) & np.isfinite(wanted)
    if not near or not both.any() or np.abs(found - wanted)[both].max() > _SAME_DISTANCE:
        log.info("copies of the chain are not drawn: the structure file has other distances than truth.npz")
        return []
    counts = np.array([int((step < CONTACT_DISTANCE).sum()) for step in near])
    return [copies[k] for k in np.argsort(-counts, kind="stable")[:_MOST] if counts[k]]


def _read_copies(protein: Protein) -> list[np.ndarray]:
    """All further copies in the chain's frame; none where they cannot be read again."""
    label = str(protein.truth.get("label", ""))
    name = f"label={label}" if label else str(protein.truth["chain"])
    identity = min(0.9, float(protein.truth.get("identity", 0.9)))
    coverage = min(0.5, float(protein.truth.get("coverage", 0.5)))
    try:
        return read_copies(read_chain(protein.structure_file, name), protein.query, identity, coverage)
    except CovarionError as error:
        log.info("copies of the chain are not drawn: %s", error)
        return []
