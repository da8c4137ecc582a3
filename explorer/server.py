"""What stands between the page and the world: which addresses are open, how much may be sent, what is said in answers.

One piece of ASGI around Gradio's own app, so that no route of Gradio's can be reached beside it.
"""

import json
import logging
import os
import re
import secrets
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, MutableMapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse

from explorer import __version__
from explorer.wire import FOR_EVER, QUICK, Message, Receive, Send, Wire, header, sent

if TYPE_CHECKING:
    import gradio as gr

    from explorer.components.live import Live

MOST_BODY = 8_000_000  # bytes of one request: two pictures of 2 MB in base64, and the rest
MOST_WAITING = 512  # runs in the queue, of everyone together
MOST_VISITORS = 2000  # remembered at a time, 84 kB each
MOST_OWN = 4  # runs in the queue, of one visitor
LOG = logging.getLogger("explorer")

# Of Gradio's routes, those that the page and gradio_client need. Not among them: proxy=, upload, stream, vibe-edit,
# process_recording, deep_link, token, monitoring, and whatever a later version may add.
OPEN = re.compile(
    r"/|/(config|theme\.css|login|logout|favicon\.ico|robots\.txt|manifest\.json|pwa_icon(/\d+)?)/?"
    r"|/(assets|static|svelte)/.+"
    r"|/gradio_api/(app_id|user|login_check|info|openapi\.json|theme\.css|startup-events|cancel|reset|component_server)/?"
    r"|/gradio_api/(run|api|call|queue|heartbeat|custom_component)/.+"
    r"|/gradio_api/file=(?!\w+:).+"  # what an endpoint has made; of an address elsewhere the server would fetch it
)
CALLS = re.compile(r"/gradio_api/(run|api|call|queue/join|component_server)\b|/login")
MOVES = re.compile(r"/gradio_api/component_server/?")
JOINS = re.compile(r"/gradio_api/(call|queue/join)\b")
# The page ends a run whose number it does not know yet: Gradio would refuse the null, and go on with the run.
ENDS = "/gradio_api/cancel", "/gradio_api/reset"
NOT_YET = re.compile(rb'"event_id"\s*:\s*null')

# Gradio's page has scripts and styles in its HTML, and makes functions of text for `gr.HTML`.
POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
}


def headers(space: bool) -> list[tuple[bytes, bytes]]:
    """The security headers of every answer. A Space is shown inside a page of its host."""
    framed = "'self' https://huggingface.co https://*.huggingface.co" if space else "'self'"
    policy = POLICY | {"frame-ancestors": framed}
    given = {
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
    }
    return [(name.encode(), value.encode()) for name, value in given.items()]


@dataclass
class Buckets:
    """A bucket of tokens for each address, filled at ``rate`` a second up to ``most``; each call takes one.

    Those of the addresses seen last are kept, ``addresses`` of them.
    """

    rate: float
    most: float
    addresses: int = 10_000
    clock: Callable[[], float] = time.monotonic
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def left(self, address: str) -> float:
        tokens, then = self._left.get(address, (self.most, self.clock()))
        return min(self.most, tokens + self.rate * (self.clock() - then))

    def take(self, address: str) -> bool:
        """Take a token, if there is one."""
        taken = self.left(address) >= 1
        self._pay(address, int(taken))
        return taken

    def charge(self, address: str) -> None:
        """Take a token, there or not: what is owed has to be filled up first."""
        self._pay(address, 1)

    def _pay(self, address: str, tokens: int) -> None:
        self._left[address] = self.left(address) - tokens, self.clock()
        self._left.move_to_end(address)
        while len(self._left) > self.addresses:
            self._left.popitem(last=False)


