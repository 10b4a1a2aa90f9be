"""Precision of every method under every correction on the representatives of a split of real families.

``python benchmarks/precision.py --split train --out FILE.tsv`` appends the rows of a method as it is done;
started again it skips what the file holds. ``python benchmarks/precision.py --table FILE.tsv`` prints means.
Raw maps are kept in ``FILE.maps``, so that a further correction costs no further inference.
"""

import argparse
import csv
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before numpy is loaded, which reads them once

import numpy as np  # noqa: E402 (the path above comes first)

from benchmarks import peers  # noqa: E402
from benchmarks.measure import measure  # noqa: E402
from data import scoring  # noqa: E402
from data.contacts import Truth, true_distances  # noqa: E402
from data.errors import CovarionError  # noqa: E402
from data.families import read_families  # noqa: E402
from data.mapping import map_query  # noqa: E402
from data.msa import read_alignment  # noqa: E402
from data.store import load_arrays, save_arrays, save_text  # noqa: E402
from data.structure import read_chain  # noqa: E402
from data.table import ProteinRow  # noqa: E402
from dca.accelerate import set_threads  # noqa: E402
from dca.methods import CORRECTIONS, METHODS, corrected, infer  # noqa: E402
from dca.weights import effective_number, sequence_weights  # noqa: E402
from report.outcomes import Outcome  # noqa: E402
from report.summary import mean_text, means  # noqa: E402

log = logging.getLogger("precision")

DEFAULT_METHODS = tuple(name for name in METHODS if name != "boltzmann")  # which takes minutes a family
PEER_NAMES = ("ccmpred", "plmc")
# A method's name in the table under a correction; APC, the default everywhere, has the method's own
LABELS = {name: "{}" if name == "apc" else f"{{}} {name}" for name in CORRECTIONS}
RANGES = ("long", "medium+long")
COLUMNS = ("cluster", "split", "length", "n_seq", "neff", *scoring.MEASURED)
ROWS_OF_A_MAP = len(RANGES) * (len(scoring.CUTS) + 1)  # the cuts and the average precision


class Family(NamedTuple):
    """A family as the methods see it."""

    row: ProteinRow
    tokens: np.ndarray
    weights: np.ndarray
    truth: Truth


def read_family(row: ProteinRow) -> Family:
    """Alignment, weights at 80 % identity and truth, as the pipeline has them by default."""
    alignment = read_alignment(row.alignment)
    chain = read_chain(row.structure)
    truth = true_distances(chain, map_query(alignment.query, chain))
    return Family(row, alignment.tokens, sequence_weights(alignment.tokens), truth)


def raw_map(family: Family, method: str) -> np.ndarray:
    """Map of one of our methods before any correction, float32 [L, L]."""
    return infer(family.tokens, family.weights, method)[1][f"{method}_raw"]


def peer_map(family: Family, peer: peers.Peer, program: str) -> np.ndarray:
    """Map of a peer as it writes it, one thread."""
    with tempfile.TemporaryDirectory() as name:
        folder, length = Path(name), family.tokens.shape[1]
        peers.write_inputs(family.tokens, folder)
        measure(peer.command(program, folder, length, 1))
        return peer.read(folder, length)


class Store:
    """The table of scores and the folder of raw maps beside it."""

    def __init__(self, path: Path):
        self.path = path
        self.maps = path.with_suffix(".maps")
        self.done: set[tuple[str, str]] = set()
        self._keep(read_rows(path) if path.exists() else [])

    def _keep(self, rows: list[dict]) -> None:
        """Write the table anew with those rows whose map is there with all its rows."""
        counts = Counter((row["protein"], row["method"]) for row in rows)
        self.done = {key for key, count in counts.items() if count == ROWS_OF_A_MAP}
        whole = [_line(row) for row in rows if (row["protein"], row["method"]) in self.done]
        save_text(self.path, "\n".join(["\t".join(COLUMNS), *whole]) + "\n")

    def forget(self, methods: list[str]) -> None:
        """Drop the rows and the maps of methods, to compute them anew."""
        labels = {label.format(method) for method in methods for label in LABELS.values()}
        for path in (path for method in methods for path in self.maps.glob(f"*/{method}.npz")):
            path.unlink()
        self._keep([row for row in read_rows(self.path) if row["method"] not in labels])

    def add(self, family: Family, label: str, score: np.ndarray) -> None:
        """Score a map and append its rows with one write."""
        head = {
            "cluster": family.row.cluster,
            "split": family.row.split,
            "length": family.tokens.shape[1],
            "n_seq": family.tokens.shape[0],
            "neff": f"{effective_number(family.weights):.2f}",
        }
        found = scoring.score_map(score, family.truth, family.row.protein, label)
        rows = [head | row for row in found if row["range"] in RANGES]
        with self.path.open("a") as stream:
            stream.write("".join(f"{_line(row)}\n" for row in rows))
        self.done.add((family.row.protein, label))


def _line(row: dict) -> str:
    return "\t".join(
        f"{row[name]:.6f}" if isinstance(row[name], float) else str(row[name]) for name in COLUMNS
    )


def read_rows(path: Path) -> list[dict]:
    """Rows of a table; a line that was cut off at the end of the file is left out."""
    text = path.read_text()
    lines = text[: text.rfind("\n") + 1].splitlines()
    return [_typed(row) for row in csv.DictReader(lines, delimiter="\t")]


