"""A first visit, a lecture held by keys, a notebook saved, and the address through it all."""

import json
import re
from importlib import import_module
from pathlib import Path
from urllib.parse import parse_qsl

import axe_playwright_python
import pytest

from explorer import lectures
from explorer.frame import address_of
from explorer.tabs import TABS

QUICK = [name for name in TABS if not hasattr(import_module(f"explorer.tabs.{name}"), "stream")]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
SEEN = "selector => getComputedStyle(document.querySelector(selector)).visibility === 'visible'"


def reached(page, **wanted):
    """Wait until the address has these keys."""
    page.wait_for_function(
        """wanted => { const here = new URLSearchParams(location.search);
            return Object.entries(wanted).every(([key, value]) => here.get(key) === value); }""",
        arg=wanted,
    )


def test_the_next_preset_is_the_next_after_a_control_was_moved(page, url):
    coins = import_module("explorer.tabs.coin_flips")
    third, fourth = list(coins.PRESETS.values())[2:4]
    page.goto(f"{url}?{address_of(coins, third)}&lecture=1")
    place = page.locator(".slide-place", has_text="preset 3/")
    place.wait_for()
    page.evaluate(
        """() => {
            const input = document.querySelector('#coin_flips-p input[type=range]');
            Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, '0.31');
            input.dispatchEvent(new Event('input', { bubbles: true }));
        }"""
    )
    place.wait_for(state="hidden")
    page.keyboard.press("n")
    page.locator(".slide-place", has_text="preset 4/").wait_for()
    reached(page, **{key: value for key, value in parse_qsl(address_of(coins, fourth)) if key != "tab"})


def test_a_slide_that_asks_for_a_guess_covers_its_picture(page, url):
    slides = {one.name: one.slides for one in lectures.course()}["001"]
    at = next(place for place, slide in enumerate(slides, 1) if slide.cover and "coin_flips" in slide.query)
    page.goto(f"{url}?tab=coin_flips&lecture=1&slide=001:{at}")
    page.wait_for_selector("#tab-coin_flips .badge.ok", state="attached")
    plot, notice = "#tab-coin_flips .live-plot", "#tab-coin_flips .notice p"
    page.wait_for_selector(plot, state="hidden")
    page.keyboard.press("a")
    page.wait_for_selector(plot)
    assert page.evaluate(SEEN, notice)
    page.keyboard.press("n")  # the next shows its picture at once, not its answer; and back it is covered anew
    page.locator(".slide-place", has_text=f"{at + 1}/").wait_for()
    page.wait_for_selector(plot)
    assert not page.evaluate(SEEN, notice)
    page.keyboard.press("b")
    page.wait_for_selector(plot, state="hidden")
    page.keyboard.press("h")  # the lecturer's own wish
    page.wait_for_selector(plot)


def test_a_slide_is_turned_from_cells_that_are_painted(page, url):
    page.goto(f"{url}?tab=convolution&lecture=1&slide=001:1")
    page.wait_for_selector("#tab-convolution .badge.ok", state="attached")
    page.keyboard.press("c")
    board = page.locator("#tab-convolution .paint-board:visible")
    board.click(position={"x": 10, "y": 10})
    page.keyboard.press("n")
    reached(page, slide="001:2")
    assert page.locator("#convolution-image .told").inner_text() == ""


