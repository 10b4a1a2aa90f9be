"""The plan of a run: typed configuration, folds that keep homologues apart, families as rows."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml
from workflow_fixtures import ROOT, write_table

from data.errors import ConfigError, CovarionError, TableError
from data.families import read_families
from data.registry import SOURCES
from workflow.dataset_plan import DatasetPlan
from workflow.members import ARGUMENTS, mirrors
from workflow.networks import member_configs
from workflow.plan import Plan, checked_config, source_digest
from workflow.structure_files import local_input, structure_at


@pytest.fixture
def config(tmp_path):
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    (tmp_path / "a.fasta").write_text(">a\nMKVLW\n>b\nMKVLF\n")
    (tmp_path / "s.pdb").write_text("END\n")
    rows = [
        {"protein": name, "alignment": "a.fasta", "structure": "s.pdb", "split": split, "cluster": cluster}
        for name, split, cluster in [
            ("p1", "train", "x"),
            ("p2", "train", "x"),
            ("p3", "tune", "y"),
            ("p4", "val", "z"),
        ]
    ]
    write_table(tmp_path / "proteins.tsv", [*rows, {"protein": "p5", "alignment": "a.fasta"}])
    return config | {"proteins": str(tmp_path / "proteins.tsv")}


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "config").glob("*.yaml")))
def test_shipped_configurations_fit_the_schema(name):
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    for key, value in yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()).items():
        config[key] = config[key] | value if isinstance(value, dict) else value
    assert checked_config(config) == config


def test_text_of_the_command_line_is_typed(config):
    config |= {"skip_bad_rows": "true", "seed": "7"}
    config["train"] = config["train"] | {"settings": {"learning_rate": "1e-3", "steps": "4"}}
    found = checked_config(config)
    assert found["skip_bad_rows"] is True
    assert found["seed"] == 7
    assert found["train"]["settings"] == {"learning_rate": 1e-3, "steps": 4}


def test_every_wrong_key_is_listed(config):
    config["dca"] = config["dca"] | {"identity": 1.5, "pseudo": 1}
    with pytest.raises(ConfigError) as caught:
        checked_config(config | {"colour": "red"})
    for wrong in ("1.5", "pseudo", "colour"):
        assert wrong in str(caught.value)


def test_leave_one_out_leaves_the_whole_cluster_out(config):
    config["train"] = config["train"] | {"scheme": "leave-one-out", "simulated": 2}
    plan = Plan.from_config(config)
    assert plan.fold("p1") == plan.fold("p2") == "without-x"
    files = plan.training_files("without-x")
    assert {f["cluster"] for f in files} == {"y", "z"}
    assert len(files) == 2 * 3
    assert plan.folds == ["without-x", "without-y", "without-z"]


@pytest.mark.parametrize(
    ("section", "change", "said"),
    [
        ("refine", {"weights": "bogus"}, "bogus"),
        ("train", {"model": {"pair_maps": ["magic"]}}, "magic"),
        ("train", {"model": {"bin_edges": [0, 7, 20]}}, "8 angstrom"),
        ("train", {"model": {"bin_edges": [0, 8, 20]}}, "no example has labels for other bin_edges"),
    ],
)
def test_what_a_job_would_find_out_later_is_refused_at_once(config, section, change, said):
    config[section] = config[section] | change
    with pytest.raises(CovarionError, match=said):
        Plan.from_config(config)


def test_training_needs_something_to_learn_from(config, tmp_path):
    rows = [{"protein": "p1", "alignment": "a.fasta", "structure": "s.pdb", "split": "val"}]
    write_table(tmp_path / "proteins.tsv", rows)
    for scheme in ("holdout", "leave-one-out"):
        config["train"] = config["train"] | {"scheme": scheme}
        with pytest.raises(ConfigError, match="nothing to learn from"):
            Plan.from_config(config)


def test_holdout_reads_the_split_column(config):
    plan = Plan.from_config(copy.deepcopy(config))
    assert plan.learners("all") == [("p1", "train"), ("p2", "train"), ("p3", "tune")]
    assert plan.folds == ["all"]
    assert plan.refiners == ["refined"]


def test_a_row_without_structure_has_no_scores(config):
    plan = Plan.from_config(config)
    assert "p5" not in plan.with_structure
    assert "scores" not in plan.report_files("p5")
    assert "scores" in plan.report_files("p1")


def test_a_folder_of_families_beside_a_table_is_told(config, tmp_path):
    assert Plan.from_config(copy.deepcopy(config)).remarks == ()
    config["families"] = config["families"] | {"folder": "somewhere"}
    (remark,) = Plan.from_config(config).remarks
    assert "families: folder: somewhere is not read" in remark


@pytest.mark.parametrize(("other", "said"), [("F1", "differ in case alone"), ("../f", "can name a folder")])
def test_families_whose_names_cannot_be_folders(tmp_path, other, said):
    rows = f"f1\tval\tc1\t1\t90\n{other}\tval\tc2\t1\t50\n"
    (tmp_path / "families.tsv").write_text(f"id\tsplit\tcluster\trepresentative\tlength\n{rows}")
    with pytest.raises(TableError, match=said):
        read_families(str(tmp_path), [])


def test_models_are_left_out_of_training(config, tmp_path):
    structures = {
        "p1": "s.pdb",
        "p2": "afdb:P69905",
        "p3": "model:s.pdb;afdb:P69905",
        "p4": "afdb:P69905;pdb:2NRF",
    }
    rows = [
        {"protein": name, "alignment": "a.fasta", "structure": cell, "split": "train", "cluster": name}
        for name, cell in structures.items()
    ]
    write_table(tmp_path / "proteins.tsv", rows)
    plan = Plan.from_config(copy.deepcopy(config))
    assert plan.with_structure == ["p1", "p2", "p3", "p4"]
    assert plan.learners("all") == [("p1", "train"), ("p4", "train")]
    config["train"] = config["train"] | {"scheme": "leave-one-out"}
    plan = Plan.from_config(config)
    assert plan.folds == ["without-p1", "without-p4"]
    assert [name for name, _ in plan.learners("without-p2")] == ["p1", "p4"]
    assert plan.fold("p2") == "without-p2"


def test_each_structure_has_a_file(config, tmp_path):
    rows = [
        {
            "protein": "p",
            "alignment": "a.fasta",
            "structure": "pdb:2NRF:B;s.pdb;uniprot:P69905",
            "chain": ";auth=A;",
        },
        {"protein": "q", "alignment": "a.fasta", "structure": "s.pdb", "chain": "C"},
    ]
    write_table(tmp_path / "proteins.tsv", rows)
    plan = Plan.from_config(config)
    assert plan.structure_files("p") == [f"resources/structures/p{nth}.cif.gz" for nth in ("", "~2", "~3")]
    found = [structure_at(plan.row("p"), nth) for nth in ("", "~2", "~3")]
    assert [part.chain for part in found] == ["B", "auth=A", ""]
    assert [local_input(part.cell) for part in found] == [[], [str(tmp_path / "s.pdb")], []]
    assert structure_at(plan.row("q"), "").chain == "C"
    assert plan.structure_files("q") == ["resources/structures/q.cif.gz"]
    assert [path for path in plan.report_files("p")["provenance"] if "~3" in path]


def test_families_become_rows(tmp_path):
    header = "id\tsplit\tcluster\trepresentative\tlength\n"
    (tmp_path / "families.tsv").write_text(
        header + "f1\tval\tc1\t1\t90\nf2\tval\tc1\t0\t50\nf3\ttrain\tc2\t1\t60\nf4\tdemo\tc3\t1\t70\n"
    )
    assert [row.protein for row in read_families(str(tmp_path), ["val"])] == ["f1"]
    assert [r.protein for r in read_families(str(tmp_path), ["val"], representatives=False)] == ["f1", "f2"]
    assert [row.protein for row in read_families(str(tmp_path), ["val"], only=["f2"])] == ["f2"]
    assert read_families(str(tmp_path), ["demo"])[0].split == ""
    assert [r.protein for r in read_families(str(tmp_path), [], False, longest=60)] == ["f2", "f3"]
    with pytest.raises(TableError, match="f9"):
        read_families(str(tmp_path), [], only=["f9"])
    with pytest.raises(TableError, match="no family is left"):
        read_families(str(tmp_path), ["tune"])


def test_a_change_of_source_changes_the_digest(monkeypatch, tmp_path):
    monkeypatch.setattr("workflow.plan.ROOT", tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.py").write_text("x = 1\n")
    before = source_digest("data")
    (tmp_path / "data" / "a.py").write_text("x = 2\n")
    assert source_digest("data") != before


def test_a_run_that_may_not_send_queries_is_refused(config, tmp_path):
    table = tmp_path / "t.tsv"
    table.write_text("protein\talignment\tquery\np\tcolabfold:env\tMKVLWE\n")
    changed = config | {"proteins": str(table)}
    with pytest.raises(ConfigError, match=r"would be sent to https://api\.colabfold\.com; found: p; remedy"):
        Plan.from_config(changed)
    allowed = changed | {"fetch": config["fetch"] | {"allow_remote_search": True}}
    assert Plan.from_config(allowed).sent_query("p") == "MKVLWE"


def plan_of(config, tmp_path, *rows):
    """Plan of rows with these alignments and queries."""
    (tmp_path / "found").mkdir(exist_ok=True)
    (tmp_path / "q.fasta").write_text(">q\nMKVLW\n")
    cells = [dict(zip(("protein", "alignment", "query", "structure"), row, strict=False)) for row in rows]
    write_table(tmp_path / "t.tsv", cells)
    fetch = config["fetch"] | {"allow_remote_search": True}
    return Plan.from_config(config | {"proteins": str(tmp_path / "t.tsv"), "fetch": fetch})


def test_queries_of_rows_that_are_searched_or_chosen(config, tmp_path):
    fasta, sequence = str(tmp_path / "q.fasta"), "resources/queries/{}.fasta"
    plan = plan_of(
        config,
        tmp_path,
        ("jack", "jackhmmer:a.fasta", "P69905", "s.pdb"),
        ("server", "colabfold:env", "uniprot:p69905"),
        ("letters", "mmseqs:a.fasta", "MKVLW"),
        ("file", "jackhmmer:a.fasta", "q.fasta"),
        ("folder", "folder:found", "uniprot:P69905", "s.pdb"),
        ("named", "folder:found", "", "s.pdb"),
        ("pfam", "pfam:PF00072:seed", "P69905"),
        ("plain", "a.fasta", "", "s.pdb"),
    )
    assert plan.searched == ["jack", "letters", "file"]
    assert plan.fetched == ["server", "folder", "named", "pfam", "plain"]
    assert plan.with_accession == ["jack", "server"]  # a file of this machine or of Pfam has rows with names
    assert {name: plan.query(name) for name in plan.names} == {
        "jack": sequence.format("jack"),
        "server": sequence.format("server"),
        "letters": "MKVLW",
        "file": fasta,
        "folder": "P69905",
        "named": "",
        "pfam": "P69905",
        "plain": "",
    }
    assert {name: plan.query_row(name) for name in plan.names if plan.query_row(name)} == {"pfam": "P69905"}
    assert plan.query_file("jack") == [sequence.format("jack")]
    assert plan.query_file("file") == [fasta]
    assert plan.query_row_file("file") == []
    assert [name for name in plan.names if plan.structure_file(name)] == ["plain"]
    assert [name for name in plan.names if plan.sent_query(name)] == ["server"]
    assert plan.provenance("jack") == [
        "resources/msa/jack.a3m.gz.json",
        "resources/queries/jack.fasta.json",
        "resources/structures/jack.cif.gz.json",
    ]
    assert [plan.search_threads(name) for name in plan.searched] == [1, 8, 1]


def test_local_files_of_rows_are_inputs(config, tmp_path):
    (tmp_path / "db_cs219.ffindex").write_text("x")
    plan = plan_of(
        config,
        tmp_path,
        ("hh", "hhblits:db", "MKVLW"),
        ("folder", "folder:found", "MKVLW"),
        ("pfam", "pfam:PF00072"),
    )
    assert plan.local_file("hh", "alignment") == [str(tmp_path / "db_cs219.ffindex")]
    assert plan.local_file("folder", "alignment") == [str(tmp_path / "found")]
    assert plan.local_file("pfam", "alignment") == []


@pytest.mark.parametrize(
    ("cell", "asked"),
    [
        ("a.fasta", []),
        ("model:m.pdb", []),
        ("package:cocoatree:a/b", []),
        ("pfam:PF00072", ["pfam"]),
        ("pdb:2NRF", ["pdb", "pdbe"]),
        ("pdbredo:2NRF", ["pdbredo"]),
        ("uniprot:P69905", ["uniprot", "pdbe", "pdb"]),
        ("afdb:P69905", ["afdb"]),
    ],
)
def test_a_cell_is_told_of_the_mirrors_that_it_may_come_from(config, cell, asked):
    names = [name for name, source in SOURCES.items() if source.base]
    bases = {name: f"http://{name}.example" for name in names}
    config["fetch"] = config["fetch"] | {"base_urls": bases}
    assert mirrors(Plan.from_config(config), cell) == {name: bases[name] for name in asked}


@pytest.mark.parametrize("nth", ["", "~2"])
def test_a_change_of_mirrors_tells_local_rows_nothing(config, nth):
    def told():
        plan = Plan.from_config(config)
        row = plan.proteins["p1"]
        plan.proteins["p1"] = replace(row, structure=f"{row.structure};{row.structure}")
        w = SimpleNamespace(protein="p1", nth=nth)
        return [ARGUMENTS[rule][1](plan, w) for rule in ("fetch_alignment", "fetch_structure")]

    before = told()
    config["fetch"] = config["fetch"] | {"base_urls": {"pfam": "http://a", "pdb": "http://b"}}
    assert told() == before


def test_several_base_urls_are_named_when_a_query_would_be_sent(config, tmp_path):
    config["fetch"] = config["fetch"] | {"base_urls": {"colabfold": ["http://a/", "https://b"]}}
    table = tmp_path / "t.tsv"
    table.write_text("protein\talignment\tquery\np\tcolabfold:env\tMKVLWE\n")
    with pytest.raises(ConfigError, match=r"would be sent to http://a, https://b"):
        Plan.from_config(config | {"proteins": str(table)})
    config["fetch"]["base_urls"] = {"pfamm": "http://a"}
    with pytest.raises(ConfigError, match=r"base_urls: .*found: pfamm; remedy: choose from colabfold, pfam"):
        Plan.from_config(config)
    with pytest.raises(ConfigError, match="base_urls"):
        checked_config(config | {"fetch": {"base_urls": {"pfam": ["ftp://x"]}}})
    with pytest.raises(ConfigError, match="base_urls"):
        checked_config(config | {"fetch": {"base_urls": {"pfam": []}}})


def test_an_ensemble_is_named_by_the_configuration(config):
    config["refine"] = config["refine"] | {"weights": ["covarion-1", "covarion-2"]}
    plan = Plan.from_config(copy.deepcopy(config))
    files = plan.refiner_files("refined", "p1")
    assert [path.rpartition("/")[2] for path in files] == [
        "covarion-1.safetensors", "covarion-2.safetensors",
    ]  # fmt: skip
    assert plan.refiner_name("refined", "p1") == "covarion-1 + covarion-2"
    for wrong, said in ((["default", "lost"], "lost"), (["default", "none"], "none"), ([], "refine/weights")):
        config["refine"] = config["refine"] | {"weights": wrong}
        with pytest.raises(CovarionError, match=said):
            Plan.from_config(copy.deepcopy(config))


def test_several_seeds_are_members_of_one_ensemble(config):
    config["train"] = config["train"] | {"scheme": "leave-one-out", "seeds": [1, 7], "settings": {"steps": 5}}
    plan = Plan.from_config(copy.deepcopy(config))
    dataset = DatasetPlan(plan)
    assert plan.folds == ["without-x", "without-y", "without-z"]
    assert plan.trained_files("without-x") == [
        f"{config['results']}/model/without-x~{seed}/weights.safetensors" for seed in (1, 7)
    ]
    assert plan.refiner_files("refined-trained", "p1") == plan.trained_files("without-x")
    assert plan.refiner_name("refined-trained", "p1") == "trained in this run, without-x~1 + without-x~7"
    assert dataset.training("without-x~7")["settings"] == {"steps": 5, "seed": 7}
    assert dataset.training("without-x")["settings"] == {"steps": 5}
    assert [dataset.left_out(run) for run in ("without-x~7", "without-x", "all~1", "all")] == [
        "x",
        "x",
        "",
        "",
    ]
    config["train"]["settings"]["seed"] = 3
    with pytest.raises(ConfigError, match="one seed and several"):
        Plan.from_config(config)


def test_a_teacher_labels_what_is_learned_from(config):
    config["train"] = config["train"] | {"scheme": "holdout", "simulated": 1}
    assert not any(
        "teacher" in entry for entry in Plan.from_config(copy.deepcopy(config)).training_files("all")
    )
    config["train"]["settings"] = {"teacher": "trrosetta", "teacher_weight": 0.3}
    plan = Plan.from_config(copy.deepcopy(config))
    asked = {e["protein"]: e["teacher"] for e in plan.training_files("all") if "teacher" in e}
    assert asked == {name: f"{config['results']}/{name}/teacher.npz" for name in ("p1", "p2")}
    dataset = DatasetPlan(plan)
    assert set(asked.values()) < set(dataset.inputs)
    assert dataset.teacher == "trrosetta"


def test_a_published_start_is_named(config):
    def plan_with(**train):
        return DatasetPlan(Plan.from_config(config | {"train": config["train"] | train}))

    model = {"architecture": "trrosetta", "pair_maps": ["inverse"]}
    assert plan_with(start="trrosetta:3", model=model).start_file == [
        f"{config['results']}/model/published/trrosetta-3.safetensors"
    ]
    assert plan_with().start_file == []
    for train, said in (
        ({"model": {"architecture": "trrosetta"}}, "inverse"),
        ({"start": "trrosetta:3"}, "architecture"),
    ):
        with pytest.raises(ConfigError, match=said):
            _ = plan_with(**train).start_file
    with pytest.raises(CovarionError, match="trrosetta:6"):
        _ = plan_with(start="trrosetta:6", model=model).start_file


def test_shapes_of_all_members_are_known_before_they_are_there(config):
    config["train"] = config["train"] | {
        "scheme": "holdout", "start": "trrosetta:1", "seeds": [1, 2],
        "model": {"architecture": "trrosetta", "pair_maps": ["inverse"]},
    }  # fmt: skip
    config["refine"] = config["refine"] | {"weights": ["covarion-1", "covarion-2"]}
    plan = Plan.from_config(config)
    assert [shape.blocks for shape in member_configs(plan, "refined-trained")] == [61, 61]
    assert [shape.channels for shape in member_configs(plan, "refined")] == [64, 64]
