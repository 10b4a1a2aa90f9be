# Reads:  maps.npz, refined maps, foreign maps, truth.npz, provenance.
# Writes: foreign.npz, scores.tsv, METHOD.rr and report.html of each protein; summary.tsv, index.html, run.json.
# Steps:  read foreign maps, score every method, write the pages.


rule reports:
    input:
        of_every("report.html"),
        RESULTS + "/summary.tsv",
        RESULTS + "/index.html",


rule import_maps:
    input:
        lambda w: [path for _, path in PLAN.row(w.protein).maps],
        alignment=RESULTS + "/{protein}/alignment.npz",
    output:
        RESULTS + "/{protein}/foreign.npz",
    params:
        maps=lambda w: PLAN.row(w.protein).maps,
    log:
        RESULTS + "/{protein}/logs/import_maps.log",
    benchmark:
        RESULTS + "/{protein}/benchmarks/import_maps.tsv"
    threads: 1
    resources:
        mem_mb=megabytes(1000, 50),
        runtime=10,
    conda:
        "../envs/covarion.yaml"
    script:
        "../scripts/import_maps.py"


rule score_maps:
    input:
        truth=RESULTS + "/{protein}/truth.npz",
        maps=lambda w: PLAN.map_files(w.protein),
    output:
        RESULTS + "/{protein}/scores.tsv",
    params:
        code=source_digest("data"),
    log:
        RESULTS + "/{protein}/logs/score_maps.log",
    benchmark:
        RESULTS + "/{protein}/benchmarks/score_maps.tsv"
    threads: 1
    resources:
        mem_mb=megabytes(1000, 50),
        runtime=10,
    conda:
        "../envs/covarion.yaml"
    script:
        "../scripts/score_maps.py"


rule write_report:
    input:
        unpack(lambda w: PLAN.report_files(w.protein)),
    output:
        report(
            RESULTS + "/{protein}/report.html",
            caption="../report/protein.rst",
            category="Proteins",
            labels={"protein": "{protein}"},
        ),
        directory(RESULTS + "/{protein}/exports"),
    params:
        settings=run_settings(PLAN),
        report=config["report"],
        code=source_digest("data", "report"),
    log:
        RESULTS + "/{protein}/logs/write_report.log",
    benchmark:
        RESULTS + "/{protein}/benchmarks/write_report.tsv"
    threads: 1
    resources:
        mem_mb=megabytes(1000, 50),
        runtime=10,
    conda:
        "../envs/covarion.yaml"
    script:
        "../scripts/write_report.py"


rule write_overview:
    input:
        of_every("report.html"),
        of_every("scores.tsv", PLAN.with_structure),
    output:
        summary=report(RESULTS + "/summary.tsv", caption="../report/summary.rst", category="Run"),
        index=report(RESULTS + "/index.html", caption="../report/overview.rst", category="Run"),
        record=RESULTS + "/run.json",
    params:
        settings=run_settings(PLAN),
        rows=[sorted(row.items()) for row in protein_rows(PLAN)],
        code=source_digest("data", "report"),
    log:
        RESULTS + "/logs/write_overview.log",
    benchmark:
        RESULTS + "/logs/write_overview.benchmark.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    conda:
        "../envs/covarion.yaml"
    script:
        "../scripts/write_overview.py"
