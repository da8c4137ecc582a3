"""Points to draw in the plane with the pointer or the keys: the widget of a `grid` of points."""

import html
import json

from explorer.components.base import Piece, Rows, script, style
from explorer.settings import Spec


class Dots(Rows, Piece):
    """Its value is a list of [x, y], each between ``spec.low`` and ``spec.high``, at most ``spec.max_side`` of them."""

    def __init__(self, spec: Spec):
        names = "".join(f"<option>{html.escape(name)}</option>" for name, _ in spec.fills)
        hint = f'<span class="hint">{spec.hint}</span>' if spec.hint else ""
        super().__init__(
            f'{style("dots")}<fieldset class="dots"><legend>{spec.label}</legend>{hint}'
            f'<select aria-label="Fill the drawing with"><option value="">your own</option>{names}</select>'
            '<div class="dots-board" tabindex="0" role="application" aria-roledescription="points to draw"></div>'
            '<div class="dots-tools"><button type="button" data-do="undo">Undo</button>'
            '<button type="button" data-do="clear">Clear</button><output></output></div></fieldset>',
            f"const MOST = {spec.max_side}, LOW = {spec.low}, HIGH = {spec.high}, "
            f"FILLS = {json.dumps(dict(spec.fills))};\n" + script("svg", "dots"),
            name="dots-piece",
            value=spec.default,
            render=True,
            label=spec.label,
        )
