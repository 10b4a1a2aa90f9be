"""Memory of the stages around the couplings: counted before they begin, refused with number and ways out."""

import gzip
import json
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import stage_memory
from data import memory
from data.contacts import Truth
from data.errors import MemoryLimitError
from data.memory import alignment_bytes, available_bytes, require_bytes, scoring_bytes, text_size
from data.msa import read_alignment
from data.prepare import map_structure
from data.scoring import score_files
from data.store import save_arrays
from data.truth_file import save_truth
from nets import features
from nets.config import RefinerConfig
from nets.features import compute_features
from nets.memory import features_bytes, prediction_bytes
from report.memory import overview_bytes, page_bytes, require_page
from report.overview import write_overview

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def little(monkeypatch):
    """A machine with 60 MB."""
    monkeypatch.setattr(memory, "available_bytes", lambda limit=None: (60_000_000, "free memory"))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
@pytest.mark.parametrize(("call", "kept"), [("", True), ("memory.give_back_freed()", False)])
def test_what_is_freed_goes_back(call, kept):
    """An array of 20 MB, freed, and another one, freed with something small behind it."""
    code = f"""
import numpy as np
from pathlib import Path
from data import memory
{call}
np.ones(20_000_000, np.uint8)
large, small = np.ones(16_000_000, np.uint8), np.ones(100_000, np.uint8)
before = memory._resident(Path("/proc/self/statm"))
del large
print(before - memory._resident(Path("/proc/self/statm")))
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (int(run.stdout) < 15_000_000) == kept


def test_a_refusal_names_work_number_and_ways_out(little):
    with pytest.raises(MemoryLimitError) as caught:
        require_bytes("drawing", 1_510_000_000, lambda available: [f"draw less than {available} bytes"])
    assert str(caught.value) == (
        "drawing needs 1.6 GB of memory; found: 0.0 GB (free memory); "
        "remedy: draw less than 60000000 bytes; or a machine that gives 1.6 GB"
    )
    require_bytes("drawing", 60_000_000)


def test_reading_an_alignment_is_refused_before_it_is_held(little, tmp_path):
    path = tmp_path / "wide.fasta"
    path.write_text("".join(f">s{n}\n{'ACDEFGHIKL' * 3000}\n" for n in range(300)))
    with pytest.raises(
        MemoryLimitError, match=r"wide\.fasta: reading 300 sequences and 30000 columns needs 0\.1 GB"
    ):
        read_alignment(path)


def test_scoring_is_refused(little, tmp_path):
    length = 500
    distance = np.zeros((length, length), np.float32)
    truth = Truth(distance, np.ones(length, bool), np.array(["1"] * length), 1.0, 1.0, "A", "1ABC")
    save_truth(tmp_path / "truth.npz", truth)
    save_arrays(tmp_path / "maps.npz", mi=distance, mi_raw=distance)
    with pytest.raises(MemoryLimitError, match=r"scoring 2 maps of 500 columns needs 0\.1 GB"):
        score_files("P", tmp_path / "truth.npz", [tmp_path / "maps.npz"], tmp_path / "scores.tsv")
    assert not (tmp_path / "scores.tsv").exists()


def test_a_page_is_refused_by_the_header_of_its_alignment(tmp_path):
    save_arrays(tmp_path / "alignment.npz", tokens=np.zeros((2, 100_000), np.int8))
    with pytest.raises(
        MemoryLimitError, match=r"page of 100000 columns, 2 sequences and 4 maps needs \d+\.\d GB"
    ):
        require_page(str(tmp_path / "alignment.npz"), 4)


def test_measuring_a_structure_is_refused(little, tmp_path):
    save_arrays(tmp_path / "alignment.npz", tokens=np.zeros((2, 400), np.int8), query="A" * 400)
    with gzip.open(tmp_path / "P.cif.gz", "wt") as stream:
        stream.write("data_P\n" + "".join(f"ATOM {n * 7919 % 9973}\n" for n in range(5000)))
    with pytest.raises(
        MemoryLimitError, match=r"measuring 400 columns in 1 structures of up to \d\d,\d+ bytes needs 0\.1 GB"
    ):
        map_structure(
            str(tmp_path / "alignment.npz"), str(tmp_path / "P.cif.gz"), str(tmp_path / "truth.npz")
        )
    assert not (tmp_path / "truth.npz").exists()


def test_the_size_of_a_file_that_is_cut_off_is_not_believed(tmp_path):
    path = tmp_path / "P.cif.gz"
    path.write_bytes(gzip.compress(np.random.default_rng(0).bytes(1000))[:-200] + b"\xff" * 4)
    assert text_size(path) == 30 * path.stat().st_size
    path.write_text("HEADER")
    assert text_size(path) == 6
    with pytest.raises(FileNotFoundError):
        text_size(tmp_path / "none")


def test_an_overview_is_refused_with_the_number_of_proteins_that_fits(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "available_bytes", lambda limit=None: (10**9, "free memory"))
    rows = [{"protein": f"p{n}"} for n in range(20_000)]
    with pytest.raises(MemoryLimitError, match=r"overview of 20,000 proteins needs \d\.\d GB") as caught:
        write_overview(tmp_path, rows, {}, {}, tmp_path / "index.html", tmp_path / "summary.tsv")
    fitting = int(caught.value.remedy.split("at most ")[1].split()[0].replace(",", ""))
    assert overview_bytes(fitting) <= 10**9 < overview_bytes(fitting + 1)


def test_features_of_a_long_protein_are_refused_with_a_domain(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda limit=None: (2_000_000_000, "the cgroup's limit"))
    with pytest.raises(MemoryLimitError) as caught:
        compute_features(np.zeros((50, 1200), np.int8))
    needed = memory.gigabytes(features_bytes(50, 1200))
    assert f"refining 1200 columns of 50 sequences needs {needed} GB" in str(caught.value)
    domain = int(caught.value.remedy.split("at most ")[1].split()[0])
    assert features_bytes(50, domain) <= 2_000_000_000 < features_bytes(50, domain + 1)


def test_blocks_of_pairs_do_not_change_features(monkeypatch):
    tokens = np.random.default_rng(0).integers(0, 21, size=(30, 12)).astype(np.int8)
    whole = compute_features(tokens)
    monkeypatch.setattr(features, "_BLOCK", 7)
    np.testing.assert_array_equal(compute_features(tokens).couplings, whole.couplings)


def test_the_largest_protein_fits_16_gigabytes_in_every_stage():
    rows, length, config = 50_000, 1200, RefinerConfig(channels=64)
    for size in (
        alignment_bytes(rows, length, 200),
        features_bytes(rows, length),
        prediction_bytes(length, config),
        scoring_bytes(length, 12),
        page_bytes(rows, length, 5),
    ):
        assert size < 16e9


LIMITED = """
import json, resource, sys
import numpy as np
from data.memory import available_bytes
from nets.features import compute_features

