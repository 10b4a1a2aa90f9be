"""The workflow on a real Slurm cluster with accounting: the demo, twenty proteins, a GPU, partitions."""

import csv
import re
import subprocess

import pytest
from slurm_fixtures import (
    ACCOUNTING,
    LIGHT,
    cluster,
    finish,
    jobs,
    missing,
    running,
    said,
    submit,
    wait_for,
)
from workflow_fixtures import ROOT, snakemake, write_family, write_table

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(missing(True)), reason=missing(True))]

TWENTY = [f"p{number:02d}" for number in range(20)]
PARTITIONS = ["--slurm-partition-config", str(ROOT / "workflow/profiles/slurm/partitions.yaml")]


@pytest.fixture(scope="module", autouse=True)
def state(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("cluster"), "accounting") as folder:
        yield folder


def demo(folder, *arguments, config=()):
    """Run the built-in demo in `folder`."""
    return submit(
        folder, *arguments, "--configfile", str(ROOT / "config/demo.yaml"),
        config=[f"proteins={ROOT}/config/demo.tsv", "results=results", *config],
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The demo with its training, its states asked of sacct, and a GPU for what wants one."""
    folder = tmp_path_factory.mktemp("demo")
    process = demo(folder, *ACCOUNTING, *PARTITIONS, config=["cluster={gpu: gres, gpu_columns: 200}"])
    assert finish(process, folder, 1800) == 0, said(folder)
    return folder


def test_the_demo_scores_its_three_families(trained):
    with (trained / "results" / "summary.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert {row["protein"]: row["status"] for row in rows} == dict.fromkeys(
        ("S1A_trypsin", "DHFR", "rhomboid"), "finished"
    )
    assert all((trained / "results" / row["protein"] / "refined-demo.npz").exists() for row in rows)


def test_training_and_long_predictions_run_where_the_gpu_is(trained):
    training = [job for job in jobs() if job.get("Comment", "").startswith("rule_train_refiner")]
    assert len(training) == 3
    # trypsin has 223 columns, dihydrofolate reductase 158
    (long,), (short,) = (
        jobs("refine_contacts", "S1A_trypsin_refined"),
        jobs("refine_contacts", "DHFR_refined"),
    )
    for job in [*training, long]:
        assert (job["TresPerNode"], job["NodeList"], job["Partition"]) == ("gres:gpu:1", "n3", "gpu")
    assert "TresPerNode" not in short


def test_each_job_goes_to_the_partition_that_it_fills_best(trained):
    (page,) = jobs("write_report", "DHFR")
    assert page["Partition"] == "short"
    assert page["NodeList"] in ("n1", "n2")


def test_accounting_knows_every_job(trained):
    shown = subprocess.run(
        ["sacct", "-X", "--parsable2", "--noheader", "--format=JobIdRaw,State"],
        capture_output=True,
        text=True,
    )
    known = dict(line.split("|") for line in shown.stdout.splitlines())
    assert {job["JobId"] for job in jobs()} <= set(known)
    assert set(known.values()) == {"COMPLETED"}


def test_twenty_proteins_in_job_arrays(state, tmp_path):
    for seed, name in enumerate(TWENTY):
        write_family(tmp_path, name, seed)
    write_table(tmp_path / "proteins.tsv", [{"protein": n, "alignment": f"{n}.fasta"} for n in TWENTY])
    snakemake(tmp_path, "fetch", config=LIGHT, check=0)  # so that all are ready for the next rule at once
    chosen = ["--slurm-array-jobs", "prepare_alignment,write_report"]
    process = submit(tmp_path, *ACCOUNTING, *chosen, config=LIGHT)
    assert finish(process, tmp_path, 1800) == 0, said(tmp_path)
    for name in TWENTY:
        assert (tmp_path / "results" / name / "report.html").stat().st_size > 10_000
    # an array holds the jobs that were ready at once, two at least; the rest are submitted one by one
    arrays = re.findall(r"Submitted array job .* task IDs are (\d+)-(\d+)", said(tmp_path))
    assert arrays
    assert all(int(last) > int(first) for first, last in arrays)


def test_a_cancelled_job_is_submitted_again_and_a_prediction_asks_for_gpus(state, tmp_path):
    write_family(tmp_path, "one")
    write_table(tmp_path / "proteins.tsv", [{"protein": "one", "alignment": "one.fasta"}])
    process = submit(tmp_path, config=[LIGHT[0], "cluster={gpu: gpu, gpu_columns: 0}"])
    job = wait_for(lambda: running("prepare_alignment", "one"), what="the job to cancel")
    subprocess.run(["scancel", job["JobId"]], check=True)
    assert finish(process, tmp_path) == 0, said(tmp_path)
    assert [job["JobState"] for job in jobs("prepare_alignment", "one")] == ["CANCELLED", "COMPLETED"]
    (refined,) = jobs("refine_contacts", "one_refined")
    assert (refined["TresPerJob"], refined["NodeList"]) == ("gres:gpu:1", "n3")
