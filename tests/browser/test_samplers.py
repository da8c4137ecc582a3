"""Samplers as a visitor uses them: views, keys, points drawn by hand, messages that spare the picture, long runs."""

import io

import numpy as np
from PIL import Image

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


def test_views_show_their_own_pieces(page, url):
    page.goto(f"{url}?tab=samplers")
    page.wait_for_selector(f"{TAB} .badge.ok")
    chip = lambda text: page.locator(f"{TAB} .chip", has_text=text).click()  # noqa: E731
    chip("one step in slow motion")
    page.locator(f"{TAB} .prose.notice", has_text="laid end to end").first.wait_for()
    page.wait_for_function(f"document.querySelectorAll('{TAB} .live-plot .annotation').length > 2")
    assert not page.locator(f"{TAB} div.points").is_visible()
    chip("Euler is DDIM")
    page.locator(f"{TAB} .prose.notice", has_text="One walk under two names").first.wait_for()
    page.locator(f"{TAB} div.points").press("End")
    euler, ddim = (np.asarray(Image.open(io.BytesIO(shot(page, i))).convert("L"), float) for i in (0, 1))
    assert np.abs(euler - ddim).mean() < 2 < 10 < euler.std()  # grey levels of 255: the same points, but for rounding
    chip("trained on clean points")
    page.locator(f"{TAB} .prose.notice", has_text="never saw noise").first.wait_for()
    assert page.locator(f"{TAB} .live-plot").is_visible() and page.locator(f"{TAB} div.points").is_visible()
    chip("what a network call buys")
    page.locator(f"{TAB} .prose.notice", has_text="Fitted order").first.wait_for()
    page.wait_for_selector(f"{TAB} .badge.ok")
    assert page.locator(f"{TAB} .live-plot .scatterlayer .trace").count() == 5
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
