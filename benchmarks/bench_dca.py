"""Time, memory and agreement of our methods and of the peers found on PATH, on the same alignments.

``PATH=../shared/peers:$PATH make bench`` prints Markdown; ``python benchmarks/bench_dca.py CASE ...`` takes
ids of families, paths of alignments and ``simulated:L:N``. Every run is a whole process: start of the
program, reading, weighting, inference, writing. Ours are warm: the kernels are compiled before, and the cold
start has its own line.
"""

import argparse
import json
import math
import os
import platform
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 (the path above comes first)

from benchmarks import objective, peers  # noqa: E402
from benchmarks.cases import Case, default_names, read_case, simulated  # noqa: E402
from benchmarks.measure import Usage, measure  # noqa: E402
from data.scoring import score_map  # noqa: E402
from data.store import save_text  # noqa: E402
from dca.__main__ import METHODS as OUR_METHODS  # noqa: E402

FAMILIES = ROOT.parent / "shared" / "families"
SEPARATION = 6
CUTS = ("L/5", "L")
HEAD = ("family", "N", "L", "program", "threads", "wall s", "CPU s", "peak MB", "CPU / ours", "r")
HEAD += ("P(L/5)", "P(L)")
LEGEND = """\
Whole processes, reading and weighting included: median (smallest to largest) of {repeats} runs, one run where
it took more than {once:g} s. CPU: user and system seconds; peak: largest resident set. CPU / ours: the peer's
CPU seconds by those of our method beside it with the first number of threads; r: correlation of their scores
over pairs j - i >= {separation}; P: precision of long-range pairs (j - i >= 24). A peer with "> S" was ended
after S seconds (--limit). Beside each other: {beside}. Not on PATH: {missing}.
"""


OVER = Usage(math.inf, math.inf, math.nan)  # of a peer that was ended


class Program(NamedTuple):
    """One line of the table before it is run."""

    label: str
    beside: str
    threads: int
    command: list[str]
    read: Callable[[], np.ndarray]


def our_command(path: Path, method: str, threads: int, out: Path) -> list[str]:
    """The command line that a user types."""
    options = ["--method", method, "--threads", str(threads), "-o", str(out)]
    return [sys.executable, "-m", "dca", str(path), *options]


def _our_map(path: Path) -> np.ndarray:
    with np.load(path) as arrays:
        return arrays["score"]


def programs(case: Case, path: Path, options: argparse.Namespace) -> list[Program]:
    """Ours for every method and number of threads, then the peers of these methods."""
    folder, length = path.parent, case.tokens.shape[1]
    found = []
    for method in options.methods:
        for threads in options.threads:
            out = folder / f"{method}-{threads}.npz"
            command = our_command(path, method, threads, out)
            found.append(Program(method, method, threads, command, lambda out=out: _our_map(out)))
    for peer, program in peers.available(options.boltzmann).items():
        for threads in options.peer_threads if peer.beside in options.methods else ():
            command = peer.command(program, folder, length, threads)
            read = lambda peer=peer: peer.read(folder, length)  # noqa: E731 (bound to this peer)
            found.append(Program(peer.name, peer.beside, threads, command, read))
    return found


