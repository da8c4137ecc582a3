"""Many visitors at once, on loopback: what they wait beside an empty callback in the same run, and what they share.

Run: uv run python tests/benchmarks/load.py            # all; some ten minutes on a quiet machine
     uv run python tests/benchmarks/load.py --quick    # the same with fewer visitors and requests, two minutes
     uv run python tests/benchmarks/load.py prompts    # one of: start, arrivals, light, prompts, memory
"""

import argparse
import asyncio
import gzip
import json
import os
import random
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx

THOUGHT = 2.0  # seconds between two moves of a visitor
LIGHT = {  # what visitors move on light tabs
    "coin_flips": ("n", range(1, 40)),
    "convolution": ("stride", range(1, 3)),
    "forward_noise": ("t", range(1, 900)),
    "schedules": ("steps", range(2, 50)),
}
HELD = re.compile(rb'\\"(?:rest|hash)\\": \\"(\w+)')  # in an answer: parts that the page need not be sent again
PROMPTS = ("red apple", "cat face", "rocket", "pizza", "blue heart", "green frog", "yellow star", "fire")


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Served:
    """The whole page in a process of its own, with one callback more that does nothing."""

    def __init__(self, program: str = ""):
        self.port = free_port()
        began = time.perf_counter()
        code = program or (
            "import gradio as gr\nfrom explorer.app import build, launch\ndemo = build()\n"
            "def empty(x: int) -> int:\n    return x\n"
            "with demo:\n    gr.api(empty, api_name='empty', queue=False)\n"
        )
        code += f"\nlaunch(demo, host='127.0.0.1', port={self.port}, quiet=True)\n"
        self.process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
        self.url = f"http://127.0.0.1:{self.port}"
        while True:
            try:
                httpx.get(f"{self.url}/config", timeout=5).raise_for_status()
                break
            except httpx.HTTPError:
                if self.process.poll() is not None:
                    raise SystemExit("the page did not start") from None
                time.sleep(0.02)
        self.seconds = time.perf_counter() - began

    def memory(self) -> float:
        """What the process holds in memory now, in MB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.terminate()
        self.process.wait()


def quantile(values: list[float], q: float) -> float:
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def busy() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def defaults(url: str) -> dict[str, dict[str, Any]]:
    """Every endpoint's arguments with their defaults."""
    named = httpx.get(f"{url}/gradio_api/info", timeout=60).json()["named_endpoints"]
    return {
        name.strip("/"): {p["parameter_name"]: p.get("parameter_default") for p in about["parameters"]}
        for name, about in named.items()
    }


@dataclass(frozen=True)
class Tab:
    """The number of the piece that answers a tab's moves (`explorer.components.live`), and which call opens the tab."""

    piece: int
    opens: int


def tabs_of(url: str) -> dict[str, Tab]:
    """The light tabs: those that are opened as they are moved."""
    config = httpx.get(f"{url}/config").json()
    scripts = {one["id"]: one["props"].get("js_on_load") or "" for one in config["components"]}
    lives = {re.search(r"const NAME = '(\w+)'", js)[1]: piece for piece, js in scripts.items() if "moves.set(" in js}
    asked = [
        re.search(r"explorer\.move\('(\w+)', (\d+),.*\.opened\(", one["js"] or "") for one in config["dependencies"]
    ]
    return {found[1]: Tab(lives[found[1]], int(found[2])) for found in asked if found}


def request(
    name: str, data: list, tabs: dict[str, Tab], session: str, held: list[str], *, opens: bool = False
) -> tuple[str, dict]:
    """Address and body: of a move of a tab, or of its opening, as the page asks for it, or, of what is no tab, of the
    endpoint."""
    if name not in tabs:
        return f"/gradio_api/run/{name}", {"data": data, "session_hash": session}
    asked = {"call": tabs[name].opens, "values": [f"tab={name}"]} if opens else {"call": 0, "values": data}
    move = {"component_id": tabs[name].piece, "fn_name": "move", "data": asked | {"held": held}}
    return "/gradio_api/component_server/", move | {"session_hash": session}


