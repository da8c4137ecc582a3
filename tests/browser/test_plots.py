"""Plots whose numbers move, and with them the axes: they are moved where plotly would draw them."""

import re
from urllib.parse import urlencode

import pytest

# Of every plot in sight: its lines, points, bars and labels, as they stand on the page.
LOOK = """tab => [...document.querySelectorAll(`#tab-${tab} .live-plot`)].filter((plot) => plot.offsetParent && plot.calcdata).map((plot) => ({
    lines: [...plot.querySelectorAll('.js-line')].map((line) => line.getAttribute('d')),
    points: [...plot.querySelectorAll('path.point')].map((point) => point.getAttribute('display') === 'none' ? '' : point.getAttribute('transform')),
    bars: [...plot.querySelectorAll('.point > path')].map((bar) => bar.getAttribute('d')),
    colours: [...plot.querySelectorAll('.point > path')].map(({ style }) => [style.fill, style.strokeWidth]),
    words: [...plot.querySelectorAll('.annotation')].map((label) => label.textContent),
    ticks: [...plot.querySelectorAll('path.xtick, path.ytick')].map((tick) => tick.getAttribute('transform')),
    numbers: [...plot.querySelectorAll('.xtick text, .ytick text')].map((text) => [text.textContent, text.getAttribute('transform')]),
    texts: [...plot.querySelectorAll('.textpoint')].map((text) => text.getAttribute('display') === 'none' ? '' : text.textContent),
    labels: [...plot.querySelectorAll('.annotation text, .textpoint text')].map((text) => {
        const { left, right, top, bottom } = text.getBoundingClientRect();
        return [(left + right) / 2, (top + bottom) / 2];
    }).flat(),
}))"""  # noqa: E501
COUNT = """() => {
    drawn = 0;
    if (window.react) return;
    react = Plotly.react;
    Plotly.react = (...of) => (drawn++, react(...of));
}"""
POINTER = """tab => document.querySelectorAll(`#tab-${tab} .live-plot`)
    .forEach((plot) => plot.dispatchEvent(new PointerEvent('pointermove')))"""
# Whether what plotly keeps for hovers and zooms is what it was given, and what was given at the most recent move.
COMPUTED = """tab => [...document.querySelectorAll(`#tab-${tab} .live-plot`)].filter((plot) => plot.offsetParent && plot.calcdata)
    .every((plot) => plot.calcdata.every((points, i) => points.every(({ x, y }, k) => {
        const { x: across, y: up } = plot.data[i];
        return !across || up[k] === null || !Number.isFinite(y) || (x === across[k] && y === up[k]);
    })))"""  # noqa: E501


