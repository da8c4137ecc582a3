"""A sentence typed into the page becomes a picture."""

import base64
import io
import time

import numpy as np
import pytest
from PIL import Image

PANEL = "#tab-text_to_image"
PLAYER = f"{PANEL} .player[aria-label^='Noise turning']"


@pytest.fixture
def drawing(reused, url):
    reused.goto(f"{url}?tab=text_to_image&n=4")
    reused.wait_for_selector(f"{PANEL} .badge.ok", timeout=120_000)
    return reused


def saved(page) -> Image.Image:
    link = page.locator(f"{PANEL} a.download").get_attribute("href")
    return Image.open(io.BytesIO(base64.b64decode(link.removeprefix("data:image/png;base64,"))))


def ask(page, box, prompt: str) -> None:
    """Type a prompt, and press Enter once the page has taken it in, as nobody's hands are quicker."""
    box.press("ControlOrMeta+a")
    box.press_sequentially(prompt)
    page.wait_for_function(f"new URLSearchParams(location.search).get('q') === '{prompt}'")
    box.press("Enter")


def agreement(pixels: np.ndarray) -> float:
    """The correlation of neighbouring pixels: 0 in noise."""
    return float(np.corrcoef(pixels[:, 1:].ravel(), pixels[:, :-1].ravel())[0, 1])


def test_a_typed_prompt_becomes_a_picture_that_is_not_noise(reused, url, embedded):
    if not embedded:
        pytest.skip("the embedded model is not here yet: a random one draws no pictures")
    reused.goto(f"{url}?tab=text_to_image")
    reused.wait_for_selector(f"{PANEL} .badge.ok", timeout=120_000)
    box = reused.locator(PANEL).get_by_label("Prompt", exact=True)
    ask(reused, box, "blue heart")
    reused.wait_for_selector(f"{PANEL} .badge.waiting", timeout=30_000)
    reused.wait_for_selector(f"{PANEL} .badge.ok", timeout=120_000)
    picture = saved(reused)
    assert picture.text["parameters"].startswith("blue heart\n")
    pixels = np.array(picture.convert("L"), dtype=float)
    noise = np.random.default_rng(0).normal(size=pixels.shape)
    assert pixels.std() > 10
    assert agreement(pixels) > 0.6 > 10 * abs(agreement(noise))


def test_opens_with_a_finished_picture_that_can_be_scrubbed(drawing):
    player = drawing.locator(PLAYER)
    step = player.locator(".transport-step")
    assert step.inner_text() == "step 4 / 4"
    read = "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
    finished = player.locator("canvas").first.evaluate(read)
    player.focus()
    drawing.keyboard.press("Home")
    assert step.inner_text() == "step 0 / 4"
    assert player.locator("canvas").first.evaluate(read) != finished
    drawing.keyboard.press("ArrowRight")
    assert step.inner_text() == "step 1 / 4"
    drawing.keyboard.press("End")
    assert player.locator("canvas").first.evaluate(read) == finished
    shown = np.array(finished).reshape(64, 64, 4)[..., :3]
    assert np.abs(shown - np.array(saved(drawing).convert("RGB"))).max() <= 1


def test_the_address_names_the_drawing(drawing):
    box = drawing.locator(PANEL).get_by_label("Prompt", exact=True)
    box.press("ControlOrMeta+a")
    box.press_sequentially("cat face")
    drawing.wait_for_function("new URLSearchParams(location.search).get('q') === 'cat face'")
    drawing.reload()
    drawing.wait_for_selector(f"{PANEL} .badge.ok", timeout=120_000)
    assert saved(drawing).text["parameters"].startswith("cat face\nSteps: 4")


def test_unknown_words_are_marked(drawing):
    box = drawing.locator(PANEL).get_by_label("Prompt", exact=True)
    ask(drawing, box, "red qwxzqvk")
    drawing.locator(f"{PANEL} .tokens li.unknown").first.wait_for(timeout=60_000)
    drawing.locator(f"{PANEL} .notice", has_text="never saw").first.wait_for(timeout=60_000)


