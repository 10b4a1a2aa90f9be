"""The protein table: what to run, one protein a row, checked as a whole before anything runs."""

import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import jsonschema

from data.errors import FetchError, TableError
from data.limits import LARGEST_TABLE, require_file
from data.places import absolute
from data.query import query_file, sequence_of, uniprot_accession
from data.registry import SOURCES, find_local, find_package_file, parse_cell
from data.structure_cells import NamedStructure, split_structures

VARIABLE = re.compile(r"<[a-z][a-z0-9_]*>|[{}]")  # Snakemake 9.27, snakemake.pathvars, and wildcards
NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"  # of a protein or a cluster; as the schema of rows has it
COLUMNS = (
    "protein",
    "alignment",
    "structure",
    "chain",
    "query",
    "region",
    "first_index",
    "maps",
    "split",
    "cluster",
)
REQUIRED = ("protein", "alignment")
PATHS = tuple(name for name, source in SOURCES.items() if source.marks)  # their value is a path
# Names that results/NAME would share with files and folders of a run
RESERVED = frozenset({"model", "logs", "batches", "summary.tsv", "index.html", "run.json", "failure.json"})
# Names that foreign maps would share with maps of our own
OUR_MAPS = frozenset({"mi", "mean-field", "plm", "plm-asymmetric", "ridge", "gaussian", "boltzmann"})


_In = TypeVar("_In")
_Out = TypeVar("_Out")
_MANY, _LOOKERS = 200, 32  # rows from which on, and threads that, ask the file system side by side


@dataclass(frozen=True)
class ProteinRow:
    """One row of the protein table, its paths made absolute.

    Attributes
    ----------
    protein : str
        Name, unique, the folder of its results.
    alignment, structure : str
        Absolute path or a cell of `data.registry` (``pfam:PF00072``); structure may be empty, or several
        joined by ``;``.
    chain : str
        Chain of the structure, empty for the first protein chain; of several structures one each, joined
        by ``;``.
    query : str
        Name, sequence or UniProt accession of the query, an absolute FASTA path, or empty.
    region : str
        ``FIRST-LAST`` in query residues, 1-based, or empty.
    first_index : int
        Number of the first query residue in all that a person reads.
    maps : tuple of (name, absolute path)
        Foreign maps to score and show.
    split : str
        ``train``, ``tune``, ``val`` or empty.
    cluster : str
        Homology cluster, or empty.
    line : int
        Line of the table, 0 where the row came from elsewhere.
    """

    protein: str
    alignment: str
    structure: str = ""
    chain: str = ""
    query: str = ""
    region: str = ""
    first_index: int = 1
    maps: tuple[tuple[str, str], ...] = ()
    split: str = ""
    cluster: str = ""
    line: int = 0

    @property
    def structures(self) -> list[NamedStructure]:
        """Structures of the row with their chains, in its order."""
        return list(_structures(self.structure, self.chain))

    @property
    def learnable(self) -> bool:
        """Whether it may be learned from: it has a structure that is no predicted model."""
        return any(not part.is_model for part in self.structures)


def read_proteins(
    path: str | Path,
    skip_bad_rows: bool = False,
    schema: dict[str, Any] | None = None,
    checked: bool = False,
) -> tuple[list[ProteinRow], list[str]]:
    """Read and check a protein table; all that is wrong is found at once.

    Parameters
    ----------
    path : path
        Tab-separated, a header line first; empty lines and lines that begin with ``#`` are skipped.
        Paths in cells are relative to it.
    skip_bad_rows : bool
        Leave wrong rows out instead of raising.
    schema : dict, optional
        JSON schema of a row (its cells that are not empty, as strings); a property's ``description``
        says in the message how to write it. Without one, only what a schema cannot say is checked.

    checked : bool
        Whether another process has found the rows right a moment ago: they are not checked again, unless
        wrong ones are left out.

    Returns
    -------
    rows, problems
        Good rows in the order of the table, and one line of text for each problem of the others.

    Raises
    ------
    TableError
        The table is missing or empty, its header is wrong, or rows are wrong (all listed); with
        `skip_bad_rows`, when no row is good.
    """
    path = Path(path)
    lines = _table_lines(path)
    header = _header(path, lines)
    validator = jsonschema.Draft202012Validator(schema) if schema else None
    rows: list[ProteinRow] = []
    problems: list[str] = []
    first: dict[str, tuple[int, str]] = {}
    split = [(number, _cells(text, header)) for number, text in lines[1:]]

    def read(line: tuple[int, list[str]]) -> ProteinRow:
        return _row(dict(zip(header, line[1], strict=True)), path.parent, line[0])

    if checked and not skip_bad_rows and all(len(cells) == len(header) for _, cells in split):
        return _side_by_side(read, split), []

    def check(line: tuple[int, list[str]]) -> tuple[list[str], ProteinRow | None]:
        found = _row_problems(line[1], header, path.parent, validator)
        return found, None if found else read(line)

    checks = _side_by_side(check, split)
    for (number, cells), (found, row) in zip(split, checks, strict=True):
        name = dict(zip(header, cells, strict=False)).get("protein", "")
        line, other = first.setdefault(name.casefold(), (number, name))
        if name and line != number:
            case = (
                "" if name == other else f" as {other!r}, and file systems that ignore case take both for one"
            )
            found.append(f"protein: {name!r} stands in line {line} already{case}; names are unique")
        problems += [f"line {number} ({name}): {problem}" for problem in found]
        if row and not found:
            rows.append(row)
    if (problems and not skip_bad_rows) or not rows:
        _refuse(path, problems)
    return rows, problems


