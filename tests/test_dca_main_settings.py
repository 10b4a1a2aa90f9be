"""python -m dca: penalties, tolerance, pseudocount, direct information, and the model in a file."""

import dataclasses
import re

import golden
import numpy as np
import pytest
import torch

from data.alphabet import LETTERS, decode
from data.msa import read_alignment
from dca import device, uncertainty
from dca.__main__ import main
from dca.couplings import Couplings
from dca.gauge import zero_sum
from dca.maps import apc, direct_information, frobenius
from dca.methods import Settings, infer
from dca.pseudolikelihood import PlmSettings, pseudolikelihood
from dca.weights import sequence_weights


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """A file of sixty sequences of twenty-four columns, its tokens and their weights."""
    path = tmp_path_factory.mktemp("dca") / "tiny.fasta"
    path.write_text("".join(f">s{n}\n{decode(row)}\n" for n, row in enumerate(golden.tiny_alignment()[:60])))
    tokens = read_alignment(path).tokens
    return path, tokens, sequence_weights(tokens)


def run(path, folder, *arguments):
    out = folder / "map.npz"
    assert main([str(path), "-o", str(out), *arguments]) == 0
    with np.load(out) as arrays:
        return dict(arrays)


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (("--penalty", "1.5"), {"coupling_penalty": 1.5}),
        (("--field-penalty", "3"), {"field_penalty": 3.0}),
        (("--tolerance", "0.4"), {"tolerance": 0.4}),
    ],
)
@pytest.mark.parametrize("method", ["plm", "plm-asymmetric"])
def test_settings_of_pseudolikelihood_reach_it(family, tmp_path, method, arguments, settings):
    path, tokens, weights = family
    found = run(path, tmp_path, "--method", method, *arguments)["raw"]
    expected, default = (
        infer(tokens, weights, method, Settings(**chosen))[1][f"{method}_raw"] for chosen in (settings, {})
    )
    np.testing.assert_array_equal(found, expected)
    assert np.abs(expected - default).max() > 1e-3 * default.max()


def test_settings_of_pseudolikelihood_reach_a_device(family, monkeypatch):
    _, tokens, weights = family
    chosen = Settings(device="cuda", coupling_penalty=1.5, tolerance=0.4)
    monkeypatch.setattr(device, "_find_device", lambda name: torch.device("cpu"))
    found = infer(tokens, weights, "plm", chosen)[1]["plm_raw"]
    expected = infer(tokens, weights, "plm", dataclasses.replace(chosen, device="cpu"))[1]["plm_raw"]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("method", ["plm", "plm-asymmetric"])
@pytest.mark.parametrize("penalty", ["1e-30", "1e39"])
def test_penalties_beyond_all_numbers_are_told(family, capsys, caplog, method, penalty):
    code = main([str(family[0]), "--method", method, "--penalty", penalty])
    printed = capsys.readouterr()
    assert "nan" not in printed.out
    told = "single precision" in printed.err and code == 1
    assert told or (code == 0 and re.search(r"stopped after 100 iterations", caplog.text))


def test_names_and_defaults_are_those_of_the_method():
    assert Settings().plm() == PlmSettings()
    chosen = {"coupling_penalty": 1.0, "field_penalty": 2.0, "tolerance": 0.3}
    assert dataclasses.asdict(Settings(**chosen).plm()) == dataclasses.asdict(PlmSettings()) | chosen


def test_pseudocount_reaches_mean_field(family, tmp_path):
    path, tokens, weights = family
    found = run(path, tmp_path, "--method", "mean-field", "--pseudocount", "0.2")["raw"]
    expected = infer(tokens, weights, "mean-field", Settings(pseudocount=0.2))[1]["mean-field_raw"]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("method", ["mean-field", "plm"])
