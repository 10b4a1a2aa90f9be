"""How long training waits for its crops, and how much memory it holds, on a folder of example files.

``python benchmarks/loading.py FOLDER --count 30`` trains a small network on the largest examples, a stand-in
for a device that computes fast, and prints seconds of the clock and of the CPU per step, the share of time
spent waiting for crops, the size of the examples and the peak memory of the process.
"""

import argparse
import resource
import sys
import tempfile
import time
from concurrent.futures import Future
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402 (the path above comes first)

from nets.config import RefinerConfig, TrainConfig  # noqa: E402
from nets.dataset import Example  # noqa: E402
from nets.train import Trainer  # noqa: E402


class Waits:
    """Seconds that were spent waiting for results of threads, however they are read ahead."""

    def __init__(self) -> None:
        self.seconds, self.result = 0.0, Future.result

    def __enter__(self) -> "Waits":
        def timed(future: Future, *arguments: float) -> object:
            begun = time.perf_counter()
            found = self.result(future, *arguments)
            self.seconds += time.perf_counter() - begun
            return found

        Future.result = timed  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *error: object) -> None:
        Future.result = self.result  # type: ignore[method-assign]


def measured(paths: list[Path], options: argparse.Namespace) -> str:
    """One row of the table."""
    examples = [Example(path.stem, str(path), path.stem, "train") for path in paths]
    config = RefinerConfig(channels=options.channels, blocks=options.blocks)
    settings = TrainConfig(steps=options.steps, batch=2, crop=96, save_every=10**6)
    with tempfile.TemporaryDirectory() as folder, Waits() as waits:
        trainer = Trainer(examples, config, settings, folder)
        wall, cpu = time.perf_counter(), time.process_time()
        trainer.run()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    size = sum(path.stat().st_size for path in paths) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    seconds = f"{wall / options.steps:.3f} | {cpu / options.steps:.3f}"
    return f"| {seconds} | {100 * waits.seconds / wall:.1f} % | {size:.0f} | {peak:.0f} |"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--blocks", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    paths = sorted(options.folder.glob("*.npz"), key=lambda path: -path.stat().st_size)[: options.count]
    print("| s a step | CPU s a step | waiting | examples, MB | peak, MB |\n|---|---|---|---|---|")
    print(measured(paths, options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
