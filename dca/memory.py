"""How much memory a run of ``python -m dca`` takes, known before it starts, and how much there is.

What a run takes is counted from the arrays that the code holds at once: a run is a series of stages
(`_stages`), and its peak is that of the largest. Sizes are Python integers and cannot overflow. Bytes per
squared column, at 21 letters and P = L (L - 1) / 2 pairs:

    packed couplings, float32 [P, q, q]                                     882
    plm: couplings, direction, gradient, trial gradient                   3,528
    for comparison, CCMpred's conjugate gradients: 16 x 21 x 32          10,752
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from data.alphabet import GAP, Q
from data.memory import domain_way, largest, require_bytes
from data.memory import gigabytes as _up

# Of dca.chains, vector, words, weights, kernels, boltzmann, phylogeny, site_process and of data.rows, written
# again, which a test compares: whoever plans a run need not load kernels.
GROUP = 8
WIDTH = 24
PLANES = 5
CHUNKS = 32
COUNTED = 65_535
CHAINS = 2000
MOST_ROWS = 10_000
MOST_AT_ONCE = 32_768
SHARE = 0.2
KEPT = 1 << 22
REPRESENTATIVES = 2000
RATES = 13

_BASE = 33_000_000  # interpreter, numpy, compiled kernels
_SCIPY = 40_000_000  # what its linear algebra, loaded for the inverse, adds to the peak
_RANDOM = 7_000_000  # what numpy's random numbers add, which scipy has loaded already
_LINKAGE, _AFTER_ALGEBRA = 31_000_000, 11_000_000  # scipy's; and where its linear algebra is loaded already
_STATISTICS = 36_000_000  # scipy's, for q-values
_LATER = 2_000_000  # kernels of a bootstrap or of nulls
_ROW, _KEPT = 160, 5 * KEPT // 3  # a row beside its letters and its name, and what all that are kept take
_LINE = 220  # a pair in the printed table: its places, its line as a string, the line in the whole text
_COLUMN = 50  # one more number in it
_MAPS = 16  # bytes a squared column of what is kept of an inference: up to four maps
_ALGEBRA = ("mean-field", "ridge", "gaussian")  # methods that invert large matrices
_MODELS = ("mean-field", "ridge", "plm-asymmetric", "plm")  # that a refused run is pointed to


class Uncertainty(NamedTuple):
    """What is asked for beside one inference.

    Attributes
    ----------
    bootstrap : bool
        Replicates of it (`dca.uncertainty`).
    nulls : int
        Alignments of independent sites (`dca.significance`).
    warm : bool
        Whether replicates of ``plm`` start from the first model, which is then kept.
    """

    bootstrap: bool = False
    nulls: int = 0
    warm: bool = True


CERTAIN = Uncertainty()


def predicted_bytes(
    method: str, rows: int, length: int, threads: int = 1, uncertainty: Uncertainty = CERTAIN
) -> int:
    """Largest resident memory of ``python -m dca FILE --method METHOD -o MAP.npz``, interpreter included.

    Parameters
    ----------
    method : str
        One of `dca.methods.METHODS`.
    rows, length : int
        N sequences and L columns.
    threads : int
        Each takes working memory of its own; no more than L of them have work.
    uncertainty : Uncertainty
        ``--bootstrap`` and ``--nulls``.

    Returns
    -------
    int
        Bytes. Kernels are taken as compiled; a run that has to compile them may take 0.25 GB more. Where
        freed arrays do not go back to the system (`data.memory.give_back_freed`), a bootstrap or nulls may
        take a fifth more.

    Raises
    ------
    ValueError
        No such method.
    """
    if method not in _INFERENCES:
        raise ValueError(f"method {method!r} is none of {', '.join(_INFERENCES)}")
    return _BASE + max(_stages(method, rows, length, min(threads, length), uncertainty).values())


def _stages(method: str, rows: int, length: int, threads: int, uncertainty: Uncertainty) -> dict[str, int]:
    """Bytes that each stage holds at its peak."""
    tokens, pairs = rows * length, length * (length - 1) // 2
    planes = _planes(rows, length)
    columns = 3 * uncertainty.bootstrap + 2 * (uncertainty.nulls > 0)
    stages = {
        "read": 2 * tokens,  # twice where a file holds them by rows
        "weights": tokens + planes + 2 * max(CHUNKS, threads, -(-rows // COUNTED)) * rows + 24 * rows,
        "table": tokens + (_LINE + columns * _COLUMN) * pairs + (12 + 4 * columns) * length**2,
    }
    inference = _INFERENCES[method](rows, length, threads)
    later = dict(inference)
    if uncertainty.bootstrap:
        later |= _bootstrap(method, rows, length, inference, uncertainty.warm)
    if uncertainty.nulls:
        tested = _nulls(method, rows, length, threads, inference, uncertainty.nulls)
        resampled = 12 * length**2 * uncertainty.bootstrap  # its three maps
        later |= {name: resampled + size for name, size in tested.items()}
    stages |= {name: tokens + 4 * rows + size for name, size in later.items()}
    left = min(rows * (length + _ROW), _KEPT)  # of the rows as text, small pieces that do not go back
    return {name: left + size for name, size in stages.items()}


def _bootstrap(method: str, rows: int, length: int, inference: dict[str, int], warm: bool) -> dict[str, int]:
    """Clusters; then each inference anew beside sums over replicates and the model that plm starts from."""
    start = _packed(length) if warm and method == "plm" else 0
    held = _LATER + (_MAPS + 44) * length**2 + start
    own = {"clusters": _loaded(method) + held + 2 * _planes(rows, length)}
    held += 8 * rows + _random(method)
    return own | {f"replicate {name}": held + size for name, size in inference.items()}


def _nulls(
    method: str, rows: int, length: int, threads: int, inference: dict[str, int], nulls: int
) -> dict[str, int]:
    """Tree, rates of sites, and letters of all nodes; each inference beside a null; all scores in the end."""
    tokens, pairs, some = rows * length, length * (length - 1) // 2, min(rows, REPRESENTATIVES)
    process, held = 28 * rows, _LATER + (_MAPS + 8) * length**2
    letters, square = 4 * GAP * some * length, 4 * some**2
    scores = 4 * nulls * pairs
    own = {
        # Similarities of representatives, counted by letters; rows in order, and which one each is nearest to
        "tree": tokens + 44 * rows + max(letters + square, 2 * square) + 8 * some * length,
        # Likelihoods of all nodes in each thread; what heights and orders of nodes were made of stays
        "rates": process + 124 * rows + threads * 16 * GAP * rows + 8 * RATES * length,
        "evolution": process + 4 * tokens + scores,
        "p-values": process + (10 * nulls + 60) * pairs + _STATISTICS,
    }
    # Threads keep their working memory, that of one alone goes back
    left = threads * _thread(rows, length) if threads > 1 and method not in ("mi", *_ALGEBRA) else 0
    held += _AFTER_ALGEBRA if method in _ALGEBRA else _LINKAGE
    own = {name: _loaded(method) + left + held + size for name, size in own.items()}
    held += process + tokens + scores + _random(method)
    return own | {f"null {name}": held + size for name, size in inference.items()}


def _planes(rows: int, length: int) -> int:
    """Bits of the letters, by which sequences are compared."""
    return 8 * PLANES * rows * -(-length // 64)


def _random(method: str) -> int:
    """What random numbers load beside an inference that has none."""
    return 0 if method in (*_ALGEBRA, "boltzmann") else _RANDOM


def _loaded(method: str) -> int:
    """What is loaded after the first inference."""
    return _SCIPY if method in _ALGEBRA else _RANDOM


def _packed(length: int) -> int:
    """Couplings, float32 [P, q, q]."""
    return 4 * Q**2 * (length * (length - 1) // 2)


def _slab(length: int) -> int:
    """Couplings of one site as the kernels read them, float32 [L, q, WIDTH]."""
    return 4 * length * Q * WIDTH


def _padded(length: int) -> int:
    return -(-length // GROUP) * GROUP


def _counting(rows: int) -> int:
    """What counting pairs takes beside their tables: weights in double and single precision."""
    return 12 * rows


def _square(length: int) -> int:
    """A map from one value per pair: itself, its transpose, pairs of indices, and its corrected form."""
    return 28 * length**2


def _gauge(rows: int, length: int, threads: int) -> int:
    """The zero-sum gauge: couplings before and after."""
    return 2 * _packed(length)


def _information(rows: int, length: int, threads: int) -> dict[str, int]:
    return {"count": _packed(length) + _counting(rows), "map": _packed(length) + _square(length)}


def _inverse(kept: int) -> Callable[[int, int, int], dict[str, int]]:
    """Couplings from the covariance of `kept` letters, which LAPACK inverts in place."""

    def stages(rows: int, length: int, threads: int) -> dict[str, int]:
        packed, matrix = _packed(length), 4 * (kept * length) ** 2
        indices = 8 * length * (length - 1)
        return {
            "count": packed + _counting(rows),
            "frequencies": 2 * packed,
            "covariance": packed + matrix + indices,
            "blocks": packed + matrix + indices + _SCIPY,
            "gauge": _gauge(rows, length, threads) + _SCIPY,
        }

    return stages


def _sequences(rows: int, length: int) -> int:
    """Weights, and what the sequences pick of the shared words, 16 bits for each tree.

    The number of trees depends on the family: one for each column where sequences are few, since pairs of
    columns then have too many words; some two fifths of that for the sequences beyond.
    """
    few = min(rows, round(Q**2 / SHARE))
    return 4 * rows + 2 * few * length + 4 * (rows - few) * length // 5


def _making_words(rows: int, length: int) -> int:
    """Words of joined nodes, 16 bits for each two columns, and what two of them are compared in."""
    return rows * length + 14 * rows


def _work(rows: int) -> int:
    """Rows of the sequences that are worked on at once and of one batch of words, of each thread."""
    return 4 * WIDTH * (min(rows, MOST_AT_ONCE) + MOST_ROWS)


def _thread(rows: int, length: int) -> int:
    """Working memory of a thread in a gradient: couplings of a site and their gradient beside the rows."""
    return 2 * _slab(length) + _work(rows)


def _pseudolikelihood(rows: int, length: int, threads: int) -> dict[str, int]:
    packed = _packed(length)
    data = _sequences(rows, length)
    marks = 2 * length**2 if threads > 1 else 0  # of pairs, by which their two sites come in turn
    state = data + 4 * packed + marks
    beside = packed if threads > 1 else 0  # pairs are counted while words are made
    few = min(rows, MOST_AT_ONCE)  # whose words may be waited for when all that a gradient needs is held
    return {
        "words": data + _making_words(rows, length) + beside + _counting(rows),
        "words of few": data + _making_words(few, length) + 4 * beside,
        "count": data + packed + _counting(rows),
        "gradient": state + threads * _thread(rows, length),
        "gauge": _gauge(rows, length, threads),
    }


def _asymmetric(rows: int, length: int, threads: int) -> dict[str, int]:
    return {
        "words": _sequences(rows, length) + _making_words(rows, length) + _packed(length),
        "sites": _sequences(rows, length) + 2 * _packed(length) + threads * (6 * _slab(length) + _work(rows)),
        "gauge": _gauge(rows, length, threads),
    }


def _boltzmann(rows: int, length: int, threads: int) -> dict[str, int]:
    """Starts from the pseudolikelihood's model; then pairs, three models, and two slabs of all sites."""
    packed, slabs = _packed(length), 4 * length * _padded(length) * Q * WIDTH
    chains = CHAINS * (3 * length + 2 * _padded(length) + 8)
    start = {f"plm {name}": size for name, size in _pseudolikelihood(rows, length, threads).items()}
    return start | {
        "pairs": 3 * packed,
        # Couplings as they are, the best that were looked at, and those that are being looked at
        "chains": 4 * packed + 2 * slabs + chains + _RANDOM,
        "gauge": _gauge(rows, length, threads) + _RANDOM,
    }


