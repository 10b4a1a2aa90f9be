"""Fetch the structure that a row names and write it as mmCIF with its provenance."""

from workflow.stage import stage
from workflow.stages import fetch_structure

with stage(snakemake):
    fetch_structure(snakemake)
