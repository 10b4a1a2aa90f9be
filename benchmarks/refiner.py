"""Precision and calibration of refiner weights on the representatives of a split, at several depths.

``python benchmarks/refiner.py --split val --weights default FILE --out T.tsv`` runs each family with all of
its sequences and with random subsets, and appends rows as `benchmarks/precision.py` has them; started again
it skips what is there. ``--table T.tsv`` prints means for each step of subsampling, ``--calibration T.tsv``
how far the probabilities can be trusted.
"""

import argparse
import logging
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from benchmarks.precision import Family, Store, outcomes_of, read_family, read_rows  # noqa: E402
from data import scoring  # noqa: E402
from data.errors import CovarionError  # noqa: E402
from data.families import read_families  # noqa: E402
from data.store import load_arrays, save_arrays  # noqa: E402
from dca.accelerate import set_threads  # noqa: E402
from dca.methods import infer  # noqa: E402
from dca.weights import sequence_weights  # noqa: E402
from nets.checkpoint import Loaded, load_refiner  # noqa: E402
from nets.dataset import subsample  # noqa: E402
from nets.features import compute_features  # noqa: E402
from nets.predict import predict  # noqa: E402
from report.summary import mean_text, means  # noqa: E402

log = logging.getLogger("refiner")

SHALLOWEST = 16
BINS = 10
DEPTH_MARK = "@"  # protein@rows is the family with so many of its sequences


def at_depths(family: Family, count: int) -> Iterator[Family]:
    """The family as it is, and with fewer sequences: `count` - 1 steps of equal ratio down to 16."""
    yield family
    rows = len(family.tokens)
    for step in range(1, count):
        fewer = round(rows ** (1 - step / (count - 1)) * SHALLOWEST ** (step / (count - 1)))
        if not SHALLOWEST <= fewer < rows:
            continue
        rng = np.random.default_rng([zlib.crc32(family.row.protein.encode()), fewer])
        tokens = subsample(family.tokens, fewer, rng)
        row = replace(family.row, protein=f"{family.row.protein}{DEPTH_MARK}{fewer}")
        yield Family(row, tokens, sequence_weights(tokens), family.truth)


def run(family: Family, weights: dict[str, Loaded], methods: list[str], store: Store) -> None:
    """Score what the table lacks; probabilities are kept beside it for the calibration."""
    protein = family.row.protein
    for method in methods:
        if (protein, method) not in store.done:
            store.add(family, method, infer(family.tokens, family.weights, method)[1][method])
    for name, loaded in weights.items():
        if (protein, name) in store.done:
            continue
        features = compute_features(family.tokens, loaded.model.config.pair_maps)
        contact = predict(loaded, features).contact
        kept = {"contact": contact.astype(np.float32), "distance": family.truth.distance}
        save_arrays(store.maps / protein / f"{name}.npz", **kept)
        store.add(family, name, contact)


def named(weights: str) -> str:
    """What the method of some weights is called: shipped ones by their name, files by theirs."""
    return Path(weights).stem if "/" in weights or weights.endswith(".safetensors") else weights


def compute(options: argparse.Namespace) -> int:
    """Fill the table; the exit code is 1 when a family failed."""
    set_threads(options.threads)
    torch.set_num_threads(options.threads)
    store = Store(options.out)
    loaded = {named(name): load_refiner(name) for name in options.weights}
    rows = read_families(options.families, [options.split], longest=options.max_length)
    failed = 0
    for number, row in enumerate(sorted(rows, key=lambda row: Path(row.alignment).stat().st_size), start=1):
        start = time.perf_counter()
        try:
            for family in at_depths(read_family(row), options.depths):
                run(family, loaded, options.methods, store)
        except (CovarionError, ValueError, RuntimeError) as error:
            failed += 1
            log.error("%s: %s", row.protein, error)
            continue
        log.info("%d/%d %s %.0f s", number, len(rows), row.protein, time.perf_counter() - start)
    return 1 if failed else 0


def table(path: Path, reference: str) -> str:
    """Markdown: means with all sequences, then with fewer, on the families that all methods have."""
    rows = read_rows(path)
    methods: dict[str, set[str]] = {}
    for row in rows:
        methods.setdefault(row["protein"], set()).add(row["method"])
    every = set().union(*methods.values())
    rows = [row for row in rows if methods[row["protein"]] == every]
    parts = []
    for number, part in by_step(rows).items():
        depths = sorted(float(row["neff"]) for row in {row["protein"]: row for row in part}.values())
        title = "all sequences" if number == 0 else f"step {number} of subsampling"
        parts.append(f"{title}: Neff {depths[0]:.0f} to {depths[-1]:.0f}, median {np.median(depths):.0f}\n\n")
        found = means(outcomes_of(part), "long", ("L/5", "L/2", "L"), reference)
        parts.append(mean_text(found) + "\n")
    return "".join(parts)


def by_step(rows: list[dict]) -> dict[int, list[dict]]:
    """Rows by how often the family's sequences were thinned."""
    names: dict[str, set[tuple[int, str]]] = {}
    for row in rows:
        names.setdefault(row["protein"].split(DEPTH_MARK)[0], set()).add((-row["n_seq"], row["protein"]))
    step = {name: number for found in names.values() for number, (_, name) in enumerate(sorted(found))}
    found: dict[int, list[dict]] = {}
    for row in rows:
        found.setdefault(step[row["protein"]], []).append(row)
    return dict(sorted(found.items()))


