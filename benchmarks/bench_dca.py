"""CPU seconds (user + system, whole process, one thread) of plm here and in the peers found on PATH.

``PATH=../shared/peers:$PATH python benchmarks/bench_dca.py FILE.a3m.gz ...`` prints one line per alignment;
pytest collects the same on a simulated family.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from data.alphabet import decode  # noqa: E402 (the path above comes first)
from data.msa import read_alignment  # noqa: E402
from dca.simulate import simulate_family  # noqa: E402


def cpu_seconds(command: list[str]) -> float:
    """User and system seconds of a program that must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def write_inputs(tokens: np.ndarray, folder: Path) -> None:
    rows = [decode(row) for row in tokens]
    (folder / "x.aln").write_text("".join(f"{row}\n" for row in rows))
    (folder / "x.fasta").write_text("".join(f">s{n}\n{row}\n" for n, row in enumerate(rows)))


def ours(folder: Path, length: int) -> np.ndarray:
    with np.load(folder / "ours.npz") as arrays:
        return arrays["score"]


def ccmpred(folder: Path, length: int) -> np.ndarray:
    return np.loadtxt(folder / "ccmpred.mat")


def plmc(folder: Path, length: int) -> np.ndarray:
    full = np.zeros((length, length))
    for line in (folder / "plmc.txt").read_text().splitlines():
        i, _, j, _, _, value = line.split()
        full[int(i) - 1, int(j) - 1] = full[int(j) - 1, int(i) - 1] = float(value)
    return full


def commands(folder: Path, length: int) -> dict:
    """Program: (command, reader of its map); ours first, peers where PATH has them."""
    fasta, penalty = str(folder / "x.fasta"), f"{0.2 * (length - 1):.4f}"
    found = {"ours": ([sys.executable, "-m", "dca", fasta, "-o", str(folder / "ours.npz")], ours)}
    if tool := shutil.which("ccmpred"):
        arguments = [tool, "-t", "1", str(folder / "x.aln"), str(folder / "ccmpred.mat")]
        found["ccmpred"] = (arguments, ccmpred)
    if tool := shutil.which("plmc"):
        arguments = f"{tool} -c {folder / 'plmc.txt'} -le {penalty} -lh 0.01 -m 100 -n 1 {fasta}".split()
        found["plmc"] = (arguments, plmc)
    return found


def compare(tokens: np.ndarray) -> dict[str, tuple[float, float]]:
    """Program: (CPU seconds, correlation of its scores with ours over pairs j - i >= 6)."""
    length = tokens.shape[1]
    upper = np.triu_indices(length, 6)
    results: dict[str, tuple[float, float]] = {}
    reference = np.empty(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(tokens, folder)
        for program, (command, reader) in commands(folder, length).items():
            seconds = cpu_seconds(command)
            scores = reader(folder, length)[upper]
            reference = scores if program == "ours" else reference
            results[program] = (seconds, float(np.corrcoef(scores, reference)[0, 1]))
    return results


def line_of(name: str, tokens: np.ndarray, results: dict[str, tuple[float, float]]) -> str:
    mine = results["ours"][0]
    parts = [f"{name}\tN={tokens.shape[0]}\tL={tokens.shape[1]}\tours {mine:.2f} s"]
    for program, (seconds, correlation) in results.items():
        if program != "ours":
            parts.append(f"{program} {seconds:.2f} s = {seconds / mine:.1f}x, r = {correlation:.3f}")
    return "\t".join(parts)


def test_pseudolikelihood_against_peers() -> None:
    rng = np.random.default_rng(1)
    contacts = np.zeros((30, 30), dtype=bool)
    for i in range(20):
        contacts[i, i + 10] = contacts[i + 10, i] = i % 2 == 0
    tokens, _ = simulate_family(contacts, 300, rng)
    start = time.perf_counter()
    results = compare(tokens)
    sys.stdout.write(f"{line_of('simulated', tokens, results)} ({time.perf_counter() - start:.1f} s)\n")
    assert results["ours"][0] > 0
    assert all(correlation > 0.95 for _, correlation in results.values())


if __name__ == "__main__":
    for path in sys.argv[1:]:
        alignment = read_alignment(path)
        results = compare(alignment.tokens)
        sys.stdout.write(line_of(Path(path).parent.name, alignment.tokens, results) + "\n")
        sys.stdout.flush()
