"""From features to calibrated contact probabilities and distance distributions."""

import json
from dataclasses import dataclass

import numpy as np
import torch

from data.alphabet import Q
from data.memory import INTERPRETER, domain_way, require_bytes
from data.store import open_arrays, save_arrays
from nets.card import acquaintance
from nets.checkpoint import Loaded, choose_device, load_refiner
from nets.config import RefinerConfig
from nets.dataset import cut_pixels
from nets.features import NUMBA, TORCH, Features, compute_features
from nets.model import Refiner, contact_logit
from nets.probability import calibrated
from nets.relatives import search_families
from nets.shipped import find_weights
from nets.stream import STRIP_PIXELS, stream_trunk


@dataclass(frozen=True)
class Prediction:
    """Refined map of one protein.

    Attributes
    ----------
    contact : float32 [L, L]
        Calibrated probability that the C-beta atoms are closer than 8 angstrom; symmetric, zero diagonal.
    distance : float32 [L, L, B]
        Probability of each distance bin, not calibrated; symmetric.
    bin_edges : float32 [B + 1]
        Angstrom; the last edge stands for infinity.
    """

    contact: np.ndarray
    distance: np.ndarray
    bin_edges: np.ndarray


@torch.no_grad()
def distance_logits(model: Refiner, features: Features) -> torch.Tensor:
    """Symmetric logits of the distance bins for a whole map, float32 [L, L, B] on the CPU.

    The couplings are embedded some rows at a time, so that 441 numbers a pair never stand in memory at once,
    and the trunk passes in strips (`nets.stream`): about 4 (C + 3 B) L^2 bytes, and half a gigabyte for a
    strip.
    """
    device = next(model.parameters()).device
    length = features.length
    every = np.arange(length)
    step = max(1, STRIP_PIXELS // length)
    x = torch.empty((1, length, length, model.config.channels), device=device)
    for start in range(0, length, step):
        rows = every[start : start + step]
        x[:, start : start + step] = model.embed(cut_pixels(features, rows, every).to(device))
    logits = stream_trunk(model, x)[0].cpu()
    return (logits + logits.transpose(0, 1)) / 2


def prediction_bytes(length: int, config: RefinerConfig) -> int:
    """Peak of `predict`, its features included: the trunk, three copies of the bins, a strip of pixels."""
    strip = min(length**2, STRIP_PIXELS + length) * (9 * Q**2 + 100)
    held = (Q**2 // 2 + len(config.pair_maps)) * length**2
    return INTERPRETER + NUMBA + TORCH + held + 4 * (config.channels + 3 * config.bins) * length**2 + strip


def predict(loaded: Loaded, features: Features) -> Prediction:
    """Refine one protein's map.

    Parameters
    ----------
    loaded : Loaded
        From :func:`nets.checkpoint.load_refiner`.
    features : Features
        Computed with the channels of ``loaded.model.config.pair_maps``.

    Raises
    ------
    MemoryLimitError
        There is too little memory; the message says how much it takes.
    """
    config, length = loaded.model.config, features.length
    require_bytes(
        f"the network's map of {length} columns",
        prediction_bytes(length, config),
        lambda available: domain_way(length, lambda columns: prediction_bytes(columns, config), available),
    )
    logits = distance_logits(loaded.model, features)
    distance = torch.softmax(logits, dim=-1).numpy()
    odds = contact_logit(logits, config.contact_bins).numpy().astype(np.float64)
    separation = np.abs(np.subtract.outer(np.arange(len(odds)), np.arange(len(odds))))
    contact = calibrated(odds, separation, features.neff, loaded.calibration).astype(np.float32)
    np.fill_diagonal(contact, 0.0)
    return Prediction(contact, distance, np.array(config.bin_edges, dtype=np.float32))


def refine_file(
    alignment: str,
    out: str,
    refiner: str,
    name: str,
    device: str = "auto",
    threads: int = 1,
    protein: str = "",
    cluster: str = "",
) -> None:
    """Refine the map of an ``alignment.npz`` and write ``refined.npz``.

    Parameters
    ----------
    refiner : path
        Weights of the network.
    name : str
        What reports call them.
    protein, cluster : str
        Names in the protein table; ``learned`` says how the weights know them, see `nets.card.acquaintance`,
        else what `nets.relatives.search_families` finds by sequence.
    """
    torch.set_num_threads(threads)
    loaded = load_refiner(refiner, choose_device(device))
    with open_arrays(alignment) as arrays:  # not its names, which may be larger than all the rest
        tokens = arrays["tokens"]
    prediction = predict(loaded, compute_features(tokens, loaded.model.config.pair_maps))
    kin = search_families(tokens, find_weights(refiner), loaded.card)
    save_arrays(
        out,
        **vars(prediction),
        weights=name,
        weights_sha256=loaded.sha256,
        learned=acquaintance(loaded.card, protein, cluster) or kin["learned"],
        homology=json.dumps(kin),
    )
