"""Protein chains from PDB and mmCIF files: one point per residue, missing ones marked.

The point is C-beta (C-alpha for glycine), as contact definitions of the field have it.
"""

import contextlib
import gzip
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import gemmi
import numpy as np

from data.errors import StructureError
from data.models import (
    EXPERIMENT,
    IF_MODEL,
    MODEL,
    claims_to_be_model,
    local_confidence,
    mark_as_model,
    may_be_model,
)
from data.numbering import UniProtNumbers, uniprot_numbers
from data.store import atomic_path, sha256
from data.structure_file import entity_of, is_amino_acid, parse_structure, revision_of

log = logging.getLogger(__name__)

_AMINO_ACIDS = frozenset("ACDEFGHIKLMNPQRSTVWY")
_PEPTIDES = {gemmi.PolymerType.PeptideL, gemmi.PolymerType.PeptideD}


@dataclass(frozen=True)
class Chain:
    """One protein chain.

    Attributes
    ----------
    name : str
        Author chain name.
    sequence : str [R]
        Full sequence (SEQRES, ``_entity_poly_seq``) where the file has it, else the observed one.
        Modified residues have their parent's letter (MSE: M), unknown ones X.
    residue : list of str [R]
        Author number with insertion code (``57A``), empty where the residue is not in the model.
    position : float32 [R, 3]
        C-beta (C-alpha for glycine) in angstrom, NaN where it is missing.
    source : str
        Path of the file.
    entry : str
        Entry code of the file's header, else the file's name without endings.
    notes : list of str
        What a person should know: how the chain was found, what is missing, what stood in.
    label : str
        Label name (``_atom_site.label_asym_id``).
    entity : str
        Entity of the file that the chain is a copy of.
    model : bool
        Whether this is a predicted model, not an experiment.
    plddt : float32 [R] or None
        Confidence of a predicted model's residues, 0 to 100, NaN where none is given.
    uniprot : UniProtNumbers or None
        Number of each residue in UniProt, where the file tells.
    """

    name: str
    sequence: str
    residue: list[str]
    position: np.ndarray
    source: str
    entry: str
    notes: list[str] = field(default_factory=list)
    label: str = ""
    entity: str = ""
    model: bool = False
    plddt: np.ndarray | None = None
    uniprot: UniProtNumbers | None = None

    @property
    def resolved(self) -> np.ndarray:
        """Which residues have a point, bool [R]."""
        return ~np.isnan(self.position).any(axis=1)


def read_chain(path: str | Path, chain: str = "", model: int | None = None) -> Chain:
    """Read one protein chain.

    Altlocs and residues of two kinds in one place: the atom of highest occupancy counts, over all
    conformers. Ligands, waters and other chains are ignored. A residue other than glycine without
    C-beta is unresolved; a glycine without C-alpha takes its C-beta (files that hold C-beta alone).

    Parameters
    ----------
    path : path
        PDB or mmCIF, plain or gzip, found from the content.
    chain : str
        Author chain name; in mmCIF the label name is accepted too (with a note). ``auth=A`` and
        ``label=A`` say which of the two is meant. Empty: the first protein chain.
    model : int
        Model number as the file has it; the first model by default.

    Raises
    ------
    StructureError
        The file is missing, damaged, in no known format or without protein; the model or chain is not
        there; the chain has C-alpha atoms only, or no residue with the atom that is needed.
    """
    structure, block, _ = parse_structure(path)
    chosen = _model(structure, model, path)
    name, residues, notes = _pick(_peptides(chosen), chain, block is not None, path)
    if len(structure) > 1:
        notes.append(f"model {chosen.num} of {len(structure)}")
    return _chain(structure, block, (name, residues, notes), path)


def read_chains(path: str | Path) -> list[Chain]:
    """All protein chains of the first model that `read_chain` would read, in the order of the file."""
    structure, block, _ = parse_structure(path)
    found = []
    for name, _, residues in _peptides(structure[0]):
        with contextlib.suppress(StructureError):  # C-alpha atoms only: no chain to measure on
            found.append(_chain(structure, block, (name, residues, []), path))
    return found


