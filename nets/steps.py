"""What a step of training takes: its learning rate, its crops as batches; and what a run may not end in."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from data.errors import CovarionError
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


def check_loss(row: dict[str, float]) -> None:
    """Refuse to go on from a step of the history whose loss is no number: no later step mends the weights.

    Raises
    ------
    CovarionError
    """
    if not math.isfinite(row["loss"]):
        raise _diverged(f"loss {row['loss']} at step {row['step']:.0f}")


def in_half(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights in half precision, as files hold them.

    Raises
    ------
    CovarionError
        One is not finite, or too large for it: nothing reads such a file.
    """
    halves = {name: value.to(torch.float16) for name, value in state.items()}
    if broken := [name for name, value in halves.items() if not bool(torch.isfinite(value).all())]:
        raise _diverged(f"{len(broken)} of {len(halves)} tensors beyond half precision, first {broken[0]}")
    return halves


def _diverged(value: str) -> CovarionError:
    return CovarionError(
        "training has diverged, no weights are written",
        value=value,
        remedy="lower the learning rate (settings: learning_rate); with another one the run starts anew",
    )
