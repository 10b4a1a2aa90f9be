"""Which row of an alignment a person means by a query, and the sequence that a search starts from."""

import os
import re
from pathlib import Path
from typing import Any

from data.alphabet import LETTERS
from data.errors import AlignmentError
from data.layout import Layout, match_bytes
from data.rows import Row, container, first_word, read_rows
from data.store import save_text, sha256


def ungapped(text: str) -> str:
    """Letters of a row, upper case, gaps left out."""
    return text.replace("-", "").replace(".", "").upper()


def find_query(path: str | Path, layout: Layout, query: str) -> int:
    """First row that matches a query best: by whole name, first word, accession, then sequence."""
    sequence = ungapped(sequence_of(query))
    best: tuple[int, int] | None = None
    some: list[str] = []
    for number, row in enumerate(read_rows(path)):
        rank = _match_rank(row, layout, query, sequence)
        if rank == 0:
            return number
        if rank is not None and (best is None or rank < best[0]):
            best = (rank, number)
        if len(some) < 3:
            some.append(first_word(row.name)[:40])
    if best is None:
        raise AlignmentError(
            "the query is not in the alignment",
            file=path,
            value=query[:60],
            remedy=f"name a row (the first are {', '.join(some)}) or give a row's whole sequence",
        )
    return best[1]


def _match_rank(row: Row, layout: Layout, query: str, sequence: str) -> int | None:
    """How well a row answers a query: 0 is the best, None not at all."""
    word = first_word(row.name)
    if row.name == query:
        return 0
    if word == query:
        return 1
    if query in accessions(word):
        return 2
    if sequence.isalpha():
        if ungapped(row.text) == sequence:
            return 3
        if ungapped(match_bytes([row], layout).tobytes().decode("latin-1")) == sequence:
            return 4
    return None


def accessions(word: str) -> set[str]:
    """Parts of a name that people call a sequence by: ``sp|P1|X_Y``, ``X_Y/1-90``, ``P1.2``."""
    parts = set(re.split(r"[|/]", word))
    return parts | {part.rsplit(".", 1)[0] for part in parts if re.search(r"\.\d+$", part)}


def sequence_of(query: str) -> str:
    """The sequence that a cell holds, or the first one of the FASTA file that it names."""
    return _sequence_of_file(query) or query


def _sequence_of_file(query: str) -> str:
    """First sequence of the FASTA file that a query names, or an empty string."""
    path = query_file(query)
    return _first_row(path).text if path else ""


def _first_row(path: str | Path) -> Row:
    row = next(read_rows(path), None)
    if row is None:
        raise AlignmentError("no sequence", file=path, remedy="give a FASTA file with the query's sequence")
    return row


def query_file(query: str, directory: str | Path = ".") -> Path | None:
    """FASTA file that a query names (relative to `directory`), None where it is a name or a sequence."""
    if os.sep not in query and not re.search(r"\.(fa|faa|fas|fasta|seq)(\.gz)?$", query):
        return None
    path = Path(directory) / os.path.expanduser(query)
    return path.resolve() if os.path.isfile(path) else None


def uniprot_accession(query: str) -> str:
    """UniProt accession that a query is, with or without ``uniprot:`` before it; empty where it is none."""
    from data.registry import UNIPROT  # here: DCA alone needs no registry, and starts without it

    accession = re.sub(r"^uniprot(kb)?:", "", query.strip()).strip().upper()
    return accession if re.fullmatch(UNIPROT, accession) else ""


def protein_sequence(query: str) -> str:
    """Sequence of a query for a search: letters, or the first sequence of a FASTA file.

    Raises
    ------
    AlignmentError
        It is no protein sequence.
    """
    return _protein_letters(sequence_of(query))


def _protein_letters(sequence: str) -> str:
    letters = ungapped(sequence)
    wrong = sorted(set(letters) - set(LETTERS.replace("-", "") + "XBZUOJ"))
    if len(letters) < 2 or wrong:
        raise AlignmentError(
            "a search needs the sequence of a protein",
            value="".join(wrong) or sequence[:60] or "(empty)",
            remedy="write the query's letters, a UniProt accession or a FASTA path into the column query",
        )
    return letters


def write_sequence(source_path: str | Path, out_path: str | Path) -> dict[str, Any]:
    """Write the first sequence of a FASTA file as FASTA, in one step.

    Returns
    -------
    dict
        ``format``, ``name``, ``length`` and ``sha256`` of the source.

    Raises
    ------
    AlignmentError
        The file is none, or its sequence is not that of a protein.
    """
    if container(source_path) != "fasta":
        raise AlignmentError("no FASTA file", file=source_path, remedy="give a FASTA file")
    row = _first_row(source_path)
    letters = _protein_letters(row.text)  # never as a path: the text may come from a server
    save_text(out_path, f">{row.name}\n{letters}\n")
    return {"format": "fasta", "name": row.name, "length": len(letters), "sha256": sha256(source_path)}
