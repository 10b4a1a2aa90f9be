"""Alignment to tokens: choose the query, crop, filter, report."""

from data.prepare import prepare_alignment, require_origin
from workflow.stage import stage

with stage(snakemake):
    require_origin(snakemake.input.alignment, snakemake.params.cell, snakemake.params.searched)
    prepare_alignment(
        snakemake.input.alignment,
        snakemake.output[0],
        structure=snakemake.input.get("structure") or "",
        chain=snakemake.params.chain,
        query=snakemake.params.query,
        region=snakemake.params.region,
        first_index=snakemake.params.first_index,
        filters=snakemake.params.filters,
    )
