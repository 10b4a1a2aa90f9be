"""What jobs ask for: enough for what was measured, more with each retry, a GPU where it is configured."""

import gzip
import os
from dataclasses import replace

import numpy as np
import pytest
import yaml
from workflow_fixtures import ROOT

from data.store import save_arrays
from dca.memory import predicted_bytes
from nets.config import TRROSETTA, RefinerConfig
from nets.memory import refinement_bytes
from nets.shipped import weights_config
from workflow import resources

DEFAULT = ["mi", "mean-field", "plm"]
NETWORK = weights_config("default")


def test_sizes_come_from_the_headers(tmp_path):
    for name, shape in [("a", (7, 5)), ("b", (300, 41))]:
        save_arrays(tmp_path / name / "alignment.npz", tokens=np.zeros(shape, np.int8), query="ACDEF")
    paths = [str(tmp_path / name / "alignment.npz") for name in "ab"]
    assert resources.alignment_sizes(paths) == [(7, 5), (300, 41)]


def test_a_file_that_changes_is_read_again(tmp_path):
    path = tmp_path / "alignment.npz"
    save_arrays(path, tokens=np.zeros((7, 5), np.int8))
    assert resources.alignment_sizes([str(path)]) == [(7, 5)]
    save_arrays(path, tokens=np.zeros((8, 5), np.int8))
    os.utime(path, ns=(1, 1))
    assert resources.alignment_sizes([str(path)]) == [(8, 5)]


def test_a_file_to_come_is_told_from_one_that_is_broken(tmp_path):
    path = tmp_path / "alignment.npz"
    with pytest.raises(FileNotFoundError) as caught:
        resources.alignment_sizes([str(path)])
    assert caught.value.filename == str(path)  # by which Snakemake knows that it is an input to come
    path.write_bytes(b"no archive")
    assert resources.alignment_sizes([str(path)]) == [(0, 0)]


# N, L, then seconds and peak MB of infer_couplings and of refine_contacts in benchmark files of runs
MEASURED = [
    (156, 49, 3, 181, 10, 467),
    (8693, 53, 45, 207, 14, 468),
    (130, 325, 17, 832, 18, 813),
    (597, 574, 94, 1237, 81, 1193),
    (1437, 470, 159, 1070, 292, 789),  # memory of inference measured anew since plm takes less
    (10000, 259, 333, 603, 15, 645),
]


@pytest.mark.parametrize(("rows", "length", "inference", "inferred", "refinement", "refined"), MEASURED)
def test_requests_hold_what_was_measured(rows, length, inference, inferred, refinement, refined):
    sizes = [(rows, length)]
    around = resources.NESTED_MB
    assert resources.memory_mb(resources.inference_mb(sizes, DEFAULT)) > around + inferred
    assert resources.memory_mb(resources.refinement_mb(sizes, NETWORK)) > around + refined
    assert resources.minutes(resources.inference_seconds(sizes, DEFAULT)) * 60 > 1.5 * inference
    assert resources.minutes(resources.refinement_seconds(sizes)) * 60 > 1.5 * refinement


def test_the_network_is_given_what_its_features_take():
    for length in (100, 400, 1200):
        ridge = predicted_bytes("ridge", 50_000, length) / 1e6
        assert resources.memory_mb(resources.refinement_mb([(50_000, length)], NETWORK)) > ridge


def test_a_job_asks_for_no_less_than_its_stage_refuses_by():
    for size in ((500, 100), (50_000, 1200)):
        for network in (NETWORK, RefinerConfig(channels=400)):
            needed = refinement_bytes(*size, network) / 1e6
            assert needed < resources.refinement_mb([size], network) < 1.3 * needed
    assert resources.refinement_mb([(500, 100)], NETWORK, RefinerConfig(channels=4000)) > 1.2 * (
        resources.refinement_mb([(500, 100)], NETWORK)
    )
    assert resources.example_mb([(500, 400)], 3) > resources.example_mb([(500, 400)], 1)
    assert resources.overview_mb(10_000) > 1000


