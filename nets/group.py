"""Processes that train together: torch's distributed data parallel, or one process that stands alone.

Every process holds the whole model and takes its share of each step's crops; gradients are averaged, so that
the update is that of one process with all crops, but for rounding and dropout masks.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from data.errors import CovarionError

PATIENCE = timedelta(hours=6)  # others wait while the first process looks at the tuning families


@dataclass(frozen=True)
class Group:
    """This process among those that train together.

    Attributes
    ----------
    rank, size : int
        Number of this process, from 0, and of all.
    device : torch.device
        Where what is exchanged lies.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether this process writes files and looks at the tuning families."""
        return self.rank == 0

    def wrapped(self, model: nn.Module) -> nn.Module:
        """The model, its gradients averaged over the processes as they are computed."""
        if self.size == 1:
            return model
        return DistributedDataParallel(
            model, device_ids=[self.device] if self.device.type == "cuda" else None
        )

    def accumulating(self, model: nn.Module, more: bool) -> contextlib.AbstractContextManager:
        """Around a part of a step: with `more` to come, gradients are not exchanged yet."""
        if more and isinstance(model, DistributedDataParallel):
            return model.no_sync()
        return contextlib.nullcontext()

    def mean(self, value: float) -> float:
        """Mean of a number over all processes."""
        return value if self.size == 1 else float(self._reduced(value, dist.ReduceOp.SUM)) / self.size

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process; all must ask at the same place."""
        return flag if self.size == 1 else bool(self._reduced(float(flag), dist.ReduceOp.MAX))

    def check_same(self, value: int, problem: str, remedy: str) -> None:
        """Refuse a number that differs between processes.

        Raises
        ------
        CovarionError
        """
        if self.size == 1:
            return
        low, high = (int(self._reduced(float(value), op)) for op in (dist.ReduceOp.MIN, dist.ReduceOp.MAX))
        if low != high:
            raise CovarionError(problem, value=f"{low} and {high}", remedy=remedy)

    def check_shares(self, batch: int) -> None:
        """Every process takes the same number of crops of a step, or the mean of gradients is another.

        Raises
        ------
        CovarionError
        """
        if batch % self.size:
            raise CovarionError(
                "the crops of a step cannot be shared evenly",
                value=f"batch {batch}, {self.size} processes",
                remedy=f"make the batch a multiple of {self.size}",
            )

    def _reduced(self, value: float, operation: dist.ReduceOp.RedOpType) -> torch.Tensor:
        number = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(number, operation)
        return number


@contextlib.contextmanager
def joined(rank: int, size: int, device: str, meeting: str = "env://") -> Iterator[Group]:
    """The group of `size` processes, each of which calls this; one process needs no others.

    Parameters
    ----------
    rank, size : int
    device : str
        ``cpu`` (gloo) or a CUDA device of this process alone, such as ``cuda:1`` (NCCL).
    meeting : str
        Address at which they find each other: ``env://`` as `torchrun` sets it, or ``file:///PATH``.
    """
    if size == 1:
        yield Group()
        return
    place = torch.device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    backend = "nccl" if place.type == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=meeting, rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield Group(rank, size, place)
    finally:
        dist.destroy_process_group()
