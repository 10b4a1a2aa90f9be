"""Pseudolikelihood in torch equals the compiled kernels; both equal an independent derivative and optimum.

The independent side is a plainly written objective in float64, differentiated by torch.autograd.
"""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dca import device, pseudolikelihood
from dca.couplings import Couplings
from dca.device import memory_needed, pseudolikelihood_on_device
from dca.gauge import zero_sum
from dca.maps import apc, frobenius
from dca.pseudolikelihood import PlmSettings
from dca.simulate import simulate_family
from dca.weights import sequence_weights

ROOT = Path(__file__).parent.parent
CPU = torch.device("cpu")
CONTACTS = ((0, 9), (2, 13), (4, 15), (6, 11))
few_examples = settings(max_examples=12, deadline=None)


def on_cpu_kernels(tokens, weights, chosen=None):
    return pseudolikelihood.pseudolikelihood(tokens, weights, chosen)


def on_torch(tokens, weights, chosen=None):
    return pseudolikelihood_on_device(tokens, weights, chosen, device="cpu")


BACKENDS = pytest.mark.parametrize("infer", [on_cpu_kernels, on_torch])


def score(model):
    return apc(frobenius(zero_sum(model)))


def random_alignment(rng, rows, length, letters):
    tokens = rng.integers(0, letters, size=(rows, length)).astype(np.int8)
    tokens[: rows // 2, -1] = (tokens[: rows // 2, 0] + 1) % letters
    return tokens, rng.uniform(0.1, 1, size=rows).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def one_torch_thread():
    """More threads only wait for each other on arrays this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def family():
    """A simulated family of 16 columns with gaps."""
    contacts = np.zeros((16, 16), dtype=bool)
    for i, j in CONTACTS:
        contacts[i, j] = contacts[j, i] = True
    rng = np.random.default_rng(3)
    tokens, _ = simulate_family(contacts, 400, rng, mode="independent", gap_share=0.1)
    return tokens, sequence_weights(tokens)


# The independent objective


def plain_objective(fields, couplings, tokens, weights, chosen):
    """The formula of the paper, site by site, in double precision."""
    tokens, weights = torch.tensor(tokens).long(), torch.tensor(weights).double()
    length = fields.shape[0]
    total = chosen.coupling_penalty * (length - 1) * (couplings**2).sum()
    total = total + chosen.field_penalty * (fields**2).sum()
    pair = {(i, j): p for p, (i, j) in enumerate(zip(*np.triu_indices(length, 1), strict=True))}
    for i in range(length):
        energies = fields[i].expand(len(tokens), -1)
        for j in range(length):
            if j != i:
                block = couplings[pair[i, j]] if i < j else couplings[pair[j, i]].T  # [letter of i, of j]
                energies = energies + block[:, tokens[:, j]].T
        surprise = torch.nn.functional.cross_entropy(energies, tokens[:, i], reduction="none")
        total = total + (weights * surprise).sum()
    return total


def centred_objective(centred, couplings, tokens, weights, chosen):
    """The same as a function of h'_i = h_i + sum_j J_ij f_j."""
    shares = torch.nn.functional.one_hot(torch.tensor(tokens).long(), chosen.letters).double()
    weight = torch.tensor(weights).double()
    frequencies = torch.einsum("n,nia->ia", weight, shares) / weight.sum()
    fields = [centred[i] for i in range(len(centred))]
    for p, (i, j) in enumerate(zip(*np.triu_indices(len(centred), 1), strict=True)):
        fields[i] = fields[i] - couplings[p] @ frequencies[j]
        fields[j] = fields[j] - couplings[p].T @ frequencies[i]
    return plain_objective(torch.stack(fields), couplings, tokens, weights, chosen)


def derivative(objective, fields, couplings, *arguments):
    variables = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (fields, couplings)]
    return [g.numpy() for g in torch.autograd.grad(objective(*variables, *arguments), variables)]


def dense(packed, length):
    first, second = np.triu_indices(length, 1)
    full = np.zeros((length, length, *packed.shape[1:]), dtype=np.float32)
    full[first, second], full[second, first] = packed, packed.transpose(0, 2, 1)
    return torch.tensor(full.transpose(0, 2, 1, 3).reshape(length * packed.shape[1], -1))


