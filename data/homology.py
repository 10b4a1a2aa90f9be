"""Is a protein homologous to one of a list of families: its profile against their consensus sequences.

The alignment becomes a profile hidden Markov model that keeps every column, and HMMER (Eddy 2011, PLoS
Comput Biol 7:e1002195, through pyhmmer) searches the consensus sequences with it. A consensus sequence, the
most frequent residue of each column, is found by a profile more easily than a member of the family is
(Przybylski, Rost 2008, Bioinformatics 24:1987), and it is no row of an alignment.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.alphabet import GAP, LETTERS, decode
from data.errors import TableError
from data.store import load_table, save_text

HOMOLOGOUS = 1e-3  # largest E-value of a homologue
COLUMNS = ("family", "cluster", "split", "consensus")
_LEAST = 10.0  # largest E-value that is told at all
_MOST_ROWS = 1000  # of the alignment that make the profile, spread evenly over it
_SEED = 42  # of the simulated scores that calibrate the profile


@dataclass(frozen=True)
class Family:
    """A family that a protein may be homologous to.

    Attributes
    ----------
    family, cluster : str
        Its name and its homology cluster.
    split : str
        ``train`` (learned from) or ``tune`` (looked at).
    consensus : str
        Most frequent residue of each column.
    """

    family: str
    cluster: str
    split: str
    consensus: str


@dataclass(frozen=True)
class Homologue:
    """A family that an alignment's profile found.

    Attributes
    ----------
    family, cluster, split : str
        As in `Family`.
    evalue : float
        Chance hits as good as this one that are expected in the whole list.
    identity : float
        Share of the aligned columns where the query and the consensus have the same residue.
    first, last : int
        Aligned query columns, 0-based, both included.
    """

    family: str
    cluster: str
    split: str
    evalue: float
    identity: float
    first: int
    last: int


def consensus_sequence(shares: np.ndarray) -> str:
    """Most frequent residue of each column, the first in the alphabet of equals.

    Parameters
    ----------
    shares : float [L, 20]
        Weighted shares of the residues, in the order of `data.alphabet.LETTERS`.
    """
    return decode(np.argmax(shares[:, :GAP], axis=1))


def save_families(path: str | Path, families: Sequence[Family]) -> None:
    """Write a tab-separated table of families, by name."""
    rows = sorted(families, key=lambda family: family.family)
    save_text(
        path, "\n".join(["\t".join(COLUMNS), *("\t".join(asdict(row).values()) for row in rows)]) + "\n"
    )


def load_families(path: str | Path) -> list[Family]:
    """Families of a table.

    Raises
    ------
    TableError
        The table cannot be read, or a consensus holds something else than residues.
    """
    rows = load_table(path, COLUMNS, TableError)
    for row in rows:
        if not re.fullmatch(f"[{LETTERS[:GAP]}]+", row["consensus"]):
            raise TableError(
                "a consensus is no sequence of the 20 residues", file=path, place=row["family"][:60],
                value=row["consensus"][:60], remedy="write the table anew",
            )  # fmt: skip
    return [Family(*(row[name] for name in COLUMNS)) for row in rows]


def find_homologues(tokens: np.ndarray, families: Sequence[Family]) -> list[Homologue]:
    """Families that the alignment's profile finds with an E-value of at most 10, best first.

    Parameters
    ----------
    tokens : int8 [N, L]
        The query is row 0.
    families : sequence of Family
    """
    if not families:
        return []
    from pyhmmer import easel, plan7

    columns = np.flatnonzero((tokens != GAP).any(0))
    if len(columns) == 0:
        return []
    alphabet = easel.Alphabet.amino()
    targets = easel.DigitalSequenceBlock(
        alphabet,
        [
            easel.TextSequence(name=str(k).encode(), sequence=family.consensus).digitize(alphabet)
            for k, family in enumerate(families)
        ],
    )
    # Without filters, so that the best chance hit is told too: the list is short
    limits = {"F1": 1.0, "F2": 1.0, "F3": 1.0, "E": _LEAST, "domE": _LEAST}
    pipeline: Any = plan7.Pipeline
    hits = pipeline(alphabet, **limits).search_hmm(_profile(tokens[:, columns], alphabet), targets)
    return [_homologue(hit, families[int(str(hit.name))], tokens[0], columns) for hit in hits.reported]


def _profile(tokens: np.ndarray, alphabet: Any) -> Any:
    """Profile hidden Markov model of an alignment with a match state for each column."""
    from pyhmmer import easel, plan7

    if len(tokens) > _MOST_ROWS:
        tokens = tokens[np.linspace(0, len(tokens) - 1, _MOST_ROWS).astype(int)]
    tokens = tokens[(tokens != GAP).any(1)]
    rows = [easel.TextSequence(name=f"row{k}".encode(), sequence=decode(row)) for k, row in enumerate(tokens)]
    alignment = easel.TextMSA(name=b"query", sequences=rows).digitize(alphabet)
    builder = plan7.Builder(alphabet, architecture="fast", symfrac=0.0, seed=_SEED)
    return builder.build_msa(alignment, plan7.Background(alphabet))[0]


def _homologue(hit: Any, family: Family, query: np.ndarray, columns: np.ndarray) -> Homologue:
    """A hit in the columns of the alignment."""
    aligned = hit.best_domain.alignment
    at, same, pairs = aligned.hmm_from - 1, 0, 0
    for model, target in zip(aligned.hmm_sequence, aligned.target_sequence, strict=True):
        if model == ".":  # residues of the consensus between two columns
            continue
        if target != "-":
            pairs += 1
            same += LETTERS[query[columns[at]]] == target.upper()
        at += 1
    first, last = int(columns[aligned.hmm_from - 1]), int(columns[aligned.hmm_to - 1])
    return Homologue(
        family.family, family.cluster, family.split, float(hit.evalue), same / max(pairs, 1), first, last
    )
