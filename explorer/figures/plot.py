"""A plotly figure as plain data: what `plotly.graph_objects.Figure` makes, without its checks at every move.

The tests hand each figure to `plotly.graph_objects.Figure`, which refuses a property or a value that plotly lacks.
"""

from collections.abc import Callable
from typing import Any

from plotly.io.json import to_json_plotly


class Figure:
    """Traces and a layout, changed by the methods of plotly's own class."""

    def __init__(self, layout: dict[str, Any]):
        self.data: list[dict[str, Any]] = []
        self.layout = layout

    def __getattr__(self, name: str) -> Callable[..., None]:
        """``add_bar``, ``add_scatter``, ``add_heatmap`` ...: a trace of that type."""
        if not name.startswith("add_"):
            raise AttributeError(name)
        return lambda **trace: self.data.append({"type": name.removeprefix("add_"), **trace})

    def add_annotation(self, **annotation: Any) -> None:
        self.layout.setdefault("annotations", []).append(annotation)

    def add_shape(self, **shape: Any) -> None:
        self.layout.setdefault("shapes", []).append(shape)

    def update_layout(self, **changes: Any) -> None:
        merge(self.layout, changes)

    def update_xaxes(self, **changes: Any) -> None:
        self.update_axes("xaxis", changes)

    def update_yaxes(self, **changes: Any) -> None:
        self.update_axes("yaxis", changes)

    def update_axes(self, kind: str, changes: dict[str, Any]) -> None:
        for name in [name for name in self.layout if name.startswith(kind)]:
            merge(self.layout[name], changes)

    def to_dict(self) -> dict[str, Any]:
        return {"data": self.data, "layout": self.layout}

    def to_json(self) -> str:
        return str(to_json_plotly(self.to_dict()))


def merge(old: dict[str, Any], changes: dict[str, Any]) -> None:
    """Bring ``changes`` into ``old``, dictionaries within dictionaries."""
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            merge(old[name], value)
        else:
            old[name] = value
