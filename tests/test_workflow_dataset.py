"""The workflow's data set, and a training job whose time is up."""

import json

import numpy as np
import pytest
from workflow_fixtures import snakemake, write_family, write_table

from data.store import load_json

SMALL = (
    "train={scheme: leave-one-out, name: refined-here, depths: 2, simulated: 1, simulated_rows: 40,"
    " shard_mb: 1, keep_examples: false, model: {channels: 8, blocks: 1},"
    " settings: {steps: 4, batch: 1, crop: 32}"
)


def write_two_families(folder):
    for seed, name in enumerate(["first", "second"]):
        write_family(folder, name, seed)
    rows = [
        {"protein": n, "alignment": f"{n}.fasta", "structure": f"{n}.pdb", "cluster": n}
        for n in ("first", "second")
    ]
    write_table(folder / "proteins.tsv", rows)


@pytest.mark.slow
def test_the_data_set_and_a_training_job_whose_time_is_up(tmp_path):
    write_two_families(tmp_path)
    snakemake(tmp_path, "dataset", config=[SMALL + "}"], check=0)
    results = tmp_path / "results"
    manifest = load_json(results / "dataset/manifest.json")
    assert sorted(entry["key"] for entry in manifest["examples"]) == [
        "first",
        "first~0",
        "second",
        "second~0",
    ]
    for entry in manifest["examples"]:
        assert [s["of"] for s in entry["sources"]] == [
            f"{entry['cluster']}.a3m.gz", f"{entry['cluster']}.cif.gz"
        ]  # fmt: skip
        assert entry["sources"][0]["cell"].endswith("fasta")
    assert (results / "dataset/README.md").read_text().startswith("# The data set")
    assert not list(results.glob("*/dataset.npz"))  # they went into the shards
    target = "results/model/without-first/weights.safetensors"
    stopped = snakemake(tmp_path, target, config=[SMALL + ", stop_after: 0.000001}"], check=1)
    said = json.loads((results / "model/failure.json").read_text())
    assert said["kind"] == "TrainingStopped", stopped.stderr
    assert (results / "model/without-first/checkpoint.safetensors").exists()
    again = snakemake(tmp_path, target, config=[SMALL + "}"], check=0)
    assert "shard_dataset" not in again.stdout + again.stderr  # what is there is not made again
    assert "resumed at step" in (results / "model/logs/train_refiner-without-first.log").read_text()
    assert not (results / "model/failure.json").exists()
    from nets.checkpoint import load_refiner

    assert load_refiner(str(tmp_path / target)).card["train"]["proteins"] == ["second"]


@pytest.mark.slow
def test_training_from_alignments(tmp_path):
    """The shards hold the alignments; features at other depths are computed while training goes on."""
    write_two_families(tmp_path)
    target = "results/model/without-first/weights.safetensors"
    live = SMALL.replace("crop: 32", "crop: 32, live_every: 2") + "}"
    snakemake(tmp_path, target, config=[live], check=0)
    from data.mapped import map_arrays
    from nets.checkpoint import load_refiner

    shards = (tmp_path / "results/dataset/shards").glob("*.npz")
    held = {name: array for shard in shards for name, array in map_arrays(shard).items() if "/tokens" in name}
    assert sorted(held) == [f"{key}/tokens" for key in ("first", "first~0", "second", "second~0")]
    assert all(array.dtype == np.int8 and array.ndim == 2 for array in held.values())
    card = load_refiner(str(tmp_path / target)).card
    assert card["train"]["proteins"] == ["second"]
    assert card["training"]["live_every"] == 2
