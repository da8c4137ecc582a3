"""Forward noise and Schedules as a visitor uses them: sliders, buttons, own pictures, messages that spare the rest."""

from functools import partial

import pytest
from PIL import Image

FORWARD, SCHEDULES = "#tab-forward_noise", "#tab-schedules"


def caption(tab):
    return f"document.querySelector('{tab} .transport-label').textContent"


def slide(page, tab, label, value):
    page.locator(tab).get_by_label(f"range slider for {label}").evaluate(
        """(input, value) => {
            Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, value);
            input.dispatchEvent(new Event('input', { bubbles: true }));
        }""",
        str(value),
    )


@pytest.fixture
def forward(brought):
    page = brought(tab="forward_noise", x="letter", n=28)
    page.wait_for_function(f"{caption(FORWARD)}.startsWith('t = 250:')")
    return page


def test_forward_noise_follows_the_slider_and_spares_the_picture(forward):
    for t in (300, 400, 500, 600):
        slide(forward, FORWARD, "Noise amount t", t)
    forward.wait_for_function(f"{caption(FORWARD)}.startsWith('t = 600:')")
    forward.wait_for_function("location.search.includes('t=600')")
    slide(forward, FORWARD, "Steps in all T", 20)  # T below t: a message, and the picture stays
    forward.get_by_text("the noise amount t must be at most T = 20, got 600").first.wait_for()
    assert forward.evaluate(caption(FORWARD)).startswith("t = 600:")
    typed = forward.locator(FORWARD).get_by_label("number input for Steps in all T")
    typed.fill("0")
    forward.get_by_text("“Steps in all T” must be a whole number in [2, 1000], got 0").first.wait_for()
    typed.fill("5000")
    forward.get_by_text("“Steps in all T” must be a whole number in [2, 1000], got 5000").first.wait_for()
    assert forward.evaluate(caption(FORWARD)).startswith("t = 600:")
    typed.fill("700")
    forward.wait_for_function("document.querySelector('#tab-forward_noise .notice').innerText.includes('600 of 700')")
    forward.get_by_text("“Steps in all T” must be a whole number").first.wait_for(state="hidden")


MOVES = "**/gradio_api/component_server/**"


def looks(page):
    """Every step of the player as it is drawn."""
    return page.evaluate(
        """(tab) => {
            const bar = document.querySelector(`${tab} .transport input[type=range]`);
            const at = bar.value, looks = [], panels = () => [...document.querySelectorAll(`${tab} .player canvas`)];
            const go = (i) => { bar.value = i; bar.dispatchEvent(new Event('input', { bubbles: true })); };
            for (let i = 0; i <= +bar.max; i++) {
                go(i);
                looks.push(panels().map((one) => one.toDataURL()).join());
            }
            go(at);
            return looks;
        }""",
        FORWARD,
    )


def test_a_step_that_moves_comes_alone_and_stands_among_the_others(page, url, settled, sizes):
    page.goto(f"{url}?tab=forward_noise&x=letter&n=28")
    page.wait_for_selector(f"{FORWARD} .badge.ok")
    page.wait_for_function(f"{caption(FORWARD)}.startsWith('t = 250:')")
    sizes.clear()
    for t in (303, 307, 250, 311):  # at 250 none moves
        slide(page, FORWARD, "Noise amount t", t)
        page.wait_for_function(f"{caption(FORWARD)}.startsWith('t = {t}:')")
        settled()
    moved = looks(page)
    page.goto(f"{url}?tab=forward_noise&x=letter&n=28&t=311")
    page.wait_for_selector(f"{FORWARD} .badge.ok")
    page.wait_for_function(f"{caption(FORWARD)}.startsWith('t = 311:')")
    assert len(set(moved)) == len(moved) > 40 and looks(page) == moved
    *of_moves, opening = sizes
    assert len(of_moves) == 4 and max(of_moves) < opening - 60_000  # 42 steps of two pictures of 28 x 28 in base64


