"""Distances in an assembly equal those of loops over all copies."""

import math

import gemmi
import numpy as np
import pytest
from data_fixtures import demo_file, straight, write_pdb
from structure_fixtures import Piece, assembly, line_of, mmcif

from data.assembly import assembly_places, read_assembly
from data.contacts import true_distances
from data.errors import StructureError
from data.mapping import map_query
from data.structure import read_chain, write_mmcif

SEQUENCE = "MKVLWEHTRQ"
SAME = (np.eye(3), (0, 0, 0))
TURN = (np.diag([-1.0, -1.0, 1.0]), (6.0, 4.0, 0.0))  # a twofold axis along z
SHIFT = (np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]]), (1.0, 2.0, 7.0))


def wiggly(seed, offset=(0, 0, 0)):
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(0, 2.2, (10, 3)), axis=0) + np.array(offset)


def write(tmp_path, pieces, more):
    path = tmp_path / "x.cif"
    path.write_text(mmcif(pieces, more=more))
    return path


def points(positions):
    """C-beta of each residue as the fixture places it."""
    return [tuple(round(v, 3) for v in (x, y, z + 1.0)) for x, y, z in positions]


def moved(point, operator):
    matrix, shift = operator
    return tuple(sum(matrix[a][b] * point[b] for b in range(3)) + shift[a] for a in range(3))


def nearest(own, copies, i, j):
    """Smallest distance of i of the chain to j of any copy, and of j to i."""
    return min(
        min(math.dist(own[i], copy[j]), math.dist(own[j], copy[i]))
        for copy in copies
        if (copy[i] is not None and copy[j] is not None) or copy[i] or copy[j]
    )


def found(path, chain="", query=SEQUENCE):
    return read_assembly(read_chain(path, chain), query, 0.9, 0.5)


def test_symmetry_copies_equal_the_loop(tmp_path):
    places = wiggly(1)
    more = assembly([("1,2", "A")], {"1": SAME, "2": TURN})
    result = found(write(tmp_path, [Piece("A", "X", "1", SEQUENCE, places)], more))
    assert (result.name, result.copies) == ("1", 2)
    own = points(places)
    copies = [own, [moved(point, TURN) for point in own]]
    for i in range(10):
        for j in range(10):
            if i != j:
                assert result.distance[i, j] == pytest.approx(nearest(own, copies, i, j), abs=2e-3)
    assert result.distance.dtype == np.float32
    assert (np.diagonal(result.distance) == 0).all()
    assert np.array_equal(result.distance, result.distance.T)


def test_copies_in_the_asymmetric_unit_and_products_of_operators(tmp_path):
    one, two = wiggly(1), wiggly(2, (4, 3, 2))
    pieces = [Piece("A", "X", "1", SEQUENCE, one), Piece("B", "Y", "1", SEQUENCE, two)]
    more = assembly([("(1,2)(3)", "A,B")], {"1": SAME, "2": TURN, "3": SHIFT})
    result = found(write(tmp_path, pieces, more), "Y")
    assert result.copies == 4
    own = [moved(point, SHIFT) for point in points(two)]  # SHIFT acts first, then 1 or 2
    placed = [
        [moved(moved(p, SHIFT), operator) for p in points(part)]
        for part in (one, two)
        for operator in (SAME, TURN)
    ]
    for i in range(10):
        for j in range(i + 1, 10):
            assert result.distance[i, j] == pytest.approx(nearest(own, placed, i, j), abs=2e-3)


@pytest.mark.parametrize(
    ("expression", "products"),
    [
        ("1", ["1"]),
        ("1,3", ["1", "3"]),
        ("(1-3)", ["1", "2", "3"]),
        ("1-3", ["1", "2", "3"]),
        ("(2-3,P)", ["2", "3", "P"]),
        ("(2)(3)", ["23"]),
        ("(1,2)(3,P)", ["13", "1P", "23", "2P"]),
        ("(P)(2)(3)", ["P23"]),
        ("( 1 , 2 )", ["1", "2"]),
    ],
)
def test_expressions_of_operators(expression, products):
    """Of a product the last named operator acts first."""
    operators = {"1": SAME, "2": TURN, "3": SHIFT, "P": (np.diag([1.0, -1.0, -1.0]), (5.0, 0.0, 1.0))}
    text = "data_x\n" + assembly([(f"'{expression}'", "A,B")], operators)
    places = assembly_places(gemmi.cif.read_string(text)[0])
    assert list(places) == ["1"]
    assert set(places["1"]) == {"A", "B"}
    point = (1.0, 2.0, 3.0)
    for name, (matrix, vector) in zip(products, places["1"]["A"], strict=True):
        expected = point
        for letter in reversed(name):
            expected = moved(expected, operators[letter])
        np.testing.assert_allclose(matrix @ np.array(point) + vector, expected, atol=1e-9)


