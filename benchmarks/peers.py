"""How other programs are called on an alignment, and how the map that they write is read.

A peer is used when PATH has it. Each gets the same rows and all the columns, weights at 80 % identity by its
own rule, the penalties of `docs/method.md` where it has them, and its own default stop.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.alphabet import decode


@dataclass(frozen=True)
class Peer:
    """A program and its method.

    Attributes
    ----------
    name : str
        Its executable.
    beside : str
        Our method that does the same.
    command : callable
        (executable, folder of inputs, L, threads) -> command.
    read : callable
        (folder, L) -> float64 [L, L], symmetric: the scores as the program has them, after its own APC.
    """

    name: str
    beside: str
    command: Callable[[str, Path, int, int], list[str]]
    read: Callable[[Path, int], np.ndarray]


def write_inputs(tokens: np.ndarray, folder: Path) -> None:
    """Write ``x.fasta`` and, one sequence a line, ``x.aln``: gaps are dashes, no insertions."""
    rows = [decode(row) for row in tokens]
    (folder / "x.aln").write_text("".join(f"{row}\n" for row in rows))
    (folder / "x.fasta").write_text("".join(f">s{n}\n{row}\n" for n, row in enumerate(rows)))


def available(boltzmann: bool = False) -> dict[Peer, str]:
    """The peers that PATH has and their executables; Boltzmann machines, which are slow, only when asked."""
    wanted = [peer for peer in PEERS if boltzmann or peer.beside != "boltzmann"]
    found = {peer: shutil.which(peer.name) for peer in wanted}
    # An entry of PATH may be relative to where the benchmark was started, the program runs elsewhere.
    return {peer: os.path.abspath(path) for peer, path in found.items() if path}


def missing(boltzmann: bool = False) -> list[str]:
    """Names of the peers that PATH lacks."""
    found = available(boltzmann)
    return [peer.name for peer in PEERS if peer not in found and (boltzmann or peer.beside != "boltzmann")]


def _ccmpred(program: str, folder: Path, length: int, threads: int) -> list[str]:
    return [program, "-t", str(threads), str(folder / "x.aln"), str(folder / "ccmpred.mat")]


def _read_ccmpred(folder: Path, length: int) -> np.ndarray:
    return np.loadtxt(folder / "ccmpred.mat")


def _plmc(program: str, folder: Path, length: int, threads: int) -> list[str]:
    """EVcouplings runs 100 iterations; the penalty is that of CCMpred and GREMLIN."""
    penalty = f"{0.2 * (length - 1):.4f}"
    options = ["-c", str(folder / "plmc.txt"), "-le", penalty, "-lh", "0.01", "-m", "100", "-n", str(threads)]
    return [program, *options, str(folder / "x.fasta")]


def _read_plmc(folder: Path, length: int) -> np.ndarray:
    return _pairs(folder / "plmc.txt", length)


def _freecontact(program: str, folder: Path, length: int, threads: int) -> list[str]:
    """EVfold's mean-field profile, but with no column left out and weights at 80 instead of 70 % identity."""
    options = ["--parprof", "evfold", "--apply-gapth", "0", "--clustpc", "80", "-a", str(threads)]
    # It writes to its standard output only.
    return ["sh", "-c", 'out=$1; shift; exec "$@" > "$out"', "sh", str(folder / "freecontact.txt"), program,
            *options, "-f", str(folder / "x.aln")]  # fmt: skip


def _read_freecontact(folder: Path, length: int) -> np.ndarray:
    return _pairs(folder / "freecontact.txt", length)


def _adabmdca(program: str, folder: Path, length: int, threads: int) -> list[str]:
    """Training to its default correlation 0.95 of the pair statistics, then its contact map."""
    script = (
        '"$1" train -m bmDCA -d "$2/x.fasta" -o "$2/adabm" --alphabet protein --device cpu --no-progress && '
        '"$1" contacts -o "$2/adabm" -p "$2/adabm/params.dat" --alphabet protein --device cpu'
    )
    return ["sh", "-c", script, "sh", program, str(folder)]


def _read_adabmdca(folder: Path, length: int) -> np.ndarray:
    return np.load(folder / "adabm" / "contact_map.npy").astype(np.float64)


def _pairs(path: Path, length: int) -> np.ndarray:
    """Map of lines ``i letter j letter other score``, i and j from 1."""
    full = np.zeros((length, length))
    for line in path.read_text().splitlines():
        words = line.split()
        i, j = int(words[0]) - 1, int(words[2]) - 1
        full[i, j] = full[j, i] = float(words[5])
    return full


PEERS = (
    Peer("ccmpred", "plm", _ccmpred, _read_ccmpred),
    Peer("plmc", "plm", _plmc, _read_plmc),
    Peer("freecontact", "mean-field", _freecontact, _read_freecontact),
    Peer("adabmDCA", "boltzmann", _adabmdca, _read_adabmdca),
)
