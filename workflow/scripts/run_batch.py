"""The stages of many small proteins."""

from workflow.batch_job import run_batch

run_batch(snakemake)
