"""Fit folded chains and calibration of the five published networks together, on tuning families alone.

``python benchmarks/expert.py`` needs the package tr-rosetta-pytorch and writes
``nets/pretrained/trrosetta.json``, which ``python -m nets published all -o trrosetta.safetensors`` puts
beside the networks. Their precision:
``python benchmarks/refiner.py --split val --weights trrosetta.safetensors --out T.tsv``.
"""

import argparse
import logging
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from benchmarks.precision import Family, read_family  # noqa: E402
from benchmarks.refiner import at_depths  # noqa: E402
from data.families import read_families  # noqa: E402
from data.store import save_json  # noqa: E402
from dca.accelerate import set_threads  # noqa: E402
from nets.calibrate import LONGEST_LOOK, fit_calibration, fit_chain  # noqa: E402
from nets.checkpoint import load_refiner  # noqa: E402
from nets.config import INVERSE  # noqa: E402
from nets.dataset import distance_bins  # noqa: E402
from nets.features import Features, compute_features  # noqa: E402
from nets.trrosetta import FITTED, published_expert  # noqa: E402

log = logging.getLogger("expert")


@dataclass(frozen=True)
class Tuning:
    """A tuning family at its depths, as `nets.calibrate` reads examples; features are computed each time."""

    cluster: str
    at: list[Family]

    def depths(self) -> int:
        """At how many depths it is read."""
        return len(self.at)

    def read(self, k: int) -> tuple[Features, np.ndarray]:
        """Features at depth number `k` and the true bins."""
        family = self.at[k]
        log.info("%s: %d rows", family.row.protein, len(family.tokens))
        return compute_features(family.tokens, (INVERSE,)), distance_bins(family.truth.distance)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 only when the file is written."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--weight", type=float, default=0.8, help="of the folded chains")
    parser.add_argument("--depths", type=int, default=3, help="all sequences, and so many less one subsets")
    parser.add_argument("--families", default=str(ROOT.parent / "shared" / "families"), metavar="FOLDER")
    parser.add_argument("--max-length", type=int, default=LONGEST_LOOK, metavar="L", help="leave longer out")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=FITTED)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    set_threads(options.threads)
    torch.set_num_threads(options.threads)
    rows = read_families(options.families, ["tune"], longest=options.max_length)
    examples = [Tuning(row.cluster, list(at_depths(read_family(row), options.depths))) for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "published.safetensors"
        published_expert(path, fitted=None)
        loaded = load_refiner(str(path))
    model = loaded.model
    chain = fit_chain(model, examples, options.weight)  # type: ignore[arg-type]
    if chain is None:
        parser.error("a weight above 0 and a tuning family are needed")
    calibration = fit_calibration(model, examples, chain)  # type: ignore[arg-type]
    proteins, clusters = (sorted({getattr(row, name) for row in rows}) for name in ("protein", "cluster"))
    tune = {"proteins": proteins, "clusters": clusters}
    digest = loaded.card["published"]["parameters_sha256"]
    fitted = {"parameters_sha256": digest, "chain": vars(chain), "calibration": calibration, "tune": tune}
    save_json(options.out, fitted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
