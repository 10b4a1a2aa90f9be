"""Training examples: features of one protein at several depths of its alignment, with its true distances."""

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from data.alphabet import Q
from data.contacts import contact_map
from data.errors import CovarionError
from data.mapped import map_arrays
from data.store import open_arrays, save_arrays
from data.truth_file import experimental_distance
from nets.config import BIN_EDGES, FEATURE_VERSION, PAIR_MAPS
from nets.features import Features, compute_features, simulate_family
from nets.losses import UNRESOLVED
from nets.model import Pixels
from nets.teacher import ARRAY, read_labels, soft_bins

logger = logging.getLogger(__name__)

FEATURE_NAMES = ("couplings", "maps", "sites", "scalars")
SHALLOWEST = 16


@dataclass(frozen=True)
class Example:
    """One protein of a training set.

    Attributes
    ----------
    protein : str
    path : str
        File written by :func:`write_example`, or a shard of `nets.shards`.
    cluster : str
        Homology cluster: all of its members stand on one side of the split and share one weight.
    split : str
        ``train`` or ``tune``.
    key : str
        Name that the arrays of the example carry in a shard; empty in a file of its own.
    teacher : str
        File of soft labels (`nets.teacher`), the shard itself where they stand in it; empty: none.
    """

    protein: str
    path: str
    cluster: str
    split: str
    key: str = ""
    teacher: str = ""

    @property
    def length(self) -> int:
        """Number of columns L, from the directory of the file: no array is read."""
        return map_arrays(self.path).shape(array_name(self.key, "sites_0"))[0]

    def read(self, k: int) -> tuple[Features, np.ndarray]:
        """Features at depth number `k` (modulo the number there is) and the true bins."""
        return read_example(self.path, k, self.key)

    def labels(self) -> np.ndarray | None:
        """Soft labels of a teacher, float16 [P, 37], or None."""
        if not self.teacher:
            return None
        return read_labels(self.teacher, array_name(self.key if self.teacher == self.path else "", ARRAY))

    def depths(self) -> int:
        """At how many depths there are features."""
        return map_arrays(self.path)[array_name(self.key, "depths")].size

    def content(self) -> list[list]:
        """Names and checksums of the arrays, the same in files of its own and in any shard."""
        return content(self)


def content(example: Example) -> list[list]:
    """Names and checksums of an example's arrays, the same in files of its own and in any shard.

    Labels of a teacher count where they are used.
    """
    found = dict(map_arrays(example.path).checksums(array_name(example.key, "")))
    found.pop(ARRAY, None)
    if example.teacher:
        prefix = array_name(example.key if example.teacher == example.path else "", "")
        found[ARRAY] = map_arrays(example.teacher).checksums(prefix)[ARRAY]
    return sorted(map(list, found.items()))


def array_name(key: str, name: str) -> str:
    """Name of an array of an example in its file."""
    return f"{key}/{name}" if key else name


def distance_bins(distance: np.ndarray, edges: Sequence[float] = BIN_EDGES) -> np.ndarray:
    """Bin of each packed pair.

    Parameters
    ----------
    distance : float32 [L, L]
        Angstrom, NaN where a residue is not resolved.

    Returns
    -------
    uint8 [P]
        255 where not resolved.
    """
    packed = distance[np.triu_indices(distance.shape[0], 1)]
    bins = np.searchsorted(np.asarray(edges[1:-1]), packed, side="right").astype(np.uint8)
    return np.where(np.isnan(packed), UNRESOLVED, bins).astype(np.uint8)


def subsample(tokens: np.ndarray, rows: int, rng: np.random.Generator) -> np.ndarray:
    """The query and `rows` - 1 other rows drawn without replacement, in their old order."""
    others = 1 + np.sort(rng.permutation(tokens.shape[0] - 1)[: rows - 1])
    return tokens[np.concatenate([[0], others])]


def depths(rows: int, count: int, rng: np.random.Generator) -> list[int]:
    """`rows` itself and up to `count` - 1 smaller depths, spread evenly over the logarithm."""
    chosen = [rows]
    if rows <= 2 * SHALLOWEST:
        return chosen
    edges = np.linspace(np.log(rows), np.log(SHALLOWEST), count)
    for high, low in pairwise(edges):
        chosen.append(int(np.exp(rng.uniform(low, high))))
    return chosen


