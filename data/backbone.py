"""What a picture of a chain needs over the columns of a query: its backbone and secondary structure.

Residues are found by the author numbers that ``truth.npz`` names, so that all pictures and the scores speak
of the same atoms.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_letters

import gemmi
import numpy as np

from data.errors import StructureError
from data.structure import _groups, _letter, _peptides, _pick, _Site
from data.structure_file import parse_structure

ATOMS = ("N", "CA", "C", "O", "CB")
_MAIN = ATOMS[:4]
_PEPTIDE_BOND = 2.5  # angstrom; DSSP's own limit from C to the next N, beyond it the chain is broken


@dataclass(frozen=True)
class Backbone:
    """Atoms of a chain over the columns of a query.

    Attributes
    ----------
    atoms : float32 [L, 5, 3]
        N, CA, C, O, CB in angstrom, NaN where the model has none.
    secondary : str [L]
        ``H`` helix, ``E`` strand, ``C`` neither, empty where the backbone is not complete.
    letters : str [L]
        Residues as the structure has them, X for unknown ones, empty where unresolved: a query may differ
        from them, and a glycine is measured from C-alpha whatever the query has in its place.
    """

    atoms: np.ndarray
    secondary: np.ndarray
    letters: np.ndarray


def read_backbone(path: str | Path, chain: str, residue: Sequence[str]) -> Backbone:
    """Read what a report draws of a chain.

    Parameters
    ----------
    path : path
        PDB or mmCIF, plain or gzip.
    chain : str
        Author chain name, as in `data.contacts.Truth`.
    residue : list of str [L]
        Author numbers with insertion code, empty where unresolved.

    Raises
    ------
    StructureError
        The file cannot be read or lacks the chain, or none of the residues is in it.
    """
    structure, block, _ = parse_structure(path)
    _, residues, _ = _pick(_peptides(structure[0]), chain, block is not None, path)
    groups = {_label(group[0]): group for group in _groups(residues)}
    if not any(label in groups for label in residue if label):
        raise StructureError(
            "no residue of the query is in the chain",
            file=path,
            place=f"chain {chain}",
            remedy="delete truth.npz and run again",
        )
    codes = dict(zip(groups, _secondary(list(groups.values())), strict=True))
    found = [groups.get(label, []) if label else [] for label in residue]
    atoms = np.stack([_atoms(group) for group in found])
    letters = np.array([_letter(_Site(group).residue.name) if group else "" for group in found])
    secondary = np.array([codes.get(label, "") if label else "" for label in residue])
    return Backbone(atoms.astype(np.float32), secondary, letters)


def measured_atoms(backbone: Backbone) -> list[str]:
    """Name of the atom that distances of each residue are measured from: C-alpha of glycine, else C-beta.

    A glycine without C-alpha has its C-beta counted (files that hold C-beta alone).
    """
    alpha = np.isfinite(backbone.atoms[:, ATOMS.index("CA")]).all(-1)
    return [
        "CA" if letter == "G" and there else "CB"
        for letter, there in zip(backbone.letters, alpha, strict=True)
    ]


def measured_points(backbone: Backbone) -> np.ndarray:
    """Points that distances are measured from, float [L, 3]: those of `measured_atoms`."""
    names = measured_atoms(backbone)
    return backbone.atoms[np.arange(len(names)), [ATOMS.index(name) for name in names]]


def _label(residue: gemmi.Residue) -> str:
    return f"{residue.seqid.num}{residue.seqid.icode.strip()}"


def _atoms(group: list[gemmi.Residue]) -> np.ndarray:
    """Best-occupied atom of each kind, float64 [5, 3]."""
    found = np.full((len(ATOMS), 3), np.nan)
    for k, name in enumerate(ATOMS):
        candidates = [atom for residue in group for atom in residue if atom.name == name]
        if candidates:
            found[k] = max(candidates, key=lambda atom: atom.occ).pos.tolist()
    return found


def _secondary(groups: list[list[gemmi.Residue]]) -> list[str]:
    """Secondary structure of a chain's residues by DSSP, empty where the backbone is not complete.

    The assignment is mdtraj's, an implementation of Kabsch and Sander (1983), reduced to three kinds:
    its helices H, G, I and its strands E and B. Where the chain is broken a new chain begins for DSSP.
    """
    from mdtraj.core.element import carbon, nitrogen, oxygen
    from mdtraj.core.topology import Topology
    from mdtraj.core.trajectory import Trajectory
    from mdtraj.geometry.dssp import compute_dssp

    elements = dict(zip(_MAIN, (nitrogen, carbon, carbon, oxygen), strict=True))
    topology, points, whole = Topology(), [], []
    part, last = None, None
    for k, group in enumerate(groups):
        atoms = _atoms(group)[: len(_MAIN)]
        if np.isnan(atoms).any():
            last = None
            continue
        if part is None or last is None or np.linalg.norm(atoms[0] - last) > _PEPTIDE_BOND:
            part = topology.add_chain()
        added = topology.add_residue(group[0].name, part)
        for name in _MAIN:
            topology.add_atom(name, elements[name], added)
        points.append(atoms)
        whole.append(k)
        last = atoms[2]
    codes = [""] * len(groups)
    if whole:
        trajectory = Trajectory(np.concatenate(points)[None] / 10, topology)  # nanometres
        for k, code in zip(whole, compute_dssp(trajectory, simplified=True)[0], strict=True):
            codes[k] = str(code)
    return codes


def chain_pdb(backbone: Backbone, residue: Sequence[str]) -> str:
    """Backbone and C-beta as a PDB file, chain A, residues named and numbered as in the structure.

    Parameters
    ----------
    backbone : Backbone
    residue : list of str [L]
        Author numbers, empty where unresolved.
    """
    structure = gemmi.Structure()
    structure.add_model(gemmi.Model(1))
    chain = gemmi.Chain("A")
    for letter, points, label in zip(backbone.letters, backbone.atoms, residue, strict=True):
        if not label or np.isnan(points).all():
            continue
        made = gemmi.Residue()
        made.name = gemmi.expand_one_letter(str(letter), gemmi.ResidueKind.AA) or "UNK"
        made.seqid = _seqid(label)
        made.entity_type = gemmi.EntityType.Polymer
        for name, point in zip(ATOMS, points, strict=True):
            if np.isfinite(point).all():
                made.add_atom(_atom(name, point))
        chain.add_residue(made)
    structure[0].add_chain(chain)
    return structure.make_pdb_string()


def _seqid(label: str) -> gemmi.SeqId:
    """Number and insertion code of a label; gemmi's own reading makes the code lower case."""
    number = label.rstrip(ascii_letters)
    return gemmi.SeqId(int(number), label[len(number) :] or " ")


def _atom(name: str, point: np.ndarray) -> gemmi.Atom:
    atom = gemmi.Atom()
    atom.name, atom.element = name, gemmi.Element(name[0])
    atom.pos = gemmi.Position(*map(float, point))
    return atom
