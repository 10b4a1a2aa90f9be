"""Fetch the sequence of the accession that a row's query is and write it as FASTA with its provenance."""

from workflow.stage import stage
from workflow.stages import fetch_query

with stage(snakemake):
    fetch_query(snakemake)
