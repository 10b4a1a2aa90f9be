"""Fetch the alignment that a row names and write it as A3M with its provenance."""

from data.sources import fetch
from workflow.stage import stage

with stage(snakemake):
    fetch(snakemake.params.cell, "alignment", snakemake.output.alignment, **snakemake.config["fetch"])
