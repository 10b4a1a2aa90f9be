"""Arrays of a protein packed for the page's script: base64 of small integers, upper triangles only.

Pairs i < j are numbered in the order of ``np.triu_indices(L, 1)``.
"""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data import store
from data.backbone import Backbone, measured_points, read_backbone
from data.contacts import distances_between
from data.errors import StructureError
from data.truth_file import kind_of_truth
from report.evidence import information, letter_pairs, profile
from report.explain import GAP_REACH, GAP_RICH, UNRESOLVED_REACH
from report.exports import ranking
from report.methods import CONTACT_DISTANCE, MIN_SEPARATION, best_method, styles
from report.rendering import base64_of

log = logging.getLogger(__name__)

_FINE_LENGTH = 450  # longer maps are shaded in 255 steps instead of 65,535: the page stays below 4 MB
_UNKNOWN_DISTANCE = 65535
_RAW = "_raw"
_SAME_DISTANCE = 0.05  # angstrom


@dataclass(frozen=True)
class Protein:
    """All that the page of one protein is made from.

    Attributes
    ----------
    name, query, query_name, source, filters : str
        Names, sequence, where the alignment comes from, JSON report of its filters.
    first_index : int
        Number of the first query residue.
    tokens : int8 [N, L]
        Codes 0-20.
    weights : float [N]
        Sequence weights; ones where no file gives them.
    maps : dict of str to float [L, L]
        Score or probability of each method.
    refined : dict of str to dict
        Arrays of each refined method's file.
    identity : float or None
        Rows at least this identical share one vote; None where no file says it.
    raw : dict of str to float [L, L]
        Scores before average product correction, of the methods that have them.
    contacts, truth : dict of arrays, empty where there is none
        As `docs/formats.md` describes them.
    columns : int32 [L]
        Column of the alignment file behind each query residue, 0-based.
    names : str [N]
        Names of the sequences, empty where the file has none.
    backbone : Backbone or None
        Atoms of the chain; None where no structure file is given.
    structure_file : str
        File that they were read from.
    min_separation : int
        Smallest ``j - i`` of the contacts that are listed.
    """

    name: str
    query: str
    query_name: str
    source: str
    filters: str
    first_index: int
    tokens: np.ndarray
    weights: np.ndarray
    maps: dict[str, np.ndarray]
    refined: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    raw: dict[str, np.ndarray] = field(default_factory=dict)
    contacts: dict[str, np.ndarray] = field(default_factory=dict)
    truth: dict[str, np.ndarray] = field(default_factory=dict)
    min_separation: int = MIN_SEPARATION
    identity: float | None = None
    columns: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    names: np.ndarray = field(default_factory=lambda: np.zeros(0, np.str_))
    backbone: Backbone | None = None
    structure_file: str = ""

    @property
    def length(self) -> int:
        """Number of query residues."""
        return len(self.query)

    @property
    def distance(self) -> np.ndarray | None:
        """C-beta distances [L, L] in angstrom with NaN where unresolved, None without a structure."""
        return self.truth.get("distance")

    @property
    def residue(self) -> list[str]:
        """Author residue numbers, "" where unresolved; empty without a structure."""
        return [str(number) for number in self.truth.get("residue", ())]

    @property
    def uniprot(self) -> list[int]:
        """UniProt number of each query residue, 0 where unknown; empty without a structure that tells."""
        return [int(number) for number in self.truth.get("uniprot", ())]

    @property
    def kind(self) -> str:
        """``experiment`` or ``model``, whichever the first structure is."""
        return kind_of_truth(self.truth)

    @property
    def elsewhere(self) -> np.ndarray | None:
        """Smallest distance over the further structures of the row, None without any."""
        further = self.truth.get("further_distance")
        return None if further is None else np.fmin.reduce(further)

    @property
    def coupling_q(self) -> np.ndarray | None:
        """False discovery rate of each coupling [L, L], NaN where untested; None without a test."""
        return self.contacts.get("q")

    @property
    def best(self) -> str:
        """Method that the page opens with."""
        return best_method(self.maps)

    @property
    def probability(self) -> np.ndarray | None:
        """Probabilities of the first refined method, None without one."""
        name = self.best
        return self.maps[name] if name in self.refined else None


def score_maps(path: str | Path) -> dict[str, np.ndarray]:
    """Maps of ``maps.npz`` that a person reads: those without the suffix ``_raw``."""
    names = score_names(path)
    with store.open_arrays(path) as arrays:
        return {name: arrays[name] for name in names}


def score_names(path: str | Path) -> list[str]:
    """Names of `score_maps`, from the headers alone."""
    with store.open_arrays(path) as arrays:
        names = [name for name in arrays.keys() if not name.endswith(_RAW)]  # noqa: SIM118 (not a dict)
        return [name for name in names if len(arrays.shape(name)) == 2]


def raw_maps(path: str | Path) -> dict[str, np.ndarray]:
    """Maps of ``maps.npz`` before average product correction, by method."""
    arrays = store.load_arrays(path)
    return {name.removesuffix(_RAW): array for name, array in arrays.items() if name.endswith(_RAW)}


