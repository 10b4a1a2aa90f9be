"""Structures by accession: servers on loopback answer as the public ones document, errors included."""

import json

import numpy as np
import pytest
from structure_fixtures import (
    Piece,
    answer,
    candidate,
    line_of,
    mmcif,
    packed,
    prediction,
    serve_best,
    serve_model,
)
from web_fixtures import Answer, web

from data import client
from data.alphafold import predicted_aligned_error
from data.client import Network
from data.errors import FetchError
from data.sources import fetch, network_of
from data.structure import read_chain
from data.structure_sources import pae_file

__all__ = ["web"]

SEQUENCE = "MKVLWEHT"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(client, "wait_turn", lambda *_, **__: None)


def bases(server):
    return dict.fromkeys(("pdb", "pdbe", "pdbredo", "afdb", "uniprot"), server.url)


def get(server, cell, folder, **keywords):
    keywords = {"attempts": 1, "first_wait": 0.01} | keywords
    return fetch(cell, "structure", folder / "p.cif.gz", bases(server), network=Network(**keywords))


def entry_text(entry="2NRF", sifts=True):
    pieces = [
        Piece("A", "X", "1", SEQUENCE, line_of(8), 101),
        Piece("B", "Y", "1", SEQUENCE, line_of(8), 201),
    ]
    numbers = {(p.label, n): ("P69905", 1 + n) for p in pieces for n in range(1, 9)} if sifts else None
    return mmcif(pieces, entry, numbers)


def asked(server):
    return [path for _, path, _ in server.requests]


def test_entries_of_pdbe_and_pdb_redo(web, tmp_path):
    web.answers["/2nrf_updated.cif"] = [Answer(200, entry_text().encode())]
    web.answers["/2nrf/2nrf_final.cif"] = [Answer(200, entry_text(sifts=False).encode())]
    said = get(web, "pdbe:2NRF", tmp_path)
    assert (said["source"], said["content"]["kind"], said["url"]) == (
        "pdbe",
        "experiment",
        f"{web.url}/2nrf_updated.cif",
    )
    assert "SIFTS" in said["citation"]
    chain = read_chain(tmp_path / "p.cif.gz", "label=B")
    assert (chain.name, chain.uniprot.accession, chain.uniprot.number[0]) == ("Y", "P69905", 2)
    said = get(web, "pdbredo:2nrf", tmp_path)
    assert said["licence"].startswith("PDB-REDO")
    assert read_chain(tmp_path / "p.cif.gz").uniprot is None
    assert np.load(pae_file(tmp_path / "p.cif.gz"))["pae"].size == 0


