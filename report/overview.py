"""The overview of a run: one self-contained page and one table over whatever is there."""

import logging
import math
from collections import Counter
from pathlib import Path
from typing import Any

from data import scoring, store
from data.errors import CovarionError
from report import figures
from report.memory import require_overview
from report.methods import LEARNED, PUBLISHED, best_method, styles
from report.outcomes import FAILED, FINISHED, INCOMPLETE, Outcome, read_outcomes, scored_methods
from report.provenance import read_origins
from report.rendering import flattened, render
from report.summary import MAIN_CUTS, Mean, mean_table, mean_text, means, summary_table, summary_text

__all__ = ["mean_table", "mean_text", "summary_table", "write_overview"]

log = logging.getLogger(__name__)

_REFERENCE = "plm"


def write_overview(
    results_dir: str | Path,
    proteins: list[dict[str, Any]],
    settings: dict[str, Any],
    versions: dict[str, Any],
    out_index: str | Path,
    out_summary: str | Path,
) -> None:
    """Write the overview page and the summary table of a run, whatever failed in it.

    Parameters
    ----------
    results_dir : path
        Folder that holds one folder per protein, and perhaps ``run.json`` (``stages``: the seconds of each
        stage, or its ``jobs``, ``seconds``, ``cpu``,
        ``use`` and ``peak_mb``; ``skipped_rows``: problems of left-out rows).
    proteins : list of dict
        Rows of the table of proteins, ``protein`` at least; ``provenance``, a list of JSON files, says where
        inputs come from.
    settings, versions : dict
        Printed as they are.
    out_index : path
        The page; links are relative to `results_dir`, where it is meant to lie.
    out_summary : path
        The table: one row per protein, method, range and cut.

    Raises
    ------
    MemoryLimitError
        There is too little memory for so many proteins.
    """
    require_overview(len(proteins))
    outcomes = read_outcomes(results_dir, proteins, thumbnails=True)
    store.save_text(out_summary, summary_text(outcomes))
    methods = scored_methods(outcomes)
    run = _run_record(Path(results_dir))
    page = render(
        "overview.html.j2",
        outcomes=outcomes,
        facts=_facts(outcomes),
        headline=_headline(outcomes, methods),
        failures=[outcome for outcome in outcomes if outcome.status != FINISHED],
        methods=methods,
        looks=styles(methods),
        best=best_method(methods) if methods else "",
        sections=_sections(outcomes),
        learned=_learned(outcomes) + _published(outcomes),
        learned_words=LEARNED,
        kin_words=Counter(outcome.kin.word for outcome in outcomes if outcome.kin),
        by_depth=_by_depth(outcomes, methods),
        cuts=MAIN_CUTS,
        reference=_REFERENCE,
        stages=_stages(run),
        skipped=[str(problem) for problem in run.get("skipped_rows") or []],
        settings=flattened(settings),
        versions=flattened(versions),
        sources=_sources(outcomes),
        origins=read_origins(proteins),
        summary_name=Path(out_summary).name,
        long_separation=scoring.RANGES["long"][0],
    )
    store.save_text(out_index, page)


def _facts(outcomes: list[Outcome]) -> list[tuple[str, str, str]]:
    counts = {
        status: sum(outcome.status == status for outcome in outcomes)
        for status in (FINISHED, FAILED, INCOMPLETE)
    }
    scored = sum(bool(outcome.scores) for outcome in outcomes)
    facts = [
        (f"{len(outcomes):,}", "proteins", "in the table"),
        (f"{counts[FINISHED]:,}", "finished", "each has a page"),
        (f"{scored:,}", "compared", "with a structure"),
    ]
    if counts[FAILED]:
        facts.append((f"{counts[FAILED]:,}", "failed", "see the reasons below"))
    if counts[INCOMPLETE]:
        facts.append((f"{counts[INCOMPLETE]:,}", "incomplete", "files are missing"))
    return facts


