"""Forward noise and Samplers as a visitor uses them: sliders, presets, keys, and a message that spares the picture."""


def caption(tab):
    return f"document.querySelector('#tab-{tab} .transport-label').textContent"


def slide(page, tab, index, value):
    page.locator(f"#tab-{tab} .controls input[type=range]").nth(index).evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', { bubbles: true })); }", value
    )


def test_forward_noise_follows_the_slider_and_spares_the_picture(page, url):
    page.goto(f"{url}?tab=forward_noise&x=letter")
    page.wait_for_selector("#tab-forward_noise .badge.ok")
    for t in (300, 400, 500, 600):
        slide(page, "forward_noise", 0, t)
    page.wait_for_function(f"{caption('forward_noise')}.startsWith('t = 600:')")
    page.locator("#tab-forward_noise .chip", has_text="amount 42").click()
    page.wait_for_function(f"{caption('forward_noise')}.startsWith('t = 42:')")
    assert "t=42" in page.url and "T=50" in page.url
    slide(page, "forward_noise", 1, 20)  # T below t: a message, and the picture stays
    page.get_by_text("the noise amount t must be at most T = 20, got 42").first.wait_for()
    assert page.evaluate(caption("forward_noise")).startswith("t = 42:")


def test_samplers_walk_to_the_data_by_keys(page, url):
    page.goto(f"{url}?tab=samplers&x=ring+of+eight&n=12&k=3")
    page.wait_for_selector("#tab-samplers .badge.ok")
    page.wait_for_function(f"{caption('samplers')}.startsWith('t = 750')")
    before = page.locator("#tab-samplers div.points canvas").first.screenshot()
    page.locator("#tab-samplers div.points").press("End")
    page.wait_for_function(f"{caption('samplers')}.startsWith('t = 0')")
    assert page.locator("#tab-samplers div.points canvas").first.screenshot() != before
