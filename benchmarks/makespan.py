"""When a run would end on so many slots: ``python benchmarks/makespan.py RECORDED TABLE``.

Jobs, and what waits for what, are Snakemake's own dry run of the table. How long a job takes is drawn from
the jobs of its rule in the results of a run that has ended: CPU seconds, since all stages but training take
one thread and the clock's seconds depend on what else ran there. A batch takes what its members' stages take,
and a start. A free slot takes the next job of Snakemake's list that waits for nothing. The ideal is the
larger of all work over the slots and of the longest chain of jobs.
"""

import argparse
import heapq
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from data.table import read_proteins  # noqa: E402 (the path above comes first)
from workflow.batches import FOLDER, Batches  # noqa: E402
from workflow.journal import Journal  # noqa: E402
from workflow.plan import Plan  # noqa: E402
from workflow.run_times import ENDING, stage_jobs  # noqa: E402

BATCH = "run_batch"


@dataclass
class Job:
    """A job of the plan.

    Attributes
    ----------
    rule : str
    wildcards : str
    inputs, outputs : list of str
    seconds : float
    waits : set of int
        Places of the jobs that it waits for.
    """

    rule: str
    wildcards: str
    inputs: list[str]
    outputs: list[str]
    seconds: float = 0.0
    waits: set[int] = field(default_factory=set)


def planned_jobs(text: str) -> list[Job]:
    """Jobs of a dry run's output, each with those that it waits for."""
    jobs = []
    for block in re.split(r"\n(?=\[|(?:local)?rule )", text):
        rule = re.search(r"^(?:local)?rule (\w+):", block, re.M)
        if rule:
            found = {
                key: re.search(rf"^    {key}: (.*)", block, re.M) for key in ("input", "output", "wildcards")
            }
            parts = {key: match[1] if match else "" for key, match in found.items()}
            files = ([f for f in parts[key].split(", ") if f] for key in ("input", "output"))
            jobs.append(Job(rule[1], parts["wildcards"], *files))
    maker = {path: number for number, job in enumerate(jobs) for path in job.outputs}
    for job in jobs:
        job.waits = {maker[path] for path in job.inputs if path in maker}
    return jobs


@dataclass
class Recorded:
    """CPU seconds of a run that has ended: of each rule's jobs, of what a batch pays to start."""

    stages: Mapping[str, Sequence[float]]
    start: float

    @classmethod
    def of(cls, results: Path, names: Sequence[str]) -> "Recorded":
        """What is told in a folder of results of these proteins."""
        stages = defaultdict(list)
        for name, _, cpu, _ in stage_jobs(results, names):
            stages[name].append(cpu)
        within = sum(
            float(record["cpu"]) for name in names for record in Journal.read(results / name).stages.values()
        )
        batches = len(list((results / FOLDER).glob(f"*{ENDING}")))
        start = (sum(stages[BATCH]) - within) / batches if batches else 0.0
        return cls(stages, max(start, 0.0))

    def draw(self, rule: str, rng: np.random.Generator) -> float:
        """Seconds of a job of a rule."""
        found = self.stages.get(rule) or self.stages.get(f"{rule}-refined") or [0.0]
        return float(rng.choice(found))


def give_lengths(
    jobs: list[Job], recorded: Recorded, batches: Mapping[str, Sequence[str]], start: float
) -> None:
    """Fill in how long every job takes; `start` is what each pays before its script runs."""
    rng = np.random.default_rng(1)
    each = [rule for rule in recorded.stages if rule not in (BATCH, "write_overview")]
    for job in jobs:
        if job.rule == BATCH:
            members = len(batches[job.wildcards.removeprefix("part=")])
            parts = (recorded.draw(rule, rng) for _ in range(members) for rule in each)
            job.seconds = start + recorded.start + sum(parts)
        elif job.rule != "all":
            job.seconds = start + recorded.draw(job.rule, rng)


def longest_chain(jobs: Sequence[Job]) -> float:
    """Seconds of the longest chain of jobs that wait for each other."""
    ends: dict[int, float] = {}
    for number in in_order(jobs):
        ends[number] = jobs[number].seconds + max((ends[k] for k in jobs[number].waits), default=0.0)
    return max(ends.values(), default=0.0)


def waiting(jobs: Sequence[Job]) -> tuple[dict[int, int], dict[int, list[int]], list[int]]:
    """How many jobs each waits for, the places of those that wait for it, and those that wait for none."""
    left = {number: len(job.waits) for number, job in enumerate(jobs)}
    followers: dict[int, list[int]] = defaultdict(list)
    for number, job in enumerate(jobs):
        for other in job.waits:
            followers[other].append(number)
    return left, followers, [number for number, count in left.items() if not count]


def in_order(jobs: Sequence[Job]) -> list[int]:
    """Places of the jobs, each behind those that it waits for."""
    left, followers, ready = waiting(jobs)
    for number in ready:
        for other in followers[number]:
            left[other] -= 1
            if not left[other]:
                ready.append(other)
    return ready


def makespan(jobs: Sequence[Job], slots: int) -> float:
    """Seconds until the last job has ended, on so many slots."""
    left, followers, ready = waiting(jobs)
    heapq.heapify(ready)
    running: list[tuple[float, int]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < slots:
            number = heapq.heappop(ready)
            heapq.heappush(running, (now + jobs[number].seconds, number))
        now, ended = heapq.heappop(running)
        for other in followers[ended]:
            left[other] -= 1
            if not left[other]:
                heapq.heappush(ready, other)
    return now


def dry_run(table: Path, batch: int, work: str) -> str:
    """Snakemake's plan of a table, as text."""
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", work,
        "--workflow-profile", str(ROOT / "workflow/profiles/default"), "--cores", "2", "--dry-run",
        "--config", f"proteins={table}", f"batch={{proteins: {batch}}}",
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def planned_batches(table: Path, batch: int) -> dict[str, list[str]]:
    """Members of the batches of a table."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    config |= {"proteins": str(table), "batch": config["batch"] | {"proteins": batch}}
    return Batches.of(Plan.from_config(config | {"results": "no such folder"}), True, kept=False).parts


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("recorded", type=Path, help="results folder of a run that has ended")
    parser.add_argument("table", type=Path, help="protein table of the run that is simulated")
    parser.add_argument("--of", type=Path, help="protein table of the run that has ended, if another")
    parser.add_argument("--batch", type=int, nargs="+", default=[50], help="proteins a batch; 0: none")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--start", type=float, default=2.5, help="seconds of Snakemake's own before each job")
    options = parser.parse_args(arguments)
    names = [row.protein for row in read_proteins(options.of or options.table)[0]]
    recorded = Recorded.of(options.recorded, names)
    print("| batch | jobs | slots | makespan, s | ideal, s | ratio |\n|---|---|---|---|---|---|")
    for batch in options.batch:
        with tempfile.TemporaryDirectory() as work:
            jobs = planned_jobs(dry_run(options.table.resolve(), batch, work))
        give_lengths(jobs, recorded, planned_batches(options.table, batch), options.start)
        work_seconds, chain = sum(job.seconds for job in jobs), longest_chain(jobs)
        for slots in options.slots:
            ideal, found = max(work_seconds / slots, chain), makespan(jobs, slots)
            row = f"{batch} | {len(jobs)} | {slots} | {found:.0f} | {ideal:.0f} | {found / ideal:.2f}"
            print(f"| {row} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
