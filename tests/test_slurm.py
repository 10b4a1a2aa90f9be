"""The workflow on a real Slurm cluster without accounting, where jobs, nodes and runs are lost."""

import os
import random
import re
import shutil
import subprocess
import time

import pytest
from slurm_fixtures import (
    LIGHT,
    at_work,
    cluster,
    differences,
    finish,
    jobs,
    kill_job,
    lose_node,
    megabytes,
    missing,
    running,
    said,
    submit,
    tables_and_arrays,
    wait_for,
)
from workflow_fixtures import ROOT, snakemake, write_family, write_table

from workflow.resources import NESTED_MB, START_MB

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(missing()), reason=missing())]

KILLS = int(os.environ.get("SOAK_SLURM", "3"))
KILLS_A_RUN = 3
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT")


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("cluster")) as folder:
        yield folder


def write_proteins(folder, names, **cells):
    """A table of small families; the first of four has a structure and is scored."""
    for seed, name in enumerate(names):
        write_family(folder, name, seed)
    rows = [{"protein": n, "alignment": f"{n}.fasta"} for n in names]
    if "p0" in names:
        rows[0]["structure"] = "p0.pdb"
    write_table(folder / "proteins.tsv", [row | cells.get(row["protein"], {}) for row in rows])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Values of the same four proteins, run without Slurm and in peace."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_proteins(folder, ["p0", "p1", "p2", "p3"])
    snakemake(folder, config=LIGHT, check=0)
    return tables_and_arrays(folder / "results")


@pytest.fixture(scope="module")
def faults(state, tmp_path_factory):
    """One run: a job is over its memory, one is cancelled, one killed, a node lost, a row wrong."""
    folder = tmp_path_factory.mktemp("faults")
    write_proteins(folder, ["oom", "cancel", "kill", "lost", "fine", "wrong"], wrong={"query": "nobody_7"})
    # The one job's first request is too small for what the node's own Snakemake takes
    small = "prepare_alignment:mem_mb=120 if attempt == 1 and 'oom' in str(input) else 800 * attempt"
    process = submit(folder, "--set-resources", small, config=LIGHT)
    done = {}
    deeds = {
        ("prepare_alignment", "cancel"): lambda job: subprocess.run(["scancel", job["JobId"]], check=True),
        ("infer_couplings", "kill"): kill_job,
        ("write_report", "lost"): lambda job: lose_node(state, job["NodeList"]),
    }
    end = time.monotonic() + 900
    while process.poll() is None and time.monotonic() < end:
        for (rule, name), deed in deeds.items():
            if name not in done and (job := running(rule, name)) and at_work(job):
                deed(job)
                done[name] = job
        time.sleep(0.2)
    code = finish(process, folder, 5)
    lost = done["lost"]["NodeList"]
    subprocess.run(["slurmd", "-N", lost], check=True)  # the machine is switched on again
    return folder, code, done


def test_only_the_wrong_row_fails(faults):
    folder, code, done = faults
    results = folder / "results"
    assert code == 1
    assert sorted(done) == ["cancel", "kill", "lost"]
    assert sorted(path.parent.name for path in results.glob("*/report.html")) == sorted(
        ["oom", "cancel", "kill", "lost", "fine"]
    )
    assert [path.parent.name for path in results.glob("*/failure.json")] == ["wrong"]
    assert (results / "index.html").exists()


def test_a_job_over_its_memory_is_killed_and_asks_for_more(faults):
    first, second = jobs("prepare_alignment", "oom")
    assert first["JobState"] in ("FAILED", "OUT_OF_MEMORY", "CANCELLED")
    assert second["JobState"] == "COMPLETED"
    assert (megabytes(first), megabytes(second)) == (120, 1600)
    log = next(faults[0].glob(f".snakemake/slurm_logs/rule_prepare_alignment/oom/{first['JobId']}.log"))
    assert "exceeded memory limit" in log.read_text()


def test_a_cancelled_job_is_submitted_again(faults):
    assert [job["JobState"] for job in jobs("prepare_alignment", "cancel")] == ["CANCELLED", "COMPLETED"]


def test_a_killed_job_runs_again_with_more_memory_and_time(faults):
    first, second = jobs("infer_couplings", "kill")
    assert first["JobState"] == "FAILED"
    assert second["JobState"] == "COMPLETED"
    # the job's own share is doubled, that of the Snakemake around it is not
    assert megabytes(second) == pytest.approx(2 * megabytes(first) - NESTED_MB, abs=2)
    assert (first["TimeLimit"], second["TimeLimit"]) == ("00:10:00", "00:20:00")


def test_jobs_of_a_lost_node_end_elsewhere(faults):
    lost = faults[2]["lost"]
    again = jobs("write_report", "lost")[-1]
    assert again["JobState"] == "COMPLETED"
    assert again["NodeList"] != lost["NodeList"] or again["JobId"] != lost["JobId"]
    assert int(again["Restarts"]) == 1 or again["JobId"] != lost["JobId"]


