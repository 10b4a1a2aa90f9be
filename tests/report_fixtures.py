"""A small made-up protein and its files, for the tests of the report."""

import json
from pathlib import Path

import gemmi
import numpy as np
from structure_fixtures import assembly

from data.alphabet import decode, encode
from data.store import save_arrays, save_json, save_text

QUERY = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRV"
LENGTH = len(QUERY)
FIRST = 11
NASTY = "<script>alert('x')</script>&\u2028\"quoted\""
SCORES_HEAD = "protein\tmethod\trange\tcut\tk\tprecision\tceiling\tpairs\tcontacts\n"


def symmetric(rng: np.random.Generator) -> np.ndarray:
    """Symmetric float32 map with a zero diagonal."""
    values = rng.normal(size=(LENGTH, LENGTH))
    values = (values + values.T).astype(np.float32)
    np.fill_diagonal(values, 0)
    return values


def positions() -> np.ndarray:
    """C-beta positions of an antiparallel hairpin; residues 3 and 4 (0-based) are not resolved."""
    place = np.arange(LENGTH)
    half = LENGTH // 2
    along = np.where(place < half, place, 2 * half - 1 - place) * 3.4
    position = np.stack([along, np.where(place < half, 0.0, 5.0), np.zeros(LENGTH)], axis=1)
    position[3:5] = np.nan
    return position


def distances() -> np.ndarray:
    """C-beta distances of the hairpin."""
    position = positions()
    return np.linalg.norm(position[:, None] - position[None], axis=2).astype(np.float32)


def residue_numbers() -> np.ndarray:
    """Author numbers with an insertion code, "" where nothing is resolved."""
    numbers = [str(100 + k) for k in range(LENGTH)]
    numbers[3] = numbers[4] = ""
    numbers[7] = "106A"
    return np.array(numbers)


SHIFT = (24.0, 0.0, 4.0)


def assembly_distances() -> np.ndarray:
    """Smallest distances in an assembly of two hairpins, the second one moved by `SHIFT`.

    In it residue i of one strand touches residue i + 7 of the other copy's same strand.
    """
    own = positions()
    there = np.linalg.norm(own[:, None] - (own + SHIFT)[None], axis=2)
    return np.minimum(distances(), np.minimum(there, there.T)).astype(np.float32)


def write_structure(path: Path) -> Path:
    """The hairpin's chain B as mmCIF, with an assembly of it and a copy moved by `SHIFT`."""
    structure = gemmi.Structure()
    structure.name = "1ABC"
    structure.add_model(gemmi.Model(1))
    chain = gemmi.Chain("B")
    for letter, label, point in zip(QUERY, residue_numbers(), positions(), strict=True):
        if label:
            chain.add_residue(_residue(letter, str(label), point))
    structure[0].add_chain(chain)
    structure.setup_entities()
    operators = {"1": (np.eye(3), (0, 0, 0)), "2": (np.eye(3), SHIFT)}
    copies = assembly([("1,2", structure[0][0][0].subchain)], operators)
    path.write_text(structure.make_mmcif_document().as_string() + copies)
    return path


def _residue(letter: str, label: str, point: np.ndarray) -> gemmi.Residue:
    """Backbone around a C-beta (C-alpha of glycine) at `point`."""
    residue = gemmi.Residue()
    residue.name = gemmi.expand_one_letter(letter, gemmi.ResidueKind.AA)
    number = label.rstrip("A")
    residue.seqid = gemmi.SeqId(int(number), label[len(number) :] or " ")
    x, y, z = (float(value) for value in point)
    alpha = z if letter == "G" else z - 1.5
    places = {"N": (x - 1.2, y, alpha - 0.5), "CA": (x, y, alpha), "C": (x + 1.2, y, alpha - 0.5)}
    places |= {"O": (x + 1.3, y, alpha - 1.7)} | ({} if letter == "G" else {"CB": (x, y, z)})
    for name, place in places.items():
        atom = gemmi.Atom()
        atom.name, atom.element, atom.pos = name, gemmi.Element(name[0]), gemmi.Position(*place)
        residue.add_atom(atom)
    return residue


def score_lines(protein: str, precisions: dict[str, float]) -> str:
    """scores.tsv of the long range with the given precision at every cut."""
    lines = [
        f"{protein}\t{method}\tlong\t{cut}\t{k}\t{value}\t1.0\t120\t14"
        for method, value in precisions.items()
        for cut, k in (("L/10", 4), ("L/5", 8), ("L/2", 20), ("L", 40))
    ]
    return SCORES_HEAD + "\n".join(lines) + "\n"


