"""Tables of a run on the terminal: peers beside ours, stages, and a run that is not there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from report_fixtures import write_protein

from data.errors import CovarionError
from report.outcomes import Outcome
from report.peers import with_peers

ROOT = Path(__file__).resolve().parent.parent
HEADER = "id\tneff80\tmethod\trange\tcut\tprecision\n"


def test_peers_stand_among_the_scores_of_their_protein(tmp_path):
    (tmp_path / "peers.tsv").write_text(
        HEADER + "p\t40\tccmpred\tlong\tL\t0.25\nq\t1\tccmpred\tlong\tL\t0.5\n"
    )
    (found,) = with_peers([Outcome({"protein": "p"})], tmp_path / "peers.tsv")
    assert found.precision("ccmpred (peer)", "long", "L") == 0.25


@pytest.mark.parametrize("text", ["id\tmethod\n", HEADER + "p\t40\tccmpred\tlong\tL\tgood\n", None])
def test_a_broken_table_of_peers_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "peers.tsv").write_text(text)
    with pytest.raises(CovarionError, match=r"peers\.tsv"):
        with_peers([], tmp_path / "peers.tsv")


def report(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "report", *map(str, arguments)], capture_output=True, text=True, cwd=ROOT
    )


def test_means_and_stages_are_printed(tmp_path):
    write_protein(tmp_path / "hairpin")
    stages = {"infer_couplings": {"jobs": 1, "seconds": 2.0, "cpu": 3.0, "peak_mb": 150.0}}
    rows = [{"protein": "hairpin", "cluster": "c1", "split": "val"}]
    (tmp_path / "run.json").write_text(json.dumps({"stages": stages, "proteins": rows}))
    (tmp_path / "peers.tsv").write_text(HEADER + "hairpin\t40\tother\tlong\tL\t0.125\n")
    done = report(tmp_path, "--means", "--peers", tmp_path / "peers.tsv")
    assert done.returncode == 0, done.stderr
    assert "other (peer)" in done.stdout
    assert "0.125" in done.stdout
    assert "| infer_couplings | 1 | 2 | 3 | 150 |" in done.stdout


def test_peers_without_means_are_refused(tmp_path):
    done = report(tmp_path, "--peers", tmp_path / "peers.tsv")
    assert done.returncode == 2
    assert "give --means too" in done.stderr


def test_a_folder_without_a_run_is_named(tmp_path):
    done = report(tmp_path)
    assert done.returncode == 1
    assert "run.json" in done.stderr
