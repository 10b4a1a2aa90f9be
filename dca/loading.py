"""Kernels as object files: compiled once on this machine, then loaded by LLVM alone.

A kernel is called with arrays, numbers and named tuples of them. For each combination of their types there is
one object file (`dca.compiling`), kept where `dca.kernel_cache` says. LLVM's library loads it; numba, which
takes longer to import than a small family to infer, is only asked where there is none.
"""

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import logging
import os
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from dca import kernel_cache

logger = logging.getLogger(__name__)

_PLAIN = {"l": "q", "L": "Q"} if struct.calcsize("l") == 8 else {}  # two names of one type
_LAYOUT = 0x1 | 0x100 | 0x400  # of numpy's flags: C order, aligned, writeable
_F_ORDER = 0x2
_MACHINERY = ("loading", "compiling", "vector", "vector_llvm")  # modules that decide what a kernel becomes
# The other variables of numba change what it compiles; the last is set by `dca.compiling`
_NOT_CODE = ("NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS", "NUMBA_DISABLE_INTEL_SVML")
# Of this kind ctypes lets go of the interpreter lock while a function runs
_function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_char_p, ctypes.c_char_p)
_lock = threading.RLock()


class Kernel:
    """A function that is compiled, or found compiled, at its first call with arguments of new types.

    Attributes
    ----------
    py_func : function
        What it is in Python.
    """

    def __init__(self, function: Callable[..., Any], fastmath: bool):
        if function.__closure__ or function.__defaults__ or function.__kwdefaults__:
            raise TypeError(
                f"kernel {function.__qualname__} depends on more than its arguments and constants"
            )
        functools.update_wrapper(self, function)
        self.py_func, self.fastmath = function, fastmath
        self._entries: dict[tuple[Any, ...], _Entry] = {}

    def __call__(self, *arguments: Any) -> Any:
        kinds: list[Any] = []
        slots: list[Any] = []
        _flatten(arguments, kinds, slots)
        key = tuple(kinds)
        entry = self._entries.get(key) or self._prepare(key, arguments)
        return entry(slots)

    @functools.cached_property
    def dispatcher(self) -> Any:
        """The function of numba, for kernels that call this one."""
        from dca.compiling import dispatcher

        return dispatcher(self.py_func, self.fastmath)

    def made_of(self, seen: set["Kernel"]) -> list[Any]:
        """What its code depends on: itself, constants that it names, and the kernels that it calls.

        Taken from what is loaded, not from files, which may have been edited since.
        """
        seen.add(self)
        code, names = self.py_func.__code__, self.py_func.__globals__
        parts: list[Any] = [_contents(code), self.fastmath]
        for name in code.co_names:
            value = names.get(name)
            if isinstance(value, Kernel):
                parts.append(value.py_func.__qualname__ if value in seen else value.made_of(seen))
            elif isinstance(value, bool | int | float | str | tuple | np.generic):
                parts.append((name, value))
            elif isinstance(value, np.ndarray):
                parts.append((name, value.dtype.str, value.shape, value.tobytes()))
            elif isinstance(value, ModuleType) and value.__name__ not in ("numpy", "math"):
                raise TypeError(f"kernel {self.py_func.__qualname__} names the module {name}: import from it")
        return parts

    def _prepare(self, key: tuple[Any, ...], arguments: tuple[Any, ...]) -> "_Entry":
        """Load the object file for arguments of these types, which is made where there is none."""
        with _lock:
            if key in self._entries:  # another thread came first
                return self._entries[key]
            name = f"{self.py_func.__module__}.{self.py_func.__qualname__}"
            wanted = repr((name, key, self.made_of(set())))
            mark = hashlib.sha256(wanted.encode()).hexdigest()[:16]
            path = os.path.join(_VERSION, f"{name}-{mark}")
            content = kernel_cache.read(path)
            if content is None:
                from dca.compiling import compile_object

                logger.debug("compiling %s", name)
                codes, data = compile_object(self.dispatcher, arguments, _symbol(mark))
                content = codes.encode() + b"\n" + data
                if _version() == _VERSION:  # the machinery, too, may have been edited since it was loaded
                    kernel_cache.keep(path, content)
            entry = self._entries[key] = _Entry(name, _symbol(mark), key, content)
        return entry


