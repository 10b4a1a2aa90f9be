"""The scripts that start and stop the cluster of the tests: what they leave alone, what they leave behind."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from slurm_fixtures import SCRIPTS, cluster, missing

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(missing()), reason=missing())]

ETC = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf", "cgroup.conf", "slurmdbd.conf")


def start(folder):
    return subprocess.run([SCRIPTS / "start.sh", folder], capture_output=True, text=True, timeout=400)


def alive(state):
    """Names of the daemons of a cluster that still run."""
    found = []
    for path in state.glob("*.pid"):
        status = Path("/proc") / path.read_text().strip() / "status"
        if status.exists() and "zombie" not in status.read_text():
            found.append(path.name)
    return found


@pytest.mark.parametrize("name", FILES)
def test_a_configuration_of_somebody_else_is_left_alone(name, tmp_path):
    path = ETC / name
    if path.exists():
        pytest.skip(f"{path} is there already")
    ETC.mkdir(exist_ok=True)
    path.write_text("ClusterName=ours\n")
    try:
        done = start(tmp_path / "state")
        subprocess.run([SCRIPTS / "stop.sh"], check=True)
        assert done.returncode == 1
        assert f"{path} was written by somebody else" in done.stderr
        assert path.read_text() == "ClusterName=ours\n"
        assert not (tmp_path / "state").exists()
        assert [other for other in FILES if (ETC / other).exists()] == [name]
    finally:
        path.unlink()


def test_nothing_is_left_of_a_cluster_that_was_stopped(tmp_path):
    with cluster(tmp_path / "state") as state:
        assert "slurmctld.pid" in alive(state)
        assert len([name for name in alive(state) if name.startswith("slurmd-n")]) == 3
        subprocess.run(["sbatch", "--wrap", "sleep 600"], cwd=tmp_path, check=True, capture_output=True)
        second = start(tmp_path / "second")
        assert second.returncode == 1
        assert "still runs" in second.stderr  # a cluster that somebody uses is not taken away
    assert alive(state) == []
    assert [name for name in FILES if (ETC / name).exists()] == []


def test_a_cluster_whose_controller_died_is_cleared_away(tmp_path):
    assert start(tmp_path / "first").returncode == 0
    os.kill(int((tmp_path / "first" / "slurmctld.pid").read_text()), signal.SIGKILL)
    with cluster(tmp_path / "second") as state:
        assert alive(tmp_path / "first") == []
        assert "slurmctld.pid" in alive(state)
