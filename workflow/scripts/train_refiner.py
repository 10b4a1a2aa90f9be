"""Train the refiner on the data set without one cluster, or on all of it."""

from nets.launch import train_in_processes
from workflow.stage import stage

with stage(snakemake):
    how = snakemake.config["train"]
    processes = int(how.get("processes", 1))
    train_in_processes(
        processes,
        snakemake.input.manifest,
        snakemake.output[0],
        **snakemake.params.train,
        leave_out=snakemake.params.leave_out,
        start=next(iter(snakemake.params.start), ""),
        device=snakemake.params.device,
        threads=max(1, snakemake.threads // processes),
        readers=int(how.get("readers", 1)),
        minutes=float(how.get("stop_after", 0)),
    )