def cpu_kernel_gradient(fields, couplings, direction, step, tokens, weights, chosen):
    """What the minimiser of the CPU asks its kernels for; the one place that knows their inner layout."""
    out = np.empty_like(couplings)
    objective = pseudolikelihood._Objective(tokens, weights, chosen)
    by_field, slope = objective.gradient(fields.astype(float), couplings, direction, step, out)
    return by_field, out, slope


def torch_gradient(fields, couplings, direction, step, tokens, weights, chosen):
    length = tokens.shape[1]
    objective = device._Objective(tokens, weights, chosen, CPU)
    out = objective.matrix()
    j, d = dense(couplings, length), dense(direction, length)
    by_field, slope = objective.gradient(torch.tensor(fields).double().view(-1), j, d, step, out)
    assert torch.equal(out, out.T)
    return by_field.numpy().reshape(fields.shape), device._packed(out, length), slope


@pytest.mark.parametrize("gradient", [cpu_kernel_gradient, torch_gradient])
@pytest.mark.parametrize(("rows", "length", "letters"), [(9, 4, 21), (300, 9, 3), (1, 2, 2), (30, 11, 5)])
def test_gradient_equals_autograd(gradient, rows, length, letters):
    rng = np.random.default_rng(rows)
    tokens, weights = random_alignment(rng, rows, length, letters)
    chosen = PlmSettings(letters=letters, coupling_penalty=0.3, field_penalty=0.7)
    shape = (length * (length - 1) // 2, letters, letters)
    fields = rng.normal(size=(length, letters)).astype(np.float32)
    couplings, direction = rng.normal(scale=0.4, size=(2, *shape)).astype(np.float32)
    expected_field, expected = derivative(
        centred_objective, fields, couplings + 0.25 * direction, tokens, weights, chosen
    )
    by_field, by_coupling, slope = gradient(fields, couplings, direction, 0.25, tokens, weights, chosen)
    np.testing.assert_allclose(by_field, expected_field, rtol=1e-4, atol=1e-5 * np.abs(expected_field).max())
    np.testing.assert_allclose(by_coupling, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert slope == pytest.approx((expected * direction).sum(), rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("objective", [plain_objective, centred_objective])
def test_autograd_equals_finite_differences(objective):
    rng = np.random.default_rng(0)
    arguments = *random_alignment(rng, 8, 3, 4), PlmSettings(letters=4)
    point, way = ([rng.normal(size=shape) for shape in ((3, 4), (3, 4, 4))] for _ in range(2))
    values = [
        float(objective(*(torch.tensor(x + s * d) for x, d in zip(point, way, strict=True)), *arguments))
        for s in (1e-5, -1e-5)
    ]
    slope = sum((g * d).sum() for g, d in zip(derivative(objective, *point, *arguments), way, strict=True))
    assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope, rel=1e-7)


@pytest.fixture(scope="module")
def exact():
    """A small alignment and its optimum in double precision, by Newton's method."""
    arguments = *random_alignment(np.random.default_rng(8), 60, 4, 4), PlmSettings(letters=4, tolerance=1e-4)

    def objective(flat):
        return plain_objective(flat[:16].view(4, 4), flat[16:].view(6, 4, 4), *arguments)

    point = torch.zeros(16 + 6 * 16, dtype=torch.float64)
    for _ in range(8):
        slope = torch.autograd.functional.jacobian(objective, point)
        curvature = torch.autograd.functional.hessian(objective, point, vectorize=True)
        point = point - torch.linalg.solve(curvature, slope)
    assert slope.abs().max() < 1e-10
    return arguments, Couplings(point[:16].view(4, 4).numpy(), point[16:].view(6, 4, 4).numpy())


@BACKENDS
def test_optimum_equals_that_of_newtons_method_in_double_precision(infer, exact):
    arguments, expected = exact
    model = infer(*arguments)
    assert np.abs(expected.couplings).max() > 0.5
    np.testing.assert_allclose(model.couplings, expected.couplings, atol=5e-4)
    # A constant on all fields of a site is all but free, and no score sees it: the gauge takes it off.
    np.testing.assert_allclose(zero_sum(model).fields, zero_sum(expected).fields, atol=5e-4)


# The two paths, and what neither may depend on


@pytest.mark.parametrize("chosen", [None, PlmSettings(tolerance=0.003)])
def test_torch_equals_the_cpu_kernels(family, chosen):
    expected, found = score(on_cpu_kernels(*family, chosen)), score(on_torch(*family, chosen))
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.ptp(expected))
    assert np.unravel_index(found.argmax(), found.shape) in CONTACTS


def test_batches_and_bands_change_rounding_only(family, monkeypatch):
    whole = on_torch(*family)
    monkeypatch.setattr(device, "BUDGET", 2**19)
    assert device._batch_rows(400, 16 * 21) == 130
    assert device._band_rows(16, 21) == 63
    np.testing.assert_allclose(on_torch(*family).couplings, whole.couplings, atol=1e-5)


@BACKENDS
@few_examples
@given(st.integers(0, 2**32 - 1))
def test_order_of_sequences_does_not_change_the_map(infer, seed):
    rng = np.random.default_rng(seed)
    tokens, weights = random_alignment(rng, 50, 6, 5)
    expected = score(infer(tokens, weights, PlmSettings(letters=5)))
    order = rng.permutation(50)
    found = score(infer(tokens[order], weights[order], PlmSettings(letters=5)))
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.ptp(expected))


