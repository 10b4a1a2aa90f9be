"""How large an alignment is, without reading its rows as such."""

import zlib
from itertools import pairwise
from pathlib import Path

from data.errors import AlignmentError, CovarionError
from data.limits import open_bytes

_GAPS = b"\t\r .*"


def alignment_extent(path: str | Path, largest: int) -> tuple[int, int] | None:
    """Rows and columns of an alignment file for a plan: exact of A3M and FASTA, close for other formats.

    Parameters
    ----------
    path : path
        A3M, A2M, FASTA, Stockholm or PSICOV ``.aln``, plain or gzip.
    largest : int
        Bytes of text that are read at most.

    Returns
    -------
    (N, L) or None
        Number of rows and of the first row's columns, or residues where these are more; None where the text
        is larger, or cannot be read.
    """
    try:
        with open_bytes(path, AlignmentError) as stream:
            text = stream.read(largest + 1)
    except (CovarionError, OSError, EOFError, zlib.error):
        return None
    if len(text) > largest or not text.strip():
        return None
    if text.lstrip()[:1] == b">":
        return _fasta(text)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith((b"#", b"//"))]
    return (len(lines), max(len(line.split()[-1]) for line in lines)) if lines else None


def _fasta(text: bytes) -> tuple[int, int]:
    """Of a ``>`` format: lower-case letters and dots are insertions."""
    text = text.lstrip()
    starts = [0]
    place = text.find(b"\n>")
    while place >= 0 and len(starts) < 2:
        starts.append(place + 1)
        place = text.find(b"\n>", place + 1)
    first, end = next(pairwise([*starts, len(text)]))
    _, _, letters = text[first:end].partition(b"\n")
    letters = letters.replace(b"\n", b"")
    matches = letters.translate(None, _GAPS + b"abcdefghijklmnopqrstuvwxyz")
    # What the first row has in insertions is a column where it is the query
    residues = letters.translate(None, _GAPS + b"-")
    return text.count(b"\n>") + 1, max(len(matches), len(residues))
