"""Training at scale: accumulated and shared steps, threads that read, signals, kills and time limits."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_fixtures import as_files, write_examples

from benchmarks import loading
from data.errors import CovarionError, TrainingStopped
from data.store import load_arrays, save_arrays
from nets.checkpoint import load_refiner
from nets.config import RefinerConfig, TrainConfig
from nets.dataset import Example
from nets.group import Group
from nets.interrupt import Interrupt
from nets.launch import train_dataset, train_in_processes
from nets.manifest import training_files
from nets.shards import write_shards
from nets.train import Trainer, stacked, train_refiner

ROOT = Path(__file__).resolve().parent.parent
MODEL = RefinerConfig(channels=8, blocks=1, dropout=0.0)
SETTINGS = TrainConfig(steps=4, batch=4, crop=20, evaluate_every=100, save_every=100)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    return write_examples(tmp_path_factory.mktemp("examples"), count=4)


@pytest.fixture(scope="module")
def manifest(examples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    write_shards(as_files(examples), folder)
    return folder / "manifest.json"


def trained(examples, folder, model=MODEL, settings=SETTINGS, **options):
    trainer = Trainer(examples, model, settings, folder, **options)
    trainer.run()
    return trainer


def close(first, second, **tolerance):
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, **tolerance)


# Gradient accumulation


def test_accumulated_gradients_are_those_of_the_large_batch(examples, tmp_path):
    """Crops one by one, by two and all at once: the same losses and weights, but for rounding."""
    runs = [
        trained(examples, tmp_path / str(size), settings=replace(SETTINGS, micro_batch=size))
        for size in (1, 2, 4)
    ]
    for other in runs[1:]:
        assert [row["loss"] for row in other.history] == pytest.approx(
            [row["loss"] for row in runs[0].history], rel=1e-5
        )
        close(runs[0].model.state_dict(), other.model.state_dict(), rtol=1e-4, atol=2e-5)


def test_crops_of_other_sizes_pass_alone(examples, tmp_path):
    trainer = Trainer(examples, MODEL, SETTINGS, tmp_path)
    large, small = trainer._load(0), Trainer(examples, MODEL, replace(SETTINGS, crop=9), tmp_path)._load(0)
    crops = [*large[:3], small[0], large[3]]
    found = [bins.shape for _, bins in stacked(crops, 2)]
    assert found == [(2, 20, 20), (1, 20, 20), (1, 9, 9), (1, 20, 20)]
    joined = torch.cat([pixels.couplings.flatten() for pixels, _ in stacked(crops, 2)])
    assert torch.equal(joined, torch.cat([pixels.couplings.flatten() for pixels, _ in crops]))


def test_a_step_is_the_gradient_of_the_mean_loss(examples, tmp_path):
    """Against autograd on the mean over the crops, in one graph."""
    trainer = Trainer(examples, MODEL, replace(SETTINGS, micro_batch=2), tmp_path)
    crops = trainer._load(0)
    trainer.model.train()
    from nets.losses import refiner_loss

    losses = [
        refiner_loss(trainer.model(p), b, p.separation, MODEL.contact_bins, SETTINGS.contact_weight)
        for p, b in crops
    ]
    names, parameters = zip(*trainer.model.named_parameters(), strict=True)
    wanted = torch.autograd.grad(sum(losses) / len(crops), parameters)
    trainer.network = trainer.model
    for pixels, bins in stacked(crops, 2):
        trainer._losses(pixels, bins, more=False, share=len(crops))
    for name, parameter, gradient in zip(names, parameters, wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6, msg=name)


# Threads that read, mixed precision


def test_readers_do_not_change_a_bit(examples, tmp_path, caplog):
    with caplog.at_level("INFO"):
        runs = [trained(examples, tmp_path / str(n), readers=n) for n in (1, 3)]
    assert runs[0].history == runs[1].history
    for name, value in runs[0].average.items():
        assert torch.equal(value, runs[1].average[name])
    assert re.search(r"4 steps in [\d.]+ s, [\d.]+ % waiting for crops", caplog.text)


def test_what_reading_costs_is_measured(examples, capsys):
    assert loading.main([str(Path(examples[0].path).parent), "--steps", "2", "--count", "3"]) == 0
    wall, cpu, waiting, size, peak = capsys.readouterr().out.splitlines()[-1].strip("| ").split(" | ")
    assert float(cpu) > 0
    assert 0 <= float(waiting.rstrip(" %")) < 100
    assert float(wall) > 0
    assert float(peak) > float(size)


def test_what_a_reader_raises_ends_the_run(examples, tmp_path):
    broken = [replace(examples[0], path=str(tmp_path / "gone.npz"))]
    with pytest.raises(CovarionError, match=r"gone\.npz"):
        Trainer(broken, MODEL, SETTINGS, tmp_path)
    trainer = Trainer(examples[:1], MODEL, SETTINGS, tmp_path)
    trainer.clusters = [broken]
    with pytest.raises(CovarionError, match=r"gone\.npz"):
        trainer.run()


def test_mixed_precision_keeps_weights_in_single_precision(examples, tmp_path):
    """bfloat16 inside the network, by autocast on the CPU; a GPU takes the same path, untested."""
    whole = trained(examples, tmp_path / "whole")
    half = trained(examples, tmp_path / "half", settings=replace(SETTINGS, precision="bfloat16"))
    kinds = []
    half.model.blocks[0].first.register_forward_hook(lambda m, i, out: kinds.append(out.dtype))
    half._update(half._load(0))
    assert set(kinds) == {torch.bfloat16}
    assert {value.dtype for value in half.model.state_dict().values()} == {torch.float32}
    assert half.history[-2]["loss"] == pytest.approx(whole.history[-1]["loss"], rel=0.02)


# Several processes


WORKER = """
import json, sys
from nets.launch import train_dataset
manifest, out, meeting, rank, model, settings = sys.argv[1:]
train_dataset(manifest, out, json.loads(model), json.loads(settings), device="cpu",
              rank=int(rank), size=2, meeting=meeting)
