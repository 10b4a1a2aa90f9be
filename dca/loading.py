"""Kernels as images of their code: compiled once on this machine, then mapped into each process.

A kernel is called with arrays, numbers and named tuples of them. For each combination of their types there is
one object file (`dca.compiling`), linked (`dca.linking`) and kept where `dca.kernel_cache` says. Numba, which
takes longer to import than a small family to infer, is only asked where there is none; LLVM, whose library
takes a sixth of such a run, also where the object file could not be linked here.
"""

import contextlib
import ctypes
import functools
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

import numpy as np

from dca import kernel_cache, linking

logger = logging.getLogger(__name__)

_PLAIN = {"l": "q", "L": "Q"} if struct.calcsize("l") == 8 else {}  # two names of one type
_LAYOUT = 0x1 | 0x100 | 0x400  # of numpy's flags: C order, aligned, writeable
_F_ORDER = 0x2
# Modules that decide what a kernel becomes
_MACHINERY = (
    "loading", "linking", "compiling", "space", "space_llvm", "vector", "vector_llvm", "tile", "tile_llvm",
    "lanes_llvm",
)  # fmt: skip
# Lines about a processor that say what it is; others say how fast it runs just now
_OF_PROCESSOR = ("vendor_id", "cpu family", "model", "stepping", "flags")
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

    def of_part(self, *arguments: Any) -> Callable[[int, int], None]:
        """The kernel as a function of its first two arguments, whole numbers; the others are read once."""
        kinds: list[Any] = ["q", "q"]
        slots: list[Any] = []
        _flatten(arguments, kinds, slots)
        key = tuple(kinds)
        entry = self._entries.get(key) or self._prepare(key, (0, 0, *arguments))

        # The function holds the arguments, since slots are addresses
        def run(lo: int, hi: int, held: tuple[Any, ...] = arguments) -> None:
            entry([lo, hi, *slots])

        return run

    @functools.cached_property
    def dispatcher(self) -> Any:
        """The function of numba, for kernels that call this one."""
        from dca.compiling import dispatcher

        return dispatcher(self.py_func, self.fastmath)

    def made_of(self, seen: set["Kernel"], callers: tuple["Kernel", ...] = ()) -> list[Any]:
        """What its code depends on: itself, constants that it names, and the kernels that it calls.

        Taken from what is loaded, not from files, which may have been edited since.
        """
        seen.add(self)
        callers = (*callers, self)
        code, names = self.py_func.__code__, self.py_func.__globals__
        parts: list[Any] = [_contents(code), self.fastmath]
        for name in code.co_names:
            value = names.get(name)
            if isinstance(value, Kernel):
                if value in callers:
                    way = " calls ".join(kernel.py_func.__qualname__ for kernel in (*callers, value))
                    raise TypeError(f"a kernel cannot call itself: {way}; write a loop")
                parts.append(value.py_func.__qualname__ if value in seen else value.made_of(seen, callers))
            elif isinstance(value, bool | int | float | str | tuple | np.generic):
                parts.append((name, value))
            elif isinstance(value, np.ndarray):
                parts.append((name, value.dtype.str, value.shape, value.tobytes()))
            elif isinstance(value, ModuleType) and value.__name__ not in ("numpy", "math"):
                raise TypeError(f"kernel {self.py_func.__qualname__} names the module {name}: import from it")
        return parts

    def _prepare(self, key: tuple[Any, ...], arguments: tuple[Any, ...]) -> "_Entry":
        """Load the code for arguments of these types, which is made where there is none."""
        with _lock:
            if key in self._entries:  # another thread came first
                return self._entries[key]
            name = f"{self.py_func.__module__}.{self.py_func.__qualname__}"
            wanted = repr((name, key, self.made_of(set())))
            mark = kernel_cache.digest_of(wanted.encode()).hex()[:16]
            path = os.path.join(_VERSION, f"{name}-{mark}")
            content = kernel_cache.read(path)
            entry = None
            if content is not None:
                try:
                    entry = _Entry(name, _symbol(mark), key, content)
                except OSError as reason:  # kept by another system, for instance
                    logger.info("a compiled kernel does not load and is compiled again: %s", reason)
            if entry is None:
                content = self._compiled(name, arguments, _symbol(mark))
                if _version() == _VERSION:  # the machinery, too, may have been edited since it was loaded
                    kernel_cache.keep(path, content)
                entry = _Entry(name, _symbol(mark), key, content)
            self._entries[key] = entry
        return entry

    def _compiled(self, name: str, arguments: tuple[Any, ...], symbol: str) -> bytes:
        """What is kept of a kernel: codes of its results, the kind of its code, and the code."""
        from dca.compiling import compile_object

        logger.debug("compiling %s", name)
        codes, data = compile_object(self.dispatcher, arguments, symbol)
        image = linking.linked(data, symbol)
        kind, data = (b"object", data) if image is None else (b"image", image)
        return b"\n".join((codes.encode(), kind, data))


class _Entry:
    """The loaded code of a kernel for arguments of some types."""

    def __init__(self, name: str, symbol: str, key: tuple[Any, ...], content: bytes):
        codes, kind, data = content.split(b"\n", 2)
        self.name, self._arguments = name, struct.Struct(_format(key))
        self._many = codes.startswith(b"(")
        self._result = struct.Struct(_format(tuple(codes.decode().strip("("))))
        address, self._held = linking.load(data) if kind == b"image" else _load_object(data, symbol)
        self._call = _function(address)

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
    import llvmlite.binding as llvm

    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())


def _load_object(data: bytes, symbol: str) -> tuple[int, Any]:
    """Let LLVM load an object file: address of a function in it, and what holds the memory."""
    import llvmlite.binding as llvm

    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(data))
    engine.finalize_object()
    return engine.get_function_address(symbol), engine


def target_machine() -> Any:
    """What LLVM makes code for: this processor, and code that is put anywhere in memory."""
    import llvmlite.binding as llvm

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


def _processor() -> Any:
    """What this processor can do, as the system says, or else LLVM, whose library takes long to load."""
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="latin-1") as file:
            first = file.read(1 << 14).split("\n\n", 1)[0].splitlines()
            found = [line for line in first if line.startswith(_OF_PROCESSOR)]
            if any(line.startswith("flags") for line in found):  # an emulator may show those of its host
                return found
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _version() -> str:
    """Name for what compiles kernels, its versions and settings, and this processor."""
    parts = []
    for name in ("numba", "llvmlite"):
        found = importlib.util.find_spec(name)  # not imported: only its version is asked for
        if found is not None and found.origin is not None:
            parts.append(Path(found.origin).with_name("_version.py").read_bytes())
    settings = {name: os.environ[name] for name in sorted(os.environ) if name.startswith("NUMBA_")}
    for name in _NOT_CODE:
        settings.pop(name, None)
    system = [sys.platform]
    with contextlib.suppress(AttributeError, ValueError, OSError):  # there is no such C library
        system.append(os.confstr("CS_GNU_LIBC_VERSION") or "")
    parts.append(repr((sys.version_info, system, _processor(), settings)).encode())
    for name in _MACHINERY:
        with contextlib.suppress(OSError):  # of a program that is packed in one file
            parts.append(Path(__file__).with_name(f"{name}.py").read_bytes())
    return kernel_cache.PREFIX + kernel_cache.digest_of(b"\0".join(parts)).hex()[:16]


_VERSION = _version()


def _contents(code: CodeType) -> list[Any]:
    """What a function does, without its place in a file."""
    constants = [_contents(value) if isinstance(value, CodeType) else value for value in code.co_consts]
    return [code.co_code, code.co_names, code.co_varnames, constants]
