"""Precision of every map of one protein."""

from data.scoring import score_files
from workflow.stage import stage

with stage(snakemake):
    score_files(snakemake.wildcards.protein, snakemake.input.truth, snakemake.input.maps, snakemake.output[0])
