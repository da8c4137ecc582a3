"""A grid of cells to paint, type into, fill or read from a picture of one's own: the widget of a large `grid`.

Or a brush: see-through cells over the picture that an `Underlay` laid under them.
"""

from typing import Any

from gradio.components.base import server

from explorer.components.table import Table
from explorer.settings import Spec
from explorer.uploads import MOST_BYTES, ONE_AT_A_TIME, read_picture, received, reduced


class PaintInput(Table):
    """Cells of a picture, coloured by their value."""

    def __init__(self, spec: Spec):
        self.most = spec.max_side
        over = spec.look == "brush"
        start = min(spec.high, 3) if over else 1
        ink = f'<label>paint with <input class="ink" value="{start:g}" inputmode="decimal"></label>'
        wide = '<label>brush <select class="reach" aria-label="Width of the brush, in cells"><option>1</option>'
        own = '<button type="button" class="wide">Own picture …</button><input type="file" accept="image/*" hidden>'
        super().__init__(
            spec,
            "paint",
            f'<div class="paint-board{" over" * over}{" signed" * (spec.low < 0)}" tabindex="0" role="application" '
            'aria-roledescription="cells to paint"></div>',
            axes={} if over else None,
            tools=ink
            + (f"{wide}<option selected>3</option><option>5</option></select></label>" if over else own)
            + '<output class="reading"></output>',
            scripts=("upload",),
            BYTES=MOST_BYTES,
            OVER=over,
        )

    @server
    def reduce(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A picture ``file`` (base64) as ``cells``, rows x cols, with a ``note``; or the ``error`` for the visitor."""
        rows, cols = (asked.get(name, 0) for name in ("rows", "cols"))
        try:
            if not all(isinstance(side, int) and 1 <= side <= self.most for side in (rows, cols)):
                raise ValueError(f"the picture can be reduced to 1 to {self.most} rows and columns")
            file = received(asked.get("file"))
            with ONE_AT_A_TIME:
                picture, note = read_picture(file)
                return {"cells": reduced(picture, rows, cols), "note": note}
        except ValueError as error:
            return {"error": str(error)}
