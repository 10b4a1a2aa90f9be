"""Masked losses: pairs without two resolved residues, and neighbours along the chain, do not count."""

import torch
from torch import Tensor
from torch.nn import functional

from nets.model import contact_logit

UNRESOLVED = 255
MIN_SEPARATION = 3


def refiner_loss(
    logits: Tensor, bins: Tensor, separation: Tensor, contact_bins: int, contact_weight: float
) -> Tensor:
    """Cross-entropy of the distance bins plus weighted cross-entropy of the contact.

    Parameters
    ----------
    logits : float32 [n, H, W, B]
    bins : uint8 [n, H, W]
        True bin of each pair, 255 where it is not resolved.
    separation : int64 [n, H, W]
    contact_bins : int
        Bins below 8 angstrom.
    contact_weight : float

    Returns
    -------
    float32 scalar
        Mean over the pairs that count; 0 with a gradient of 0 where none does.
    """
    counts = (bins != UNRESOLVED) & (separation >= MIN_SEPARATION)
    chosen, target = logits[counts], bins[counts].long()
    if target.numel() == 0:
        return logits.sum() * 0.0
    distance = functional.cross_entropy(chosen, target)
    contact = functional.binary_cross_entropy_with_logits(
        contact_logit(chosen, contact_bins), (target < contact_bins).to(torch.float32)
    )
    return distance + contact_weight * contact
