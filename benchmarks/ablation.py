"""What each input and each source of data is worth to the refiner: small networks, equal updates.

``python benchmarks/ablation.py --examples FOLDER --out A.tsv --seeds 1 2 3`` trains each of `VARIANTS`
with each seed and scores it on the representatives of ``val`` at several depths; started again it skips what
is done. Examples are made from the families where FOLDER lacks them; simulated folds are read from
``FOLDER/folds`` (`nets.folds`). ``--table A.tsv`` prints means over seeds with intervals over clusters.
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 (the path above comes first)
import torch  # noqa: E402

from benchmarks.curve import extrapolate, signed_rank  # noqa: E402
from benchmarks.precision import Family, Store, outcomes_of, read_family, read_rows  # noqa: E402
from benchmarks.refiner import at_depths, by_step  # noqa: E402
from data.families import CLUSTER, read_families  # noqa: E402
from data.registry import find_package_file  # noqa: E402
from data.store import load_arrays, save_arrays, sha256  # noqa: E402
from dca.accelerate import set_threads  # noqa: E402
from nets.config import TEACHERS, RefinerConfig, TrainConfig  # noqa: E402
from nets.dataset import Example, by_cluster, random_crop, write_example  # noqa: E402
from nets.experts import TRROSETTA_FILE, trrosetta  # noqa: E402
from nets.features import Features, compute_features  # noqa: E402
from nets.model import Refiner, contact_logit  # noqa: E402
from nets.predict import distance_logits  # noqa: E402
from nets.teacher import save_labels  # noqa: E402
from nets.train import Trainer  # noqa: E402
from report.summary import mean_text, means  # noqa: E402

log = logging.getLogger("ablation")

MODEL = RefinerConfig(channels=24, blocks=8)
SETTINGS = {"steps": 600, "batch": 2, "crop": 80, "learning_rate": 2e-3, "save_every": 10_000}
MAPS = ("ridge", "mi")


@dataclass(frozen=True)
class Variant:
    """What a network may see and what it learns from.

    Attributes
    ----------
    couplings : bool
        Whether the 21 x 21 block of each pair enters.
    maps : tuple of str
        Named maps that enter.
    shallow : bool
        Whether families are also shown with fewer sequences.
    fold_share : float
        Share of crops from simulated families on other folds.
    clusters : float
        Share of the training clusters.
    labelled : bool
        Whether only the examples are learned from that a teacher has labelled.
    taught : float
        Share of the teacher's labels in the loss.
    """

    couplings: bool = True
    maps: tuple[str, ...] = MAPS
    shallow: bool = True
    fold_share: float = 0.0
    clusters: float = 1.0
    labelled: bool = False
    taught: float = 0.0


VARIANTS = {
    "all inputs": Variant(),
    "profile": Variant(couplings=False, maps=()),
    "profile + MI": Variant(couplings=False, maps=("mi",)),
    "profile + MI + DCA map": Variant(couplings=False),
    "all sequences only": Variant(shallow=False),
    "with folds": Variant(fold_share=0.25),
    "labelled families": Variant(labelled=True),
    "half teacher": Variant(labelled=True, taught=0.5),
    "teacher alone": Variant(labelled=True, taught=1.0),
    "1/8 of clusters": Variant(clusters=1 / 8),
    "1/4 of clusters": Variant(clusters=1 / 4),
    "1/2 of clusters": Variant(clusters=1 / 2),
}
FRACTIONS = ("1/8 of clusters", "1/4 of clusters", "1/2 of clusters")


class Ablation(Trainer):
    """A training run of a variant."""

    def __init__(self, examples: list[Example], variant: Variant, settings: TrainConfig, folder: Path):
        super().__init__(chosen(examples, variant.clusters, settings.seed), MODEL, settings, folder)
        self.variant = variant
        blind(self.model, variant)
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def _load(self, step: int) -> list[tuple]:
        settings, deepest = self.settings, not self.variant.shallow
        numbers = range(step * settings.batch, (step + 1) * settings.batch)
        rngs = {n: np.random.default_rng([settings.seed, 1, n]) for n in numbers}
        edges = MODEL.bin_edges if self.variant.taught else ()
        return [
            random_crop(self._example(n), settings.crop, rng, deepest, taught=edges)
            for n, rng in rngs.items()
        ]


def blind(model: Refiner, variant: Variant) -> None:
    """Take inputs away: their weights are zero and stay so."""
    open_maps = torch.tensor([name in variant.maps for name in MAPS], dtype=torch.float32)
    with torch.no_grad():
        model.embed_maps.weight *= open_maps
        if not variant.couplings:
            model.embed_couplings.weight.zero_()
    model.embed_maps.weight.register_hook(lambda gradient: gradient * open_maps)
    model.embed_couplings.weight.requires_grad_(variant.couplings)


def chosen(examples: list[Example], share: float, seed: int) -> list[Example]:
    """Examples of a random share of the clusters, and all simulated ones."""
    real = by_cluster([e for e in examples if not e.cluster.startswith(CLUSTER)])
    order = np.random.default_rng([seed, 7]).permutation(len(real))
    kept = [member for k in order[: round(share * len(real))] for member in real[k]]
    return kept + [e for e in examples if e.cluster.startswith(CLUSTER)]


def training_examples(families: str, folder: Path, longest: int, labelled: int = 0) -> list[Example]:
    """Examples of the training families, made where they are missing, and the folds that are there.

    With ``labelled``, the length up to which a teacher was asked, those alone that it was asked about.
    """
    longest = min(longest, labelled) if labelled else longest
    examples = []
    for row in read_families(families, ["train"], representatives=bool(labelled), longest=longest):
        path = folder / "real" / f"{row.protein}.npz"
        if not path.exists():
            log.info("example of %s", row.protein)
            family = read_family(row)
            rng = np.random.default_rng([1, zlib.crc32(row.protein.encode())])
            write_example(path, family.tokens, family.truth.distance, rng, 8, MAPS)
        labels = folder / "teacher" / f"{row.protein}.npz"
        teacher = str(labels) if labels.exists() else ""
        examples.append(Example(row.protein, str(path), row.cluster, "train", teacher=teacher))
    for path in sorted((folder / "folds").glob("*.npz")):
        examples.append(Example(path.stem, str(path), f"{CLUSTER}{path.stem}", "train"))
    return examples


def ask(families: str, folder: Path, longest: int) -> None:
    """Labels of the teacher for the representatives of ``train``, made where they are missing."""
    for row in read_families(families, ["train"], longest=longest):
        path = folder / "teacher" / f"{row.protein}.npz"
        if not path.exists():
            log.info("teacher on %s", row.protein)
            said = {"name": TEACHERS[0], "networks_sha256": sha256(find_package_file(TRROSETTA_FILE)[0])}
            save_labels(path, trrosetta(read_family(row).tokens), **said)


def validation(families: str, folder: Path, longest: int, depths: int) -> Iterator[tuple[Family, Features]]:
    """Representatives of ``val`` at their depths, with features that are computed once."""
    for row in read_families(families, ["val"], longest=longest):
        for family in at_depths(read_family(row), depths):
            path = folder / "val" / f"{family.row.protein}.npz"
            if not path.exists():
                save_arrays(path, **vars(compute_features(family.tokens, MAPS)))
            yield family, Features(**load_arrays(path))


def compute(options: argparse.Namespace) -> None:
    """Train and score what the table lacks."""
    set_threads(options.threads)
    torch.set_num_threads(options.threads)
    store = Store(options.out)
    if options.teacher_length:
        ask(options.families, options.examples, options.teacher_length)
    only_taught = all(VARIANTS[name].labelled for name in options.variants)
    labelled = options.teacher_length if only_taught else 0
    examples = training_examples(options.families, options.examples, options.max_length, labelled)
    if any(VARIANTS[name].fold_share for name in options.variants) and not any(
        example.cluster.startswith(CLUSTER) for example in examples
    ):
        raise SystemExit(f"{options.examples / 'folds'}: no simulated folds to learn from (nets.folds)")
    held_out = list(validation(options.families, options.examples, options.max_length, options.depths))
    for seed in options.seeds:
        for name in options.variants:
            label = f"{name}#{seed}"
            todo = [item for item in held_out if (item[0].row.protein, label) not in store.done]
            if not todo:
                continue
            start = time.perf_counter()
            model = trained(examples, VARIANTS[name], seed, options.steps)
            for family, features in todo:
                logits = contact_logit(distance_logits(model, features), MODEL.contact_bins)
                store.add(family, label, logits.numpy())
            log.info("%s: %.0f s", label, time.perf_counter() - start)


def trained(examples: list[Example], variant: Variant, seed: int, steps: int) -> Refiner:
    """The network of a variant after all updates."""
    told = {"steps": steps, "seed": seed, "fold_share": variant.fold_share}
    if variant.taught:
        told |= {"teacher": TEACHERS[0], "teacher_weight": variant.taught}
    settings = TrainConfig(**SETTINGS | told)
    used = [e for e in examples if variant.fold_share or not e.cluster.startswith(CLUSTER)]
    used = [e for e in used if e.teacher or not variant.labelled]
    with tempfile.TemporaryDirectory() as folder:
        run = Ablation(used, variant, settings, Path(folder))
        run.run()
        return run.averaged()


def table(path: Path, reference: str, total: int) -> str:
    """Markdown for each step of subsampling: means over seeds, their spread, tests, the learning curve."""
    rows = read_rows(path)
    parts = []
    for step, part in by_step(rows).items():
        depths = sorted({row["protein"]: float(row["neff"]) for row in part}.values())
        parts.append(
            f"step {step}: Neff {depths[0]:.0f} to {depths[-1]:.0f}, median {np.median(depths):.0f}\n\n"
        )
        parts.append(mean_text(means(outcomes_of(over_seeds(part)), "long", ("L/5", "L"), reference)) + "\n")
        parts.append(f"standard deviation over seeds of the mean at L: {spread(part)}\n\n")
        parts.append(tests(part, reference) + growth(part, total))
    return "".join(parts)


def tests(rows: list[dict], reference: str) -> str:
    """Signed-rank tests of each variant against the reference at L."""
    names, precision = _precision(rows)
    if reference not in names:
        return ""
    first = precision[:, names.index(reference)]
    found = signed_rank(
        {name: column - first for name, column in zip(names, precision.T, strict=True) if name != reference}
    )
    texts = [f"{name} {p:.3g} ({corrected:.3g})" for name, (p, corrected) in found.items()]
    return f"signed-rank test against {reference} at L, p (Holm): {', '.join(texts)}\n\n"


def growth(rows: list[dict], total: int) -> str:
    """The power law in the number of clusters, fitted on at most half of them."""
    names, precision = _precision(rows)
    used = [name for name in (*FRACTIONS, "all inputs") if name in names]
    if len(used) <= len(FRACTIONS):
        return ""
    clusters = np.array([round(VARIANTS[name].clusters * total) for name in used], dtype=float)
    found = extrapolate(clusters, precision[:, [names.index(name) for name in used]])
    return (
        f"1 - precision at L = {found.law.scale:.3f} n^-{found.law.exponent:.3f}, fitted on n = "
        f"{', '.join(f'{n:.0f}' for n in clusters[:-1])}; at n = {clusters[-1]:.0f} it promises "
        f"{found.promised:.3f} ({found.low:.3f} to {found.high:.3f}), observed {found.observed:.3f}\n\n"
    )


def _precision(rows: list[dict]) -> tuple[list[str], np.ndarray]:
    """Names of the variants and their long-range precision at L, [proteins, variants], means over seeds."""
    merged = [row for row in over_seeds(rows) if row["range"] == "long" and row["cut"] == "L"]
    names = list(dict.fromkeys(row["method"] for row in merged))
    proteins = list(dict.fromkeys(row["protein"] for row in merged))
    found = {(row["protein"], row["method"]): row["precision"] for row in merged}
    whole = [p for p in proteins if all((p, name) in found for name in names)]
    return names, np.array([[found[p, name] for name in names] for p in whole]).reshape(
        len(whole), len(names)
    )


def over_seeds(rows: list[dict]) -> list[dict]:
    """One row for each variant, its precision the mean over seeds."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        key = row["protein"], row["method"].split("#")[0], row["range"], row["cut"]
        groups.setdefault(key, []).append(row)
    return [
        part[0] | {"method": key[1], "precision": statistics.fmean(row["precision"] for row in part)}
        for key, part in groups.items()
    ]


