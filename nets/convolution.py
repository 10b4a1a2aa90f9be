"""Convolutions of whole maps on a CPU, by minimal filtering.

Nearly all of the time that a network takes is spent in 3 x 3 convolutions. Winograd's F(4, 3) does a quarter
of their multiplications (`dca.tile`): squares of 4 x 4 pixels are made of 6 x 6 pixels, transformed, by a
product of matrices for each of the 36. A dilated convolution is an ordinary one on every `dilation`-th pixel.
Results are those of torch but for rounding: some five times torch's own, 1e-6 of what is usual in a map.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dca import accelerate
from dca.accelerate import in_parallel, jit
from dca.space import space
from dca.tile import (
    PANEL,
    POINTS,
    RESULTS,
    TOGETHER,
    WEIGHTS,
    add_scaled,
    add_squares,
    elu_row,
    gather_four,
    multiply_rows,
    normalise_row,
    spread_six,
    write_row,
)
from dca.vector import LANES

_BATCH = 8 * TOGETHER  # tiles at a time: their products stay near the processor
_EACH = POINTS * POINTS
STORE, STORE_POSITIVE, ADD = 0, 1, 2  # what becomes of the results: a rectified linear unit, or a sum


def use_threads(threads: int) -> None:
    """Let torch and the kernels use so many threads."""
    torch.set_num_threads(threads)
    accelerate.set_threads(threads)


class Filters:
    """The weights of a convolution, transformed.

    Parameters
    ----------
    convolution : torch.nn.Conv2d
        3 x 3, of as many channels as `fits` allows.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        weight = np.ascontiguousarray(convolution.weight.detach().numpy().transpose(2, 3, 1, 0))
        made = np.empty((_EACH, *weight.shape[2:]), np.float32)
        _transform_weights(weight, WEIGHTS, made)
        panels = made.reshape(_EACH, len(made[0]), -1, PANEL).transpose(0, 2, 1, 3)
        self.panels = np.ascontiguousarray(panels).ravel()
        assert convolution.bias is not None
        self.bias = convolution.bias.detach().numpy()
        self.step = int(convolution.dilation[0])


def fits(convolution: nn.Conv2d) -> bool:
    """Whether a convolution can be done here: 3 x 3, panels of channels, on a CPU, kernels are compiled."""
    weight = convolution.weight
    return (
        weight.shape[0] == weight.shape[1]
        and weight.shape[0] % PANEL == 0
        and weight.shape[2:] == (3, 3)
        and weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and convolution.padding == convolution.dilation == 2 * convolution.dilation[:1]
        and convolution.stride == (1, 1)
        and convolution.padding_mode == "zeros"
        and convolution.bias is not None
        and accelerate.compiles()
    )


