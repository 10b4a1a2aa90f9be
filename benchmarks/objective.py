"""CPU seconds to the same value of the same objective: ours, CCMpred and plmc at rising iteration limits.

The objective is that of `docs/method.md`. It is evaluated in float64 at the parameters that each program
returns, with the sequence weights of that program, and ours is run with the same weights. CCMpred has no
field for the gap and so penalises the others as differences to it: its minimum is another one. Beside the
distance to the lowest value of both programs stands that to the lowest value that a program itself reaches,
of the objective as the program has it.
Started as ``objective.py ALIGNMENT WEIGHTS.npy LIMIT OUT.npz`` this file is our side of it.
"""

import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 (the path above comes first)

from benchmarks import peers  # noqa: E402
from benchmarks.cases import Case  # noqa: E402
from benchmarks.measure import measure  # noqa: E402
from data.alphabet import LETTERS  # noqa: E402
from data.msa import read_alignment  # noqa: E402

COUPLING_PENALTY, FIELD_PENALTY = 0.2, 0.01  # the first times L - 1
CLOSE = (1e-3, 1e-4)
PEER_LIMITS = (10, 15, 20, 30, 45, 70, 100, 150, 300, 600, 1000)
OUR_LIMITS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 30, 50)
TINY = 1e-9  # a tolerance that no iteration reaches
_CCMPRED_LETTERS = "ARNDCQEGHILKMFPSTWYV-"
_Q = len(LETTERS)

Parameters = tuple[np.ndarray, np.ndarray]  # fields [L, q], couplings [P, q, q], in the order of LETTERS


def objective_value(
    parameters: Parameters, tokens: np.ndarray, weights: np.ndarray, chunk: int = 256
) -> float:
    """Penalised negative log pseudolikelihood in float64, lower is better.

    Fields are shifted to mean zero at each site first, which changes no probability and makes their penalty
    smallest: CCMpred has no field for the gap, so that its own shift is arbitrary.
    """
    fields, couplings = (np.asarray(part, dtype=np.float64) for part in parameters)
    fields = fields - fields.mean(axis=1, keepdims=True)
    rows, length = tokens.shape
    full = _square(couplings, length)
    total = COUPLING_PENALTY * (length - 1) * (couplings**2).sum() + FIELD_PENALTY * (fields**2).sum()
    for start in range(0, rows, chunk):
        part = tokens[start : start + chunk].astype(np.int64)
        hot = np.eye(_Q)[part].reshape(len(part), -1)
        energy = (hot @ full).reshape(len(part), length, _Q) + fields
        top = energy.max(axis=2)
        logs = top + np.log(np.exp(energy - top[:, :, None]).sum(axis=2))
        chosen = np.take_along_axis(energy, part[:, :, None], axis=2)[:, :, 0]
        total += (weights[start : start + chunk].astype(np.float64) * (logs - chosen).sum(axis=1)).sum()
    return float(total)


def _square(couplings: np.ndarray, length: int) -> np.ndarray:
    """All couplings as one symmetric matrix [L q, L q] with zero diagonal blocks."""
    full = np.zeros((length, _Q, length, _Q))
    first, second = np.triu_indices(length, 1)
    full[first, :, second, :] = couplings
    full[second, :, first, :] = couplings.transpose(0, 2, 1)
    return full.reshape(length * _Q, length * _Q)


def ccmpred_weights(tokens: np.ndarray, identity: float = 0.8) -> np.ndarray:
    """Weights by CCMpred's rule: similar are rows with more than ceil(identity L) equal columns."""
    least = math.ceil(identity * tokens.shape[1])
    similar = np.array([(np.count_nonzero(tokens == row, axis=1) > least).sum() for row in tokens])
    return 1.0 / np.maximum(similar, 1)


def read_ccmpred_raw(path: Path, length: int) -> Parameters:
    """Raw file of ``ccmpred -r``: L lines of 20 fields, then blocks ``# i j`` of 21 x 21 couplings."""
    order = np.array([_CCMPRED_LETTERS.index(letter) for letter in LETTERS])
    with path.open() as stream:
        fields = np.array([stream.readline().split() for _ in range(length)], dtype=np.float64)
        numbers = np.loadtxt(stream, comments="#")
    blocks = numbers.reshape(-1, _Q, _Q)  # pairs i < j in packed order
    fields = np.concatenate([fields, np.zeros((length, 1))], axis=1)  # the gap has none
    return fields[:, order], blocks[:, order][:, :, order]


