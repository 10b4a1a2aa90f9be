"""Published networks and ensembles in runs of the real workflow."""

import pytest
from workflow_fixtures import snakemake, write_family, write_table

from data.errors import FetchError
from data.registry import find_package_file
from data.store import load_arrays, load_json
from nets.card import published
from nets.checkpoint import load_refiner
from nets.experts import TRROSETTA_FILE

SETTINGS = "steps: 2, batch: 1, crop: 24, evaluate_every: 2"


@pytest.fixture
def installed():
    try:
        find_package_file(TRROSETTA_FILE)
    except FetchError:
        pytest.skip("tr-rosetta-pytorch is not installed")


@pytest.fixture
def run(tmp_path):
    rows = []
    for seed, (name, split) in enumerate([("first", "train"), ("second", "tune")]):
        write_family(tmp_path, name, seed)
        rows.append(
            {"protein": name, "alignment": f"{name}.fasta", "structure": f"{name}.pdb", "split": split}
        )
    write_table(tmp_path / "proteins.tsv", rows)
    return tmp_path


@pytest.mark.slow
def test_an_ensemble_of_seeds_taught_by_a_published_network(run, installed):
    train = (
        "train={scheme: holdout, name: refined-here, depths: 1, seeds: [4, 5],"
        f" model: {{channels: 8, blocks: 1}}, settings: {{{SETTINGS}, teacher: trrosetta}}}}"
    )
    snakemake(run, config=[train, "refine={weights: [covarion-1, covarion-2]}"], check=0)
    results = run / "results"
    assert load_arrays(results / "first/teacher.npz")["teacher"].shape == (48 * 47 // 2, 37)
    assert not (results / "second/teacher.npz").exists()  # the one that tunes is looked at as it is
    manifest = load_json(results / "dataset/manifest.json")
    assert manifest["teacher"]["name"] == "trrosetta"
    members = [load_refiner(str(results / f"model/all~{seed}/weights.safetensors")) for seed in (4, 5)]
    assert [loaded.card["training"]["seed"] for loaded in members] == [4, 5]
    assert {published(loaded.card) for loaded in members} == {"trrosetta (teacher)"}
    made = load_arrays(results / "second/refined-here.npz")
    assert str(made["weights_sha256"]) == " + ".join(loaded.sha256 for loaded in members)
    page, index = (path.read_text() for path in (results / "second/report.html", results / "index.html"))
    assert "all~4 + all~5" in page
    assert "covarion-1 + covarion-2" in page
    told = "The weights of refined-here have learned from published networks, trrosetta (teacher)"
    assert told in page
    assert told in index
    assert "The weights of refined have learned" not in page


@pytest.mark.slow
def test_a_published_network_trained_on(run, installed):
    train = (
        "train={scheme: holdout, name: refined-here, depths: 1, start: 'trrosetta:1',"
        f" model: {{architecture: trrosetta, pair_maps: [inverse]}}, settings: {{{SETTINGS}}}}}"
    )
    snakemake(run, config=[train, "refine={weights: none}"], check=0)
    results = run / "results"
    loaded = load_refiner(str(results / "model/all/weights.safetensors"))
    assert published(loaded.card) == "trrosetta (start)"
    assert loaded.card["start"]["card"]["published"]["file"] == "model.xaa.pt"
    assert load_arrays(results / "second/refined-here.npz")["contact"].shape == (48, 48)
    assert "trrosetta (start)" in (results / "index.html").read_text()
