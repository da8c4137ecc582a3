"""A picture chosen by its name, or one's own: the widget of a `choice` with ``own``."""

import html
from typing import Any

from gradio.components.base import server

from explorer.components.base import Piece, script, style
from explorer.settings import Spec
from explorer.uploads import MOST_BYTES, data_address, own_square, received


class PictureInput(Piece):
    """Its value is one of the names, or the data address of a PNG file: the middle square of the visitor's picture."""

    def __init__(self, spec: Spec):
        names = "".join(f"<option>{html.escape(name)}</option>" for name in spec.options)
        super().__init__(
            f'{style("table")}<fieldset class="grid-input own-picture"><legend>{spec.label}</legend>'
            f'<select aria-label="{spec.label}">{names}<option value="data:" hidden>your own</option></select>'
            '<button type="button" class="wide">Own picture …</button><input type="file" accept="image/*" hidden>'
            '<p class="told" role="status"></p></fieldset>',
            f"const BYTES = {MOST_BYTES};\n" + script("upload", "picture_input"),
            name="picture-piece",
            value=spec.default,
            render=True,
            label=spec.label,
        )

    @server
    def reduce(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A picture ``file`` (base64) as a data address, ``picture``, its ``side`` and a ``note``; or the ``error``."""
        try:
            planes, note = own_square(received(asked.get("file")))
            return {"picture": data_address(planes), "side": planes.shape[1], "note": note}
        except ValueError as error:
            return {"error": str(error)}
