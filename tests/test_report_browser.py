"""The pages in Chromium: no request, no error, controls that work, narrow screens."""

import csv

import numpy as np
import pytest
from browser_fixtures import CHROMIUM, browser, open_page, playwright, results, rows
from report_fixtures import FIRST, LENGTH, NASTY, QUERY, large_protein, write_protein

from data.store import load_arrays, save_arrays
from report.exports import CSV_COLUMNS
from report.overview import write_overview
from report.page import write_page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path"),
]


@pytest.mark.parametrize(
    "name", ["hairpin/report.html", "nasty/report.html", "solid/report.html", "index.html"]
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows_a_narrow_screen(results, open_page, name, scheme):
    page = open_page(results / name, width=375, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_markup_in_names_is_shown_not_run(results, open_page):
    page = open_page(results / "nasty" / "report.html")
    assert page.evaluate("document.querySelector('h1').textContent") == NASTY
    assert page.locator("script").count() == 2
    assert page.locator("#no-structure").is_visible()


def test_the_map_is_drawn(results, open_page):
    page = open_page(results / "hairpin" / "report.html")
    colours = page.evaluate(
        """() => {
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          const seen = new Set();
          for (let k = 0; k < data.length; k += 4)
            if (data[k + 3] === 255) seen.add(data[k] << 8 | data[k + 1]);
          return seen.size;
        }"""
    )
    assert colours > 3


def test_switching_the_method_changes_map_table_and_tally(results, open_page):
    page = open_page(results / "hairpin" / "report.html")
    first, picture = rows(page).nth(1).inner_text(), page.evaluate("canvas.toDataURL()")
    page.locator("input[name=method][value=mi]").check(force=True)
    assert page.locator("#contacts-of").inner_text() == "of mi"
    assert rows(page).nth(1).inner_text() != first
    assert page.evaluate("canvas.toDataURL()") != picture


def test_the_script_and_the_page_agree_on_the_table(results, open_page):
    found = rows(open_page(results / "hairpin" / "report.html"))
    # Not the inner text: rows that are not laid out yet have theirs without what stands between cells
    scripted = found.evaluate_all("rows => rows.map(row => [...row.cells].map(cell => cell.textContent))")
    text = (results / "hairpin" / "report.html").read_text()
    assert len(scripted) == LENGTH
    for _, i, j, *_ in scripted[:10]:
        assert f"<td>{i}</td><td>{j}</td>" in text


def test_slider_presets_and_range_choose_the_contacts(results, open_page):
    page = open_page(results / "hairpin" / "report.html")
    page.get_by_role("button", name="L/5").click()
    assert rows(page).count() == LENGTH // 5
    page.locator("#count").focus()
    page.keyboard.press("ArrowRight")
    playwright.expect(rows(page)).to_have_count(LENGTH // 5 + 1)
    page.locator("#range").select_option("24,")
    separations = [int(text) for text in rows(page).locator("td:nth-child(6)").all_inner_texts()]
    assert min(separations) >= 24
    tally = page.locator("#shown-precision").inner_text()
    distances = rows(page).locator("td:nth-child(9)").all_inner_texts()
    known = [float(text) for text in distances if text.strip() != "\u2013"]
    expected = sum(value < 8 for value in known) / len(known)
    assert tally.endswith(f" of {len(known)} resolved pairs")
    assert float(tally.split()[1]) == pytest.approx(expected, abs=0.0051)


def test_hovering_names_both_residues_in_both_numberings(results, open_page):
    page = open_page(results / "hairpin" / "report.html")
    x, y = page.evaluate("[margin.left + 20.5 * view.cell, margin.top + 5.5 * view.cell]")
    page.locator("#map").hover(position={"x": x, "y": y})
    playwright.expect(page.locator("#inspect .pair")).to_contain_text(f"{QUERY[5]}16")
    text = page.locator("#inspect").inner_text()
    assert f"{QUERY[5]}16, {QUERY[20]}31" in text
    assert "105, 120" in text
    assert "alignment columns\n6, 21" in text
    assert "true distance" in text
    tip = page.locator("#tip").inner_text()
    assert f"{QUERY[5]}16 \u2013 {QUERY[20]}31 \u00b7 structure 105, 120" in tip
    assert "alignment columns 6, 21" in tip
    assert "rank " in tip
    assert " \u00b7 probability " in tip
    page.mouse.move(0, 0)
    page.wait_for_selector("#tip", state="hidden")


def test_a_hover_leaves_the_map_as_it_is_and_draws_a_cross_over_it(results, open_page):
    page = open_page(results / "hairpin" / "report.html")
    page.wait_for_selector("body[data-read]")
    sheets = "[canvas.toDataURL(), over.toDataURL()]"
    before = page.evaluate(sheets)
    x, y = page.evaluate("[margin.left + 20.5 * view.cell, margin.top + 5.5 * view.cell]")
    page.locator("#map").hover(position={"x": x, "y": y})
    after = page.evaluate(sheets)
    assert after[0] == before[0]
    assert after[1] != before[1]
    said = page.locator("#inspect .pair span")
    playwright.expect(said).to_have_text(page.evaluate("distanceText(pairOf(5, 20))"))
    assert said.get_attribute("class") == page.evaluate("verdict(pairOf(5, 20))")


def test_without_a_structure_nothing_is_said_of_one(results, open_page):
    page = open_page(results / "nasty" / "report.html")
    heads = page.locator("#contacts thead th").all_inner_texts()
    assert not any("Structure" in head or "Distance" in head for head in heads)
    page.wait_for_selector("body[data-read]")
    assert rows(page).first.locator("td").count() == len(heads)
    assert page.locator("#inspect .pair span").count() == 0


def test_a_contact_never_reads_as_far_as_the_cut(results, open_page):
    page = open_page(results / "hairpin" / "report.html")
    shown = page.evaluate(
        "() => { const p = Array.from(distances).findIndex((d) => d !== 65535); const before = distances[p];"
        " const said = [796, 800, 560].map((d) => { distances[p] = d; return shownDistance(p); });"
        " distances[p] = before; return said; }"
    )
    assert shown == ["7.9", "8.0", "5.6"]


def test_keys_step_through_the_contacts(results, open_page):
    page = open_page(results / "hairpin" / "report.html")
    page.locator("#map").focus()
    page.keyboard.press("n")
    page.keyboard.press("n")
    playwright.expect(rows(page).nth(1)).to_have_attribute(
        "aria-current", "true"
    )  # rows come when there is time
    before = page.locator("#inspect .pair").inner_text()
    page.keyboard.press("ArrowUp")
    assert page.locator("#inspect .pair").inner_text() != before


at_rest_or_not = pytest.mark.parametrize(
    "before", [None, "window.requestIdleCallback = () => {}"], ids=["at rest", "never at rest"]
)


@at_rest_or_not
def test_a_clicked_row_is_marked(results, open_page, before):
    page = open_page(results / "hairpin" / "report.html", before=before)
    pair = rows(page).nth(2).get_attribute("data-pair")
    rows(page).nth(2).click()
    assert page.locator("#contacts tr[aria-current=true]").get_attribute("data-pair") == pair


def test_keys_step_through_the_table_as_it_is_sorted(results, open_page):
    page = open_page(results / "hairpin" / "report.html")
    page.get_by_role("button", name="Query j").click()
    order = [rows(page).nth(k).get_attribute("data-pair") for k in range(3)]
    page.locator("#contacts-region").focus()
    rows(page).nth(0).click()
    page.locator("#contacts-region").focus()
    for pair in order[1:]:
        page.keyboard.press("n")
        assert page.locator("#contacts tr[aria-current=true]").get_attribute("data-pair") == pair
    page.keyboard.press("p")
    assert page.locator("#contacts tr[aria-current=true]").get_attribute("data-pair") == order[1]


def test_the_caption_says_what_is_below_the_diagonal(results, open_page):
    page = open_page(results / "hairpin" / "report.html")
    assert "its contacts, blue where predicted" in page.locator("#map-caption").inner_text()
    page.locator("#below").select_option("plm")
    assert "below it: those of plm" in page.locator("#map-caption").inner_text()
    page.locator("#below").select_option("")
    assert "its contacts, blue where predicted" in page.locator("#map-caption").inner_text()


def test_contacts_of_other_ranges_are_pale(results, open_page):
    page = open_page(results / "hairpin" / "report.html")
    colours = """() => {
      const g = canvas.getContext("2d"), ratio = canvas.width / canvas.clientWidth, found = {};
      for (let p = 0; p < PAIRS; p++) {
        if (distances[p] >= 800 || apart(p) < model.minSeparation) continue;
        const at = [margin.left + (rowOf[p] + 0.5) * view.cell, margin.top + (columnOf[p] + 0.5) * view.cell];
        const [red, green, blue] = g.getImageData(at[0] * ratio, at[1] * ratio, 1, 1).data;
        const tone = `${red},${green},${blue}`;
        const side = apart(p) >= 24 ? "inside" : "outside";
        (found[side] ??= {})[tone] = (found[side][tone] ?? 0) + 1;
      }
      return [found, ...["--line", "--c-blue", "--true"].map((name) => rgb(themed(name)).join())];
    }"""
    page.locator("#range").select_option("24,")
    found, pale, blue, grey = page.evaluate(colours)
    assert set(found["outside"]) == {pale}
    assert set(found["inside"]) <= {blue, grey}


@at_rest_or_not
def test_tables_sort_by_number_and_turn(results, open_page, before):
    page = open_page(results / "hairpin" / "report.html", before=before)
    page.get_by_role("button", name="Query i").click()
    numbers = [int(text[1:]) for text in rows(page).locator("td:nth-child(2)").all_inner_texts()]
    assert numbers == sorted(numbers)
    page.get_by_role("button", name="Query i").click()
    turned = [int(text[1:]) for text in rows(page).locator("td:nth-child(2)").all_inner_texts()]
    assert turned == sorted(numbers, reverse=True)


def test_the_csv_holds_the_contacts_shown(results, open_page):
    page = open_page(results / "hairpin" / "report.html")
    with page.expect_download() as caught:
        page.locator("#save-csv").click()
    lines = caught.value.path().read_text().splitlines()
    assert lines[0] == ",".join(CSV_COLUMNS)
    assert len(lines) == LENGTH + 1
    for row in csv.DictReader(lines):  # the fixture numbers the first 30 residues from 201
        for end in "ij":
            column = int(row[end]) - FIRST
            assert row[f"uniprot_{end}"] == (str(column + 201) if column < 30 else "")


def test_the_overview_searches_and_sorts(results, open_page):
    page = open_page(results / "index.html")
    visible = page.locator("#table tbody tr:visible")
    assert visible.count() == 4
    page.locator("#search").fill("hair")
    assert visible.count() == 1
    assert page.locator("#found").inner_text() == "1 of 4 proteins"
    page.locator("#search").fill("")
    page.get_by_role("button", name="Protein").click()
    names = page.locator("#table tbody tr td:nth-child(2)").all_inner_texts()
    assert names == ["broken", "hairpin", "nasty", "solid"]
    visible.nth(1).get_by_role("link").click()
    assert page.locator("h1").inner_text() == "hairpin"


def test_a_page_on_paper_shows_no_controls_and_fits(results, open_page):
    page = open_page(results / "solid" / "report.html", media="print", width=794)
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    assert not page.locator("#count").is_visible()
    assert page.locator("#map").is_visible()


def test_the_first_hover_is_answered_before_the_rest_is_drawn(tmp_path, open_page):
    """What can wait for a reader waits: card, table, logo, distribution and the code of the 3-D view."""
    files, _ = large_protein(tmp_path / "p", 300)
    write_page("large", files, {}, {}, tmp_path / "large.html")
    watch = """window.order = [];
      addEventListener("DOMContentLoaded", () => {
        const moved = () => canvas.dispatchEvent(new PointerEvent("pointermove", {
          clientX: canvas.getBoundingClientRect().left + margin.left + 200.5 * view.cell,
          clientY: canvas.getBoundingClientRect().top + margin.top + 20.5 * view.cell,
        }));
        const seen = (id) => new MutationObserver(() => window.order.push(id))
          .observe(document.getElementById(id), { childList: true, subtree: true, attributes: true });
        ["tip", "card", "structure"].forEach(seen);
        moved();
      });"""
    page = open_page(tmp_path / "large.html", before=watch)
    assert (tmp_path / "large.html").stat().st_size < 4e6
    page.wait_for_selector("#structure[data-drawn]")
    page.wait_for_selector("body[data-read]")
    order = list(dict.fromkeys(page.evaluate("order")))
    assert order == ["tip", "card", "structure"]
    assert page.evaluate("rowsOfTable.size") == 300
    assert page.evaluate("typeof $3Dmol") == "object"
    drawn = (
        "(id) => new Set(document.getElementById(id).getContext('2d').getImageData(0, 0, 300, 60).data).size"
    )
    assert page.evaluate(drawn, "logo") > 10


def test_the_overview_filters_by_kin(tmp_path, open_page):
    rows = [{"protein": name} for name in ("new", "known")]
    for row in rows:
        files = write_protein(tmp_path / row["protein"], name=row["protein"])
        write_page(row["protein"], files, {}, {}, tmp_path / row["protein"] / "report.html")
    path = tmp_path / "known" / "refined.npz"
    save_arrays(path, **load_arrays(path), learned="homologue")
    write_overview(tmp_path, rows, {}, {}, tmp_path / "index.html", tmp_path / "summary.tsv")
    page = open_page(tmp_path / "index.html")
    page.locator("#kin").select_option("related")
    assert page.locator("#table tbody tr:visible td:nth-child(2) a").all_inner_texts() == ["known"]
    assert page.locator("#found").inner_text() == "1 of 2 proteins"


def test_significance_stands_in_table_tip_and_download(tmp_path, open_page):
    files = write_protein(tmp_path / "p")
    arrays = load_arrays(files["contacts"])
    q = np.where(np.abs(np.subtract.outer(np.arange(LENGTH), np.arange(LENGTH))) < 6, np.nan, 0.9)
    q[3, 30] = q[30, 3] = 0.004
    numbers = {"nulls": np.int32(20), "smallest_p": 1e-4, "coarsest_p": 1e-3}
    save_arrays(files["contacts"], **arrays, p=q.astype(np.float32) / 10, q=q.astype(np.float32), **numbers)
    write_page("hairpin", files, {}, {}, tmp_path / "report.html")
    page = open_page(tmp_path / "report.html")
    assert rows(page).first.locator("td").nth(8).inner_text() == "0.004"
    x, y = page.evaluate("[margin.left + 30.5 * view.cell, margin.top + 3.5 * view.cell]")
    page.locator("#map").hover(position={"x": x, "y": y})
    playwright.expect(page.locator("#tip")).to_contain_text("q 0.004")
    assert "p 4e-4, q 0.004" in page.locator("#inspect").inner_text()
    page.locator("#contacts thead button", has_text="q (coupling)").click()
    page.locator("#contacts thead button", has_text="q (coupling)").click()
    playwright.expect(rows(page).first.locator("td").nth(8)).to_have_text("\u2265 0.9")
    with page.expect_download() as download:
        page.locator("#save-csv").click()
    first = next(csv.DictReader(download.value.path().open()))
    assert (float(first["coupling_p"]), float(first["coupling_q"])) == pytest.approx((0.0004, 0.004))


def test_a_page_of_1000_residues_answers_a_hover_in_100_ms(tmp_path, open_page):
    files, _ = large_protein(tmp_path / "p", 1000)
    write_page("large", files, {}, {}, tmp_path / "large.html")
    page = open_page(tmp_path / "large.html")
    hover = """(k) => new Promise((done) => {
      const box = canvas.getBoundingClientRect();
      const start = performance.now();
      const clientX = box.left + margin.left + (k + 300.5) * view.cell;
      const clientY = box.top + margin.top + (k + 0.5) * view.cell;
      canvas.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY }));
      const wanted = queryName(rowOf[state.hover]);
      const tip = document.getElementById("tip");
      const shown = () => tip.textContent.startsWith(wanted);
      const look = () => (shown() ? done(performance.now() - start) : requestAnimationFrame(look));
      look();
    })"""
    times = sorted(page.evaluate(hover, 7 * k) for k in range(1, 16))
    assert times[len(times) // 2] < 100, times
