"""What the widgets of a `grid` setting share: rows of numbers, named tables to fill them, rows and columns to add."""

import html
import json
from typing import Any

from explorer.components.base import Piece, Rows, script, style
from explorer.settings import Spec


class Table(Rows, Piece):
    """A setting's rows of numbers in the place ``board``, drawn by the script ``kind``; its value is a list of rows.

    axes: what can be added and taken away, each with its word for the visitor; never fewer than ``least``.
    tools: HTML beside their buttons. scripts: that ``kind`` needs. constants: for them, besides MOST, LEAST, LOW, HIGH
    and FILLS.
    """

    def __init__(
        self,
        spec: Spec,
        kind: str,
        board: str,
        *,
        axes: dict[str, str] | None = None,
        least: int = 1,
        tools: str = "",
        scripts: tuple[str, ...] = (),
        **constants: Any,
    ):
        names = "".join(f"<option>{html.escape(name)}</option>" for name, _ in spec.fills)
        own = '<option value="">your own</option>'
        fill = f'<select aria-label="Fill the {spec.label.lower()} with">{own}{names}</select>'
        hint = f'<span class="hint">{spec.hint}</span>' if spec.hint else ""
        steppers = "".join(
            f'<span class="stepper">{word} <button type="button" data-axis="{axis}" data-by="-1" '
            f'aria-label="Fewer {word}">−</button><output class="{axis}"></output><button type="button" '
            f'data-axis="{axis}" data-by="1" aria-label="More {word}">+</button></span>'
            for axis, word in ({"rows": "rows", "columns": "columns"} if axes is None else axes).items()
        )
        known = {"MOST": spec.max_side, "LEAST": least, "LOW": spec.low, "HIGH": spec.high, "FILLS": dict(spec.fills)}
        super().__init__(
            f'{style("table")}<fieldset class="grid-input {kind}"><legend>{spec.label}</legend>'
            f'{fill if spec.fills else ""}{hint}{board}<div class="table-tools">{steppers}{tools}</div>'
            f'<p class="told" role="status"></p></fieldset>',
            "".join(f"const {name} = {json.dumps(value)};\n" for name, value in (known | constants).items())
            + script("svg", "cells", "table", *scripts, kind),
            name=f"{kind}-piece",
            value=spec.default,
            render=True,
            label=spec.label,
        )