class _Entry:
    """The loaded code of a kernel for arguments of some types."""

    def __init__(self, name: str, symbol: str, key: tuple[Any, ...], content: bytes):
        codes, data = content.split(b"\n", 1)
        self.name, self._arguments = name, struct.Struct(_format(key))
        self._many = codes.startswith(b"(")
        self._result = struct.Struct(_format(tuple(codes.decode().strip("("))))
        engine = _engine()
        engine.add_object_file(llvm.ObjectFileRef.from_data(data))
        engine.finalize_object()
        self._call = _function(engine.get_function_address(symbol))

    def __call__(self, slots: list[Any]) -> Any:
        size = self._result.size
        result = ctypes.create_string_buffer(size) if size else None
        if self._call(self._arguments.pack(*slots), result):
            raise RuntimeError(f"{self.name} failed: no memory for work space, or shapes that do not fit")
        if result is None:
            return None
        values = self._result.unpack(result.raw)
        return values if self._many else values[0]


def _flatten(arguments: tuple[Any, ...], kinds: list[Any], slots: list[Any]) -> None:
    """Append what the types of the arguments are, and their values as slots of eight bytes."""
    for argument in arguments:
        if type(argument) in (np.ndarray, np.memmap) and argument.dtype.kind in "biuf":
            flags = argument.flags.num
            layout = flags & _LAYOUT if flags & 0x1 else flags & (_LAYOUT | _F_ORDER)
            kinds.append((argument.dtype.str, argument.ndim, layout))
            slots.append(argument.ctypes.data)
            slots.extend(argument.shape)
            slots.extend(argument.strides)
        elif isinstance(argument, np.generic):
            code = argument.dtype.char
            kinds.append(_PLAIN.get(code, code))
            slots.append(argument)
        elif isinstance(argument, bool | int | float):
            whole = "q" if argument < 2**63 else "Q"
            kinds.append("?" if isinstance(argument, bool) else whole if isinstance(argument, int) else "d")
            slots.append(argument)
        elif isinstance(argument, tuple):
            kind = type(argument)
            kinds.append(f"({kind.__module__}.{kind.__qualname__}{getattr(kind, '_fields', '')}")
            _flatten(argument, kinds, slots)
            kinds.append(")")
        else:
            raise TypeError(
                f"a kernel takes arrays of numbers, numbers and tuples of them, got {type(argument)}"
            )


def _format(kinds: tuple[Any, ...]) -> str:
    """Slots of eight bytes in the notation of `struct`."""
    parts = []
    for kind in kinds:
        if isinstance(kind, tuple):
            parts.append(f"{1 + 2 * kind[1]}q")
        elif kind[0] not in "()":
            parts.append(f"{kind}{8 - struct.calcsize(kind)}x")
    return "".join(parts)


def _symbol(mark: str) -> str:
    """What the entry of an object file is called."""
    return f"covarion_{mark}"


@functools.cache
def _engine() -> Any:
    """LLVM's linker, which keeps what it has loaded."""
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())


def target_machine() -> Any:
    """What LLVM makes code for: this processor, and code that is put anywhere in memory."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="static" if llvm.get_process_triple().startswith("x86_64") else "default",
        codemodel="jitdefault",
        jit=True,
    )


def _version() -> str:
    """Name for what compiles kernels, its versions and settings, and this processor."""
    digest = hashlib.sha256()
    found = importlib.util.find_spec("numba")  # not imported: only its version is asked for
    if found is not None and found.origin is not None:
        digest.update(Path(found.origin).with_name("_version.py").read_bytes())
    processor = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    settings = {name: os.environ[name] for name in sorted(os.environ) if name.startswith("NUMBA_")}
    for name in _NOT_CODE:
        settings.pop(name, None)
    digest.update(repr((llvmlite.__version__, sys.version_info, processor, settings)).encode())
    for name in _MACHINERY:
        with contextlib.suppress(OSError):  # of a program that is packed in one file
            digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return kernel_cache.PREFIX + digest.hexdigest()[:16]


_VERSION = _version()


def _contents(code: CodeType) -> list[Any]:
    """What a function does, without its place in a file."""
    constants = [_contents(value) if isinstance(value, CodeType) else value for value in code.co_consts]
    return [code.co_code, code.co_names, code.co_varnames, constants]
