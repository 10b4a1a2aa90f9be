"""Summary and overview of the run."""

from workflow.plan import Plan
from workflow.run_record import write_overview_of
from workflow.stage import stage

with stage(snakemake):
    write_overview_of(Plan.from_config(snakemake.config))
