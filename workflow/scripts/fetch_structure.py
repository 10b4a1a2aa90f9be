"""Fetch the structure that a row names and write it as mmCIF with its provenance."""

from data.sources import fetch
from workflow.stage import stage

with stage(snakemake):
    fetch(snakemake.params.cell, "structure", snakemake.output.structure, **snakemake.config["fetch"])
