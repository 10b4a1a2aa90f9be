"""The file ``truth.npz``: what the structures of a protein say, the first in plain arrays, others stacked."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from data.contacts import Truth
from data.errors import CovarionError, StructureError
from data.models import EXPERIMENT, MODEL
from data.store import load_arrays, save_arrays

_TEXTS = ("chain", "entry", "kind", "label", "accession", "numbering", "assembly")
_REQUIRED = ("distance", "resolved", "residue", "identity", "coverage", "chain", "entry", "notes")
_OPTIONAL = ("plddt", "pae", "uniprot", "assembly_distance")


def save_truth(path: str | Path, truth: Truth) -> None:
    """Write ``truth.npz``.

    Arrays of the first structure as in `Truth` (notes as JSON; optional ones where there are any); of the
    S further ones ``further_distance`` float32 [S, L, L], and the same of each in ``further``, JSON of its
    texts, identity, coverage and notes.
    """
    arrays: dict[str, Any] = {
        "distance": truth.distance.astype(np.float32),
        "resolved": truth.resolved.astype(bool),
        "residue": np.asarray(truth.residue, dtype=np.str_),
        "identity": np.float32(truth.identity),
        "coverage": np.float32(truth.coverage),
        "notes": np.array(json.dumps(truth.notes)),
    }
    arrays |= {name: np.array(getattr(truth, name)) for name in _TEXTS}
    arrays |= {name: array for name in _OPTIONAL if (array := getattr(truth, name)) is not None}
    if truth.further:
        arrays["further"] = np.array(json.dumps([_described(other) for other in truth.further]))
        arrays["further_distance"] = np.stack([other.distance for other in truth.further])
        arrays["further_residue"] = np.stack([np.asarray(other.residue, np.str_) for other in truth.further])
    save_arrays(path, **arrays)


def _described(truth: Truth) -> dict[str, Any]:
    numbers = {"identity": float(truth.identity), "coverage": float(truth.coverage)}
    return {name: getattr(truth, name) for name in _TEXTS} | numbers | {"notes": truth.notes}


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
    missing = [name for name in _REQUIRED if name not in arrays]
    if missing:
        raise StructureError(
            "arrays are missing", file=path, value=", ".join(missing), remedy="delete it and run again"
        )
    first = Truth(
        distance=arrays["distance"],
        resolved=arrays["resolved"],
        residue=arrays["residue"],
        identity=float(arrays["identity"]),
        coverage=float(arrays["coverage"]),
        chain=str(arrays["chain"]),
        entry=str(arrays["entry"]),
        notes=json.loads(str(arrays["notes"])),
    )
    said = {name: str(arrays[name]) for name in _TEXTS[2:] if name in arrays}
    optional = {name: arrays[name] for name in _OPTIONAL if name in arrays}
    return replace(first, **said, **optional, further=_further(arrays))  # type: ignore[arg-type]


def _further(arrays: dict[str, np.ndarray]) -> list[Truth]:
    described = json.loads(str(arrays["further"])) if "further" in arrays else []
    return [
        Truth(
            distance=arrays["further_distance"][number],
            resolved=np.isfinite(np.diagonal(arrays["further_distance"][number])),
            residue=arrays["further_residue"][number],
            **fields,
        )
        for number, fields in enumerate(described)
    ]


def kind_of_truth(arrays: dict[str, np.ndarray]) -> str:
    """``experiment`` or ``model``, of the arrays of a ``truth.npz``; older files hold experiments."""
    return str(arrays.get("kind", EXPERIMENT))


def experimental_distance(path: str | Path) -> np.ndarray:
    """True distances float32 [L, L] of a ``truth.npz``, for what may learn from experiments alone.

    Raises
    ------
    CovarionError
        The file holds a predicted model.
    """
    arrays = load_arrays(path)
    if kind_of_truth(arrays) == MODEL:
        raise CovarionError(
            "a predicted model is nothing to learn from or to calibrate on",
            file=path,
            value=str(arrays.get("entry", "")),
            remedy="take the protein out of the split, name an experimental structure, or write model:PATH",
        )
    return arrays["distance"]
