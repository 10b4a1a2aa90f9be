"""What every adapter does around its one call: log, threads, and the protein's own failure.json."""

import contextlib
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.errors import CovarionError
from data.store import load_json, save_json


def failure_file(snakemake: Any) -> Path:
    """Where the failure of a job's protein is told; that of a training run stands with the models."""
    return (
        Path(snakemake.config["results"])
        / (getattr(snakemake.wildcards, "protein", "") or "model")
        / "failure.json"
    )


def forget_failure(snakemake: Any) -> None:
    """A whole report ends whatever failure an earlier run left, of a stage that may exist no more."""
    failure_file(snakemake).unlink(missing_ok=True)


@contextlib.contextmanager
def stage(snakemake: Any) -> Iterator[None]:
    """Run a stage; a failure goes to the log and to ``failure.json`` and ends the job with exit code 1.

    A stage that begins forgets the failure that it left in an earlier run.
    """
    protein = getattr(snakemake.wildcards, "protein", "")
    failure = failure_file(snakemake)
    _log_to(str(snakemake.log[0]))
    if failure.exists() and _stage_of(failure) in (snakemake.rule, ""):
        failure.unlink()
    try:
        yield
    except Exception as error:
        logging.getLogger("covarion").error("%s: %s\n%s", snakemake.rule, error, traceback.format_exc())
        tell_failure(failure, protein, snakemake.rule, error)
        raise SystemExit(f"{snakemake.rule} {protein}: {error}") from error


def tell_failure(failure: Path, protein: str, rule: str, error: Exception) -> None:
    """Write ``failure.json``: whose, in which stage, and what the error says."""
    save_json(failure, {"protein": protein, "stage": rule} | _describe(error))


def _stage_of(failure: Path) -> str:
    """Stage that a failure is of; empty where the file is no longer what was written."""
    try:
        return str(dict(load_json(failure)).get("stage", ""))
    except (CovarionError, TypeError, ValueError):
        return ""


def _describe(error: Exception) -> dict[str, str]:
    if isinstance(error, CovarionError):
        return error.as_dict()
    return {
        "kind": type(error).__name__,
        "problem": str(error) or "unexpected error",
        "file": "",
        "place": "",
        "value": "",
        "remedy": "the stage's log holds the traceback; please report it",
    }


def _log_to(path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=path,
        filemode="w",
        level=logging.INFO,
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
    )
