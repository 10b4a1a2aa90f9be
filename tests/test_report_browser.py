"""The pages in Chromium: no request, no error, controls that work, narrow screens."""

import csv
import shutil

import numpy as np
import pytest
from report_fixtures import FIRST, LENGTH, NASTY, QUERY, assembly_distances, large_protein, write_protein

from data.store import load_arrays, save_arrays, save_json
from report.exports import CSV_COLUMNS
from report.overview import write_overview
from report.page import write_page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox --disable-background-networking --disable-component-update --disable-sync --no-first-run"
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path"),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Three proteins: one with markup for a name, one with a structure to turn; and the overview."""
    folder = tmp_path_factory.mktemp("results")
    kinds = {
        "hairpin": ("hairpin", {}),
        "nasty": (NASTY, {"truth": False}),
        "solid": ("solid", {"structure": True}),
    }
    for place, (name, options) in kinds.items():
        files = write_protein(folder / place, **options)
        write_page(name, files, {"label": NASTY}, {"covarion": "1"}, folder / place / "report.html")
    save_json(folder / "broken" / "failure.json", {"problem": NASTY, "stage": "fetch"})
    proteins = [{"protein": name, "split": NASTY} for name in ("hairpin", "nasty", "broken", "solid")]
    write_overview(folder, proteins, {}, {}, folder / "index.html", folder / "summary.tsv")
    return folder


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield started
        started.close()


@pytest.fixture
def open_page(browser):
    """Open a file; afterwards no console error, no dialog and no request but the file itself."""
    troubles, requests, pages = [], [], []

    def opened(path, width=1200, scheme="light", media="screen", before=None):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.set_default_timeout(120_000)  # a machine may be busy; what is measured says so itself
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: (troubles.append("dialog"), dialog.dismiss()))
        page.on("request", lambda request: requests.append(request.url))
        page.emulate_media(media=media, color_scheme=scheme)
        if before:
            page.add_init_script(before)
        page.goto(path.as_uri())
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.close()
    assert troubles == []
    strangers = [url for url in requests if not url.startswith(("data:", "blob:")) and ".html" not in url]
    assert strangers == []


def rows(page):
    return page.locator("#contacts tbody tr")


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
    scripted = rows(open_page(results / "hairpin" / "report.html")).all_inner_texts()
    text = (results / "hairpin" / "report.html").read_text()
    assert len(scripted) == LENGTH
    for row in scripted[:10]:
        _, i, j = row.split()[:3]
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


PIXELS = """() => {
  const canvas = document.querySelector("#structure canvas");
  const sheet = document.createElement("canvas");
  [sheet.width, sheet.height] = [canvas.width, canvas.height];
  const g = sheet.getContext("2d");
  three.viewer.render();
  g.drawImage(canvas, 0, 0);
  const data = g.getImageData(0, 0, sheet.width, sheet.height).data;
  const counts = {};
  for (let k = 0; k < data.length; k += 4) {
    const [r, g, b] = [data[k], data[k + 1], data[k + 2]];
    const blue = b > r + 40 && b > g + 20, orange = r > b + 60 && r > g + 20;
    const green = g > r + 40 && g > b + 15;
    const kind = data[k + 3] < 128 || (r > 245 && g > 245 && b > 245) ? "empty"
      : blue ? "blue" : green ? "green" : orange ? "orange" : "other";
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}"""


@pytest.fixture
def solid(results, open_page):
    """The page with a structure, drawn."""
    page = open_page(results / "solid" / "report.html")
    page.wait_for_selector("body[data-read]")
    page.locator("#structure").scroll_into_view_if_needed()
    page.wait_for_selector("#structure[data-drawn]")
    return page


def test_the_structure_is_drawn(solid):
    counts = solid.evaluate(PIXELS)
    assert counts["empty"] > 1000
    assert sum(counts.values()) - counts["empty"] > 1500


