"""Operations on padded float rows kept in vector registers, for the pseudolikelihood kernels.

Numba cannot know that two rows of an array do not overlap and checks it at run time for every
sequence and site, which costs more than the sums. These operations are written for LLVM directly:
rows of WIDTH = 24 floats as three vectors of eight (AVX registers; narrower machines split them), row r
begins at float 24 r. Arrays that a kernel makes begin at a multiple of 64 bytes, so that no vector crosses a
cache line; those of numpy mostly do not, and are slower. Sums run in a fixed order.
Marks, by which two threads write to one place in turn, are set in one step (atomically).
The functions of `dca.vector` define what they do.
"""

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from dca import vector
from dca.lanes_llvm import VECTOR, add_product, exponential, same, splat, sum_of_lanes
from dca.vector import LANES, TRIPLE, WIDTH


def _vectors(builder: Any, data: Any, row: Any) -> list[Any]:
    """Pointers to the three vectors of a row of `data`."""
    start = builder.mul(row, ir.Constant(row.type, WIDTH))
    places = [builder.add(start, ir.Constant(start.type, lane)) for lane in range(0, WIDTH, LANES)]
    return [builder.bitcast(builder.gep(data, [place]), VECTOR.as_pointer()) for place in places]


def _load(builder: Any, pointers: list[Any]) -> list[Any]:
    return [builder.load(pointer, align=4) for pointer in pointers]


def _store(builder: Any, values: list[Any], pointers: list[Any]) -> None:
    for value, pointer in zip(values, pointers, strict=True):
        builder.store(value, pointer, align=4)


def _add(builder: Any, one: list[Any], two: list[Any]) -> list[Any]:
    return [builder.fadd(a, b) for a, b in zip(one, two, strict=True)]


def _variables(builder: Any, values: list[Any]) -> list[Any]:
    """Places for values that a loop changes; LLVM keeps them in registers."""
    return [cgutils.alloca_once_value(builder, value) for value in values]


