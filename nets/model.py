"""The refiner network, readable top to bottom.

Pairs (i, j) are pixels. Couplings enter through a learned linear embedding of their q x q block, sites
through an outer sum of two embeddings, the separation |i - j| through a table; residual blocks of
dilated 3 x 3 convolutions follow; the output is a distribution over distance bins for each pair, made
symmetric by averaging its logits with their transpose.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from data.alphabet import Q
from nets.config import SEPARATION_STARTS, RefinerConfig
from nets.features import QUANTUM, SITE_CHANNELS
from nets.triangle import Triangle


@dataclass
class Pixels:
    """A batch of rectangles cut from pair maps: rows i, columns j.

    Attributes
    ----------
    couplings : int8 [n, H, W, q * q]
    maps : float32 [n, H, W, M]
    rows, cols : float32 [n, H, 43] and [n, W, 43]
    separation : int64 [n, H, W]
        |i - j|.
    scalars : float32 [n, 2]
    inside : bool [n, H, W], optional
        Pixels of the protein, where rectangles were filled up to a common size; None: all are.
    """

    couplings: Tensor
    maps: Tensor
    rows: Tensor
    cols: Tensor
    separation: Tensor
    scalars: Tensor
    inside: Tensor | None = None

    def to(self, device: torch.device) -> "Pixels":
        """The same batch on another device."""
        return self._each(lambda value: value.to(device, non_blocking=True))

    def pinned(self) -> "Pixels":
        """The same batch in page-locked memory, which a GPU copies from while the program goes on."""
        return self._each(Tensor.pin_memory)

    def there(self) -> dict[str, Any]:
        """The arrays by name, without those that are None."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Pixels":
        return Pixels(**{name: change(value) for name, value in self.there().items()})

    @staticmethod
    def joined(batches: "list[Pixels]") -> "Pixels":
        """Batches of rectangles of one size as one."""
        if len(batches) == 1:
            return batches[0]
        names = batches[0].there()
        return Pixels(**{name: torch.cat([vars(part)[name] for part in batches]) for name in names})


class Normalise(nn.Module):
    """Layer norm over the channels of each pixel: the same for a crop and for a whole map."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[n, C, H, W] in channels-last memory -> the same shape."""
        pixels = x.permute(0, 2, 3, 1)
        if not (x.is_cuda and x.dtype == torch.bfloat16):
            return self.norm(pixels).permute(0, 3, 1, 2)
        with torch.autocast("cuda", enabled=False):  # which would write four bytes a number
            norm = self.norm
            shift, scale = norm.bias.to(x.dtype), norm.weight.to(x.dtype)
            return functional.layer_norm(pixels, norm.normalized_shape, scale, shift).permute(0, 3, 1, 2)


