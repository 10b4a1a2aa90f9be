"""Precision of every map of one protein, and its agreement with predicted models."""

from data.scoring import score_files
from workflow.stage import stage

with stage(snakemake):
    score_files(
        snakemake.wildcards.protein,
        snakemake.input.truth,
        snakemake.input.maps,
        snakemake.output.scores,
        snakemake.output.agreement,
    )
