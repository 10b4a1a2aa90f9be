"""Hostile bytes for every parser; ``make fuzz`` looks for new ones, led by the lines that a run reaches.

A parser returns or raises one of the exceptions of `data.errors`: anything else is a finding. So is an input
that takes longer than ten seconds or more memory than a limit. ``tests/test_fuzz.py`` runs the same targets
on mutated seeds.

    python tests/fuzz.py [TARGET ...] [--seconds 60] [--corpus DIR]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
SLOWEST = 10  # seconds
MOST_MB = 3000
PACKAGES = ["data", "nets", "report", "workflow", "tarfile", "zipfile", "gzip", "csv"]


def _hunt(name: str, arguments: list[str]) -> None:
    """Search one target in this process; ends when the time is over or something was found."""
    import atheris
    from fuzz_targets import TARGETS, attack

    target = TARGETS[name]
    atheris.enabled_hooks.add("str")
    for module in [module for module in sys.modules if module.split(".")[0] in PACKAGES]:
        del sys.modules[module]
    with atheris.instrument_imports(include=PACKAGES), tempfile.TemporaryDirectory() as folder:
        for seed in target.seeds:  # imports all that a parser needs
            attack(target, seed, Path(folder))
    shared = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=shared) as folder:

        def once(content: bytes) -> None:
            attack(target, content, Path(folder))

        atheris.Setup([sys.argv[0], *arguments], once)
        atheris.Fuzz()


def hunt(name: str, seconds: int, corpus: Path) -> bool:
    """Search one target in a process of its own; whether nothing was found."""
    from fuzz_targets import HOSTILE, TARGETS

    target, folder = TARGETS[name], corpus / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (folder / f"seed-{number}").write_bytes(seed)
    for path in HOSTILE.glob(f"{name}.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    words = folder.with_suffix(".words")
    escaped = ("".join(f"\\x{byte:02x}" for byte in word[:60]) for word in target.words)
    words.write_text("".join(f'"{word}"\n' for word in escaped))
    options = [
        f"-max_total_time={seconds}", f"-timeout={SLOWEST}", f"-rss_limit_mb={MOST_MB}", "-max_len=100000",
        f"-dict={words}", f"-artifact_prefix={corpus}/{name}-", "-print_final_stats=1", str(folder),
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, __file__, "--hunt", name, *options],
        capture_output=True, text=True, errors="replace", env=environment, check=False,
    )  # fmt: skip
    (corpus / f"{name}.log").write_text(done.stdout + done.stderr)
    said = done.stderr.splitlines()
    runs = next((line.split()[-1] for line in said if "number_of_executed_units" in line), "?")
    reached = next((line.split(" cov: ")[1].split()[0] for line in reversed(said) if " cov: " in line), "?")
    verdict = "nothing found" if done.returncode == 0 else f"FOUND, see {corpus / name}.log"
    passed = time.monotonic() - start
    print(f"{name}: {runs} inputs, {reached} branches, {passed:.0f} s: {verdict}", flush=True)  # noqa: T201
    return done.returncode == 0


def main() -> int:
    """Search the named targets, or all; exit code 1 where something was found."""
    if sys.argv[1:2] == ["--hunt"]:
        _hunt(sys.argv[2], sys.argv[3:])
        return 0
    from fuzz_targets import TARGETS

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--corpus", type=Path, default=ROOT / ".cache" / "fuzz", help="inputs and findings")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    quiet = [hunt(name, options.seconds, options.corpus) for name in options.targets or TARGETS]
    return 0 if all(quiet) else 1


if __name__ == "__main__":
    sys.exit(main())