async def visit(
    host: str, port: int, moves: Callable[[], tuple[str, list]], tabs: dict[str, Tab], until: float, took: dict
) -> None:
    """One visitor, as a page with a connection and a session of its own, that opens a tab before it moves anything
    there, which is timed apart; bare HTTP: the client shares the cores."""
    await asyncio.sleep(random.random() * THOUGHT)
    reader, writer = await asyncio.open_connection(host, port)
    session, held = secrets.token_hex(6), {}
    while time.perf_counter() < until:
        name, data = moves()
        opens = name in tabs and name not in held
        path, asked = request(name, data, tabs, session, held.get(name, []), opens=opens)
        body = json.dumps(asked)
        began = time.perf_counter()
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        answer = await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise SystemExit(f"{name} was answered with {head!r}")
        took.setdefault("opening" if opens else name, []).append(time.perf_counter() - began)
        told = HELD.findall(gzip.decompress(answer) if b"content-encoding: gzip" in head.lower() else answer)
        if told or name not in held:
            held[name] = [one.decode() for one in told]
        await asyncio.sleep(THOUGHT * random.uniform(0.5, 1.5))
    writer.close()


async def crowd(url: str, visitors: int, seconds: float, light: dict[str, dict]) -> dict[str, list]:
    """So many visitors on light tabs; every fifth of their moves asks the empty callback."""
    took: dict[str, list] = {}
    at = httpx.URL(url)

    def moves() -> tuple[str, list]:
        if random.random() < 0.2:
            return "empty", [1]
        name = random.choice(list(light))
        field, values = LIGHT[name]
        return name, list((light[name] | {field: random.choice(values)}).values())

    until = time.perf_counter() + seconds
    tabs = tabs_of(url)
    await asyncio.gather(*(visit(at.host, at.port or 80, moves, tabs, until, took) for _ in range(visitors)))
    return took


def arrivals(quick: bool) -> None:
    """A class that opens the page at once: the page, plotly.js, and the scripts and styles of Gradio's front end."""
    visitors = 10 if quick else 100
    assets = Path(find_spec("gradio").origin).parent / "templates" / "frontend" / "assets"
    # About as many as a browser asks for on a tab with a plot; `test_playgrounds.py` prints what they weigh there.
    names = sorted(one.name for one in assets.glob("*.js"))[:80]
    paths = ["/", "/plotly.min.js", *(f"/assets/{name}" for name in names)]

    async def visit(host: str, port: int) -> int:
        reader, writer = await asyncio.open_connection(host, port)
        received = 0
        for path in paths:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip, deflate, br\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
            if length:
                received += len(await reader.readexactly(int(length)))
                continue
            while size := int(await reader.readline(), 16):  # in chunks
                received += len(await reader.readexactly(size + 2)) - 2
            await reader.readline()
        writer.close()
        return received

    async def all_at_once(host: str, port: int, count: int) -> list[int]:
        return await asyncio.gather(*(visit(host, port) for _ in range(count)))

    with Served() as page:
        at = httpx.URL(page.url)
        began = time.perf_counter()
        [received] = asyncio.run(all_at_once(at.host, at.port or 80, 1))
        first, began = time.perf_counter() - began, time.perf_counter()
        asyncio.run(all_at_once(at.host, at.port or 80, visitors))
        took = time.perf_counter() - began
        print(
            f"{visitors} open the page at once: {1000 * took / visitors:.0f} ms of the server each, the last one after "
            f"{took:.1f} s; {received / 1e6:.2f} MB each; the very first {1000 * first:.0f} ms; {busy()}",
            flush=True,
        )


def light(quick: bool) -> None:
    """Light tabs beside the empty callback, at 1, 30, 100 and 300 visitors."""
    with Served() as page:
        known = {name: values for name, values in defaults(page.url).items() if name in LIGHT}
        asyncio.run(crowd(page.url, 4, 5, known))  # warm
        for visitors in (1, 10, 30) if quick else (1, 30, 100, 300):
            took = asyncio.run(crowd(page.url, visitors, 10 if quick else max(20, 60 / visitors**0.5), known))
            empty, opening = took.pop("empty", [1e-9]), took.pop("opening", [0.0])
            others = [one for values in took.values() for one in values] or [0.0]
            p50, p95 = (quantile(others, q) / quantile(empty, q) for q in (0.5, 0.95))
            print(
                f"{visitors:4} visitors: light tabs' p50 {p50:.2f} and p95 {p95:.2f} of the empty callback's "
                f"{1000 * quantile(empty, 0.5):.0f} and {1000 * quantile(empty, 0.95):.0f} ms; {len(others)} moves, "
                f"{len(opening)} tabs opened, p95 {1000 * quantile(opening, 0.95):.0f} ms; {busy()}",
                flush=True,
            )