def write_example(
    path: str | Path,
    tokens: np.ndarray,
    distance: np.ndarray,
    rng: np.random.Generator,
    count: int = 3,
    names: tuple[str, ...] = PAIR_MAPS,
    with_alignment: bool = False,
) -> None:
    """Compute and save the features of one protein at `count` depths of its alignment.

    Parameters
    ----------
    path : path
        ``.npz`` with the arrays of docs/dataset.md: labels, and for each depth k those of
        :class:`nets.features.Features` with suffix ``_k``.
    tokens : int8 [N, L]
        The query is row 0.
    distance : float32 [L, L]
        True distances in angstrom, NaN where not resolved.
    rng : numpy Generator
        Chooses depths and rows.
    with_alignment : bool
        Save the alignment too, as ``tokens``, for training that draws from it (`nets.live`).
    """
    arrays: dict[str, np.ndarray] = {
        "bins": distance_bins(distance),
        "distance": distance[np.triu_indices(distance.shape[0], 1)].astype(np.float32),
        "query": np.asarray(tokens[0], dtype=np.int8),
        "version": np.array(FEATURE_VERSION, dtype=np.int32),
    }
    if with_alignment:
        arrays["tokens"] = np.asarray(tokens, dtype=np.int8)
    chosen = depths(tokens.shape[0], count, rng)
    for k, rows in enumerate(chosen):
        shallow = tokens if rows == tokens.shape[0] else subsample(tokens, rows, rng)
        features = compute_features(shallow, names)
        arrays |= {f"{name}_{k}": getattr(features, name) for name in FEATURE_NAMES}
    save_arrays(path, depths=np.array(chosen, dtype=np.int32), pair_maps=np.array(names), **arrays)


def build_example(
    alignment: str,
    truth: str,
    out: str,
    depths: int,
    pair_maps: Sequence[str],
    seed: int,
    with_alignment: bool = False,
) -> None:
    """Training example of a protein from its ``alignment.npz`` and ``truth.npz``.

    Raises
    ------
    CovarionError
        The truth is a predicted model, which nothing is learned from.
    """
    distance = experimental_distance(truth)
    with open_arrays(alignment) as arrays:
        tokens = arrays["tokens"]
    rng = np.random.default_rng([seed, zlib.crc32(Path(out).parent.name.encode())])
    write_example(out, tokens, distance, rng, depths, tuple(pair_maps), with_alignment)


def build_simulated(
    truth: str,
    out: str,
    rows: int,
    number: int,
    depths: int,
    pair_maps: Sequence[str],
    seed: int,
    with_alignment: bool = False,
) -> None:
    """Training example of a family simulated on a real fold.

    A Potts model on the fold's contacts is sampled along a tree (:mod:`dca.simulate`). Unresolved residues
    have no contacts in the model and no bins in the labels.

    Raises
    ------
    CovarionError
        The truth is a predicted model.
    """
    distance = experimental_distance(truth)
    rng = np.random.default_rng([seed, number, zlib.crc32(Path(out).parent.name.encode())])
    tokens, _ = simulate_family(contact_map(distance), rows, rng, gap_share=0.1)
    write_example(out, tokens, distance, rng, depths, tuple(pair_maps), with_alignment)


def read_example(path: str | Path, k: int, key: str = "") -> tuple[Features, np.ndarray]:
    """Features at depth number `k` (modulo the number there is) and the true bins, mapped from the file.

    Parameters
    ----------
    path : path
        Of :func:`write_example`, or a shard.
    k : int
    key : str
        Of an example in a shard.

    Raises
    ------
    CovarionError
        The file cannot be read, or is another's.
    """
    arrays = map_arrays(path)
    count = arrays[array_name(key, "depths")].size
    if not count:
        raise CovarionError("an example without a depth", file=path, remedy="delete it and run again")
    k %= count
    found = Features(*(arrays[array_name(key, f"{name}_{k}")] for name in FEATURE_NAMES))
    return found, arrays[array_name(key, "bins")]


