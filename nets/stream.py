"""The trunk of the refiner on whole maps, some rows at a time.

A map of L = 1,200 has 1.4 million pixels, and a residual block holds several copies of them. Here one copy
is held, and blocks pass over it in strips of rows with as much of the neighbouring rows as their
convolutions reach; averages along rows and columns are taken over the whole map before. The result is that
of `Refiner.trunk` but for rounding.
"""

import torch
from torch import Tensor
from torch.nn import functional

from nets.memory import STRIP_PIXELS
from nets.model import Block, Refiner


@torch.no_grad()
def stream_trunk(model: Refiner, x: Tensor, strip_pixels: int = STRIP_PIXELS) -> Tensor:
    """Logits of the distance bins of a whole map.

    Parameters
    ----------
    model : Refiner
        In evaluation mode.
    x : float32 [1, L, W, C]
        Embedded pixels; overwritten.
    strip_pixels : int
        About how many pixels a strip has.

    Returns
    -------
    float32 [1, L, W, B]
    """
    rows = max(1, strip_pixels // x.shape[2])
    x = x.permute(0, 3, 1, 2)
    for block in model.blocks:
        assert isinstance(block, Block)
        _stream_block(block, x, rows)
    strips = [model.head(functional.relu(model.norm(part))) for part in x.split(rows, dim=2)]
    return torch.cat(strips, dim=2).permute(0, 2, 3, 1).float()


def _stream_block(block: Block, x: Tensor, rows: int) -> None:
    """Run one block in place; rows that it has overwritten and still needs are kept aside."""
    height, reach = x.shape[2], block.first.dilation[0] + 1
    shift = block.context(*_means(block, x, rows)) if block.pool is not None else None
    above = x[:, :, :0]  # old rows just above the strip
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        first, last = start - above.shape[2], min(stop + reach, height)
        old = torch.cat([above, x[:, :, start:last]], dim=2)
        above = old[:, :, max(0, stop - reach - first) : stop - first].clone()
        part = None if shift is None else (shift[0][:, :, first:last], shift[1])
        x[:, :, start:stop] = block.with_context(old, part)[:, :, start - first : stop - first]


def _means(block: Block, x: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Averages of the normalised map along its rows, [n, C, H], and along its columns, [n, C, W]."""
    along, across = [], torch.zeros_like(x[:, :, 0])
    for part in x.split(rows, dim=2):
        y = functional.relu(block.norm(part))
        along.append(y.mean(dim=3))
        across += y.sum(dim=2)
    return torch.cat(along, dim=2), across / x.shape[2]