@BACKENDS
@few_examples
@given(st.integers(0, 2**32 - 1))
def test_order_of_columns_moves_the_map_with_it(infer, seed):
    rng = np.random.default_rng(seed)
    tokens, weights = random_alignment(rng, 50, 6, 5)
    expected = score(infer(tokens, weights, PlmSettings(letters=5)))
    order = rng.permutation(6)
    found = score(infer(np.ascontiguousarray(tokens[:, order]), weights, PlmSettings(letters=5)))
    np.testing.assert_allclose(found, expected[np.ix_(order, order)], atol=1e-3 * np.ptp(expected))


@BACKENDS
@few_examples
@given(st.integers(0, 2**32 - 1), st.integers(1, 50))
def test_copies_that_share_a_weight_do_not_change_the_map(infer, seed, copied):
    tokens, weights = random_alignment(np.random.default_rng(seed), 50, 6, 5)
    expected = score(infer(tokens, weights, PlmSettings(letters=5)))
    shared = np.concatenate([weights, weights[:copied] / 2])
    shared[:copied] /= 2
    found = score(infer(np.concatenate([tokens, tokens[:copied]]), shared, PlmSettings(letters=5)))
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.ptp(expected))


def test_results_repeat_to_the_bit(family):
    one, two = on_torch(*family), on_torch(*family)
    np.testing.assert_array_equal(one.couplings, two.couplings)
    np.testing.assert_array_equal(one.fields, two.fields)


@pytest.mark.parametrize("budget", [device.BUDGET, 2**19])  # one band of rows and six
def test_couplings_stay_symmetric_without_a_site_of_its_own(family, monkeypatch, budget):
    monkeypatch.setattr(device, "BUDGET", budget)
    state = device._State(device._Objective(*family, PlmSettings(), CPU))
    for _ in range(3):
        state.step()
    assert state.couplings.any()
    assert torch.equal(state.couplings, state.couplings.T)
    assert not state.couplings.view(16, 21, 16, 21).diagonal(dim1=0, dim2=2).any()


def test_preconditioner_is_the_inverse_of_the_curvature_at_independent_sites(family):
    objective = device._Objective(*family, PlmSettings(), CPU)
    state = device._State(objective)
    state.step()
    f = objective.frequencies.view(16, 21)
    spread = torch.block_diag(*(torch.diag(x) - x.outer(x) for x in f))

    def curved(matrix):
        matrix = matrix.double()
        return 2 * objective.neff * spread @ matrix @ spread + 2 * objective.coupling_penalty * matrix

    largest = state.gradient.abs().max()
    torch.testing.assert_close(curved(state.trial), state.gradient.double(), rtol=0, atol=1e-5 * largest)
    size = float((curved(state.couplings) * state.couplings).sum())
    assert float(state._size(slice(0, objective.size))) == pytest.approx(size, rel=1e-5)


