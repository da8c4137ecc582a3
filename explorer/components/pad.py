"""Bars to draw with the pointer or the arrow keys: the widget of a `grid` of one row."""

from typing import Any

from explorer.components.base import Piece, script
from explorer.settings import Spec


class Pad(Piece):
    """Its value is a list of one row of numbers between ``spec.low`` and ``spec.high``."""

    def __init__(self, spec: Spec, *, value: Any = None, render: bool = True):
        super().__init__(
            f'<fieldset class="grid-input pad"><legend>{spec.label}</legend><div class="grid-size">'
            '<button type="button" data-by="-1" aria-label="One bar fewer">−</button><output></output>'
            '<button type="button" data-by="1" aria-label="One bar more">+</button></div>'
            '<div class="pad-board" tabindex="0" role="application" aria-roledescription="bars to draw" '
            'style="clear:both;touch-action:none;cursor:ns-resize"></div>'
            '<output class="hint" style="font-size:15px;color:var(--soft)"></output></fieldset>',
            f"const MOST = {spec.max_side}, LOW = {spec.low}, HIGH = {spec.high};\n" + script("pad"),
            name="pad-piece",
            value=spec.default if value is None else value,
            render=render,
            label=spec.label,
        )

    def postprocess(self, value: Any) -> list[list[float]] | None:
        return None if value is None else [list(row) for row in value]

    def api_info(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
