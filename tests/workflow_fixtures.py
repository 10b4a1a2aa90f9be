"""A small protein whose family is simulated on its own contacts, and runs of the real workflow on it."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from data_fixtures import backbone, seqres, write_pdb

from data.alphabet import decode
from data.contacts import contact_map
from dca.simulate import simulate_family

ROOT = Path(__file__).resolve().parent.parent
PREFIX: list[str] = []  # words before the command of a run
LENGTH = 48
STRAND = 8


def fold():
    """C-alpha positions of six strands of a meander, 3.6 angstrom along and 5.5 across, float [L, 3]."""
    places = []
    for residue in range(LENGTH):
        strand, along = divmod(residue, STRAND)
        along = along if strand % 2 == 0 else STRAND - 1 - along
        places.append((3.6 * along, 5.5 * (strand % 3), 6.0 * (strand // 3)))
    return np.array(places)


def family(seed, rows=160):
    """Tokens of a family simulated on the fold; row 0 is the query, without gaps."""
    places = fold()
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
    tokens, _ = simulate_family(contact_map(distance), rows, np.random.default_rng(seed), gap_share=0.05)
    return tokens


def write_family(folder, name, seed=0):
    """Write ``NAME.fasta`` and ``NAME.pdb``; returns the query."""
    tokens = family(seed)
    query = decode(tokens[0])
    rows = [f">{name}_{n} member {n}\n{decode(row)}\n" for n, row in enumerate(tokens)]
    (folder / f"{name}.fasta").write_text("".join(rows))
    lines = seqres(query)
    for n, (letter, place) in enumerate(zip(query, fold(), strict=True)):
        lines += backbone(letter, 101 + n, tuple(place))
    write_pdb(folder / f"{name}.pdb", lines)
    return query


def write_table(path, rows):
    """Write a protein table from dictionaries; columns are all keys that occur."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["\t".join(columns), *("\t".join(row.get(c, "") for c in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def snakemake(folder, *arguments, config=(), check=None):
    """Run the workflow in `folder` on its ``proteins.tsv``; returns the finished process."""
    command = [
        *PREFIX, sys.executable, "-m", "snakemake",
        "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder),
        "--workflow-profile", str(ROOT / "workflow/profiles/default"), "--cores", "2", *arguments,
        "--config", "proteins=proteins.tsv", *config,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=900)
    if check is not None:
        assert done.returncode == check, done.stdout + done.stderr
    return done


def planned(output):
    """(rule, protein) of all jobs that a dry run lists."""
    jobs, rule = set(), ""
    for line in output.splitlines():
        if found := re.match(r"(?:local)?rule (\w+):", line):
            rule = found[1]
        elif found := re.match(r"\s+wildcards: .*protein=([^,\s]+)", line):
            jobs.add((rule, found[1]))
    return jobs
