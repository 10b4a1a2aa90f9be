"""Sums of padded float rows kept in vector registers, for the pseudolikelihood kernels.

Numba cannot know that two rows of an array do not overlap and checks it at run time for every
sequence and site, which costs more than the sums. These operations are written for LLVM directly:
rows of WIDTH = 24 floats as three vectors of eight (AVX registers; narrower machines split them).
Sums run in a fixed order. With ``NUMBA_DISABLE_JIT`` the Python functions at the end take their place.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

WIDTH = 24
_LANES = 8
_VECTOR = ir.VectorType(ir.FloatType(), _LANES)
_OFFSETS = types.UniTuple(types.uintp, 8)


def _vectors(builder: Any, data: Any, start: Any) -> list[Any]:
    """Pointers to the three vectors of the row that begins at float `start` of `data`."""
    places = [builder.add(start, ir.Constant(start.type, lane)) for lane in range(0, WIDTH, _LANES)]
    return [builder.bitcast(builder.gep(data, [place]), _VECTOR.as_pointer()) for place in places]


def _load(builder: Any, pointers: list[Any]) -> list[Any]:
    return [builder.load(pointer, align=4) for pointer in pointers]


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return make_array(kind)(context, builder, value).data


def _check(*arrays: Any) -> None:
    for array in arrays:
        if array != types.Array(types.float32, 1, "C"):
            raise numba.TypingError(f"expected a contiguous float32 vector, got {array}")


@intrinsic
def _gather_rows(typing: Any, out: Any, at: Any, table: Any, offsets: Any) -> Any:
    _check(out, table)
    signature = types.void(out, types.uintp, table, _OFFSETS)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        target = _vectors(builder, _data(context, builder, out, args[0]), args[1])
        source = _data(context, builder, table, args[2])
        starts = [builder.extract_value(args[3], k) for k in range(8)]
        rows = [_load(builder, _vectors(builder, source, start)) for start in starts]
        for lane, pointer in enumerate(target):
            terms = [row[lane] for row in rows]
            while len(terms) > 1:
                terms = [builder.fadd(one, two) for one, two in zip(terms[::2], terms[1::2], strict=True)]
            old = builder.load(pointer, align=4)
            builder.store(builder.fadd(old, terms[0]), pointer, align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _scatter_row(typing: Any, out: Any, offsets: Any, table: Any, at: Any) -> Any:
    _check(out, table)
    signature = types.void(out, _OFFSETS, table, types.uintp)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        target = _data(context, builder, out, args[0])
        row = _load(builder, _vectors(builder, _data(context, builder, table, args[2]), args[3]))
        for k in range(8):  # one after the other: two offsets may be equal
            pointers = _vectors(builder, target, builder.extract_value(args[1], k))
            for pointer, value in zip(pointers, row, strict=True):
                builder.store(builder.fadd(builder.load(pointer, align=4), value), pointer, align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _combine_rows(typing: Any, out: Any, at: Any, factors: Any, start: Any, table: Any) -> Any:
    _check(out, factors, table)
    signature = types.void(out, types.uintp, factors, types.uintp, table)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        target = _vectors(builder, _data(context, builder, out, args[0]), args[1])
        source = _data(context, builder, factors, args[2])
        rows = _data(context, builder, table, args[4])
        sums = [cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, [0.0] * _LANES)) for _ in target]
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES)
        # A loop and not WIDTH copies of its body: the copies take seconds to compile
        with cgutils.for_range(builder, ir.Constant(args[3].type, WIDTH)) as loop:
            factor = builder.load(builder.gep(source, [builder.add(args[3], loop.index)]), align=4)
            single = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), factor, ir.IntType(32)(0))
            splat = builder.shuffle_vector(single, single, lanes)
            start = builder.mul(loop.index, ir.Constant(loop.index.type, WIDTH))
            for total, part in zip(sums, _load(builder, _vectors(builder, rows, start)), strict=True):
                product = builder.fmul(splat, part, flags=("contract",))
                builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
        for pointer, total in zip(target, sums, strict=True):
            builder.store(builder.load(total), pointer, align=4)
        return context.get_dummy_value()

    return signature, generate


def _gather_rows_python(out: np.ndarray, at: int, table: np.ndarray, offsets: tuple[int, ...]) -> None:
    for offset in offsets:
        out[at : at + WIDTH] += table[offset : offset + WIDTH]


def _scatter_row_python(out: np.ndarray, offsets: tuple[int, ...], table: np.ndarray, at: int) -> None:
    for offset in offsets:
        out[offset : offset + WIDTH] += table[at : at + WIDTH]


def _combine_rows_python(
    out: np.ndarray, at: int, factors: np.ndarray, start: int, table: np.ndarray
) -> None:
    out[at : at + WIDTH] = factors[start : start + WIDTH] @ table.reshape(WIDTH, WIDTH)


_interpreted = bool(vars(config)["DISABLE_JIT"])
# out[at:at+24] += sum of the eight rows of table that begin at offsets
gather_rows: Callable[..., None] = _gather_rows_python if _interpreted else _gather_rows
# out[offset:offset+24] += table[at:at+24] for each of the eight offsets
scatter_row: Callable[..., None] = _scatter_row_python if _interpreted else _scatter_row
# out[at:at+24] = factors[start:start+24] times the rows of table, 24 x 24 and flat
combine_rows: Callable[..., None] = _combine_rows_python if _interpreted else _combine_rows
