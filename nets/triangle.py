"""Triangle update of pair maps: what the pairs (i, k) and (j, k) say of the pair (i, j).

Three distances have to make a triangle, which convolutions see only where i, j and k lie near each other in
the sequence. The update is that of Jumper et al. 2021, Nature 596:583 (supplement, algorithm 11, "outgoing"),
with half as many channels inside, scaled by the root of the number of residues k, so that a crop and a whole
map resemble each other.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

Piece = Callable[..., Tensor]  # one of the two functions below, as it is or compiled


def normalised(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Layer norm over the last axis; statistics in float32, result as `x`."""
    return functional.layer_norm(x.float(), x.shape[-1:], weight, bias).to(x.dtype)


def sides_of(x: Tensor, norm: Tensor, shift: Tensor, weight: Tensor, bias: Tensor, inside: Tensor) -> Tensor:
    """Two sides of each triangle, [n, H, W, C] -> [n, 2, C / 2, H, W]; zero outside."""
    gates, values = functional.linear(normalised(x, norm, shift), weight, bias).chunk(2, dim=-1)
    sides = torch.sigmoid(gates) * values * inside
    n, height, width, channels = sides.shape
    return sides.view(n, height, width, 2, channels // 2).permute(0, 3, 4, 1, 2).contiguous()


def update_of(
    x: Tensor, third: Tensor, norm: Tensor, shift: Tensor, inner: Tensor, inner_shift: Tensor,
    gate: Tensor, gate_bias: Tensor, out: Tensor, out_bias: Tensor,
) -> Tensor:  # fmt: skip
    """The map with its third sides, [n, C / 2, H, W], gated and added: [n, H, W, C]."""
    open_ = torch.sigmoid(functional.linear(normalised(x, norm, shift), gate, gate_bias))
    third = normalised(third.permute(0, 2, 3, 1), inner, inner_shift)
    return (x + open_ * functional.linear(third, out, out_bias)).to(x.dtype)


class Triangle(nn.Module):
    """One update; a fresh one changes nothing."""

    def __init__(self, channels: int):
        super().__init__()
        half = channels // 2
        self.norm = nn.LayerNorm(channels)
        self.sides = nn.Linear(channels, 4 * half)  # gates and values of both sides
        self.inner = nn.LayerNorm(half)
        self.gate = nn.Linear(channels, channels)
        self.out = nn.Linear(half, channels)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)
        self.still = False

    def forward(
        self, x: Tensor, inside: Tensor, sides_piece: Piece = sides_of, update_piece: Piece = update_of
    ) -> Tensor:
        """[n, H, W, C] of squares on the diagonal, and [n, H, W, 1] of 0 and 1 -> the same shape as `x`."""
        one, other = self.both_sides(x, inside, sides_piece).unbind(dim=1)
        number = inside.amax(dim=1).sum(dim=1).clamp(min=1)[:, None, None]
        third = one @ other.transpose(2, 3) * torch.rsqrt(number).to(one.dtype)
        return self.updated(x, third, update_piece)

    def both_sides(self, x: Tensor, inside: Tensor, piece: Piece = sides_of) -> Tensor:
        """Sides of each triangle, [n, 2, C / 2, H, W]."""
        return piece(x, self.norm.weight, self.norm.bias, self.sides.weight, self.sides.bias, inside)

    def updated(self, x: Tensor, third: Tensor, piece: Piece = update_of) -> Tensor:
        """The map with the third sides added, [n, H, W, C]."""
        return piece(
            x, third, self.norm.weight, self.norm.bias, self.inner.weight, self.inner.bias,
            self.gate.weight, self.gate.bias, self.out.weight, self.out.bias,
        )  # fmt: skip


def skip_still_triangles(network: nn.Module) -> None:
    """Do without updates that add nothing, as in networks that were joined with others; not to train."""
    for module in network.modules():
        if isinstance(module, Triangle):
            module.still = not any(bool(parameter.any()) for parameter in module.out.parameters())
