"""python -m dca: output, files, failures."""

import gzip
import itertools
import os
import subprocess
import sys
from pathlib import Path

import golden
import numpy as np
import pytest
import torch

from data.alphabet import decode
from data.msa import read_alignment
from dca import accelerate, memory, methods
from dca.__main__ import _ALGEBRA, CORRECTIONS, METHODS, main
from dca.memory import Uncertainty, predicted_bytes

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def fasta(tmp_path_factory):
    path = tmp_path_factory.mktemp("dca") / "tiny.fasta"
    rows = golden.tiny_alignment()[:120]
    path.write_text("".join(f">s{n}\n{decode(row)}\n" for n, row in enumerate(rows)))
    return path


def rows_of(text):
    return [line.split("\t") for line in text.splitlines()]


@pytest.mark.parametrize("method", METHODS)
def test_prints_pairs_and_writes_the_map(fasta, tmp_path, capsys, method):
    out = tmp_path / "map.npz"
    assert main([str(fasta), "--method", method, "-o", str(out)]) == 0
    rows = rows_of(capsys.readouterr().out)
    with np.load(out) as arrays:
        score, query = arrays["score"], str(arrays["query"])
        assert set(arrays.files) == {"score", "raw", "columns", "query", "neff"}
        assert arrays["raw"].shape == score.shape == (24, 24)
        assert score.dtype == np.float32
        assert 0 < float(arrays["neff"]) <= 120
        np.testing.assert_array_equal(arrays["columns"], np.arange(24))
    np.testing.assert_array_equal(score, score.T)
    assert not np.diag(score).any()
    assert len(rows) == 18 * 19 // 2
    values = [float(row[4]) for row in rows]
    assert values == sorted(values, reverse=True)
    for i, j, one, two, value in rows:
        i, j = int(i) - 1, int(j) - 1
        assert j - i >= 6
        assert (one, two) == (query[i], query[j])
        assert float(value) == pytest.approx(score[i, j], rel=1e-4, abs=1e-5)


def test_names_are_those_of_the_package():
    assert METHODS == methods.METHODS
    assert _ALGEBRA == memory._ALGEBRA
    assert CORRECTIONS == methods.CORRECTIONS


def test_corrections_give_their_own_order(fasta, tmp_path):
    scores = {}
    for correction in CORRECTIONS:
        out = tmp_path / f"{correction}.npz"
        assert main([str(fasta), "--method", "mi", "--correction", correction, "-o", str(out)]) == 0
        with np.load(out) as arrays:
            scores[correction] = arrays["score"]
            np.testing.assert_array_equal(arrays["score"], arrays["score"].T)
            if correction == "raw":
                np.testing.assert_array_equal(arrays["score"], arrays["raw"])
    for one, two in itertools.combinations(scores.values(), 2):
        assert not np.allclose(one, two)


@pytest.mark.parametrize("method", ["ridge", "plm"])
def test_uncertainty_columns(fasta, tmp_path, capsys, method):
    out = tmp_path / "map.npz"
    command = [str(fasta), "--method", method, "--bootstrap", "3", "--nulls", "2", "-o", str(out)]
    assert main(command) == 0
    first = capsys.readouterr().out
    rows = rows_of(first)
    assert {len(row) for row in rows} == {10}
    values = np.array([row[4:] for row in rows], dtype=float)
    with np.load(out) as arrays:
        i, j = (np.array([int(row[k]) - 1 for row in rows]) for k in (0, 1))
        for k, name in enumerate(("score", "mean", "sd", "top", "p", "q")):
            np.testing.assert_allclose(values[:, k], arrays[name][i, j], rtol=1e-4, atol=1e-6)
        smallest = float(arrays["smallest_p"])
    assert set(np.round(values[:, 3] * 3, 4)) <= {0, 1, 2, 3}
    assert values[:, 3].sum() == pytest.approx(24, rel=1e-4)  # L pairs a replicate
    assert (values[:, 2] > 0).all()
    assert smallest * 0.999 <= values[:, 4].min() <= values[:, 4].max() <= 1
    assert (values[:, 5] >= values[:, 4] - 1e-6).all()
    assert main(command) == 0
    assert capsys.readouterr().out == first
    assert main([*command, "--seed", "1"]) == 0
    assert capsys.readouterr().out != first


