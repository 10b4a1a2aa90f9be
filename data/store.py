"""Files of the pipeline: written whole or not at all, read with an error that names the file.

What a run of ``python -m dca`` does without is loaded where it is used: its start counts.
"""

import contextlib
import io
import math
import os
import struct
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from data.errors import CovarionError
from data.limits import FREE_BYTES, LARGEST_RATIO, LARGEST_TABLE, memory_bound, require_file

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# All that numpy and zipfile raise over bytes that are no archive of arrays
NO_ARRAYS = (
    OSError, ValueError, EOFError, KeyError, TypeError, SyntaxError, RecursionError, NotImplementedError,
    OverflowError, RuntimeError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it on success and vanishes on failure.

    A killed process leaves at worst a hidden temporary file, never a half-written `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_arrays(path: str | Path, /, **arrays: Any) -> None:
    """Write named arrays as an uncompressed ``.npz`` in one step; the bytes depend on them alone."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)


class Arrays:
    """Arrays of an ``.npz`` that is open: each is read when it is asked for, none is unpickled."""

    def __init__(self, path: str | Path, archive: zipfile.ZipFile, error: type[CovarionError]):
        self.path, self.archive, self.error = path, archive, error
        self.members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        packed = sum(info.compress_size for info in self.members.values())
        size = sum(info.file_size for info in self.members.values())
        if size > max(FREE_BYTES, LARGEST_RATIO * packed):
            raise ValueError(f"it unpacks {packed:,} bytes to {size:,}")

    def keys(self) -> list[str]:
        """Names of all arrays."""
        return list(self.members)

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.members:
            raise self.error(
                "an array is missing",
                file=self.path,
                value=f"{name}, there are: {', '.join(self.members)[:200] or 'none'}",
                remedy="delete the file and run again",
            )
        try:
            with memory_bound(self.path, self.error):
                return self._read(name)
        except NO_ARRAYS as reason:
            raise no_arrays(self.error, self.path, f"{name[:80]}: {reason}") from reason

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array as its header says, nothing of it read.

        Raises
        ------
        CovarionError
            As `open_arrays`.
        """
        try:
            with self.archive.open(self.members[name]) as stream:
                return array_header(stream)[0]
        except NO_ARRAYS as reason:
            raise no_arrays(self.error, self.path, f"{name[:80]}: {reason}") from reason

    def _read(self, name: str) -> np.ndarray:
        info = self.members[name]
        with self.archive.open(info) as stream:
            shape, _, dtype = array_header(stream)
            size = math.prod(shape) * dtype.itemsize
            # What the header says is allocated before anything is read
            if dtype.hasobject or min(shape, default=0) < 0 or size != info.file_size - stream.tell():
                raise ValueError(f"shape {shape} of {dtype} is not what the file holds")
        with self.archive.open(info) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)


def array_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first, and type that an array's header claims."""
    return _HEADERS[np.lib.format.read_magic(stream)](stream)


def no_arrays(error: type[CovarionError], path: str | Path, reason: object) -> CovarionError:
    """The error over bytes that are no archive of arrays."""
    return error("cannot be read as an .npz file", file=path, value=reason, remedy="delete it and run again")


@contextlib.contextmanager
def open_arrays(path: str | Path, error: type[CovarionError] = CovarionError) -> Iterator[Arrays]:
    """Open an ``.npz``; arrays are read when asked for, so that a large file need not be held.

    Raises
    ------
    CovarionError
        Of the class `error`: the file is missing, truncated, not an ``.npz``, lacks an array that is asked
        for, claims more than it holds, or holds Python objects (they are never unpickled).
    """
    require_file(path, error)
    with contextlib.ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
            arrays = Arrays(path, archive, error)
        except NO_ARRAYS as reason:
            raise no_arrays(error, path, reason) from reason
        yield arrays


def load_arrays(path: str | Path, error: type[CovarionError] = CovarionError) -> dict[str, np.ndarray]:
    """Read all arrays of an ``.npz`` without unpickling anything.

    Raises
    ------
    CovarionError
        As `open_arrays`.
    """
    with open_arrays(path, error) as arrays:
        return {name: arrays[name] for name in arrays.keys()}  # noqa: SIM118 (not a dict)


def load_table(
    path: str | Path, columns: Iterable[str] = (), error: type[CovarionError] = CovarionError
) -> list[dict[str, str]]:
    """Rows of a tab-separated UTF-8 table with a header line.

    Parameters
    ----------
    path : path
    columns : iterable of str
        Columns that must be there.

    Raises
    ------
    CovarionError
        Of the class `error`: the table is missing, too large, no UTF-8, lacks a column, or has a row of
        another number of cells.
    """
    import csv

    if require_file(path, error) > LARGEST_TABLE:
        raise error("holds more than a table can", file=path, remedy="give a smaller table")
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t")
        rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as reason:
        raise error(
            "cannot be read as a table",
            file=path,
            value=reason,
            remedy="save it as UTF-8 text with tabs between cells",
        ) from reason
    if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
        raise error("columns are missing", file=path, value=", ".join(missing), remedy="add them")
    for number, row in rows:
        if None in row or None in row.values():
            raise error(
                "a row has another number of cells than the header",
                file=path,
                place=f"line {number}",
                remedy="mend the row",
            )
    return [row for _, row in rows]


def save_json(path: str | Path, content: Any) -> None:
    """Write JSON in one step, keys in the order given."""
    import json

    save_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def load_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    CovarionError
        The file is missing, too large for a record, or no JSON.
    """
    import json

    if require_file(path) > LARGEST_TABLE:
        raise CovarionError("holds more than a record can", file=path, remedy="delete it and run again")
    try:
        return json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CovarionError(
            "cannot be read as JSON", file=path, value=error, remedy="delete it and run again"
        ) from error


def save_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text in one step; what UTF-8 cannot say (parts of odd file names) is escaped."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    import hashlib

    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
