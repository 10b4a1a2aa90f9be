# Reads:  the cells `alignment`, `structure` and `query` of the protein table (a path, an accession, a package).
# Writes: resources/msa/P.a3m.gz, resources/structures/P.cif.gz (P~2.cif.gz of a second structure, ...),
#         resources/queries/P.fasta, provenance JSON beside each, P.pae.npz beside structures.
# Steps:  fetch or copy, check, bring into one format; search a local database.
# The rules fetch_* run on the machine that starts the run, and no other rule opens a socket.


rule fetch:
    input:
        expand(f"{RESOURCES}/msa/{{protein}}.a3m.gz", protein=PLAN.fetched),
        expand(f"{RESOURCES}/queries/{{protein}}.fasta", protein=PLAN.with_accession),
        [path for name in PLAN.with_structure for path in PLAN.structure_files(name)],


rule fetch_query:
    output:
        sequence=f"{RESOURCES}/queries/{{protein}}.fasta",
        provenance=f"{RESOURCES}/queries/{{protein}}.fasta.json",
    log:
        f"{RESULTS}/{{protein}}/logs/fetch_query.log",
    benchmark:
        f"{RESULTS}/{{protein}}/benchmarks/fetch_query.tsv"
    wildcard_constraints:
        protein=one_of(PLAN.with_accession),
    conda:
        "../envs/fetch.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        cell=lambda w: f"uniprotkb:{PLAN.accession(w.protein)}",
        base_urls=lambda w: mirrors(PLAN, f"uniprotkb:{PLAN.accession(w.protein)}"),
    script:
        "../scripts/fetch_query.py"


rule search_alignment:
    input:
        lambda w: PLAN.local_file(w.protein, "alignment"),
        lambda w: PLAN.query_file(w.protein),
    output:
        alignment=f"{RESOURCES}/msa/{{protein}}.a3m.gz",
        provenance=f"{RESOURCES}/msa/{{protein}}.a3m.gz.json",
    log:
        f"{RESULTS}/{{protein}}/logs/search_alignment.log",
    benchmark:
        f"{RESULTS}/{{protein}}/benchmarks/search_alignment.tsv"
    wildcard_constraints:
        protein=one_of(PLAN.searched),
    conda:
        "../envs/fetch.yaml"
    threads: lambda w: PLAN.search_threads(w.protein)
    resources:
        mem_mb=search_memory,
        runtime=600,
    params:
        cell=lambda w: PLAN.row(w.protein).alignment,
        query=lambda w: PLAN.query(w.protein),
        settings=config["search"],
    script:
        "../scripts/search_alignment.py"


rule fetch_alignment:
    input:
        lambda w: PLAN.local_file(w.protein, "alignment"),
        lambda w: PLAN.query_file(w.protein),
    output:
        alignment=f"{RESOURCES}/msa/{{protein}}.a3m.gz",
        provenance=f"{RESOURCES}/msa/{{protein}}.a3m.gz.json",
    log:
        f"{RESULTS}/{{protein}}/logs/fetch_alignment.log",
    benchmark:
        f"{RESULTS}/{{protein}}/benchmarks/fetch_alignment.tsv"
    wildcard_constraints:
        protein=one_of(PLAN.fetched),
    conda:
        "../envs/fetch.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        **given("fetch_alignment"),
    script:
        "../scripts/fetch_alignment.py"


rule fetch_structure:
    input:
        lambda w: local_input(structure_at(PLAN.row(w.protein), w.nth).cell),
    output:
        structure=f"{RESOURCES}/structures/{{protein}}{{nth}}.cif.gz",
        provenance=f"{RESOURCES}/structures/{{protein}}{{nth}}.cif.gz.json",
        pae=f"{RESOURCES}/structures/{{protein}}{{nth}}.pae.npz",
    log:
        f"{RESULTS}/{{protein}}/logs/fetch_structure{{nth}}.log",
    benchmark:
        f"{RESULTS}/{{protein}}/benchmarks/fetch_structure{{nth}}.tsv"
    conda:
        "../envs/fetch.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        **given("fetch_structure"),
    script:
        "../scripts/fetch_structure.py"
