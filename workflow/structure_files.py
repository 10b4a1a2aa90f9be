"""The files of a row's structures: ``P.cif.gz`` of the first, ``P~2.cif.gz`` of the second, and so on."""

import os

from data.registry import SOURCES, find_local, parse_cell
from data.structure_cells import NamedStructure
from data.table import PATHS, ProteinRow


def structure_files(row: ProteinRow, resources: str) -> list[str]:
    """Files of all structures of a protein, in the order of its row."""
    endings = ["", *(f"~{number}" for number in range(2, 1 + len(row.structures)))]
    return [f"{resources}/structures/{row.protein}{nth}.cif.gz" for nth in endings[: len(row.structures)]]


def structure_at(row: ProteinRow, nth: str) -> NamedStructure:
    """Structure by the ending of its file: empty for the first, ``~2`` for the second."""
    return row.structures[int(nth[1:] or 1) - 1]


def local_input(cell: str) -> list[str]:
    """File or folder that a cell names, so that its change makes the protein run again; else []."""
    name, value = parse_cell(cell) if cell else ("", "")
    if name not in PATHS:
        return []
    # A row holds absolute paths: that of one file need not be looked for
    single = SOURCES[name].marks == ("",) and os.path.isabs(value)
    return [value if single else str(find_local(SOURCES[name], value))]
