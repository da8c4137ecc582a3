"""The convolution tabs in the browser: keys, hovering, painting, own pictures, the message for what cannot be."""

import numpy as np
import pytest
from PIL import Image


def slide(page, control, value):
    """Set a slider as a hand does: the native setter, then `input`."""
    page.locator(f"{control} input[type=range]").evaluate(
        """(input, value) => {
            Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, value);
            input.dispatchEvent(new Event('input', { bubbles: true }));
        }""",
        str(value),
    )


def cells(page, board):
    return page.locator(".windows:visible figure").nth(board).locator("g text:not(.note)").all_text_contents()


@pytest.fixture
def deck(brought):
    page = brought(tab="convolution")
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


@pytest.mark.parametrize("tab", ["convolution", "transposed_convolution"])
def test_the_sign_between_picture_and_kernel_is_that_of_cross_correlation(brought, tab):
    """x ∗ k would flip the kernel once more."""
    page = brought(tab=tab, **({"f": 1} if tab == "convolution" else {}))
    player = page.locator(f"#tab-{tab} .windows", has=page.get_by_text("kernel, flipped", exact=True))
    assert player.locator(".sign").all_text_contents() == ["⋆", "="]


def test_the_formula_is_of_the_step_on_the_screen(deck):
    shown = deck.locator(".windows:visible .transport-label").text_content()
    formula = deck.locator("#tab-convolution .formula annotation").nth(1).text_content()
    assert shown.startswith("output[1, 1] =") and formula.startswith("y[1,1]=")
    assert shown.split(" = ")[1].replace("·", r"\cdot").replace(" ", "") == formula.split("=")[1]


TYPE = """cell => [...cell.querySelectorAll('g text')].map((text) => {
    const { a, b } = text.getScreenCTM();
    return parseFloat(getComputedStyle(text).fontSize) * Math.hypot(a, b);
})"""


def test_small_cells_have_type_as_large_as_they_have_room_for(brought):
    """The smallest cells of a phone, under the largest picture."""
    rows = ";".join(",".join("1" if (x + y) % 2 else "0" for x in range(16)) for y in range(16))
    page = brought(tab="convolution", x=rows, p=1)
    page.set_viewport_size({"width": 375, "height": 812})
    kernel = page.locator(".windows:visible figure").nth(1).locator("svg.cells")
    page.wait_for_function("document.querySelectorAll('.windows figure svg')[1].clientWidth < 50")
    assert kernel.locator("g text").all_text_contents() == [".25"] * 4
    assert min(kernel.evaluate(TYPE)) >= 11
    inside = """svg => [...svg.querySelectorAll('g')].every(({ firstChild: cell, lastChild: text }) => {
        const [box, type] = [cell, text].map((one) => one.getBoundingClientRect());
        return type.left >= box.left && type.right <= box.right;
    })"""
    assert kernel.evaluate(inside)


def test_hovering_shows_where_a_number_comes_from_and_goes_to(deck):
    source, _, target = (deck.locator(".windows:visible figure").nth(i) for i in range(3))
    target.locator("[data-cell='0'] rect").hover()
    assert cells(deck, 0)[0] == "0.25"
    source.locator("[data-cell='4'] rect").hover()
    assert target.locator(".reach").get_attribute("d").count("M") == 4
    label = deck.locator(".windows:visible .transport-label")
    assert label.text_content() == "picture [1, 1]: in 4 windows, of output[0, 0] to [1, 1]"
    source.locator("[data-cell='0'] rect").hover()
    assert target.locator(".reach").get_attribute("d").count("M") == 1
    assert label.text_content() == "picture [0, 0]: in 1 window, of output[0, 0]"
    deck.mouse.move(2, 2)
    assert label.text_content().startswith("output[1, 1] =")


@pytest.mark.parametrize(
    "tab, cell, said, frames",
    [
        ("convolution", 0, "picture [0, 1]: in 2 windows, of output[0, 0] to [0, 1]", 2),
        # of stamps of 2 x 2, a cell apart, less a row and a column at the edges
        ("transposed_convolution", 2, "output[0, 1]: the sum of 4 stamps, of input[0, 1] to [1, 2]", 4),
    ],
)
def test_where_a_number_goes_to_is_shown_by_keyboard_too(brought, tab, cell, said, frames):
    page = brought(tab=tab, **({} if tab == "convolution" else {"s": 1}))
    title = said[: said.index("[")].strip() + (", stamp by stamp" if cell else "")
    player = page.locator(f"#tab-{tab} .windows", has=page.get_by_text(title, exact=True))
    board, other = (player.locator("svg.cells").nth(i) for i in (cell, 2 - cell))
    step = player.locator(".transport-step").text_content()
    board.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert player.locator(".transport-label").text_content() == board.get_attribute("aria-label") == said
    assert other.locator(".reach").get_attribute("d").count("M") == frames
    assert player.locator(".transport-step").text_content() == step  # the arrows of the player's own rest
    page.keyboard.press("Escape")
    assert not other.locator(".reach").get_attribute("d") and not board.locator(".cursor").get_attribute("d")
    assert player.locator(".transport-label").text_content() != said