def test_half_an_entry_of_unknown_length_is_no_entry(web, tmp_path):
    text = entry_text().encode()
    half = text[: text.rindex(b"ATOM")]  # whole lines, which parse
    web.answers["/2nrf_updated.cif"] = [Answer(body=half, chunked=True)]
    with pytest.raises(FetchError, match="what arrived may be a part of it"):
        get(web, "pdbe:2NRF", tmp_path, cache=tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache" / "partial").iterdir() if path.suffix != ".json"]


def test_another_source_steps_in_and_is_written_down(web, tmp_path):
    web.answers["/2NRF.cif.gz"] = [Answer(503)]
    web.answers["/2nrf_updated.cif"] = [Answer(200, entry_text().encode())]
    said = get(web, "pdb:2NRF", tmp_path, fallbacks={"pdb": ("pdbe",)})
    assert (said["cell"], said["source"], said["instead_of"]) == ("pdb:2NRF", "pdbe", "pdb")
    assert "503" in said["because"]
    assert json.loads((tmp_path / "p.cif.gz.json").read_text()) == said
    assert asked(web) == ["/2NRF.cif.gz", "/2nrf_updated.cif"]


def test_no_other_source_is_asked_where_the_source_delivers(web, tmp_path):
    web.answers["/2NRF.cif.gz"] = [Answer(200, packed(entry_text()))]
    said = get(web, "pdb:2NRF", tmp_path, fallbacks={"pdb": ("pdbe",)})
    assert said["source"] == "pdb"
    assert "instead_of" not in said
    assert asked(web) == ["/2NRF.cif.gz"]


def test_all_that_fails_is_told(web, tmp_path):
    web.answers["/2NRF.cif.gz"] = [Answer(503)]
    with pytest.raises(FetchError, match=r"2NRF\.cif\.gz: cannot be fetched.*instead of it .*no such entry"):
        get(web, "pdb:2NRF", tmp_path, fallbacks={"pdb": ("pdbe",)})
    with pytest.raises(FetchError, match="cannot be fetched") as caught:
        get(web, "pdb:2NRF", tmp_path)
    assert "instead" not in str(caught.value)


def test_fallbacks_come_from_the_configuration():
    network = network_of({"fallbacks": {"pdb": ["pdbe", "pdbredo"]}})
    assert network.fallbacks == {"pdb": ("pdbe", "pdbredo")}


def test_a_model_comes_with_its_confidence(web, tmp_path):
    plddt = [95.0, 90.0, 69.9, 70.0, 30.0, 80.0, 80.0, 80.0]
    found = serve_model(web, SEQUENCE, plddt)
    said = get(web, "afdb:p69905", tmp_path)
    assert (said["source"], said["content"]["kind"], said["url"]) == ("afdb", "model", found["cifUrl"])
    assert said["service"] == f"{web.url}/prediction/P69905"
    assert said["model"]["entry"] == "AF-P69905-F1"
    assert (said["model"]["version"], said["licence"]) == ("6", "CC-BY-4.0")
    chain = read_chain(tmp_path / "p.cif.gz")
    assert chain.model
    np.testing.assert_allclose(chain.plddt, plddt, atol=1e-4)
    assert chain.uniprot.number.tolist() == list(range(1, 9))
    pae = np.load(pae_file(tmp_path / "p.cif.gz"))["pae"]
    assert (pae.shape, pae[0, 7]) == ((8, 8), 7)


def test_the_names_of_files_are_asked_for_and_never_kept(web, tmp_path):
    """The version that the cache remembers is gone: the service is asked anew."""
    cache = tmp_path / "cache"
    old = serve_model(web, SEQUENCE, [90.0] * 8, version=4)
    get(web, "afdb:P69905", tmp_path, cache=cache)
    for path in (old["cifUrl"], old["paeDocUrl"]):
        web.answers.pop(path.removeprefix(web.url))
    serve_model(web, SEQUENCE, [80.0] * 8, version=6)
    assert (
        get(web, "afdb:P69905", tmp_path, cache=cache)["model"]["version"] == "4"
    )  # all of it is in the cache
    before = len(web.requests)
    for kept in (cache / "objects").rglob("*"):
        if kept.is_file() and b"_atom_site" in kept.read_bytes():
            kept.unlink()
    assert get(web, "afdb:P69905", tmp_path, cache=cache)["model"]["version"] == "6"
    assert asked(web)[before:][:2] == [old["cifUrl"].removeprefix(web.url), "/prediction/P69905"]
    assert read_chain(tmp_path / "p.cif.gz").plddt[0] == 80
    with pytest.raises(FetchError, match="offline"):
        get(web, "afdb:Q9Y6K9", tmp_path, cache=cache, offline=True)
    assert get(web, "afdb:P69905", tmp_path, cache=cache, offline=True)["model"]["version"] == "6"


def test_the_canonical_model_and_its_first_fragment(web, tmp_path):
    wanted = serve_model(web, SEQUENCE, [90.0] * 8, entry="AF-P69905-F1")
    isoform = prediction(web.url, "P69905-2", "AF-P69905-2-F1")
    second = prediction(web.url, entry="AF-P69905-F10")
    web.answers["/prediction/P69905"] = [answer(isoform, second, wanted)]
    said = get(web, "afdb:P69905", tmp_path)
    assert (said["model"]["entry"], said["model"]["fragments"]) == ("AF-P69905-F1", 2)
    wanted = serve_model(web, SEQUENCE, [90.0] * 8, entry="AF-P69905-F2")
    web.answers["/prediction/P69905"] = [answer(isoform, second, wanted)]
    assert get(web, "afdb:P69905", tmp_path)["model"]["entry"] == "AF-P69905-F2"
    web.answers["/prediction/P69905"] = [answer(isoform)]
    with pytest.raises(FetchError, match=r"no model of this accession.*offered: P69905-2"):
        get(web, "afdb:P69905", tmp_path)


def test_a_model_without_a_predicted_aligned_error(web, tmp_path):
    found = serve_model(web, SEQUENCE, [90.0] * 8)
    web.answers["/prediction/P69905"] = [answer(found | {"paeDocUrl": None})]
    get(web, "afdb:P69905", tmp_path)
    assert np.load(pae_file(tmp_path / "p.cif.gz"))["pae"].size == 0


WRONG_ANSWERS = {
    "unknown accession": (Answer(404, b'{"error": "not found"}'), "no such entry.*afdb:P69905"),
    "refused": (Answer(400), "refused"),
    "web page": (Answer(200, b"<html>down</html>"), "no answer of this service; found: <html>"),
    "object": (Answer(200, b'{"a": 1}'), "no answer of this service"),
    "numbers": (Answer(200, b"[1, 2]"), "no answer of this service"),
    "empty": (Answer(200, b"[]"), "no model of this accession.*offered: nothing"),
    "no addresses": (answer({"uniprotAccession": "P69905"}), "no answer of this service"),
    "a file of ours": (
        answer({"uniprotAccession": "P69905", "cifUrl": "file:///etc/passwd"}),
        "no answer of",
    ),
}


@pytest.mark.parametrize("case", WRONG_ANSWERS)
def test_wrong_answers_about_models(web, tmp_path, case):
    web.answers["/prediction/P69905"], pattern = [WRONG_ANSWERS[case][0]], WRONG_ANSWERS[case][1]
    with pytest.raises(FetchError, match=pattern) as caught:
        get(web, "afdb:P69905", tmp_path, cache=tmp_path / "cache")
    assert caught.value.remedy
    assert not (tmp_path / "p.cif.gz").exists()


WRONG_ERRORS = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b'[{"predicted_aligned_error": [[0, 1]]}]',
    b'[{"predicted_aligned_error": "x"}]',
    b'[{"predicted_aligned_error": [[-1]]}]',
    b'[{"predicted_aligned_error": [[1e6]]}]',
    b'[{"residue1": [1], "residue2": [2], "distance": [1.0]}]',
    b'[{"residue1": [1e999], "residue2": [2], "distance": [1.0]}]',
    b'[{"residue1": [100000000000000000000000000], "residue2": [2], "distance": [1.0]}]',
]


