# Reads:  what the table names of many small proteins, and what was fetched for them.
# Writes: all that the other rules write of each of them, and made.jsonl, the journal of its stages; a table of the batch.
# Steps:  the other rules' stages, protein by protein in one process (workflow/batch_job.py).


def largest_members(part):
    """N and L that the configuration allows, for each member: their sizes are not known when a job is asked for."""
    size = (config["batch"]["deepest"], config["batch"]["longest"])
    return [size] * len(BATCHES.parts[part])


def batch_memory(wildcards, attempt):
    """Of the largest member: kernels and network stay in memory beside each other."""
    sizes, methods = largest_members(wildcards.part), config["dca"]["methods"]
    return needs.memory_mb(
        needs.inference_mb(sizes, methods) + needs.refinement_mb(sizes), attempt
    )


def batch_time(wildcards, attempt, threads):
    sizes, methods = largest_members(wildcards.part), config["dca"]["methods"]
    return needs.minutes(
        needs.inference_seconds(sizes, methods, threads)
        + needs.refinement_seconds(sizes, threads),
        attempt,
    )


rule run_batch:
    input:
        lambda w: BATCHES.inputs(w.part),
    output:
        f"{RESULTS}/batches/{{part}}.tsv",
    log:
        f"{RESULTS}/batches/{{part}}.log",
    benchmark:
        f"{RESULTS}/batches/{{part}}.benchmark.tsv"
    conda:
        "../envs/covarion.yaml"
    threads: 1
    resources:
        mem_mb=batch_memory,
        runtime=batch_time,
    params:
        rows=lambda w: BATCHES.rows(w.part),
        told=lambda w: BATCHES.told(w.part),
    script:
        "../scripts/run_batch.py"
