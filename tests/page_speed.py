"""How fast and how large pages are: ``python tests/page_speed.py 300 800 1000``, a line for each length.

A page of a made-up protein with everything on it is opened in headless Chromium, the pointer moves over the
map from the start, and the page says when it first answered. Times run from navigation; busy is the CPU time
of the page's main thread until then, which depends less on what else the machine does; hover CPU is that of
one hover after all is drawn, the picture on the screen included.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from playwright.sync_api import Browser, CDPSession, sync_playwright  # noqa: E402
from report_fixtures import large_protein  # noqa: E402
from screenshots import FLAGS, chromium  # noqa: E402

from report.page import write_page  # noqa: E402

HOVERS = 30
ANSWER = """addEventListener("DOMContentLoaded", () => {
  const tip = document.getElementById("tip");
  new MutationObserver(() => { window.answered ??= performance.now(); })
    .observe(tip, { childList: true, subtree: true });
});"""
HOVER = """(k) => new Promise((done) => {
  const box = canvas.getBoundingClientRect();
  const clientX = box.left + margin.left + (200.5 - k) * view.cell;
  const clientY = box.top + margin.top + (k + 0.5) * view.cell;
  const start = performance.now();
  canvas.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY }));
  const wanted = queryName(rowOf[state.hover]);
  const tip = document.getElementById("tip");
  const answered = () => tip.textContent.startsWith(wanted);
  const look = () => (answered() ? done(performance.now() - start) : setTimeout(look, 1));
  look();
})"""


def main_thread(session: CDPSession) -> float:
    """CPU time of the page's main thread so far, in milliseconds."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return 1000 * next(one["value"] for one in metrics if one["name"] == "TaskDuration")


def measure(browser: Browser, path: Path) -> dict[str, float]:
    """First answer, main thread's CPU time, and hovers afterwards: median and worst, in milliseconds."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.add_init_script(ANSWER)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(path.as_uri(), wait_until="commit")
    for k in range(20_000):
        page.mouse.move(250 + k % 200, 700 + k % 50)  # where the map lies in a window of this size
        if page.evaluate("window.answered ?? 0"):
            break
    first = page.evaluate("answered")
    busy = main_thread(session)
    hovers = [page.evaluate(HOVER, k) for k in range(1, HOVERS + 1)]
    page.wait_for_selector("#structure[data-drawn]", timeout=120_000)
    page.wait_for_selector("body[data-read]", timeout=120_000)
    before = main_thread(session)
    settled = [page.evaluate(HOVER, k) for k in range(1, HOVERS + 1)]
    cost = (main_thread(session) - before) / HOVERS
    page.close()
    return {
        "first": first, "busy": busy, "hover": median(hovers), "worst": max(hovers),
        "settled": median(settled), "settled_worst": max(settled), "cost": cost,
    }  # fmt: skip


def main() -> int:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("lengths", type=int, nargs="+")
    parser.add_argument("--repeats", type=int, default=3, help="openings of each page; medians are printed")
    options = parser.parse_args()
    head = (
        "L",
        "MB",
        "first answer s",
        "CPU until then s",
        "hover ms",
        "worst",
        "beside 3-D ms",
        "worst",
        "hover CPU ms",
    )
    sys.stdout.write("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|\n")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=FLAGS.split())
        for length in options.lengths:
            path = Path(folder, f"{length}.html")
            write_page("large", large_protein(Path(folder, str(length)), length)[0], {}, {}, path)
            runs = [measure(browser, path) for _ in range(options.repeats)]
            found = {name: median(run[name] for run in runs) for name in runs[0]}
            cells = [str(length), f"{path.stat().st_size / 1e6:.2f}"]
            cells += [f"{found['first'] / 1000:.2f}", f"{found['busy'] / 1000:.2f}"]
            cells += [f"{found[name]:.0f}" for name in ("hover", "worst", "settled", "settled_worst", "cost")]
            sys.stdout.write("| " + " | ".join(cells) + " |\n")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
