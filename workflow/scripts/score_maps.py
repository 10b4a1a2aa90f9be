"""Precision of every map of one protein, and its agreement with predicted models."""

from workflow.stage import stage
from workflow.stages import score_maps

with stage(snakemake):
    score_maps(snakemake)
