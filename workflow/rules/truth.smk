# Reads:  alignment.npz and resources/structures/P.cif.gz.
# Writes: truth.npz, the true distances of the query's residues.
# Steps:  choose the chain, align the query to it, measure.


rule map_structure:
    input:
        alignment=f"{RESULTS}/{{protein}}/alignment.npz",
        structure=f"{RESOURCES}/structures/{{protein}}.cif.gz",
    output:
        f"{RESULTS}/{{protein}}/truth.npz",
    log:
        f"{RESULTS}/{{protein}}/logs/map_structure.log",
    benchmark:
        f"{RESULTS}/{{protein}}/benchmarks/map_structure.tsv"
    conda:
        "../envs/covarion.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(1000, 50),
        runtime=20,
    params:
        cell=lambda w: PLAN.row(w.protein).structure,
        chain=lambda w: PLAN.row(w.protein).chain,
        thresholds=config["structure"],
        code=source_digest("data"),
    script:
        "../scripts/map_structure.py"
