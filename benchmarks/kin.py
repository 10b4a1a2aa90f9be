"""Precision without the families of which remote kin was learned from: ours and the peers'.

``python benchmarks/kin.py results/families/summary.tsv --chains PROTEIN ...`` prints mean long-range
precision at L/5 and L over all proteins of a run that have a refined map, over those without the word
``related`` in the column ``kin``, and over those that are not named after ``--chains`` either: the families
that find chains of simulated families (`benchmarks/homology.py --structures`).
"""

import argparse
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from data.store import load_table  # noqa: E402
from report.peers import COLUMNS, SUFFIX  # noqa: E402

CUTS = ("L/5", "L")
METHODS = ("plm", f"deepcov{SUFFIX}", f"trrosetta{SUFFIX}", "refined")

Found = dict[tuple[str, str, str], float]  # by protein, method and cut


def read(summary: str, peers: str) -> tuple[Found, set[str]]:
    """Long-range precision of the run's proteins and of the peers on them; the proteins with kin."""
    columns = ("protein", "method", "range", "cut", "precision", "kin")
    rows = [row for row in load_table(summary, columns) if row["range"] == "long" and row["precision"]]
    found = {(row["protein"], row["method"], row["cut"]): float(row["precision"]) for row in rows}
    for row in load_table(peers, COLUMNS):
        if row["range"] == "long":
            found[row["id"], row["method"] + SUFFIX, row["cut"]] = float(row["precision"])
    return found, {row["protein"] for row in rows if row["kin"] == "related"}


def table(found: Found, related: set[str], chains: set[str]) -> str:
    """Markdown: a row for all families, then for ever fewer."""
    proteins = sorted({protein for protein, method, _ in found if method == "refined"})
    if unknown := sorted(chains - set(proteins)):
        raise SystemExit(f"no refined map of {', '.join(unknown)} in the summary")
    parts = {
        "all": set(),
        "no kin among families learned from or tuned on": related,
        "nor among the chains of simulated families": related | chains,
    }
    lines = [f"| families | | {' | '.join(METHODS)} |", "|" + "---|" * (2 + len(METHODS))]
    for name, left_out in parts.items():
        kept = [protein for protein in proteins if protein not in left_out]
        cells = [
            ", ".join(f"{statistics.fmean(found[p, method, cut] for p in kept):.3f}" for cut in CUTS)
            for method in METHODS
        ]
        lines.append(f"| {name} | {len(kept)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("summary", help="summary.tsv of a run of the validation families")
    parser.add_argument("--peers", default=str(ROOT.parent / "shared" / "families" / "peers.tsv"))
    parser.add_argument("--chains", nargs="*", default=[], metavar="PROTEIN", help="left out at last")
    options = parser.parse_args(arguments)
    sys.stdout.write(table(*read(options.summary, options.peers), set(options.chains)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