def test_measuring_asks_by_the_text_of_structures(tmp_path):
    small, large = tmp_path / "a.cif.gz", tmp_path / "b.cif.gz"
    small.write_bytes(gzip.compress(b"x" * 1000))
    large.write_bytes(gzip.compress(np.random.default_rng(0).bytes(5_000_000)))
    asked = [resources.mapping_mb([(10, 100)], [str(path)]) for path in (small, large)]
    assert asked[1] - asked[0] == pytest.approx(1.25 * 25 * 5, rel=0.01)
    with pytest.raises(FileNotFoundError):
        resources.mapping_mb([(10, 100)], [str(tmp_path / "none")])


def test_each_attempt_asks_for_as_much_again():
    first, second, third = (resources.memory_mb(1000, attempt) for attempt in (1, 2, 3))
    assert second - first == third - second == 1000 + resources.START_MB
    assert [resources.minutes(3600, attempt) for attempt in (1, 2)] == [65, 130]
    assert resources.minutes(0) == 10


def test_a_batch_needs_the_memory_of_its_largest_and_the_time_of_all():
    small, large = (100, 50), (1000, 300)
    batch = [small, large, small]
    assert resources.inference_mb(batch, DEFAULT) == resources.inference_mb([large], DEFAULT)
    assert resources.refinement_mb(batch, NETWORK) == resources.refinement_mb([large], NETWORK)
    each = [resources.inference_seconds([size], DEFAULT) for size in batch]
    assert resources.inference_seconds(batch, DEFAULT) == pytest.approx(sum(each))
    each = [resources.refinement_seconds([size]) for size in batch]
    assert resources.refinement_seconds(batch) == pytest.approx(sum(each))


def test_nulls_take_the_time_of_plm_again_and_the_memory_of_their_tree():
    sizes = [(10_000, 60)]
    alone, tested = (resources.inference_seconds(sizes, ["mi", "plm"], 1, nulls) for nulls in (0, 20))
    once = resources.inference_seconds(sizes, ["plm"]) - resources.inference_seconds(sizes, [])
    assert tested - alone == pytest.approx(20 * once)
    alone, tested = (resources.inference_mb(sizes, ["mi", "plm"], 1, nulls) for nulls in (0, 20))
    assert tested > alone + 20
    assert resources.inference_mb(sizes, ["mi"], 1, 20) == resources.inference_mb(sizes, ["mi"])


def test_a_file_of_many_networks_is_given_more_time():
    sizes, one = [(500, 400)], RefinerConfig(channels=64, blocks=24)
    alone = resources.refinement_seconds(sizes, 1, one) - 60
    assert resources.refinement_seconds(sizes, 1, replace(one, members=4)) - 60 == pytest.approx(alone)
    five = replace(TRROSETTA, members=5)
    assert resources.refinement_seconds(sizes, 1, five) - 60 == pytest.approx(alone * 5 * 61 / 96, rel=0.01)
    assert resources.refinement_seconds(sizes, 1, one, one) - 60 > 1.9 * alone
    assert resources.inference_mb([], DEFAULT) == 0


@pytest.mark.parametrize(
    ("gpu", "asked"), [("none", (None, None)), ("gpu", (1, None)), ("gres", (None, "gpu:1"))]
)
def test_a_gpu_is_asked_for_by_the_configured_name(gpu, asked):
    cluster = {"gpu": gpu, "gpu_columns": 400}
    for length in (None, 400, 1000):
        assert (
            resources.gpu_request("gpu", cluster, length),
            resources.gpu_request("gres", cluster, length),
        ) == asked
    assert resources.gpu_request("gpu", cluster, 399) is None
    assert resources.gpu_request("gres", cluster, 399) is None


def rule_names():
    return {
        line.split()[1].rstrip(":")
        for path in (ROOT / "workflow/rules").glob("*.smk")
        for line in path.read_text().splitlines()
        if line.startswith("rule ")
    }


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "workflow/profiles").iterdir()))
def test_profiles_name_rules_that_exist(name):
    profile = yaml.safe_load((ROOT / "workflow/profiles" / name / "config.yaml").read_text())
    named = {entry.split("=")[0].split(":")[0] for entry in profile.get("set-threads", [])}
    named |= {entry.split(":")[0] for entry in profile.get("set-resources", [])}
    assert named <= rule_names()


def test_no_rule_names_a_partition_an_account_or_a_constraint():
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for word in ("slurm_partition", "slurm_account", "constraint=", "slurm_extra", "qos"):
            assert word not in path.read_text(), (path.name, word)
