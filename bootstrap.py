"""Set up ``.venv`` and run a command in it: ``python bootstrap.py [setup|demo|test|...]``.

Needs Python 3.11 or newer and pip, nothing else. ``make demo`` and ``make test`` call it.
"""

import compileall
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements" / "dev.lock"
TORCH = "2.13.0"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PACKAGES = ("data", "dca", "nets", "report", "workflow")
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
SNAKEMAKE = [str(PYTHON), "-m", "snakemake"]
FAMILIES_TABLE = ["results/families", "--means", "--peers", "../shared/families/peers.tsv"]
SLURM_TESTS = [f"tests/test_slurm{part}.py" for part in ("_scripts", "", "_batches", "_accounting")]
TESTS = [str(PYTHON), "-m", "pytest", "-n", "2", "--dist", "loadfile"]


def pip(*arguments: str) -> bool:
    """Run pip in the environment; True when it succeeded."""
    quiet = ["--disable-pip-version-check", "--retries", "2", "-q"]
    return subprocess.run([str(PYTHON), "-m", "pip", *quiet, "install", *arguments]).returncode == 0


def install_torch() -> None:
    """Install the pinned torch: with CUDA where there is an NVIDIA driver, else the CPU build.

    ``COVARION_TORCH=cpu`` or ``cuda`` decides by hand.
    """
    choice = os.environ.get("COVARION_TORCH", "auto")
    if choice == "auto":
        choice = "cuda" if shutil.which("nvidia-smi") else "cpu"
    small = platform.system() != "Linux"  # elsewhere the index holds CPU builds under the plain version
    if choice == "cpu" and not small:
        for extra in ([], ["--index-url", CPU_INDEX]):
            print(f"torch {TORCH}, CPU build {' '.join(extra)}", flush=True)
            if pip("--no-deps", f"torch=={TORCH}+cpu", *extra):
                return
        print("no CPU build of torch was found: installing the default one, several GB with CUDA", flush=True)
    if not pip(f"torch=={TORCH}"):
        sys.exit(f"bootstrap: torch {TORCH} could not be installed for Python {platform.python_version()}")


def compile_packages() -> None:
    """Write bytecode, which a process that may not write would make for itself each time it starts."""
    for name in PACKAGES:
        compileall.compile_dir(ROOT / name, quiet=2)


def setup() -> None:
    """Make ``.venv`` from the lock; do nothing where it is already there."""
    if sys.version_info < (3, 11):  # noqa: UP036 (the message is for older Pythons)
        sys.exit(f"bootstrap: Python 3.11 or newer is needed, this is {platform.python_version()}")
    stamp = VENV / "covarion.stamp"
    wanted = hashlib.sha256(LOCK.read_bytes() + TORCH.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    start = time.monotonic()
    print(f"setting up {VENV}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    if not pip("--require-hashes", "-r", str(LOCK)):
        sys.exit(f"bootstrap: the packages of {LOCK} could not be installed, see pip's message above")
    install_torch()
    stamp.write_text(wanted)
    print(f"environment ready after {time.monotonic() - start:.0f} s", flush=True)


def run(*command: str) -> int:
    """Print a command as a person would type it and run it in the repository."""
    print("$", " ".join(command).replace(str(VENV), ".venv"), flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def pipeline(config: str, *table: str, extra: list[str]) -> int:
    """One Snakemake call, then where the reports are and a table of precision."""
    status = run(*SNAKEMAKE, "--cores", cores(), "--configfile", config, *extra)
    shown = run(str(PYTHON), "-m", "report", *table)
    return status or shown


def cores() -> str:
    """Number of cores to use: ``CORES``, else all."""
    return os.environ.get("CORES", "all")


def lint() -> int:
    """Format, lint and type checks; all are run before the verdict."""
    smk = ["Snakefile", *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "workflow/rules").glob("*.smk")))]
    python = [str(PYTHON), "-m"]
    checks = [
        [*python, "ruff", "check", "."],
        [*python, "ruff", "format", "--check", "."],
        [*python, "mypy"],
        [str(PYTHON.parent / "snakefmt"), "--check", *smk],
        [*SNAKEMAKE, "--lint", "--configfile", "config/demo.yaml"],
    ]
    return max(run(*command) for command in checks)


def soak(*extra: str) -> int:
    """The tests that kill downloads fifty times, runs and jobs on Slurm thirty times, not three; the demo."""
    os.environ["SOAK"] = os.environ.get("SOAK", "50")
    os.environ["SOAK_SLURM"] = os.environ.get("SOAK_SLURM", "30")
    downloads = run(*TESTS, "tests/test_data_client.py", "-k", "killed", *extra)
    return max(downloads, test_slurm("-k", "random_moments or whole_demo", *extra))


def test_slurm(*extra: str) -> int:
    """The tests on a Slurm cluster that they start; one after the other, since a machine can hold one."""
    return run(str(PYTHON), "-m", "pytest", "-rs", "-m", "slurm", "--durations", "10", *SLURM_TESTS, *extra)


def fuzz(*extra: str) -> int:
    """Search every parser for bytes that it cannot take, `FUZZ_SECONDS` each; installs the fuzzer."""
    lock = ROOT / "requirements" / "fuzz.lock"
    if not pip("--require-hashes", "-r", str(lock)):
        sys.exit(f"bootstrap: the packages of {lock} could not be installed, see pip's message above")
    return run(str(PYTHON), "tests/fuzz.py", "--seconds", os.environ.get("FUZZ_SECONDS", "60"), *extra)


def main(arguments: list[str]) -> int:
    """Run one of the named commands; further arguments go to it."""
    name, extra = (arguments or ["setup"])[0], arguments[1:]
    commands = {
        "setup": lambda: 0,
        "demo": lambda: pipeline("config/demo.yaml", "results/demo", extra=extra),
        "families": lambda: pipeline("config/families.yaml", *FAMILIES_TABLE, extra=extra),
        "train": lambda: run(
            *SNAKEMAKE, "train", "--cores", cores(), "--configfile", "config/train.yaml", *extra
        ),
        "test": lambda: run(*TESTS, "-m", "not slow and not slurm and not browser and not gpu", *extra),
        "test-slow": lambda: run(*TESTS, "-m", "slow and not slurm and not gpu", *extra),
        "test-browser": lambda: run(*TESTS, "-m", "browser", *extra),
        "test-slurm": lambda: test_slurm(*extra),
        "screenshots": lambda: run(
            str(PYTHON), "tests/screenshots.py", *(extra or ["results/demo", "results/screenshots"])
        ),
        "test-faults": lambda: run(str(PYTHON), "tests/faults.py", *extra),
        "soak": lambda: soak(*extra),
        "fuzz": lambda: fuzz(*extra),
        "bench": lambda: run(str(PYTHON), "benchmarks/bench_dca.py", *extra),
        "lint": lint,
    }
    if name not in commands:
        print(f"bootstrap: no command {name!r}; there are {', '.join(commands)}", file=sys.stderr)
        return 2
    setup()
    compile_packages()
    return commands[name]()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
