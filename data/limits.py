"""What an input file may be: a regular file, of lines and rows that can be held, that unpacks to a sane size.

Files come from anywhere. Each limit lies far above what any real file of its kind holds, and what passes it
is refused while it is read, so that memory stays bounded whatever a file claims.
"""

import contextlib
import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from data.errors import CovarionError

LONGEST_LINE = 10**7  # characters; the longest known protein has 4 * 10**4 residues
LARGEST_STRUCTURE = 2 * 10**9  # bytes of text; the largest entries of the PDB have less than half of it
LARGEST_TABLE = 10**8  # bytes of a table or a JSON record
# Deflate packs up to 1,032 to one; alignments full of gaps reach about 100, a bomb comes near the most
FREE_BYTES, LARGEST_RATIO = 64 * 10**6, 250

_KINDS = {
    stat.S_ISDIR: "a directory",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
    stat.S_ISSOCK: "a socket",
}


def require_file(path: str | Path, error: type[CovarionError] = CovarionError) -> int:
    """Size in bytes of a regular file.

    Raises
    ------
    CovarionError
        Of the class `error`: there is nothing, or a directory, a pipe, a device; nothing of it is read.
    """
    try:
        found = os.stat(path)
    except OSError as reason:
        raise error(
            "cannot be read", file=path, value=reason.strerror or reason, remedy="check the path"
        ) from reason
    except ValueError as reason:  # a NUL byte, or a letter that the file system cannot write
        raise error("no path of a file", value=ascii(str(path)[:200]), remedy="check the path") from reason
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for test, name in _KINDS.items() if test(found.st_mode)), "no regular file")
        raise error(
            f"is {kind}, not a file",
            file=path,
            remedy="give the path of a file; what a pipe gives must be written to one first",
        )
    return found.st_size


class _Meter(io.RawIOBase):
    """Bytes of a file, unpacked where they are gzip, counted on the way."""

    def __init__(
        self, path: str | Path, error: type[CovarionError], largest: int | None, free: int = FREE_BYTES
    ):
        self.path, self.error, self.largest, self.free = path, error, largest, free
        self.packed = require_file(path, error)
        self.file: BinaryIO = open(path, "rb")  # noqa: SIM115 (closed by close())
        self.zipped = self.file.read(2) == b"\x1f\x8b"
        self.file.seek(0)
        self.source: BinaryIO = gzip.GzipFile(fileobj=self.file, mode="rb") if self.zipped else self.file  # type: ignore[assignment]
        self.size = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer) -> int:
        """Fill a buffer; refuse once there is more than there should be."""
        block = self.source.read(len(buffer))
        buffer[: len(block)] = block
        self.size += len(block)
        if self.largest is not None and self.size > self.largest:
            self._refuse("holds more than a file of its kind can", f"more than {self.largest:,} bytes")
        if self.zipped and self.size > max(self.free, LARGEST_RATIO * self.packed):
            self._refuse("unpacks to too much", f"{self.packed:,} bytes to more than {self.size:,}")
        return len(block)

    def _refuse(self, problem: str, value: str) -> None:
        raise self.error(
            problem, file=self.path, value=value, remedy="get the file again, or unpack it and look at it"
        )

    def close(self) -> None:
        """Close the file below."""
        if not self.closed:
            self.source.close()
            self.file.close()
        super().close()


def open_bytes(
    path: str | Path, error: type[CovarionError] = CovarionError, largest: int | None = None
) -> io.BufferedReader:
    """Open a plain or gzip file for reading; its first bytes say which it is.

    Raises
    ------
    CovarionError
        Of the class `error`: at once where it is no regular file; while reading, where it holds more than
        `largest` bytes or unpacks to more than 250 times its size (the first 64 MB are free).
    """
    return io.BufferedReader(_Meter(path, error, largest), 1 << 18)


def open_text(
    path: str | Path, error: type[CovarionError] = CovarionError, largest: int | None = None
) -> io.TextIOWrapper:
    """As `open_bytes`, as latin-1 text, so that no byte is refused; line ends are kept."""
    return io.TextIOWrapper(open_bytes(path, error, largest), encoding="latin-1", newline="")


def bounded_lines(
    path: str | Path, error: type[CovarionError], largest: int | None = None
) -> Iterator[tuple[int, str]]:
    """Yield (1-based number, line without its end) of plain or gzip text; bytes that are UTF-8 are read so.

    Raises
    ------
    CovarionError
        Of the class `error`: as `open_text`; the compressed data is damaged or cut off; a line is longer than
        10 million characters.
    """
    number = 0
    try:
        with open_text(path, error, largest) as stream:
            while line := stream.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise error(
                        "a line without an end",
                        file=path,
                        place=f"line {number}",
                        value=f"more than {LONGEST_LINE:,} characters, {line[:20]!r} first",
                        remedy="give a text file of lines",
                    )
                line = line.rstrip("\r\n")
                yield number, line if line.isascii() else readable(line)
    except (EOFError, gzip.BadGzipFile, zlib.error) as reason:
        raise error(
            "the compressed data is damaged or cut off",
            file=path,
            place=f"after line {number}",
            value=reason,
            remedy="get the file again",
        ) from reason
    except OSError as reason:
        raise error(
            "cannot be read", file=path, value=reason.strerror or reason, remedy="check the path"
        ) from reason


def readable(line: str) -> str:
    """A line that was read as latin-1, as UTF-8 where its bytes are that; a byte order mark is left out."""
    try:
        return line.encode("latin-1").decode("utf-8-sig")
    except UnicodeDecodeError:
        return line.removeprefix("ï»¿")


@contextlib.contextmanager
def memory_bound(path: str | Path, error: type[CovarionError]) -> Iterator[None]:
    """Where memory ends after all, the error names the file.

    Raises
    ------
    CovarionError
        Of the class `error`.
    """
    try:
        yield
    except MemoryError as reason:
        raise error(
            "does not fit into memory", file=path, remedy="give a smaller file, or more memory"
        ) from reason
