"""Which residue of a structure each query residue is, by pairwise alignment."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from Bio.Align import PairwiseAligner, substitution_matrices

from data.errors import MappingError
from data.structure import Chain

_LETTERS = "ACDEFGHIKLMNPQRSTVWYX"
_UNKNOWN = 20
_WORD = 3
_LONGEST_BREAK = 200
_LONGEST_STEP = 7.0  # angstrom; C-beta atoms of neighbours are closer, beyond a missing residue farther


@dataclass(frozen=True)
class Mapping:
    """A query laid on a chain.

    Attributes
    ----------
    index : int32 [L]
        Residue of the chain (0-based, in `Chain.sequence`) for each query residue, -1 where none.
    identity : float
        Share of equal letters among aligned pairs whose chain residue has coordinates; pairs with an
        unknown letter (X) on either side are not counted.
    coverage : float
        Share of query residues that are aligned to a residue of the chain, resolved or not.
    """

    index: np.ndarray
    identity: float
    coverage: float


def map_query(query: str, chain: Chain, min_identity: float = 0.9, min_coverage: float = 0.5) -> Mapping:
    """Align a query to a chain's sequence, end gaps free, affine gaps inside.

    Parameters
    ----------
    query : str [L]
        Query letters without gaps.
    chain : Chain
        Where its sequence is only what was observed, jumps of the author numbers are read as missing
        residues, so that a gap falls where the model breaks.
    min_identity, min_coverage : float
        Thresholds on `Mapping.identity` and `Mapping.coverage`.

    Raises
    ------
    MappingError
        One of the two is below its threshold; the message has both numbers.
    """
    index = _align(query, chain)
    aligned = index >= 0
    identity, pairs = _identity(query, chain, index)
    coverage = float(aligned.mean())
    if pairs == 0 and coverage >= min_coverage:
        model = " with a pLDDT that is high enough" if chain.model else ""
        raise MappingError(
            f"no residue that the query aligns with has coordinates{model}",
            file=chain.source,
            place=f"chain {chain.name}",
            value=f"coverage {coverage:.2f} of {len(query)} query residues",
            remedy="name another chain or structure" + (", or lower min_plddt" if chain.model else ""),
        )
    if pairs == 0 or identity < min_identity or coverage < min_coverage:
        raise MappingError(
            "the query does not match the structure",
            file=chain.source,
            place=f"chain {chain.name}",
            value=(
                f"identity {identity:.2f} over {pairs} resolved pairs (at least {min_identity:g} asked), "
                f"coverage {coverage:.2f} of {len(query)} query residues (at least {min_coverage:g} asked)"
            ),
            remedy="name the right chain or query, or lower the thresholds of the mapping in the config",
        )
    return Mapping(index, identity, coverage)


def _identity(query: str, chain: Chain, index: np.ndarray) -> tuple[float, int]:
    """Share of equal letters and number of pairs that count for it."""
    places = np.flatnonzero(index >= 0)
    places = places[chain.resolved[index[places]]]
    ours = _codes(query)[places]
    theirs = _codes(chain.sequence)[index[places]]
    known = (ours != _UNKNOWN) & (theirs != _UNKNOWN)
    pairs = int(known.sum())
    return (float((ours == theirs)[known].mean()) if pairs else 0.0), pairs


def _code_table() -> np.ndarray:
    table = np.full(256, _UNKNOWN, dtype=np.int64)
    for code, letter in enumerate(_LETTERS):
        table[ord(letter)] = table[ord(letter.lower())] = code
    return table


_CODE_OF_BYTE = _code_table()


def _codes(sequence: str) -> np.ndarray:
    """Codes 0-19 of letters, 20 for any other, int64."""
    return _CODE_OF_BYTE[np.frombuffer(sequence.encode("latin-1"), dtype=np.uint8)]


@cache
def _aligner() -> PairwiseAligner:
    """BLOSUM62 with gaps of 11 + 1 per residue, free at the ends; an unknown letter scores nothing."""
    blosum = substitution_matrices.load("BLOSUM62")
    matrix = substitution_matrices.Array(_LETTERS, dims=2)
    for a in _LETTERS[:_UNKNOWN]:
        for b in _LETTERS[:_UNKNOWN]:
            matrix[a, b] = blosum[a, b]
    aligner = PairwiseAligner(mode="global", substitution_matrix=matrix)
    aligner.open_gap_score, aligner.extend_gap_score = -11, -1
    aligner.end_gap_score = 0
    return aligner


def _plain(sequence: str) -> str:
    """Sequence in the aligner's letters: anything unusual is X."""
    return "".join(_LETTERS[code] for code in _codes(sequence))


