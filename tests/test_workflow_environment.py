"""Recipes for other machines hold the versions of the lock."""

import re

import yaml
from workflow_fixtures import ROOT

import bootstrap

CONDA_NAMES = {"pytorch": "torch"}
ON_THE_HOST = {"snakemake", "snakemake-executor-plugin-slurm"}  # they start the jobs
OF_TORCH = {"fsspec", "networkx", "sympy", "typing-extensions", "setuptools"}


def locked():
    """Version of each package of the runtime lock, torch's from where it is pinned."""
    text = (ROOT / "requirements" / "runtime.lock").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", text, re.M)) | {"torch": bootstrap.TORCH}


def conda():
    """Version of each package of the conda environment, by its name on the Python index."""
    dependencies = yaml.safe_load((ROOT / "workflow/envs/covarion.yaml").read_text())["dependencies"]
    pairs = (entry.partition("=")[::2] for entry in dependencies)
    return {CONDA_NAMES.get(name, name): version for name, version in pairs}


def test_the_conda_environment_has_the_versions_of_the_lock():
    versions = locked()
    for name, version in conda().items():
        if name != "python" and version:
            assert re.sub(r"\.post\d+$", "", versions[name]) == version, name


def test_the_conda_environment_lacks_nothing_that_the_pipeline_imports():
    lines = (ROOT / "requirements" / "runtime.in").read_text().splitlines()
    wanted = {re.split("[=<>]", line)[0] for line in lines if line and not line.startswith("#")}
    assert wanted - ON_THE_HOST - OF_TORCH | {"torch"} == set(conda()) - {"python"}


def test_the_container_recipes_install_from_the_lock():
    docker = (ROOT / "containers" / "Dockerfile").read_text()
    apptainer = (ROOT / "containers" / "covarion.def").read_text()
    for recipe in (docker, apptainer):
        assert "bootstrap.py setup" in recipe
        assert f"python:{conda()['python']}-slim" in recipe
        assert not re.search(r"pip install(?! --upgrade pip)", recipe)
