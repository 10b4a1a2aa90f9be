"""A batch: the stages of many small proteins, one protein after the other in one process.

Each protein keeps to itself. What is current by its journal is skipped; a stage that fails ends its protein,
is told in the protein's ``failure.json``, and the next protein goes on. The job ends with exit code 1 where
any failed, after all had their turn; its next attempt finds the others current.
"""

import logging
import os
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.errors import CovarionError
from data.store import save_text
from workflow import stages
from workflow.batches import plan_of_rows
from workflow.journal import Journal
from workflow.members import Task, member_tasks
from workflow.stage import tell_failure
from workflow.usage import measured

logger = logging.getLogger("covarion")
LOG = "batch.log"
_COLUMNS = ("protein", "ran", "seconds", "failed")


@dataclass
class Member:
    """A protein of a batch.

    Attributes
    ----------
    name : str
    folder : Path
        Of its results.
    tasks : list of Task
    journal : Journal
    ran : list of str
        Stages that ran in this job.
    seconds : float
        That they took.
    failed : str
        Stage that failed; empty where none did.
    """

    name: str
    folder: Path
    tasks: list[Task]
    journal: Journal
    ran: list[str] = field(default_factory=list)
    seconds: float = 0.0
    failed: str = ""

    @property
    def failure(self) -> Path:
        """Where a failure is told."""
        return self.folder / "failure.json"


def run_batch(job: Any) -> None:
    """Run all that is not current of a batch and write its table.

    Parameters
    ----------
    job : snakemake's object
        ``params.rows`` are the members' rows.

    Raises
    ------
    SystemExit
        Some failed; each has its failure.json, and the table is not written.
    """
    plan = plan_of_rows(job.config, job.params.rows)
    results = Path(plan.config["results"])
    members = [
        Member(name, results / name, member_tasks(plan, name), Journal.read(results / name))
        for name in plan.names
    ]
    with _logging_to(str(job.log[0])):
        # Whoever a killed job was at comes last: it may be what killed it
        for member in sorted(members, key=lambda member: bool(member.journal.begun)):
            run_member(member)
        failed = [f"{member.name} ({member.failed})" for member in members if member.failed]
        if failed:
            logger.error("%d of %d proteins failed: %s", len(failed), len(members), ", ".join(failed))
            raise SystemExit(f"{len(failed)} of {len(members)} proteins failed: {', '.join(failed)}")
        save_text(job.output[0], _table(members))


def _table(members: list[Member]) -> str:
    rows = [(m.name, ",".join(m.ran), f"{m.seconds:.2f}", m.failed) for m in members]
    return "".join("\t".join(row) + "\n" for row in (_COLUMNS, *rows))


def run_member(member: Member) -> None:
    """Run the stages of a protein that are not current, up to the first that fails."""
    if all(member.journal.current(task) for task in member.tasks):
        member.failure.unlink(missing_ok=True)
        return
    with _log_of(member):
        if member.journal.begun:
            _tell_killed(member)
        else:
            member.failure.unlink(missing_ok=True)
        for task in member.tasks:
            if not member.journal.current(task) and not _run(member, task):
                return
        member.failure.unlink(missing_ok=True)


def _tell_killed(member: Member) -> None:
    """Leave a word, in case that the process is killed at this protein again."""
    error = CovarionError(
        "the job was killed in this stage, and tries it again",
        file=member.folder / "logs" / LOG,
        remedy="where it happens again the stage wants more memory or time: give the protein a job of its own"
        " by a smaller batch: longest or deepest",
    )
    tell_failure(member.failure, member.name, member.journal.begun, error)


def _run(member: Member, task: Task) -> bool:
    """Run a stage; whether it succeeded."""
    logger.info("%s begins", task.name)
    for path in task.output.values():
        _remove(path)
    member.journal.begin(task)
    try:
        with measured() as usage:
            for path in task.output.values():
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            getattr(stages, task.rule)(task)
            for path in task.temporary:
                _remove(path)
        member.journal.end(task, usage)
    except Exception as error:
        logger.error("%s: %s\n%s", task.name, error, traceback.format_exc())
        tell_failure(member.failure, member.name, task.rule, error)
        member.journal.fail(task)
        member.failed = task.rule
        return False
    member.ran.append(task.name)
    member.seconds += usage["wall"]
    return True


def _remove(path: str) -> None:
    """Delete what an earlier run left, so that a failed stage leaves nothing of it."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        Path(path).unlink(missing_ok=True)


class _NamesProtein(logging.Formatter):
    """Lines that name the protein at work."""

    protein = "-"

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        record.protein = type(self).protein
        return super().format(record)


def _handler(path: str, mode: str) -> logging.Handler:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, mode=mode, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_NamesProtein("%(asctime)s %(protein)s %(name)s %(levelname)s %(message)s"))
    return handler


@contextmanager
def _attached(handler: logging.Handler) -> Iterator[None]:
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


@contextmanager
def _logging_to(path: str) -> Iterator[None]:
    """Log of the batch: every line of every protein."""
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.INFO)
    try:
        with _attached(_handler(path, "w")):
            yield
    finally:
        root.setLevel(level)
        _NamesProtein.protein = "-"


@contextmanager
def _log_of(member: Member) -> Iterator[None]:
    """Log of a protein, all its stages in one file; of the last job alone."""
    _NamesProtein.protein = member.name
    with _attached(_handler(str(member.folder / "logs" / LOG), "w")):
        yield
