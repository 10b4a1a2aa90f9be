"""What the stages of a protein read, write and are told.

The rules take their parameters from here (`ARGUMENTS`), and a batch the whole list of a protein's stages
(`member_tasks`); a test holds the two against each other.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from data.registry import SOURCES, asked_addresses, parse_cell
from workflow.plan import Plan, source_digest
from workflow.settings import run_settings
from workflow.structure_files import local_input, structure_at

LOCAL = ("path", "model", "package")  # sources that need no network and are one file


class Named(dict[str, Any]):
    """Files or values by name, as attributes too, and by place: what Snakemake gives a script."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error

    def __getitem__(self, key: Any) -> Any:
        return list(self.values())[key] if isinstance(key, int) else super().__getitem__(key)


@cache
def code_of(*packages: str) -> str:
    """`source_digest`, read once a process."""
    return source_digest(*packages)


def mirrors(plan: Plan, cell: str) -> dict[str, Any]:
    """Base URLs that what a cell names may come from: a change of others runs nothing again."""
    fetch = plan.config["fetch"]
    return asked_addresses(parse_cell(cell)[0], fetch["base_urls"], fetch.get("fallbacks", {}))


def _fetched(plan: Plan, w: Any) -> dict[str, Any]:
    cell = plan.row(w.protein).alignment
    return {"cell": cell, "query": plan.query(w.protein), "base_urls": mirrors(plan, cell)}


def _fetched_structure(plan: Plan, w: Any) -> dict[str, Any]:
    cell = structure_at(plan.row(w.protein), w.nth).cell
    return {"cell": cell, "base_urls": mirrors(plan, cell)}


def _prepared(plan: Plan, w: Any) -> dict[str, Any]:
    row = plan.row(w.protein)
    return {
        "cell": row.alignment,
        "searched": plan.searched_query(w.protein),
        "filters": plan.config["alignment"],
        "query": plan.query_row(w.protein),
        "region": row.region,
        "first_index": row.first_index,
        "chain": row.chain.partition(";")[0],
        "code": code_of("data"),
    }


def _inferred(plan: Plan, w: Any) -> dict[str, Any]:
    settings = {key: value for key, value in plan.config["dca"].items() if key != "keep_couplings"}
    return {"settings": settings, "version": plan.dca_version}


def _mapped(plan: Plan, w: Any) -> dict[str, Any]:
    parts = plan.row(w.protein).structures
    return {
        "cells": [part.cell for part in parts],
        "chains": [part.chain for part in parts],
        "thresholds": plan.config["structure"],
        "code": code_of("data"),
    }


def _refined(plan: Plan, w: Any) -> dict[str, Any]:
    return {
        "name": plan.refiner_name(w.refiner, w.protein),
        "cluster": plan.cluster(w.protein),
        "code": code_of("nets"),
        "device": plan.config["refine"]["device"],
    }


def _reported(plan: Plan, w: Any) -> dict[str, Any]:
    return {
        "settings": run_settings(plan),
        "report": plan.config["report"],
        "code": code_of("data", "report"),
    }


ARGUMENTS: dict[str, tuple[tuple[str, ...], Callable[[Plan, Any], dict[str, Any]]]] = {
    "fetch_alignment": (("cell", "query", "base_urls"), _fetched),
    "fetch_structure": (("cell", "base_urls"), _fetched_structure),
    "prepare_alignment": (
        ("cell", "searched", "filters", "query", "region", "first_index", "chain", "code"),
        _prepared,
    ),
    "infer_couplings": (("settings", "version"), _inferred),
    "map_structure": (("cells", "chains", "thresholds", "code"), _mapped),
    "import_maps": (("maps",), lambda plan, w: {"maps": plan.row(w.protein).maps}),
    "refine_contacts": (("name", "cluster", "code", "device"), _refined),
    "score_maps": (("code",), lambda plan, w: {"code": code_of("data")}),
    "write_report": (("settings", "report", "code"), _reported),
}


@dataclass(frozen=True)
class Task:
    """One stage of one protein, in the form of Snakemake's object for scripts.

    Attributes
    ----------
    rule : str
        Rule that does the same in a job of its own.
    wildcards, input, output, params : Named
    config : dict
        The run's configuration.
    temporary : tuple of str
        Outputs that are deleted once they are written.
    """

    rule: str
    wildcards: Named
    input: Named
    output: Named
    params: Named
    config: dict[str, Any]
    temporary: tuple[str, ...] = ()
    threads: int = 1
    about: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """Name of the stage within the protein, such as ``fetch_structure~2``."""
        return f"{self.rule}{self.about}"

    @cached_property
    def inputs(self) -> list[str]:
        """All input files."""
        return list(_flat(self.input.values()))

    @property
    def outputs(self) -> list[str]:
        """Files that stay."""
        return [path for path in self.output.values() if path not in self.temporary]

    @cached_property
    def key(self) -> str:
        """Checksum of what the stage is told and of its files' names."""
        told = [self.rule, self.wildcards, self.input, self.output, self.params]
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _flat(values: Any) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        else:
            yield from value


