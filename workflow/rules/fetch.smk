# Reads:  the cells `alignment` and `structure` of the protein table (a path, an accession, a package).
# Writes: resources/msa/P.a3m.gz and resources/structures/P.cif.gz, provenance JSON beside each.
# Steps:  fetch or copy, check, bring into one format. The only rules that may open a socket.


rule fetch:
    input:
        expand(RESOURCES + "/msa/{protein}.a3m.gz", protein=PLAN.names),
        expand(RESOURCES + "/structures/{protein}.cif.gz", protein=PLAN.with_structure),


rule fetch_alignment:
    input:
        lambda w: PLAN.local_file(w.protein, "alignment"),
    output:
        alignment=RESOURCES + "/msa/{protein}.a3m.gz",
        provenance=RESOURCES + "/msa/{protein}.a3m.gz.json",
    params:
        cell=lambda w: PLAN.row(w.protein).alignment,
        options=config.get("fetch", {}),
    log:
        RESULTS + "/{protein}/logs/fetch_alignment.log",
    benchmark:
        RESULTS + "/{protein}/benchmarks/fetch_alignment.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    conda:
        "../envs/covarion.yaml"
    script:
        "../scripts/fetch_alignment.py"


rule fetch_structure:
    input:
        lambda w: PLAN.local_file(w.protein, "structure"),
    output:
        structure=RESOURCES + "/structures/{protein}.cif.gz",
        provenance=RESOURCES + "/structures/{protein}.cif.gz.json",
    params:
        cell=lambda w: PLAN.row(w.protein).structure,
        options=config.get("fetch", {}),
    log:
        RESULTS + "/{protein}/logs/fetch_structure.log",
    benchmark:
        RESULTS + "/{protein}/benchmarks/fetch_structure.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    conda:
        "../envs/covarion.yaml"
    script:
        "../scripts/fetch_structure.py"
