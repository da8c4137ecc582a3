"""The whole machine, whose boxes open their views, and the attention of a run, read off the page."""

import re

PANEL = "#tab-text_to_image"
PIXELS = "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).join()"


def test_a_box_of_the_machine_opens_its_view_and_looks_add_up(page, url):
    page.goto(f"{url}?tab=text_to_image&v=the+whole+machine&n=2")
    page.wait_for_selector(f"{PANEL} .badge.ok", timeout=120_000)
    machine = page.locator(f"{PANEL} .machine")
    boxes = machine.locator(".machine-box")
    assert boxes.count() == 8
    tops = boxes.locator("b").evaluate_all("all => all.map((b) => b.offsetTop)")
    assert len(set(tops)) == 1
    assert machine.locator(".machine-counter b").inner_text() == "finished"
    latent, noise = (machine.locator(f".machine-box.{name} canvas") for name in ("latent", "noise"))
    finished = latent.evaluate(PIXELS)
    machine.focus()
    page.keyboard.press("Home")
    assert machine.locator(".machine-counter b").inner_text() == "after 0 of 2 steps"
    assert latent.evaluate(PIXELS) == noise.evaluate(PIXELS) != finished

    machine.locator(".machine-box.tokens").click()
    page.wait_for_selector(f"{PANEL} .token-grid .places li:nth-child(77)")
    page.wait_for_function("new URLSearchParams(location.search).get('v') === 'tokens'")
    assert page.locator(f"{PANEL} .token-grid .mark .text").all_inner_texts() == ["start", "end"]
    assert not page.locator(f"{PANEL} .controls .block.group").is_visible()  # nothing of the sampling matters here

    page.goto(f"{url}?tab=text_to_image&v=attention&n=2")
    page.wait_for_selector(f"{PANEL} .badge.ok", timeout=120_000)
    looks = page.locator(f"{PANEL} .looks")
    layers = looks.locator(".layer option").count()
    assert layers >= 3
    for layer in ("", *map(str, range(layers - 1))):
        looks.locator(".layer").select_option(layer)
        shares = [float(text.removesuffix(" %")) for text in looks.locator(".looks-words small").all_inner_texts()]
        assert len(shares) == 4 and abs(sum(shares) - 100) < 2
    looks.locator(".head").select_option("1")
    looks.locator(".large").hover(position={"x": 60, "y": 60})
    assert re.search(r"Row \d, column \d looks at .* all together 100\.0 %", looks.locator(".looks-says").inner_text())
    bare = looks.get_by_role("button", name="map alone")
    bare.click()
    bare = looks.get_by_role(
        "button", name="over the picture"
    )  # the label says what a press does, and nothing else does
    assert bare.get_attribute("aria-pressed") is None
    bare.click()
    looks.locator(".looks-words button").nth(2).click()
    before = looks.locator(".large").evaluate(PIXELS)
    looks.focus()
    page.keyboard.press("Home")
    assert looks.locator(".large").evaluate(PIXELS) != before
    page.set_viewport_size({"width": 375, "height": 812})
    page.wait_for_function("document.documentElement.scrollWidth <= 375")  # once its pieces have taken their sizes


def test_sentences_are_shown_whole_and_a_picture_is_moved_toward_one(page, url):
    """The field of the sentences was hidden when its text was put in: it takes the height of its lines all the same."""
    page.goto(f"{url}?tab=text_to_image&v=words+and+pictures+(CLIP)&se=red+apple+on+a+blue+background;+a+rocket")
    page.wait_for_selector(f"{PANEL} .badge.ok", timeout=120_000)
    field = page.locator(f"{PANEL} #text_to_image-sentences textarea").element_handle()
    page.wait_for_function("t => t.scrollHeight <= t.clientHeight && t.clientHeight > 45", arg=field)
    assert page.locator(f"{PANEL} .pictures-piece .sheet canvas:visible").count() == 2
    page.goto(f"{url}?tab=text_to_image&v=toward+a+sentence+(CLIP)&mv=5")
    page.wait_for_selector(f"{PANEL} .badge.ok", timeout=120_000)
    moved = page.locator(f"{PANEL} .player:visible")
    picture = moved.locator("canvas").first
    last = picture.evaluate(PIXELS)
    moved.focus()
    page.keyboard.press("Home")
    assert picture.evaluate(PIXELS) != last and "move 0: cosine" in moved.inner_text()
