"""Which columns of an alignment file are match columns: the column policy, written once.

Rules for a ``>`` file, the first that fits:

1. Rows differ in length: A3M, where all have the same number of match columns; else ragged, and refused.
2. Rows of one length that differ in their number of match columns: read by columns. Lower case in a column
   that holds upper case elsewhere is a residue (soft-masked).
3. The name ends in ``.a3m`` or ``.a2m`` (or ``.gz`` of these): A3M.
4. Some column mixes upper and lower case: both readings hold, insertions that happen to be of one length
   or soft-masked residues, and they give different alignments. The file is refused: its name must say.
5. By columns; one with lower case alone is an insertion (A2M). Where no ``.`` shows that the file knows the
   convention, the log says so.
"""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.errors import AlignmentError
from data.rows import Row, as_bytes, container, first_word, read_blocks, reference_columns

log = logging.getLogger(__name__)

_UPPER, _LOWER, _DASH, _DOT = 1, 2, 3, 4


def _byte_classes() -> np.ndarray:
    """Class of each byte: upper case, lower case, dash, dot, or 0 for a character that is illegal."""
    classes = np.zeros(256, dtype=np.uint8)
    classes[ord("A") : ord("Z") + 1] = _UPPER
    classes[ord("a") : ord("z") + 1] = _LOWER
    classes[ord("-")] = _DASH
    classes[ord(".")] = _DOT
    return classes


_CLASS_OF_BYTE = _byte_classes()
_IS_MATCH = (_CLASS_OF_BYTE == _UPPER) | (_CLASS_OF_BYTE == _DASH)


@dataclass(frozen=True)
class Layout:
    """What a first pass over a file found out.

    Attributes
    ----------
    format : str
        ``a3m``, ``a2m``, ``fasta``, ``stockholm`` or ``aln``.
    rows : int
        Number of sequences.
    columns : int
        Number of match columns.
    match : bool [W] or None
        Which columns of the file are match columns; None in A3M, where each row is read by itself.
    letters : int [256]
        How often each upper-cased byte stands in the file.
    """

    format: str
    rows: int
    columns: int
    match: np.ndarray | None
    letters: np.ndarray


class _Census:
    """Counts over all rows that decide how a file is read."""

    def __init__(self, path: str | Path):
        self.path = path
        self.rows = 0
        self.letters = np.zeros(256, dtype=np.int64)
        self.width = self.matches = -1
        self.odd_width = self.odd_matches = ""
        self.upper = self.lower = np.zeros(0, dtype=bool)

    def add(self, rows: list[Row]) -> None:
        """Count some rows; the first that differs in width or match columns is remembered."""
        codes = as_bytes("".join([row.text for row in rows]))
        classes = _CLASS_OF_BYTE[codes]
        widths = np.array([len(row.text) for row in rows])
        if not widths.all() or not classes.all():
            self._refuse_illegal(rows)
        self.letters += np.bincount(codes, minlength=256)
        starts = np.cumsum(widths) - widths
        matches = np.add.reduceat(_IS_MATCH[codes], starts, dtype=np.int64)
        if self.rows == 0:
            self.width, self.matches = int(widths[0]), int(matches[0])
            self.upper, self.lower = np.zeros((2, self.width), dtype=bool)
        self.rows += len(rows)
        if not self.odd_matches and (other := matches != self.matches).any():
            k = int(other.argmax())
            self.odd_matches = (
                f"{_place(rows[k])}: {matches[k]} match columns where the first row has {self.matches}"
            )
        if self.odd_width:
            return
        if (other := widths != self.width).any():
            k = int(other.argmax())
            self.odd_width = f"{_place(rows[k])}: {widths[k]} columns, the first row {self.width}"
            return
        grid = classes.reshape(len(rows), self.width)
        self.upper |= (grid == _UPPER).any(axis=0)
        self.lower |= (grid == _LOWER).any(axis=0)

    def _refuse_illegal(self, rows: list[Row]) -> None:
        for row in rows:
            legal = _CLASS_OF_BYTE[as_bytes(row.text)] > 0
            if len(legal) == 0 or not legal.all():
                place = int(np.argmin(legal)) if len(legal) else 0
                raise AlignmentError(
                    "an illegal character" if len(legal) else "a row without letters",
                    file=self.path,
                    place=f"{_place(row)}, column {place + 1}",
                    value=repr(row.text[place : place + 1]),
                    remedy="rows hold amino acid letters, '-' and '.' alone",
                )

    def named_a3m(self) -> bool:
        """Whether the file's name says A3M or A2M."""
        return re.search(r"\.a[23]m(\.gz)?$", Path(self.path).name.lower()) is not None

    def is_a3m(self) -> bool:
        """Whether rows are read one by one (A3M) rather than by columns of the file."""
        if self.odd_width or self.odd_matches:
            return not self.odd_matches
        if self.named_a3m():
            return True
        mixed = self.upper & self.lower
        if mixed.any():
            raise AlignmentError(
                "lower case may stand for insertions or for masked residues, and the two readings differ",
                file=self.path,
                place=f"column {int(mixed.argmax()) + 1} and {int(mixed.sum()) - 1} more",
                value=f"{self.rows} rows of {self.width} columns, each with {self.matches} in upper case",
                remedy="name the file .a3m where lower case is insertions, else write residues in upper case",
            )
        return False


