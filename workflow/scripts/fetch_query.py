"""Fetch the sequence of the accession that a row's query is and write it as FASTA with its provenance."""

from data.sources import fetch, network_of
from workflow.stage import stage

with stage(snakemake):
    fetch(
        snakemake.params.cell,
        "sequence",
        snakemake.output.sequence,
        base_urls=snakemake.params.base_urls,
        network=network_of(snakemake.config["fetch"]),
    )
