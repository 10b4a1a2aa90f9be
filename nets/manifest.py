"""A data set of `nets.shards` as training examples."""

from pathlib import Path
from typing import Any

from data.errors import CovarionError
from data.store import load_json, sha256
from nets.config import BIN_EDGES, FEATURE_VERSION
from nets.shards import FORMAT

_REMEDY = "write the data set again: snakemake dataset"


def load_manifest(path: str | Path) -> dict[str, Any]:
    """Manifest of a data set whose channels and distance bins this version reads.

    Raises
    ------
    CovarionError
        It is missing, another format, of other features, or a shard is missing or of another size.
    """
    manifest = load_json(path)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise CovarionError(f"is no manifest of {FORMAT}", file=path, remedy=_REMEDY)
    wanted = {"feature_version": FEATURE_VERSION, "bin_edges": list(BIN_EDGES)}
    if wrong := [name for name, value in wanted.items() if manifest.get(name) != value]:
        found = "; ".join(f"{name}: {manifest.get(name)}" for name in wrong)
        raise CovarionError("features of another version", file=path, value=found[:200], remedy=_REMEDY)
    for shard in manifest["shards"]:
        file = Path(path).parent / shard["file"]
        size = file.stat().st_size if file.is_file() else -1
        if size != shard["bytes"]:
            told = f"{size:,} bytes, written were {shard['bytes']:,}" if size >= 0 else "no file"
            raise CovarionError("a shard is not what was written", file=file, value=told, remedy=_REMEDY)
    return manifest


def verify(path: str | Path) -> None:
    """Read every shard once and hold it against its checksum.

    Raises
    ------
    CovarionError
        As `load_manifest`, or a shard has changed.
    """
    for shard in load_manifest(path)["shards"]:
        file = Path(path).parent / shard["file"]
        if sha256(file) != shard["sha256"]:
            raise CovarionError("a shard is not what was written", file=file, remedy=_REMEDY)


def training_files(
    path: str | Path, leave_out: str = "", teacher: str = ""
) -> tuple[list[dict[str, str]], list[str]]:
    """Examples of a data set, but for those of one homology cluster, and their pair maps.

    Parameters
    ----------
    path : path
        ``manifest.json``.
    leave_out : str
        Cluster that is left out; empty: none.
    teacher : str
        Published network whose soft labels are wanted; empty: none.

    Returns
    -------
    files : list of dict
        Fields of `nets.dataset.Example`.
    pair_maps : list of str

    Raises
    ------
    CovarionError
        As `load_manifest`, or the cluster to leave out or the teacher is not there.
    """
    manifest, folder = load_manifest(path), Path(path).parent
    examples = manifest["examples"]
    if leave_out and leave_out not in {entry["cluster"] for entry in examples}:
        raise CovarionError("no such cluster to leave out", file=path, value=leave_out)
    known = manifest.get("teacher", {}).get("name", "")
    if teacher and teacher != known:
        raise CovarionError(
            f"a data set without labels of the teacher {teacher}",
            file=path,
            value=known or "no teacher",
            remedy="write it with the same train: settings: teacher: snakemake dataset",
        )
    files = [
        {name: entry[name] for name in ("protein", "cluster", "split", "key")}
        | {"path": str(folder / entry["shard"])}
        | ({"teacher": str(folder / entry["shard"])} if teacher and entry.get("teacher") else {})
        for entry in examples
        if not leave_out or entry["cluster"] != leave_out
    ]
    return files, manifest["pair_maps"]