@pytest.mark.parametrize("expression", ["7", "(1)(", "(1-2", "1;2", "(1-2)" * 20, ""])
def test_expressions_that_cannot_be_built_are_named(expression):
    text = "data_x\n" + assembly([(f"'{expression}'", "A")], {"1": SAME, "2": TURN})
    with pytest.raises(StructureError, match=r"f\.cif, _pdbx_struct_assembly_gen.*assembly: false"):
        assembly_places(gemmi.cif.read_string(text)[0], "f.cif")


def test_an_endless_range_costs_nothing():
    text = "data_x\n" + assembly([("1-999999999999", "A")], {"1": SAME, "2": TURN})
    assert len(assembly_places(gemmi.cif.read_string(text)[0])["1"]["A"]) == 2


def test_the_assembly_that_holds_the_chain(tmp_path):
    pieces = [Piece(label, label, "1", SEQUENCE, wiggly(n)) for n, label in enumerate("ABCD")]
    more = assembly([("1", "A,B"), ("1", "C,D,A")], {"1": SAME})
    path = write(tmp_path, pieces, more)
    assert [(found(path, name).name, found(path, name).copies) for name in "ABCD"] == [
        ("1", 2),
        ("1", 2),
        ("2", 3),
        ("2", 3),
    ]


def test_other_proteins_of_the_assembly_are_no_copies(tmp_path):
    other = Piece("B", "Y", "2", "GATTWWYYPP", wiggly(2))
    pieces = [Piece("A", "X", "1", SEQUENCE, wiggly(1)), other]
    more = assembly([("1", "A,B,C")], {"1": SAME})
    assert found(write(tmp_path, pieces, more)).copies == 1
    variant = Piece("C", "Z", "2", SEQUENCE[:-1] + "A", wiggly(3))  # another entity, though alike
    assert found(write(tmp_path, [pieces[0], variant], more)).copies == 1
    twin = Piece("C", "Z", "2", SEQUENCE, wiggly(3))  # the same sequence is the same protein
    assert found(write(tmp_path, [pieces[0], twin], more)).copies == 2


def test_unresolved_residues_of_the_chain_stay_so(tmp_path):
    one = Piece("A", "X", "1", SEQUENCE, wiggly(1), skip=(3,))
    two = Piece("B", "Y", "1", SEQUENCE, wiggly(2), skip=(5, 6))
    result = found(write(tmp_path, [one, two], assembly([("1", "A,B")], {"1": SAME})))
    assert np.isnan(result.distance[3]).all()
    assert np.isnan(result.distance[:, 3]).all()
    rest = np.delete(np.delete(result.distance, 3, 0), 3, 1)
    assert np.isfinite(rest).all()


def test_files_that_tell_of_no_assembly(tmp_path):
    assert found(write(tmp_path, [Piece("A", "X", "1", SEQUENCE, wiggly(1))], "")) is None
    assert (
        read_assembly(read_chain(write_pdb(tmp_path / "x.pdb", straight(SEQUENCE))), SEQUENCE, 0.9, 0.5)
        is None
    )


def test_a_real_dimer_and_real_monomers(tmp_path):
    write_mmcif(demo_file("rhomboid_proteases/2NRF.pdb"), tmp_path / "r.cif.gz")
    chain = read_chain(tmp_path / "r.cif.gz")
    result = read_assembly(chain, chain.sequence, 0.9, 0.5)
    assert (result.name, result.copies) == ("1", 2)
    truth = true_distances(chain, map_query(chain.sequence, chain))
    assert (result.distance <= truth.distance + 1e-3)[np.isfinite(truth.distance)].all()
    more = (result.distance < 8) & ~(truth.distance < 8)
    assert 0 < np.triu(more, 1).sum() < 60  # the interface of the two copies
    assert np.array_equal(np.isnan(result.distance), np.isnan(truth.distance))
    for name in ("S1A_serine_proteases/3tgi.pdb", "DHFR/3QL0.pdb"):
        write_mmcif(demo_file(name), tmp_path / "m.cif.gz")
        chain = read_chain(tmp_path / "m.cif.gz")
        assert read_assembly(chain, chain.sequence, 0.9, 0.5).copies == 1


def test_a_long_way_off_nothing_changes(tmp_path):
    places = line_of(10)
    more = assembly([("1,2", "A")], {"1": SAME, "2": (np.eye(3), (0, 500, 0))})
    path = write(tmp_path, [Piece("A", "X", "1", SEQUENCE, places)], more)
    chain = read_chain(path)
    truth = true_distances(chain, map_query(SEQUENCE, chain))
    result = found(path)
    assert result.copies == 2
    np.testing.assert_allclose(result.distance, truth.distance, atol=1e-3)
