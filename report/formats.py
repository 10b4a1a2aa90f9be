"""Contacts for the programs that people go on with: matrices, viewers, folding.

Every writer lists pairs best first and says in its docstring which numbering it uses.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data import store
from report.exports import Ranking
from report.methods import CONTACT_DISTANCE

EV_COLUMNS = ("i", "A_i", "j", "A_j", "fn", "cn")
# Okabe and Ito's palette
COLOURS = {
    "contact": "#0072b2", "copy": "#009e73", "near": "#e69f00", "wrong": "#d55e00", "unknown": "#7b858f"
}  # fmt: skip
_LOWEST = 3.5  # angstrom: C-beta atoms of a contact are hardly ever closer
PYMOL_OBJECT = "covarion_chain"  # "chain" and "near" are words of PyMOL's selection language


def write_evcouplings(
    query: str, corrected: np.ndarray, raw: np.ndarray, path: str | Path, first_index: int = 1
) -> None:
    """Write all pairs as EVcouplings' table of couplings: ``i,A_i,j,A_j,fn,cn`` by falling ``cn``.

    Parameters
    ----------
    query : str
    corrected, raw : float [L, L]
        Score with and without average product correction (``cn`` and ``fn``).
    path : path
    first_index : int
        Number of the first residue; ``i`` and ``j`` are in the query's numbering.
    """
    i, j = np.triu_indices(len(query), 1)
    order = np.argsort(-corrected[i, j], kind="stable")
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(EV_COLUMNS)
    for a, b in zip(i[order], j[order], strict=True):
        row = [a + first_index, query[a], b + first_index, query[b]]
        table.writerow([*row, f"{raw[a, b]:.6g}", f"{corrected[a, b]:.6g}"])
    store.save_text(path, text.getvalue())


def write_matrix(values: np.ndarray, path: str | Path) -> None:
    """Write a map as L lines of L numbers, the matrix of CCMpred that ConKit reads as ``ccmpred``."""
    lines = [" ".join(f"{value:.6g}" for value in row) for row in values]
    store.save_text(path, "\n".join(lines) + "\n")


def write_restraints(query: str, pairs: Ranking, path: str | Path) -> None:
    """Write distance restraints as CNS and Xplor read them: C-beta (C-alpha of glycine) from 3.5 to 8 Å.

    Residues are numbered from 1 along the query, as a model that is folded from it will be.
    """
    atom = ["ca" if letter == "G" else "cb" for letter in query]
    target, below, above = _LOWEST + 0.1, 0.1, CONTACT_DISTANCE - _LOWEST - 0.1
    lines = [
        f"assign (resid {i + 1} and name {atom[i]}) (resid {j + 1} and name {atom[j]}) "
        f"{target:.2f} {below:.2f} {above:.2f}"
        for i, j in zip(pairs.i, pairs.j, strict=True)
    ]
    store.save_text(path, "\n".join([*lines, ""]))


def write_alphalink(pairs: Ranking, path: str | Path) -> None:
    """Write AlphaLink's table ``residueFrom residueTo FDR``, without a head, residues counted from 1.

    The false discovery rate is ``1 - p``: `pairs` must hold calibrated probabilities.
    """
    lines = [f"{i + 1} {j + 1} {1 - p:.4f}" for i, j, p in zip(pairs.i, pairs.j, pairs.score, strict=True)]
    store.save_text(path, "\n".join([*lines, ""]))


def pair_kinds(
    pairs: Ranking, distance: np.ndarray, near: float, assembly: np.ndarray | None = None
) -> list[str]:
    """What each pair is, a key of `COLOURS`; ``copy`` is a contact with another copy in the assembly.

    Parameters
    ----------
    pairs : Ranking
    distance : float [L, L]
        C-beta distances in the chain, angstrom, NaN where unknown.
    near : float
        Pairs closer than this are ``near``, angstrom.
    assembly : float [L, L], optional
        Smallest distances over all copies of the chain.
    """
    found = distance[pairs.i, pairs.j]
    copy = np.zeros(len(found), bool) if assembly is None else assembly[pairs.i, pairs.j] < CONTACT_DISTANCE
    kinds = np.select(
        [~np.isfinite(found), found < CONTACT_DISTANCE, copy, found < near],
        ["unknown", "contact", "copy", "near"],
        "wrong",
    )
    return [str(kind) for kind in kinds]


def write_pymol(
    atoms: Sequence[str],
    pairs: Ranking,
    kinds: Sequence[str],
    residue: Sequence[str],
    path: str | Path,
    structure: str = "chain.pdb",
) -> None:
    """Write a PyMOL script that draws the pairs as dashes on a structure, coloured by what they are.

    Parameters
    ----------
    atoms : list of str [L]
        From `data.backbone.measured_atoms`.
    pairs : Ranking
    kinds : list of str
        A key of `COLOURS` for each pair.
    residue : list of str [L]
        Numbers of the structure; pairs of residues without one are left out.
    path : path
    structure : str
        File beside the script; the chain in it is A.
    """
    lines = [
        f"load {structure}, {PYMOL_OBJECT}",
        f"hide everything, {PYMOL_OBJECT}",
        f"show cartoon, {PYMOL_OBJECT}",
        f"show sticks, {PYMOL_OBJECT} and name CA+CB",  # the dashes end at C-beta, off the ribbon
        f"set stick_radius, 0.1, {PYMOL_OBJECT}",
        f"color grey80, {PYMOL_OBJECT}",
    ]
    used = []
    for i, j, kind in zip(pairs.i, pairs.j, kinds, strict=True):
        if residue[i] and residue[j]:
            ends = [f"/{PYMOL_OBJECT}//A/{_escaped(residue[k])}/{atoms[k]}" for k in (i, j)]
            lines.append(f"distance pairs_{kind}, {ends[0]}, {ends[1]}")
            used.append(kind)
    for kind in dict.fromkeys(used):
        red, green, blue = (int(COLOURS[kind][k : k + 2], 16) / 255 for k in (1, 3, 5))
        lines.append(f"set_color covarion_{kind}, [{red:.3f}, {green:.3f}, {blue:.3f}]")
        lines.append(f"color covarion_{kind}, pairs_{kind}")
        lines.append(f"hide labels, pairs_{kind}")
    lines += ["set dash_radius, 0.12", "set dash_gap, 0.25", f"orient {PYMOL_OBJECT}"]
    store.save_text(path, "\n".join([*lines, ""]))


def _escaped(number: str) -> str:
    """A residue number as PyMOL's selections take it: a minus sign would mean a range."""
    return number.replace("-", "\\-")


