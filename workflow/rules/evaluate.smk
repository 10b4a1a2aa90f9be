# Reads:  maps.npz, refined maps, foreign maps, truth.npz, provenance.
# Writes: foreign.npz, scores.tsv, agreement.tsv (with predicted models), METHOD.rr and report.html of each protein; summary.tsv, index.html, run.json.
# Steps:  read foreign maps, score every method, write the pages.


rule reports:
    input:
        of_every("report.html", BATCHES.alone),
        kept_couplings(),
        BATCHES.markers,
        f"{RESULTS}/summary.tsv",
        f"{RESULTS}/index.html",


rule import_maps:
    input:
        lambda w: [path for _, path in PLAN.row(w.protein).maps],
        alignment=f"{RESULTS}/{{protein}}/alignment.npz",
    output:
        f"{RESULTS}/{{protein}}/foreign.npz",
    log:
        f"{RESULTS}/{{protein}}/logs/import_maps.log",
    benchmark:
        f"{RESULTS}/{{protein}}/benchmarks/import_maps.tsv"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(500, 50),
        runtime=10,
    params:
        **given("import_maps"),
    script:
        "../scripts/import_maps.py"


rule score_maps:
    input:
        truth=f"{RESULTS}/{{protein}}/truth.npz",
        maps=lambda w: PLAN.map_files(w.protein),
    output:
        scores=f"{RESULTS}/{{protein}}/scores.tsv",
        agreement=f"{RESULTS}/{{protein}}/agreement.tsv",
    log:
        f"{RESULTS}/{{protein}}/logs/score_maps.log",
    benchmark:
        f"{RESULTS}/{{protein}}/benchmarks/score_maps.tsv"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(500, 50),
        runtime=10,
    params:
        **given("score_maps"),
    script:
        "../scripts/score_maps.py"


rule write_report:
    input:
        unpack(lambda w: PLAN.report_files(w.protein)),
    output:
        report(
            f"{RESULTS}/{{protein}}/report.html",
            caption="../report/protein.rst",
            category="Proteins",
            labels={"protein": "{protein}"},
        ),
        directory(f"{RESULTS}/{{protein}}/exports"),
    log:
        f"{RESULTS}/{{protein}}/logs/write_report.log",
    benchmark:
        f"{RESULTS}/{{protein}}/benchmarks/write_report.tsv"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(500, 50),
        runtime=10,
    params:
        **given("write_report"),
    script:
        "../scripts/write_report.py"


rule write_overview:
    input:
        of_every("report.html", BATCHES.alone),
        of_every("scores.tsv", [p for p in BATCHES.alone if PLAN.row(p).structure]),
        BATCHES.markers,
        failed_before(PLAN),
    output:
        summary=report(
            f"{RESULTS}/summary.tsv", caption="../report/summary.rst", category="Run"
        ),
        index=report(
            f"{RESULTS}/index.html", caption="../report/overview.rst", category="Run"
        ),
        record=f"{RESULTS}/run.json",
    log:
        f"{RESULTS}/logs/write_overview.log",
    benchmark:
        f"{RESULTS}/logs/write_overview.benchmark.tsv"
    conda:
        "../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=overview_memory,
        runtime=30,
    params:
        settings=run_settings(PLAN),
        rows=[sorted(row.items()) for row in protein_rows(PLAN)],
        code=source_digest("data", "report"),
    script:
        "../scripts/write_overview.py"
