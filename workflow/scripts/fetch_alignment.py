"""Fetch the alignment that a row names and write it as A3M with its provenance."""

from data.sources import fetch, network_of
from workflow.stage import stage

with stage(snakemake):
    fetch(
        snakemake.params.cell,
        "alignment",
        snakemake.output.alignment,
        base_urls=snakemake.params.base_urls,
        query=snakemake.params.query,
        protein=snakemake.wildcards.protein,
        network=network_of(snakemake.config["fetch"]),
    )
