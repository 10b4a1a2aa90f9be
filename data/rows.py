"""Rows of an alignment file, one at a time: A3M, A2M, FASTA, Stockholm and PSICOV ``.aln``, plain or gzip.

The format is found from the content. Where rows of a ``>`` file allow both readings (A3M, or columns as
they stand), the file's name decides. What counts as a match column is written once, in `survey`.
"""

import gzip
import logging
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.errors import AlignmentError
from data.store import open_text

log = logging.getLogger(__name__)

# Rows that HH-suite writes above the sequences: secondary structure and confidences, not residues.
ANNOTATION_ROWS = {"ss_pred", "ss_conf", "ss_dssp", "sa_dssp", "sa_pred", "aa_dssp", "aa_pred"}

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


@dataclass(frozen=True)
class Row:
    """One row as it stands in the file.

    Attributes
    ----------
    name : str
        Header line without ``>``, or the Stockholm name, or ``row7`` where a format has no names.
    text : str
        Letters and gaps, white space removed.
    line : int
        1-based line of the header (or of the row itself).
    """

    name: str
    text: str
    line: int


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


def as_bytes(text: str) -> np.ndarray:
    """Bytes of a row, uint8 [W]."""
    return np.frombuffer(text.encode("latin-1"), dtype=np.uint8)


def numbered_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield (1-based number, line without its end) of plain or gzip text.

    Raises
    ------
    AlignmentError
        The file is missing, unreadable, or its compressed data is damaged or cut off.
    """
    number = 0
    try:
        with open_text(path) as stream:
            for number, line in enumerate(stream, 1):
                # A byte order mark, read as latin-1
                yield number, (line.removeprefix("ï»¿") if number == 1 else line).rstrip("\r\n")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise AlignmentError(
            "the compressed data is damaged or cut off",
            file=path,
            place=f"after line {number}",
            value=error,
            remedy="get the file again",
        ) from error
    except OSError as error:
        raise AlignmentError(
            "cannot be read", file=path, value=error.strerror or error, remedy="check the path"
        ) from error


def container(path: str | Path) -> str:
    """Kind of text that a file holds: ``fasta`` (any ``>`` format), ``stockholm`` or ``aln``.

    Raises
    ------
    AlignmentError
        The file is empty or in none of the formats.
    """
    for number, line in numbered_lines(path):
        text = line.strip()
        if text.startswith("#") and "STOCKHOLM" in text:
            return "stockholm"
        if not text or text.startswith("#"):
            continue
        if text.startswith(">"):
            return "fasta"
        if re.fullmatch(r"[A-Za-z.\-]+", text):
            return "aln"
        raise AlignmentError(
            "not an alignment format that is known",
            file=path,
            place=f"line {number}",
            value=text[:60],
            remedy="give A3M, A2M, FASTA, Stockholm or PSICOV .aln, plain or gzip",
        )
    raise AlignmentError(
        "the alignment is empty", file=path, remedy="give a file with at least two sequences"
    )


def read_rows(path: str | Path) -> Iterator[Row]:
    """Yield the rows of an alignment as they stand in the file.

    Only a wrapped (interleaved) Stockholm file is held in memory; every other one is streamed.

    Parameters
    ----------
    path : path
        A3M, A2M, FASTA, Stockholm (its first alignment) or PSICOV ``.aln``, plain or gzip.

    Raises
    ------
    AlignmentError
        The file is missing, empty, cut off or in no known format.
    """
    readers = {"fasta": _fasta_rows, "stockholm": _stockholm_rows, "aln": _plain_rows}
    yield from readers[container(path)](path)


def _fasta_rows(path: str | Path) -> Iterator[Row]:
    name, start, parts = "", 0, []
    for number, line in numbered_lines(path):
        if line.startswith(">"):
            if start and not _is_annotation(name):
                yield Row(name, "".join(parts), start)
            name, start, parts = line[1:].strip(), number, []
        elif start:
            parts.append("".join(line.split()))
    if start and not _is_annotation(name):
        yield Row(name, "".join(parts), start)


def _is_annotation(name: str) -> bool:
    return first_word(name) in ANNOTATION_ROWS


def first_word(name: str) -> str:
    """First word of a row's name, empty for an empty name."""
    return name.split(None, 1)[0] if name.strip() else ""


def _plain_rows(path: str | Path) -> Iterator[Row]:
    count = 0
    for number, line in numbered_lines(path):
        text = line.strip()
        if text and not text.startswith("#"):
            count += 1
            yield Row(f"row{count}", text, number)


