"""What was made of a protein, and of what: ``made.jsonl`` in its folder, one line for each stage that ended.

A batch asks it what is current. A stage is, when it was told the same, its inputs are the same, and its
outputs are there as they were left. A file is the same with the same size and time, or, where the time
differs, with the same content. Lines are only ever added, the last one of a stage counts, and what cannot be
read counts for nothing.
"""

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.store import sha256
from workflow.members import Task

NAME = "made.jsonl"
_LONGEST = 4_000_000  # bytes; a journal grows by a line of about 1 kB with each stage
_LARGEST_HASHED = 100_000_000  # bytes; of larger files the time alone counts


@dataclass
class Journal:
    """The journal of one protein.

    Attributes
    ----------
    path : Path
    stages : dict of str to dict
        Last record of each stage.
    begun : str
        Stage that began last and never ended; empty where none did.
    """

    path: Path
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    begun: str = ""

    @classmethod
    def read(cls, folder: str | Path) -> "Journal":
        """Journal of a protein's folder; empty where there is none."""
        journal = cls(Path(folder) / NAME)
        try:
            text = journal.path.read_bytes()[-_LONGEST:].decode("utf-8", "replace")
        except OSError:
            return journal
        for line in text.splitlines():
            journal._take(line)
        return journal

    def _take(self, line: str) -> None:
        try:
            record = json.loads(line)
            stage = str(record["stage"])
            if record.get("begun"):
                self.begun = stage
                return
            self.begun = "" if stage == self.begun else self.begun
            if "key" in record:
                self.stages[stage] = record
        except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
            return  # cut off by a kill, or not ours

    def current(self, task: Task) -> bool:
        """Whether a stage needs not run."""
        record = self.stages.get(task.name)
        if not record or record.get("key") != task.key:
            return False
        inputs, outputs = record.get("inputs"), record.get("outputs")
        if not isinstance(inputs, dict) or not isinstance(outputs, dict):
            return False
        # More may have stayed then: couplings that were kept and no longer are
        if set(inputs) != set(task.inputs) or not set(outputs) >= set(task.outputs):
            return False
        files = [*inputs.items(), *((path, outputs[path]) for path in task.outputs)]
        return all(_same(path, mark) for path, mark in files)

    def begin(self, task: Task) -> None:
        """Note that a stage begins, so that a later run knows whom a killed job was at."""
        self._add({"stage": task.name, "begun": True})

    def fail(self, task: Task) -> None:
        """Note that a stage ended without its files."""
        self._add({"stage": task.name})

    def end(self, task: Task, usage: dict[str, float]) -> None:
        """Note that a stage's files are whole."""
        record = {
            "stage": task.name,
            "key": task.key,
            "time": round(time.time(), 3),
            **usage,
            "inputs": {path: fingerprint(path) for path in task.inputs},
            "outputs": {path: fingerprint(path) for path in task.outputs},
        }
        self._add(record)

    def _add(self, record: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(record, separators=(",", ":")) + "\n"
        # A line that a kill cut off has no end: the next one begins anew
        if self.path.exists() and not self._ends_with_line():
            line = "\n" + line
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(line)
        self._take(line.strip())

    def _ends_with_line(self) -> bool:
        with self.path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            if stream.tell() == 0:
                return True
            stream.seek(-1, os.SEEK_END)
            return stream.read() == b"\n"


def fingerprint(path: str) -> list[Any] | None:
    """Size, time and checksum of a file; of a folder that it is one; None where there is nothing."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if os.path.isdir(path):
        return ["folder"]
    content = _content(path) if found.st_size <= _LARGEST_HASHED else ""
    return [found.st_size, found.st_mtime_ns, content]


def _same(path: str, mark: Any) -> bool:
    """Whether a file is the one of the mark."""
    try:
        found = os.stat(path)
    except OSError:
        return False
    if mark == ["folder"]:
        return os.path.isdir(path)
    if not isinstance(mark, list) or len(mark) != 3 or mark[0] != found.st_size:
        return False
    return mark[1] == found.st_mtime_ns or (bool(mark[2]) and mark[2] == _content(path))


def _content(path: str) -> str:
    return sha256(path)[:32]
