"""Triangle updates: against loops over i, j and k; the same on crops, strips and whole maps."""

import numpy as np
import pytest
import torch

from nets.captured import FusedForward
from nets.config import RefinerConfig
from nets.model import Pixels, Refiner
from nets.stream import stream_trunk
from nets.triangle import Triangle, skip_still_triangles

LENGTH, CHANNELS = 9, 6
CONFIG = RefinerConfig(channels=8, blocks=4, pool_every=2, dilations=(1, 2), triangles=2)


def drawn(module, seed):
    torch.manual_seed(seed)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module.eval()


def layer_norm(x, norm):
    x = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    return x * norm.weight.detach().numpy() + norm.bias.detach().numpy()


def linear(x, layer):
    return layer.weight.detach().numpy() @ x + layer.bias.detach().numpy()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def naive(triangle, x):
    """The update of one map [L, L, C], pair by pair."""
    length, _, channels = x.shape
    half = channels // 2
    sides = np.zeros((length, length, 2 * half))
    for i in range(length):
        for j in range(length):
            gates_values = linear(layer_norm(x[i, j], triangle.norm), triangle.sides)
            sides[i, j] = sigmoid(gates_values[: 2 * half]) * gates_values[2 * half :]
    found = x.copy()
    for i in range(length):
        for j in range(length):
            third = sum(sides[i, k, :half] * sides[j, k, half:] for k in range(length)) / length**0.5
            gate = sigmoid(linear(layer_norm(x[i, j], triangle.norm), triangle.gate))
            found[i, j] += gate * linear(layer_norm(third, triangle.inner), triangle.out)
    return found


def test_it_equals_loops_over_three_residues():
    triangle = drawn(Triangle(CHANNELS), 1)
    x = np.random.default_rng(2).normal(size=(LENGTH, LENGTH, CHANNELS)).astype(np.float32)
    with torch.no_grad():
        found = triangle(torch.from_numpy(x)[None], torch.ones(1, LENGTH, LENGTH, 1))[0].numpy()
    assert np.abs(found - x).max() > 0.1
    np.testing.assert_allclose(found, naive(triangle, x.astype(np.float64)), rtol=1e-4, atol=1e-4)


def test_a_fresh_one_changes_nothing_and_can_be_skipped():
    triangle = Triangle(CHANNELS)
    x = torch.randn(2, LENGTH, LENGTH, CHANNELS)
    assert torch.equal(triangle(x, torch.ones(1, 1, 1, 1)), x)
    model = Refiner(CONFIG)
    drawn(model.triangle(3), 1)
    skip_still_triangles(model)
    assert [model.triangle(block) is not None for block in range(4)] == [False, False, False, True]


def test_what_lies_outside_of_a_crop_is_not_seen():
    model = drawn(Refiner(CONFIG), 3)
    x = torch.randn(1, LENGTH, LENGTH, CONFIG.channels)
    wide = torch.randn(1, LENGTH + 4, LENGTH + 4, CONFIG.channels)
    wide[:, :LENGTH, :LENGTH] = x
    inside = torch.zeros(1, LENGTH + 4, LENGTH + 4, dtype=torch.bool)
    inside[:, :LENGTH, :LENGTH] = True
    with torch.no_grad():
        torch.testing.assert_close(model.trunk(wide, inside)[:, :LENGTH, :LENGTH], model.trunk(x))


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_strips_equal_the_whole(rows):
    model = drawn(Refiner(CONFIG), 4)
    x = torch.randn(1, 23, 23, CONFIG.channels)
    with torch.no_grad():
        whole = model.trunk(x)
    found = stream_trunk(model, x.clone(), strip_pixels=23 * rows)
    assert float(whole.std()) > 0.1
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-4)


def test_fused_pieces_equal_the_modules():
    model = drawn(Refiner(CONFIG), 5)
    every = torch.arange(LENGTH)
    inside = torch.ones(2, LENGTH, LENGTH, dtype=torch.bool)
    inside[1, 6:], inside[1, :, 6:] = False, False
    pixels = Pixels(
        couplings=torch.randint(-9, 9, (2, LENGTH, LENGTH, 441), dtype=torch.int8),
        maps=torch.randn(2, LENGTH, LENGTH, 2),
        rows=torch.randn(2, LENGTH, 43),
        cols=torch.randn(2, LENGTH, 43),
        separation=(every[:, None] - every).abs()[None].repeat(2, 1, 1),
        scalars=torch.randn(2, 2),
        inside=inside,
    )
    with torch.no_grad():
        found = FusedForward(lambda piece: piece)(model, pixels)
        torch.testing.assert_close(found[inside], model(pixels)[inside], rtol=1e-4, atol=1e-4)


def test_every_so_many_blocks_have_one():
    assert [Refiner(CONFIG).triangle(block) is not None for block in range(4)] == [False, True, False, True]
    none = Refiner(RefinerConfig(channels=8, blocks=4))
    assert not any(none.triangle(block) for block in range(4))
    assert CONFIG.on_diagonal
    assert not none.config.on_diagonal
    for wrong, message in (
        ({"channels": 1, "triangles": 1}, "2 channels or more"),
        ({"blocks": 3, "triangles": 4}, "after a block, of which there are 3"),
        ({"members": 2, "quick_above": 9}, "three members or more"),
    ):
        with pytest.raises(ValueError, match=message):
            RefinerConfig(**wrong)
    with pytest.raises(ValueError, match="triangles must be a whole number"):
        RefinerConfig(triangles=-1)
