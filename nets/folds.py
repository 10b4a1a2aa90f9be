"""Training examples of made-up families on real folds: what contact maps look like, from structures alone.

Each fold gets a Potts model on its contacts, and sequences that evolved along a tree under it
(`dca.simulate`); the alignment then goes through the same DCA as a real one. Depth of the alignment,
strength of the couplings, age of the tree and share of gaps vary from fold to fold.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.contacts import contact_map
from data.errors import CovarionError
from data.store import load_table, open_arrays
from nets.config import PAIR_MAPS
from nets.dataset import write_example
from nets.features import simulate_family

ROWS = (64, 3000)  # sequences of a family, drawn evenly on the logarithm
STRENGTH = (4.0, 10.0)  # Frobenius norm of a contact's couplings
DEPTH = (1.0, 5.0)  # from root to leaf, proposed mutations per site
GAPS = (0.02, 0.2)


def fold_distances(atoms: np.ndarray, sequence: str) -> np.ndarray:
    """C-beta distances, C-alpha for glycine where it is known.

    Parameters
    ----------
    atoms : float32 [L, 4, 3]
        N, CA, C and CB in angstrom, NaN where unknown.
    sequence : str
        L letters.

    Returns
    -------
    float32 [L, L]
        NaN where either residue is unknown.
    """
    place = atoms[:, 3].copy()
    glycine = (np.array(list(sequence)) == "G") & ~np.isnan(atoms[:, 1]).any(axis=1)
    place[glycine] = atoms[glycine, 1]
    return np.linalg.norm(place[:, None] - place[None], axis=-1).astype(np.float32)


def build_folds(
    folder: str | Path,
    names: Sequence[str],
    out: str | Path,
    seed: int,
    depths: int = 2,
    pair_maps: Sequence[str] = PAIR_MAPS,
    with_alignment: bool = False,
) -> None:
    """Write ``out/ID.npz``, a training example, for each named chain; what is whole already stays.

    The file is a function of folder, id, seed, depths, pair maps and `with_alignment` alone.

    Raises
    ------
    CovarionError
        A name is not in the folder.
    """
    folder, out = Path(folder), Path(out)
    rows = load_table(folder / "structures.tsv", ("id", "sequence"))
    sequence = {row["id"]: row["sequence"] for row in rows}
    out.mkdir(parents=True, exist_ok=True)
    with open_arrays(folder / "coordinates.npz") as coordinates:
        for name in names:
            if name not in sequence or name not in coordinates:
                raise CovarionError("no such structure", file=folder / "structures.tsv", value=name)
            if (out / f"{name}.npz").exists():
                continue
            distance = fold_distances(coordinates[name], sequence[name])
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            family = _family(distance, rng)
            write_example(
                out / f"{name}.npz", family, distance, rng, depths, tuple(pair_maps), with_alignment
            )


def _family(distance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An alignment of a made-up family with this fold, int8 [N, L]."""
    rows = round(float(np.exp(rng.uniform(*np.log(ROWS)))))
    tokens, _ = simulate_family(
        contact_map(distance),
        rows,
        rng,
        depth=float(rng.uniform(*DEPTH)),
        gap_share=float(rng.uniform(*GAPS)),
        coupling_strength=float(rng.uniform(*STRENGTH)),
    )
    return tokens
