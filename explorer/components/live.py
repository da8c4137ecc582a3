"""How moves of a tab's controls reach the server, and the answers the screen, for less than Gradio's events take."""

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import gradio as gr
import orjson
from fastapi import Response
from gradio.components.base import server

from explorer.components.base import Piece, script

LONGEST = 10_000  # letters of a move that others may make, too


class Call(NamedTuple):
    """What answers a move: outputs = fn(*inputs)."""

    fn: Callable[..., list[Any]]
    inputs: list[Any]
    outputs: list[Any]


class Live(Piece):
    """Answers moves of controls, one at a time, and of those that come meanwhile the last alone.

    Gradio gathers the values and hands the answer to those outputs that are no `Piece`. What is left out is the rest of
    its events: the search for each of their pieces, their status on the page, and what they do on the server.

    keeps: whether an answer hangs on nothing but what is asked, so that `explorer.server` may give it to others too.
    """

    def __init__(self, name: str, *, keeps: bool = False):
        self.name, self.keeps = name, keeps
        self.calls: list[Call] = []
        # The `js` of an event that goes Gradio's way: no move from before it is shown after it.
        self.overtaken = f"(...values) => window.explorer.moves.get({name!r}).overtaken(values)"
        # The same where the answer sets controls; ``set`` goes with the event after it.
        self.setting = f"(...values) => window.explorer.moves.get({name!r}).setting(values)"
        self.set = f"() => window.explorer.moves.get({name!r}).set()"
        super().__init__("", f"const NAME = {name!r};\n{script('live')}", name="live-piece", render=True)

    def on(
        self,
        moves: Sequence[Any],
        function: Callable[..., list[Any]],
        inputs: list[Any],
        outputs: list[Any],
        *,
        js: str = "(...values) => values",
        sets: bool = False,
    ) -> None:
        """Answer ``moves`` with ``outputs`` = function(*inputs), as `gradio.on` does.

        The last of the outputs is where the page says that it had no answer. js: the page's function that makes what is
        asked of the values of ``inputs``. sets: whether the answer sets controls, so that other moves made before it
        comes would be of what they then no longer say.
        """
        numbers = [piece._id if isinstance(piece, Piece) else 0 for piece in outputs]
        call = f"{{ call: {len(self.calls)}, numbers: {numbers}, sets: {str(sets).lower()} }}"
        ask = f"(...values) => window.explorer.move({self.name!r}, {call}, ({js})(...values))"
        self.calls.append(Call(function, inputs, outputs))
        for move in moves:  # an event each: Gradio searches the page for all that start one, whenever one of them does
            move(None, inputs, outputs, js=ask, queue=False, show_progress="hidden", api_visibility="private")

    @server
    def move(self, asked: Any) -> Response:
        """The outputs of a move as the page takes them.

        asked: {"call": which of ``calls``, "values": its inputs, "held": what the page has and need not be sent}.
        """
        try:
            fn, inputs, outputs = self.calls[asked["call"]]
            values = [field.preprocess(value) for field, value in zip(inputs, asked["values"], strict=True)]
            held = frozenset(map(str, asked.get("held", ())))
        except (LookupError, TypeError, ValueError, AttributeError, gr.Error) as error:
            return answer({"error": f"this is no move of the tab {self.name}: {error}"}, 400)
        shown = [sent(*pair, held) for pair in zip(outputs, fn(*values), strict=True)]
        return answer(shown, keep=not shown[-1])  # what was refused may have failed for once

    def kept_as(self, asked: Any) -> str | None:
        """What names the answer to a move for everyone; None if it may not be kept: pictures of a visitor's own are
        nobody else's."""
        if not self.keeps:
            return None
        told = json.dumps(asked, sort_keys=True)
        return None if len(told) > LONGEST or '"data:' in told else told


def sent(piece: Any, value: Any, held: Collection[str]) -> Any:
    """A value as the page takes it; what is skipped stays as it is."""
    if isinstance(value, dict) and value.get("__type__") == "update":
        return value
    return piece.postprocess(value, held) if getattr(piece, "holds", False) else piece.postprocess(value)


def answer(value: Any, status: int = 200, *, keep: bool = False) -> Response:
    headers = {} if keep else {"cache-control": "no-store"}
    body = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, headers, media_type="application/json")
