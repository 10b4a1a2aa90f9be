"""Where inputs come from, in both pages, whatever their names hold."""

from report_fixtures import NASTY, write_protein

from data.store import save_json
from report.overview import write_overview
from report.page import write_page
from report.provenance import read_origins

FETCHED = {
    "cell": "pfam:PF00072:seed",
    "source": "pfam",
    "url": "https://mirror.example/entry/pfam/PF00072/?annotation=alignment:seed&download",
    "time": "2026-11-26T02:00:00+00:00",
    "version": "PF00072.30",
    "release": "105.0",
    "licence": "CC0-1.0",
    "citation": "Paysan-Lafosse et al. 2025",
    "sha256": "ab" * 32,
    "format": "stockholm",
    "content": {"rows": 12},
    "search": {"evalue": 0.001, "query": NASTY},
    "output_sha256": "cd" * 32,
}


def test_the_page_of_a_protein_shows_all_of_it(tmp_path):
    files = write_protein(tmp_path)
    save_json(tmp_path / "p.a3m.gz.json", FETCHED)
    files["provenance"] = [tmp_path / "p.a3m.gz.json"]
    write_page("p", files, {}, {}, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    for text in (
        "p.a3m.gz",
        "PF00072.30",
        "105.0",
        "CC0-1.0",
        "ab" * 32,
        "cd" * 32,
        "search.evalue",
        "0.001",
    ):
        assert text in page, text
    assert "annotation=alignment:seed&amp;download" in page
    assert "<script>alert" not in page


def test_the_overview_shows_the_inputs_of_all_proteins(tmp_path):
    save_json(tmp_path / "a.json", FETCHED)
    save_json(tmp_path / "b.json", {"cell": NASTY, "path": "/data/x.pdb", "version": "", "release": ""})
    save_json(tmp_path / "c.json", ["no", "provenance"])
    (tmp_path / "d.json").write_text("{")
    names = [str(tmp_path / f"{name}.json") for name in "abcd"]
    rows = [{"protein": "first", "provenance": [*names[:2], str(tmp_path / "absent.json")]}]
    rows += [{"protein": "second", "provenance": names[2:]}, {"protein": "third"}]
    assert [(o.protein, o.file, o.version) for o in read_origins(rows)] == [
        ("first", "a", "PF00072.30, release 105.0"),
        ("first", "b", ""),
    ]
    write_overview(tmp_path, rows, {}, {}, tmp_path / "index.html", tmp_path / "summary.tsv")
    page = (tmp_path / "index.html").read_text()
    for text in (
        "Where the inputs come from",
        "PF00072.30, release 105.0",
        "ab" * 6,
        "mirror.example",
        "/data/x.pdb",
    ):
        assert text in page, text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_without_provenance_the_overview_says_nothing_of_it(tmp_path):
    write_overview(tmp_path, [{"protein": "p"}], {}, {}, tmp_path / "index.html", tmp_path / "summary.tsv")
    assert "Where the inputs come from" not in (tmp_path / "index.html").read_text()
