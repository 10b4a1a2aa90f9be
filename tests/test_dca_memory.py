"""Memory: predictions against the arrays and real runs, what is available, refusals."""

import mmap
import subprocess
import sys
from pathlib import Path

import golden
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import rows
from data.alphabet import Q, decode
from data.errors import CovarionError, MemoryLimitError
from data.memory import available_bytes
from dca import chains, kernels, memory, phylogeny, site_process, vector, weights, words
from dca.boltzmann import BoltzmannSettings
from dca.memory import Uncertainty, predicted_bytes, require_memory
from dca.methods import METHODS

ROOT = Path(__file__).resolve().parent.parent
GIGA = 10**9
NOWHERE = dict.fromkeys(("meminfo", "own_cgroups", "cgroup_root", "statm"), "/nowhere")
sizes = st.integers(2, 5000)
asked = st.builds(Uncertainty, st.booleans(), st.integers(0, 100), st.booleans())


def test_constants_are_those_of_the_kernels():
    assert (memory.GROUP, memory.WIDTH) == (chains.GROUP, vector.WIDTH)
    assert (memory.MOST_ROWS, memory.SHARE) == (words.MOST_ROWS, words.SHARE)
    assert (memory.PLANES, memory.CHUNKS) == (weights._PLANES, weights._CHUNKS)
    assert (memory.MOST_AT_ONCE, memory.KEPT) == (kernels.MOST_AT_ONCE, rows.KEPT)
    assert -(-3_000_000 // memory.COUNTED) == weights._chunks(3_000_000) > weights._CHUNKS
    assert BoltzmannSettings().chains == memory.CHAINS
    assert phylogeny.MOST_REPRESENTATIVES == memory.REPRESENTATIVES
    assert site_process._RATES.size == memory.RATES
    assert tuple(memory._INFERENCES) == METHODS


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="'plmdca' is none of mi, mean-field"):
        predicted_bytes("plmdca", 100, 50)