def write_chimerax(
    atoms: Sequence[str],
    pairs: Ranking,
    kinds: Sequence[str],
    residue: Sequence[str],
    path: str | Path,
    structure: str = "chain.pdb",
) -> None:
    """Write a ChimeraX script and beside it the pseudobond file (``.pb``) that it opens.

    ChimeraX draws a pseudobond only where both of its atoms are drawn (its manual, Pseudobonds), so C-alpha
    and C-beta atoms are shown beside the ribbon. Parameters are those of `write_pymol`.
    """
    bonds = ["; radius = 0.12", "; dashes = 9"]
    for i, j, kind in zip(pairs.i, pairs.j, kinds, strict=True):
        if residue[i] and residue[j]:
            ends = [f"/A:{residue[k]}@{atoms[k]}" for k in (i, j)]
            bonds.append(f"{ends[0]} {ends[1]} {COLOURS[kind]}")
    bond_path = Path(path).with_suffix(".pb")
    store.save_text(bond_path, "\n".join([*bonds, ""]))
    lines = [
        f"open {structure}",
        "hide atoms",
        "show cartoons",
        "show @CA,CB atoms",
        "style stick",
        "color lightgray",
        f'open "{bond_path.name}"',
        "view",
    ]
    store.save_text(path, "\n".join([*lines, ""]))
