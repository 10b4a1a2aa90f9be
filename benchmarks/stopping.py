"""How close the default stop of pseudolikelihood comes to its own converged map, family by family.

``python benchmarks/stopping.py FAMILY ...`` takes what ``bench_dca.py`` takes; ``--splits val --most 3e7``
takes the representatives of these splits of `--families` with at most so much N L^2. For each tolerance:
gradients until the stop, the correlation of the APC-corrected map with that of a run to a tolerance of
0.001, over pairs j - i >= 6, and which share of the L best of these pairs is among the L best there.
"""

import argparse
import logging
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 (the path above comes first)

from benchmarks.bench_dca import FAMILIES, SEPARATION  # noqa: E402
from benchmarks.cases import read_case  # noqa: E402
from data.families import read_families  # noqa: E402
from dca.accelerate import set_threads  # noqa: E402
from dca.pseudolikelihood import PlmSettings  # noqa: E402
from dca.uncertainty import plm_scores  # noqa: E402
from dca.weights import sequence_weights  # noqa: E402

CONVERGED = 1e-3


class _Gradients(logging.Handler):
    """Remembers how many gradients the last run took."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg).endswith("%d gradients"):
            self.count = int(record.args[0])


def main() -> None:
    """Print one line for each family, and the smallest and the median."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("family", nargs="*")
    parser.add_argument("--families", type=Path, default=FAMILIES)
    parser.add_argument("--splits", nargs="*", default=[])
    parser.add_argument("--most", type=float, default=3e7)
    parser.add_argument("--tolerances", nargs="+", type=float, default=[PlmSettings().tolerance])
    options = parser.parse_args()
    names = list(options.family)
    if options.splits:
        names += [row.protein for row in read_families(str(options.families), options.splits)]
    taken = _Gradients()
    log = logging.getLogger("dca.pseudolikelihood")
    log.addHandler(taken)
    log.setLevel(logging.INFO)
    set_threads(1)
    print("family\tN\tL\t" + "\t".join(f"{t:g}: gradients\tr\ttop L" for t in options.tolerances))
    found = []
    for name in names:
        tokens = read_case(name, options.families).tokens
        if tokens.shape[0] * tokens.shape[1] ** 2 > options.most and name not in options.family:
            continue
        weights = sequence_weights(tokens)
        upper = np.triu_indices(tokens.shape[1], SEPARATION)
        end = scores(tokens, weights, CONVERGED)[upper]
        cells = []
        for tolerance in options.tolerances:
            mine = scores(tokens, weights, tolerance)[upper]
            cells.append((taken.count, np.corrcoef(mine, end)[0, 1], overlap(mine, end, tokens.shape[1])))
        found.append(cells)
        line = "\t".join(f"{count}\t{r:.4f}\t{share:.3f}" for count, r, share in cells)
        print(f"{name}\t{tokens.shape[0]}\t{tokens.shape[1]}\t{line}", flush=True)
    table = np.array(found)
    for label, summary in (("smallest", table.min(axis=0)), ("median", np.median(table, axis=0))):
        print(f"{label} of {len(table)}\t\t\t" + "\t".join(f"{n:g}\t{r:.4f}\t{s:.3f}" for n, r, s in summary))
    print("below 0.99\t\t\t" + "\t".join(f"\t{count}\t" for count in (table[:, :, 1] < 0.99).sum(axis=0)))


def scores(tokens: np.ndarray, weights: np.ndarray, tolerance: float) -> np.ndarray:
    """APC-corrected map [L, L] at a stop."""
    settings = PlmSettings(tolerance=tolerance, max_iterations=1000)
    return plm_scores(tokens, weights, settings=settings)[1]


def overlap(one: np.ndarray, other: np.ndarray, most: int) -> float:
    """Share of the best pairs that two lists of scores have in common."""
    best = [set(np.argsort(-values, kind="stable")[:most]) for values in (one, other)]
    return len(best[0] & best[1]) / len(best[0])


if __name__ == "__main__":
    main()