def test_direct_information_is_the_score(family, tmp_path, method):
    path, tokens, weights = family
    found = run(path, tmp_path, "--method", method, "--score", "di", "--pseudocount", "0.4")
    model, _ = infer(tokens, weights, method, Settings(pseudocount=0.4))
    expected = direct_information(model, tokens, weights, 0.4)
    np.testing.assert_allclose(found["raw"], expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found["score"], apc(expected), rtol=1e-3, atol=1e-6)


def test_replicates_and_nulls_rank_by_direct_information(family, tmp_path):
    path = family[0]
    arguments = "--method", "mean-field", "--bootstrap", "2", "--nulls", "2"
    norm, direct = (run(path, tmp_path, *arguments, "--score", name) for name in ("norm", "di"))
    assert not np.allclose(norm["mean"], direct["mean"], rtol=0.1, atol=1e-3)
    assert direct["mean"].max() < 2 * direct["score"].max()
    upper = np.triu_indices(24, 6)
    assert (norm["p"][upper] != direct["p"][upper]).any()


@pytest.mark.parametrize("method", ["ridge", "plm"])
def test_the_model_in_a_file(family, tmp_path, method):
    path, model = family[0], tmp_path / "model.npz"
    raw = run(path, tmp_path, "--method", method, "--couplings", str(model))["raw"]
    with np.load(model) as arrays:
        assert str(arrays["letters"]) == LETTERS
        held = Couplings(arrays["fields"], arrays["couplings"])
    expected = infer(*family[1:], method)[0]
    np.testing.assert_allclose(held.fields, expected.fields, rtol=1e-5, atol=1e-6)
    assert np.abs(held.fields).max() > 0.1
    np.testing.assert_allclose(zero_sum(held).couplings, held.couplings, atol=1e-5)
    np.testing.assert_allclose(frobenius(held), raw, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("tolerance", "taken"), [("0.5", 0.02), ("0.007", 0.007)])
def test_warm_replicates_have_the_chosen_penalty_and_are_never_looser(
    family, tmp_path, monkeypatch, tolerance, taken
):
    used = []

    def watched(tokens, weights, settings, start):
        used.append(settings)
        return pseudolikelihood(tokens, weights, settings, start)

    monkeypatch.setattr(uncertainty, "pseudolikelihood", watched)
    run(family[0], tmp_path, "--bootstrap", "3", "--penalty", "2", "--tolerance", tolerance)
    assert used == [PlmSettings(coupling_penalty=2.0, tolerance=taken)] * 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("--method", "mi", "--score", "di"),
        ("--method", "mi", "--couplings", "x.npz"),
        ("--couplings", "x.npz", "--out-dir", "x"),
        ("--couplings", "x.npz", "-o", "./x.npz"),
        ("--method", "ridge", "--penalty", "1"),
        ("--method", "boltzmann", "--tolerance", "0.1"),
        ("--penalty", "0"),
        ("--field-penalty", "nan"),
        ("--tolerance", "-1"),
        ("--pseudocount", "0.3"),
        ("--method", "mean-field", "--pseudocount", "0"),
        ("--method", "mean-field", "--pseudocount", "1.5"),
        ("--method", "mean-field", "--pseudocount", "1"),
    ],
)
def test_what_does_not_go_together_is_refused(family, tmp_path, capsys, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main([str(family[0]), *arguments])
    assert stopped.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    named = [option for option in arguments if option.startswith("--")] + ["mi has no couplings"]
    assert any(name in error for name in named)
    assert not list(tmp_path.iterdir())


def test_a_method_without_couplings_has_no_direct_information(family):
    with pytest.raises(ValueError, match="mi has no couplings"):
        infer(*family[1:], "mi", Settings(direct=True))


@pytest.mark.parametrize("option", ["-o", "--couplings"])
def test_the_alignment_is_not_written_over(family, capsys, option):
    path = family[0]
    before = path.read_bytes()
    with pytest.raises(SystemExit) as stopped:
        main([str(path), option, str(path)])
    assert stopped.value.code == 2
    assert "not the alignment" in capsys.readouterr().err
    assert path.read_bytes() == before
