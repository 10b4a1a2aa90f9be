"""The pages in Chromium: no request, no error, controls that work, narrow screens."""

import csv
import shutil

import pytest
from report_fixtures import FIRST, LENGTH, NASTY, QUERY, write_protein

from data.store import save_json
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
    """Two proteins, one with markup for a name and without a structure, and the overview."""
    folder = tmp_path_factory.mktemp("results")
    for name, place, truth in (("hairpin", "hairpin", True), (NASTY, "nasty", False)):
        files = write_protein(folder / place, truth=truth)
        write_page(name, files, {"label": NASTY}, {"covarion": "1"}, folder / place / "report.html")
    save_json(folder / "broken" / "failure.json", {"problem": NASTY, "stage": "fetch"})
    proteins = [{"protein": name, "split": NASTY} for name in ("hairpin", "nasty", "broken")]
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

    def opened(path, width=1200, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: (troubles.append("dialog"), dialog.dismiss()))
        page.on("request", lambda request: requests.append(request.url))
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


@pytest.mark.parametrize("name", ["hairpin/report.html", "nasty/report.html", "index.html"])
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
    page.wait_for_function(f"document.querySelectorAll('#contacts tbody tr').length === {LENGTH // 5 + 1}")
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
    page.wait_for_function(f"document.querySelector('#inspect .pair').textContent.startsWith('{QUERY[5]}16')")
    text = page.locator("#inspect").inner_text()
    assert f"{QUERY[5]}16, {QUERY[20]}31" in text
    assert "105, 120" in text
    assert "true distance" in text


def test_keys_step_through_the_contacts(results, open_page):
    page = open_page(results / "hairpin" / "report.html")
    page.locator("#map").focus()
    page.keyboard.press("n")
    page.keyboard.press("n")
    second = rows(page).nth(1)
    assert second.get_attribute("aria-current") == "true"
    before = page.locator("#inspect .pair").inner_text()
    page.keyboard.press("ArrowUp")
    assert page.locator("#inspect .pair").inner_text() != before


def test_tables_sort_by_number_and_turn(results, open_page):
    page = open_page(results / "hairpin" / "report.html")
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
    assert visible.count() == 3
    page.locator("#search").fill("hair")
    assert visible.count() == 1
    assert page.locator("#found").inner_text() == "1 of 3 proteins"
    page.locator("#search").fill("")
    page.get_by_role("button", name="Protein").click()
    names = page.locator("#table tbody tr td:nth-child(2)").all_inner_texts()
    assert names == ["broken", "hairpin", "nasty"]
    visible.nth(1).get_by_role("link").click()
    assert page.locator("h1").inner_text() == "hairpin"
