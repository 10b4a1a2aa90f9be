"""Training example of one protein: features at several depths, true distance bins."""

from dca.accelerate import set_threads
from nets.dataset import build_example
from workflow.stage import stage

with stage(snakemake):
    set_threads(snakemake.threads)
    build_example(
        snakemake.input.alignment, snakemake.input.truth, snakemake.output[0], **snakemake.params.settings
    )
