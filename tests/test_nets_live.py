"""Training on features that are computed on the device: the same numbers, and exact to go on with."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_fixtures import LENGTH, as_files, write_examples

from data.alphabet import GAP
from data.errors import CovarionError, MemoryLimitError
from dca.frequencies import site_frequencies
from dca.gaussian import shrunk_inverse
from dca.weights import sequence_weights
from nets.captured import CapturedStep, FusedForward
from nets.config import RefinerConfig, TrainConfig
from nets.dataset import Example, cut_pixels
from nets.device_features import device_features, published_inputs
from nets.experts import trrosetta_inputs
from nets.features import compute_features
from nets.group import Group
from nets.identity import _numbers
from nets.live import COPIES, LiveCrops, LiveExample, Pool, stand_in
from nets.losses import UNRESOLVED, batch_losses, refiner_loss
from nets.model import Pixels, Refiner
from nets.train import Trainer, train_refiner

CPU = torch.device("cpu")
MODEL = RefinerConfig(channels=8, blocks=3, dilations=(1, 3), pool_every=2, dropout=0.0)


def settings_of(**changes):
    base = {"steps": 8, "batch": 4, "crop": 24, "save_every": 2, "evaluate_every": 4, "live_every": 2}
    return TrainConfig(**base | changes)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    made = write_examples(tmp_path_factory.mktemp("live"), with_alignment=True)
    short = write_examples(tmp_path_factory.mktemp("short"), count=2, length=17, with_alignment=True)
    fold = Example("f", short[0].path, "fold:f", "train")
    return [*made, fold]


@pytest.fixture(scope="module")
def live(examples):
    return [LiveExample.of(example, "cpu") for example in examples]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(8, 60), length=st.integers(4, 24), empty=st.integers(0, 2))
def test_features_equal_those_of_the_kernels(seed, rows, length, empty):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, 21, size=(rows, length)).astype(np.int8)
    tokens[: rows // 3] = np.where(rng.random((rows // 3, length)) < 0.2, tokens[: rows // 3], tokens[0])
    tokens[:, :empty] = 20  # masked columns
    ours, theirs = device_features(torch.from_numpy(tokens)).packed(), compute_features(tokens)
    off = np.abs(ours.couplings.astype(int) - theirs.couplings)
    assert off.max() <= 1
    assert (off > 0).mean() < 0.01
    np.testing.assert_allclose(ours.maps, theirs.maps, rtol=2e-3, atol=5e-3)
    np.testing.assert_allclose(ours.sites, theirs.sites, atol=1e-3)
    np.testing.assert_allclose(ours.scalars, theirs.scalars, atol=1e-6)


def test_rectangles_equal_those_of_files(live):
    tokens = np.array(live[0].tokens)
    rows, cols = slice(3, 20), slice(1, 9)
    ours = device_features(torch.from_numpy(tokens)).cut(rows, cols)
    every = np.arange(LENGTH)
    theirs = cut_pixels(compute_features(tokens), every[rows], every[cols])
    assert int((ours.couplings.int() - theirs.couplings.int()).abs().max()) <= 1
    for name in ("maps", "rows", "cols", "separation", "scalars"):
        torch.testing.assert_close(vars(ours)[name], vars(theirs)[name], rtol=2e-3, atol=5e-3)


def test_inputs_of_published_networks_equal_those_of_the_kernels(live):
    tokens = np.array(live[0].tokens)
    weights = sequence_weights(tokens, 0.8)
    inverse, sites = shrunk_inverse(tokens, weights), site_frequencies(tokens, weights)
    ours = published_inputs(
        *(torch.from_numpy(a) for a in (inverse, tokens[0], sites.astype(np.float32).ravel()))
    )
    np.testing.assert_allclose(ours[0], trrosetta_inputs(tokens), rtol=1e-4, atol=1e-5)


def test_blocks_below_the_diagonal_are_the_transposed_ones(live):
    found = device_features(torch.from_numpy(np.array(live[0].tokens))).couplings.view(LENGTH, LENGTH, 21, 21)
    assert int((found.int() - found.permute(1, 0, 3, 2).int()).abs().max()) <= 1  # rounding
    assert bool(found.any())
    assert not bool(torch.diagonal(found, dim1=0, dim2=1).any())


def test_an_unknown_map_is_refused(live):
    with pytest.raises(ValueError, match="'nonsense' is not computed"):
        device_features(torch.from_numpy(np.array(live[0].tokens)), ("nonsense",))


def test_crops_are_a_function_of_the_step(live):
    clusters, folds = [[e] for e in live[:4]], [[live[5]]]
    how = settings_of(fold_share=0.5)
    one, other = (LiveCrops(clusters, folds, how, CPU) for _ in range(2))
    for step in range(30):
        one.at(step)
    for step in (30, 31):
        (pixels, bins), (again, same) = one.at(step)[0], other.at(step)[0]
        assert torch.equal(bins, same)
        assert all(torch.equal(value, vars(again)[name]) for name, value in vars(pixels).items())
    wide = one.at(31)[0][0]
    assert pixels.inside is not None
    assert wide.inside.shape[1] == round(24 * 1.75)
    short = pixels.inside.sum(dim=(1, 2)) < pixels.inside[0].numel()
    assert bool(short.any())  # families shorter than a crop are filled up
    assert bool((bins[~pixels.inside] == UNRESOLVED).all())


def test_families_are_drawn_anew(live):
    pool = Pool(live[:3], CPU, seed=3, copies=COPIES)
    pool.draw_until(3)
    first = pool.entries[0][0]
    pool.draw_until(3 * COPIES)
    assert [len(held) for held in pool.entries] == [COPIES] * 3
    assert pool.entries[0][0] is first
    pool.draw_until(3 * COPIES + 3)
    assert pool.entries[0][0] is not first
    late = Pool(live[:3], CPU, seed=3, copies=COPIES)
    late.draw_until(3 * COPIES + 3)
    for held, again in zip(pool.entries, late.entries, strict=True):
        assert sorted(held) == sorted(again)
        assert all(torch.equal(held[k].features.couplings, again[k].features.couplings) for k in held)


def test_only_a_near_and_whole_sequence_stands_in():
    tokens = np.zeros((5, 20), dtype=np.int8)
    tokens[1, :14] = 3  # 30 % identical
    tokens[2, :4] = GAP  # 80 % covered
    tokens[3, :10] = 3
    seen = {stand_in(tokens, np.random.default_rng(k)).tobytes() for k in range(40)}
    assert seen == {tokens[k].tobytes() for k in (0, 3, 4)}


def test_filled_up_crops_are_predicted_as_if_alone(live):
    torch.manual_seed(1)
    model = Refiner(MODEL).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    crops = LiveCrops([[e] for e in live[:1]], [], settings_of(crop=LENGTH + 11), CPU)
    (pixels, _) = crops.at(0)[0]
    alone = Pixels(
        **{
            name: value[:, :LENGTH] if name in ("rows", "cols") else value[:, :LENGTH, :LENGTH]
            for name, value in vars(pixels).items()
            if name not in ("scalars", "inside")
        },
        scalars=pixels.scalars,
    )
    with torch.no_grad():
        torch.testing.assert_close(model(pixels)[:, :LENGTH, :LENGTH], model(alone), rtol=1e-4, atol=1e-5)


def test_losses_of_a_batch_are_those_of_its_examples(live):
    pixels, bins = LiveCrops([[e] for e in live[:4]], [], settings_of(), CPU).at(0)[0]
    logits = torch.randn(*bins.shape, MODEL.bins, generator=torch.Generator().manual_seed(2))
    bins[1] = UNRESOLVED
    found = batch_losses(logits, bins, pixels.separation, 5, 3.0)
    for k in range(len(bins)):
        part = slice(k, k + 1)
        one = refiner_loss(logits[part], bins[part], pixels.separation[part], 5, 3.0)
        torch.testing.assert_close(found[k], one)
    assert float(found[1]) == 0
    assert float(found[0]) > 1


def test_fused_pieces_equal_the_modules(live):
    torch.manual_seed(4)
    model = Refiner(MODEL)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    pixels, bins = LiveCrops([[e] for e in live[:4]], [], settings_of(crop=LENGTH + 3), CPU).at(0)[0]
    gradients = []
    for forward in (model, lambda pixels: FusedForward(lambda piece: piece)(model, pixels)):
        model.zero_grad()
        logits = forward(pixels)
        batch_losses(logits, bins, pixels.separation, 5, 3.0).mean().backward()
        gradients.append([logits[pixels.inside].detach(), *(p.grad.clone() for p in model.parameters())])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("triangles", [0, 2])
def test_networks_with_triangles_see_squares_on_the_diagonal_alone(examples, live, tmp_path, triangles):
    config = replace(MODEL, triangles=triangles)
    assert LENGTH > 20
    away = []
    for chosen, how in ((examples, settings_of(live_every=0, crop=16)), (live, settings_of(crop=16))):
        trainer = Trainer(chosen, config, how, tmp_path)
        for step in range(6):
            crops = trainer.live.at(step) if trainer.live else trainer._load(step)
            away += [bool(pixels.separation.diagonal(dim1=1, dim2=2).any()) for pixels, *_ in crops]
    assert any(away) == (triangles == 0)


def test_settings_that_change_nothing_do_not_change_what_a_run_is():
    assert not {"members", "triangles", "quick_above"} & set(_numbers(RefinerConfig()))
    assert _numbers(replace(MODEL, triangles=2))["triangles"] == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("triangles", [0, 2])
def test_a_replayed_step_has_the_gradients_of_a_plain_one(live, triangles):
    cuda = torch.device("cuda")
    model = Refiner(replace(MODEL, triangles=triangles)).to(cuda)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    examples = [replace(e, device="cuda") for e in live[:1]]
    crops = LiveCrops([examples], [], settings_of(), cuda, diagonal=model.config.on_diagonal)
    step = CapturedStep(model, 3.0, half=False)
    for number in (0, 1, 2, 3):
        pixels, bins = crops.at(number)[0]
        losses = step(pixels, bins)
        found = [p.grad.clone() for p in model.parameters()]
        model.zero_grad()
        plain = batch_losses(model(pixels), bins, pixels.separation, 5, 3.0)
        plain.mean().backward()
        plain = plain.detach()  # so that autograd's graph is freed before the next size is recorded
        torch.testing.assert_close(losses, plain, rtol=1e-3, atol=1e-4)
        for one, parameter in zip(found, model.parameters(), strict=True):
            torch.testing.assert_close(one, parameter.grad, rtol=1e-2, atol=1e-3)


def test_a_stopped_run_goes_on_to_the_bit(live, tmp_path):
    whole = Trainer(live, MODEL, settings_of(), tmp_path / "whole")
    whole.run()
    parts = Trainer(live, MODEL, settings_of(), tmp_path / "parts")
    asked = iter(range(100))
    assert not parts.run(interrupted=lambda: next(asked) >= 5)
    again = Trainer(live, MODEL, settings_of(), tmp_path / "parts")
    assert again.run()
    assert parts.step == 5
    for name, value in whole.averaged().state_dict().items():
        assert torch.equal(value, again.averaged().state_dict()[name]), name
    assert [row["loss"] for row in whole.history] == [row["loss"] for row in again.history]
    for parameter, moments in again.optimiser.state.items():  # a fused update refuses another layout
        assert moments["exp_avg"].stride() == parameter.stride()


def test_several_processes_are_refused(live, tmp_path):
    with pytest.raises(CovarionError, match=r"takes one process.*2 processes"):
        Trainer(live, MODEL, settings_of(), tmp_path, group=Group(0, 2))
    with pytest.raises(ValueError, match="live_every must be"):
        settings_of(live_every=0.5)
    with pytest.raises(ValueError, match="neither a teacher nor a micro_batch"):
        settings_of(micro_batch=2)
    other = RefinerConfig(pair_maps=("ridge", "expert:mine"), channels=8, blocks=1)
    with pytest.raises(CovarionError, match="expert:mine"):
        Trainer(live, other, settings_of(), tmp_path)


def test_what_the_pool_will_hold_is_asked_for_first(live, monkeypatch):
    pools = LiveCrops([[e] for e in live[:4]], [[live[5]]], settings_of(), CPU).pools
    assert pools[1].bytes() == 17**2 * (441 + 4 + 1)
    assert pools[0].bytes() == COPIES * 4 * LENGTH**2 * 446
    needed = sum(pool.bytes() for pool in pools)
    monkeypatch.setattr("data.memory.available_bytes", lambda *_: (needed, "here"))
    with pytest.raises(MemoryLimitError, match=r"training families' features.*live_every 0"):
        LiveCrops([[e] for e in live[:4]], [[live[5]]], settings_of(), CPU)


def test_tuning_families_are_read_by_the_maps_of_the_network(examples):
    turned = LiveExample.of(examples[4], "cpu", ("mi", "ridge"))
    plain = LiveExample.of(examples[4], "cpu")
    np.testing.assert_array_equal(turned.read(1)[0].maps[:, ::-1], plain.read(1)[0].maps)


def test_it_trains_from_files_that_hold_alignments(examples, tmp_path):
    how = {"steps": 2, "batch": 2, "crop": 24, "live_every": 1}
    model = {"channels": 8, "blocks": 1}
    train_refiner(as_files(examples), str(tmp_path / "weights.safetensors"), model, how, "cpu")
    assert (tmp_path / "weights.families.tsv").read_text().count("\n") == 6  # the fold holds no sequence
    bare = write_examples(tmp_path, count=2)
    with pytest.raises(CovarionError, match="an example without its alignment"):
        train_refiner(as_files(bare), str(tmp_path / "w.safetensors"), model, how, "cpu")
