"""Which steps of a plan are walked: one cell a step, those left out struck through."""

from dataclasses import dataclass
from typing import Any

from explorer.components.base import Piece, script, style


@dataclass(frozen=True)
class Route:
    """steps: (its time, the share of noise there in percent, whether it is walked), in order. end: the time after."""

    steps: tuple[tuple[int, float, bool], ...]
    end: int = 0


class RouteTable(Piece):
    """Shows a `Route`."""

    def __init__(self, label: str):
        super().__init__(
            f'{style("route")}<div class="route"><p class="route-caption"></p><ol aria-label="{label}"></ol></div>',
            script("route"),
            name="route-piece",
            label=label,
        )

    def postprocess(self, value: Route | None) -> dict[str, Any] | None:
        return None if value is None else {"steps": [list(step) for step in value.steps], "end": value.end}
