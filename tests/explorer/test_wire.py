"""What goes over the wire, read by httpx and by hand: the same text in fewer bytes, kept if it never changes."""

import asyncio
import gzip
import json
import socket
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import brotli
import gradio as gr
import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer import wire
from explorer.app import launch
from explorer.tabs import coin_flips

READ = {"br": brotli.decompress, "gzip": gzip.decompress, "": bytes}


def page(auth=None):
    with gr.Blocks() as demo, gr.Tabs():
        coin_flips.build()
    launch(demo, host="127.0.0.1", auth=auth, prevent_thread_lock=True, quiet=True)
    return demo


@pytest.fixture(scope="module")
def web():
    demo = page()
    with httpx.Client(base_url=demo.local_url, timeout=60) as client:
        yield client
    demo.close()


def raw(web, method, path, accepted, **more):
    """An answer and its bytes as they were sent."""
    with web.stream(method, path, headers={"accept-encoding": accepted}, **more) as answer:
        body = b"".join(answer.iter_raw())
    return answer, body


def moves():
    return {"json": {"data": list(asdict(coin_flips.Settings(n=60)).values())}}


@pytest.mark.parametrize(
    ("method", "path", "more", "least"),
    [("GET", "/", {}, 4), ("GET", "/plotly.min.js", {}, 3), ("POST", "/gradio_api/run/coin_flips", moves(), 1.5)],
)
def test_the_same_text_in_fewer_bytes(web, method, path, more, least):
    plain, text = raw(web, method, path, "identity", **more)
    assert "content-encoding" not in plain.headers and plain.status_code == 200
    for accepted, encoding in (("gzip, deflate, br, zstd", "br"), ("gzip, deflate", "gzip"), ("br;q=0, gzip", "gzip")):
        answer, body = raw(web, method, path, accepted, **more)
        assert answer.headers["content-encoding"] == encoding and "accept-encoding" in answer.headers["vary"].lower()
        assert int(answer.headers["content-length"]) == len(body) < len(text) / least
        told = READ[encoding](body)
        if path.endswith("coin_flips"):  # how long it took is in it
            assert json.loads(told)["data"] == json.loads(text)["data"]
        else:
            assert told == text


def test_files_with_a_hash_in_their_name_are_asked_for_once(web):
    frontend = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
    file = max(frontend.glob("index-*.js"), key=lambda one: one.stat().st_size)
    for accepted, encoding in (("br", "br"), ("gzip", "gzip"), ("identity", ""), ("br", "br")):
        answer, body = raw(web, "GET", f"/assets/{file.name}", accepted)
        assert answer.headers["cache-control"] == wire.FOR_EVER.decode()
        assert READ[encoding](body) == file.read_bytes()
    missing = web.get("/assets/index-none.js")
    assert missing.status_code == 404 and "cache-control" not in missing.headers


def test_the_page_names_the_root_by_which_it_was_reached(web):
    def root(**headers):
        text = web.get("/", headers=headers).text
        return json.JSONDecoder().raw_decode(text.split("window.gradio_config = ")[1])[0]["root"]

    here = str(web.base_url).rstrip("/")
    behind = {"x-forwarded-host": "explorer.example", "x-forwarded-proto": "https"}
    for _ in range(2):
        assert root() == here and root(**behind) == "https://explorer.example"
        assert root(host="another.example") == "http://another.example"


def test_what_is_behind_a_password_is_kept_for_nobody():
    demo = page(auth=[("ada", "secret")])
    with (
        httpx.Client(base_url=demo.local_url, timeout=60) as ada,
        httpx.Client(base_url=demo.local_url, timeout=60) as bob,
    ):
        assert ada.post("/login", data={"username": "ada", "password": "secret"}).status_code == 200
        for _ in range(2):
            assert "coin_flips-n" in ada.get("/").text
            assert "coin_flips-n" not in bob.get("/").text
    demo.close()


