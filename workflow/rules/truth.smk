# Reads:  alignment.npz and resources/structures/P.cif.gz.
# Writes: truth.npz, the true distances of the query's residues.
# Steps:  choose the chain, align the query to it, measure.


rule map_structure:
    input:
        alignment=RESULTS + "/{protein}/alignment.npz",
        structure=RESOURCES + "/structures/{protein}.cif.gz",
    output:
        RESULTS + "/{protein}/truth.npz",
    params:
        chain=lambda w: PLAN.row(w.protein).chain,
        thresholds=config["structure"],
    log:
        RESULTS + "/{protein}/logs/map_structure.log",
    benchmark:
        RESULTS + "/{protein}/benchmarks/map_structure.tsv"
    threads: 1
    resources:
        mem_mb=megabytes(1000, 50),
        runtime=20,
    conda:
        "../envs/covarion.yaml"
    script:
        "../scripts/map_structure.py"
