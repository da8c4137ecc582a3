"""Coin flips, Resizing and Deconvolution in the browser: views, zoom, own pictures, and the keyboard alone."""

import numpy as np
import pytest
from PIL import Image

from explorer.settings import specs
from explorer.tabs import coin_flips, deconvolution, resizing

FOCUSED = """tab => {
    const e = document.activeElement, style = getComputedStyle(e);
    return {
        inside: !!e.closest('.tabitem'),
        ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
        field: e.closest(`.controls [id^="${tab}-"]`)?.id ?? '',
        what: e.className || e.tagName,
        label: e.getAttribute('aria-label') || e.textContent.trim(),
    };
}"""


def opened(page, url, tab, **query):
    page.goto(f"{url}?tab={tab}" + "".join(f"&{key}={value}" for key, value in query.items()))
    panel = page.locator(f"#tab-{tab}")
    panel.locator(".badge.ok").wait_for()
    return panel


def brought_to(brought, tab, **query):
    page = brought(tab=tab, **query)
    return page, page.locator(f"#tab-{tab}")


def shown_fields(page, tab):
    """The names of the fields whose controls can be seen."""
    return set(
        page.evaluate(
            """tab => [...document.querySelectorAll(`#tab-${tab} .controls [id^="${tab}-"]`)]
                .filter((e) => e.offsetParent).map((e) => e.id.slice(tab.length + 1))""",
            tab,
        )
    ) & set(specs({"coin_flips": coin_flips, "resizing": resizing, "deconvolution": deconvolution}[tab].Settings))


@pytest.mark.parametrize(
    ("tab", "view", "fields", "piece"),
    [
        ("coin_flips", "tail: k heads or more", {"view", "n", "p", "k"}, ".live-plot"),
        ("coin_flips", "particles", {"view", "size", "seed"}, ".points"),
        ("coin_flips", "any small steps", {"view", "step"}, ".bars"),
        ("resizing", "libraries", {"picture", "small", "large", "method", "align_corners", "antialias", "down"}, ""),
        ("resizing", "methods side by side", {"picture", "small", "middle", "large", "method", "down"}, ""),
    ],
)
def test_an_address_shows_the_controls_of_its_view_alone(reused, url, tab, view, fields, piece):
    panel = opened(reused, url, tab, v=view)
    panel.locator((piece or ".pictures") + ":visible").first.wait_for()
    assert fields <= (seen := shown_fields(reused, tab))
    assert seen <= fields | {"view", "align_corners", "antialias"}
    assert panel.locator(".stage > .piece:visible").count() == (2 if view == "particles" else 1)


def test_pictures_that_stay_come_once_and_stand_as_they_were(page, url, settled, sizes):
    looks = "[...document.querySelectorAll('#tab-deconvolution .pictures canvas')].map((one) => one.toDataURL())"
    panel = opened(page, url, "deconvolution", n=96)
    number = panel.get_by_label("Regularisation λ, number")
    sizes.clear()
    for value in ("0.01", "0.02", "0.03"):
        number.fill(value)
        page.wait_for_function(f"location.search.includes('r={value}')")
        settled()
    moved = page.evaluate(looks)
    assert len(sizes) == 3 and len(moved) == 7
    assert max(sizes) < 7 * 96 * 96 / 2  # of seven pictures Wiener's alone moves
    opened(page, url, "deconvolution", n=96, r=0.03)
    settled()
    assert page.evaluate(looks) == moved


def test_another_view_starts_with_its_own_axes_and_the_zoom_stays_within_one(brought):
    page, panel = brought_to(brought, "coin_flips")
    plot = panel.locator(".live-plot").first
    plot.locator(".nsewdrag").first.wait_for()
    x = "div => div.layout.xaxis.range.map((v) => Math.round(100 * v) / 100)"
    box = plot.locator(".nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"], steps=5)
    page.mouse.up()
    page.wait_for_function(f"div => ({x})(div).reduce((low, high) => high - low) < 2.5", arg=plot.element_handle())
    zoomed = plot.evaluate(x)
    panel.get_by_label("Heads k, number").fill("3")
    panel.locator(".notice .lines", has_text="3 heads in 4 flips").wait_for()
    assert plot.evaluate(x) == zoomed
    panel.get_by_role("button", name="how fast", exact=True).click()
    panel.locator(".notice .lines", has_text="the bound allows").wait_for()
    page.wait_for_function("document.querySelector('#tab-coin_flips .live-plot').layout.xaxis.type === 'log'")
    assert plot.evaluate(x) == [-0.05, 3.05]


