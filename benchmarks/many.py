"""Many small proteins, simulated: a table with an alignment and a structure for each, as a run reads them."""

import gzip
from pathlib import Path

import numpy as np

from data.alphabet import decode
from data.contacts import contact_map
from dca.simulate import simulate_family

STRAND = 8
_NAMES = dict(
    zip(
        "ARNDCQEGHILKMFPSTWYV",
        [
            "ALA",
            "ARG",
            "ASN",
            "ASP",
            "CYS",
            "GLN",
            "GLU",
            "GLY",
            "HIS",
            "ILE",
            "LEU",
            "LYS",
            "MET",
            "PHE",
            "PRO",
            "SER",
            "THR",
            "TRP",
            "TYR",
            "VAL",
        ],
        strict=True,
    )
)


def meander(length: int) -> np.ndarray:
    """C-alpha positions of antiparallel strands in sheets of three, angstrom, float64 [L, 3]."""
    strand, along = np.divmod(np.arange(length), STRAND)
    along = np.where(strand % 2 == 0, along, STRAND - 1 - along)
    return np.column_stack([3.6 * along, 5.5 * (strand % 3), 6.0 * (strand // 3)])


def pdb_text(query: str, places: np.ndarray) -> str:
    """A chain of backbone atoms with C-beta, as PDB text."""
    lines = []
    for number, (letter, place) in enumerate(zip(query, places, strict=True), 1):
        for atom, shift in (("N", (-1.4, 0, 0)), ("CA", (0, 0, 0)), ("C", (1.4, 0, 0)), ("CB", (0, 0, 1))):
            if atom == "CB" and letter == "G":
                continue
            x, y, z = place + shift
            lines.append(
                f"ATOM  {len(lines) + 1:>5}  {atom:<3} {_NAMES[letter]} A{number:>4}    "
                f"{x:8.3f}{y:8.3f}{z:8.3f}{1:6.2f}{0:6.2f}          {atom[0]:>2}"
            )
    return "\n".join([*lines, "END", ""])


def write_proteins(folder: Path, count: int, seed: int = 1) -> Path:
    """Write `count` proteins of 60 to 120 residues and 100 to 500 sequences; the path of their table.

    Each family is simulated on the contacts of its own structure.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["protein\talignment\tstructure"]
    for number in range(count):
        name = f"p{number:05d}"
        lines.append(f"{name}\t{name}.a3m.gz\t{name}.pdb")
        if (folder / f"{name}.pdb").exists():
            continue
        rng = np.random.default_rng([seed, number])
        places = meander(int(rng.integers(60, 121)))
        contacts = contact_map(np.linalg.norm(places[:, None] - places[None], axis=-1))
        tokens, _ = simulate_family(contacts, int(rng.integers(100, 501)), rng, gap_share=0.05)
        query = decode(tokens[0])
        rows = "".join(f">{name}_{n}\n{decode(row)}\n" for n, row in enumerate(tokens))
        (folder / f"{name}.a3m.gz").write_bytes(gzip.compress(rows.encode(), mtime=0))
        (folder / f"{name}.pdb").write_text(pdb_text(query, places))
    table = folder / f"proteins-{count}.tsv"
    table.write_text("\n".join(lines) + "\n")
    return table