def _stockholm_lines(path: str | Path) -> Iterator[tuple[int, str, str]]:
    """Yield (line, name, text) of the first alignment in a Stockholm file."""
    for number, line in numbered_lines(path):
        if line.startswith("//"):
            return
        if not line.strip() or line.startswith("#"):
            continue
        name, _, text = line.strip().partition(" ")
        if "\t" in name:
            name, _, text = line.strip().partition("\t")
        yield number, name, "".join(text.split())


def _stockholm_rows(path: str | Path) -> Iterator[Row]:
    seen: set[str] = set()
    wrapped = any(name in seen or seen.add(name) for _, name, _ in _stockholm_lines(path))
    if not wrapped:
        for number, name, text in _stockholm_lines(path):
            yield Row(name, text, number)
        return
    parts: dict[str, list[str]] = {}
    lines: dict[str, int] = {}
    for number, name, text in _stockholm_lines(path):
        parts.setdefault(name, []).append(text)
        lines.setdefault(name, number)
    for name, texts in parts.items():
        yield Row(name, "".join(texts), lines[name])


def _reference_columns(path: str | Path) -> np.ndarray | None:
    """Match columns by the ``#=GC RF`` lines of a Stockholm file, or None where it has none."""
    parts = []
    for _, line in numbered_lines(path):
        if line.startswith("//"):
            break
        if line.startswith("#=GC RF"):
            parts.append("".join(line.split()[2:]))
    if not parts:
        return None
    return ~np.isin(as_bytes("".join(parts)), as_bytes(".-_~"))


class _Census:
    """Counts over all rows that decide how a file is read."""

    def __init__(self, path: str | Path):
        self.path = path
        self.rows = 0
        self.letters = np.zeros(256, dtype=np.int64)
        self.width = self.matches = -1
        self.odd_width = self.odd_matches = ""
        self.upper = self.lower = np.zeros(0, dtype=bool)

    def add(self, row: Row) -> None:
        codes = as_bytes(row.text)
        classes = _CLASS_OF_BYTE[codes]
        self._refuse_illegal(row, classes)
        self.letters += np.bincount(codes, minlength=256)
        matches = int(np.count_nonzero((classes == _UPPER) | (classes == _DASH)))
        self.rows += 1
        if self.rows == 1:
            self.width, self.matches = len(codes), matches
            self.upper, self.lower = classes == _UPPER, classes == _LOWER
            return
        place = f"line {row.line}, row {first_word(row.name)!r}"
        if matches != self.matches and not self.odd_matches:
            self.odd_matches = f"{place}: {matches} match columns where the first row has {self.matches}"
        if len(codes) != self.width:
            self.odd_width = self.odd_width or f"{place}: {len(codes)} columns, the first row {self.width}"
            return
        self.upper |= classes == _UPPER
        self.lower |= classes == _LOWER

    def _refuse_illegal(self, row: Row, classes: np.ndarray) -> None:
        if len(classes) == 0 or not classes.all():
            place = int(np.argmin(classes)) if len(classes) else 0
            raise AlignmentError(
                "an illegal character" if len(classes) else "a row without letters",
                file=self.path,
                place=f"line {row.line}, row {first_word(row.name)!r}, column {place + 1}",
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
        # Rows of one length whose columns mix cases: insertions that are not aligned to each other.
        return bool((self.upper & self.lower).any())


def survey(path: str | Path) -> Layout:
    """Read a whole file once and find its format and match columns.

    A3M (and A2M): lower case and ``.`` are insertions. A file whose rows all have one length is read
    by columns: one with no upper-case letter in any row is an insertion column, and a lower-case letter
    in another column is a residue. Stockholm likewise, unless an RF line names the match columns.
    A file without any upper-case letter carries no case: all its columns are match columns.

    Raises
    ------
    AlignmentError
        The file is empty, cut off, ragged, holds one sequence, nucleotides, an illegal character,
        or no residue at all.
    """
    kind = container(path)
    census = _Census(path)
    for row in read_rows(path):
        census.add(row)
    _refuse_useless(census)
    if kind == "fasta" and census.is_a3m():
        match, columns = None, census.matches
        kind = "a3m" if census.odd_width else "a2m" if census.lower.any() else "a3m"
    else:
        match = _match_columns(census, _reference_columns(path) if kind == "stockholm" else None)
        columns = int(match.sum())
        kind = "a2m" if kind == "fasta" and (~match & census.lower).any() else kind
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


def match_bytes(text: str, layout: Layout) -> np.ndarray:
    """Bytes of a row in the match columns, uint8 [columns]; lower case where a column allows it."""
    codes = as_bytes(text)
    if layout.match is not None:
        return codes[layout.match]
    classes = _CLASS_OF_BYTE[codes]
    return codes[(classes == _UPPER) | (classes == _DASH)]


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
