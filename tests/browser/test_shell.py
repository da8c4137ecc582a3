"""The shell in a real browser: every tab opens, controls move, the address restores, nothing comes from outside."""

import re
from importlib import import_module
from random import Random

import pytest

from explorer.frame import address_of
from explorer.tabs import TABS

SHOWN = "#tab-{} .badge.ok"


def slide(page, label, value):
    """Set a slider as a hand does: the native setter, then `input`."""
    page.get_by_label(label, exact=True).first.evaluate(
        """(input, value) => {
            Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, value);
            input.dispatchEvent(new Event('input', { bubbles: true }));
        }""",
        str(value),
    )


def test_every_tab_in_turn_has_a_picture_a_formula_and_a_green_badge_and_back(reused, url, address):
    reused.goto(url)
    reused.wait_for_selector(SHOWN.format(TABS[0]))
    for name in TABS:
        reused.locator(f"#tab-{name}-button").click()
        reused.wait_for_selector(SHOWN.format(name), timeout=120_000)
        reused.wait_for_function("name => new URLSearchParams(location.search).get('tab') === name", arg=name)
        panel = reused.locator(f"#tab-{name}")
        assert panel.get_by_role("heading", level=2).inner_text() == import_module(f"explorer.tabs.{name}").TITLE
        panel.locator(":is(canvas, svg):visible").first.wait_for()
        panel.locator(".formula .katex").first.wait_for()
    for name in reversed(TABS[:-1]):
        reused.go_back()
        reused.wait_for_selector(f"#tab-{name} .badge:visible")
        assert address(reused)["tab"] == name


def test_the_tab_asked_for_is_computed_and_no_other(page, url):
    """The start page, which Gradio brings into view before, is computed when it is wanted; and so are its numbers."""
    calls = []
    page.on("request", lambda request: calls.append(request.post_data or "") if "/gradio_api/" in request.url else None)
    page.goto(f"{url}?tab=coin_flips&n=7")
    page.wait_for_selector(SHOWN.format("coin_flips"))
    page.wait_for_timeout(500)
    assert [call for call in calls if '"tab=' in call] == [call for call in calls if '"tab=coin_flips&n=7"' in call]
    page.locator("#tab-start-button").click()
    page.wait_for_selector(SHOWN.format("start"))
    assert sum('"tab=start"' in call for call in calls) == 1
    page.goto(f"{url}?tab=none")  # a tab that is not there
    page.wait_for_selector(SHOWN.format("start"))


IN_VIEW = "[...document.querySelectorAll('.tabitem')].filter((one) => one.offsetParent).map((one) => one.id)"


def test_back_and_forward_at_any_pace(page, url, address):
    """However quickly one follows the other, the tab in view is the one that the address names."""
    page.goto(url)
    page.wait_for_selector(SHOWN.format(TABS[0]))
    for name in TABS[1:4]:
        page.locator(f"#tab-{name}-button").click()
        page.wait_for_selector(SHOWN.format(name))
    entries = page.evaluate("history.length")
    at = 3
    quick = (-1, -1, -1, 1, 1, -1, 1, 1)
    for pause, moves in ((0.1, quick), (0.4, quick), (1.5, (-1, 1))):
        for move in moves:
            at += move
            page.evaluate("move => history.go(move)", move)
            page.wait_for_timeout(1000 * pause)
        page.wait_for_function(
            f"{IN_VIEW}.join() === 'tab-{TABS[at]}' && new URLSearchParams(location.search).get('tab') === '{TABS[at]}'"
        )
    # Told late of a tab that was in view once, as a busy page is: no visitor has chosen it.
    page.evaluate(f"window.explorer.comes('{TABS[1]}')")
    page.wait_for_timeout(500)
    assert page.evaluate(IN_VIEW) == [f"tab-{TABS[at]}"] and page.evaluate("history.length") == entries
    assert address(page)["tab"] == TABS[at]


def test_a_link_is_shown_where_it_cannot_be_copied(page, url):
    """A page that came by plain http has no clipboard."""
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.goto(f"{url}?tab={TABS[1]}")
    page.wait_for_selector(SHOWN.format(TABS[1]))
    told = []
    page.on("dialog", lambda dialog: (told.append((dialog.message, dialog.default_value)), dialog.dismiss()))
    with page.expect_event("dialog"):
        page.locator(f"#tab-{TABS[1]} .copy-link").click()
    assert told == [("The link to this screen", page.evaluate("location.href"))]


