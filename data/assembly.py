"""Contacts between the copies of a protein in the biological assembly of its entry.

The assembly is that of the file (``_pdbx_struct_assembly_gen``; REMARK 350 of PDB files), the first that
holds the chain. A pair (i, j) is as near as i of the chain is to j of any copy, itself included, or j to i.
A chain of several places in the assembly is measured from the first of them.
"""

import itertools
import logging
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import gemmi
import numpy as np

from data.contacts import distances_between, query_positions
from data.errors import MappingError, StructureError
from data.mapping import map_query
from data.structure import Chain, read_chains
from data.structure_file import entity_of, parse_structure

logger = logging.getLogger(__name__)

_MOST_PLACES = 5000  # the largest capsids have hundreds
# Rotation [3, 3] and translation [3]; and of each chain, by label, its places in an assembly
_Operator = tuple[np.ndarray, np.ndarray]
_Places = dict[str, list[_Operator]]


@dataclass(frozen=True)
class Assembly:
    """A protein among its copies.

    Attributes
    ----------
    distance : float32 [L, L]
        Smallest distance over the copies in angstrom, NaN where either residue of the chain is unresolved.
    name : str
        Name of the assembly in the file.
    copies : int
        Copies of the chain in it, itself included; with one, `distance` is that of the chain.
    """

    distance: np.ndarray
    name: str
    copies: int


def read_assembly(chain: Chain, query: str, min_identity: float, min_coverage: float) -> Assembly | None:
    """The first assembly of a chain's file that holds the chain; None where the file tells of none.

    Copies are chains of the same entity (any chain, where the file has no sequences of entities) that the
    query maps to as well, each brought to its places by the operators of the assembly.

    Parameters
    ----------
    chain : Chain
        Of an mmCIF file.
    query : str [L]
    min_identity, min_coverage : float
        As for `data.mapping.map_query`.

    Raises
    ------
    StructureError
        The assembly names an operator that is not there, or too many of them.
    """
    own = query_positions(chain, map_query(query, chain, min_identity, min_coverage))
    found = _copies(chain, query, own, min_identity, min_coverage)
    if found is None:
        return None
    name, positions = found
    distance = distances_between(own, own)
    for position in positions:
        step = distances_between(own, position)
        distance = np.fmin(distance, np.fmin(step, step.T))
    unresolved = np.isnan(own).any(axis=1)
    distance[unresolved] = distance[:, unresolved] = np.nan
    np.fill_diagonal(distance, np.where(unresolved, np.nan, 0))
    return Assembly(distance, name, len(positions))


def read_copies(chain: Chain, query: str, min_identity: float, min_coverage: float) -> list[np.ndarray]:
    """Points of the query on each further copy of the chain in its assembly, float64 [L, 3] each.

    They are in the frame of the chain as the file has it; the points are those that distances are measured
    from, NaN where unresolved. Parameters and errors are those of `read_assembly`.
    """
    own = query_positions(chain, map_query(query, chain, min_identity, min_coverage))
    found = _copies(chain, query, own, min_identity, min_coverage)
    return [] if found is None else [one for one in found[1] if not np.array_equal(one, own, equal_nan=True)]


def _copies(
    chain: Chain, query: str, own: np.ndarray, min_identity: float, min_coverage: float
) -> tuple[str, list[np.ndarray]] | None:
    """Name of the assembly and points of all copies, the chain itself included, in the chain's frame."""
    structure, block, _ = parse_structure(chain.source)
    assemblies = assembly_places(block, chain.source) if block else {}
    name, places = next(((n, p) for n, p in assemblies.items() if chain.label in p), ("", {}))
    if not places:
        return None
    turn, shift = places[chain.label][0]
    positions = []
    for other in read_chains(chain.source):
        if other.label not in places or not _may_be_copy(structure, other, chain):
            continue
        position = _mapped(other, chain, query, own, min_identity, min_coverage)
        if position is None:
            continue
        for number, operator in enumerate(places[other.label]):
            itself = other.label == chain.label and number == 0
            positions.append(own if itself else (_moved(position, operator) - shift) @ turn)
    return name, positions


