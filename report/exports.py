"""Contacts for other programs: CASP RR and CSV.

The RR format is the one of CASP's residue-residue contact category (predictioncenter.org, format RR):
header records, the sequence in lines of at most 50 letters, then ``i j d_min d_max probability`` best
first, and ``END``. Its indices count the residues of the printed sequence from 1.
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data import store
from data.errors import MapError
from data.limits import LARGEST_TABLE, bounded_lines
from data.numbering import segments
from report.methods import CONTACT_DISTANCE, MIN_SEPARATION

CSV_COLUMNS = (
    *("i", "aa_i", "j", "aa_j", "score", "probability"),
    *("residue_i", "residue_j", "distance", "uniprot_i", "uniprot_j", "coupling_p", "coupling_q"),
)
_LINE = 50
_HEADER = ("TARGET", "AUTHOR", "METHOD", "REMARK", "MODEL")
_LETTERS = frozenset("ACDEFGHIKLMNPQRSTVWYX")


@dataclass(frozen=True)
class Ranking:
    """Pairs of a map, best first.

    Attributes
    ----------
    i, j : int32 [K]
        0-based columns, i < j.
    score : float32 [K]
        Values of the map.
    """

    i: np.ndarray
    j: np.ndarray
    score: np.ndarray


def ranking(values: np.ndarray, min_separation: int = MIN_SEPARATION, top: int | None = None) -> Ranking:
    """Pairs of a symmetric map by falling value, ties by (i, j); values that are not finite are left out.

    Parameters
    ----------
    values : float [L, L]
        Scores or probabilities.
    min_separation : int
        Smallest ``j - i``.
    top : int, optional
        How many pairs to keep; all by default.

    Raises
    ------
    MapError
        The map is not square.
    """
    values = np.asarray(values)
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise MapError("a map must be square", value=values.shape, remedy="give an [L, L] array")
    i, j = np.triu_indices(len(values), min_separation)
    score = values[i, j].astype(np.float32)
    finite = np.isfinite(score)
    i, j, score = i[finite], j[finite], score[finite]
    order = np.argsort(-score, kind="stable")[:top]
    return Ranking(i[order].astype(np.int32), j[order].astype(np.int32), score[order])


def rank_probabilities(count: int) -> np.ndarray:
    """``1 - (r - 1/2) / n`` for ranks r = 1..n: numbers in (0, 1) that keep the order and claim no more."""
    return (1 - (np.arange(count) + 0.5) / max(count, 1)).astype(np.float32)


def write_rr(
    query: str,
    values: np.ndarray,
    path: str | Path,
    method: str,
    *,
    kind: str = "score",
    first_index: int = 1,
    target: str = "",
    min_separation: int = MIN_SEPARATION,
    top: int | None = None,
    uniprot: np.ndarray | None = None,
    accession: str = "",
) -> None:
    """Write the contacts of a map in CASP RR format.

    Parameters
    ----------
    query : str
        Sequence of the L columns.
    values : float [L, L]
        Symmetric map.
    path : path
        File to write.
    method : str
        Name of the method, for the METHOD record.
    kind : {"score", "probability"}
        A probability is printed as it is; a score is replaced by its rank among the pairs listed
        (`rank_probabilities`), which a REMARK states.
    first_index : int
        Number of the first query residue; a REMARK gives the offset, the indices stay those of the
        printed sequence, as the format asks.
    target : str
        Name for the TARGET record.
    min_separation, top : int
        Smallest ``j - i``, and how many pairs to list (3 L by default).
    uniprot : int [L], optional
        UniProt numbers, 0 where unknown; a REMARK gives each run of them.
    accession : str
        UniProt accession of these numbers.

    Raises
    ------
    MapError
        The map does not fit the query, or a probability is outside [0, 1].
    """
    _check(query, values, kind, path)
    ranked = ranking(values, min_separation, 3 * len(query) if top is None else top)
    probability = ranked.score if kind == "probability" else rank_probabilities(len(ranked.score))
    records = _records(method, kind, first_index, target, len(query), len(ranked.i))
    remarks = [] if uniprot is None else _uniprot_remarks(uniprot, accession)
    lines = [*records, *remarks, "MODEL 1", *_wrapped(query)]
    lines += [
        f"{i + 1} {j + 1} 0 {CONTACT_DISTANCE:g} {p:.6f}"
        for i, j, p in zip(ranked.i, ranked.j, probability, strict=True)
    ]
    store.save_text(path, "\n".join([*lines, "END"]) + "\n")


def _check(query: str, values: np.ndarray, kind: str, path: str | Path) -> None:
    if kind not in ("score", "probability"):
        raise MapError("a map is a score or a probability", file=path, value=kind)
    if np.shape(values) != (len(query), len(query)):
        raise MapError(
            f"the map does not fit the query of {len(query)} residues", file=path, value=np.shape(values)
        )
    outside = (values < 0) | (values > 1)
    if kind == "probability" and outside.any():
        raise MapError(
            "a probability lies outside [0, 1]",
            file=path,
            value=values[outside][0],
            remedy='give kind="score" for a map of scores',
        )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _records(method: str, kind: str, first_index: int, target: str, length: int, count: int) -> list[str]:
    records = ["PFRMAT RR", f"TARGET {_one_line(target) or 'unnamed'}", "AUTHOR Covarion"]
    records.append(f"METHOD {_one_line(method)}")
    records.append(
        f"REMARK {count} pairs; a contact is C-beta to C-beta (C-alpha for glycine) below 8 angstrom"
    )
    if kind == "score":
        records.append(
            "REMARK column 5 is rank-normalised: p = 1 - (rank - 1/2) / n over the n pairs listed;"
        )
        records.append("REMARK it keeps the order of the scores and is not a calibrated probability")
    else:
        records.append("REMARK column 5 is the predicted probability of a contact")
    last = first_index + length - 1
    records.append(
        f"REMARK residue 1 of this sequence is number {first_index} of the query, the last is {last}"
    )
    return records


def _uniprot_remarks(uniprot: np.ndarray, accession: str) -> list[str]:
    name = _one_line(f"UniProt {accession}")
    return [
        f"REMARK residues {first + 1} to {last + 1} of this sequence are "
        f"{number} to {number + last - first} of {name}"
        for first, last, number in segments(uniprot)
    ]


def _wrapped(query: str) -> list[str]:
    return [query[start : start + _LINE] for start in range(0, len(query), _LINE)]


@dataclass(frozen=True)
class ContactFile:
    """What a CASP RR file says.

    Attributes
    ----------
    sequence : str
        The sequence of MODEL 1.
    i, j : int32 [K]
        0-based positions in `sequence`, i < j, in the order of the file.
    probability : float32 [K]
        Column 5.
    header : dict of str to str
        Text of each header record; repeated records are joined by line ends.
    """

    sequence: str
    i: np.ndarray
    j: np.ndarray
    probability: np.ndarray
    header: dict[str, str]


def read_rr(path: str | Path) -> ContactFile:
    """Read a CASP RR file, checking every rule of the format that `write_rr` promises.

    Raises
    ------
    MapError
        Naming the line: a missing PFRMAT or END, a long or foreign sequence line, a contact line
        that has not five columns, indices out of order or range, a repeated pair, a probability
        outside [0, 1] or above the one before it.
    """
    lines = [line for _, line in bounded_lines(path, MapError, LARGEST_TABLE)]
    if not lines or lines[0].split() != ["PFRMAT", "RR"]:
        raise MapError("a CASP RR file starts with PFRMAT RR", file=path, place="line 1", value=lines[:1])
    if lines[-1].strip() != "END":
        raise MapError(
            "a CASP RR file closes with END", file=path, place=f"line {len(lines)}", value=lines[-1]
        )
    header, start = _read_header(lines)
    sequence, start = _read_sequence(lines, start, path)
    contacts = _read_contacts(lines, start, len(sequence), path)
    i, j, probability = (
        (np.array(column) for column in zip(*contacts, strict=True)) if contacts else ([],) * 3
    )
    return ContactFile(
        sequence,
        np.asarray(i, dtype=np.int32) - 1,
        np.asarray(j, dtype=np.int32) - 1,
        np.asarray(probability, dtype=np.float32),
        header,
    )


def _read_header(lines: list[str]) -> tuple[dict[str, str], int]:
    header: dict[str, str] = {}
    for number, line in enumerate(lines[1:], start=1):
        word, _, text = line.partition(" ")
        if word not in _HEADER:
            return header, number
        header[word] = f"{header[word]}\n{text}" if word in header else text
    return header, len(lines)


def _read_sequence(lines: list[str], start: int, path: str | Path) -> tuple[str, int]:
    sequence = ""
    for number in range(start, len(lines)):
        line = lines[number].strip()
        if line == "END" or line[:1].isdigit():
            return sequence, number
        if len(line) > _LINE or not set(line) <= _LETTERS:
            raise MapError(
                f"a sequence line holds at most {_LINE} amino acids",
                file=path,
                place=f"line {number + 1}",
                value=line,
            )
        sequence += line
    return sequence, len(lines)


def _read_contacts(
    lines: list[str], start: int, length: int, path: str | Path
) -> list[tuple[int, int, float]]:
    contacts: list[tuple[int, int, float]] = []
    seen: set[tuple[int, int]] = set()
    for number in range(start, len(lines) - 1):
        problem, contact = _contact(lines[number], length)
        if not problem and contact[:2] in seen:
            problem = "this pair stands here for the second time"
        if not problem and contacts and contact[2] > contacts[-1][2]:
            problem = "contacts must be sorted by falling probability"
        if problem:
            raise MapError(problem, file=path, place=f"line {number + 1}", value=lines[number])
        contacts.append(contact)
        seen.add(contact[:2])
    return contacts


def _contact(line: str, length: int) -> tuple[str, tuple[int, int, float]]:
    """Problem of a contact line ("" if none), and its i, j and probability."""
    fields = line.split()
    try:
        i, j = (int(field) for field in fields[:2])
        low, high, probability = (float(field) for field in fields[2:])
    except ValueError:
        return "a contact line is: i j d_min d_max probability", (0, 0, 0.0)
    if not 1 <= i < j <= length:
        return f"residue numbers must be 1 <= i < j <= {length}", (i, j, probability)
    if not 0 <= low < high:
        return "distances must be 0 <= d_min < d_max", (i, j, probability)
    if not 0 <= probability <= 1:
        return "a probability must lie in [0, 1]", (i, j, probability)
    return "", (i, j, probability)


def write_csv(
    query: str,
    values: np.ndarray,
    path: str | Path,
    *,
    probability: np.ndarray | None = None,
    first_index: int = 1,
    residue: np.ndarray | None = None,
    distance: np.ndarray | None = None,
    min_separation: int = MIN_SEPARATION,
    top: int | None = None,
    uniprot: np.ndarray | None = None,
    coupling: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
) -> None:
    """Write the pairs of a map as CSV, best first.

    Columns: `CSV_COLUMNS`; i and j in the numbering of the query (`first_index`), ``residue_`` in that of
    the structure, ``uniprot_`` in that of UniProt; distance in angstrom, rounded down so that a contact stays
    below 8. A cell is empty where nothing is known.

    Parameters
    ----------
    query : str
        Sequence of the L columns.
    values : float [L, L]
        Map that orders the pairs.
    path : path
        File to write.
    probability : float [L, L], optional
        Calibrated probability of a contact: of the map itself where it is a refined one.
    first_index : int
        Number of the first query residue.
    residue : str [L], optional
        Author numbers of the structure ("" where unresolved).
    distance : float [L, L], optional
        C-beta distances, NaN where unknown.
    min_separation, top : int
        Smallest ``j - i``, and how many pairs to list (all by default).
    uniprot : int [L], optional
        UniProt numbers, 0 where unknown.
    coupling : (float [L, L], float [L, L]), optional
        p and q of the couplings of ``plm``, whichever map orders the pairs; NaN where not tested.
    """
    _check(query, values, "score", path)
    ranked = ranking(values, min_separation, top)
    floored = None if distance is None else np.floor(100 * distance.astype(np.float64)) / 100
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(CSV_COLUMNS)
    for i, j, score in zip(ranked.i, ranked.j, ranked.score, strict=True):
        row = [i + first_index, query[i], j + first_index, query[j], f"{score:.6g}"]
        row += [_cell(probability, i, j, ".6f")]
        row += ["", ""] if residue is None else [residue[i], residue[j]]
        numbers = ["", ""] if uniprot is None else [uniprot[i] or "", uniprot[j] or ""]
        significance = [_cell(tested, i, j, ".3g") for tested in coupling]
        table.writerow([*row, _cell(floored, i, j, ".2f"), *numbers, *significance])
    store.save_text(path, text.getvalue())


def _cell(values: np.ndarray | None, i: int, j: int, form: str) -> str:
    return "" if values is None or not np.isfinite(values[i, j]) else format(float(values[i, j]), form)
