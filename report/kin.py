"""What a page says of the kinship between a protein and the families behind the weights."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from report.methods import LEARNED
from report.rendering import percent

# What the overview calls a protein, by what is known of it
RELATED, UNRELATED, UNKNOWN = "related", "none found", "not searched"
_SPLITS = {"train": "learned from", "tune": "tuned on"}


@dataclass(frozen=True)
class Kinship:
    """How one refined map's weights know a protein.

    Attributes
    ----------
    method, weights : str
    word : str
        `RELATED`, `UNRELATED` or `UNKNOWN`.
    text : str
        One or two sentences.
    closest : str
        Closest family in a few words, empty where none was found.
    hit : dict
        The closest family as ``refined.npz`` describes it, empty where none was found.
    """

    method: str
    weights: str
    word: str
    text: str
    closest: str
    hit: dict[str, Any]


def read_kinship(method: str, arrays: dict[str, np.ndarray], first_index: int = 1) -> Kinship:
    """Kinship from the arrays of a refined map's file.

    Parameters
    ----------
    method : str
    arrays : dict of arrays
        ``weights``, ``learned`` and ``homology`` are read; each may be absent.
    first_index : int
        Number of the first query residue.
    """
    weights = str(arrays.get("weights", "unknown"))
    by_name = str(arrays.get("learned", "")) in LEARNED
    found = _record(arrays)
    searched = int(found.get("searched") or 0)
    hit: dict[str, Any] = next(iter(found.get("hits") or []), {})
    if not searched:
        text = (
            f"The families behind the weights of {method} ({weights}) cannot be searched by sequence, since "
            "no table lies beside the weights: names alone are compared, and a homologue under another name "
            "goes unnoticed."
        )
        return Kinship(method, weights, RELATED if by_name else UNKNOWN, text, "", {})
    threshold = float(found["threshold"])
    closest = _closest(hit, first_index) if hit else ""
    kin = int(found.get("homologues") or 0)
    text = f"{_counted(kin, searched, f'{method} ({weights})')} homologous to this protein by sequence"
    text += f" (E < {threshold:g}). {f'Closest: {closest}' if closest else 'None comes near'}."
    if missing := int(found.get("missing") or 0):
        text += f" {missing:,} more families have no sequence in the table."
    return Kinship(method, weights, RELATED if by_name or kin else UNRELATED, text, closest, hit)


def _counted(kin: int, searched: int, weights: str) -> str:
    """How many of the families are, as the beginning of a sentence."""
    which = f"that the weights of {weights} learned from or were tuned on"
    if searched == 1:
        return f"The one family {which} is{'' if kin else ' not'}"
    count = f"{kin:,}" if kin else "None"
    return f"{count} of the {searched:,} families {which} {'are' if kin > 1 else 'is'}"


def _record(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The JSON record of the search; empty where there is none that can be read."""
    try:
        record = json.loads(str(arrays.get("homology", "")) or "{}")
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _closest(hit: dict[str, Any], first_index: int) -> str:
    """A family in words."""
    cluster = f"cluster {hit['cluster']}, " if hit["cluster"] else ""
    place = f"{hit['first'] + first_index} to {hit['last'] + first_index}"
    return (
        f"{hit['family']} ({cluster}{_SPLITS.get(hit['split'], hit['split'])}), E = {hit['evalue']:.1g}, "
        f"{percent(round(hit['identity'], 2))} of the residues from {place} as in its consensus"
    )


def overall(kinships: list[Kinship]) -> Kinship | None:
    """The one that says most: kin before no search before no kin; the smaller E-value first. None of none."""
    place = {RELATED: 0, UNKNOWN: 1, UNRELATED: 2}
    return min(kinships, key=lambda one: (place[one.word], one.hit.get("evalue", float("inf"))), default=None)