def asked(app, accepted="br", key=None, path="/", browser=True):
    """What an app sends through a `Wire`, message by message."""
    messages = []

    async def send(message):
        messages.append(message)

    headers = [(b"accept-encoding", accepted.encode()), *((b"sec-fetch-mode", b"cors") for _ in range(browser))]
    scope = {"type": "http", "path": path, "headers": headers}
    with ThreadPoolExecutor(1) as thread:  # of its own: Playwright's loop may run in this one
        thread.submit(asyncio.run, app(scope, None, send, key=key)).result()
    return messages


def answering(*pieces, kind="application/json", status=200):
    """An app that sends these pieces, and counts how often it was asked."""

    async def app(scope, receive, send):
        app.asked += 1
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind.encode())]})
        for i, piece in enumerate(pieces):
            await send({"type": "http.response.body", "body": piece, "more_body": i < len(pieces) - 1})

    app.asked = 0
    return app


def test_a_stream_is_passed_on_piece_by_piece():
    events = asked(wire.Wire(answering(b"a" * 2000, b"b" * 2000, kind="text/event-stream")))
    assert [one.get("body", b"") for one in events] == [b"", b"a" * 2000, b"b" * 2000]

    head_alone = []

    async def listens(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        head_alone.append(True)

    assert [one["type"] for one in asked(wire.Wire(listens))] == ["http.response.start"] and head_alone
    pieces = asked(wire.Wire(answering(b"a" * 2000, b"b" * 2000)))
    assert [one.get("body", b"") for one in pieces] == [b"", b"a" * 2000, b"b" * 2000]


def unbrotli(packer, piece):
    """All that can be read by now: `Decompressor.process` keeps a part for its next call."""
    out = read = packer.process(piece)
    while read:
        out += (read := packer.process(b""))
    return out


@pytest.mark.parametrize(
    ("accepted", "reader"),
    [("br", partial(unbrotli, brotli.Decompressor())), ("gzip", zlib.decompressobj(wbits=31).decompress)],
)
def test_the_events_of_a_run_are_read_as_they_come(accepted, reader):
    noise = bytes(np.random.default_rng(0).choice(list(b"0123456789abcdef"), 60_000).astype(np.uint8))
    steps = [b"one " + noise, b"two " + noise[::-1], b"", b"three " + noise + noise[::-1]]
    start, *sent = asked(
        wire.Wire(answering(*steps, kind="text/event-stream")), accepted, path="/gradio_api/queue/data"
    )
    assert dict(start["headers"])[b"content-encoding"] == accepted.encode()
    assert [reader(one["body"]) for one in sent] == steps
    assert [one["more_body"] for one in sent] == [True, True, True, False]
    if accepted == "br":  # what came before is not sent again
        assert len(sent[3]["body"]) < 1000 < len(sent[1]["body"])
    app = wire.Wire(answering(*steps, kind="text/event-stream"))
    assert [one["body"] for one in asked(app, accepted, path="/gradio_api/heartbeat/x")[1:]] == steps
    start, *_ = asked(app, "br, gzip", path="/gradio_api/queue/data", browser=False)
    assert dict(start["headers"])[b"content-encoding"] == b"gzip"


def test_what_is_no_text_or_little_or_a_failure_or_packed_already_stays_as_it_is():
    little, picture, failure = b"a" * (wire.LEAST - 1), {"kind": "image/png"}, {"status": 500}
    for app in (answering(little), answering(b""), answering(2 * little, **picture), answering(2 * little, **failure)):
        start, body = asked(wire.Wire(app))
        assert b"content-encoding" not in dict(start["headers"]) and set(body["body"]) <= {ord("a")}

    async def packed(scope, receive, send):
        headers = [(b"content-type", b"text/css"), (b"content-encoding", b"br")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"a" * 2000})

    assert asked(wire.Wire(packed))[1]["body"] == b"a" * 2000


def test_what_has_a_key_is_made_once_and_the_oldest_go():
    app = answering(b"a" * 1500, b"b" * 500, kind="image/png")  # not compressed, so that the bytes can be counted
    kept = wire.Wire(app, most=11_000)  # four of them, with what is beside the bytes
    first = asked(kept, key="one")
    assert first[1]["body"] == b"a" * 1500 + b"b" * 500 and asked(kept, key="one") == first and app.asked == 1
    for key in ("two", "three", "four", "one", "five"):  # two is the one not asked for longest
        asked(kept, key=key)
    assert app.asked == 5 and kept.kept.bytes <= 11_000
    for key in ("one", "three", "four", "five"):
        asked(kept, key=key)
    assert app.asked == 5
    asked(kept, key="two")
    assert app.asked == 6
    refused = answering(b"no", status=404)
    for _ in range(2):
        asked(kept.__class__(refused), key="one")
    assert refused.asked == 2


