"""64-bit places of pairs, at lengths where CCMpred and plmc overflow; nothing of that size is allocated."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from data.alphabet import Q
from dca import covariance, frequencies, kernels, maps, memory
from dca.accelerate import jit
from dca.couplings import pair_index
from dca.mean_field import mean_field
from dca.memory import predicted_bytes

ROOT = Path(__file__).resolve().parent.parent
LENGTH = 3000
PAIRS = LENGTH * (LENGTH - 1) // 2
NARROW = ("int8", "int16", "int32", "intc", "uint8", "uint16", "uint32", "uintc", "short")
PLACES = ("p", "i", "j", "k", "length", "first", "second")  # what places are made of in kernels


# Every expression with which kernels find a pair: what is compiled here is all that they may hold


@jit
def _upper(i, j, length):
    return i * length - i * (i + 1) // 2 + j - i - 1


@jit
def _mirrored(i, j, length):
    return j * length - j * (j + 1) // 2 + i - j - 1


@jit
def _ordered(first, second, length):
    return first * length - first * (first + 1) // 2 + second - first - 1


@jit
def _from_starts(first, i, j):
    return first[i] + j - i - 1


@jit
def _flat(p, a, b, q):
    """Offset of one coupling in [P, q, q], as compilers work it out; no kernel says it."""
    return (p * q + a) * q + b


def kernels_of(path):
    """Functions of a file that are decorated by ``jit``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            names = [getattr(mark, "func", mark) for mark in node.decorator_list]
            if any(isinstance(name, ast.Name) and name.id == "jit" for name in names):
                yield node


def returned(kernel):
    return next(ast.unparse(node.value) for node in ast.walk(kernel) if isinstance(node, ast.Return))


def is_triangle(node):
    """x y // 2, whichever way a product is halved."""
    halved = isinstance(node, ast.BinOp) and ast.unparse(node).endswith(("// 2", "/ 2", ">> 1"))
    return halved and any(
        isinstance(n, ast.BinOp) and isinstance(n.op, ast.Mult) for n in ast.walk(node.left)
    )


def is_place(node):
    """An expression with a triangle in it, or one that begins at the start of a row of pairs."""
    parts = list(ast.walk(node))
    starts = (ast.unparse(part) for part in parts if isinstance(part, ast.Subscript))
    return any(map(is_triangle, parts)) or (isinstance(node, ast.BinOp | ast.Call) and "first[i]" in starts)


def places(kernel):
    """Text of all that is assigned to p, and of all other places that are assigned or looked up."""
    for node in ast.walk(kernel):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named = any(isinstance(target, ast.Name) and target.id == "p" for target in targets)
            if named or (is_place(node.value) and not isinstance(node.value, ast.Subscript | ast.Call)):
                yield ast.unparse(node.value)
        elif isinstance(node, ast.Subscript) and is_place(node.slice):
            yield ast.unparse(node.slice)


def narrowed(kernel):
    """Casts to fewer than 64 bits of what places are made of; what arrays hold at a place may be cast."""
    casts = (n for n in ast.walk(kernel) if isinstance(n, ast.Call) and ast.unparse(n.func)[3:] in NARROW)
    assigned = [
        node.value
        for node in ast.walk(kernel)
        if isinstance(node, ast.Assign) and {ast.unparse(target) for target in node.targets} & set(PLACES)
    ]
    inside = {id(part) for value in assigned for part in ast.walk(value)}
    for cast in casts:
        if id(cast) in inside or any(map(names_a_place, cast.args)):
            yield ast.unparse(cast)


def names_a_place(node):
    if isinstance(node, ast.Subscript):
        return False
    if isinstance(node, ast.Name):
        return node.id in PLACES
    return any(map(names_a_place, ast.iter_child_nodes(node)))


ALLOWED = {returned(kernel) for kernel in kernels_of(Path(__file__)) if kernel.name != "_flat"}
FOUND = {
    (path.stem, kernel.name): list(places(kernel))
    for path in sorted((ROOT / "dca").glob("*.py"))
    for kernel in kernels_of(path)
}


def test_kernels_hold_no_other_place():
    wrong = {name: set(texts) - ALLOWED for name, texts in FOUND.items() if set(texts) - ALLOWED}
    assert wrong == {}


def test_every_place_is_looked_at():
    """As many as a reader finds: the walk is not empty, and what is allowed is what is there."""
    found = [text for texts in FOUND.values() for text in texts]
    assert set(found) == ALLOWED
    modules = {module for (module, _), texts in FOUND.items() if texts}
    assert modules == {"asymmetric", "boltzmann", "covariance", "descent", "frequencies", "gauge", "kernels"}
    written = re.compile(r"\* \(\w+ \+ 1\) // 2 \+ |first\[i\] \+ ")
    texts = ((ROOT / "dca" / f"{module}.py").read_text() for module in modules)
    assert len(found) == sum(len(written.findall(text)) for text in texts)


