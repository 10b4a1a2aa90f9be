"""What a training run is: no other settings, examples or starting weights go on from its checkpoint."""

from collections.abc import Sequence
from typing import Any

from nets.checkpoint import Loaded, digest
from nets.config import RefinerConfig, TrainConfig, as_metadata
from nets.dataset import Example


def run_identity(
    config: RefinerConfig, settings: TrainConfig, examples: Sequence[Example], start: Loaded | None
) -> str:
    """Checksum of all that the numbers of a run depend on."""
    begun = start.sha256 if start else ""
    return digest([_numbers(config), _numbers(settings), _fingerprints(examples), begun])


def _numbers(config: Any) -> dict[str, Any]:
    """Settings that a checkpoint must agree on; what later versions added counts where it is used."""
    found = as_metadata(config)
    return {name: value for name, value in found.items() if (name, value) not in _LATER.items()}


# What was added to the settings after checkpoints had been written, and stands for what was done before
_LATER = {
    "micro_batch": 1,
    "architecture": "refiner",
    "teacher": "",
    "teacher_weight": 0.5,
    "chain": 0.0,
    "live_every": 0,
    "members": 1,
    "triangles": 0,
    "quick_above": 0,
}


def _fingerprints(examples: Sequence[Example]) -> list[list[str]]:
    """What a checkpoint must agree on: cluster and split of each protein, and the content of its arrays."""
    return sorted([e.protein, e.cluster, e.split, digest(e.content())] for e in examples)
