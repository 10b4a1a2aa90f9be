"""Time of a prediction, convolutions by minimal filtering (`nets/convolution.py`) beside those of torch.

``python benchmarks/filtering.py --lengths 100 250 500 --threads 1 2`` predicts maps of made-up
alignments, both ways in turn. Features are computed before; chains and calibration belong to a prediction.
``--weights`` takes a file too, such as the published networks' (``python -m nets published all -o FILE``).
"""

import argparse
import contextlib
import sys
import time
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from data.alphabet import Q  # noqa: E402
from nets import experts, stream  # noqa: E402
from nets.checkpoint import Loaded, load_refiner  # noqa: E402
from nets.convolution import use_threads  # noqa: E402
from nets.features import Features, compute_features  # noqa: E402
from nets.predict import distance_logits, predict  # noqa: E402

ROWS = 300


def seconds(loaded: Loaded, features: Features, by_torch: bool) -> tuple[float, torch.Tensor]:
    """Wall seconds of a prediction, and the logits of its distance bins, computed apart."""
    with contextlib.ExitStack() as patches:
        for module in (stream, experts) if by_torch else ():
            patches.enter_context(mock.patch.object(module, "fits", return_value=False))
        start = time.perf_counter()
        predict(loaded, features)
        return time.perf_counter() - start, distance_logits(loaded.model, features)


def row(loaded: Loaded, length: int, threads: int, repeats: int) -> str:
    """A line of the table."""
    use_threads(threads)
    tokens = np.random.default_rng(1).integers(0, Q, (ROWS, length)).astype(np.int8)
    features = compute_features(tokens, loaded.model.config.pair_maps)
    seconds(loaded, features, False)  # kernels are compiled
    runs = [[seconds(loaded, features, way) for way in (True, False)] for _ in range(repeats)]
    torchs, ours = ([pair[k][0] for pair in runs] for k in (0, 1))
    ratios = sorted(a / b for a, b in zip(torchs, ours, strict=True))
    apart = float((runs[0][0][1] - runs[0][1][1]).abs().max())
    readers = loaded.model.config.readers(length)
    return (
        f"| {length} | {readers} | {threads} | {np.median(torchs):.1f} | {np.median(ours):.1f} | "
        f"{np.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) | {apart:.0e} |"
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 250, 500], metavar="L")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--weights", default="default", help="a name or a .safetensors file")
    options = parser.parse_args(arguments)
    loaded = load_refiner(options.weights)
    print("| L | networks | threads | s, torch | s, here | ratio | logits apart |")
    print("|---|---|---|---|---|---|---|")
    for length in options.lengths:
        for threads in options.threads:
            print(row(loaded, length, threads, options.repeats), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
