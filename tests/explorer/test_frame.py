"""What the frame does for every tab: values to the browser, badges, addresses, messages."""

import base64
import importlib
import io
import json
import math
import sys
import time
import tracemalloc
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import NamedTuple

import gradio as gr
import numpy as np
import orjson
import plotly.graph_objects as go
import pytest
from PIL import Image

from core.checks import Check
from explorer import errors, frame, runs
from explorer.components import player
from explorer.components.base import as_text, packed
from explorer.components.live import Live
from explorer.components.live_plot import LivePlot
from explorer.components.player import Player, Trajectory
from explorer.components.points import Cloud, Points
from explorer.components.views import Showing, Views
from explorer.formulas import counted, percent, sensible, tex
from explorer.settings import choice, number, text


def decoded(data: str, dtype: str, shape) -> np.ndarray:
    return np.frombuffer(base64.b64decode(data), dtype).reshape(shape)


def test_packed_arrays_are_little_endian_and_contiguous():
    values = np.arange(6, dtype=">f8").reshape(2, 3).T
    assert np.array_equal(decoded(packed(values, "f4"), "<f4", (3, 2)), values)


def test_player_sends_pixels_as_bytes_over_the_range():
    frames = np.array([-1.0, 0.0, 1.0, 2.0, np.nan, -9.0]).reshape(1, 1, 2, 3)
    sent = json.loads(Player("x").postprocess(Trajectory(frames, ("a",), ("start",))))
    assert sent["shape"] == [1, 1, 2, 3, 1]
    assert decoded(sent["data"], "u1", -1).tolist() == [0, 128, 255, 255, 0, 0]


def test_player_sends_cells_as_they_are():
    frames = np.random.default_rng(0).normal(size=(3, 2, 4, 5))
    sent = json.loads(
        Player("x").postprocess(Trajectory(frames, ("a", "b"), ("0", "1", "2"), range=(-3, 3), kind="cells"))
    )
    assert np.array_equal(decoded(sent["data"], "<f4", frames.shape), frames.astype("f4"))
    json.dumps(sent)


def test_points_send_positions_panels_and_field():
    cloud = Cloud(np.ones((3, 7, 2)), ("0", "1", "2"), (-1, 1, -1, 1), colours=np.zeros(7), field=np.eye(4))
    sent = json.loads(Points("x").postprocess(cloud))
    assert sent["shape"] == [3, 1, 7, 2] and sent["field_shape"] == [4, 4]
    assert decoded(sent["field"], "u1", (4, 4)).max() == 255


def test_points_are_sent_to_a_thirtieth_of_a_pixel():
    extent, rng = (-3.0, 2.0, 10.0, 11.0), np.random.default_rng(0)
    low, size = np.array(extent[::2]), np.array([5.0, 1.0])
    positions = low + size * rng.uniform(-1, 2, (2, 40, 2))  # as far to each side as the extent is long
    positions[1, :4] = [[np.nan, 10.5], [np.inf, 10.5], [-np.inf, 1e300], [-3.0, -1e300]]
    sent = json.loads(Points("x").postprocess(Cloud(positions, ("0", "1"), extent)))
    steps = decoded(sent["data"], "<u2", (2, 40, 2)).astype(float)
    expected = np.clip(positions, low - size, low + 2 * size)
    off = np.abs(low + size * (3 * steps / 65534 - 1) - expected) / size
    assert np.nanmax(off) < 1.51 / 65534 and steps[1, 0, 0] == 65535 and (steps == 65535).sum() == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: Trajectory(np.zeros((2, 3, 4)), ("a",), ("0", "1")),
        lambda: Trajectory(np.zeros((2, 1, 4, 4)), ("a", "b"), ("0", "1")),
        lambda: Trajectory(np.zeros((2, 1, 4, 4, 2)), ("a",), ("0", "1")),
        lambda: Cloud(np.zeros((2, 5, 3)), ("0", "1"), (0, 1, 0, 1)),
        lambda: Cloud(np.zeros((2, 5, 2)), ("0",), (0, 1, 0, 1)),
    ],
)
def test_values_that_do_not_fit_together_are_refused(make):
    with pytest.raises(ValueError, match="got"):
        make()


