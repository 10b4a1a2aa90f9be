"""The 21 letters of an alignment and their codes.

Codes 0-19 are the amino acids in the alphabetical order of their one-letter names, 20 is the gap.
Any other upper-case letter (X, B, Z, U, O, J) is read as a gap and counted by the reader.
"""

import numpy as np

LETTERS = "ACDEFGHIKLMNPQRSTVWY-"
GAP = 20
Q = 21

UNKNOWN = -2
INSERTION = -1

_UNKNOWN_RESIDUES = "XBZUOJ"


def _byte_table() -> np.ndarray:
    """Code of each byte value: 0-20, UNKNOWN for X B Z U O J, -3 for anything else."""
    table = np.full(256, -3, dtype=np.int8)
    for code, letter in enumerate(LETTERS):
        table[ord(letter)] = code
    table[ord(".")] = GAP
    for letter in _UNKNOWN_RESIDUES:
        table[ord(letter)] = UNKNOWN
    return table


CODE_OF_BYTE = _byte_table()


def decode(tokens: np.ndarray) -> str:
    """Text of a row of codes.

    Parameters
    ----------
    tokens : int8 [L]
        Codes 0-20.

    Returns
    -------
    str
        One letter per code.
    """
    return "".join(LETTERS[code] for code in tokens)


def encode(sequence: str) -> np.ndarray:
    """Codes of an aligned row without insertions; unknown residues become gaps.

    Parameters
    ----------
    sequence : str
        Upper-case letters and gaps, one per column.

    Returns
    -------
    int8 [L]

    Raises
    ------
    ValueError
        A character is not an amino acid, an unknown residue or a gap.
    """
    codes = CODE_OF_BYTE[np.frombuffer(sequence.encode("latin-1"), dtype=np.uint8)]
    if (codes == -3).any():
        place = int(np.argmax(codes == -3))
        raise ValueError(f"position {place + 1}: {sequence[place]!r} is not an amino acid or a gap")
    return np.where(codes == UNKNOWN, GAP, codes).astype(np.int8)
