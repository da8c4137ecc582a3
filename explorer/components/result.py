"""The finished pictures to take home, how their prompt was read, and those made before in this visit."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gradio.components.base import server

from explorer.components.base import Piece, script, style
from explorer.components.player import Trajectory, payload
from explorer.uploads import MOST_BYTES, received

MOST = 24  # pictures kept for a visit


@dataclass(frozen=True)
class Result:
    """png: the bytes of the file, None while there is no picture; name: what to call it.

    tokens: (text, what became of it) with "mark", "known", "unknown" or "cut".
    more: (name, bytes) of the other pictures of a batch. full: show the files too, since the player reduces them.
    query, title, picture: the address ("" if none leads back to it), the words and the frame under which the browser
    keeps it for this visit.
    """

    tokens: tuple[tuple[str, str], ...]
    png: bytes | None = None
    name: str = "picture.png"
    more: tuple[tuple[str, bytes], ...] = ()
    full: bool = False
    query: str = ""
    title: str = ""
    picture: Trajectory | None = None


class ResultPiece(Piece):
    """Shows a `Result`: the tokens as a row, a link that saves each PNG, and a strip of what was made before.

    reader: from the bytes of a PNG to the address in it, ``query``, and a ``note``; with it, such a file can be opened
    or dropped on the tab.
    """

    def __init__(self, label: str, *, reader: Callable[[bytes], dict[str, str]] | None = None):
        self.reader = reader
        opens = '<button type="button" class="quiet wide">Open a PNG …</button><input type="file" accept=".png" hidden>'
        super().__init__(
            f'{style("result")}<div class="result" role="group" aria-label="{label}">'
            '<ol class="tokens" aria-label="Tokens"></ol><div class="take">'
            '<a class="quiet download" role="link" aria-disabled="true">Download PNG</a>'
            f'{opens if reader else ""}</div><p class="told" role="status"></p><div class="files"></div>'
            '<p class="made-title" hidden>Made in this visit: press one to have it back</p>'
            '<ol class="made" aria-label="Pictures made in this visit"></ol></div>',
            f"const BYTES = {MOST_BYTES}, MOST = {MOST};\n" + script("pixels", "upload", "result"),
            name="result-piece",
            label=label,
        )

    @server
    def reduce(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The address that a PNG ``file`` (base64) carries, and a ``note``; or the ``error``."""
        try:
            if self.reader is None:
                raise ValueError("no file is read here")
            return dict(self.reader(received(asked.get("file"))))
        except ValueError as error:
            return {"error": str(error)}

    def postprocess(self, value: Result | None) -> dict[str, Any] | None:
        if value is None:
            return None
        files = [(value.name, value.png), *value.more] if value.png is not None else []
        return {
            "tokens": [list(token) for token in value.tokens],
            "files": [{"name": name, "data": base64.b64encode(data).decode()} for name, data in files],
            "full": value.full,
            "query": value.query,
            "title": value.title,
            "picture": None if value.picture is None else payload(value.picture),
        }
