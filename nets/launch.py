"""Training from a data set: in this process, or in several by torch's own launcher."""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data.errors import CovarionError, TrainingStopped
from nets.checkpoint import choose_device
from nets.config import TrainConfig, from_metadata
from nets.group import joined
from nets.interrupt import Interrupt
from nets.manifest import training_files
from nets.shipped import find_weights
from nets.state import RunFiles
from nets.train import STOPPED, train_refiner

ROOT = Path(__file__).resolve().parent.parent

logger = logging.getLogger(__name__)


def train_dataset(
    manifest: str,
    out: str,
    model: dict[str, Any],
    settings: dict[str, Any],
    *,
    leave_out: str = "",
    start: str = "",
    device: str = "auto",
    threads: int = 1,
    readers: int = 1,
    minutes: float = 0,
    rank: int = 0,
    size: int = 1,
    meeting: str = "env://",
) -> None:
    """Train on a data set of `nets.shards` and write weights; the part of one process.

    Parameters
    ----------
    manifest : path
        ``manifest.json``.
    out, model, settings, start, threads, readers, minutes
        As `nets.train.train_refiner`; the network reads the pair maps of the data set.
    leave_out : str
        Homology cluster that nothing is learned from; empty: none.
    device : str
        ``auto``, ``cpu`` or ``cuda``; in a group each process names its own, such as ``cuda:1``.
    rank, size, meeting
        As `nets.group.joined`.

    Raises
    ------
    TrainingStopped
        A signal or the time came first; the next call goes on from there.
    CovarionError
    """
    files, pair_maps = training_files(manifest, leave_out, settings.get("teacher", ""))
    asked = model.get("pair_maps", pair_maps)
    if not isinstance(asked, list | tuple) or list(asked) != pair_maps:
        named = ", ".join(map(str, asked)) if isinstance(asked, list | tuple) else str(asked)
        raise CovarionError(
            f"the network is to read the pair maps {named[:200]}",
            file=manifest,
            value=", ".join(pair_maps),
            remedy="write the data set with the same: train: model: pair_maps",
        )
    with joined(rank, size, choose_device(device), meeting) as group:
        train_refiner(
            files,
            out,
            model | {"pair_maps": pair_maps},
            settings,
            device,
            threads,
            start,
            readers=readers,
            minutes=minutes,
            group=group,
        )


def train_in_processes(processes: int, manifest: str, out: str, **options: Any) -> None:
    """As `train_dataset`, by so many processes on this machine, one GPU each where there are GPUs.

    Parameters
    ----------
    processes : int
        1 trains in this process.
    manifest, out : path
    options
        Further arguments of `train_dataset`.

    Raises
    ------
    TrainingStopped
        A signal or the time came first; the next call goes on from there.
    CovarionError
        A process failed; the log, which their output is passed on to, says why.
    """
    RunFiles.of(out)  # a name that no weights can have is told before any work, and so are wrong settings
    from_metadata(TrainConfig, options.get("settings", {}))
    if processes == 1:
        train_dataset(manifest, out, **options)
        return
    words = _words(str(Path(manifest).resolve()), str(Path(out).resolve()), options)
    with Interrupt() as interrupt:
        code, stopped = _launched([*_LAUNCHER, f"--nproc-per-node={processes}", *words], interrupt)
    if code == 0 and Path(out).is_file():
        return
    kind = TrainingStopped if interrupt.name or stopped else CovarionError
    told = "the time was up, or a process was stopped" if stopped else f"exit code {code}"
    raise kind(
        "training in several processes ended before its last step",
        file=Path(out).parent,
        value=interrupt.name or told,
        remedy="run it again: it goes on from the last checkpoint; the log holds what each process said",
    )


# Two minutes to save the state; the launcher itself would kill after 30 seconds
_LAUNCHER = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--shutdown-timeout=120")


def _words(manifest: str, out: str, options: dict[str, Any]) -> list[str]:
    """Command line of one process, behind those of the launcher."""
    words = ["-m", "nets", "train", manifest, "-o", out]
    if options.get("start"):
        options["start"] = str(find_weights(options["start"]).resolve())
    for name, value in options.items():
        if name in ("model", "settings"):
            prefix = "model." if name == "model" else ""
            words += [f"--set={prefix}{key}={json.dumps(part)}" for key, part in value.items()]
        elif value:
            words.append(f"--{name.replace('_', '-')}={value}")
    return words


def _launched(command: list[str], interrupt: Interrupt) -> tuple[int, bool]:
    """Run the launcher; a signal that comes meanwhile is passed on to it once.

    Returns
    -------
    int, bool
        Its exit code, and whether a process said that it had stopped with its state saved: the launcher's own
        code is 1 whatever theirs are.
    """
    logger.info("%s", " ".join(command))
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as launcher:
        stopped = threading.Event()
        reader = threading.Thread(target=_log_lines, args=(launcher.stdout, stopped), daemon=True)
        reader.start()
        passed_on, code = False, None
        while code is None:
            try:
                code = launcher.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                if interrupt.name and not passed_on:
                    launcher.terminate()
                    passed_on = True
        reader.join(5)  # a process that outlives the launcher may hold the pipe: it is not waited for
        return code, stopped.is_set()


def _log_lines(lines: Iterable[str], stopped: threading.Event) -> None:
    """Pass what processes say on to the log, which in a job is a file, and note when one says it stopped."""
    for line in lines:
        if STOPPED in line:
            stopped.set()
        logger.info("%s", line.rstrip("\n"))
