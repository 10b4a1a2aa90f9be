"""What a step of training takes: its learning rate, and its crops as batches."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from nets.model import Pixels


def schedule(step: int, steps: int) -> float:
    """Share of the full learning rate: a linear rise over a twentieth of the run, then half a cosine."""
    rise = max(1, steps // 20)
    if step < rise:
        return (step + 1) / rise
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters for AdamW: matrices and kernels decay, vectors (norms, biases) do not."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def stacked(crops: Sequence[tuple], most: int) -> Iterator[tuple]:
    """Crops that follow each other and have one size, as batches of up to `most`."""
    begin = 0
    while begin < len(crops):
        end = begin + 1
        while end < min(begin + most, len(crops)) and crops[end][1].shape == crops[begin][1].shape:
            end += 1
        part = crops[begin:end]
        labels = (torch.cat(found) for found in zip(*(found for _, *found in part), strict=True))
        yield Pixels.joined([pixels for pixels, *_ in part]), *labels
        begin = end