def packed_rectangle(rows: np.ndarray, cols: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Packed pair of every pixel of a rectangle, and whether the pixel lies below the diagonal.

    Diagonal pixels get pair 0; their separation of 0 keeps them out of losses and maps.

    Returns
    -------
    pair : int64 [H, W]
    below : bool [H, W]
    """
    low = np.minimum(rows[:, None], cols[None, :]).astype(np.int64)
    high = np.maximum(rows[:, None], cols[None, :]).astype(np.int64)
    pair = low * length - low * (low + 1) // 2 + high - low - 1
    return np.where(low == high, 0, pair), rows[:, None] > cols[None, :]


def cut_pixels(features: Features, rows: np.ndarray, cols: np.ndarray) -> Pixels:
    """A rectangle of all input channels as a batch of one, on the CPU."""
    pair, below = packed_rectangle(rows, cols, features.length)
    couplings = features.couplings[pair]  # [H, W, q * q]
    turned = couplings[below].reshape(-1, Q, Q).transpose(0, 2, 1)
    couplings[below] = turned.reshape(-1, Q * Q)  # below the diagonal the two letters swap roles
    couplings[rows[:, None] == cols[None, :]] = 0
    return Pixels(
        couplings=torch.from_numpy(couplings)[None],
        maps=torch.from_numpy(features.maps[pair].astype(np.float32))[None],
        rows=torch.from_numpy(features.sites[rows].astype(np.float32))[None],
        cols=torch.from_numpy(features.sites[cols].astype(np.float32))[None],
        separation=torch.from_numpy(np.abs(rows[:, None] - cols[None, :]).astype(np.int64))[None],
        scalars=torch.from_numpy(features.scalars.astype(np.float32))[None],
    )


def cut_bins(bins: np.ndarray, rows: np.ndarray, cols: np.ndarray, length: int) -> torch.Tensor:
    """True bins of a rectangle, uint8 [1, H, W]."""
    pair, _ = packed_rectangle(rows, cols, length)
    return torch.from_numpy(np.where(rows[:, None] == cols[None, :], UNRESOLVED, bins[pair]))[None]


def check_examples(examples: Sequence[Example], edges: Sequence[float]) -> None:
    """Refuse a training set that is split within a cluster, or a network of other bins than its labels.

    Raises
    ------
    CovarionError
        Names the cluster, or the edges of the network's distance bins.
    """
    check_split(examples)
    if tuple(edges) != BIN_EDGES:
        raise CovarionError(
            "examples have labels in other distance bins than the network",
            value=", ".join(f"{edge:g}" for edge in edges)[:200],
            remedy="leave model: bin_edges as they are, or go on from other weights",
        )


def check_split(examples: Sequence[Example]) -> None:
    """Refuse a training set in which a homology cluster stands on both sides of the split.

    Raises
    ------
    CovarionError
        Names the cluster and its proteins.
    """
    side: dict[str, Example] = {}
    for example in examples:
        other = side.setdefault(example.cluster, example)
        if other.split != example.split:
            raise CovarionError(
                "a homology cluster stands in two splits",
                place=f"cluster {example.cluster}",
                value=f"{other.protein} ({other.split}), {example.protein} ({example.split})",
                remedy="move all of its proteins to one split of the protein table",
            )


def example_at(number: int, clusters: Sequence[Sequence[Example]], seed: int) -> Example:
    """Example number `number` of the endless training stream, a function of its arguments alone.

    In each epoch every cluster comes once, in a fresh order, by one random member: clusters weigh
    the same whatever their size, and a resumed run needs no state of the stream.
    """
    epoch, place = divmod(number, len(clusters))
    order = np.random.default_rng([seed, epoch]).permutation(len(clusters))
    members = clusters[int(order[place])]
    return members[int(np.random.default_rng([seed, epoch, place]).integers(len(members)))]


def by_cluster(examples: Sequence[Example]) -> list[list[Example]]:
    """Examples grouped by homology cluster, in the order of the clusters' names."""
    clusters: dict[str, list[Example]] = {}
    for example in examples:
        clusters.setdefault(example.cluster, []).append(example)
    return [clusters[name] for name in sorted(clusters)]


def cut_labels(
    labels: np.ndarray | None, rows: np.ndarray, cols: np.ndarray, length: int, edges: Sequence[float]
) -> torch.Tensor:
    """A teacher's distribution on our bins in a rectangle, float32 [1, H, W, B]; zeros without a teacher."""
    if labels is None:
        return torch.zeros((1, len(rows), len(cols), len(edges) - 1))
    pair, _ = packed_rectangle(rows, cols, length)
    return torch.from_numpy(soft_bins(labels[pair], edges))[None]


def random_crop(
    example: Example,
    crop: int,
    rng: np.random.Generator,
    deepest: bool = False,
    diagonal: bool = False,
    taught: Sequence[float] = (),
) -> tuple:
    """A random square of an example at a random depth, whole where it is no longer than `crop`.

    Parameters
    ----------
    example : Example
    crop : int
    rng : numpy Generator
        The draws from it are the same whatever is asked for.
    deepest : bool
        Always all sequences.
    diagonal : bool
        Always a square on the diagonal.
    taught : sequence of float
        Edges of the distance bins that a teacher's labels are wanted for; empty: none are.

    Returns
    -------
    (Pixels, uint8 [1, H, W])
        And, where they are wanted, the teacher's labels as `cut_labels` gives them.
    """
    drawn = int(rng.integers(1 << 16))
    features, bins = example.read(0 if deepest else drawn)
    length = features.length
    starts = rng.integers(0, max(1, length - crop + 1), size=2)
    # Half of the squares lie on the diagonal, where most contacts are; the other half anywhere.
    if rng.random() < 0.5 or diagonal:
        starts[1] = starts[0]
    rows, cols = (np.arange(start, min(length, start + crop)) for start in starts)
    found = cut_pixels(features, rows, cols), cut_bins(bins, rows, cols, length)
    if not taught:
        return found
    return *found, cut_labels(example.labels(), rows, cols, length, taught)
