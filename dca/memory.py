"""How much memory a run of ``python -m dca`` takes, known before it starts, and how much there is.

What a run takes is counted from the arrays that the code holds at once: a run is a series of stages
(`_stages`), and its peak is that of the largest. Sizes are Python integers and cannot overflow. Bytes per
squared column, at 21 letters and P = L (L - 1) / 2 pairs:

    packed couplings, float32 [P, q, q]                                882
    slabs of all sites, float32 [L, L padded, q, 24]                 2,016
    plm: couplings, direction, gradient, trial gradient, slabs       5,544
    for comparison, CCMpred's conjugate gradients: 16 x 21 x 32     10,752
"""

import mmap
import sys
from collections.abc import Callable
from pathlib import Path

from data.alphabet import Q
from data.errors import MemoryLimitError

# Of dca.kernels, dca.vector, dca.weights and dca.boltzmann, written again (a test compares them): whoever
# plans a run need not load numba.
GROUP = 8
WIDTH = 24
PLANES = 5
CHUNKS = 64
CHAINS = 2000

_BASE = 152_000_000  # interpreter, numpy, numba, compiled kernels
_SCIPY = 25_000_000  # what its linear algebra, loaded for the inverse, adds to the peak
_NAME = 112  # a header of some 50 letters, as a string in a list
_LINE = 150  # a pair in the printed table: its places, its line as a string, the line in the whole text
_MODELS = ("mean-field", "ridge", "plm-asymmetric", "plm")  # that a refused run is pointed to
_SMALLEST_DOMAIN = 30  # columns
_GIGA = 10**9


def predicted_bytes(method: str, rows: int, length: int, threads: int = 1) -> int:
    """Largest resident memory of ``python -m dca FILE --method METHOD -o MAP.npz``, interpreter included.

    Parameters
    ----------
    method : str
        One of `dca.methods.METHODS`.
    rows, length : int
        N sequences and L columns.
    threads : int
        Each takes working memory of its own.

    Returns
    -------
    int
        Bytes. Kernels are taken as compiled; a run that has to compile them may take 0.2 GB more.

    Raises
    ------
    ValueError
        No such method.
    """
    if method not in _INFERENCES:
        raise ValueError(f"method {method!r} is none of {', '.join(_INFERENCES)}")
    return _BASE + max(_stages(method, rows, length, threads).values())


