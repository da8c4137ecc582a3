"""A mask painted with mouse and keys, a brush on a latent, and one panel on the full screen."""

from urllib.parse import urlencode

PANEL = "#tab-text_to_image"
PIXELS = "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).join()"
SIZES = """player => [player, player.querySelector('canvas')].map((one) => {
    const { width, height } = one.getBoundingClientRect();
    return [width, height];
})"""


def painted(address) -> float:
    cells = address.get("mk", "")
    return sum(float(cell) for row in cells.split(";") for cell in row.split(",") if cell)


def test_brushes_and_full_screen(page, url, address):
    page.goto(f"{url}?{urlencode({'tab': 'text_to_image', 'v': 'a latent', 'p': 'cat', 'br': '0'})}")
    page.wait_for_selector(f"{PANEL} .badge.ok", timeout=120_000)
    board = page.locator("#text_to_image-cells .paint-board")
    assert "data:image/png" in board.evaluate("e => getComputedStyle(e).backgroundImage")

    # One stroke on the latent: its channel and the decoded picture change, the picture itself does not.
    shown = page.locator(f"{PANEL} .pictures-piece canvas")
    before = [shown.nth(i).evaluate(PIXELS) for i in (0, 2, 4, 5)]
    board.click(position={"x": 60, "y": 60})
    page.wait_for_function(
        "([node, old]) => (" + PIXELS + ")(node) !== old",
        arg=[shown.nth(2).element_handle(), before[1]],
        timeout=60_000,
    )
    after = [shown.nth(i).evaluate(PIXELS) for i in (0, 2, 4, 5)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, False, True]

    # The same board as a mask: 5 x 5 cells by the mouse, one row fewer taken away by the keys; it lives in the address.
    page.locator("#text_to_image-view input").click()
    page.get_by_role("option", name="inpainting").click()
    mask = page.locator("#text_to_image-mask")
    mask.locator(".paint-board").wait_for()
    mask.locator("select[aria-label^=Fill]").select_option("nothing")
    page.wait_for_function("new URLSearchParams(location.search).has('mk')")
    assert painted(address(page)) == 0
    mask.locator(".reach").select_option("5")
    mask.locator(".paint-board").scroll_into_view_if_needed()
    box = mask.locator(".paint-board").bounding_box()
    assert box is not None
    mask.locator(".paint-board").click(position={"x": box["width"] / 2 + 3, "y": box["height"] / 2 + 3})
    page.wait_for_function("new URLSearchParams(location.search).get('mk').includes('1')")
    assert painted(address(page)) == 25
    before = page.evaluate("location.href")
    for key in ("ArrowDown", "Delete"):
        page.keyboard.press(key)
    page.wait_for_function("before => location.href !== before", arg=before)  # written once the answer is there
    assert painted(address(page)) == 5
    assert "row 9, column 8: 0" in mask.locator(".reading").inner_text()

    # The key f lends the player the whole screen, and gives it back as it was.
    page.locator("#text_to_image-run .start").click()
    page.wait_for_selector(f"{PANEL} .badge.ok", timeout=120_000)
    player = page.locator(f"{PANEL} .stage > .player-piece").first
    player.scroll_into_view_if_needed()
    usual, whole = player.evaluate(SIZES), player.element_handle()
    player.locator(".player").focus()
    page.keyboard.press("f")
    page.wait_for_function("document.querySelector('.player-piece.full') && document.fullscreenElement")
    page.wait_for_function(
        f"""([player, [, [small]]]) => {{
            const [[, high], [wide]] = ({SIZES})(player);
            return high >= 880 && wide > small;
        }}""",
        arg=[whole, usual],
    )
    button = player.locator(".full-button")
    assert button.get_attribute("aria-label").startswith("Leave") and button.get_attribute("aria-pressed") is None
    page.keyboard.press("Home")
    assert player.locator(".transport-step").inner_text().startswith("step 0 /")
    page.keyboard.press("f")
    page.wait_for_function("!document.querySelector('.piece.full') && !document.fullscreenElement")
    page.wait_for_function(f"([player, usual]) => String(({SIZES})(player)) === String(usual)", arg=[whole, usual])
    box = page.locator(PANEL).get_by_label("Prompt", exact=True)
    box.press("f")
    assert page.evaluate("document.fullscreenElement") is None and box.input_value().endswith("f")
