# Reads:  resources/msa/P.a3m.gz (and the structure, to choose the query row by it).
# Writes: alignment.npz, weights.npz, maps.npz, contacts.npz, couplings.npz (kept only if the config says so).
# Steps:  tokens and filters, sequence weights, one map per method.


rule couplings:
    input:
        of_every("maps.npz", BATCHES.alone),
        kept_couplings(),
        BATCHES.markers,


rule prepare_alignment:
    input:
        alignment=f"{RESOURCES}/msa/{{protein}}.a3m.gz",
        structure=lambda w: PLAN.structure_file(w.protein),
        query=lambda w: PLAN.query_row_file(w.protein),
        made_before=lambda w: journal_of(w.protein),
    output:
        f"{RESULTS}/{{protein}}/alignment.npz",
    log:
        f"{RESULTS}/{{protein}}/logs/prepare_alignment.log",
    benchmark:
        f"{RESULTS}/{{protein}}/benchmarks/prepare_alignment.tsv"
    conda:
        "../envs/couplings.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(500, 200),
        runtime=20,
    params:
        **given("prepare_alignment"),
    script:
        "../scripts/prepare_alignment.py"


rule infer_couplings:
    input:
        alignment=f"{RESULTS}/{{protein}}/alignment.npz",
    output:
        weights=f"{RESULTS}/{{protein}}/weights.npz",
        maps=f"{RESULTS}/{{protein}}/maps.npz",
        contacts=f"{RESULTS}/{{protein}}/contacts.npz",
        couplings=PLAN.kept(f"{RESULTS}/{{protein}}/couplings.npz", temp),
    log:
        f"{RESULTS}/{{protein}}/logs/infer_couplings.log",
    benchmark:
        f"{RESULTS}/{{protein}}/benchmarks/infer_couplings.tsv"
    conda:
        "../envs/couplings.yaml"
    threads: 1
    resources:
        mem_mb=inference_memory,
        runtime=inference_time,
    params:
        **given("infer_couplings"),
    script:
        "../scripts/infer_couplings.py"
