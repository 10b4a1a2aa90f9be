"""The channels of `nets.features` computed on torch's device, as whole maps: for training on a GPU.

A GPU computes them in the time of a training step, so that crops need not be read from disk. They equal those
of `nets.features.compute_features` but for rounding: a step of the companded couplings, 0.001 of a map.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from data.alphabet import GAP, LETTERS, Q
from dca.device import full_precision
from dca.gaussian import SHRINKAGE
from nets.config import PAIR_MAPS, TRROSETTA_MAPS
from nets.experts import TRROSETTA_LETTERS, published_networks
from nets.features import IDENTITY, QUANTUM, SITE_CHANNELS, Features
from nets.model import Pixels

_ROWS = 4096  # sequences that are compared with all others at once


@dataclass(frozen=True)
class DeviceFeatures:
    """Inputs of the refiner for one alignment, whole maps on a device.

    Attributes
    ----------
    couplings : int8 [L, L, q * q]
        As `nets.features.Features`; the letter of the row's residue goes first, the diagonal is 0.
    maps : float16 [L, L, M]
    sites : float16 [L, 43]
    scalars : float32 [2]
    """

    couplings: Tensor
    maps: Tensor
    sites: Tensor
    scalars: Tensor

    @property
    def length(self) -> int:
        """Number of columns L."""
        return self.sites.shape[0]

    def cut(self, rows: slice, cols: slice) -> Pixels:
        """A rectangle of all input channels as a batch of one."""
        every = torch.arange(self.length, device=self.sites.device)
        return Pixels(
            couplings=self.couplings[rows, cols][None],
            maps=self.maps[rows, cols][None].float(),
            rows=self.sites[rows][None].float(),
            cols=self.sites[cols][None].float(),
            separation=(every[rows, None] - every[None, cols]).abs()[None],
            scalars=self.scalars[None],
        )

    def packed(self) -> Features:
        """The same in the form that files and predictions have."""
        i, j = np.triu_indices(self.length, 1)
        return Features(
            self.couplings.cpu().numpy()[i, j],
            self.maps.cpu().numpy()[i, j],
            self.sites.cpu().numpy(),
            self.scalars.cpu().numpy(),
        )


@torch.no_grad()
def device_features(
    tokens: Tensor, names: tuple[str, ...] = PAIR_MAPS, query: Tensor | None = None
) -> DeviceFeatures:
    """All channels of one alignment, with sequence weights at 80 % identity.

    Parameters
    ----------
    tokens : int8 [N, L]
        On the device; the query is row 0.
    names : tuple of str
        Pair maps in the order of the channels: ``ridge``, ``mi``, or those of a published network,
        ``nets.config.TRROSETTA_MAPS``, which is then run on the alignment.
    query : int8 [L], optional
        Another sequence to show as the query, by default row 0.

    Raises
    ------
    ValueError
        A map of another name.
    torch.linalg.LinAlgError
        The covariance is not positive in single precision.
    """
    if unknown := sorted(set(names) - {*PAIR_MAPS, *TRROSETTA_MAPS}):
        raise ValueError(f"pair map {unknown[0]!r} is not computed on a device")
    rows, length = tokens.shape
    letters = functional.one_hot(tokens.long(), Q).reshape(rows, length * Q)
    weights = _weights(letters.half() if tokens.is_cuda else letters.float(), length)
    neff = float(weights.sum(dtype=torch.float64))
    with full_precision():  # an inverse does not bear less
        pairs, sites = _frequencies(letters.float(), weights, neff)
        maps = {"mi": _information(pairs, sites, neff, length)} if "mi" in names else {}
        inverse = _inverse(pairs, sites, neff, rows)
    odds = _published(inverse, tokens[0], sites) if set(names) & set(TRROSETTA_MAPS) else {}
    blocks = _zero_sum(inverse.neg_(), length)
    upper = torch.triu(torch.ones(length, length, dtype=torch.bool, device=tokens.device), 1)
    maps["ridge"] = blocks[..., :GAP, :GAP].square().sum(dim=(2, 3)).sqrt()
    channels = torch.stack([odds[n] if n in odds else _standardised(maps[n], upper) for n in names], dim=-1)
    # What the diagonal shows is that of pair 0, as in `nets.dataset.cut_pixels`
    channels.diagonal(dim1=0, dim2=1).copy_(channels[0, 1][:, None])
    scalars = torch.tensor([math.log(neff) / 10, math.log(length) / 10], device=tokens.device)
    shown = tokens[0] if query is None else query
    return DeviceFeatures(_compand(blocks), channels, _site_channels(shown, sites, length), scalars)


def _weights(letters: Tensor, length: int) -> Tensor:
    """Of each sequence, from its one-hot letters; the counts are whole numbers, exact in half precision."""
    empty = int(
        letters.view(len(letters), length, -1)[:, :, GAP].amin(dim=0).sum()
    )  # as `dca.weights` counts
    least = math.ceil(IDENTITY * (length - empty) - 1e-9) + empty - 0.5
    found = [(part @ letters.T >= least).sum(dim=1) for part in letters.split(_ROWS)]
    return 1.0 / torch.cat(found).float()


def _frequencies(letters: Tensor, weights: Tensor, neff: float) -> tuple[Tensor, Tensor]:
    """Weighted shares of pairs of letters, float32 [L q, L q], and of letters, float32 [L q]."""
    weighted = letters * (weights / neff)[:, None]
    return letters.T @ weighted, weighted.sum(dim=0)


def _inverse(pairs: Tensor, sites: Tensor, neff: float, rows: int) -> Tensor:
    """Inverse of the shrunk covariance, float32 [L q, L q]; overwrites the pairs."""
    scale = neff / max(neff - math.sqrt(neff / rows), 1e-6)
    covariance = pairs.addr_(sites, sites, alpha=-1).mul_(scale)
    covariance.diagonal().add_(SHRINKAGE / math.sqrt(neff))
    return torch.cholesky_inverse(torch.linalg.cholesky(covariance))


def _published(inverse: Tensor, query: Tensor, sites: Tensor) -> dict[str, Tensor]:
    """Log odds / 4 of trRosetta's networks by the name of their channel, float16 [L, L]."""
    x = published_inputs(inverse, query, sites).contiguous(memory_format=torch.channels_last)
    distance = torch.stack([network(x)[0].softmax(dim=0) for network in published_on(inverse.device)])
    below = distance.mean(dim=0)[1:].double().cumsum(dim=0).clamp(1e-6, 1 - 1e-6)
    odds = (below / (1 - below)).log()
    return {name: (odds[round(2 * (edge - 2.5))] / 4).half() for name, edge in TRROSETTA_MAPS.items()}