"""


def test_two_processes_are_one_with_the_same_global_batch(manifest, tmp_path):
    model = {"channels": 8, "blocks": 1, "dropout": 0.0}
    settings = {"steps": 4, "batch": 4, "crop": 20, "save_every": 2, "evaluate_every": 2, "micro_batch": 2}
    one, two = tmp_path / "one/weights.safetensors", tmp_path / "two/weights.safetensors"
    train_dataset(str(manifest), str(one), model, settings, device="cpu")
    meeting = f"file://{tmp_path / 'meeting'}"
    words = [json.dumps(model), json.dumps(settings)]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(manifest), str(two), meeting, str(rank), *words],
            cwd=ROOT, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]  # fmt: skip
    for worker in workers:
        told = worker.communicate(timeout=600)[1]
        assert worker.returncode == 0, told
    tables = [
        [line.split("\t") for line in p.with_name("history.tsv").read_text().splitlines()] for p in (one, two)
    ]
    assert tables[0][0] == tables[1][0]
    for first, second in zip(tables[0][1:], tables[1][1:], strict=True):
        assert float(second[1]) == pytest.approx(float(first[1]), rel=1e-4)
    # Weights are stored in half precision: one of its steps apart at most
    close(load_file(one), load_file(two), rtol=2e-3, atol=2e-4)
    assert load_refiner(str(two)).card["train"]["proteins"] == ["p0", "p1", "p2"]
    assert not two.with_name("checkpoint.safetensors").exists()


def test_processes_share_the_crops_of_a_step(examples, tmp_path):
    one = Trainer(examples, MODEL, SETTINGS, tmp_path)._load(3)
    parts = [Trainer(examples, MODEL, SETTINGS, tmp_path, group=Group(r, 2))._load(3) for r in range(2)]
    for k, (pixels, bins) in enumerate(one):
        other = parts[k % 2][k // 2]
        assert torch.equal(pixels.couplings, other[0].couplings)
        assert torch.equal(bins, other[1])
    with pytest.raises(
        CovarionError, match="found: batch 4, 3 processes; remedy: make the batch a multiple of 3"
    ):
        Trainer(examples, MODEL, SETTINGS, tmp_path, group=Group(0, 3))


@pytest.mark.slow
def test_torch_s_launcher_trains_and_is_stopped_by_a_signal(manifest, tmp_path):
    out = tmp_path / "weights.safetensors"
    words = [
        "--set=steps=400",
        "--set=save_every=5",
        "--set=batch=2",
        "--set=crop=20",
        "--set=model.channels=8",
        "--set=model.blocks=1",
    ]
    command = [sys.executable, "-m", "nets", "train", str(manifest), "-o", str(out), "--processes=2", *words]
    run = started(command, tmp_path / "log")
    wait_for(lambda: steps_done(tmp_path) > 0, run)
    run.send_signal(signal.SIGTERM)
    code = run.wait(timeout=300)
    assert code == 75, log(tmp_path)
    assert "found: SIGTERM" in log(tmp_path)
    assert "training stopped after step" in log(tmp_path)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert load_refiner(str(out)).card["training"]["steps"] == 400


def test_a_failed_process_is_told_of_and_what_it_said_is_in_the_log(manifest, tmp_path, caplog, capfd):
    out = tmp_path / "weights.safetensors"
    with (
        caplog.at_level("INFO", "nets.launch"),
        pytest.raises(CovarionError, match="before its last step; found: exit code 1"),
    ):
        train_in_processes(2, str(manifest), str(out), model={}, settings={"batch": 3, "steps": 1})
    assert "found: batch 3, 2 processes; remedy: make the batch a multiple of 2" in caplog.text
    assert "multiple of 2" not in "".join(capfd.readouterr())


def test_time_is_up_for_several_processes_as_for_one(manifest, tmp_path):
    """Exit code 75 and a whole checkpoint, from which one process goes on."""
    out = tmp_path / "weights.safetensors"
    words = [
        "--set=steps=3",
        "--set=batch=2",
        "--set=crop=20",
        "--set=model.channels=8",
        "--set=model.blocks=1",
    ]
    command = [sys.executable, "-m", "nets", "train", str(manifest), "-o", str(out), "--device=cpu", *words]
    done = subprocess.run(
        [*command, "--processes=2", "--minutes=1e-9"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 75, done.stderr
    assert "ended before its last step; found: the time was up" in done.stderr
    assert not out.exists()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "resumed at step 0" in again.stderr
    assert out.is_file()


def test_a_name_that_weights_cannot_have_is_told_before_processes_start(manifest, tmp_path):
    with pytest.raises(CovarionError, match=r"cannot have this name.*end it with \.safetensors"):
        train_in_processes(2, str(manifest), str(tmp_path / "weights"), model={}, settings={"steps": 1})


# What a checkpoint belongs to


def identity(examples, folder):
    return Trainer(examples, MODEL, SETTINGS, folder).identity


def test_a_checkpoint_belongs_to_the_content_of_its_examples(examples, manifest, tmp_path):
    """Copies, touched files and shards hold the same; one other number in one array does not."""
    before = identity(examples, tmp_path)
    copies = [replace(e, path=shutil.copy(e.path, tmp_path)) for e in examples]
    os.utime(copies[0].path, (1, 1))
    assert identity(copies, tmp_path) == before
    sharded = [Example(**entry) for entry in training_files(manifest)[0]]
    assert identity(sharded, tmp_path) == before
    arrays = load_arrays(copies[0].path)
    stat = os.stat(copies[0].path)
    arrays["distance"][-1] += 0.5
    save_arrays(copies[0].path, **arrays)
    os.utime(copies[0].path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert os.path.getsize(copies[0].path) == stat.st_size
    assert identity(copies, tmp_path) != before


# Signals, kills, time


def started(command, log_file):
    with open(log_file, "ab") as stream:
        return subprocess.Popen(command, cwd=ROOT, stderr=stream, stdout=stream)


def log(folder):
    return (folder / "log").read_text()


def steps_done(folder):
    """Rows of the history that a running training has written."""
    path = folder / "history.tsv"
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


def wait_for(condition, process):
    end = time.monotonic() + 600
    while not condition():
        assert process.poll() is None, "the run ended too early"
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def command_of(manifest, folder, steps=200):
    settings = {"steps": steps, "batch": 2, "crop": 20, "save_every": 5, "evaluate_every": 1000}
    words = [f"--set={name}={value}" for name, value in settings.items()]
    words += ["--set=model.channels=8", "--set=model.blocks=1"]
    out = folder / "weights.safetensors"
    return [sys.executable, "-m", "nets", "train", str(manifest), "-o", str(out), "--device=cpu", *words]


@pytest.fixture(scope="module")
def undisturbed(manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    done = subprocess.run(command_of(manifest, folder), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGKILL"])
def test_a_stopped_run_goes_on_to_the_same_bits(manifest, undisturbed, tmp_path, name):
    run = started(command_of(manifest, tmp_path), tmp_path / "log")
    wait_for(lambda: steps_done(tmp_path) >= 10, run)
    run.send_signal(getattr(signal, name))
    code = run.wait(timeout=300)
    assert not (tmp_path / "weights.safetensors").exists()
    assert (tmp_path / "checkpoint.safetensors").exists()
    if name == "SIGKILL":
        assert code == -signal.SIGKILL
    else:
        assert code == 75
        assert re.search(
            rf"training stopped after step \d+ of 200.*found: {name}.*it goes on from there", log(tmp_path)
        )
    done = subprocess.run(command_of(manifest, tmp_path), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"resumed at step [1-9]", done.stderr)
    whole, again = (load_file(folder / "weights.safetensors") for folder in (undisturbed, tmp_path))
    assert all(torch.equal(value, again[key]) for key, value in whole.items())
    assert (tmp_path / "history.tsv").read_bytes() == (undisturbed / "history.tsv").read_bytes()


def test_time_is_up(examples, tmp_path):
    out = str(tmp_path / "weights.safetensors")
    model, settings = {"channels": 8, "blocks": 1}, {"steps": 3, "batch": 1, "crop": 20}
    with pytest.raises(TrainingStopped, match=r"after step 0 of 3.*found: 1e-09 minutes passed"):
        train_refiner(as_files(examples), out, model, settings, "cpu", minutes=1e-9)
    assert (tmp_path / "checkpoint.safetensors").exists()
    train_refiner(as_files(examples), out, model, settings, "cpu", minutes=60)
    assert load_refiner(out)


def test_signals_are_caught_while_entered_alone():
    before = signal.getsignal(signal.SIGUSR1)
    with Interrupt() as interrupt:
        assert not interrupt.name
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.name == "SIGUSR1"
    assert signal.getsignal(signal.SIGUSR1) is before


def test_channels_that_the_data_set_lacks_are_refused(manifest, tmp_path):
    with pytest.raises(CovarionError, match=r"read the pair maps mi; found: ridge, mi|found: ridge, mi"):
        train_dataset(str(manifest), str(tmp_path / "w"), {"pair_maps": ["mi"]}, {})