def read_plmc_params(path: Path) -> tuple[Parameters, np.ndarray]:
    """Parameters and weights of ``plmc -o``, little-endian single precision.

    Five integers (L, q, valid and invalid rows, iterations), five floats (theta, the penalties of fields,
    couplings and groups, Neff), the letters, for each row the number of rows similar to it, the first row's
    letters, column numbers, then frequencies and fields [L, q], pair frequencies and couplings [P, q, q],
    pairs i < j in packed order.
    """
    data = path.read_bytes()
    length, q, valid, invalid, _ = np.frombuffer(data, "<i4", 5)
    place = 40
    letters = data[place : place + q].decode()
    place += q
    weights = 1.0 / np.frombuffer(data, "<f4", valid + invalid, place)
    place += 4 * (valid + invalid) + length + 4 * length + 4 * length * q
    fields = np.frombuffer(data, "<f4", length * q, place).reshape(length, q)
    pairs = length * (length - 1) // 2
    place += 4 * length * q + 4 * pairs * q * q
    couplings = np.frombuffer(data, "<f4", pairs * q * q, place).reshape(pairs, q, q)
    order = np.array([letters.index(letter) for letter in LETTERS])
    return (fields[:, order], couplings[:, order][:, :, order]), weights


def _run_ccmpred(program: str, folder: Path, length: int, limit: int) -> tuple[float, Parameters]:
    """CPU seconds without the raw file, whose text is costly to write, then the parameters."""
    command = [program, "-t", "1", "-n", str(limit), "-e", "1e-8"]
    files = [str(folder / "x.aln"), str(folder / "ccmpred.mat")]
    seconds = measure([*command, *files]).cpu
    measure([*command, "-r", str(folder / "raw"), *files])
    return seconds, read_ccmpred_raw(folder / "raw", length)


def _plmc_command(program: str, folder: Path, length: int, limit: int) -> list[str]:
    penalties = ["-le", str(COUPLING_PENALTY * (length - 1)), "-lh", str(FIELD_PENALTY)]
    return [program, *penalties, "-m", str(limit), "-n", "1", "-c", str(folder / "plmc.txt")]


def _run_plmc(program: str, folder: Path, length: int, limit: int) -> tuple[float, Parameters]:
    command, fasta = _plmc_command(program, folder, length, limit), str(folder / "x.fasta")
    seconds = measure([*command, fasta]).cpu
    measure([*command, "-o", str(folder / "params"), fasta])
    return seconds, read_plmc_params(folder / "params")[0]


def _plmc_weights(program: str, folder: Path, length: int) -> np.ndarray:
    command = [*_plmc_command(program, folder, length, 1), "-o", str(folder / "params")]
    measure([*command, str(folder / "x.fasta")])
    return read_plmc_params(folder / "params")[1]


def _run_ours(path: Path, folder: Path, limit: int) -> tuple[float, Parameters]:
    out = folder / "ours.npz"
    seconds = measure([sys.executable, __file__, str(path), str(folder / "w.npy"), str(limit), str(out)]).cpu
    with np.load(out) as arrays:
        return seconds, (arrays["fields"], arrays["couplings"])


def infer_ours(path: str, weights: str, limit: int, out: str) -> None:
    """Our parameters after `limit` steps with given weights; our own are computed too, for their time."""
    from dca.accelerate import set_threads
    from dca.pseudolikelihood import PlmSettings, pseudolikelihood
    from dca.weights import sequence_weights

    set_threads(1)
    tokens = read_alignment(path).tokens
    sequence_weights(tokens)
    settings = PlmSettings(COUPLING_PENALTY, FIELD_PENALTY, tolerance=TINY, max_iterations=limit)
    model = pseudolikelihood(tokens, np.load(weights).astype(np.float32), settings)
    np.savez(out, fields=model.fields, couplings=model.couplings)


def _curve(
    run: Callable[[int], tuple[float, Parameters]],
    limits: tuple[int, ...],
    value: Callable[[Parameters], float],
    enough: float = -math.inf,
) -> list[dict[str, float]]:
    """Limit, CPU seconds and objective, until that is low enough or does not change any more."""
    points: list[dict[str, float]] = []
    for limit in limits:
        seconds, parameters = run(limit)
        found = value(parameters)
        own = found + _shift(parameters[0])
        points.append({"limit": limit, "cpu": seconds, "objective": found, "own": own})
        stopped = len(points) > 1 and points[-2]["objective"] == points[-1]["objective"]
        if stopped or points[-1]["objective"] <= enough:
            break
    return points