def choose(page, i, j):
    """Click a pair of columns on the map."""
    x, y = page.evaluate(f"[margin.left + {j + 0.5} * view.cell, margin.top + {i + 0.5} * view.cell]")
    page.locator("#map").click(position={"x": x, "y": y})
    drawn = str(page.evaluate(f"pairOf({i}, {j})"))
    playwright.expect(page.locator("#structure")).to_have_attribute("data-drawn", drawn)


def test_a_chosen_pair_costs_one_picture(solid):
    pictures = solid.evaluate(
        """() => {
          const kind = Object.getPrototypeOf(three.viewer), show = kind.show;
          let count = 0;
          kind.show = function (...rest) { count++; return show.apply(this, rest); };
          pin(pairOf(5, 20));
          kind.show = show;
          return count;
        }"""
    )
    assert pictures == 1


def test_the_structure_waits_while_the_map_is_read(results, open_page):
    moving = """addEventListener("DOMContentLoaded", () => { state.moved = Infinity; })"""
    page = open_page(results / "solid" / "report.html", before=moving)
    page.locator("#structure").scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    assert page.locator("#structure[data-drawn]").count() == 0
    page.evaluate("state.moved = 0")
    page.wait_for_selector("#structure[data-drawn]")


def test_a_clicked_pair_is_drawn_in_the_colour_of_its_verdict(solid):
    solid.evaluate("paints.secondary = () => '#cccccc'; paint()")
    choose(solid, 10, 29)  # opposite each other: a contact
    contact = solid.evaluate(PIXELS)
    assert solid.locator("#structure-says").inner_text().endswith("5.0 \u00c5, contact.")
    choose(solid, 0, 19)  # the two ends of a strand
    wrong = solid.evaluate(PIXELS)
    assert "wrong" in solid.locator("#structure-says").inner_text()
    choose(solid, 8, 15)
    copy = solid.evaluate(PIXELS)
    assert "contact with another copy" in solid.locator("#structure-says").inner_text()
    assert contact["blue"] > 50
    assert contact.get("orange", 0) < 20
    assert wrong["orange"] > 50
    assert wrong.get("blue", 0) < 20
    assert copy["green"] > 50
    assert copy.get("other", 0) > contact.get("other", 0) + 100  # the copy itself, faint
    assert "Grey: the copy that it touches" in solid.locator("#structure-says").inner_text()
    met = solid.evaluate("[meeting(pairOf(8, 15))].map((m) => [m.own, m.other, m.distance])[0]")
    assert met == [15, 8, pytest.approx(float(assembly_distances()[8, 15]), abs=0.02)]  # of the copy: 8
    choose(solid, 3, 30)
    assert "no coordinates" in solid.locator("#structure-says").inner_text()


def test_the_contacts_shown_are_drawn_on_demand(solid):
    solid.evaluate("paints.secondary = () => '#cccccc'; paint(); pin(null)")
    before = solid.evaluate(PIXELS)
    solid.get_by_label("draw the contacts shown").check()
    after = solid.evaluate(PIXELS)
    assert after.get("blue", 0) > before.get("blue", 0) + 200
    solid.locator("#count").fill("1")
    playwright.expect(rows(solid)).to_have_count(1)
    few = solid.evaluate(PIXELS)
    assert few.get("blue", 0) < after["blue"] / 2


def test_keys_turn_the_structure_and_colours_change(solid):
    view = "JSON.stringify(three.viewer.getView())"
    before = solid.evaluate(view)
    solid.locator("#structure").focus()
    solid.keyboard.press("ArrowRight")
    assert solid.evaluate(view) != before
    solid.locator("#centre").click()
    plain = solid.evaluate(PIXELS)
    solid.locator("#paint").select_option("order")
    assert solid.evaluate(PIXELS) != plain


def test_a_pair_between_copies_is_explained(solid):
    choose(solid, 8, 15)
    assert "touches another copy in the assembly" in solid.locator("#inspect").inner_text()
    assert "contact with another copy" in solid.locator("#tally").inner_text()


