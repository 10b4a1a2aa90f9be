"""UniProt numbers of a chain's residues, as an mmCIF file tells them.

Three places of a file say them; the first that is there counts:

1. SIFTS per residue (``_pdbx_sifts_xref_db``), in the updated mmCIF of PDBe;
2. SIFTS per atom (``_atom_site.pdbx_sifts_xref_db_*``), there and in models of the AlphaFold database;
3. the entry's own cross reference (``_struct_ref_seq``; DBREF in PDB files), piece by piece.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import gemmi
import numpy as np

SIFTS_RESIDUES = "SIFTS (_pdbx_sifts_xref_db)"
SIFTS_ATOMS = "SIFTS (_atom_site.pdbx_sifts_xref_db_num)"
OWN_REFERENCE = "the entry's own reference (_struct_ref_seq)"

# Accession and number of a residue, by its place in the sequence (label_seq_id)
_Numbers = dict[int, tuple[str, int]]


@dataclass(frozen=True)
class UniProtNumbers:
    """UniProt numbers along a chain.

    Attributes
    ----------
    accession : str
        UniProt accession that most residues belong to; residues of another have no number.
    number : int32 [R]
        1-based number in its sequence, 0 where there is none (tags, linkers, insertions).
    origin : str
        What the numbers were read from.
    """

    accession: str
    number: np.ndarray
    origin: str


def uniprot_numbers(
    block: gemmi.cif.Block, label: str, name: str, places: Sequence[int]
) -> UniProtNumbers | None:
    """UniProt numbers of a chain, None where the file holds none.

    Parameters
    ----------
    block : gemmi.cif.Block
    label, name : str
        Label and author name of the chain.
    places : sequence of int [R]
        ``label_seq_id`` of each residue of the chain.
    """
    for origin, reader in (
        (SIFTS_RESIDUES, _residue_table),
        (SIFTS_ATOMS, _atom_table),
        (OWN_REFERENCE, lambda block, label: _reference_table(block, label, name)),
    ):
        found: _Numbers = {place: (accession, number) for place, accession, number in reader(block, label)}
        if found:
            accession = Counter(entry[0] for entry in found.values()).most_common(1)[0][0]
            own = {place: number for place, (other, number) in found.items() if other == accession}
            numbers = np.array([own.get(place, 0) for place in places], dtype=np.int32)
            return UniProtNumbers(accession, numbers, origin)
    return None


def _text(value: str) -> str:
    """A value without quotes, empty for the marks of what is unknown."""
    return "" if value in ("?", ".") else gemmi.cif.as_string(value)


def _whole(value: str) -> int | None:
    text = _text(value)
    return int(text) if text.lstrip("-").isdigit() and text.isascii() else None


def _residue_table(block: gemmi.cif.Block, label: str) -> Iterator[tuple[int, str, int]]:
    for row in block.find("_pdbx_sifts_xref_db.", ["asym_id", "seq_id", "unp_acc", "unp_num"]):
        place, accession, number = _whole(row[1]), _text(row[2]), _whole(row[3])
        if _text(row[0]) == label and place and accession and number:
            yield place, accession, number


def _atom_table(block: gemmi.cif.Block, label: str) -> Iterator[tuple[int, str, int]]:
    names = [
        "label_asym_id",
        "label_seq_id",
        *(f"pdbx_sifts_xref_db_{name}" for name in ("acc", "num", "name")),
    ]
    for row in block.find("_atom_site.", names):
        place, accession, number = _whole(row[1]), _text(row[2]), _whole(row[3])
        if _text(row[0]) == label and place and accession and number and _text(row[4]) == "UNP":
            yield place, accession, number


def _reference_table(block: gemmi.cif.Block, label: str, name: str) -> Iterator[tuple[int, str, int]]:
    """Numbers of the pieces of ``_struct_ref_seq`` that lie on this chain; unequal pieces say nothing."""
    entity = next(
        (_text(row[1]) for row in block.find("_struct_asym.", ["id", "entity_id"]) if _text(row[0]) == label),
        "",
    )
    known = {
        _text(row[0])
        for row in block.find("_struct_ref.", ["id", "entity_id", "db_name"])
        if _text(row[1]) == entity and _text(row[2]) in ("UNP", "UniProt")
    }
    columns = [
        "ref_id",
        "pdbx_strand_id",
        "pdbx_db_accession",
        "seq_align_beg",
        "seq_align_end",
        "db_align_beg",
        "db_align_end",
    ]
    for row in block.find("_struct_ref_seq.", columns):
        ends = [_whole(value) for value in list(row)[3:]]
        if _text(row[0]) not in known or _text(row[1]) not in (name, "") or None in ends:
            continue
        first, last, begin, end = ends
        if last - first == end - begin:  # type: ignore[operator]
            for step in range(last - first + 1):  # type: ignore[operator]
                yield first + step, _text(row[2]), begin + step  # type: ignore[operator]


def segments(numbers: np.ndarray) -> list[tuple[int, int, int]]:
    """Runs along which UniProt numbers rise one by one.

    Parameters
    ----------
    numbers : int [L]
        0 where there is none.

    Returns
    -------
    list of (first column, last column, UniProt number of the first)
        0-based columns, in their order.
    """
    found: list[tuple[int, int, int]] = []
    for column, number in enumerate(map(int, numbers)):
        if number <= 0:
            continue
        if found and found[-1][1] == column - 1 and number == found[-1][2] + column - found[-1][0]:
            found[-1] = (found[-1][0], column, found[-1][2])
        else:
            found.append((column, column, number))
    return found