@lru_cache(maxsize=1024)
def _structures(structure: str, chain: str) -> tuple[NamedStructure, ...]:
    """`split_structures`, which whoever plans a run asks a dozen times of each row."""
    return tuple(split_structures(structure, chain))


def _side_by_side(of: Callable[[_In], _Out], values: list[_In]) -> list[_Out]:
    """What a function that asks the file system says of each value, of many at once."""
    if len(values) <= _MANY:
        return list(map(of, values))
    with ThreadPoolExecutor(_LOOKERS) as pool:
        return list(pool.map(of, values))


def _cells(text: str, header: list[str]) -> list[str]:
    """Cells of a line; empty ones at its end may be left out."""
    cells = [cell.strip() for cell in text.split("\t")]
    return cells + [""] * (len(header) - len(cells))


def shared_folder(names: Iterable[str]) -> str:
    """Which two names would share a folder where the file system ignores case; empty where none do."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            return f"{other!r} and {name!r} differ in case alone: many file systems take both for one folder"
    return ""


def _refuse(path: Path, problems: list[str]) -> None:
    if not problems:
        raise TableError("the table has no rows", file=path, remedy="add a line per protein")
    raise TableError(
        f"{len(problems)} problems in the protein table",
        file=path,
        value="".join(f"\n  {problem}" for problem in problems) + "\n",
        remedy="mend the rows, or go on without them: --config skip_bad_rows=true",
    )


def _table_lines(path: Path) -> list[tuple[int, str]]:
    """Numbered lines that hold something, the header first."""
    if require_file(path, TableError) > LARGEST_TABLE:
        raise TableError("holds more than a table can", file=path, remedy="give a smaller table")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TableError("cannot be read", file=path, value=error, remedy="check the path") from error
    lines = re.split(r"\r\n|\r|\n", _decoded(content, path))  # and not at the further ends of str.splitlines
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip() and line[0] != "#"]


def _decoded(content: bytes, path: Path) -> str:
    """Text of a table in UTF-8."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TableError(
            "the table is not UTF-8 text",
            file=path,
            place=f"line {line}",
            value=repr(content[error.start : error.start + 8]),
            remedy="save it as UTF-8 (it may be latin-1 or UTF-16)",
        ) from error
    if "\0" in text:
        raise TableError(
            "the table holds NUL bytes",
            file=path,
            place=f"line {text[: text.index(chr(0))].count(chr(10)) + 1}",
            remedy="save it as UTF-8 text (it may be UTF-16, or no text at all)",
        )
    return text


def _header(path: Path, lines: list[tuple[int, str]]) -> list[str]:
    if not lines:
        raise TableError("the table is empty", file=path, remedy=f"begin with a line: {' '.join(COLUMNS)}")
    number, text = lines[0]
    header = [cell.strip() for cell in text.split("\t")]
    unknown = [name for name in header if name not in COLUMNS]
    missing = [name for name in REQUIRED if name not in header]
    twice = sorted({name for name in header if header.count(name) > 1})
    for problem, names in (("unknown", unknown), ("missing", missing), ("repeated", twice)):
        if names:
            raise TableError(
                f"{problem} columns in the header",
                file=path,
                place=f"line {number}",
                value=", ".join(map(repr, names)),
                remedy=f"tab-separated columns are {', '.join(COLUMNS)}; the first two are required",
            )
    return header


def _row_problems(
    cells: list[str], header: list[str], directory: Path, validator: jsonschema.Draft202012Validator | None
) -> list[str]:
    """Everything that is wrong with one row."""
    if len(cells) != len(header):
        return [f"{len(cells)} cells where the header has {len(header)}"]
    row = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
    found = [f"{name}: empty" for name in REQUIRED if name not in row]
    if validator:
        found += [_schema_problem(error) for error in validator.iter_errors(row) if error.path]
    elif not re.fullmatch(r"(-?[0-9]{1,6})?", row.get("first_index", "")):
        found.append(f"first_index: {row['first_index'][:60]!r}; a whole number")
    if row.get("protein", "").casefold() in RESERVED:
        found.append(f"protein: {row['protein']!r} is a name that the results use themselves")
    found += _source_problems(row.get("alignment", ""), "alignment", directory)
    found += _structure_problems(row.get("structure", ""), row.get("chain", ""), directory)
    if "chain" in row and "structure" not in row:
        found.append(f"chain: {row['chain']!r} without a structure")
    found += _query_problems(row, directory)
    found += _region_problems(row.get("region", ""))
    return found + _map_problems(row.get("maps", ""), directory)