def test_a_way_out_counts_what_its_own_run_would_keep(tmp_path, capsys):
    """Of replicates of a bootstrap, those of plm alone start from a model that is kept."""
    rows, length, path = 40, 400, tmp_path / "long.fasta"
    path.write_text("".join(f">s{n}\n{'ACDEFGHIKL' * (length // 10)}\n" for n in range(rows)))
    cold, warm = (predicted_bytes("plm", rows, length, 1, Uncertainty(True, 0, way)) for way in (False, True))
    arguments = [str(path), "--method", "boltzmann", "--bootstrap", "2"]
    for limit, named in (((cold + warm) / 2, False), (warm + 1000, True)):
        assert main([*arguments, "--memory", str(limit / 1e9)]) == 1
        assert ("--method plm (" in capsys.readouterr().err) == named


def test_too_little_memory_is_told_before_any_work(fasta, tmp_path, capsys):
    out = tmp_path / "map.npz"
    assert main([str(fasta), "--memory", "0.01", "-o", str(out)]) == 1
    captured = capsys.readouterr()
    assert "GB" in captured.err
    assert captured.out == ""
    assert not out.exists()


@pytest.mark.parametrize("option", ["--bootstrap", "--nulls"])
def test_what_bootstrap_and_nulls_need_is_told_before_any_work(fasta, tmp_path, capsys, option):
    rows, length = read_alignment(fasta).tokens.shape
    limit = ["--memory", str(predicted_bytes("plm", rows, length) / 1e9 + 1e-6)]
    assert main([str(fasta), *limit, "-o", str(tmp_path / "map.npz")]) == 0
    capsys.readouterr()
    out = tmp_path / "uncertain.npz"
    assert main([str(fasta), option, "2", *limit, "-o", str(out)]) == 1
    assert f"no {option[2:]} (0.1 GB)" in capsys.readouterr().err
    assert not out.exists()


def test_a_singular_covariance_is_told(fasta, tmp_path, capsys, monkeypatch):
    def fail(*arguments):
        raise np.linalg.LinAlgError("covariance is not positive definite: raise the pseudocount")

    monkeypatch.setattr("dca.mean_field.negative_inverse_blocks", fail)
    assert main([str(fasta), "--method", "mean-field", "-o", str(tmp_path / "map.npz")]) == 1
    message = capsys.readouterr().err
    assert "tiny.fasta: covariance is not positive definite" in message


def test_no_device_is_an_error_and_not_a_fallback(fasta, tmp_path, capsys):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert main([str(fasta), "--device", "cuda", "-o", str(tmp_path / "map.npz")]) == 1
    assert "cuda" in capsys.readouterr().err


def test_options_change_what_they_say(fasta, tmp_path, capsys):
    assert main([str(fasta), "--method", "mi", "--min-separation", "20"]) == 0
    assert len(rows_of(capsys.readouterr().out)) == 4 * 5 // 2
    found = []
    for identity in ("0.8", "1.0"):
        out = tmp_path / f"{identity}.npz"
        arguments = [str(fasta), "--method", "mi", "--query", "s7", "--identity", identity, "-o", str(out)]
        assert main(arguments) == 0
        with np.load(out) as arrays:
            found.append((str(arrays["query"]), float(arrays["neff"])))
    query = decode(golden.tiny_alignment()[7]).replace("-", "")
    assert [name for name, _ in found] == [query, query]
    assert found[1][1] >= found[0][1]


