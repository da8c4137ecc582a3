"""A run that is ended before the page knows its number ends all the same, and nobody is told of an error."""

import time

import gradio as gr
import httpx
import pytest

from explorer import server


@pytest.fixture
def walking():
    """An app whose one function walks for a minute: (its address, the number of the function, what it has done)."""
    done = []

    def walk():
        try:
            for step in range(600):
                done.append(step)
                time.sleep(0.1)
                yield str(step)
        finally:
            done.append("ended")

    with gr.Blocks() as demo:
        shown = gr.Textbox()
        gr.Button().click(walk, None, shown)
    _, url, _ = demo.queue().launch(prevent_thread_lock=True, quiet=True, **server.options(demo))
    yield url, next(iter(demo.fns)), done
    demo.close()


def test_a_run_without_a_number_ends(walking, until):
    url, number, done = walking
    with httpx.Client(base_url=url, timeout=60) as client:

        def join(session):
            body = {"data": [], "fn_index": number, "session_hash": session}
            assert client.post("gradio_api/queue/join", json=body).status_code == 200

        def end(session):
            body = {"event_id": None, "session_hash": session, "fn_index": number}
            return client.post("gradio_api/cancel", json=body)

        join("mine")
        join("another")
        assert until(lambda: done)
        assert end("another").json() == {"success": True}  # it waited: nothing of it was ever run
        assert until(lambda: client.get("healthz").json()["waiting"] == 0) and "ended" not in done
        assert end("mine").json() == {"success": True}
        assert until(lambda: client.get("healthz").json()["running"] == 0)
        assert end("mine").json() == {"success": True}  # there is none any more
        assert client.post("gradio_api/reset", json={"event_id": None}).json() == {"success": True}
        assert client.post("gradio_api/cancel", json={"event_id": 3}).status_code == 422
        assert client.post("gradio_api/cancel", content=b"[").status_code == 422
    assert len(done) < 600
