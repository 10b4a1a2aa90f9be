"""Work space of kernels, written for LLVM directly.

Arrays begin at a multiple of 64 bytes. The functions of `dca.space` define what these do.
"""

from typing import Any

import numba
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from dca import space

ALIGNMENT = 64  # a cache line, and a multiple of every vector's width


def _itemsize(context: Any, kind: Any) -> Any:
    return context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))


def _lengths(builder: Any, shape: Any) -> list[Any]:
    """The items of a tuple."""
    return [builder.extract_value(shape, k) for k in range(len(shape.type))]


def _product(builder: Any, lengths: list[Any], size: Any) -> tuple[Any, Any]:
    """What so many elements of a size take, and whether that is no number, or a length is below 0."""
    wrong = cgutils.false_bit
    for length in lengths:
        product = builder.smul_with_overflow(size, length)
        size = builder.extract_value(product, 0)
        for sign in (builder.extract_value(product, 1), builder.icmp_signed("<", length, length.type(0))):
            wrong = builder.or_(wrong, sign)
    return size, wrong


def _array(context: Any, builder: Any, kind: Any, data: Any, memory: Any, lengths: list[Any]) -> Any:
    """An array in C order at a place, within memory whose users numba counts."""
    strides = [_itemsize(context, kind)]
    for length in reversed(lengths[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    array = make_array(kind)(context, builder)
    populate_array(array, data, lengths, strides, strides[-1], memory)
    return array._getvalue()


@intrinsic
def _space(typing: Any, shape: Any, dtype: Any) -> Any:
    kind = types.Array(dtype.dtype, shape.count, "C")
    signature = kind(types.UniTuple(types.intp, shape.count), dtype)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lengths = _lengths(builder, args[0])
        size, wrong = _product(builder, lengths, _itemsize(context, kind))
        size = builder.select(wrong, size.type(-(2**62)), size)  # without a sign more than there is
        memory = context.nrt.meminfo_alloc_aligned(builder, size, ALIGNMENT)  # raises where there is none
        pointer = context.get_data_type(kind.dtype).as_pointer()
        data = builder.bitcast(context.nrt.meminfo_data(builder, memory), pointer)
        return _array(context, builder, kind, data, memory, lengths)

    return signature, generate


@intrinsic
def _shaped(typing: Any, array: Any, shape: Any) -> Any:
    if not array.is_c_contig:
        raise numba.TypingError(f"expected an array in C order, got {array}")
    kind = array.copy(ndim=shape.count, layout="C")  # and as writeable and aligned as it is

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        own, lengths = make_array(array)(context, builder, args[0]), _lengths(builder, args[1])
        count, wrong = _product(builder, lengths, lengths[0].type(1))
        wrong = builder.or_(wrong, builder.icmp_signed("!=", count, own.nitems))
        with builder.if_then(wrong, likely=False):
            context.call_conv.return_user_exc(builder, ValueError, ("another number of elements",))
        other = _array(context, builder, kind, own.data, own.meminfo, lengths)
        return impl_ret_borrowed(context, builder, kind, other)

    return kind(array, types.UniTuple(types.intp, shape.count)), generate


# What stands for each definition in compiled code
OPERATIONS: dict[Any, Any] = {space.space: _space, space.shaped: _shaped}