_INFERENCES: dict[str, Callable[[int, int, int], dict[str, int]]] = {
    "mi": _information,
    "mean-field": _inverse(Q - 1),
    "ridge": _inverse(Q),
    "gaussian": _inverse(Q - 1),
    "plm": _pseudolikelihood,
    "plm-asymmetric": _asymmetric,
    "boltzmann": _boltzmann,
}


def require_memory(
    method: str,
    rows: int,
    length: int,
    threads: int = 1,
    limit: int | None = None,
    uncertainty: Uncertainty = CERTAIN,
    **paths: str | Path,
) -> None:
    """Refuse a run that `predicted_bytes` says will not fit.

    Parameters
    ----------
    method, rows, length, threads, uncertainty
        As `predicted_bytes`.
    limit : int, optional
        Bytes that the user allows (``--memory``).
    paths
        As `available_bytes`.

    Raises
    ------
    MemoryLimitError
        It needs more than `available_bytes`; the message names the ways out that would fit.
    """
    asked = ["a bootstrap"] * uncertainty.bootstrap + [f"{uncertainty.nulls} nulls"] * (uncertainty.nulls > 0)
    name = f"{method} with {' and '.join(asked)}" if asked else method
    needed = predicted_bytes(method, rows, length, threads, uncertainty)
    ways = partial(_ways_out, method, rows, length, threads, uncertainty)
    require_bytes(f"{name} on {rows} sequences and {length} columns", needed, ways, limit, **paths)