@pytest.mark.parametrize(("said", "times"), [([], 1), ([(b"cache-control", b"no-store")], 5)])
def test_who_asks_while_an_answer_is_made_waits_for_it(said, times):
    """Of five who ask at once one is the reason that it is made; what may not be kept is made for each, in turn."""
    asked, at_once = [], []

    async def app(scope, receive, send):
        asked.append(scope)
        at_once.append(len(asked) - len(done))
        await asyncio.sleep(0.02)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/css"), *said]})
        await send({"type": "http.response.body", "body": b"a" * 2000})
        done.append(scope)

    done, bodies = [], []

    async def five():
        async def send(message):
            if message["type"] == "http.response.body":
                bodies.append(message["body"])

        kept, scope = wire.Wire(app, ways=wire.QUICK), {"path": "/", "headers": [(b"accept-encoding", b"gzip")]}
        return await asyncio.gather(*(kept(scope, None, send, key="one") for _ in range(5)))

    with ThreadPoolExecutor(1) as thread:
        known = thread.submit(asyncio.run, five()).result()
    assert len(asked) == times and sum(known) == 5 - times and max(at_once) == 1
    assert {gzip.decompress(one) for one in bodies} == {b"a" * 2000} and len(bodies) == 5


def test_what_failed_for_one_is_asked_again_by_those_who_waited():
    async def app(scope, receive, send):
        app.asked += 1
        await asyncio.sleep(0.02)
        if app.asked == 1:
            raise RuntimeError("this one")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})

    app.asked, got = 0, []

    async def three():
        async def send(message):
            got.append(message.get("body"))

        kept, scope = wire.Wire(app), {"path": "/", "headers": []}
        return await asyncio.gather(*(kept(scope, None, send, key="one") for _ in range(3)), return_exceptions=True)

    with ThreadPoolExecutor(1) as thread:
        failed, made, waited = thread.submit(asyncio.run, three()).result()
    assert isinstance(failed, RuntimeError) and (made, waited) == (False, True) and app.asked == 2
    assert got.count(b"fine") == 2


def test_what_was_broken_off_is_not_kept():
    """Who leaves in the middle of a file: Gradio then ends without the rest of it."""

    async def app(scope, receive, send):
        app.asked += 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"font/woff2")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        if app.asked > 1:
            await send({"type": "http.response.body", "body": b" and half"})

    app.asked, kept = 0, wire.Wire(app)
    assert asked(kept, key="font") == []
    for _ in range(2):
        assert asked(kept, key="font")[1]["body"] == b"half and half"
    assert app.asked == 2


def test_files_are_whole_after_visitors_who_left_before_the_end(web):
    frontend = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
    files = sorted(frontend.glob("*.woff2"), key=lambda one: -one.stat().st_size)[:12]
    for file in files:
        with socket.create_connection((web.base_url.host, web.base_url.port)) as visitor:
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leaves at once
            visitor.sendall(f"GET /assets/{file.name} HTTP/1.1\r\nHost: here\r\nAccept-Encoding: br\r\n\r\n".encode())
    time.sleep(0.5)
    for file in files:
        answer, body = raw(web, "GET", f"/assets/{file.name}", "br")
        assert answer.status_code == 200 and body == file.read_bytes(), file.name


@given(
    st.lists(st.sampled_from(["br", "gzip", "deflate", "*", "br;q=0", "gzip; q=0.0", "br;q=0.5", "gzip;q=1", "", ";"]))
)
def test_no_one_is_sent_what_cannot_be_read(parts):
    found = wire.encoding({"path": "/", "headers": [(b"accept-encoding", ", ".join(parts).encode())]})
    willing = {part.partition(";")[0] for part in parts if ";" not in part or part.endswith(("5", "=1"))}
    assert found == "" or found in willing
