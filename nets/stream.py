"""The trunk of the refiner on whole maps, some rows at a time.

A map of L = 1,200 has 1.4 million pixels, and a residual block in one piece holds several copies of them.
Here two are held, the map and its normalised form; the convolutions pass over the second in strips of rows,
and add to the first. Averages along rows and columns are taken over the whole map before. The result is
that of `Refiner.trunk` but for rounding.
"""

import torch
from torch import Tensor
from torch.nn import functional

from nets.memory import TRUNK_PIXELS
from nets.model import Block, Refiner
from nets.triangle import Triangle


@torch.no_grad()
def stream_trunk(model: Refiner, x: Tensor, strip_pixels: int = TRUNK_PIXELS) -> Tensor:
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
    height, width = x.shape[1:3]
    rows = max(1, strip_pixels // width)
    margin = 1 + max(model.config.dilations)
    # Rows of zeros above and below the map stand for what the convolutions see outside
    y = x.new_zeros((1, height + 2 * margin, width, x.shape[3]))
    for number, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        _normalise(block, x, y[:, margin : margin + height], rows)
        _convolve(block, x, y, margin, rows)
        if triangle := model.triangle(number):
            _triangulate(triangle, x, y, max(1, rows // 2))  # a strip takes twice the memory there
            y[:, :margin], y[:, margin + height :] = 0, 0
    head = functional.linear
    weight, bias = model.head.weight[:, :, 0, 0], model.head.bias
    strips = [head(functional.relu(model.norm.norm(part)), weight, bias) for part in x.split(rows, dim=1)]
    return torch.cat(strips, dim=1).float()


def _normalise(block: Block, x: Tensor, y: Tensor, rows: int) -> None:
    """Write what the block's convolutions see of the map `x` into `y`, both [1, L, W, C]."""
    along, across = [], torch.zeros_like(x[:, 0])
    for part, out in zip(x.split(rows, dim=1), y.split(rows, dim=1), strict=True):
        torch.clamp_min(block.norm.norm(part), 0, out=out)
        if block.pool is not None:
            along.append(out.mean(dim=2))
            across += out.sum(dim=1)
    if block.pool is None:
        return
    means = torch.cat(along, dim=1), across / x.shape[1]
    of_rows, of_cols = block.context(*(mean.transpose(1, 2) for mean in means))
    of_rows, of_cols = of_rows.permute(0, 2, 3, 1), of_cols.permute(0, 2, 3, 1)  # [1, L, 1, C], [1, 1, W, C]
    for out, own in zip(y.split(rows, dim=1), of_rows.split(rows, dim=1), strict=True):
        out += own + of_cols


def _triangulate(triangle: Triangle, x: Tensor, room: Tensor, rows: int) -> None:
    """Add a triangle update to the map; `room` gets the sides of all triangles, which are as many numbers.

    `Triangle.forward`, channels first where that saves a pass over the map.
    """
    length, channels = x.shape[1], x.shape[3]
    half = channels // 2
    sides = room.view(-1)[: 2 * half * length**2].view(2 * half, length, length)
    strips = [slice(start, min(start + rows, length)) for start in range(0, length, rows)]
    for part in strips:
        flat = triangle.norm(x[0, part]).view(-1, channels)
        gates, values = torch.addmm(triangle.sides.bias[:, None], triangle.sides.weight, flat.T).chunk(2)
        gates.sigmoid_().mul_(values)
        sides[:, part] = gates.view(2 * half, -1, length)
    one, other = sides.chunk(2)
    for part in strips:
        third = (one[:, part] @ other.transpose(1, 2)).mul_(length**-0.5).view(half, -1)
        third = triangle.out(triangle.inner(third.T))
        opened = triangle.gate(triangle.norm(x[0, part])).sigmoid_()
        x[0, part] += opened.mul_(third.view_as(opened))


def _convolve(block: Block, x: Tensor, y: Tensor, margin: int, rows: int) -> None:
    """Add the block's convolutions of `y`, which has a margin of zeros above and below, to the map `x`."""
    height, reach = x.shape[1], block.first.dilation[0]
    first, second = block.first, block.second
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        # one row more on either side for the second convolution
        seen = y[:, margin + start - 1 - reach : margin + stop + 1 + reach].permute(0, 3, 1, 2)
        part = functional.conv2d(seen, first.weight, first.bias, padding=(0, reach), dilation=first.dilation)
        functional.relu_(part)
        if start == 0:
            part[:, :, 0] = 0
        if stop == height:
            part[:, :, -1] = 0
        part = functional.conv2d(part, second.weight, second.bias, padding=(0, 1))
        x[:, start:stop] += part.permute(0, 2, 3, 1)
