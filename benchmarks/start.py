"""One published network of trRosetta as a start: trained on with our families, the same examples and loss.

``python benchmarks/start.py --examples FOLDER --out RUN/weights.safetensors`` writes the published network
beside them as ``published-N.safetensors``, makes the examples that FOLDER lacks and trains; started again it
goes on from its last checkpoint. The log holds the precision on ``tune`` before, while and after;
``benchmarks/refiner.py --split val --weights RUN/published-N.safetensors RUN/weights.safetensors`` compares.
"""

import argparse
import logging
import sys
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 (the path above comes first)

from benchmarks.precision import read_family  # noqa: E402
from data.families import read_families  # noqa: E402
from dca.accelerate import set_threads  # noqa: E402
from nets.config import INVERSE  # noqa: E402
from nets.dataset import write_example  # noqa: E402
from nets.train import train_refiner  # noqa: E402
from nets.trrosetta import published_weights  # noqa: E402

SETTINGS = {"batch": 1, "crop": 112, "average": 0.98, "save_every": 20, "evaluate_every": 60}

log = logging.getLogger("start")


def examples(families: str, folder: Path, longest: int, depths: int) -> list[dict[str, str]]:
    """Examples of the representatives of ``train`` and ``tune``, made where they are missing."""
    files = []
    for split in ("train", "tune"):
        for row in read_families(families, [split], longest=longest):
            path = folder / INVERSE / f"{row.protein}.npz"
            if not path.exists():
                log.info("example of %s", row.protein)
                family = read_family(row)
                rng = np.random.default_rng([1, zlib.crc32(row.protein.encode())])
                write_example(path, family.tokens, family.truth.distance, rng, depths, (INVERSE,))
            files.append({"protein": row.protein, "path": str(path), "cluster": row.cluster, "split": split})
    return files


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--examples", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN/weights.safetensors")
    parser.add_argument("--network", type=int, default=1, choices=range(1, 6), help="which of the five")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--depths", type=int, default=3, help="of each family")
    parser.add_argument("--families", default=str(ROOT.parent / "shared" / "families"), metavar="FOLDER")
    parser.add_argument("--max-length", type=int, default=110, metavar="L", help="leave longer families out")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    options = parse(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)
    set_threads(options.threads)
    start = options.out.parent / f"published-{options.network}.safetensors"
    if not start.exists():
        published_weights(options.network, start)
    files = examples(options.families, options.examples, options.max_length, options.depths)
    log.info("%d examples", len(files))
    settings = SETTINGS | {"steps": options.steps, "learning_rate": options.learning_rate}
    train_refiner(files, str(options.out), {}, settings, "cpu", options.threads, str(start))
    return 0


if __name__ == "__main__":
    sys.exit(main())
