"""A grid of cells to paint, type into, fill or read from a picture of one's own: the widget of a large `grid`."""

from typing import Any

from gradio.components.base import server

from explorer.components.table import Table
from explorer.settings import Spec
from explorer.uploads import MOST_BYTES, read_picture, received, reduced


class PaintInput(Table):
    """Cells of a picture, coloured by their value."""

    def __init__(self, spec: Spec, *, value: Any = None, render: bool = True):
        self.most = spec.max_side
        super().__init__(
            spec,
            "paint",
            '<div class="paint-board" tabindex="0" role="application" aria-roledescription="cells to paint"></div>',
            tools='<label>paint with <input class="ink" value="1" inputmode="decimal"></label>'
            '<button type="button" class="wide">Own picture …</button><output class="reading"></output>'
            '<input type="file" accept="image/*" hidden>',
            value=value,
            render=render,
            scripts=("upload",),
            BYTES=MOST_BYTES,
        )

    @server
    def reduce(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A picture ``file`` (base64) as ``cells``, rows x cols, with a ``note``; or the ``error`` for the visitor."""
        rows, cols = (asked.get(name, 0) for name in ("rows", "cols"))
        try:
            if not all(isinstance(side, int) and 1 <= side <= self.most for side in (rows, cols)):
                raise ValueError(f"the picture can be reduced to 1 to {self.most} rows and columns")
            picture, note = read_picture(received(asked.get("file")))
            return {"cells": reduced(picture, rows, cols), "note": note}
        except ValueError as error:
            return {"error": str(error)}