def test_a_tab_by_key_and_by_the_menu_of_a_narrow_page(reused, url, address):
    reused.set_viewport_size({"width": 375, "height": 800})
    reused.goto(f"{url}?tab={TABS[1]}")
    reused.wait_for_selector(SHOWN.format(TABS[1]))
    reused.locator(f"#tab-{TABS[0]}-button").focus()
    reused.keyboard.press("Enter")
    reused.wait_for_selector(SHOWN.format(TABS[0]))
    assert address(reused)["tab"] == TABS[0]
    reused.get_by_role("button", name="More tabs").click()
    reused.locator(".overflow-dropdown").get_by_role("button", name="Schedules", exact=True).click()
    reused.wait_for_selector(SHOWN.format("schedules"))
    assert address(reused)["tab"] == "schedules"
    for name in (TABS[0], TABS[1]):
        reused.go_back()
        reused.wait_for_function(f"{IN_VIEW}.join() === 'tab-{name}'")


# How far a thing reaches out of what it stands in: to a side, and above or below.
OUT = """([selector, around]) => {
  const one = [...document.querySelectorAll(selector)].find(({ offsetParent }) => offsetParent);
  if (!one) return [Infinity, Infinity];
  const box = one.closest(around).getBoundingClientRect(), mine = one.getBoundingClientRect();
  const aside = Math.max(box.left - mine.left, mine.right - box.right);
  return [aside, Math.max(box.top - mine.top, mine.bottom - box.bottom)];
}"""


@pytest.mark.parametrize("width", [375, 1280])
def test_what_is_chosen_is_in_sight(reused, url, width):
    """The chosen tab's whole name, and the last of more presets than find room: scrolled there at the next frame."""

    def reaches(selector, around, little):
        held = f"arg => {{ const [aside, below] = ({OUT})(arg); return {little}; }}"
        reused.wait_for_function(held, arg=[selector, around])

    reused.set_viewport_size({"width": width, "height": 900})
    reused.goto(f"{url}?tab={TABS[0]}")
    reused.wait_for_selector(SHOWN.format(TABS[0]))
    for name in ("transposed_convolution", "samplers"):
        module = import_module(f"explorer.tabs.{name}")
        title, settings = list(module.PRESETS.items())[-1]
        reused.evaluate("query => window.explorer.go(query)", address_of(module, settings))
        chip = f"#tab-{name} .chip[aria-pressed=true]"
        reused.locator(chip).get_by_text(title, exact=True).wait_for()
        reaches(chip, ".chips", "Math.max(aside, below) < 1")
        # Its underline lies on the row's own line, one pixel.
        reaches(f"#tab-{name}-button", ".tab-container", "aside < 1 && below <= 1")


def test_a_slider_changes_formula_badge_code_and_address(reused, url):
    reused.goto(f"{url}?tab=coin_flips")
    reused.wait_for_selector(SHOWN.format("coin_flips"))
    reused.locator("#tab-coin_flips").get_by_label("Flips n, number").fill("10")
    reused.wait_for_function("new URLSearchParams(location.search).get('n') === '10'")
    reused.wait_for_function("document.querySelector('#tab-coin_flips .notice').innerText.includes('10 flips')")
    slide(reused, "range slider for Chance of heads p", 0.25)
    reused.wait_for_function("new URLSearchParams(location.search).get('p') === '0.25'")
    reused.get_by_role("button", name="Python for this screen").click()
    reused.locator("#tab-coin_flips .prose.code", has_text="n, p, k = 10, 0.25, 2").wait_for()


# Every text in turn as the formula of the coins' tab: whether there stands then what KaTeX makes of the text.
SET = """async (texts) => {
    const place = document.querySelector('#tab-coin_flips .formula .lines'), turn = () => new Promise((done) => setTimeout(done));
    const { default: render } = await import(explorer.file(performance.getEntriesByType('resource')
        .map(({ name }) => name.match(/assets\\/auto-render-.*js/)?.[0]).find(Boolean)));
    const formulas = window.gradio_config.components.filter(({ props }) => props.elem_classes?.includes('formula'));
    const first = place.textContent;
    let number;
    for (const { id } of formulas) if (explorer.give(id, '$$1$$') && (await turn(), place.textContent !== first)) number = id;
    const out = [];
    for (const text of texts) {
        explorer.give(number, text);
        await turn();
        const anew = text.split('\\n\\n').map((line) => Object.assign(document.createElement('p'), { textContent: line }));
        for (const line of anew) render(line, { delimiters: [{ left: '$$', right: '$$', display: true }], throwOnError: false });
        out.push(anew.length === place.children.length && anew.every((line, i) => line.isEqualNode(place.children[i])));
    }
    return out;
}"""  # noqa: E501


