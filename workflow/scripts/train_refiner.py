"""Train the refiner on the examples of one fold."""

from nets.train import train_refiner
from workflow.stage import stage

with stage(snakemake):
    train_refiner(
        snakemake.params.files,
        snakemake.output[0],
        model=snakemake.params.train["model"],
        settings=snakemake.params.train["settings"],
        device=snakemake.params.device,
        threads=snakemake.threads,
        start=next(iter(snakemake.params.start), ""),
    )
