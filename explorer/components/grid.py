"""Editable numbers: the widget of a `grid` setting."""

import html
import json
from typing import Any

from explorer.components.base import Piece, script
from explorer.settings import Spec


class GridInput(Piece):
    """A small table of number fields, which named tables can fill; its value is a list of rows."""

    def __init__(self, spec: Spec, *, value: Any = None, render: bool = True):
        names = "".join(f"<option>{html.escape(name)}</option>" for name, _ in spec.fills)
        own = '<option value="">your own</option>'
        fill = f'<select aria-label="Fill the {spec.label.lower()} with">{own}{names}</select>'
        hint = f'<span class="hint">{spec.hint}</span>' if spec.hint else ""
        super().__init__(
            f'<fieldset class="grid-input"><legend>{spec.label}</legend><div class="grid-size">'
            '<button type="button" data-by="-1" aria-label="Fewer rows and columns">−</button><output></output>'
            '<button type="button" data-by="1" aria-label="More rows and columns">+</button></div>'
            f'{fill if spec.fills else ""}{hint}<div class="grid-cells"></div></fieldset>',
            f"const MOST = {spec.max_side}, LOW = {spec.low}, HIGH = {spec.high}, "
            f"FILLS = {json.dumps(dict(spec.fills))};\n" + script("grid"),
            name="grid-piece",
            value=spec.default if value is None else value,
            render=render,
            label=spec.label,
        )

    def postprocess(self, value: Any) -> list[list[float]] | None:
        return None if value is None else [list(row) for row in value]

    def api_info(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