def _ways_out(
    method: str, rows: int, length: int, threads: int, uncertainty: Uncertainty, room: int
) -> list[str]:
    """What would fit, each with its gigabytes."""

    def needs(
        method: str = method,
        rows: int = rows,
        length: int = length,
        threads: int = threads,
        uncertainty: Uncertainty = uncertainty,
    ) -> int:
        return predicted_bytes(method, rows, length, threads, uncertainty)

    sizes = {f"--method {other}": needs(method=other) for other in _MODELS if other != method}
    if threads > 1:
        sizes["--threads 1"] = needs(threads=1)
    if uncertainty.bootstrap:
        sizes["no bootstrap"] = needs(uncertainty=uncertainty._replace(bootstrap=False))
    if uncertainty.nulls:
        sizes["no nulls"] = needs(uncertainty=uncertainty._replace(nulls=0))
        some = largest(uncertainty.nulls, lambda k: needs(uncertainty=uncertainty._replace(nulls=k)) <= room)
        if some:
            sizes[f"--nulls {some}"] = needs(uncertainty=uncertainty._replace(nulls=some))
    if uncertainty.bootstrap and uncertainty.nulls:
        sizes["neither bootstrap nor nulls"] = needs(uncertainty=CERTAIN)
    ways = [f"{way} ({_up(size)} GB)" for way, size in sizes.items() if size <= room]
    ways += domain_way(length, lambda columns: needs(length=columns), room)
    fewer = largest(rows, lambda n: needs(rows=n) <= room)
    if fewer >= length:  # with fewer sequences than columns there is little to infer from
        ways.append(f"at most {fewer} sequences ({_up(needs(rows=fewer))} GB)")
    return ways
