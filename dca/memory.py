"""How much memory a run of ``python -m dca`` takes, known before it starts, and how much there is.

What a run takes is counted from the arrays that the code holds at once: a run is a series of stages
(`_stages`), and its peak is that of the largest. Sizes are Python integers and cannot overflow. Bytes per
squared column, at 21 letters and P = L (L - 1) / 2 pairs:

    packed couplings, float32 [P, q, q]                                     882
    plm: couplings, direction, gradient, trial gradient                   3,528
         and half of that gradient, of several threads                    4,410
    for comparison, CCMpred's conjugate gradients: 16 x 21 x 32          10,752
"""

from collections.abc import Callable
from pathlib import Path

from data.alphabet import Q
from data.memory import domain_way, largest, require_bytes
from data.memory import gigabytes as _up

# Of dca.chains, dca.vector, dca.words, dca.weights, dca.kernels, dca.boltzmann and data.rows, written again,
# which a test compares: whoever plans a run need not load kernels.
GROUP = 8
WIDTH = 24
PLANES = 5
CHUNKS = 32
CHAINS = 2000
MOST_ROWS = 10_000
MOST_AT_ONCE = 32_768
SHARE = 0.2
KEPT = 1 << 22

_BASE = 33_000_000  # interpreter, numpy, compiled kernels
_SCIPY = 43_000_000  # what its linear algebra, loaded for the inverse, adds to the peak
_ROW, _KEPT = 160, 5 * KEPT // 3  # a row beside its letters and its name, and what all that are kept take
_LINE = 220  # a pair in the printed table: its places, its line as a string, the line in the whole text
_MODELS = ("mean-field", "ridge", "plm-asymmetric", "plm")  # that a refused run is pointed to


def predicted_bytes(method: str, rows: int, length: int, threads: int = 1) -> int:
    """Largest resident memory of ``python -m dca FILE --method METHOD -o MAP.npz``, interpreter included.

    Parameters
    ----------
    method : str
        One of `dca.methods.METHODS`.
    rows, length : int
        N sequences and L columns.
    threads : int
        Each takes working memory of its own; no more than L of them have work.

    Returns
    -------
    int
        Bytes. Kernels are taken as compiled; a run that has to compile them may take 0.25 GB more.

    Raises
    ------
    ValueError
        No such method.
    """
    if method not in _INFERENCES:
        raise ValueError(f"method {method!r} is none of {', '.join(_INFERENCES)}")
    return _BASE + max(_stages(method, rows, length, min(threads, length)).values())


def _stages(method: str, rows: int, length: int, threads: int) -> dict[str, int]:
    """Bytes that each stage holds at its peak."""
    tokens, pairs = rows * length, length * (length - 1) // 2
    planes = 8 * PLANES * rows * -(-length // 64)
    stages = {
        "read": 2 * tokens + min(rows * (length + _ROW), _KEPT),  # twice where a file holds them by rows
        "weights": tokens + planes + 2 * CHUNKS * rows + 24 * rows,
        "table": tokens + _LINE * pairs + 12 * length**2,
    }
    inference = _INFERENCES[method](rows, length, threads)
    return stages | {name: tokens + 4 * rows + size for name, size in inference.items()}


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


def _pseudolikelihood(rows: int, length: int, threads: int) -> dict[str, int]:
    packed = _packed(length)
    data = _sequences(rows, length)
    state = data + (5 if threads > 1 else 4) * packed
    beside = packed if threads > 1 else 0  # pairs are counted while words are made
    few = min(rows, MOST_AT_ONCE)  # whose words may be waited for when all that a gradient needs is held
    return {
        "words": data + _making_words(rows, length) + beside + _counting(rows),
        "words of few": data + _making_words(few, length) + 4 * beside,
        "count": data + packed + _counting(rows),
        "gradient": state + threads * (2 * _slab(length) + _work(rows)),
        "gauge": _gauge(rows, length, threads),
    }


def _asymmetric(rows: int, length: int, threads: int) -> dict[str, int]:
    return {
        "words": _sequences(rows, length) + _making_words(rows, length) + _packed(length),
        "sites": _sequences(rows, length) + 2 * _packed(length) + threads * (6 * _slab(length) + _work(rows)),
        "gauge": _gauge(rows, length, threads),
    }


def _boltzmann(rows: int, length: int, threads: int) -> dict[str, int]:
    """Starts from the pseudolikelihood's model; then its couplings, the pairs, and two slabs of all sites."""
    packed, slabs = _packed(length), 4 * length * _padded(length) * Q * WIDTH
    chains = CHAINS * (3 * length + 2 * _padded(length) + 8)
    start = {f"plm {name}": size for name, size in _pseudolikelihood(rows, length, threads).items()}
    return start | {
        "pairs": 3 * packed,
        "chains": 2 * packed + 2 * slabs + chains,
        "gauge": _gauge(rows, length, threads),
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
    extra: int = 0,
    **paths: str | Path,
) -> None:
    """Refuse a run that `predicted_bytes` says will not fit.

    Parameters
    ----------
    method, rows, length, threads
        As `predicted_bytes`.
    limit : int, optional
        Bytes that the user allows (``--memory``).
    extra : int
        Bytes that the caller holds beside the run (`uncertainty_bytes`).
    paths
        As `available_bytes`.

    Raises
    ------
    MemoryLimitError
        It needs more than `available_bytes`; the message names the ways out that would fit.
    """
    needed = predicted_bytes(method, rows, length, threads) + extra

    def ways(available: int) -> list[str]:
        return _ways_out(method, rows, length, threads, available)

    require_bytes(f"{method} on {rows} sequences and {length} columns", needed, ways, limit, **paths)


def uncertainty_bytes(length: int) -> int:
    """What a bootstrap or nulls add to a run: the first model, a copy of it to start from, and change."""
    return _packed(length) * 5 // 2


def _ways_out(method: str, rows: int, length: int, threads: int, available: int) -> list[str]:
    """What would fit, each with its gigabytes."""
    ways = []
    for other in _MODELS:
        size = predicted_bytes(other, rows, length, threads)
        if other != method and size <= available:
            ways.append(f"--method {other} ({_up(size)} GB)")
    if threads > 1 and (size := predicted_bytes(method, rows, length)) <= available:
        ways.append(f"--threads 1 ({_up(size)} GB)")
    ways += domain_way(length, lambda columns: predicted_bytes(method, rows, columns, threads), available)
    fewer = largest(rows, lambda some: predicted_bytes(method, some, length, threads) <= available)
    if fewer >= length:  # with fewer sequences than columns there is little to infer from
        size = predicted_bytes(method, fewer, length, threads)
        ways.append(f"at most {fewer} sequences ({_up(size)} GB)")
    return ways