def prompts(quick: bool) -> None:
    """Pictures at once: throughput against one after the other. Bare HTTP: the clients share the cores."""
    with Served() as page:
        known = defaults(page.url)["text_to_image"]
        seeds = iter(range(10**6, 10**9))  # never twice: a kept result would be no measure

        async def draw(web: httpx.AsyncClient, pictures: int) -> None:
            """Ask for a picture, hear when it is finished, fetch it; so many times."""
            for _ in range(pictures):
                asked = known | {"prompt": random.choice(PROMPTS), "seed": next(seeds)}
                joined = await web.post("/gradio_api/call/text_to_image", json={"data": list(asked.values())})
                told = await web.get(f"/gradio_api/call/text_to_image/{joined.json()['event_id']}")
                event, _, data = told.text.rpartition("event: ")[2].partition("\ndata: ")
                if event != "complete":
                    raise SystemExit(f"a prompt was answered with {told.text[-300:]!r}")
                picture, _ = json.loads(data)
                (await web.get(picture["url"])).raise_for_status()

        async def crowd(at_once: int, pictures: int) -> float:
            """Pictures a second."""
            async with httpx.AsyncClient(base_url=page.url, timeout=120) as web:
                began = time.perf_counter()
                await asyncio.gather(*(draw(web, pictures) for _ in range(at_once)))
                return at_once * pictures / (time.perf_counter() - began)

        asyncio.run(crowd(1, 2))
        alone = 0.0
        for at_once in (1, 4) if quick else (1, 4, 16, 1):
            rate = asyncio.run(crowd(at_once, max(1 if quick else 3, (4 if quick else 16) // at_once)))
            alone = alone or rate
            print(
                f"{at_once:4} prompts at once: {rate / alone:.2f} times the throughput of one after the other "
                f"({rate:.2f} pictures a second), each waits {at_once * alone / rate:.1f} times as long; {busy()}",
                flush=True,
            )


def memory(quick: bool) -> None:
    """Mixed requests, one after the other: what the process holds before them and after every eighth.

    Moves as the page asks for them, ten requests to a visitor; endpoints, rightly asked and wrongly; pictures.
    """
    total = 200 if quick else 2000
    with Served() as page, httpx.Client(base_url=page.url, timeout=120) as web:
        known, tabs, session = defaults(page.url), tabs_of(page.url), ""
        from gradio_client import Client

        client = Client(page.url, verbose=False)
        held = [page.memory()]
        for i in range(total):
            if i % 10 == 0:
                session = secrets.token_hex(6)
            name = random.choice(list(LIGHT))
            field, values = LIGHT[name]
            data = list((known[name] | {field: random.choice(values)}).values())
            if i % 50 == 49:
                client.predict(random.choice(PROMPTS), seed=i, steps=5, api_name="/text_to_image")
            elif i % 10 == 9:
                web.post(f"/gradio_api/run/{name}", json={"data": [None] * len(known[name])})
            elif i % 10 == 8:
                web.post(f"/gradio_api/run/{name}", json={"data": data}).raise_for_status()
            else:
                path, asked = request(name, data, tabs, session, [])
                web.post(path, json=asked).raise_for_status()
            if (i + 1) % (total // 8) == 0:
                held.append(page.memory())
        print(
            f"{total} mixed requests: {' '.join(f'{one:.0f}' for one in held)} MB at each eighth; "
            f"the last is {held[-1] / held[3]:.3f} of what it was after three eighths; {busy()}"
        )


def start(quick: bool) -> None:
    """From nothing to the first answer, beside a bare Gradio page."""
    bare = (
        "import gradio as gr\nwith gr.Blocks() as demo:\n    gr.Slider()\n"
        "launch = lambda demo, host, port, quiet: demo.launch(server_name=host, server_port=port, quiet=quiet)\n"
    )
    ours, theirs = [], []
    for _ in range(1 if quick else 3):
        with Served(bare) as page:
            theirs.append(page.seconds)
        with Served() as page:
            ours.append(page.seconds)
    print(
        f"start-up: {min(ours) / min(theirs):.2f} times a bare Gradio page's {min(theirs):.1f} s; {busy()}", flush=True
    )


def main() -> None:
    parts = {part.__name__: part for part in (start, arrivals, light, prompts, memory)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}; all without")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if wrong := set(args.parts) - set(parts):
        parser.error(f"no such part: {', '.join(sorted(wrong))}; there are {', '.join(parts)}")
    for name in args.parts or parts:
        parts[name](args.quick)


if __name__ == "__main__":
    main()
