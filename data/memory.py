"""How much memory a process may hold, and the refusal of work that will not fit.

Each stage counts its arrays before it makes them: `dca.memory`, `nets.features`, `nets.predict`,
`report.memory` and, for alignments and scores, here. Sizes are Python integers and cannot overflow.
"""

import contextlib
import mmap
import os
import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from data.errors import MemoryLimitError

_GIGA = 10**9
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of mallopt, in glibc's malloc.h
_LARGE = 1 << 22
_PACKING = 30  # mmCIF packs into a fifth, made-up coordinates into less
SMALLEST_DOMAIN = 30  # columns that are worth a way out
INTERPRETER = 52_000_000  # with numpy and the packages of a stage without numba and torch


def give_back_freed() -> None:
    """Let arrays from 4 MB on go back to the system when they are freed, where its library is glibc.

    As it is, glibc keeps what is freed up to 32 MB, in the hope that as much is asked for again. Where other
    arrays lie in between, what comes later does not fit: a second inference in one process then takes up to
    a fifth more than the first.
    """
    import ctypes  # here: whoever plans a run needs none of it

    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_TRIM_THRESHOLD, 2 * _LARGE)  # glibc's own ratio of the two


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
    to be had; what the process holds already is added, so that they compare with a predicted peak. A limit
    of the address space (``ulimit -v``) counts likewise.

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
    room = _address_room(Path(statm))
    if room is not None:
        found.append((room + held, "ulimit -v"))
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


def _address_room(statm: Path) -> int | None:
    """Bytes of address space left under ``ulimit -v``; None without a limit."""
    words = _text(statm).split()
    with contextlib.suppress(ValueError, OSError):
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY and words and words[0].isdigit():
            return max(limit - int(words[0]) * mmap.PAGESIZE, 0)
    return None


def require_bytes(
    work: str,
    needed: int,
    ways: Callable[[int], Sequence[str]] = lambda available: (),
    limit: int | None = None,
    **paths: str | Path,
) -> None:
    """Refuse work that needs more than there is, before it begins.

    Parameters
    ----------
    work : str
        What is to be done, on what sizes; the message begins with it.
    needed : int
        Bytes at its peak, the interpreter included.
    ways : callable
        Bytes that there are to the ways out that would fit; another machine is always one.
    limit, paths
        As `available_bytes`.

    Raises
    ------
    MemoryLimitError
    """
    available, source = available_bytes(limit, **paths)
    if needed <= available:
        return
    raise MemoryLimitError(
        f"{work} needs {gigabytes(needed)} GB of memory",
        value=f"{available * 10 // _GIGA / 10:.1f} GB ({source})",
        remedy="; or ".join([*ways(available), f"a machine that gives {gigabytes(needed)} GB"]),
    )


def gigabytes(size: int) -> str:
    """Gigabytes, rounded up so that what is said is enough."""
    return f"{-(-size * 10 // _GIGA) / 10:.1f}"


def largest(limit: int, fits: Callable[[int], bool]) -> int:
    """Largest number below `limit` that fits, 0 if none does."""
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def domain_way(length: int, needed: Callable[[int], int], available: int) -> list[str]:
    """The way out by fewer columns: the longest region that fits, where that is of any use."""
    domain = largest(length, lambda columns: needed(columns) <= available)
    if domain < SMALLEST_DOMAIN:
        return []
    return [f"a domain of at most {domain} columns, `region` in the table ({gigabytes(needed(domain))} GB)"]


def alignment_bytes(rows: int, length: int, name: int = 50, for_columns: bool = False) -> int:
    """Peak of reading and filtering an alignment to ``alignment.npz``, or of reading it for inference.

    Parameters
    ----------
    rows, length : int
        N sequences and L columns.
    name : int
        Letters of the longest name: in the file every name takes as many, 4 bytes each.
    for_columns : bool
        As in `data.msa.read_alignment`: tokens alone are held.
    """
    if for_columns:
        return INTERPRETER + rows * length
    names = rows * (2 * 4 * name + 62 + name)
    return INTERPRETER + 4 * rows * length + names


def scoring_bytes(length: int, maps: int) -> int:
    """Peak of scoring so many square maps; the file of a refined one is read with its distances."""
    return INTERPRETER + (4 * maps + 70) * length**2


def structures_bytes(length: int, texts: Sequence[int]) -> int:
    """Peak of measuring a query of L columns in structure files of so many bytes of text, one by one."""
    return INTERPRETER + 10_000_000 + 25 * max(texts, default=0) + (60 + 12 * len(texts)) * length**2


def text_size(path: str | Path) -> int:
    """Bytes of the text of a structure file, plain or gzip, from its last four bytes alone.

    A file that is cut off says anything there: it counts as what text of coordinates may pack into at most.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    packed = os.stat(path).st_size
    with open(path, "rb") as stream:
        if stream.read(2) != b"\x1f\x8b" or packed < 8:
            return packed
        stream.seek(-4, os.SEEK_END)
        return min(int.from_bytes(stream.read(4), "little"), _PACKING * packed)
