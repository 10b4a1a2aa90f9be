"""Training crops whose features are computed on the device while training goes on.

A pool on the device holds every family at a few depths of its alignment; every few steps one family's oldest
entry gives way to a fresh draw of sequences. Which draw that is, and every crop, is a function of seed and
step alone, so that a run that was stopped goes on as if it had not been (to the bit on a CPU).
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.alphabet import GAP, Q
from data.errors import CovarionError
from data.mapped import map_arrays
from data.memory import INTERPRETER, require_bytes
from nets.config import PAIR_MAPS, TrainConfig
from nets.dataset import SHALLOWEST, Example, array_name, by_cluster, example_at, subsample
from nets.device_features import DeviceFeatures, device_features
from nets.features import Features
from nets.losses import UNRESOLVED
from nets.memory import TORCH
from nets.model import Pixels

COPIES = 3  # depths of a family that the pool holds at a time; simulated folds have one
WIDE = 1.75  # every other step takes squares so much larger, of the families that have them
WHOLE = 0.25  # share of the draws with all sequences
STAND_IN = 0.5  # share of the draws that show another sequence of the family as the query
_ALIKE, _COVERED = 0.4, 0.9  # which must share and cover so much of it
_MOST_ROWS = 6000  # sequences of a draw
_POOL_SHARE = 0.6  # of the device's free memory


@dataclass(frozen=True, eq=False)
class LiveExample:
    """One protein of a training set as its alignment and true bins; stands for a `nets.dataset.Example`.

    Attributes
    ----------
    protein, cluster, split : str
        As `nets.dataset.Example`.
    tokens : int8 [N, L]
        The query is row 0.
    bins : uint8 [P]
        True distance bin of the packed pairs, 255 where it is not resolved.
    device : str
        Where features are computed.
    names : tuple of str
        Pair maps that the network reads.
    """

    protein: str
    cluster: str
    split: str
    tokens: np.ndarray
    bins: np.ndarray
    device: str = "cpu"
    names: tuple[str, ...] = PAIR_MAPS
    teacher: str = ""
    _kept: dict[int, Features] = field(default_factory=dict, repr=False)

    @property
    def length(self) -> int:
        """Number of columns L."""
        return self.tokens.shape[1]

    @staticmethod
    def of(example: Example, device: str, names: tuple[str, ...] = PAIR_MAPS) -> "LiveExample":
        """The same protein, from the alignment in the file of an example.

        Raises
        ------
        CovarionError
            The file holds none.
        """
        arrays = map_arrays(example.path)
        name = array_name(example.key, "tokens")
        if name not in set(arrays):
            raise CovarionError(
                "an example without its alignment",
                file=example.path,
                value=example.protein,
                remedy="write the data set with train: settings: live_every above 0",
            )
        found = arrays[name], arrays[array_name(example.key, "bins")]
        return LiveExample(example.protein, example.cluster, example.split, *found, device, names)

    def chosen_depths(self) -> list[int]:
        """All sequences, the geometric mean of their number and 16, and 16."""
        rows = self.tokens.shape[0]
        if rows <= 2 * SHALLOWEST:
            return [rows]
        return [rows, round((rows * SHALLOWEST) ** 0.5), SHALLOWEST]

    def depths(self) -> int:
        """At how many depths `read` gives features."""
        return len(self.chosen_depths())

    def read(self, k: int) -> tuple[Features, np.ndarray]:
        """Features at depth number `k` (modulo the number there is) and the true bins."""
        k %= self.depths()
        found = self._kept.get(k)
        if found is None:
            rng = np.random.default_rng([k, zlib.crc32(self.protein.encode())])
            rows = self.chosen_depths()[k]
            drawn = subsample(self.tokens, min(rows, _MOST_ROWS), rng)
            found = device_features(_placed(drawn, self.device), self.names).packed()
            if self.split == "tune":  # which is looked at again and again
                self._kept[k] = found
        return found, self.bins

    def content(self) -> list[list]:
        """Checksums of alignment and bins."""
        arrays = (self.tokens, self.bins)
        return [[str(a.dtype), list(a.shape), zlib.crc32(np.ascontiguousarray(a).data)] for a in arrays]


@dataclass(frozen=True)
class Entry:
    """One draw of one family: its channels and true bins (uint8 [L, L]) as whole maps on the device."""

    features: DeviceFeatures
    bins: Tensor


class Pool:
    """Families at a few depths each on the device, renewed one draw after the other.

    Parameters
    ----------
    examples : sequence of LiveExample
    device : torch.device
    seed : int
    copies : int
        Entries of a family.
    names : tuple of str
        Pair maps.
    """

    def __init__(
        self,
        examples: Sequence[LiveExample],
        device: torch.device,
        seed: int,
        copies: int,
        names: tuple[str, ...] = PAIR_MAPS,
    ):
        self.examples, self.device, self.seed, self.copies = list(examples), device, seed, copies
        self.names = names
        self.entries: list[dict[int, Entry]] = [{} for _ in self.examples]
        self.place = {id(example): k for k, example in enumerate(self.examples)}
        self.drawn = 0

    def bytes(self) -> int:
        """What it holds in the end."""
        return self.copies * sum(e.length**2 for e in self.examples) * (Q**2 + 2 * len(self.names) + 1)

    def draw_until(self, number: int) -> None:
        """Make all draws before `number`, but not those that later ones have replaced since."""
        families = len(self.examples)
        first = self.drawn or max(0, number // families - self.copies) * families
        for k in range(first, number):
            epoch, place = divmod(k, families)
            chosen = int(np.random.default_rng([self.seed, 4, epoch]).permutation(families)[place])
            self.entries[chosen][epoch % self.copies] = self._draw(self.examples[chosen], k)
        self.drawn = max(self.drawn, number)

    def _draw(self, example: LiveExample, number: int) -> Entry:
        rng = np.random.default_rng([self.seed, 5, number])
        rows = most = min(len(example.tokens), _MOST_ROWS)
        if rng.random() >= WHOLE and most > SHALLOWEST:
            rows = round(float(np.exp(rng.uniform(np.log(SHALLOWEST), np.log(most)))))
        tokens = subsample(example.tokens, rows, rng)
        query = tokens[0] if rng.random() >= STAND_IN else stand_in(example.tokens, rng)
        length = example.length
        bins = np.full((length, length), UNRESOLVED, dtype=np.uint8)
        upper = np.triu_indices(length, 1)
        bins[upper] = bins.T[upper] = example.bins
        on_device, shown, truth = (_placed(array, self.device) for array in (tokens, query, bins))
        return Entry(device_features(on_device, self.names, shown), truth)

    def entry(self, example: LiveExample, rng: np.random.Generator) -> Entry:
        """One of the family's entries."""
        held = self.entries[self.place[id(example)]]
        return held[sorted(held)[int(rng.integers(len(held)))]]