def _stages(method: str, rows: int, length: int, threads: int) -> dict[str, int]:
    """Bytes that each stage holds at its peak."""
    tokens, pairs = rows * length, length * (length - 1) // 2
    held = tokens + _NAME * rows
    planes = 8 * PLANES * rows * -(-length // 64)
    stages = {
        "read": held + tokens,  # the mask of unknown residues
        "pack": held + tokens + planes,
        "weights": held + planes + 4 * CHUNKS * rows + 20 * rows,
        "table": held + _LINE * pairs + 12 * length**2,
    }
    inference = _INFERENCES[method](rows, length, threads)
    return stages | {name: held + 4 * rows + size for name, size in inference.items()}


def _packed(length: int) -> int:
    """Couplings, float32 [P, q, q]."""
    return 4 * Q**2 * (length * (length - 1) // 2)


def _slab(length: int) -> int:
    """Couplings of one site as the kernels read them, float32 [L padded, q, WIDTH]."""
    return 4 * _padded(length) * Q * WIDTH


def _padded(length: int) -> int:
    return -(-length // GROUP) * GROUP


def _counting(rows: int, length: int) -> int:
    """What counting pairs takes beside their tables: columns, and weights in double and single precision."""
    return rows * length + 12 * rows


def _square(length: int) -> int:
    """A map from one value per pair: itself, its transpose, pairs of indices, and its corrected form."""
    return 28 * length**2


def _gauge(rows: int, length: int, threads: int) -> int:
    """The zero-sum gauge: couplings before and after, float64 means [P, q] of rows and columns, indices."""
    return 2 * _packed(length) + (16 * Q + 24) * (length * (length - 1) // 2)


def _information(rows: int, length: int, threads: int) -> dict[str, int]:
    return {"count": _packed(length) + _counting(rows, length), "map": _packed(length) + _square(length)}


def _inverse(kept: int) -> Callable[[int, int, int], dict[str, int]]:
    """Couplings from the covariance of `kept` letters, which LAPACK inverts in place."""

    def stages(rows: int, length: int, threads: int) -> dict[str, int]:
        packed, matrix = _packed(length), 4 * (kept * length) ** 2
        indices = 8 * length * (length - 1)
        return {
            "count": packed + _counting(rows, length),
            "frequencies": 2 * packed,
            "covariance": packed + matrix + indices,
            "blocks": packed + matrix + indices + _SCIPY,
            "gauge": _gauge(rows, length, threads) + _SCIPY,
        }

    return stages


def _pseudolikelihood(rows: int, length: int, threads: int) -> dict[str, int]:
    packed = _packed(length)
    data = rows * length + 2 * rows * _padded(length) + 4 * rows  # columns, offsets, weights
    state = data + 4 * packed + length * _slab(length)
    fields = (8 * Q + 16) * (length * (length - 1) // 2)  # uncentred fields: two float32 [P, q] and indices
    return {
        "count": data + packed + _counting(rows, length),
        "gradient": state + threads * _slab(length),
        "fields": state + fields,
        "gauge": _gauge(rows, length, threads),
    }


def _asymmetric(rows: int, length: int, threads: int) -> dict[str, int]:
    data = rows * length + 2 * rows * _padded(length) + 4 * rows
    return {
        "sites": data + 2 * _packed(length) + 6 * threads * _slab(length),
        "gauge": _gauge(rows, length, threads),
    }


def _boltzmann(rows: int, length: int, threads: int) -> dict[str, int]:
    """Starts from the pseudolikelihood's model; then its couplings, the pairs, and two slabs of all sites."""
    packed, slabs = _packed(length), length * _slab(length)
    chains = CHAINS * (3 * length + 2 * _padded(length) + 8)
    fields = (8 * Q + 16) * (length * (length - 1) // 2)
    start = {f"plm {name}": size for name, size in _pseudolikelihood(rows, length, threads).items()}
    return start | {
        "pairs": 3 * packed,
        "chains": 2 * packed + 2 * slabs + chains + fields,
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


def available_bytes(
    limit: int | None = None,
    *,
    meminfo: str | Path = "/proc/meminfo",
    own_cgroups: str | Path = "/proc/self/cgroup",
    cgroup_root: str | Path = "/sys/fs/cgroup",
    statm: str | Path = "/proc/self/statm",
) -> tuple[int, str]:
    """What this process may hold: the least of free memory, the cgroup's limit and the caller's.

    Free memory is ``MemAvailable`` of the kernel. Of each cgroup that the process is in and of all above it
    (version 2 ``memory.max``, version 1 ``memory.limit_in_bytes``), it is the limit without what the group
    uses; pages of files are not counted as used, since the kernel takes them back. Both are of memory still
    to be had; what the process holds already is added, so that they compare with `predicted_bytes`.

    Parameters
    ----------
    limit : int, optional
        Bytes that the caller allows.
    meminfo, own_cgroups, cgroup_root, statm : path
        Where the system says so; what is missing is skipped.

    Returns
    -------
    int, str
        Bytes, at least 0, and what sets them: ``free memory``, ``the cgroup's limit`` or ``--memory``.
        Where nothing is known, ``sys.maxsize`` and ``no known limit``.
    """
    held = _resident(Path(statm))
    found = [(sys.maxsize, "no known limit")]
    if limit is not None:
        found.append((limit, "--memory"))
    free = _field(Path(meminfo), "MemAvailable:")
    if free is not None:
        found.append((1024 * free + held, "free memory"))
    found += [
        (room + held, "the cgroup's limit") for room in _cgroup_rooms(Path(own_cgroups), Path(cgroup_root))
    ]
    least, name = min(found, key=lambda item: item[0])
    return max(least, 0), name


def _text(path: Path) -> str:
    """A file of /proc or /sys, empty where it is missing or closed to us."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    """The number in a file; None where there is none, as for ``max``."""
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _field(path: Path, name: str) -> int | None:
    """The number behind a name in lines ``name number ...``."""
    for line in _text(path).splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == name and words[1].isdigit():
            return int(words[1])
    return None


def _resident(statm: Path) -> int:
    """Bytes that this process holds, 0 where the system does not say."""
    words = _text(statm).split()
    if len(words) < 2 or not words[1].isdigit():
        return 0
    return int(words[1]) * mmap.PAGESIZE


def _cgroup_rooms(own: Path, root: Path) -> list[int]:
    """Bytes left in each memory cgroup with a limit that holds this process."""
    rooms = []
    for line in _text(own).splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if "memory" in controllers.split(","):
            top, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        elif number == "0" and not controllers:
            top, names = root, ("memory.max", "memory.current", "")
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        # Inside a container the path may be the host's, while the mount shows our group at its top.
        folders = [top.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]
        rooms += [room for folder in folders if (room := _room(folder, *names)) is not None]
    return rooms


def _room(folder: Path, limit_name: str, usage_name: str, prefix: str) -> int | None:
    limit = _number(folder / limit_name)
    if limit is None:
        return None
    used = _number(folder / usage_name) or 0
    files = [_field(folder / "memory.stat", f"{prefix}{kind}_file") or 0 for kind in ("active", "inactive")]
    return limit - max(used - sum(files), 0)


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
    available, source = available_bytes(limit, **paths)
    if needed <= available:
        return
    ways = _ways_out(method, rows, length, threads, available)
    raise MemoryLimitError(
        f"{method} on {rows} sequences and {length} columns needs {_up(needed)} GB of memory",
        value=f"{available * 10 // _GIGA / 10:.1f} GB ({source})",
        remedy="; or ".join([*ways, f"a machine that gives {_up(needed)} GB"]),
    )


def uncertainty_bytes(length: int) -> int:
    """What a bootstrap or nulls add to a run: the first model, a copy of it to start from, and change."""
    return _packed(length) * 5 // 2


def _up(size: int) -> str:
    """Gigabytes, rounded up so that what is said is enough."""
    return f"{-(-size * 10 // _GIGA) / 10:.1f}"


def _ways_out(method: str, rows: int, length: int, threads: int, available: int) -> list[str]:
    """What would fit, each with its gigabytes."""
    ways = []
    for other in _MODELS:
        size = predicted_bytes(other, rows, length, threads)
        if other != method and size <= available:
            ways.append(f"--method {other} ({_up(size)} GB)")
    domain = _largest(length, lambda columns: predicted_bytes(method, rows, columns, threads) <= available)
    if domain >= _SMALLEST_DOMAIN:
        size = predicted_bytes(method, rows, domain, threads)
        ways.append(f"a domain of at most {domain} columns, `region` in the table ({_up(size)} GB)")
    fewer = _largest(rows, lambda some: predicted_bytes(method, some, length, threads) <= available)
    if fewer >= length:  # with fewer sequences than columns there is little to infer from
        size = predicted_bytes(method, fewer, length, threads)
        ways.append(f"at most {fewer} sequences ({_up(size)} GB)")
    return ways


def _largest(limit: int, fits: Callable[[int], bool]) -> int:
    """Largest number below `limit` that fits, 0 if none does."""
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
