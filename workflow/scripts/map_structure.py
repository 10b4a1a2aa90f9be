"""True distances of the query's residues."""

from data.prepare import map_structure, require_origin
from workflow.stage import stage

with stage(snakemake):
    require_origin(snakemake.input.structure, snakemake.params.cell)
    map_structure(
        snakemake.input.alignment,
        snakemake.input.structure,
        snakemake.output[0],
        chain=snakemake.params.chain,
        **snakemake.params.thresholds,
    )
