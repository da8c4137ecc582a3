"""How moves of a tab's controls reach the server, and the answers the screen, for less than Gradio's events take."""

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import gradio as gr
import orjson
from fastapi import Response
from gradio.components.base import server
from gradio.context import Context

from explorer.components.base import Piece, script

LONGEST = 10_000  # letters of a move that others may make, too


class Call(NamedTuple):
    """What answers a move: outputs = fn(*inputs)."""

    fn: Callable[..., list[Any]]
    inputs: list[Any]
    outputs: list[Any]


class Live(Piece):
    """Answers moves of controls, one at a time, and of those that come meanwhile the last alone.

    Gradio tells the one control that has moved, and hands the answer to those outputs that are no `Piece`. What is left
    out is the rest of its events: the search for each of their inputs and pieces, their status on the page, and what
    they do on the server.

    fields: the controls, whose values the page keeps; each can be moved, and a call may take and set them all.
    keeps: whether an answer hangs on nothing but what is asked, so that `explorer.server` may give it to others too.
    """

    def __init__(self, name: str, fields: Sequence[Any], *, keeps: bool = False):
        self.name, self.fields, self.keeps = name, list(fields), keeps
        self.calls: list[Call] = []
        # The `js` of events that go Gradio's way. No move from before ``overtaken`` is shown after it, nor from before
        # ``setting``, whose answer sets controls; ``set`` goes with the event after that, and ``answered`` with the one
        # after ``chosen``, which overtakes, too. ``chosen``, ``set`` and ``put`` take the values of all controls, for
        # the page to keep.
        self.overtaken, self.setting, self.set, self.chosen, self.answered, self.put = (
            f"(...values) => window.explorer.moves.get({name!r}).{what}(values)"
            for what in ("overtaken", "setting", "set", "chosen", "answered", "put")
        )
        first = orjson.dumps([field.get_config().get("value") for field in self.fields]).decode()
        super().__init__(
            "", f"const NAME = {name!r}, FIRST = {first};\n{script('live')}", name="live-piece", render=True
        )

    def on(
        self,
        movers: Sequence[Any],
        function: Callable[..., list[Any]],
        inputs: list[Any],
        outputs: list[Any],
        *,
        js: str = "(...values) => values",
        sets: bool = False,
    ) -> list[Any]:
        """Answer the input of each of ``movers`` with ``outputs`` = function(*inputs), as `gradio.on` does.

        The last of the outputs is where the page says that it had no answer. inputs: all the controls, where a mover is
        one of them. js: the page's function that makes what is asked of the values of other ``inputs``. sets: whether
        the answer sets the controls, its first outputs, so that other moves made before it comes would be of what they
        then no longer say. Returns Gradio's events, one for each mover.
        """
        numbers = [piece._id if isinstance(piece, Piece) else 0 for piece in outputs]
        call = {"call": len(self.calls), "numbers": numbers, "sets": sets}
        self.calls.append(Call(function, inputs, outputs))
        events = []
        for mover in movers:  # an event each: Gradio searches the page for all that start one, whenever one does
            field = self.fields.index(mover) if mover in self.fields else None
            asks = f"{self.name!r}, {json.dumps(call | {'field': field})}, ({js})(...values)"
            given = inputs if field is None else [mover]
            ask = f"(...values) => window.explorer.move({asks})"
            event = mover.input(
                None, given, outputs, js=ask, queue=False, show_progress="hidden", api_visibility="private"
            )
            events.append(Context.root_block.fns[event["id"]])  # type: ignore[union-attr]
        return events

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
