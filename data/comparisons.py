"""What the structures of a protein give to compare a map with: each of them, their union, the assembly."""

import re
from dataclasses import dataclass, replace

import numpy as np

from data.contacts import Truth
from data.models import EXPERIMENT, MODEL

CHAIN, ASSEMBLY, UNION = "chain", "assembly", "union"


@dataclass(frozen=True)
class Comparison:
    """One thing that a map is held against.

    Attributes
    ----------
    against : str
        ``chain`` (of the first structure), ``assembly`` (the chain among its copies), ``ENTRY_CHAIN`` of a
        further structure, or ``union``: a pair is a contact if it is one in any structure of the kind, and
        is ranked if any of them resolves it.
    kind : str
        ``experiment`` measures precision, ``model`` agreement.
    truth : Truth
    """

    against: str
    kind: str
    truth: Truth


def comparisons(truth: Truth) -> list[Comparison]:
    """Everything that the structures of a protein give to compare with, the first chain first.

    The assembly is there where it has more than one copy of the chain. A union is of structures of one
    kind, experiments or models, where there are several.
    """
    found = [Comparison(CHAIN, truth.kind, truth)]
    if truth.assembly_distance is not None:
        found.append(Comparison(ASSEMBLY, truth.kind, replace(truth, distance=truth.assembly_distance)))
    for other in truth.further:
        found.append(Comparison(_free_name(other, found), other.kind, other))
    for kind in (EXPERIMENT, MODEL):
        members = [part for part in (truth, *truth.further) if part.kind == kind]
        if len(members) > 1:
            found.append(Comparison(UNION, kind, union(members)))
    return found


def _free_name(truth: Truth, taken: list[Comparison]) -> str:
    """``ENTRY_CHAIN``, numbered where two structures share it."""
    name = re.sub(r"\s+", "_", f"{truth.entry}_{truth.chain}")
    names = {part.against for part in taken}
    number = 2
    free = name
    while free in names:
        free, number = f"{name}~{number}", number + 1
    return free


def union(truths: list[Truth]) -> Truth:
    """The smallest distance of each pair over several structures, NaN where none resolves both residues."""
    distance = truths[0].distance
    for other in truths[1:]:
        distance = np.fmin(distance, other.distance)
    resolved = np.isfinite(np.diagonal(distance))
    return replace(truths[0], distance=distance, resolved=resolved, further=[])
