"""What a run was: settings, versions and times, and the overview that shows them."""

import importlib.metadata
import os
import platform
import subprocess
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from data.store import save_json, save_text
from report.overview import write_overview
from workflow.plan import ROOT, Plan
from workflow.run_times import stage_times
from workflow.settings import run_settings

__all__ = [
    *("failed_before", "protein_rows", "run_settings", "run_versions", "stage_times"),
    *("write_overview_after_failure", "write_overview_of"),
]

FAILED_RUN = "logs/failed_run.txt"  # when a run failed last
OVERVIEW = ("run.json", "summary.tsv", "index.html")
PACKAGES = ("snakemake", "numpy", "numba", "llvmlite", "scipy", "torch", "gemmi", "biopython")


@lru_cache
def run_versions() -> dict[str, str]:
    """Versions of Covarion, Python and the libraries that made the numbers."""
    versions = {"covarion": _covarion_version(), "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _covarion_version() -> str:
    version = (ROOT / "VERSION").read_text().strip()
    try:
        commit = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return version
    return f"{version} ({commit.stdout.strip()})"


def protein_rows(plan: Plan) -> list[dict[str, Any]]:
    """What the overview needs to know of each row."""
    return [
        {
            "protein": name,
            "cluster": plan.cluster(name),
            "split": row.split,
            "structure": row.structure or "",
            "alignment": row.alignment,
            "provenance": plan.provenance(name),
        }
        for name, row in plan.proteins.items()
    ]


def write_overview_of(plan: Plan) -> None:
    """Write run.json, summary.tsv and index.html over whatever the run left."""
    results = Path(plan.config["results"])
    settings, versions = run_settings(plan), run_versions()
    record = {
        "settings": settings,
        "versions": versions,
        "stages": stage_times(results, plan.names),
        "skipped_rows": plan.problems,
        "proteins": protein_rows(plan),
    }
    save_json(results / "run.json", record)
    write_overview(
        results, protein_rows(plan), settings, versions, results / "index.html", results / "summary.tsv"
    )


def write_overview_after_failure(plan: Plan) -> None:
    """Write the overview outside a job, and a mark by which the next run knows that it must do so anew.

    Snakemake has no record of what is written here, and would take it for current whatever changes later. The
    mark is an input of the rule that writes the overview: new content, and newer than that rule's files.
    """
    write_overview_of(plan)
    results, now = Path(plan.config["results"]), time.time()
    save_text(results / FAILED_RUN, f"{now}\n")
    for name in OVERVIEW:
        os.utime(results / name, (now - 10, now - 10))  # clear of the mark where times are coarse


def failed_before(plan: Plan) -> list[str]:
    """The mark that a failed run left; [] where none failed."""
    mark = f"{plan.config['results']}/{FAILED_RUN}"
    return [mark] if os.path.exists(mark) else []
