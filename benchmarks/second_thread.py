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

import numpy as np  # noqa: E402 (the path above comes first)

from benchmarks import peers  # noqa: E402
from benchmarks.bench_dca import FAMILIES, our_command, spread  # noqa: E402
from benchmarks.cases import read_case  # noqa: E402
from benchmarks.measure import Usage, measure  # noqa: E402

HEADER = (
    "| family | alone, wall s | 2 alone / both | CPU s, both / 2 alone | alone / two | CPU s, two / alone "
    "| share of what is granted |"
)


def turn(path: Path, folder: Path) -> tuple[float, float, Usage, Usage]:
    """Wall seconds of both at once, their CPU seconds, and what alone and two took."""
    alone = measure(our_command(path, "plm", 1, folder / "alone.npz"))
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(measure, our_command(path, "plm", 1, folder / f"{number}.npz")) for number in range(2)
        ]
        together = [run.result() for run in runs]
    two = measure(our_command(path, "plm", 2, folder / "two.npz"), 2)
    return max(u.wall for u in together), sum(u.cpu for u in together), alone, two


def line(name: str, turns: list[tuple[float, float, Usage, Usage]]) -> str:
    """The row of a family."""
    at_once = np.array([both for both, *_ in turns])
    at_once_cpu = np.array([cpu for _, cpu, *_ in turns])
    alone, two = (np.array([[t[k].wall, t[k].cpu] for t in turns]) for k in (2, 3))
    granted, gained = 2 * alone[:, 0] / at_once, alone[:, 0] / two[:, 0]
    values = [
        spread(list(alone[:, 0])),
        spread(list(granted)),
        spread(list(at_once_cpu / (2 * alone[:, 1]))),
        spread(list(gained)),
        spread(list(two[:, 1] / alone[:, 1])),
        spread(list(gained / granted)),
    ]
    return f"| {name} | {' | '.join(values)} |"


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
            print(line(family, [turn(path, folder) for _ in range(options.repeats)]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