def write_protein(
    folder: Path, *, truth: bool = True, name: str = "hairpin", seed: int = 1, structure: bool = False
) -> dict:
    """Write the files of a finished protein into `folder`; returns the `files` of `write_page`.

    With `structure` also the mmCIF file, and the pair of columns 8 and 15, which touches only between
    copies, is among the best of plm.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    tokens = rng.integers(0, 21, size=(12, LENGTH)).astype(np.int8)
    tokens[0] = encode(QUERY)
    if structure:
        tokens[:, 5:9] = tokens[0, 5:9]  # something for the logo to show
    plm = symmetric(rng) - 0.2 * np.nan_to_num(distances(), nan=20.0)
    plm[3, 30] = plm[30, 3] = 9.0
    if structure:
        plm[8, 15] = plm[15, 8] = 8.0
    save_arrays(
        folder / "alignment.npz",
        tokens=tokens,
        query=np.array(QUERY),
        query_name=np.array(NASTY),
        columns=np.arange(LENGTH, dtype=np.int32),
        names=np.array([f"row{k}" for k in range(12)]),
        filters=np.array(json.dumps({"rows_read": 12, "unknown": 0})),
        first_index=np.int32(FIRST),
        source=np.array("hairpin.fasta"),
    )
    weights = np.full(12, 0.5, np.float32)
    save_arrays(folder / "weights.npz", weights=weights, neff=weights.sum(), identity=np.float32(0.8))
    save_arrays(folder / "maps.npz", mi=symmetric(rng), plm=plm.astype(np.float32), plm_raw=symmetric(rng))
    i, j = np.triu_indices(LENGTH, 6)
    order = np.argsort(-plm[i, j], kind="stable")[: 3 * LENGTH]
    blocks = rng.normal(size=(len(order), 20, 20)).astype(np.float32)
    save_arrays(folder / "contacts.npz", pairs=np.stack([i, j], 1)[order].astype(np.int32), blocks=blocks)
    contact = 1 / (1 + np.exp(-plm))
    bins = rng.dirichlet(np.ones(4), size=(LENGTH, LENGTH)).astype(np.float32)
    save_arrays(
        folder / "refined.npz",
        contact=contact.astype(np.float32),
        distance=bins,
        bin_edges=np.array([2, 8, 12, 16, 1e9], np.float32),  # the last as the network writes it
        weights=np.array("shipped-1"),
        weights_sha256=np.array("5e" * 32),
    )
    save_json(folder / "source.json", {"kind": "path", "note": NASTY})
    files = {name: folder / f"{name}.npz" for name in ("alignment", "weights", "maps", "contacts")}
    files |= {"refined": {"refined": folder / "refined.npz"}, "provenance": [folder / "source.json"]}
    files |= {"truth": None, "scores": None}
    if truth:
        files |= _write_truth(folder, name, assembly=structure)
    if structure:
        files["structure"] = write_structure(folder / "hairpin.cif")
    return files


def _write_truth(folder: Path, name: str, assembly: bool) -> dict:
    distance = distances()
    among_copies = {
        "assembly_distance": assembly_distances(),
        "assembly": np.array("assembly 1, 2 copies"),
    }
    save_arrays(
        folder / "truth.npz",
        distance=distance,
        resolved=np.isfinite(distance.diagonal()),
        residue=residue_numbers(),
        identity=np.float32(0.95),
        coverage=np.float32(0.9),
        chain=np.array("B"),
        entry=np.array("1ABC"),
        notes=np.array(json.dumps(["2 residues have no coordinates"])),
        **(among_copies if assembly else {}),
        uniprot=np.where(np.arange(LENGTH) < 30, np.arange(LENGTH) + 201, 0).astype(np.int32),
        accession=np.array("P69905"),
    )
    save_text(folder / "scores.tsv", score_lines(name, {"mi": 0.25, "plm": 0.5, "refined": 0.75}))
    return {"truth": folder / "truth.npz", "scores": folder / "scores.tsv"}


def large_protein(folder: Path, length: int, seed: int = 2) -> tuple[dict, int]:
    """Files of a made-up protein of any length with all that a page can show; returns them and the length."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    tokens = rng.integers(0, 20, size=(200, length)).astype(np.int8)
    query = decode(tokens[0])
    names = np.array([f"row{k}/1-{length}" for k in range(200)])
    save_arrays(
        folder / "alignment.npz", tokens=tokens, query=np.array(query), query_name=np.array("q"), names=names,
        first_index=np.int32(1), columns=np.arange(length, dtype=np.int32),
    )  # fmt: skip
    position = np.cumsum(rng.normal(size=(length, 3)) * 2.2, axis=0)
    distance = np.linalg.norm(position[:, None] - position[None], axis=-1).astype(np.float32)
    maps = {}
    for name in ("mi", "mean-field", "mean-field_di", "plm"):
        noise = rng.normal(size=(length, length)).astype(np.float32)
        maps[name] = noise + noise.T - 0.1 * distance
        maps[f"{name}_raw"] = maps[name]
    save_arrays(folder / "maps.npz", **maps)
    i, j = np.triu_indices(length, 6)
    order = np.argsort(-maps["plm"][i, j])[: 3 * length]
    blocks = rng.normal(size=(3 * length, 20, 20)).astype(np.float32)
    save_arrays(folder / "contacts.npz", pairs=np.stack([i, j], 1)[order].astype(np.int32), blocks=blocks)
    contact = (1 / (1 + np.exp(-maps["plm"]))).astype(np.float32)
    bins = np.full((length, length, 14), 1 / 14, np.float32)
    edges = np.append(np.linspace(2, 20, 14), np.inf).astype(np.float32)
    for name in ("refined", "refined-demo"):
        save_arrays(folder / f"{name}.npz", contact=contact, distance=bins, bin_edges=edges)
    save_arrays(
        folder / "truth.npz", distance=distance, resolved=np.ones(length, bool), chain=np.array("A"),
        residue=np.array([str(k + 1) for k in range(length)]), entry=np.array("2XYZ"),
    )  # fmt: skip
    files = {name: folder / f"{name}.npz" for name in ("alignment", "maps", "contacts", "truth")}
    files["structure"] = _write_trace(folder / "chain.pdb", query, position)
    return files | {"refined": {name: folder / f"{name}.npz" for name in ("refined", "refined-demo")}}, length


def _write_trace(path: Path, query: str, position: np.ndarray) -> Path:
    """PDB file of residues around C-beta positions."""
    structure = gemmi.Structure()
    structure.add_model(gemmi.Model(1))
    chain = gemmi.Chain("A")
    for k, (letter, point) in enumerate(zip(query, position, strict=True)):
        chain.add_residue(_residue(letter, str(k + 1), point))
    structure[0].add_chain(chain)
    path.write_text(structure.make_pdb_string())
    return path
