"""Structure, card, evidence and paper of a page in Chromium."""

import pytest
from browser_fixtures import CHROMIUM, browser, choose, open_page, playwright, results, rows, solid
from report_fixtures import FIRST, QUERY, assembly_distances, write_protein

from report.page import write_page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path"),
]


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


def test_the_structure_is_drawn(solid):
    counts = solid.evaluate(PIXELS)
    assert counts["empty"] > 1000
    assert sum(counts.values()) - counts["empty"] > 1500


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


def test_colours_are_named(solid):
    assert "Purple: helices" in solid.locator("#paint-says").inner_text()
    solid.locator("#paint").select_option("conservation")
    assert "yellow: conserved" in solid.locator("#paint-says").inner_text()


def test_panel_and_structure_show_the_same_pair(solid):
    def agree():
        read = str(solid.evaluate("state.read"))
        playwright.expect(solid.locator("#structure")).to_have_attribute("data-drawn", read)

    x, y = solid.evaluate("[margin.left + 20.5 * view.cell, margin.top + 5.5 * view.cell]")
    solid.locator("#map").hover(position={"x": x, "y": y})
    playwright.expect(solid.locator("#inspect .pair")).to_contain_text(f"{QUERY[5]}{FIRST + 5}")
    solid.mouse.move(0, 0)
    agree()
    solid.locator("#map").focus()
    for key in ("n", "n", "Escape"):
        solid.keyboard.press(key)
    assert solid.evaluate("state.pinned") is None
    agree()


def test_the_page_scrolls_over_a_structure_that_nobody_clicked(solid):
    zoom = "three.viewer.getView()[3]"
    before, place = solid.evaluate(zoom), solid.evaluate("scrollY")
    solid.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
    solid.locator("#structure").hover()
    solid.mouse.wheel(0, 60)
    solid.wait_for_timeout(500)
    moved = solid.evaluate("scrollY")
    assert moved > place
    assert solid.evaluate(zoom) == before
    solid.locator("#structure").click(position={"x": 5, "y": 5})
    solid.mouse.wheel(0, 60)
    solid.wait_for_timeout(500)
    assert solid.evaluate(zoom) != before
    assert solid.evaluate("scrollY") == moved


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