def _chain(
    structure: gemmi.Structure,
    block: gemmi.cif.Block | None,
    picked: tuple[str, list[gemmi.Residue], list[str]],
    path: str | Path,
) -> Chain:
    """The chain of these residues."""
    name, residues, notes = picked
    _require_numbers(residues, name, path)
    sites = [_Site(group) for group in _groups(residues)]
    _refuse_alpha_only(sites, name, path)
    sequence, slots = _sequence(structure, residues, sites, notes)
    labels = [""] * len(sequence)
    position = np.full((len(sequence), 3), np.nan, dtype=np.float32)
    b_factor = np.full(len(sequence), np.nan, dtype=np.float32)
    for slot, site in zip(slots, sites, strict=True):
        labels[slot] = site.label
        position[slot], b_factor[slot] = site.position, site.b_factor
    places = range(1, len(sequence) + 1)  # in the numbers of label_seq_id
    if len(slots) == len(sequence):
        places = [site.residue.label_seq or 0 for site in sites]  # type: ignore[assignment]
    subchain = residues[0].subchain
    entity = entity_of(structure, subchain)
    model = claims_to_be_model(structure, block)
    if not model and may_be_model(structure, residues):
        notes.append("no method is told, and B factors are as those of predicted models: " + IF_MODEL)
    result = Chain(
        name,
        sequence,
        labels,
        position,
        str(path),
        _entry(structure, path),
        notes,
        label=subchain,
        entity=entity.name if entity else "",
        model=model,
        plddt=local_confidence(block, subchain, places, b_factor) if model else None,
        uniprot=uniprot_numbers(block, subchain, name, places) if block else None,
    )
    _note_gaps(result, sites)
    return result


def _model(structure: gemmi.Structure, number: int | None, path: str | Path) -> gemmi.Model:
    for model in structure:
        if number is None or model.num == number:
            return model
    raise StructureError(
        "no such model",
        file=path,
        value=number,
        remedy=f"models there: {', '.join(str(model.num) for model in structure)}",
    )


def _peptides(model: gemmi.Model) -> list[tuple[str, str, list[gemmi.Residue]]]:
    """Author name, label name and residues of each protein chain, in the order of the file."""
    found = []
    for chain in model:
        polymer = chain.get_polymer()
        residues = list(polymer)
        if residues and polymer.check_polymer_type() in _PEPTIDES:
            found.append((chain.name, polymer.subchain_id(), residues))
        elif not residues and all(is_amino_acid(residue) for residue in chain) and len(chain):
            found.append((chain.name, chain[0].subchain, list(chain)))
    return found


def _pick(
    peptides: list[tuple[str, str, list[gemmi.Residue]]], chain: str, mmcif: bool, path: str | Path
) -> tuple[str, list[gemmi.Residue], list[str]]:
    """Author name, residues and notes of the chain that is asked for."""
    if not peptides:
        raise StructureError("no protein chain", file=path, remedy="give a structure of a protein")
    if not chain:
        name, _, residues = peptides[0]
        return name, residues, [f"chain {name}: the first protein chain"] if len(peptides) > 1 else []
    kind, wanted = chain_name(chain)
    for name, _, residues in peptides:
        if kind != "label" and name == wanted:
            return name, residues, []
    for name, label, residues in peptides:
        if kind != "auth" and mmcif and label == wanted:
            return name, residues, [f"chain {wanted} is the label name of author chain {name}"]
    there = [f"{name} (label {label})" if mmcif and label != name else name for name, label, _ in peptides]
    raise StructureError(
        "no such protein chain",
        file=path,
        value=chain,
        remedy=f"protein chains there: {', '.join(there)}",
    )


def chain_name(chain: str) -> tuple[str, str]:
    """Kind (``auth``, ``label``, or empty where nobody said) and name of a chain, of ``label=A``."""
    kind, equals, name = chain.partition("=")
    return (kind, name) if equals and kind in ("auth", "label") else ("", chain)


def _require_numbers(residues: list[gemmi.Residue], name: str, path: str | Path) -> None:
    """A residue without an author number takes its place in the sequence; without either it has no name."""
    last = 0
    for place, residue in enumerate(residues, 1):
        follows = residue.label_seq is not None and residue.label_seq > last
        last = residue.label_seq or last
        if residue.seqid.num is None and not follows:
            raise StructureError(
                "a residue without a number",
                file=path,
                place=f"chain {name}, residue {place} of the file",
                value=residue.name,
                remedy="number the residues",
            )
        if residue.seqid.num is None:
            residue.seqid.num = residue.label_seq


def _groups(residues: list[gemmi.Residue]) -> Iterator[list[gemmi.Residue]]:
    """Residues that share a place (number and insertion code): more than one is a mixture."""
    for _, group in groupby(residues, key=lambda residue: str(residue.seqid)):
        yield list(group)


class _Site:
    """The residue that stands for a place of the chain, and its point."""

    def __init__(self, group: list[gemmi.Residue]):
        candidates = [(atom, residue) for residue in group for atom in _points(residue)]
        atom, residue = max(candidates, key=lambda pair: pair[0].occ, default=(None, group[0]))
        self.residue = residue
        self.letter = _letter(residue.name)
        self.label = f"{residue.seqid.num}{residue.seqid.icode.strip()}"
        self.position = np.array(atom.pos.tolist() if atom else [np.nan] * 3, dtype=np.float32)
        self.b_factor = atom.b_iso if atom else np.nan
        self.stand_in = atom is not None and self.letter == "G" and atom.name == "CB"
        self.alpha_only = self.letter != "G" and atom is None and "CA" in residue