# Resolves once a plot is as far out of sight as it may be; what was observed before is told of it before.
AWAY = """plot => new Promise((go) => new IntersectionObserver((changes, mine) => {
    if (!changes.at(-1).isIntersecting) go(mine.disconnect());
}, { rootMargin: '100px' }).observe(plot))"""


def test_a_plot_out_of_sight_is_drawn_when_it_comes_near(forward):
    """Or when the page is printed; one in sight at once."""
    marked = f"""[...document.querySelectorAll('{FORWARD} .live-plot')].map((one) => {{
        const place = [...one.querySelectorAll('path.point')].at(-1)?.getAttribute('transform');
        return place && Math.round(1000 * place.match(/[-.0-9]+/)[0] / one._fullLayout.xaxis._length);
    }})"""
    last = forward.locator(f"{FORWARD} .live-plot").nth(2)
    last.scroll_into_view_if_needed()
    forward.wait_for_function(f"{marked}[2] === 250")
    forward.set_viewport_size({"width": 1280, "height": 500})
    printed = partial(forward.evaluate, "dispatchEvent(new Event('beforeprint')) && null")
    for t, show in ((400, last.scroll_into_view_if_needed), (410, printed)):
        forward.evaluate("scrollTo(0, 0)")
        last.evaluate(AWAY)
        slide(forward, FORWARD, "Noise amount t", t)
        forward.wait_for_function(f"{caption(FORWARD)}.startsWith('t = {t}:')")
        forward.wait_for_timeout(200)
        assert forward.evaluate(marked)[2] != t
        show()
        forward.wait_for_function(f"{marked}[2] === {t}")


def first_held(page):
    """From now on the first move waits to be let go, others go on: the one, and those."""
    held, others = [], []

    def hold(route):
        (others if held else held).append(route)
        if others:
            route.continue_()

    page.route(MOVES, hold)
    return held, others


def test_a_preset_has_the_last_word(forward):
    """One move is under way and one waits when a preset is chosen: neither shows after it."""
    held, others = first_held(forward)
    with forward.expect_request(MOVES):
        slide(forward, FORWARD, "Noise amount t", 300)
    slide(forward, FORWARD, "Noise amount t", 400)
    forward.wait_for_timeout(100)
    assert len(held) == 1 and not others
    forward.locator(f"{FORWARD} .chip", has_text="T = 150").click()
    forward.wait_for_function(f"{caption(FORWARD)}.startsWith('t = 150:')")
    held[0].continue_()
    forward.wait_for_timeout(600)
    assert forward.evaluate(caption(FORWARD)).startswith("t = 150:") and len(others) == 1
    forward.unroute(MOVES)
    forward.wait_for_function("location.search.includes('t=150')")
    slide(forward, FORWARD, "Noise amount t", 140)  # and the next move is answered as ever
    forward.wait_for_function(f"{caption(FORWARD)}.startsWith('t = 140:')")


def test_a_move_before_a_preset_is_answered_shows_nothing(forward):
    """It was made of the other controls as they stood before."""
    held, others = first_held(forward)
    with forward.expect_request(MOVES):
        forward.locator(f"{FORWARD} .chip", has_text="T = 150").click()
    slide(forward, FORWARD, "Noise amount t", 100)
    forward.wait_for_timeout(100)
    held[0].continue_()
    forward.wait_for_function(f"{caption(FORWARD)}.startsWith('t = 150:')")
    forward.wait_for_timeout(400)
    forward.unroute(MOVES)
    assert not others and forward.evaluate(caption(FORWARD)).startswith("t = 150:")
    range_of_t = forward.locator(FORWARD).get_by_label("range slider for Noise amount t")
    forward.wait_for_function("range => range.value === '150'", arg=range_of_t.element_handle())
    slide(forward, FORWARD, "Noise amount t", 140)
    forward.wait_for_function(f"{caption(FORWARD)}.startsWith('t = 140:')")


def test_a_picture_that_does_not_reach_the_server_says_so(forward, tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "small.png")
    forward.route(MOVES, lambda route: route.fulfill(body="no answer"))
    forward.locator(f"{FORWARD} .own-picture input[type=file]").set_input_files(tmp_path / "small.png")
    forward.locator(f"{FORWARD} .own-picture .told", has_text="did not reach the server; try again").wait_for()


