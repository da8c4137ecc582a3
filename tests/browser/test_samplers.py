"""Samplers as a visitor uses them: views, keys, points drawn by hand, messages that spare the picture, long runs."""

import io
from urllib.parse import quote_plus

import numpy as np
import pytest
from PIL import Image

from explorer.tabs.samplers.settings import DRAWN

TAB = "#tab-samplers"
CAPTION = f"document.querySelector('{TAB} .transport-label').textContent"


@pytest.fixture
def page(reused):
    """One for all of these tests: each loads it anew."""
    return reused


def shot(page, index=0):
    return page.locator(f"{TAB} div.points canvas").nth(index).screenshot()


def test_a_walk_to_the_data_by_keys(page, url):
    page.goto(f"{url}?tab=samplers&x=ring+of+eight&n=12&k=3")
    page.wait_for_selector(f"{TAB} .badge.ok")
    page.wait_for_function(f"{CAPTION}.startsWith('t = 750')")
    before = shot(page)
    page.locator(f"{TAB} div.points").press("End")
    page.wait_for_function(f"{CAPTION}.startsWith('t = 0')")
    assert shot(page) != before


def test_views_show_their_own_pieces(page, url):
    page.goto(f"{url}?tab=samplers")
    page.wait_for_selector(f"{TAB} .badge.ok")
    chip = lambda text: page.locator(f"{TAB} .chip", has_text=text).click()  # noqa: E731
    chip("one step in slow motion")
    page.locator(f"{TAB} .notice", has_text="laid end to end").first.wait_for()
    page.wait_for_function(f"document.querySelectorAll('{TAB} .live-plot .annotation').length > 2")
    assert not page.locator(f"{TAB} div.points").is_visible()
    assert page.get_by_role("img", name="One step of a particle as arrows laid end to end").is_visible()
    chip("Euler is DDIM")
    page.locator(f"{TAB} .notice", has_text="One walk under two names").first.wait_for()
    page.locator(f"{TAB} div.points").press("End")
    euler, ddim = (np.asarray(Image.open(io.BytesIO(shot(page, i))).convert("L"), float) for i in (0, 1))
    assert np.abs(euler - ddim).mean() < 2 < 10 < euler.std()  # grey levels of 255: the same points, but for rounding
    chip("trained on clean points")
    page.locator(f"{TAB} .notice", has_text="never saw noise").first.wait_for()
    assert page.locator(f"{TAB} .live-plot").is_visible() and page.locator(f"{TAB} div.points").is_visible()
    chip("what a network call buys")
    page.locator(f"{TAB} .notice", has_text="Fitted order").first.wait_for()
    page.wait_for_selector(f"{TAB} .badge.ok")
    page.wait_for_function(f"document.querySelectorAll('{TAB} .live-plot .scatterlayer .trace').length === 5")
    assert page.get_by_role(
        "img", name="Distance to the exact end of every sampler against denoiser calls"
    ).is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_move_right_after_another_view_is_of_that_view(page, url, address):
    page.goto(f"{url}?tab=samplers&x=ring+of+eight")
    page.wait_for_selector(f"{TAB} .badge.ok")
    page.locator("#samplers-view input").click()
    page.get_by_role("option", name="one step in slow motion").click()
    page.locator("#samplers-seed input[type=number]").fill("7")
    page.wait_for_function("location.search.includes('seed=7')")
    asked = address(page)
    assert asked["v"] == "one step in slow motion" and asked["x"] == "ring of eight"
    page.locator(f"{TAB} .notice", has_text="laid end to end").first.wait_for()


def test_a_move_before_another_view_is_answered_is_shown_after_it(page, url, address):
    page.goto(f"{url}?tab=samplers&x=ring+of+eight")
    page.wait_for_selector(f"{TAB} .badge.ok")
    held, moves = [], []

    def hold(route):
        if "slow motion" in (route.request.post_data or "") and "/run/" in route.request.url and not held:
            return held.append(route)
        moves.extend([1] * ("component_server" in route.request.url))
        route.continue_()

    page.route("**/gradio_api/**", hold)
    page.locator("#samplers-view input").click()
    with page.expect_request(lambda request: "slow motion" in (request.post_data or "")):
        page.get_by_role("option", name="one step in slow motion").click()
    page.locator("#samplers-seed input[type=number]").fill("7")
    page.wait_for_timeout(300)
    assert len(held) == 1 and moves == []
    held[0].continue_()
    page.wait_for_function("location.search.includes('seed=7')")
    page.wait_for_timeout(1500)  # nothing older comes after it
    asked = address(page)
    assert asked["seed"] == "7" and asked["v"] == "one step in slow motion" and moves == [1]


def test_a_move_before_a_preset_is_answered_shows_nothing(page, url):
    """Where a tab has runs its presets go Gradio's way, and its moves another."""
    page.goto(f"{url}?tab=samplers&k=5")
    page.wait_for_selector(f"{TAB} .badge.ok")
    held, moves = [], []

    def hold(route):
        if "the flow" in (route.request.post_data or "") and not held:
            return held.append(route)
        moves.extend([1] * ("component_server" in route.request.url))
        route.continue_()

    page.route("**/gradio_api/**", hold)
    with page.expect_request(lambda request: "the flow" in (request.post_data or "")):
        page.locator(f"{TAB} .chip", has_text="the flow").click()
    look = page.locator(TAB).get_by_label("range slider for Look at step")
    look.press("ArrowRight")
    page.wait_for_timeout(300)
    assert len(held) == 1 and moves == []
    held[0].continue_()
    page.wait_for_function("new URLSearchParams(location.search).get('x') === 'ring of eight'")
    page.wait_for_function("!new URLSearchParams(location.search).get('k')?.match(/^[56]$/)")
    page.wait_for_function("look => look.value === '13'", arg=look.element_handle())
    page.wait_for_selector(f"{TAB} .badge.ok")
    look.press("ArrowRight")  # and the next move is answered
    page.wait_for_function("new URLSearchParams(location.search).get('k') === '14' || !location.search.includes('k=')")
    page.unroute("**/gradio_api/**")
    assert moves


def test_points_drawn_by_hand_become_the_data(page, url, address):
    page.goto(f"{url}?tab=samplers&x={quote_plus(DRAWN)}&n=4&k=3")
    page.wait_for_selector(f"{TAB} .badge.ok")
    drawing = page.locator("#samplers-drawn")
    drawing.get_by_role("button", name="Clear").click()
    drawing.get_by_text("got 0: draw more").wait_for()
    before, box = shot(page), drawing.locator(".dots-board").bounding_box()
    for x, y in ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8)):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.wait_for_function("new URLSearchParams(location.search).get('d')?.split(';').length === 3")
    drawing.get_by_text("draw more").wait_for(state="hidden")
    points = [[float(v) for v in point.split(",")] for point in address(page)["d"].split(";")]
    assert np.abs(np.array(points) - [[-1.5, 1.5], [1.5, 1.5], [1.5, -1.5]]).max() < 0.05
    page.wait_for_selector(f"{TAB} .badge.ok")
    assert shot(page) != before
    drawing.locator(".dots-board").focus()  # and by keys
    page.keyboard.press("Backspace")
    page.wait_for_function("new URLSearchParams(location.search).get('d').split(';').length === 2")
