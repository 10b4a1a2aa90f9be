"""Training examples of simulated families on a batch of folds."""

from dca.accelerate import set_threads
from nets.folds import build_folds
from workflow.stage import stage

with stage(snakemake):
    set_threads(snakemake.threads)
    settings = snakemake.params.settings
    build_folds(
        snakemake.params.folder,
        snakemake.params.names,
        snakemake.output[0],
        seed=settings["seed"],
        pair_maps=settings["pair_maps"],
        with_alignment=settings.get("with_alignment", False),
    )
