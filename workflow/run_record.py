"""What a run was: settings, versions and times, and the overview that shows them."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

from data.store import save_json
from report.overview import write_overview
from workflow.plan import ROOT, Plan

PACKAGES = ("snakemake", "numpy", "numba", "scipy", "torch", "gemmi", "biopython")


def run_settings(plan: Plan) -> dict[str, Any]:
    """The science of the configuration, as a report shows it."""
    return {key: plan.config[key] for key in ("alignment", "structure", "dca", "refine", "train", "seed")}


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


def stage_times(plan: Plan) -> dict[str, dict[str, float]]:
    """Wall seconds and peak memory of each stage, from Snakemake's benchmark files."""
    stages: dict[str, dict[str, float]] = {}
    for path in sorted(Path(plan.config["results"]).glob("*/benchmarks/*.tsv")):
        lines = path.read_text().splitlines()
        values = dict(zip(lines[0].split("\t"), lines[1].split("\t"), strict=True))
        entry = stages.setdefault(path.stem.partition("~")[0], {"jobs": 0, "seconds": 0.0, "peak_mb": 0.0})
        entry["jobs"] += 1
        entry["seconds"] += float(values["s"])
        with_memory = values["max_rss"] not in ("-", "NA")
        entry["peak_mb"] = max(entry["peak_mb"], float(values["max_rss"]) if with_memory else 0.0)
    return stages


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
        "stages": stage_times(plan),
        "skipped_rows": plan.problems,
        "proteins": protein_rows(plan),
    }
    save_json(results / "run.json", record)
    write_overview(
        results, protein_rows(plan), settings, versions, results / "index.html", results / "summary.tsv"
    )