def test_a_lecture_from_the_first_visit_to_the_way_back(page, url, address):
    page.emulate_media(reduced_motion="reduce")  # a colour on its way from light to dark is neither
    slides = {one.name: one.slides for one in lectures.course()}["001"]
    page.set_viewport_size({"width": 1024, "height": 768})
    page.goto(url)
    page.wait_for_selector("#tab-start .badge.ok")
    assert address(page) == {"tab": "start"}
    page.evaluate("window.sameVisit = true")

    # By lecture: a slide is one click away, and the page is not loaded again.
    page.locator("#tab-start summary").first.click()
    page.locator('#tab-start [data-slide="001:5"]').click()
    tab = "#tab-transposed_convolution"
    page.wait_for_selector(f"{tab} .badge.ok")
    assert address(page) == dict(parse_qsl(slides[4].query))
    assert page.locator(f"{tab} .controls").is_visible()

    # Lecture mode: one panel, larger type, the answer unseen until it is asked for.
    page.get_by_role("button", name="Lecture", exact=True).click()
    reached(page, lecture="1", slide="001:5")
    assert page.locator(".slide-note").inner_text() == slides[4].note
    assert not page.locator(f"{tab} .controls").is_visible() and not page.locator(f"{tab} .fold").first.is_visible()
    size = "selector => parseFloat(getComputedStyle(document.querySelector(selector)).fontSize)"
    for text in ("body", f"{tab} .transport-label", f"{tab} .notice p"):
        assert page.evaluate(size, text) >= 20
    hidden = (f"{tab} .formula", f"{tab} .badge", f"{tab} .notice p")
    assert not any(page.evaluate(SEEN, part) for part in hidden)
    page.keyboard.press("a")
    assert all(page.evaluate(SEEN, part) for part in hidden)

    # The next slide hides the answer again; the players keep their arrow keys.
    page.keyboard.press("PageDown")
    reached(page, slide="001:6", p="2")
    page.wait_for_function("document.querySelector('#tab-transposed_convolution .chips [aria-pressed=true]')")
    assert not page.evaluate(SEEN, f"{tab} .notice p")
    player = page.locator(f"{tab} .player").first
    player.focus()
    step = player.locator(".transport-step", has_text="/ 64")  # the new slide's
    step.wait_for()
    page.keyboard.press("Home")
    first = int(step.inner_text().split()[1])
    page.keyboard.press("ArrowRight")
    assert int(step.inner_text().split()[1]) == first + 1
    page.keyboard.press("h")
    page.wait_for_selector(f"{tab} .stage .player", state="hidden")
    page.keyboard.press("a")
    page.wait_for_selector(f"{tab} .stage .player")
    page.keyboard.press("h")
    page.evaluate(AXE + ";0")
    for theme in ("dark", "light"):
        page.evaluate("theme => window.explorer.theme(theme)", theme)
        rules = f"async () => (await axe.run({{ include: [['.lecture-bar'], ['{tab}']] }})).violations"
        assert [rule["id"] for rule in page.evaluate(rules) if rule["impact"] in ("serious", "critical")] == []

    # What is typed into a field turns no page; Escape leaves it.
    page.keyboard.press("c")
    page.get_by_label("number input for Stride").fill("3")
    page.keyboard.press("n")
    reached(page, slide="001:6", s="3")
    page.keyboard.press("Escape")
    assert not page.locator(f"{tab} .controls").is_visible()

    # The lectures' list and back to the slide; the browser's own Back and Forward go the same way.
    page.keyboard.press("i")
    reached(page, tab="start")
    page.wait_for_selector("#tab-start .ways:visible")
    page.keyboard.press("n")
    reached(page, slide="001:6")
    page.wait_for_selector(f"{tab} .stage .player:visible")
    page.keyboard.press("b")
    reached(page, slide="001:5")
    page.go_back()
    reached(page, slide="001:6")
    page.go_back()
    reached(page, tab="start")
    page.wait_for_selector("#tab-start .ways:visible")
    page.go_forward()
    reached(page, slide="001:6")
    page.wait_for_selector(f"{tab} .stage .player:visible")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1024
    assert page.evaluate("window.sameVisit") is True

    # The address alone restores it; without a lecture the keys go through the presets, and on to the next tab.
    page.reload()
    page.wait_for_selector(f"{tab} .notice p", state="attached")
    assert page.locator(".slide-note").inner_text() == slides[5].note
    page.goto(f"{url}?tab=coin_flips&lecture=1")
    page.wait_for_selector("#tab-coin_flips .notice p", state="attached")
    page.keyboard.press("n")
    reached(page, tab="coin_flips", n="20", p="0.1", lecture="1")
    page.set_viewport_size({"width": 375, "height": 800})
    page.wait_for_function("document.documentElement.scrollWidth <= 375")  # once its pieces have taken their sizes
    page.keyboard.press("l")
    page.wait_for_selector("#tab-coin_flips .controls:visible")
    page.wait_for_function("!new URLSearchParams(location.search).has('lecture')")


def test_the_table_of_amounts_is_read_from_the_last_row(page, url):
    """20 px at least, as they come out: `zoom` enlarges what the style asks for."""
    size = """selector => { const one = document.querySelector(selector);
        return parseFloat(getComputedStyle(one).fontSize) * (one.currentCSSZoom ?? 1); }"""
    slide = {one.name: one.slides for one in lectures.course()}["003"][0]
    page.set_viewport_size({"width": 1024, "height": 768})
    page.goto(f"{url}?{slide.query}&lecture=1")
    page.wait_for_selector("#tab-forward_noise .picture-rows tbody tr")
    for part in ("thead th", "tbody td:first-child", "tbody td:last-child"):
        assert page.evaluate(size, f"#tab-forward_noise .picture-rows {part}") >= 20
    assert page.evaluate("document.documentElement.scrollWidth") <= 1024


