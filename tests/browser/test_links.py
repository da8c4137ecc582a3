"""Links and views whose settings cannot be together, as a visitor meets them: what is said of it, and what to do."""

from urllib.parse import urlencode

import pytest

from explorer.tabs.text_to_image.settings import GRID, OVER_TIME, TOKENS

PANEL = "#tab-text_to_image"


@pytest.fixture
def opened(page, url):
    """The tab at settings of a link, once they are drawn."""

    def at(**query):
        page.goto(f"{url}?{urlencode({'tab': 'text_to_image', **query})}")
        page.wait_for_selector(f"{PANEL} .badge.ok", timeout=120_000)
        return page.locator(PANEL)

    return at


def choose(page, field, name):
    page.locator(f"#text_to_image-{field} input").click()
    page.get_by_role("option", name=name, exact=True).click()


@pytest.mark.parametrize(
    ("query", "told", "left"),
    [
        (
            {"v": GRID, "x": "seed", "xs": "0, 1", "y": "seed", "ys": "1, 2"},
            "got seed twice; the default of “Down” was taken",
            "y",
        ),
        ({"v": OVER_TIME, "a": 0.3, "z": 0.6}, "it cannot go to 0.6; the default of “to t / T =” was taken", "z"),
    ],
)
def test_what_is_said_of_a_link_stays_when_it_is_drawn(opened, page, address, query, told, left):
    panel = opened(**query, n=2, px="elephant")
    message = panel.locator(".message").first.text_content()
    assert "“Size” must be one of" in message and told in message
    assert address(page).keys() == {"tab", "n", *query} - {left}


def test_a_view_that_is_refused_shows_the_controls_that_mend_it(opened, page):
    panel = opened(v=GRID, xs="1, 2", ys="1, 2", n=2)
    choose(page, "x", "steps")
    panel.locator("#text_to_image-x .message", has_text="got steps twice").wait_for()
    choose(page, "view", TOKENS)
    panel.locator("#text_to_image-x").wait_for(state="hidden")
    choose(page, "view", GRID)
    panel.locator("#text_to_image-view .message", has_text="got steps twice").wait_for()
    choose(page, "x", "seed")
    page.wait_for_function("new URLSearchParams(location.search).get('x') === 'seed'")
    assert panel.locator(".message", has_text="twice").count() == 0
    panel.locator(".start").click()
    panel.locator(".badge.ok").wait_for(timeout=120_000)
