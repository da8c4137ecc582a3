"""Samplers as a visitor uses them: views, keys, points drawn by hand, messages that spare the picture, long runs."""

import numpy as np

TAB = "#tab-samplers"
CAPTION = f"document.querySelector('{TAB} .transport-label').textContent"


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


def test_points_drawn_by_hand_become_the_data(page, url):
    """A line drawn with the pointer: the particles end on it; cleared, a message stands and nothing else changes."""
    page.goto(f"{url}?tab=samplers&x=points+you+draw&s=dpmpp_2m&n=20&k=20")
    page.wait_for_selector(f"{TAB} .badge.ok")
    board = page.locator(f"{TAB} .dots-board")
    board.scroll_into_view_if_needed()
    notice = page.locator(f"{TAB} .notice").inner_text()
    page.locator(f"{TAB} .dots").get_by_role("button", name="Clear").click()
    page.locator(f"{TAB} .message", has_text="2 to 128 points").first.wait_for()
    assert page.locator(f"{TAB} .notice").inner_text() == notice
    box = board.bounding_box()
    at = lambda x, y: (box["x"] + x * box["width"], box["y"] + y * box["height"])  # noqa: E731
    page.mouse.click(*at(0.2, 0.25))
    page.locator(f"{TAB} .message", has_text="got 1: draw more").first.wait_for()
    page.mouse.move(*at(0.25, 0.25))
    page.mouse.down()
    page.mouse.move(*at(0.8, 0.25), steps=30)
    page.mouse.up()
    page.wait_for_function(f"document.querySelector('{TAB} .message').textContent === ''")
    page.wait_for_function(f"document.querySelector('{TAB} .notice').innerText !== {notice!r}")
    page.wait_for_selector(f"{TAB} .badge.ok")
    written = page.evaluate("new URLSearchParams(location.search).get('d')")
    drawn = [tuple(map(float, point.split(","))) for point in written.split(";")]
    assert len(drawn) > 15 and np.abs(np.array(drawn)[:, 1] - 1.25).max() < 0.1
    ink = page.locator(f"{TAB} div.points canvas").first.evaluate(
        """c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, rows = [];
        for (let i = 0; i < d.length; i += 4) if (d[i + 3] > 150) rows.push(Math.floor(i / 4 / c.width) / c.height);
        return rows.sort((a, b) => a - b); }"""
    )
    assert abs(ink[len(ink) // 2] - (2.8 - 1.25) / 5.6) < 0.04  # half of all ink lies above and below the drawn line
    page.keyboard.press("Tab")
    board.press("ArrowRight")
    board.press(" ")
    page.wait_for_function(f"new URLSearchParams(location.search).get('d').split(';').length === {len(drawn) + 1}")


def test_views_show_their_own_pieces(page, url):
    page.goto(f"{url}?tab=samplers")
    page.wait_for_selector(f"{TAB} .badge.ok")
    chip = lambda text: page.locator(f"{TAB} .chip", has_text=text).click()  # noqa: E731
    chip("one step in slow motion")
    page.locator(f"{TAB} .notice", has_text="laid end to end").first.wait_for()
    page.wait_for_function(f"document.querySelectorAll('{TAB} .live-plot .annotation').length > 2")
    assert not page.locator(f"{TAB} div.points").is_visible()
    chip("Euler is DDIM")
    page.locator(f"{TAB} .notice", has_text="One walk under two names").first.wait_for()
    page.locator(f"{TAB} div.points").press("End")
    assert shot(page, 0) == shot(page, 1)
    chip("trained on clean points")
    page.locator(f"{TAB} .notice", has_text="never saw noise").first.wait_for()
    assert page.locator(f"{TAB} .live-plot").is_visible() and page.locator(f"{TAB} div.points").is_visible()
    chip("what a network call buys")
    page.locator(f"{TAB} .notice", has_text="Fitted order").first.wait_for()
    page.wait_for_selector(f"{TAB} .badge.ok")
    assert page.locator(f"{TAB} .live-plot .scatterlayer .trace").count() == 5
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
