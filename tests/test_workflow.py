"""The whole workflow on small families: results, failures that stay a protein's own, what runs again."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from workflow_fixtures import LENGTH, ROOT, planned, snakemake, write_family, write_table

from report.exports import read_rr

METHODS = ["mi", "mean-field", "plm", "refined"]

# name, text of the alignment, other cells, stage that must fail, what its message must say
BAD_ALIGNMENTS = {
    "empty": ("", "fetch_alignment", "empty"),
    "ragged": (">a\nMKVLW\n>b\nMKVL\n", "fetch_alignment", "row"),
    "lonely": (">a\nMKVLWAALLVTFLAGCQA\n", "fetch_alignment", "one sequence"),
    "gaps": (">a\n-----\n>b\n-----\n", "fetch_alignment", "gap"),
    "dna": (">a\nACGTACGTACGTACGT\n>b\nACGTACGAACGTACGT\n", "fetch_alignment", "nucleotide"),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run over good and bad rows; returns its folder and the finished process."""
    folder = tmp_path_factory.mktemp("run")
    for seed, name in enumerate(["good", "other"]):
        write_family(folder, name, seed)
    rows = [
        {"protein": "good", "alignment": "good.fasta", "structure": "good.pdb", "first_index": "11"},
        {"protein": "alone", "alignment": "good.fasta"},
        {"protein": "mismatch", "alignment": "good.fasta", "structure": "other.pdb", "query": "good_0"},
        {"protein": "nochain", "alignment": "good.fasta", "structure": "good.pdb", "chain": "Z"},
        {"protein": "noquery", "alignment": "good.fasta", "query": "nobody_7"},
    ]
    for name, (text, *_) in BAD_ALIGNMENTS.items():
        (folder / f"{name}.fasta").write_text(text)
        rows.append({"protein": name, "alignment": f"{name}.fasta"})
    write_table(folder / "proteins.tsv", rows)
    done = snakemake(folder)
    return folder, done


def failure(folder, protein):
    return json.loads((folder / "results" / protein / "failure.json").read_text())


def test_failures_end_the_run_with_exit_code_1(run):
    assert run[1].returncode == 1, run[1].stdout + run[1].stderr


@pytest.mark.parametrize("protein", ["good", "alone"])
def test_good_rows_run_to_their_reports(run, protein):
    folder = run[0] / "results" / protein
    assert (folder / "report.html").stat().st_size > 10_000
    assert not (folder / "failure.json").exists()
    for method in METHODS:
        contacts = read_rr(folder / "exports" / f"{method}.rr")
        assert len(contacts.sequence) == LENGTH
        assert len(contacts.i) > LENGTH
    assert not (folder / "couplings.npz").exists()  # temporary unless the configuration keeps it


def test_only_a_structure_gives_scores(run):
    results = run[0] / "results"
    assert not (results / "alone" / "scores.tsv").exists()
    with (results / "good" / "scores.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert list(dict.fromkeys(row["method"] for row in rows)) == [
        "mi",
        "mean-field",
        "mean-field_di",
        "plm",
        "refined",
    ]
    assert {row["range"] for row in rows} == {"short", "medium", "long", "medium+long"}
    plm = {(r["range"], r["cut"]): float(r["precision"]) for r in rows if r["method"] == "plm"}
    # The couplings were planted on the true contacts: random pairs would be right in about one of ten.
    assert plm["medium+long", "L/5"] > 0.6


def test_residue_numbers_of_the_structure_are_kept(run):
    truth = np.load(run[0] / "results" / "good" / "truth.npz")
    assert list(truth["residue"][:2]) == ["101", "102"]
    assert truth["resolved"].all()
    assert float(truth["identity"]) == 1.0


@pytest.mark.parametrize(
    ("protein", "stage", "said"),
    [
        ("mismatch", "map_structure", "identity"),
        ("nochain", "prepare_alignment", "Z"),
        ("noquery", "prepare_alignment", "nobody_7"),
        *((name, stage, said) for name, (_, stage, said) in BAD_ALIGNMENTS.items()),
    ],
)
def test_a_bad_row_says_file_place_value_and_remedy(run, protein, stage, said):
    found = failure(run[0], protein)
    text = " ".join(str(value) for value in found.values())
    assert found["protein"] == protein
    assert found["stage"] == stage
    assert said in text
    assert found["remedy"]
    assert found["file"]
    assert found["kind"] in ("AlignmentError", "MappingError", "StructureError")
    assert not (run[0] / "results" / protein / "report.html").exists()


def test_summary_and_overview_are_written_over_what_is_there(run):
    results = run[0] / "results"
    with (results / "summary.tsv").open() as stream:
        status = {row["protein"]: row["status"] for row in csv.DictReader(stream, delimiter="\t")}
    assert status["good"] == status["alone"] == "finished"
    assert all(status[name] == "failed" for name in ["mismatch", "nochain", "noquery", *BAD_ALIGNMENTS])
    page = (results / "index.html").read_text()
    assert "nobody_7" in page
    assert "good/report.html" in page


