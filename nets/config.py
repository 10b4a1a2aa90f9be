"""Settings of the refiner and of its training, carried inside every checkpoint."""

import math
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

FEATURE_VERSION = 1  # of examples; raise it when their channels change in number, order or meaning
PAIR_MAPS = ("ridge", "mi")  # maps that nets.features makes by itself
# Log odds of a distance below so many angstrom, by the published networks of trRosetta (`nets.experts`)
TRROSETTA_MAPS = {f"expert:trrosetta-{edge}": float(edge) for edge in (6, 8, 10, 12, 15, 20)}
INVERSE = "inverse"  # what trRosetta's architecture reads in place of maps and couplings
ARCHITECTURES = ("refiner", "trrosetta")
TEACHERS = ("trrosetta",)
INFINITY = 1e9
BIN_EDGES = (
    0.0,
    4.0,
    5.0,
    6.0,
    7.0,
    8.0,
    9.0,
    10.0,
    11.0,
    12.0,
    13.0,
    14.0,
    15.0,
    16.0,
    18.0,
    20.0,
    INFINITY,
)
CHAINS, CHAIN_STEPS = 8, 400  # folded with a predicted map (`nets.chain`), and how long each
SEPARATION_STARTS = (1, 2, 3, 4, 5, 6, 9, 12, 18, 24, 36, 60)
_BOUNDS = (
    ("channels", 1, 4096), ("blocks", 1, 1024), ("pool_every", 0, 1024), ("members", 1, 16),
    ("triangles", 0, 1024), ("quick_above", 0, 1_000_000),
)  # fmt: skip
_COUNT, _NUMBER = {"type": "integer", "minimum": 1}, {"type": "number", "minimum": 0}
# What training accepts, in the words that workflow/schemas/config.schema.json has for `settings`
TRAINING_BOUNDS: dict[str, dict[str, Any]] = {
    "steps": {"type": "integer", "minimum": 0},
    "batch": _COUNT,
    "crop": {"type": "integer", "minimum": 8},
    "learning_rate": {"type": "number", "exclusiveMinimum": 0},
    "weight_decay": _NUMBER,
    "contact_weight": _NUMBER,
    "average": _NUMBER | {"exclusiveMaximum": 1},
    "precision": {"enum": ["float32", "bfloat16"]},
    "evaluate_every": _COUNT,
    "save_every": _COUNT,
    "seed": {"type": "integer", "minimum": 0},
    "fold_share": _NUMBER | {"maximum": 1},
    "keep_start": _NUMBER | {"maximum": 1},
    "micro_batch": _COUNT,
    "teacher": {"enum": ["", *TEACHERS]},
    "teacher_weight": _NUMBER | {"maximum": 1},
    "chain": _NUMBER | {"maximum": 10},
    "live_every": {"type": "integer", "minimum": 0},
}


