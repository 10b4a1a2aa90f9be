"""Distances of the query's residues in its structures."""

from data.prepare import map_structure
from workflow.stage import stage

with stage(snakemake):
    map_structure(
        snakemake.input.alignment,
        list(snakemake.input.structures),
        snakemake.output[0],
        chains=snakemake.params.chains,
        **snakemake.params.thresholds,
    )
