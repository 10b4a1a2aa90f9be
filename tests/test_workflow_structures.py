"""The workflow on a protein of several structures and on a model alone, from a server on loopback."""

import csv
import json

import numpy as np
import pytest
from structure_fixtures import Piece, assembly, candidate, mmcif, serve_best, serve_model
from web_fixtures import PROXIES, Answer, serving
from workflow_fixtures import LENGTH, fold, planned, snakemake, write_family, write_table

from data.truth_file import truth_from_file

SOURCES = ("pdb", "pdbe", "pdbredo", "afdb", "uniprot")
SETTINGS = ["dca={methods: [plm]}", "refine={weights: none}"]


def entry(query):
    """An entry of two chains, 1 and 2 of them a dimer, numbered from 501 and by SIFTS from 11."""
    other = fold() + np.array([0.0, 0.0, 9.0])
    pieces = [Piece("A", "X", "1", query, fold(), 501), Piece("B", "Y", "1", query, other, 501)]
    sifts = {(piece.label, n): ("P69905", 10 + n) for piece in pieces for n in range(1, LENGTH + 1)}
    more = assembly([("1", "A,B")], {"1": (np.eye(3), (0, 0, 0))})
    return mmcif(pieces, "2NRF", sifts, more).encode()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run; returns its folder, the server and the settings."""
    folder = tmp_path_factory.mktemp("structures")
    query = write_family(folder, "good")
    with pytest.MonkeyPatch.context() as patch, serving({}) as web:
        for name in PROXIES:
            patch.delenv(name, raising=False)
        web.answers["/2NRF.cif.gz"] = [Answer(500)]  # PDBe must step in
        web.answers["/2nrf_updated.cif"] = [Answer(200, entry(query))]
        serve_model(web, query, [50.0] * 4 + [90.0] * (LENGTH - 4), positions=fold())
        serve_best(web, "P69905", candidate("9bad", "Q", 0.2, 1.0), candidate("2nrf", "Y", 1.0, 2.0))
        rows = [
            {
                "protein": "many",
                "structure": "pdb:2NRF:label=A;good.pdb;afdb:P69905;uniprot:P69905",
                "chain": ";auth=A;;",
            },
            {"protein": "guess", "structure": "afdb:P69905"},
        ]
        write_table(folder / "proteins.tsv", [row | {"alignment": "good.fasta"} for row in rows])
        bases = ", ".join(f"{name}: '{web.url}'" for name in SOURCES)
        settings = [f"fetch={{base_urls: {{{bases}}}, attempts: 1, timeout: 20}}", *SETTINGS]
        snakemake(folder, config=settings, check=0)
        yield folder, web, settings


def table(path):
    with path.open() as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def provenance(folder, name):
    return json.loads((folder / "resources" / "structures" / f"{name}.cif.gz.json").read_text())


def test_scores_against_each_the_union_and_the_assembly(run):
    results = run[0] / "results" / "many"
    rows = table(results / "scores.tsv")
    assert list(dict.fromkeys(row["against"] for row in rows)) == [
        "chain",
        "assembly",
        "good_A",
        "2NRF_Y",
        "union",
    ]
    by = {(row["against"], row["range"], row["cut"]): row for row in rows}
    assert (
        float(by["chain", "medium+long", "L/5"]["precision"]) > 0.6
    )  # the couplings were planted on the fold
    contacts = {name: int(by[name, "medium", "L"]["contacts"]) for name in ("chain", "assembly", "good_A")}
    assert contacts["assembly"] > contacts["chain"] == contacts["good_A"]
    models = table(results / "agreement.tsv")
    assert {row["against"] for row in models} == {"AF-P69905-F1_A"}
    assert {row["protein"] for row in models} == {"many"}
    fewer = next(row for row in models if (row["range"], row["cut"]) == ("medium", "L"))
    assert int(fewer["pairs"]) < int(by["chain", "medium", "L"]["pairs"])  # four residues are below the cut


def test_numbers_of_author_label_and_uniprot(run):
    truth = np.load(run[0] / "results" / "many" / "truth.npz")
    assert (str(truth["chain"]), str(truth["label"]), str(truth["kind"])) == ("X", "A", "experiment")
    assert truth["residue"][:2].tolist() == ["501", "502"]
    assert truth["uniprot"].tolist() == list(range(11, 11 + LENGTH))
    assert str(truth["accession"]) == "P69905"
    rows = list(csv.DictReader((run[0] / "results" / "many" / "exports" / "plm.csv").open()))
    assert {int(row["uniprot_i"]) - int(row["residue_i"]) for row in rows} == {11 - 501}
    text = (run[0] / "results" / "many" / "exports" / "plm.rr").read_text()
    assert f"residues 1 to {LENGTH} of this sequence are 11 to {10 + LENGTH} of UniProt P69905" in text


def test_who_stepped_in_is_written_down(run):
    found = provenance(run[0], "many")
    assert (found["cell"], found["source"], found["instead_of"]) == ("pdb:2NRF", "pdbe", "pdb")
    assert provenance(run[0], "many~2")["source"] == "path"
    assert provenance(run[0], "many~3")["content"]["kind"] == "model"


def test_a_model_alone_is_agreed_with_and_enters_no_mean(run):
    results = run[0] / "results"
    assert table(results / "guess" / "scores.tsv") == []
    assert {row["against"] for row in table(results / "guess" / "agreement.tsv")} == {"chain"}
    truth = np.load(results / "guess" / "truth.npz")
    assert (str(truth["kind"]), int(truth["resolved"].sum())) == ("model", LENGTH - 4)
    assert truth["plddt"][:5].tolist() == [50, 50, 50, 50, 90]
    assert truth["pae"].shape == (LENGTH, LENGTH)
    page = (results / "guess" / "report.html").read_text()
    assert "agree with AF-P69905-F1 chain A, a predicted model" in page
    summary = {row["protein"]: row for row in table(results / "summary.tsv")}
    assert (summary["guess"]["status"], summary["guess"]["precision"]) == ("finished", "")
    assert summary["many"]["status"] == "finished"
    assert float(summary["many"]["precision"]) >= 0


def test_the_chosen_chain_is_the_one_that_is_measured(run):
    found = provenance(run[0], "many~4")
    assert found["chain"] == "auth=Y"
    assert found["chosen"]["best"]["entry"] == "2NRF"
    truth = truth_from_file(run[0] / "results" / "many" / "truth.npz")
    assert [(part.entry, part.chain) for part in truth.further[:2]] == [("good", "A"), ("2NRF", "Y")]
    page = (run[0] / "results" / "many" / "report.html").read_text()
    assert "largest coverage, then best resolution" in page


def test_nothing_runs_again_and_nothing_is_asked_twice(run):
    folder, web, settings = run
    paths = [path for _, path, _ in web.requests]
    assert len(paths) == len(set(paths))
    assert planned(snakemake(folder, "--dry-run", config=settings, check=0).stdout) == set()
