"""The overview works over whatever a run left behind, and its numbers are those of the proteins."""

import csv
import io
import json

import numpy as np
import pytest
from report_fixtures import NASTY, score_lines, write_protein

from data.store import load_arrays, save_arrays, save_json, save_text
from report.outcomes import Outcome, read_outcomes, representatives
from report.overview import _published, mean_table, mean_text, summary_table, write_overview
from report.page import published_text, write_page
from report.summary import COLUMNS

FAILURE = {
    "protein": "failed",
    "stage": "read_alignment",
    "kind": "AlignmentError",
    "problem": "rows differ\nin length",
    "file": NASTY,
    "place": "line 12",
    "value": "101 instead of 99",
    "remedy": "align the rows",
}


def finished(results, name, precisions=None, neff=None, **options):
    """A whole protein in the results folder, optionally with chosen scores and depth."""
    folder = results / name
    write_page(name, write_protein(folder, name=name, **options), {}, {}, folder / "report.html")
    if precisions:
        save_text(folder / "scores.tsv", score_lines(name, precisions))
    if neff:
        save_arrays(folder / "weights.npz", weights=np.ones(12, np.float32), neff=np.float32(neff))


@pytest.fixture
def run(tmp_path):
    """A run of six proteins: two whole, one without a structure, one failed, one torn, one not there."""
    finished(tmp_path, "deep", {"mi": 0.2, "plm": 0.6, "refined": 0.9}, neff=5000)
    finished(tmp_path, "shallow", {"mi": 0.1, "plm": 0.2, "refined": 0.4}, neff=50)
    finished(tmp_path, "blind", truth=False)
    save_json(tmp_path / "failed" / "failure.json", FAILURE)
    finished(tmp_path, "torn")
    (tmp_path / "torn" / "maps.npz").write_bytes((tmp_path / "torn" / "maps.npz").read_bytes()[:200])
    save_json(
        tmp_path / "run.json",
        {
            "stages": {"couplings": {"jobs": 3, "seconds": 65.0, "peak_mb": 812.4}},
            "skipped_rows": ["row 9 is odd"],
        },
    )
    names = ("deep", "shallow", "blind", "failed", "torn", "absent")
    return tmp_path, [{"protein": name, "alignment": f"{name}.a3m"} for name in names]


def overview(run):
    results, proteins = run
    write_overview(
        results, proteins, {"x": NASTY}, {"covarion": "9.9"}, results / "index.html", results / "summary.tsv"
    )
    return (results / "index.html").read_text(), (results / "summary.tsv").read_text()


def test_every_protein_has_its_status_and_reason(run):
    outcomes = {outcome.name: outcome for outcome in read_outcomes(*run, thumbnails=True)}
    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        "deep": "finished",
        "shallow": "finished",
        "blind": "finished",
        "failed": "failed",
        "torn": "incomplete",
        "absent": "incomplete",
    }
    assert outcomes["failed"].reason == FAILURE["problem"]
    assert outcomes["torn"].reason
    assert "alignment.npz" in outcomes["absent"].reason
    assert outcomes["deep"].thumbnail.startswith("data:image/png")
    assert outcomes["deep"].structure == "1ABC B"


def test_proteins_that_the_weights_know_are_marked(run):
    assert "data-learned" not in overview(run)[0]
    path = run[0] / "deep" / "refined.npz"
    save_arrays(path, **load_arrays(path), learned="cluster")
    page, _ = overview(run)
    assert "1 of the compared proteins flatter refined: its weights learned from homologues of them" in page
    assert page.count("refined: weights learned from homologues of this protein") == 1
    assert {o.name: o.learned for o in read_outcomes(*run)}["deep"] == {"refined": "cluster"}


def test_homologues_stand_in_overview_and_summary(run):
    path = run[0] / "deep" / "refined.npz"
    hit = {"family": "<b>", "cluster": "c", "split": "train", "evalue": 2e-9, "identity": 0.41}
    hit |= {"first": 0, "last": 30}
    found = {"searched": 407, "missing": 0, "threshold": 1e-3, "homologues": 1, "hits": [hit]}
    save_arrays(path, **load_arrays(path), homology=json.dumps(found))
    page, text = overview(run)
    assert 'data-kin="related"' in page
    assert "&lt;b&gt;, E = 2e-09" in page
    assert '<option value="related">related (1)</option>' in page
    rows = list(csv.DictReader(io.StringIO(text), delimiter="\t"))
    told = {
        (row["kin"], row["closest_family"], row["closest_evalue"]) for row in rows if row["protein"] == "deep"
    }
    assert told == {("related", "<b>", "2e-09")}