def _headline(outcomes: list[Outcome], methods: list[str]) -> str:
    """The mean precision of the strongest method and of the reference in one sentence.

    Empty without scores, and where splits would be mixed.
    """
    told: list[str] = []
    if len({outcome.split for outcome in outcomes if outcome.scores}) != 1:
        return ""
    for method in dict.fromkeys([best_method(methods), _REFERENCE] if methods else []):
        for mean in means(outcomes, cuts=["L/5"]):
            if (mean.group, mean.method) == ("all", method):
                span = f" ({100 * mean.low:.0f} to {100 * mean.high:.0f})" if mean.clusters > 1 else ""
                told.append(f"{100 * mean.mean:.0f} %{span} for {method} (n = {mean.clusters})")
    return f"Mean precision of the best L/5 long-range pairs: {', '.join(told)}." if told else ""


def _learned(outcomes: list[Outcome]) -> list[str]:
    """One warning a refined method and way in which its weights know scored proteins of this run."""
    known: dict[tuple[str, str], int] = {}
    for outcome in outcomes:
        for method, how in outcome.learned.items():
            known[method, how] = known.get((method, how), 0) + bool(outcome.scores)
    words = {how: text.replace("this protein", "them") for how, text in LEARNED.items()}
    return [
        f"{count:,} of the compared proteins flatter {method}: its weights {words[how]} (marked below)."
        for (method, how), count in known.items()
        if count
    ]


def _published(outcomes: list[Outcome]) -> list[str]:
    """One warning a refined method whose weights have learned from published networks."""
    known = {pair: None for outcome in outcomes for pair in outcome.published.items()}
    return [f"The weights of {method} have learned from {PUBLISHED.format(origin=o)}." for method, o in known]


def _by_depth(outcomes: list[Outcome], methods: list[str]) -> figures.Chart | None:
    """Precision against depth of the strongest method and the reference; None below three scored proteins."""
    points: dict[str, list[tuple[float, float]]] = {}
    for method in dict.fromkeys([_REFERENCE, best_method(methods)] if methods else []):
        for outcome in outcomes:
            value = outcome.precision(method, "long", "L/2")
            if value is not None and math.isfinite(value) and outcome.neff:
                points.setdefault(method, []).append((outcome.neff, value))
    if max(map(len, points.values()), default=0) < 3:
        return None
    return figures.precision_by_depth_chart(points, styles(methods))


def _sections(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Mean precision of each split that has scores, grouped by depth."""
    sections = []
    for split in dict.fromkeys(outcome.split for outcome in outcomes):
        table = means([outcome for outcome in outcomes if outcome.split == split])
        if table:
            sections.append({"split": split, "groups": _groups(table)})
    return sections


def _groups(table: list[Mean]) -> list[dict[str, Any]]:
    """Means as the template walks them: groups of rows, one row per method, one cell per cut."""
    cells = {(mean.group, mean.method, mean.cut): mean for mean in table}
    groups = []
    for group in dict.fromkeys(mean.group for mean in table):
        methods = dict.fromkeys(mean.method for mean in table if mean.group == group)
        rows = [(method, [cells.get((group, method, cut)) for cut in MAIN_CUTS]) for method in methods]
        clusters = max(mean.clusters for mean in table if mean.group == group)
        groups.append({"name": group, "rows": rows, "clusters": clusters})
    return groups


def _run_record(results_dir: Path) -> dict[str, Any]:
    """Content of run.json; empty where it is missing or broken."""
    path = results_dir / "run.json"
    if not path.exists():
        return {}
    try:
        return dict(store.load_json(path))
    except (CovarionError, ValueError, TypeError) as error:
        log.warning("%s cannot be read: %s", path, error)
        return {}


def _stages(run: dict[str, Any]) -> list[dict[str, Any]]:
    """Name, jobs, seconds, CPU seconds and use, peak memory of each stage, in the order of the record."""
    stages = []
    for name, entry in (run.get("stages") or {}).items():
        values = entry if isinstance(entry, dict) else {"seconds": entry}
        stages.append(dict.fromkeys(("jobs", "seconds", "cpu", "use", "peak_mb")) | values | {"name": name})
    return stages


def _sources(outcomes: list[Outcome]) -> list[list[str]]:
    """What the table of proteins says about each: name, alignment, structure, chain, split, cluster."""
    columns = ("protein", "alignment", "structure", "chain", "split", "cluster")
    return [[str(outcome.row.get(column) or "") for column in columns] for outcome in outcomes]