@dataclass(frozen=True)
class RefinerConfig:
    """Shape of the network and the channels it reads.

    Attributes
    ----------
    pair_maps : tuple of str
        Named maps that are stacked as input channels: of ``PAIR_MAPS`` and ``TRROSETTA_MAPS``, or
        ``expert:NAME`` for maps that a user brings.
    channels : int
        Width C of the residual trunk.
    blocks : int
        Number of residual blocks, two 3 x 3 convolutions each.
    dilations : tuple of int
        Dilation of the blocks, cycled.
    pool_every : int
        Row and column averages are mixed in before each block whose number is a multiple of it.
    dropout : float
        Share of channels dropped inside a block while training.
    bin_edges : tuple of float
        Edges of the distance bins in angstrom, B + 1 of them; 8 must be one, contacts end there.
    architecture : str
        ``refiner`` (`nets.model`) or ``trrosetta`` (`nets.trrosetta`), which reads the pair map ``inverse``
        alone and has no use for `pool_every`.
    members : int
        Networks of this shape in one file, which read maps together (`nets.join`, `nets.trrosetta`).
    triangles : int
        A triangle update (`nets.triangle`) follows each block whose number is a multiple of it; 0: none.
    quick_above : int
        Maps of more columns are read by the first two members alone, so that they are done sooner; 0: by all.
    """

    pair_maps: tuple[str, ...] = PAIR_MAPS
    channels: int = 48
    blocks: int = 12
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    pool_every: int = 4
    dropout: float = 0.1
    bin_edges: tuple[float, ...] = BIN_EDGES
    architecture: str = ARCHITECTURES[0]
    members: int = 1
    triangles: int = 0
    quick_above: int = 0

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ValueError(
                f"architecture must be {' or '.join(ARCHITECTURES)}, got {str(self.architecture)[:60]}"
            )
        for name, low, high in _BOUNDS:
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise ValueError(f"{name} must be a whole number from {low} to {high}, got {str(value)[:60]}")
        if not isinstance(self.pair_maps, tuple) or not 1 <= len(self.pair_maps) <= 64:
            raise ValueError(f"pair_maps must be 1 to 64 names, got {str(self.pair_maps)[:60]}")
        if any(not isinstance(name, str) for name in self.pair_maps):
            raise ValueError(f"pair_maps must be names, got {str(self.pair_maps)[:60]}")
        if (self.architecture == "trrosetta") != (INVERSE in self.pair_maps) or (
            INVERSE in self.pair_maps and len(self.pair_maps) > 1
        ):
            raise ValueError(
                f"the architecture trrosetta reads pair_maps [{INVERSE}], no other does, got "
                f"{self.architecture} and {str(self.pair_maps)[:60]}"
            )
        if self.triangles and (self.channels < 2 or self.architecture != ARCHITECTURES[0]):
            raise ValueError(f"triangles take 2 channels or more of the architecture {ARCHITECTURES[0]}")
        if self.triangles > self.blocks:
            raise ValueError(
                f"triangles come after a block, of which there are {self.blocks}, got {self.triangles}"
            )
        if self.quick_above and self.members < 3:
            raise ValueError("quick_above takes three members or more: two read every map")
        dilations = self.dilations if isinstance(self.dilations, tuple) else ()
        if not dilations or any(type(value) is not int or not 1 <= value <= 1024 for value in dilations):
            raise ValueError(
                f"dilations must be whole numbers from 1 to 1024, got {str(self.dilations)[:60]}"
            )
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {str(self.dropout)[:60]}")
        self._check_edges()

    def _check_edges(self) -> None:
        edges = self.bin_edges if isinstance(self.bin_edges, tuple) else ()
        if not 3 <= len(edges) <= 1025 or not all(type(edge) in (int, float) for edge in edges):
            raise ValueError(f"bin_edges must be 3 to 1,025 numbers, got {str(self.bin_edges)[:60]}")
        if any(not low < high for low, high in pairwise(edges)):
            raise ValueError(f"bin_edges must rise, got {str(edges)[:60]}")
        if 8.0 not in edges[1:-1]:
            raise ValueError(f"8 angstrom must be an edge between the distance bins, got {str(edges)[:60]}")

    @property
    def bins(self) -> int:
        """Number of distance bins B."""
        return len(self.bin_edges) - 1

    def readers(self, length: int) -> int:
        """How many of the members read a map of so many columns."""
        return min(self.members, 2) if 0 < self.quick_above < length else self.members

    @property
    def on_diagonal(self) -> bool:
        """Whether the network needs crops of the same rows and columns."""
        return self.architecture == "trrosetta" or self.triangles > 0

    @property
    def contact_bins(self) -> int:
        """Number of bins that lie below 8 angstrom."""
        return self.bin_edges.index(8.0)


# The shape of the published networks
TRROSETTA = RefinerConfig(
    pair_maps=(INVERSE,),
    channels=64,
    blocks=61,
    dilations=(1, 2, 4, 8, 16),
    pool_every=0,
    dropout=0.15,
    architecture="trrosetta",
)


