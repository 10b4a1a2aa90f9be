"""The simulated cluster run and the shim of slow file access."""

import itertools
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import makespan, planning
from benchmarks.many import meander, pdb_text, write_proteins
from benchmarks.measure import measure
from data.mapping import map_query
from data.msa import read_alignment
from data.structure import read_chain
from workflow.batches import chunks


def job(seconds, *waits):
    return SimpleNamespace(seconds=seconds, waits=set(waits))


def test_makespan_of_known_plans():
    chain = [job(3.0, 1), job(2.0, 2), job(1.0)]
    assert makespan.longest_chain(chain) == 6
    assert [makespan.makespan(chain, slots) for slots in (1, 10)] == [6, 6]
    apart = [job(2.0) for _ in range(10)]
    assert [makespan.makespan(apart, slots) for slots in (1, 3, 10)] == [20, 8, 2]
    joined = [job(1.0, 1, 2, 3), job(5.0), job(1.0), job(4.0)]
    assert makespan.makespan(joined, 2) == 6
    assert makespan.makespan([], 2) == 0


def test_makespan_lies_between_its_bounds():
    rng = np.random.default_rng(1)
    for slots in (1, 2, 7):
        jobs = [job(float(rng.exponential()), *rng.integers(0, n, 2 * (n > 2))) for n in range(60)]
        work, chain = sum(j.seconds for j in jobs), makespan.longest_chain(jobs)
        found = makespan.makespan(jobs, slots)
        assert max(work / slots, chain) <= found + 1e-9
        assert found <= work / slots + chain + 1e-9  # Graham's bound of list scheduling


def test_jobs_of_a_dry_run():
    text = """Building DAG of jobs...

[Thu Jan  1 00:00:00 2026]
rule run_batch:
    input: a.fasta, b.fasta
    output: results/batches/0000.tsv
    wildcards: part=0000

[Thu Jan  1 00:00:00 2026]
localrule all:
    input: results/batches/0000.tsv, elsewhere
    jobid: 0
"""
    first, last = makespan.planned_jobs(text)
    assert (first.rule, first.wildcards, first.waits) == ("run_batch", "part=0000", set())
    assert (last.rule, last.waits, last.outputs) == ("all", {0}, [])
    recorded = makespan.Recorded({"infer_couplings": [2.0], "write_report": [1.0], "run_batch": [99.0]}, 5.0)
    makespan.give_lengths([first, last], recorded, {"0000": ["p", "q"]}, 0.5)
    assert (first.seconds, last.seconds) == (0.5 + 5 + 2 * 3, 0)


def test_simulated_proteins_are_what_they_claim(tmp_path):
    table = write_proteins(tmp_path, 2)
    assert len(table.read_text().splitlines()) == 3
    for name in ("p00000", "p00001"):
        alignment = read_alignment(tmp_path / f"{name}.a3m.gz")
        rows, length = alignment.tokens.shape
        assert 100 <= rows <= 500
        assert 60 <= length <= 120
        chain = read_chain(tmp_path / f"{name}.pdb")
        assert map_query(alignment.query, chain).identity == 1
    assert np.linalg.norm(np.diff(meander(24), axis=0), axis=1).max() < 14
    assert pdb_text("GA", meander(2)).count(" CB ") == 1


@pytest.mark.skipif(not shutil.which("cc") or sys.platform != "linux", reason="needs cc and LD_PRELOAD")
def test_the_shim_slows_questions_to_the_file_system(tmp_path):
    code = "import os\nfor k in range(200): os.path.exists('/nowhere')"
    command = [sys.executable, "-I", "-S", "-c", code]
    library = str(planning.shim(tmp_path))
    quick, slow = (
        measure(command, environment={"LD_PRELOAD": library, "COVARION_DELAY_US": us}) for us in ("0", "5000")
    )
    assert slow.wall - quick.wall > 0.8


def test_every_name_is_in_one_chunk():
    for count, size in itertools.product((1, 39, 40, 41, 999), (1, 7, 50)):
        parts = chunks([str(n) for n in range(count)], size)
        assert sum(map(len, parts)) == count
        assert max(map(len, parts)) <= size
