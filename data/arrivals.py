"""Whether a file that arrived is whole, as far as its bytes tell whatever it holds."""

import gzip
import zlib
from pathlib import Path

from data.errors import FetchError

# gzip has a checksum, JSON closes its brackets, Stockholm ends with //; a web page is refused as one
_SHOW_THEIR_END = (b"\x1f\x8b", b"{", b"[", b"# STOCKHOLM", b"<")


def refuse_open_end(path: Path, url: str) -> None:
    """Refuse a file whose length the server did not tell, unless its own text shows where it ends.

    Raises
    ------
    FetchError
        It may be a part; it is deleted, since the rest cannot be asked for.
    """
    with path.open("rb") as stream:
        start = stream.read(20).lstrip()
    if start.startswith(_SHOW_THEIR_END) or not start:
        return
    path.unlink()
    raise FetchError(
        "the server does not say how long the file is: what arrived may be a part of it",
        file=url,
        value=f"no Content-Length, {start!r} first",
        remedy="run again; if it stays so, name another mirror, or download it by hand and give its path",
    )


def refuse_damaged(path: Path, url: str, largest: int) -> None:
    """Refuse a gzip file that is damaged, or that unpacks to more than `largest` bytes.

    Raises
    ------
    FetchError
    """
    with path.open("rb") as stream:
        if stream.read(2) != b"\x1f\x8b":
            return
    size = 0
    try:
        with gzip.open(path, "rb") as unpacked:
            while block := unpacked.read(1 << 20):
                size += len(block)
                if size > largest:
                    raise FetchError(
                        "what arrived unpacks to too much",
                        file=url,
                        value=f"more than {largest / 1e9:.1f} GB",
                        remedy="raise fetch: largest_gb if this is what it should be",
                    )
    except (EOFError, OSError, zlib.error) as error:
        raise FetchError(
            "what arrived is not whole: the compressed data is damaged",
            file=url,
            value=error,
            remedy="run again",
        ) from error
