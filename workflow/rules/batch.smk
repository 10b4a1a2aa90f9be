# Reads:  what the table names of many small proteins, and what was fetched for them.
# Writes: all that the other rules write of each of them, and made.jsonl, the journal of its stages; a table of the batch.
# Steps:  the other rules' stages, protein by protein in one process (workflow/batch_job.py).


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
        "../envs/batch.yaml"
    threads: 1
    resources:
        mem_mb=batch_memory,
        runtime=batch_time,
    params:
        rows=lambda w: BATCHES.rows(w.part),
        told=lambda w: BATCHES.told(w.part),
    script:
        "../scripts/run_batch.py"
