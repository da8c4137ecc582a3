"""Editable numbers: the widget of a `grid` setting."""

from typing import Any

from explorer.components.base import Piece, script
from explorer.settings import Spec


class GridInput(Piece):
    """A small table of number fields; its value is a list of rows."""

    def __init__(self, spec: Spec, *, value: Any = None, render: bool = True):
        super().__init__(
            f'<fieldset class="grid-input"><legend>{spec.label}</legend><div class="grid-size">'
            '<button type="button" data-by="-1" aria-label="Fewer rows and columns">−</button><output></output>'
            '<button type="button" data-by="1" aria-label="More rows and columns">+</button></div>'
            '<div class="grid-cells"></div></fieldset>',
            f"const MOST = {spec.max_side}, LOW = {spec.low}, HIGH = {spec.high};\n" + script("grid"),
            name="grid-piece",
            value=spec.default if value is None else value,
            render=render,
            label=spec.label,
        )

    def postprocess(self, value: Any) -> list[list[float]] | None:
        return None if value is None else [list(row) for row in value]

    def api_info(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