@pytest.mark.parametrize("body", WRONG_ERRORS)
def test_wrong_predicted_aligned_errors(web, tmp_path, body):
    found = serve_model(web, SEQUENCE, [90.0] * 8)
    web.answers[found["paeDocUrl"].removeprefix(web.url)] = [Answer(200, body)]
    with pytest.raises(FetchError, match="no answer of this service") as caught:
        get(web, "afdb:P69905", tmp_path)
    assert caught.value.file == found["paeDocUrl"]


def test_a_residue_number_does_not_decide_how_much_memory_is_taken(monkeypatch):
    monkeypatch.setattr(np, "full", lambda *_, **__: pytest.fail("memory is taken"))
    few = {"residue1": [1, 200_000], "residue2": [1, 1], "distance": [1.0, 1.0]}
    with pytest.raises(FetchError, match="2 pairs of residues up to 200000"):
        predicted_aligned_error(few, "there")


def test_the_best_chain_is_chosen_and_written_down(web, tmp_path):
    rows = [
        candidate("9sas", "A", 1.0, None, "X-ray solution scattering"),  # no atoms
        candidate("1nmr", "A", 0.9, None, "Solution NMR"),
        candidate("3bad", "A", 0.9, 3.1),
        candidate("2nrf", "Y", 0.9, 1.7),
        candidate("2nrf", "X", 0.9, 1.7),
        candidate("1bit", "A", 0.4, 0.9),
    ]
    serve_best(web, "P69905", *rows)
    web.answers["/2nrf_updated.cif"] = [Answer(200, entry_text().encode())]
    said = get(web, "uniprot:P69905", tmp_path)
    assert (said["source"], said["chain"]) == ("pdbe", "auth=X")
    chosen = said["chosen"]
    assert (chosen["best"]["entry"], chosen["best"]["coverage"], chosen["best"]["resolution"]) == (
        "2NRF",
        0.9,
        1.7,
    )
    assert [(found["entry"], found["chain"]) for found in chosen["next"]] == [
        ("2NRF", "Y"),
        ("3BAD", "A"),
        ("1NMR", "A"),
    ]
    assert chosen["candidates"] == 5
    assert chosen["service"].endswith("/mappings/best_structures/P69905")
    assert json.loads((tmp_path / "p.cif.gz.json").read_text())["chosen"] == chosen