def test_conserved_columns_and_few_sequences_stay_finite():
    tokens = np.tile(np.arange(5, dtype=np.int8), (2, 1))
    for rows in (1, 2):
        model = on_torch(tokens[:rows], np.ones(rows, np.float32))
        assert np.isfinite(model.couplings).all()
        assert np.isfinite(model.fields).all()


def test_reversed_views_are_read(family):
    tokens, weights = family
    whole = on_torch(tokens[::-1].copy(), weights[::-1].copy())
    np.testing.assert_array_equal(on_torch(tokens[::-1], weights[::-1]).couplings, whole.couplings)


def test_stopping_early_is_said(family, caplog):
    with caplog.at_level(logging.WARNING):
        on_torch(*family, PlmSettings(tolerance=1e-6, max_iterations=2))
    assert "stopped after 2 iterations" in caplog.text


# Devices, memory, precision


def test_no_cuda_is_an_error_with_a_remedy(family, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match=r"'cuda' was.* sees 0 CUDA devices; remedy: .*nvidia-smi"):
        pseudolikelihood_on_device(*family)


def test_a_gpu_that_is_not_there_is_an_error(family, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert device._find_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(RuntimeError, match=r"'cuda:1' was asked for.*sees 1 CUDA devices"):
        pseudolikelihood_on_device(*family, device="cuda:1")


def test_other_kinds_of_devices_are_refused(family):
    with pytest.raises(ValueError, match="'meta'"):
        pseudolikelihood_on_device(*family, device="meta")


def test_bad_tokens_are_refused_before_a_device_is_looked_for():
    with pytest.raises(ValueError, match="L >= 2"):
        pseudolikelihood_on_device(np.zeros((3, 1), np.int8), np.ones(3, np.float32))


def test_missing_torch_is_said(family, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(RuntimeError, match="needs torch; remedy"):
        on_torch(*family)


def test_module_loads_without_torch():
    code = "import sys; sys.modules['torch'] = None; import dca.device, dca.pseudolikelihood"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_too_little_memory_is_said_before_the_work(family, monkeypatch):
    monkeypatch.setattr(device, "_free_memory", lambda place: 10**6)
    monkeypatch.setattr(device, "_minimise", lambda *arguments: pytest.fail("work began"))
    with pytest.raises(RuntimeError, match=r"needs 0\.1 GB on cpu, 0\.0 GB are free; remedy"):
        on_torch(*family)


def test_running_out_of_memory_is_said_in_gigabytes(family, monkeypatch):
    def fail(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(device, "_minimise", fail)
    with pytest.raises(RuntimeError, match=r"400 sequences and 16 columns needs 0\.1 GB .* remedy") as caught:
        on_torch(*family)
    assert not isinstance(caught.value, torch.OutOfMemoryError)
    assert caught.value.__context__ is None  # it would keep the failed attempt's memory


def test_memory_is_that_of_the_docstring():
    for length, gigabytes in ((200, 1.4), (500, 3.4), (1000, 10.0)):
        assert memory_needed(20_000, length) / 1e9 == pytest.approx(gigabytes, abs=0.06)


def test_products_are_in_whole_float32_and_the_choice_comes_back(family, monkeypatch):
    seen = []
    minimise = device._minimise

    def spy(*arguments):
        seen.append(torch.backends.cuda.matmul.fp32_precision)
        return minimise(*arguments)

    monkeypatch.setattr(device, "_minimise", spy)
    matmul = torch.backends.cuda.matmul
    before, matmul.fp32_precision = matmul.fp32_precision, "tf32"
    try:
        on_torch(*family)
        assert seen == ["ieee"]
        assert matmul.fp32_precision == "tf32"
    finally:
        matmul.fp32_precision = before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_gpu_equals_the_cpu_kernels(family):
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    model = pseudolikelihood_on_device(*family)
    expected = score(on_cpu_kernels(*family))
    np.testing.assert_allclose(score(model), expected, atol=1e-3 * np.ptp(expected))
    np.testing.assert_array_equal(pseudolikelihood_on_device(*family).couplings, model.couplings)
    assert torch.cuda.max_memory_allocated() - held <= memory_needed(400, 16)
