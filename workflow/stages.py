"""The stages of one protein: each calls one function of a package.

A stage takes what Snakemake gives a script: ``input``, ``output``, ``params``, ``wildcards``, ``threads``,
``config``. A rule's script hands over Snakemake's own object, a batch (`workflow.batch_job`) one of its own
making (`workflow.members`). Packages are loaded when their stage runs, so that a job pays for no other.
"""

from typing import Any


def fetch_alignment(job: Any) -> None:
    """Fetch the alignment that a row names and write it as A3M with its provenance."""
    _fetch(job, "alignment", query=job.params.query, protein=job.wildcards.protein)


def fetch_structure(job: Any) -> None:
    """Fetch a structure that a row names and write it as mmCIF with its provenance."""
    _fetch(job, "structure")


def fetch_query(job: Any) -> None:
    """Fetch the sequence of the accession that a row's query is and write it as FASTA with its provenance."""
    _fetch(job, "sequence")


def _fetch(job: Any, kind: str, **more: str) -> None:
    """Fetch what a cell names; the output has the name of its kind."""
    from data.sources import fetch, network_of

    network = network_of(job.config["fetch"])
    fetch(
        job.params.cell,
        kind,
        getattr(job.output, kind),
        base_urls=job.params.base_urls,
        network=network,
        **more,
    )


def prepare_alignment(job: Any) -> None:
    """Alignment to tokens: choose the query, crop, filter, report."""
    from data.prepare import prepare_alignment, require_origin

    require_origin(job.input.alignment, job.params.cell, job.params.searched)
    prepare_alignment(
        job.input.alignment,
        job.output[0],
        structure=job.input.get("structure") or "",
        chain=job.params.chain,
        query=job.params.query,
        region=job.params.region,
        first_index=job.params.first_index,
        filters=job.params.filters,
    )


def infer_couplings(job: Any) -> None:
    """Tokens to sequence weights, couplings and one map per method."""
    from data.memory import give_back_freed
    from dca.accelerate import set_threads
    from dca.methods import infer_maps

    give_back_freed()  # of one method, before the next
    set_threads(job.threads)
    infer_maps(job.input.alignment, dict(job.output.items()), **job.params.settings)


def map_structure(job: Any) -> None:
    """Distances of the query's residues in its structures."""
    from data.prepare import map_structure, require_origin

    for path, cell in zip(job.input.structures, job.params.cells, strict=True):
        require_origin(path, cell)
    map_structure(
        job.input.alignment,
        list(job.input.structures),
        job.output[0],
        chains=job.params.chains,
        **job.params.thresholds,
    )


def import_maps(job: Any) -> None:
    """Foreign maps of a row as square maps of the query."""
    from data.foreign import import_maps

    import_maps(job.params.maps, job.input.alignment, job.output[0])


def refine_contacts(job: Any) -> None:
    """Contact probabilities and distances of one protein."""
    from dca.accelerate import set_threads
    from nets.predict import refine_file

    set_threads(job.threads)
    refiner = job.input.refiner  # of a batch always a list, of a job of its own a path where there is one
    refine_file(
        job.input.alignment,
        job.output[0],
        refiner=refiner if isinstance(refiner, str) else list(refiner),
        name=job.params.name,
        device=job.params.device,
        threads=job.threads,
        protein=job.wildcards.protein,
        cluster=job.params.cluster,
    )


def score_maps(job: Any) -> None:
    """Precision of every map of one protein, and its agreement with predicted models."""
    from data.scoring import score_files

    score_files(
        job.wildcards.protein, job.input.truth, job.input.maps, job.output.scores, job.output.agreement
    )


def write_report(job: Any) -> None:
    """Page and exports of one protein."""
    from report.page import write_protein
    from workflow.run_record import run_versions

    write_protein(
        job.wildcards.protein,
        dict(job.input.items()),
        settings=job.params.settings,
        versions=run_versions(),
        page=job.output[0],
        exports=job.output[1],
        **job.params.report,
    )
