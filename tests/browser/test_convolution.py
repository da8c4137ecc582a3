"""The window players in the browser: keys, hovering, the message for what cannot be."""

import pytest
from PIL import Image


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
    bigger = panel.locator("#convolution-kernel .grid-size").locator("[data-by='1']")
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
    page.locator(".windows:visible").first.focus()
    page.keyboard.press("Home")
    assert cells(page, 2)[:6] == ["0.25", "0.25", "0", "0", "0.25", "0.25"]


def test_the_two_ways_to_one_output_follow_each_other(page, url):
    page.goto(f"{url}?tab=transposed_convolution")
    page.wait_for_function("document.querySelectorAll('.windows .boards svg').length === 6")
    windows, stamps = (page.locator(".windows:visible").nth(i) for i in range(2))
    stamps.focus()
    page.keyboard.press("Home")
    framed = windows.locator("figure").nth(2).locator(".reach")
    assert framed.get_attribute("d").count("M") == 1  # of the first stamp only a corner is inside the output
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert framed.get_attribute("d").count("M") == 4  # the middle cell's is whole
    windows.focus()
    page.keyboard.press("Home")
    assert stamps.locator("figure").nth(0).locator(".reach").get_attribute("d").count("M") == 1


def test_cells_are_painted_typed_and_read_from_a_picture(deck, tmp_path):
    board = deck.locator(".paint:visible .paint-board")
    shown = board.locator("text")
    box = board.locator("rect").nth(1).bounding_box()
    deck.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert shown.nth(1).text_content() == "1"
    deck.wait_for_function("location.search.includes('x=1%2C1%2C1')")
    deck.keyboard.press("ArrowDown")
    deck.keyboard.type("-2.5")
    assert shown.nth(4).text_content() == "−2.5"
    deck.locator("[data-axis=columns][data-by='1']").click()
    assert shown.count() == 12
    deck.locator(".paint:visible select").select_option("letter A")
    assert shown.count() == 49
    wrong = tmp_path / "notes.png"
    wrong.write_text("no picture")
    deck.locator(".paint:visible input[type=file]").set_input_files(wrong)
    deck.get_by_text("no picture that can be read").wait_for()
    assert shown.count() == 49
    fine = tmp_path / "black.png"
    Image.new("L", (30, 40), 0).save(fine)
    deck.locator(".paint:visible input[type=file]").set_input_files(fine)
    deck.get_by_text("black.png in 7 × 7 cells").wait_for()
    assert set(shown.all_text_contents()) == {"0"}


def test_each_view_shows_its_own_pieces_and_controls(deck):
    deck.get_by_role("button", name="a photograph embossed").click()
    deck.locator(".pictures:visible").wait_for()
    assert deck.locator(".windows:visible").count() == 0
    assert not deck.locator("#convolution-image").is_visible()
    assert deck.locator("#convolution-photo").is_visible()