def assembly_places(block: gemmi.cif.Block, source: str = "") -> dict[str, _Places]:
    """Places of each chain, by label, in each assembly of a file.

    The file's own tables are read here, since gemmi (0.7.5) takes of a product of operators only the first.

    Raises
    ------
    StructureError
        As `read_assembly`.
    """
    known = dict(_operators(block))
    found: dict[str, _Places] = {}
    columns = ["assembly_id", "oper_expression", "asym_id_list"]
    for row in block.find("_pdbx_struct_assembly_gen.", columns):
        name, expression, labels = (gemmi.cif.as_string(value) for value in row)
        operators = [_product(names, known) for names in _expanded(expression, known, source)]
        for label in labels.replace(" ", "").split(","):
            found.setdefault(name, {}).setdefault(label, []).extend(operators)
    return found


def _operators(block: gemmi.cif.Block) -> Iterator[tuple[str, _Operator]]:
    axes = (1, 2, 3)
    numbers = [*(f"matrix[{a}][{b}]" for a in axes for b in axes), *(f"vector[{a}]" for a in axes)]
    for row in block.find("_pdbx_struct_oper_list.", ["id", *numbers]):
        values = np.array([gemmi.cif.as_number(row[k]) for k in range(1, 13)])
        if np.isfinite(values).all():
            yield gemmi.cif.as_string(row[0]), (values[:9].reshape(3, 3), values[9:])


def _expanded(expression: str, known: dict[str, _Operator], source: str) -> list[tuple[str, ...]]:
    """Operators of ``1``, ``1,2,5``, ``(1-4)`` or a product ``(1,2)(3-5)``, each in the order of the text."""
    text = re.sub(r"\s", "", expression)
    groups = re.findall(r"\(([^()]+)\)", text) if re.fullmatch(r"(\([^()]+\))+", text) else [text]
    names = [[name for part in group.split(",") for name in _range(part, known)] for group in groups]
    unknown = sorted({name for group in names for name in group} - set(known))
    if unknown or math.prod(map(len, names)) > _MOST_PLACES:
        raise StructureError(
            "the biological assembly cannot be built",
            file=source,
            place="_pdbx_struct_assembly_gen.oper_expression",
            value=f"{expression[:60]}; unknown operators: {', '.join(unknown[:5]) or 'none'}",
            remedy="go on without it: structure: assembly: false",
        )
    return list(itertools.product(*names))


def _range(part: str, known: dict[str, _Operator]) -> list[str]:
    """Names of ``3`` or, of those that there are, ``3-9``."""
    ends = re.fullmatch(r"(\d+)-(\d+)", part)
    if not ends or part in known:
        return [part]
    numbers = sorted(int(name) for name in known if re.fullmatch(r"[0-9]+", name))
    return [str(number) for number in numbers if int(ends[1]) <= number <= int(ends[2])]


def _product(names: tuple[str, ...], known: dict[str, _Operator]) -> _Operator:
    """The operators of a product one after the other, the last named first."""
    matrix, vector = np.eye(3), np.zeros(3)
    for name in reversed(names):
        turn, shift = known[name]
        matrix, vector = turn @ matrix, turn @ vector + shift
    return matrix, vector


def _may_be_copy(structure: gemmi.Structure, other: Chain, chain: Chain) -> bool:
    entity = entity_of(structure, other.label)
    return other.entity == chain.entity or entity is None or not entity.full_sequence


def _moved(position: np.ndarray, operator: _Operator) -> np.ndarray:
    return position @ operator[0].T + operator[1]


def _mapped(
    other: Chain, chain: Chain, query: str, own: np.ndarray, min_identity: float, min_coverage: float
) -> np.ndarray | None:
    """Points of the query on a copy, float64 [L, 3]; None where it is too different to be one."""
    if other.label == chain.label:
        return own
    try:
        return query_positions(other, map_query(query, other, min_identity, min_coverage))
    except MappingError as error:
        logger.info("no copy: %s", error)
        return None
