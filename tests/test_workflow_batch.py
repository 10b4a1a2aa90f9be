"""Batches of small proteins: who is in them, and that each member keeps to itself."""

import contextlib
import csv
import gzip
import json
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from data_fixtures import backbone, write_pdb
from workflow_fixtures import ROOT, snakemake, write_family, write_table

from data.alphabet import decode
from data.extent import alignment_extent
from workflow import stages
from workflow.batch_job import run_batch
from workflow.batches import Batches, chunks, plan_of_rows
from workflow.journal import NAME, Journal
from workflow.members import member_tasks
from workflow.plan import Plan

COUNT, BAD = 50, "p17"
STAGES = [
    *("fetch_alignment", "fetch_structure", "prepare_alignment", "infer_couplings"),
    *("map_structure", "score_maps", "write_report"),
]
SMALL = ["batch={proteins: 50, least: 2, longest: 150, deepest: 1000}"]


def write_tiny(folder, name, seed, length=16, rows=12):
    """A family of random letters and a straight chain of its query."""
    tokens = np.random.default_rng(seed).integers(0, 20, size=(rows, length)).astype(np.int8)
    text = "".join(f">{name}_{n}\n{decode(row)}\n" for n, row in enumerate(tokens))
    (folder / f"{name}.fasta").write_text(text)
    places = [(3.8 * min(k, length - 1 - k), 5.0 * (2 * k >= length), 0.0) for k in range(length)]
    query = decode(tokens[0])
    write_pdb(
        folder / f"{name}.pdb", [x for k, at in enumerate(places) for x in backbone(query[k], k + 1, at)]
    )