def load_protein(name: str, files: dict[str, Any], min_separation: int = MIN_SEPARATION) -> Protein:
    """Read the files of `report.page.write_page`.

    Raises
    ------
    CovarionError
        A file is missing or unreadable.
    """
    alignment = store.load_arrays(files["alignment"])
    tokens = alignment["tokens"]
    refined = {key: store.load_arrays(path) for key, path in (files.get("refined") or {}).items()}
    maps = score_maps(files["maps"]) | (score_maps(files["foreign"]) if files.get("foreign") else {})
    maps |= {key: arrays["contact"] for key, arrays in refined.items()}
    given = store.load_arrays(files["weights"]) if files.get("weights") else {}
    truth = store.load_arrays(files["truth"]) if files.get("truth") else {}
    backbone, structure_file = _backbone(files.get("structure"), truth)
    return Protein(
        name=name,
        query=str(alignment["query"]),
        query_name=str(alignment["query_name"]),
        source=str(alignment.get("source", "")),
        filters=str(alignment.get("filters", "")),
        first_index=int(alignment.get("first_index", 1)),
        tokens=tokens,
        weights=given.get("weights", np.ones(len(tokens))),
        identity=float(given["identity"]) if "identity" in given else None,
        maps=maps,
        refined=refined,
        contacts=store.load_arrays(files["contacts"]) if files.get("contacts") else {},
        raw=raw_maps(files["maps"]),
        truth=truth,
        min_separation=min_separation,
        columns=alignment.get("columns", np.arange(tokens.shape[1], dtype=np.int32)),
        names=alignment.get("names", np.full(len(tokens), "")),
        backbone=backbone,
        structure_file=structure_file,
    )


def _backbone(
    structures: str | Path | list[str | Path] | None, truth: dict[str, np.ndarray]
) -> tuple[Backbone | None, str]:
    """Atoms of the chain that the truth was measured on, and the first file that has its distances."""
    if not structures or not truth:
        return None, ""
    labels = [str(number) for number in truth["residue"]]
    for path in [structures] if isinstance(structures, str | Path) else structures:
        try:
            backbone = read_backbone(path, str(truth["chain"]), labels)
        except StructureError as error:
            log.info("%s is not drawn: %s", path, error)
            continue
        distance = distances_between(points := measured_points(backbone), points)
        both = np.isfinite(distance) & np.isfinite(truth["distance"])
        if both.any() and np.abs(distance - truth["distance"])[both].max() < _SAME_DISTANCE:
            return backbone, str(path)
    log.warning("no structure file has the distances of truth.npz: the structure is not drawn")
    return None, ""


def json_text(text: str) -> Any:
    """Content of a JSON text, or the text itself where it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def pair_number(i: np.ndarray, j: np.ndarray, length: int) -> np.ndarray:
    """Place of pair i < j in the order of ``np.triu_indices(length, 1)``, uint32."""
    i, j = np.asarray(i, dtype=np.int64), np.asarray(j, dtype=np.int64)
    return (i * (2 * length - i - 1) // 2 + j - i - 1).astype(np.uint32)


def pack_protein(protein: Protein) -> dict[str, Any]:
    """Content of the page's data element.

    Returns
    -------
    dict
        Plain values and base64 texts; the script `templates/page.js` is their only reader.
    """
    looks = styles(protein.maps)
    return {
        "protein": protein.name,
        "query": protein.query,
        "first": protein.first_index,
        "length": protein.length,
        "residue": protein.residue or None,
        "uniprot": protein.uniprot or None,
        "kind": protein.kind,
        "minSeparation": protein.min_separation,
        "contact": CONTACT_DISTANCE,
        "best": protein.best,
        "methods": [_pack_method(protein, name, looks[name].label) for name in looks],
        "probability": protein.best if protein.probability is not None else None,
        "distance": pack_distance(protein.distance),
        "blocks": _pack_blocks(protein.contacts, protein.length),
        "reasons": {"gapRich": GAP_RICH, "gapReach": GAP_REACH, "unresolvedReach": UNRESOLVED_REACH},
        "columns": [int(column) + 1 if column >= 0 else None for column in protein.columns],
        "letters": _pack_letters(protein),
        "partner": _pack_contacts(protein.truth.get("assembly_distance")),
        "elsewhere": _pack_contacts(protein.elsewhere),
        **_pack_profile(protein),
    }


def _pack_profile(protein: Protein) -> dict[str, Any]:
    """Shares of the residues and gaps at each position in 1/255, and the information content in bits."""
    shares, gaps = profile(protein.tokens, protein.weights)
    return {
        "profile": base64_of(np.round(255 * shares).astype(np.uint8)),
        "gaps": base64_of(np.round(255 * np.clip(gaps, 0, 1)).astype(np.uint8)),
        "bits": [round(float(bit), 3) for bit in information(shares, float(protein.weights.sum()))],
    }


def _pack_letters(protein: Protein) -> dict[str, Any]:
    """Most frequent letter pairs of the best L pairs of the method shown first and of the couplings.

    Rows are ``[letters, sequences, share, expected, name]``, the last one a place in ``names``.
    """
    best = ranking(protein.maps[protein.best], protein.min_separation, protein.length)
    pairs = list(zip(best.i.tolist(), best.j.tolist(), strict=True))
    pairs += [
        tuple(pair)
        for pair in protein.contacts.get("pairs", np.zeros((0, 2), int))[: protein.length].tolist()
    ]
    names: dict[str, int] = {}
    rows = {}
    for i, j in dict.fromkeys(pairs):
        rows[str(int(pair_number(i, j, protein.length)))] = [
            [
                found.first + found.second,
                found.sequences,
                round(found.share, 4),
                round(found.expected, 4),
                names.setdefault(_short_name(protein.names[found.example]), len(names)),
            ]
            for found in letter_pairs(protein.tokens, protein.weights, i, j)
        ]
    return {"rows": rows, "names": list(names)}


def _short_name(name: str) -> str:
    """First word of a sequence's name, at most 40 letters."""
    return (str(name).split() or [""])[0][:40]


