"""The alignments that are timed: real families where they are, simulated ones, or any file."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import peers
from data.alphabet import decode
from data.contacts import Truth, true_distances
from data.families import read_families
from data.mapping import map_query
from data.msa import read_alignment
from data.structure import read_chain
from dca.simulate import simulate_family

# L 52 to 395, N 420 to 10,000, the most that these families have; depth beyond that is simulated.
REAL = (
    "s_1bxyA_q24_3-54",
    "d_1ay7_A_q85",
    "s_1vrsA_q441",
    "s_102mA_q2048",
    "d_0_q8318",
    "s_2ynmD_q9075_15-409",
)
DEEP = ("simulated:60:36000", "simulated:150:15000")
STAND_INS = ("simulated:52:420", "simulated:100:3000", "simulated:200:2500", "simulated:395:1500")


class Case(NamedTuple):
    """One alignment.

    Attributes
    ----------
    name : str
    tokens : int8 [N, L]
    query : str [L]
    truth : Truth or None
    """

    name: str
    tokens: np.ndarray
    query: str
    truth: Truth | None

    def write(self, folder: Path) -> Path:
        """Write the peers' inputs and ours; the path of ours, where the query keeps unknown letters (X)."""
        folder.mkdir(parents=True, exist_ok=True)
        peers.write_inputs(self.tokens, folder)
        rows = [self.query, *(decode(row) for row in self.tokens[1:])]
        path = folder / f"{self.name}.a3m"
        path.write_text("".join(f">s{n}\n{row}\n" for n, row in enumerate(rows)))
        return path


def default_names(folder: Path) -> tuple[str, ...]:
    """What is timed when nothing is named."""
    return (*(REAL if (folder / "families.tsv").is_file() else STAND_INS), *DEEP)


def read_case(name: str, folder: Path) -> Case:
    """A case by name: the id of a family of the folder, ``simulated:L:N``, or the path of an alignment."""
    if name.startswith("simulated:"):
        length, rows = map(int, name.split(":")[1:])
        return simulated(length, rows)
    if Path(name).is_file():
        alignment = read_alignment(name)
        return Case(Path(name).name.split(".")[0], alignment.tokens, alignment.query, None)
    row = read_families(str(folder), [], only=[name])[0]
    alignment = read_alignment(row.alignment)
    chain = read_chain(row.structure)
    truth = true_distances(chain, map_query(alignment.query, chain))
    return Case(name, alignment.tokens, alignment.query, truth)


def simulated(length: int, rows: int) -> Case:
    """A family along a tree on a made-up fold of antiparallel strands."""
    contacts = strands(length)
    tokens, _ = simulate_family(contacts, rows, np.random.default_rng(1), gap_share=0.1)
    distance = np.where(contacts, 5.0, 20.0).astype(np.float32)
    residue = np.array([str(i + 1) for i in range(length)])
    truth = Truth(distance, np.ones(length, dtype=bool), residue, 1.0, 1.0, "A", "simulated")
    return Case(f"simulated_L{length}_N{rows}", tokens, decode(tokens[0]), truth)


def strands(length: int, strand: int = 8, period: int = 12, partners: Sequence[int] = (1, 3)) -> np.ndarray:
    """Contact map of strands that pair, antiparallel, with the next and the third next one, bool [L, L]."""
    contacts = np.zeros((length, length), dtype=bool)
    for start in range(0, length, period):
        for step in partners:
            for k in range(strand):
                i, j = start + k, start + step * period + strand - 1 - k
                if j < length:
                    contacts[i, j] = contacts[j, i] = True
    return contacts
