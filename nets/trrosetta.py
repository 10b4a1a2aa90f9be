"""The architecture of trRosetta as a refiner: its own inputs, trunk and distance head, our bins and loss.

Drawn at random it is a refiner like another; with the parameters of a published network
(`published_weights`) it gives that network's map, and training goes on from there. What published networks
learned from may hold any protein of the PDB of 2018; the card of weights says so (`nets.card.published`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from data.alphabet import GAP, LETTERS, Q
from data.errors import CovarionError
from data.homology import save_families
from data.registry import find_package_file
from data.store import load_json
from nets.chain import ChainPrior
from nets.checkpoint import save_weights
from nets.config import TRROSETTA, RefinerConfig
from nets.experts import (
    INPUTS,
    TRROSETTA_FILE,
    TRROSETTA_LETTERS,
    TrRosetta,
    bin_groups,
    published_networks,
)
from nets.model import Pixels
from nets.probability import IDENTITY
from nets.relatives import families_file, known_families
from nets.shipped import DEFAULT, PRETRAINED, find_weights

SITES = GAP + Q + 1  # query, profile and entropy of a residue
FITTED = PRETRAINED / "trrosetta.json"  # chains and calibration of the five together


def _input_order() -> np.ndarray:
    """Published input channel of each of ours: column, row, couplings (letter of i first), norm."""
    place = np.array([TRROSETTA_LETTERS.index(letter) for letter in LETTERS])
    sites = np.concatenate([place[:GAP], GAP + place, [SITES - 1]])
    blocks = 2 * SITES + Q * place[None, :] + place[:, None]  # there the letter of j goes first
    return np.concatenate([sites, SITES + sites, blocks.ravel(), [INPUTS - 1]])


class TrRosettaRefiner(nn.Module):
    """Distance distribution of every pair, by the architecture of Yang et al. 2020.

    It reads `nets.features.Features` of the pair map ``inverse``. Its norms average over the whole map and
    its output is averaged with its transpose before the head, so that rectangles must be squares on the
    diagonal; parameters below ``network`` have the published names.
    """

    order: Tensor

    def __init__(self, config: RefinerConfig):
        super().__init__()
        self.config = config
        self.groups = bin_groups(config.bin_edges)
        self.network = TrRosetta(config.channels, config.blocks, config.dilations, config.dropout)
        self.register_buffer("order", torch.from_numpy(_input_order()), persistent=False)

    def forward(self, pixels: Pixels) -> Tensor:
        """Logits of the distance bins, [n, L, L, B], symmetric."""
        return self.trunk(self.embed(pixels))

    def embed(self, pixels: Pixels) -> Tensor:
        """The first convolution, whose 526 channels never stand in memory: [n, H, W, C]."""
        first = self.network.first_block[0]
        weight = first.weight[:, :, 0, 0][:, self.order]  # type: ignore[index]
        of_column, of_row, of_block, of_norm = weight.split([SITES, SITES, Q * Q, 1], dim=1)
        x = functional.linear(pixels.couplings.to(weight.dtype), of_block, first.bias)  # type: ignore[arg-type]
        off = (pixels.separation != 0)[..., None]
        x = x + functional.linear(pixels.maps * off, of_norm)
        x = x + functional.linear(pixels.rows[..., :SITES], of_row)[:, :, None]
        x = x + functional.linear(pixels.cols[..., :SITES], of_column)[:, None]
        own = functional.linear(pixels.rows[..., -Q * Q :], of_block)[:, :, None]
        return x + own * ~off

    def trunk(self, x: Tensor) -> Tensor:
        """What follows it, [n, L, L, C] -> logits [n, L, L, B]."""
        logits = self.network.trunk(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).float()
        by_distance = torch.roll(logits, -1, dims=-1)  # the published first bin is the farthest
        return torch.stack([by_distance[..., group].logsumexp(dim=-1) for group in self.groups], dim=-1)


def published_weights(number: int, out: str | Path) -> None:
    """Write one of the five published networks as weights to start from.

    Parameters
    ----------
    number : int
        1 to 5, in the order of their files' names.
    out : path
        ``.safetensors``; what it predicts is that network's map, not calibrated.

    Raises
    ------
    FetchError
        The package ``tr-rosetta-pytorch`` is not installed.
    CovarionError
        Its file is not the archive that is expected, or there is no such network.
    """
    for k, (name, network) in enumerate(published_networks(), 1):
        if k == number:
            tensors = {f"network.{key}": value for key, value in network.state_dict().items()}
            shape = replace(TRROSETTA, blocks=len(network.layers))
            save_weights(out, tensors, shape, [list(row) for row in IDENTITY], _card([name], [network]))
            return
    raise CovarionError("no such published network", value=number, remedy="name one of 1 to 5")


def published_expert(out: str | Path, fitted: Path | None = FITTED) -> None:
    """Write the five published networks as one expert, with folded chains and calibrated.

    Parameters
    ----------
    out : path
        ``.safetensors``, parameters in half precision.
    fitted : path or None
        Chains and calibration, fitted on the tuning families by ``benchmarks/expert.py``; they come with this
        repository, the networks do not. None leaves them out.

    Raises
    ------
    FetchError
        The package ``tr-rosetta-pytorch`` is not installed.
    CovarionError
        Its file is not the archive that is expected, or holds other networks than those that were fitted.
    """
    names, networks = zip(*published_networks(), strict=True)
    tensors = {
        f"members.{k}.network.{key}": value.half()
        for k, network in enumerate(networks)
        for key, value in network.state_dict().items()
    }
    shape = replace(TRROSETTA, blocks=len(networks[0].layers), members=len(networks))
    calibration, chain, card = [list(row) for row in IDENTITY], None, _card(names, networks)
    if fitted:
        found = load_json(fitted)
        if found["parameters_sha256"] != card["published"]["parameters_sha256"]:
            raise CovarionError(
                "other networks than those that chains and calibration were fitted for",
                file=fitted,
                value=card["published"]["parameters_sha256"],
                remedy="install tr-rosetta-pytorch 0.0.3, or fit them anew with benchmarks/expert.py",
            )
        calibration, chain, card["tune"] = found["calibration"], ChainPrior(**found["chain"]), found["tune"]
        known = known_families(find_weights(DEFAULT))  # whose tuning families these are
        save_families(families_file(out), [row for row in known if row.family in found["tune"]["proteins"]])
    save_weights(out, tensors, shape, calibration, card, chain)


def _card(names: Sequence[str], networks: Sequence[nn.Module]) -> dict[str, Any]:
    _, origin = find_package_file(TRROSETTA_FILE)
    digest = hashlib.sha256()
    for state in (network.state_dict() for network in networks):
        for key in sorted(state):
            digest.update(state[key].numpy().tobytes())
    return {
        "published": {
            "network": "trrosetta",
            "file": ", ".join(names),
            "parameters_sha256": digest.hexdigest(),
            "package": TRROSETTA_FILE.partition(":")[0],
            "licence": origin.get("licence", ""),
        }
    }