def test_a_formula_whose_numbers_move_is_what_katex_makes_of_it(reused, url):
    """Of every preset of seven tabs: then with other numbers, one digit more or less in most; and with those again."""
    reused.goto(f"{url}?tab=coin_flips")
    reused.locator("#tab-coin_flips .formula .katex").first.wait_for()
    slow = {"start", "denoising", "samplers", "text_to_image"}  # an update there is a whole walk
    tabs = [import_module(f"explorer.tabs.{name}") for name in TABS if name not in slow]
    formulas = {tab.update(settings).formula for tab in tabs for settings in tab.PRESETS.values()}
    random = Random(0)
    moved = [re.sub(r"\d+", lambda _: str(random.choice((0, 3, 8, 12, 640, 1007))), formula) for formula in formulas]
    texts = [text for pair in zip(formulas, moved, formulas, strict=True) for text in pair]
    assert len(formulas) > 50
    assert [text for text, same in zip(texts, reused.evaluate(SET, texts), strict=True) if not same] == []


def test_on_a_phone_a_long_formula_is_scrolled_within_its_place(reused, url):
    reused.set_viewport_size({"width": 375, "height": 800})
    reused.goto(f"{url}?tab=coin_flips&n=100&p=0.42&k=45")
    formula = reused.locator("#tab-coin_flips .strip > .formula")
    formula.locator(".katex").first.wait_for()
    inside, wide, right = formula.evaluate(
        "(one) => [one.clientWidth, one.scrollWidth, one.getBoundingClientRect().right]"
    )
    assert inside < 350 < wide and right <= 375 - 12
    formula.focus()
    reused.keyboard.press("ArrowRight")
    reused.wait_for_function("document.querySelector('#tab-coin_flips .strip > .formula').scrollLeft > 0")


def test_a_number_left_out_of_its_range_counts_as_what_it_becomes(reused, url, address):
    """Also where the answer that refuses it comes after it was left."""
    reused.goto(f"{url}?tab=coin_flips&n=20")
    reused.wait_for_selector(SHOWN.format("coin_flips"))
    panel = reused.locator("#tab-coin_flips")
    p = panel.get_by_label("number input for Chance of heads p")
    asked = []

    def late(route):
        asked.append(route)
        reused.wait_for_timeout(300)
        route.continue_()

    reused.route("**/component_server/**", late)
    p.fill("5")
    p.press("Tab")
    reused.wait_for_function("location.search.includes('p=1')")
    assert p.input_value() == "1"
    panel.get_by_label("Heads k, number").fill("3")
    reused.wait_for_function("location.search.includes('k=3')")
    assert address(reused)["p"] == "1" and asked


def test_the_address_restores_the_settings(reused, url):
    reused.goto(f"{url}?tab=coin_flips&n=20&p=0.1")
    reused.wait_for_function("document.querySelector('#tab-coin_flips .notice')?.innerText.includes('20 flips')")
    panel = reused.locator("#tab-coin_flips")
    assert panel.get_by_label("Flips n, number").input_value() == "20"
    p = panel.get_by_label("number input for Chance of heads p")
    reused.wait_for_function("p => p.value === '0.1'", arg=p.element_handle())  # Gradio's own, a little later
    assert panel.get_by_role("button", name="a loaded coin").get_attribute("aria-pressed") == "true"


def test_an_address_opens_though_no_frame_is_drawn_for_long(page, url, address):
    """As on a page that is opened in the background, and looked at later."""
    page.add_init_script(
        """const ask = window.requestAnimationFrame.bind(window);
        let held = [];
        window.requestAnimationFrame = (go) => held ? held.push(go) : ask(go);
        window.look = () => { held.forEach((go) => ask(go)); held = null; };"""
    )
    page.goto(f"{url}?tab=coin_flips&n=20")
    page.wait_for_selector("#tab-coin_flips .copy-link", state="attached")
    page.wait_for_timeout(1500)
    page.evaluate("look()")
    page.wait_for_function("document.querySelector('#tab-coin_flips .notice')?.innerText.includes('20 flips')")
    page.wait_for_timeout(500)
    assert address(page)["n"] == "20" and page.evaluate("explorer.query('coin_flips')") == "tab=coin_flips&n=20"
    assert page.locator("#tab-coin_flips").get_by_label("Flips n, number").input_value() == "20"
    page.wait_for_selector("#tab-coin_flips .live-plot .main-svg")


def test_a_bad_address_says_so_and_shows_the_default(reused, url):
    reused.goto(f"{url}?tab=coin_flips&n=elephant")
    reused.wait_for_selector(SHOWN.format("coin_flips"))
    reused.locator("#tab-coin_flips .message", has_text="got 'elephant'").first.wait_for()


TOAST = "#tab-coin_flips .toast"


