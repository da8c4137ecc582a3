"""Behind a reverse proxy that serves the app under a path: plots, scripts and settings still find their way."""

import threading
import time

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

PREFIX = "/lab/explorer"


@pytest.fixture
def proxied():
    """The address of the app behind a proxy that strips PREFIX."""
    import gradio as gr

    from explorer.app import launch
    from explorer.tabs import coin_flips

    with gr.Blocks() as demo:
        with gr.Tabs() as tabs:
            coin_flips.build()
        demo.load(None, None, tabs, js="() => window.explorer.start(['coin_flips'])", api_visibility="private")
    _, inside, _ = launch(demo, host="127.0.0.1", root_path=PREFIX, prevent_thread_lock=True, quiet=True)
    client = httpx.AsyncClient(base_url=inside, timeout=60)

    async def forward(request):
        headers = {k: v for k, v in request.headers.items() if k not in ("content-length", "accept-encoding")}
        path = request.url.path.removeprefix(PREFIX) or "/"
        question = f"?{request.url.query}" if request.url.query else ""
        sent = client.build_request(request.method, path + question, headers=headers, content=await request.body())
        answer = await client.send(sent, stream=True)
        kept = {k: v for k, v in answer.headers.items() if k in ("content-type", "location", "cache-control")}
        return StreamingResponse(answer.aiter_bytes(), answer.status_code, kept)

    routes = [Route(PREFIX + "{path:path}", forward, methods=["GET", "POST", "HEAD"])]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}{PREFIX}/"
    server.should_exit = True
    thread.join(timeout=5)
    demo.close()


def test_the_page_works_behind_a_path(chromium, proxied):
    page = chromium.new_page()
    page.set_default_timeout(60_000)
    missing = []
    page.on("response", lambda r: missing.append((r.status, r.url)) if r.status >= 400 else None)
    page.on("requestfailed", lambda r: missing.append(("failed", r.url)))
    page.goto(f"{proxied}?tab=coin_flips&n=10")
    page.wait_for_selector("#tab-coin_flips .live-plot .main-svg")
    page.wait_for_selector("#tab-coin_flips .badge.ok")
    page.wait_for_function("document.querySelector('#tab-coin_flips .notice').innerText.includes('10 flips')")
    assert page.url.startswith(f"{proxied}?tab=coin_flips")
    assert missing == []
    page.close()
