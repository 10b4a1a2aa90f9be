"""Which families repeat themselves: ``python benchmarks/repeats.py --splits train tune``.

Prints every representative of a folder of families in whose profile `report.repeats` finds a repeat, with its
best segments, and how many were looked at.
"""

import argparse
import logging
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from data.families import read_families  # noqa: E402
from data.msa import read_alignment  # noqa: E402
from dca.weights import sequence_weights  # noqa: E402
from report.evidence import profile  # noqa: E402
from report.repeats import Repeats, find_repeats  # noqa: E402

MOST_ROWS = 1000  # spread evenly over a deep alignment: a profile needs no more


def repeats_of(alignment: str) -> Repeats:
    """Repeats in the profile of an alignment."""
    tokens = read_alignment(alignment).tokens
    tokens = tokens[np.unique(np.linspace(0, len(tokens) - 1, MOST_ROWS).astype(int))]
    weights = sequence_weights(tokens, 0.8)
    return find_repeats(profile(tokens, weights)[0], float(weights.sum()))


def main(arguments: list[str] | None = None) -> int:
    """Print a line for each family with repeats."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--folder", default="../shared/families", help="holds families.tsv and the alignments"
    )
    parser.add_argument("--splits", nargs="*", default=["train", "tune"])
    parser.add_argument(
        "--only", nargs="*", default=[], help="ids of families (default: one of each cluster)"
    )
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    rows = read_families(options.folder, options.splits, only=options.only)
    flagged = 0
    for row in rows:
        found = repeats_of(row.alignment)
        flagged += bool(found.segments)
        best = "; ".join(
            f"{one.first + 1} to {one.first + one.length}, period {one.period}, E = {one.evalue:.0e}"
            for one in found.segments[:3]
        )
        if best:
            sys.stdout.write(f"{row.protein}: {best}\n")
    sys.stdout.write(f"{flagged} of {len(rows)} families\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
