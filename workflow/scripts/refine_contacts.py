"""Contact probabilities and distances of one protein."""

from workflow.stage import stage
from workflow.stages import refine_contacts

with stage(snakemake):
    refine_contacts(snakemake)