class Named(NamedTuple):
    name: str
    size: int


def test_a_piece_takes_what_json_takes():
    told = {"a": np.float64(0.1), 2: (1, Named("é", 3)), "b": [None, True, np.float64(-1e-300)]}
    assert json.loads(as_text(told)) == json.loads(json.dumps(told))
    assert json.loads(as_text([np.float32(0.5), np.int64(3), np.nan])) == [0.5, 3, None]


@pytest.mark.parametrize(
    ("said", "html"),
    [
        ("**6.5** % of 3 %, 50%: the % sign", "<p><strong>6.5</strong>\xa0% of 3\xa0%, 50%: the % sign</p>"),
        ("from **-0.12** to (-3), 2-D, x-1", "<p>from <strong>−0.12</strong> to (−3), 2-D, x-1</p>"),
        ("one\ntwo", "<p>one<br>\ntwo</p>"),
        ("<img src=x onerror=alert(1)>", "<p>&lt;img src=x onerror=alert(1)&gt;</p>"),
        ("[here](http://a.b) ![c](//a.b/c.png)", "<p>[here](http://a.b) ![c](//a.b/c.png)</p>"),
    ],
)
def test_a_notice_is_markdown_with_typeset_numbers_and_no_html_of_its_own(said, html):
    assert frame.notice_html(said) == html


@pytest.mark.parametrize(
    ("share", "said"),
    [
        *((0, "0 %"), (5e-7, "5e-05 %"), (0.0001, "0.01 %"), (0.0074, "0.74 %"), (0.985, "98 %"), (0.99, "99 %")),
        *((0.9951, "99.5 %"), (0.99996, "99.996 %"), (1, "100 %"), (18.34, "1834 %"), (1e4, "1e+06 %")),
        *((-0.25, "-25 %"), (-0.996, "-99.6 %")),
    ],
)
def test_a_share_as_one_reads_it(share, said):
    assert percent(share) == said


def test_numbers_as_one_reads_them():
    assert [sensible(value) for value in (0, 0.375, 999.4, 999.9, 1234, 2.2e-16)] == [
        *("0", "0.375", "999", "1000", "1234", "2.2e-16"),
    ]
    assert [tex(value) for value in (0, -0.25, 0.00021, 9999, 12345, -250000, math.inf)] == [
        *("0", "-0.25", r"2.1\cdot10^{-4}", "9999", r"1.234\cdot10^{4}", r"-2.5\cdot10^{5}", "inf"),
    ]
    assert [counted(n, "step") for n in range(3)] == ["0 steps", "1 step", "2 steps"]


def test_plot_is_plotly_json():
    sent = LivePlot("x").postprocess(go.Figure(go.Scatter(y=[1, 2])))
    assert set(json.loads(sent)) >= {"data", "layout"}


def test_components_write_no_stubs_beside_the_source():
    from explorer import components

    assert not [path for folder in components.__path__ for path in __import__("pathlib").Path(folder).glob("*.pyi")]


def test_badge_says_what_holds_and_how_well():
    good, bad = Check("equals <torch>", 2e-16, 1e-9), Check("equals scipy", 0.5, 1e-9)
    assert "ok" in frame.badge_html(good) and "equals &lt;torch&gt;" in frame.badge_html(good)
    assert "2.0e-16" in frame.badge_html(good)
    assert "wrong" in frame.badge_html(bad) and "0.5" in frame.badge_html(bad) and "1.0e-09" in frame.badge_html(bad)
    assert "wrong" in frame.badge_html(Check("equals scipy", float("nan"), 1e-9))
    assert frame.weakest(good, bad, good) is bad and frame.weakest(good) is good