def test_the_page_lists_links_failures_and_times(run):
    page, _ = overview(run)
    assert 'href="deep/report.html"' in page
    assert 'href="torn/report.html"' not in page
    for text in (
        "rows differ",
        "line 12",
        "align the rows",
        "1 min 05 s",
        "812",
        "row 9 is odd",
        "covarion",
        "alignment.npz is missing",
    ):
        assert text in page, text
    assert "<script>alert" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_the_summary_has_a_row_per_number_and_one_per_protein_without(run):
    _, text = overview(run)
    rows = list(csv.DictReader(io.StringIO(text), delimiter="\t"))
    assert tuple(rows[0]) == COLUMNS
    deep = [row for row in rows if row["protein"] == "deep"]
    assert len(deep) == 3 * 4
    wanted = next(row for row in deep if (row["method"], row["cut"]) == ("refined", "L/5"))
    assert (wanted["precision"], wanted["k"], wanted["neff"], wanted["depth_bin"]) == (
        "0.9",
        "8",
        "5000.00",
        "> 3,000",
    )
    alone = {row["protein"]: row for row in rows if not row["method"]}
    assert set(alone) == {"blind", "failed", "absent"}
    assert alone["failed"]["reason"] == "rows differ in length"
    assert (alone["blind"]["status"], alone["blind"]["length"]) == ("finished", "40")


def test_a_failed_protein_keeps_no_stale_scores(run):
    results, proteins = run
    save_json(results / "deep" / "failure.json", FAILURE | {"protein": "deep"})
    assert next(o for o in read_outcomes(results, proteins) if o.name == "deep").scores == []


def test_the_printed_table_shows_numbers_and_reasons(run):
    text = summary_table(*run)
    assert "deep     refined  0.90  0.90  0.90          1.00" in text.splitlines()
    assert "failed: failed: rows differ in length" in text.splitlines()
    assert "blind: finished, no structure to compare with" in text
    assert all(len(line) <= 110 for line in text.splitlines())


def test_without_a_table_the_printed_table_shows_what_the_folder_holds(run):
    lines = summary_table(run[0], []).splitlines()
    assert "shallow  plm      0.20  0.20  0.20          1.00" in lines
    assert "failed: failed: rows differ in length" in lines
    assert not any(line.startswith("absent") for line in lines)


def test_an_empty_or_hopeless_run_still_has_its_files(tmp_path):
    for proteins in ([], [{"protein": "absent"}]):
        page, text = overview((tmp_path, proteins))
        assert "Overview" in page
        assert len(text.splitlines()) == 1 + len(proteins)


@pytest.mark.parametrize("content", ["{", "[1, 2]", "null"])
def test_a_broken_failure_file_is_a_failure_too(tmp_path, content):
    save_text(tmp_path / "odd" / "failure.json", content)
    save_text(tmp_path / "run.json", content)
    page, text = overview((tmp_path, [{"protein": "odd"}]))
    assert "failure.json cannot be read" in page
    assert "odd\tfailed" in text


