"""The page of a protein says what its files say, and stands alone."""

import base64
import csv
import json
import re
import shutil
from html.parser import HTMLParser

import gemmi
import numpy as np
import pytest
from report_fixtures import FIRST, LENGTH, NASTY, QUERY, distances, large_protein, write_protein

from data.backbone import measured_points
from data.contacts import distances_between
from data.errors import CovarionError
from data.store import load_arrays, save_arrays, save_text
from report.exports import read_rr
from report.page import write_page
from report.page import write_protein as write_report
from report.payload import load_protein, pack_distance, pair_number
from report.rendering import VENDOR

SETTINGS = {"plm": {"lambda": 0.01}, "label": NASTY}
VERSIONS = {"covarion": "9.9.9"}


class Reader(HTMLParser):
    """Texts by element and the addresses that a page refers to."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.texts, self.addresses, self.stack, self.scripts = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action") and value]
        if tag not in ("meta", "link", "input", "br", "img", "path", "line", "circle"):
            self.stack.append(tag)
        if tag == "script":
            self.scripts.append(dict(attrs))

    def handle_endtag(self, tag):
        if self.stack and self.stack[-1] == tag:
            self.stack.pop()

    def handle_data(self, data):
        self.texts.append((self.stack[-1] if self.stack else "", data))


def page_of(tmp_path, name="hairpin", **options):
    files = write_protein(tmp_path / "p", name=name, **options)
    out = tmp_path / "p" / "report.html"
    write_page(name, files, SETTINGS, VERSIONS, out)
    reader = Reader()
    reader.feed(out.read_text())
    return out.read_text(), reader


def text_of(reader):
    return " ".join(" ".join(data for tag, data in reader.texts if tag not in ("script", "style")).split())


def payload_of(page):
    return json.loads(re.search(r'id="payload">(.*?)</script>', page, re.DOTALL).group(1))


def unpacked(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype=dtype)


def test_the_page_names_what_made_its_numbers(tmp_path):
    _, reader = page_of(tmp_path)
    text = text_of(reader)
    for expected in (
        "Of the 8 best long-range pairs by refined (neural network), 75 % are contacts in 1ABC chain B.",
        "95.0% identity over 90.0%",
        "2 residues have no coordinates",
        "shipped-1",
        "5e" * 32,
        "plm.lambda 0.01",
        "covarion 9.9.9",
        "14 contacts among 120 resolved pairs",
        "ceiling 1.00",
        "12 sequences",
        "rows_read 12",
    ):
        assert expected in text, expected


def test_nothing_is_loaded_and_every_address_is_local(tmp_path):
    page, reader = page_of(tmp_path)
    assert all(address.startswith(("#", "data:")) for address in reader.addresses)
    assert not re.search(r"(?:src|href)=\"?https?:|@import|url\(", page)
    assert "default-src 'none'; " in page
    assert "connect-src" not in page
    assert len(page) < 1_000_000


def test_names_from_files_stay_text(tmp_path):
    page, reader = page_of(tmp_path, name=NASTY)
    assert "<script>alert" not in page
    assert [script.get("type") for script in reader.scripts] == ["application/json", None]
    assert ("h1", NASTY) in reader.texts
    assert payload_of(page)["protein"] == NASTY
    assert text_of(reader).count("alert('x')") >= 4  # heading, query, settings, provenance


def test_names_of_the_structure_stay_text(tmp_path):
    files = write_protein(tmp_path / "hairpin")
    arrays = load_arrays(files["truth"]) | {"chain": NASTY, "entry": NASTY, "notes": json.dumps([NASTY])}
    save_arrays(files["truth"], **arrays)
    write_page("hairpin", files, {}, {}, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert") >= 3


@pytest.mark.parametrize(("identity", "said"), [(0.8, "80 %"), (0.625, "62.5 %"), (1.0, "100 %")])
def test_the_identity_of_the_weights_is_said(tmp_path, identity, said):
    files = write_protein(tmp_path / "hairpin")
    save_arrays(
        files["weights"], weights=np.full(12, 0.5, np.float32), neff=6.0, identity=np.float32(identity)
    )
    write_page("hairpin", files, {}, {}, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert f"Neff at {said} identity" in page
    assert f"weighted at {said} identity" in page
    assert (said == "80 %") == ("80 % identity" in page)


@pytest.mark.parametrize(
    ("learned", "said"),
    [
        ("protein", "learned from this protein"),
        ("cluster", "learned from homologues of this protein"),
        ("tuned", "were chosen and calibrated on homologues"),
        ("homologue", "learned from a family homologous to this protein by sequence"),
        ("", ""),
        ("<b>", ""),
    ],
)
def test_what_the_weights_know_is_said(tmp_path, learned, said):
    files = write_protein(tmp_path / "hairpin")
    path = files["refined"]["refined"]
    save_arrays(path, **load_arrays(path), learned=learned)
    write_page("hairpin", files, {}, {}, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert ("data-learned" in page) == bool(said)
    assert f"The weights of refined (shipped-1) {said}" in page or not said
    assert ('data-kin="related"' in page, 'data-kin="not searched"' in page) == (bool(said), not said)


def table_rows(page):
    body = re.search(r'<table id="contacts">.*?<tbody>(.*?)</tbody>', page, re.DOTALL).group(1)
    return [
        re.findall(r"<td>(.*?)</td>", row)
        for row in re.findall(r"<tr data-pair=\"\d+\">(.*?)</tr>", body, re.DOTALL)
    ]


def test_top_contacts_carry_both_numberings(tmp_path):
    page, _ = page_of(tmp_path)
    rows = table_rows(page)
    assert len(rows) == LENGTH
    assert rows[0][:6] == ["1", f"{QUERY[3]}{3 + FIRST}", f"{QUERY[30]}{30 + FIRST}", "\u2013", "130", "27"]
    assert rows[0][8] == "\u2013"  # not resolved
    contact = load_arrays(tmp_path / "p" / "refined.npz")["contact"]
    i, j = (int(re.sub(r"\D", "", cell)) - FIRST for cell in rows[1][1:3])
    assert rows[1][4] == str(100 + j)
    assert float(rows[1][6]) == pytest.approx(contact[i, j], abs=0.001)
    assert float(rows[1][8]) == pytest.approx(distances()[i, j], abs=0.051)


def test_packed_maps_keep_order_values_and_the_contact_limit(tmp_path):
    page, _ = page_of(tmp_path)
    payload = payload_of(page)
    maps = load_arrays(tmp_path / "p" / "maps.npz")
    i, j = np.triu_indices(LENGTH, 1)
    assert [method["name"] for method in payload["methods"]] == ["mi", "plm", "refined"]
    plm = payload["methods"][1]
    step = (plm["high"] - plm["low"]) / 65535
    np.testing.assert_allclose(
        plm["low"] + step * unpacked(plm["values"], "<u2"), maps["plm"][i, j], atol=step
    )
    order = unpacked(plm["order"], "<u4")
    np.testing.assert_array_equal(unpacked(plm["top"], "<f4"), maps["plm"][i, j][order])
    assert (np.diff(unpacked(plm["top"], "<f4")) <= 0).all()
    assert ((j - i)[order] >= 6).all()
    hundredths = unpacked(payload["distance"], "<u2")
    known = np.isfinite(distances()[i, j])
    np.testing.assert_array_equal(hundredths == 65535, ~known)
    np.testing.assert_array_equal((hundredths < 800)[known], (distances()[i, j] < 8)[known])


def test_packed_blocks_keep_the_couplings(tmp_path):
    page, _ = page_of(tmp_path)
    contacts = load_arrays(tmp_path / "p" / "contacts.npz")
    packed = payload_of(page)["blocks"]
    scale = unpacked(packed["scale"], "<f4")[:, None, None] / 127
    blocks = unpacked(packed["values"], "i1").reshape(-1, 20, 20) * scale
    np.testing.assert_allclose(blocks, contacts["blocks"][:LENGTH], atol=scale.max())


def test_pair_numbers_follow_the_upper_triangle():
    i, j = np.triu_indices(23, 1)
    np.testing.assert_array_equal(pair_number(i, j, 23), np.arange(len(i)))


def test_the_page_of_a_model_speaks_of_agreement(tmp_path):
    files = write_protein(tmp_path / "p")
    arrays = load_arrays(files["truth"])
    save_arrays(files["truth"], **(arrays | {"kind": np.array("model"), "entry": np.array("AF-P69905-F1")}))
    rows = files["scores"].read_text().splitlines()
    save_text(files["scores"], "\t".join([*rows[0].split("\t"), "against"]) + "\n")
    head = "\t".join([*rows[0].replace("precision", "agreement").split("\t"), "against"])
    files["agreement"] = tmp_path / "p" / "agreement.tsv"
    save_text(files["agreement"], "\n".join([head, *(f"{row}\tchain" for row in rows[1:])]) + "\n")
    write_page("hairpin", files, {}, {}, tmp_path / "p" / "report.html")
    page = (tmp_path / "p" / "report.html").read_text()
    text = text_of_page(page)
    assert "75 % agree with AF-P69905-F1 chain B, a predicted model" in text
    assert "this is agreement, not precision" in text
    assert "contacts of the predicted model" in text
    assert payload_of(page)["kind"] == "model"
    shown = re.sub("(?i)expected precision|agreement, not precision", "", text)
    assert "recision" not in shown.replace("average precision", "")
    assert "are contacts in" not in text
    assert "Do the probabilities hold here?" not in text
    assert not re.search(r"\d wrong", text)


def test_the_page_compares_with_every_structure(tmp_path):
    files = write_protein(tmp_path / "p")
    head, *rows = files["scores"].read_text().splitlines()
    scored = [f"{row}\t{name}" for name in ("chain", "assembly", "2XYZ_<b>", "union") for row in rows]
    save_text(files["scores"], "\n".join([f"{head}\tagainst", *scored]) + "\n")
    agreed = [f"{row}\tAF-X-F1_A" for row in rows]
    files["agreement"] = tmp_path / "p" / "agreement.tsv"
    save_text(
        files["agreement"], "\n".join([head.replace("precision", "agreement") + "\tagainst", *agreed]) + "\n"
    )
    truth = load_arrays(files["truth"]) | {"assembly": np.array("assembly 1, 2 copies")}
    save_arrays(files["truth"], **truth)
    write_page("hairpin", files, {}, {}, tmp_path / "p" / "report.html")
    page = (tmp_path / "p" / "report.html").read_text()
    precision, agreement = re.findall(r'<table class="comparisons">(.*?)</table>', page, re.DOTALL)
    names = list(dict.fromkeys(re.findall(r'<th scope="row">(.*?)</th>', precision)))
    assert names == ["1ABC chain B", "assembly 1, 2 copies", "2XYZ_&lt;b&gt;", "union"]
    assert len(re.findall(r'<th scope="row">', precision)) == 4 * 3
    assert re.findall(r'<th scope="row">(.*?)</th>', agreement) == ["AF-X-F1_A"] * 3
    text = text_of_page(page)
    assert "Precision against each structure" in text
    assert "Agreement against each structure" in text
    assert "75 % are contacts in 1ABC chain B" in text


def test_uniprot_numbers_stand_on_the_page_and_in_its_exports(tmp_path):
    files = write_protein(tmp_path / "p")
    page, exports = tmp_path / "p" / "report.html", tmp_path / "p" / "exports"
    write_report("hairpin", files, settings={}, versions={}, page=page, exports=exports)
    assert payload_of(page.read_text())["uniprot"][:2] == [201, 202]
    assert payload_of(page.read_text())["uniprot"][-1] == 0
    assert "1 to 30 of this sequence are 201 to 230 of UniProt P69905" in (exports / "plm.rr").read_text()
    assert (exports / "plm.csv").read_text().splitlines()[1].endswith(",204,,,")  # residue 30 has no number


def test_without_a_structure_the_page_says_so(tmp_path):
    page, reader = page_of(tmp_path, truth=False)
    text = text_of(reader)
    assert "No structure is given for this protein" in text
    assert "Expected precision" in text
    assert "true contacts" not in text
    assert payload_of(page)["distance"] is None
    assert 'id="precision"' not in page
    assert {len(row) for row in table_rows(page)} == {6}  # neither numbers of a structure nor distances


def test_the_least_that_a_page_needs_is_alignment_and_maps(tmp_path):
    files = write_protein(tmp_path / "p", truth=False)
    least = {name: files[name] for name in ("alignment", "maps")}
    write_page("least", least, {}, {}, tmp_path / "least.html")
    page = (tmp_path / "least.html").read_text()
    assert payload_of(page)["best"] == "plm"
    assert payload_of(page)["probability"] is None


def test_downloads_are_linked_relative_to_the_page(tmp_path):
    files = write_protein(tmp_path / "p")
    save_text(tmp_path / "p" / "plm.rr", "PFRMAT RR\n")
    save_text(tmp_path / "p" / "odd #1.csv", "")
    write_page("hairpin", files, {}, {}, tmp_path / "p" / "report.html")
    assert 'href="plm.rr"' in (tmp_path / "p" / "report.html").read_text()
    assert 'href="odd%20%231.csv"' in (tmp_path / "p" / "report.html").read_text()
    files["exports"] = [tmp_path / "elsewhere" / "x.rr"]
    write_page("hairpin", files, {}, {}, tmp_path / "p" / "report.html")
    assert 'href="../elsewhere/x.rr"' in (tmp_path / "p" / "report.html").read_text()


def test_a_truncated_input_is_named(tmp_path):
    files = write_protein(tmp_path / "p")
    save_text(files["maps"], "not an archive")
    with pytest.raises(CovarionError, match=r"maps\.npz"):
        write_page("hairpin", files, {}, {}, tmp_path / "p" / "report.html")
    assert not (tmp_path / "p" / "report.html").exists()


def test_a_large_protein_stays_below_four_megabytes(tmp_path):
    rng = np.random.default_rng(2)
    files = write_protein(tmp_path / "p", truth=False)
    length = 300
    tokens = rng.integers(0, 20, size=(5, length)).astype(np.int8)
    save_arrays(
        files["alignment"],
        tokens=tokens,
        query=np.array("A" * length),
        query_name=np.array("q"),
        first_index=np.int32(1),
    )
    names = ("mi", "mean-field", "mean-field_di", "plm", "theirs")
    maps = {name: rng.normal(size=(length, length)).astype(np.float32) for name in names}
    save_arrays(files["maps"], **maps)
    write_page("large", {"alignment": files["alignment"], "maps": files["maps"]}, {}, {}, tmp_path / "x.html")
    assert (tmp_path / "x.html").stat().st_size < 1_500_000


def test_a_protein_brings_its_exports_and_foreign_maps(tmp_path):
    files = write_protein(tmp_path / "p")
    files["refined_demo"] = tmp_path / "p" / "refined-demo.npz"
    shutil.copy(tmp_path / "p" / "refined.npz", files["refined_demo"])
    files["refined"] = str(tmp_path / "p" / "refined.npz")
    files["provenance"] = str(files["provenance"][0])
    demo = load_arrays(files["refined_demo"])
    save_arrays(files["refined_demo"], **demo | {"contact": np.round(demo["contact"] / 2, 4)})
    theirs = load_arrays(files["maps"])["mi"]
    save_arrays(tmp_path / "p" / "foreign.npz", **{"their/map": theirs})
    files["foreign"] = tmp_path / "p" / "foreign.npz"
    page, exports = tmp_path / "p" / "report.html", tmp_path / "p" / "exports"
    write_report("hairpin", files, settings={}, versions={}, page=page, exports=exports, min_separation=9)
    names = ["mi", "plm", "refined", "refined-demo", "their_map"]
    lists = {f"{name}.{end}" for name in names for end in ("rr", "csv")}
    programs = {
        "plm.mat",
        "plm.tbl",
        "plm.evcouplings.csv",
        "refined.mat",
        "refined.tbl",
        "refined.alphalink.txt",
    }
    assert {path.name for path in exports.iterdir()} == lists | programs | {"everything.npz"}
    text = page.read_text()
    assert 'href="exports/refined-demo.rr"' in text
    assert [method["name"] for method in payload_of(text)["methods"]] == [
        "mi",
        "plm",
        "their/map",
        "refined",
        "refined-demo",
    ]
    refined, plain = read_rr(exports / "refined.rr"), read_rr(exports / "plm.rr")
    contact = load_arrays(tmp_path / "p" / "refined.npz")["contact"]
    np.testing.assert_allclose(refined.probability, contact[refined.i, refined.j], atol=1e-6)
    # A network's own probability; beside couplings that of the best network
    for name, other in (("refined-demo", False), ("plm", True)):
        rows = list(csv.DictReader((exports / f"{name}.csv").open()))
        assert any(float(row["score"]) != float(row["probability"]) for row in rows) == other
    assert (plain.j - plain.i).min() >= 9
    assert f"number {FIRST} of the query" in plain.header["REMARK"]
    assert (exports / "plm.csv").read_text().splitlines()[1].startswith("14,")
    assert "9 in the chosen range" in text_of_page(text)


def text_of_page(page):
    reader = Reader()
    reader.feed(page)
    return text_of(reader)


def test_distances_just_below_the_limit_stay_contacts():
    distance = np.array([[0, 7.9999, 8.0], [7.9999, 0, np.nan], [8.0, np.nan, 0]], np.float32)
    assert unpacked(pack_distance(distance), "<u2").tolist() == [799, 800, 65535]


def test_a_structure_brings_its_atoms_its_neighbours_and_a_viewer(tmp_path):
    page, reader = page_of(tmp_path, structure=True)
    packed = payload_of(page)["structure"]
    levels = unpacked(packed["atoms"], "<i2").reshape(LENGTH, 5, 3).astype(float)
    levels[levels == packed["missing"]] = np.nan
    points = np.where(np.isnan(levels[:, 4]), levels[:, 1], levels[:, 4]) * packed["step"]
    found = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.testing.assert_allclose(found, distances(), atol=0.05)
    touching = set(unpacked(payload_of(page)["partner"], "<u4").tolist())
    assert int(pair_number(8, 15, LENGTH)) in touching
    assert int(pair_number(2, 24, LENGTH)) not in touching
    text = text_of(reader)
    assert "Copies of the protein: assembly 1, 2 copies." in text
    assert "closer than 8 Å to another copy" in text
    assert (VENDOR / "3Dmol-min.js").read_text() in page


def test_a_structure_with_other_residues_than_the_query_is_drawn(tmp_path):
    files = write_protein(tmp_path / "p", structure=True)
    arrays = load_arrays(files["alignment"])
    query = QUERY[:10] + "G" + QUERY[11:]  # the structure has a C-beta there and is measured from it
    assert query != QUERY
    save_arrays(files["alignment"], **arrays | {"query": np.array(query)})
    drawn = load_protein("p", files)
    assert drawn.backbone is not None
    found = distances_between(points := measured_points(drawn.backbone), points)
    known = np.isfinite(found) & np.isfinite(drawn.distance)
    assert np.abs(found - drawn.distance)[known].max() < 0.05


def test_the_file_that_the_truth_was_measured_on_is_drawn(tmp_path, caplog):
    files = write_protein(tmp_path / "p", structure=True)
    right = files["structure"]
    moved = tmp_path / "moved.cif"
    structure = gemmi.read_structure(str(right))
    for atom in (atom for residue in structure[0][0] for atom in residue):
        atom.pos.x *= 1.1
    moved.write_text(structure.make_mmcif_document().as_string())
    drawn = load_protein("hairpin", files | {"structure": [moved, right]})
    found = distances_between(points := measured_points(drawn.backbone), points)
    np.testing.assert_allclose(found, distances(), atol=1e-3)
    assert load_protein("hairpin", files | {"structure": [moved]}).backbone is None
    assert "no structure file has the distances" in caplog.text


def test_contacts_in_further_structures_are_named(tmp_path):
    files = write_protein(tmp_path / "p", structure=True)
    further = np.full((2, LENGTH, LENGTH), 20, np.float32)
    further[1, 2, 12] = further[1, 12, 2] = 6
    save_arrays(files["truth"], **load_arrays(files["truth"]), further_distance=further)
    write_page("hairpin", files, {}, {}, tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text()
    assert unpacked(payload_of(page)["elsewhere"], "<u4").tolist() == [int(pair_number(2, 12, LENGTH))]
    assert "a contact in another structure of the row" in page


def test_without_a_structure_file_no_viewer_is_carried(tmp_path):
    page, _ = page_of(tmp_path)
    assert payload_of(page)["structure"] is None
    assert "3dmol" not in page.lower()


def test_a_page_of_300_residues_stays_below_four_megabytes(tmp_path):
    files, length = large_protein(tmp_path / "p", 300)
    write_page("large", files, {}, {}, tmp_path / "x.html")
    assert (tmp_path / "x.html").stat().st_size < 4_000_000
    assert payload_of((tmp_path / "x.html").read_text())["length"] == length
