"""Two nulls for the refiner: what the separation alone tells, and the contacts of the nearest fold.

``python benchmarks/nulls.py --out T.tsv`` adds to a table of `benchmarks/refiner.py` (or begins one) for
each representative of a split the rows ``separation`` (base rate of contacts at |i - j| over the training
families) and ``template`` (distances in the training structure of the highest TM-score, carried over by the
alignment of TM-align, which sees the true structure: an oracle). TM-align is given C-beta atoms, since some
structures have no others. ``--table T.tsv --weights METHOD`` prints means, and the precision of METHOD by the
similarity of the template.
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 (the path above comes first)
import tmtools  # noqa: E402

from benchmarks.precision import Family, Store, outcomes_of, read_family, read_rows  # noqa: E402
from data.alphabet import LETTERS  # noqa: E402
from data.contacts import contact_map, query_positions  # noqa: E402
from data.families import read_families  # noqa: E402
from data.mapping import map_query  # noqa: E402
from data.store import load_json, save_json  # noqa: E402
from data.structure import read_chain  # noqa: E402
from data.table import ProteinRow  # noqa: E402
from report.summary import mean_text, means  # noqa: E402

log = logging.getLogger("nulls")

SEPARATIONS = 400  # beyond, all base rates are one
CLOSEST = 3  # clusters whose other members are aligned too
NULLS = ("separation", "template")
SIMILARITY = ((0.0, 0.5), (0.5, 0.6), (0.6, 1.01))  # above 0.5 mostly one fold (Xu & Zhang 2010)


class Points(NamedTuple):
    """Resolved residues of a query.

    ``column`` int [R], ``position`` float64 [R, 3] of C-beta atoms in angstrom, ``sequence`` of R letters.
    """

    column: np.ndarray
    position: np.ndarray
    sequence: str


class Template(NamedTuple):
    """A training structure laid upon a protein."""

    protein: str
    tm_score: float  # over the length of the protein that is predicted
    pairs: np.ndarray  # int [K, 2], columns of the protein and of the template


def points(family: Family) -> Points:
    """C-beta atoms of the residues that the truth resolves."""
    query = "".join(LETTERS[token] for token in family.tokens[0])
    chain = read_chain(family.row.structure)
    position = query_positions(chain, map_query(query, chain))
    columns = np.flatnonzero(family.truth.resolved)
    return Points(columns, position[columns], "".join(query[column] for column in columns))


def laid_upon(one: Points, other: Points, name: str) -> Template:
    """Alignment of TM-align, its score normalised by the length of `one`."""
    found = tmtools.tm_align(one.position, other.position, one.sequence, other.sequence)
    here = there = 0
    pairs = []
    for left, right in zip(found.seqxA, found.seqyA, strict=True):
        if left != "-" and right != "-":
            pairs.append((one.column[here], other.column[there]))
        here += left != "-"
        there += right != "-"
    return Template(name, float(found.tm_norm_chain1), np.array(pairs, dtype=np.int64).reshape(-1, 2))


def template_map(template: Template, distance: np.ndarray, length: int) -> np.ndarray:
    """Minus the template's distances where it covers both columns, float32 [L, L]; elsewhere -10,000."""
    columns, others = template.pairs.T
    known = distance[np.ix_(others, others)]
    score = np.full((length, length), -1e4, dtype=np.float32)
    score[np.ix_(columns, columns)] = np.where(np.isnan(known), -1e4, -known)
    return score


def base_rates(families: list[Family]) -> np.ndarray:
    """Share of contacts among resolved pairs at each separation, float64 [`SEPARATIONS`]."""
    contacts, pairs = np.zeros(SEPARATIONS), np.zeros(SEPARATIONS)
    for family in families:
        distance = family.truth.distance
        i, j = np.triu_indices(len(distance), 1)
        apart = np.minimum(j - i, SEPARATIONS - 1)
        contacts += np.bincount(apart, contact_map(distance)[i, j], minlength=SEPARATIONS)
        pairs += np.bincount(apart, ~np.isnan(distance[i, j]), minlength=SEPARATIONS)
    return contacts / np.maximum(pairs, 1)