def numbers(path):
    return [float(one) for one in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", path)]


def same_line(moved, plotly):
    """plotly leaves out points of a line that bend it by less than a fifth of a pixel; the others are the same."""
    if "H" in moved:
        return numbers(moved) == pytest.approx(numbers(plotly), abs=0.02)
    ours, theirs = (list(zip(n[::2], n[1::2], strict=True)) for n in (numbers(moved), numbers(plotly)))
    return all(min(abs(x - a) + abs(y - b) for a, b in ours) < 0.03 for x, y in theirs)


def settled(page, tab, label, key, value):
    """After a control moved: how the plots look, how often plotly has drawn, and how they look once it has to."""
    page.evaluate("drawn = 0")
    page.locator(f"#tab-{tab}").get_by_label(label, exact=True).fill(str(value))
    page.wait_for_function(f"new URLSearchParams(location.search).get('{key}') === '{value:g}'")
    moved, drawn = page.evaluate(LOOK, tab), page.evaluate("drawn")
    page.evaluate(POINTER, tab)
    page.wait_for_function(COMPUTED, arg=tab)
    return moved, drawn, page.evaluate(LOOK, tab)


def same(moved, plotly):
    for ours, theirs in zip(moved, plotly, strict=True):
        assert all(same_line(*pair) for pair in zip(ours["lines"], theirs["lines"], strict=True))
        for kind in ("points", "bars", "ticks"):
            pairs = zip(ours[kind], theirs[kind], strict=True)
            assert all(numbers(a) == pytest.approx(numbers(b), abs=0.02) for a, b in pairs)
        for kind in ("colours", "words", "texts"):
            assert ours[kind] == theirs[kind]
        assert [text for text, _ in ours["numbers"]] == [text for text, _ in theirs["numbers"]]
        pairs = [(numbers(a), numbers(b)) for (_, a), (_, b) in zip(ours["numbers"], theirs["numbers"], strict=True)]
        assert all(a == pytest.approx(b, abs=0.02) for a, b in pairs)
        assert ours["labels"] == pytest.approx(theirs["labels"], abs=1)


FRAMES = "() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(() => go())))"
DRAWN = """tab => [...document.querySelectorAll(`#tab-${tab} .live-plot`)]
    .every((plot) => plot.calcdata || !plot.offsetParent)"""


def at_rest(page, tab):
    """Every plot in sight is drawn, and once more where its size has changed: plotly does so 100 ms later."""
    page.evaluate(FRAMES)  # all that was shown is laid out, and told of what comes near
    page.wait_for_function(DRAWN, arg=tab)
    page.evaluate("() => new Promise((go) => setTimeout(go, 100))")


def opened(page, go, tab, **query):
    """A tab's plots; from then on it is counted how often plotly draws."""
    page.set_viewport_size({"width": 1280, "height": 2200})  # every plot is near
    go(urlencode({"tab": tab, **query}))
    page.locator(f"#tab-{tab} .live-plot .xtick text:visible").first.wait_for()
    page.locator(f"#tab-{tab} .badge.ok").wait_for()
    at_rest(page, tab)
    page.evaluate(COUNT)
    return page


@pytest.fixture
def plots(page, url):
    return lambda tab, **query: opened(page, lambda to: page.goto(f"{url}?{to}"), tab, **query)


@pytest.mark.parametrize(
    ("tab", "query", "label", "key", "values"),
    [
        ("coin_flips", {"n": 100, "k": 45}, "number input for Chance of heads p", "p", (0.51, 0.52, 0.49)),
        ("coin_flips", {"n": 20, "k": 8}, "Heads k, number", "k", (9, 10, 12)),
        # The axes, too, and how many bars there are:
        ("coin_flips", {"n": 100, "k": 25, "p": 0.25}, "number input for Chance of heads p", "p", (0.2, 0.3, 0.35)),
        ("coin_flips", {"n": 20, "k": 8, "p": 0.4}, "Flips n, number", "n", (21, 34)),
        ("coin_flips", {"v": "tail: k heads or more", "n": 100, "k": 40}, "Flips n, number", "n", (110, 70, 120)),
        ("coin_flips", {"v": "particles", "s": 0.21}, "number input for Step size s", "s", (0.22, 0.5, 0.05)),
        ("transposed_convolution", {"show": "checkerboard"}, "number input for Stride", "s", (3, 4)),
        ("transposed_convolution", {"show": "checkerboard"}, "number input for Dilation", "d", (2, 3)),
        ("forward_noise", {"x": "letter", "n": 28}, "number input for Noise amount t", "t", (251, 700, 3)),
        ("schedules", {}, "number input for Look at time t", "t", (700, 3)),
        ("deconvolution", {}, "Regularisation λ, number", "r", (0.02, 0.0003, 0.04)),  # above the noise, below, above
    ],
)
def test_what_moves_is_moved_where_plotly_would_draw_it(standing, tab, query, label, key, values):
    page = opened(*standing, tab, **query)
    seen = {str(page.evaluate(LOOK, tab))}
    for value in values:
        moved, drawn, plotly = settled(page, tab, label, key, value)
        assert drawn == 0 and page.evaluate("drawn") > 0
        same(moved, plotly)
        seen.add(str(plotly))
    assert len(seen) == 1 + len(values)


@pytest.mark.parametrize(
    ("tab", "plots"),
    [
        pytest.param("denoising", 11, marks=pytest.mark.slow),
        pytest.param("samplers", 4, marks=pytest.mark.slow),
        ("coin_flips", 4),
    ],
)
def test_each_plot_is_named_to_those_who_do_not_see_it_by_what_it_shows(standing, views, tab, plots):
    """As the browser tells a screen reader: no two the same, each with a word of those at its axes."""
    page, go = standing
    names = []
    for query in views(tab):
        go(query)
        page.locator(f"#tab-{tab} .badge.ok").wait_for(timeout=300_000)
        for plot in page.locator(f"#tab-{tab} .live-plot:visible").all():
            plot.scroll_into_view_if_needed()
            at_rest(page, tab)
            [told] = re.findall(r'- img "(.*)"', plot.aria_snapshot())
            words = re.findall(r"[a-z]{4,}", " ".join(plot.locator(".xtitle, .ytitle, .y2title").all_text_contents()))
            assert not words or any(word in told.lower() for word in words)
            names.append(told)
    assert len(set(names)) == len(names) == plots and not any("this view" in name for name in names)


def test_points_are_moved_within_a_zoom_and_hidden_beyond_it(plots):
    page = plots("schedules")
    box = page.locator("#tab-schedules .live-plot .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.5 * box["height"], steps=5)
    page.mouse.up()
    page.mouse.move(1, 1)  # under a pointer plotly draws at once
    at_rest(page, "schedules")
    for t in (150, 60):
        moved, drawn, plotly = settled(page, "schedules", "number input for Look at time t", "t", t)
        assert drawn == 0 and page.evaluate("drawn") > 0
        assert [plot["points"] for plot in moved] == [plot["points"] for plot in plotly]
        assert {point == "" for point in moved[0]["points"]} == {t == 150}


def test_what_moved_while_another_view_was_shown_is_computed(plots):
    """Coming back, a plot may be moved before plotly has seen that the page was laid out anew."""
    page = plots("forward_noise", x="letter", n=28)
    view = page.locator("#forward_noise-view input")

    def show(name, selector):
        view.click()
        page.get_by_role("option", name=name).click()
        page.locator(f"#tab-forward_noise {selector}").first.wait_for()

    show("particles", "div.points")
    page.get_by_label("number input for Noise amount t", exact=True).fill("700")
    page.wait_for_function("location.search.includes('t=700')")
    show("one jump and many steps", ".player canvas")
    at_rest(page, "forward_noise")
    moved = page.evaluate(LOOK, "forward_noise")
    page.evaluate(POINTER, "forward_noise")
    page.wait_for_function(COMPUTED, arg="forward_noise")
    same(moved, page.evaluate(LOOK, "forward_noise"))
    page.wait_for_function("!new URLSearchParams(location.search).has('v')")  # the address follows after a while
    page.goto(page.url)
    page.locator("#tab-forward_noise .badge.ok").wait_for()
    at_rest(page, "forward_noise")
    assert [plot["points"] for plot in page.evaluate(LOOK, "forward_noise")] == [plot["points"] for plot in moved]


def test_what_cannot_be_moved_plotly_draws(plots):
    """From one wave and one line beside it to none at all."""
    page = plots("transposed_convolution", show="checkerboard", s=2)
    moved, drawn, plotly = settled(page, "transposed_convolution", "number input for Stride", "s", 1)
    assert drawn == 1
    same(moved, plotly)


def test_an_answer_draws_no_plot_anew_and_other_colours_do(plots):
    page = plots("coin_flips")
    page.evaluate("explorer.lecture(true)")
    at_rest(page, "coin_flips")
    page.evaluate(COUNT)
    for key, mark in (("a", "revealed"), ("h", "covered")):
        page.keyboard.press(key)
        page.wait_for_selector(f"body.{mark}")
        at_rest(page, "coin_flips")
    assert page.evaluate("drawn") == 0
    page.evaluate("explorer.theme('dark')")
    page.wait_for_function("drawn > 0")


def test_what_cuts_a_line_off_at_its_axes_is_named_without_the_address(plots):
    """With the address in it, which changes at every move, it would be looked for on a page to be loaded: until that
    had come, lines that are hidden and shown again would not be seen."""
    page = plots("schedules")
    named = "[...document.querySelectorAll('.live-plot [clip-path]')].map((one) => one.getAttribute('clip-path'))"
    cuts = [re.fullmatch(r"url\(#(\w+)\)", cut) for cut in page.evaluate(named)]
    assert len(cuts) > 5 and all(cut and page.locator(f"clipPath#{cut[1]}").count() == 1 for cut in cuts)
