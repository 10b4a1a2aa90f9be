"""Files of the pipeline: written whole or not at all, read with an error that names the file."""

import contextlib
import gzip
import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import CovarionError


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


def save_arrays(path: str | Path, **arrays: Any) -> None:
    """Write named arrays as an uncompressed ``.npz`` in one step; the bytes depend on them alone."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)


def load_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read all arrays of an ``.npz`` without unpickling anything.

    Raises
    ------
    CovarionError
        The file is missing, truncated or not an ``.npz``.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise CovarionError(
            "cannot be read as an .npz file", file=path, value=error, remedy="delete it and run again"
        ) from error


def save_json(path: str | Path, content: Any) -> None:
    """Write JSON in one step, keys in the order given."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def load_json(path: str | Path) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text())


def save_text(path: str | Path, text: str) -> None:
    """Write text in one step."""
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def open_text(path: str | Path) -> Any:
    """Open plain or gzip text by its first bytes, whatever its name says."""
    with open(path, "rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
    if zipped:
        return gzip.open(path, "rt", encoding="latin-1", newline="")
    return open(path, encoding="latin-1", newline="")


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
