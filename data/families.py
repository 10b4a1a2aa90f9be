"""Folders of many proteins: families as rows of a protein table, and chains without alignments."""

import re
from collections.abc import Sequence
from pathlib import Path

from data.errors import TableError
from data.store import load_table
from data.table import NAME, ProteinRow, shared_folder

CLUSTER = "fold:"  # before the id of a chain that stands for itself: no homology cluster is called so

_COLUMNS = ("id", "split", "cluster", "representative", "length")


def read_families(
    folder: str,
    splits: Sequence[str] = (),
    representatives: bool = True,
    only: list[str] | None = None,
    longest: int = 0,
) -> list[ProteinRow]:
    """Rows of the families that are asked for.

    Parameters
    ----------
    folder : str
        Holds ``families.tsv`` and ``ID/msa.a3m.gz``, ``ID/structure.pdb.gz``.
    splits : sequence of str
        Which values of the column ``split``; empty takes all.
    representatives : bool
        One family per homology cluster.
    only : list of str, optional
        Restrict to these ids.
    longest : int
        Leave out families of more columns; 0 keeps all.

    Raises
    ------
    TableError
        The folder is absent, or no family is left.
    """
    table = Path(folder) / "families.tsv"
    if not table.is_file():
        raise TableError(
            "the folder of families is not there",
            file=table,
            remedy="set families: folder to where it is, or name a protein table: --config proteins=FILE",
        )
    found = load_table(table, _COLUMNS, TableError)
    unknown = sorted(set(only or []) - {row["id"] for row in found})
    if unknown:
        raise TableError(
            "no such family", file=table, value=", ".join(unknown), remedy="take ids of its column id"
        )
    chosen = [
        row
        for row in found
        if (not splits or row["split"] in splits)
        and (row["representative"] == "1" or not representatives or only)
        and (not only or row["id"] in only)
        and (not longest or _length(row, table) <= longest)
    ]
    if not chosen:
        raise TableError("no family is left", file=table, value=f"splits {splits}", remedy="widen the choice")
    _refuse_names(chosen, table)
    return [_row(Path(folder).resolve() / row["id"], row) for row in chosen]


def _length(row: dict[str, str], table: Path) -> int:
    """Number of residues; a wrong one is refused."""
    if not re.fullmatch(r"[0-9]{1,9}", row["length"]):
        raise TableError(
            "a length is no number", file=table, place=row["id"][:60], value=row["length"][:60],
            remedy="mend the table",
        )  # fmt: skip
    return int(row["length"])


def _refuse_names(rows: list[dict[str, str]], table: Path) -> None:
    """Ids and clusters become names of folders: they are held against the rules of the protein table."""
    for row in rows:
        for column in ("id", "cluster"):
            if not re.fullmatch(NAME, row[column]):
                raise TableError(
                    f"no {column} that can name a folder", file=table, value=row[column][:120],
                    remedy="use letters, digits, _ . and -, a letter, a digit or _ first",
                )  # fmt: skip
    if problem := shared_folder(row["id"] for row in rows):
        raise TableError(problem, file=table, remedy="choose other names")


def _row(folder: Path, row: dict[str, str]) -> ProteinRow:
    return ProteinRow(
        protein=row["id"],
        alignment=str(folder / "msa.a3m.gz"),
        structure=str(folder / "structure.pdb.gz"),
        split=row["split"] if row["split"] in ("train", "tune", "val") else "",
        cluster=row["cluster"],
    )


def read_folds(folder: str | Path, longest: int = 0) -> dict[str, int]:
    """Ids and lengths of the chains of a folder with ``structures.tsv`` and ``coordinates.npz``.

    Parameters
    ----------
    folder : path
    longest : int
        Leave out longer chains; 0 keeps all.

    Raises
    ------
    TableError
        The folder does not hold both files.
    """
    table = Path(folder) / "structures.tsv"
    if not table.is_file() or not (Path(folder) / "coordinates.npz").is_file():
        raise TableError(
            "no folder of structures",
            file=table,
            remedy="it must hold structures.tsv and coordinates.npz; set train: folds: folder",
        )
    rows = load_table(table, ("id", "length"), TableError)
    for row in rows:
        if not re.fullmatch(NAME, row["id"]):
            raise TableError(
                "no id that can name a file", file=table, value=row["id"][:120],
                remedy="use letters, digits, _ . and -, a letter, a digit or _ first",
            )  # fmt: skip
    lengths = {row["id"]: _length(row, table) for row in rows}
    return {name: length for name, length in lengths.items() if not longest or length <= longest}
