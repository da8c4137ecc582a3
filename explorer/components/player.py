"""A player of pictures or grids of numbers: the whole trajectory is sent once and scrubbed in the browser."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from explorer.components.base import Piece, packed, script


@dataclass(frozen=True)
class Trajectory:
    """What a Player shows.

    frames: float (steps, panels, H, W), or (steps, panels, H, W, 3) for colour.
    titles: one per panel. labels: one per step, shown under the scrub bar.
    range: the values shown as black and white ("pixels"), or whose larger size is full colour ("cells").
    at: the step to open with; None keeps the step on the screen.
    start: the number of the first of these frames; those before it are kept from the value before (a stream).
    """

    frames: np.ndarray
    titles: tuple[str, ...]
    labels: tuple[str, ...]
    range: tuple[float, float] = (-1.0, 1.0)
    kind: Literal["pixels", "cells"] = "pixels"
    at: int | None = None
    start: int = 0

    def __post_init__(self) -> None:
        shape = np.shape(self.frames)
        if len(shape) not in (4, 5) or (len(shape) == 5 and shape[4] != 3):
            raise ValueError(f"frames must be (steps, panels, H, W) or (steps, panels, H, W, 3), got {shape}")
        if shape[:2] != (len(self.labels), len(self.titles)):
            raise ValueError(
                f"frames {shape} need {shape[0]} labels and {shape[1]} titles, "
                f"got {len(self.labels)} and {len(self.titles)}"
            )


class Player(Piece):
    """Shows a `Trajectory`; `height` is the room kept for the panels before the first one arrives."""

    def __init__(self, label: str, *, height: int = 320, value: Trajectory | None = None, render: bool = False):
        super().__init__(
            f'<div class="player" tabindex="0" role="group" aria-label="{label}">'
            f'<div class="panels" style="min-height:{height}px"></div></div>',
            f"const HEIGHT = {height};\n" + script("transport", "cells", "player"),
            name="player-piece",
            value=value,
            render=render,
            label=label,
        )

    def postprocess(self, value: Trajectory | None) -> dict[str, Any] | None:
        return None if value is None else payload(value)


def payload(value: Trajectory) -> dict[str, Any]:
    """A trajectory as JSON: pixels as bytes 0..255, cells as float32."""
    frames = np.asarray(value.frames)
    low, high = value.range
    if value.kind == "pixels":
        scaled = np.nan_to_num((frames.astype(np.float32) - low) * (255 / (high - low)), nan=0.0)
        data = packed(np.clip(scaled + 0.5, 0, 255), "u1")
    else:
        data = packed(frames, "f4")
    return {
        "kind": value.kind,
        "shape": [*frames.shape, 1][:5],
        "titles": list(value.titles),
        "labels": list(value.labels),
        "range": [low, high],
        "at": value.at,
        "start": value.start,
        "data": data,
    }