def test_messages_are_escaped():
    assert errors.message(ValueError("n must be < 3, got <script>")) == "n must be &lt; 3, got &lt;script&gt;"
    with pytest.raises(gr.Error, match="n must be"), errors.told():
        raise ValueError("n must be small")


@dataclass(frozen=True)
class Settings:
    n: int = number(4, low=1, high=9, label="Number n", key="n")
    word: str = text("a b", label="Word", key="w")


@pytest.fixture
def small_tab(monkeypatch):
    """A tab of our own that refuses n = 7."""
    module = types.ModuleType("small_tab")

    def update(settings):
        if settings.n == 7:
            raise ValueError("n must not be 7, got 7; 6 would work")
        return frame.View(
            {"plot": go.Figure()},
            f"$$n={settings.n}$$",
            Check("is n", 0.0, 0.0),
            "two lines",
            {"square": settings.n**2},
        )

    vars(module).update(
        NAME="small", TITLE="Small", QUESTION="?", SOURCE="-", Settings=Settings, PRESETS={"four": Settings()},
        update=update, code=lambda settings: f"print({settings.n ** 2})",
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "small_tab", module)
    return module


def built(module):
    with gr.Blocks() as demo, gr.Tabs():
        frame.tab(module, stage={"plot": LivePlot("plot")})
    [live] = [piece for piece in demo.blocks.values() if isinstance(piece, Live)]
    return live, {fn.name: fn for fn in demo.fns.values()} | {
        call.fn.__name__: call for call in live.calls if hasattr(call.fn, "__name__")
    }


def test_tab_moves_restores_and_follows_presets(small_tab):
    _, fns = built(small_tab)
    figure, formula, badge, notice, code, program, address, preset, message = fns["moved"].fn(5, "a b")
    assert isinstance(figure, go.Figure) and formula == "$$n=5$$" and "ok" in badge and notice == "<p>two lines</p>"
    assert (code, program) == ("```python\nprint(25)\n```", "print(25)")
    assert (address, preset, message) == ("tab=small&n=5", "", "")
    assert fns["opened"].fn("tab=small&n=3&w=c+%26+d")[:2] == [3, "c & d"]
    assert fns["chosen"].fn("four")[:2] == [4, "a b"] and fns["chosen"].fn("four")[-2] == "four"


def test_the_move_of_one_field_can_set_the_others(small_tab):
    small_tab.FOLLOWED = {"word": lambda settings: replace(settings, n=len(settings.word))}
    live, _ = built(small_tab)
    (led,) = [call for call in live.calls if isinstance(call.fn, partial)]
    assert [block.label for block in led.outputs[:2]] == ["Number n", "Word"]
    values = led.fn(2, "three")
    assert values[:2] == [5, "three"] and values[-3:] == ["tab=small&n=5&w=three", "", ""]
    for bad, says in (("seven..", "must not be 7"), (None, "got None")):
        values = led.fn(2, bad)
        assert says in values[-1] and len(values) == len(led.outputs)


def test_tab_keeps_the_last_picture_and_says_why(small_tab):
    _, fns = built(small_tab)
    for refused, says in [
        (fns["moved"].fn(7, "a b"), "n must not be 7"),
        (fns["moved"].fn(99, "a b"), "“Number n” must be a whole number in [1, 9], got 99"),
        (fns["moved"].fn(None, "a b"), "got None"),
    ]:
        assert says in refused[-1]
        assert all(value == gr.skip() for value in refused[:-1])


def test_a_bad_address_opens_the_defaults_and_says_so(small_tab):
    _, fns = built(small_tab)
    values = fns["opened"].fn("tab=small&n=elephant")
    assert values[:2] == [4, "a b"] and "got &#x27;elephant&#x27;" in values[-1]
    values = fns["opened"].fn("tab=small&n=7")  # well written, and refused
    assert values[:2] == [4, "a b"] and values[3] == "$$n=4$$" and "6 would work" in values[-1]


