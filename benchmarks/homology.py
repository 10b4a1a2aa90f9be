"""Families behind the shipped weights, and how well they are recognised by sequence.

``python benchmarks/homology.py --write`` makes the table beside each file of shipped weights from a folder
of families and the names in the weights' card. ``python benchmarks/homology.py`` searches the table of the
default weights with every family of the folder and prints how many find themselves, another family of their
homology cluster, and a family of another cluster; with ``--decoys`` what chance finds.
``--structures FOLDER`` searches the chains that simulated families are made on with the representatives of
``val``: their contacts were learned from, their sequences were not.
"""

import argparse
import functools
import logging
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from data.families import read_families  # noqa: E402
from data.homology import (  # noqa: E402
    HOMOLOGOUS,
    Family,
    consensus_sequence,
    find_homologues,
    load_families,
    save_families,
)
from data.msa import read_alignment  # noqa: E402
from data.store import load_table  # noqa: E402
from data.table import ProteinRow  # noqa: E402
from dca.frequencies import site_frequencies  # noqa: E402
from dca.weights import sequence_weights  # noqa: E402
from nets.card import learned_proteins, tuning_proteins  # noqa: E402
from nets.checkpoint import load_refiner  # noqa: E402
from nets.relatives import families_file  # noqa: E402
from nets.shipped import DEFAULT, PRETRAINED, find_weights  # noqa: E402

log = logging.getLogger("homology")

MOST_ROWS = 1000


@functools.cache
def consensus_of(alignment: str) -> str:
    """Consensus of the weighted sequences of an alignment, as `nets.relatives` takes it from an example.

    Of a deep alignment, sequences spread evenly over it: a consensus needs no more.
    """
    tokens = read_alignment(alignment).tokens
    tokens = tokens[np.unique(np.linspace(0, len(tokens) - 1, MOST_ROWS).astype(int))]
    return consensus_sequence(site_frequencies(tokens, sequence_weights(tokens, 0.8)))


def write(weights: Path, rows: dict[str, ProteinRow]) -> int:
    """Write the table of one weights file; how many families it has."""
    card = load_refiner(str(weights)).card
    learned = learned_proteins(card)
    names = sorted((learned | tuning_proteins(card)) & set(rows))
    families = [
        Family(
            name,
            rows[name].cluster,
            "train" if name in learned else "tune",
            consensus_of(rows[name].alignment),
        )
        for name in names
    ]
    save_families(families_file(weights), families)
    return len(families)


@dataclass(frozen=True)
class Found:
    """What one family found in the table: itself, another of its cluster, another cluster, and the best E."""

    split: str
    listed: bool
    siblings: int
    itself: bool
    sibling: bool
    stranger: str
    evalue: float


def search(row: ProteinRow, families: list[Family]) -> Found:
    """Search the table with one family of the folder."""
    hits = find_homologues(read_alignment(row.alignment).tokens, families)
    close = [hit for hit in hits if hit.evalue < HOMOLOGOUS]
    strangers = [hit for hit in close if hit.cluster != row.cluster]
    return Found(
        row.split or "demo",
        any(family.family == row.protein for family in families),
        sum(family.cluster == row.cluster and family.family != row.protein for family in families),
        any(hit.family == row.protein for hit in close),
        any(hit.cluster == row.cluster and hit.family != row.protein for hit in close),
        f"{row.protein} finds {strangers[0].family}, E = {strangers[0].evalue:.1e}" if strangers else "",
        hits[0].evalue if hits else float("inf"),
    )


def report(found: list[Found]) -> str:
    """The counts as Markdown, and every family that found another cluster."""
    lines = [
        "| split | families | in the table | find themselves "
        "| others of their cluster are in the table | find one | find another cluster |"
    ]
    lines.append("|" + "---|" * 7)
    for split in Counter(one.split for one in found):
        chosen = [one for one in found if one.split == split]
        listed, kin = [one for one in chosen if one.listed], [one for one in chosen if one.siblings]
        counts = [len(chosen), len(listed), sum(one.itself for one in listed)]
        counts += [len(kin), sum(one.sibling for one in kin), sum(bool(one.stranger) for one in chosen)]
        lines.append(f"| {split} | " + " | ".join(map(str, counts)) + " |")
    lines += ["", *(f"- {one.split}: {one.stranger}" for one in found if one.stranger)]
    return "\n".join(lines) + "\n"


def chains_of(folder: str | Path, longest: int) -> list[Family]:
    """Chains of a folder of structures, as `nets.folds` reads it, each a family of one sequence."""
    rows = load_table(Path(folder) / "structures.tsv", ("id", "sequence"))
    return [
        Family(row["id"], row["id"], "train", row["sequence"])
        for row in rows
        if len(row["sequence"]) <= longest
    ]


def kin_of_chains(rows: dict[str, ProteinRow], chains: list[Family]) -> str:
    """Which families find chains with E < 0.001, and with what E-values; one line each."""
    lines = [f"{len(rows)} families, {len(chains)} chains"]
    for name, row in rows.items():
        hits = find_homologues(read_alignment(row.alignment).tokens, chains)
        close = [f"{hit.family} {hit.evalue:.1e}" for hit in hits if hit.evalue < HOMOLOGOUS]
        if close:
            lines.append(f"- {name} ({row.cluster}): {', '.join(close)}")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write tables, or print how well they work."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--folder", default="../shared/families", help="holds families.tsv and the alignments"
    )
    parser.add_argument("--only", nargs="*", default=[], help="ids to search with (default: all)")
    parser.add_argument(
        "--write", nargs="*", metavar="WEIGHTS", help="weights files (default: those shipped)"
    )
    parser.add_argument("--decoys", action="store_true", help="search the consensus sequences backwards")
    parser.add_argument("--structures", metavar="FOLDER", help="search the chains of structures.tsv there")
    parser.add_argument("--longest", type=int, default=260, metavar="L", help="chains of at most so many")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows = {
        row.protein: row for row in read_families(options.folder, representatives=False, only=options.only)
    }
    if options.write is not None:
        for path in options.write or sorted(PRETRAINED.glob("*.safetensors")):
            log.info("%s: %d families", families_file(path), write(Path(path), rows))
        return 0
    if options.structures:
        chains = chains_of(options.structures, options.longest)
        chosen = read_families(options.folder, ["val"], only=options.only)
        sys.stdout.write(kin_of_chains({row.protein: row for row in chosen}, chains))
        return 0
    families = load_families(families_file(find_weights(DEFAULT)))
    if options.decoys:  # of their length and composition, and no kin of anybody
        families = [replace(family, consensus=family.consensus[::-1]) for family in families]
    sys.stdout.write(report([search(row, families) for row in rows.values()]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
