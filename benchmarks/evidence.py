"""Refined maps beside peers and DCA methods: by depth, range and kind of alignment, with paired tests.

``python benchmarks/evidence.py T.tsv ... --reference covarion-5`` reads tables of `benchmarks/refiner.py` on
the validation families, adds the peers' numbers where all sequences were used (they have no others), and
prints means over cluster representatives. Below each table stands Wilcoxon's signed-rank test of every
method against the reference at L, corrected by Holm over the methods of that table.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from benchmarks.curve import signed_rank  # noqa: E402
from benchmarks.precision import outcomes_of, read_rows  # noqa: E402
from benchmarks.refiner import by_step  # noqa: E402
from data.store import load_table  # noqa: E402
from report.outcomes import Outcome, representatives  # noqa: E402
from report.summary import mean_text, means  # noqa: E402

CUTS = {"long": ("L/5", "L/2", "L"), "medium+long": ("L",)}  # of the medium range peers have L alone


def kinds_of(families: Path) -> dict[str, str]:
    """How each family's alignment came about: ``direct`` or ``self-built``."""
    return {row["id"]: row["kind"] for row in load_table(families, ("id", "kind"))}


def with_peers(rows: list[dict], peers: Path) -> list[dict]:
    """The rows, and those of the peers for the proteins among them, marked ``(peer)``."""
    known: dict[str, dict] = {}
    for row in rows:
        known.setdefault(row["protein"], row)
    found = load_table(peers, ("id", "method", "range", "cut", "precision"))
    blank = {"ceiling": float("nan"), "pairs": 0, "contacts": 0, "k": 0}
    added = [
        known[row["id"]]
        | blank
        | {
            "method": f"{row['method']} (peer)",
            "range": row["range"],
            "cut": row["cut"],
            "precision": float(row["precision"]),
        }
        for row in found
        if row["id"] in known
    ]
    return rows + added


def tested(outcomes: Iterable[Outcome], name: str, reference: str) -> str:
    """p of each method against the reference at L, corrected over them; "" where there is nothing to test."""
    at = [
        {
            row["method"]: row["precision"]
            for row in outcome.scores
            if (row["range"], row["cut"]) == (name, "L")
        }
        for outcome in representatives(list(outcomes))
    ]
    methods = dict.fromkeys(method for found in at for method in found if method != reference)
    gaps = {
        method: np.array([f[method] - f[reference] for f in at if method in f and reference in f])
        for method in methods
    }
    gaps = {method: values[np.isfinite(values)] for method, values in gaps.items()}
    found = signed_rank({method: values for method, values in gaps.items() if len(values) > 5})
    texts = [f"{method} {p:.1g} ({corrected:.1g})" for method, (p, corrected) in found.items()]
    return f"Signed-rank test against {reference} at L, p (Holm): {'; '.join(texts)}\n\n" if texts else ""


def sections(rows: list[dict], kinds: dict[str, str], reference: str) -> str:
    """Markdown: by depth, then by kind of alignment, for each range."""
    outcomes = outcomes_of(rows)
    parts = []
    for name, cuts in CUTS.items():
        parts.append(f"#### Range {name}\n\n{mean_text(means(outcomes, name, cuts, reference))}\n")
        parts.append(tested(outcomes, name, reference))
        for kind in sorted(set(kinds.values())):
            of_kind = [outcome for outcome in outcomes if kinds.get(outcome.name.split("@")[0]) == kind]
            found = [mean for mean in means(of_kind, name, cuts, reference) if mean.group == "all"]
            if found:
                parts.append(f"Alignments that are {kind}:\n\n{mean_text(found)}\n")
                parts.append(tested(of_kind, name, reference))
    return "".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("tables", nargs="+", type=Path, metavar="T.tsv", help="of benchmarks/refiner.py")
    parser.add_argument("--reference", default="covarion-5", help="method of the paired differences")
    parser.add_argument(
        "--families", type=Path, default=ROOT.parent / "shared" / "families", metavar="FOLDER"
    )
    options = parser.parse_args(arguments)
    steps = by_step([row for path in options.tables for row in read_rows(path)])
    for number, rows in steps.items():
        title = "All sequences" if number == 0 else f"Step {number} of subsampling"
        rows = with_peers(rows, options.families / "peers.tsv") if number == 0 else rows
        print(
            f"### {title}\n\n{sections(rows, kinds_of(options.families / 'families.tsv'), options.reference)}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