@pytest.mark.parametrize("n", ["0", "7"])  # never allowed; refused by the tab
def test_of_an_address_that_is_refused_all_stays_but_what_is_refused(small_tab, n):
    _, fns = built(small_tab)
    values = fns["opened"].fn(f"tab=small&n={n}&w=kept")
    assert values[:2] == [4, "kept"] and values[3] == "$$n=4$$" and values[-3] == "tab=small&w=kept"
    assert f"got {n}" in values[-1] and "default" in values[-1]
    assert ("“Number n” must be" if n == "0" else "the default of “Number n” was taken") in values[-1]


def test_of_settings_refused_together_one_gives_way_if_that_will_do(small_tab):
    whole = small_tab.update

    @dataclass(frozen=True)
    class More(Settings):
        k: int = number(0, low=0, high=9, label="Other k", key="k")

    def update(settings):
        if (settings.n > 5) + (settings.word != "a b") + (settings.k > 0) > 1:
            raise ValueError("too heavy")
        return whole(settings)

    vars(small_tab).update(Settings=More, PRESETS={"four": More()}, update=update)
    _, fns = built(small_tab)
    values = fns["opened"].fn("tab=small&n=6&k=1")
    assert values[:3] == [6, "a b", 0] and values[-1] == "too heavy; the default of “Other k” was taken"
    values = fns["opened"].fn("tab=small&n=6&w=x&k=1")
    assert values[:3] == [4, "a b", 0] and values[-1] == "too heavy; the defaults were taken"


def test_what_an_address_does_not_say_gives_way_first(small_tab):
    """To what it says (t to T), the nearest first, or to the other of two that must differ."""

    @dataclass(frozen=True)
    class Two(Settings):
        seed: int = number(0, low=0, high=99, label="Seed", key="s")
        t: int = number(25, low=0, high=100, label="Time t", key="t")
        T: int = number(100, low=1, high=100, label="Steps T", key="T")
        x: str = choice("a", options=("a", "b", "c"), label="Across", key="x")
        y: str = choice("b", options=("a", "b", "c"), label="Down", key="y")

    def update(settings):
        if settings.t > settings.T or settings.x == settings.y:
            raise ValueError("no")
        return frame.View({"plot": go.Figure()}, "", None, "", {})

    vars(small_tab).update(Settings=Two, PRESETS={"usual": Two()}, update=update)
    _, fns = built(small_tab)
    for query, wanted, said in (
        ("T=10&s=3", {"T": 10, "t": 10, "seed": 3}, "no; “Time t” became 10"),
        ("T=30&s=3", {"T": 30, "seed": 3}, ""),
        ("x=b", {"x": "b", "y": "a"}, "no; “Down” became a"),
        ("y=a", {"y": "a", "x": "b"}, "no; “Across” became b"),
        ("t=50&T=10", {"t": 50}, "no; the default of “Steps T” was taken"),
        ("T=10&x=b", {}, "no; the defaults were taken"),
        ("T=10&n=elephant", {"T": 10, "t": 10}, "its default was taken; no; “Time t” became 10"),
    ):
        values = fns["opened"].fn(f"tab=small&{query}")
        assert values[:7] == frame.values_of(Two(**wanted)), query
        assert values[-1].endswith(said) and bool(said) == bool(values[-1])


