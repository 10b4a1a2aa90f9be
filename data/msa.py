"""Alignments: from any format to tokens over the columns of one query.

Codes are those of `data.alphabet`. Columns are the query's residues, all of them: those that the file has
in an insertion too, as columns of gaps, so that numbers and separations are those of the sequence. By default
no row and no column is left out, so that every program sees the same alignment.
"""

import gzip
import itertools
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.alphabet import CODE_OF_BYTE, GAP, UNKNOWN
from data.errors import AlignmentError, MemoryLimitError
from data.layout import Layout, a3m_text, match_bytes, survey
from data.limits import memory_bound
from data.memory import alignment_bytes, require_bytes
from data.query import find_query, ungapped
from data.rows import Row, as_bytes, blocks_of, read_rows
from data.store import atomic_path, sha256

__all__ = ["Alignment", "Row", "crop", "filter_alignment", "read_alignment", "read_rows", "write_a3m"]

log = logging.getLogger(__name__)

Chooser = Callable[[Iterable[tuple[str, str]]], int]

_UNKNOWN_LETTERS = "XBZUOJ"
_DASH = ord("-")


def _code_table() -> np.ndarray:
    """Codes of upper and lower case bytes alike: lower case in a match column is a residue."""
    table = CODE_OF_BYTE.copy()
    table[ord("a") : ord("z") + 1] = table[ord("A") : ord("Z") + 1]
    return table


_CODES = _code_table()


@dataclass(frozen=True)
class Alignment:
    """An alignment over the residues of its query.

    Attributes
    ----------
    names : list of str [N]
        Full header of each row, the query's first; empty where it was read ``for_columns``.
    tokens : int8 [N, L]
        Codes 0-20 of `data.alphabet`; row 0 is the query. Rows are contiguous; as it is read
        ``for_columns``, columns are.
    query : str [L]
        The query's letters. A residue that the query does not know (X, B, Z, U, O, J) keeps its column
        and its letter here; its token is a gap like that of any unknown residue.
    query_name : str
        Full header of the query's row.
    columns : int32 [L]
        0-based match column of the file that each query residue stands in; -1 of one in an insertion,
        whose column holds gaps in every row.
    unknown : int
        Number of residues X, B, Z, U, O, J in the query's columns, read as gaps (before any filter).
    source : str
        Path of the file.
    query_row : int
        0-based row of the file that the query stands in.
    """

    names: list[str]
    tokens: np.ndarray
    query: str
    query_name: str
    columns: np.ndarray
    unknown: int
    source: str
    query_row: int = 0


def write_a3m(source_path: str | Path, out_path: str | Path) -> dict:
    """Write an alignment of any format as gzip A3M, in one step; the bytes depend on the rows alone.

    Parameters
    ----------
    source_path : path
        Alignment in any format of `data.rows.read_rows`.
    out_path : path
        File to write (replaced when it exists).

    Returns
    -------
    dict
        ``format``, ``rows``, ``columns`` (match columns), ``unknown`` (count of each of X, B, Z, U, O,
        J that occurs) and ``sha256`` of the source.

    Raises
    ------
    AlignmentError
        As `data.rows.survey`.
    """
    layout = survey(source_path)
    with (
        atomic_path(out_path) as temporary,
        temporary.open("wb") as raw,
        # No name and no time in the header: equal rows give equal bytes
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as stream,
    ):
        for row in read_rows(source_path):
            stream.write(f">{row.name}\n{a3m_text(row.text, layout)}\n".encode("utf-8", "replace"))
    unknown = {letter: int(layout.letters[ord(letter)]) for letter in _UNKNOWN_LETTERS}
    return {
        "format": layout.format,
        "rows": layout.rows,
        "columns": layout.columns,
        "unknown": {letter: count for letter, count in unknown.items() if count},
        "sha256": sha256(source_path),
    }


