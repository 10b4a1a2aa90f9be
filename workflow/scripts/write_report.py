"""Page and exports of one protein; a whole report ends an earlier failure."""

from report.page import write_protein
from workflow.run_record import run_versions
from workflow.stage import forget_failure, stage

with stage(snakemake):
    write_protein(
        snakemake.wildcards.protein,
        dict(snakemake.input.items()),
        settings=snakemake.params.settings,
        versions=run_versions(),
        page=snakemake.output[0],
        exports=snakemake.output[1],
        **snakemake.params.report,
    )
    forget_failure(snakemake)
