"""A published network's distance distributions of one protein, as labels to learn from."""

from dca.accelerate import set_threads
from nets.teacher import ask_teacher
from workflow.stage import stage

with stage(snakemake):
    set_threads(snakemake.threads)
    ask_teacher(snakemake.input.alignment, snakemake.output[0], snakemake.params.teacher, snakemake.threads)
