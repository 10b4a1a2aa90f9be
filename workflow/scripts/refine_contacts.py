"""Contact probabilities and distances of one protein."""

from dca.accelerate import set_threads
from nets.predict import refine_file
from workflow.stage import stage

with stage(snakemake):
    set_threads(snakemake.threads)
    refine_file(
        snakemake.input.alignment,
        snakemake.output[0],
        refiner=snakemake.input.refiner,
        name=snakemake.params.name,
        device=snakemake.params.device,
        threads=snakemake.threads,
        protein=snakemake.wildcards.protein,
        cluster=snakemake.params.cluster,
    )
