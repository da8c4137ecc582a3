"""Samplers as a visitor uses them: sliders, presets, keys, and a message that spares the picture."""


def caption(tab):
    return f"document.querySelector('#tab-{tab} .transport-label').textContent"


def slide(page, tab, index, value):
    page.locator(f"#tab-{tab} .controls input[type=range]").nth(index).evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', { bubbles: true })); }", value
    )


def test_samplers_walk_to_the_data_by_keys(page, url):
    page.goto(f"{url}?tab=samplers&x=ring+of+eight&n=12&k=3")
    page.wait_for_selector("#tab-samplers .badge.ok")
    page.wait_for_function(f"{caption('samplers')}.startsWith('t = 750')")
    before = page.locator("#tab-samplers div.points canvas").first.screenshot()
    page.locator("#tab-samplers div.points").press("End")
    page.wait_for_function(f"{caption('samplers')}.startsWith('t = 0')")
    assert page.locator("#tab-samplers div.points canvas").first.screenshot() != before
