"""Tables over the proteins of a run: one row per number, means over clusters, and a short one to print."""

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from data import scoring
from report.outcomes import FINISHED, Outcome, proteins_found, read_outcomes, representatives, scored_methods

COLUMNS = (
    "protein",
    "status",
    "cluster",
    "split",
    "length",
    "n_seq",
    "neff",
    "depth_bin",
    "method",
    "range",
    "cut",
    "k",
    "precision",
    "ceiling",
    "pairs",
    "contacts",
    "kin",
    "closest_family",
    "closest_evalue",
    "closest_identity",
    "reason",
)
MAIN_CUTS = ("L/5", "L/2", "L")


@dataclass(frozen=True)
class Mean:
    """Mean precision of a method at a cut over cluster representatives.

    Attributes
    ----------
    group : str
        ``all`` or a depth bin.
    method, cut : str
        What is averaged.
    clusters : int
        How many representatives stand behind it.
    mean, low, high : float
        Mean and its bootstrap interval over clusters.
    ceiling : float
        Mean of the largest precision possible.
    reference : str
        Method of the paired difference, "" where there is none.
    paired : int
        Representatives that both methods scored.
    difference, difference_low, difference_high : float
        Mean of the paired difference ``method - reference`` and its interval; NaN without a reference.
    """

    group: str
    method: str
    cut: str
    clusters: int
    mean: float
    low: float
    high: float
    ceiling: float
    reference: str = ""
    paired: int = 0
    difference: float = math.nan
    difference_low: float = math.nan
    difference_high: float = math.nan


def mean_table(
    results_dir: str | Path,
    proteins: list[dict[str, Any]],
    range_name: str = "long",
    cuts: Iterable[str] = MAIN_CUTS,
    reference: str = "plm",
) -> list[Mean]:
    """Mean precision per method over cluster representatives, overall and by depth bin.

    Parameters
    ----------
    results_dir : path
        Folder of the run.
    proteins : list of dict
        Rows of the table of proteins; give those of one split to average over that split. The first
        scored protein of each cluster represents it.
    range_name, cuts : str
        What is averaged.
    reference : str
        Method that the others are compared with, pair by pair.

    Returns
    -------
    list of Mean
        Group by group, method by method, cut by cut.
    """
    return means(read_outcomes(results_dir, proteins), range_name, cuts, reference)


def means(
    outcomes: list[Outcome],
    range_name: str = "long",
    cuts: Iterable[str] = MAIN_CUTS,
    reference: str = "plm",
) -> list[Mean]:
    """`mean_table` of outcomes that are already read."""
    chosen = representatives(outcomes)
    groups = {"all": chosen}
    for outcome in sorted(chosen, key=lambda outcome: outcome.neff or 0):
        groups.setdefault(outcome.depth_bin or "unknown depth", []).append(outcome)
    return [
        mean
        for group, members in groups.items()
        for method in scored_methods(members)
        for cut in cuts
        if (mean := _mean(group, members, method, (range_name, cut), reference)) is not None
    ]


def _mean(
    group: str, members: list[Outcome], method: str, place: tuple[str, str], reference: str
) -> Mean | None:
    """Mean of one method in one group; None where no member has a score."""
    values = _precisions(members, method, place)
    if not values:
        return None
    made = Mean(group, method, place[1], len(values), *_interval(values), _ceiling(members, method, place))
    others = _precisions(members, reference, place)
    gaps = {cluster: values[cluster] - others[cluster] for cluster in values if cluster in others}
    if method == reference or not gaps:
        return made
    mean, low, high = _interval(gaps)
    return replace(
        made,
        reference=reference,
        paired=len(gaps),
        difference=mean,
        difference_low=low,
        difference_high=high,
    )


def _precisions(members: list[Outcome], method: str, place: tuple[str, str]) -> dict[str, float]:
    """Precision by cluster, of the members that have one."""
    found = {member.cluster: member.precision(method, *place) for member in members}
    return {cluster: value for cluster, value in found.items() if value is not None and math.isfinite(value)}


def _interval(values: dict[str, float]) -> tuple[float, float, float]:
    """Mean of the clusters' values and its bootstrap interval."""
    mean, low, high = scoring.bootstrap_mean(np.array(list(values.values())), np.array(list(values)))
    return float(mean), float(low), float(high)


def _ceiling(members: list[Outcome], method: str, place: tuple[str, str]) -> float:
    ceilings = [
        row["ceiling"]
        for member in members
        for row in member.scores
        if (row["method"], row["range"], row["cut"]) == (method, *place) and math.isfinite(row["ceiling"])
    ]
    return float(np.mean(ceilings)) if ceilings else math.nan