def _typed(row: dict[str, str]) -> dict:
    whole = {name: int(row[name]) for name in ("k", "pairs", "contacts", "length", "n_seq")}
    return dict(row) | whole | {name: float(row[name]) for name in ("precision", "ceiling")}


def run_ours(family: Family, method: str, corrections: Iterable[str], store: Store) -> None:
    """One method under those corrections that the table lacks."""
    protein = family.row.protein
    left = [c for c in corrections if (protein, LABELS[c].format(method)) not in store.done]
    if not left:
        return
    kept = store.maps / protein / f"{method}.npz"
    if not kept.exists():
        start = time.process_time()
        raw = raw_map(family, method)
        save_arrays(kept, raw=raw, cpu=np.float64(time.process_time() - start))
    raw = load_arrays(kept)["raw"]
    for correction in left:
        score = corrected(raw, correction, family.tokens, family.weights)
        store.add(family, LABELS[correction].format(method), score)


def run_peers(family: Family, store: Store, limit: float, left_out: list[str]) -> None:
    """The pseudolikelihood peers that PATH has, where N L^2 stays below the limit."""
    rows, length = family.tokens.shape
    for peer, program in peers.available().items():
        if peer.name not in PEER_NAMES or (family.row.protein, peer.name) in store.done:
            continue
        if rows * length**2 > limit:
            left_out.append(f"{peer.name} on {family.row.protein} (N {rows}, L {length})")
            continue
        store.add(family, peer.name, peer_map(family, peer, program))


def outstanding(options: argparse.Namespace, store: Store) -> Iterator[ProteinRow]:
    """Families that lack a row, the smallest files first."""
    rows = read_families(options.families, [options.split], longest=options.max_length)
    labels = [LABELS[name].format(method) for method in options.methods for name in options.corrections]
    if options.peers:
        labels += [peer.name for peer in peers.available() if peer.name in PEER_NAMES]
    for row in sorted(rows, key=lambda row: Path(row.alignment).stat().st_size):
        if any((row.protein, label) not in store.done for label in labels):
            yield row


def compute(options: argparse.Namespace) -> int:
    """Fill the table; the exit code is 1 when a family failed."""
    set_threads(1)
    store = Store(options.out)
    if options.redo:
        store.forget(options.redo)
    todo = list(outstanding(options, store))
    left_out: list[str] = []
    failed = 0
    for number, row in enumerate(todo, start=1):
        start = time.perf_counter()
        try:
            family = read_family(row)
            for method in options.methods:
                run_ours(family, method, options.corrections, store)
            if options.peers:
                run_peers(family, store, options.max_cost, left_out)
        except (CovarionError, RuntimeError, ValueError, np.linalg.LinAlgError) as error:
            failed += 1
            log.error("%s: %s", row.protein, error)
            continue
        seconds = time.perf_counter() - start
        log.info("%d/%d %s N %d L %d %.0f s", number, len(todo), row.protein, *family.tokens.shape, seconds)
    for text in left_out:
        print(f"left out, above --max-cost {options.max_cost:g}: {text}")
    return 1 if failed else 0


def outcomes_of(rows: list[dict]) -> list[Outcome]:
    """What `report.summary` averages: one outcome per protein."""
    found: dict[str, Outcome] = {}
    for row in rows:
        outcome = found.setdefault(
            row["protein"],
            Outcome(
                {name: row[name] for name in ("protein", "cluster", "split")},
                length=row["length"],
                n_seq=row["n_seq"],
                neff=float(row["neff"]),
            ),
        )
        outcome.scores.append(row)
    return list(found.values())


def table(path: Path, reference: str) -> str:
    """Means over clusters with bootstrap intervals, and the paired difference to a reference method."""
    outcomes = outcomes_of(read_rows(path))
    parts = []
    for name in RANGES:
        smallest = scoring.RANGES[name][0]
        parts.append(f"Precision of pairs |i - j| >= {smallest}: mean over clusters (95 % interval); paired ")
        parts[-1] += f"difference to {reference} (95 % interval)\n\n"
        parts.append(mean_text(means(outcomes, name, ("L/5", "L/2", "L"), reference)) + "\n")
    return "".join(parts)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--table", type=Path, metavar="FILE.tsv", help="print the means of a table and stop")
    parser.add_argument("--reference", default="plm", help="method of the paired differences")
    parser.add_argument("--split", choices=("train", "tune", "val"), default="train")
    parser.add_argument("--out", type=Path, metavar="FILE.tsv")
    parser.add_argument("--families", default=str(ROOT.parent / "shared" / "families"), metavar="FOLDER")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=DEFAULT_METHODS)
    parser.add_argument("--corrections", nargs="+", choices=CORRECTIONS, default=list(CORRECTIONS))
    parser.add_argument(
        "--redo", nargs="+", default=[], metavar="METHOD", help="forget these and compute anew"
    )
    parser.add_argument("--max-length", type=int, default=0, metavar="L", help="leave longer families out")
    parser.add_argument("--peers", action="store_true", help="also ccmpred and plmc where PATH has them")
    parser.add_argument("--max-cost", type=float, default=3e8, help="peers: largest N L^2")
    options = parser.parse_args(arguments)
    if not options.table and not options.out:
        parser.error("give --out or --table")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    options = parse(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    log.setLevel(logging.INFO)
    if options.table:
        print(table(options.table, options.reference), end="")
        return 0
    return compute(options)


if __name__ == "__main__":
    sys.exit(main())
