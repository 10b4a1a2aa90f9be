"""Realised against nominal false discovery rate of couplings, and what is significant on real families.

``python benchmarks/validate_fdr.py --structures ../shared/structures --families ../shared/families``

Simulated families: couplings planted on contact maps, rows evolved along trees. A discovery is a pair at
least 6 apart with q at most the nominal rate; it is false where no coupling was planted on the pair itself.
False ones two planted couplings apart are counted as indirect too (and are false nevertheless). Rates are
pooled over the families of a setting, intervals are 95 % percentile intervals of a bootstrap over these.

Real families have no such truth: a coupling may be real between residues that are far apart in one chain
(homo-oligomers, other conformations, ligands). The share of significant pairs beyond 8 and 12 angstrom is
therefore not a false discovery rate.
"""

import argparse
import csv
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from data.contacts import true_distances  # noqa: E402 (the path above comes first)
from data.mapping import Mapping  # noqa: E402
from data.msa import read_alignment  # noqa: E402
from data.structure import read_chain  # noqa: E402
from dca.methods import infer  # noqa: E402
from dca.significance import Significance, coupling_significance  # noqa: E402
from dca.simulate import Tree, _add_gaps, contact_potts, sample_tree, yule_tree  # noqa: E402
from dca.site_process import SiteProcess, evolve_sites  # noqa: E402
from dca.weights import effective_number, sequence_weights  # noqa: E402

MIN_SEPARATION = 6
NOMINAL = (0.05, 0.1, 0.2)
# rows, depth of the tree, whether its branches keep the clock, whether couplings are planted
SETTINGS = {
    "300 rows, depth 4": (300, 4.0, True, True),
    "1000 rows, depth 4": (1000, 4.0, True, True),
    "3000 rows, depth 4": (3000, 4.0, True, True),
    "1000 rows, depth 1.5, no clock": (1000, 1.5, False, True),
    "1000 rows, depth 4, no clock": (1000, 4.0, False, True),
    "500 rows, depth 2, no clock, no coupling, gamma rates": (500, 2.0, False, False),
}