def calibration(path: Path, method: str) -> str:
    """Markdown: expected calibration error, Brier skill and expected precision, by range and by depth."""
    outcomes = {outcome.row["protein"]: outcome for outcome in outcomes_of(read_rows(path))}
    samples = []
    for file in sorted(path.with_suffix(".maps").glob(f"*/{method}.npz")):
        outcome = outcomes[file.parent.name]
        arrays = load_arrays(file)
        upper = np.triu_indices(len(arrays["contact"]), 6)
        known = ~np.isnan(arrays["distance"][upper])
        pairs = upper[1][known] - upper[0][known], arrays["contact"][upper][known]
        samples.append((outcome, *pairs, arrays["distance"][upper][known] < 8, len(arrays["contact"])))
    if not samples:
        raise SystemExit(f"{path.with_suffix('.maps')}: no maps of {method}; name weights as the table does")
    lines = ["| Neff | range | maps | ECE, top 2L | ECE, p > 0.1 | Brier skill | expected - observed at L |"]
    lines.append("|---|---|---|---|---|---|---|")
    rates = _base_rates(samples)
    for depth in ("all", *scoring.DEPTH_BINS):
        part = [s for s in samples if depth in ("all", scoring.depth_bin(s[0].neff))]
        for name, (low, high) in (("6-11", (6, 12)), ("12-23", (12, 24)), (">= 24", (24, 1 << 30))):
            cut = [_within(sample, low, high) for sample in part]
            cut = [sample for sample in cut if sample[1].size]
            if cut:
                lines.append(f"| {depth} | {name} | {len(cut)} | " + " | ".join(_numbers(cut, rates)) + " |")
    return "\n".join(lines) + "\n"


def _within(sample: tuple, low: int, high: int) -> tuple:
    """(separation, probability, contact, L) of the pairs in a range."""
    _, separation, probability, contact, length = sample
    chosen = (separation >= low) & (separation < high)
    return separation[chosen], probability[chosen], contact[chosen], length


def _base_rates(samples: list[tuple]) -> np.ndarray:
    """Share of contacts at each separation over all maps, from 200 on in one."""
    separation = np.minimum(np.concatenate([s[1] for s in samples]), 200)
    contact = np.concatenate([s[3] for s in samples])
    return np.bincount(separation, weights=contact) / np.maximum(np.bincount(separation), 1)


def _numbers(cut: list[tuple], rates: np.ndarray) -> list[str]:
    best, likely, gaps = [], [], []
    for _, probability, contact, length in cut:
        order = np.argsort(-probability, kind="stable")
        best.append((probability[order[: 2 * length]], contact[order[: 2 * length]]))
        likely.append((probability[probability > 0.1], contact[probability > 0.1]))
        gaps.append(probability[order[:length]].mean() - contact[order[:length]].mean())
    separation, probability, contact = (np.concatenate([s[k] for s in cut]) for k in range(3))
    known = np.mean((rates[np.minimum(separation, 200)] - contact) ** 2)
    skill = 1 - np.mean((probability - contact) ** 2) / known if known > 0 else np.nan
    errors = [expected_error(*map(np.concatenate, zip(*part, strict=True))) for part in (best, likely)]
    spread = f"{np.mean(gaps):+.3f} (mean size {np.mean(np.abs(gaps)):.3f})"
    return [f"{errors[0]:.3f}", f"{errors[1]:.3f}", f"{skill:.3f}", spread]


def expected_error(probability: np.ndarray, contact: np.ndarray) -> float:
    """Expected calibration error: mean |predicted - observed| over ten bins of equally many pairs."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if part.size]
    gaps = [abs(probability[part].mean() - contact[part].mean()) * part.size for part in parts]
    return float(sum(gaps) / probability.size) if probability.size else float("nan")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--weights", nargs="+", default=["default"], help="names or .safetensors files")
    parser.add_argument("--methods", nargs="*", default=["ridge", "plm"], help="DCA methods beside them")
    parser.add_argument("--split", choices=("train", "tune", "val"), default="val")
    parser.add_argument("--depths", type=int, default=4, help="all sequences, and so many less one subsets")
    parser.add_argument("--out", type=Path, metavar="T.tsv")
    parser.add_argument("--table", type=Path, metavar="T.tsv", help="print means by depth and stop")
    parser.add_argument("--reference", default="ridge", help="method of the paired differences")
    parser.add_argument("--calibration", type=Path, metavar="T.tsv", help="print the calibration and stop")
    parser.add_argument("--families", default=str(ROOT.parent / "shared" / "families"), metavar="FOLDER")
    parser.add_argument("--max-length", type=int, default=0, metavar="L", help="leave longer families out")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    if not (options.out or options.calibration or options.table):
        parser.error("give --out, --table or --calibration")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    options = parse(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    log.setLevel(logging.INFO)
    if options.table:
        print(table(options.table, options.reference))
        return 0
    if options.calibration:
        for name in options.weights:
            print(f"{name}\n\n{calibration(options.calibration, named(name))}")
        return 0
    return compute(options)


if __name__ == "__main__":
    sys.exit(main())
