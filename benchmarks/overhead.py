"""What is paid beside the couplings: start-up with a cold and a warm kernel cache, sequence weights, memory.

``python benchmarks/overhead.py`` prints all; ``--only start|weights|memory`` prints a part. CPU seconds
are user and system seconds, one thread; other work on the machine makes them grow. ``--only pipeline`` runs
the whole workflow on simulated small proteins and prints which share of its CPU time was useful: what the
stages took in a process that had run a protein before.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 (the path above comes first)

from benchmarks.cases import simulated  # noqa: E402
from benchmarks.many import write_proteins  # noqa: E402
from benchmarks.measure import measure  # noqa: E402
from data.alphabet import decode  # noqa: E402
from dca.accelerate import set_threads  # noqa: E402
from dca.couplings import Couplings  # noqa: E402
from dca.memory import predicted_bytes  # noqa: E402
from dca.pseudolikelihood import PlmSettings, pseudolikelihood  # noqa: E402
from dca.simulate import AMINO, sample_tree, yule_tree  # noqa: E402
from dca.weights import sequence_weights  # noqa: E402
from workflow.batches import FOLDER  # noqa: E402
from workflow.journal import Journal  # noqa: E402
from workflow.run_times import ENDING  # noqa: E402

SIZES = ((20_000, 1_000), (300_000, 150))  # rows, columns


def start(runs: int) -> str:
    """CPU seconds of ``python -m dca`` on a small family, kernels compiled and kernels from the cache."""
    case = simulated(75, 120)
    lines = ["| kernel cache | CPU s of each run |", "|---|---|"]
    with tempfile.TemporaryDirectory() as name:
        alignment = Path(name) / "small.fasta"
        alignment.write_text("".join(f">s{n}\n{decode(row)}\n" for n, row in enumerate(case.tokens)))
        command = [sys.executable, "-m", "dca", str(alignment)]
        cold, warm = [], []
        for run in range(runs):
            cache = {"NUMBA_CACHE_DIR": f"{name}/cache{run}"}
            cold.append(measure(command, environment=cache).cpu)
            warm.append(measure(command, environment=cache).cpu)
    for label, found in (("empty", cold), ("full", warm)):
        lines.append(f"| {label} | {', '.join(f'{seconds:.2f}' for seconds in found)} |")
    return "\n".join(lines)


def independent_sites(length: int) -> Couplings:
    """A model without couplings, letters equally likely."""
    pairs = length * (length - 1) // 2
    shape = (AMINO, AMINO)
    return Couplings(np.zeros((length, AMINO), np.float32), np.zeros((pairs, *shape), np.float32))


def weights(runs: int, rows: int = 20_000, length: int = 200) -> str:
    """CPU seconds of the weights of sequences that evolved along trees of three depths."""
    set_threads(1)
    lines = [f"| tree depth | Neff of {rows} | CPU s of each run |", "|---|---|---|"]
    model = independent_sites(length)
    sequence_weights(np.zeros((20, length), np.int8))  # compiles
    for depth in (0.5, 1.0, 2.0):
        rng = np.random.default_rng(1)
        tokens = sample_tree(model, yule_tree(rows, depth, rng), rng)
        found, seconds = np.empty(0), []
        for _ in range(runs):
            begun = time.process_time()
            found = sequence_weights(tokens)
            seconds.append(f"{time.process_time() - begun:.2f}")
        lines.append(f"| {depth} | {found.sum():.0f} | {', '.join(seconds)} |")
    return "\n".join(lines)


def memory() -> str:
    """Predicted and measured peak of the two named sizes, with few iterations: what is held does not grow."""
    lines = ["| rows | columns | predicted MB | measured MB |", "|---|---|---|---|"]
    for rows, length in SIZES:
        used = measure([sys.executable, __file__, "--hold", str(rows), str(length)])
        predicted = predicted_bytes("plm", rows, length) / 1e6
        lines.append(f"| {rows} | {length} | {predicted:.0f} | {used.memory:.0f} |")
    return "\n".join(lines)


def hold(rows: int, length: int) -> None:
    """Two iterations of pseudolikelihood on random rows."""
    tokens = np.random.default_rng(0).integers(0, 21, size=(rows, length), dtype=np.int8)
    pseudolikelihood(tokens, np.ones(rows, np.float32), PlmSettings(max_iterations=2))


def pipeline(proteins: int, batch: int, folder: Path) -> str:
    """CPU seconds of a run of many small proteins, and how many a warm process needs for the stages."""
    table = write_proteins(folder / "in", proteins)
    command = [
        sys.executable, "-m", "snakemake",
        "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder),
        "--workflow-profile", str(ROOT / "workflow/profiles/default"), "--cores", "2",
        "--config", f"proteins={table}", f"batch={{proteins: {batch}}}",
    ]  # fmt: skip
    used = measure(command)
    warm = []
    for path in sorted((folder / "results" / FOLDER).glob("*.tsv")):
        names = [line.split("\t")[0] for line in path.read_text().splitlines()[1:]]
        if not path.name.endswith(ENDING):
            journals = [Journal.read(folder / "results" / name) for name in names[1:]]
            warm += [sum(record["cpu"] for record in journal.stages.values()) for journal in journals]
    if not warm:
        return f"{proteins} proteins, no batches: {used.cpu:.1f} CPU s, {used.wall:.1f} s"
    useful = proteins * float(np.mean(warm))
    head = "| proteins | CPU s | useful CPU s | overhead | peak MB |\n|---|---|---|---|---|\n"
    share = 1 - useful / used.cpu
    return f"{head}| {proteins} | {used.cpu:.1f} | {useful:.1f} | {share:.1%} | {used.memory:.0f} |"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", choices=("start", "weights", "memory", "pipeline"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--proteins", type=int, default=1000, help="of --only pipeline")
    parser.add_argument("--batch", type=int, default=50, help="proteins a job, of --only pipeline; 0: none")
    parser.add_argument("--folder", type=Path, help="where --only pipeline runs and leaves its files")
    parser.add_argument("--hold", nargs=2, type=int, metavar=("ROWS", "COLUMNS"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.hold:
        hold(*options.hold)
        return 0
    if options.only == "pipeline":
        with tempfile.TemporaryDirectory() as name:
            print(pipeline(options.proteins, options.batch, options.folder or Path(name)))
        return 0
    parts = {"start": lambda: start(options.runs), "weights": lambda: weights(options.runs), "memory": memory}
    for name, part in parts.items():
        if options.only in (None, name):
            print(f"{part()}\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
