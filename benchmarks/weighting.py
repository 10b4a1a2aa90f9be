"""CPU seconds of the sequence weights of real alignments, and what they would be at 20,000 sequences.

    python benchmarks/weighting.py ../shared/families/*/msa.a3m.gz --length 170 230 --rows 4000

One thread, median of five, reading not included; scaled by the number of pairs of sequences.
"""

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 (the path above comes first)

from data.msa import read_alignment  # noqa: E402
from dca.accelerate import set_threads  # noqa: E402
from dca.weights import effective_number, sequence_weights  # noqa: E402

MANY = 20_000


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("alignment", nargs="+")
    parser.add_argument("--length", type=int, nargs=2, default=(1, 10**6), metavar=("FROM", "TO"))
    parser.add_argument("--rows", type=int, default=1, help="alignments of fewer sequences are left out")
    options = parser.parse_args()
    set_threads(1)
    print("| family | N | L | Neff | CPU s | at N = 20,000 |\n|---|---|---|---|---|---|")
    scaled = []
    for path in options.alignment:
        tokens = read_alignment(path).tokens
        rows, length = tokens.shape
        if rows < options.rows or not options.length[0] <= length <= options.length[1]:
            continue
        weights = sequence_weights(tokens)  # compiles what is not yet compiled
        times = []
        for _ in range(5):
            start = time.process_time()
            sequence_weights(tokens)
            times.append(time.process_time() - start)
        scaled.append(np.median(times) * (MANY / rows) ** 2)
        neff = effective_number(weights)
        name = Path(path).parent.name
        print(f"| {name} | {rows} | {length} | {neff:.0f} | {np.median(times):.3f} | {scaled[-1]:.2f} |")
    if scaled:
        low, middle, high = np.quantile(scaled, (0, 0.5, 1))
        print(f"\n{len(scaled)} families, at N = 20,000: median {middle:.2f} s ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
