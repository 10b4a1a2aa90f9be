"""One of the published networks as weights to start from."""

from nets.trrosetta import published_weights
from workflow.stage import stage

with stage(snakemake):
    published_weights(int(snakemake.wildcards.k), snakemake.output[0])
