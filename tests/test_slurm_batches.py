"""Batches of small proteins on a real Slurm cluster without accounting: a wrong row, a killed job."""

import collections
import json

import pytest
from slurm_fixtures import (
    LIGHT,
    at_work,
    cluster,
    finish,
    jobs,
    kill_job,
    missing,
    running,
    said,
    submit,
    wait_for,
)
from workflow_fixtures import write_family, write_table

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(missing()), reason=missing())]

NAMES = [f"b{number}" for number in range(6)]
BATCHES = [*LIGHT, "batch={proteins: 3, least: 2}"]


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("cluster")) as folder:
        yield folder


def write_rows(folder, **cells):
    rows = [{"protein": name, "alignment": f"{name}.fasta", "query": cells.get(name, "")} for name in NAMES]
    write_table(folder / "proteins.tsv", rows)


def ended(folder, name):
    """How often each stage of a protein ended whole, by its journal."""
    lines = (folder / "results" / name / "made.jsonl").read_text().splitlines()
    return collections.Counter(r["stage"] for r in map(json.loads, filter(None, lines)) if "key" in r)


@pytest.fixture(scope="module")
def disturbed(state, tmp_path_factory):
    """Two batches of three: in the first a row is wrong, the second one's job is killed once it has begun."""
    folder = tmp_path_factory.mktemp("batches")
    for seed, name in enumerate(NAMES):
        write_family(folder, name, seed)
    write_rows(folder, b1="nobody_7")
    process = submit(folder, config=BATCHES)

    def begun():
        job = running("run_batch", "0001")
        journal = folder / "results" / "b3" / "made.jsonl"
        return job if job and at_work(job) and journal.exists() and "infer" in journal.read_text() else None

    kill_job(wait_for(begun, what="the second batch at work"))
    return folder, finish(process, folder)


def test_a_wrong_row_costs_its_neighbours_nothing(disturbed):
    folder, code = disturbed
    assert code == 1, said(folder)
    results = folder / "results"
    assert [path.parent.name for path in sorted(results.glob("*/failure.json"))] == ["b1"]
    assert [path.parent.name for path in sorted(results.glob("*/report.html"))] == [
        "b0",
        "b2",
        "b3",
        "b4",
        "b5",
    ]
    assert [job["JobState"] for job in jobs("run_batch", "0000")] == ["FAILED"] * 3
    for name in ("b0", "b2"):  # the two further attempts found them current
        assert set(ended(folder, name).values()) == {1}
    assert (results / "index.html").exists()


def test_a_killed_batch_goes_on_where_it_was(disturbed):
    folder, _ = disturbed
    assert [job["JobState"] for job in jobs("run_batch", "0001")] == ["FAILED", "COMPLETED"]
    for name in ("b3", "b4", "b5"):
        assert set(ended(folder, name).values()) == {1}
    table = (folder / "results/batches/0001.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in table[1:]] == ["b3", "b4", "b5"]


def test_a_row_that_is_mended_is_computed_alone(disturbed):
    folder, _ = disturbed
    write_rows(folder)
    assert finish(submit(folder, config=BATCHES, name="again.log"), folder, name="again.log") == 0
    (page,) = (folder / "results").glob("b1/report.html")
    assert page.stat().st_size > 10_000
    assert [job["JobState"] for job in jobs("run_batch", "0000")] == ["FAILED"] * 3 + ["COMPLETED"]
    rows = [line.split("\t") for line in (folder / "results/batches/0000.tsv").read_text().splitlines()[1:]]
    assert [name for name, ran, *_ in rows if ran] == ["b1"]
    assert len(jobs("run_batch", "0001")) == 2
    assert not list((folder / "results").glob("*/failure.json"))