@pytest.fixture
def views_tab(small_tab):
    """A tab of two views; the one that takes long reads n, and refuses 7 at once and 8 in its run."""

    @dataclass(frozen=True)
    class Seen:
        view: str = choice("quick", options=("quick", "long"), label="Show", key="v")
        n: int = number(4, low=1, high=9, label="Number n", key="n")
        word: str = text("a b", label="Word", key="w")

    def update(settings):
        if settings.view == "long" and settings.n == 7:
            raise ValueError("not 7")
        hidden = ("word",) if settings.view == "long" else ("word", "n")
        return frame.View({"plot": go.Figure(), "views": Showing(("plot",), hidden)}, f"{settings}", None, "", {})

    def stream(settings):
        if settings.view == "long":
            if settings.n == 8:
                raise ValueError("not 8 < 9")
            yield update(settings)

    vars(small_tab).update(Settings=Seen, PRESETS={"usual": Seen()}, update=update, stream=stream)
    vars(small_tab).update(endpoint=frame.endpoint(small_tab))
    with gr.Blocks() as demo, gr.Tabs():
        frame.tab(small_tab, stage={"plot": LivePlot("plot"), "views": Views("small", Showing(("plot",)))})
    return {fn.name: fn for fn in demo.fns.values()}


def test_a_view_that_is_refused_shows_the_controls_that_can_mend_it(views_tab):
    viewed = views_tab["viewed"].fn
    refused = viewed("long", 7, "a b")
    assert refused[1] == Showing(("plot",), ("word",)) and refused[-1] == "not 7"
    assert all(value == gr.skip() for i, value in enumerate(refused[:-1]) if i != 1)
    assert viewed("long", 6, "a b")[1] == Showing(("plot",), ("word",))
    wrong = viewed("no such", 7, "a b")
    assert all(value == gr.skip() for value in wrong[:-1]) and "got &#x27;no such&#x27;" in wrong[-1]


def test_what_was_said_of_an_address_stays_beside_what_its_run_is_refused_for(views_tab):
    *values, told = views_tab["opened"].fn("tab=small&v=long&n=8&w=" + "x" * 301)
    assert told == "“Word” may have at most 300 characters, got 301; its default was taken"
    for before, said in ((told, f"{told}; "), (None, ""), ("<img src=x>&amp;", "&lt;img src=x&gt;&amp;; ")):
        *_, last = views_tab["reopened"].fn(*values[:3], before)
        assert last[-1] == f"{said}not 8 &lt; 9" and all(value == gr.skip() for value in last[:-1])


def test_endpoint_has_the_settings_as_its_signature(small_tab):
    call = frame.endpoint(small_tab)
    assert call(5, "x") == {"square": 25}
    with pytest.raises(gr.Error, match="must not be 7"):
        call(7, "x")


@pytest.mark.parametrize(
    "numbers",
    [
        {"a": [1, 2, 3], "b": [[0.5, 1.5], [2.5, 3.5]], "deeper": {"c": [True, False]}},
        {"words": ["a", "b"], "ragged": [[1], [1, 2]], "some": [1.0, None], "none": None, "one": [1], "empty": []},
        {"rows": [{"x": [1.0, 2.0]}, {"x": []}]},
    ],
)
def test_an_endpoints_numbers_are_sent_as_they_are(small_tab, monkeypatch, numbers):
    """Also where numpy made them: the queue sends what JSON does not know as its text."""
    made = {name: np.array(v) if name in ("a", "b") else v for name, v in numbers.items()} | {"one": np.float32(0.5)}
    monkeypatch.setattr(small_tab, "update", lambda s: frame.View({}, "", None, "", made))
    assert json.loads(orjson.dumps(frame.endpoint(small_tab)(5, "x"), default=str)) == numbers | {"one": 0.5}


def test_quick_work_goes_one_at_a_time_but_waits_for_nothing_long(until):
    inside, most, hold = 0, 0, Event()

    def work(wait):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        hold.wait(wait)
        inside -= 1
        return wait

    turn = runs.in_turn(work, wait=5)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(turn, [0.01] * 8)) == [0.01] * 8 and most == 1
        long = pool.submit(turn, 60)
        assert until(lambda: inside == 1)
        assert pool.submit(runs.in_turn(work, wait=0.05), 0.01).result(30) == 0.01 and most == 2
        hold.set()
        assert long.result(30) == 60
    assert runs.TURN.acquire(timeout=1)
    runs.TURN.release()