class Block(nn.Module):
    """Pre-activation residual block: norm, ReLU, dilated 3 x 3, ReLU, dropout, 3 x 3, add.

    One norm a block: beside the convolutions, norms are what a CPU spends its time on.
    """

    def __init__(self, channels: int, dilation: int, dropout: float, pool: bool):
        super().__init__()
        self.norm = Normalise(channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.drop = nn.Dropout2d(dropout)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.pool = nn.Linear(channels, 2 * channels) if pool else None
        for parameter in self.second.parameters():
            nn.init.zeros_(parameter)  # a fresh block is the identity

    def forward(self, x: Tensor, inside: Tensor | None = None) -> Tensor:
        """[n, C, H, W] -> the same; of pixels not `inside`, [n, 1, H, W] of 0 and 1, nothing is seen."""
        y = functional.relu(self.norm(x))
        if self.pool is not None:
            along, across = self.context(*context_means(y, inside))
            y = y + (along + across)
        return x + self._convolve(y, inside)

    def context(self, along: Tensor, across: Tensor) -> tuple[Tensor, Tensor]:
        """Averages along a row and a column tell a pair how its two residues fare with all others.

        [n, C, H], [n, C, W] -> what is added to each row, [n, C, H, 1], and to each column, [n, C, 1, W].
        """
        assert self.pool is not None
        half = along.shape[1]
        rows, columns = (self.pool(mean.transpose(1, 2)).transpose(1, 2) for mean in (along, across))
        return rows[:, :half, :, None], columns[:, half:, None, :]

    def _convolve(self, y: Tensor, inside: Tensor | None = None) -> Tensor:
        y = functional.relu(self.first(y if inside is None else y * inside))
        return self.second(self.drop(y if inside is None else y * inside))


def context_means(y: Tensor, inside: Tensor | None) -> tuple[Tensor, Tensor]:
    """Averages along rows, [n, C, H], and along columns, [n, C, W], over what lies inside."""
    if inside is None:
        return y.mean(dim=3), y.mean(dim=2)
    y = y * inside
    rows, cols = (y.sum(dim=side) / inside.sum(dim=side).clamp(min=1) for side in (3, 2))
    return rows, cols


class Refiner(nn.Module):
    """Distance distribution and contact probability of every pair of residues."""

    separation_starts: Tensor

    def __init__(self, config: RefinerConfig):
        super().__init__()
        self.config = config
        width = config.channels
        self.embed_couplings = nn.Linear(Q * Q, width)
        self.embed_maps = nn.Linear(len(config.pair_maps), width)
        self.embed_sites = nn.Linear(SITE_CHANNELS, 2 * width)
        self.embed_scalars = nn.Linear(2, width)
        self.embed_separation = nn.Embedding(len(SEPARATION_STARTS) + 1, width)
        self.register_buffer("separation_starts", torch.tensor(SEPARATION_STARTS), persistent=False)
        self.blocks = nn.ModuleList(
            Block(
                width,
                config.dilations[b % len(config.dilations)],
                config.dropout,
                pool=config.pool_every > 0 and b % config.pool_every == 0,
            )
            for b in range(config.blocks)
        )
        every = config.triangles
        self.triangles = nn.ModuleDict(
            {str(b): Triangle(width) for b in range(config.blocks) if every and b % every == every - 1}
        )
        self.norm = Normalise(width)
        self.head = nn.Conv2d(width, config.bins, 1)

    def forward(self, pixels: Pixels) -> Tensor:
        """Logits of the distance bins, [n, H, W, B], not yet symmetric."""
        return self.trunk(self.embed(pixels), pixels.inside)

    def triangle(self, block: int) -> Triangle | None:
        """The update that follows a block, if there is one that does something."""
        if str(block) not in self.triangles:
            return None
        found = self.triangles[str(block)]
        assert isinstance(found, Triangle)
        return None if found.still else found

    def trunk(self, x: Tensor, inside: Tensor | None = None) -> Tensor:
        """Embedded pixels [n, H, W, C], and which of them are the protein's, to logits [n, H, W, B]."""
        x = x.permute(0, 3, 1, 2)  # [n, C, H, W], channels-last in memory
        seen = None if inside is None else inside[:, None].to(x.dtype)
        for number, block in enumerate(self.blocks):
            x = block(x, seen)
            if triangle := self.triangle(number):
                there = torch.ones_like(x[:, :1]) if seen is None else seen
                x = triangle(x.permute(0, 2, 3, 1), there.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.head(functional.relu(self.norm(x))).permute(0, 2, 3, 1).float()

    def embed(self, pixels: Pixels) -> Tensor:
        """Sum of the embeddings of all inputs, [n, H, W, C]."""
        width = self.config.channels
        x = self.embed_couplings(pixels.couplings.to(self.embed_couplings.weight.dtype) * QUANTUM)
        stream = x.dtype  # bfloat16 under autocast: the residual stream keeps it, to move half the bytes
        x = x + self.embed_maps(pixels.maps)
        x = x + self.embed_sites(pixels.rows)[:, :, None, :width]
        x = x + self.embed_sites(pixels.cols)[:, None, :, width:]
        x = x + self.embed_scalars(pixels.scalars)[:, None, None, :]
        bins = torch.bucketize(pixels.separation, self.separation_starts, right=True)
        return (x + self.embed_separation(bins)).to(stream)


class Committee(nn.Module):
    """Refiners of one shape and kind that were trained apart.

    Their logits are averaged; of the architecture ``trrosetta`` their probabilities, as its authors do.
    """

    def __init__(self, config: RefinerConfig, kind: type[nn.Module] = Refiner):
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(kind(config) for _ in range(config.members))
        self.of_probabilities = config.architecture == "trrosetta"

    def forward(self, pixels: Pixels) -> Tensor:
        """Logits of the distance bins, [n, H, W, B], not yet symmetric."""
        return self.mean(member(pixels) for member in self.members)

    def mean(self, maps: Iterable[Tensor]) -> Tensor:
        """What members say together, from the logits [..., B] of each in turn."""
        total, count = None, 0
        for logits in maps:
            part = logits.softmax(dim=-1) if self.of_probabilities else logits
            total = part if total is None else total + part
            count += 1
            del logits, part  # before the next member needs memory
        assert total is not None
        total = total / count
        return total.clamp(min=torch.finfo(total.dtype).tiny).log() if self.of_probabilities else total


def contact_logit(logits: Tensor, contact_bins: int) -> Tensor:
    """Log odds of a distance below 8 angstrom from the bins' logits, [..., B] -> [...]."""
    near = torch.logsumexp(logits[..., :contact_bins], dim=-1)
    return near - torch.logsumexp(logits[..., contact_bins:], dim=-1)