def read_alignment(
    path: str | Path, query: str = "", choose: Chooser | None = None, for_columns: bool = False
) -> Alignment:
    """Read an alignment over the columns of its query.

    A large file is read two or three times (format, query, rows), so that only the tokens are ever held; the
    rows of a small one are kept until they are tokens.

    Parameters
    ----------
    path : path
        Alignment in any format of `data.rows.read_rows`.
    query : str
        A row's name, its first word, an accession in it (``sp|P0ABQ4|DYR_ECOLI``, ``NAME/1-90``,
        ``P0ABQ4.1`` without the version), the row's sequence with or without gaps, or the path of a
        FASTA file whose first sequence is the query. Empty: `choose`, else the first row.
    choose : callable, optional
        Takes (name, ungapped sequence) of all rows and returns the 0-based row that is the query.
    for_columns : bool
        As inference reads it: tokens column by column, and no names, which may take as much memory.

    Returns
    -------
    Alignment

    Raises
    ------
    AlignmentError
        As `data.rows.survey`; and the query is not in the alignment, has no residue in a match column,
        or every other row is empty.
    """
    blocks = blocks_of(path)
    layout = survey(path, blocks)
    index = _query_index(path, layout, query, choose)
    row = next(itertools.islice(itertools.chain.from_iterable(blocks), index, None))
    text, columns = _residues(row, layout)
    if not (columns >= 0).any():
        raise AlignmentError(
            "the query row holds nothing but gaps",
            file=path,
            place=f"line {row.line}",
            value=row.name[:60],
            remedy="name another row as query",
        )
    if lost := int((columns < 0).sum()):
        message = "%s: %d residues of query %r stand in insertions: columns of gaps"
        log.warning(message, path, lost, row.name[:60])
    names, tokens, unknown = _fill_tokens(path, layout, index, columns, blocks, for_columns)
    _require_company(tokens, path, row.name, "name another row as query")
    return Alignment(names, tokens, text, row.name, columns, unknown, str(path), index)


def _residues(row: Row, layout: Layout) -> tuple[str, np.ndarray]:
    """The residues of the query, and the match column of each, -1 in an insertion."""
    codes = as_bytes(a3m_text(row.text, layout))
    inserted = (codes >= ord("a")) & (codes <= ord("z"))
    columns = np.where(inserted, -1, np.cumsum(~inserted) - 1).astype(np.int32)
    residue = codes != _DASH
    return codes[residue].tobytes().decode("latin-1").upper(), columns[residue]


def _require_company(tokens: np.ndarray, path: str | Path, name: str, remedy: str) -> None:
    """Refuse an alignment of which the query alone has residues."""
    if tokens[1:].min() == GAP:
        raise AlignmentError(
            "every row but the query holds nothing but gaps in the query's columns",
            file=path,
            value=name[:60],
            remedy=remedy,
        )


def _fill_tokens(
    path: str | Path,
    layout: Layout,
    index: int,
    columns: np.ndarray,
    blocks: Iterable[list[Row]],
    for_columns: bool,
) -> tuple[list[str], np.ndarray, int]:
    """Names, tokens and number of unknown residues over `columns`, row `index` moved to the top.

    Columns of number -1 are gaps in every row.
    """
    require_bytes(
        f"{path}: reading {layout.rows} sequences and {len(columns)} columns",
        alignment_bytes(layout.rows, len(columns), for_columns=for_columns),
    )
    with memory_bound(path, MemoryLimitError):
        tokens = np.empty((layout.rows, len(columns)), dtype=np.int8, order="F" if for_columns else "C")
        tokens[:, columns < 0] = GAP
        names = [] if for_columns else [""] * layout.rows
    held = np.flatnonzero(columns >= 0)
    whole = len(held) == len(columns)
    done = count = 0
    for rows in blocks:
        numbers = np.arange(done, done + len(rows))
        slots = np.where(numbers == index, 0, numbers + (numbers < index))
        codes = _CODES[match_bytes(rows, layout)[:, columns[held]]]
        unknown = codes == UNKNOWN
        count += int(np.count_nonzero(unknown))
        codes[unknown] = GAP
        tokens[slots if whole else np.ix_(slots, held)] = codes
        if names:
            for slot, row in zip(slots.tolist(), rows, strict=True):
                names[slot] = row.name
        done += len(rows)
    if count:
        log.info("%s: %d residues X, B, Z, U, O or J read as gaps", path, count)
    return names, tokens, count


def _query_index(path: str | Path, layout: Layout, query: str, choose: Chooser | None) -> int:
    """0-based row of the file that is the query."""
    query = query.strip()
    if query:
        return find_query(path, layout, query)
    if choose is None:
        return 0
    index = int(choose((row.name, ungapped(row.text)) for row in read_rows(path)))
    if not 0 <= index < layout.rows:
        raise AlignmentError("no such row", file=path, value=index, remedy="choose a row of the alignment")
    return index


