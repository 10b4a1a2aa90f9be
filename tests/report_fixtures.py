"""A small made-up protein and its files, for the tests of the report."""

import json
from pathlib import Path

import numpy as np

from data.alphabet import encode
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


def distances() -> np.ndarray:
    """C-beta distances of an antiparallel hairpin; residues 3 and 4 (0-based) are not resolved."""
    place = np.arange(LENGTH)
    half = LENGTH // 2
    along = np.where(place < half, place, 2 * half - 1 - place) * 3.4
    position = np.stack([along, np.where(place < half, 0.0, 5.0), np.zeros(LENGTH)], axis=1)
    position[3:5] = np.nan
    return np.linalg.norm(position[:, None] - position[None], axis=2).astype(np.float32)


def residue_numbers() -> np.ndarray:
    """Author numbers with an insertion code, "" where nothing is resolved."""
    numbers = [str(100 + k) for k in range(LENGTH)]
    numbers[3] = numbers[4] = ""
    numbers[7] = "106A"
    return np.array(numbers)


def score_lines(protein: str, precisions: dict[str, float]) -> str:
    """scores.tsv of the long range with the given precision at every cut."""
    lines = [
        f"{protein}\t{method}\tlong\t{cut}\t{k}\t{value}\t1.0\t120\t14"
        for method, value in precisions.items()
        for cut, k in (("L/10", 4), ("L/5", 8), ("L/2", 20), ("L", 40))
    ]
    return SCORES_HEAD + "\n".join(lines) + "\n"


def write_protein(folder: Path, *, truth: bool = True, name: str = "hairpin", seed: int = 1) -> dict:
    """Write the files of a finished protein into `folder`; returns the `files` of `write_page`."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    tokens = rng.integers(0, 21, size=(12, LENGTH)).astype(np.int8)
    tokens[0] = encode(QUERY)
    plm = symmetric(rng) - 0.2 * np.nan_to_num(distances(), nan=20.0)
    plm[3, 30] = plm[30, 3] = 9.0
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
        bin_edges=np.array([2, 8, 12, 16, np.inf], np.float32),
        weights=np.array("shipped-1"),
        weights_sha256=np.array("5e" * 32),
    )
    save_json(folder / "source.json", {"kind": "path", "note": NASTY})
    files = {name: folder / f"{name}.npz" for name in ("alignment", "weights", "maps", "contacts")}
    files |= {"refined": {"refined": folder / "refined.npz"}, "provenance": [folder / "source.json"]}
    files |= {"truth": None, "scores": None}
    if truth:
        files |= _write_truth(folder, name)
    return files


def _write_truth(folder: Path, name: str) -> dict:
    distance = distances()
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
        uniprot=np.where(np.arange(LENGTH) < 30, np.arange(LENGTH) + 201, 0).astype(np.int32),
        accession=np.array("P69905"),
    )
    save_text(folder / "scores.tsv", score_lines(name, {"mi": 0.25, "plm": 0.5, "refined": 0.75}))
    return {"truth": folder / "truth.npz", "scores": folder / "scores.tsv"}
