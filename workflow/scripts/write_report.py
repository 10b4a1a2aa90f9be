"""Page and exports of one protein; a whole report ends an earlier failure."""

from workflow.stage import forget_failure, stage
from workflow.stages import write_report

with stage(snakemake):
    write_report(snakemake)
    forget_failure(snakemake)