TEXTS = """panel => [...panel.querySelectorAll('.live-plot')].filter((plot) => plot.offsetParent).flatMap((plot) => {
    const frame = plot.getBoundingClientRect(), found = [];
    const texts = [...plot.querySelectorAll('svg text')].map((node) => [node.textContent, node.getBoundingClientRect()])
        .filter(([text, box]) => text.trim() && box.width);
    texts.forEach(([text, box], i) => {
        if (box.left < frame.left - 1 || box.right > frame.right + 1) found.push(`${text} is cut`);
        for (const [other, at] of texts.slice(i + 1)) {
            const across = Math.min(box.right, at.right) - Math.max(box.left, at.left);
            const down = Math.min(box.bottom, at.bottom) - Math.max(box.top, at.top);
            if (across > 2 && down > 3) found.push(`${text} over ${other}`);
        }
    });
    return found;
})"""


@pytest.mark.parametrize(
    ("tab", "query"),
    [
        ("coin_flips", {"n": 20, "p": 0.1}),
        ("coin_flips", {"n": 20, "p": 0.9, "k": 18}),
        ("transposed_convolution", {"show": "which size", "v": "framework", "k": "1,1,1;1,1,1;1,1,1", "p": 1, "o": 1}),
        ("deconvolution", {"n": 64, "s": 0.1, "r": 0.05}),
    ],
)
def test_on_a_phone_no_label_of_a_plot_is_cut_or_lies_over_another(reused, url, tab, query):
    reused.set_viewport_size({"width": 375, "height": 800})
    panel = opened(reused, url, tab, **query)
    panel.locator(".live-plot:visible .annotation-text").first.wait_for()
    assert panel.evaluate(TEXTS) == []
    assert reused.evaluate("document.documentElement.scrollWidth") <= 375


def saved(image, path, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("tab", ["resizing", "deconvolution"])
def test_an_own_picture_or_what_is_wrong_with_it(brought, tab, tmp_path):
    page, panel = brought_to(brought, tab, **({"v": "libraries", "k": "bicubic"} if tab == "resizing" else {}))
    file, told = panel.locator(".own-picture input[type=file]"), panel.locator(".own-picture .told")
    select, notice = panel.locator(".own-picture select"), panel.locator(".notice .lines")
    before = notice.inner_text()
    (tmp_path / "letter.png").write_text("Dear reader")
    file.set_input_files(tmp_path / "letter.png")
    told.get_by_text("this file is no picture that can be read; a PNG, JPEG, WebP or BMP file would fit").wait_for()
    file.set_input_files(saved(Image.new("P", (9, 9)), tmp_path / "two.gif"))
    told.get_by_text("a GIF can hold more than one picture; save one of them as PNG or JPEG").wait_for()
    assert (select.input_value(), notice.inner_text()) == ("astronaut" if tab == "resizing" else "camera", before)
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 4), dtype=np.uint8)
    file.set_input_files(saved(Image.fromarray(noise), tmp_path / "mine.png"))
    said = "mine.png as its middle square, 90 × 90 pixels; the see-through parts were laid on white"
    told.get_by_text(said).wait_for()
    assert select.input_value() == "data:"
    page.wait_for_function(
        "([tab, before]) => document.querySelector(`#tab-${tab} .notice .lines`).innerText !== before",
        arg=[tab, before],
    )
    panel.locator(".badge.ok").wait_for()
    page.wait_for_function("!location.search.includes('x=')")
    select.select_option("cat")
    page.wait_for_function("new URLSearchParams(location.search).get('x') === 'cat'")
    select.select_option("data:")
    page.wait_for_function("!new URLSearchParams(location.search).has('x')")
    assert told.inner_text().startswith("as its middle square")


@pytest.mark.parametrize(
    ("tab", "query", "players"),
    [
        ("coin_flips", {}, []),
        ("coin_flips", {"v": "any small steps", "w": "drawn"}, [".bars"]),
        ("coin_flips", {"v": "particles"}, ["div.points"]),
        ("resizing", {"k": "bicubic"}, []),
        ("resizing", {"v": "libraries"}, []),
        ("deconvolution", {}, []),
    ],
)
def test_every_control_is_reached_by_tab_and_can_be_seen_to_be(brought, tab, query, players):
    page, panel = brought_to(brought, tab, **query)
    panel.locator(".copy-link").focus()
    fields, stage = set(), set()
    for _ in range(90):
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUSED, tab)
        if not at["inside"]:
            break
        assert at["ring"], at
        fields.add(at["field"].removeprefix(f"{tab}-"))
        stage.add(at["what"])
    assert shown_fields(page, tab) <= fields
    for player in players:
        scrub = panel.locator(f"{player}:visible .transport-step")
        panel.locator(f"{player}:visible").focus()
        page.keyboard.press("Home")
        assert scrub.inner_text().startswith("step 0 /")
        page.keyboard.press("ArrowRight")
        assert scrub.inner_text().startswith("step 1 /")
        page.keyboard.press("End")
        first, last = scrub.inner_text().removeprefix("step ").split(" / ")
        assert first == last
        page.keyboard.press("Space")  # at the end, play begins anew
        page.wait_for_function(
            "player => document.querySelector(player + ' [data-do=play]').getAttribute('aria-label') === 'Pause'",
            arg=f"#tab-{tab} {player}",
        )
        page.keyboard.press("Space")


