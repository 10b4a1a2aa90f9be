"""Compile a kernel with numba into an object file that runs without it.

Only imported where a kernel is not kept yet: numba takes longer to load than a small family to infer. Around
the compiled function goes an entry of our own, ``int32 entry(arguments, result)``: arguments come
as slots of eight bytes (an array as its address, lengths and strides; a tuple as its items), the result goes
into slots of eight bytes, and what is returned is 0, or 1 where the function failed. Work space that a
kernel asks for comes from malloc, at multiples of 64 bytes: the object file needs no part of numba's runtime.
What a kernel that fails had asked for is lost.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FunctionType
from typing import Any

os.environ["NUMBA_DISABLE_INTEL_SVML"] = "1"  # a library that a process without numba does not load

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.core.runtime.nrtdynmod import _meminfo_struct_type
from numba.np.arrayobj import make_array, populate_array

from dca import space_llvm, tile_llvm, vector_llvm
from dca.loading import target_machine

_OPERATIONS = space_llvm.OPERATIONS | vector_llvm.OPERATIONS | tile_llvm.OPERATIONS
_BYTE = ir.IntType(8).as_pointer()
_SIZE = ir.IntType(64)
_CODES = {
    types.int64: "q", types.uint64: "Q", types.float64: "d", types.float32: "f", types.boolean: "?"
}  # fmt: skip


def dispatcher(function: Callable[..., Any], fastmath: bool) -> Any:
    """Numba's function, whose globals are numba's too: kernels that it calls, and vector operations."""
    code, names = function.__code__, function.__globals__
    names = names | {name: _compiled(names[name]) for name in code.co_names if name in names}
    twin = FunctionType(code, names, function.__name__)  # a kernel has neither defaults nor a closure
    twin.__module__, twin.__qualname__ = function.__module__, function.__qualname__
    unused: dict[str, Any] = {"no_cfunc_wrapper": True, "no_cpython_wrapper": True}
    return numba.njit(nogil=True, fastmath=fastmath, error_model="numpy", **unused)(twin)


def _compiled(value: Any) -> Any:
    """What numba can compile in the place of a global."""
    if hasattr(value, "dispatcher"):
        return value.dispatcher
    return _OPERATIONS.get(value, value) if isinstance(value, FunctionType) else value


@global_compiler_lock
def compile_object(kernel: Any, arguments: tuple[Any, ...], entry: str) -> tuple[str, bytes]:
    """Object file of a kernel for arguments of these types.

    Parameters
    ----------
    kernel : numba dispatcher
        From `dispatcher`.
    arguments : tuple
        Arrays, numbers and named tuples of them.
    entry : str
        The only name that the file exports.

    Returns
    -------
    str
        Codes of the result in the notation of `struct`, after ``(`` where it is a tuple; empty for none.
    bytes
        The object file.

    Raises
    ------
    RuntimeError
        The kernel uses more of numba's runtime than work space, or returns what does not fit into slots.
    """
    signature = tuple(numba.typeof(argument) for argument in arguments)
    with _not_loaded():
        with _optimised_once():
            kernel.compile(signature)
            compiled = kernel.overloads[signature]
            library = compiled.target_context.codegen().create_library(f"entry of {kernel.__name__}")
            library.add_ir_module(_entry_module(library, compiled, entry))
            library.add_linking_library(compiled.library)  # which finishes it
        library.finalize()
    module = llvm.parse_assembly(library.get_llvm_str())
    for value in (*module.functions, *module.global_variables):
        if not value.is_declaration and value.name != entry:
            value.linkage = "internal"
        elif value.name.startswith(("numba", "NRT", "Py", "_Py", "__svml")):
            raise RuntimeError(f"kernel {kernel.__name__} needs {value.name} of numba's runtime")
    return _result_codes(compiled.signature.return_type), target_machine().emit_object(module)


@contextmanager
def _not_loaded() -> Iterator[None]:
    """Spare numba the machine code of what it compiles, over a quarter of the time: none of it is called.

    Numba has one context for a process, which is ours alone while we hold the compiler's lock.
    """
    context = cpu_target.target_context
    context.refresh()  # what numba makes when it begins, its runtime among it, is loaded
    codegen = context.codegen()
    with _replaced(
        # What stands for a compiled version tells it from others by being a function of its own each time
        (context, "get_executable", lambda library, description, environment: [].append),
        (codegen, "_add_module", lambda module: None),
        (codegen._engine, "finalize_object", lambda: None),
    ):
        yield


def _optimised_once() -> AbstractContextManager[None]:
    """Leave the optimiser's long passes to the whole, which holds every function that a kernel calls.

    Numba lets them go over each function by itself too, and over all that it has taken in: another fifth of
    the time. The code is as fast; sums of floats may be in another order.
    """
    library = cpu_target.target_context.codegen()._library_class
    return _replaced((library, "_optimize_final_module", lambda library: None))


@contextmanager
def _replaced(*stand_ins: tuple[Any, str, Callable[..., Any]]) -> Iterator[None]:
    """Give objects other methods for a while."""
    own = [(owner, name, vars(owner).get(name)) for owner, name, _ in stand_ins]
    try:
        for owner, name, stand_in in stand_ins:
            setattr(owner, name, stand_in)
        yield
    finally:
        for owner, name, before in own:
            if before is not None:
                setattr(owner, name, before)
            elif name in vars(owner):  # what it inherits shows again
                delattr(owner, name)


def _items(kind: Any) -> list[Any]:
    """Types of a tuple's items."""
    return list(kind)


def _result_codes(result: Any) -> str:
    if result == types.none:
        return ""
    if isinstance(result, types.BaseTuple):
        return "(" + "".join(map(_number_code, _items(result)))
    return _number_code(result)


def _number_code(result: Any) -> str:
    if types.unliteral(result) not in _CODES:
        raise RuntimeError(f"a kernel returns nothing, a number, or a tuple of numbers, not {result}")
    return _CODES[types.unliteral(result)]


def _entry_module(library: Any, compiled: Any, name: str) -> Any:
    """The entry, and the functions of numba's runtime that kernels may use."""
    context, kinds, result = compiled.target_context, compiled.signature.args, compiled.signature.return_type
    module = library.create_ir_module("entry")
    _define_work_space(module)
    entry = ir.Function(module, ir.FunctionType(ir.IntType(32), [_BYTE, _BYTE]), name)
    builder = ir.IRBuilder(entry.append_basic_block())
    slots = _Slots(context, builder, entry.args[0])
    function = ir.Function(
        module, context.call_conv.get_function_type(result, kinds), compiled.fndesc.llvm_func_name
    )
    values = [slots.read(kind) for kind in kinds]
    status, returned = context.call_conv.call_function(builder, function, result, kinds, values)
    with builder.if_then(builder.not_(status.is_error)):
        _store(context, builder, result, returned, entry.args[1])
    builder.ret(builder.zext(status.is_error, ir.IntType(32)))
    return module


def _store(context: Any, builder: Any, kind: Any, value: Any, place: Any) -> None:
    """Write a result into slots."""
    if kind == types.none:
        return
    parts = [(kind, value)]
    if isinstance(kind, types.BaseTuple):
        parts = [(item, builder.extract_value(value, k)) for k, item in enumerate(_items(kind))]
    for k, (item, content) in enumerate(parts):
        raw = context.data_model_manager[item].as_data(builder, content)
        slot = builder.gep(place, [_SIZE(8 * k)])
        builder.store(raw, builder.bitcast(slot, raw.type.as_pointer()))


class _Slots:
    """Arguments, read one after the other."""

    def __init__(self, context: Any, builder: Any, block: Any):
        self.context, self.builder, self.block, self.next = context, builder, block, 0

    def _take(self, kind: Any) -> Any:
        place = self.builder.gep(self.block, [_SIZE(8 * self.next)])
        self.next += 1
        return self.builder.load(self.builder.bitcast(place, kind.as_pointer()), align=8)

    def read(self, kind: Any) -> Any:
        """The next argument, as numba has it."""
        context, builder = self.context, self.builder
        if isinstance(kind, types.BaseTuple):
            return context.make_tuple(builder, kind, [self.read(item) for item in _items(kind)])
        if isinstance(kind, types.Array):
            array = make_array(kind)(context, builder)
            data = self._take(context.get_data_type(kind.dtype).as_pointer())
            shape = [self._take(_SIZE) for _ in range(kind.ndim)]
            strides = [self._take(_SIZE) for _ in range(kind.ndim)]
            itemsize = context.get_abi_sizeof(context.get_data_type(kind.dtype))
            populate_array(array, data, shape, strides, itemsize, meminfo=None)
            return array._getvalue()
        return context.data_model_manager[kind].from_data(builder, self._take(context.get_data_type(kind)))


def _define_work_space(module: Any) -> None:
    """Numba's memory in a few functions: arrays have a header of 64 bytes, then the data, freed at once."""
    malloc = ir.Function(module, ir.FunctionType(_BYTE, [_SIZE]), "malloc")
    free = ir.Function(module, ir.FunctionType(ir.VoidType(), [_BYTE]), "free")
    for name, same in (("NRT_Allocate", malloc), ("NRT_Free", free), ("NRT_MemInfo_call_dtor", free)):
        other = ir.Function(module, same.function_type, name)
        builder = ir.IRBuilder(other.append_basic_block())
        value = builder.call(same, other.args)
        builder.ret(value) if same is malloc else builder.ret_void()
    aligned = [_SIZE, ir.IntType(32)]
    for name in ("NRT_MemInfo_alloc", "NRT_MemInfo_alloc_aligned", "NRT_MemInfo_alloc_safe_aligned"):
        give = ir.Function(
            module, ir.FunctionType(_BYTE, aligned if "aligned" in name else aligned[:1]), name
        )
        builder = ir.IRBuilder(give.append_basic_block())
        base = builder.call(malloc, [builder.add(give.args[0], _SIZE(2 * space_llvm.ALIGNMENT))])
        with builder.if_then(builder.icmp_unsigned("!=", base, _BYTE(None)), likely=True):
            past = builder.add(builder.ptrtoint(base, _SIZE), _SIZE(2 * space_llvm.ALIGNMENT - 1))
            data = builder.inttoptr(builder.and_(past, _SIZE(-space_llvm.ALIGNMENT)), _BYTE)
            header = builder.bitcast(base, _meminfo_struct_type.as_pointer())
            for k, value in enumerate((_SIZE(1), _BYTE(None), _BYTE(None), data, give.args[0])):
                builder.store(value, builder.gep(header, [ir.IntType(32)(0), ir.IntType(32)(k)]))
        builder.ret(base)