def test_parts_are_the_sizes_of_the_arrays():
    length = 37
    assert memory._packed(length) == np.zeros((37 * 36 // 2, Q, Q), np.float32).nbytes
    assert memory._slab(length) == np.zeros((37, Q, vector.WIDTH), np.float32).nbytes
    assert memory._padded(length) == 40
    assert memory._padded(40) == 40


@pytest.mark.parametrize("method", METHODS)
@given(rows=st.integers(2, 10**6), length=sizes, threads=st.integers(1, 64), uncertainty=asked)
def test_more_of_anything_never_needs_less(method, rows, length, threads, uncertainty):
    size = predicted_bytes(method, rows, length, threads, uncertainty)
    assert type(size) is int
    assert predicted_bytes(method, rows + 1, length, threads, uncertainty) > size
    assert predicted_bytes(method, rows, length + 1, threads, uncertainty) >= size
    assert predicted_bytes(method, rows, length, threads + 1, uncertainty) >= size
    more = uncertainty._replace(nulls=uncertainty.nulls + 1)
    assert predicted_bytes(method, rows, length, threads, more) >= size
    assert size >= predicted_bytes(method, rows, length, threads, uncertainty._replace(bootstrap=False))
    assert size >= predicted_bytes(method, rows, length, threads)


def test_a_bootstrap_of_plm_holds_one_model_more():
    for length in (100, 500):
        plain = predicted_bytes("plm", 300, length)
        cold = predicted_bytes("plm", 300, length, 1, Uncertainty(bootstrap=True, warm=False))
        warm = predicted_bytes("plm", 300, length, 1, Uncertainty(bootstrap=True))
        assert warm - cold == memory._packed(length)
        assert 0 < cold - plain < 9_000_000 + 8 * 300 + 60 * length**2 + 1
    for method in ("mi", "mean-field"):  # start from nothing
        warm, cold = (Uncertainty(bootstrap=True, warm=way) for way in (True, False))
        assert predicted_bytes(method, 300, 500, 1, warm) == predicted_bytes(method, 300, 500, 1, cold)


def test_nulls_hold_representatives_where_there_are_many_and_couplings_where_these_are_larger():
    def added(rows, length, nulls=2):
        with_nulls = predicted_bytes("plm", rows, length, 1, Uncertainty(nulls=nulls))
        return with_nulls - predicted_bytes("plm", rows, length)

    assert added(300, 500) < 0.1 * predicted_bytes("plm", 300, 500)
    assert added(2000, 40) > 2 * 4 * 2000**2
    assert added(8000, 40) < 2 * added(2000, 40)
    pairs = 100 * 99 // 2
    assert added(100, 100, 10_000) - added(100, 100, 9000) == 10 * 1000 * pairs  # scores, strata, ranks


@pytest.mark.parametrize(
    ("sequences", "length"),
    [(5000, 85), (10_000, 90), (100_000, 120), (300_000, 150), (1000, 300), (20_000, 1000), (1000, 3000)],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_plm_needs_less_than_ccmpred_and_the_alignment(sequences, length, threads):
    bound = 16 * 21 * 32 * length**2 + sequences * length
    assert predicted_bytes("plm", sequences, length, threads) < bound


def test_the_named_cases_fit():
    assert predicted_bytes("plm", 20_000, 1000) < 12 * GIGA
    assert predicted_bytes("plm", 300_000, 150) < GIGA


# What is there


@pytest.fixture
def system(tmp_path):
    """Files of /proc and /sys of a system without cgroups, and a function that adds more."""

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    write("meminfo", "MemTotal:       32000000 kB\nMemFree: 1 kB\nMemAvailable:    9000000 kB\n")
    paths = {"meminfo": tmp_path / "meminfo", "own_cgroups": tmp_path / "cgroup"}
    return write, paths | {"cgroup_root": tmp_path / "sys", "statm": tmp_path / "statm"}


def test_free_memory_is_what_the_kernel_calls_available(system):
    _, paths = system
    assert available_bytes(**paths) == (9_000_000 * 1024, "free memory")


def test_what_the_process_holds_counts_as_free_but_not_against_the_limit(system):
    write, paths = system
    write("statm", "9000 1000 300 1 0 500 0\n")
    held = 1000 * mmap.PAGESIZE
    assert available_bytes(**paths) == (9_000_000 * 1024 + held, "free memory")
    assert available_bytes(5 * GIGA, **paths) == (5 * GIGA, "--memory")


def test_the_limit_counts_where_it_is_least(system):
    _, paths = system
    assert available_bytes(5 * GIGA, **paths) == (5 * GIGA, "--memory")
    assert available_bytes(50 * GIGA, **paths)[1] == "free memory"
    assert available_bytes(5 * GIGA, **NOWHERE) == (5 * GIGA, "--memory")
    assert available_bytes(**NOWHERE) == (sys.maxsize, "no known limit")


def test_a_group_of_version_2_without_what_it_uses(system):
    write, paths = system
    write("cgroup", "0::/slice/job\n")
    write("sys/slice/job/memory.max", "4000000000\n")
    write("sys/slice/job/memory.current", "1500000000\n")
    write("sys/slice/job/memory.stat", "anon 5\nactive_file 200000000\ninactive_file 300000000\n")
    assert available_bytes(**paths) == (3 * GIGA, "the cgroup's limit")
    write("sys/slice/job/memory.max", "max\n")
    assert available_bytes(**paths)[1] == "free memory"


def test_groups_above_count_too(system):
    write, paths = system
    write("cgroup", "0::/slice/job\n")
    write("sys/slice/job/memory.max", "max\n")
    write("sys/slice/job/memory.current", "1\n")
    write("sys/slice/memory.max", "3000000000\n")
    write("sys/slice/memory.current", "1000000000\n")
    assert available_bytes(**paths) == (2 * GIGA, "the cgroup's limit")
    write("sys/memory.max", "1000000000\n")  # inside a container our own group stands at the top
    assert available_bytes(**paths) == (GIGA, "the cgroup's limit")
    write("sys/memory.current", "2000000000\n")
    assert available_bytes(**paths) == (0, "the cgroup's limit")


def test_groups_of_version_1(system):
    write, paths = system
    write("cgroup", "8:pids:/x\n4:cpu,memory:/docker/a\n0::/\nbroken\n")
    write("sys/memory/docker/a/memory.limit_in_bytes", "9223372036854771712\n")
    assert available_bytes(**paths)[1] == "free memory"
    write("sys/memory/memory.limit_in_bytes", "6000000000\n")
    write("sys/memory/memory.usage_in_bytes", "5000000000\n")
    write("sys/memory/memory.stat", "inactive_file 7\ntotal_inactive_file 500000000\n")
    assert available_bytes(**paths) == (1_500_000_000, "the cgroup's limit")


def test_this_machine_has_some_memory():
    size, name = available_bytes()
    assert size > 10**7
    assert name in ("free memory", "the cgroup's limit", "no known limit")


# Refusals


def test_what_fits_is_not_refused():
    require_memory("plm", 1000, 100, limit=GIGA, **NOWHERE)
    size = predicted_bytes("plm", 1000, 100)
    require_memory("plm", 1000, 100, limit=size, **NOWHERE)
    with pytest.raises(MemoryLimitError):
        require_memory("plm", 1000, 100, limit=size - 1, **NOWHERE)


def test_a_refusal_says_how_much_and_the_ways_out():
    with pytest.raises(CovarionError) as caught:
        require_memory("plm", 20_000, 1000, limit=3 * GIGA, **NOWHERE)
    message = str(caught.value)
    assert "plm on 20000 sequences and 1000 columns needs 3.7 GB of memory" in message
    assert "found: 3.0 GB (--memory)" in message
    for other in ("mean-field", "ridge", "plm-asymmetric"):
        size = predicted_bytes(other, 20_000, 1000)
        assert f"--method {other} ({memory._up(size)} GB)" in message
    assert "a domain of at most" in message
    assert "a machine that gives 3.7 GB" in message
    assert "sequences (" not in message  # no number of rows would do


@given(
    method=st.sampled_from(METHODS),
    rows=st.integers(2, 500_000),
    length=sizes,
    limit=st.integers(1, 2**36),
    uncertainty=asked,
)
def test_every_way_out_fits(method, rows, length, limit, uncertainty):
    def needs(method=method, rows=rows, length=length, threads=2, uncertainty=uncertainty):
        return predicted_bytes(method, rows, length, threads, uncertainty)

    try:
        require_memory(method, rows, length, 2, limit, uncertainty, **NOWHERE)
    except MemoryLimitError as error:
        assert needs() > limit
        for way in error.remedy.split("; or ")[:-1]:
            words = way.split()
            if words[0] == "--method":
                assert needs(method=words[1]) <= limit
                assert words[1] != method
            elif words[0] == "--nulls":
                assert needs(uncertainty=uncertainty._replace(nulls=int(words[1]))) <= limit
                assert int(words[1]) < uncertainty.nulls
            elif words[:2] == ["--threads", "1"]:
                assert needs(threads=1) <= limit
            elif words[0] in ("no", "neither"):
                less = uncertainty._replace(**{name: 0 for name in ("bootstrap", "nulls") if name in words})
                assert less != uncertainty
                assert needs(uncertainty=less) <= limit
            elif words[1] == "domain":
                assert needs(length=int(words[5])) <= limit
                assert needs(length=int(words[5]) + 1) > limit or int(words[5]) == length - 1
            else:
                assert needs(rows=int(words[2])) <= limit
    else:
        assert needs() <= limit


def test_a_refusal_of_nulls_and_bootstrap_names_them():
    with pytest.raises(MemoryLimitError) as caught:
        require_memory("plm", 10_000, 100, limit=80_000_000, uncertainty=Uncertainty(True, 20), **NOWHERE)
    message = str(caught.value)
    assert "plm with a bootstrap and 20 nulls on 10000 sequences and 100 columns needs 0.2 GB" in message
    assert "neither bootstrap nor nulls (0.1 GB)" in message
    assert "no nulls" not in message  # neither is enough
    with pytest.raises(MemoryLimitError, match=r"plm with 20 nulls on .* no nulls \(0.1 GB\); or "):
        require_memory("plm", 10_000, 100, limit=80_000_000, uncertainty=Uncertainty(nulls=20), **NOWHERE)


def test_fewer_sequences_are_a_way_out_of_deep_alignments():
    with pytest.raises(MemoryLimitError, match=r"at most \d+ sequences \(0\.2 GB\)"):
        require_memory("plm", 300_000, 150, limit=2 * 10**8, **NOWHERE)


def test_one_thread_is_a_way_out_of_many():
    with pytest.raises(MemoryLimitError, match=r"--threads 1 \(0\.3 GB\)"):
        require_memory("plm", 300_000, 150, threads=64, limit=3 * 10**8, **NOWHERE)


def test_threads_beyond_the_columns_take_nothing():
    assert predicted_bytes("plm", 50_000, 40, 64) == predicted_bytes("plm", 50_000, 40, 40)


def test_gigabytes_are_never_said_too_small():
    assert memory._up(5_000_000_000) == "5.0"
    assert memory._up(5_000_000_001) == "5.1"


# Real runs


def measured(arguments):
    """Largest resident memory of a run, started by a small process: a child inherits its parent's peak."""
    launcher = (
        "import os, resource, sys\n"
        "child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ,"
        " file_actions=[(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)])\n"
        "_, status, used = os.wait4(child, 0)\n"
        "print(used.ru_maxrss * (1 if sys.platform == 'darwin' else 1024))\n"
        "sys.exit(os.waitstatus_to_exitcode(status))"
    )
    command = [sys.executable, "-I", "-S", "-c", launcher, sys.executable, "-m", "dca", *arguments]
    return int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def alignment(path, rows, length):
    rng = np.random.default_rng(0)
    profile = rng.dirichlet(np.full(Q, 0.3), size=length)
    tokens = np.stack([rng.choice(Q, size=rows, p=column) for column in profile], axis=1)
    tokens[0] = rng.integers(0, 20, length)
    path.write_text(
        "".join(f">sequence{n} of a family of this length\n{decode(row)}\n" for n, row in enumerate(tokens))
    )
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "length"), [(200, 60), (300, 300), (20_000, 40)])
@pytest.mark.parametrize("method", [name for name in METHODS if name != "boltzmann"])
def test_prediction_within_15_percent_of_a_run(tmp_path, method, rows, length):
    path = alignment(tmp_path / "family.fasta", rows, length)
    arguments = [str(path), "--method", method, "-o", str(tmp_path / "map.npz")]
    measured(arguments)  # compiles what is not yet compiled
    assert predicted_bytes(method, rows, length) == pytest.approx(measured(arguments), rel=0.15)


@pytest.mark.slow
def test_two_threads_hold_little_more_than_one(tmp_path):
    rows, length = 300, 300
    path = alignment(tmp_path / "family.fasta", rows, length)
    taken = []
    for threads in (1, 2):
        arguments = [str(path), "--threads", str(threads), "-o", str(tmp_path / "map.npz")]
        measured(arguments)  # compiles what is not yet compiled
        taken.append(measured(arguments))
        assert predicted_bytes("plm", rows, length, threads) == pytest.approx(taken[-1], rel=0.15)
    assert taken[1] - taken[0] < memory._packed(length) / 3


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "length"), [(300, 300), (2500, 60)])
@pytest.mark.parametrize("option", ["bootstrap", "nulls"])
@pytest.mark.parametrize("method", ["mi", "mean-field", "plm"])
def test_prediction_with_uncertainty_within_15_percent_of_a_run(tmp_path, method, option, rows, length):
    path = alignment(tmp_path / "family.fasta", rows, length)
    arguments = [str(path), "--method", method, f"--{option}", "2", "-o", str(tmp_path / "map.npz")]
    measured(arguments)  # compiles what is not yet compiled
    asked = Uncertainty(bootstrap=option == "bootstrap", nulls=2 * (option == "nulls"))
    predicted = predicted_bytes(method, rows, length, 1, asked)
    assert predicted == pytest.approx(measured(arguments), rel=0.15)


def test_prediction_of_a_small_run(tmp_path):
    path = tmp_path / "tiny.fasta"
    tokens = golden.tiny_alignment()[:120]
    path.write_text("".join(f">s{n}\n{decode(row)}\n" for n, row in enumerate(tokens)))
    arguments = [str(path), "--method", "mi"]
    measured(arguments)
    assert predicted_bytes("mi", *tokens.shape) == pytest.approx(measured(arguments), rel=0.15)
