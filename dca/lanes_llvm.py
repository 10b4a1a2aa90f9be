"""Vectors of eight floats for LLVM: what the operations on rows of both kinds are written with.

They are AVX registers; narrower machines split them.
"""

from typing import Any

from llvmlite import ir

from dca.vector import LANES, LIMIT, LOG2E, POWERS

VECTOR = ir.VectorType(ir.FloatType(), LANES)
WORDS = ir.VectorType(ir.IntType(32), LANES)
_FUSED = ("contract",)  # a product and a sum may become one instruction
_WHOLE = 12582912.0  # 1.5 * 2^23: adding it rounds to whole numbers, whose last bits then hold them
_WHOLE_BITS = 0x4B400000


def same(value: float) -> Any:
    """The same constant in all lanes."""
    return ir.Constant(VECTOR, [value] * LANES)


def splat(builder: Any, value: Any) -> Any:
    """The same value in all lanes."""
    single = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), value, ir.IntType(32)(0))
    return builder.shuffle_vector(single, single, ir.Constant(WORDS, [0] * LANES))


def times_plus(builder: Any, one: Any, two: Any, three: Any) -> Any:
    """one times two, plus three."""
    return builder.fadd(builder.fmul(one, two, flags=_FUSED), three, flags=_FUSED)


def add_product(builder: Any, total: Any, one: Any, two: Any) -> None:
    """Add one times two to a vector in memory, which LLVM keeps in a register."""
    product = builder.fmul(one, two, flags=_FUSED)
    builder.store(builder.fadd(builder.load(total), product, flags=_FUSED), total)


def sum_of_lanes(builder: Any, total: Any) -> Any:
    """The sum of the lanes, in all lanes."""
    for half in (4, 2, 1):
        turned = ir.Constant(WORDS, [(lane + half) % LANES for lane in range(LANES)])
        total = builder.fadd(total, builder.shuffle_vector(total, total, turned))
    return total


def exponential(builder: Any, value: Any) -> Any:
    """Eight exp(value), value held within +-LIMIT."""
    for bound, sign in ((-LIMIT, "<"), (LIMIT, ">")):
        value = builder.select(builder.fcmp_ordered(sign, value, same(bound)), same(bound), value)
    scaled = builder.fmul(value, same(LOG2E))
    rounded = builder.fadd(scaled, same(_WHOLE))
    rest = builder.fsub(scaled, builder.fsub(rounded, same(_WHOLE)))
    total = same(POWERS[-1])
    for power in (*reversed(POWERS[:-1]), 1.0):
        total = times_plus(builder, total, rest, same(power))
    exponent = builder.add(builder.bitcast(rounded, WORDS), ir.Constant(WORDS, [127 - _WHOLE_BITS] * LANES))
    power_of_two = builder.shl(exponent, ir.Constant(WORDS, [23] * LANES))
    return builder.fmul(total, builder.bitcast(power_of_two, VECTOR))
