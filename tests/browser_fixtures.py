"""Pages of made-up proteins, and a Chromium that opens them and hears what they ask for."""

import shutil

import pytest
from report_fixtures import NASTY, write_protein

from data.store import save_json
from report.overview import write_overview
from report.page import write_page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox --disable-background-networking --disable-component-update --disable-sync --no-first-run"
)


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


@pytest.fixture
def solid(results, open_page):
    """The page with a structure, drawn."""
    page = open_page(results / "solid" / "report.html")
    page.wait_for_selector("body[data-read]")
    page.locator("#structure").scroll_into_view_if_needed()
    page.wait_for_selector("#structure[data-drawn]")
    return page


def rows(page):
    return page.locator("#contacts tbody tr")


def choose(page, i, j):
    """Click a pair of columns on the map."""
    x, y = page.evaluate(f"[margin.left + {j + 0.5} * view.cell, margin.top + {i + 0.5} * view.cell]")
    page.locator("#map").click(position={"x": x, "y": y})
    drawn = str(page.evaluate(f"pairOf({i}, {j})"))
    playwright.expect(page.locator("#structure")).to_have_attribute("data-drawn", drawn)
