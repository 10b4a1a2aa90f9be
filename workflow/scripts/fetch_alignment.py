"""Fetch the alignment that a row names and write it as A3M with its provenance."""

from workflow.stage import stage
from workflow.stages import fetch_alignment

with stage(snakemake):
    fetch_alignment(snakemake)
