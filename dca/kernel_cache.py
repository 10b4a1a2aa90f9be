"""Where compiled kernels are kept: on this machine, and nowhere at all rather than failing a run.

Homes and source trees of a cluster are shared by nodes with different processors, and may be read-only
or full. Kernels therefore lie in a folder of this machine, ``covarion-kernels-UID`` in ``/var/tmp``,
``/tmp`` or the folder for temporary files, made for this user alone (who can write there decides what is
run). ``NUMBA_CACHE_DIR`` goes before it. Every version of the code on every processor has a folder in it.

What cannot be written is compiled again by the next process; what cannot be read is compiled again here.
"""

import contextlib
import logging
import os
import shutil
import stat
import tempfile
import time

try:  # what hashlib gives out as well, without OpenSSL, which it loads in 3 ms
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

logger = logging.getLogger(__name__)

_PLACES = ("/var/tmp", "/tmp")  # the first outlives a restart
_KEPT_DAYS = 90
PREFIX = "covarion-"  # of versions: the folder may hold what is not ours
_DIGEST = 32  # bytes


def digest_of(content: bytes) -> bytes:
    """What tells this content from any other."""
    return blake2b(content, digest_size=_DIGEST).digest()


def private_folder(parents: tuple[str, ...] = _PLACES) -> str:
    """Folder of this user alone on this machine, made where it is not there; empty where none can be had."""
    if not hasattr(os, "getuid"):
        return ""
    for parent in (*parents, ""):  # that for temporary files is asked for last: it is found by writing
        path = os.path.join(parent or tempfile.gettempdir(), f"covarion-kernels-{os.getuid()}")
        with contextlib.suppress(OSError):
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o700)
            found = os.lstat(path)
            others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not others:
                return path
    return ""


def _folder() -> str:
    """Where kernels are kept, empty for nowhere."""
    wanted = os.environ.get("NUMBA_CACHE_DIR", "")
    if wanted:
        with contextlib.suppress(OSError):
            os.makedirs(wanted, exist_ok=True)
            return wanted
    return private_folder()


def read(name: str) -> bytes | None:
    """What is kept by this name, a path in the folder; None where nothing is, or something damaged."""
    folder = _folder()
    if not folder:
        return None
    try:
        with open(os.path.join(folder, name), "rb") as file:
            content = file.read()
    except OSError:
        return None
    digest, content = content[:_DIGEST], content[_DIGEST:]
    if digest_of(content) != digest:
        logger.info("a compiled kernel is damaged and is compiled again: %s", name)
        return None
    return content


def keep(name: str, content: bytes) -> None:
    """Keep this by a name, and forget versions to which nothing was added for months."""
    folder = _folder()
    path = os.path.join(folder, name)
    try:
        if not folder:
            raise OSError("no folder of this machine is ours alone")
        if not os.path.isdir(os.path.dirname(path)):
            _forget_old(folder)
            os.makedirs(os.path.dirname(path), exist_ok=True)
        _write(path, digest_of(content) + content)
    except OSError as error:
        logger.info("a compiled kernel is not kept: %s", error)


def _write(path: str, content: bytes) -> None:
    """Whole or not at all, for processes that read it now."""
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.replace(file.name, path)
        except OSError:
            os.unlink(file.name)
            raise


def _forget_old(folder: str) -> None:
    before = time.time() - _KEPT_DAYS * 86400
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # another process may have removed it
                if entry.name.startswith(PREFIX) and entry.stat(follow_symlinks=False).st_mtime < before:
                    shutil.rmtree(entry.path)