def test_an_animation_that_cannot_be_made_says_so_beneath_the_player(drawing):
    drawing.route("**/gradio_api/component_server/**", lambda route: route.fulfill(body="no answer"))
    drawing.locator(f"{PLAYER} .gif-save").click()
    drawing.locator(f"{PLAYER} .message", has_text="did not reach the server; try again").wait_for()
    assert drawing.locator(f"{PLAYER} .gif-save").inner_text() == "GIF"


# The line that says how the run fares, until the server has ended it.
RUNNING = f"{PANEL} .message > [data-testid=status-tracker]:not(.hide, :has(.error))"
FAILED = """panel => document.querySelector(`${panel} .message`).insertAdjacentHTML('afterbegin',
    '<div data-testid="status-tracker"><span class="error">Error</span></div>')"""


def test_stop_leaves_what_was_done(reused, url):
    reused.goto(f"{url}?tab=text_to_image&n=200")
    reused.wait_for_function(
        f"document.querySelector('{PANEL} .transport-step')?.innerText.match(/step [1-9]/)", timeout=60_000
    )
    reused.locator(PANEL).get_by_role("button", name="Stop").click()
    reused.locator(f"{PANEL} .message", has_text="Stopped").first.wait_for()
    reused.locator(RUNNING).wait_for(state="hidden")
    reused.wait_for_timeout(500)  # what came before may still be shown
    step = reused.locator(f"{PLAYER} .transport-step")
    stood = step.inner_text()
    reused.wait_for_timeout(1500)
    assert step.inner_text() == stood and int(stood.split("/")[1]) < 200
    reused.evaluate(FAILED, PANEL)  # as Gradio says of some runs that are stopped
    errors = reused.locator(f"{PANEL} .message .error")
    assert errors.count() and not any(error.is_visible() for error in errors.all())
    reused.locator(PANEL).get_by_role("button", name="Stop").click()
    reused.locator(f"{PANEL} .message", has_text="Nothing is running.").first.wait_for()
    assert errors.first.is_visible()  # another failure is told


def test_coming_back_finds_the_tab_as_it_was_left(page, url):
    """A run that was stopped is not begun again, nor one that nobody asked for."""
    page.goto(f"{url}?tab=text_to_image&n=200")
    step = page.locator(f"{PLAYER} .transport-step")
    page.wait_for_function(f"document.querySelector('{PANEL} .transport-step')?.innerText.match(/step [1-9]/)")
    page.locator(PANEL).get_by_role("button", name="Stop").click()
    page.locator(f"{PANEL} .message", has_text="Stopped").first.wait_for()
    page.locator(RUNNING).wait_for(state="hidden")
    page.wait_for_timeout(500)  # what came before may still be shown
    stood, runs = step.inner_text(), []
    page.on("request", lambda request: "queue/join" in request.url and runs.append(request.url))
    box = page.locator(PANEL).get_by_label("Prompt", exact=True)
    box.press("ControlOrMeta+a")
    box.press_sequentially("cat face")
    page.wait_for_function("new URLSearchParams(location.search).get('q') === 'cat face'")
    for leave in (page.locator("#tab-coin_flips-button").click, lambda: page.evaluate("history.back()")):
        leave()
        page.wait_for_selector("#tab-coin_flips .badge.ok")
        page.locator("#tab-text_to_image-button").click()
        box.wait_for()
        page.wait_for_timeout(700)
    assert step.inner_text() == stood and runs == [] and box.input_value() == "cat face"
    page.evaluate("window.explorer.go('tab=text_to_image&n=4&q=blue+heart')")  # a link runs
    page.wait_for_selector(f"{PANEL} .badge.ok")
    assert saved(page).text["parameters"].startswith("blue heart\nSteps: 4") and len(runs) == 1


def finished(page) -> None:
    page.wait_for_selector(f"{PANEL} .badge.ok", timeout=120_000)


