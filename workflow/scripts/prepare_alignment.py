"""Alignment to tokens: choose the query, crop, filter, report."""

from workflow.stage import stage
from workflow.stages import prepare_alignment

with stage(snakemake):
    prepare_alignment(snakemake)
