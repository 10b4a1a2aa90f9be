"""A training step on a CUDA device as one replayed graph of fused kernels.

Launched one by one, the two thousand kernels of a step keep a fast GPU waiting for the processor half of the
time, and torch's layer norm over 64 channels takes longer than the convolution behind it. Here what lies
between the convolutions is compiled to one kernel each, and forward and backward pass are recorded once
per size of crop (`torch.cuda.graph`) and replayed (docs/results-refiner.md has the times).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from nets.losses import batch_losses
from nets.model import Block, Pixels, Refiner, context_means
from nets.triangle import sides_of, update_of

Fuse = Callable[[Callable], Callable]
WARM_UPS = 3


def norm_relu(x: Tensor, weight: Tensor, bias: Tensor, inside: Tensor) -> Tensor:
    """Layer norm over the last axis, ReLU, and zeros outside; statistics in float32, result as `x`."""
    centred = x.float() - x.float().mean(-1, keepdim=True)
    scale = torch.rsqrt(centred.square().mean(-1, keepdim=True) + 1e-5)
    return (torch.relu(centred * scale * weight + bias) * inside).to(x.dtype)


def bias_relu(y: Tensor, bias: Tensor, inside: Tensor, kept: Tensor) -> Tensor:
    """Bias of a convolution, ReLU, zeros outside, and the channels that dropout keeps."""
    return (torch.relu(y.float() + bias) * inside * kept).to(y.dtype)


def add_bias(x: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    """What a block adds to the map, with the bias of its second convolution."""
    return (x.float() + (y.float() + bias)).to(x.dtype)


class FusedForward:
    """`Refiner.forward` on crops with `Pixels.inside`, in channels-last pieces.

    Parameters
    ----------
    fuse : callable
        Compiles a function of tensors; `torch.compile` on a GPU, the identity in tests.
    """

    def __init__(self, fuse: Fuse):
        self.norm_relu, self.bias_relu, self.add_bias = (
            fuse(piece) for piece in (norm_relu, bias_relu, add_bias)
        )
        self.sides_of, self.update_of = fuse(sides_of), fuse(update_of)

    def __call__(self, model: Refiner, pixels: Pixels) -> Tensor:
        """Logits of the distance bins, float32 [n, H, W, B]."""
        assert pixels.inside is not None
        x = model.embed(pixels)
        inside = pixels.inside[..., None].to(x.dtype)
        for number, block in enumerate(model.blocks):
            assert isinstance(block, Block)
            x = self._block(block, x, inside)
            if triangle := model.triangle(number):
                x = triangle(x, inside, self.sides_of, self.update_of)
        norm = model.norm.norm
        y = self.norm_relu(x, norm.weight, norm.bias, torch.ones_like(inside))
        return functional.linear(y, model.head.weight[:, :, 0, 0], model.head.bias).float()

    def _block(self, block: Block, x: Tensor, inside: Tensor) -> Tensor:
        norm = block.norm.norm
        y = self.norm_relu(x, norm.weight, norm.bias, inside)
        if block.pool is not None:
            means = context_means(y.permute(0, 3, 1, 2).float(), inside.permute(0, 3, 1, 2).float())
            along, across = block.context(*means)
            y = ((y.float() + (along + across).permute(0, 2, 3, 1)) * inside).to(x.dtype)
        share = 1 - block.drop.p if block.training else 1.0
        kept = (torch.rand(len(x), 1, 1, x.shape[3], device=x.device) < share).float() / share
        y = self.bias_relu(_convolved(block.first, y), block.first.bias, inside, kept)
        return self.add_bias(x, _convolved(block.second, y), block.second.bias)


def _convolved(layer: torch.nn.Conv2d, y: Tensor) -> Tensor:
    """Convolution without its bias, channels last."""
    found = functional.conv2d(
        y.permute(0, 3, 1, 2), layer.weight, None, padding=layer.padding, dilation=layer.dilation
    )
    return found.permute(0, 2, 3, 1)


@dataclass
class _Recorded:
    graph: torch.cuda.CUDAGraph
    pixels: Pixels
    bins: Tensor
    losses: Tensor
    gradients: list[Tensor | None]


class CapturedStep:
    """Losses and gradients of a batch of crops, each size of crop recorded when it first comes.

    Parameters
    ----------
    model : Refiner
    contact_weight : float
    half : bool
        Whether convolutions compute in bfloat16.
    """

    def __init__(self, model: Refiner, contact_weight: float, half: bool):
        self.model, self.contact_weight, self.half = model, contact_weight, half
        self.forward = FusedForward(lambda function: torch.compile(function, dynamic=False))
        self.recorded: dict[torch.Size, _Recorded] = {}

    def __call__(self, pixels: Pixels, bins: Tensor) -> Tensor:
        """Loss of each crop, float32 [n]; the parameters' gradients are those of the mean loss."""
        if bins.shape not in self.recorded:
            self.recorded[bins.shape] = self._record(pixels, bins)
        step = self.recorded[bins.shape]
        for name, value in vars(pixels).items():
            getattr(step.pixels, name).copy_(value)
        step.bins.copy_(bins)
        step.graph.replay()
        for parameter, gradient in zip(self.model.parameters(), step.gradients, strict=True):
            parameter.grad = gradient
        return step.losses.clone()

    def _record(self, pixels: Pixels, bins: Tensor) -> _Recorded:
        pixels, bins = Pixels(**{name: value.clone() for name, value in vars(pixels).items()}), bins.clone()
        drawn = torch.cuda.get_rng_state()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):  # kernels are compiled and chosen outside of the recording
                self.model.zero_grad(set_to_none=True)
                self._compute(pixels, bins)
        torch.cuda.current_stream().wait_stream(aside)
        self.model.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            losses = self._compute(pixels, bins)
        # so that the replay drops what it would in a run that recorded before
        torch.cuda.set_rng_state(drawn)
        return _Recorded(graph, pixels, bins, losses, [p.grad for p in self.model.parameters()])

    def _compute(self, pixels: Pixels, bins: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16, enabled=self.half, cache_enabled=False):
            logits = self.forward(self.model, pixels)
        near = self.model.config.contact_bins
        losses = batch_losses(logits, bins, pixels.separation, near, self.contact_weight)
        losses.mean().backward()
        return losses.detach()