def test_many_cells_on_a_canvas_can_be_pointed_at_too(deck):
    deck.get_by_role("button", name="stride 1 down, 2 across").click()
    deck.wait_for_function("document.querySelectorAll('#tab-convolution .windows .boards canvas').length === 2")
    figures = deck.locator(".windows:visible figure")
    colour = """(canvas, [row, col, rows, cols]) => {
        const [x, y] = [((col + 0.2) / cols) * canvas.width, ((row + 0.2) / rows) * canvas.height];
        return [...canvas.getContext('2d').getImageData(x, y, 1, 1).data];
    }"""
    source = figures.nth(0).locator("canvas")
    assert source.evaluate(colour, [3, 3, 18, 18]) == [255, 255, 255, 255]  # 0
    red, green, blue, _ = source.evaluate(colour, [9, 9, 18, 18])  # 1
    assert red > green > blue
    box = figures.nth(2).locator("svg").bounding_box()
    deck.mouse.move(box["x"] + 3.5 / 8 * box["width"], box["y"] + 6.5 / 16 * box["height"])
    assert deck.locator(".windows:visible .transport-label").text_content().startswith("output[6, 3] =")


def test_what_does_not_fit_is_said_at_its_control_and_the_picture_stays(deck):
    kernel = deck.locator("#convolution-kernel")
    for axis in ("rows", "columns"):
        kernel.locator(f"[data-axis={axis}][data-by='1']").click()
    deck.wait_for_function("document.querySelector('.windows .transport-step').textContent.endsWith('/ 1')")
    kernel.locator("[data-axis=rows][data-by='1']").click()
    kernel.get_by_text("a padding of 1 would fit").wait_for()
    assert len(cells(deck, 2)) == 1
    kernel.locator("[data-axis=rows][data-by='-1']").click()
    deck.locator("#convolution-padding input[type=number]").fill("0")
    deck.wait_for_function("!document.querySelector('#tab-convolution .controls').innerText.includes('would fit')")
    deck.locator("#convolution-padding_mode input").click()
    deck.get_by_role("option", name="reflect").click()
    slide(deck, "#convolution-padding", 4)
    deck.locator("#convolution-padding").get_by_text("reflect padding can be at most 2").wait_for()
    assert len(cells(deck, 2)) == 1


def test_what_is_no_number_is_said_at_its_cell(deck):
    kernel, picture = deck.locator("#convolution-kernel"), deck.locator("#convolution-image")
    kernel.get_by_label("row 1, column 2").fill("abc")
    assert "row 1, column 2: “abc” is no number from −1000 to 1000" in kernel.locator(".told").inner_text()
    assert kernel.get_by_label("row 1, column 2").get_attribute("aria-invalid") == "true"
    kernel.get_by_label("row 1, column 2").fill("1001")
    assert "“1001” is no number" in kernel.locator(".told").inner_text()
    kernel.get_by_label("row 1, column 2").fill("0,5")
    assert kernel.locator(".told").inner_text() == ""
    assert kernel.get_by_label("row 1, column 2").get_attribute("aria-invalid") is None
    deck.wait_for_function("location.search.includes('k=0.25%2C0.5')")
    for _ in range(2):
        kernel.locator("[data-axis=rows][data-by='-1']").click()
    assert kernel.locator(".told").inner_text() == "rows: 1 to 7 would fit"
    picture.locator(".paint-board").focus()
    deck.keyboard.type("1..")
    assert "row 0, column 0: “1..” is no number" in picture.locator(".told").inner_text()
    deck.keyboard.type("7")
    assert picture.locator(".told").inner_text() == ""
    assert picture.locator("text").first.text_content() == "7"


def test_a_kernel_grows_on_both_sides_at_once(deck):
    kernel = deck.locator("#convolution-kernel")
    kernel.get_by_label("More cells a side").click()
    assert kernel.locator("output").all_text_contents() == ["3", "3", "3"]
    deck.wait_for_function("document.querySelector('.windows .transport-step').textContent.endsWith('/ 1')")
    kernel.get_by_label("Fewer rows").click()
    assert kernel.locator("output").all_text_contents() == ["2 × 3", "2", "3"]
    for _ in range(2):
        kernel.get_by_label("Fewer cells a side").click()
    assert kernel.locator(".told").inner_text() == "cells: 1 to 7 would fit"
    assert kernel.locator("output").all_text_contents() == ["1 × 2", "1", "2"]


