"""Networks of one shape, trained apart, as one file of weights."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from data.errors import CovarionError
from data.homology import save_families
from nets.card import learned_clusters, learned_proteins, published_by, tuning_clusters, tuning_proteins
from nets.checkpoint import Loaded, load_refiner, save_weights
from nets.networks import network_of
from nets.probability import IDENTITY
from nets.relatives import families_file, known_families, merged
from nets.shipped import find_weights

logger = logging.getLogger(__name__)


def join_weights(names: Sequence[str], out: str | Path, quick_above: int = 0) -> None:
    """Write weights whose logits are the mean of those of others, and the families behind them beside it.

    Of the architecture ``trrosetta`` it is the mean of probabilities.

    They are not calibrated, and folded chains are left out: both come of a training run of no step that goes
    on from them (``python -m nets train MANIFEST --start OUT --set steps=0``).

    Parameters
    ----------
    names : sequence of str
        Two weights or more, by name or path.
    out : path
    quick_above : int
        Columns above which the first two alone read a map, 0: never.

    Raises
    ------
    CovarionError
        They have different shapes, one is a committee already, or one has learned from what another was
        tuned on.
    """
    members = [load_refiner(name) for name in names]
    config = members[0].model.config
    # Dropout matters in training alone, and a network without triangles is one whose triangles add nothing
    shapes = {replace(loaded.model.config, dropout=0.0, triangles=0) for loaded in members}
    triangles = {loaded.model.config.triangles for loaded in members} - {0}
    if len(members) < 2 or len(shapes) > 1 or len(triangles) > 1 or config.members > 1:
        raise CovarionError(
            "only two or more networks of one shape can be joined",
            value=", ".join(loaded.name for loaded in members),
            remedy="name weights that were trained with the same train: model (some may lack triangles, "
            "dropout may differ); mean maps of others with --weights A --weights B",
        )
    config = replace(config, triangles=max(triangles, default=0))
    joined = replace(config, members=len(members), quick_above=quick_above)
    nothing = {
        name: torch.zeros_like(value)  # triangles that add nothing
        for name, value in network_of(config).state_dict().items()
    }
    tensors = {
        f"members.{k}.{name}": value.half()
        for k, loaded in enumerate(members)
        for name, value in (nothing | loaded.model.state_dict()).items()
    }
    save_weights(out, tensors, joined, [list(row) for row in IDENTITY], _card(members))
    families = [family for name in names for family in known_families(find_weights(name))]
    save_families(families_file(out), merged(families))


def _card(members: Sequence[Loaded]) -> dict[str, Any]:
    """What any of them has learned from or was tuned on."""
    if origin := published_by(members):
        raise CovarionError(
            "weights that have something from published networks are not joined", value=origin,
            remedy="mean their maps with --weights A --weights B",
        )  # fmt: skip
    cards = [loaded.card for loaded in members]
    learned = set().union(*map(learned_clusters, cards))
    proteins = set().union(*map(tuning_proteins, cards))
    clusters = set().union(*map(tuning_clusters, cards))
    if both := sorted((learned & clusters) | (set().union(*map(learned_proteins, cards)) & proteins)):
        raise CovarionError(
            "one of the networks has learned from what another was tuned on",
            value=", ".join(both)[:200],
            remedy="join networks that were trained on the same splits",
        )
    parts = [card.get("train", {}) for card in cards]
    train = {
        "proteins": sorted(set().union(*map(learned_proteins, cards))),
        "clusters": sorted(learned),
        "simulated": max(part.get("simulated", 0) for part in parts),
        "folds": max(part.get("folds", 0) for part in parts),
    }
    tune = {"proteins": sorted(proteins), "clusters": sorted(clusters), "simulated": 0, "folds": 0}
    of = [
        {"name": one.name, "sha256": one.sha256, "training": one.card.get("training", {})} for one in members
    ]
    return {"train": train, "tune": tune, "members": of}