def test_a_file_that_cannot_be_read_says_so(brought, tmp_path):
    """As a folder that is dropped, or a file that has gone meanwhile."""
    page = brought(tab="forward_noise", x="letter", n=28)
    Image.new("L", (8, 8)).save(tmp_path / "small.png")
    read = page.evaluate_handle("() => FileReader.prototype.readAsDataURL")
    page.evaluate(
        "FileReader.prototype.readAsDataURL = function () { setTimeout(() => this.dispatchEvent(new Event('error'))); }"
    )
    page.locator(f"{FORWARD} .own-picture input[type=file]").set_input_files(tmp_path / "small.png")
    page.locator(f"{FORWARD} .own-picture .told.wrong", has_text="small.png cannot be read").wait_for()
    page.evaluate("read => { FileReader.prototype.readAsDataURL = read; }", read)


def test_the_speed_of_a_player_is_in_its_name(forward):
    forward.locator(FORWARD).get_by_role("button", name="Speed 1×").first.click()
    forward.locator(FORWARD).get_by_role("button", name="Speed 2×").wait_for()


def test_a_move_without_an_answer_says_so_at_its_control(forward):
    forward.route(MOVES, lambda route: route.fulfill(body="no answer"))
    slide(forward, FORWARD, "Noise amount t", 300)
    forward.locator("#forward_noise-t").get_by_text("This move was not answered").wait_for()
    assert forward.evaluate(caption(FORWARD)).startswith("t = 250:")
    forward.unroute(MOVES)
    slide(forward, FORWARD, "Noise amount t", 310)
    forward.wait_for_function(f"{caption(FORWARD)}.startsWith('t = 310:')")
    forward.get_by_text("This move was not answered").first.wait_for(state="hidden")


def test_a_move_that_takes_long_says_that_it_is_computed(forward):
    forward.route(MOVES, lambda route: None)  # held
    slide(forward, FORWARD, "Noise amount t", 300)
    forward.get_by_text("Computing …").wait_for()
    assert forward.evaluate(caption(FORWARD)).startswith("t = 250:")  # what stood there stays
    forward.unroute(MOVES)  # lets those go that were held
    forward.wait_for_function(f"{caption(FORWARD)}.startsWith('t = 300:')")
    forward.get_by_text("Computing …").wait_for(state="detached")


def test_the_player_asks_the_server_nothing(forward):
    """Every step of the chain is there once it is shown: no request, and the pictures change."""
    forward.wait_for_selector(f"{FORWARD} .formula .katex")  # whose fonts come when it is first laid out
    forward.evaluate("() => document.body.offsetHeight && document.fonts.ready.then(() => null)")
    asked = []
    forward.on("request", lambda request: asked.append(request.url))
    player = forward.locator(f"{FORWARD} .player").first
    canvas = player.locator("canvas").first
    player.focus()
    forward.keyboard.press("Home")
    clean = canvas.evaluate("c => c.toDataURL()")
    assert forward.evaluate(caption(FORWARD)).startswith("t = 0:")
    for _ in range(12):
        forward.keyboard.press("ArrowRight")
    assert canvas.evaluate("c => c.toDataURL()") != clean
    forward.keyboard.press("Home")
    assert canvas.evaluate("c => c.toDataURL()") == clean
    assert asked == []


def test_the_lectures_table_and_six_new_rows(forward):
    forward.locator(f"{FORWARD} .chip", has_text="deck 003").click()
    amounts = forward.locator(f"{FORWARD} .picture-rows td:first-child")
    forward.wait_for_function("document.querySelectorAll('#tab-forward_noise .picture-rows td').length === 24")
    assert amounts.all_text_contents() == ["3", "14", "7", "42", "2", "21"]
    back = forward.get_by_role("button", name="the lecture’s amounts")
    assert not back.is_visible()
    forward.get_by_role("button", name="Six new rows").click()
    first = "document.querySelector('#tab-forward_noise .picture-rows td').textContent"
    forward.wait_for_function("location.search.includes('r=1')")
    forward.wait_for_function("document.querySelector('#tab-forward_noise .notice').innerText.includes('at random')")
    assert amounts.count() == 6 and all(1 <= int(t) <= 50 for t in amounts.all_text_contents())
    back.click()
    forward.wait_for_function(f"{first} === '3'")
    assert forward.locator(f"{FORWARD} .picture-rows canvas").count() == 12


