"""Pseudolikelihood on a GPU beside the compiled kernels on all threads of the same machine.

``python benchmarks/on_gpu.py ALIGNMENT...`` prints for each alignment wall seconds of the two (of one call
each in this process, after a small call of both, so that start-up, compiling and the context of CUDA are not
counted), the device memory that was taken and that `dca.device.memory_needed` predicts, and how far apart the
APC-corrected maps are. Weights at 80 % identity are computed before the clock starts.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from data.msa import read_alignment  # noqa: E402
from dca.accelerate import get_threads, set_threads  # noqa: E402
from dca.couplings import Couplings  # noqa: E402
from dca.device import memory_needed, pseudolikelihood_on_device  # noqa: E402
from dca.gauge import zero_sum  # noqa: E402
from dca.maps import apc, frobenius  # noqa: E402
from dca.pseudolikelihood import pseudolikelihood  # noqa: E402
from dca.weights import sequence_weights  # noqa: E402

HEADER = "| N x L | GPU, s | kernels, s | GPU MB | predicted | largest difference | largest value |"


def timed(infer: Callable[[], Couplings]) -> tuple[float, np.ndarray]:
    """Wall seconds of an inference, and its APC-corrected map."""
    start = time.perf_counter()
    model = infer()
    return time.perf_counter() - start, apc(frobenius(zero_sum(model)))


def row(tokens: np.ndarray, device: str) -> str:
    """One line of the table."""
    weights = sequence_weights(tokens)
    held = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    seconds, found = timed(lambda: pseudolikelihood_on_device(tokens, weights, device=device))
    taken = torch.cuda.max_memory_allocated(device) - held
    kernels, expected = timed(lambda: pseudolikelihood(tokens, weights))
    n, length = tokens.shape
    apart, largest = np.abs(found - expected).max(), expected.max()
    return (
        f"| {n:,} x {length} | {seconds:.3f} | {kernels:.3f} | {taken / 1e6:.0f} "
        f"| {memory_needed(n, length) / 1e6:.0f} | {apart:.1e} | {largest:.2f} |"
    )


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when every alignment has been measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("alignments", nargs="+", metavar="ALIGNMENT", help="A3M, FASTA or Stockholm")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ...")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the kernels")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        parser.error(f"torch {torch.__version__} sees no GPU")
    if not options.device.startswith("cuda"):
        parser.error(f"--device names a GPU, not {options.device!r}")
    set_threads(options.threads)
    rng = np.random.default_rng(0)
    row(rng.integers(0, 21, (200, 12)).astype(np.int8), options.device)
    print(f"{torch.cuda.get_device_name(options.device)}, torch {torch.__version__}, {get_threads()} threads")
    print(HEADER, "|---|---|---|---|---|---|---|", sep="\n")
    for path in options.alignments:
        print(row(read_alignment(path).tokens, options.device), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
