"""Why a confident prediction may be wrong in this structure, each reason beside what chance would cover."""

from dataclasses import dataclass

import numpy as np

from report.exports import ranking
from report.methods import CONTACT_DISTANCE, MIN_SEPARATION

NEAR = 12.0  # angstrom
GAP_RICH = 0.5
GAP_REACH = 1
UNRESOLVED_REACH = 3
_LIKE = 2  # background pairs differ by at most this much in j - i


@dataclass(frozen=True)
class Reason:
    """A reason that may explain false positives.

    Attributes
    ----------
    name, text : str
        Short name, and what it means.
    count : int
        False positives that it covers.
    share, background : float
        Share of the false positives that it covers, and of non-contacts equally far apart in sequence.
    """

    name: str
    text: str
    count: int
    share: float
    background: float


@dataclass(frozen=True)
class Explained:
    """False positives among the best L pairs of a method, and their reasons.

    Attributes
    ----------
    method : str
    pairs, wrong : int
        Resolved pairs among the best L, and those of them that are no contact.
    reasons : list of Reason
        The last one is ``none of these``.
    """

    method: str
    pairs: int
    wrong: int
    reasons: list[Reason]


def reason_masks(
    distance: np.ndarray,
    resolved: np.ndarray,
    gaps: np.ndarray,
    assembly: np.ndarray | None = None,
    elsewhere: np.ndarray | None = None,
    same: np.ndarray | None = None,
    min_separation: int = MIN_SEPARATION,
) -> dict[str, tuple[str, np.ndarray]]:
    """Pairs that each reason covers.

    Parameters
    ----------
    distance : float [L, L]
        C-beta distances in angstrom, NaN where unresolved.
    resolved : bool [L]
    gaps : float [L]
        Weighted share of gaps in each column.
    assembly : float [L, L], optional
        Smallest distances over all copies of the protein in the assembly.
    elsewhere : float [L, L], optional
        Smallest distances over further structures.
    same : bool [L, L], optional
        Pairs at the same place of two internal repeats, from `report.repeats.find_repeats`.
    min_separation : int
        Smallest ``j - i`` of a contact that a pair may be taken for in a repeat.

    Returns
    -------
    dict
        Name to (meaning, bool [L, L]), in the order of display; ``assembly`` and ``elsewhere`` only with
        their distances, ``repeat`` and ``moved`` only where there are repeats.
    """
    masks = {"near": (f"closer than {NEAR:g} Å", distance < NEAR)}
    if assembly is not None:
        text = f"closer than {CONTACT_DISTANCE:g} Å to another copy of the protein in the assembly"
        masks["assembly"] = text, assembly < CONTACT_DISTANCE
    if elsewhere is not None:
        masks["elsewhere"] = "a contact in another structure of the row", elsewhere < CONTACT_DISTANCE
    if same is not None and same.any():
        masks |= _repeat_masks(same, distance, min_separation)
    rich = _widened(gaps > GAP_RICH, GAP_REACH)
    masks["gaps"] = (
        f"within {GAP_REACH} position of a column with more than {100 * GAP_RICH:.0f} % gaps",
        rich[:, None] | rich[None],
    )
    lost = _widened(~resolved, UNRESOLVED_REACH)
    masks["unresolved"] = (
        f"within {UNRESOLVED_REACH} positions of an unresolved residue",
        lost[:, None] | lost[None],
    )
    return masks


def _repeat_masks(
    same: np.ndarray, distance: np.ndarray, min_separation: int
) -> dict[str, tuple[str, np.ndarray]]:
    """Pairs that two copies of a repeat may be mixed up in: alignments can shift by a copy.

    ``repeat``: the two stand at the same place of two copies, give or take one position along the chain.
    ``moved``: with one of the two moved to its place in another copy, it is a contact.
    """
    wide = same.copy()
    wide[:, 1:] |= same[:, :-1]
    wide[:, :-1] |= same[:, 1:]
    at = np.arange(len(same))
    contact = (distance < CONTACT_DISTANCE) & (np.abs(at[:, None] - at) >= min_separation)
    moved = (same.astype(np.float32) @ contact.astype(np.float32)) > 0
    return {
        "repeat": ("at the same place of two repeats of the sequence, give or take one", wide | wide.T),
        "moved": ("a contact once one of the two is moved to another repeat", moved | moved.T),
    }


def _widened(flags: np.ndarray, reach: int) -> np.ndarray:
    """Positions at most `reach` away from a flagged one."""
    return np.convolve(flags, np.ones(2 * reach + 1), mode="same") > 0


def explained(
    method: str,
    values: np.ndarray,
    distance: np.ndarray,
    masks: dict[str, tuple[str, np.ndarray]],
    min_separation: int,
) -> Explained:
    """Reasons of the false positives among the best L pairs of a map.

    The background of a false positive is the share of all resolved non-contacts whose separation along the
    chain differs by at most 2 that the same reason covers; the mean over the false positives is given. A
    reason explains no more than its share exceeds its background.

    Parameters
    ----------
    method : str
        Name to carry along.
    values, distance : float [L, L]
        Map, and C-beta distances with NaN where unresolved.
    masks : dict
        From `reason_masks`.
    min_separation : int
        Smallest ``j - i``.
    """
    length = len(values)
    best = ranking(values, min_separation, length)
    found = distance[best.i, best.j]
    resolved = np.isfinite(found)
    wrong = resolved & (found >= CONTACT_DISTANCE)
    i, j = best.i[wrong], best.j[wrong]
    any_mask = np.zeros((length, length), bool)
    for _, mask in masks.values():
        any_mask |= mask
    table = {**masks, "none": ("none of these", ~any_mask)}
    background = _background(distance, min_separation)
    reasons = [
        _reason(name, text, mask[i, j], background(mask)[j - i]) for name, (text, mask) in table.items()
    ]
    return Explained(method, int(resolved.sum()), len(i), reasons)


def _reason(name: str, text: str, covered: np.ndarray, chance: np.ndarray) -> Reason:
    known = chance[np.isfinite(chance)]
    return Reason(
        name,
        text,
        int(covered.sum()),
        float(covered.mean()) if len(covered) else float("nan"),
        float(known.mean()) if len(known) else float("nan"),
    )


def _background(distance: np.ndarray, min_separation: int):
    """Function from a mask to its share among non-contacts, by separation."""
    length = len(distance)
    i, j = np.triu_indices(length, min_separation)
    apart = distance[i, j] >= CONTACT_DISTANCE  # False for NaN
    i, j = i[apart], j[apart]
    window = np.ones(2 * _LIKE + 1)
    total = np.convolve(np.bincount(j - i, minlength=length).astype(float), window, mode="same")

    def share(mask: np.ndarray) -> np.ndarray:
        inside = np.bincount(j - i, mask[i, j].astype(float), minlength=length)
        with np.errstate(invalid="ignore"):
            return np.convolve(inside, window, mode="same") / np.where(total > 0, total, np.nan)

    return share
