"""Where compiled kernels are kept: on this machine, and nowhere at all rather than failing a run.

Numba keeps them beside the source, or in the user's home. On a cluster both are shared by nodes with
different processors, whose files overwrite each other's, and may be read-only or full. Here a folder of this
machine comes first: ``covarion-kernels-UID`` in ``/var/tmp``, ``/tmp`` or the folder for temporary files,
made for this user alone (who can write there decides what is run). ``NUMBA_CACHE_DIR`` goes before all.

What cannot be written is compiled again by the next process; what cannot be read is compiled again here.
"""

import contextlib
import logging
import os
import pickle
import stat
import tempfile
from collections.abc import Callable
from typing import Any

from numba.core import caching
from numba.core.runtime import rtsys

logger = logging.getLogger(__name__)

_UNUSABLE = (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, ImportError, IndexError)
_PLACES = ("/var/tmp", "/tmp")  # the first outlives a restart


def private_folder(parents: tuple[str, ...] = _PLACES) -> str:
    """Folder of this user alone on this machine, made where it is not there; empty where none can be had."""
    if not hasattr(os, "getuid"):
        return ""
    for parent in dict.fromkeys((*parents, tempfile.gettempdir())):
        path = os.path.join(parent, f"covarion-kernels-{os.getuid()}")
        with contextlib.suppress(OSError):
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o700)
            found = os.lstat(path)
            others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not others:
                return path
    return ""


class _OfThisMachine(caching.InTreeCacheLocator):
    """Places of the kernels in the private folder."""

    def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
        super().__init__(py_func, py_file)
        folder = private_folder()
        if not folder:
            raise OSError("no folder of this machine is ours alone")
        self._cache_path = os.path.join(folder, self.get_suitable_cache_subpath(py_file))

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> Any:
        """The locator; None where nothing can be written."""
        try:
            return super().from_function(py_func, py_file)
        except OSError:
            return None


class _Places(caching.CompileResultCacheImpl):
    _locator_classes = [  # noqa: RUF012 (as the class above has it)
        caching.UserProvidedCacheLocator,
        _OfThisMachine,
        caching.InTreeCacheLocator,
        caching.UserWideCacheLocator,
    ]


class _Cache(caching.FunctionCache):
    """Numba's cache, that fails no call."""

    _impl_class = _Places

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """A compiled kernel, None where there is none that can be read."""
        try:
            # Numba would first load all that a compilation may need, a quarter of a small run
            rtsys.initialize(target_context)
            return self._load_overload(sig, target_context)
        except (*_UNUSABLE, pickle.PickleError) as error:
            logger.info("a compiled kernel cannot be read and is compiled again: %s", error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled kernel where that is possible."""
        try:
            super().save_overload(sig, data)
        except (*_UNUSABLE, pickle.PickleError) as error:
            logger.info("a compiled kernel is not kept: %s", error)


def kept(kernel: Any) -> Any:
    """The kernel, kept on disk once it is compiled, where there is a place to keep it."""
    if hasattr(kernel, "enable_caching"):  # not with NUMBA_DISABLE_JIT
        with contextlib.suppress(RuntimeError):  # no place is writable
            kernel._cache = _Cache(kernel.py_func)  # what enable_caching sets, with a cache of ours
    return kernel
