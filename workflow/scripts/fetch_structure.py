"""Fetch the structure that a row names and write it as mmCIF with its provenance."""

from data.sources import fetch, network_of
from workflow.stage import stage

with stage(snakemake):
    fetch(
        snakemake.params.cell,
        "structure",
        snakemake.output.structure,
        base_urls=snakemake.params.base_urls,
        network=network_of(snakemake.config["fetch"]),
    )