def convolve(
    source: Tensor, filters: Filters, out: Tensor, mode: int = STORE, first: int = 0, stop: int | None = None
) -> None:
    """Convolve a map, which is zero around it, into another.

    Parameters
    ----------
    source : float32 [H, W, C]
        Contiguous.
    filters : Filters
    out : float32 [n, W, C]
        Contiguous; its row 0 is for row `first` of the source.
    mode : int
        `STORE`, `STORE_POSITIVE`, or `ADD`.
    first, stop : int
        Rows of the source whose results are wanted, by default all.

    Raises
    ------
    ValueError
        Maps, rows and filters do not fit each other.
    """
    height, width, channels = source.shape
    stop = height if stop is None else stop
    if not (0 <= first < stop <= height and stop - first <= len(out) and out.shape[1:] == (width, channels)):
        raise ValueError(f"rows {first} to {stop} of {tuple(source.shape)} do not fit {tuple(out.shape)}")
    if source.data_ptr() == out.data_ptr() or mode not in (STORE, STORE_POSITIVE, ADD):
        raise ValueError(f"a map into itself, or mode {mode}")
    if channels != filters.bias.size:
        raise ValueError(f"filters of {filters.bias.size} channels for a map of {channels}")
    tiles = _tiles(first, stop, width, filters.step)
    in_parallel(
        _convolve_batches, -(-len(tiles) // _BATCH),
        source.view(-1).numpy(), height, width, tiles, filters.step, filters.panels, filters.bias,
        mode, out.view(-1).numpy(), first, stop,
    )  # fmt: skip


def normalise(source: Tensor, norm: nn.LayerNorm, out: Tensor) -> None:
    """What is above 0 of the pixels of a map, layer norm over their channels: as torch's but for rounding.

    Parameters
    ----------
    source, out : float32 [H, W, C]
        Contiguous.
    norm : torch.nn.LayerNorm
        Over C channels.
    """
    height, width, channels = source.shape
    if out.shape != source.shape or norm.weight.numel() != channels or channels % LANES:
        raise ValueError(f"a norm of {norm.weight.numel()} from {tuple(source.shape)} to {tuple(out.shape)}")
    scale, shift = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    in_parallel(
        _normalise_rows, height,
        source.view(-1).numpy(), width, scale, shift, norm.eps, out.view(-1).numpy(),
    )  # fmt: skip


def rectify(
    source: Tensor, weight: Tensor, bias: Tensor, small: float, out: Tensor, add: bool = False
) -> None:
    """Exponential linear units of a map whose channels are normalised over all pixels (instance norm).

    Parameters
    ----------
    source, out : float32 [H, W, C]
        Contiguous; they may be the same.
    weight, bias : float32 [C]
        Of the norm.
    small : float
        Is added to the variance.
    add : bool
        Whether the normalised map is added to what is in `out` before.
    """
    height, width, channels = source.shape
    if (
        out.shape != source.shape
        or weight.numel() != channels
        or bias.numel() != channels
        or channels % LANES
    ):
        raise ValueError(f"a norm of {weight.numel()} from {tuple(source.shape)} to {tuple(out.shape)}")
    flat, target = source.view(-1).numpy(), out.view(-1).numpy()
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    sums = np.empty((height, channels), np.float32)  # of each row: the same for any number of threads
    in_parallel(_sum_rows, height, flat, width, ones, zeros, sums.ravel())
    mean = sums.mean(axis=0, dtype=np.float64) / width
    in_parallel(_square_rows, height, flat, width, mean.astype(np.float32), zeros, sums.ravel())
    scale = weight.detach().numpy() / np.sqrt(sums.mean(axis=0, dtype=np.float64) / width + small)
    shift = (bias.detach().numpy() - mean * scale).astype(np.float32)
    scale = scale.astype(np.float32)
    in_parallel(_rectify_rows, height, flat, width, scale, shift, ones, zeros, add, target)


def _tiles(first: int, stop: int, width: int, step: int) -> np.ndarray:
    """Row and column of the first pixel of each tile, int64 [n, 2]."""
    rows, cols = (
        np.concatenate([np.arange(begin + k, end, RESULTS * step) for k in range(min(step, end - begin))])
        for begin, end in ((first, stop), (0, width))
    )
    return np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2)


@jit
def _transform_weights(weight: Any, matrix: Any, made: Any) -> None:
    """Weights [3, 3, in, out] times the matrix [6, 3] from both sides, float32 [36, in, out]."""
    for u in range(POINTS):
        for v in range(POINTS):
            for i in range(weight.shape[2]):
                for o in range(weight.shape[3]):
                    total = 0.0
                    for a in range(3):
                        for b in range(3):
                            total += matrix[u, a] * matrix[v, b] * weight[a, b, i, o]
                    made[u * POINTS + v, i, o] = total


@jit
def _sum_rows(lo: int, hi: int, source: Any, width: int, ones: Any, zeros: Any, sums: Any) -> None:
    """Sums over the pixels of each row, [H, C]."""
    channels = ones.size
    for row in range(lo, hi):
        at = row * channels
        write_row(sums, at, zeros, 0, zeros, 0.0, channels)
        for pixel in range(row * width, (row + 1) * width):
            add_scaled(sums, at, source, pixel * channels, ones, zeros, channels)


@jit
def _square_rows(lo: int, hi: int, source: Any, width: int, middle: Any, zeros: Any, sums: Any) -> None:
    """Sums of squares less the middle over the pixels of each row, [H, C]."""
    channels = middle.size
    for row in range(lo, hi):
        at = row * channels
        write_row(sums, at, zeros, 0, zeros, 0.0, channels)
        for pixel in range(row * width, (row + 1) * width):
            add_squares(sums, at, source, pixel * channels, middle, channels)


@jit
def _rectify_rows(
    lo: int, hi: int, source: Any, width: int, scale: Any, shift: Any, ones: Any, zeros: Any, add: bool,
    out: Any,
) -> None:  # fmt: skip
    """Rows lo .. hi - 1 of `rectify`."""
    channels = scale.size
    for pixel in range(lo * width, hi * width):
        place = pixel * channels
        if add:
            add_scaled(out, place, source, place, scale, shift, channels)
            elu_row(out, place, out, place, ones, zeros, channels)
        else:
            elu_row(out, place, source, place, scale, shift, channels)


