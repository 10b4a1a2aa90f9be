"""Arrays of an uncompressed ``.npz`` as they lie in the file: mapped, and read where they are touched.

Training cuts a square of a megabyte out of arrays of a hundred; reading the whole array for it would leave a
fast device waiting. Unlike `data.store`, no checksum is tested here: that would read all of the file.
"""

import functools
import math
import os
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.errors import CovarionError
from data.limits import memory_bound, require_file
from data.store import NO_ARRAYS, array_header, no_arrays

SMALL = 1 << 16  # bytes; smaller arrays are read, a mapping would cost more
_LOCAL_HEADER = 30  # bytes of a member's own header in a ZIP file, before its name and extra field
_FILES_KNOWN = 256


class Place(NamedTuple):
    """Where the numbers of an array lie in a file, and the checksum that the file's directory has of them."""

    offset: int
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    checksum: int


def map_arrays(path: str | Path, error: type[CovarionError] = CovarionError) -> "Mapped":
    """Named arrays of an ``.npz`` of `data.store.save_arrays`, each mapped when it is asked for.

    Raises
    ------
    CovarionError
        Of the class `error`: the file is missing, cut off, no uncompressed ``.npz``, or holds Python objects;
        on access, an array is missing.
    """
    require_file(path, error)
    try:
        stat = os.stat(path)
        return Mapped(path, _places(str(path), stat.st_size, stat.st_mtime_ns), error)
    except NO_ARRAYS as reason:
        raise no_arrays(error, path, reason) from reason


class Mapped(Mapping[str, np.ndarray]):
    """Read-only arrays of one file by name; a mapping lives as long as its array."""

    def __init__(self, path: str | Path, places: dict[str, Place], error: type[CovarionError]):
        self.path, self.places, self.error = path, places, error

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def checksums(self, prefix: str = "") -> dict[str, int]:
        """CRC-32 of each array whose name begins so, by the rest of its name: of content, at no reading."""
        own = ((name, place) for name, place in self.places.items() if name.startswith(prefix))
        return {name.removeprefix(prefix): place.checksum for name, place in own}

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array, at no reading."""
        return self._place_of(name).shape

    def _place_of(self, name: str) -> Place:
        if name not in self.places:
            raise self.error(
                "an array is missing", file=self.path, value=name, remedy="delete the file and run again"
            )
        return self.places[name]

    def __getitem__(self, name: str) -> np.ndarray:
        place = self._place_of(name)
        order = "F" if place.fortran else "C"
        size = math.prod(place.shape)
        try:
            if size * place.dtype.itemsize >= SMALL:
                mapped = np.memmap(self.path, place.dtype, "r", place.offset, place.shape, order)  # type: ignore[call-overload]
                return np.asarray(mapped)
            with memory_bound(self.path, self.error):
                found = np.fromfile(self.path, place.dtype, size, offset=place.offset)
        except (OSError, ValueError) as reason:
            raise no_arrays(self.error, self.path, reason) from reason
        return found.reshape(place.shape, order=order)  # type: ignore[call-overload]


@functools.lru_cache(_FILES_KNOWN)
def _places(path: str, size: int, changed: int) -> dict[str, Place]:
    """Places of all arrays of a file; size and time of change tell it from an older one of its name."""
    with zipfile.ZipFile(path) as archive, open(path, "rb") as stream:
        places = {}
        for info in archive.infolist():
            places[info.filename.removesuffix(".npy")] = place = _place(stream, info)
            if place.offset + math.prod(place.shape) * place.dtype.itemsize > size:
                raise ValueError(f"{info.filename[:80]} reaches past the end of the file")
        return places


def _place(stream, info: zipfile.ZipInfo) -> Place:
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{info.filename[:80]} is compressed")
    stream.seek(info.header_offset)
    names = struct.unpack("<HH", stream.read(_LOCAL_HEADER)[26:30])
    start = info.header_offset + _LOCAL_HEADER + sum(names)
    stream.seek(start)
    shape, fortran, dtype = array_header(stream)
    data = stream.tell()
    numbers = info.file_size - (data - start)
    if dtype.hasobject or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != numbers:
        raise ValueError(f"shape {shape} of {dtype} is not what the file holds")
    return Place(data, shape, fortran, dtype, info.CRC)
