# Reads:  alignment.npz, weights.npz, truth.npz and the shipped weights.
# Writes: refined.npz (and NAME.npz of weights trained here), dataset.npz, results/model/FOLD/.
# Steps:  features at several depths, simulated families, training, prediction.


rule dataset:
    input:
        lambda w: sorted({f["path"] for fold in PLAN.folds for f in PLAN.training_files(fold)}),


rule train:
    input:
        [f"{RESULTS}/model/{fold}/weights.safetensors" for fold in PLAN.folds],


rule build_dataset:
    input:
        alignment=RESULTS + "/{protein}/alignment.npz",
        truth=RESULTS + "/{protein}/truth.npz",
    output:
        RESULTS + "/{protein}/dataset.npz",
    params:
        settings=PLAN.example_settings,
    log:
        RESULTS + "/{protein}/logs/build_dataset.log",
    benchmark:
        RESULTS + "/{protein}/benchmarks/build_dataset.tsv"
    threads: 1
    resources:
        mem_mb=megabytes(3000, 400),
        runtime=60,
    conda:
        "../envs/covarion.yaml"
    script:
        "../scripts/build_dataset.py"


rule simulate_family:
    input:
        truth=RESULTS + "/{protein}/truth.npz",
    output:
        RESULTS + "/{protein}/simulated-{k}.npz",
    params:
        rows=config["train"]["simulated_rows"],
        settings=PLAN.example_settings,
    log:
        RESULTS + "/{protein}/logs/simulate_family-{k}.log",
    benchmark:
        RESULTS + "/{protein}/benchmarks/simulate_family-{k}.tsv"
    threads: 1
    resources:
        mem_mb=megabytes(3000, 400),
        runtime=60,
    conda:
        "../envs/covarion.yaml"
    script:
        "../scripts/simulate_family.py"


rule train_refiner:
    input:
        lambda w: [f["path"] for f in PLAN.training_files(w.fold)],
    output:
        RESULTS + "/model/{fold}/weights.safetensors",
    params:
        files=lambda w: PLAN.training_files(w.fold),
        train=config["train"],
        device=config["refine"]["device"],
    log:
        RESULTS + "/model/logs/train_refiner-{fold}.log",
    benchmark:
        RESULTS + "/model/benchmarks/train_refiner-{fold}.tsv"
    threads: 2
    resources:
        mem_mb=megabytes(4000, 1),
        runtime=1440,
    conda:
        "../envs/covarion.yaml"
    script:
        "../scripts/train_refiner.py"


rule refine_contacts:
    input:
        alignment=RESULTS + "/{protein}/alignment.npz",
        weights=RESULTS + "/{protein}/weights.npz",
        refiner=lambda w: PLAN.refiner_file(w.refiner, w.protein),
    output:
        RESULTS + "/{protein}/{refiner}.npz",
    params:
        name=lambda w: PLAN.refiner_name(w.refiner, w.protein),
        device=config["refine"]["device"],
    log:
        RESULTS + "/{protein}/logs/refine_contacts-{refiner}.log",
    benchmark:
        RESULTS + "/{protein}/benchmarks/refine_contacts-{refiner}.tsv"
    threads: 1
    resources:
        mem_mb=megabytes(3000, 400),
        runtime=60,
    conda:
        "../envs/covarion.yaml"
    script:
        "../scripts/refine_contacts.py"