def member_tasks(plan: Plan, protein: str) -> list[Task]:
    """The stages of a protein in their order, from what is on this machine to its report.

    What a network is needed for is left out: a batch waits for those files.
    """
    return [*_fetches(plan, protein), *_computed(plan, protein), *_told(plan, protein)]


def _task(
    plan: Plan, protein: str, rule: str, read: dict[str, Any], written: dict[str, str], **more: Any
) -> Task:
    wildcards = Named(protein=protein, **more.pop("wildcards", {}))
    params = Named(ARGUMENTS[rule][1](plan, wildcards))
    return Task(rule, wildcards, Named(read), Named(written), params, plan.config, **more)


def _fetches(plan: Plan, protein: str) -> Iterator[Task]:
    """What brings files of this machine into the pipeline's form."""
    row = plan.row(protein)
    if is_local(row.alignment):
        read = {"0": plan.local_file(protein, "alignment"), "1": plan.query_file(protein)}
        msa = plan.alignment_file(protein)
        written = {"alignment": msa, "provenance": f"{msa}.json"}
        yield _task(plan, protein, "fetch_alignment", read, written)
    for number, path in enumerate(plan.structure_files(protein), 1):
        nth = "" if number == 1 else f"~{number}"
        cell = structure_at(row, nth).cell
        if is_local(cell):
            pae = path.removesuffix(".cif.gz") + ".pae.npz"
            written = {"structure": path, "provenance": f"{path}.json", "pae": pae}
            more = {"about": nth, "wildcards": {"nth": nth}}
            yield _task(plan, protein, "fetch_structure", {"0": local_input(cell)}, written, **more)


def _computed(plan: Plan, protein: str) -> Iterator[Task]:
    """Arrays: tokens, couplings, distances, foreign and refined maps."""
    row, result = plan.row(protein), lambda name: plan.result(protein, name)
    read = {
        "alignment": plan.alignment_file(protein),
        "structure": plan.structure_file(protein),
        "query": plan.query_row_file(protein),
    }
    yield _task(plan, protein, "prepare_alignment", read, {"0": result("alignment.npz")})
    tokens = {"alignment": result("alignment.npz")}
    written = {name: result(f"{name}.npz") for name in ("weights", "maps", "contacts", "couplings")}
    gone = () if plan.config["dca"].get("keep_couplings") else (written["couplings"],)
    yield _task(plan, protein, "infer_couplings", tokens, written, temporary=gone)
    if row.structure:
        read = tokens | {"structures": plan.structure_files(protein)}
        yield _task(plan, protein, "map_structure", read, {"0": result("truth.npz")})
    if row.maps:
        read = {"0": [path for _, path in row.maps]} | tokens
        yield _task(plan, protein, "import_maps", read, {"0": result("foreign.npz")})
    for refiner in plan.refiners:
        read = tokens | {"refiner": plan.refiner_files(refiner, protein)}
        more = {"wildcards": {"refiner": refiner}, "about": f"-{refiner}"}
        yield _task(plan, protein, "refine_contacts", read, {"0": result(f"{refiner}.npz")}, **more)


def _told(plan: Plan, protein: str) -> Iterator[Task]:
    """Scores and pages."""
    if plan.row(protein).structure:
        read = {"truth": plan.result(protein, "truth.npz"), "maps": plan.map_files(protein)}
        written = {name: plan.result(protein, f"{name}.tsv") for name in ("scores", "agreement")}
        yield _task(plan, protein, "score_maps", read, written)
    pages = {"0": plan.result(protein, "report.html"), "1": plan.result(protein, "exports")}
    yield _task(plan, protein, "write_report", plan.report_files(protein), pages)


def is_local(cell: str) -> bool:
    """Whether a cell names one file of this machine."""
    name = parse_cell(cell)[0]
    return name in LOCAL and not SOURCES[name].base


def outside_inputs(tasks: list[Task]) -> list[str]:
    """Files that the tasks read and none of them writes."""
    written = {path for task in tasks for path in task.output.values()}
    return list(dict.fromkeys(path for task in tasks for path in task.inputs if path not in written))