def test_the_card_shows_couplings_and_the_sequences_that_carry_them(solid):
    rows(solid).nth(0).click()
    card = solid.locator("#card")
    assert "Couplings (plm)" in card.inner_text()
    assert "Sequences that carry it" in card.inner_text()
    shares = [float(text.split()[0]) for text in card.locator("tbody td:nth-child(3)").all_inner_texts()]
    assert shares == sorted(shares, reverse=True)
    assert card.locator("tbody td:last-child").nth(0).inner_text().startswith("row")


@pytest.mark.parametrize("sheet", ["logo", "scores"])
def test_the_evidence_is_drawn(solid, sheet):
    colours = f"""() => {{
      const sheet = document.getElementById("{sheet}");
      const data = sheet.getContext("2d").getImageData(0, 0, sheet.width, sheet.height).data;
      const seen = new Set();
      for (let k = 0; k < data.length; k += 4)
        if (data[k + 3] === 255) seen.add(data[k] << 16 | data[k + 1] << 8 | data[k + 2]);
      return seen.size;
    }}"""
    assert solid.evaluate(colours) >= 3


def test_scores_follow_the_slider_and_the_method(solid):
    first = solid.locator("#scores-say").inner_text()
    solid.get_by_role("button", name="L/5").click()
    second = solid.locator("#scores-say").inner_text()
    solid.locator("input[name=method][value=mi]").check(force=True)
    third = solid.locator("#scores-say").inner_text()
    assert len({first, second, third}) == 3
    assert third.startswith("mi: ")


def test_a_page_on_paper_shows_no_controls_and_fits(results, open_page):
    page = open_page(results / "solid" / "report.html", media="print", width=794)
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    assert not page.locator("#count").is_visible()
    assert page.locator("#map").is_visible()


def test_on_paper_the_pair_stands_on_the_first_page(solid):
    solid.emulate_media(media="print")
    solid.set_viewport_size({"width": 703, "height": 1031})  # A4 within margins of 12 mm
    bottom = solid.evaluate("get('inspect').getBoundingClientRect().bottom + scrollY")
    assert bottom < 1031


def test_on_paper_heads_stay_above_their_rows_and_the_structure_in_its_frame(solid):
    solid.emulate_media(media="print")
    solid.set_viewport_size({"width": 700, "height": 900})
    assert solid.evaluate("getComputedStyle(document.querySelector('#contacts th')).position") == "static"
    inside = """[get("structure"), get("structure").querySelector("canvas")].map((it) => it.clientWidth)"""
    frame, sheet = solid.evaluate(inside)
    assert sheet <= frame


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


def test_a_structure_of_beta_atoms_alone_is_drawn_as_a_trace(tmp_path, open_page):
    files = write_protein(tmp_path / "p", structure=True)
    lines = files["structure"].read_text().splitlines()
    files["structure"].write_text(
        "\n".join(line for line in lines if not line.startswith("ATOM") or " CB " in line) + "\n"
    )
    write_page("trace", files, {}, {}, tmp_path / "trace.html")
    page = open_page(tmp_path / "trace.html")
    page.locator("#structure").scroll_into_view_if_needed()
    page.wait_for_selector("#structure[data-drawn]")
    counts = page.evaluate(PIXELS)
    assert sum(counts.values()) - counts["empty"] > 1500
    assert page.locator("#paint option").all_inner_texts() == ["first to last residue", "conservation"]


def test_without_webgl_the_page_says_so_and_works(results, open_page):
    no_webgl = """for (const kind of [HTMLCanvasElement, OffscreenCanvas]) {
      const get = kind.prototype.getContext;
      kind.prototype.getContext = function (name, ...rest) {
        return name.startsWith("webgl") ? null : get.call(this, name, ...rest);
      };
    }"""
    page = open_page(results / "solid" / "report.html", before=no_webgl)
    page.locator("#structure").scroll_into_view_if_needed()
    assert "has no WebGL" in page.locator("#no-webgl").inner_text()
    rows(page).nth(2).click()
    assert rows(page).nth(2).get_attribute("aria-current") == "true"