def test_an_own_picture_is_noised(forward, tmp_path):
    file = tmp_path / "black.png"
    Image.new("RGB", (30, 40), "black").save(file)
    slide(forward, FORWARD, "Noise amount t", 0)
    forward.wait_for_function(f"{caption(FORWARD)}.startsWith('t = 0:')")
    before = forward.locator(f"{FORWARD} .player canvas").first
    forward.locator(f"{FORWARD} .own-picture input[type=file]").set_input_files(file)
    forward.wait_for_function(
        """() => {
            const canvas = document.querySelector('#tab-forward_noise .player canvas');
            const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            return pixels.every((v, i) => v === (i % 4 === 3 ? 255 : 0));
        }"""
    )
    assert before.is_visible()
    forward.wait_for_function("!location.search.includes('x=')")
    forward.locator("#tab-schedules-button").click()
    forward.wait_for_selector(f"{SCHEDULES} .badge.ok")
    forward.locator("#tab-forward_noise-button").click()
    own = forward.locator(f"{FORWARD} .own-picture select")
    own.wait_for()
    slide(forward, FORWARD, "Noise amount t", 1)  # answered after what coming back might have asked for
    forward.wait_for_function(f"{caption(FORWARD)}.startsWith('t = 1:')")
    assert own.input_value() == "data:"


def test_forward_noise_views_show_their_own_pieces(forward):
    forward.locator(f"{FORWARD} .chip", has_text="deck 002 · particles").click()
    forward.wait_for_selector(f"{FORWARD} .points canvas")
    assert not forward.locator("#forward_noise-picture").is_visible()
    assert forward.locator("#forward_noise-points").is_visible()
    assert not forward.locator(f"{FORWARD} .picture-rows").is_visible()


def test_schedules_meter_repair_and_messages(brought):
    page = brought(tab="schedules", c="nothing")
    verdict = page.locator(f"{SCHEDULES} .meter-verdict")
    page.get_by_text("nothing that matters").wait_for()
    slide(page, SCHEDULES, "Steps in all T", 150)
    page.get_by_text("too much: sampling must not start from pure noise").wait_for()
    page.get_by_label("Repair: zero signal at T").check()
    page.get_by_text("nothing at all").wait_for()
    typed = page.locator(SCHEDULES).get_by_label("number input for Steps in all T")
    typed.fill("0")
    page.get_by_text("“Steps in all T” must be a whole number in [2, 2000], got 0").first.wait_for()
    assert verdict.count() == 1 and "nothing at all" in verdict.inner_text()
    typed.press("Tab")  # the field then shows 2, and 2 is what counts
    page.wait_for_function("location.search.includes('T=2&')")
    page.get_by_text("“Steps in all T” must be a whole number").first.wait_for(state="hidden")
    first = page.locator("#schedules-beta_1").get_by_label("First β, number")
    typed.fill("300")
    page.wait_for_function("location.search.includes('T=300')")
    first.fill("0.1")  # above the last
    page.get_by_text("“First β” must be at most “Last β”, got 0.1").first.wait_for()
    assert "nothing at all" in verdict.inner_text()


def test_schedules_wrong_start_stands_beside_the_right_one(brought):
    page = brought(tab="schedules")
    page.locator(f"{SCHEDULES} .chip", has_text="the wrong start: T = 150").click()
    page.wait_for_function("document.querySelectorAll('#tab-schedules .points figure').length === 3")
    titles = page.locator(f"{SCHEDULES} .points figcaption").all_text_contents()
    off = [float(title.rsplit(" ", 1)[1]) for title in titles]
    assert off[0] > 10 * max(off[1:])
    assert not page.locator(f"{SCHEDULES} .live-plot").first.is_visible()
