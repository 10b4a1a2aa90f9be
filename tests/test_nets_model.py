"""The refiner network and its loss: shapes, symmetry, masks, closed forms."""

import numpy as np
import pytest
import torch

from nets.config import RefinerConfig, as_metadata, from_metadata
from nets.dataset import cut_pixels
from nets.features import compute_features
from nets.losses import UNRESOLVED, refiner_loss
from nets.model import Refiner, contact_logit
from nets.predict import distance_logits
from nets.stream import stream_trunk

SMALL = RefinerConfig(channels=8, blocks=2)


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(2)
    tokens = rng.integers(0, 21, size=(50, 14)).astype(np.int8)
    return compute_features(tokens)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = Refiner(SMALL)
    for block in model.blocks:  # a fresh block is the identity: give it something to do
        torch.nn.init.normal_(block.second.weight, std=0.1)
    return model.eval()


def test_logits_have_one_value_per_pair_and_bin(model, features):
    pixels = cut_pixels(features, np.arange(3, 9), np.arange(0, 14))
    assert model(pixels).shape == (1, 6, 14, SMALL.bins)


def test_whole_map_is_symmetric(model, features):
    logits = distance_logits(model, features)
    assert torch.equal(logits, logits.transpose(0, 1))


def test_rows_embedded_in_chunks_equal_the_whole(model, features, monkeypatch):
    whole = distance_logits(model, features)
    monkeypatch.setattr("nets.predict.STRIP_PIXELS", 40)
    torch.testing.assert_close(distance_logits(model, features), whole)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 13, 14, 100])
def test_strips_equal_the_whole(rows):
    """Dilations that reach over several strips, and averages of the whole map in every second block."""
    torch.manual_seed(3)
    model = Refiner(RefinerConfig(channels=6, blocks=5, dilations=(1, 4, 2), pool_every=2)).eval()
    for block in model.blocks:
        torch.nn.init.normal_(block.second.weight, std=0.2)
    x = torch.randn(1, 14, 11, 6)
    with torch.no_grad():
        whole = model.trunk(x)
    found = stream_trunk(model, x.clone(), strip_pixels=rows * 11)
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)
    assert float(whole.std()) > 0.1


def test_contact_logit_is_the_log_odds_of_the_near_bins():
    logits = torch.randn(5, SMALL.bins, generator=torch.Generator().manual_seed(1))
    near = torch.softmax(logits, -1)[:, : SMALL.contact_bins].sum(-1)
    torch.testing.assert_close(
        contact_logit(logits, SMALL.contact_bins), torch.logit(near), rtol=1e-4, atol=1e-5
    )


def test_loss_of_known_logits_equals_its_formula():
    logits = torch.zeros(1, 1, 2, SMALL.bins)
    bins = torch.tensor([[[1, UNRESOLVED]]], dtype=torch.uint8)
    near = SMALL.contact_bins / SMALL.bins
    expected = np.log(SMALL.bins) + 3.0 * -np.log(near)
    found = refiner_loss(logits, bins, torch.full((1, 1, 2), 30), SMALL.contact_bins, 3.0)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_unresolved_and_adjacent_pairs_carry_no_gradient():
    logits = torch.randn(1, 2, 2, SMALL.bins, requires_grad=True)
    bins = torch.tensor([[[0, UNRESOLVED], [3, 3]]], dtype=torch.uint8)
    separation = torch.tensor([[[30, 30], [1, 2]]])
    refiner_loss(logits, bins, separation, SMALL.contact_bins, 1.0).backward()
    assert logits.grad[0, 0, 0].abs().sum() > 0
    assert logits.grad[0, 0, 1].abs().sum() == 0
    assert logits.grad[0, 1].abs().sum() == 0


def test_a_crop_without_labels_has_no_loss():
    logits = torch.randn(1, 2, 2, SMALL.bins, requires_grad=True)
    bins = torch.full((1, 2, 2), UNRESOLVED, dtype=torch.uint8)
    loss = refiner_loss(logits, bins, torch.full((1, 2, 2), 30), SMALL.contact_bins, 1.0)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert logits.grad.abs().sum() == 0


def test_settings_survive_their_metadata_and_unknown_keys_do_not():
    assert from_metadata(RefinerConfig, as_metadata(SMALL)) == SMALL
    with pytest.raises(ValueError, match="depth_of_thought"):
        from_metadata(RefinerConfig, {"depth_of_thought": 3})
    with pytest.raises(ValueError, match="8 angstrom"):
        RefinerConfig(bin_edges=(0.0, 7.0, 20.0))
