"""Which couplings stand out of alignments without couplings: counts for the page, pairs for its script.

The test is `dca.significance`: p and q of every pair far enough apart, by ``plm``, in ``contacts.npz``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from report import figures
from report.methods import CONTACT_DISTANCE
from report.payload import Protein, pair_number
from report.rendering import base64_of

LEVELS = (0.05, 0.1, 0.2)
_SHOWN = 0.5  # pairs of a larger q are told by that alone
_MOST = 10  # of them for each residue


@dataclass(frozen=True)
class Level:
    """Pairs whose q-value is at most a level.

    Attributes
    ----------
    q : float
    pairs, resolved, contacts : int
        All of them, those with a distance, and those of them in contact.
    """

    q: float
    pairs: int
    resolved: int
    contacts: int


@dataclass(frozen=True)
class Tested:
    """What a page shows of the significance of the couplings.

    Attributes
    ----------
    nulls, pairs : int
        Alignments without couplings, and pairs that were tested.
    smallest_p, coarsest_p : float
        Smallest p that any pair can reach, and one of the smallest group of like pairs.
    levels : list of Level
    chart : Chart
        Pairs below each q.
    """

    nulls: int
    pairs: int
    smallest_p: float
    coarsest_p: float
    levels: list[Level]
    chart: figures.Chart


def significant_couplings(protein: Protein) -> Tested | None:
    """Counts of significant couplings; None where nothing was tested."""
    if protein.coupling_q is None:
        return None
    i, j, _, q = _pairs(protein)
    distance = np.full(len(q), np.nan) if protein.distance is None else protein.distance[i, j]
    levels = [_level(level, q, distance) for level in LEVELS]
    told = {name: float(protein.contacts[name]) for name in ("smallest_p", "coarsest_p")}
    return Tested(int(protein.contacts["nulls"]), len(q), **told, levels=levels, chart=_chart(q))


def _pairs(protein: Protein) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Columns, p and q of the tested pairs, best first."""
    p, q = protein.contacts["p"], protein.contacts["q"]
    i, j = np.nonzero(np.triu(np.isfinite(q), 1))
    order = np.lexsort((j, i, p[i, j]))
    i, j = i[order], j[order]
    return i, j, p[i, j], q[i, j]


def _level(level: float, q: np.ndarray, distance: np.ndarray) -> Level:
    found = distance[q <= level]
    resolved = found[np.isfinite(found)]
    return Level(level, len(found), len(resolved), int((resolved < CONTACT_DISTANCE).sum()))


def _chart(q: np.ndarray) -> figures.Chart:
    """How many pairs have a q of at most each value up to twice the largest level."""
    end = 2 * LEVELS[-1]
    across = np.linspace(0, end, 161)
    counts = np.searchsorted(np.sort(q), across, side="right")
    top = float(max(counts[-1], 1))
    return figures.Chart(
        "Couplings that stand out",
        "At a level of 0.1, one in ten of the pairs counted is expected to be chance",
        "q-value, false discovery rate",
        "pairs with at most this q",
        [(100 * tick / end, f"{tick:g}") for tick in (0, *LEVELS, end)],
        [(100 * tick / top, f"{tick:,.0f}") for tick in figures.round_ticks(top)],
        [figures.Line(figures.path(across / end, counts / top), "", "--c-blue")],
    )


def pack_significance(protein: Protein) -> dict[str, Any] | None:
    """Pairs with a q of at most 0.5, at most 10 L, with p and q; None where nothing was tested."""
    if protein.coupling_q is None:
        return None
    i, j, p, q = _pairs(protein)
    kept = min(int((q <= _SHOWN).sum()), _MOST * protein.length)
    return {
        "pairs": base64_of(pair_number(i[:kept], j[:kept], protein.length)),
        "p": base64_of(p[:kept].astype(np.float32)),
        "q": base64_of(q[:kept].astype(np.float32)),
        "above": float(q[kept]) if kept < len(q) else None,
    }