def _shift(fields: np.ndarray) -> float:
    """What the penalty of the fields exceeds that of fields with mean zero by."""
    fields = np.asarray(fields, dtype=np.float64)
    return FIELD_PENALTY * float((fields.mean(axis=1) ** 2).sum()) * fields.shape[1]


def _pair(
    peer: str,
    weights: np.ndarray,
    runs: dict[str, Callable[[int], tuple[float, Parameters]]],
    case: Case,
    limits: tuple[int, ...],
) -> dict[str, Any]:
    """Curves of ours, then of the peer until it is as close to our lowest value as is asked."""

    def value(parameters: Parameters) -> float:
        return objective_value(parameters, case.tokens, weights)

    ours = _curve(runs["ours"], OUR_LIMITS, value)
    lowest = min(point["objective"] for point in ours)
    curves = {"ours": ours, peer: _curve(runs[peer], limits, value, lowest + min(CLOSE) * abs(lowest))}
    best = min(point["objective"] for curve in curves.values() for point in curve)
    return {"peer": peer, "neff": float(weights.sum(dtype=np.float64)), "best": best, "curves": curves}


def compare(case: Case, most: int = PEER_LIMITS[-1]) -> dict[str, Any]:
    """Curves of ours and of each peer at up to `most` iterations, pair by pair with the peer's weights.

    Returns
    -------
    dict
        ``case``, ``n``, ``length``, and ``pairs``: a list of ``peer``, ``neff``, ``best`` (the lowest
        objective of both) and ``curves`` (program -> points).
    """
    result: dict[str, Any] = {"case": case.name, "pairs": []}
    result |= {"n": case.tokens.shape[0], "length": case.tokens.shape[1]}
    programs = {peer.name: program for peer, program in peers.available().items() if peer.beside == "plm"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = case.write(folder)
        length = case.tokens.shape[1]
        for peer, program in programs.items():
            if peer == "ccmpred":
                weights, run = ccmpred_weights(case.tokens), _run_ccmpred
            else:
                weights, run = _plmc_weights(program, folder, length), _run_plmc
            np.save(folder / "w.npy", weights)
            _run_ours(path, folder, 1)  # kernels are compiled
            runs = {
                "ours": lambda limit: _run_ours(path, folder, limit),
                peer: lambda limit, r=run, p=program: r(p, folder, length, limit),
            }
            limits = tuple(limit for limit in PEER_LIMITS if limit <= most)
            result["pairs"].append(_pair(peer, weights, runs, case, limits))
    return result


def seconds_to(
    curve: list[dict[str, float]], best: float, close: float, name: str = "objective"
) -> dict[str, float] | None:
    """The cheapest point of a curve within a relative distance of the best value of an objective."""
    near = [point for point in curve if point[name] <= best + close * abs(best)]
    return min(near, key=lambda point: point["cpu"]) if near else None


def text(result: dict[str, Any]) -> str:
    """Markdown: seconds to each distance, and the curves."""
    title = (
        f"{result['case']}, N {result['n']}, L {result['length']}: CPU seconds, one thread (iteration limit)"
    )
    if not result["pairs"]:
        return title + "\n\nneither ccmpred nor plmc is on PATH"
    columns = [f"{place} {close:g}" for place in ("lowest +", "own lowest +") for close in CLOSE]
    lines = [title, "", "| weights of | Neff | lowest | program | " + " | ".join(columns) + " |"]
    lines += ["|" + "---|" * (4 + len(columns))]
    curves = [(pair, *item) for pair in result["pairs"] for item in pair["curves"].items()]
    for pair, program, curve in curves:
        own = min(point["own"] for point in curve)
        found = [seconds_to(curve, pair["best"], close) for close in CLOSE]
        found += [seconds_to(curve, own, close, "own") for close in CLOSE]
        cells = [f"{point['cpu']:.2f} ({point['limit']})" if point else "not reached" for point in found]
        names = [pair["peer"], f"{pair['neff']:.1f}", f"{pair['best']:.1f}", program]
        lines.append("| " + " | ".join([*names, *cells]) + " |")
    lines += ["", "| weights of | program | limit: excess over the lowest, CPU s |", "|---|---|---|"]
    for pair, program, curve in curves:
        points = [f"{p['limit']}: {p['objective'] / pair['best'] - 1:.1e}, {p['cpu']:.2f}" for p in curve]
        lines.append(f"| {pair['peer']} | {program} | {'; '.join(points)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    infer_ours(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
