# Reads:  alignment.npz, weights.npz, truth.npz, provenance and the shipped weights.
# Writes: refined.npz (and NAME.npz of weights trained here), dataset.npz, teacher.npz, results/dataset/,
#         results/model/FOLD/ (FOLD~SEED/ of an ensemble's members).
# Steps:  features at several depths, a teacher's labels, simulated families, the data set in shards, training,
#         prediction.

from workflow.dataset_plan import DatasetPlan

DATASET = DatasetPlan(PLAN)


rule dataset:
    input:
        f"{RESULTS}/dataset/manifest.json",


rule train:
    input:
        [path for fold in PLAN.folds for path in PLAN.trained_files(fold)],


rule build_dataset:
    input:
        alignment=f"{RESULTS}/{{protein}}/alignment.npz",
        truth=f"{RESULTS}/{{protein}}/truth.npz",
    output:
        DATASET.kept(f"{RESULTS}/{{protein}}/dataset.npz", temp),
    log:
        f"{RESULTS}/{{protein}}/logs/build_dataset.log",
    benchmark:
        f"{RESULTS}/{{protein}}/benchmarks/build_dataset.tsv"
    conda:
        "../envs/refine.yaml"
    threads: 1
    resources:
        mem_mb=example_memory,
        runtime=refinement_time,
    params:
        settings=PLAN.example_settings,
        version=DATASET.version,
    script:
        "../scripts/build_dataset.py"


rule ask_teacher:
    input:
        alignment=f"{RESULTS}/{{protein}}/alignment.npz",
    output:
        DATASET.kept(f"{RESULTS}/{{protein}}/teacher.npz", temp),
    log:
        f"{RESULTS}/{{protein}}/logs/ask_teacher.log",
    benchmark:
        f"{RESULTS}/{{protein}}/benchmarks/ask_teacher.tsv"
    conda:
        "../envs/refine.yaml"
    threads: 1
    resources:
        mem_mb=teacher_memory,
        runtime=teacher_time,
    params:
        teacher=DATASET.teacher,
    script:
        "../scripts/ask_teacher.py"


rule simulate_family:
    input:
        truth=f"{RESULTS}/{{protein}}/truth.npz",
    output:
        DATASET.kept(f"{RESULTS}/{{protein}}/simulated-{{k}}.npz", temp),
    log:
        f"{RESULTS}/{{protein}}/logs/simulate_family-{{k}}.log",
    benchmark:
        f"{RESULTS}/{{protein}}/benchmarks/simulate_family-{{k}}.tsv"
    conda:
        "../envs/refine.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(1000, 400),
        runtime=60,
    params:
        rows=config["train"]["simulated_rows"],
        settings=PLAN.example_settings,
        version=DATASET.version,
    script:
        "../scripts/simulate_family.py"


rule simulate_folds:
    output:
        DATASET.kept(directory(f"{RESULTS}/model/simulated/{{batch}}"), temp),
    log:
        f"{RESULTS}/model/logs/simulate_folds-{{batch}}.log",
    benchmark:
        f"{RESULTS}/model/benchmarks/simulate_folds-{{batch}}.tsv"
    conda:
        "../envs/refine.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(1000, 1),
        runtime=240,
    params:
        folder=config["train"]["folds"]["folder"],
        names=lambda w: PLAN.fold_batches[w.batch],
        settings=PLAN.example_settings,
        version=DATASET.version,
    script:
        "../scripts/simulate_folds.py"


rule shard_dataset:
    input:
        lambda w: DATASET.inputs,
        provenance=lambda w: DATASET.records,
    output:
        manifest=f"{RESULTS}/dataset/manifest.json",
        shards=directory(f"{RESULTS}/dataset/shards"),
        card=f"{RESULTS}/dataset/README.md",
    log:
        f"{RESULTS}/dataset/logs/shard_dataset.log",
    benchmark:
        f"{RESULTS}/dataset/benchmarks/shard_dataset.tsv"
    conda:
        "../envs/refine.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: 3000 * attempt,
        runtime=240,
    params:
        files=lambda w: DATASET.files,
        sources=lambda w: DATASET.sources,
        megabytes=DATASET.megabytes,
        card=f"{workflow.basedir}/docs/dataset.md",
        seed=config["seed"],
    script:
        "../scripts/shard_dataset.py"


rule write_published:
    output:
        f"{RESULTS}/model/published/trrosetta-{{k}}.safetensors",
    log:
        f"{RESULTS}/model/logs/write_published-{{k}}.log",
    benchmark:
        f"{RESULTS}/model/benchmarks/write_published-{{k}}.tsv"
    conda:
        "../envs/refine.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: 2000 * attempt,
        runtime=10,
    script:
        "../scripts/write_published.py"


rule train_refiner:
    input:
        manifest=f"{RESULTS}/dataset/manifest.json",
        shards=f"{RESULTS}/dataset/shards",
        start=lambda w: DATASET.start_file,
    output:
        f"{RESULTS}/model/{{fold}}/weights.safetensors",
        f"{RESULTS}/model/{{fold}}/weights.families.tsv",
    log:
        f"{RESULTS}/model/logs/train_refiner-{{fold}}.log",
    benchmark:
        f"{RESULTS}/model/benchmarks/train_refiner-{{fold}}.tsv"
    conda:
        "../envs/refine.yaml"
    threads: 2 * DATASET.processes
    resources:
        mem_mb=lambda w, attempt: 4000 * attempt * DATASET.processes,
        runtime=1440,
        gpu=gpu_to_train("gpu"),
        gres=gpu_to_train("gres"),
    params:
        leave_out=lambda w: DATASET.left_out(w.fold),
        start=DATASET.start_file,
        train=lambda w: DATASET.training(w.fold),
        device=config["refine"]["device"],
    script:
        "../scripts/train_refiner.py"


rule refine_contacts:
    input:
        alignment=f"{RESULTS}/{{protein}}/alignment.npz",
        refiner=lambda w: PLAN.refiner_files(w.refiner, w.protein),
    output:
        f"{RESULTS}/{{protein}}/{{refiner}}.npz",
    log:
        f"{RESULTS}/{{protein}}/logs/refine_contacts-{{refiner}}.log",
    benchmark:
        f"{RESULTS}/{{protein}}/benchmarks/refine_contacts-{{refiner}}.tsv"
    conda:
        "../envs/refine.yaml"
    threads: 1
    resources:
        mem_mb=refinement_memory,
        runtime=refinement_time,
        gpu=gpu_to_predict("gpu"),
        gres=gpu_to_predict("gres"),
    params:
        **given("refine_contacts"),
    script:
        "../scripts/refine_contacts.py"
