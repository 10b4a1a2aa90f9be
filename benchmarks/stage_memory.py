"""Peak memory of every stage of a protein, predicted and measured, on a made-up family of any size.

``python benchmarks/stage_memory.py --rows 5000 --length 300`` runs each stage as a process of its own on the
files of those before it, and prints a table; ``--only STAGE ...`` runs some, on what is there in
``--folder``. Pseudolikelihood stops after two iterations, since its memory does not grow with them.
"""

import argparse
import functools
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 (the path above comes first)

from benchmarks.measure import measure  # noqa: E402
from data.alphabet import decode  # noqa: E402
from data.contacts import Truth  # noqa: E402
from data.memory import alignment_bytes, scoring_bytes, structures_bytes  # noqa: E402
from data.store import load_arrays, save_arrays  # noqa: E402
from data.truth_file import save_truth  # noqa: E402

METHODS = ("mi", "mean-field", "plm")
STAGES = ("prepare", "map", *METHODS, "refine", "score", "report", "overview")
PROTEINS = 300  # of the overview, links to the one that is there


def write_family(folder: Path, rows: int, length: int) -> None:
    """Random sequences with a profile; a random chain of the first, as a structure and as the truth."""
    from benchmarks.many import pdb_text  # loads kernels, which not every stage holds

    rng = np.random.default_rng(0)
    profile = np.cumsum(rng.dirichlet(np.full(21, 0.3), size=length), axis=1)
    query = ""
    with (folder / "family.a3m").open("w") as stream:
        for n in range(rows):
            row = (rng.random((length, 1)) > profile).sum(axis=1).clip(0, 19 if n == 0 else 20)
            query = decode(row.astype(np.int8)) if n == 0 else query
            stream.write(f">sequence_{n} of a family of this length\n{decode(row.astype(np.int8))}\n")
    places = np.cumsum(rng.normal(0, 2.2, size=(length, 3)), axis=0)
    (folder / "structure.pdb").write_text(pdb_text(query, places))
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1).astype(np.float32)
    residue = np.array([str(n + 1) for n in range(length)])
    save_truth(folder / "truth.npz", Truth(distance, np.ones(length, bool), residue, 1.0, 1.0, "A", "MADE"))


def prepare(folder: Path) -> None:
    """Read and filter the alignment."""
    from data.prepare import prepare_alignment

    prepare_alignment(str(folder / "family.a3m"), str(folder / "alignment.npz"))


def map_distances(folder: Path) -> None:
    """Align the query to the structure and measure it."""
    from data.prepare import map_structure

    map_structure(
        str(folder / "alignment.npz"), str(folder / "structure.pdb"), str(folder / "mapped-truth.npz")
    )


def infer(folder: Path, method: str) -> None:
    """One method as the pipeline runs it."""
    from dca import accelerate, pseudolikelihood
    from dca.methods import infer_maps

    accelerate.set_threads(1)
    pseudolikelihood.PlmSettings = functools.partial(pseudolikelihood.PlmSettings, max_iterations=2)
    names = ("weights", "maps", "couplings", "contacts")
    outputs = {name: str(folder / f"{method}-{name}.npz") for name in names}
    infer_maps(str(folder / "alignment.npz"), outputs, [method])


def refine(folder: Path) -> None:
    """Features and the network's map."""
    from dca.accelerate import set_threads
    from nets.predict import refine_file
    from nets.shipped import find_weights

    set_threads(1)
    refine_file(
        str(folder / "alignment.npz"), str(folder / "refined.npz"), str(find_weights("default")), "default"
    )


def score(folder: Path) -> None:
    """Precision of all maps."""
    from data.scoring import score_files

    score_files(
        "P", folder / "truth.npz", [folder / "maps.npz", folder / "refined.npz"], folder / "scores.tsv"
    )


def report(folder: Path) -> None:
    """Page and exports."""
    from report.page import write_protein

    names = ("alignment", "weights", "maps", "contacts", "truth", "scores", "refined")
    files = {name: folder / f"{name}.{'tsv' if name == 'scores' else 'npz'}" for name in names}
    write_protein(
        "P", files, settings={}, versions={}, page=folder / "report.html", exports=folder / "exports"
    )


def overview(folder: Path) -> None:
    """The overview of many proteins, all of them this one."""
    from report.overview import write_overview

    run = folder / "run"
    run.mkdir(exist_ok=True)
    names = [f"p{n}" for n in range(PROTEINS)]
    for name in names:
        if not (run / name).exists():
            (run / name).symlink_to("..")
    rows = [{"protein": name, "structure": "MADE"} for name in names]
    write_overview(run, rows, {}, {}, run / "index.html", run / "summary.tsv")


def join_maps(folder: Path) -> None:
    """The three methods' files as the pipeline's one run writes them."""
    maps = {name: array for m in METHODS for name, array in load_arrays(folder / f"{m}-maps.npz").items()}
    save_arrays(folder / "maps.npz", **maps)
    for name in ("weights", "contacts"):
        (folder / f"plm-{name}.npz").rename(folder / f"{name}.npz")
    (folder / "plm-couplings.npz").unlink()


def predicted(stage: str, rows: int, length: int) -> int:
    """Bytes that the stage is said to take."""
    if stage == "prepare":
        return alignment_bytes(rows, length)
    if stage == "map":
        return structures_bytes(length, [4 * 80 * length])
    if stage == "overview":
        from report.memory import overview_bytes

        return overview_bytes(PROTEINS, len(METHODS) + 1)
    if stage == "score":
        return scoring_bytes(length, 2 * len(METHODS) + 2)
    if stage == "report":
        from report.memory import page_bytes

        return page_bytes(rows, length, len(METHODS) + 1)
    if stage == "refine":
        from nets.memory import refinement_bytes
        from nets.shipped import weights_config

        return refinement_bytes(rows, length, weights_config("default"))
    from dca.memory import predicted_bytes

    return predicted_bytes(stage, rows, length)


def run(stage: str, folder: Path) -> None:
    """One stage in this process."""
    stages = {
        "prepare": prepare, "map": map_distances, "refine": refine, "score": score, "report": report,
        "overview": overview,
    }  # fmt: skip
    if stage in stages:
        stages[stage](folder)
    else:
        infer(folder, stage)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--only", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--folder", type=Path, help="keeps the files; by default they are removed")
    parser.add_argument("--predict", action="store_true", help="run nothing")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.stage:
        run(options.stage, options.folder)
        return 0
    if options.predict:
        print(f"| stage, N = {options.rows}, L = {options.length} | predicted MB |\n|---|---|")
        for stage in options.only:
            print(f"| {stage} | {predicted(stage, options.rows, options.length) / 1e6:.0f} |")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "family.a3m").exists():
            write_family(folder, options.rows, options.length)
        print(f"| stage, N = {options.rows}, L = {options.length} | predicted MB | measured MB | s |")
        print("|---|---|---|---|")
        for stage in options.only:
            used = measure([sys.executable, __file__, "--stage", stage, "--folder", str(folder)])
            said = predicted(stage, options.rows, options.length) / 1e6
            print(f"| {stage} | {said:.0f} | {used.memory:.0f} | {used.wall:.0f} |", flush=True)
            if stage == METHODS[-1]:
                join_maps(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