def many(results, count=6):
    """Proteins of three clusters, two each; the second of each cluster must not count."""
    proteins = []
    for k in range(count):
        value = 0.2 + 0.1 * (k // 2)
        precisions = {"plm": value, "refined": value + 0.05} if k % 2 == 0 else {"plm": 1.0, "refined": 0.0}
        finished(results, f"p{k}", precisions, neff=50 if k < 4 else 5000)
        proteins.append({"protein": f"p{k}", "cluster": f"c{k // 2}"})
    return proteins


def test_means_are_over_cluster_representatives(tmp_path):
    proteins = many(tmp_path)
    assert [o.name for o in representatives(read_outcomes(tmp_path, proteins))] == ["p0", "p2", "p4"]
    table = {(m.group, m.method, m.cut): m for m in mean_table(tmp_path, proteins)}
    plm, refined = table["all", "plm", "L/5"], table["all", "refined", "L/5"]
    assert plm.clusters == 3
    assert plm.mean == pytest.approx(0.3)
    assert 0.199 < plm.low < plm.mean < plm.high < 0.401
    assert plm.reference == ""
    assert (refined.reference, refined.paired) == ("plm", 3)
    assert refined.difference == pytest.approx(0.05)
    assert refined.difference_low == pytest.approx(0.05)  # every pair differs by the same: no spread
    assert table["30-100", "plm", "L"].mean == pytest.approx(0.25)
    assert table["> 3,000", "plm", "L"].clusters == 1


def test_the_mean_table_prints_as_markdown(tmp_path):
    lines = mean_text(mean_table(tmp_path, many(tmp_path))).splitlines()
    assert lines[0] == "| Neff | method | clusters | L/5 | L/2 | L |"
    assert lines[2].startswith("| all | plm | 3 | 0.300 (")
    assert lines[3].startswith("| all | refined | 3 | 0.350 (")
    assert "; +0.050 (+0.050 to +0.050)" in lines[3]
    assert "| > 3,000 | plm | 1 | 0.400 | 0.400 | 0.400 |" in lines


def test_splits_are_averaged_apart(tmp_path):
    finished(tmp_path, "a", {"plm": 0.9}, neff=50)
    finished(tmp_path, "b", {"plm": 0.1}, neff=50)
    proteins = [{"protein": "a", "split": "train"}, {"protein": "b", "split": "val"}]
    page, _ = overview((tmp_path, proteins))
    assert "Split train" in page
    assert "Split val" in page
    assert "0.500" not in page


def test_means_are_over_first_chains_of_experiments(tmp_path):
    """Neither a predicted model nor a further structure of a protein enters a mean or the summary."""
    finished(tmp_path, "real", {"plm": 0.5})
    head, *rows = (tmp_path / "real" / "scores.tsv").read_text().splitlines()
    further = [
        row.replace("0.5", "0.0") + f"\t{name}" for name in ("assembly", "2XYZ_A", "union") for row in rows
    ]
    lines = [f"{head}\tagainst", *(f"{row}\tchain" for row in rows), *further]
    save_text(tmp_path / "real" / "scores.tsv", "\n".join(lines) + "\n")
    finished(tmp_path, "guess", {"plm": 0.9})
    folder = tmp_path / "guess"
    save_text(folder / "agreement.tsv", (folder / "scores.tsv").read_text().replace("precision", "agreement"))
    save_text(folder / "scores.tsv", f"{head}\tagainst\n")
    truth = load_arrays(folder / "truth.npz") | {"kind": np.array("model"), "entry": np.array("AF-P1-F1")}
    save_arrays(folder / "truth.npz", **truth)
    proteins = [{"protein": "real", "structure": "x"}, {"protein": "guess", "structure": "afdb:P1"}]
    (mean,) = [mean for mean in mean_table(tmp_path, proteins) if mean.cut == "L" and mean.group == "all"]
    assert (mean.clusters, mean.mean) == (1, 0.5)
    assert "guess: finished, compared with AF-P1-F1 B (predicted model) alone" in summary_table(
        tmp_path, proteins
    )
    write_overview(tmp_path, proteins, {}, {}, tmp_path / "index.html", tmp_path / "summary.tsv")
    with (tmp_path / "summary.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert [(row["protein"], row["precision"]) for row in rows] == [("real", "0.5")] * 4 + [("guess", "")]
    assert "AF-P1-F1 B (predicted model)" in (tmp_path / "index.html").read_text()


def test_three_scored_proteins_are_drawn_by_depth(tmp_path):
    depths = {"a": 50, "b": 500, "c": 5000}
    for name, neff in depths.items():
        finished(tmp_path, name, {"plm": 0.2, "refined": 0.4}, neff=neff)
    rows = [{"protein": name} for name in depths]
    for shown, page in ((rows, "three.html"), (rows[:2], "two.html")):
        write_overview(tmp_path, shown, {}, {}, tmp_path / page, tmp_path / "summary.tsv")
    three = (tmp_path / "three.html").read_text()
    assert "Precision against depth" in three
    assert three.count("h0") == 6
    assert "Precision against depth" not in (tmp_path / "two.html").read_text()


def test_weights_from_published_networks_are_told_once():
    outcomes = [Outcome({"protein": n}, published={"refined-x": "trrosetta (teacher)"}) for n in ("a", "b")]
    (told,) = _published([*outcomes, Outcome({"protein": "c"})])
    assert told.startswith(
        "The weights of refined-x have learned from published networks, trrosetta (teacher)"
    )
    assert published_text("refined-x", {"published": np.array("trrosetta (teacher)")}) == told
    assert published_text("refined-x", {}) == published_text("refined-x", {"published": np.array("")}) == ""
