"""Tokens to sequence weights, couplings and one map per method."""

from workflow.stage import stage
from workflow.stages import infer_couplings

with stage(snakemake):
    infer_couplings(snakemake)
