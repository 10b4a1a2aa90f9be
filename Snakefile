# Covarion: contacts of proteins from the coevolution of their families.
#
#   alignment + structure -> couplings -> refined map -> scores -> report      (docs/architecture.md)
#
#   snakemake                      every protein of the table, its report and the overview
#   snakemake fetch                what needs a network
#   snakemake couplings | dataset | train | reports
#
# One stage per file; each opens with what it reads and writes.
import os
import sys

from snakemake.utils import min_version

min_version("9.0")

# The repository, also where this file is a module of another workflow, comes first on the path of this process
# and of every job: other packages named `data`, `dca` or `nets` exist on the index.
HERE = str(workflow.current_basedir)
os.environ.update(PYTHONPATH=os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")]))
sys.path.insert(0, HERE)


configfile: os.path.join(HERE, "config", "config.yaml")


include: "workflow/rules/common.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/couplings.smk"
include: "workflow/rules/truth.smk"
include: "workflow/rules/refine.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/batch.smk"


rule all:
    default_target: True
    input:
        rules.reports.input,


onerror:
    # A protein's failure is its own: the summary and the overview are written over what is there.
    write_overview_after_failure(PLAN)
