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


def batch_losses(
    logits: Tensor, bins: Tensor, separation: Tensor, contact_bins: int, contact_weight: float
) -> Tensor:
    """`refiner_loss` of each example of a batch, float32 [n]; a GPU is asked nothing in between.

    Parameters
    ----------
    logits, bins, separation, contact_bins, contact_weight
        As `refiner_loss`.
    """
    counts = (bins != UNRESOLVED) & (separation >= MIN_SEPARATION)
    target = torch.where(counts, bins, 0).long()
    distance = functional.cross_entropy(logits.movedim(-1, 1), target, reduction="none")
    contact = functional.binary_cross_entropy_with_logits(
        contact_logit(logits, contact_bins), (target < contact_bins).to(torch.float32), reduction="none"
    )
    each = (distance + contact_weight * contact) * counts
    return each.sum(dim=(1, 2)) / counts.sum(dim=(1, 2)).clamp(min=1)


def teacher_loss(
    logits: Tensor, soft: Tensor, separation: Tensor, contact_bins: int, contact_weight: float
) -> Tensor:
    """`refiner_loss` against a teacher's distribution in place of true bins (Hinton et al. 2015).

    Parameters
    ----------
    logits, separation, contact_bins, contact_weight
        As `refiner_loss`.
    soft : float32 [n, H, W, B]
        Probability of each bin; zeros where the teacher says nothing. Residues without a place in the
        structure count: the teacher knows no structure.

    Returns
    -------
    float32 scalar
    """
    counts = (soft.sum(dim=-1) > 0) & (separation >= MIN_SEPARATION)
    chosen, target = logits[counts], soft[counts]
    if target.numel() == 0:
        return logits.sum() * 0.0
    distance = functional.cross_entropy(chosen, target)
    contact = functional.binary_cross_entropy_with_logits(
        contact_logit(chosen, contact_bins), target[:, :contact_bins].sum(dim=1).clamp(max=1)
    )
    return distance + contact_weight * contact


def taught_loss(
    logits: Tensor,
    bins: Tensor,
    soft: Tensor | None,
    separation: Tensor,
    contact_bins: int,
    contact_weight: float,
    share: float,
) -> Tensor:
    """True labels and a teacher's, mixed; true labels alone where there is no teacher.

    Parameters
    ----------
    logits, bins, separation, contact_bins, contact_weight
        As `refiner_loss`, of one example.
    soft : float32 [1, H, W, B] or None
        As `teacher_loss`; all zeros for an example that the teacher was not asked about.
    share : float
        Of the teacher, 0 to 1.

    Returns
    -------
    float32 scalar
    """
    true = refiner_loss(logits, bins, separation, contact_bins, contact_weight)
    if soft is None or not bool(soft.any()):
        return true
    taught = teacher_loss(logits, soft, separation, contact_bins, contact_weight)
    return (1 - share) * true + share * taught
