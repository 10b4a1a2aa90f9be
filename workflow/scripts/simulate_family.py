"""Training example of a simulated family on a real fold."""

from dca.accelerate import set_threads
from nets.dataset import build_simulated
from workflow.stage import stage

with stage(snakemake):
    set_threads(snakemake.threads)
    build_simulated(
        snakemake.input.truth,
        snakemake.output[0],
        rows=snakemake.params.rows,
        number=int(snakemake.wildcards.k),
        **snakemake.params.settings,
    )
