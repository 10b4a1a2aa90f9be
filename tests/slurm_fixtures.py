"""A real Slurm cluster on this machine (tests/slurm/start.sh), runs of the workflow on it, and its jobs."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from workflow_fixtures import ROOT

SCRIPTS = ROOT / "tests" / "slurm"
ACCOUNTING = ["--slurm-status-command", "sacct"]
QUICK = ["--slurm-init-seconds-before-status-checks", "1"]
# What a run needs beside its table to be about Slurm and little else. Couplings are kept: a job that outlives
# a killed run may write them after the next run has used and removed its own.
LIGHT = ["dca={methods: [plm], keep_couplings: true}", "refine={weights: none}"]


def missing(accounting=False):
    """Why no cluster can be started here; empty where one can."""
    if os.getuid() != 0:
        return "only root can start a Slurm cluster"
    programs = ["slurmctld", "slurmd", "munged", *(["slurmdbd", "mariadbd"] if accounting else [])]
    absent = [program for program in programs if not shutil.which(program)]
    return f"not installed: {', '.join(absent)}" if absent else ""


@contextlib.contextmanager
def cluster(folder, *words):
    """The cluster, as long as the block lasts."""
    subprocess.run([SCRIPTS / "start.sh", folder, *words], check=True, timeout=400)
    try:
        yield folder
    finally:
        subprocess.run([SCRIPTS / "stop.sh"], check=True, timeout=60)


def submit(folder, *arguments, config=(), name="run.log"):
    """Start a run of the Slurm profile in `folder`, in a session of its own; its words go to a file."""
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder),
        "--workflow-profile", str(ROOT / "workflow/profiles/slurm"), *QUICK, *arguments,
        "--config", "proteins=proteins.tsv", *config,
    ]  # fmt: skip
    with (folder / name).open("a") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def finish(process, folder, seconds=900, name="run.log"):
    """Exit code of a run; one that does not end is killed and fails the test."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"no end after {seconds} s\n{said(folder, name)}\n{jobs()}") from None


def said(folder, name="run.log"):
    """What the run wrote."""
    return (folder / name).read_text()


def jobs(rule="", of=""):
    """All jobs that the controller remembers, oldest first, as dictionaries of what ``scontrol`` shows.

    `rule` and `of` (the wildcards) restrict them to the submissions of one job of the workflow.
    """
    shown = subprocess.run(["scontrol", "-o", "show", "job"], capture_output=True, text=True, timeout=30)
    found = [
        dict(word.split("=", 1) for word in line.split() if "=" in word)
        for line in shown.stdout.splitlines()
        if line.startswith("JobId=")
    ]
    wanted = f"rule_{rule}" + (f"_wildcards_{of}" if of else "")
    found.sort(key=lambda job: int(job["JobId"]))
    return [job for job in found if not rule or job.get("Comment") == wanted]


def running(rule, of):
    """The job if it runs now, else None."""
    return next((job for job in jobs(rule, of) if job["JobState"] == "RUNNING"), None)


def wait_for(condition, seconds=300, what=""):
    """The first true value of `condition`, asked for every 0.2 s."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds} s in vain for {what or condition}\n{jobs()}")


def megabytes(job):
    """Memory that a job asked for."""
    asked = job["MinMemoryNode"]
    return float(asked[:-1]) * {"M": 1, "G": 1024}[asked[-1]]


def processes_of(job):
    """Processes that run on behalf of a job, Slurm's own aside."""
    mark = f"SLURM_JOB_ID={job['JobId']}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def kill_job(job):
    """End all processes of a job with SIGKILL, as a crash or the kernel would."""
    for pid in processes_of(job):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def at_work(job):
    """Whether a running job has come to its own Snakemake: before, there may be nothing to kill."""
    for pid in processes_of(job):
        with contextlib.suppress(OSError):
            if b"snakemake" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return True
    return False


def lose_node(state, node):
    """Everything on a node ends at once: its daemon, what watches over its jobs, and the jobs."""
    os.kill(int((state / f"slurmd-{node}.pid").read_text()), signal.SIGKILL)
    for job in jobs():
        if job["JobState"] == "RUNNING" and job["NodeList"] == node:
            title = f"slurmstepd: [{job['JobId']}."
            for folder in Path("/proc").iterdir():
                with contextlib.suppress(OSError):
                    if folder.name.isdigit() and title in (folder / "cmdline").read_text():
                        os.kill(int(folder.name), signal.SIGKILL)
            kill_job(job)


def tables_and_arrays(results):
    """Values of all arrays and tables of a results folder, by file and array; times and logs are left out."""
    found = {}
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results).as_posix()
        if path.name.startswith(".") or {"benchmarks", "logs"} & set(path.parts):
            continue
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                found |= {f"{name}:{key}": arrays[key] for key in arrays.files}
        elif path.suffix in (".tsv", ".csv", ".rr"):
            found[name] = path.read_text()
    return found


def differences(found, wanted):
    """Names of files and arrays that are missing, too many, or not the same to the bit (NaN included)."""

    def content(value):
        return value if isinstance(value, str) else (value.dtype, value.shape, value.tobytes())

    wrong = {name for name in set(found) & set(wanted) if content(found[name]) != content(wanted[name])}
    return sorted(wrong | set(found) ^ set(wanted))