def filter_alignment(
    alignment: Alignment,
    min_coverage: float = 0.0,
    max_column_gaps: float = 1.0,
    max_identity: float = 1.0,
    max_sequences: int = 0,
) -> tuple[Alignment, dict]:
    """Leave out rows and mask columns, each filter in the order of the parameters; the defaults keep all.

    A masked column stays, with gaps in every row: it carries no signal, and the indices of all others, the
    separations and the residue numbers remain those of the query.

    Parameters
    ----------
    alignment : Alignment
    min_coverage : float
        Rows with a smaller share of columns that hold a residue are dropped. Columns where no row has one
        do not count here and below.
    max_column_gaps : float
        Columns with a larger share of gaps (over the rows that are left) are masked; the query keeps its
        letter in ``query``.
    max_identity : float
        A row is dropped when it agrees with an earlier kept row in a larger share of columns (a gap
        counts as a letter, as in sequence weighting).
    max_sequences : int
        At most so many rows, taken evenly spaced from the top to the bottom; 0: no limit.

    Returns
    -------
    Alignment, dict
        The alignment (the query is always kept) and, for the report, ``rows`` before and
        after, ``columns``, and for each filter its threshold and how many it dropped or masked; where the
        query has residues in insertions, their number.

    Raises
    ------
    AlignmentError
        No column, or no row but the query, is left.
    """
    tokens = alignment.tokens
    residue = tokens != GAP
    told = residue.any(axis=0)
    rows = residue[:, told].mean(axis=1) >= min_coverage
    rows[0] = True
    keep = told & ((~residue[rows]).mean(axis=0) <= max_column_gaps)
    kept, columns = np.flatnonzero(rows), np.flatnonzero(keep)
    distinct = kept[_distinct_rows(tokens[np.ix_(kept, columns)], max_identity)]
    chosen = distinct[_spread(len(distinct), max_sequences)]
    report = {
        "rows_before": len(tokens),
        "columns": len(keep),
        "min_coverage": {"threshold": min_coverage, "rows_dropped": len(tokens) - len(kept)},
        "max_column_gaps": {"threshold": max_column_gaps, "columns_masked": int(told.sum()) - len(columns)},
        "max_identity": {"threshold": max_identity, "rows_dropped": len(kept) - len(distinct)},
        "max_sequences": {"threshold": max_sequences, "rows_dropped": len(distinct) - len(chosen)},
        "rows_after": len(chosen),
    }
    if inserted := int((alignment.columns < 0).sum()):
        report["query_residues_in_insertions"] = inserted
    if len(columns) == 0 or len(chosen) < 2:
        raise AlignmentError(
            "the filters leave nothing", file=alignment.source, value=report, remedy="relax the filters"
        )
    kept_rows = _take(alignment, chosen, np.arange(len(keep)))
    kept_rows.tokens[:, ~keep] = GAP
    return kept_rows, report


def _distinct_rows(tokens: np.ndarray, max_identity: float) -> np.ndarray:
    """Rows of which none agrees with an earlier one in more than a share of columns."""
    count, length = tokens.shape
    if max_identity >= 1.0 or length == 0:
        return np.arange(count)
    kept = np.empty_like(tokens)
    chosen: list[int] = []
    for row in range(count):
        agreement = np.count_nonzero(kept[: len(chosen)] == tokens[row], axis=1)
        if not (agreement > max_identity * length).any():
            kept[len(chosen)] = tokens[row]
            chosen.append(row)
    return np.array(chosen)


def _spread(count: int, limit: int) -> np.ndarray:
    """At most `limit` of `count` rows, evenly spaced, the first among them."""
    if limit <= 0 or count <= limit:
        return np.arange(count)
    return np.floor(np.arange(limit) * (count / limit)).astype(int)


def _take(alignment: Alignment, rows: np.ndarray, columns: np.ndarray) -> Alignment:
    return Alignment(
        [alignment.names[row] for row in rows] if alignment.names else [],
        np.ascontiguousarray(alignment.tokens[np.ix_(rows, columns)]),
        "".join(alignment.query[column] for column in columns),
        alignment.query_name,
        alignment.columns[columns],
        alignment.unknown,
        alignment.source,
        alignment.query_row,
    )


def crop(alignment: Alignment, region: str) -> Alignment:
    """Keep a stretch of the query.

    Parameters
    ----------
    alignment : Alignment
    region : str
        ``FIRST-LAST``, 1-based positions of the query, both included; empty: all.

    Raises
    ------
    AlignmentError
        The region is malformed or reaches outside the query, or no other row has a residue in it.
    """
    if not region.strip():
        return alignment
    match = re.fullmatch(r"\s*([0-9]{1,9})\s*-\s*([0-9]{1,9})\s*", region)
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    length = len(alignment.query)
    if not 1 <= first <= last <= length:
        raise AlignmentError(
            "the region is not within the query",
            file=alignment.source,
            value=region,
            remedy=f"give FIRST-LAST with 1 <= FIRST <= LAST <= {length}",
        )
    part = _take(alignment, np.arange(len(alignment.tokens)), np.arange(first - 1, last))
    _require_company(
        part.tokens, alignment.source, f"region {region.strip()}", "give another region or query"
    )
    return part
