"""What weights go on from, and what they have learned from: checked at the start, told in the card."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from data.errors import CovarionError
from data.families import CLUSTER
from nets.card import learned_clusters, learned_proteins
from nets.checkpoint import Loaded
from nets.config import RefinerConfig
from nets.dataset import Example


def check_start(start: Loaded, config: RefinerConfig, tuning: Sequence[Example]) -> None:
    """Refuse to go on from weights of another shape, or that have seen a tuning family.

    Further pair maps behind those of the start are not another shape. Proteins are compared by name too: one
    without a cluster in the table counts as a cluster of its own name, whatever cluster it was learned in.

    Raises
    ------
    CovarionError
    """
    more = config.pair_maps[len(start.model.config.pair_maps) :]
    if replace(start.model.config, pair_maps=start.model.config.pair_maps + more) != config:
        raise CovarionError(
            "the weights to start from have another shape",
            place=start.name,
            value=start.model.config,
            remedy="set train: model to the same; only pair_maps may be added",
        )
    both = {e.cluster for e in tuning} & learned_clusters(start.card)
    both |= {e.protein.split("~")[0] for e in tuning} & learned_proteins(start.card)
    if both:
        raise CovarionError(
            "the weights to start from have learned from tuning families",
            place=start.name,
            value=", ".join(sorted(both)),
            remedy="tune on other proteins and clusters",
        )


def grown(start: dict[str, torch.Tensor], fresh: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """State of weights to go on from, with zeros for the pair maps that they did not read."""
    found = dict(start)
    for key in start:
        if key.endswith("embed_maps.weight"):
            found[key] = torch.zeros_like(fresh[key])
            found[key][:, : start[key].shape[1]] = start[key]
    return found


def data_card(examples: Sequence[Example], start: Loaded | None = None) -> dict[str, Any]:
    """What a network has seen: proteins and clusters by split, simulated families, and its start's card."""
    card: dict[str, Any] = {}
    if start:
        card["start"] = {"name": start.name, "sha256": start.sha256, "card": start.card}
    for split in ("train", "tune"):
        chosen = [e for e in examples if e.split == split]
        folds = [e for e in chosen if e.cluster.startswith(CLUSTER)]
        chosen = [e for e in chosen if not e.cluster.startswith(CLUSTER)]
        real = sorted(e.protein for e in chosen if "~" not in e.protein)
        clusters = sorted({e.cluster for e in chosen})
        simulated = len(chosen) - len(real)
        card[split] = {"proteins": real, "clusters": clusters, "simulated": simulated, "folds": len(folds)}
    return card
