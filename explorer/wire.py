"""What goes over the wire: text is compressed, and what never changes is compressed once and kept.

What that does for a class that opens the page at once, `tests/benchmarks/load.py arrivals` measures.
"""

import asyncio
import gzip
import re
from collections.abc import Awaitable, Callable, Hashable, MutableMapping
from functools import partial
from typing import Any

import brotli
from anyio import to_thread
from isal import igzip, isal_zlib

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

TEXT = re.compile(rb"text/|application/(javascript|json)|image/svg")
EVENTS = b"text/event-stream"
RUNS = "/queue/data"  # the events of a visitor's runs, as long as one is under way; the heartbeat never ends
LEAST = 1000  # bytes: less fits into one packet anyway
LONG = 50_000  # bytes whose compression takes a millisecond and more, in which others are answered
MOST_KEPT = 32_000_000  # bytes: some hundred files of Gradio's, plotly.js, and the page for a few hosts
FOR_EVER = b"public, max-age=31536000, immutable"
# How what is sent once is compressed, and what is kept. ISA-L's level 1 packs as small as gzip's, in a fifth the time.
Ways = dict[str, Callable[[bytes], bytes]]
QUICK: Ways = {
    "br": partial(brotli.compress, quality=1),
    "gzip": partial(igzip.compress, compresslevel=1, mtime=0),
}
THOROUGH: Ways = {
    "br": partial(brotli.compress, quality=5),
    "gzip": partial(gzip.compress, compresslevel=6, mtime=0),
}


def encoding(scope: Scope) -> str:
    """The better of the encodings that who asks can read; "" for none. Browsers take Brotli from https alone.

    Events come by Brotli to browsers only: httpx, and so gradio_client, would read a part of each with the next.
    """
    browser = header(scope["headers"], b"sec-fetch-mode")
    accepted = header(scope["headers"], b"accept-encoding").decode("latin-1")
    offered = {name.strip(): weight for name, _, weight in (part.partition(";") for part in accepted.split(","))}
    for name in ("br", "gzip") if browser or not scope["path"].endswith(RUNS) else ("gzip",):
        if not re.fullmatch(r"\s*q=0(\.0*)?\s*", offered.get(name, "q=0")):
            return name
    return ""


def stream(name: str) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    """(what to send for the next piece of a stream, what to end it with); each piece can be read when it comes.

    The pictures of a run come again with its last step: a window of 2 MB still holds them.
    """
    if name == "br":
        packer = brotli.Compressor(quality=2, lgwin=21)
        return lambda piece: packer.process(piece) + packer.flush(), packer.finish
    deflate = isal_zlib.compressobj(1, wbits=31)
    return lambda piece: deflate.compress(piece) + deflate.flush(isal_zlib.Z_SYNC_FLUSH), deflate.flush


def header(headers: Headers, name: bytes) -> bytes:
    return next((value for known, value in headers if known.lower() == name), b"")


class Wire:
    """An ASGI app whose texts are compressed; an answer that is asked for with a key is made once, and kept.

    most: bytes that are kept. ways: how what is kept is compressed.
    """

    def __init__(self, app: App, most: int = MOST_KEPT, ways: Ways = THOROUGH):
        from explorer.runs import Kept  # brings Gradio, which must not be imported before its settings are made

        self.app, self.kept, self.ways = app, Kept(most), ways
        self._making: dict[Hashable, asyncio.Event] = {}

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send, *, key: Hashable = None, app: App | None = None
    ) -> bool:
        """key: under which the answer is kept, if it is one (status 200) and does not say no-store; who asks for it
        while it is made waits for it. app: who answers, in place of the app.

        Returns: whether the answer was there already.
        """
        run, name = scope["path"].endswith(RUNS), encoding(scope)
        if key is None:
            await (app or self.app)(scope, receive, Squeezed(send, name, QUICK, run=run))
            return False
        key = key, name
        while (known := self.kept.get(key)) is None and key in self._making:
            await self._making[key].wait()
        if known is not None:
            headers, body = known
            await sent(send, {"type": "http.response.start", "status": 200, "headers": [*headers]}, body)
            return True
        made = self._making[key] = asyncio.Event()

        def done() -> None:
            if self._making.get(key) is made:
                del self._making[key]
            made.set()

        def keep(answer: "Squeezed") -> None:
            headers = answer.start["headers"]
            if answer.start["status"] == 200 and header(headers, b"cache-control") != b"no-store":
                self.kept.put(key, (headers, answer.body))
            done()  # before it is sent: others do not wait for who reads slowly

        try:
            await (app or self.app)(scope, receive, Squeezed(send, name, self.ways, run=run, whole=keep))
        finally:
            done()  # also of who leaves before the end: Gradio sends no more then
        return False


class Squeezed:
    """The sending end of one answer. Text that comes in one piece is compressed, and the events of a run; with
    ``whole``, which is told when all is there, all text is."""

    def __init__(
        self,
        send: Send,
        encoding: str,
        ways: Ways,
        *,
        run: bool,
        whole: Callable[["Squeezed"], None] | None = None,
    ):
        self.send, self.encoding, self.ways, self.run, self.whole = send, encoding, ways, run, whole
        self.start: Message = {}
        self.body = b""
        self._passes = False
        self._piece: Callable[[bytes], bytes] = bytes
        self._end: Callable[[], bytes] = bytes

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = dict(message, headers=[*message.get("headers", [])])
            if message["status"] >= 400:  # `explorer.server` reads what is said of a failure
                self.encoding = ""
            if header(self.start["headers"], b"content-type").startswith(EVENTS):
                if self.run and self.encoding:
                    self._piece, self._end = stream(self.encoding)
                    self._told({b"content-encoding": self.encoding.encode()})
                await self._pass_on()  # a listener waits for the head
            return
        if not self._passes and message.get("more_body") and not self.whole:
            await self._pass_on()
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._passes:
            piece = self._piece(body) + (b"" if more else self._end())
            return await self.send({**message, "body": piece})
        self.body += body
        if not more:
            if len(self.body) < LONG:
                self._squeeze()
            else:
                await to_thread.run_sync(self._squeeze)
            if self.whole:
                self.whole(self)
            await sent(self.send, {**self.start, "headers": [*self.start["headers"]]}, self.body)

    async def _pass_on(self) -> None:
        self._passes = True
        await self.send(self.start)

    def _squeeze(self) -> None:
        headers = self.start["headers"]
        if not TEXT.match(header(headers, b"content-type")) or header(headers, b"content-encoding"):
            return
        ours = {}
        if self.encoding and len(self.body) >= LEAST:
            self.body = self.ways[self.encoding](self.body)
            ours = {b"content-encoding": self.encoding.encode(), b"content-length": str(len(self.body)).encode()}
        self._told(ours)

    def _told(self, ours: dict[bytes, bytes]) -> None:
        """Put these headers into the answer's, and that they hang on what is accepted."""
        headers = self.start["headers"]
        ours[b"vary"] = b", ".join(filter(None, (header(headers, b"vary"), b"accept-encoding")))
        self.start["headers"] = [pair for pair in headers if pair[0].lower() not in ours] + [*ours.items()]


async def sent(send: Send, start: Message, body: bytes) -> None:
    await send(start)
    await send({"type": "http.response.body", "body": body})
