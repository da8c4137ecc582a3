"""The window players in the browser: keys, hovering, the message for what cannot be."""

import pytest


def cells(page, board):
    return page.locator(".windows:visible figure").nth(board).locator("g text:not(.note)").all_text_contents()


@pytest.fixture
def deck(page, url):
    page.goto(f"{url}?tab=convolution")
    page.locator(".windows:visible figure").nth(2).wait_for()
    page.wait_for_function("document.querySelector('.windows .transport-step').textContent === 'step 4 / 4'")
    return page


def test_keys_step_through_the_deck(deck):
    player = deck.locator(".windows:visible")
    player.focus()
    deck.keyboard.press("Home")
    assert cells(deck, 0) == ["0.25", "0", "1", "0", "0.25", "0", "1", "0", "1"]
    assert cells(deck, 2) == ["0.5", "", "", ""]
    for _ in range(3):
        deck.keyboard.press("ArrowRight")
    assert player.locator(".transport-step").text_content() == "step 4 / 4"
    assert cells(deck, 2) == ["0.5"] * 4
    assert cells(deck, 0) == ["1", "0", "1", "0", "0.25", "0", "1", "0", "0.25"]
    assert "= 0.5" in player.locator(".transport-label").text_content()


def test_hovering_shows_where_a_number_comes_from_and_goes_to(deck):
    source, _, target = (deck.locator(".windows:visible figure").nth(i) for i in range(3))
    target.locator("[data-cell='0'] rect").hover()
    assert cells(deck, 0)[0] == "0.25"
    source.locator("[data-cell='4'] rect").hover()
    assert target.locator(".reach").get_attribute("d").count("M") == 4
    source.locator("[data-cell='0'] rect").hover()
    assert target.locator(".reach").get_attribute("d").count("M") == 1


def test_what_does_not_fit_is_said_and_the_picture_stays(deck):
    panel = deck.locator(".tabitem:visible")
    bigger = panel.locator(".grid-size").nth(1).locator("[data-by='1']")
    bigger.click()
    deck.wait_for_function("document.querySelector('.windows .transport-step').textContent.endsWith('/ 1')")
    bigger.click()
    panel.get_by_text("a padding of 1 would fit").wait_for()
    assert len(cells(deck, 2)) == 1


def test_stamps_add_up(page, url):
    page.goto(f"{url}?tab=transposed_convolution&v=framework&s=1")
    page.wait_for_function(
        "[...document.querySelectorAll('.windows .transport-step')].some(n => n.textContent === 'step 9 / 9')"
    )
    assert cells(page, 2)[5:7] == ["0.5", "0.5"]
    page.locator(".windows:visible").focus()
    page.keyboard.press("Home")
    assert cells(page, 2)[:6] == ["0.25", "0.25", "0", "0", "0.25", "0.25"]
