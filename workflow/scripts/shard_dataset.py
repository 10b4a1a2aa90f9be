"""Training examples of all proteins as one data set: shards, manifest and card."""

from pathlib import Path

from nets.shards import write_shards
from workflow.stage import stage

with stage(snakemake):
    write_shards(
        snakemake.params.files,
        Path(snakemake.output.manifest).parent,
        snakemake.params.megabytes,
        snakemake.params.sources,
        card=snakemake.params.card,
        seed=snakemake.params.seed,
    )
