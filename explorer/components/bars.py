"""Bars that change from step to step, the bell over them, and the pegs the coins fall through; drawn on a canvas."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.components.base import Piece, packed, script


@dataclass(frozen=True)
class Bars:
    """What a BarsPlayer shows.

    frames: one per step: (x of the first bar, distance between bars, heights (m,)). labels: one per step.
    x_range, y_range: fixed. x_name, y_name: titles; also what the reading under the pointer says.
    curve: (x, y) of the bell, or None. outline: the heights that are expected, as a frame, or None.
    paths: 0 or 1, (steps, rows): the way a ball falls in each step, right for 1; every row moves it half a bar.
    at: the step to open with; None keeps the step on the screen.
    tops: one per step: where y ends instead of at its range's end.
    """

    frames: Sequence[tuple[float, float, np.ndarray]]
    labels: tuple[str, ...]
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_name: str
    y_name: str
    curve: tuple[np.ndarray, np.ndarray] | None = None
    outline: tuple[float, float, np.ndarray] | None = None
    paths: np.ndarray | None = None
    at: int | None = None
    tops: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.labels):
            raise ValueError(f"{len(self.frames)} frames need as many labels, got {len(self.labels)}")


class BarsPlayer(Piece):
    """Shows `Bars`; `height` in CSS pixels is kept from the start."""

    def __init__(self, label: str, *, height: int = 460):
        super().__init__(
            f'<div class="player bars" tabindex="0" role="group" aria-label="{label}">'
            f'<canvas role="img" aria-label="{label}" style="display:block;width:100%;height:{height}px"></canvas>'
            "</div>",
            script("pixels", "transport", "bars"),
            name="bars-piece",
            label=label,
        )

    def postprocess(self, value: Bars | None) -> dict[str, Any] | None:
        if value is None:
            return None
        return {
            "first": [float(first) for first, _, _ in value.frames],
            "apart": [float(apart) for _, apart, _ in value.frames],
            "lengths": [len(heights) for _, _, heights in value.frames],
            "data": packed(np.concatenate([heights for _, _, heights in value.frames]), "f4"),
            "labels": list(value.labels),
            "x_range": list(value.x_range),
            "y_range": list(value.y_range),
            "tops": None if value.tops is None else list(value.tops),
            "names": [value.x_name, value.y_name],
            "curve": None if value.curve is None else packed(np.stack(value.curve), "f4"),
            "outline": None if value.outline is None else [*value.outline[:2], packed(value.outline[2], "f4")],
            "rows": 0 if value.paths is None else int(value.paths.shape[1]),
            "paths": None if value.paths is None else packed(value.paths, "u1"),
            "at": value.at,
        }