def _align(query: str, chain: Chain) -> np.ndarray:
    """Chain residue for each query residue, -1 where none, int32 [L]."""
    target, slots = _with_breaks(chain)
    index = np.full(len(query), -1, dtype=np.int32)
    alignment = next(iter(_aligner().align(_plain(target), _plain(query))))
    for (start, stop), (first, _) in zip(*alignment.aligned, strict=True):
        index[first : first + stop - start] = slots[start:stop]
    _leave_out_insertions(index, chain)
    return index


def _leave_out_insertions(index: np.ndarray, chain: Chain) -> None:
    """Of alignments that score the same take the one that leaves out residues with an insertion code.

    Where the chain has residues that the query lacks, a gap may slide along equal letters; residue ``23A``
    rather than ``23`` is what was inserted.
    """
    letters = chain.sequence
    coded = [label[-1:].isalpha() for label in chain.residue]
    for i in range(len(index) - 1):
        before, after = index[i], index[i + 1]
        if 0 <= before < after - 1 and coded[after] and not coded[before + 1]:
            index[i + 1] = before + 1 if letters[before + 1] == letters[after] else after
    for i in reversed(range(len(index) - 1)):
        before, after = index[i], index[i + 1]
        if 0 <= before < after - 1 and coded[before] and not coded[after - 1]:
            index[i] = after - 1 if letters[after - 1] == letters[before] else before


def _with_breaks(chain: Chain) -> tuple[str, np.ndarray]:
    """Chain sequence with X for residues that author numbers skip, and the residue of each letter.

    A sequence from the header needs none of this: its missing residues stand in it already.
    """
    if "" in chain.residue:
        return chain.sequence, np.arange(len(chain.sequence), dtype=np.int32)
    numbers = [int(re.match(r"-?\d+", label)[0]) for label in chain.residue]  # type: ignore[index]
    letters, slots = [chain.sequence[:1]], [0]
    for slot in range(1, len(numbers)):
        skipped = numbers[slot] - numbers[slot - 1] - 1
        if 0 < skipped <= _LONGEST_BREAK and not _joined(chain, slot):
            letters.append("X" * skipped)
            slots.extend([-1] * skipped)
        letters.append(chain.sequence[slot])
        slots.append(slot)
    return "".join(letters), np.array(slots, dtype=np.int32)


def _joined(chain: Chain, slot: int) -> bool:
    """Whether a residue follows its predecessor without a break, whatever their numbers say."""
    step = np.linalg.norm(chain.position[slot] - chain.position[slot - 1])
    return bool(step < _LONGEST_STEP)


def best_row(sequences: Iterable[tuple[str, str]], chain: Chain, candidates: int = 40) -> int:
    """Row of an alignment that matches a chain best: most identical residues, the first of equals.

    Rows are ranked by the 3-letter words that they share with the chain, and the best of them aligned.

    Parameters
    ----------
    sequences : iterable of (name, ungapped sequence)
    chain : Chain
    candidates : int
        Number of rows that are aligned.

    Raises
    ------
    MappingError
        There is no row.
    """
    words = np.zeros(21**_WORD, dtype=bool)
    words[_words(chain.sequence)] = True
    shared, kept = [], []
    for number, (_, sequence) in enumerate(sequences):
        own = np.unique(_words(sequence))
        shared.append(int(words[own].sum()))
        kept.append((shared[-1], -number, sequence))
        if len(kept) > 4 * candidates:
            kept = sorted(kept, reverse=True)[:candidates]
    if not shared:
        raise MappingError("no row to choose from", file=chain.source, remedy="give an alignment with rows")
    best = max(
        sorted(kept, reverse=True)[:candidates], key=lambda item: (_equal_residues(item[2], chain), item[1])
    )
    return -best[1]


def _words(sequence: str) -> np.ndarray:
    """Codes of the overlapping 3-letter words of a sequence that hold no unknown letter."""
    codes = _codes(sequence)
    if len(codes) < _WORD:
        return np.zeros(0, dtype=np.int64)
    known = (codes[:-2] != _UNKNOWN) & (codes[1:-1] != _UNKNOWN) & (codes[2:] != _UNKNOWN)
    return (codes[:-2] * 441 + codes[1:-1] * 21 + codes[2:])[known]


def _equal_residues(sequence: str, chain: Chain) -> int:
    if not sequence:
        return 0
    index = _align(sequence, chain)
    identity, pairs = _identity(sequence, chain, index)
    return round(identity * pairs)
