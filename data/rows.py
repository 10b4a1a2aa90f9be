"""Rows of an alignment file, one at a time: A3M, A2M, FASTA, Stockholm and PSICOV ``.aln``, plain or gzip.

The format is found from the content. What counts as a match column is the business of `data.layout`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.errors import AlignmentError
from data.limits import LONGEST_LINE, bounded_lines, require_file

# Rows that HH-suite writes above the sequences: secondary structure and confidences, not residues.
ANNOTATION_ROWS = {"ss_pred", "ss_conf", "ss_dssp", "sa_dssp", "sa_pred", "aa_dssp", "aa_pred"}

KEPT = 1 << 22  # letters, names and `_ROW` of each row: of an alignment that is held while it is read
_ROW = 100  # bytes of a row beside its letters
_ANNOTATIONS = tuple(ANNOTATION_ROWS)  # what their names begin with

# First line of ColabFold's A3M, lengths and copies; of several chains the rows hold all of them
_OF_A_COMPLEX = re.compile(r"#[0-9]+(,[0-9]+)+\s+[0-9]+(,[0-9]+)+")


class Row(NamedTuple):
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


def as_bytes(text: str) -> np.ndarray:
    """Bytes of a row, uint8 [W]; ``?`` for a character that is no byte."""
    return np.frombuffer(text.encode("latin-1", "replace"), dtype=np.uint8)


def numbered_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield (1-based number, line without its end) of plain or gzip text.

    Raises
    ------
    AlignmentError
        As `data.limits.bounded_lines`.
    """
    return bounded_lines(path, AlignmentError)


def container(path: str | Path) -> str:
    """Kind of text that a file holds: ``fasta`` (any ``>`` format), ``stockholm`` or ``aln``.

    Raises
    ------
    AlignmentError
        The file is empty, in none of the formats, or of several chains (ColabFold's, of a complex).
    """
    for number, line in numbered_lines(path):
        text = line.strip()
        if text.startswith("#") and "STOCKHOLM" in text:
            return "stockholm"
        if _OF_A_COMPLEX.fullmatch(text):
            raise AlignmentError(
                "the alignment of a complex: its rows are chains one behind the other",
                file=path,
                place=f"line {number}",
                value=text[:60],
                remedy="give an alignment of one chain, such as that of the chain's own search",
            )
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
        A3M, A2M, FASTA, Stockholm of one alignment or PSICOV ``.aln``, plain or gzip.

    Raises
    ------
    AlignmentError
        The file is missing, empty, cut off or in no known format.
    """
    readers = {"fasta": _fasta_rows, "stockholm": _stockholm_rows, "aln": _plain_rows}
    yield from readers[container(path)](path)


def read_blocks(path: str | Path, letters: int = 1 << 16) -> Iterator[list[Row]]:
    """Yield the rows of `read_rows` some at a time, with about so many letters, names included, together."""
    block: list[Row] = []
    held = 0
    for row in read_rows(path):
        block.append(row)
        held += len(row[1]) + len(row[0]) + _ROW  # text and name, faster by place
        if held >= letters:
            yield block
            block, held = [], 0
    if block:
        yield block


class Blocks:
    """Blocks of rows that are gone over more than once: those of a small file are read once and kept.

    Parameters
    ----------
    read : callable
        Gives the blocks of `read_blocks` from the first on.
    most : int
        Letters, names included, that are kept at most.
    """

    def __init__(self, read: Callable[[], Iterable[list[Row]]], most: int):
        self._read, self._most = read, most
        self._kept: list[list[Row]] | None = None

    def __iter__(self) -> Iterator[list[Row]]:
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[list[Row]] = []
        held = 0
        for block in self._read():
            if held <= self._most:
                held += sum([len(row.text) + len(row.name) + _ROW for row in block])
                kept.append(block)
            if held > self._most:
                kept.clear()
            yield block
        if held <= self._most:
            self._kept = kept


def blocks_of(path: str | Path) -> Blocks:
    """Blocks of a file's rows, of which nothing is kept where the file is larger than all that would be.

    Raises
    ------
    AlignmentError
        There is no such file.
    """
    most = KEPT if require_file(path, AlignmentError) <= KEPT else 0
    return Blocks(lambda: read_blocks(path), most)


def _fasta_rows(path: str | Path) -> Iterator[Row]:
    name, start, length = "", 0, 0
    parts: list[str] = []
    for number, line in numbered_lines(path):
        if line.startswith(">"):
            if start and not (name.startswith(_ANNOTATIONS) and _is_annotation(name)):
                yield Row(name, "".join(parts), start)
            name, start, parts, length = line[1:].strip(), number, [], 0
        elif start:
            parts.append("".join(line.split()))
            length += len(parts[-1])
            if length > LONGEST_LINE:
                _refuse_endless(path, start, name)
    if start and not _is_annotation(name):
        yield Row(name, "".join(parts), start)


def _refuse_endless(path: str | Path, line: int, name: str) -> None:
    raise AlignmentError(
        "a row without an end",
        file=path,
        place=f"line {line}, row {first_word(name)[:60]!r}",
        value=f"more than {LONGEST_LINE:,} letters",
        remedy="give an alignment of proteins",
    )


def _is_annotation(name: str) -> bool:
    return name.startswith(_ANNOTATIONS) and first_word(name) in ANNOTATION_ROWS


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
    """Yield (line, name, text) of a Stockholm file."""
    number = 0
    lines = numbered_lines(path)
    for number, line in lines:
        if line.startswith("//"):
            _refuse_second(lines, path)
            return
        if not line.strip() or line.startswith("#"):
            continue
        name, *text = line.split()
        yield number, name, "".join(text)
    raise AlignmentError(
        "the Stockholm file has no end (//)",
        file=path,
        place=f"line {number}",
        remedy="get the file again: it is cut off; if it is whole, add a line //",
    )


def _refuse_second(lines: Iterator[tuple[int, str]], path: str | Path) -> None:
    """Refuse a file that goes on with another family: whose alignment is wanted nobody said."""
    number, line = next(((number, line) for number, line in lines if line.strip()), (0, ""))
    if line.startswith("#") and "STOCKHOLM" in line:
        raise AlignmentError(
            "the Stockholm file holds several alignments",
            file=path,
            place=f"line {number}",
            value=line.strip()[:60],
            remedy="give a file of one family (esl-afetch takes one out), or pfam:ACCESSION",
        )


def _stockholm_rows(path: str | Path) -> Iterator[Row]:
    if not _is_wrapped(path):
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


def _is_wrapped(path: str | Path) -> bool:
    """Whether a name comes again: rows are broken over blocks."""
    seen: set[str] = set()
    for _, name, _ in _stockholm_lines(path):
        if name in seen:
            return True
        seen.add(name)
    return False


def reference_columns(path: str | Path) -> np.ndarray | None:
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
