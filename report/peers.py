"""Precision of other programs on the same proteins, from a table, beside ours."""

import math
from dataclasses import replace
from pathlib import Path

from data.errors import CovarionError
from data.store import load_table
from report.outcomes import Outcome

COLUMNS = ("id", "method", "range", "cut", "precision")
SUFFIX = " (peer)"


def with_peers(outcomes: list[Outcome], path: str | Path) -> list[Outcome]:
    """Outcomes whose scores also hold the peers', under the method's name with `` (peer)``.

    Parameters
    ----------
    outcomes : list of Outcome
    path : path
        Tab-separated, columns id, method, range, cut, precision at least.

    Raises
    ------
    CovarionError
        The table is missing, lacks a column, or holds a precision that is no number.
    """
    peers: dict[str, list[dict]] = {}
    try:
        for row in load_table(path, COLUMNS):
            peers.setdefault(row["id"], []).append(_score(row))
    except (CovarionError, ValueError) as error:
        raise CovarionError(
            "not a table of peers' precision",
            file=path,
            value=error,
            remedy="give a tab-separated table with these columns",
        ) from error
    return [replace(outcome, scores=[*outcome.scores, *peers.get(outcome.name, [])]) for outcome in outcomes]


def _score(row: dict[str, str]) -> dict:
    unknown = {"k": 0, "pairs": 0, "contacts": 0, "ceiling": math.nan}
    named = {"protein": row["id"], "method": row["method"] + SUFFIX, "range": row["range"], "cut": row["cut"]}
    return named | unknown | {"precision": float(row["precision"])}
