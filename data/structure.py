"""Protein chains from PDB and mmCIF files: one point per residue, missing ones marked.

The point is C-beta (C-alpha for glycine), as contact definitions of the field have it.
"""

import gzip
import logging
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import gemmi
import numpy as np

from data.errors import StructureError
from data.header_places import place_by_numbers
from data.limits import LARGEST_STRUCTURE, memory_bound, open_bytes
from data.store import atomic_path, sha256

log = logging.getLogger(__name__)

_FIRST_WORD = re.compile(r"(?:\s++|#[^\n]*+\n)*+data_", re.IGNORECASE)
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
    """

    name: str
    sequence: str
    residue: list[str]
    position: np.ndarray
    source: str
    entry: str
    notes: list[str] = field(default_factory=list)

    @property
    def resolved(self) -> np.ndarray:
        """Which residues have a point, bool [R]."""
        return ~np.isnan(self.position).any(axis=1)


def _read_bytes(path: str | Path) -> bytes:
    try:
        with open_bytes(path, StructureError, LARGEST_STRUCTURE) as stream:
            return stream.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise StructureError(
            "the compressed data is damaged or cut off", file=path, value=error, remedy="get the file again"
        ) from error
    except OSError as error:
        raise StructureError(
            "cannot be read", file=path, value=error.strerror or error, remedy="check the path"
        ) from error


def _is_mmcif(text: str) -> bool:
    """Whether text is mmCIF: its first word that is not a comment opens a data block."""
    return _FIRST_WORD.match(text) is not None


def _parse(path: str | Path) -> tuple[gemmi.Structure, bool, str]:
    """Structure with entities and sequence numbers set, whether it came as mmCIF, and the text."""
    with memory_bound(path, StructureError):
        text = _read_bytes(path).decode("latin-1")
        mmcif = _is_mmcif(text)
    try:
        # Both formats are ASCII and PDB goes by columns: another byte must stay one character
        plain = text if text.isascii() else text.encode("ascii", "replace").decode()
        structure = _structure_of_cif(plain) if mmcif else gemmi.read_pdb_string(plain)
    except (RuntimeError, ValueError, IndexError) as error:
        raise StructureError(
            "cannot be parsed", file=path, value=str(error)[:200], remedy="give a PDB or mmCIF file"
        ) from error
    if len(structure) == 0 or not any(len(chain) for chain in structure[0]):
        raise StructureError(
            "no atoms",
            file=path,
            value=" ".join(text[:60].split()),
            remedy="give a PDB or mmCIF file with coordinates",
        )
    structure.merge_chain_parts()
    _name_blank_chains(structure)
    structure.setup_entities()
    if not mmcif and "\nTER" not in text:
        _extend_polymers(structure)
    structure.assign_label_seq_id()
    if not mmcif:
        place_by_numbers(structure)
    return structure, mmcif, text


def _extend_polymers(structure: gemmi.Structure) -> None:
    """Let a chain go on to its last ATOM record where no TER says its end.

    Without TER a residue that gemmi does not know would end the chain, and the rest be lost in silence.
    """
    for chain in (chain for model in structure for chain in model):
        ends = [
            k for k, residue in enumerate(chain, 1) if residue.het_flag == "A" and _is_amino_acid(residue)
        ]
        polymer = chain.get_polymer()
        if len(polymer) and ends:
            subchain = polymer.subchain_id()
            for residue in list(chain)[len(polymer) : ends[-1]]:
                residue.subchain, residue.entity_type = subchain, gemmi.EntityType.Polymer


def _structure_of_cif(text: str) -> gemmi.Structure:
    document = gemmi.cif.read_string(text)
    blocks = [block for block in document if block.find_values("_atom_site.Cartn_x")]
    if not blocks:
        raise ValueError("no data block with _atom_site")
    return gemmi.make_structure_from_block(blocks[0])


def _name_blank_chains(structure: gemmi.Structure) -> None:
    """Call a chain without a name A, so that it can be named in a table and written as mmCIF."""
    for model in structure:
        taken = {chain.name for chain in model}
        for chain in model:
            if not chain.name.strip() and "A" not in taken:
                chain.name = "A"


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
        Author chain name; in mmCIF the label name is accepted too (with a note). Empty: the first
        protein chain.
    model : int
        Model number as the file has it; the first model by default.

    Raises
    ------
    StructureError
        The file is missing, damaged, in no known format or without protein; the model or chain is not
        there; the chain has C-alpha atoms only, or no residue with the atom that is needed.
    """
    structure, mmcif, _ = _parse(path)
    chosen = _model(structure, model, path)
    peptides = _peptides(chosen)
    name, residues, notes = _pick(peptides, chain, mmcif, path)
    if len(structure) > 1:
        notes.append(f"model {chosen.num} of {len(structure)}")
    _require_numbers(residues, name, path)
    sites = [_Site(group) for group in _groups(residues)]
    _refuse_alpha_only(sites, name, path)
    sequence, slots = _sequence(structure, residues, sites, notes)
    labels = [""] * len(sequence)
    position = np.full((len(sequence), 3), np.nan, dtype=np.float32)
    for slot, site in zip(slots, sites, strict=True):
        labels[slot] = site.label
        position[slot] = site.position
    result = Chain(name, sequence, labels, position, str(path), _entry(structure, path), notes)
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
        elif not residues and all(_is_amino_acid(residue) for residue in chain) and len(chain):
            found.append((chain.name, chain[0].subchain, list(chain)))
    return found