def config_of(table="proteins.tsv", **changes):
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    config |= {
        "proteins": str(table),
        "batch": {"proteins": COUNT, "longest": 150, "deepest": 1000, "least": 2},
    }
    config["refine"] = config["refine"] | {"weights": "none"}
    config["dca"] = config["dca"] | {"methods": ["plm"]}
    for key, value in changes.items():
        config[key] = config[key] | value
    return config


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Fifty tiny proteins, the working directory at their table; one has an alignment of ragged rows."""
    monkeypatch.chdir(tmp_path)
    rows = []
    for seed in range(COUNT):
        write_tiny(tmp_path, f"p{seed}", seed)
        rows.append({"protein": f"p{seed}", "alignment": f"p{seed}.fasta", "structure": f"p{seed}.pdb"})
    good = (tmp_path / f"{BAD}.fasta").read_text()
    (tmp_path / f"{BAD}.good").write_text(good)
    (tmp_path / f"{BAD}.fasta").write_text(good[:-5] + "\n")
    write_table(tmp_path / "proteins.tsv", rows)
    return tmp_path


def run(config=None, names=None):
    """Run a batch of the table in this process; its exit message and what ran, by protein."""
    config = config or config_of()
    batches = Batches.of(Plan.from_config(config), planning=True, kept=False)
    assert list(batches.parts) == [part for part in batches.parts if re.fullmatch(r"[0-9.]+", part)]
    rows = [
        row for part in batches.parts for row in batches.rows(part) if not names or row["protein"] in names
    ]
    job = SimpleNamespace(
        config=config,
        params=SimpleNamespace(rows=rows),
        log=["results/batches/0000.log"],
        output=["results/batches/0000.tsv"],
    )
    before = {row["protein"]: records(row["protein"]) for row in rows}
    try:
        run_batch(job)
        message = ""
    except SystemExit as ended:
        message = str(ended)
    ran = {
        name: [r["stage"] for r in records(name)[len(old) :] if "key" in r] for name, old in before.items()
    }
    return message, {name: found for name, found in ran.items() if found}


def records(protein):
    path = Path("results", protein, NAME)
    found = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError):
            found += [json.loads(line)] if line.startswith('{"') else []
    return found


def test_one_bad_protein_of_fifty(folder):
    message, ran = run()
    assert message == f"1 of {COUNT} proteins failed: {BAD} (fetch_alignment)"
    assert {name: found for name, found in ran.items() if found != STAGES} == {}
    assert set(ran) == {f"p{n}" for n in range(COUNT)} - {BAD}
    told = json.loads((folder / "results" / BAD / "failure.json").read_text())
    assert (told["protein"], told["stage"], told["kind"]) == (BAD, "fetch_alignment", "AlignmentError")
    assert told["remedy"]
    assert sorted(p.parent.name for p in folder.glob("results/*/report.html")) == sorted(ran)
    assert list(folder.glob("results/*/failure.json")) == [folder / "results" / BAD / "failure.json"]
    assert not (folder / "results/batches/0000.tsv").exists()
    assert not list(folder.glob("results/*/couplings.npz"))
    log = (folder / "results/batches/0000.log").read_text()
    assert re.search(rf"{BAD} covarion ERROR fetch_alignment", log)
    # The bad one is tried again, its neighbours are not
    pages = {path: path.stat().st_mtime_ns for path in folder.glob("results/*/report.html")}
    assert run() == (message, {})
    # A mended input runs that protein alone, an edited row too
    shutil.copy(f"{BAD}.good", f"{BAD}.fasta")
    assert run() == ("", {BAD: STAGES})
    assert not list(folder.glob("results/*/failure.json"))
    rows = list(csv.DictReader((folder / "proteins.tsv").open(), delimiter="\t"))
    write_table(
        folder / "proteins.tsv", [r | ({"region": "2-15"} if r["protein"] == "p3" else {}) for r in rows]
    )
    assert run() == ("", {"p3": STAGES[2:]})
    same = {path: time for path, time in pages.items() if path.stat().st_mtime_ns == time}
    assert len(same) == COUNT - 2
    table = list(csv.DictReader((folder / "results/batches/0000.tsv").open(), delimiter="\t"))
    assert {row["protein"] for row in table if row["ran"]} == {"p3"}


def test_a_stage_that_fails_leaves_nothing_of_an_earlier_run(folder, monkeypatch):
    some = ["p1", "p2", "p3"]
    assert run(names=some) == ("", dict.fromkeys(some, STAGES))
    whole = stages.score_maps

    def fails_for_one(job):
        if job.wildcards.protein == "p2":
            raise ZeroDivisionError("nothing to divide by")
        whole(job)

    monkeypatch.setattr(stages, "score_maps", fails_for_one)
    for name in some:
        os.remove(f"results/{name}/scores.tsv")
    message, ran = run(names=some)
    assert message == "1 of 3 proteins failed: p2 (score_maps)"
    assert ran == {"p1": ["score_maps"], "p3": ["score_maps"]}  # the same scores: the page stays
    assert not os.path.exists("results/p2/agreement.tsv")
    told = json.loads(Path("results/p2/failure.json").read_text())
    assert (told["kind"], told["problem"]) == ("ZeroDivisionError", "nothing to divide by")
    monkeypatch.setattr(stages, "score_maps", whole)
    assert run(names=some) == ("", {"p2": ["score_maps"]})
    assert not os.path.exists("results/p2/failure.json")


@pytest.mark.parametrize(
    ("changes", "redone"),
    [
        ({"dca": {"methods": ["mi", "plm"]}}, ["infer_couplings", "score_maps", "write_report"]),
        ({"structure": {"min_plddt": 60}}, ["map_structure"]),
        ({"report": {"min_separation": 4}}, ["write_report"]),
        ({"fetch": {"timeout": 5}}, []),
    ],
)
def test_a_change_of_the_configuration_runs_what_it_concerns(folder, changes, redone):
    run(names=["p1"])
    settings = config_of(**changes)
    message, ran = run(settings, ["p1"])
    wanted = [*redone, "write_report"] if redone and "write_report" not in redone else redone
    assert (message, ran.get("p1", [])) == ("", wanted)  # a page shows all settings


def test_couplings_that_are_to_be_kept_are_computed_again_and_those_that_were_kept_are_not(folder):
    write_table(folder / "proteins.tsv", [{"protein": n, "alignment": f"{n}.fasta"} for n in ("p1", "p2")])
    keep = config_of(dca={"keep_couplings": True})
    told = [Batches.of(Plan.from_config(c), True, False).told("0000") for c in (config_of(), keep)]
    assert not set(told[0]) & set(told[1])
    run()
    assert run(keep, ["p1"]) == ("", {"p1": ["infer_couplings", "write_report"]})
    assert os.path.exists("results/p1/couplings.npz")
    assert run(names=["p1"]) == ("", {"p1": ["write_report"]})  # a page shows all settings


def test_a_killed_stage_is_whole_or_redone_and_its_protein_comes_last(folder, monkeypatch):
    some = ["p1", "p2", "p3"]
    order = []
    whole = stages.map_structure

    def killed(job):
        order.append(job.wildcards.protein)
        if job.wildcards.protein == "p1":
            Path(job.output[0]).write_bytes(b"half")
            raise KeyboardInterrupt  # as a kill: nothing of ours runs after it
        whole(job)

    monkeypatch.setattr(stages, "map_structure", killed)
    with pytest.raises(KeyboardInterrupt):
        run(names=some)
    assert Journal.read("results/p1").begun == "map_structure"
    with pytest.raises(KeyboardInterrupt):
        run(names=some)
    assert order == ["p1", "p2", "p3", "p1"]  # its neighbours have finished meanwhile
    told = json.loads(Path("results/p1/failure.json").read_text())
    assert told["stage"] == "map_structure"
    assert "killed" in told["problem"]
    monkeypatch.setattr(stages, "map_structure", whole)
    assert run(names=some) == ("", {"p1": ["map_structure", "score_maps", "write_report"]})
    assert not os.path.exists("results/p1/failure.json")


@pytest.mark.parametrize("damage", ["cut", "garbage", "gone", "foreign"])
def test_a_damaged_journal_costs_work_and_nothing_else(folder, damage):
    run(names=["p1"])
    path = folder / "results" / "p1" / NAME
    scores = (folder / "results/p1/scores.tsv").read_bytes()
    text = path.read_text()
    last = text.rstrip().rindex("\n") + 30
    path.write_bytes(
        {
            "cut": text[:last].encode(),
            "garbage": b"\xff\xfe\x00" * 99,
            "gone": b"",
            "foreign": b"[1]\n{}\n3\n",
        }[damage]
    )
    message, ran = run(names=["p1"])
    assert message == ""
    assert ran["p1"] == (["write_report"] if damage == "cut" else STAGES)
    assert (folder / "results/p1/scores.tsv").read_bytes() == scores
    assert run(names=["p1"]) == ("", {})


def test_a_touched_input_is_the_same_and_a_changed_one_of_the_same_size_is_not(folder):
    run(names=["p1"])
    os.utime("p1.pdb")
    assert run(names=["p1"]) == ("", {})
    found = os.stat("p1.pdb")
    text = (folder / "p1.pdb").read_text()
    (folder / "p1.pdb").write_text(text.replace("0.000", "0.010", 1))
    assert os.stat("p1.pdb").st_size == found.st_size
    _, ran = run(names=["p1"])
    assert ran["p1"][0] == "fetch_structure"
    maps = folder / "results/p1/maps.npz"
    maps.write_bytes(maps.read_bytes()[:-1])  # an output that somebody cut off is made again
    _, ran = run(names=["p1"])
    assert ran["p1"] == ["infer_couplings"]


def test_who_is_small(folder):
    write_tiny(folder, "long", 1, length=160)
    write_tiny(folder, "deep", 2, rows=1200)
    rows = [{"protein": n, "alignment": f"{n}.fasta"} for n in ("p1", "long", "deep", "p2", "p3")]
    rows += [
        {"protein": "remote", "alignment": "pfam:PF00072"},
        {"protein": "found", "alignment": "pfam:PF00073"},
    ]
    write_table(folder / "proteins.tsv", rows)
    os.makedirs("resources/msa")
    shutil.copy("p4.fasta", "resources/msa/found.a3m.gz")
    plan = Plan.from_config(config_of())
    batches = Batches.of(plan, planning=True, kept=False)
    assert batches.parts == {"0000": ["p1", "p2", "p3", "found"]}
    assert batches.alone == ["long", "deep", "remote"]
    assert "resources/msa/found.a3m.gz" in batches.inputs("0000")  # fetched by a job that may use the network
    assert "resources/msa/p1.a3m.gz" not in batches.inputs("0000")
    for off in ({"proteins": 0}, {"least": 5}):
        assert Batches.of(Plan.from_config(config_of(batch=off)), True, False).parts == {}
    trained = config_of(train={"scheme": "none"})
    assert Batches.of(Plan.from_config(trained), True, False).parts


def test_files_that_no_job_writes_are_told_and_are_no_inputs(folder):
    def told():
        batches = Batches.of(Plan.from_config(config_of()), True, False)
        assert [path for part in batches.parts for path in batches.inputs(part)] == []
        return {
            name: mark
            for part, names in batches.parts.items()
            for name, mark in zip(names, batches.told(part), strict=True)
        }

    before = told()
    assert told() == before
    os.utime("p3.pdb", (1, 1))
    with Path("p5.fasta").open("a") as stream:
        stream.write(">more\nACDEFGHIKLMNPQRS\n")
    after = told()
    assert [name for name in before if after[name] != before[name]] == ["p3", "p5"]


def test_texts_of_structures(folder):
    found = {"protein": "p2", "alignment": "p2.fasta", "structure": "pdb:2NRF;p2.pdb"}
    rows = [{"protein": "p1", "alignment": "p1.fasta", "structure": "p1.pdb"}, found]
    write_table(folder / "proteins.tsv", [*rows, {"protein": "p3", "alignment": "p3.fasta"}])
    sizes = [os.stat(f"p{n}.pdb").st_size for n in (1, 2)]
    batches = Batches.of(Plan.from_config(config_of()), True, False)
    with pytest.raises(FileNotFoundError) as caught:
        batches.texts("0000")
    assert caught.value.filename in batches.inputs("0000")  # by which Snakemake knows that it is to come
    os.makedirs("resources/structures")
    Path("resources/structures/p2.cif.gz").write_bytes(gzip.compress(os.urandom(1000)))
    assert batches.texts("0000") == [sizes[:1], [1000, sizes[1]]]
    Path("resources/structures/p1.cif.gz").write_bytes(gzip.compress(os.urandom(9999)))
    assert batches.texts("0000")[0] == [9999]
    os.remove("resources/structures/p1.cif.gz")
    os.remove("p1.pdb")
    assert batches.texts("0000")[0] == [0]


def test_a_batch_asks_for_the_memory_that_a_large_structure_takes(folder):
    def asked():
        done = snakemake(folder, "--dry-run", config=SMALL, check=0)
        return max(int(found) for found in re.findall(r"rule run_batch:(?:\n .*)*?mem_mb=(\d+)", done.stdout))

    before = asked()
    with Path("p3.pdb").open("ab") as stream:
        stream.truncate(200_000_000)
    assert asked() > before + 25 * 200


def test_results_of_own_jobs_stay_with_them(folder):
    os.makedirs("results/p1")
    Path("results/p1/alignment.npz").touch()
    batches = Batches.of(Plan.from_config(config_of()), True, False)
    assert batches.alone == ["p1"]
    Path(f"results/p1/{NAME}").touch()
    assert Batches.of(Plan.from_config(config_of()), True, False).alone == []


@pytest.mark.parametrize(("begun", "alone"), [(["p1"], []), ([], ["p1", "p2"])])
def test_a_row_that_goes_does_not_end_the_batches_of_the_others(folder, begun, alone):
    config = config_of(batch={"least": 3})
    for name in begun:
        os.makedirs(f"results/{name}")
        for file in (NAME, "alignment.npz"):
            Path(f"results/{name}/{file}").touch()
    write_table(folder / "proteins.tsv", [{"protein": n, "alignment": f"{n}.fasta"} for n in ("p1", "p2")])
    assert Batches.of(Plan.from_config(config), True, False).alone == alone


def test_a_lost_page_gives_the_batch_another_name(folder):
    config = config_of()
    run(config, ["p1", "p2"])
    write_table(folder / "proteins.tsv", [{"protein": n, "alignment": f"{n}.fasta"} for n in ("p1", "p2")])

    def part():
        (name,) = Batches.of(Plan.from_config(config), True, False).parts
        return name

    assert part() == "0000"
    os.remove("results/p2/report.html")
    assert part() == "0000.2"
    Path("results/batches/0000.2.tsv").touch()
    assert part() == "0000.3"
    run(config, ["p1", "p2"])
    assert part() == "0000.2"


def test_jobs_of_a_run_see_the_batches_that_were_planned(folder):
    plan = Plan.from_config(config_of())
    planned = Batches.of(plan, planning=True)
    os.makedirs("results/p1")
    Path("results/p1/alignment.npz").touch()  # would leave the batch, were it planned now
    assert Batches.of(plan, planning=False).parts == planned.parts
    other = Plan.from_config(config_of(batch={"proteins": 5}) | {"results": "elsewhere"})
    assert Batches.of(other, planning=False).parts == {}
    # A second run in the same directory, over other results
    of_other = Batches.of(other, planning=True)
    assert Batches.of(plan, planning=False).parts == planned.parts
    assert Batches.of(other, planning=False).parts == of_other.parts


@pytest.mark.parametrize(
    ("count", "sizes"), [(0, []), (9, [9]), (20, [10, 10]), (120, [30] * 4), (230, [46] * 5)]
)
def test_chunks(count, sizes):
    names = [str(n) for n in range(count)]
    found = chunks(names, 50)
    assert [len(part) for part in found] == sizes
    assert [name for part in found for name in part] == names


def test_rows_come_back_as_they_were(folder):
    (folder / "m.rr").write_text("1 9 0 8 0.5\n")
    row = {"protein": "p1", "alignment": "p1.fasta", "maps": "mine=m.rr", "first_index": "7", "cluster": "c"}
    write_table(folder / "proteins.tsv", [row, {"protein": "p2", "alignment": "p2.fasta"}])
    plan = Plan.from_config(config_of())
    batches = Batches.of(plan, True, False)
    again = plan_of_rows(plan.config, json.loads(json.dumps(batches.rows("0000"))))
    for name in ("p1", "p2"):
        assert [t.key for t in member_tasks(again, name)] == [t.key for t in member_tasks(plan, name)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (">a\nMKV-\n>b\nMkkKVL\n", (2, 4)),
        (">a b\nMKab\nVL\n>b\nMKVL\n>c\nMKVL", (3, 6)),  # the query's insertion too
        ("# STOCKHOLM 1.0\n\na MKV.L\nb MKVVL\n//\n", (2, 5)),
        ("MKVLW\nMKVLF\n", (2, 5)),
        ("", None),
        (">a\n" + "M" * 2000, None),
    ],
)
def test_extent(tmp_path, text, found):
    path = tmp_path / "a"
    path.write_text(text)
    assert alignment_extent(path, 1000) == found
    assert alignment_extent(tmp_path / "absent", 1000) is None


def blocks(output):
    """(rule, protein) of the jobs that a dry run lists, with the sets of their inputs and outputs."""
    jobs = {}
    for block in re.split(r"\n(?=\[|(?:local)?rule )", output):
        rule = re.search(r"^(?:local)?rule (\w+):", block, re.M)
        protein = re.search(r"^    wildcards: .*protein=([^,\s]+)", block, re.M)
        if rule and protein:
            parts = [re.search(rf"^    {key}: (.*)", block, re.M) for key in ("input", "output")]
            files = [set(part[1].split(", ")) if part else set() for part in parts]
            place = re.search(r"nth=([^,\s]*)", block)
            jobs[rule[1], protein[1], place[1] if place else ""] = files
    return jobs


def test_batches_do_what_the_rules_do(folder):
    """The files of every stage are those of the rule of its name; both take the same parameters."""
    (folder / "m.rr").write_text("1 9 0 8 0.5\n")
    (folder / "q.fasta").write_text(">q\nMKV\n")
    rows = [
        {"protein": "plain", "alignment": "p1.fasta"},
        {"protein": "full", "alignment": "p2.fasta", "structure": "p2.pdb;model:p3.pdb", "maps": "mine=m.rr"},
        {"protein": "asked", "alignment": "p2.fasta", "structure": "p2.pdb", "query": "q.fasta"},
    ]
    write_table(folder / "proteins.tsv", rows)
    config = config_of(refine={"weights": "default"})
    done = snakemake(folder, "--dry-run", config=["batch={proteins: 0}", "dca={methods: [plm]}"], check=0)
    jobs = blocks(done.stdout)
    plan = Plan.from_config(config)
    ours = {
        (task.rule, name, task.about if task.rule == "fetch_structure" else ""): [
            set(task.inputs),
            set(task.output.values()),
        ]
        for name in plan.names
        for task in member_tasks(plan, name)
    }
    assert {key: [set(map(relative, part)) for part in files] for key, files in jobs.items()} == {
        key: [set(map(relative, part)) for part in files] for key, files in ours.items()
    }


def relative(path):
    return os.path.relpath(path)


@pytest.mark.slow
def test_a_real_run_in_batches_equals_one_without(tmp_path):
    for seed, name in enumerate(["a", "b", "c"]):
        write_family(tmp_path, name, seed)
    (tmp_path / "bad.fasta").write_text(">a\nMKVLW\n>b\nMKVL\n")
    rows = [{"protein": n, "alignment": f"{n}.fasta", "structure": f"{n}.pdb"} for n in ("a", "b", "c")]
    write_table(tmp_path / "proteins.tsv", [*rows[:2], {"protein": "bad", "alignment": "bad.fasta"}, rows[2]])
    together = ["results=together", *SMALL]
    done = snakemake(tmp_path, config=together, check=1)
    assert "1 of 4 proteins failed: bad (fetch_alignment)" in done.stdout + done.stderr
    assert len(list(tmp_path.glob("together/*/report.html"))) == 3
    summary = (tmp_path / "together" / "summary.tsv").read_text()
    assert "bad" in summary
    write_table(tmp_path / "proteins.tsv", rows)
    done = snakemake(tmp_path, config=together, check=0)  # who moves to another batch is not computed again
    assert all(len(records_of(tmp_path / "together" / n)) == 16 for n in ("a", "b", "c"))
    assert "run_batch" not in snakemake(tmp_path, "--dry-run", config=together, check=0).stdout
    snakemake(tmp_path, config=["results=apart", "batch={proteins: 0}"], check=0)
    for name in ("a", "b", "c"):
        for file in ("alignment.npz", "weights.npz", "maps.npz", "refined.npz", "truth.npz", "scores.tsv"):
            paths = [tmp_path / part / name / file for part in ("together", "apart")]
            assert paths[0].read_bytes() == paths[1].read_bytes(), file
    # A page that is deleted comes back, and nothing else is computed
    (tmp_path / "together" / "b" / "report.html").unlink()
    snakemake(tmp_path, config=together, check=0)
    assert (tmp_path / "together" / "b" / "report.html").exists()
    assert len(records_of(tmp_path / "together" / "b")) == 18
    assert len(records_of(tmp_path / "together" / "a")) == 16
    # Jobs of its own make anew what a batch left: Snakemake does not know what that was made of
    done = snakemake(tmp_path, "--dry-run", config=["results=together", "batch={proteins: 0}"], check=0)
    assert "prepare_alignment" in done.stdout


def records_of(folder):
    return (folder / NAME).read_text().splitlines()
