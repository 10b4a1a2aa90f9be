"""Building an alignment on the spot: jackhmmer searches of a query against a local sequence database.

The search is HMMER's (Eddy 2011, PLoS Comput Biol 7:e1002195; Johnson, Eddy, Portugaly 2010, BMC
Bioinformatics 11:431) through pyhmmer (Larralde, Zeller 2023, Bioinformatics 39:btad214).
"""

import gzip
import logging
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from data.alphabet import LETTERS
from data.errors import AlignmentError
from data.msa import write_a3m
from data.query import sequence_of, ungapped
from data.store import save_json, sha256

logger = logging.getLogger(__name__)

_CITATION = "Johnson et al. 2010, BMC Bioinformatics 11:431 (jackhmmer); Larralde, Zeller 2023 (pyhmmer)"


@dataclass(frozen=True)
class SearchSettings:
    """How a database is searched.

    Attributes
    ----------
    iterations : int
        Rounds at most; it ends earlier where nothing new is found.
    evalue : float
        Largest E-value, of a sequence and of a domain, that enters the next round and the alignment.
    min_coverage : float
        Rows that cover a smaller share of the query are left out.
    """

    iterations: int = 3
    evalue: float = 1e-3
    min_coverage: float = 0.5


def search(
    query: str, database: str | Path, destination: str | Path, settings: SearchSettings | None = None
) -> dict[str, Any]:
    """Search a database with jackhmmer and write the alignment of what is found.

    Parameters
    ----------
    query : str
        Sequence, or path of a FASTA file whose first sequence it is.
    database : path
        FASTA of proteins, plain or gzip. It is held in memory.
    destination : path
        gzip A3M, the query first, columns those of the query; provenance goes to the same name + ``.json``.
    settings : SearchSettings, optional

    Returns
    -------
    dict
        The provenance.

    Raises
    ------
    AlignmentError
        The query is no protein sequence, or the database cannot be read or holds nothing.
    """
    settings = settings or SearchSettings()
    sequence = protein_sequence(query)
    start = time.monotonic()
    msa, rounds = _jackhmmer(sequence, Path(database), settings, start)
    rows = _rows(msa, sequence, settings.min_coverage)
    if len(rows) == 1:
        raise AlignmentError(
            "the search found nothing",
            file=database,
            value=f"E-value {settings.evalue:g}, coverage {settings.min_coverage:g}",
            remedy="allow a larger E-value or a smaller coverage, or search a larger database",
        )
    logger.info("%d sequences found, %.0f s", len(rows) - 1, time.monotonic() - start)
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found.a3m"
        found.write_text("".join(f">{name}\n{row}\n" for name, row in rows))
        content = write_a3m(found, destination)
    provenance = {
        "cell": f"jackhmmer:{database}",
        "source": "jackhmmer",
        "path": str(database),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "licence": "",
        "citation": _CITATION,
        "sha256": sha256(database),
        "format": content["format"],
        "search": asdict(settings) | rounds | {"pyhmmer": metadata.version("pyhmmer")},
        "content": {key: value for key, value in content.items() if key not in ("sha256", "format")},
        "output_sha256": sha256(destination),
    }
    save_json(f"{destination}.json", provenance)
    return provenance


def protein_sequence(query: str) -> str:
    """Sequence of a query for a search: letters, or the first sequence of a FASTA file.

    Raises
    ------
    AlignmentError
        It is no protein sequence.
    """
    sequence = sequence_of(query)
    letters = ungapped(sequence)
    wrong = sorted(set(letters) - set(LETTERS.replace("-", "") + "XBZUOJ"))
    if len(letters) < 2 or wrong:
        raise AlignmentError(
            "a search needs the sequence of a protein",
            value="".join(wrong) or sequence[:60] or "(empty)",
            remedy="write the query's letters, or the path of a FASTA file, into the column query",
        )
    return letters


def _jackhmmer(sequence: str, database: Path, settings: SearchSettings, start: float) -> tuple[Any, dict]:
    """The alignment of the last round (pyhmmer's digital one), and how the search went."""
    from pyhmmer import easel, plan7

    alphabet = easel.Alphabet.amino()
    targets = _read(database, alphabet)
    query = easel.TextSequence(name=b"query", sequence=sequence).digitize(alphabet)
    limits = dict.fromkeys(("E", "domE", "incE", "incdomE"), settings.evalue)
    pipeline: Any = plan7.Pipeline
    rounds = pipeline(alphabet, **limits).iterate_seq(query, targets)
    result = None
    for number in range(settings.iterations):
        result = next(rounds, None) or result
        assert result is not None  # the first round always ends
        message = "round %d of %d: %d of %d sequences, %.0f s"
        passed = time.monotonic() - start
        logger.info(message, number + 1, settings.iterations, len(result.hits.included), len(targets), passed)
        if result.converged:
            break
    assert result is not None
    done = {
        "rounds": result.iteration,
        "converged": bool(result.converged),
        "database_sequences": len(targets),
    }
    return result.msa, done


def _read(database: Path, alphabet: Any) -> Any:
    """All sequences of a FASTA file, plain or gzip."""
    from pyhmmer import easel

    try:
        with database.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        unpack: Any = gzip.open if packed else open
        with (
            unpack(database, "rb") as plain,
            easel.SequenceFile(plain, format="fasta", digital=True, alphabet=alphabet) as file,
        ):
            targets = file.read_block()
    except (OSError, EOFError, ValueError, TypeError, SystemError) as error:  # pyhmmer raises all
        raise AlignmentError(
            "the database cannot be read",
            file=database,
            value=error,
            remedy="give a FASTA file of protein sequences, plain or gzip",
        ) from error
    if not len(targets):
        raise AlignmentError("the database holds no sequence", file=database, remedy="give another file")
    return targets


def _rows(msa: Any, sequence: str, min_coverage: float) -> list[tuple[str, str]]:
    """A3M rows, the query first: its columns in upper case, what lies between them in lower case."""
    text = msa.textize()
    found = [(str(name), row.upper()) for name, row in zip(text.names, text.alignment, strict=True)]
    own = next([letter.isalpha() for letter in row] for name, row in found if name == "query")
    rows = [("query", sequence)]
    for name, row in found:
        if name == "query":
            continue
        there = sum(mine and letter.isalpha() for mine, letter in zip(own, row, strict=True))
        if there >= min_coverage * len(sequence):
            rows.append((name, "".join(_placed(own, row))))
    return rows


def _placed(own: list[bool], row: str) -> list[str]:
    """Letters of one row of the alignment as A3M has them."""
    placed = []
    for mine, letter in zip(own, row, strict=True):
        if mine:
            placed.append(letter if letter.isalpha() else "-")
        elif letter.isalpha():
            placed.append(letter.lower())
    return placed