def pack_repeats(protein: Protein, masks: dict[str, tuple[str, np.ndarray]]) -> dict[str, str]:
    """Pairs among the best 3 L of any method that the reasons ``repeat`` and ``moved`` cover, where given."""
    top = [ranking(values, protein.min_separation, 3 * protein.length) for values in protein.maps.values()]
    i, j = (np.concatenate([getattr(best, end) for best in top]) for end in ("i", "j"))
    return {
        name: base64_of(np.unique(pair_number(i, j, protein.length)[masks[name][1][i, j]]))
        for name in ("repeat", "moved")
        if name in masks
    }


def _pack_contacts(distance: np.ndarray | None) -> str | None:
    """Numbers of the pairs that touch; None without distances."""
    if distance is None:
        return None
    i, j = np.nonzero(np.triu(np.nan_to_num(distance, nan=np.inf) < CONTACT_DISTANCE, 1))
    return base64_of(pair_number(i, j, len(distance)))


def _pack_method(protein: Protein, name: str, label: str) -> dict[str, Any]:
    """Quantised map of a method, with the exact order and values of its best 3 L pairs."""
    values = protein.maps[name]
    length = protein.length
    top = ranking(values, protein.min_separation, 3 * length)
    packed: dict[str, Any] = {
        "name": name,
        "label": label,
        "kind": "probability" if name in protein.refined else "score",
        **_pack_values(values[np.triu_indices(length, 1)], 16 if length <= _FINE_LENGTH else 8),
        "order": base64_of(pair_number(top.i, top.j, length)),
        "top": base64_of(top.score),
    }
    arrays = protein.refined.get(name, {})
    if "distance" in arrays and "bin_edges" in arrays:
        shares = arrays["distance"][top.i[:length], top.j[:length]]
        packed["edges"] = arrays["bin_edges"]
        packed["bins"] = base64_of(np.round(255 * np.clip(np.nan_to_num(shares), 0, 1)).astype(np.uint8))
    return packed


def _pack_values(values: np.ndarray, bits: int) -> dict[str, Any]:
    """Values on an even scale from their minimum to their maximum; what is not finite is the minimum."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0)
    levels = np.round(scaled * (2**bits - 1)).astype(np.uint16 if bits == 16 else np.uint8)
    return {"low": low, "high": high, "bits": bits, "values": base64_of(levels)}


def pack_distance(distance: np.ndarray | None) -> str | None:
    """Base64 of distances [L, L] as uint16 per pair i < j, None without a structure.

    Whole 0.01 angstrom, rounded down so that a contact below 8 angstrom stays below 800; 65535 is unknown.
    """
    if distance is None:
        return None
    values = distance[np.triu_indices(len(distance), 1)].astype(np.float64)
    known = np.isfinite(values)
    hundredths = np.minimum(np.floor(np.where(known, values, 0) * 100), _UNKNOWN_DISTANCE - 1)
    return base64_of(np.where(known, hundredths, _UNKNOWN_DISTANCE).astype(np.uint16))


def _pack_blocks(contacts: dict[str, np.ndarray], length: int) -> dict[str, Any] | None:
    """Couplings of the best L pairs as int8, each block scaled by its own largest magnitude."""
    if "blocks" not in contacts or len(contacts["blocks"]) == 0:
        return None
    pairs = contacts["pairs"][:length]
    blocks = contacts["blocks"][:length, :20, :20].astype(np.float32)
    scale = np.abs(blocks).max(axis=(1, 2))
    levels = np.round(blocks / np.where(scale > 0, scale, 1)[:, None, None] * 127).astype(np.int8)
    return {
        "pairs": base64_of(pair_number(pairs[:, 0], pairs[:, 1], length)),
        "scale": base64_of(scale.astype(np.float32)),
        "values": base64_of(levels),
    }