def test_arrow_keys_go_through_the_views(deck):
    """One radio button after the other, and round."""
    deck.locator("#convolution-view input").first.focus()
    for value in ("several channels", "on a photograph", "step by step"):
        deck.keyboard.press("ArrowDown")
        deck.wait_for_function(f"document.querySelector('#convolution-view :checked').value === '{value}'")
        deck.wait_for_function(f"(new URLSearchParams(location.search).get('v') ?? 'step by step') === '{value}'")


def test_channels_stand_where_their_cells_are_largest(deck):
    """Beside each other on a wide page, below each other on a phone; the output at the end of what is added up."""
    deck.get_by_role("button", name="3 channels in, 2 out").click()
    deck.locator(".channels:visible figure").nth(10).wait_for()
    deck.wait_for_function("document.querySelector('.channels .corner').textContent.includes('row')")

    def corners():
        boxes = [figure.bounding_box() for figure in deck.locator(".channels:visible figure").all()]
        return [(boxes[i]["x"], boxes[i]["y"]) for i in (0, 3, 9)]  # red, green, output 1

    red, green, output = corners()
    assert green[0] > red[0] and output[0] > green[0]
    deck.set_viewport_size({"width": 375, "height": 900})
    deck.wait_for_function("document.querySelector('.channels .corner').textContent.includes('column')")
    red, green, output = corners()
    assert green[1] > red[1] and output[1] > green[1]
    deck.wait_for_function("document.documentElement.scrollWidth <= 375")


def test_out_padding_that_pytorch_refuses_is_said(brought):
    page = brought(tab="transposed_convolution", v="framework", s=2)
    page.wait_for_function("document.querySelectorAll('#tab-transposed_convolution .windows .boards svg').length === 6")
    before = cells(page, 2)
    slide(page, "#transposed_convolution-output_padding", 2)
    page.locator("#transposed_convolution-output_padding").get_by_text("at most 1 would fit").wait_for()
    assert cells(page, 2) == before
    slide(page, "#transposed_convolution-output_padding", 1)
    said = "document.querySelector('#tab-transposed_convolution .controls').innerText.includes('would fit')"
    page.wait_for_function(f"!{said}")
    slide(page, "#transposed_convolution-padding", 4)
    page.locator("#transposed_convolution-padding").get_by_text("crops everything away").wait_for()


def test_rows_that_no_window_reads_are_crossed_out(deck):
    source = deck.locator(".windows:visible figure").first
    crossed = "document.querySelector('.windows .crosses').getAttribute('d')?.split('M').length - 1"
    assert deck.evaluate(crossed) == 0
    deck.get_by_role("button", name="stride 2 that leaves a row out").click()
    deck.wait_for_function(f"{crossed} === 11")  # row 5 and column 5 of 6 x 6
    assert "crossed out" in source.locator("figcaption").text_content()


def test_stamps_add_up(brought):
    page = brought(tab="transposed_convolution", v="framework", s=1)
    steps = "[...document.querySelectorAll('#tab-transposed_convolution .windows .transport-step')]"
    page.wait_for_function(f"{steps}.some(n => n.textContent === 'step 9 / 9')")
    assert cells(page, 2)[5:7] == ["0.5", "0.5"]
    page.locator(".windows:visible").first.focus()
    page.keyboard.press("Home")
    assert cells(page, 2)[:6] == ["0.25", "0.25", "0", "0", "0.25", "0.25"]


