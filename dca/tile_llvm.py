"""Operations on rows of channels kept in vector registers, for convolutions.

Numba checks at run time that rows of two arrays do not overlap, and gives up where there are more than a few:
these are written for LLVM directly, in vectors of eight floats (AVX registers; narrower machines split them).
The functions of `dca.tile` define what they do.
"""

from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from dca import tile
from dca.lanes_llvm import VECTOR, add_product, exponential, same, splat, sum_of_lanes, times_plus
from dca.tile import LANES, PANEL, POINTS, TOGETHER

_FLAT = types.Array(types.float32, 1, "C")


def _data(context: Any, builder: Any, value: Any) -> Any:
    return make_array(_FLAT)(context, builder, value).data


def _check(*arrays: Any) -> None:
    for array in arrays:
        if not isinstance(array, types.Array) or array.copy(readonly=False) != _FLAT:
            raise numba.TypingError(f"expected a contiguous vector of float32, got {array}")


def _vector(builder: Any, data: Any, place: Any) -> Any:
    return builder.bitcast(builder.gep(data, [place]), VECTOR.as_pointer())


def _load(builder: Any, data: Any, place: Any) -> Any:
    return builder.load(_vector(builder, data, place), align=4)


def _store(builder: Any, value: Any, data: Any, place: Any) -> None:
    builder.store(value, _vector(builder, data, place), align=4)


def _places(builder: Any, place: Any, apart: Any, number: int) -> list[Any]:
    """Where each of so many rows begins."""
    return [builder.add(place, builder.mul(apart, apart.type(k))) for k in range(number)]


def _plus(builder: Any, one: Any, factor: float, two: Any) -> Any:
    """one + factor times two."""
    return times_plus(builder, same(factor), two, one)


def _six_points(builder: Any, x: list[Any]) -> list[Any]:
    even, odd = _plus(builder, x[4], -4.0, x[2]), _plus(builder, x[3], -4.0, x[1])
    half, single = builder.fsub(x[4], x[2]), builder.fsub(x[3], x[1])
    return [
        _plus(builder, _plus(builder, x[4], 4.0, x[0]), -5.0, x[2]),
        builder.fadd(even, odd),
        builder.fsub(even, odd),
        _plus(builder, half, 2.0, single),
        _plus(builder, half, -2.0, single),
        _plus(builder, _plus(builder, x[5], 4.0, x[1]), -5.0, x[3]),
    ]


def _four_results(builder: Any, x: list[Any]) -> list[Any]:
    one, other = builder.fadd(x[1], x[2]), builder.fsub(x[1], x[2])
    far, beyond = builder.fadd(x[3], x[4]), builder.fsub(x[3], x[4])
    return [
        builder.fadd(builder.fadd(x[0], one), far),
        _plus(builder, other, 2.0, beyond),
        _plus(builder, one, 4.0, far),
        builder.fadd(_plus(builder, other, 8.0, beyond), x[5]),
    ]


def _transform(number: int, combine: Callable[[Any, list[Any]], list[Any]]) -> Any:
    """Signature and code of a function that makes so many rows of six."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        out, at, apart, source, place, gap, count = args
        target, origin = _data(context, builder, out), _data(context, builder, source)
        reads, writes = _places(builder, place, gap, POINTS), _places(builder, at, apart, number)
        with _lanes(builder, count) as (lane, _):
            values = [_load(builder, origin, builder.add(start, lane)) for start in reads]
            for value, start in zip(combine(builder, values), writes, strict=True):
                _store(builder, value, target, builder.add(start, lane))
        return context.get_dummy_value()

    return generate


def _rows_signature(out: Any, source: Any) -> Any:
    _check(out, source)
    whole = types.intp
    return types.void(out, whole, whole, source, whole, whole, whole)


@intrinsic
def _spread_six(
    typing: Any, out: Any, at: Any, apart: Any, source: Any, place: Any, gap: Any, count: Any
) -> Any:
    return _rows_signature(out, source), _transform(tile.POINTS, _six_points)


@intrinsic
def _gather_four(
    typing: Any, out: Any, at: Any, apart: Any, source: Any, place: Any, gap: Any, count: Any
) -> Any:
    return _rows_signature(out, source), _transform(tile.RESULTS, _four_results)


def _lanes(builder: Any, count: Any) -> Any:
    """A loop over a row; the place of each vector in it."""
    return cgutils.for_range_slice(builder, count.type(0), count, count.type(LANES))


def _at_least(builder: Any, value: Any, least: Any) -> Any:
    """The greater of two; what is no number stays so."""
    return builder.select(builder.fcmp_ordered("<", value, least), least, value)


@intrinsic
def _write_row(
    typing: Any, out: Any, at: Any, source: Any, place: Any, shift: Any, least: Any, count: Any
) -> Any:
    _check(out, source, shift)
    whole = types.intp
    signature = types.void(out, whole, source, whole, shift, types.float32, whole)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        target, origin, shifts = (_data(context, builder, args[k]) for k in (0, 2, 4))
        floor = splat(builder, args[5])
        with _lanes(builder, args[6]) as (lane, _):
            value = _load(builder, origin, builder.add(args[3], lane))
            value = builder.fadd(value, _load(builder, shifts, lane))
            _store(builder, _at_least(builder, value, floor), target, builder.add(args[1], lane))
        return context.get_dummy_value()

    return signature, generate


def _by_rows(count: int, generate_row: Callable[[Any, Any, list[Any]], Any]) -> Any:
    """Code of a function of out, at, source, place, `count` rows for all, and a row's length.

    `generate_row` makes a vector of what is in its place in out, in source, and in those rows.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        target, origin = _data(context, builder, args[0]), _data(context, builder, args[2])
        shared = [_data(context, builder, value) for value in args[4 : 4 + count]]
        with _lanes(builder, args[4 + count]) as (lane, _):
            begin = builder.add(args[1], lane)
            value = _load(builder, origin, builder.add(args[3], lane))
            rows = [_load(builder, data, lane) for data in shared]
            made = generate_row(builder, _load(builder, target, begin), [value, *rows])
            _store(builder, made, target, begin)
        return context.get_dummy_value()

    return generate


