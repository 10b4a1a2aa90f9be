"""Build the alignment of a row by a search of the local database that it names."""

from data.registry import parse_cell
from data.search import SearchSettings, search
from workflow.stage import stage

with stage(snakemake):
    program, database = parse_cell(snakemake.params.cell)
    search(
        snakemake.params.query,
        database,
        snakemake.output.alignment,
        SearchSettings(**snakemake.params.settings),
        program,
        snakemake.threads,
        snakemake.resources.mem_mb * 1_000_000,
    )