def test_several_alignments_in_one_process(fasta, tmp_path, capsys):
    second = tmp_path / "other.a3m.gz"
    second.write_bytes(gzip.compress(fasta.read_bytes()))
    out = tmp_path / "maps"
    assert main([str(fasta), str(second), "--method", "mi", "--out-dir", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["other.npz", "other.tsv", "tiny.npz", "tiny.tsv"]
    assert (out / "other.tsv").read_text() == (out / "tiny.tsv").read_text()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "2/2" in captured.err


def test_a_failure_is_told_and_the_others_finish(fasta, tmp_path, capsys):
    ragged = tmp_path / "ragged.fasta"
    ragged.write_text(">a\nACDE\n>b\nACD\n")
    out = tmp_path / "maps"
    assert main([str(ragged), str(fasta), "--method", "mi", "--out-dir", str(out)]) == 1
    assert sorted(path.name for path in out.iterdir()) == ["tiny.npz", "tiny.tsv"]
    assert "ragged.fasta" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", ">a\nACDE\n>b\nACD\n", ">a\nA\n>b\nC\n"])
def test_bad_alignments_leave_no_file(tmp_path, capsys, text):
    bad = tmp_path / "bad.fasta"
    bad.write_text(text)
    out = tmp_path / "map.npz"
    assert main([str(bad), "--method", "mi", "-o", str(out)]) == 1
    assert not out.exists()
    captured = capsys.readouterr()
    assert "bad.fasta" in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("options", [[], ["--nulls", "2"], ["--min-separation", "1000"]])
def test_a_query_without_pairs_far_enough_apart_is_refused_and_the_next_is_run(
    fasta, tmp_path, capsys, options
):
    short, out = tmp_path / "short.fasta", tmp_path / "out"
    short.write_text(">a\nACDEF\n>b\nACDEG\n>c\nGCDEF\n")
    assert main([str(short), str(fasta), "--method", "mi", *options, "--out-dir", str(out)]) == 1
    error = capsys.readouterr().err
    assert "no two of the query's 5 columns are" in error
    assert "--min-separation 4 or less" in error
    assert (out / "tiny.npz").exists() == ("--min-separation" not in options)
    assert not (out / "short.npz").exists()
    assert main([str(short), "--method", "mi", "--min-separation", "4"]) == 0


def test_fewer_threads_than_asked_for_are_told(fasta, caplog, monkeypatch):
    monkeypatch.setattr(accelerate, "_AVAILABLE", 1)
    assert main([str(fasta), "--method", "mi", "--threads", "2"]) == 0
    assert "2 threads were asked for, 1 can be used" in caplog.text


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.fa", "b.fa"],
        ["a.fa", "b.fa", "-o", "x"],
        ["a.fa", "c/a.fa", "--out-dir", "d"],
        ["a.fa", "--identity", "2"],
        ["a.fa", "--bootstrap", "1"],
        ["a.fa", "--method", "mi", "--device", "cuda"],
        ["a.fa", "--device", "mps"],
        ["a.fa", "--memory", "nan"],
        ["a.fa", "--memory", "inf"],
        ["a.fa", "--memory", "0"],
        ["a.fa", "--memory", "-1"],
    ],
)
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_as_a_program(fasta, tmp_path):
    """Exit codes, and a reader that stops early."""
    command = f"{sys.executable} -m dca {{}} --method mi --threads 2"
    run = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.format(fasta) + " | head -1"],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    assert len(run.stdout.split("\t")) == 5
    missing = subprocess.run(
        command.format(tmp_path / "none.fa").split(), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert missing.returncode == 1
    assert "none.fa" in missing.stderr
    assert missing.stdout == ""


@pytest.mark.parametrize("closed", ["--out-dir {out} >&-", "-o {out} >/dev/null 2>&-"])
def test_a_program_whose_streams_are_closed_ends_well(fasta, tmp_path, closed):
    """As some schedulers and daemons start it."""
    command = f"exec {sys.executable} -m dca {fasta} --method mi {closed.format(out=tmp_path / 'out')}"
    assert subprocess.run(["sh", "-c", command], cwd=ROOT).returncode == 0
    assert (tmp_path / "out").exists()


def test_a_program_that_runs_the_module_goes_on(fasta):
    script = (
        "import runpy, sys\n"
        f"sys.argv = ['dca', {str(fasta)!r}, '--method', 'mi']\n"
        "try:\n    runpy.run_module('dca', run_name='__main__')\n"
        "except SystemExit as end:\n    print('then', end.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("then 0\n")


def test_a_profile_of_the_program_is_written(fasta, tmp_path):
    profiled = [sys.executable, "-m", "cProfile", "-o", str(tmp_path / "p"), "-m", "dca", str(fasta)]
    subprocess.run([*profiled, "--method", "mi"], cwd=ROOT, capture_output=True, check=True)
    assert (tmp_path / "p").stat().st_size > 1000
