"""Distances of the query's residues in its structures."""

from workflow.stage import stage
from workflow.stages import map_structure

with stage(snakemake):
    map_structure(snakemake)