def test_an_endpoint_that_takes_long_takes_no_turn():
    asked, go = Event(), Event()

    def slow(settings):
        asked.set()
        assert go.wait(30)
        return frame.View({}, "", None, "", {"n": settings.n})

    module = types.SimpleNamespace(NAME="slow", QUESTION="?", Settings=Settings, update=slow)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(frame.endpoint(module, long=True), 3, "a")
        assert asked.wait(30) and runs.TURN.acquire(timeout=0)
        runs.TURN.release()
        go.set()
        assert answer.result(30) == {"n": 3}


def test_what_a_visitor_is_told_holds_no_memory():
    def fails(kind, big):
        try:
            raise KeyError(big)
        except KeyError as error:
            raise kind("too big") from error

    def failed(kind):
        with pytest.raises(kind) as raised:
            fails(kind, [0])
        return raised.value

    told, traced = failed(ValueError), failed(RuntimeError)
    for error in (told, traced):
        assert errors.without_frames(error) is error and isinstance(error.__cause__, KeyError)
    assert told.__traceback__ is told.__cause__.__traceback__ is None and traced.__traceback__ is not None


def test_the_turn_comes_in_the_order_of_asking():
    turn, order = runs.Turn(), []

    def wait(number):
        assert turn.acquire(timeout=30)
        order.append(number)
        turn.release()

    with ThreadPoolExecutor(20) as pool:
        assert turn.acquire(timeout=0) and not turn.acquire(timeout=0.01)
        for number in range(20):
            pool.submit(wait, number)
            while len(turn._line) <= number:  # until it stands in line
                time.sleep(0.001)
        turn.release()
    assert order == list(range(20)) and turn.acquire(timeout=0)


def test_a_run_shows_how_far_it_is_at_once_and_then_now_and_then(monkeypatch):
    """Steps of a quarter of a second, of ten; shown every half second or more."""
    now = 100.0
    monkeypatch.setattr(runs, "BETWEEN", 0.25)
    monkeypatch.setattr(runs.time, "perf_counter", lambda: now)
    pace, shown = runs.Pace(2), []
    for done in range(1, 7):
        now += 0.25 if done < 5 else 0.75
        shown.append(pace.due())
    assert shown == [True, False, True, False, True, True] and pace.spent == 2.5
    assert pace.left(6, 10) == pytest.approx(2.5 * 4 / 6)


def test_a_tab_with_runs_reacts_at_once_and_streams_where_it_takes_long(small_tab):
    def stream(settings):
        if settings.n > 5:
            yield small_tab.update(settings)

    vars(small_tab).update(stream=stream, endpoint=frame.endpoint(small_tab), START="Run")
    _, fns = built(small_tab)
    assert fns["moved"].fn(5, "a b")[1] == "$$n=5$$"
    assert all(value == gr.skip() for values in fns["walk"].fn(5, "a b") for value in values)
    _, seen, last = fns["walk"].fn(6, "a b")
    assert all(value == gr.skip() for value in last)  # so that the screen is not sent again as the end
    assert seen[1] == "$$n=6$$" and fns["walk"].queue


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ([1, 3000, 1, 1, 1], "at most 1000 steps and 24 panels, got 1 and 3000"),
        ([1001, 1, 1, 1, 1], "at most 1000 steps and 24 panels, got 1001 and 1"),
        ([1, 1, 66_000, 1, 1], "at most 65,535 pixels a side"),
        ([1, 24, 1, 3000, 1], "at most 65,535 pixels a side"),
        ([200, 24, 1, 1, 1], "at most 300 million pixels"),
    ],
)
def test_animations_that_would_grow_are_refused_before_they_do(shape, says):
    asked = {"shape": shape, "data": base64.b64encode(bytes(math.prod(shape))).decode()}
    tracemalloc.start()
    answer = Player("x", saves="steps").animate(asked)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert says in answer["error"] and most < 1_000_000