def test_editing_a_row_runs_that_protein_alone(run):
    folder = run[0]
    table = folder / "proteins.tsv"
    before = table.read_text()
    good = {"protein": "good", "alignment": "good.fasta", "structure": "good.pdb", "first_index": "11"}
    alone = {"protein": "alone", "alignment": "good.fasta"}
    try:
        write_table(table, [good, alone])
        done = snakemake(folder, "--dry-run", check=0)
        assert planned(done.stdout) == set()
        assert "rule write_overview" in done.stdout  # it is of the run that failed
        write_table(table, [good, alone | {"region": "3-40"}])
        jobs = planned(snakemake(folder, "--dry-run", check=0).stdout)
        assert {protein for _, protein in jobs} == {"alone"}
        assert {"prepare_alignment", "infer_couplings", "refine_contacts", "write_report"} == {
            r for r, _ in jobs
        }
    finally:
        table.write_text(before)


@pytest.mark.parametrize("target", ["reports", "couplings"])
def test_couplings_of_finished_proteins_are_computed_where_they_are_to_be_kept(run, target):
    folder, table = run[0], run[0] / "proteins.tsv"
    before = table.read_text()
    try:
        write_table(table, [{"protein": "alone", "alignment": "good.fasta"}])
        done = snakemake(folder, "--dry-run", target, config=["dca={keep_couplings: true}"], check=0)
        assert ("infer_couplings", "alone") in planned(done.stdout)
    finally:
        table.write_text(before)


def test_an_overview_of_a_failed_run_is_written_anew(tmp_path):
    """Also where an earlier run had ended well, and the table is again the one that it had."""
    (tmp_path / "good.fasta").write_text(">a\nMKVLWAALLVTFLAG\n>b\nMKVLWAALLVTFLAR\n>c\nMKILWSALLVTYLAR\n")
    (tmp_path / "bad.fasta").write_text(">a\nMKVLW\n>b\nMKVL\n")
    rows = [{"protein": name, "alignment": f"{name}.fasta"} for name in ("good", "bad")]
    settings = ["dca={methods: [plm]}", "refine={weights: none}", "batch={proteins: 9, least: 1}"]
    listed = []
    for some, ended in ((rows, 1), (rows[:1], 0), (rows, 1), (rows[:1], 0)):
        write_table(tmp_path / "proteins.tsv", some)
        snakemake(tmp_path, config=settings, check=ended)
        text = (tmp_path / "results" / "summary.tsv").read_text()
        listed.append([row["protein"] for row in csv.DictReader(text.splitlines(), delimiter="\t")])
    assert [sorted(set(names)) for names in listed] == [["bad", "good"], ["good"]] * 2
    assert "Nothing to be done" in snakemake(tmp_path, "--dry-run", config=settings, check=0).stdout


def test_a_mended_row_forgets_its_failure(run):
    folder = run[0]
    table = folder / "proteins.tsv"
    before = table.read_text()
    try:
        write_table(table, [{"protein": "noquery", "alignment": "good.fasta", "query": "good_5"}])
        snakemake(folder, check=0)
        assert not (folder / "results" / "noquery" / "failure.json").exists()
        assert (folder / "results" / "noquery" / "report.html").exists()
    finally:
        table.write_text(before)


def test_a_failure_of_a_stage_that_is_gone_is_forgotten(run):
    folder, table = run[0], run[0] / "proteins.tsv"
    before = table.read_text()
    row = {"protein": "foreign", "alignment": "good.fasta", "maps": "mine=bad.rr"}
    (folder / "bad.rr").write_text("1 999 0 8 0.5\n")
    try:
        write_table(table, [row])
        snakemake(folder, check=1)
        assert failure(folder, "foreign")["stage"] == "import_maps"
        write_table(table, [row | {"maps": ""}])
        snakemake(folder, check=0)
        assert not (folder / "results" / "foreign" / "failure.json").exists()
    finally:
        table.write_text(before)


def test_an_unknown_key_of_the_config_stops_before_any_job(tmp_path):
    write_table(tmp_path / "proteins.tsv", [{"protein": "p", "alignment": "pfam:PF00072"}])
    done = snakemake(tmp_path, config=["dca={methods: [plm, magic]}", "treshold=3"], check=1)
    said = done.stdout + done.stderr
    assert "treshold" in said
    assert "magic" in said
    assert not (tmp_path / "results").exists()


def test_all_wrong_rows_are_listed_before_any_job(tmp_path):
    (tmp_path / "a.fasta").write_text(">a\nMKVLW\n>b\nMKVLF\n")
    (tmp_path / "proteins.tsv").write_text(
        "protein\talignment\tstructure\tregion\n"
        "p1\tmissing.a3m\t\t\n"
        "p2\tpfam:nonsense\t\t\n"
        "../p3\ta.fasta\t\t\n"
        "p4\ta.fasta\tabsent.pdb\t9-3\n"
        "p5\ta.fasta\t\t\textra\n"
        "p6\ta.fasta\t\t\n"
    )
    done = snakemake(tmp_path, check=1)
    said = done.stdout + done.stderr
    for wrong in ("missing.a3m", "pfam:nonsense", "../p3", "absent.pdb", "9-3", "line 6"):
        assert wrong in said
    assert not (tmp_path / "results").exists()
    done = snakemake(tmp_path, "--dry-run", config=["skip_bad_rows=true"], check=0)
    assert {protein for _, protein in planned(done.stdout)} == {"p6"}


