"""Folders of many proteins: families as rows of a protein table, and chains without alignments."""

import csv
from pathlib import Path

from data.errors import TableError
from data.table import ProteinRow

CLUSTER = "fold:"  # before the id of a chain that stands for itself: no homology cluster is called so


def read_families(
    folder: str,
    splits: list[str],
    representatives: bool = True,
    only: list[str] | None = None,
    longest: int = 0,
) -> list[ProteinRow]:
    """Rows of the families that are asked for.

    Parameters
    ----------
    folder : str
        Holds ``families.tsv`` and ``ID/msa.a3m.gz``, ``ID/structure.pdb.gz``.
    splits : list of str
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
    with table.open(newline="") as stream:
        found = list(csv.DictReader(stream, delimiter="\t"))
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
        and (not longest or int(row["length"]) <= longest)
    ]
    if not chosen:
        raise TableError("no family is left", file=table, value=f"splits {splits}", remedy="widen the choice")
    return [_row(Path(folder).resolve() / row["id"], row) for row in chosen]


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
    with table.open(newline="") as stream:
        lengths = {row["id"]: int(row["length"]) for row in csv.DictReader(stream, delimiter="\t")}
    return {name: length for name, length in lengths.items() if not longest or length <= longest}