def _array(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return make_array(kind)(context, builder, value)


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return _array(context, builder, kind, value).data


def _check(*arrays: Any, kind: Any = types.float32) -> None:
    for array in arrays:
        if array != types.Array(kind, 1, "C"):
            raise numba.TypingError(f"expected a contiguous vector of {kind}, got {array}")


@intrinsic
def _gather_rows(typing: Any, out: Any, at: Any, table: Any, rows: Any) -> Any:
    _check(out, table)
    count = rows.count  # a power of two
    signature = types.void(out, types.uintp, table, types.UniTuple(types.uintp, count))

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        target = _vectors(builder, _data(context, builder, out, args[0]), args[1])
        source = _data(context, builder, table, args[2])
        picked = [builder.extract_value(args[3], k) for k in range(count)]
        terms = [_load(builder, _vectors(builder, source, row)) for row in picked]
        while len(terms) > 1:
            terms = [_add(builder, one, two) for one, two in zip(terms[::2], terms[1::2], strict=True)]
        _store(builder, _add(builder, _load(builder, target), terms[0]), target)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _scatter_row(typing: Any, out: Any, rows: Any, table: Any, at: Any) -> Any:
    _check(out, table)
    count = rows.count
    signature = types.void(out, types.UniTuple(types.uintp, count), table, types.uintp)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        target = _data(context, builder, out, args[0])
        row = _load(builder, _vectors(builder, _data(context, builder, table, args[2]), args[3]))
        for k in range(count):  # one after the other: two of them may be the same
            pointers = _vectors(builder, target, builder.extract_value(args[1], k))
            _store(builder, _add(builder, _load(builder, pointers), row), pointers)
        return context.get_dummy_value()

    return signature, generate


def _run_signature(table: Any, rights: Any) -> Any:
    _check(table)
    _check(rights, kind=types.uint16)
    return types.void(table, types.uintp, rights, types.intp, types.intp, types.intp)


@intrinsic
def _expand_run(typing: Any, table: Any, left: Any, rights: Any, lo: Any, hi: Any, shift: Any) -> Any:
    signature = _run_signature(table, rights)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data, picked = _data(context, builder, table, args[0]), _data(context, builder, rights, args[2])
        kept = _load(builder, _vectors(builder, data, args[1]))
        with cgutils.for_range_slice(builder, args[3], args[4], args[3].type(1)) as (word, _):
            right = builder.zext(builder.load(builder.gep(picked, [word])), args[1].type)
            total = _add(builder, kept, _load(builder, _vectors(builder, data, right)))
            _store(builder, total, _vectors(builder, data, builder.add(word, args[5])))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _collect_run(typing: Any, table: Any, left: Any, rights: Any, lo: Any, hi: Any, shift: Any) -> Any:
    signature = _run_signature(table, rights)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data, picked = _data(context, builder, table, args[0]), _data(context, builder, rights, args[2])
        own = _vectors(builder, data, args[1])
        sums = _variables(builder, _load(builder, own))
        with cgutils.for_range_slice(builder, args[3], args[4], args[3].type(1)) as (word, _):
            row = _load(builder, _vectors(builder, data, builder.add(word, args[5])))
            right = builder.zext(builder.load(builder.gep(picked, [word])), args[1].type)
            pointers = _vectors(builder, data, right)
            _store(builder, _add(builder, _load(builder, pointers), row), pointers)
            for total, value in zip(sums, row, strict=True):
                builder.store(builder.fadd(builder.load(total), value), total)
        _store(builder, [builder.load(total) for total in sums], own)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _residual_row(typing: Any, out: Any, at: Any, field: Any, letter: Any, weight: Any) -> Any:
    _check(out, field)
    signature = types.void(out, types.uintp, field, types.intp, types.float32)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = _data(context, builder, out, args[0])
        row = _vectors(builder, data, args[1])
        own = _load(builder, _vectors(builder, _data(context, builder, field, args[2]), args[1].type(0)))
        energies = _add(builder, _load(builder, row), own)
        factors = [exponential(builder, energy) for energy in energies]
        total = builder.fadd(builder.fadd(factors[0], factors[1]), factors[2])
        total = sum_of_lanes(builder, total)
        scale = builder.fdiv(args[4], builder.extract_element(total, ir.IntType(32)(0)))
        shared = splat(builder, scale)
        _store(builder, [builder.fmul(factor, shared) for factor in factors], row)
        first = builder.mul(args[1], args[1].type(WIDTH))
        place = builder.gep(data, [builder.add(first, args[3])])
        builder.store(builder.fsub(builder.load(place, align=4), args[4]), place, align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _combine_rows(typing: Any, out: Any, at: Any, factors: Any, table: Any) -> Any:
    _check(out, factors, table)
    signature = types.void(out, types.uintp, factors, table)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        target, source, rows = (_data(context, builder, out, args[k]) for k in (0, 2, 3))
        mine = [builder.add(args[1], args[1].type(k)) for k in range(TRIPLE)]
        starts = [builder.mul(row, row.type(WIDTH)) for row in mine]
        sums = [_variables(builder, [same(0.0)] * (WIDTH // LANES)) for _ in mine]
        # A loop and not WIDTH copies of its body: the copies take seconds to compile
        with cgutils.for_range(builder, args[1].type(WIDTH)) as loop:
            parts = _load(builder, _vectors(builder, rows, loop.index))
            for start, totals in zip(starts, sums, strict=True):
                factor = builder.load(builder.gep(source, [builder.add(start, loop.index)]), align=4)
                shared = splat(builder, factor)
                for total, part in zip(totals, parts, strict=True):
                    add_product(builder, total, shared, part)
        for row, totals in zip(mine, sums, strict=True):
            _store(builder, [builder.load(total) for total in totals], _vectors(builder, target, row))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _weigh_rows(typing: Any, out: Any, table: Any, factors: Any) -> Any:
    _check(out, table, factors)
    signature = types.void(out, table, factors)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        target, source, shares = (_data(context, builder, out, arg) for arg in args)
        sums = _variables(builder, [same(0.0)] * (WIDTH // LANES))
        with cgutils.for_range(builder, _array(context, builder, factors, args[2]).nitems) as loop:
            shared = splat(builder, builder.load(builder.gep(shares, [loop.index]), align=4))
            for total, part in zip(sums, _load(builder, _vectors(builder, source, loop.index)), strict=True):
                add_product(builder, total, shared, part)
        first = _vectors(builder, target, ir.Constant(ir.IntType(64), 0))
        _store(builder, [builder.load(total) for total in sums], first)
        return context.get_dummy_value()

    return signature, generate


def _mark(context: Any, builder: Any, marks: Any, values: Any) -> Any:
    """Where the mark of a place is."""
    return builder.gep(_data(context, builder, marks, values[0]), [values[1]])


def _set_bit(builder: Any, mark: Any, bit: int) -> Any:
    """Set a bit of a mark, in one step; the mark as it was before."""
    return builder.atomic_rmw("or", mark, ir.IntType(32)(bit), "acq_rel")


@intrinsic
def _comes_first(typing: Any, marks: Any, place: Any) -> Any:
    _check(marks, kind=types.int32)
    signature = types.boolean(marks, types.intp)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        before = _set_bit(builder, _mark(context, builder, marks, args), 1)
        return builder.icmp_unsigned("==", before, before.type(0))

    return signature, generate


@intrinsic
def _has_written(typing: Any, marks: Any, place: Any) -> Any:
    _check(marks, kind=types.int32)
    signature = types.void(marks, types.intp)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _set_bit(builder, _mark(context, builder, marks, args), 2)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _wait_for_first(typing: Any, marks: Any, place: Any) -> Any:
    _check(marks, kind=types.int32)
    signature = types.void(marks, types.intp)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        mark = _mark(context, builder, marks, args)
        again = builder.append_basic_block("wait")
        after = builder.append_basic_block("written")
        builder.branch(again)
        builder.position_at_end(again)
        now = builder.load_atomic(mark, "acquire", align=4)
        builder.cbranch(builder.icmp_unsigned("<", now, now.type(2)), again, after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    return signature, generate


# What stands for each definition in compiled code
OPERATIONS: dict[Any, Any] = {
    vector.gather_rows: _gather_rows,
    vector.scatter_row: _scatter_row,
    vector.expand_run: _expand_run,
    vector.collect_run: _collect_run,
    vector.residual_row: _residual_row,
    vector.combine_rows: _combine_rows,
    vector.weigh_rows: _weigh_rows,
    vector.comes_first: _comes_first,
    vector.has_written: _has_written,
    vector.wait_for_first: _wait_for_first,
}
