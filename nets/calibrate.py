"""Calibrated probabilities and tuning scores, both measured on families that were not learned from."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import minimize

from nets.dataset import Example, read_example
from nets.losses import UNRESOLVED
from nets.model import Refiner
from nets.predict import distance_logits

RANGES = ((6, 12), (12, 24), (24, 1 << 30))
IDENTITY = [[1.0, 0.0]] * len(RANGES)
LONGEST_LOOK = 330


def packed_contact_logits(
    model: Refiner, example: Example, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Uncalibrated contact log odds, contact (1, 0, or -1 unresolved) and separation of the packed pairs."""
    features, bins = read_example(example.path, k)
    upper = np.triu_indices(features.length, 1)
    near = distance_logits(model, features)
    contact = near[..., : model.config.contact_bins], near[..., model.config.contact_bins :]
    logit = (torch.logsumexp(contact[0], -1) - torch.logsumexp(contact[1], -1)).numpy()[upper]
    truth = np.where(bins == UNRESOLVED, -1, bins < model.config.contact_bins)
    return logit, truth, upper[1] - upper[0]


def tuning_scores(model: Refiner, examples: Sequence[Example]) -> dict[str, float]:
    """Mean long-range precision over tuning families, at full depth and at the shallowest one.

    Every cluster counts once, by its first member of at most 330 residues, to keep a look short.
    """
    seen: dict[str, Example] = {}
    for example in sorted(examples, key=lambda e: e.protein):
        seen.setdefault(example.cluster, example)
    values: dict[str, list[float]] = {}
    for example in seen.values():
        for label, k in (("full", 0), ("shallow", -1)):
            features, _ = read_example(example.path, k)
            if features.length > LONGEST_LOOK:
                continue
            logit, truth, separation = packed_contact_logits(model, example, k)
            for cut in (1, 5):
                value = _long_precision(logit, truth, separation, features.length, cut)
                values.setdefault(f"{label}_L{cut}", []).append(value)
    return {name: float(np.nanmean(found)) for name, found in values.items()}


def _long_precision(
    logit: np.ndarray, truth: np.ndarray, separation: np.ndarray, length: int, cut: int
) -> float:
    chosen = (truth >= 0) & (separation >= 24)
    best = np.argsort(-logit[chosen], kind="stable")[: max(1, round(length / cut))]
    return float(truth[chosen][best].mean()) if best.size else float("nan")


def fit_calibration(model: Refiner, examples: Sequence[Example]) -> list[list[float]]:
    """Slope and intercept of a logistic regression of contact on the log odds, for each range.

    Each cluster weighs the same. Without tuning families the identity is returned.

    Returns
    -------
    list of [slope, intercept]
        For separations 6-11, 12-23 and from 24 on.
    """
    if not examples:
        return [list(pair) for pair in IDENTITY]
    sizes: dict[str, int] = {}
    for example in examples:
        sizes[example.cluster] = sizes.get(example.cluster, 0) + 1
    parts: list[list[tuple[np.ndarray, np.ndarray, float]]] = [[] for _ in RANGES]
    for example in examples:
        for k in (0, -1):
            logit, truth, separation = packed_contact_logits(model, example, k)
            for part, (low, high) in zip(parts, RANGES, strict=True):
                chosen = (truth >= 0) & (separation >= low) & (separation < high)
                if chosen.any():
                    part.append((logit[chosen], truth[chosen], 1 / sizes[example.cluster] / chosen.sum()))
    return [_fit_logistic(part) if part else [1.0, 0.0] for part in parts]


def _fit_logistic(parts: list[tuple[np.ndarray, np.ndarray, float]]) -> list[float]:
    logit = np.concatenate([p[0] for p in parts]).astype(np.float64)
    truth = np.concatenate([p[1] for p in parts])
    weight = np.concatenate([np.full(p[0].size, p[2]) for p in parts])
    weight /= weight.sum()

    def loss(parameters: np.ndarray) -> float:
        z = parameters[0] * logit + parameters[1]
        return float(np.sum(weight * (np.logaddexp(0, z) - truth * z)))

    fitted = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    # A negative slope would turn the ranking upside down: the map then carries no signal in this range.
    return [float(fitted[0]), float(fitted[1])] if fitted[0] > 0 else [1.0, 0.0]