def _signature_by_rows(out: Any, source: Any, *shared: Any) -> Any:
    _check(out, source, *shared)
    return types.void(out, types.intp, source, types.intp, *shared, types.intp)


def _plus_scaled(builder: Any, there: Any, rows: list[Any]) -> Any:
    return builder.fadd(there, times_plus(builder, *rows))


def _plus_square(builder: Any, there: Any, rows: list[Any]) -> Any:
    rest = builder.fsub(*rows)
    return times_plus(builder, rest, rest, there)


def _exponential_unit(builder: Any, _there: Any, rows: list[Any]) -> Any:
    value = times_plus(builder, *rows)
    below = builder.fsub(exponential(builder, value), same(1.0))
    return builder.select(builder.fcmp_ordered(">", value, same(0.0)), value, below)


@intrinsic
def _add_scaled(
    typing: Any, out: Any, at: Any, source: Any, place: Any, scale: Any, shift: Any, count: Any
) -> Any:
    return _signature_by_rows(out, source, scale, shift), _by_rows(2, _plus_scaled)


@intrinsic
def _add_squares(typing: Any, out: Any, at: Any, source: Any, place: Any, middle: Any, count: Any) -> Any:
    return _signature_by_rows(out, source, middle), _by_rows(1, _plus_square)


@intrinsic
def _elu_row(
    typing: Any, out: Any, at: Any, source: Any, place: Any, scale: Any, shift: Any, count: Any
) -> Any:
    return _signature_by_rows(out, source, scale, shift), _by_rows(2, _exponential_unit)


def _mean(builder: Any, total: Any, count: Any) -> Any:
    """A vector's sum over a count, in all lanes."""
    whole = splat(builder, builder.sitofp(count, ir.FloatType()))
    return builder.fdiv(sum_of_lanes(builder, total), whole)


@intrinsic
def _normalise_row(
    typing: Any, out: Any, at: Any, source: Any, place: Any, scale: Any, shift: Any, small: Any, count: Any
) -> Any:
    _check(out, source, scale, shift)
    whole = types.intp
    signature = types.void(out, whole, source, whole, scale, shift, types.float32, whole)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        target, origin, scales, shifts = (_data(context, builder, args[k]) for k in (0, 2, 4, 5))
        zero, count = same(0.0), args[7]
        total, squares = (cgutils.alloca_once_value(builder, zero) for _ in range(2))
        with _lanes(builder, count) as (lane, _):
            value = _load(builder, origin, builder.add(args[3], lane))
            builder.store(builder.fadd(builder.load(total), value), total)
        mean = _mean(builder, builder.load(total), count)
        with _lanes(builder, count) as (lane, _):
            rest = builder.fsub(_load(builder, origin, builder.add(args[3], lane)), mean)
            add_product(builder, squares, rest, rest)
        spread = builder.fadd(_mean(builder, builder.load(squares), count), splat(builder, args[6]))
        kind = ir.FunctionType(VECTOR, [VECTOR])
        root = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f32")
        factor = builder.fdiv(same(1.0), builder.call(root, [spread]))
        with _lanes(builder, count) as (lane, _):
            rest = builder.fsub(_load(builder, origin, builder.add(args[3], lane)), mean)
            scale, shift = _load(builder, scales, lane), _load(builder, shifts, lane)
            value = times_plus(builder, builder.fmul(rest, factor), scale, shift)
            _store(builder, _at_least(builder, value, zero), target, builder.add(args[1], lane))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _multiply_rows(
    typing: Any, out: Any, at: Any, apart: Any, left: Any, place: Any, right: Any, panel: Any, depth: Any
) -> Any:
    _check(out, left, right)
    whole = types.intp
    signature = types.void(out, whole, whole, left, whole, right, whole, whole)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        at, apart, place, panel, depth = (args[k] for k in (1, 2, 4, 6, 7))
        target, factors, table = (_data(context, builder, args[k]) for k in (0, 3, 5))
        rows = _places(builder, place, depth, TOGETHER)
        zero = same(0.0)
        sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(PANEL // LANES)] for _ in rows]
        with cgutils.for_range(builder, depth) as loop:
            start = builder.add(panel, builder.mul(loop.index, loop.index.type(PANEL)))
            parts = [_load(builder, table, builder.add(start, start.type(k))) for k in range(0, PANEL, LANES)]
            for row, totals in zip(rows, sums, strict=True):
                factor = builder.load(builder.gep(factors, [builder.add(row, loop.index)]), align=4)
                shared = splat(builder, factor)
                for total, part in zip(totals, parts, strict=True):
                    add_product(builder, total, shared, part)
        for begin, totals in zip(_places(builder, at, apart, TOGETHER), sums, strict=True):
            for k, total in enumerate(totals):
                _store(builder, builder.load(total), target, builder.add(begin, begin.type(k * LANES)))
        return context.get_dummy_value()

    return signature, generate


# What stands for each definition in compiled code
OPERATIONS: dict[Any, Any] = {
    tile.spread_six: _spread_six,
    tile.gather_four: _gather_four,
    tile.write_row: _write_row,
    tile.add_scaled: _add_scaled,
    tile.add_squares: _add_squares,
    tile.elu_row: _elu_row,
    tile.normalise_row: _normalise_row,
    tile.multiply_rows: _multiply_rows,
}
