"""Structure files as a whole: PDB and mmCIF, plain or gzip, with entities and sequence numbers set."""

import gzip
import re
import zlib
from pathlib import Path

import gemmi

from data.errors import StructureError
from data.header_places import place_by_numbers
from data.limits import LARGEST_STRUCTURE, memory_bound, open_bytes

_FIRST_WORD = re.compile(r"(?:\s++|#[^\n]*+\n)*+data_", re.IGNORECASE)


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


def parse_structure(path: str | Path) -> tuple[gemmi.Structure, gemmi.cif.Block | None, str]:
    """Structure with entities and sequence numbers set, the block of an mmCIF file, and the text.

    Raises
    ------
    StructureError
        The file is missing, damaged, in no known format or without atoms.
    """
    with memory_bound(path, StructureError):
        text = _read_bytes(path).decode("latin-1")
        # Both formats are ASCII and PDB goes by columns: another byte must stay one character
        plain = text if text.isascii() else text.encode("ascii", "replace").decode()
    block = None
    try:
        if _is_mmcif(plain):
            block = _block_of_cif(plain)
        structure = gemmi.read_pdb_string(plain) if block is None else gemmi.make_structure_from_block(block)
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
    if block is None and "\nTER" not in text:
        _extend_polymers(structure)
    structure.assign_label_seq_id()
    if block is None:
        place_by_numbers(structure)
    return structure, block, text


def _extend_polymers(structure: gemmi.Structure) -> None:
    """Let a chain go on to its last ATOM record where no TER says its end.

    Without TER a residue that gemmi does not know would end the chain, and the rest be lost in silence.
    """
    for chain in (chain for model in structure for chain in model):
        ends = [k for k, residue in enumerate(chain, 1) if residue.het_flag == "A" and is_amino_acid(residue)]
        polymer = chain.get_polymer()
        if len(polymer) and ends:
            subchain = polymer.subchain_id()
            for residue in list(chain)[len(polymer) : ends[-1]]:
                residue.subchain, residue.entity_type = subchain, gemmi.EntityType.Polymer


def _block_of_cif(text: str) -> gemmi.cif.Block:
    document = gemmi.cif.read_string(text)
    blocks = [block for block in document if block.find_values("_atom_site.Cartn_x")]
    if not blocks:
        raise ValueError("no data block with _atom_site")
    _complete(blocks[0])
    return blocks[0]


# Columns without which gemmi does not read a file that has some of the category; they may lack
_ASKED_FOR = {
    "_struct_ref.": ("id", "entity_id", "db_name", "db_code"),
}


def _complete(block: gemmi.cif.Block) -> None:
    """Add the columns that gemmi asks for, filled with marks of what is unknown."""
    for category, names in _ASKED_FOR.items():
        tags = [category + name for name in names]
        missing = [tag for tag in tags if not block.find_values(tag)]
        if not missing or len(missing) == len(tags):
            continue
        first = block.find_values(next(tag for tag in tags if tag not in missing))
        if first.get_loop():
            first.get_loop().add_columns(missing, "?")
        else:
            for tag in missing:
                block.set_pair(tag, "?")


def _name_blank_chains(structure: gemmi.Structure) -> None:
    """Call a chain without a name A, so that it can be named in a table and written as mmCIF."""
    for model in structure:
        taken = {chain.name for chain in model}
        for chain in model:
            if not chain.name.strip() and "A" not in taken:
                chain.name = "A"


def entity_of(structure: gemmi.Structure, label: str) -> gemmi.Entity | None:
    """Entity that a chain, by its label name, is a copy of."""
    return next((entity for entity in structure.entities if label in entity.subchains), None)


def is_amino_acid(residue: gemmi.Residue) -> bool:
    """Whether a residue is an amino acid, modified ones too."""
    return gemmi.find_tabulated_residue(residue.name).is_amino_acid()


def revision_of(block: gemmi.cif.Block | None) -> str:
    """Last revision of an entry of the PDB, ``MAJOR.MINOR (DATE)``; empty where the file tells none."""
    if block is None:
        return ""
    names = ["major_revision", "minor_revision", "revision_date"]
    rows = block.find("_pdbx_audit_revision_history.", names)
    told = [[gemmi.cif.as_string(value) for value in row] for row in rows]
    return max(("{}.{} ({})".format(*row) for row in told if all(row)), key=_by_date, default="")


def _by_date(revision: str) -> tuple[str, str]:
    return revision.partition("(")[2], revision