def spread(rows: list[dict]) -> str:
    """Standard deviation over seeds of each variant's mean precision at L."""
    of_seed: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row["range"] == "long" and row["cut"] == "L":
            name, seed = row["method"].split("#")
            of_seed.setdefault(name, {}).setdefault(seed, []).append(row["precision"])
    texts = []
    for name, seeds in of_seed.items():
        values = [statistics.fmean(found) for found in seeds.values()]
        texts.append(f"{name} {statistics.stdev(values):.3f} ({len(values)})" if len(values) > 1 else name)
    return ", ".join(texts)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--examples", type=Path, metavar="FOLDER", help="where examples are, or are put")
    parser.add_argument("--out", type=Path, metavar="A.tsv")
    parser.add_argument("--table", type=Path, metavar="A.tsv", help="print means and stop")
    parser.add_argument("--reference", default="all inputs", help="variant of the paired differences")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=SETTINGS["steps"])
    parser.add_argument("--depths", type=int, default=3, help="all sequences, and so many less one subsets")
    parser.add_argument("--families", default=str(ROOT.parent / "shared" / "families"), metavar="FOLDER")
    parser.add_argument("--max-length", type=int, default=300, metavar="L", help="leave longer families out")
    parser.add_argument(
        "--teacher-length", type=int, default=0, metavar="L",
        help="ask the teacher about representatives of at most so many columns; 0: about none",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    if not (options.table or (options.out and options.examples)):
        parser.error("give --examples and --out, or --table")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    options = parse(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    log.setLevel(logging.INFO)
    if options.table:
        rows = read_families(options.families, ["train"], longest=options.max_length)
        print(table(options.table, options.reference, len(rows)))
    else:
        compute(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