@cache
def published_on(device: torch.device) -> list[torch.nn.Module]:
    """The five published networks on a device."""
    return [network.to(device).eval() for _, network in published_networks()]


def published_inputs(inverse: Tensor, query: Tensor, sites: Tensor) -> Tensor:
    """What they read, as `nets.experts.trrosetta_inputs`: float32 [1, 526, L, L]."""
    length = len(query)
    order = torch.tensor([LETTERS.index(letter) for letter in TRROSETTA_LETTERS], device=query.device)
    profile = sites.view(length, Q)[:, order] + 1e-9
    entropy = -(profile * profile.log()).sum(dim=1, keepdim=True)
    own = torch.cat([functional.one_hot(query.long(), Q)[:, order[:GAP]], profile, entropy], dim=1).T
    blocks = inverse.view(length, Q, length, Q)
    norm = blocks[:, :GAP, :, :GAP].square().sum(dim=(1, 3)).sqrt().fill_diagonal_(0)
    mean = norm.sum(dim=0)
    norm = (norm - torch.outer(mean, mean) / mean.sum()).fill_diagonal_(0)
    turned = blocks[:, order][..., order].permute(3, 1, 0, 2).reshape(Q * Q, length, length)
    wide = (own[:, None, :].expand(-1, length, -1), own[:, :, None].expand(-1, -1, length))
    return torch.cat([*wide, turned, norm[None]])[None]


def _zero_sum(inverse: Tensor, length: int) -> Tensor:
    """Blocks [L, L, q, q] in the zero-sum gauge, those of the diagonal 0."""
    blocks = inverse.view(length, Q, length, Q).permute(0, 2, 1, 3)
    blocks = blocks - blocks.mean(dim=3, keepdim=True)
    blocks = blocks - blocks.mean(dim=2, keepdim=True)
    every = torch.arange(length, device=inverse.device)
    blocks[every, every] = 0
    return blocks


def _information(pairs: Tensor, sites: Tensor, neff: float, length: int) -> Tensor:
    """Mutual information with one sequence spread over the cells of each pair, [L, L]."""
    share = 1 / (neff + 1)
    cells = pairs.view(length, Q, length, Q) * (1 - share) + share / Q**2
    single = (sites * (1 - share) + share / Q).view(length, Q)
    own = (single * single.log()).sum(dim=1)
    joint = torch.xlogy(cells, cells).sum(dim=(1, 3))
    found = (joint - own[:, None] - own[None, :]).clamp_(min=0)
    return found.fill_diagonal_(0)


def _apc(raw: Tensor) -> Tensor:
    mean = raw.sum(dim=0) / (len(raw) - 1)
    if not bool(mean.any()):
        return raw
    return (raw - torch.outer(mean, mean) / mean.mean()).fill_diagonal_(0)


def _standardised(raw: Tensor, upper: Tensor) -> Tensor:
    """APC-corrected map, standardised over the pairs; one that is all rounding stays zero."""
    full = _apc(raw)
    packed = full[upper].double()
    spread = float(packed.std(correction=0))
    if spread <= 1e-6 * float(raw.max()):
        return torch.zeros_like(full).half()
    return torch.asinh((full - packed.mean().float()) / spread).half()


def _compand(blocks: Tensor) -> Tensor:
    length = len(blocks)
    size = math.sqrt(float(blocks.square().sum(dtype=torch.float64)) / max(length * (length - 1) * Q**2, 1))
    flat = blocks.reshape(length, length, Q * Q) / (size if size > 0 else 1.0)
    rooted = flat.sign() * flat.abs().sqrt_() / QUANTUM
    return rooted.round_().clamp_(-127, 127).to(torch.int8)


def _site_channels(query: Tensor, sites: Tensor, length: int) -> Tensor:
    profile = sites.view(length, Q)
    shown = functional.one_hot(query.long(), Q)[:, :GAP]
    entropy = -(profile * (profile + 1e-9).log()).sum(dim=1, keepdim=True)
    found = torch.cat([shown, profile, entropy, profile[:, GAP:]], dim=1).half()
    assert found.shape[1] == SITE_CHANNELS
    return found