@pytest.mark.parametrize("shape", [(301, 2, 28, 28, 1), (40, 12, 64, 64, 3), (12, 2, 256, 256, 3)])
def test_animations_that_the_page_asks_for_are_made(shape):
    frames = np.zeros(shape, np.uint8)
    frames[-1] = 255
    asked = {"shape": list(shape), "data": base64.b64encode(frames).decode()}
    gif = base64.b64decode(Player("x", saves="steps").animate(asked)["file"])
    zoom = max(1, 320 // shape[2])
    assert Image.open(io.BytesIO(gif)).size == ((shape[1] * (shape[3] + 4) - 4) * zoom, shape[2] * zoom)


def test_one_animation_is_made_at_a_time(monkeypatch):
    held = []
    monkeypatch.setattr(player, "animation", lambda frames: held.append(player.ANIMATING.locked()) or b"")
    Player("x", saves="steps").animate({"shape": [1, 1, 1, 1, 1], "data": "AA=="})
    assert held == [True] and not player.ANIMATING.locked()


@dataclass(frozen=True)
class Draws:
    n: int = number(1, low=0, high=9, label="n", key="n")


def test_a_light_move_waits_for_no_heavy_one_and_heavy_ones_go_one_after_the_other():
    begun, go, inside, most = [Event(), Event()], Event(), 0, 0

    def update(settings):
        nonlocal inside, most
        if settings.n:
            with runs.at_length():
                inside += 1
                most = max(most, inside)
                begun[settings.n - 1].set()
                assert go.wait(30)
                inside -= 1
        else:
            assert not runs.TURN.acquire(timeout=0)
        return frame.View({}, "", None, "", {"n": settings.n})

    call = frame.endpoint(types.SimpleNamespace(NAME="x", QUESTION="?", Settings=Draws, update=update))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(call, 1)
        assert begun[0].wait(30)
        second = pool.submit(call, 2)
        assert call(0) == {"n": 0}  # in a turn of its own
        assert not begun[1].wait(1.2) and inside == 1
        go.set()
        assert (first.result(30)["n"], second.result(30)["n"], most) == (1, 2, 1)
    for turn in (runs.TURN, runs.LONG):
        assert turn.acquire(timeout=0)
        turn.release()


def test_those_who_wait_for_what_takes_seconds_leave_threads_to_others(monkeypatch):
    monkeypatch.setattr(runs, "MOST_LONG", 0)

    def heavy(n):
        with runs.at_length():
            return n

    assert runs.in_turn(lambda n: n)(0) == 0
    with pytest.raises(ValueError, match="others wait for what takes seconds"):
        runs.in_turn(heavy)(1)
    assert runs.TURN.acquire(timeout=0)
    runs.TURN.release()


@pytest.mark.parametrize(
    ("name", "heavy", "moved"),
    [
        ("samplers", {"view": "guidance", "steps": 6}, {"look": 2}),
        ("forward_noise", {"view": "are they the same?", "draws": 40, "T": 60, "t": 9}, {"t": 10}),
    ],
)
def test_what_took_seconds_and_is_known_waits_for_nothing_that_does(name, heavy, moved, monkeypatch):
    module = importlib.import_module(f"explorer.tabs.{name}")
    monkeypatch.setattr(runs, "MOST_LONG", 0)
    with pytest.raises(ValueError, match="others wait"):
        module.update(module.Settings(**heavy, seed=977))
    monkeypatch.setattr(runs, "MOST_LONG", 16)
    module.update(module.Settings(**heavy, seed=977))
    monkeypatch.setattr(runs, "MOST_LONG", 0)
    assert module.update(module.Settings(**heavy | moved, seed=977)).check.ok


def test_a_call_within_a_turn_goes_on_in_it():
    inner = runs.in_turn(lambda n: n, wait=30)
    assert runs.in_turn(lambda n: inner(n) + inner(n))(2) == 4
    assert runs.TURN.acquire(timeout=0)  # and it was given back
    runs.TURN.release()
