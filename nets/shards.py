"""Training examples as shards with a manifest: a data set that anyone can read.

A shard is an uncompressed ``.npz`` of bounded size whose arrays are named ``KEY/ARRAY`` (docs/dataset.md).
Arrays are copied one at a time, so that writing takes the memory of the largest one.
"""

import logging
import random
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from data.alphabet import LETTERS
from data.errors import CovarionError
from data.families import CLUSTER
from data.mapped import map_arrays
from data.store import atomic_path, load_json, open_arrays, save_json, sha256
from nets.config import BIN_EDGES, FEATURE_VERSION
from nets.dataset import Example, array_name, check_split
from nets.features import IDENTITY, QUANTUM
from nets.losses import MIN_SEPARATION, UNRESOLVED
from nets.teacher import ARRAY, common_teacher

FORMAT = "covarion-dataset-1"
SHARDS, MANIFEST, CARD = "shards", "manifest.json", "README.md"
_OF_SOURCE = (
    "cell", "source", "url", "path", "version", "release", "licence", "citation", "sha256", "search", "chain"
)  # fmt: skip

logger = logging.getLogger(__name__)


def key_of(example: Example) -> str:
    """Name of an example in the data set: of its protein, or ``fold:NAME`` where it stands for a fold."""
    return example.cluster if example.cluster.startswith(CLUSTER) else example.protein


def write_shards(
    files: Sequence[dict[str, str]],
    folder: str | Path,
    megabytes: int = 512,
    sources: Mapping[str, Sequence[str]] | None = None,
    card: str | Path = "",
    seed: int = 1,
) -> None:
    """Write ``shards/SPLIT-NNNNN.npz`` and ``manifest.json`` of a set of examples.

    Parameters
    ----------
    files : sequence of dict
        Fields of :class:`nets.dataset.Example`: files of `nets.dataset.write_example`.
    folder : path
    megabytes : int
        Most of a shard, in 10^6 bytes; a larger example has a shard of its own.
    sources : mapping of str to paths, optional
        Provenance records of each protein.
    card : path, optional
        Description of the arrays, copied beside the manifest as ``README.md``.
    seed : int
        Of the order of the examples, which mixes clusters within a split.

    Raises
    ------
    CovarionError
        A cluster stands in two splits, two examples have one name, or examples differ in their channels.
    """
    folder, examples = Path(folder), [Example(**entry) for entry in files]
    check_split(examples)
    records = [(sources or {}).get(example.protein.split("~")[0], ()) for example in examples]
    entries = [_entry(*pair) for pair in zip(examples, records, strict=True)]
    channels = _common_channels(examples) | common_teacher(examples)
    _check_keys(entries)
    parts = {entry["key"]: example for entry, example in zip(entries, examples, strict=True)}
    random.Random(seed).shuffle(entries)
    entries.sort(key=lambda entry: entry["split"])  # stable: the order within a split stays mixed
    _assign(entries, megabytes * 10**6)
    shards = []
    for name, group in groupby(entries, key=lambda entry: entry["shard"]):
        members = list(group)
        _write_shard(folder / name, {entry["key"]: parts[entry["key"]] for entry in members})
        shards.append(_written(folder, name) | {"split": members[0]["split"]})
        logger.info("%s: %d examples, %d bytes", name, len(members), shards[-1]["bytes"])
    if card:
        with atomic_path(folder / CARD) as temporary:
            shutil.copyfile(card, temporary)
    save_json(folder / MANIFEST, _head() | channels | {"shards": shards, "examples": entries})


def _written(folder: Path, name: str) -> dict[str, Any]:
    return {"file": name, "bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}


def _head() -> dict[str, Any]:
    """What holds for all examples."""
    return {
        "format": FORMAT,
        "letters": LETTERS,
        "bin_edges": list(BIN_EDGES),
        "unresolved": UNRESOLVED,
        "least_separation": MIN_SEPARATION,
        "coupling_step": QUANTUM,
        "weights_identity": IDENTITY,
    }


def _entry(example: Example, records: Sequence[str]) -> dict[str, Any]:
    """What the manifest says of an example; its shard is still to be found."""
    arrays = map_arrays(example.path)
    depths = arrays["depths"].tolist()
    neff = [float(np.exp(10 * arrays[f"scalars_{k}"][0])) for k in range(len(depths))]
    return {
        "key": key_of(example),
        "protein": example.protein,
        "cluster": example.cluster,
        "split": example.split,
        "simulated": example.cluster.startswith(CLUSTER) or "~" in example.protein,
        "shard": "",
        "length": int(arrays["sites_0"].shape[0]),
        "sequences": depths,
        "neff": [round(value, 2) for value in neff],
        "bytes": sum(Path(path).stat().st_size for path in (example.path, example.teacher) if path),
        "sources": [_source(path) for path in records],
    } | ({"teacher": True} if example.teacher else {})


def _source(path: str) -> dict[str, Any]:
    record = load_json(path)
    known = record if isinstance(record, dict) else {}
    found = {name: known[name] for name in _OF_SOURCE if known.get(name)}
    return {"of": Path(path).name.removesuffix(".json")} | found


def _common_channels(examples: Sequence[Example]) -> dict[str, Any]:
    """Feature version and pair maps, which all examples must share."""
    found: dict[tuple[int, tuple[str, ...]], Example] = {}
    for example in examples:
        with open_arrays(example.path) as arrays:
            version = int(arrays["version"]) if "version" in arrays else 0
            found.setdefault((version, tuple(arrays["pair_maps"].tolist())), example)
    if len(found) > 1 or FEATURE_VERSION not in {version for version, _ in found}:
        told = "; ".join(f"{e.path}: version {v}, {', '.join(maps)}" for (v, maps), e in found.items())
        raise CovarionError(
            f"examples of other channels than those of version {FEATURE_VERSION}, or of several",
            value=told or "no example",
            remedy="delete the older ones and run again",
        )
    (version, maps), *_ = found
    return {"feature_version": version, "pair_maps": list(maps)}


def _check_keys(entries: Sequence[dict[str, Any]]) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry["key"] in seen:
            raise CovarionError("two examples of one name", value=entry["key"], remedy="rename one")
        seen.add(entry["key"])


def _assign(entries: Sequence[dict[str, Any]], most: int) -> None:
    """Give each example, in order, the shard of its split that it still fits into."""
    number, size, split = -1, 0, ""
    for entry in entries:
        if entry["split"] != split:
            number, size, split = 0, 0, entry["split"]
        elif size + entry["bytes"] > most:
            number, size = number + 1, 0
        size += entry["bytes"]
        entry["shard"] = f"{SHARDS}/{split}-{number:05d}.npz"


def _write_shard(path: Path, members: Mapping[str, Example]) -> None:
    """Copy the arrays of example files into one, each under its example's key, soft labels behind them."""
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for key, example in members.items():
            with open_arrays(example.path) as arrays:  # reads with checksums, unlike a mapping
                for name in arrays.keys():  # noqa: SIM118 (not a dict)
                    _copy(archive, array_name(key, name), arrays[name])
            if example.teacher:
                with open_arrays(example.teacher) as arrays:
                    _copy(archive, array_name(key, ARRAY), arrays[ARRAY])


def _copy(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
        np.lib.format.write_array(stream, array, allow_pickle=False)
