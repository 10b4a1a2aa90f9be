"""Models of the AlphaFold database: which files an accession has, and its predicted aligned error.

The service ``prediction/ACCESSION`` answers a list of models (isoforms and fragments too) with
``uniprotAccession``, ``entryId`` (or ``modelEntityId``), ``latestVersion``, ``cifUrl`` and ``paeDocUrl``.
The names of files change with each version, so they are asked for and never put together here.
"""

import re
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from data.errors import FetchError
from data.json_answers import unexpected

_LARGEST_ERROR = 1000.0  # angstrom; the database writes 31.75 at most


@dataclass(frozen=True)
class Prediction:
    """One model of the database.

    Attributes
    ----------
    entry : str
        Such as ``AF-P69905-F1``.
    accession : str
        UniProt accession, without an isoform.
    version : str
        Version of the files.
    created : str
        Date of the model.
    cif, pae : str
        Addresses of the model and of its predicted aligned error (empty where it has none).
    fragments : int
        How many models cover the protein piece by piece; the first is taken.
    """

    entry: str
    accession: str
    version: str
    created: str
    cif: str
    pae: str
    fragments: int

    def record(self) -> dict[str, Any]:
        """For the provenance."""
        return asdict(self)


def find_prediction(answer: Any, accession: str, url: str) -> Prediction:
    """The model of the canonical sequence (its first fragment) in an answer of the service.

    Raises
    ------
    FetchError
        There is none (the message lists what there is), or the answer is not of the documented form.
    """
    if not isinstance(answer, list) or not all(isinstance(model, dict) for model in answer):
        raise unexpected(url, answer)
    own = sorted((m for m in answer if m.get("uniprotAccession") == accession), key=_fragment)
    if not own:
        offered = ", ".join(str(model.get("uniprotAccession")) for model in answer[:5])
        raise FetchError(
            "the database has no model of this accession",
            file=url,
            value=f"{accession}; offered: {offered or 'nothing'}",
            remedy="check the accession (isoforms are other sequences), or leave the structure empty",
        )
    model = own[0]
    cif, pae = str(model.get("cifUrl") or ""), str(model.get("paeDocUrl") or "")
    if not re.match("https?://", cif) or (pae and not re.match("https?://", pae)):
        raise unexpected(url, {"cifUrl": cif, "paeDocUrl": pae})
    version, created = (str(model.get(name) or "") for name in ("latestVersion", "modelCreatedDate"))
    return Prediction(_entry(model), accession, version, created, cif, pae, len(own))


def _entry(model: dict[str, Any]) -> str:
    return str(model.get("entryId") or model.get("modelEntityId") or "")


def _fragment(model: dict[str, Any]) -> tuple[int, str]:
    number = re.search(r"-F(\d+)$", _entry(model))
    return (int(number[1]) if number else 1), _entry(model)


def predicted_aligned_error(answer: Any, url: str) -> np.ndarray:
    """Predicted aligned error of a file of the database, in either of its two forms.

    Either one object with ``predicted_aligned_error``, a list of rows, or, of the first versions, one with
    ``residue1``, ``residue2`` (from 1) and ``distance``.

    Returns
    -------
    float16 [R, R]
        Expected error at residue j in angstrom when the model is laid on residue i.

    Raises
    ------
    FetchError
        The file has another form.
    """
    content = answer[0] if isinstance(answer, list) and answer else answer
    try:
        if "predicted_aligned_error" in content:
            error = np.array(content["predicted_aligned_error"], dtype=np.float64)
        else:
            one, two = (np.array(content[name], dtype=np.int64) - 1 for name in ("residue1", "residue2"))
            # All pairs are there: an index beyond that must not decide how much memory is taken
            if one.size != (int(one.max()) + 1) ** 2:
                raise ValueError(f"{one.size} pairs of residues up to {int(one.max()) + 1}")
            error = np.full((int(one.max()) + 1,) * 2, np.nan)
            error[one, two] = np.array(content["distance"], dtype=np.float64)
    except (KeyError, TypeError, ValueError, IndexError, MemoryError, OverflowError) as problem:
        raise unexpected(url, problem) from problem
    square = error.ndim == 2 and error.shape[0] == error.shape[1]
    if not square or not ((error >= 0) & (error <= _LARGEST_ERROR)).all():
        raise unexpected(url, f"an array of shape {error.shape}")
    return error.astype(np.float16)