@pytest.mark.parametrize(
    ("query", "piece"),
    [
        ("tab=schedules", "meter-piece"),
        ("tab=convolution&v=several+channels", "channels-piece"),
        ("tab=text_to_image", "result-piece"),
    ],
)
def test_a_piece_is_enlarged_once_and_read_from_the_last_row(page, url, query, piece):
    """Its classes stand on two elements, one in the other. Its smallest text, the marks of the meter's scale too."""
    page.set_viewport_size({"width": 1024, "height": 768})
    page.goto(f"{url}?{query}&lecture=1")
    page.wait_for_selector(f".tabitem:visible .{piece} :is(.meter-name, figcaption, .tokens li)")
    zooms, smallest = page.evaluate(
        """piece => {
            const all = [...document.querySelectorAll(`.${piece}`)], parts = all.flatMap((one) => [...one.querySelectorAll('*')]);
            const size = (one, pseudo) => parseFloat(getComputedStyle(one, pseudo).fontSize) * one.currentCSSZoom;
            const written = parts.filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()) && one.offsetParent);
            const marks = parts.filter((one) => one.dataset.at);
            return [all.map((one) => one.currentCSSZoom), Math.min(...written.map((one) => size(one)), ...marks.map((one) => size(one, '::after')))];
        }""",  # noqa: E501
        piece,
    )
    assert len(zooms) == 2 and len(set(zooms)) == 1 and smallest >= 20
    assert page.evaluate("document.documentElement.scrollWidth") <= 1024


def test_every_piece_that_lecture_mode_names_is_one():
    here = Path(lectures.__file__).parent
    source = "".join(path.read_text("utf-8") for path in here.rglob("*.py"))
    named = set(re.findall(r"\.([a-z-]+-piece)\b", (here / "lecture.css").read_text("utf-8")))
    assert named and named <= set(re.findall(r'name="([a-z-]+-piece)"', source))


def test_a_preset_of_every_quick_tab_by_its_address_alone_and_the_way_back(page, url, address):
    page.goto(url)
    page.wait_for_selector("#tab-start .badge.ok")
    visited = []
    for name in QUICK:
        module = import_module(f"explorer.tabs.{name}")
        preset, settings = list(module.PRESETS.items())[-1]
        wanted = address_of(module, settings)
        page.evaluate("query => window.explorer.go(query)", wanted)
        page.wait_for_selector(f"#tab-{name} .chips [aria-pressed=true]:text-is({json.dumps(preset)})")
        page.wait_for_selector(f"#tab-{name} .badge.ok")
        assert address(page) == dict(parse_qsl(wanted))
        visited.append((name, preset, wanted))
    for name, preset, wanted in reversed(visited[:-1]):
        page.go_back()
        page.wait_for_selector(f"#tab-{name} .chips [aria-pressed=true]:text-is({json.dumps(preset)}):visible")
        assert address(page) == dict(parse_qsl(wanted))
    page.go_forward()
    page.wait_for_selector(f"#tab-{visited[1][0]} .badge:visible")


def test_the_notebook_holds_the_code_on_the_screen(page, url):
    page.goto(f"{url}?tab=coin_flips&n=10")
    page.wait_for_selector("#tab-coin_flips .badge.ok")
    panel = page.locator("#tab-coin_flips")
    panel.get_by_role("button", name="Python for this screen").click()
    shown = panel.locator(".code pre code")
    shown.wait_for()
    with page.expect_download() as saving:
        panel.get_by_role("button", name="Open as notebook").click()
    assert saving.value.suggested_filename == "coin_flips.ipynb"
    made = json.loads(saving.value.path().read_text("utf-8"))
    assert [cell["cell_type"] for cell in made["cells"]] == ["markdown", "code"]
    assert "is installed" in made["cells"][0]["source"]
    assert made["cells"][-1]["source"].strip() == shown.inner_text().strip()
    assert "n, p, k = 10" in made["cells"][-1]["source"]


def test_the_keys_of_a_slide_just_opened_are_its_players(page, url):
    """Nothing has the focus yet: arrows, Home, End and the space bar step the first player, or move in the pictures."""
    page.goto(f"{url}?tab=convolution&lecture=1&slide=001:1")
    step = page.locator("#tab-convolution .transport-step:visible").first
    page.locator("#tab-convolution .transport-step", has_text=re.compile("step [1-9]")).first.wait_for()
    last = int(step.inner_text().split("/")[1])

    def stepped(key, at):
        page.keyboard.press(key)
        page.locator("#tab-convolution .transport-step", has_text=f"step {at} / {last}").first.wait_for()

    stepped("Home", 1)
    stepped("ArrowRight", 2)
    stepped("End", last)
    stepped("ArrowLeft", last - 1)
    page.keyboard.press("Home")
    page.keyboard.press("Space")  # plays
    page.locator("#tab-convolution .transport-step", has_text=re.compile(f"step [2-{last}] ")).first.wait_for()
    page.keyboard.press("n")  # the next slide
    reached(page, slide="001:2")
    page.goto(f"{url}?tab=resizing&v=methods+side+by+side&lecture=1")
    page.wait_for_selector("#tab-resizing .badge.ok", state="attached")
    page.keyboard.press("ArrowRight")  # the same place of all of them, larger
    page.wait_for_function("() => document.querySelector('#tab-resizing .pictures canvas').style.transform !== ''")
    page.keyboard.press("End")
    assert page.evaluate("scrollY") == 0
