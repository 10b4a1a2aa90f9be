"""Foreign maps of a row as square maps of the query."""

from data.foreign import import_maps
from workflow.stage import stage

with stage(snakemake):
    import_maps(snakemake.params.maps, snakemake.input.alignment, snakemake.output[0])
