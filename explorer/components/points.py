"""Particles in the plane, step by step, on a canvas with the shared transport bar."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.components.base import Piece, as_text, packed, script


@dataclass(frozen=True)
class Cloud:
    """What Points shows.

    positions: float (steps, N, 2), or (steps, panels, N, 2) for clouds side by side; x to the right, y up.
    labels: one per step. extent: (x_low, x_high, y_low, y_high). titles: one per panel.
    colours: (N,) indices into the project's colours (0 signal, 1 noise, 2 prediction, 3 guidance), or None.
    field: (H, W) density drawn behind, first row at the top, or None; or several, (F, H, W), each in shades of its own.
    behind: (steps, panels) which of several fields; None is the first, everywhere.
    arrows: (steps, A, 4), each from x, y to x, y, drawn in the panel `arrows_in`.
    contours: for every step its lines, each (P, 2) of x and y; or None.
    paths: particles whose way so far is drawn, thinly where they are many.
    at: the step to open with; None keeps the step on the screen.
    """

    positions: np.ndarray
    labels: tuple[str, ...]
    extent: tuple[float, float, float, float]
    titles: tuple[str, ...] = ("",)
    colours: np.ndarray | None = None
    field: np.ndarray | None = None
    behind: np.ndarray | None = None
    arrows: np.ndarray | None = None
    arrows_in: int = 0
    contours: Sequence[Sequence[np.ndarray]] | None = None
    paths: tuple[int, ...] = ()
    at: int | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.positions)
        if len(shape) not in (3, 4) or shape[-1] != 2:
            raise ValueError(f"positions must be (steps, N, 2) or (steps, panels, N, 2), got {shape}")
        panels = shape[1] if len(shape) == 4 else 1
        if (shape[0], panels) != (len(self.labels), len(self.titles)):
            raise ValueError(
                f"positions {shape} need {shape[0]} labels and {panels} titles, "
                f"got {len(self.labels)} and {len(self.titles)}"
            )
        if self.behind is not None and np.shape(self.behind) != (shape[0], panels):
            raise ValueError(f"behind must be {(shape[0], panels)}, got {np.shape(self.behind)}")


class Points(Piece):
    """Shows a `Cloud`; `height` is the room kept for the picture."""

    def __init__(self, label: str, *, height: int = 420):
        super().__init__(
            f'<div class="player points" tabindex="0" role="group" aria-label="{label}">'
            f'<div class="panels" style="min-height:{height}px"></div></div>',
            f"const HEIGHT = {height};\n" + script("pixels", "transport", "points"),
            name="points-piece",
            label=label,
        )

    def postprocess(self, value: Cloud | None) -> str | None:
        if value is None:
            return None
        positions = np.asarray(value.positions)
        positions = positions[:, None] if positions.ndim == 3 else positions
        density = None if value.field is None else np.asarray(value.field, dtype=np.float64)
        top = 1.0 if density is None else np.maximum(density.max((-2, -1), keepdims=True), 1e-300)
        told = {
            "shape": list(positions.shape),
            "labels": list(value.labels),
            "titles": list(value.titles),
            "extent": list(value.extent),
            "colours": None if value.colours is None else packed(value.colours, "u1"),
            "field": None if density is None else packed(255 * density / top, "u1"),
            "field_shape": None if density is None else list(density.shape),
            "behind": None if value.behind is None else packed(value.behind, "u1"),
            "arrows": None if value.arrows is None else packed(value.arrows, "f4"),
            "arrows_in": value.arrows_in,
            "contours": None if value.contours is None else lines_of(value.contours),
            "paths": list(value.paths),
            "at": value.at,
            "data": packed(placed(positions, value.extent), "u2"),
        }
        return as_text(told)


def placed(positions: np.ndarray, extent: Sequence[float]) -> np.ndarray:
    """Positions (..., 2) in 65534 steps, from as far before the extent as it is long to as far behind it, where what
    is farther off ends up; 65535 is nowhere. A step is a thirtieth of a pixel on a screen of 700.
    """
    low, high = np.array(extent[::2]), np.array(extent[1::2])
    steps = np.rint(65534 * (np.asarray(positions, dtype=np.float64) - (2 * low - high)) / (3 * (high - low)))
    return np.where(np.isnan(steps), 65535, steps.clip(0, 65534))


def lines_of(contours: Sequence[Sequence[np.ndarray]]) -> dict[str, Any]:
    """The lines of all steps in one array, and how many points each line of each step has."""
    flat = [line for step in contours for line in step]
    return {
        "lengths": [[len(line) for line in step] for step in contours],
        "data": packed(np.concatenate([*flat, np.empty((0, 2))]), "f4"),
    }
