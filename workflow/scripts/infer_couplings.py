"""Tokens to sequence weights, couplings and one map per method."""

from dca.accelerate import set_threads
from dca.methods import infer_maps
from workflow.stage import stage

with stage(snakemake):
    set_threads(snakemake.threads)
    infer_maps(snakemake.input.alignment, dict(snakemake.output.items()), **snakemake.params.settings)
