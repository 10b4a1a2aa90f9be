"""Families that weights have learned from, as a table beside the weights, and the search of it."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from data.families import CLUSTER
from data.homology import HOMOLOGOUS, Family, Homologue, consensus_sequence, find_homologues, load_families
from nets.card import learned_proteins, tuning_proteins
from nets.dataset import Example

logger = logging.getLogger(__name__)

SUFFIX = ".families.tsv"


def families_file(weights: str | Path) -> Path:
    """Table of families that belongs to a weights file."""
    return Path(weights).with_suffix(SUFFIX)


def families_of(examples: Sequence[Example]) -> list[Family]:
    """Families of real alignments among the examples, each with the consensus of all its sequences.

    Families that were simulated, on a protein's fold or on that of a chain, hold no sequence of its kin.
    """
    real = [e for e in examples if "~" not in e.protein and not e.cluster.startswith(CLUSTER)]
    return [Family(e.protein, e.cluster, e.split, consensus_sequence(_profile(e))) for e in real]


def _profile(example: Example) -> np.ndarray:
    """Weighted shares of the 20 residues at each position of an example at its full depth."""
    sites = example.read(0)[0].sites.astype(np.float32)
    return sites[:, 20:40]  # behind the query's residue, see `nets.features.Features`


def known_families(weights: str | Path) -> list[Family]:
    """Families in the table beside a weights file; none where there is no table."""
    path = families_file(weights)
    if path.is_file():
        return load_families(path)
    logger.warning("%s is not there: the families behind these weights are known by name alone", path)
    return []


def merged(families: Iterable[Family]) -> list[Family]:
    """One entry a family; one that was learned from, in whatever run, counts as learned from."""
    kept: dict[str, Family] = {}
    for family in families:
        if family.family not in kept or family.split == "train":
            kept[family.family] = family
    return list(kept.values())


def search_families(
    tokens: np.ndarray, weights: Sequence[str | Path], cards: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Homologues of an alignment among the families behind weights, or behind those of an ensemble.

    Parameters
    ----------
    tokens : int8 [N, L]
        The query is row 0.
    weights : sequence of paths
        Files that the tables lie beside.
    cards : sequence of dict
        Of their `nets.checkpoint.Loaded`.

    Returns
    -------
    dict
        ``searched`` (families in the table), ``missing`` (families of the card that the table lacks),
        ``threshold`` (largest E-value of a homologue), ``homologues`` (how many lie below it) and ``hits``
        (the five best with an E-value of at most 10, as `data.homology.Homologue`).
    """
    families = merged(family for path in weights for family in known_families(path))
    named = {name for card in cards for name in learned_proteins(card) | tuning_proteins(card)}
    hits = find_homologues(tokens, families)
    return {
        "searched": len(families),
        "missing": len(named - {family.family for family in families}),
        "threshold": HOMOLOGOUS,
        "homologues": sum(hit.evalue < HOMOLOGOUS for hit in hits),
        "hits": [asdict(hit) for hit in hits[:5]],
        "learned": acquaintance_by_sequence(hits),
    }


def acquaintance_by_sequence(hits: Sequence[Homologue]) -> str:
    """``homologue`` (learned from one), ``tuned-homologue`` (one chose the weights), or nothing."""
    splits = {hit.split for hit in hits if hit.evalue < HOMOLOGOUS}
    return "homologue" if "train" in splits else "tuned-homologue" if "tune" in splits else ""
