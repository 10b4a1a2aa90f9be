# Reads:  resources/msa/P.a3m.gz (and the structure, to choose the query row by it).
# Writes: alignment.npz, weights.npz, maps.npz, contacts.npz, couplings.npz (kept only if the config says so).
# Steps:  tokens and filters, sequence weights, one map per method.


rule couplings:
    input:
        of_every("maps.npz"),


rule prepare_alignment:
    input:
        alignment=RESOURCES + "/msa/{protein}.a3m.gz",
        structure=lambda w: PLAN.structure_file(w.protein),
    output:
        RESULTS + "/{protein}/alignment.npz",
    params:
        filters=config["alignment"],
        query=lambda w: PLAN.row(w.protein).query,
        region=lambda w: PLAN.row(w.protein).region,
        first_index=lambda w: PLAN.row(w.protein).first_index,
        chain=lambda w: PLAN.row(w.protein).chain,
    log:
        RESULTS + "/{protein}/logs/prepare_alignment.log",
    benchmark:
        RESULTS + "/{protein}/benchmarks/prepare_alignment.tsv"
    threads: 1
    resources:
        mem_mb=megabytes(1000, 200),
        runtime=20,
    conda:
        "../envs/covarion.yaml"
    script:
        "../scripts/prepare_alignment.py"


rule infer_couplings:
    input:
        alignment=RESULTS + "/{protein}/alignment.npz",
    output:
        weights=RESULTS + "/{protein}/weights.npz",
        maps=RESULTS + "/{protein}/maps.npz",
        contacts=RESULTS + "/{protein}/contacts.npz",
        couplings=PLAN.kept(RESULTS + "/{protein}/couplings.npz", temp),
    params:
        settings={k: v for k, v in config["dca"].items() if k != "keep_couplings"},
        version=PLAN.dca_version,
    log:
        RESULTS + "/{protein}/logs/infer_couplings.log",
    benchmark:
        RESULTS + "/{protein}/benchmarks/infer_couplings.tsv"
    threads: 1
    resources:
        mem_mb=megabytes(3000, 400),
        runtime=240,
    conda:
        "../envs/covarion.yaml"
    script:
        "../scripts/infer_couplings.py"
