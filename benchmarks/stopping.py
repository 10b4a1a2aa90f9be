"""How close the default stop of pseudolikelihood comes to its own converged map, family by family.

``python benchmarks/stopping.py FAMILY ...`` takes what ``bench_dca.py`` takes; ``--splits val --most 3e7``
takes the representatives of these splits of `--families` with at most so much N L^2. For each tolerance:
gradients until the stop, the correlation of the APC-corrected map with that of a run to a tolerance of
0.001, over pairs j - i >= 6, and which share of the L best of these pairs is among the L best there. At the
end, for each tolerance: how much the precision of long-range pairs (j - i >= 24) at L, L/2 and L/5 lies above
that of the converged map, mean over the families that have a structure and its standard error.
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
from data.contacts import Truth  # noqa: E402
from data.families import read_families  # noqa: E402
from data.scoring import score_map  # noqa: E402
from dca.accelerate import set_threads  # noqa: E402
from dca.pseudolikelihood import PlmSettings  # noqa: E402
from dca.uncertainty import plm_scores  # noqa: E402
from dca.weights import sequence_weights  # noqa: E402

CONVERGED = 1e-3
CUTS = ("L", "L/2", "L/5")


class _Gradients(logging.Handler):
    """Remembers how many gradients the last run took."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg).endswith("%d gradients"):
            self.count = int(record.args[0])


def main() -> None:
    """Print one line for each family, the smallest and the median, and what precision gains."""
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
    found, gains = [], []
    for name in names:
        case = read_case(name, options.families)
        tokens = case.tokens
        if tokens.shape[0] * tokens.shape[1] ** 2 > options.most and name not in options.family:
            continue
        weights = sequence_weights(tokens)
        upper = np.triu_indices(tokens.shape[1], SEPARATION)
        converged = scores(tokens, weights, CONVERGED)
        end, cells, reached = converged[upper], [], []
        for tolerance in options.tolerances:
            score = scores(tokens, weights, tolerance)
            mine = score[upper]
            cells.append((taken.count, np.corrcoef(mine, end)[0, 1], overlap(mine, end, tokens.shape[1])))
            if case.truth is not None:
                reached.append(precision(score, case.truth))
        found.append(cells)
        if case.truth is not None:
            gains.append(np.array(reached) - precision(converged, case.truth))
        line = "\t".join(f"{count}\t{r:.4f}\t{share:.3f}" for count, r, share in cells)
        print(f"{name}\t{tokens.shape[0]}\t{tokens.shape[1]}\t{line}", flush=True)
    table = np.array(found)
    for label, summary in (("smallest", table.min(axis=0)), ("median", np.median(table, axis=0))):
        print(f"{label} of {len(table)}\t\t\t" + "\t".join(f"{n:g}\t{r:.4f}\t{s:.3f}" for n, r, s in summary))
    print("below 0.99\t\t\t" + "\t".join(f"\t{count}\t" for count in (table[:, :, 1] < 0.99).sum(axis=0)))
    if len(gains) > 1:
        print_gains(np.array(gains), options.tolerances)


def print_gains(gains: np.ndarray, tolerances: list[float]) -> None:
    """Mean and standard error over families of precision beyond that of the converged map, [F, T, 3]."""
    print(f"precision beyond the converged map's, {len(gains)} families: " + ", ".join(CUTS))
    errors = gains.std(axis=0, ddof=1) / np.sqrt(len(gains))
    for tolerance, mean, error in zip(tolerances, gains.mean(axis=0), errors, strict=True):
        print(f"{tolerance:g}\t" + "\t".join(f"{m:+.4f} ({e:.4f})" for m, e in zip(mean, error, strict=True)))


def precision(score: np.ndarray, truth: Truth) -> np.ndarray:
    """Of long-range pairs at each of `CUTS`."""
    rows = {row["cut"]: row["precision"] for row in score_map(score, truth, "", "") if row["range"] == "long"}
    return np.array([rows[cut] for cut in CUTS])


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
