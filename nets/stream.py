"""The trunk of the refiner on whole maps, some rows at a time.

A map of L = 1,200 has 1.4 million pixels, and a residual block in one piece holds several copies of them.
Here two are held, the map and its normalised form; the convolutions pass over the second in strips of rows,
and add to the first. Averages along rows and columns are taken over the whole map before. The result is
that of `Refiner.trunk` but for rounding.
"""

import torch
from torch import Tensor
from torch.nn import functional

from dca.tile import RESULTS
from nets.convolution import ADD, STORE_POSITIVE, Filters, convolve, fits, normalise
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
    middle = y[:, margin : margin + height]
    for number, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        filtered = fits(block.first) and fits(block.second)
        if filtered:
            normalise(x[0], block.norm.norm, middle[0])
        else:
            _normalise(block, x, middle, rows)
        if block.pool is not None:
            _add_context(block, middle, rows)
        if filtered:
            _convolve_filtered(block, x[0], middle[0], rows)
        else:
            _convolve(block, x, y, margin, rows)
        if triangle := model.triangle(number):
            _triangulate(triangle, x, y, max(1, rows // 2))  # a strip takes twice the memory there
            y[:, :margin], y[:, margin + height :] = 0, 0
    head = functional.linear
    weight, bias = model.head.weight[:, :, 0, 0], model.head.bias
    strips = [head(functional.relu(model.norm.norm(part)), weight, bias) for part in x.split(rows, dim=1)]
    return torch.cat(strips, dim=1).float()


def _normalise(block: Block, x: Tensor, y: Tensor, rows: int) -> None:
    """Write what is above 0 of the map `x`, normalised, into `y`, both [1, L, W, C]."""
    for part, out in zip(x.split(rows, dim=1), y.split(rows, dim=1), strict=True):
        torch.clamp_min(block.norm.norm(part), 0, out=out)


def _add_context(block: Block, y: Tensor, rows: int) -> None:
    """Add to each pixel of `y`, [1, L, W, C], what the averages along its row and its column say."""
    means = y.mean(dim=2), y.mean(dim=1)
    of_rows, of_cols = block.context(*(mean.transpose(1, 2) for mean in means))
    of_rows, of_cols = of_rows.permute(0, 2, 3, 1), of_cols.permute(0, 2, 3, 1)  # [1, L, 1, C], [1, 1, W, C]
    for part, own in zip(y.split(rows, dim=1), of_rows.split(rows, dim=1), strict=True):
        part += own + of_cols


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


def _convolve_filtered(block: Block, x: Tensor, y: Tensor, rows: int) -> None:
    """Add the block's convolutions of `y` to the map `x`, both [L, W, C], by minimal filtering."""
    height, width, channels = x.shape
    first, second = Filters(block.first), Filters(block.second)
    tall = RESULTS * first.step  # so high are the tiles of the first
    rows = max(1, rows // tall) * tall
    # Between the two: a strip below the last two rows of the one before, which the second still has to see
    room = x.new_empty((2 + min(rows, height), width, channels))
    places = room.numpy()  # threads of torch, once called, wait for more at the cost of those that work here
    places[:2] = 0
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        convolve(y, first, room[2:], STORE_POSITIVE, start, stop)
        begin, end = max(start - 1, 0), stop if stop == height else stop - 1
        above = 2 - start  # row r of the map is row r + above of the strip
        convolve(room[: stop + above], second, x[begin:], ADD, begin + above, end + above)
        places[:2] = places[stop - start : stop + above]


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
