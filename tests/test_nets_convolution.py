"""Convolutions by minimal filtering are those of torch, whatever the shape of the map."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from benchmarks import filtering
from dca import accelerate
from dca.accelerate import get_threads, set_threads
from nets import convolution, experts, stream
from nets.checkpoint import save_weights
from nets.config import RefinerConfig
from nets.convolution import ADD, STORE, STORE_POSITIVE, Filters, convolve, fits, normalise, rectify
from nets.experts import TrRosetta
from nets.model import Refiner
from nets.probability import IDENTITY

CHANNELS = 16

pytestmark = pytest.mark.skipif(not accelerate.compiles(), reason="kernels are not compiled")


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def layer(channels=CHANNELS, dilation=1, seed=0):
    torch.manual_seed(seed)
    return nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)


def by_torch(convolution, x):
    return convolution(x.permute(2, 0, 1)[None])[0].permute(1, 2, 0)


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    dilation=st.integers(1, 9),
    channels=st.sampled_from([16, 32, 64]),
    mode=st.sampled_from([STORE, STORE_POSITIVE, ADD]),
    seed=st.integers(0, 99),
)
def test_any_map_as_torch_does(height, width, dilation, channels, mode, seed):
    given_layer = layer(channels, dilation, seed)
    x, out = torch.randn(height, width, channels), torch.randn(height, width, channels)
    expected = by_torch(given_layer, x)
    if mode == STORE_POSITIVE:
        expected = functional.relu(expected)
    if mode == ADD:
        expected = expected + out
    convolve(x, Filters(given_layer), out, mode)
    close(out, expected)


@settings(max_examples=30, deadline=None)
@given(first=st.integers(0, 20), rows=st.integers(1, 21), dilation=st.integers(1, 5))
def test_some_rows_and_no_others(first, rows, dilation):
    stop = min(first + rows, 21)
    given_layer, x = layer(dilation=dilation), torch.randn(21, 13, CHANNELS)
    out = torch.full((24, 13, CHANNELS), 7.0)
    convolve(x, Filters(given_layer), out[2:], STORE, first, stop)
    close(out[2 : 2 + stop - first], by_torch(given_layer, x)[first:stop])
    assert (out[:2] == 7).all()
    assert (out[2 + stop - first :] == 7).all()


def test_any_number_of_threads_gives_the_same_bits():
    given_layer, x, before = layer(dilation=2), torch.randn(70, 65, CHANNELS), get_threads()
    maps, norms, layers = [], [], []
    try:
        for threads in (1, 2):
            set_threads(threads)
            maps.append(torch.empty_like(x))
            convolve(x, Filters(given_layer), maps[-1])
            norms.append(torch.empty_like(x))
            rectify(x, torch.ones(CHANNELS), torch.zeros(CHANNELS), 1e-6, norms[-1])
            layers.append(torch.empty_like(x))
            normalise(x, nn.LayerNorm(CHANNELS), layers[-1])
    finally:
        set_threads(before)
    assert torch.equal(*maps)
    assert torch.equal(*layers)
    assert torch.equal(*norms)


@pytest.mark.parametrize("channels", [8, 64])
def test_normalised_pixels_are_those_of_layer_norm(channels):
    norm = nn.LayerNorm(channels)
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    x = 5 + 3 * torch.randn(11, 7, channels)
    x[3, 2] = 4.0  # no deviation
    out = torch.empty_like(x)
    normalise(x, norm, out)
    close(out, functional.relu(norm(x)))


@pytest.mark.parametrize("add", [False, True])
def test_rectified_maps_are_those_of_instance_norm(add):
    weight, bias = torch.randn(CHANNELS), torch.randn(CHANNELS)
    x, out = 5 + 3 * torch.randn(11, 7, CHANNELS), torch.randn(11, 7, CHANNELS)
    expected = functional.instance_norm(x.permute(2, 0, 1)[None], None, None, weight, bias, eps=1e-6)
    expected = expected[0].permute(1, 2, 0) + (out if add else 0)
    rectify(x, weight, bias, 1e-6, out, add)
    close(out, functional.elu(expected))


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(16, 32, 3, padding=1),
        nn.Conv2d(24, 24, 3, padding=1),
        nn.Conv2d(16, 16, 5, padding=1),
        nn.Conv2d(16, 16, 3),
        nn.Conv2d(16, 16, 3, padding=1, bias=False),
        nn.Conv2d(16, 16, 3, padding=1, groups=16),
        nn.Conv2d(16, 16, 3, padding=1, stride=2),
        nn.Conv2d(16, 16, 3, padding=(1, 2), dilation=(1, 2)),
        nn.Conv2d(16, 16, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(16, 16, 3, padding=1, dtype=torch.bfloat16),
        nn.Conv2d(16, 16, 3, padding=1, device="meta"),
    ],
)
def test_other_convolutions_are_left_to_torch(other):
    assert fits(layer())
    assert fits(layer(dilation=4))
    assert not fits(other)


@pytest.mark.parametrize("rows", [1, 4, 11, 22, 64])
@pytest.mark.parametrize("dilations", [(1, 2, 4), (3,)])
def test_the_trunk_is_that_of_torch(rows, dilations, monkeypatch):
    """Strips of any height, context of whole maps and triangles."""
    config = RefinerConfig(channels=32, blocks=5, dilations=dilations, pool_every=2, triangles=2)
    torch.manual_seed(1)
    model = Refiner(config).eval()
    for parameter in model.parameters():
        parameter.copy_(torch.randn_like(parameter) * 0.1)
    x = torch.randn(1, 23, 23, 32)
    called = []
    plain = stream._convolve_filtered
    monkeypatch.setattr(stream, "_convolve_filtered", lambda *a: (called.append(1), plain(*a)))
    found = stream.stream_trunk(model, x.clone(), strip_pixels=rows * 23)
    assert len(called) == 5
    monkeypatch.setattr(stream, "fits", lambda given: False)
    close(found, stream.stream_trunk(model, x.clone(), strip_pixels=rows * 23))
    close(found, model.trunk(x))
    assert len(called) == 5


def test_published_networks_are_those_of_torch(monkeypatch):
    torch.manual_seed(2)
    network = TrRosetta(blocks=6).eval()
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1 and name.startswith("layers"):  # norms that no other can stand for
            nn.init.normal_(parameter, 1, 0.3)
    x = torch.randn(1, 526, 19, 19).contiguous(memory_format=torch.channels_last)
    called, plain = [], TrRosetta._filtered
    monkeypatch.setattr(TrRosetta, "_filtered", lambda self, x: (called.append(1), plain(self, x))[1])
    found = network(x)
    assert called == [1]
    monkeypatch.setattr(experts, "fits", lambda given: False)
    torch.testing.assert_close(found, network(x), rtol=1e-4, atol=1e-4)
    assert called == [1]


def test_published_networks_learn_and_drop_out_by_torch(monkeypatch):
    monkeypatch.setattr(TrRosetta, "_filtered", lambda self, x: pytest.fail("not to be used"))
    network = TrRosetta(blocks=1)
    x = torch.randn(1, 526, 9, 9)
    network.train()(x)  # without gradients, but with dropout
    network.eval().layers[0][3].train()
    network(x)
    network.eval()(torch.cat([x, x]))
    with torch.enable_grad():
        network(x).sum().backward()
    assert network.layers[0][0].weight.grad.abs().sum() > 0


def test_filters_do_not_change_the_layer():
    given_layer = layer()
    before = copy.deepcopy(given_layer.state_dict())
    filters = Filters(given_layer)
    assert filters.panels.dtype == np.float32
    assert filters.panels.size == 36 * CHANNELS**2
    for name, value in given_layer.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_benchmark_compares_both_ways(tmp_path, capsys, monkeypatch):
    config = RefinerConfig(channels=CHANNELS, blocks=2)
    torch.manual_seed(4)
    path = tmp_path / "small.safetensors"
    model = Refiner(config)
    for block in model.blocks:  # fresh ones change nothing
        nn.init.normal_(block.second.weight, std=0.1)
    save_weights(path, model.state_dict(), config, [list(row) for row in IDENTITY], {})
    given_weights = ["--weights", str(path), "--lengths", "13", "--threads", "1", "--repeats", "1"]
    assert filtering.main(given_weights) == 0
    numbers = capsys.readouterr().out.splitlines()[-1].strip("| ").split(" | ")
    assert numbers[:3] == ["13", "1", "1"]
    assert float(numbers[-1]) < 1e-4
    monkeypatch.setattr(convolution, "WEIGHTS", 1.1 * convolution.WEIGHTS)
    assert filtering.main(given_weights) == 0
    numbers = capsys.readouterr().out.splitlines()[-1].strip("| ").split(" | ")
    assert float(numbers[-1]) > 1e-4


@pytest.mark.parametrize(
    ("rows", "channels", "first", "stop"),
    [(9, CHANNELS, 0, 10), (9, CHANNELS, 3, 3), (4, CHANNELS, 0, 5), (9, 2 * CHANNELS, 0, 9)],
)
def test_what_does_not_fit_is_refused(rows, channels, first, stop):
    out = torch.zeros(rows, 7, channels)
    with pytest.raises(ValueError, match="do not fit"):
        convolve(torch.zeros(9, 7, CHANNELS), Filters(layer()), out, STORE, first, stop)
    assert not out.any()


def test_filters_of_other_channels_are_refused():
    x = torch.zeros(9, 7, CHANNELS)
    with pytest.raises(ValueError, match="filters of 32 channels for a map of 16"):
        convolve(x, Filters(layer(32)), torch.zeros_like(x))


def test_what_is_no_number_stays_so():
    given_layer, x = layer(), torch.randn(9, 7, CHANNELS)
    x[4, 3, 5] = np.nan
    lost = ~by_torch(given_layer, x).isfinite()
    assert lost[3:6, 2:5].all()
    for mode in (STORE, STORE_POSITIVE):
        out = torch.zeros_like(x)
        convolve(x, Filters(given_layer), out, mode)
        assert out[lost].isnan().all()
    normalise(x, nn.LayerNorm(CHANNELS), out)
    assert out[4, 3].isnan().all()
    assert out.isnan().sum() == CHANNELS
    rectify(x, torch.ones(CHANNELS), torch.zeros(CHANNELS), 1e-6, out)
    assert out[..., 5].isnan().all()
    assert out.isnan().sum() == out[..., 5].numel()


@pytest.mark.parametrize("shape", [(9, 7, 8), (8, 7, CHANNELS), (9, 6, CHANNELS)])
def test_norms_of_other_maps_are_refused(shape):
    x, out, ones = torch.zeros(9, 7, CHANNELS), torch.zeros(shape), torch.ones(CHANNELS)
    with pytest.raises(ValueError, match="a norm of 16 from"):
        normalise(x, nn.LayerNorm(CHANNELS), out)
    with pytest.raises(ValueError, match="a norm of 16 from"):
        rectify(x, ones, ones, 1e-6, out)
    with pytest.raises(ValueError, match="a norm of 12 from"):
        normalise(torch.zeros(3, 3, 12), nn.LayerNorm(12), torch.zeros(3, 3, 12))


def test_a_map_into_itself_and_unknown_modes_are_refused():
    x = torch.zeros(9, 7, CHANNELS)
    with pytest.raises(ValueError, match="into itself"):
        convolve(x, Filters(layer()), x)
    with pytest.raises(ValueError, match="mode 3"):
        convolve(x, Filters(layer()), torch.zeros_like(x), 3)