def separation_map(rates: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """Base rate of each pair; pairs of one separation are ranked at random."""
    apart = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    return (rates[np.minimum(apart, SEPARATIONS - 1)] + 1e-9 * rng.random(apart.shape)).astype(np.float64)


class Folds:
    """The training structures, read once."""

    def __init__(self, folder: str):
        rows = read_families(folder, ["train"], representatives=False)
        first = {row.protein for row in read_families(folder, ["train"])}
        self.members: dict[str, list[ProteinRow]] = {}
        for row in sorted(rows, key=lambda row: row.protein not in first):
            self.members.setdefault(row.cluster, []).append(row)  # the representative comes first
        self.read: dict[str, tuple[Family, Points]] = {}

    def of(self, row: ProteinRow) -> tuple[Family, Points]:
        """A family with its points."""
        if row.protein not in self.read:
            family = read_family(row)
            self.read[row.protein] = (
                family._replace(tokens=family.tokens[:1]),
                points(family),
            )
        return self.read[row.protein]

    def representatives(self) -> list[Family]:
        """One family of each cluster."""
        return [self.of(rows[0])[0] for rows in self.members.values()]

    def closest(self, own: Points) -> Template:
        """The most similar representative, or other member of one of the three most similar clusters."""
        firsts = {
            cluster: laid_upon(own, self.of(rows[0])[1], rows[0].protein)
            for cluster, rows in self.members.items()
        }
        best = sorted(firsts, key=lambda cluster: -firsts[cluster].tm_score)[:CLOSEST]
        others = [row for cluster in best for row in self.members[cluster][1:]]
        found = [laid_upon(own, self.of(row)[1], row.protein) for row in others]
        return max([*firsts.values(), *found], key=lambda template: template.tm_score)


def compute(options: argparse.Namespace) -> None:
    """Add to the table what it lacks; templates and their scores stand in a file beside it."""
    store, folds = Store(options.out), Folds(options.families)
    beside = options.out.with_suffix(".templates.json")
    templates = load_json(beside) if beside.exists() else {}
    todo = [
        row
        for row in read_families(options.families, [options.split], longest=options.max_length)
        if any((row.protein, null) not in store.done for null in NULLS)
    ]
    rates = base_rates(folds.representatives()) if todo else np.zeros(SEPARATIONS)
    for number, row in enumerate(todo):
        family = read_family(row)
        length = family.tokens.shape[1]
        own = points(family)
        template = folds.closest(own)
        found = folds.read[template.protein][0].truth.distance
        templates[row.protein] = {"template": template.protein, "tm_score": template.tm_score}
        maps = {
            "separation": separation_map(rates, length, np.random.default_rng([1, number])),
            "template": template_map(template, found, length),
        }
        save_json(beside, templates)
        for null in NULLS:
            if (row.protein, null) not in store.done:
                store.add(family, null, maps[null])
        log.info("%s: %s, TM-score %.2f", row.protein, template.protein, template.tm_score)


def table(path: Path, weights: str, beside: Path | None) -> str:
    """Means of the whole families, then those of the families by the similarity of their template."""
    templates = load_json(path.with_suffix(".templates.json"))
    shown = {*NULLS, weights}
    rows = read_rows(path) + (read_rows(beside) if beside else [])
    rows = [row for row in rows if row["protein"] in templates and row["method"] in shown]
    parts = [mean_text(means(outcomes_of(rows), "long", ("L/5", "L/2", "L"), weights)) + "\n"]
    for low, high in SIMILARITY:
        part = [row for row in rows if low <= templates[row["protein"]]["tm_score"] < high]
        if part:
            parts.append(f"TM-score of the template from {low} and below {min(high, 1.0)}:\n\n")
            parts.append(mean_text(means(outcomes_of(part), "long", ("L/5", "L"), weights)) + "\n")
    return "".join(parts)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, metavar="T.tsv")
    parser.add_argument("--table", type=Path, metavar="T.tsv", help="print means and stop")
    parser.add_argument("--weights", default="refined", metavar="METHOD", help="of the paired differences")
    parser.add_argument(
        "--beside", type=Path, metavar="summary.tsv", help="run of the pipeline that has METHOD"
    )
    parser.add_argument("--split", choices=("tune", "val"), default="val")
    parser.add_argument("--families", default=str(ROOT.parent / "shared" / "families"), metavar="FOLDER")
    parser.add_argument("--max-length", type=int, default=0, metavar="L", help="leave longer families out")
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
        print(table(options.table, options.weights, options.beside), end="")
        return 0
    compute(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