@pytest.mark.parametrize("method", ["bicubic", "lanczos"])
@pytest.mark.parametrize(("width", "height"), [(375, 812), (812, 375)])
def test_on_a_phone_weights_can_be_read(reused, url, method, width, height):
    reused.set_viewport_size({"width": width, "height": height})
    panel = opened(reused, url, "resizing", k=method, x="zone+plate")
    text = panel.locator(".taps text")
    text.first.wait_for()
    assert text.count() == (64 if method == "lanczos" else 36)
    assert panel.locator(".weights-says").inner_text().split(": ")[1].startswith(f"{text.count()} weights that add up")
    sizes = text.evaluate_all(
        "all => all.map((one) => parseFloat(getComputedStyle(one).fontSize) * one.getScreenCTM().a)"
    )
    assert min(sizes) >= 11
    assert reused.evaluate("document.documentElement.scrollWidth") <= width


def test_one_row_is_no_rows(brought):
    _, panel = brought_to(brought, "resizing", k="nearest")
    said = panel.locator(".weights-says").inner_text()
    assert said.startswith("Pixel (60, 96) is row 20 and column 32 of the old picture: 1 weight that adds up to 1.")


def test_in_a_lecture_axes_of_bars_are_as_large_as_those_of_plots(brought):
    page, panel = brought_to(brought, "coin_flips", v="any small steps")
    canvas, font = panel.locator(".bars canvas"), "canvas => canvas.getContext('2d').font.split(' ')[0]"
    assert canvas.evaluate(font) == "15px"
    page.evaluate("explorer.lecture(true)")
    page.wait_for_function(f"canvas => ({font})(canvas) === '20px'", arg=canvas.element_handle())
    page.evaluate("explorer.lecture(false)")
    page.wait_for_function(f"canvas => ({font})(canvas) === '15px'", arg=canvas.element_handle())


FRAME = "() => new Promise((go) => requestAnimationFrame(() => go()))"


def test_a_finger_on_a_picture_looks_closer(brought):
    page, panel = brought_to(brought, "deconvolution")
    view = panel.locator(".pictures .view").first
    read = "view => view.firstChild.getBoundingClientRect().toJSON()"
    whole, box = view.evaluate(read), view.bounding_box()
    assert view.evaluate("view => getComputedStyle(view).touchAction") == "pan-y"
    told = "(view, [kind, clientX, clientY]) => view.dispatchEvent(new PointerEvent(kind, { clientX, clientY }))"
    view.evaluate(told, ["pointerdown", box["x"] + box["width"], box["y"] + box["height"] / 2])
    page.evaluate(FRAME)
    near = view.evaluate(read)
    assert near["width"] == 3 * whole["width"]
    pixel = near["width"] / view.evaluate("view => view.firstChild.width")
    assert 0 <= near["right"] - whole["right"] < pixel  # the third at the right, from a whole pixel on
    assert 0 <= near["top"] - (whole["top"] - whole["height"]) < pixel  # halfway down
    view.evaluate(told, ["pointerleave", 0, 0])
    page.evaluate(FRAME)
    assert view.evaluate(read) == whole


def test_values_by_keyboard(brought):
    page, panel = brought_to(brought, "coin_flips")
    panel.locator("#coin_flips-n input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    panel.locator(".notice .lines", has_text="2 heads in 5 flips").wait_for()
    page.keyboard.press("End")
    panel.locator(".notice .lines", has_text="2 heads in 1000 flips").wait_for()
    page.keyboard.press("Home")
    panel.locator(".notice .lines", has_text="2 heads in 1 flip").wait_for()
    page, panel = brought_to(brought, "resizing")
    view = panel.locator(".weights")
    view.focus()
    page.keyboard.press("ArrowDown")
    view.get_by_text("Pixel (61, 96) is").wait_for()