@jit
def _normalise_rows(
    lo: int, hi: int, source: Any, width: int, scale: Any, shift: Any, small: float, out: Any
) -> None:
    """Rows lo .. hi - 1 of `normalise`."""
    channels = scale.size
    for pixel in range(lo * width, hi * width):
        place = pixel * channels
        normalise_row(out, place, source, place, scale, shift, small, channels)


@jit
def _convolve_batches(
    lo: int, hi: int, source: Any, height: int, width: int, tiles: Any, step: int, panels: Any, bias: Any,
    mode: int, out: Any, first: int, stop: int,
) -> None:  # fmt: skip
    """Batches lo .. hi - 1 of the tiles."""
    channels = bias.size
    inputs = space((_EACH * _BATCH * channels,), np.float32)
    products = space((_EACH * _BATCH * channels,), np.float32)
    for k in range(inputs.size):
        inputs[k] = 0
    for batch in range(lo, hi):
        begin = batch * _BATCH
        count = min(_BATCH, len(tiles) - begin)
        _spread(source, height, width, tiles, begin, count, step, channels, inputs)
        for point in range(_EACH):
            for panel in range(channels // PANEL):
                table = (point * channels + panel * PANEL) * channels
                for tile in range(0, count, TOGETHER):
                    row = (point * _BATCH + tile) * channels
                    multiply_rows(
                        products, row + panel * PANEL, channels, inputs, row, panels, table, channels
                    )
        _gather(products, tiles, begin, count, step, bias, mode, out, width, first, stop)


@jit
def _spread(
    source: Any, height: int, width: int, tiles: Any, begin: int, count: int, step: int, channels: int,
    inputs: Any,
) -> None:  # fmt: skip
    """Transformed pixels of so many tiles, [36, tile, C]."""
    column = space((POINTS * channels,), np.float32)
    half = space((_EACH * channels,), np.float32)
    nothing = space((channels,), np.float32)
    for c in range(channels):
        nothing[c] = 0
    for tile in range(count):
        top, left = tiles[begin + tile, 0] - step, tiles[begin + tile, 1] - step
        inside = top >= 0 and top + (POINTS - 1) * step < height
        for v in range(POINTS):
            j = left + v * step
            if inside and 0 <= j < width:
                place = (top * width + j) * channels
                spread_six(
                    half, v * channels, POINTS * channels, source, place, step * width * channels, channels
                )
                continue
            for u in range(POINTS):
                i = top + u * step
                if 0 <= i < height and 0 <= j < width:
                    place = (i * width + j) * channels
                    write_row(column, u * channels, source, place, nothing, -np.inf, channels)
                else:
                    write_row(column, u * channels, nothing, 0, nothing, 0.0, channels)
            spread_six(half, v * channels, POINTS * channels, column, 0, channels, channels)
        for u in range(POINTS):
            at = (u * POINTS * _BATCH + tile) * channels
            spread_six(inputs, at, _BATCH * channels, half, u * POINTS * channels, channels, channels)


@jit
def _gather(
    products: Any, tiles: Any, begin: int, count: int, step: int, bias: Any, mode: int, out: Any, width: int,
    first: int, stop: int,
) -> None:  # fmt: skip
    """Results of so many tiles, with the bias."""
    channels = bias.size
    half = space((RESULTS * POINTS * channels,), np.float32)
    results, ones = space((RESULTS * channels,), np.float32), space((channels,), np.float32)
    for c in range(channels):
        ones[c] = 1
    for tile in range(count):
        for v in range(POINTS):
            place = (v * _BATCH + tile) * channels
            gap = POINTS * _BATCH * channels
            gather_four(half, v * channels, POINTS * channels, products, place, gap, channels)
        for u in range(RESULTS):
            i = tiles[begin + tile, 0] + u * step
            if i >= stop:
                break
            gather_four(results, 0, channels, half, u * POINTS * channels, channels, channels)
            for v in range(RESULTS):
                j = tiles[begin + tile, 1] + v * step
                if j >= width:
                    break
                at = ((i - first) * width + j) * channels
                if mode == ADD:
                    add_scaled(out, at, results, v * channels, ones, bias, channels)
                else:
                    least = 0.0 if mode == STORE_POSITIVE else -np.inf
                    write_row(out, at, results, v * channels, bias, least, channels)
