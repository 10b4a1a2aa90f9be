"""jackhmmer searches of a local FASTA file.

The search is HMMER's (Eddy 2011, PLoS Comput Biol 7:e1002195; Johnson, Eddy, Portugaly 2010, BMC
Bioinformatics 11:431) through pyhmmer (Larralde, Zeller 2023, Bioinformatics 39:btad214).
"""

import gzip
import logging
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from data.errors import AlignmentError
from data.programs import SearchSettings, still_running

logger = logging.getLogger(__name__)

_LONGEST = 100_000  # residues; HMMER's pipeline refuses the whole search at a longer target


def jackhmmer(
    sequence: str, database: Path, settings: SearchSettings, threads: int
) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """Rows of what is found as A3M, the query first, and how the search went; one thread.

    Raises
    ------
    AlignmentError
        The database cannot be read or holds nothing.
    """
    msa, report = _search(sequence, database, settings, time.monotonic())
    return _rows(msa, sequence), report | {"pyhmmer": metadata.version("pyhmmer")}


def _search(sequence: str, database: Path, settings: SearchSettings, start: float) -> tuple[Any, dict]:
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
        with still_running(f"round {number + 1} of {settings.iterations}, {len(targets)} sequences"):
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
            targets = _searchable(file.read_block(), database)
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


def _searchable(targets: Any, database: Path) -> Any:
    """The sequences that a search can hold, each with a name that can be read."""
    long = 0
    for number, target in enumerate(targets, 1):
        long += len(target) > _LONGEST
        try:
            str(target.name)
        except UnicodeDecodeError:  # letters of another encoding than UTF-8
            target.name = f"sequence{number}"
    if not long:
        return targets
    message = "%s: %d sequences of more than %d residues are left out of the search"
    logger.warning(message, database, long, _LONGEST)
    return type(targets)(targets.alphabet, (target for target in targets if len(target) <= _LONGEST))


def _rows(msa: Any, sequence: str) -> list[tuple[str, str]]:
    """A3M rows, the query first: its columns in upper case, what lies between them in lower case."""
    text = msa.textize()
    found = [(str(name), row.upper()) for name, row in zip(text.names, text.alignment, strict=True)]
    own = next([letter.isalpha() for letter in row] for name, row in found if name == "query")
    others = [(name, "".join(_placed(own, row))) for name, row in found if name != "query"]
    return [("query", sequence), *others]


def _placed(own: list[bool], row: str) -> list[str]:
    """Letters of one row of the alignment as A3M has them."""
    placed = []
    for mine, letter in zip(own, row, strict=True):
        if mine:
            placed.append(letter if letter.isalpha() else "-")
        elif letter.isalpha():
            placed.append(letter.lower())
    return placed