def run_case(case: Case, folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure all programs on one alignment, compare their maps; a peer that fails has no row."""
    planned = programs(case, case.write(folder / case.name), options)
    used = measure_in_turns(case.name, planned, options)
    upper = np.triu_indices(case.tokens.shape[1], SEPARATION)
    ours: dict[str, tuple[np.ndarray, float]] = {}  # scores and CPU seconds at the first number of threads
    rows = []
    for program, usages in zip(planned, used, strict=True):
        if not usages:
            continue
        row = {"family": case.name, "n": case.tokens.shape[0], "length": case.tokens.shape[1]}
        row |= {"program": program.label, "beside": program.beside, "threads": program.threads}
        if usages[0].wall == math.inf:
            rows.append(row | {"over": options.limit})
            continue
        score = program.read()
        row |= {name: [getattr(usage, name) for usage in usages] for name in Usage._fields}
        cpu = statistics.median(row["cpu"])
        if program.label == program.beside:
            ours.setdefault(program.label, (score[upper], cpu))
        else:
            reference, seconds = ours[program.beside]
            row["correlation"] = float(np.corrcoef(score[upper], reference)[0, 1])
            row["ratio"] = cpu / seconds
        rows.append(row | _precision(score, case))
    return rows


def measure_in_turns(name: str, planned: list[Program], options: argparse.Namespace) -> list[list[Usage]]:
    """Usages of each program, all once, then all again, so that a drift of the machine meets all alike."""
    used: list[list[Usage]] = [[] for _ in planned]
    failed: set[int] = set()
    for turn in range(options.repeats):
        for number, program in enumerate(planned):
            if number in failed or (turn and used[number][0].wall > options.once_above):
                continue
            try:
                limit = None if program.label == program.beside else options.limit
                used[number].append(measure(program.command, program.threads, limit=limit))
                text = f"{used[number][-1].wall:.1f} s"
            except TimeoutError as error:
                failed.add(number)
                used[number], text = [OVER], str(error)
            except RuntimeError as error:
                if program.label == program.beside:
                    raise
                failed.add(number)
                used[number], text = [], str(error)
            print(f"{name} {program.label}, {program.threads} threads: {text}", file=sys.stderr, flush=True)
    return used


def _precision(score: np.ndarray, case: Case) -> dict[str, float]:
    """Long-range precision at L/5 and L, nothing without a structure."""
    if case.truth is None:
        return {}
    found = score_map(score, case.truth, case.name, "")
    return {row["cut"]: row["precision"] for row in found if row["range"] == "long" and row["cut"] in CUTS}


def spread(values: list[float], digits: int = 2) -> str:
    """Median and, of several values, smallest and largest."""
    text = f"{statistics.median(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def line(row: dict[str, Any]) -> str:
    """A row of the table in Markdown."""
    numbers = [row["family"], row["n"], row["length"], row["program"], row["threads"]]
    if "over" in row:
        shown = [f"> {row['over']:g}", "", ""]
    else:
        shown = [spread(row["wall"]), spread(row["cpu"]), f"{max(row['memory']):.0f}"]
    further = [("ratio", ".2f"), ("correlation", ".3f"), *((cut, ".2f") for cut in CUTS)]
    shown += [format(row[name], form) if name in row else "" for name, form in further]
    return "| " + " | ".join(map(str, [*numbers, *shown])) + " |"


def speed_ups(rows: list[dict[str, Any]]) -> str:
    """How much faster plm is by the clock with the most threads than with one, family by family."""
    parts = []
    for family in dict.fromkeys(row["family"] for row in rows):
        walls = {
            row["threads"]: statistics.median(row["wall"])
            for row in rows
            if (row["family"], row["program"]) == (family, "plm")
        }
        if len(walls) > 1 and 1 in walls:
            most = max(walls)
            parts.append(f"{family} {walls[1] / walls[most]:.2f} ({most} threads)")
    return f"plm, seconds by the clock with one thread / with several: {'; '.join(parts)}" if parts else ""


def start_up(folder: Path, repeats: int) -> dict[str, Any]:
    """plm on a small family with an empty cache of kernels and again with what the first run left there."""
    path = simulated(50, 300).write(folder / "start-up")
    command = our_command(path, "plm", 1, folder / "start-up.npz")
    cold, warm = [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as cache:
            environment = {"NUMBA_CACHE_DIR": cache}
            cold.append(measure(command, 1, environment))
            warm.append(measure(command, 1, environment))
    return {f"{name} {field}": [getattr(usage, field) for usage in usages]
            for name, usages in (("cold", cold), ("warm", warm)) for field in ("wall", "cpu")}  # fmt: skip


def batch(paths: list[Path], folder: Path, repeats: int) -> dict[str, Any]:
    """CPU and wall seconds of one process for several alignments, and the sums of one process for each."""
    out = str(folder / "batch")
    found: dict[str, Any] = {"alignments": len(paths)}
    together, apart = [], []
    for _ in range(repeats):
        command = [sys.executable, "-m", "dca", *map(str, paths), "--threads", "1", "--out-dir", out]
        together.append(measure(command))
        single = [measure(our_command(path, "plm", 1, folder / "single.npz")) for path in paths]
        apart.append(Usage(*map(sum, zip(*single, strict=True))))
    for name, usages in (("together", together), ("apart", apart)):
        found |= {f"{name} {field}": [getattr(usage, field) for usage in usages] for field in ("wall", "cpu")}
    return found


def host() -> dict[str, Any]:
    """The machine, and how busy it was at the start."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [text for text in cpuinfo.read_text().splitlines() if text.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def report_extras(result: dict[str, Any]) -> None:
    """The lines below the table."""
    start, several = result["start_up"], result["batch"]
    print(f"\n{speed_ups(result['rows'])}\n")
    print(
        f"Start-up, plm on 300 rows of 50 columns, wall / CPU s: cold cache {spread(start['cold wall'])} / "
        f"{spread(start['cold cpu'])}; warm {spread(start['warm wall'])} / {spread(start['warm cpu'])}\n"
    )
    print(
        f"{several['alignments']} alignments, wall / CPU s: one process {spread(several['together wall'])} / "
        f"{spread(several['together cpu'])}; one process each {spread(several['apart wall'])} / "
        f"{spread(several['apart cpu'])}"
    )


def bench(options: argparse.Namespace) -> None:
    """Run everything, printing a family's lines as they are known."""
    beside = ", ".join(f"{peer.name} and {peer.beside}" for peer in peers.available(options.boltzmann))
    missing = ", ".join(peers.missing(options.boltzmann))
    result: dict[str, Any] = {"host": host(), "repeats": options.repeats, "rows": []}
    print(", ".join(f"{name} {value}" for name, value in result["host"].items()) + "\n")
    known = {"repeats": options.repeats, "once": options.once_above, "separation": SEPARATION}
    print(LEGEND.format(**known, beside=beside or "none", missing=missing or "none"))
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm_up = simulated(30, 100).write(folder / "warm-up")
        for method in options.methods:
            measure(our_command(warm_up, method, 1, folder / "warm-up.npz"))
        paths: list[Path] = []
        for case in (read_case(name, options.families) for name in options.case):
            rows = run_case(case, folder, options)
            print("\n".join(map(line, rows)), flush=True)
            result["rows"] += rows
            save(result, options.json)
            paths.append(folder / case.name / f"{case.name}.a3m")
        smallest = sorted(paths, key=lambda path: path.stat().st_size)[:3]
        result["start_up"] = start_up(folder, options.repeats)
        result["batch"] = batch(smallest, folder, options.repeats)
    report_extras(result)
    save(result, options.json)


def save(result: dict[str, Any], path: Path | None) -> None:
    """Write what is known so far, where a file is asked for."""
    if path:
        save_text(path, json.dumps(result, indent=1) + "\n")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("case", nargs="*", help="id of a family, path of an alignment, or simulated:L:N")
    parser.add_argument("--methods", nargs="+", default=["plm", "mean-field", "ridge"], choices=OUR_METHODS)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--peer-threads", nargs="+", type=int, default=[1], metavar="N")
    parser.add_argument("--repeats", type=int, default=3, metavar="N")
    parser.add_argument("--once-above", type=float, default=60, metavar="S", help="no repeats of longer runs")
    parser.add_argument("--limit", type=float, metavar="S", help="end a peer after so many seconds")
    parser.add_argument("--boltzmann", action="store_true", help="also Boltzmann machines: slow")
    parser.add_argument("--families", type=Path, default=FAMILIES, metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every number here")
    parser.add_argument("--objective", metavar="CASE", help="CPU seconds to the same value of the objective")
    parser.add_argument(
        "--most", type=int, default=1000, metavar="N", help="with it: iterations of the peers"
    )
    options = parser.parse_args(arguments)
    options.case = options.case or default_names(options.families)
    if options.limit is not None and not options.limit > 0:
        parser.error("--limit must be above 0 seconds")
    if options.boltzmann and "boltzmann" in OUR_METHODS:
        options.methods = [*options.methods, "boltzmann"]
    elif options.boltzmann:
        parser.error("this version has no method boltzmann to compare with")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    options = parse(arguments)
    if options.objective:
        result = objective.compare(read_case(options.objective, options.families), options.most)
        print(objective.text(result))
        save(result, options.json)
    else:
        bench(options)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # what is measured ends, too
    sys.exit(main())
