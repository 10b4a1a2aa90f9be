"""Distances of the query's residues in its structures."""

from data.prepare import map_structure, require_origin
from workflow.stage import stage

with stage(snakemake):
    for path, cell in zip(snakemake.input.structures, snakemake.params.cells, strict=True):
        require_origin(path, cell)
    map_structure(
        snakemake.input.alignment,
        list(snakemake.input.structures),
        snakemake.output[0],
        chains=snakemake.params.chains,
        **snakemake.params.thresholds,
    )