@dataclass(frozen=True)
class TrainConfig:
    """How the refiner is trained.

    Attributes
    ----------
    steps : int
        Number of updates; the learning rate rises over the first twentieth and falls along a cosine.
    batch : int
        Crops per update, over all processes; their gradients are accumulated, so that proteins of any length
        mix.
    micro_batch : int
        Most crops that pass through the network at once, where they have one size: more fill a GPU, fewer
        save memory; the gradient is the same, but for rounding and dropout masks.
    crop : int
        Side of the square that is cut from longer maps, in residues.
    learning_rate, weight_decay : float
        Of AdamW; weights that are vectors (norms, biases) do not decay.
    contact_weight : float
        Weight of the contact loss beside the distance loss.
    average : float
        Decay of the running average of the weights that is saved and used.
    precision : str
        ``float32``, or ``bfloat16`` for mixed precision (fast on a GPU and on CPUs with such instructions).
    evaluate_every, save_every : int
        Updates between two looks at the tuning families, and between two checkpoints.
    seed : int
        Of the initial weights, the order of examples, crops and dropout.
    fold_share : float
        Share of the crops that come from simulated families on other folds, where there are any.
    keep_start : float
        Share of the start in the weights that are used, where training goes on from weights: what was
        known is then forgotten less (Wortsman et al. 2022, CVPR, "Robust fine-tuning").
    teacher : str
        Published network whose distance distributions are labels too (`nets.teacher`); empty: none.
    teacher_weight : float
        Share of the teacher's labels in the loss, where there are any.
    chain : float
        Weight of folded chains in the finished weights, see `nets.chain`; 0 leaves them out. It takes tuning
        families to know what the network expects in the mean.
    live_every : int
        0: crops come from example files. Otherwise features are computed on the device from the alignments
        (`nets.live`), and every so many steps one family is drawn anew.
    """

    steps: int = 3000
    batch: int = 4
    crop: int = 112
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    contact_weight: float = 3.0
    average: float = 0.995
    precision: str = "float32"
    evaluate_every: int = 250
    save_every: int = 100
    seed: int = 1
    fold_share: float = 0.3
    keep_start: float = 0.0
    micro_batch: int = 1
    teacher: str = ""
    teacher_weight: float = 0.5
    chain: float = 0.0
    live_every: int = 0

    def __post_init__(self) -> None:
        for name, bounds in TRAINING_BOUNDS.items():
            value = getattr(self, name)
            if not _within(value, bounds):
                raise ValueError(f"{name} must be {_allowed(bounds)}, got {str(value)[:60]}")
        if self.live_every and (self.teacher or self.micro_batch > 1):
            raise ValueError("live_every goes with neither a teacher nor a micro_batch")


def _within(value: Any, bounds: dict[str, Any]) -> bool:
    """Whether a value is of the kind and in the range that words of a JSON schema describe."""
    if "enum" in bounds:
        return value in bounds["enum"]
    if type(value) is not int and (bounds["type"] == "integer" or type(value) is not float):
        return False  # nor is a bool a number, though Python has it so
    return (
        bounds.get("minimum", -math.inf) <= value <= bounds.get("maximum", math.inf)
        and bounds.get("exclusiveMinimum", -math.inf) < value < bounds.get("exclusiveMaximum", math.inf)
    )  # fmt: skip


def _allowed(bounds: dict[str, Any]) -> str:
    """The same in words."""
    if "enum" in bounds:
        return " or ".join(name or "empty" for name in bounds["enum"])
    kind = "a whole number" if bounds["type"] == "integer" else "a number"
    return ", ".join([kind, *(f"{said} {bounds[key]}" for key, said in _LIMITS.items() if key in bounds)])


_LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}


def as_metadata(config: Any) -> dict[str, Any]:
    """Plain dictionary of a settings object, for JSON."""
    return asdict(config)


def from_metadata(kind: type, content: dict[str, Any]) -> Any:
    """Settings object from :func:`as_metadata` or a user's own; keys that are not known are an error."""
    if not isinstance(content, dict):
        raise ValueError(f"{kind.__name__} is no object of settings: {str(content)[:60]}")
    known = {f.name for f in fields(kind)}
    unknown = sorted(set(content) - known)
    if unknown:
        raise ValueError(f"{kind.__name__} does not know {', '.join(unknown)}: {_reason(kind, unknown)}")
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in content.items()})


def _reason(kind: type, unknown: list[str]) -> str:
    """Why settings may hold what this version does not know."""
    other, said = (TrainConfig, "{}") if kind is RefinerConfig else (RefinerConfig, "model.{}")
    if kind in (RefinerConfig, TrainConfig) and unknown[0] in {f.name for f in fields(other)}:
        return (
            f"that is a field of {other.__name__}, --set {said.format(unknown[0])}=VALUE on the command line"
        )
    return "misspelt, or written by another version"