def test_the_best_chain_comes_from_another_source_too(web, tmp_path):
    serve_best(web, "P69905", candidate("2nrf", "X", 0.9, 1.7))
    web.answers["/2nrf_updated.cif"] = [Answer(500)]
    web.answers["/2NRF.cif.gz"] = [Answer(200, packed(entry_text(sifts=False)))]
    said = get(web, "uniprot:P69905", tmp_path, fallbacks={"pdbe": ("pdb",)})
    assert (said["source"], said["instead_of"], said["chain"]) == ("pdb", "pdbe", "auth=X")


@pytest.mark.parametrize(
    ("found", "pattern"),
    [
        (Answer(404, b"{}"), "no such entry"),
        (Answer(200, b"{}"), "no experimental structure.*afdb:P69905"),
        (Answer(200, b'{"P69905": []}'), "no experimental structure"),
        (Answer(200, b'{"P69905": {}}'), "no answer of this service"),
        (Answer(200, b'{"P69905": [{"pdb_id": "2nrf"}]}'), "no answer of this service"),
        (
            Answer(200, json.dumps({"P69905": [candidate("../x", "A", 1.0, 1.0)]}).encode()),
            "no answer of this",
        ),
        (
            Answer(200, json.dumps({"P69905": [candidate("2nrf", "A;B", 1.0, 1.0)]}).encode()),
            "no answer of this",
        ),
        (
            Answer(200, json.dumps({"P69905": [candidate("2nrf", "A", float("nan"), 1.0)]}).encode()),
            "no answer of this",
        ),
        (
            Answer(200, json.dumps({"P69905": [candidate("2nrf", "A", 1.0, float("-inf"))]}).encode()),
            "no answer of this",
        ),
        (
            Answer(
                200,
                json.dumps(
                    {"P69905": [candidate("2nrf", "A", 1.0, 1.0) | {"unp_start": float("inf")}]}
                ).encode(),
            ),
            "no answer of this",
        ),
        (Answer(200, b"[]"), "no answer of this service"),
        (Answer(200, b"<html>"), "no answer of this service"),
    ],
)
def test_wrong_answers_about_the_best_chain(web, tmp_path, found, pattern):
    web.answers["/mappings/best_structures/P69905"] = [found]
    with pytest.raises(FetchError, match=pattern):
        get(web, "uniprot:P69905", tmp_path)


def test_a_local_file_may_be_declared_a_model(tmp_path):
    path = tmp_path / "m.cif"
    path.write_text(entry_text(sifts=False))
    out = tmp_path / "p.cif.gz"
    assert fetch(str(path), "structure", out)["content"]["kind"] == "experiment"
    assert not read_chain(out).model
    assert fetch(f"model:{path}", "structure", out)["content"]["kind"] == "model"
    assert read_chain(out).model
    assert read_chain(out).plddt.tolist() == [10.0] * 8  # what stands in the column of B factors
