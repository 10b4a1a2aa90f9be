"""A tag of the repository, deployed into an empty folder as a module of another workflow."""

import shutil
import subprocess
import sys

import pytest
import yaml
from workflow_fixtures import ROOT, write_family, write_table

pytestmark = pytest.mark.slow

MODULE = """
configfile: "config/config.yaml"


module covarion:
    snakefile:
        "{snakefile}"
    config:
        config


use rule * from covarion
"""


def git(folder, *arguments):
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def tagged(tmp_path_factory):
    """A local repository that holds the files of this one, with a tag and a later commit that breaks it."""
    folder = tmp_path_factory.mktemp("origin")
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_symlink() or (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    git(folder, "init", "-q")
    git(folder, "config", "user.email", "tests@localhost")
    git(folder, "config", "user.name", "tests")
    for message in ("the tag", "later"):
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", message)
        if message == "the tag":
            git(folder, "tag", "v9.9.9")
            (folder / "Snakefile").write_text("raise SystemExit('not the tag')\n")
    return folder


@pytest.fixture(scope="module")
def deployed(tagged, tmp_path_factory):
    """An empty folder after the three steps of docs/cluster.md."""
    folder = tmp_path_factory.mktemp("project")
    git(folder, "clone", "-q", "--branch", "v9.9.9", "--depth", "1", f"file://{tagged}", "covarion")
    shutil.copytree(folder / "covarion" / "config", folder / "config")
    (folder / "workflow").mkdir()
    (folder / "workflow" / "Snakefile").write_text(MODULE.format(snakefile=folder / "covarion" / "Snakefile"))
    return folder


def snakemake(folder, *arguments):
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)


def test_the_rules_of_a_deployed_tag_run_on_the_projects_own_table(deployed):
    write_family(deployed, "mine")
    write_table(deployed / "config" / "proteins.tsv", [{"protein": "mine", "alignment": "../mine.fasta"}])
    light = ["--config", "dca={methods: [plm]}", "refine={weights: none}"]
    done = snakemake(deployed, *light)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (deployed / "results" / "mine" / "report.html").stat().st_size > 10_000
    assert (deployed / "results" / "index.html").exists()


def test_a_deployed_tag_still_refuses_a_wrong_configuration(deployed):
    done = snakemake(deployed, "--dry-run", "--config", "colour=red")
    assert done.returncode != 0
    assert "colour" in done.stdout + done.stderr


def test_the_catalog_finds_what_it_asks_for():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["mandatory-flags"]["desc"]
    assert set(usage["software-stack-deployment"]) == {"conda", "singularity", "singularity+conda"}
    assert (ROOT / "config" / "README.md").exists()
    assert (ROOT / "LICENSE").exists()
