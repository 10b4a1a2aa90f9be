"""Small proteins that share a job: who they are, and the files of each batch.

A batch has one output, a table of its members: a failed member must not cost its neighbours their files, and
Snakemake deletes all outputs of a failed job. What is current within a batch is known by each member's
journal (`workflow.journal`), so members may move to another batch and nothing is computed again.

The process that plans the run writes down who is in which batch, and the jobs of the run read it there: sizes
and results change while it runs.
"""

import hashlib
import itertools
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.errors import CovarionError
from data.extent import alignment_extent
from data.memory import text_size
from data.store import load_json, save_json
from data.table import ProteinRow
from workflow.journal import NAME as JOURNAL
from workflow.members import Task, is_local, member_tasks, outside_inputs
from workflow.plan import Plan
from workflow.structure_files import local_input

FOLDER = "batches"
_SIDE_BY_SIDE = 4  # batches that a few proteins are spread over, so that they use several cores
_WORTH_A_JOB = 10  # proteins
_LOOKERS = 32  # threads that ask the file system, which may be slow to answer


@dataclass(frozen=True)
class Batches:
    """The batches of a run.

    Attributes
    ----------
    plan : Plan
    parts : dict of str to list of str
        Members by the name of their batch.
    """

    plan: Plan
    parts: dict[str, list[str]]
    known: dict[str, list[Task]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, plan: Plan, planning: bool, kept: bool = True) -> "Batches":
        """Batches of a plan.

        Parameters
        ----------
        planning : bool
            Whether this process plans the run; else they are read as that process left them.
        kept : bool
            Whether to leave them for the jobs of the run (a dry run has none).
        """
        if not planning:
            return cls(plan, _planned(plan))
        parts = named(plan, chunks(small_proteins(plan), _settings(plan)["proteins"]))
        left = planned_file(plan)
        if kept and (parts or left.exists()):
            save_json(left, {"results": plan.config["results"], "parts": parts})
        return cls(plan, parts)

    @property
    def alone(self) -> list[str]:
        """Proteins with jobs of their own."""
        batched = {name for members in self.parts.values() for name in members}
        return [name for name in self.plan.names if name not in batched]

    @property
    def markers(self) -> list[str]:
        """Output of every batch."""
        return [f"{self.plan.config['results']}/{FOLDER}/{part}.tsv" for part in self.parts]

    def tasks(self, name: str) -> list[Task]:
        """The stages of a member, put together once a process."""
        if name not in self.known:
            self.known[name] = member_tasks(self.plan, name)
        return self.known[name]

    def inputs(self, part: str) -> list[str]:
        """Files that a batch reads and other jobs may write."""
        files = (outside_inputs(self.tasks(name)) for name in self.parts[part])
        return [path for path in dict.fromkeys(path for some in files for path in some) if self._made(path)]

    def _made(self, path: str) -> bool:
        return path.startswith((f"{self.plan.config['resources']}/", f"{self.plan.config['results']}/"))

    def rows(self, part: str) -> list[dict[str, Any]]:
        """Rows of the members: their cells that are not empty, without their place in the table."""
        usual = ProteinRow("", "")
        rows = (self.plan.row(name) for name in self.parts[part])
        cells = [
            {key: value for key, value in vars(row).items() if value != getattr(usual, key)} for row in rows
        ]
        return [{key: value for key, value in row.items() if key != "line"} for row in cells]

    def told(self, part: str) -> list[str]:
        """Checksum of all that the stages of each member are told, and of size and time of its own files.

        Snakemake would ask for each input several times, one after the other: files that no job writes are
        no inputs, and are looked at here side by side.
        """
        with ThreadPoolExecutor(_LOOKERS) as pool:
            return list(pool.map(self._told, self.parts[part]))

    def texts(self, part: str) -> list[list[int]]:
        """Bytes of text of the structures of each member that has some, as far as they are here.

        Raises
        ------
        FileNotFoundError
            One is still to be fetched by another job; Snakemake then asks again when it is there.
        """
        members = [name for name in self.parts[part] if self.plan.row(name).structure]
        with ThreadPoolExecutor(_LOOKERS) as pool:
            return list(pool.map(self._texts, members))

    def _texts(self, name: str) -> list[int]:
        named = self.plan.row(name).structures
        return [
            # Of a file that the batch brings into its form, the one that was brought before may be another
            max(map(_text_of, [path, *local_input(structure.cell)]))
            if is_local(structure.cell)
            else text_size(path)
            for structure, path in zip(named, self.plan.structure_files(name), strict=True)
        ]

    def _told(self, name: str) -> str:
        tasks = self.tasks(name)
        files = [path for path in outside_inputs(tasks) if not self._made(path)]
        stay = [task.outputs for task in tasks]  # couplings too, where they are kept
        text = "".join(task.key for task in tasks) + json.dumps([stay, [_mark(path) for path in files]])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _text_of(path: str) -> int:
    """Bytes of text of a file of this machine; 0 where it cannot be read, which its stage says."""
    try:
        return text_size(path)
    except OSError:
        return 0


