"""Scores of a protein against all its structures: precision by experiments, agreement with models."""

from pathlib import Path
from typing import Any

from data import scoring
from data.comparisons import CHAIN
from data.models import EXPERIMENT, MODEL

MEASURES = {EXPERIMENT: "precision", MODEL: "agreement"}
REFERENCES = {EXPERIMENT: "the structure", MODEL: "the predicted model"}
SHOWN_CUTS = ("L/5", "L/2", "L")


def read_comparisons(
    scores: str | Path | None, agreement: str | Path | None
) -> dict[str, list[dict[str, Any]]]:
    """Rows of both tables by kind of the truth, the value of each under ``precision``."""
    found: dict[str, list[dict[str, Any]]] = {EXPERIMENT: [], MODEL: []}
    if scores:
        found[EXPERIMENT] = scoring.read_scores(scores, against=None)
    if agreement:
        rows = scoring.read_scores(agreement, against=None)
        found[MODEL] = [row | {"precision": row["agreement"]} for row in rows]
    return found


def first_chain(comparisons: dict[str, list[dict[str, Any]]], kind: str) -> list[dict[str, Any]]:
    """Rows against the first chain, of the kind that it is."""
    return [row for row in comparisons[kind] if row["against"] == CHAIN]


def comparison_tables(
    comparisons: dict[str, list[dict[str, Any]]], methods: list[str], names: dict[str, str]
) -> list[dict[str, Any]]:
    """Long-range values against all that is not the first chain, one table per kind, the chain's beside.

    Parameters
    ----------
    comparisons : dict
        Of `read_comparisons`.
    methods : list of str
        In the order of display.
    names : dict
        What a person calls ``chain`` and ``assembly``.

    Returns
    -------
    list of dict
        ``measure``, ``cuts``, and ``body``: (against, method, contacts, values of the cuts); empty where
        there is the first chain alone.
    """
    tables = []
    for kind, rows in comparisons.items():
        long = {(row["against"], row["method"], row["cut"]): row for row in rows if row["range"] == "long"}
        against = list(dict.fromkeys(key[0] for key in long))
        if not set(against) - {CHAIN}:
            continue
        body = [
            (
                names.get(name, name),
                method,
                long[name, method, SHOWN_CUTS[0]]["contacts"],
                [long[name, method, cut]["precision"] for cut in SHOWN_CUTS],
            )
            for name in against
            for method in methods
            if (name, method, SHOWN_CUTS[0]) in long
        ]
        tables.append({"measure": MEASURES[kind], "cuts": SHOWN_CUTS, "body": body})
    return tables