class Guard:
    """Gradio's app, with the rules of this module around it.

    demo: the page, whose queue is looked at. space: whether a Space's own limits stand before ours.
    """

    def __init__(self, app: Any, demo: "gr.Blocks", *, space: bool = False):
        self.wire, self.demo, self.space = Wire(app), demo, space
        self.moves = Wire(app, ways=QUICK)  # a drag asks for much, and for most of it once
        self.headers = headers(space)
        self.calls = Buckets(rate=300, most=3000)  # a whole class may stand behind one address
        self.runs = Buckets(rate=20, most=400)
        self.wrong_passwords = Buckets(rate=1 / 5, most=20)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.wire.app(scope, receive, send)
            return
        number, body = secrets.token_hex(6), b""
        scope.setdefault("state", {})["request_id"] = number
        answer = Answer(send, [*self.headers, (b"x-request-id", number.encode())], number)
        # Gradio echoes the request's own headers, cookies and all, when a part of a file is asked for.
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"range"]
        path, address = scope["path"], (scope.get("client") or ("-",))[0]
        if path == "/healthz":
            return await answer.json(200, self.health())
        if path == "/plotly.min.js":
            answer.cached = b"public, max-age=86400"
            key = path if scope["method"] == "GET" else None  # a HEAD's answer has no body to keep
            await self.wire(scope, receive, answer, key=key, app=FileResponse(plotly_js()))
            return
        if not OPEN.fullmatch(path) or ".." in path.split("/"):
            return await answer.refuse(404, "there is nothing at this address")
        if scope["method"] == "POST":
            received = await whole(receive)
            if received is None:
                return await answer.refuse(413, f"a request may have at most {MOST_BODY / 1e6:g} MB")
            body = received
            if complaint := self.too_much(path, address, body):
                answer.extra.append((b"retry-after", b"5"))
                return await answer.refuse(429, complaint)
            if path in ENDS and NOT_YET.search(body):
                body = self.numbered(body)
            receive = again(body, receive)
        try:
            if (moved := self.moved(scope, body)) is not None:
                piece, data = moved
                await self.move(piece, data, scope, receive, answer)
            else:
                await self.wire(scope, receive, answer, key=self.fixed(scope, answer))
        except Exception as error:
            if path in ENDS and isinstance(error, KeyError):  # Gradio's own: the run came to its end meanwhile
                return await answer.json(200, {"success": True})
            LOG.exception("failed", extra={"id": number, "event": "request"})
            await answer.broken()
        if path.startswith("/login") and answer.status == 400:
            self.wrong_passwords.charge(address)  # many may have been tried at once

    def fixed(self, scope: MutableMapping[str, Any], answer: "Answer") -> Hashable:
        """What names this answer if it is the same for everyone and for as long as the page is served; else None."""
        if scope["method"] != "GET":
            return None
        path = scope["path"]
        if path.startswith("/assets/"):  # their names hold a hash of what is in them
            answer.cached = FOR_EVER
            return path
        if path.startswith("/static/"):
            return path
        if path != "/" or self.demo.auth is not None:
            return None
        scope["query_string"] = b""  # it is for the page's scripts; Gradio has its own uses for some keys
        whence = (b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server")  # the page names its own root
        return path, scope["scheme"], scope.get("root_path"), *(header(scope["headers"], name) for name in whence)

    def moved(self, scope: MutableMapping[str, Any], body: bytes) -> tuple["Live", Any] | None:
        """The piece that answers a move of a control, and what it is asked; None if this is none, or if Gradio has to
        ask who is there.
        """
        if not MOVES.fullmatch(scope["path"]) or scope["method"] != "POST" or self.demo.auth is not None:
            return None
        from explorer.components.live import Live

        try:
            asked = json.loads(body)
            piece, data = self.demo.blocks[asked["component_id"]], asked["data"]
            return (piece, data) if isinstance(piece, Live) and asked["fn_name"] == "move" else None
        except (ValueError, TypeError, LookupError, RecursionError):
            return None

    async def move(
        self, piece: "Live", data: Any, scope: MutableMapping[str, Any], receive: Receive, answer: "Answer"
    ) -> None:
        """Answer a move: of all requests the most frequent, and what Gradio's routes do around it takes longer than a
        light tab. What a whole class asks, it is told from what is kept.
        """
        import gradio as gr
        from gradio.context import LocalContext

        async def computed(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            LocalContext.request.set(gr.Request(Request(scope)))
            shown = await to_thread.run_sync(piece.move, data, limiter=self.demo.limiter)
            await shown(scope, receive, send)

        began, told = time.perf_counter(), piece.kept_as(data)
        key = None if told is None else (piece._id, told)
        if await self.moves(scope, receive, answer, key=key, app=computed):
            ms = round(1000 * (time.perf_counter() - began), 1)
            said = {"id": answer.number, "tab": piece.name, "event": "move", "ms": ms, "outcome": "kept"}
            LOG.info("event", extra=said)

    def numbered(self, body: bytes) -> bytes:
        """The same request to end a run, with the number of the visitor's run of that function, "" if there is none."""
        try:
            asked = dict(json.loads(body))
        except (ValueError, TypeError):
            return body
        running = [one for batch in self.demo._queue.active_jobs for one in batch or ()]
        whose = asked.get("session_hash"), asked.get("fn_index")
        own = [one._id for one in (*running, *self.waiting()) if (one.session_hash, one.fn._id) == whose]
        return json.dumps(asked | {"event_id": own[0] if own else ""}).encode()

    def waiting(self) -> list[Any]:
        """The runs in Gradio's queues, of everyone."""
        return [one for queue in self.demo._queue.event_queue_per_concurrency_id.values() for one in queue.queue]

    def too_much(self, path: str, address: str, body: bytes) -> str:
        """Why this request has to wait, "" if it need not."""
        if path.startswith("/login") and self.wrong_passwords.left(address) < 1:
            return "too many wrong passwords from your address: wait a little"
        if not self.space and CALLS.match(path) and not self.calls.take(address):
            return "too many requests from your address: wait a few seconds"
        if not JOINS.match(path):
            return ""
        waiting = self.waiting()
        if len(waiting) >= MOST_WAITING:
            return f"{len(waiting)} runs are waiting already, more than can be served soon: try again in a minute"
        session = session_of(body)
        if session and sum(one.session_hash == session for one in waiting) >= MOST_OWN:
            return f"you have {MOST_OWN} runs waiting already: let one finish, or stop it"
        if not self.space and not self.runs.take(address):
            return "too many runs from your address: wait a few seconds"
        return ""

    def health(self) -> dict[str, Any]:
        queues = self.demo._queue.event_queue_per_concurrency_id.values()
        return {
            "status": "ok",
            "version": __version__,
            "waiting": len(self.waiting()),
            "running": sum(queue.current_concurrency for queue in queues),
        }


class Answer:
    """What Gradio sends, with our headers; what it says of a failure is replaced by words."""

    def __init__(self, send: Send, extra: list[tuple[bytes, bytes]], number: str):
        self.send, self.extra, self.number = send, extra, number
        self.status, self.held, self.body = 0, None, b""
        self.cached = b""  # how long whoever asks may keep the answer, if it is one

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            ours = {name for name, _ in self.extra}
            message["headers"] = [pair for pair in message.get("headers", []) if pair[0].lower() not in ours]
            message["headers"] += self.extra
            if self.cached and self.status == 200:
                message["headers"].append((b"cache-control", self.cached))
            if self.status >= 500:
                self.held = message
                return
        elif self.held is not None:
            self.body += message.get("body", b"")
            if message.get("more_body"):
                return
            start, self.held = self.held, None
            if not says(self.body):
                self.status = 0
                return await self.broken(start["status"])
            await self.send(start)
            message = {"type": "http.response.body", "body": self.body}
        await self.send(message)

    async def broken(self, status: int = 500) -> None:
        """Say that something failed, unless the answer has begun."""
        if self.status == 0:
            LOG.info("event", extra={"id": self.number, "event": "request", "outcome": "failed"})
            await self.refuse(status, f"this could not be answered; the log of the server has it as {self.number}")

    async def refuse(self, status: int, words: str) -> None:
        await self.json(status, {"error": words, "detail": words})  # what gradio_client and the page look for

    async def json(self, status: int, value: dict[str, Any]) -> None:
        self.status, body = status, json.dumps(value).encode()
        kind, length = (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())
        start = {"type": "http.response.start", "status": status, "headers": [kind, length, *self.extra]}
        await sent(self.send, start, body)


def says(body: bytes) -> bool:
    """Whether a failure comes with words of ours for who asked."""
    try:
        return bool(json.loads(body).get("error"))
    except (ValueError, AttributeError):
        return False


async def whole(receive: Receive) -> bytes | None:
    """The body of a request, None if it is too long."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MOST_BODY:
            return None
        if not message.get("more_body"):
            return body


def again(body: bytes, receive: Receive) -> Receive:
    """A body that has been read, to be read again; after it, whatever comes."""
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def session_of(body: bytes) -> str | None:
    """The page or client that sends a call: Gradio numbers them."""
    found = re.search(rb'"session_hash"\s*:\s*("(?:[^"\\]|\\.){1,400}")', body)
    try:
        return json.loads(found[1]) if found else None
    except ValueError:  # no JSON, which Gradio will refuse
        return None


def plotly_js() -> Path:
    """The plotly.js that ships inside plotly.py."""
    spec = find_spec("plotly")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"


def passwords(given: str | None) -> list[tuple[str, str]] | None:
    """Who may enter: USER:PASSWORD, or @FILE with one of them a line; None for everyone.

    Raises: ValueError if it is neither.
    """
    if not given:
        return None
    if given.startswith("@"):
        try:
            written = Path(given[1:]).read_text("utf-8-sig").splitlines()  # some editors begin a file with a mark
            lines = [line.strip() for line in written if line.strip()]
        except OSError as error:
            raise ValueError(f"the file of passwords cannot be read: {error}") from error
    else:
        lines = [given]
    pairs = [tuple(line.split(":", 1)) for line in lines]
    if not pairs or not all(len(pair) == 2 and all(pair) for pair in pairs):
        raise ValueError("wanted USER:PASSWORD, or @FILE with one of them a line")
    return pairs  # type: ignore[return-value]


class JsonLine(logging.Formatter):
    """One JSON object a line: time, level, what happened, its request id, tab, milliseconds and outcome.

    Neither addresses nor what visitors type are written down.
    """

    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z"
        line = {"time": when, "level": record.levelname.lower()}
        known = ("id", "tab", "event", "ms", "outcome")
        line |= {name: getattr(record, name) for name in known if hasattr(record, name)}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        elif not hasattr(record, "event"):
            line["message"] = record.getMessage()
        return json.dumps(line)


def write_log(to: str | None = None) -> None:
    """Failures go to standard error; with a file ("-": standard output), every event goes there, a line each."""
    for old in LOG.handlers[:]:
        LOG.removeHandler(old)
    LOG.propagate = False
    failures = logging.StreamHandler(sys.stderr)
    failures.setLevel(logging.ERROR)
    chosen: list[logging.Handler] = [failures]
    if to is not None:
        chosen.append(logging.StreamHandler(sys.stdout) if to == "-" else logging.FileHandler(to, encoding="utf-8"))
    for handler in chosen:
        handler.setFormatter(JsonLine())
        LOG.addHandler(handler)
    LOG.setLevel(logging.INFO if to is not None else logging.ERROR)


def forget(demo: "gr.Blocks") -> None:
    """Let Gradio keep no component's settings and last value for each visitor.

    It does so for deep links, which are not open here; of this page that is a megabyte and 60 ms for each new visitor,
    every picture last shown besides, and the same for each call that names no visitor.
    """
    from gradio.blocks import BlocksConfig

    class Shared(BlocksConfig):
        def __copy__(self) -> BlocksConfig:
            visitors = super().__copy__()
            visitors.config_for_block = lambda *_: {}  # type: ignore[method-assign]
            return visitors

    demo.default_config.__class__ = Shared


def options(demo: "gr.Blocks") -> dict[str, Any]:
    """What `Blocks.launch` has to be told, so that the page is served by the rules of this module."""
    from starlette.middleware import Middleware

    forget(demo)
    guard = Middleware(Guard, demo, space="SPACE_ID" in os.environ)  # type: ignore[arg-type]
    return {
        "app_kwargs": {"middleware": [guard]},
        "ssr_mode": False,
        "run_history": False,
        "show_error": False,
        "enable_monitoring": False,
        "max_file_size": "2mb",
        "state_session_capacity": MOST_VISITORS,
    }