def _schema_problem(error: jsonschema.ValidationError) -> str:
    hint = error.schema.get("description", error.message) if isinstance(error.schema, dict) else error.message
    return f"{error.path[0]}: {error.instance!r}; {hint}"


def _source_problems(cell: str, kind: str, directory: Path) -> list[str]:
    if not cell:
        return []
    try:
        name, value = parse_cell(cell)
        if kind not in SOURCES[name].delivers:
            return [f"{kind}: {cell!r}; the source {name} has no {kind}s"]
        if name == "package":
            find_package_file(value)
    except FetchError as error:
        return [f"{kind}: {cell!r}; {error.problem}; {error.remedy}"]
    try:
        found = find_local(SOURCES[name], value, directory) if name in PATHS else Path()
    except FetchError as error:
        return [f"{kind}: {error.problem} {value!r} ({error.remedy})"]
    return _variable_problems(kind, found)


def _variable_problems(kind: str, path: Path) -> list[str]:
    """What Snakemake takes for a variable: it stops the whole run at a word in angle brackets or braces."""
    word = VARIABLE.search(str(path))
    return [f"{kind}: {str(path)!r}; rename {word[0]}, which Snakemake reads as a variable"] if word else []


def _structure_problems(structure: str, chain: str, directory: Path) -> list[str]:
    try:
        named = split_structures(structure, chain)
    except FetchError as error:
        value = error.value if ";" in structure + chain else structure
        return [f"structure: {value!r}; {error.problem}; {error.remedy}"]
    cells = dict.fromkeys(part.cell for part in named)
    return [problem for cell in cells for problem in _source_problems(cell, "structure", directory)]


def _query_problems(row: dict[str, str], directory: Path) -> list[str]:
    """A search needs a sequence: letters, a FASTA file, or an accession that UniProt gives it for."""
    query = row.get("query", "")
    path = query_file(query, directory)
    problems = _variable_problems("query", path) if path else []
    try:
        source = SOURCES[parse_cell(row.get("alignment", ""))[0]]
    except FetchError:
        return problems  # told already
    if problems or not source.needs_query:
        return problems
    wanted = "a search needs the query's sequence, the path of a FASTA file, or a UniProt accession"
    if not query:
        return [f"query: empty; {wanted}"]
    known = uniprot_accession(query) or path or sequence_of(query).isalpha()
    return [] if known else [f"query: {query!r} is neither a sequence nor a file nor an accession; {wanted}"]


def _region_problems(cell: str) -> list[str]:
    ends = re.fullmatch(r"([0-9]{1,9})-([0-9]{1,9})", cell)
    if ends and int(ends[1]) > int(ends[2]):
        return [f"region: {cell!r} ends before it begins; write FIRST-LAST"]
    return []


def _map_problems(cell: str, directory: Path) -> list[str]:
    """Problems of ``NAME=PATH;...``."""
    found, names = [], []
    for part in filter(None, (part.strip() for part in cell.split(";"))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            found.append(f"maps: {part!r}; write NAME=PATH, several joined by ;")
        elif name in {*OUR_MAPS, "file"} or name.startswith("refined") or re.search(r"_(raw|di)$", name):
            found.append(f"maps: {name!r} is a name that the program itself uses; choose another")
        elif name in names:
            found.append(f"maps: {name!r} stands there twice")
        elif not os.path.isfile(_absolute(value, directory)):
            found.append(f"maps: no such file {value!r} (paths are relative to the table)")
        else:
            found += _variable_problems("maps", _absolute(value, directory))
        names.append(name)
    return found


def _absolute(value: str, directory: Path) -> Path:
    return absolute(directory / os.path.expanduser(value))


def _row(cells: dict[str, str], directory: Path, number: int) -> ProteinRow:
    """A checked row."""

    def located(cell: str) -> str:
        name, value = parse_cell(cell) if cell else ("", "")
        if name not in PATHS:
            return cell
        path = str(_absolute(value, directory))
        return path if name == "path" else f"{name}:{path}"

    named = split_structures(cells.get("structure", ""), cells.get("chain", ""))
    parts = [part.partition("=") for part in cells.get("maps", "").split(";") if part.strip()]
    query = cells.get("query", "")
    changed = {
        "alignment": located(cells["alignment"]),
        "structure": ";".join(located(part.cell) for part in named),
        "chain": ";".join(part.chain for part in named) if any(part.chain for part in named) else "",
        "query": str(query_file(query, directory) or query),
        "first_index": int(cells.get("first_index") or 1),
        "maps": tuple((name.strip(), str(_absolute(value.strip(), directory))) for name, _, value in parts),
        "line": number,
    }
    return ProteinRow(**(cells | changed))  # type: ignore[arg-type]
