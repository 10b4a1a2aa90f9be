"""Choosing a row's alignment from the folder that a local ``colabfold_search`` wrote.

Its files are called by number (``0.a3m``) or by the name of the query; the first row of each is its query.
"""

import logging
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.delivery import Delivery, Request, normalise
from data.errors import AlignmentError, FetchError
from data.query import accessions, sequence_of, ungapped
from data.registry import find_local
from data.rows import Row, first_word, read_rows
from data.store import sha256

log = logging.getLogger(__name__)


def from_folder(request: Request) -> Delivery:
    """Alignment of a folder whose query is the row's.

    The row's query (a sequence, a FASTA file or a name) decides; without one, the row's name. Where several
    files have the same query, the first is taken.

    Raises
    ------
    FetchError
        There is no such folder, or it holds no alignment of the row's query.
    AlignmentError
        The alignment that was chosen cannot be read.
    """
    folder = find_local(request.source, request.value, request.directory)
    path = choose_alignment(folder, request.query, request.protein)
    content = _without_nul(request, path)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    terms = {"licence": request.source.licence, "citation": request.source.citation}
    return content, {"path": str(path), "time": now, **terms}


def _without_nul(request: Request, path: Path) -> dict[str, Any]:
    """Write the alignment; those of several databases may stand in one file, divided by NUL bytes."""
    packed = path.read_bytes()
    if b"\0" not in packed:
        return normalise(path, request.destination, request.kind)
    with tempfile.TemporaryDirectory() as folder:
        clean = Path(folder) / path.name
        clean.write_bytes(packed.replace(b"\0", b""))
        return normalise(clean, request.destination, request.kind) | {"sha256": sha256(path)}


def choose_alignment(folder: Path, query: str, protein: str = "") -> Path:
    """File of a folder whose query is the one asked for: by the file's name, then by its first row.

    Parameters
    ----------
    folder : path
        Holds ``*.a3m``.
    query : str
        Name, sequence or FASTA path; empty: `protein` is the name.
    protein : str

    Raises
    ------
    FetchError
        None fits; the message lists what there is.
    """
    paths = sorted(folder.glob("*.a3m"), key=_in_order)
    if not paths:
        raise FetchError(
            "the folder holds no alignment (*.a3m)",
            file=folder,
            remedy="name the folder that colabfold_search wrote its results to",
        )
    wanted = query or protein
    named = next((path for path in paths if path.stem == wanted), None)
    if named:
        return named
    sequence = ungapped(sequence_of(wanted))
    for path, row in _first_rows(paths):
        word = first_word(row.name)
        same = sequence.isalpha() and ungapped(row.text) == sequence
        if same or wanted == word or wanted in accessions(word):
            log.info("%s is the alignment of %s", path, wanted[:60])
            return path
    some = [f"{path.name} ({len(ungapped(row.text))} residues)" for path, row in _first_rows(paths[:3])]
    raise FetchError(
        "no alignment of the folder has this query",
        file=folder,
        value=f"{wanted[:60]} ({len(sequence)} letters)" if sequence.isalpha() else wanted,
        remedy="give the sequence that was searched as the row's query; "
        f"there are {len(paths)} files, such as {', '.join(some)}",
    )


def _in_order(path: Path) -> tuple[int, str]:
    """Numbers in the order of their value, then names."""
    return (int(path.stem), "") if re.fullmatch(r"\d{1,9}", path.stem) else (10**9, path.stem)


def _first_rows(paths: list[Path]) -> Iterator[tuple[Path, Row]]:
    """First row of each file; one that cannot be read is left out with a warning."""
    for path in paths:
        try:
            row = next(read_rows(path), None)
        except AlignmentError as error:
            log.warning("%s", error)
            continue
        if row:
            yield path, row