def test_the_two_ways_to_one_output_follow_each_other(brought):
    page = brought(tab="transposed_convolution")
    page.wait_for_function("document.querySelectorAll('#tab-transposed_convolution .windows .boards svg').length === 6")
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
    deck.keyboard.type("x5-3")  # a key that writes no number is not the board's; a minus begins the next number
    assert shown.nth(4).text_content() == "−3" and deck.locator("#convolution-image .told").inner_text() == ""
    deck.locator("#convolution-image [data-axis=columns][data-by='1']").click()
    assert shown.count() == 12
    deck.locator(".paint:visible select").select_option("letter A")
    assert shown.count() == 49
    file, before = deck.locator(".paint:visible input[type=file]"), shown.all_text_contents()
    Image.new("P", (4, 4)).save(tmp_path / "moving.gif")
    (tmp_path / "notes.png").write_text("no picture")
    Image.new("1", (30_000, 30_000)).save(tmp_path / "large.png")
    for name, said in [
        ("notes.png", "no picture that can be read"),
        ("moving.gif", "a GIF can hold more than one picture"),
        ("large.png", "at most 16,000,000 pixels"),
    ]:
        file.set_input_files(tmp_path / name)
        deck.locator("#convolution-image .told.wrong", has_text=said).wait_for()
        assert shown.all_text_contents() == before
    Image.new("L", (30, 40), 0).save(tmp_path / "black.png")
    Image.new("RGBA", (9, 9), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.fromarray(np.full((9, 9), 32768, dtype=np.uint16)).save(tmp_path / "deep.png")
    for name, said, cell in [
        ("black.png", "in 7 × 7 cells", "0"),
        ("clear.png", "laid on white", "1"),
        ("deep.png", "16 bits a pixel", ".5"),
    ]:
        file.set_input_files(tmp_path / name)
        deck.locator("#convolution-image .told", has_text=said).wait_for()
        assert set(shown.all_text_contents()) == {cell}


def test_an_own_picture_is_stamped(brought, tmp_path):
    """Transposed convolution reads and refuses files as convolution does."""
    page = brought(tab="transposed_convolution")
    page.wait_for_function("document.querySelectorAll('#tab-transposed_convolution .windows .boards svg').length === 6")
    picture = page.locator("#transposed_convolution-image")
    sides, shown = picture.locator("output").all_text_contents()[:2], picture.locator(".paint-board text")
    (tmp_path / "notes.png").write_text("no picture")
    picture.locator("input[type=file]").set_input_files(tmp_path / "notes.png")
    picture.locator(".told.wrong", has_text="no picture that can be read").wait_for()
    Image.new("L", (30, 40), 255).save(tmp_path / "white.png")
    picture.locator("input[type=file]").set_input_files(tmp_path / "white.png")
    picture.locator(".told", has_text=f"in {sides[0]} × {sides[1]} cells").wait_for()
    assert set(shown.all_text_contents()) == {"1"}
    page.wait_for_function("/[?&]x=1%2C1/.test(location.search)")
    page.wait_for_selector("#tab-transposed_convolution .badge.ok")


def test_each_view_shows_its_own_pieces_and_controls(deck):
    deck.get_by_role("button", name="a photograph embossed").click()
    deck.locator("#tab-convolution .windows").wait_for(state="hidden")
    assert deck.locator(".pictures:visible").count() == 1
    assert not deck.locator("#convolution-image").is_visible()
    assert deck.locator("#convolution-photo").is_visible()
    deck.wait_for_function("location.search.includes('v=on+a+photograph')")
    deck.goto(deck.url)  # an address that opens this view hides the others' controls too
    deck.wait_for_selector("#tab-convolution .badge.ok")
    deck.locator("#tab-convolution .windows").wait_for(state="hidden")
    for field, there in [("image", False), ("mix", False), ("stride_x", False), ("photo", True), ("kernel", True)]:
        assert deck.locator(f"#convolution-{field}").is_visible() == there, field


@pytest.mark.parametrize("name", ["convolution", "transposed_convolution"])
def test_every_control_is_reached_and_moved_by_keyboard_alone(brought, name):
    page = brought(tab=name)
    page.locator(f"#tab-{name} .windows .boards svg").first.wait_for()
    page.locator(f"#tab-{name} .copy-link").focus()
    reached: set[str] = set()
    for _ in range(150):
        page.keyboard.press("Tab")
        place, outlined = page.evaluate(
            """(name) => {
                const at = document.activeElement, field = at.closest(`.controls [id^="${name}-"]`);
                const place = field?.id ?? ['chips', 'player', 'pictures', 'fold'].find((one) => at.closest(`.${one}`));
                return [place ?? `${at.tagName} ${at.className}`, getComputedStyle(at).outlineStyle !== 'none'];
            }""",
            name,
        )
        reached.add(place)
        assert outlined, f"no mark on what has the focus: {place}"
        if place == "fold":
            break
    fields = page.locator(f"#tab-{name} .controls [id^='{name}-']:visible")
    wanted = {field for field in fields.evaluate_all("all => all.map((one) => one.id)") if not field.endswith("-run")}
    assert {"chips", "player", "fold", *wanted} <= reached
    player = page.locator(f"#tab-{name} .windows").first
    player.focus()
    page.keyboard.press("Home")
    assert player.locator(".transport-step").text_content().startswith("step 1 /")
    page.keyboard.press("ArrowRight")
    assert player.locator(".transport-step").text_content().startswith("step 2 /")
    page.keyboard.press("End")
    player.locator("[data-do=play]").evaluate(
        """(button) => {
            window.faces = [];
            new MutationObserver(() => window.faces.push(button.ariaLabel)).observe(button, { attributes: true });
        }"""
    )
    page.keyboard.press("Space")
    page.wait_for_function("window.faces.includes('Pause')")
    page.locator(f"#{name}-stride input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("/[?&]s=/.test(location.search)")
