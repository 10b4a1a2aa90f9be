"""Predicted models among structures: how they are known, and how sure they are of each residue.

What is measured against a model is agreement between two predictions, never precision.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import gemmi
import numpy as np

if TYPE_CHECKING:
    from data.structure import Chain

EXPERIMENT, MODEL = "experiment", "model"
MODEL_SOURCES = ("afdb", "model")  # sources whose structures are models whatever their files say
THEORETICAL = "THEORETICAL MODEL"  # the value of _exptl.method (EXPDTA) for what was not measured
MIN_PLDDT = 70.0
IF_MODEL = "if it is one, write model:PATH, else agreement with it is shown as precision"


def claims_to_be_model(structure: gemmi.Structure, block: gemmi.cif.Block | None) -> bool:
    """Whether a file says that it holds a predicted model.

    By ModelCIF's categories (``_ma_model_list``, ``_ma_qa_metric_local``), by the method ``THEORETICAL
    MODEL``, or by a title that names an AlphaFold prediction, as its PDB files have it.
    """
    if block is not None and (block.find_values("_ma_model_list.model_id") or _local_values(block)):
        return True
    info = {name: structure.info[name] for name in structure.info}
    if THEORETICAL in info.get("_exptl.method", "").upper():
        return True
    title = info.get("_struct.title", "").upper()
    return "ALPHAFOLD" in title and "PREDICTION" in title


def may_be_model(structure: gemmi.Structure, residues: Sequence[gemmi.Residue]) -> bool:
    """Whether a file that does not say what it holds has B factors as predicted models have their pLDDT.

    That is: no experimental method; one value for all atoms of a residue, from 0 to 100, not all the same.
    """
    info = {name: structure.info[name] for name in structure.info}
    if info.get("_exptl.method", "?") not in ("", "?", "."):
        return False
    factors = [{round(atom.b_iso, 2) for atom in residue} for residue in residues if len(residue) > 3]
    values = {value for found in factors for value in found}
    one_each = bool(factors) and all(len(found) == 1 for found in factors)
    return one_each and len(values) > 2 and min(values) >= 0 and max(values) <= 100


def mark_as_model(block: gemmi.cif.Block) -> None:
    """Write into a file that it holds a model, so that whoever reads it later knows."""
    methods = block.find("_exptl.", ["method"])
    if methods:
        for row in methods:
            row[0] = gemmi.cif.quote(THEORETICAL)
    else:
        block.set_pair("_exptl.method", gemmi.cif.quote(THEORETICAL))


def _local_values(block: gemmi.cif.Block) -> gemmi.cif.Table:
    return block.find(
        "_ma_qa_metric_local.", ["label_asym_id", "label_seq_id", "metric_id", "metric_value", "model_id"]
    )


def local_confidence(
    block: gemmi.cif.Block | None, label: str, places: Sequence[int], b_factor: np.ndarray
) -> np.ndarray:
    """The pLDDT of a model's residues, 0 to 100.

    Parameters
    ----------
    block : gemmi.cif.Block, optional
        From its ``_ma_qa_metric_local`` where it has values of a metric called pLDDT.
    label : str
        Label name of the chain.
    places : sequence of int [R]
        ``label_seq_id`` of each residue.
    b_factor : float [R]
        B factors, where programs write the pLDDT too; used where the file has no such table.

    Returns
    -------
    float32 [R]
        NaN where none is given.
    """
    found: dict[int, float] = {}
    if block is not None:
        metrics = {
            row[0] for row in block.find("_ma_qa_metric.", ["id", "name"]) if "plddt" in row[1].lower()
        }
        for row in _local_values(block):
            if gemmi.cif.as_string(row[0]) == label and row[2] in metrics:
                found.setdefault(gemmi.cif.as_int(row[1], 0), gemmi.cif.as_number(row[3]))
    if not found:
        return np.asarray(b_factor, dtype=np.float32)
    return np.array([found.get(place, np.nan) for place in places], dtype=np.float32)


def hide_uncertain(chain: "Chain", min_plddt: float = MIN_PLDDT) -> "Chain":
    """The chain with the residues of a model below a pLDDT unresolved; an experiment as it is.

    Parameters
    ----------
    chain : Chain
    min_plddt : float
        0 to 100. A residue without a pLDDT counts as below. Where all lie between 0 and 1, as some programs
        write them, they are read as shares of 100.
    """
    if not chain.model or chain.plddt is None:
        return chain
    plddt, notes = chain.plddt, list(chain.notes)
    if np.nanmin(plddt, initial=1) >= 0 and 0 < np.nanmax(plddt, initial=0) <= 1:
        plddt = 100 * plddt
        notes.append("predicted model: pLDDT between 0 and 1 in the file, read as shares of 100")
    uncertain = np.asarray(~(plddt >= min_plddt))  # NaN is below
    hidden = int((uncertain & chain.resolved).sum())
    count = f"{hidden} of {len(uncertain)} residues"
    note = f"predicted model: {count} have a pLDDT below {min_plddt:g} and are unresolved"
    position = np.where(uncertain[:, None], np.float32(np.nan), chain.position)
    return replace(chain, position=position, plddt=plddt, notes=[*notes, note])
