"""Recipes for other machines hold the versions of the lock."""

import re

import pytest
import yaml
from import_closure import packages
from workflow_fixtures import ROOT

import bootstrap

RULES = sorted(path.stem for path in (ROOT / "workflow/envs").glob("*.yaml"))
IMPORT_NAMES = {"Bio": "biopython"}
BROUGHT_ALONG = {"markupsafe"}  # by jinja2
CONDA_NAMES = {"pytorch": "torch"}
ON_THE_HOST = {"snakemake", "snakemake-executor-plugin-slurm"}  # they start the jobs
OF_TORCH = {"fsspec", "networkx", "sympy", "typing-extensions", "setuptools"}


def locked():
    """Version of each package of the runtime lock, torch's from where it is pinned."""
    text = (ROOT / "requirements" / "runtime.lock").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", text, re.M)) | {"torch": bootstrap.TORCH}


def conda(rules):
    """Version of each package of the conda environment of a rule file, by its name on the Python index."""
    dependencies = yaml.safe_load((ROOT / f"workflow/envs/{rules}.yaml").read_text())["dependencies"]
    pairs = (entry.partition("=")[::2] for entry in dependencies)
    return {CONDA_NAMES.get(name, name): version for name, version in pairs}


@pytest.mark.parametrize("rules", RULES)
def test_each_conda_environment_has_the_versions_of_the_lock(rules):
    versions = locked()
    for name, version in conda(rules).items():
        if name != "python" and version:
            assert re.sub(r"\.post\d+$", "", versions[name]) == version, name


@pytest.mark.parametrize("rules", [rules for rules in RULES if rules != "batch"])
def test_the_environment_of_a_rule_file_holds_what_its_scripts_import(rules):
    text = (ROOT / f"workflow/rules/{rules}.smk").read_text()
    assert set(re.findall(r'"\.\./envs/(\w+)\.yaml"', text)) == {rules}
    scripts = [ROOT / "workflow/scripts" / name for name in re.findall(r'"\.\./scripts/(\w+\.py)"', text)]
    found = {IMPORT_NAMES.get(name, name) for path in scripts for name in packages(path)}
    assert found - BROUGHT_ALONG == set(conda(rules)) - {"python"}


def test_the_environment_of_batches_lacks_nothing_that_the_pipeline_imports():
    text = (ROOT / "workflow/rules/batch.smk").read_text()
    assert set(re.findall(r'"\.\./envs/(\w+)\.yaml"', text)) == {"batch"}
    lines = (ROOT / "requirements" / "runtime.in").read_text().splitlines()
    wanted = {re.split("[=<>]", line)[0] for line in lines if line and not line.startswith("#")}
    assert wanted - ON_THE_HOST - OF_TORCH | {"torch"} == set(conda("batch")) - {"python"}
    assert set().union(*map(conda, RULES)) == set(conda("batch"))


def test_the_container_recipes_install_from_the_lock():
    docker = (ROOT / "containers" / "Dockerfile").read_text()
    apptainer = (ROOT / "containers" / "covarion.def").read_text()
    for recipe in (docker, apptainer):
        assert "bootstrap.py setup" in recipe
        assert f"python:{conda('batch')['python']}-slim" in recipe
        assert not re.search(r"pip install(?! --upgrade pip)", recipe)
