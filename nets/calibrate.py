"""Calibrated probabilities and tuning scores, both measured on families that were not learned from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from nets.chain import ChainPrior, fit_reference, with_chain
from nets.dataset import Example
from nets.losses import UNRESOLVED
from nets.model import Refiner, contact_logit
from nets.predict import distance_logits
from nets.probability import IDENTITY, RANGES, depth_of

LONGEST_LOOK = 330


def packed_contact_logits(
    model: Refiner, example: Example, k: int, chain: ChainPrior | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Uncalibrated contact log odds, contact (1, 0, or -1 unresolved) and separation of the packed pairs."""
    features, bins = example.read(k)
    upper = np.triu_indices(features.length, 1)
    logits = distance_logits(model, features)
    odds = contact_logit(logits, model.config.contact_bins).numpy().astype(np.float64)
    logit = with_chain(odds, logits.numpy(), model.config.bin_edges, chain)[upper]
    truth = np.where(bins == UNRESOLVED, -1, bins < model.config.contact_bins)
    return logit, truth, upper[1] - upper[0]


def tuning_scores(model: Refiner, examples: Sequence[Example]) -> dict[str, float]:
    """Mean long-range precision over tuning families, at full depth and at the shallowest one.

    Every cluster counts once, by its first member of at most 330 residues, to keep a look short.
    """
    seen: dict[str, Example] = {}
    for example in sorted(examples, key=lambda e: e.protein):
        if example.cluster not in seen and example.length <= LONGEST_LOOK:
            seen[example.cluster] = example
    values: dict[str, list[float]] = {}
    for example in seen.values():
        for label, k in (("full", 0), ("shallow", -1)):
            logit, truth, separation = packed_contact_logits(model, example, k)
            for cut in (1, 5):
                value = _long_precision(logit, truth, separation, example.length, cut)
                values.setdefault(f"{label}_L{cut}", []).append(value)
    return {name: float(np.nanmean(found)) for name, found in values.items()}


def _long_precision(
    logit: np.ndarray, truth: np.ndarray, separation: np.ndarray, length: int, cut: int
) -> float:
    chosen = (truth >= 0) & (separation >= 24)
    best = np.argsort(-logit[chosen], kind="stable")[: max(1, round(length / cut))]
    return float(truth[chosen][best].mean()) if best.size else float("nan")


def fit_chain(model: Refiner, examples: Sequence[Example], weight: float) -> ChainPrior | None:
    """What the network expects in the mean over tuning families and their depths, for `nets.chain`.

    None without a weight or without tuning families.
    """
    if not weight or not examples:
        return None
    maps = (distance_logits(model, e.read(k)[0]).numpy() for e in examples for k in range(e.depths()))
    return ChainPrior(weight, fit_reference(maps, model.config.bins)).checked(model.config.bins)


def fit_calibration(
    model: Refiner, examples: Sequence[Example], chain: ChainPrior | None = None
) -> list[list[float]]:
    """Logistic regression of contact on the log odds and the depth of the alignment, for each range.

    With n = log(Neff / 300), the calibrated log odds are exp(a + b n) odds + c + d n: how far the network may
    be trusted changes with the depth, and the ranking within a range does not. Each cluster weighs the same,
    and each depth of a family. Without tuning families the identity is returned.

    Returns
    -------
    list of [a, b, c, d]
        For separations 6-11, 12-23 and from 24 on.
    """
    if not examples:
        return [list(numbers) for numbers in IDENTITY]
    sizes: dict[str, int] = {}
    for example in examples:
        sizes[example.cluster] = sizes.get(example.cluster, 0) + 1
    parts: list[list[_Sample]] = [[] for _ in RANGES]
    for example in examples:
        depths = example.depths()
        for k in range(depths):
            neff = example.read(k)[0].neff
            logit, truth, separation = packed_contact_logits(model, example, k, chain)
            for part, (low, high) in zip(parts, RANGES, strict=True):
                chosen = (truth >= 0) & (separation >= low) & (separation < high)
                if chosen.any():
                    weight = 1 / sizes[example.cluster] / depths / chosen.sum()
                    part.append(_Sample(logit[chosen], truth[chosen], depth_of(neff), weight))
    return [_fit_logistic(part) if part else list(IDENTITY[0]) for part in parts]


@dataclass(frozen=True)
class _Sample:
    """Pairs of one family at one depth: log odds, contacts, log(Neff / 300), and the weight of each pair."""

    logit: np.ndarray
    truth: np.ndarray
    depth: float
    weight: float


def _fit_logistic(samples: list[_Sample]) -> list[float]:
    logit = np.concatenate([s.logit for s in samples]).astype(np.float64)
    truth = np.concatenate([s.truth for s in samples])
    depth = np.repeat([s.depth for s in samples], [s.logit.size for s in samples])
    weight = np.repeat([s.weight for s in samples], [s.logit.size for s in samples])
    weight /= weight.sum()

    def loss(numbers: np.ndarray) -> tuple[float, np.ndarray]:
        a, b, c, d = numbers
        scaled = np.exp(a + b * depth) * logit
        z = scaled + c + d * depth
        slope = weight * (expit(z) - truth)
        gradient = [slope @ scaled, slope @ (scaled * depth), slope.sum(), slope @ depth]
        # Too little data, or all at one depth, leaves directions free: they stay near the identity
        pull = 1e-6 * numbers
        return float(weight @ (np.logaddexp(0, z) - truth * z) + pull @ numbers / 2), np.array(
            gradient
        ) + pull

    return [float(value) for value in minimize(loss, np.zeros(4), jac=True, method="L-BFGS-B").x]
