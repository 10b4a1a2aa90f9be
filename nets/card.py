"""What a data card says of a protein: whether the weights have learned from it or from a homologue."""

from collections.abc import Sequence
from typing import Any

from nets.config import TRROSETTA_MAPS


def learned_clusters(card: dict[str, Any]) -> set[str]:
    """Homology clusters that weights have learned from, those of what they were started from included."""
    begun = card.get("start")
    return set(card.get("train", {}).get("clusters", [])) | (
        learned_clusters(begun["card"]) if begun else set()
    )


def learned_proteins(card: dict[str, Any]) -> set[str]:
    """Proteins that weights have learned from, those of what they were started from included."""
    begun = card.get("start")
    return set(card.get("train", {}).get("proteins", [])) | (
        learned_proteins(begun["card"]) if begun else set()
    )


def tuning_proteins(card: dict[str, Any]) -> set[str]:
    """Proteins that chose the weights and calibrated their probabilities."""
    begun = card.get("start")
    return set(card.get("tune", {}).get("proteins", [])) | (
        tuning_proteins(begun["card"]) if begun else set()
    )


def tuning_clusters(card: dict[str, Any]) -> set[str]:
    """Homology clusters that chose the weights and calibrated their probabilities."""
    begun = card.get("start")
    return set(card.get("tune", {}).get("clusters", [])) | (
        tuning_clusters(begun["card"]) if begun else set()
    )


def tuning_names(card: dict[str, Any]) -> set[str]:
    """Their proteins and clusters."""
    return tuning_clusters(card) | tuning_proteins(card)


def acquaintance(card: dict[str, Any], protein: str, cluster: str = "") -> str:
    """How weights know a protein, by the names in their card.

    Parameters
    ----------
    card : dict
        Of `nets.checkpoint.Loaded`.
    protein, cluster : str
        Its name and its homology cluster in the protein table, where names mean the same as in the card.

    Returns
    -------
    str
        ``protein`` (learned from it), ``cluster`` (learned from its cluster), ``tuned`` (it or its cluster
        chose and calibrated the weights), or nothing.
    """
    if protein in learned_proteins(card):
        return "protein"
    if cluster in learned_clusters(card):
        return "cluster"
    return "tuned" if {protein, cluster} & tuning_names(card) else ""


def closest(known: Sequence[str]) -> str:
    """The closest of several acquaintances, as an ensemble has them."""
    return next((name for name in ("protein", "cluster", "tuned") if name in known), "")


def published(card: dict[str, Any], pair_maps: Sequence[str] = ()) -> str:
    """What weights have from published networks, whose own training may hold any protein.

    Parameters
    ----------
    card : dict
        Of `nets.checkpoint.Loaded`.
    pair_maps : sequence of str
        Maps that the weights read.

    Returns
    -------
    str
        Such as ``trrosetta (teacher), trrosetta (start)``; empty where nothing is.
    """
    found = []
    if network := card.get("training", {}).get("teacher", ""):
        found.append(f"{network} (teacher)")
    if own := card.get("published"):
        found.append(f"{own['network']} (start)")
    if any(name in TRROSETTA_MAPS for name in pair_maps):
        found.append("trrosetta (expert)")
    begun = card.get("start")
    found += published(begun["card"]).split(", ") if begun else []
    return ", ".join(dict.fromkeys(name for name in found if name))


def published_by(members: Sequence[Any]) -> str:
    """`published` of all members of an ensemble, each a `nets.checkpoint.Loaded`."""
    told = (published(loaded.card, loaded.model.config.pair_maps).split(", ") for loaded in members)
    return ", ".join(dict.fromkeys(name for names in told for name in names if name))
