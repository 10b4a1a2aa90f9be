"""Which files a protein's folder of exports holds."""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from data import store
from data.backbone import chain_pdb, measured_atoms
from report import formats
from report.evidence import profile
from report.explain import NEAR
from report.exports import ranking, write_csv, write_rr
from report.methods import best_method
from report.payload import Protein


def write_exports(protein: Protein, folder: Path) -> list[Path]:
    """Write all exports of a protein; returns their paths.

    Every method: ``METHOD.rr`` and ``METHOD.csv`` with its best 3 L pairs. The method that the page opens
    with and the best couplings: the whole map (``.mat``, for couplings ``.evcouplings.csv``), restraints of
    the best L pairs (``.tbl``; from probabilities also ``.alphalink.txt``), and with a structure scripts that
    draw these (``.pml``, ``.cxc`` with ``.pb``) on ``chain.pdb``. ``everything.npz`` holds all arrays.
    """
    written = []
    for name in protein.maps:
        written += _lists(protein, name, folder)
    if protein.backbone is not None:
        written.append(folder / "chain.pdb")
        store.save_text(written[-1], chain_pdb(protein.backbone, protein.residue))
    for name in leading_methods(protein):
        written += _for_programs(protein, name, folder)
    written.append(folder / "everything.npz")
    store.save_arrays(written[-1], **everything(protein))
    return written


def leading_methods(protein: Protein) -> list[str]:
    """The method that the page opens with, then the best couplings behind it."""
    plain = [name for name in protein.maps if name not in protein.refined]
    return list(dict.fromkeys([protein.best, *([best_method(plain)] if plain else [])]))


def _file(folder: Path, name: str, ending: str) -> Path:
    return folder / (re.sub(r"[^\w.+-]", "_", name) + ending)


def _lists(protein: Protein, name: str, folder: Path) -> list[Path]:
    paths = [_file(folder, name, ".rr"), _file(folder, name, ".csv")]
    values = protein.maps[name]
    kind = "probability" if name in protein.refined else "score"
    shared: dict[str, Any] = {
        "first_index": protein.first_index,
        "min_separation": protein.min_separation,
        "uniprot": protein.truth.get("uniprot"),
    }
    accession = str(protein.truth.get("accession", ""))
    write_rr(
        protein.query, values, paths[0], name, kind=kind, target=protein.name, accession=accession, **shared
    )
    write_csv(
        protein.query,
        values,
        paths[1],
        probability=values if name in protein.refined else protein.probability,
        residue=protein.truth.get("residue"),
        distance=protein.distance,
        coupling=(protein.contacts.get("p"), protein.contacts.get("q")),
        top=3 * protein.length,
        **shared,
    )
    return paths


def _for_programs(protein: Protein, name: str, folder: Path) -> list[Path]:
    values = protein.maps[name]
    best = ranking(values, protein.min_separation, protein.length)
    paths = [_file(folder, name, ".mat"), _file(folder, name, ".tbl")]
    formats.write_matrix(values, paths[0])
    formats.write_restraints(protein.query, best, paths[1])
    if name in protein.raw:
        paths.append(_file(folder, name, ".evcouplings.csv"))
        formats.write_evcouplings(protein.query, values, protein.raw[name], paths[-1], protein.first_index)
    if name in protein.refined:
        paths.append(_file(folder, name, ".alphalink.txt"))
        formats.write_alphalink(best, paths[-1])
    if protein.backbone is not None and protein.distance is not None:
        kinds = formats.pair_kinds(best, protein.distance, NEAR, protein.truth.get("assembly_distance"))
        atoms = measured_atoms(protein.backbone)
        for ending, write in ((".pml", formats.write_pymol), (".cxc", formats.write_chimerax)):
            paths.append(_file(folder, name, ending))
            write(atoms, best, kinds, protein.residue, paths[-1])
        paths.append(_file(folder, name, ".pb"))
    return paths


def everything(protein: Protein) -> dict[str, np.ndarray]:
    """All arrays of a page under one roof.

    Maps are named ``map_METHOD``, before average product correction ``raw_METHOD``, the truth ``true_...``.
    """
    shares, gaps = profile(protein.tokens, protein.weights)
    arrays: dict[str, np.ndarray] = {
        "query": np.array(protein.query),
        "first_index": np.array(protein.first_index, np.int32),
        "columns": protein.columns,
        "weights": np.asarray(protein.weights, np.float32),
        "profile": shares.astype(np.float32),
        "gaps": gaps.astype(np.float32),
    }
    arrays |= {f"map_{name}": np.asarray(values, np.float32) for name, values in protein.maps.items()}
    arrays |= {f"raw_{name}": np.asarray(values, np.float32) for name, values in protein.raw.items()}
    arrays |= {
        f"true_{name}": protein.truth[name] for name in ("distance", "resolved", "residue") if protein.truth
    }
    arrays |= {
        f"homology_{name}": refined["homology"]
        for name, refined in protein.refined.items()
        if "homology" in refined
    }
    arrays |= {
        f"coupling_{name}": protein.contacts[name]
        for name in ("p", "q", "smallest_p", "coarsest_p", "nulls")
        if name in protein.contacts
    }
    if "assembly_distance" in protein.truth:
        arrays["true_assembly_distance"] = protein.truth["assembly_distance"]
    if protein.backbone is not None:
        arrays |= {"atoms": protein.backbone.atoms, "secondary": protein.backbone.secondary}
    return arrays


# ending: which group of downloads it belongs to
_GROUPS = {
    "Contacts as tables": ((".rr", ".csv"), "The best pairs of each method; .rr is CASP's contact format."),
    "For other programs": (
        (".evcouplings.csv", ".mat", ".tbl", ".alphalink.txt"),
        "EVcouplings' table of couplings, the whole map as CCMpred's matrix (ConKit reads it), distance "
        "restraints for CNS or Xplor, AlphaLink's table of restraints (1 minus the probability as false "
        "discovery rate).",
    ),
    "Molecular viewers": (
        (".pml", ".cxc", ".pb", ".pdb"),
        "PyMOL and ChimeraX scripts that draw the best L pairs on chain.pdb: contacts in blue, contacts with "
        "another copy of the chain in green, pairs of 8 to 12 Å in yellow, pairs further apart in orange.",
    ),
    "Everything": ((".npz",), "All arrays of this page for numpy."),
}


def downloads(exports: list[str | Path] | None, out: Path) -> list[dict[str, Any]]:
    """Groups of files to link to, with addresses relative to the page.

    Parameters
    ----------
    exports : list of path, optional
        By default the ``.rr`` and ``.csv`` files beside the page.
    out : path
        The page.
    """
    if exports is None:
        exports = sorted([*out.parent.glob("*.rr"), *out.parent.glob("*.csv")])
    groups: dict[str, list[dict[str, str]]] = {title: [] for title in _GROUPS}
    for path in exports:
        entry = {"href": quote(os.path.relpath(path, out.parent)), "name": Path(path).name}
        groups[_group(entry["name"])].append(entry)
    return [
        {"title": title, "text": _GROUPS[title][1], "files": files}
        for title, files in groups.items()
        if files
    ]


def _group(name: str) -> str:
    """Group of the longest ending that fits a file's name; the last group for any other."""
    fits = [(len(end), title) for title, (ends, _) in _GROUPS.items() for end in ends if name.endswith(end)]
    return max(fits)[1] if fits else next(reversed(_GROUPS))
