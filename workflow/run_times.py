"""What a run took, by stage: from Snakemake's benchmark files and from the journals of batches."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from workflow.batches import FOLDER
from workflow.journal import Journal

ENDING = ".benchmark.tsv"


def stage_times(results: str | Path, proteins: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Jobs, seconds by the clock, CPU seconds and peak memory of each stage.

    Parameters
    ----------
    results : path
    proteins : iterable of str
        Proteins of the run; what others left is not counted.

    Returns
    -------
    dict of str to dict
        By stage: ``jobs``, ``seconds`` and ``cpu`` (of all jobs), ``use`` (CPU seconds for each second by the
        clock), ``peak_mb`` (of one job). ``run_batch`` is the jobs of batches as a whole: their seconds
        are those of the stages that they ran, and of their start.
    """
    stages: dict[str, dict[str, Any]] = {}
    for name, wall, cpu, memory in stage_jobs(Path(results), proteins):
        entry = stages.setdefault(name, {"jobs": 0, "seconds": 0.0, "cpu": 0.0, "peak_mb": 0.0})
        entry["jobs"] += 1
        entry["seconds"] = round(entry["seconds"] + wall, 3)
        entry["cpu"] = round(entry["cpu"] + cpu, 3)
        entry["peak_mb"] = max(entry["peak_mb"], memory)
    for entry in stages.values():
        entry["use"] = round(entry["cpu"] / entry["seconds"], 2) if entry["seconds"] else 0.0
    return {name: stages[name] for name in sorted(stages)}


def stage_jobs(results: Path, proteins: Iterable[str]) -> Iterator[tuple[str, float, float, float]]:
    """(stage, seconds, CPU seconds, MB) of every job, and of every stage that a batch ran."""
    folders = [results / name for name in (*proteins, "model")]
    for folder in folders:
        for path in sorted((folder / "benchmarks").glob("*.tsv")):
            yield from _benchmark(path, path.stem.partition("~")[0])
        for name, record in Journal.read(folder).stages.items():
            values = (float(record.get(key) or 0) for key in ("wall", "cpu", "peak_mb"))
            yield (name.partition("~")[0], *values)  # type: ignore[misc]
    for path in sorted((results / FOLDER).glob(f"*{ENDING}")):
        yield from _benchmark(path, "run_batch")


def _benchmark(path: Path, name: str) -> Iterator[tuple[str, float, float, float]]:
    """Content of one of Snakemake's benchmark files; nothing where it is broken."""
    lines = path.read_text().splitlines()
    if len(lines) < 2:
        return
    values = dict(zip(lines[0].split("\t"), lines[1].split("\t"), strict=False))
    yield name, _number(values, "s"), _number(values, "cpu_time"), _number(values, "max_rss")


def _number(values: dict[str, str], key: str) -> float:
    """A value of a benchmark file, 0 where it was not measured (a job of less than a second or so)."""
    try:
        return float(values.get(key, ""))
    except ValueError:
        return 0.0