def test_no_part_of_a_place_has_fewer_bits():
    wrong = {
        (path.stem, kernel.name): list(narrowed(kernel))
        for path in sorted((ROOT / "dca").glob("*.py"))
        for kernel in kernels_of(path)
    }
    assert {name: casts for name, casts in wrong.items() if casts} == {}


@pytest.mark.parametrize(
    "line",
    [
        "p = np.int32(i * length - i * (i + 1) // 2 + j - i - 1)",
        "p = i * length - np.int32(i * (i + 1) // 2) + j - i - 1",
        "p = i * length - i * (i + 1) / 2 + j - i - 1",
        "p = i * length + j",
        "x = couplings[np.int32(i * length - i * (i + 1) // 2 + j - i - 1)]",
        "x = couplings[j * length - i * (i + 1) // 2 + j - i - 1]",
        "table = counts[np.int32(first[i] + j - i - 1)]",
        "table = counts[first[i] + j - i]",
    ],
)
def test_other_places_are_noticed(line):
    assert set(places(ast.parse(line))) - ALLOWED


@pytest.mark.parametrize(
    "line",
    ["x = couplings[np.int32(p)]", "length = np.int32(n)", "first = np.uint32(min(i, j))", "np.intc(j)"],
)
def test_casts_of_places_are_noticed(line):
    assert list(narrowed(ast.parse(line)))


def naive_place(i, j, length):
    return sum(length - 1 - row for row in range(i)) + j - i - 1


COLUMN_PAIRS = [
    (length, i, j)
    for length in (LENGTH, 70_000)
    for i, j in (
        (0, 1),
        (0, length - 1),
        (1, 2),
        (1234, 2345),
        (length - 50, length - 7),
        (length - 2, length - 1),
    )
]


@pytest.mark.parametrize(("length", "i", "j"), COLUMN_PAIRS)
def test_places_of_pairs_are_exact(length, i, j):
    place = naive_place(i, j, length)
    assert pair_index(i, j, length) == place
    assert pair_index(np.array([i]), np.array([j]), length)[0] == place
    starts = np.array([naive_place(0, 1, length), naive_place(i, i + 1, length)])
    small, large, columns = np.int64(i), np.int64(j), np.int64(length)
    found = [
        _upper(small, large, columns),
        _mirrored(large, small, columns),
        _ordered(small, large, columns),
        _from_starts(np.repeat(starts[1], i + 1), small, large),
    ]
    assert found == [place] * 4
    assert all(isinstance(number, int | np.int64) for number in found)  # a float would lose digits
    assert int(_flat(np.int64(place), 20, 20, Q)) == place * Q * Q + Q * Q - 1


def test_offsets_pass_31_bits():
    assert naive_place(69_998, 69_999, 70_000) > 2**31
    last = _flat(_upper(np.int64(2998), np.int64(2999), np.int64(LENGTH)), 20, 20, Q)
    assert isinstance(last, int | np.int64)
    assert last == PAIRS * Q * Q - 1 == 1_983_838_499
    assert 4 * last > 2**31  # bytes


@pytest.mark.parametrize("length", [2, 3, 600, 2800, 3000, 46_341, 70_000, 100_000])
def test_columns_of_pairs(length):
    assert kernels._columns_of(length * (length - 1) // 2) == length


def test_arrays_of_places_have_64_bits(monkeypatch):
    """The starts of rows of pairs, and the columns of pairs, with which kernels are called."""
    seen = {}
    for module in (frequencies, covariance, maps):

        def note(kernel, count, *arguments, run=module.in_parallel):
            code = getattr(kernel, "py_func", kernel).__name__
            seen[code] = [
                part.dtype for part in arguments if isinstance(part, np.ndarray) and part.dtype.kind == "i"
            ]
            run(kernel, count, *arguments)

        monkeypatch.setattr(module, "in_parallel", note)
    tokens = np.random.default_rng(0).integers(0, Q, size=(20, 5)).astype(np.int8)
    weights = np.ones(20, np.float32)
    maps.direct_information(mean_field(tokens, weights), tokens, weights)
    assert seen["_count_pairs"] == [np.int64]
    assert seen["_negative_blocks"] == seen["_direct_information"] == [np.int64] * 2


def test_sizes_at_3000_columns_are_exact():
    assert memory._packed(LENGTH) == 4 * 441 * 4_498_500 == 7_935_354_000
    assert memory._slab(LENGTH) == 3000 * 21 * 24 * 4
    for threads in (1, 2):
        assert 1 < predicted_bytes("plm", 2, LENGTH, threads) / (4 * memory._packed(LENGTH)) < 1.1