def _is_amino_acid(residue: gemmi.Residue) -> bool:
    return gemmi.find_tabulated_residue(residue.name).is_amino_acid()


def _pick(
    peptides: list[tuple[str, str, list[gemmi.Residue]]], chain: str, mmcif: bool, path: str | Path
) -> tuple[str, list[gemmi.Residue], list[str]]:
    """Author name, residues and notes of the chain that is asked for."""
    if not peptides:
        raise StructureError("no protein chain", file=path, remedy="give a structure of a protein")
    if not chain:
        name, _, residues = peptides[0]
        return name, residues, [f"chain {name}: the first protein chain"] if len(peptides) > 1 else []
    for name, _, residues in peptides:
        if name == chain:
            return name, residues, []
    for name, label, residues in peptides:
        if mmcif and label == chain:
            return name, residues, [f"chain {chain} is the label name of author chain {name}"]
    raise StructureError(
        "no such protein chain",
        file=path,
        value=chain,
        remedy=f"protein chains there: {', '.join(name for name, _, _ in peptides)}",
    )


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
    for entity in structure.entities:
        if subchain in entity.subchains:
            return list(entity.full_sequence)
    return []


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


def write_mmcif(source_path: str | Path, out_path: str | Path) -> dict:
    """Write a structure as gzip mmCIF in one step; mmCIF is kept as it is, PDB is converted.

    Returns
    -------
    dict
        ``format`` of the source (``pdb`` or ``mmcif``), ``entry``, ``models``, ``chains`` (author names
        of protein chains) and ``sha256`` of the source.

    Raises
    ------
    StructureError
        As `read_chain` for the file as a whole.
    """
    structure, mmcif, text = _parse(source_path)
    entry = _entry(structure, source_path)
    peptides = _peptides(structure[0])
    if not peptides:
        raise StructureError("no protein chain", file=source_path, remedy="give a structure of a protein")
    if not mmcif:
        structure.name = entry
        text = structure.make_mmcif_document().as_string()
    with atomic_path(out_path) as temporary:
        temporary.write_bytes(gzip.compress(text.encode("latin-1"), mtime=0))
    chains = [name for name, _, _ in peptides]
    report = {"format": "mmcif" if mmcif else "pdb", "entry": entry, "models": len(structure)}
    return report | {"chains": chains, "sha256": sha256(source_path)}
