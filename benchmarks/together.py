"""Many alignments in one process of ours beside one process of CCMpred for each.

    PATH=FOLDER_OF_CCMPRED:$PATH python benchmarks/together.py --length 40 80 --rows 100 1500

CPU seconds, one thread, whole processes, reading and weighting included; each alignment once. A first
process of ours, which compiles kernels, is not counted.
"""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import peers  # noqa: E402 (the path above comes first)
from benchmarks.cases import read_case  # noqa: E402
from benchmarks.measure import measure  # noqa: E402
from data.families import read_families  # noqa: E402


def main() -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--families", type=Path, default=ROOT.parent / "shared" / "families")
    parser.add_argument("--splits", nargs="+", default=["train", "tune"])
    parser.add_argument("--length", type=int, nargs=2, default=(40, 80), metavar=("FROM", "TO"))
    parser.add_argument("--rows", type=int, nargs=2, default=(100, 1500), metavar=("FROM", "TO"))
    options = parser.parse_args()
    peer, program = next(
        ((p, path) for p, path in peers.available().items() if p.name == "ccmpred"), (None, "")
    )
    if peer is None:
        parser.error("ccmpred is not on PATH")
    paths, theirs = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        for row in read_families(
            options.families, options.splits, representatives=False, longest=options.length[1]
        ):
            case = read_case(row.protein, options.families)
            count, length = case.tokens.shape
            inside = options.length[0] <= length <= options.length[1]
            if not (inside and options.rows[0] <= count <= options.rows[1]):
                continue
            own = Path(folder, row.protein)
            paths.append(str(case.write(own)))
            theirs += (used := measure(peer.command(program, own, length, 1))).cpu
            print(f"{row.protein}: {count} x {length}, CCMpred {used.cpu:.2f} s", file=sys.stderr, flush=True)
        if not paths:
            parser.error("no family is of this size: widen --length, --rows or --splits")
        command = [sys.executable, "-m", "dca", "--out-dir", str(Path(folder, "out"))]
        measure([*command, paths[0]])
        ours = measure([*command, *paths]).cpu
    ratio = theirs / ours
    print(f"{len(paths)} alignments: ours {ours:.2f} CPU s in one process, CCMpred {theirs:.2f}: {ratio:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
