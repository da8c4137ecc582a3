"""The finished picture to take home, and how its prompt was read."""

import base64
from dataclasses import dataclass
from typing import Any

from explorer.components.base import Piece, script


@dataclass(frozen=True)
class Result:
    """png: the bytes of the file, None while there is no picture; name: what to call it.

    tokens: (text, what became of it) with "mark", "known", "unknown" or "cut".
    """

    tokens: tuple[tuple[str, str], ...]
    png: bytes | None = None
    name: str = "picture.png"


class ResultPiece(Piece):
    """Shows a `Result`: the tokens as a row, and a link that saves the PNG."""

    def __init__(self, label: str, *, render: bool = False):
        super().__init__(
            f'<div class="result" role="group" aria-label="{label}"><ol class="tokens" aria-label="Tokens"></ol>'
            '<a class="quiet download" role="link" aria-disabled="true">Download PNG</a></div>',
            script("result"),
            name="result-piece",
            render=render,
            label=label,
        )

    def postprocess(self, value: Result | None) -> dict[str, Any] | None:
        if value is None:
            return None
        png = None if value.png is None else base64.b64encode(value.png).decode()
        return {"tokens": [list(token) for token in value.tokens], "png": png, "name": value.name}
