"""Bad and extreme inputs to every endpoint: each is answered with a clear message or with finite numbers.

A few of each by default; all 200 with `-m slow`.
"""

import base64
import inspect
import io
import json
import math
import re
import resource
import zlib
from importlib import import_module
from itertools import product

import gradio as gr
import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from PIL import Image

from explorer import models, runs
from explorer.app import build, launch
from explorer.components.live import Live
from explorer.frame import endpoint
from explorer.settings import specs
from explorer.tabs import TABS

WHOLE, FEW = 200, 12
JSON = {"content-type": "application/json"}
HEAVY = {"denoising", "samplers", "text_to_image"}
GROWTH = 1.5e9  # bytes that the process may grow by; one picture of 30000 x 30000 is 2.7e9


def chunk(kind, data):
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def bomb(width, height):
    """A PNG of a few kB that says it is huge, and is: rows of nothing."""
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    pixels = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def picture(side, kind="PNG"):
    file = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(file, kind)
    return file.getvalue()


def address(data):
    return "data:image/png;base64," + base64.b64encode(data).decode()


PICTURES = [
    *map(address, (b"", b"no picture", bomb(30_000, 30_000), bomb(4001, 4001), bomb(2**31 - 1, 1), picture(1))),
    *map(address, (picture(64)[:100], picture(32, "GIF"), picture(16, "TIFF"), b"<svg xmlns='x'/>", picture(3, "BMP"))),
    *("data:", "data:,", "data:image/png;base64,%%%", "data:text/html,<script>alert(1)</script>"),
    "data:" + "A" * 5_000_000,
    *("http://example.com/a.png", "file:///etc/passwd", "/etc/passwd"),
]  # fmt: skip
WRONG = st.one_of(
    st.none(), st.booleans(), st.text(max_size=20), st.floats(), st.integers(), st.lists(st.floats(), max_size=3),
    st.sampled_from([
        math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, -0.0, 2**63, -(2**63), 10**400, 0.1 + 0.2, "NaN", "1e9",
        "", "0", "\x00", "\ud800", "‮", "a" * 100_000, "<script>", "../..", "{}", {}, {"path": "/etc/passwd"}, [], [[]],
        [[[1]]], [[1, 2], [3]], [[math.nan]], [[10**400]], [["a"]], [[0.0] * 500] * 500, [1] * 10_000,
    ]),
)  # fmt: skip


def extreme(spec):
    """Values at the edges of what a field takes, and just outside."""
    match spec.kind:
        case "number":
            edges = [spec.low, spec.high, spec.low - 1, spec.high + 1, (spec.low + spec.high) / 2, spec.default]
            return st.sampled_from([*edges, *map(str, edges)])
        case "choice":
            return st.sampled_from([*spec.options, *(PICTURES if spec.own else ()), "no such thing"])
        case "flag":
            return st.sampled_from([True, False, 0, 1, "true"])
        case "grid":
            full = spec.max_side
            cells = st.sampled_from([spec.low, spec.high, 0.0, 1.0, spec.high * 2])
            return st.lists(st.lists(cells, min_size=1, max_size=full + 1), min_size=1, max_size=full + 1)
        case _:
            return st.one_of(st.text(max_size=spec.max_length + 5), st.just("word " * 300))


BAD = (None, math.nan, math.inf, 10**400, {"path": "/etc/passwd"}, [[[1]]], [[math.nan]])


def calls(cls, names, heavy):
    """The defaults with one to three of these fields changed, to an edge or to what is wrong; if heavy, all wrong."""
    known = specs(cls)
    most = {name: spec.default for name, spec in known.items()}

    def changed(names):
        kinds = {name: st.sampled_from(BAD) if heavy else st.one_of(extreme(known[name]), WRONG) for name in names}
        return st.fixed_dictionaries(kinds).map(lambda changes: most | changes)

    return st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True).flatmap(changed)


def names(name):
    module = import_module(f"explorer.tabs.{name}")
    return module, runs.answered(name, getattr(module, "endpoint", None) or endpoint(module))


