"""The rules around the page, asked over HTTP: what is open, how much may be sent, what is said and written down."""

import json
import logging
import re
from dataclasses import asdict
from pathlib import Path

import gradio as gr
import httpx
import plotly
import pytest
from gradio.state_holder import SessionState

from explorer import errors, runs, server
from explorer.app import launch
from explorer.components.live import Live
from explorer.tabs import coin_flips


def broken() -> dict:
    """An endpoint that has a mistake in it, on a page that has one."""
    raise RuntimeError("/home/someone/secret.txt")


@pytest.fixture(scope="module")
def demo():
    with gr.Blocks() as demo:
        with gr.Tabs():
            coin_flips.build()
        number, shown = gr.Number(3, render=False), gr.HTML("shown")
        shown.click(lambda n: f"{n} shown", number, shown, queue=False)
        gr.api(runs.answered("broken", broken), api_name="broken", queue=False)
        gr.api(broken, api_name="bare", queue=False)
        gr.api(broken, api_name="queued")
    launch(demo, host="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield demo
    demo.close()


@pytest.fixture(scope="module")
def web(demo):
    with httpx.Client(base_url=demo.local_url, timeout=60) as client:
        yield client


@pytest.mark.parametrize("ascii", [True, False])
@pytest.mark.parametrize("session", ["k3j2h1", "a%62c", "ü", 'quoted "one"', "back\\slash", "a b\n"])
def test_the_session_of_a_call_is_what_json_says(session, ascii):
    body = {"data": ['"session_hash": "another"'], "session_hash": session}
    assert server.session_of(json.dumps(body, ensure_ascii=ascii).encode()) == session
    assert server.session_of(json.dumps({"data": body["data"]}).encode()) is None
    assert server.session_of(b'{"session_hash": "\xff\\q"}') is None


def call(web, name, **changes):
    """The answer to a bare call; of the coins with their defaults, but for what is given."""
    data = list((asdict(coin_flips.Settings()) | changes).values()) if name == "coin_flips" else []
    return web.post(f"/gradio_api/run/{name}", json={"data": data})


def move(web, demo, **changes):
    """The answer to a move of a control of the coins, as the page asks for it; but for what is given."""
    [live] = [one for one in demo.blocks.values() if isinstance(one, Live)]
    data = {"call": 0, "values": list(asdict(coin_flips.Settings()).values())}
    asked = {"data": data, "component_id": live._id, "fn_name": "move", "session_hash": "one"} | changes
    return web.post("/gradio_api/component_server/", json=asked)


def test_a_move_is_answered_past_gradio_and_nothing_else_is(web, demo, monkeypatch):
    """What is no move of ours goes Gradio's way: it knows what to say. And both ways say the same of a move."""
    short = move(web, demo)
    assert short.status_code == 200 and "6/16" in short.text and short.headers["x-request-id"]
    assert "content-security-policy" in short.headers and short.headers["content-encoding"] in ("br", "gzip")
    for other in ({"component_id": 10**6}, {"component_id": []}, {"fn_name": "postprocess"}, {"fn_name": None}):
        answer = move(web, demo, **other)
        assert answer.status_code >= 400 and answer.json()["detail"]
    assert move(web, demo, data=None).status_code == 400
    assert web.post("/gradio_api/component_server/", content=b"[" * 10**6).status_code >= 400
    assert web.get("/gradio_api/component_server/").status_code in (404, 405)
    way = server.Guard.moved
    monkeypatch.setattr(server.Guard, "moved", lambda self, scope, body: way(self, scope, b""))
    assert move(web, demo).json() == short.json()


def test_what_a_class_asks_is_computed_once(web, demo, until, monkeypatch, tmp_path):
    """But what is refused, asked with a picture of one's own, or of a tab whose answers hang on more, is each time."""
    [live] = [one for one in demo.blocks.values() if isinstance(one, Live)]
    asked, answer = [], live.move
    monkeypatch.setattr(live, "move", lambda data: asked.append(data) or answer(data))
    file = tmp_path / "log"
    server.write_log(str(file))

    def values(**changes):
        return {"call": 0, "values": list(asdict(coin_flips.Settings(n=23, **changes)).values())}

    one, other, *more = (move(web, demo, data=values(), session_hash=visitor) for visitor in ("one", "other", *"abc"))
    assert until(lambda: len(file.read_text().splitlines()) == 5)  # it is written after the answer is sent
    server.write_log()
    assert all(other.json() == again.json() for again in (one, *more)) and len(asked) == 1
    assert "cache-control" not in other.headers
    assert one.headers["x-request-id"] != other.headers["x-request-id"]
    computed, kept, *again = (json.loads(line) for line in file.read_text().splitlines())
    assert (computed["outcome"], kept["outcome"]) == ("ok", "kept") and kept["id"] == other.headers["x-request-id"]
    assert computed.keys() == kept.keys() and kept["tab"] == "coin_flips"
    assert 0 <= min(one["ms"] for one in (kept, *again)) < computed["ms"]  # of four, as a busy machine may stop one

    assert move(web, demo, data=values(k=3)).json() != one.json() and len(asked) == 2
    refused = values() | {"values": [10**6, *values()["values"][1:]]}
    for unkept in (refused, values() | {"call": 99}, values() | {"held": ["data:image/png;base64,"]}):
        told = len(asked)
        assert move(web, demo, data=unkept).text == move(web, demo, data=unkept).text and len(asked) == told + 2
    monkeypatch.setattr(live, "keeps", False)
    for _ in range(2):
        told = len(asked)
        assert move(web, demo, data=values()).json() == one.json() and len(asked) == told + 1


def test_a_run_without_a_number_is_ended_without_complaint(web):
    asked = {"session_hash": "one", "fn_index": 0}
    for path in ("/gradio_api/cancel", "/gradio_api/reset"):
        ended = web.post(path, json=asked | {"event_id": "none of ours"})
        early = web.post(path, json=asked | {"event_id": None})
        assert (early.status_code, early.json()) == (ended.status_code, ended.json()) == (200, {"success": True})
        for body in (asked, asked | {"event_id": 1}, ["event_id"]):
            assert web.post(path, json=body).status_code == 422


def test_nothing_is_kept_of_what_a_visitor_was_shown(web, demo):
    showing = next(i for i, fn in demo.fns.items() if fn.name == "<lambda>")
    for session in ("one", "two"):
        asked = {"data": [4], "fn_index": showing, "session_hash": session}
        assert "4 shown" in web.post("/gradio_api/run/predict", json=asked).text
        assert "6/16" in move(web, demo, session_hash=session).text
        assert not any(demo.app.state_holder[session].config_values.values())
    # Elsewhere Gradio keeps all of it: what is told of `server.forget` would otherwise be told of nothing.
    with gr.Blocks() as usual:
        gr.HTML("shown")
    assert any("shown" in str(kept) for kept in SessionState(usual).config_values.values())


def test_health_and_headers(web):
    answer = web.get("/healthz")
    assert answer.json()["status"] == "ok" and answer.json()["waiting"] == 0
    assert call(web, "coin_flips").json()["data"][0]["probability"] == 0.375
    for one in (answer, web.get("/"), web.get("/gradio_api/info"), web.get("/nowhere"), call(web, "coin_flips")):
        assert one.headers["x-content-type-options"] == "nosniff"
        assert one.headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'self';" in one.headers["content-security-policy"] + ";"
        assert re.fullmatch("[0-9a-f]{12}", one.headers["x-request-id"])


def test_the_policy_names_no_other_host_but_those_that_frame_a_space():
    known = dict(server.headers(space=False))[b"content-security-policy"].decode()
    assert "http" not in known and "*" not in known
    of_space = dict(server.headers(space=True))[b"content-security-policy"].decode()
    assert [part for part in of_space.split("; ") if "http" in part] == [
        "frame-ancestors 'self' https://huggingface.co https://*.huggingface.co"
    ]


CLOSED = (
    "/gradio_api/proxy=https://example.com/a.png", "/gradio_api/file=https://example.com/a.png",
    "/gradio_api/file=http:/example.com", "/gradio_api/token", "/gradio_api/deep_link?session_hash=a", "/monitoring",
    "/monitoring/summary", "/gradio_api/vibe-code/", "/gradio_api/dev/reload", "/gradio_api/runs", "/docs",
    "/openapi.json", "/static/../../../../pyproject.toml", "/assets/%2e%2e/%2e%2e/%2e%2e/routes.py",
    "/gradio_api/stream/a/b/1/playlist-file", "/gradio_api/upload_progress",
)  # fmt: skip


@pytest.mark.parametrize("path", CLOSED)
def test_what_the_page_does_not_need_is_closed(web, path):
    answer = web.get(path)
    assert answer.status_code == 404 and "Traceback" not in answer.text


def test_no_file_of_the_machine_is_served(web):
    for path in ("/etc/passwd", server.__file__, "pyproject.toml", "../../etc/passwd", "/proc/self/environ", "~"):
        answer = web.get(f"/gradio_api/file={path}")
        assert answer.status_code in (403, 404) and len(answer.text) < 300
    assert web.post("/gradio_api/upload", files={"files": ("a.png", b"x")}).status_code == 404


def test_the_plots_script_is_plotlys_own(web):
    assert web.head("/plotly.min.js", headers={"accept-encoding": "identity"}).content == b""  # and is kept for nobody
    assert web.get("/plotly.min.js", headers={"accept-encoding": "identity"}).content
    answer = web.get("/plotly.min.js")
    assert answer.content == (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_bytes()
    assert "javascript" in answer.headers["content-type"] and "max-age" in answer.headers["cache-control"]
    assert "/tmp" not in web.get("/config").text and "site-packages" not in web.get("/config").text


def test_a_part_of_a_file_does_not_echo_the_cookies_of_who_asks(web):
    path = gr.processing_utils.save_bytes_to_cache(b"0123456789", "a.txt", gr.utils.get_upload_folder())
    answer = web.get(f"/gradio_api/file={path}", headers={"range": "bytes=2-4", "cookie": "secret=1", "x-mine": "y"})
    assert answer.status_code == 200 and answer.content == b"0123456789"
    assert "secret" not in str(answer.headers) and "x-mine" not in answer.headers


def test_too_large_a_request_is_refused_before_it_is_read(web):
    answer = call(web, "coin_flips", n="x" * server.MOST_BODY)
    assert answer.status_code == 413 and "8 MB" in answer.json()["error"]


@pytest.mark.parametrize("name", ["broken", "bare"])
def test_a_mistake_of_ours_is_answered_in_words_and_written_down(web, name, caplog):
    with caplog.at_level(logging.ERROR, "explorer"):
        answer = call(web, name)
    assert answer.status_code == 500 and "could not be answered" in answer.json()["error"]
    assert "secret" not in answer.text and "Traceback" not in answer.text
    if name == "broken":
        (record,) = [one for one in caplog.records if one.name == "explorer"]
        assert record.id == answer.headers["x-request-id"] and record.id in answer.json()["error"]
        assert "secret.txt" in server.JsonLine().format(record)  # for who runs the page, in full


BODIES = ("", "nothing", "[]", "null", "{}", '{"data": 5}', '{"data": {}}', '{"data": [[[[[[', "[" * 100_000, "\ud83d")


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_is_no_call_is_refused_in_words(web, body):
    for path in ("run/coin_flips", "queue/join", "call/coin_flips", "component_server", "cancel"):
        sent = body.encode("utf-8", "surrogatepass")
        answer = web.post(f"/gradio_api/{path}", content=sent, headers={"content-type": "application/json"})
        assert 400 <= answer.status_code <= 500 and len(answer.text) > 10, (path, answer.text)
        assert answer.json()["detail" if answer.status_code != 500 else "error"], path
        assert "Traceback" not in answer.text and "site-packages" not in answer.text


def test_an_endpoint_that_is_not_there(web):
    for path in ("run/nothing", "call/nothing", "run/..%2f..", "call/v2/nothing"):
        answer = web.post(f"/gradio_api/{path}", json={"data": []})
        assert answer.status_code >= 400 and "Traceback" not in answer.text and answer.json()


def test_a_bucket_empties_and_fills():
    now = [0.0]
    bucket = server.Buckets(rate=2, most=4, addresses=3, clock=lambda: now[0])
    assert [bucket.take("a") for _ in range(6)] == [True] * 4 + [False] * 2
    assert bucket.take("b")
    now[0] = 1.0
    assert [bucket.take("a") for _ in range(3)] == [True, True, False]
    for i in range(100):
        bucket.take(str(i))
    assert len(bucket._left) == 3
    for i in range(100, 200):
        bucket.charge(str(i))
    assert list(bucket._left) == ["197", "198", "199"] and bucket.left("199") == 3


class Waiting:
    """A page whose queue holds runs of these sessions."""

    def __init__(self, *sessions):
        events = [type("Event", (), {"session_hash": one}) for one in sessions]
        lines = {"device": type("Line", (), {"queue": events, "current_concurrency": 1})}
        self._queue = type("Queue", (), {"event_queue_per_concurrency_id": lines})


def test_runs_that_wait_are_limited_for_each_visitor_and_for_all():
    mine, other = (json.dumps({"data": [], "session_hash": who}).encode() for who in ("mine", "other"))
    guard = server.Guard(None, Waiting(*["mine"] * server.MOST_OWN))  # type: ignore[arg-type]
    join = "/gradio_api/queue/join"
    assert "you have 4 runs waiting" in guard.too_much(join, "1.2.3.4", mine)
    assert guard.too_much(join, "1.2.3.4", other) == ""
    assert guard.too_much("/gradio_api/run/coin_flips", "1.2.3.4", mine) == ""  # a slider never waits
    full = server.Guard(None, Waiting(*map(str, range(server.MOST_WAITING))))  # type: ignore[arg-type]
    assert "512 runs are waiting already" in full.too_much(join, "1.2.3.4", other)


def test_one_address_cannot_ask_for_ever_but_another_still_can():
    guard = server.Guard(None, Waiting())  # type: ignore[arg-type]
    asked = [guard.too_much("/gradio_api/run/coin_flips", "1.2.3.4", b"") for _ in range(6000)]
    assert not any(asked[:3000]) and "too many requests" in asked[-1]
    assert guard.too_much("/gradio_api/run/coin_flips", "5.6.7.8", b"") == ""
    behind = server.Guard(None, Waiting(), space=True)  # type: ignore[arg-type]
    assert not any(behind.too_much("/gradio_api/run/coin_flips", "1", b"") for _ in range(6000))
    assert not any(behind.too_much("/login", "1", b"") for _ in range(6000))


def test_passwords_tried_at_once_are_all_counted():
    guard, now = server.Guard(None, Waiting()), [0.0]  # type: ignore[arg-type]
    guard.wrong_passwords = server.Buckets(rate=1 / 5, most=20, clock=lambda: now[0])
    assert not any(guard.too_much("/login", "1.2.3.4", b"") for _ in range(30))  # a class that comes in at once
    for _ in range(30):
        guard.wrong_passwords.charge("1.2.3.4")  # and one that guesses
    for now[0], let in ((0, False), (54, False), (55, True)):
        assert (guard.too_much("/login", "1.2.3.4", b"") == "") == let


def test_a_password_is_asked_for(tmp_path):
    file = tmp_path / "people"
    file.write_text("ada:secret\nbob:hidden:too\n")
    assert server.passwords(f"@{file}") == [("ada", "secret"), ("bob", "hidden:too")]
    file.write_text("\ufeffada:two words\r\n\r\nbob:x \r\n", "utf-8")
    assert server.passwords(f"@{file}") == [("ada", "two words"), ("bob", "x")]
    file.write_text("ada:secret\nbob:hidden:too\n")
    assert server.passwords(None) is None and server.passwords("ada:x") == [("ada", "x")]
    for wrong in ("ada", "ada:", ":x", f"@{tmp_path / 'missing'}"):
        with pytest.raises(ValueError):
            server.passwords(wrong)
    with gr.Blocks() as demo, gr.Tabs():
        coin_flips.build()
    launch(demo, host="127.0.0.1", auth=server.passwords(f"@{file}"), prevent_thread_lock=True, quiet=True)
    with httpx.Client(base_url=demo.local_url, timeout=60) as client:
        assert client.get("/healthz").status_code == 200
        assert call(client, "coin_flips").status_code == move(client, demo).status_code == 401
        assert client.get("/config").status_code == client.get("/gradio_api/file=/etc/passwd").status_code == 401
        wrong = [client.post("/login", data={"username": "ada", "password": "no"}).status_code for _ in range(25)]
        assert wrong[0] == 400 and wrong[-1] == 429
        launched = client.post("/login", data={"username": "ada", "password": "secret"})
        assert launched.status_code == 429  # whoever guesses has to wait
    demo.close()


def test_who_knows_the_password_comes_in():
    with gr.Blocks() as demo, gr.Tabs():
        coin_flips.build()
    launch(demo, host="127.0.0.1", auth=[("ada", "secret")], prevent_thread_lock=True, quiet=True)
    with httpx.Client(base_url=demo.local_url, timeout=60) as client:
        assert client.post("/login", data={"username": "ada", "password": "secret"}).status_code == 200
        assert call(client, "coin_flips").status_code == move(client, demo).status_code == 200
        assert client.get("/gradio_api/token").status_code == 404
    demo.close()


def test_a_log_line_is_json_without_what_visitors_typed(web, tmp_path):
    file = tmp_path / "log"
    server.write_log(str(file))
    call(web, "coin_flips", n=10)
    call(web, "coin_flips", n="my secret")
    server.write_log()
    fine, refused = (json.loads(line) for line in file.read_text().splitlines() if '"call"' in line)
    assert fine["tab"] == "coin_flips" and fine["outcome"] == "ok" and fine["ms"] > 0 and len(fine["id"]) == 12
    assert refused["outcome"] == "refused" and "secret" not in file.read_text()


def test_of_a_place_in_the_file_system_the_name_alone_is_said():
    told = errors.plain(ValueError("/srv/app/models/emoji/unet has no config.json; 1/2 and a/b stay, so does w = s/2"))
    assert told == "…/unet has no config.json; 1/2 and a/b stay, so does w = s/2"


def test_a_run_ends_in_time():
    endless = iter(int, 1)
    with pytest.raises(ValueError, match=r"more than 0\.01 seconds"):
        for _ in runs.timely(endless, 0.01):
            pass
    assert list(runs.timely(range(3))) == [0, 1, 2]


def test_a_call_that_was_just_answered_is_not_computed_again(tmp_path):
    runs.KEPT.clear()
    file, computed = tmp_path / "picture.png", []

    def draw(prompt: str) -> tuple[gr.FileData, dict]:
        computed.append(prompt)
        file.write_bytes(b"")
        return gr.FileData(path=str(file)), {"prompt": prompt}

    call = runs.answered("draw", draw, keep=True)
    first = call("apple")
    first[1]["prompt"] = "spoilt"
    assert call("apple")[1] == {"prompt": "apple"} and call("pear") and computed == ["apple", "pear"]
    file.unlink()
    assert call("apple")[1] == {"prompt": "apple"} and file.is_file()  # its file was gone
    assert computed == ["apple", "pear", "apple"]


def test_finished_results_are_kept_within_their_bytes():
    kept = runs.Kept(most=10_000)
    computed = []

    def steps(i):
        computed.append(i)
        yield "on the way"
        yield str(i) * 2000

    assert list(kept.last(1, lambda: steps(1))) == ["on the way", "1" * 2000]
    assert list(kept.last(1, lambda: steps(1))) == ["1" * 2000] and computed == [1]
    for i in range(2, 9):
        list(kept.last(i, lambda i=i: steps(i)))
    assert kept.bytes <= 10_000 and kept.get(1) is None and kept.get(8)
    kept.put("huge", "x" * 9000)
    assert kept.get("huge") is None and kept.get(8)  # one result does not drive out all others
    stopped = kept.anew("stopped", lambda: steps(9))
    next(stopped)
    stopped.close()
    assert kept.get("stopped") is None
