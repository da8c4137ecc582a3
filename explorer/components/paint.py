"""A grid of cells to paint, type into, fill or read from a picture of one's own: the widget of a large `grid`."""

import base64
import binascii
import html
import json
from pathlib import Path
from typing import Any

from gradio.components.base import server

from explorer.components.base import Piece, script
from explorer.settings import Spec
from explorer.uploads import MOST_BYTES, read_picture, reduced


class PaintInput(Piece):
    """Its value is a list of rows; rows and columns are chosen apart, up to ``spec.max_side``."""

    def __init__(self, spec: Spec, *, value: Any = None, render: bool = True):
        style = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")
        names = '<option value="">your own</option>' + "".join(
            f"<option>{html.escape(name)}</option>" for name, _ in spec.fills
        )
        steppers = "".join(
            f'<span class="stepper">{short} <button type="button" data-axis="{axis}" data-by="-1" '
            f'aria-label="Fewer {axis}">−</button><output class="{axis}"></output><button type="button" '
            f'data-axis="{axis}" data-by="1" aria-label="More {axis}">+</button></span>'
            for axis, short in (("rows", "rows"), ("columns", "cols"))
        )
        self.most = spec.max_side
        super().__init__(
            f"<style>{style}</style>"
            f'<fieldset class="grid-input paint"><legend>{spec.label}</legend>'
            f'<select aria-label="Fill the {spec.label.lower()} with">{names}</select>'
            f'<div class="paint-board" tabindex="0" role="application" aria-roledescription="cells to paint"></div>'
            f'<div class="paint-tools">{steppers}<label>paint with <input class="ink" type="number" value="1" '
            f'step="any"></label><button type="button" class="wide">Own picture …</button>'
            f'<output class="reading"></output></div><input type="file" accept="image/*" hidden>'
            f'<p class="paint-message" role="status"></p></fieldset>',
            f"const MOST = {spec.max_side}, LOW = {spec.low}, HIGH = {spec.high}, BYTES = {MOST_BYTES}, "
            f"FILLS = {json.dumps(dict(spec.fills))};\n" + script("cells", "paint"),
            name="paint-piece",
            value=spec.default if value is None else value,
            render=render,
            label=spec.label,
        )

    def postprocess(self, value: Any) -> list[list[float]] | None:
        return None if value is None else [list(row) for row in value]

    @server
    def reduce(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A picture ``file`` (base64) as ``cells``, rows x cols, with a ``note``; or the ``error`` for the visitor."""
        file, rows, cols = (asked.get(name, 0) for name in ("file", "rows", "cols"))
        try:
            if not isinstance(file, str) or len(file) > 2 * MOST_BYTES:
                raise ValueError(f"a picture may have at most {MOST_BYTES / 1e6:g} MB: save it smaller")
            if not all(isinstance(side, int) and 1 <= side <= self.most for side in (rows, cols)):
                raise ValueError(f"the picture can be reduced to 1 to {self.most} rows and columns")
            picture, note = read_picture(base64.b64decode(file, validate=True))
            return {"cells": reduced(picture, rows, cols), "note": note}
        except binascii.Error:
            return {"error": "the file did not arrive whole; try again"}
        except ValueError as error:
            return {"error": str(error)}

    def api_info(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
