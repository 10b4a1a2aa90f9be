"""From features to calibrated contact probabilities and distance distributions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from data.errors import MapError
from data.memory import domain_way, require_bytes
from data.store import open_arrays, save_arrays
from nets.card import acquaintance, closest, published_by
from nets.chain import with_chain
from nets.checkpoint import Loaded, choose_device, load_refiner
from nets.convolution import use_threads
from nets.dataset import cut_pixels
from nets.features import Features, compute_features
from nets.memory import STRIP_PIXELS, prediction_bytes
from nets.model import Committee, Refiner, contact_logit
from nets.probability import calibrated
from nets.relatives import search_families
from nets.shipped import find_weights
from nets.stream import stream_trunk


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
    and the trunk passes in strips (`nets.stream`): about 4 (2 C + 3 B) L^2 bytes.
    """
    if isinstance(model, Committee):
        members = list(model.members)[: model.config.readers(features.length)]
        return model.mean(_map_logits(member, features) for member in members)
    return _map_logits(model, features)


def _map_logits(model: Any, features: Features) -> torch.Tensor:
    device = next(model.parameters()).device
    length = features.length
    every = np.arange(length)
    step = max(1, STRIP_PIXELS // length)
    x = torch.empty((1, length, length, model.config.channels), device=device)
    for start in range(0, length, step):
        rows = every[start : start + step]
        x[:, start : start + step] = model.embed(cut_pixels(features, rows, every).to(device))
    # The norms of the other architecture average over whole maps: it is not streamed
    logits = (stream_trunk(model, x) if isinstance(model, Refiner) else model.trunk(x))[0].cpu()
    return (logits + logits.transpose(0, 1)) / 2


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
    odds = with_chain(odds, logits.numpy(), config.bin_edges, loaded.chain)
    separation = np.abs(np.subtract.outer(np.arange(len(odds)), np.arange(len(odds))))
    contact = calibrated(odds, separation, features.neff, loaded.calibration).astype(np.float32)
    np.fill_diagonal(contact, 0.0)
    return Prediction(contact, distance, np.array(config.bin_edges, dtype=np.float32))


def predict_together(
    members: Sequence[Loaded], tokens: np.ndarray, foreign: dict[str, np.ndarray] | None = None
) -> tuple[Prediction, float]:
    """Mean of what several refiners say, each calibrated by itself, and Neff.

    Parameters
    ----------
    members : sequence of Loaded
        One refiner, or several with the same distance bins: an ensemble.
    tokens : int8 [N, L]
        The query is row 0.
    foreign : dict of str to float [L, L], optional
        Maps that a user brings, by the name of their expert.

    Raises
    ------
    MapError
        The members have different distance bins.
    """
    if len({loaded.model.config.bin_edges for loaded in members}) > 1:
        raise MapError(
            "refiners of one ensemble with different distance bins",
            value=", ".join(loaded.name for loaded in members),
            remedy="name weights that were trained with the same bin_edges",
        )
    features: dict[tuple[str, ...], Features] = {}
    length = tokens.shape[1]
    contact = np.zeros((length, length), np.float32)
    distance = np.zeros((length, length, members[0].model.config.bins), np.float32)
    for loaded in members:
        names = loaded.model.config.pair_maps
        if names not in features:
            features[names] = compute_features(tokens, names, foreign)
        found = predict(loaded, features[names])
        contact += found.contact / len(members)
        distance += found.distance / len(members)
    return Prediction(contact, distance, found.bin_edges), next(iter(features.values())).neff


def refine_file(
    alignment: str,
    out: str,
    refiner: str | Sequence[str],
    name: str,
    device: str = "auto",
    threads: int = 1,
    protein: str = "",
    cluster: str = "",
) -> None:
    """Refine the map of an ``alignment.npz`` and write ``refined.npz``.

    Parameters
    ----------
    refiner : path or sequence of paths
        Weights of the network, or of the networks of an ensemble.
    name : str
        What reports call them.
    protein, cluster : str
        Names in the protein table; ``learned`` says how the weights know them, see `nets.card.acquaintance`,
        else what `nets.relatives.search_families` finds by sequence. ``published`` says what the weights have
        from published networks, see `nets.card.published`.
    """
    use_threads(threads)
    paths = [refiner] if isinstance(refiner, str) else list(refiner)
    members = [load_refiner(path, choose_device(device)) for path in paths]
    with open_arrays(alignment) as arrays:  # not its names, which may be larger than all the rest
        tokens = arrays["tokens"]
    prediction, _ = predict_together(members, tokens)
    cards = [loaded.card for loaded in members]
    kin = search_families(tokens, [find_weights(path) for path in paths], cards)
    save_arrays(
        out,
        **vars(prediction),
        weights=name,
        weights_sha256=" + ".join(loaded.sha256 for loaded in members),
        learned=closest([acquaintance(card, protein, cluster) for card in cards]) or kin["learned"],
        homology=json.dumps(kin),
        published=published_by(members),
    )
