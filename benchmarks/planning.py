"""How long Snakemake takes to plan a run of many small proteins: ``python benchmarks/planning.py``.

The proteins are a few simulated ones under many names (`benchmarks.many`, hard links). ``--delay MS`` makes
each question to the file system (stat, open) that much slower, as on a shared file system: a small library is
compiled with cc and loaded before all others (LD_PRELOAD), which Linux alone knows.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.many import write_proteins  # noqa: E402 (the path above comes first)
from benchmarks.measure import Usage, measure  # noqa: E402

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
static void wait_a_little(void) {
  const char *text = getenv("COVARION_DELAY_US");
  long us = text ? atol(text) : 0;
  struct timespec pause = {us / 1000000, us % 1000000 * 1000};
  nanosleep(&pause, 0);
}
#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
int stat(const char *p, struct stat *s) { REAL(stat); wait_a_little(); return real(p, s); }
int lstat(const char *p, struct stat *s) { REAL(lstat); wait_a_little(); return real(p, s); }
int fstatat(int d, const char *p, struct stat *s, int f) {
  REAL(fstatat); wait_a_little(); return real(d, p, s, f);
}
int stat64(const char *p, struct stat64 *s) { REAL(stat64); wait_a_little(); return real(p, s); }
int lstat64(const char *p, struct stat64 *s) { REAL(lstat64); wait_a_little(); return real(p, s); }
int fstatat64(int d, const char *p, struct stat64 *s, int f) {
  REAL(fstatat64); wait_a_little(); return real(d, p, s, f);
}
static int mode_of(int flags, va_list *more) {
  return flags & (O_CREAT | O_TMPFILE) ? va_arg(*more, int) : 0;
}
#define OPENER(name) int name(const char *p, int flags, ...) { \
  REAL(name); va_list more; va_start(more, flags); \
  int mode = mode_of(flags, &more); va_end(more); wait_a_little(); return real(p, flags, mode); }
OPENER(open)
OPENER(open64)
#define OPENER_AT(name) int name(int d, const char *p, int flags, ...) { REAL(name); va_list more; \
  va_start(more, flags); int mode = mode_of(flags, &more); va_end(more); wait_a_little(); \
  return real(d, p, flags, mode); }
OPENER_AT(openat)
OPENER_AT(openat64)
"""


def shim(folder: Path) -> Path:
    """Compile the library that slows file access down."""
    source, library = folder / "slow.c", folder / "slow.so"
    source.write_text(SHIM)
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library


def table_of(folder: Path, count: int, different: int) -> Path:
    """A table of `count` proteins whose files are links to those of a few simulated ones."""
    write_proteins(folder, different)
    rows = ["protein\talignment\tstructure"]
    for number in range(count):
        name, source = f"q{number:05d}", f"p{number % different:05d}"
        for ending in (".a3m.gz", ".pdb"):
            os.link(folder / f"{source}{ending}", folder / f"{name}{ending}")
        rows.append(f"{name}\t{name}.a3m.gz\t{name}.pdb")
    table = folder / "proteins.tsv"
    table.write_text("\n".join(rows) + "\n")
    return table


def plan(work: Path, table: Path, delay: float, folder: Path, batch: int) -> Usage:
    """Wall seconds, CPU seconds and memory of a dry run."""
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(work),
        "--workflow-profile", str(ROOT / "workflow/profiles/default"), "--cores", "2", "--dry-run",
        "--quiet", "all", "--config", f"proteins={table}", f"batch={{proteins: {batch}}}",
    ]  # fmt: skip
    slow = {"LD_PRELOAD": str(shim(folder)), "COVARION_DELAY_US": f"{1000 * delay:.0f}"} if delay else {}
    return measure(command, environment=slow)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--proteins", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--delay", type=float, nargs="+", default=[0.0, 1.0], metavar="MS")
    parser.add_argument("--different", type=int, default=20, help="simulated proteins behind the names")
    parser.add_argument("--batch", type=int, default=50, help="proteins a batch; 0: a job for each stage")
    options = parser.parse_args(arguments)
    print("| proteins | delay, ms | wall s | CPU s | peak MB |\n|---|---|---|---|---|")
    for count in options.proteins:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            table = table_of(folder / "in", count, options.different)
            for delay in options.delay:
                work = folder / "work"
                work.mkdir()
                used = plan(work, table, delay, folder, options.batch)
                shutil.rmtree(work)
                row = f"{count} | {delay:g} | {used.wall:.1f} | {used.cpu:.1f} | {used.memory:.0f}"
                print(f"| {row} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
