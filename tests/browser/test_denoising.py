"""Denoising as a visitor uses it: pictures from noise, scrubbing, another view, a training that is stopped."""

from urllib.parse import quote_plus

import pytest

TAB = "#tab-denoising"
CAPTION = f"document.querySelector('{TAB} .transport-label')?.textContent ?? ''"


@pytest.fixture(autouse=True)
def models():
    from core.weights import models

    if not {"fashion", "fashion-oneshot"} <= set(models()):
        pytest.skip("the FashionMNIST models are not here")


def open_view(page, url, view="", **more):
    query = f"&v={quote_plus(view)}" if view else ""
    query += "".join(f"&{key}={value}" for key, value in more.items())
    page.goto(f"{url}?tab=denoising{query}")
    page.wait_for_selector(f"{TAB} .badge.ok", timeout=240_000)


def test_noise_becomes_pictures_that_can_be_scrubbed_and_a_quick_view_follows(page, url):
    open_view(page, url, n=4)
    assert page.evaluate(CAPTION).startswith("t = 0: the finished pictures")
    player = page.locator(f"{TAB} div.player").first
    read = "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).join()"
    finished = player.locator("canvas").nth(2).evaluate(read)
    player.press("Home")
    page.wait_for_function(f"{CAPTION}.startsWith('t = 1000:')")
    assert player.locator("canvas").nth(2).evaluate(read) == player.locator("canvas").nth(0).evaluate(read) != finished
    page.locator(f"{TAB} .chip", has_text="predicted and true noise").click()
    page.wait_for_function(f"{CAPTION}.startsWith('t = 500:')", timeout=240_000)
    page.locator(f"{TAB} .formula", has_text="middle pixel").first.wait_for()
    assert not page.locator(f"{TAB} .run").is_visible()
    assert page.locator(f"{TAB} div.player").first.locator("canvas").count() == 6
    page.locator(f"{TAB} div.player").first.press("End")
    page.wait_for_function(f"{CAPTION}.startsWith('t = 1000:')")


def test_a_training_can_be_stopped_and_what_was_drawn_stays(page, url):
    page.goto(f"{url}?tab=denoising&v=train+a+network+now&ts=5000&wd=256")  # the longest there is
    page.locator(f"{TAB} .progress-text", has_text="step").wait_for(timeout=240_000)
    page.locator(f"{TAB} .notice", has_text="no network less").first.wait_for(timeout=240_000)
    page.locator(TAB).get_by_role("button", name="Stop").click()
    page.locator(f"{TAB} .message", has_text="Stopped").first.wait_for()
    page.wait_for_timeout(1000)
    stood = page.locator(f"{TAB} .progress-text").inner_text()
    page.wait_for_timeout(1500)
    assert page.locator(f"{TAB} .progress-text").inner_text() == stood and stood.startswith("step")