size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 400_000_000,) * 2)
available, source = available_bytes()
try:
    compute_features(np.zeros((50, 800), np.int8))
    told = ""
except Exception as error:
    told = f"{type(error).__name__}: {error}"
print(json.dumps([available, source, told]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux alone")
def test_ulimit_counts():
    """Under a real ``ulimit -v`` the work is refused, where it would have died of a failed allocation."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    available, source, told = json.loads(done.stdout)
    assert source == "ulimit -v"
    assert 400e6 < available < 800e6
    assert told.startswith("MemoryLimitError: refining 800 columns of 50 sequences needs ")
    assert "(ulimit -v); remedy: a domain of at most" in told


def test_without_a_limit_of_addresses_it_sets_nothing():
    nowhere = dict.fromkeys(("meminfo", "own_cgroups", "cgroup_root"), "/nowhere")
    assert available_bytes(**nowhere)[1] == "no known limit"


@pytest.mark.slow
def test_predictions_hold_for_real_stages(tmp_path, capsys):
    arguments = ["--rows", "500", "--length", "120", "--folder", str(tmp_path)]
    stage_memory.main(arguments)  # compiles what is not yet compiled
    capsys.readouterr()
    stages = ("prepare", "map", "mi", "mean-field", "refine", "score", "report", "overview")
    stage_memory.main([*arguments, "--only", *stages])
    rows = [line.split("|")[1:4] for line in capsys.readouterr().out.splitlines()[2:]]
    assert len(rows) == len(stages)
    for stage, predicted, measured in rows:
        assert 0.7 < float(measured) / float(predicted) < 1.2, stage
