"""What a second thread is worth to pseudolikelihood, beside what a second core of the machine is worth.

``python benchmarks/second_thread.py FAMILY ...`` runs, in turns, whole processes each: one process with one
thread (alone), two such processes at once (both), and one process with two threads (two). ``both`` is what a
machine grants to two programs that share nothing but caches, memory and the host: 2 alone / both is 2 where
they do not hinder each other. Ratios are taken within each turn; medians, smallest to largest.
"""

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import peers  # noqa: E402 (the path above comes first)
from benchmarks.bench_dca import FAMILIES, our_command, spread  # noqa: E402
from benchmarks.cases import read_case  # noqa: E402
from benchmarks.measure import measure  # noqa: E402

HEADER = (
    "| family | alone, wall s | 2 alone / both | CPU s, both / 2 alone | alone / two | CPU s, two / alone "
    "| share of what is granted |"
)


def turn(path: Path, folder: Path) -> tuple[float, ...]:
    """What one turn puts into each column of the table."""
    alone = measure(our_command(path, "plm", 1, folder / "alone.npz"))
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(measure, our_command(path, "plm", 1, folder / f"{number}.npz")) for number in range(2)
        ]
        both = [run.result() for run in runs]
    two = measure(our_command(path, "plm", 2, folder / "two.npz"), 2)
    granted = 2 * alone.wall / max(usage.wall for usage in both)
    gained = alone.wall / two.wall
    dearer = sum(usage.cpu for usage in both) / (2 * alone.cpu)
    return alone.wall, granted, dearer, gained, two.cpu / alone.cpu, gained / granted


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("family", nargs="+")
    parser.add_argument("--families", type=Path, default=FAMILIES)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    print(HEADER, "|---|---|---|---|---|---|---|", sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for family in options.family:
            peers.write_inputs(read_case(family, options.families).tokens, folder)
            path = folder / "x.fasta"
            for threads in (1, 2):
                measure(our_command(path, "plm", threads, folder / "warm-up.npz"), threads)
            columns = zip(*(turn(path, folder) for _ in range(options.repeats)), strict=True)
            print(f"| {family} | {' | '.join(spread(list(values)) for values in columns)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