def test_a_wrong_row_is_tried_three_times(faults):
    assert [job["JobState"] for job in jobs("prepare_alignment", "wrong")] == ["FAILED"] * 3


def test_jobs_ask_for_what_they_need(faults):
    (job,) = jobs("infer_couplings", "fine")
    assert job["NumCPUs"] == "2"
    assert NESTED_MB + START_MB < megabytes(job) < 1500
    (page,) = jobs("write_report", "fine")
    assert page["NumCPUs"] == "1"
    assert page["Partition"] == job["Partition"] == "main"
    assert "gres" not in job["TRES"]


@pytest.mark.skipif("SOAK_SLURM" not in os.environ, reason="takes minutes: make soak")
def test_the_whole_demo_without_accounting(state, tmp_path):
    """With its training; the accounting part runs it each time."""
    process = submit(
        tmp_path, "--configfile", str(ROOT / "config/demo.yaml"),
        config=[f"proteins={ROOT}/config/demo.tsv", "results=results"],
    )  # fmt: skip
    assert finish(process, tmp_path, 3000) == 0, said(tmp_path)
    pages = sorted(path.parent.name for path in tmp_path.glob("results/*/report.html"))
    assert pages == ["DHFR", "S1A_trypsin", "rhomboid"]
    assert len(list(tmp_path.glob("results/*/refined-demo.npz"))) == 3


def begun(process, folder, name):
    """Wait until a run has a job on the cluster, or has ended: moments count from there on any machine."""
    there = "has been submitted with SLURM jobid"
    wait_for(lambda: process.poll() is not None or there in said(folder, name), what="a submission")


def whole_jobs(folder, name):
    """Rules of the jobs that a run saw end well."""
    return re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", said(folder, name), re.M)


def test_a_killed_run_goes_on_and_repeats_nothing_that_was_whole(state, undisturbed, tmp_path):
    write_proteins(tmp_path, ["p0", "p1", "p2", "p3"])
    process = submit(tmp_path, config=LIGHT, name="first.log")
    wait_for(lambda: "infer_couplings" in whole_jobs(tmp_path, "first.log"), what="couplings")
    process.kill()
    process.wait()
    ended = whole_jobs(tmp_path, "first.log")
    assert len(ended) >= 5
    done = submit(tmp_path, config=LIGHT, name="second.log")
    assert finish(done, tmp_path, name="second.log") == 0, said(tmp_path, "second.log")
    again = whole_jobs(tmp_path, "second.log")
    for rule in ("fetch_alignment", "prepare_alignment", "infer_couplings", "write_report"):
        assert again.count(rule) + ended.count(rule) <= 4, rule
    assert differences(tables_and_arrays(tmp_path / "results"), undisturbed) == []


def nothing_to_do(folder, name):
    """Whether a dry run finds all made."""
    dry = submit(folder, "--dry-run", config=LIGHT, name=name)
    assert finish(dry, folder, name=name) == 0
    return "Nothing to be done" in said(folder, name)


@pytest.mark.parametrize("seed", range(-(-KILLS // KILLS_A_RUN)))
def test_values_after_kills_at_random_moments_are_those_of_peace(state, undisturbed, tmp_path, seed):
    rng = random.Random(seed)
    write_proteins(tmp_path, ["p0", "p1", "p2", "p3"])
    process, name, story = submit(tmp_path, config=LIGHT), "run.log", []
    for kill in range(KILLS_A_RUN):
        begun(process, tmp_path, name)
        time.sleep(rng.uniform(0, 10))
        alive = [job for job in jobs() if job["JobState"] == "RUNNING"]
        if kill == 0 or rng.random() < 0.5 or not alive:
            process.kill()
            process.wait()
            story.append("run")
            name = f"run{kill}.log"
            process = submit(tmp_path, config=LIGHT, name=name)
        else:
            job = rng.choice(alive)
            story.append(job["Comment"])
            kill_job(job)
    assert finish(process, tmp_path, name=name) == 0, (story, said(tmp_path, name))
    wait_for(lambda: all(job["JobState"] in ENDED for job in jobs()), what="jobs of killed runs")
    assert differences(tables_and_arrays(tmp_path / "results"), undisturbed) == [], story
    if not nothing_to_do(tmp_path, "again.log"):
        # A job of a killed run that dies after the next one made its file leaves the mark of an unfinished
        # file: it is made once more, to the same values
        process = submit(tmp_path, config=LIGHT, name="more.log")
        assert finish(process, tmp_path, name="more.log") == 0, (story, said(tmp_path, "more.log"))
        assert differences(tables_and_arrays(tmp_path / "results"), undisturbed) == [], story
        assert nothing_to_do(tmp_path, "last.log"), story
    shutil.rmtree(tmp_path)