def _place(row: Row) -> str:
    return f"line {row.line}, row {first_word(row.name)!r}"


def survey(path: str | Path, blocks: Iterable[list[Row]] | None = None) -> Layout:
    """Read a whole file once, or its `blocks` where there are any, and find its format and match columns.

    A3M (and A2M): lower case and ``.`` are insertions. A file whose rows all have one length is read
    by columns: one with no upper-case letter in any row is an insertion column, and a lower-case letter
    in another column is a residue. The rules in full stand at the head of this
    module. Stockholm likewise, unless an RF line names the match columns.
    A file without any upper-case letter carries no case: all its columns are match columns.

    Raises
    ------
    AlignmentError
        The file is empty, cut off, ragged, holds one sequence, nucleotides, an illegal character,
        or no residue at all, or allows two readings of its lower case.
    """
    kind = container(path)
    census = _Census(path)
    for rows in read_blocks(path) if blocks is None else blocks:
        census.add(rows)
    _refuse_useless(census)
    if kind == "fasta" and census.is_a3m():
        match, columns = None, census.matches
        kind = "a3m" if census.odd_width else "a2m" if census.lower.any() else "a3m"
    else:
        match = _match_columns(census, reference_columns(path) if kind == "stockholm" else None)
        columns = int(match.sum())
        if kind == "fasta" and (inserted := int(np.count_nonzero(~match & census.lower))):
            kind = "a2m"
            if not census.letters[ord(".")]:
                message = (
                    "%s: %d columns of lower case alone are insertions; write masked residues in upper case"
                )
                log.warning(message, path, inserted)
    return Layout(kind, census.rows, columns, match, _upper_counts(census.letters))


def _match_columns(census: _Census, reference: np.ndarray | None) -> np.ndarray:
    if census.odd_width:
        raise AlignmentError(
            "rows differ in length",
            file=census.path,
            value=(census.odd_matches if census.named_a3m() else "") or census.odd_width,
            remedy="align the sequences, or mark insertions in lower case (A3M)",
        )
    if reference is None:
        return census.upper if census.upper.any() else census.lower
    if len(reference) != census.width:
        raise AlignmentError(
            "the RF line and the rows differ in length",
            file=census.path,
            value=f"{len(reference)} and {census.width} columns",
            remedy="remove the RF line or mend the file",
        )
    return reference


def _refuse_useless(census: _Census) -> None:
    """Refuse what no method can use: no row, one row, no residue, nucleotides."""
    letters = _upper_counts(census.letters)
    total = int(letters[ord("A") : ord("Z") + 1].sum())
    bases = int(letters[[ord(base) for base in "ACGTUN"]].sum())
    if census.rows < 2:
        raise AlignmentError(
            "the alignment holds one sequence" if census.rows else "the alignment holds no sequence",
            file=census.path,
            value=f"{census.rows} rows",
            remedy="coevolution needs a family: give an alignment of many homologues",
        )
    if total == 0:
        raise AlignmentError(
            "the alignment holds nothing but gaps", file=census.path, remedy="give aligned sequences"
        )
    # Five of the 20 amino acids share these letters: 95 % of them is out of reach of proteins.
    if total >= 8 and bases >= 0.95 * total:
        raise AlignmentError(
            "the alignment holds nucleotides, not proteins",
            file=census.path,
            value=f"{bases} of {total} letters are A, C, G, T, U or N",
            remedy="translate the sequences, or give an alignment of proteins",
        )


def _upper_counts(letters: np.ndarray) -> np.ndarray:
    """Counts per byte with lower case added to upper case."""
    counts = letters.copy()
    counts[ord("A") : ord("Z") + 1] += counts[ord("a") : ord("z") + 1]
    counts[ord("a") : ord("z") + 1] = 0
    return counts


def match_bytes(rows: list[Row], layout: Layout) -> np.ndarray:
    """Bytes of some rows in the match columns, uint8 [rows, columns]; lower case where a column allows it."""
    codes = as_bytes("".join([row.text for row in rows]))
    if layout.match is not None:
        return codes.reshape(len(rows), -1)[:, layout.match]
    return codes[_IS_MATCH[codes]].reshape(len(rows), -1)


def a3m_text(text: str, layout: Layout) -> str:
    """Row in A3M: match columns in upper case or ``-``, insertions in lower case, no dots."""
    if layout.match is None:
        return text.replace(".", "")
    codes = as_bytes(text).copy()
    classes = _CLASS_OF_BYTE[codes]
    letters = (classes == _UPPER) | (classes == _LOWER)
    codes[letters & layout.match] &= 0xDF  # upper case
    codes[letters & ~layout.match] |= 0x20  # lower case
    codes[~letters] = ord("-")
    return codes[layout.match | letters].tobytes().decode("latin-1")
