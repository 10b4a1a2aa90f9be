# Reads:  alignment.npz and all of resources/structures/P*.cif.gz of the row.
# Writes: truth.npz, the distances of the query's residues in each structure and in the assembly of the first.
# Steps:  choose the chain, align the query to it, measure.


rule map_structure:
    input:
        alignment=f"{RESULTS}/{{protein}}/alignment.npz",
        structures=lambda w: PLAN.structure_files(w.protein),
    output:
        f"{RESULTS}/{{protein}}/truth.npz",
    log:
        f"{RESULTS}/{{protein}}/logs/map_structure.log",
    benchmark:
        f"{RESULTS}/{{protein}}/benchmarks/map_structure.tsv"
    conda:
        "../envs/truth.yaml"
    threads: 1
    resources:
        mem_mb=mapping_memory,
        runtime=20,
    params:
        **given("map_structure"),
    script:
        "../scripts/map_structure.py"