def mean_text(table: list[Mean]) -> str:
    """`mean_table` as a Markdown table, one row per group and method."""
    cuts = list(dict.fromkeys(mean.cut for mean in table))
    cells = {(mean.group, mean.method, mean.cut): mean for mean in table}
    head = ["Neff", "method", "clusters", *cuts]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for group, method in dict.fromkeys((mean.group, mean.method) for mean in table):
        row = [cells[group, method, cut] for cut in cuts if (group, method, cut) in cells]
        texts = [_mean_cell(mean) for mean in row]
        lines.append("| " + " | ".join([group, method, str(row[0].clusters), *texts]) + " |")
    return "\n".join(lines) + "\n"


def _mean_cell(mean: Mean) -> str:
    """Mean and paired difference; an interval where more than one cluster stands behind it."""
    text = f"{mean.mean:.3f}"
    if mean.clusters > 1:
        text += f" ({mean.low:.3f} to {mean.high:.3f})"
    if mean.reference:
        text += f"; {mean.difference:+.3f}"
    if mean.reference and mean.paired > 1:
        text += f" ({mean.difference_low:+.3f} to {mean.difference_high:+.3f})"
    return text


def summary_rows(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Rows of summary.tsv: one per protein, method, range and cut, or one per protein without scores."""
    rows: list[dict[str, Any]] = []
    for outcome in outcomes:
        shared = {
            "protein": outcome.name,
            "status": outcome.status,
            "cluster": outcome.row.get("cluster") or "",
            "split": outcome.split,
            "length": outcome.length,
            "n_seq": outcome.n_seq,
            "neff": None if outcome.neff is None else f"{outcome.neff:.2f}",
            "depth_bin": outcome.depth_bin,
            "reason": " ".join(outcome.reason.split()),
        } | _kin_cells(outcome)
        scores = [{name: row[name] for name in COLUMNS if name in row} for row in outcome.scores] or [{}]
        rows.extend(shared | {name: row[name] for name in row if name != "protein"} for row in scores)
    return rows


def _kin_cells(outcome: Outcome) -> dict[str, str]:
    """Whether a family behind the weights is homologous, and the closest one."""
    if outcome.kin is None:
        return {}
    hit = outcome.kin.hit
    cells = {"kin": outcome.kin.word, "closest_family": hit.get("family", "")}
    if hit:
        cells |= {"closest_evalue": f"{hit['evalue']:.2g}", "closest_identity": f"{hit['identity']:.2f}"}
    return cells


def summary_text(outcomes: list[Outcome]) -> str:
    """Text of summary.tsv."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, delimiter="\t", lineterminator="\n", extrasaction="ignore")
    table.writeheader()
    for row in summary_rows(outcomes):
        table.writerow({name: _plain(value) for name, value in row.items()})
    return text.getvalue()


def _plain(value: Any) -> Any:
    """Whole numbers without a decimal point, nothing for what is not known."""
    if not isinstance(value, float):
        return "" if value is None else value
    if not math.isfinite(value):
        return ""
    return int(value) if value.is_integer() and value > 1 else f"{value:.4f}".rstrip("0").rstrip(".")


def summary_table(results_dir: str | Path, proteins: list[dict[str, Any]]) -> str:
    """Precision of long-range contacts per protein and method as plain text, failures with their reason.

    Parameters
    ----------
    results_dir : path
        Folder of the run.
    proteins : list of dict
        Rows of the table of proteins; when empty, every protein that the folder holds.

    Returns
    -------
    str
        Lines of at most about 100 characters, for the end of a run.
    """
    outcomes = read_outcomes(results_dir, proteins or proteins_found(results_dir))
    rows = [["protein", "method", *MAIN_CUTS, "ceiling at L"]]
    notes = []
    for outcome in outcomes:
        for method in scored_methods([outcome]):
            numbers = [_two(outcome.precision(method, "long", cut)) for cut in MAIN_CUTS]
            rows.append([outcome.name, method, *numbers, _two(_ceiling([outcome], method, ("long", "L")))])
        if outcome.status != FINISHED:
            notes.append(f"{outcome.name}: {outcome.status}: {' '.join(outcome.reason.split())}")
        elif not outcome.scores:
            known = (
                f"compared with {outcome.structure} alone"
                if outcome.structure
                else "no structure to compare with"
            )
            notes.append(f"{outcome.name}: finished, {known}")
    title = (
        "Precision of the best long-range pairs (|i - j| >= 24; a contact is C-beta closer than 8 angstrom)"
    )
    return "\n".join([title, *_columns(rows), *notes]) + "\n"


def _two(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.2f}"


def _columns(rows: list[list[str]]) -> list[str]:
    """Rows in columns of even width: two of text, the others of numbers."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