def stand_in(tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A sequence of the family that resembles the query, in its place; the query itself where none does."""
    there = tokens != GAP
    own = there[0]
    same = ((tokens == tokens[0]) & own).sum(axis=1)
    covered = (there & own).sum(axis=1)
    alike = np.flatnonzero((same >= _ALIKE * covered) & (covered >= _COVERED * max(1, own.sum())))
    return tokens[int(rng.choice(alike))] if alike.size else tokens[0]


class LiveCrops:
    """The crops of each step, computed on the device.

    Parameters
    ----------
    clusters, folds : list of list of LiveExample
        As `nets.dataset.by_cluster` groups them: real families, and simulated ones.
    settings : TrainConfig
    device : torch.device
    names : tuple of str
        Pair maps that the network reads.
    diagonal : bool
        Whether every square lies on the diagonal, as triangles need it.
    """

    def __init__(
        self,
        clusters: list[list[LiveExample]],
        folds: list[list[LiveExample]],
        settings: TrainConfig,
        device: torch.device,
        names: tuple[str, ...] = PAIR_MAPS,
        diagonal: bool = False,
    ):
        self.settings, self.device, self.diagonal = settings, device, diagonal
        self.real = [e for cluster in clusters for e in cluster]
        self.made = [e for cluster in folds for e in cluster]
        self.pools = [
            Pool(examples, device, settings.seed + 7 * k, copies, names)
            for k, (examples, copies) in enumerate(((self.real, COPIES), (self.made, 1)))
            if examples
        ]
        self._check_memory()
        self.sides = [settings.crop, round(settings.crop * WIDE)]
        long = by_cluster([e for e in self.real if e.length > settings.crop])  # type: ignore[misc]
        long_folds = by_cluster([e for e in self.made if e.length > settings.crop])  # type: ignore[misc]
        self.groups = [(clusters, folds), (long or clusters, long_folds or folds)]

    def _check_memory(self) -> None:
        needed = sum(pool.bytes() for pool in self.pools)
        way = "train from a data set (live_every 0), or on fewer or shorter families"
        if self.device.type != "cuda":
            require_bytes(
                "a pool of the training families' features",
                needed + INTERPRETER + TORCH,
                lambda available: [way],
            )
            return
        free = torch.cuda.mem_get_info(self.device)[0]
        if needed > _POOL_SHARE * free:
            raise CovarionError(
                "the features of the training families do not fit the GPU's memory",
                value=f"{needed / 1e9:.1f} GB of {free / 1e9:.1f} GB",
                remedy=way,
            )

    def at(self, step: int) -> list[tuple[Pixels, Tensor]]:
        """The crops of a step, one batch of one size."""
        wide, number = step % 2, step // 2
        for pool in self.pools:
            pool.draw_until(len(pool.examples) + step // self.settings.live_every)
        side = self.sides[wide]
        count = max(1, round(self.settings.batch / WIDE**2)) if wide else self.settings.batch
        parts = []
        for n in range(number * count, (number + 1) * count):
            rng = np.random.default_rng([self.settings.seed, 6, wide, n])
            clusters, folds = self.groups[wide]
            made = folds and (rng.random() < self.settings.fold_share or not clusters)
            example: Any = example_at(n, folds if made else clusters, self.settings.seed + wide)  # type: ignore
            pool = self.pools[-1 if made else 0]
            parts.append(_cut(pool.entry(example, rng), side, rng, self.diagonal))
        return [(Pixels.joined([pixels for pixels, _ in parts]), torch.cat([bins for _, bins in parts]))]


def _placed(array: np.ndarray, device: str | torch.device) -> Tensor:
    return torch.from_numpy(np.array(array)).to(device)


def _cut(entry: Entry, side: int, rng: np.random.Generator, diagonal: bool) -> tuple[Pixels, Tensor]:
    """A random square of the entry, half of the time or always on the diagonal, filled up to `side`."""
    length = entry.features.length
    starts = rng.integers(0, max(1, length - side + 1), size=2)
    if rng.random() < 0.5 or diagonal:
        starts[1] = starts[0]
    rows, cols = (slice(int(start), min(length, int(start) + side)) for start in starts)
    pixels, bins = entry.features.cut(rows, cols), entry.bins[rows, cols][None]
    short = side - bins.shape[1]
    inside = torch.ones_like(bins, dtype=torch.bool)
    filled = {
        "couplings": _filled(pixels.couplings, (0, 0, 0, short, 0, short)),
        "maps": _filled(pixels.maps, (0, 0, 0, short, 0, short)),
        "rows": _filled(pixels.rows, (0, 0, 0, short)),
        "cols": _filled(pixels.cols, (0, 0, 0, short)),
        "separation": _filled(pixels.separation, (0, short, 0, short)),
        "inside": _filled(inside, (0, short, 0, short)),
    }
    return Pixels(scalars=pixels.scalars, **filled), _filled(bins, (0, short, 0, short), UNRESOLVED)


def _filled(array: Tensor, sides: tuple[int, ...], value: int = 0) -> Tensor:
    return torch.nn.functional.pad(array, sides, value=value)
