"""Foreign maps of a row as square maps of the query."""

from workflow.stage import stage
from workflow.stages import import_maps

with stage(snakemake):
    import_maps(snakemake)
