"""How well Boltzmann machine learning fits real families: Pearson correlation, mixing, precision beside plm.

``python benchmarks/generative.py --families ../shared/families --out G.tsv ID ...`` appends a row for
each family (without ids: every seventh representative of ``train`` by depth, up to ``--max-length``);
``--table G.tsv`` prints.
"""

import argparse
import csv
import logging
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.precision import Family, read_family  # noqa: E402 (the path above comes first)
from data import scoring  # noqa: E402
from data.families import read_families  # noqa: E402
from dca.accelerate import set_threads  # noqa: E402
from dca.boltzmann import BoltzmannSettings, fit_boltzmann  # noqa: E402
from dca.couplings import Couplings  # noqa: E402
from dca.gauge import zero_sum  # noqa: E402
from dca.maps import apc, frobenius  # noqa: E402
from dca.pseudolikelihood import pseudolikelihood  # noqa: E402

log = logging.getLogger("generative")

COLUMNS = (
    *("family", "N", "L", "neff", "pearson", "slope", "epochs", "mixed", "own", "independent", "cpu"),
    *("boltzmann_L5", "boltzmann_L", "plm_L5", "plm_L"),
)


def precision(family: Family, model: Couplings) -> tuple[float, float]:
    """Long-range precision at L/5 and L of the APC-corrected Frobenius norm."""
    rows = scoring.score_map(apc(frobenius(zero_sum(model))), family.truth, family.row.protein, "")
    found = {row["cut"]: row["precision"] for row in rows if row["range"] == "long"}
    return found["L/5"], found["L"]


def row_of(family: Family) -> list[str]:
    """Fit and score one family."""
    begun = time.process_time()
    fit = fit_boltzmann(family.tokens, family.weights, BoltzmannSettings())
    cpu = time.process_time() - begun
    plm = precision(family, pseudolikelihood(family.tokens, family.weights))
    rows, length = family.tokens.shape
    numbers = [family.weights.sum(), fit.pearson, fit.slope, fit.epochs, fit.mixing.mixed, fit.mixing.own]
    numbers += [fit.mixing.independent, cpu, *precision(family, fit.couplings), *plm]
    texts = [f"{n:.3f}" if isinstance(n, float) else str(n) for n in numbers]
    texts[0] = f"{numbers[0]:.0f}"
    return [family.row.protein, str(rows), str(length), *texts]


def compute(options: argparse.Namespace) -> None:
    """Append what the file lacks."""
    set_threads(options.threads)
    done = {row["family"] for row in read(options.out)} if options.out.exists() else set()
    if not done:
        options.out.write_text("\t".join(COLUMNS) + "\n")
    chosen = read_families(
        options.families,
        [] if options.ids else ["train"],
        only=options.ids or None,
        longest=options.max_length,
    )
    families = (read_family(row) for row in chosen)
    if not options.ids:
        families = iter(sorted(families, key=lambda family: float(family.weights.sum()))[3::7])
    for family in families:
        if family.row.protein not in done:
            with options.out.open("a") as stream:
                stream.write("\t".join(row_of(family)) + "\n")
            log.info("%s", family.row.protein)


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a table."""
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def table(path: Path) -> str:
    """Markdown, by depth."""
    lines = ["| family | N | L | Neff | Pearson | slope | epochs | mixed | CPU s | L/5, L | plm: L/5, L |"]
    lines.append("|" + "---|" * 11)
    for row in sorted(read(path), key=lambda row: float(row["neff"])):
        cells = [row[name] for name in ("family", "N", "L", "neff", "pearson", "slope", "epochs")]
        overlap = f"own {row['own']}, others {row['independent']}"
        cells += ["yes" if row["mixed"] == "True" else f"no: {overlap}", f"{float(row['cpu']):.0f}"]
        cells += [f"{row[f'{name}_L5']}, {row[f'{name}_L']}" for name in ("boltzmann", "plm")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("ids", nargs="*", help="families; without, a sample of train")
    parser.add_argument("--out", type=Path, metavar="G.tsv")
    parser.add_argument("--table", type=Path, metavar="G.tsv", help="print and stop")
    parser.add_argument("--families", default=str(ROOT.parent / "shared" / "families"), metavar="FOLDER")
    parser.add_argument("--max-length", type=int, default=130, metavar="L")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    log.setLevel(logging.INFO)
    if options.table:
        print(table(options.table))
    elif options.out:
        compute(options)
    else:
        parser.error("give --out or --table")
    return 0


if __name__ == "__main__":
    sys.exit(main())