def synthetic_contacts(length: int, rng: np.random.Generator) -> np.ndarray:
    """A made-up fold: hairpins, each a band of contacts (i, c - i), and L scattered contacts."""
    contacts = np.zeros((length, length), dtype=bool)
    for turn in rng.integers(length // 6, length - length // 6, size=length // 20 + 1):
        for step in range(2, length // 6):
            contacts[turn - step, turn + step] = True
    scattered = rng.integers(0, length, size=(2, length))
    contacts[scattered[0], scattered[1]] = True
    far = np.abs(np.subtract.outer(np.arange(length), np.arange(length))) >= 3
    return (contacts | contacts.T) & far


def real_contacts(folder: Path, count: int, shortest: int, longest: int) -> list[np.ndarray]:
    """C-beta maps at 8 angstrom, |i - j| >= 3, of the first chains of these lengths."""
    with (folder / "structures.tsv").open(newline="") as stream:
        rows = [r for r in csv.DictReader(stream, delimiter="\t") if shortest <= int(r["length"]) <= longest]
    maps = []
    with np.load(folder / "coordinates.npz") as arrays:
        for row in rows[:count]:
            position = arrays[row["id"]][:, 3]
            distance = np.linalg.norm(position[:, None] - position[None], axis=-1)
            order = np.arange(len(position))
            maps.append((distance < 8) & (np.abs(order[:, None] - order) >= 3))
    return maps


def without_clock(tree: Tree, rng: np.random.Generator, spread: float = 0.6) -> Tree:
    """Every branch longer or shorter by a log-normal factor of mean 1."""
    factor = rng.lognormal(-(spread**2) / 2, spread, size=tree.parent.size)
    return Tree(tree.parent, tree.length * factor, tree.leaves)


def family(contacts: np.ndarray, setting: tuple, rng: np.random.Generator) -> np.ndarray:
    """Rows of one simulated family with a tenth of gaps; int8 [N, L]."""
    rows, depth, clock, coupled = setting
    tree = yule_tree(rows, depth, rng)
    tree = tree if clock else without_clock(tree, rng)
    if coupled:
        tokens = sample_tree(contact_potts(contacts, rng), tree, rng)
    else:
        fields = contact_potts(np.zeros_like(contacts), rng, field_strength=1.5).fields.astype(np.float64)
        profile = np.exp(fields) / np.exp(fields).sum(axis=1, keepdims=True)
        rates = rng.gamma(1.0, 1.0, size=len(contacts))
        tokens = evolve_sites(SiteProcess(tree, profile, rates / rates.mean()), rng)
    return _add_gaps(tokens, 0.1, rng)


def significance_of(
    tokens: np.ndarray, method: str, nulls: int, rng: np.random.Generator
) -> tuple[Significance, float]:
    """Significance of an alignment's couplings, and its Neff."""
    weights = sequence_weights(tokens)

    def score(rows: np.ndarray, share: np.ndarray) -> np.ndarray:
        return infer(rows, share, method)[1][method]

    found = coupling_significance(tokens, weights, score, rng, nulls, min_separation=MIN_SEPARATION)
    return found, effective_number(weights)


def counts(found: Significance, planted: np.ndarray) -> np.ndarray:
    """For each nominal rate: discoveries, false ones, indirect ones, planted couplings; float64 [3, 4]."""
    upper = np.triu_indices(len(planted), MIN_SEPARATION)
    indirect = (planted.astype(int) @ planted.astype(int) > 0)[upper]
    direct = planted[upper]
    table = []
    for nominal in NOMINAL:
        named = found.q[upper] <= nominal
        false = named & ~direct
        table.append([named.sum(), false.sum(), (false & indirect).sum(), direct.sum()])
    return np.array(table, dtype=float)


def rates(table: np.ndarray) -> tuple[float, float]:
    """False discovery rate and power of counts [families, 4], pooled."""
    named, false, _, planted = table.sum(axis=0)
    return false / max(named, 1), (named - false) / max(planted, 1)


def interval(table: np.ndarray, which: int, rng: np.random.Generator) -> tuple[float, float]:
    drawn = [rates(table[rng.integers(0, len(table), len(table))])[which] for _ in range(2000)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def report(name: str, tables: np.ndarray, rng: np.random.Generator) -> None:
    for k, nominal in enumerate(NOMINAL):
        table = tables[:, k]
        named, false, indirect, planted = table.sum(axis=0).astype(int)
        fdr, power = rates(table)
        mean = np.mean(table[:, 1] / np.maximum(table[:, 0], 1))
        low, high = interval(table, 0, rng)
        least, most = interval(table, 1, rng)
        print(
            f"{name}\t{len(table)}\t{nominal}\t{named}\t{false}\t{indirect}\t{fdr:.3f}\t{low:.3f}-{high:.3f}\t"
            f"{mean:.3f}\t{planted}\t{power:.3f}\t{least:.3f}-{most:.3f}",
            flush=True,
        )


def validate(maps: list[np.ndarray], method: str, nulls: int, only: str) -> None:
    """Print one line for each setting and nominal rate."""
    print(
        "setting\tfamilies\tnominal\tdiscoveries\tfalse\tindirect\trealised FDR\t95 % interval\t"
        "mean of families\tplanted\tpower\t95 % interval"
    )
    everything = []
    for number, (name, setting) in enumerate(SETTINGS.items()):
        if only not in name:
            continue
        tables, started, tail = [], time.perf_counter(), []
        for seed, contacts in enumerate(maps):
            rng = np.random.default_rng([number, seed])
            planted = contacts if setting[3] else np.zeros_like(contacts)
            found, _ = significance_of(family(contacts, setting, rng), method, nulls, rng)
            tables.append(counts(found, planted))
            upper = np.triu_indices(len(contacts), MIN_SEPARATION)
            tail.append(found.p[upper][~planted[upper]])
        report(name, np.array(tables), np.random.default_rng(0))
        p = np.concatenate(tail)
        print(
            f"# {name}: share of uncoupled pairs with p <= 0.05, 0.01, 0.001: {np.mean(p <= 0.05):.4f}, "
            f"{np.mean(p <= 0.01):.4f}, {np.mean(p <= 0.001):.5f}; {found.nulls} nulls, smallest p "
            f"{found.smallest_p:.1e} to {found.coarsest_p:.1e}; {time.perf_counter() - started:.0f} s"
        )
        if setting[3]:
            everything += tables
    if everything:
        report("all with couplings", np.array(everything), np.random.default_rng(0))


def distances(path: Path, length: int) -> np.ndarray:
    """Distances between alignment columns; residue number i of the chain is column i (1-based)."""
    chain = read_chain(path)
    index = np.full(length, -1)
    for place, number in enumerate(chain.residue):
        if number:  # residues without coordinates have none
            index[int(number) - 1] = place
    return true_distances(chain, Mapping(index, 1.0, 1.0)).distance


def real_families(folder: Path, count: int, method: str, nulls: int) -> None:
    """Print one line for each of the shortest training representatives with 200 to 5,000 rows."""
    with (folder / "families.tsv").open(newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    rows = [r for r in rows if r["split"] == "train" and r["representative"] == "1"]
    rows = sorted(
        (r for r in rows if 200 <= int(r["n_seq"]) <= 5000), key=lambda r: (int(r["length"]), r["id"])
    )
    print("family\tN\tL\tNeff\tpairs q < 0.1\tbeyond 8 A\tbeyond 12 A\tall pairs beyond 8 A\tsmallest p")
    for row in rows[:count]:
        tokens = read_alignment(folder / row["id"] / "msa.a3m.gz").tokens
        found, neff = significance_of(tokens, method, nulls, np.random.default_rng(0))
        distance = distances(folder / row["id"] / "structure.pdb.gz", tokens.shape[1])
        upper = np.triu_indices(tokens.shape[1], MIN_SEPARATION)
        known = ~np.isnan(distance[upper])
        apart, q = distance[upper][known], found.q[upper][known]
        named = apart[q < 0.1]
        shares = [f"{np.mean(named > cutoff):.3f}" if named.size else "-" for cutoff in (8, 12)]
        print(
            f"{row['id']}\t{tokens.shape[0]}\t{tokens.shape[1]}\t{neff:.0f}\t{named.size}\t{shares[0]}\t{shares[1]}\t"
            f"{np.mean(apart > 8):.3f}\t{found.coarsest_p:.1e}",
            flush=True,
        )


def test_realised_rate_of_a_small_family() -> None:
    rng = np.random.default_rng(1)
    contacts = synthetic_contacts(40, rng)
    found, _ = significance_of(family(contacts, (400, 4.0, True, True), rng), "mean-field", 10, rng)
    named, false, indirect, planted = counts(found, contacts)[2]
    sys.stdout.write(f"q <= 0.2: {named:.0f} pairs, {false:.0f} false, {planted:.0f} planted\n")
    assert false <= max(3, 0.5 * named)
    assert 0 <= indirect <= false


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--structures", type=Path, help="folder of structures.tsv; without it maps are made up"
    )
    parser.add_argument("--families", type=Path, help="folder of families.tsv, for the real ones")
    parser.add_argument("--method", default="plm")
    parser.add_argument("--nulls", type=int, default=20)
    parser.add_argument("--maps", type=int, default=6, help="families of each setting")
    parser.add_argument("--only", default="", help="settings whose name holds this")
    parser.add_argument("--real", type=int, default=10)
    options = parser.parse_args()
    if options.structures:
        chosen = real_contacts(options.structures, options.maps, 50, 70)
    else:
        chosen = [synthetic_contacts(60, np.random.default_rng(seed)) for seed in range(options.maps)]
    if chosen:
        validate(chosen, options.method, options.nulls, options.only)
    if options.families:
        real_families(options.families, options.real, options.method, options.nulls)