@pytest.mark.parametrize("width, lecture", [(375, ""), (1280, ""), (1280, "&lecture=1")])
def test_what_a_link_cannot_have_is_said_in_sight(page, url, width, lecture):
    """Without scrolling, and without a jump, until it is put away; in a lecture, where its place is hidden, too."""
    page.set_viewport_size({"width": width, "height": 600})
    page.goto(f"{url}?tab=coin_flips&n=elephant{lecture}")
    page.wait_for_selector(SHOWN.format("coin_flips"), state="attached")
    said = page.locator(TOAST, has_text="got 'elephant'")
    said.wait_for()
    assert said.get_attribute("role") == "alert"
    box, stage = said.bounding_box(), page.locator("#tab-coin_flips .stage")
    assert box["y"] > 0 and box["y"] + box["height"] <= 600 and 0 < box["x"] < box["x"] + box["width"] <= width
    before = stage.bounding_box()
    if lecture:
        page.keyboard.press("Escape")
    else:
        said.get_by_role("button", name="Put away").click()
    said.wait_for(state="detached")
    assert stage.bounding_box() == before
    assert "got 'elephant'" in page.locator("#tab-coin_flips .controls .message").first.text_content()


def test_what_is_said_goes_once_its_place_is_in_sight(page, url):
    page.set_viewport_size({"width": 375, "height": 600})
    page.goto(f"{url}?tab=coin_flips&n=elephant")
    page.locator(TOAST).wait_for()
    page.locator("#tab-coin_flips .controls .message").first.scroll_into_view_if_needed()
    page.locator(TOAST).wait_for(state="detached")


def test_a_link_followed_after_a_move_is_answered_under_all_controls(page, url):
    page.goto(f"{url}?tab=coin_flips")
    page.wait_for_selector(SHOWN.format("coin_flips"))
    page.locator("#tab-coin_flips").get_by_label("Flips n, number").fill("10")
    page.wait_for_function("new URLSearchParams(location.search).get('n') === '10'")
    page.evaluate("explorer.go('tab=coin_flips&n=elephant')")
    page.locator("#tab-coin_flips .controls .message", has_text="got 'elephant'").first.wait_for()
    assert page.locator("#coin_flips-n .message").count() == 0


def test_presets_by_keyboard(reused, url):
    from explorer.settings import to_query
    from explorer.tabs.coin_flips import PRESETS

    name = list(PRESETS)[1]
    reused.goto(f"{url}?tab=coin_flips")
    reused.wait_for_selector(SHOWN.format("coin_flips"))
    chip = reused.get_by_role("button", name=name, exact=True)
    chip.focus()
    reused.keyboard.press("Enter")
    reused.wait_for_function(
        "wanted => Object.entries(wanted).every(([k, v]) => new URLSearchParams(location.search).get(k) === v)",
        arg=to_query(PRESETS[name]),
    )
    assert chip.get_attribute("aria-pressed") == "true"


def test_a_plot_keeps_its_zoom_while_settings_move(reused, url):
    reused.goto(f"{url}?tab=coin_flips")
    reused.wait_for_selector("#tab-coin_flips .live-plot .main-svg")
    plot = reused.locator("#tab-coin_flips .live-plot").first
    box = plot.locator(".nsewdrag").first.bounding_box()
    reused.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
    reused.mouse.down()
    reused.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"], steps=5)
    reused.mouse.up()
    x = "div => div.layout.xaxis.range"
    reused.wait_for_function(f"div => ({x})(div).reduce((low, high) => high - low) < 2.5", arg=plot.element_handle())
    zoomed = plot.evaluate(x)
    slide(reused, "range slider for Chance of heads p", 0.25)
    reused.wait_for_function("document.querySelector('#tab-coin_flips .notice').innerText.includes('54/256')")
    assert plot.evaluate(x) == zoomed


def test_dark_and_back(page, url):
    page.goto(f"{url}?tab=coin_flips")
    page.wait_for_selector(SHOWN.format("coin_flips"))
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(background) != light
    toggle = page.get_by_role("button", name="Light")
    assert toggle.get_attribute("aria-pressed") is None  # its name says it, and "Light, pressed" would be the contrary
    page.reload()
    page.wait_for_selector(SHOWN.format("coin_flips"))
    assert page.evaluate(background) != light
    page.get_by_role("button", name="Light").click()
    assert page.evaluate(background) == light


def test_dark_where_the_browser_keeps_nothing(page, url):
    blocked = "{ get() { throw new DOMException('blocked', 'SecurityError'); } }"
    page.add_init_script(f"Object.defineProperty(window, 'localStorage', {blocked})")
    page.goto(f"{url}?tab=coin_flips")
    page.wait_for_selector(SHOWN.format("coin_flips"))
    page.get_by_role("button", name="Dark").click()
    page.wait_for_function("document.body.classList.contains('dark')")
    page.get_by_role("button", name="Light").click()
    page.wait_for_function("!document.body.classList.contains('dark')")