def _points(residue: gemmi.Residue) -> list[gemmi.Atom]:
    """Atoms that may stand for a residue: all conformers of its C-beta, or of C-alpha in glycine."""
    names = ("CA", "CB") if _letter(residue.name) == "G" else ("CB",)
    for name in names:
        atoms = [atom for atom in residue if atom.name == name]
        if atoms:
            return atoms
    return []


def _letter(name: str) -> str:
    """One-letter code of a residue name, that of the parent for a modified residue, else X."""
    letter = gemmi.find_tabulated_residue(name).one_letter_code.upper()
    return letter if letter in _AMINO_ACIDS else "X"


def _refuse_alpha_only(sites: list[_Site], name: str, path: str | Path) -> None:
    if any(not np.isnan(site.position).any() for site in sites if site.letter != "G"):
        return
    if any(site.alpha_only for site in sites):
        problem, remedy = "the chain has C-alpha atoms only", "give a model with side chains (C-beta)"
    elif all(np.isnan(site.position).any() for site in sites):
        problem, remedy = "no residue of the chain has a C-beta (or C-alpha in glycine)", "give another model"
    else:
        return
    raise StructureError(
        problem, file=path, place=f"chain {name}", value=f"{len(sites)} residues", remedy=remedy
    )


def _sequence(
    structure: gemmi.Structure, residues: list[gemmi.Residue], sites: list[_Site], notes: list[str]
) -> tuple[str, list[int]]:
    """Sequence of the chain and the place of each site in it."""
    full = _full_sequence(structure, residues[0].subchain)
    slots = [site.residue.label_seq - 1 if site.residue.label_seq else -1 for site in sites]
    fits = bool(full) and slots == sorted(set(slots)) and slots[0] >= 0 and slots[-1] < len(full)
    if not fits:
        if full:
            notes.append("the sequence in the header does not fit the model: observed residues used")
        return "".join(site.letter for site in sites), list(range(len(sites)))
    letters = [_letter(gemmi.Entity.first_mon(name)) for name in full]
    for slot, site in zip(slots, sites, strict=True):
        letters[slot] = site.letter
    return "".join(letters), slots


def _full_sequence(structure: gemmi.Structure, subchain: str) -> list[str]:
    entity = entity_of(structure, subchain)
    return list(entity.full_sequence) if entity else []


def _entry(structure: gemmi.Structure, path: str | Path) -> str:
    """Entry code of the header, else the name of the file without its endings."""
    code = structure.info["_entry.id"] if "_entry.id" in structure.info else ""  # noqa: SIM401 no .get()
    return code.strip() or Path(path).name.split(".")[0]


def _note_gaps(chain: Chain, sites: list[_Site]) -> None:
    """Add counts of what is missing or stands in for something else to the chain's notes."""
    missing = chain.residue.count("")
    no_beta = sum(site.alpha_only for site in sites)
    stand_ins = sum(site.stand_in for site in sites)
    unknown = sum(site.letter == "X" for site in sites)
    counts = [
        (missing, "residues of the sequence are not in the model"),
        (no_beta, "residues without C-beta are unresolved"),
        (stand_ins, "glycines have C-beta alone, taken in place of C-alpha"),
        (unknown, "residues of unknown kind"),
    ]
    chain.notes.extend(f"{count} {text}" for count, text in counts if count)


def write_mmcif(source_path: str | Path, out_path: str | Path, model: bool = False) -> dict:
    """Write a structure as gzip mmCIF in one step; mmCIF is kept as it is, PDB is converted.

    Parameters
    ----------
    source_path, out_path : path
    model : bool
        Say in the file that it holds a predicted model, if it does not say so itself.

    Returns
    -------
    dict
        ``format`` of the source (``pdb`` or ``mmcif``), ``entry``, ``models``, ``chains`` (author names
        of protein chains), ``kind`` (``experiment`` or ``model``), ``revision`` where the PDB tells one,
        and ``sha256`` of the source.

    Raises
    ------
    StructureError
        As `read_chain` for the file as a whole.
    """
    structure, block, text = parse_structure(source_path)
    entry = _entry(structure, source_path)
    peptides = _peptides(structure[0])
    if not peptides:
        raise StructureError("no protein chain", file=source_path, remedy="give a structure of a protein")
    claims = claims_to_be_model(structure, block)
    report = {"format": "pdb" if block is None else "mmcif", "entry": entry, "models": len(structure)}
    if revision := revision_of(block):
        report["revision"] = revision
    if block is None:
        structure.name = entry
        text = structure.make_mmcif_document().as_string()
    if model and not claims:
        document = gemmi.cif.read_string(text)
        mark_as_model(next(part for part in document if part.find_values("_atom_site.Cartn_x")))
        text = document.as_string()
    with atomic_path(out_path) as temporary:
        temporary.write_bytes(gzip.compress(text.encode("latin-1"), mtime=0))
    chains = [name for name, _, _ in peptides]
    kind = MODEL if model or claims else EXPERIMENT
    return report | {"chains": chains, "kind": kind, "sha256": sha256(source_path)}
