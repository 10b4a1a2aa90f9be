"""Places of observed residues in the sequence of a header, where author numbers say them.

An alignment of what was observed to the header cannot tell copies of a repeat apart; the numbers can.
"""

from itertools import pairwise

import gemmi


def place_by_numbers(structure: gemmi.Structure) -> None:
    """Set sequence numbers to author number less a constant, where one constant alone fits a whole chain.

    It fits where every observed residue then has its name in the header. Where several do, as in a repeat
    that is observed once, the numbers that an alignment has set stay.

    Parameters
    ----------
    structure : gemmi.Structure
        With entities; changed in place.
    """
    for chain in (chain for model in structure for chain in model):
        residues = list(chain.get_polymer())
        header = _header(structure, residues)
        numbers = [residue.seqid.num for residue in residues if residue.seqid.num is not None]
        coded = any(residue.seqid.icode.strip() for residue in residues)
        if not header or coded or len(numbers) < len(residues):
            continue
        if any(second <= first for first, second in pairwise(numbers)):
            continue
        span = numbers[-1] - numbers[0]
        fitting = [start for start in range(len(header) - span) if _fits(residues, numbers, header, start)]
        if len(fitting) == 1:
            for residue, number in zip(residues, numbers, strict=True):
                residue.label_seq = fitting[0] + number - numbers[0] + 1


def _header(structure: gemmi.Structure, residues: list[gemmi.Residue]) -> list[str]:
    """Names in the header's sequence of the entity that residues belong to."""
    if not residues:
        return []
    for entity in structure.entities:
        if residues[0].subchain in entity.subchains:
            return [gemmi.Entity.first_mon(name) for name in entity.full_sequence]
    return []


def _fits(residues: list[gemmi.Residue], numbers: list[int], header: list[str], start: int) -> bool:
    return all(
        header[start + number - numbers[0]] == residue.name
        for residue, number in zip(residues, numbers, strict=True)
    )
