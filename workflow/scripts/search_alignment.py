"""Build the alignment of a row by a search of the local database that it names."""

from data.search import SearchSettings, search
from workflow.stage import stage

with stage(snakemake):
    search(
        snakemake.params.query,
        snakemake.input[0],
        snakemake.output.alignment,
        SearchSettings(**snakemake.params.settings),
    )