def test_a_table_that_is_not_there_is_named(tmp_path):
    done = snakemake(tmp_path, check=1)
    assert "proteins.tsv" in done.stdout + done.stderr


def test_an_absent_folder_of_families_is_named(tmp_path):
    done = snakemake(tmp_path, config=["families={folder: nowhere, splits: [val]}", 'proteins=""'], check=1)
    assert "nowhere" in done.stdout + done.stderr
    assert "remedy" in done.stdout + done.stderr


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_stopped(tmp_path):
    names = ["first", "second", "third"]
    for seed, name in enumerate(names):
        write_family(tmp_path, name, seed)
    write_table(
        tmp_path / "proteins.tsv",
        [{"protein": n, "alignment": f"{n}.fasta", "structure": f"{n}.pdb"} for n in names],
    )
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
        "--directory", str(tmp_path), "--cores", "1",
        "--workflow-profile", str(ROOT / "workflow/profiles/default"), "--config", "proteins=proteins.tsv",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    wait_for(lambda: list(tmp_path.glob("results/*/maps.npz")), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    whole = {path: path.stat().st_mtime_ns for path in tmp_path.glob("results/*/maps.npz")}
    assert whole
    snakemake(tmp_path, check=0)
    assert len(list(tmp_path.glob("results/*/report.html"))) == 3
    kept = [path for path, time_ns in whole.items() if path.stat().st_mtime_ns == time_ns]
    assert len(kept) >= len(whole) - 1  # the job that was writing may have been cut off
    assert planned(snakemake(tmp_path, "--dry-run", check=0).stdout) == set()


def wait_for(condition, process, seconds=300):
    """Wait until a condition holds while the process lives."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


@pytest.mark.slow
def test_leave_one_out_training_never_reads_the_scored_cluster(tmp_path):
    for seed, name in enumerate(["first", "second"]):
        write_family(tmp_path, name, seed)
    write_table(
        tmp_path / "proteins.tsv",
        [
            {"protein": n, "alignment": f"{n}.fasta", "structure": f"{n}.pdb", "cluster": n}
            for n in ("first", "second")
        ],
    )
    train = (
        "train={scheme: leave-one-out, name: refined-here, depths: 1, simulated: 1, simulated_rows: 60,"
        " model: {channels: 8, blocks: 1}, settings: {steps: 4, batch: 1, crop: 32}}"
    )
    snakemake(tmp_path, config=[train], check=0)
    from data.homology import load_families
    from nets.checkpoint import load_refiner

    results = tmp_path / "results"
    for left_out, other in (("first", "second"), ("second", "first")):
        card = load_refiner(str(results / "model" / f"without-{left_out}" / "weights.safetensors")).card
        assert card["train"] == {"proteins": [other], "clusters": [other], "simulated": 1, "folds": 0}
        assert "refined-here" in (results / left_out / "scores.tsv").read_text()
        page = (results / left_out / "report.html").read_text()
        assert f"without-{left_out}" in page
        table = load_families(results / "model" / f"without-{left_out}" / "weights.families.tsv")
        assert [family.family for family in table] == [other]
        assert (
            f"The one family that the weights of refined-here (trained in this run, without-{left_out})"
            in page
        )


def test_runs_that_share_resources_do_not_share_files(tmp_path):
    """What a file was made from is known per working directory: the second run would take it as it is."""
    for seed, name in enumerate(["one", "two"]):
        (tmp_path / name).mkdir()
        write_family(tmp_path / name, "family", seed)
        os.utime(tmp_path / name / "family.fasta", (1, 1))
        write_table(tmp_path / name / "proteins.tsv", [{"protein": "P", "alignment": "family.fasta"}])
    shared = [f"resources={tmp_path / 'resources'}"]
    target = "results/P/alignment.npz"
    snakemake(tmp_path / "one", target, config=shared, check=0)
    snakemake(tmp_path / "two", target, config=shared, check=1)
    said = failure(tmp_path / "two", "P")
    assert said["stage"] == "prepare_alignment"
    assert "fetched for another row of the same name" in said["problem"]
    assert str(tmp_path / "one" / "family.fasta") in said["value"]
    snakemake(tmp_path / "two", target, check=0)  # with its own folder


@pytest.mark.slow
def test_snakemake_report_embeds_the_pages(run):
    folder, table = run[0], run[0] / "proteins.tsv"
    before = table.read_text()
    try:
        write_table(table, [{"protein": "alone", "alignment": "good.fasta"}])
        snakemake(folder, check=0)
        snakemake(folder, "--report", "report.zip", check=0)
        assert (folder / "report.zip").stat().st_size > 100_000
    finally:
        table.write_text(before)


def test_lint_is_clean():
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint", "--configfile", "config/demo.yaml"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (ROOT / "profiles").resolve() == (ROOT / "workflow" / "profiles").resolve()
