"""A plotly figure that keeps its zoom between updates, drawn by the plotly.js that ships inside plotly.py."""

import json
from typing import Any

from explorer.components.base import Piece, script
from explorer.figures.style import ON_DARK, TEXT_ON_LIGHT


class LivePlot(Piece):
    """Shows a `plotly.graph_objects.Figure`; `height` in CSS pixels is kept from the start.

    label: what it shows, to those who do not see it, unless a figure says it as its `layout.meta`, like one `named`.
    half: two of these in a row share a line of the stage where there is room.
    """

    def __init__(self, label: str, *, height: int = 380, half: bool = False):
        source = json.dumps("plotly.min.js")  # `explorer.server` has it, relative to the app's root
        super().__init__(
            f'<div class="live-plot" role="img" aria-label="{label}" style="height:{height}px"></div>',
            f"const PLOTLY = {source}, ON_DARK = {json.dumps(ON_DARK)}, TEXT_ON_LIGHT = {json.dumps(TEXT_ON_LIGHT)};\n"
            + script("plot_moves", "live_plot"),
            name="plot-piece",
            label=label,
        )
        if half:
            self.elem_classes.append("half")

    def postprocess(self, value: Any) -> str | None:
        return None if value is None else value.to_json()


def named(name: str, figure: Any) -> Any:
    """The same figure, where a place shows different ones: what this one shows, to those who do not see it."""
    figure.update_layout(meta=name)
    return figure
