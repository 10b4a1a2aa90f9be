# Reads:  the configuration and the protein table.
# Gives:  PLAN, the paths of each protein's files, and what jobs ask for.
# A wrong configuration or row ends the run here, before any job, with all problems listed.

import os
import re

from data.errors import CovarionError
from data.registry import parse_cell
from data.table import NAME, RESERVED
from snakemake.exceptions import WorkflowError
from workflow import resources as needs
from workflow.batches import Batches
from workflow.journal import NAME as JOURNAL
from workflow.members import ARGUMENTS, mirrors
from workflow.networks import member_configs
from workflow.plan import Plan, source_digest
from workflow.progress import Remaining
from workflow.structure_files import local_input, structure_at
from workflow.run_record import failed_before, protein_rows, run_settings
from workflow.run_record import write_overview_after_failure

try:
    PLAN = Plan.from_config(config, checked=not workflow.is_main_process)
except CovarionError as error:
    raise WorkflowError(str(error)) from error

config = (
    PLAN.config
)  # typed; what was given as text on the command line is a number or a boolean

for problem in PLAN.problems:
    logger.warning(f"row skipped: {problem}")
for remark in PLAN.remarks:
    logger.warning(remark)

if workflow.is_main_process and not workflow.output_settings.dryrun:
    logger.addHandler(Remaining(logger))

RESULTS, RESOURCES = config["results"], config["resources"]
BATCHES = Batches.of(
    PLAN, planning=workflow.is_main_process, kept=not workflow.output_settings.dryrun
)


def one_of(names):
    """Pattern of these names alone; of any name where they are all of very many.

    Snakemake compiles the pattern anew for each file of each rule, in seconds for thousands of names.
    """
    if len(names) > 500 and len(names) == len(PLAN.names):
        return f"(?!(?:{'|'.join(map(re.escape, sorted(RESERVED)))})/){NAME}"
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    protein=one_of(PLAN.names),
    refiner="refined(-[a-z0-9-]+)?",
    fold="(all|without-[A-Za-z0-9_.-]+)(~[0-9]+)?",
    nth="(~[0-9]+)?",
    k="[0-9]+",
    batch="[0-9]+",
    part="[0-9]+(\.[0-9]+)?",


localrules:
    all,
    fetch,
    couplings,
    dataset,
    train,
    reports,
    fetch_alignment,
    fetch_query,
    fetch_structure,


def of_every(name, proteins=None):
    """A file of each protein's result folder."""
    return [
        PLAN.result(p, name) for p in (PLAN.names if proteins is None else proteins)
    ]


def kept_couplings():
    """Couplings of proteins with jobs of their own, where they are kept: wanted of finished proteins too."""
    return of_every(
        "couplings.npz", BATCHES.alone if config["dca"].get("keep_couplings") else []
    )


def given(rule):
    """Parameters of a rule that a batch gives its stages too."""
    names, arguments = ARGUMENTS[rule]
    return {name: lambda w, name=name: arguments(PLAN, w)[name] for name in names}


def megabytes(base, factor):
    """Memory that grows with the size of the inputs and with each retry."""

    def ask(wildcards, input, attempt):
        return needs.memory_mb(base + factor * input.size_mb, attempt)

    return ask


def sizes_of(input):
    """N and L of each alignment among the inputs of a job."""
    return needs.alignment_sizes(
        path for path in input if path.endswith("alignment.npz")
    )


def search_memory(wildcards, attempt, threads):
    """By the files of the database: the input is a small one of them."""
    program, database = parse_cell(PLAN.row(wildcards.protein).alignment)
    return needs.memory_mb(needs.search_mb(program, database, threads), attempt)


def inference_memory(wildcards, input, attempt, threads):
    return needs.memory_mb(
        needs.inference_mb(
            sizes_of(input), config["dca"]["methods"], threads, config["dca"]["nulls"]
        ),
        attempt,
    )


def inference_time(wildcards, input, attempt, threads):
    return needs.minutes(
        needs.inference_seconds(
            sizes_of(input), config["dca"]["methods"], threads, config["dca"]["nulls"]
        ),
        attempt,
    )


def networks(names):
    """Shapes of the networks behind refined maps of these names."""
    return [shape for name in names for shape in member_configs(PLAN, name)]


def refinement_memory(wildcards, input, attempt):
    size = needs.refinement_mb(sizes_of(input), *networks([wildcards.refiner]))
    return needs.memory_mb(size, attempt)


def example_memory(wildcards, input, attempt):
    own = (
        config["train"]["model"].get("architecture") == "trrosetta"
    )  # in 16 bits, not 8
    size = needs.example_mb(sizes_of(input), config["train"]["depths"] * (1 + own))
    return needs.memory_mb(size, attempt)


def mapping_memory(wildcards, input, attempt):
    size = needs.mapping_mb(sizes_of(input), input.structures)
    return needs.memory_mb(size, attempt)


def overview_memory(wildcards, attempt):
    return needs.memory_mb(needs.overview_mb(len(PLAN.names)), attempt)


def refinement_time(wildcards, input, attempt, threads):
    refiner = wildcards.get("refiner")  # an example has features alone
    shapes = networks([refiner]) if refiner else []
    return needs.minutes(
        needs.refinement_seconds(sizes_of(input), threads, *shapes), attempt
    )


def teacher_memory(wildcards, input, attempt):
    return needs.memory_mb(needs.teacher_mb(sizes_of(input)), attempt)


def teacher_time(wildcards, input, attempt, threads):
    return needs.minutes(needs.teacher_seconds(sizes_of(input), threads), attempt)


def gpu_to_train(name):
    count = config["train"].get("processes", 1)
    return needs.gpu_request(name, config["cluster"], count=count)


def gpu_to_predict(name):
    """A GPU for a prediction of many columns; sizes are looked up only where one may be asked for."""
    if gpu_to_train(name) is None:
        return None

    def ask(wildcards, input):
        length = max((columns for _, columns in sizes_of(input)), default=0)
        return needs.gpu_request(name, config["cluster"], length)

    return ask


def largest_members(part):
    """N and L that the configuration allows, for each member: their sizes are not known when a job is asked for."""
    size = (config["batch"]["deepest"], config["batch"]["longest"])
    return [size] * len(BATCHES.parts[part])


def batch_memory(wildcards, attempt):
    """Of the largest member: kernels and network stay in memory beside each other and beside a structure."""
    sizes, methods = largest_members(wildcards.part), config["dca"]["methods"]
    mapped = [
        needs.mapping_of_texts_mb(sizes[:1], texts)
        for texts in BATCHES.texts(wildcards.part)
    ]
    inferred = needs.inference_mb(sizes, methods, nulls=config["dca"]["nulls"])
    refined = needs.refinement_mb(sizes, *networks(PLAN.refiners))
    return needs.memory_mb(max([inferred, *mapped]) + refined, attempt)


def batch_time(wildcards, attempt, threads):
    sizes, methods = largest_members(wildcards.part), config["dca"]["methods"]
    return needs.minutes(
        needs.inference_seconds(sizes, methods, threads, config["dca"]["nulls"])
        + needs.refinement_seconds(sizes, threads, *networks(PLAN.refiners)),
        attempt,
    )


def journal_of(protein):
    """Journal of a protein that a batch made, for jobs of its own: what the batch left is then older than it."""
    path = PLAN.result(protein, JOURNAL)
    return [path] if os.path.exists(path) else []