def _mark(path: str) -> list[int]:
    """Size and time of a file; nothing where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]


def plan_of_rows(config: dict[str, Any], rows: Iterable[dict[str, Any]]) -> Plan:
    """Plan of the members of a batch alone."""
    proteins = [
        ProteinRow(**(row | {"maps": tuple((name, path) for name, path in row.get("maps", ()))}))
        for row in rows
    ]
    return Plan(config, {row.protein: row for row in proteins}, [])


def small_proteins(plan: Plan) -> list[str]:
    """Proteins that may share a job, in the order of the table.

    Their alignments are here and small, and their results, if there are some, were not made by jobs of their
    own. Where weights are trained in the run none may: training waits for all examples and comes before the
    scores.
    """
    if not _settings(plan)["proteins"] or plan.config["train"]["scheme"] != "none":
        return []
    with ThreadPoolExecutor(_LOOKERS) as pool:
        searched = set(plan.searched)
        asked = [name for name in plan.names if name not in searched]
        there = set(_listed(plan.config["results"]))
        small = list(pool.map(lambda name: _is_small(plan, name) and _is_free(plan, name, there), asked))
    found = [name for name, yes in zip(asked, small, strict=True) if yes]
    # `least` decides who begins: fewer of those that a batch made would be computed anew by jobs of their own
    begun = any(os.path.exists(plan.result(name, JOURNAL)) for name in found)
    return found if begun or len(found) >= _settings(plan)["least"] else []


def _settings(plan: Plan) -> dict[str, int]:
    return {"proteins": 0, "longest": 0, "deepest": 0, "least": 0} | plan.config.get("batch", {})


def _is_small(plan: Plan, name: str) -> bool:
    row, settings = plan.row(name), _settings(plan)
    there = plan.local_file(name, "alignment") if is_local(row.alignment) else [plan.alignment_file(name)]
    path = there[0] if there else plan.alignment_file(name)
    # A row has a header, and insertions beside its columns
    extent = alignment_extent(path, 3 * settings["deepest"] * (settings["longest"] + 100))
    return extent is not None and extent[0] <= settings["deepest"] and extent[1] <= settings["longest"]


def _is_free(plan: Plan, name: str, there: set[str]) -> bool:
    """Whether no job of its own made the protein's results."""
    if name not in there:
        return True
    made = os.path.exists(plan.result(name, JOURNAL))
    return made or not os.path.exists(plan.result(name, "alignment.npz"))


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def chunks(names: list[str], proteins: int) -> list[list[str]]:
    """The names in runs of nearly the same length, of at most so many proteins."""
    count = max(-(-len(names) // max(proteins, 1)), min(_SIDE_BY_SIDE, len(names) // _WORTH_A_JOB), 1)
    edges = [len(names) * k // count for k in range(count + 1)]
    return [names[lo:hi] for lo, hi in itertools.pairwise(edges) if hi > lo]


def named(plan: Plan, parts: list[list[str]]) -> dict[str, list[str]]:
    """Members by the name of their batch: its number, and after a point how often it lost a page.

    A page that is gone must be written anew, although the batch's table is there: it gets another name.
    """
    generation: dict[str, int] = {}
    for file in _listed(f"{plan.config['results']}/{FOLDER}"):
        number, _, rest = file.removesuffix(".tsv").partition(".")
        if file.endswith(".tsv") and number.isdigit() and (rest.isdigit() or not rest):
            generation[number] = max(generation.get(number, 0), int(rest or 1))
    found = {}
    with ThreadPoolExecutor(_LOOKERS) as pool:
        for k, members in enumerate(parts):
            number = f"{k:04d}"
            pages = [plan.result(name, "report.html") for name in members]
            here = generation.get(number, 0)
            lost = here > 0 and not all(pool.map(os.path.exists, pages))
            found[_name(number, here + lost if here else 1)] = members
    return found


def _name(number: str, generation: int) -> str:
    return number if generation == 1 else f"{number}.{generation}"


def planned_file(plan: Plan) -> Path:
    """Where a run leaves its batches for its jobs; a run over other results in this directory has another."""
    name = hashlib.sha256(plan.config["results"].encode()).hexdigest()[:12]
    return Path(".snakemake") / f"covarion-batches-{name}.json"


def _planned(plan: Plan) -> dict[str, list[str]]:
    """Batches as the process that plans the run left them; none where it left none."""
    left = planned_file(plan)
    if not left.exists():
        return {}
    try:
        planned = load_json(left)
        if planned["results"] != plan.config["results"]:
            return {}
        return {part: [n for n in names if n in plan.proteins] for part, names in planned["parts"].items()}
    except (CovarionError, KeyError, TypeError, AttributeError):
        return {}
