"""Pictures of a run's pages as people meet them: ``python tests/screenshots.py RESULTS OUT``.

Every page is taken at 1,400 pixels in light and dark, at 375 pixels, and as it prints; needs Chromium.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox --disable-background-networking --disable-component-update --disable-sync --no-first-run"
)
LOOKS = {
    "wide": {"width": 1400, "scheme": "light", "media": "screen"},
    "dark": {"width": 1400, "scheme": "dark", "media": "screen"},
    "narrow": {"width": 375, "scheme": "light", "media": "screen"},
    "print": {"width": 794, "scheme": "light", "media": "print"},
}


def chromium() -> str:
    """Path of Chromium; ends the program where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return found or sys.exit("no Chromium on the path")


def pages_of(results: Path, proteins: int) -> Iterator[tuple[str, Path]]:
    """Name and file of the overview and of the first reports, by name."""
    yield "overview", results / "index.html"
    for path in sorted(results.glob("*/report.html"))[:proteins]:
        yield path.parent.name, path


def take(browser: Browser, path: Path, out: Path, look: dict) -> None:
    """Save one page in one look, in its full height."""
    page = browser.new_page(viewport={"width": look["width"], "height": 900}, color_scheme=look["scheme"])
    page.emulate_media(media=look["media"], color_scheme=look["scheme"])
    page.goto(path.resolve().as_uri())
    settle(page)
    page.screenshot(path=out, full_page=True)
    page.close()


def settle(page: Page) -> None:
    """Wait until the page has drawn itself, the structure included."""
    page.wait_for_load_state()
    if page.locator("main.opening").count():
        page.wait_for_selector("body[data-read]", timeout=60_000)
    if page.locator("#structure").count():
        page.locator("#structure").scroll_into_view_if_needed()
        page.wait_for_selector("#structure[data-drawn]", timeout=30_000)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(400)


def main() -> int:
    """Write PAGE-LOOK.png for all pages and looks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--proteins", type=int, default=1, help="how many reports to take")
    options = parser.parse_args()
    program = chromium()
    if not (options.results / "index.html").exists():
        sys.exit(f"screenshots: no run in {options.results}: make demo first")
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=FLAGS.split())
        for name, path in pages_of(options.results, options.proteins):
            for look, how in LOOKS.items():
                take(browser, path, options.out / f"{name}-{look}.png", how)
        browser.close()
    sys.stdout.write(f"{len(list(options.out.glob('*.png')))} pictures in {options.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
