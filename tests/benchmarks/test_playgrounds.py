"""What a move of a control costs in Chromium, beside an empty unqueued callback of the same page; what a scrub costs.

A live figure should cost at most 1.5 times the empty callback, a whole new trajectory at most 3 times, and one step of
a player of a 16 x 16 picture under 4 ms. Last, how long the page takes to open beside one of Gradio's with a slider
alone, and what a first visit and a picture's run weigh on the wire. Printed, not asserted.

Run: uv run pytest tests/benchmarks/test_playgrounds.py -s
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

import gradio as gr
import pytest

from explorer.app import build, launch
from explorer.components.live import Live
from explorer.frame import LIGHT
from explorer.settings import to_query
from explorer.tabs import (
    coin_flips,
    convolution,
    deconvolution,
    forward_noise,
    resizing,
    schedules,
    transposed_convolution,
)

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ROUNDS, WARM = 45, 5
FIGURE, TRAJECTORY = "live figure", "trajectory"


@dataclass(frozen=True)
class Move:
    """A control of a tab, from ``settings`` on moved along these places of its slider, and again.

    As many places as moves where the tab would have kept the answer at the last ones.
    """

    kind: str
    settings: Any
    field: str
    places: Sequence[float]

    @property
    def tab(self) -> str:
        return type(self.settings).__module__.rpartition(".")[2]


disc = convolution.PRESETS["stride 1 down, 2 across"]
MOVES = [
    Move(FIGURE, coin_flips.Settings(n=100), "p", [round(0.3 + 0.01 * i, 2) for i in range(ROUNDS + WARM)]),
    Move(
        TRAJECTORY,
        coin_flips.PRESETS["particles spread"],
        "size",
        [round(0.2 + 0.01 * i, 2) for i in range(ROUNDS + WARM)],
    ),
    Move(FIGURE, convolution.PRESETS["a photograph's edges"], "padding", (1, 2)),
    Move(TRAJECTORY, replace(disc, per_axis=False), "padding", (1, 2)),
    Move(FIGURE, transposed_convolution.PRESETS["checkerboard artefact"], "stride", (2, 3)),
    Move(TRAJECTORY, replace(transposed_convolution.STAMPS, image=((1.0,) * 8,) * 8), "stride", (2, 1)),
    Move(FIGURE, resizing.Settings(), "row", (60, 100)),
    Move(TRAJECTORY, resizing.Settings(), "middle", range(120, 120 + ROUNDS + WARM)),
    Move(FIGURE, deconvolution.Settings(), "regularisation", (0.5, 0.6)),
    Move(TRAJECTORY, deconvolution.Settings(), "noise", [0.5 + 0.01 * i for i in range(ROUNDS + WARM)]),
    Move(FIGURE, forward_noise.Settings(), "t", range(303, 303 + ROUNDS + WARM)),
    Move(FIGURE, schedules.Settings(), "t", range(303, 303 + ROUNDS + WARM)),
]

# Both end when the answer is drawn: the page has taken it, all that waited on it has run, and the layout is done.
MEASURE = """
async ({ selector, value, empty }) => {
  const input = [...document.querySelectorAll(selector)].at(-1);
  const answered = new Promise((done) => {
    if (empty) return new MutationObserver((_, me) => { me.disconnect(); done(); })
      .observe(document.querySelector('#empty-answer'), { childList: true, subtree: true, characterData: true });
    const write = window.explorer.write;
    window.explorer.write = (query) => { window.explorer.write = write; write(query); done(); };
  });
  const turn = () => new Promise((done) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    port2.postMessage(0);
  });
  performance.clearResourceTimings();
  const start = performance.now();
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, value);
  input.dispatchEvent(new Event('input', { bubbles: true }));
  await answered;
  await turn();
  await turn();
  document.body.offsetHeight;
  const took = performance.now() - start;
  await new Promise((done) => setTimeout(done, 60));
  const asked = performance.getEntriesByType('resource');
  const [call] = asked.filter(({ name }) => name.includes('/run/') || name.includes('/component_server/'));
  return [took, call ? call.responseEnd - call.startTime : NaN, call ? call.encodedBodySize / 1000 : NaN];
}
"""
SCRUB = """
async (selector) => {
  const bar = [...document.querySelectorAll(selector)].find((one) => one.offsetParent);
  if (!bar) return null;
  const step = (i) => {
    bar.value = i;
    bar.dispatchEvent(new Event('input', { bubbles: true }));
    document.body.offsetHeight;
  };
  const took = [];
  for (let i = 0; i <= +bar.max; i++) {
    const start = performance.now();
    step(i);
    took.push(performance.now() - start);
    if (i % 10 === 0) await new Promise((done) => setTimeout(done));
  }
  return took;
}
"""


@pytest.fixture(scope="module")
def url():
    """The whole page, with one slider more, whose callback does nothing; no answer is kept, every move is computed."""
    demo = build()
    for piece in demo.blocks.values():
        if isinstance(piece, Live):
            piece.keeps = False
    with demo:
        with gr.Column(elem_id="empty"):
            slider, answer = gr.Slider(0, 1000, 0, step=1), gr.HTML("0", elem_id="empty-answer")
        slider.input(lambda value: str(value), slider, answer, **LIGHT)
    _, address, _ = launch(demo, host="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield address
    demo.close()


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium found; install it: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


def opened(browser, url, settings, tab):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    page.goto(f"{url}?{urlencode({'tab': tab, **to_query(settings)})}")
    page.wait_for_selector(f"#tab-{tab} .badge.ok")
    page.wait_for_timeout(500)
    return page


@pytest.mark.parametrize("move", MOVES, ids=[f"{move.tab}: {move.kind}" for move in MOVES])
def test_a_move(browser, url, move, capsys):
    page = opened(browser, url, move.settings, move.tab)
    selector = f"#{move.tab}-{move.field} input[type=range]"
    empty, moved = [], []
    for i in range(ROUNDS + WARM):
        place = move.places[(i + 1) % len(move.places)]
        empty.append(page.evaluate(MEASURE, {"selector": "#empty input[type=range]", "value": i + 1, "empty": True}))
        moved.append(page.evaluate(MEASURE, {"selector": selector, "value": place, "empty": False}))
    steps = page.evaluate(SCRUB, f"#tab-{move.tab} .transport input[type=range]")
    page.close()
    columns = ([row[at] for row in rows[WARM:]] for rows, at in ((empty, 0), (moved, 0), (moved, 1)))
    (floor, low), (cost, quickest), (server, _) = ((median(column), min(column)) for column in columns)
    aim = 1.5 if move.kind == FIGURE else 3
    line = (
        f"{move.tab:23}{move.kind:12} {cost / floor:5.2f} (quickest {quickest / low:5.2f}, aim {aim:3}) of an empty "
        f"callback's {floor:4.0f} ms; its call {server / floor:4.2f}, {moved[-1][2]:5.0f} kB"
    )
    if steps:
        jump, *steps = steps  # the first is from where the player stood, across all of them
        line += f"; a scrubbed step {median(steps):.1f} ms (slowest {max(steps):.1f}), a jump to the first {jump:.1f}"
    with capsys.disabled():
        print("\n" + line)


def test_opening(browser, url, capsys):
    """From the address to the green badge, beside a page of one slider until it stands; in turn, no file kept."""
    with gr.Blocks() as demo:
        gr.Slider(0, 1000, 0, step=1)
    _, bare, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    tabs = ("start", "coin_flips", "convolution", "text_to_image")
    places = [(f"{url}?tab={tab}", f"#tab-{tab} .badge.ok") for tab in tabs] + [(bare, "input[type=range]")]
    took: list[list[float]] = [[] for _ in places]
    for _ in range(6):
        for (address, selector), times in zip(places, took, strict=True):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            page, start = context.new_page(), perf_counter()
            page.goto(address)
            page.wait_for_selector(selector, timeout=120_000)
            times.append(perf_counter() - start)
            context.close()
    demo.close()
    *ours, floor = (median(times[1:]) for times in took)
    with capsys.disabled():
        print()
        for tab, one in zip(tabs, ours, strict=True):
            print(f"{tab} opens in {one / floor:.2f} of a bare page's {1000 * floor:.0f} ms")


def test_what_goes_over_the_wire(browser, url, capsys):
    """A first visit to the start page and to a tab with a plot, and a run of text to image, in kB as received."""
    lines = []
    for tab in ("start", "coin_flips", "text_to_image"):
        context = browser.new_context(viewport={"width": 1280, "height": 900})  # nothing is kept from visit to visit
        page = context.new_page()
        # By request: so far, and in the end with its headers. Who ends a run's stream first is by chance.
        received: dict[str, int] = {}
        network = context.new_cdp_session(page)
        network.send("Network.enable")

        def came(event, to=received):
            to[event["requestId"]] = to.get(event["requestId"], 0) + event["encodedDataLength"]

        network.on("Network.dataReceived", came)
        network.on(
            "Network.loadingFinished",
            lambda event, to=received: to.__setitem__(event["requestId"], event["encodedDataLength"]),
        )
        page.goto(f"{url}?tab={tab}")
        page.wait_for_selector(f"#tab-{tab} .badge.ok", timeout=120_000)
        page.wait_for_timeout(1500)
        lines.append(f"a first visit to {tab}: {len(received)} answers, {sum(received.values()) / 1000:.0f} kB")
        if tab == "text_to_image":
            received.clear()
            page.click("#text_to_image-run button.start")
            page.wait_for_timeout(600)
            page.wait_for_selector(f"#tab-{tab} .badge.ok", timeout=120_000)
            page.wait_for_timeout(1500)
            lines.append(f"one more run there: {sum(received.values()) / 1000:.0f} kB")
        context.close()
    with capsys.disabled():
        print("\n" + "\n".join(lines))