def test_what_was_made_comes_back_and_a_png_restores_its_settings(drawing, tmp_path):
    """The dice, the strip of this visit, a PNG opened again, a GIF, and the grid: one page from end to end."""
    tab = drawing.locator(PANEL)
    seed, made, canvas = (
        tab.get_by_label("Seed of the noise", exact=True),
        tab.locator(".made button"),
        drawing.locator(f"{PLAYER} canvas"),
    )
    read = "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
    first = canvas.first.evaluate(read)
    (tmp_path / "first.png").write_bytes(
        base64.b64decode(tab.locator("a.download").get_attribute("href").split(",")[1])
    )
    assert made.count() == 1

    tab.get_by_role("button", name="Draw another seed").click()
    drawing.wait_for_function("new URLSearchParams(location.search).get('s') > 0")
    drawn = seed.input_value()
    tab.locator("button.start").click()
    drawing.wait_for_function(f"document.querySelectorAll('{PANEL} .made button').length === 2", timeout=120_000)
    assert seed.input_value() == drawn and canvas.first.evaluate(read) != first

    with drawing.expect_download() as download:  # all steps
        tab.get_by_role("button", name="Save all steps as a GIF").click()
    assert Image.open(download.value.path()).n_frames == 5

    made.nth(1).click()  # the picture at once; then its settings, and the steps that lead to it
    drawing.wait_for_function("!new URLSearchParams(location.search).has('s')")
    drawing.wait_for_function(
        f"document.querySelector('{PANEL} .transport-step').innerText === 'step 4 / 4'", timeout=120_000
    )
    assert seed.input_value() == "0" and canvas.first.evaluate(read) == first and made.count() == 2

    tab.get_by_role("button", name="Draw another seed").click()
    drawing.wait_for_function("new URLSearchParams(location.search).get('s') > 0")
    tab.locator(".result input[type=file]").set_input_files(tmp_path / "first.png")
    tab.locator(".result .told", has_text="its settings are back").wait_for()
    drawing.wait_for_function("!new URLSearchParams(location.search).has('s')")
    finished(drawing)
    (tmp_path / "not.png").write_bytes(b"no picture")
    tab.locator(".result input[type=file]").set_input_files(tmp_path / "not.png")
    tab.locator(".result .told.wrong", has_text="none that can be read").wait_for()

    drawing.goto(drawing.url.split("?")[0] + "?tab=text_to_image&v=a+grid+of+two+settings&xs=0,3&ys=1,2")
    drawing.locator(f"{PANEL} .xy td button").nth(3).wait_for(timeout=120_000)
    finished(drawing)
    cell = drawing.locator(f"{PANEL} .xy td button").nth(3)
    kept = cell.locator("canvas").evaluate(read)
    cell.click()
    drawing.wait_for_function("new URLSearchParams(location.search).get('n') === '2'")
    drawing.wait_for_function(
        f"document.querySelector('{PANEL} .transport-step').innerText === 'step 2 / 2'", timeout=120_000
    )
    finished(drawing)
    assert drawing.locator(f"{PLAYER} canvas").first.evaluate(read) == kept


@pytest.mark.parametrize("way", ["closed", "Stop", "moved"])
def test_a_closed_page_stop_or_a_move_ends_the_work(page, url, way):
    from explorer import models

    calls = []
    hook = models.loaded().unet.register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        page.goto(f"{url}?tab=text_to_image&n=200&s=77")
        page.wait_for_function(f"document.querySelector('{PANEL} .transport-step')?.innerText.match(/step [1-9]/)")
        if way == "closed":
            page.close()
        elif way == "Stop":
            page.locator("#text_to_image-run").get_by_role("button", name="Stop").click()
        else:
            page.get_by_label("number input for Guidance").fill("4")
        for _ in range(100):  # until no call comes for a second
            seen = len(calls)
            time.sleep(1)
            if len(calls) == seen:
                break
        assert 0 < len(calls) < 190
    finally:
        hook.remove()