def answered(call, values):
    """Whether a call gave finite numbers; otherwise it must have said, in words, what was wrong."""
    shape = inspect.signature(call)
    try:
        result = call(*(values[name] for name in shape.parameters))
    except gr.Error as error:
        said = error.message
        assert re.search(r"\w+ \w+", said) and len(said) < 1000, said
        assert "could not be answered" not in said, said  # that is what a mistake of ours is told as
        assert "Traceback" not in said and "site-packages" not in said and "/work/" not in said
        return False
    numbers = result[1] if isinstance(result, tuple) else result
    json.dumps(numbers, allow_nan=False)
    return True


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fuzz(name, examples):
    module, call = names(name)
    before = memory()

    @effort(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(calls(module.Settings, list(inspect.signature(call).parameters), name in HEAVY))
    def each(values):
        done = answered(call, values)
        assert not (name in HEAVY and done), f"taken as good: {values}"

    each()
    assert memory() - before < GROWTH


@pytest.fixture(scope="module", autouse=True)
def offered(tiny_model):
    models.offer([str(tiny_model)], "cpu")


@pytest.mark.parametrize("name", TABS)
def test_an_endpoint_answers_whatever_it_is_asked(name):
    fuzz(name, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", TABS)
def test_an_endpoint_answers_whatever_it_is_asked_two_hundred_times(name):
    fuzz(name, WHOLE)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(HEAVY))
def test_a_heavy_endpoint_at_the_edges_of_its_settings(name):
    """Every field at both ends, the rest by default, but no more than a few steps."""
    module, call = names(name)
    known = specs(module.Settings)
    quick = {n: s.default for n, s in known.items()} | ({"steps": 2} if "steps" in known else {})
    for field in inspect.signature(call).parameters:
        if (spec := known[field]).kind == "number":
            for edge in (spec.low, min(spec.high, 20) if field in ("steps", "batch", "size") else spec.high):
                answered(call, quick | {field: edge})


@pytest.fixture(scope="module")
def web(tiny_model):
    demo = build(str(tiny_model), device="cpu")
    launch(demo, host="127.0.0.1", prevent_thread_lock=True, quiet=True)
    with httpx.Client(base_url=demo.local_url, timeout=120) as client:
        yield demo, client
    demo.close()


SENT = ("abc", [], {}, "data:image/png;base64,AAAA", "\x00", *(bad for bad in BAD if bad != 10**400))


def test_the_screens_own_events_answer_whatever_they_are_sent(web):
    """As a browser would send it, with one bad value for all fields; and the page lives on."""
    demo, client = web
    light = [fn for fn in demo.fns.values() if fn.fn is not None and not fn.queue and fn.inputs]
    lives = [piece for piece in demo.blocks.values() if isinstance(piece, Live)]
    assert len(lives) == len(TABS) and len(light) + sum(len(live.calls) for live in lives) > 3 * len(TABS)
    for i, fn in enumerate(light):
        for bad in (SENT[i % len(SENT)], SENT[(i + 4) % len(SENT)]):
            body = json.dumps({"data": [bad] * len(fn.inputs), "fn_index": fn._id, "session_hash": "fuzz"})
            answer = client.post("/gradio_api/run/predict", content=body, headers=JSON)
            if answer.status_code != 200:
                said = answer.json().get("error") or answer.json()["detail"]
                assert said, (fn.api_name, bad)
            assert "Traceback" not in answer.text and "site-packages" not in answer.text
    for live, bad in product(lives, SENT):
        for i, call in enumerate(live.calls):
            data = {"call": i, "values": [bad] * len(call.inputs), "held": bad}
            asked = {"data": data, "component_id": live._id, "fn_name": "move", "session_hash": "fuzz"}
            body = json.dumps(asked)
            answer = client.post("/gradio_api/component_server/", content=body, headers=JSON)
            assert answer.status_code in (200, 400, 422), (live.name, bad, answer.text)
            assert answer.status_code == 200 or answer.json().get("error") or answer.json()["detail"]
            assert "Traceback" not in answer.text and "site-packages" not in answer.text
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.post("/gradio_api/call/coin_flips", json={"data": []}).status_code < 500
