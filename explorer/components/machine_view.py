"""The whole machine: a box for each part, with the tensor in it; a box opens the view that explains it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.components.base import Piece, packed, script, style


@dataclass(frozen=True)
class Box:
    """One part of the machine.

    name: where it stands: prompt, tokens, states, noise, latent, unet, decoder or picture. shape: of its tensor.
    opens: the option of the first setting that explains it. text: shown in place of a picture.
    pixels: float (steps or 1, H, W, 3), 0 black and 1 white. notes: one for each step, or one.
    """

    name: str
    title: str
    shape: str
    opens: str
    text: str = ""
    pixels: np.ndarray | None = None
    notes: tuple[str, ...] = ("",)


@dataclass(frozen=True)
class Machine:
    """What a MachineView shows. labels: one per step; counter: what the step counter says, one per step."""

    boxes: tuple[Box, ...]
    labels: tuple[str, ...]
    counter: tuple[str, ...]

    def __post_init__(self) -> None:
        n = len(self.labels)
        for box in self.boxes:
            frames = 1 if box.pixels is None else len(box.pixels)
            if frames not in (1, n) or len(box.notes) not in (1, n) or len(self.counter) != n:
                raise ValueError(f"{box.name} needs 1 or {n} frames and notes, got {frames} and {len(box.notes)}")


class MachineView(Piece):
    """Shows a `Machine` of the tab ``tab``."""

    def __init__(self, label: str, tab: str):
        super().__init__(
            f'{style("machine_view")}<div class="player machine" tabindex="0" role="group" aria-label="{label}">'
            '<div class="machine-sheet" style="min-height:520px"></div></div>',
            f"const TAB = {tab!r};\n" + script("pixels", "transport", "machine_view"),
            name="machine-piece",
            label=label,
        )

    def postprocess(self, value: Machine | None) -> dict[str, Any] | None:
        if value is None:
            return None
        boxes = [
            {
                "name": box.name,
                "title": box.title,
                "shape": box.shape,
                "opens": box.opens,
                "text": box.text,
                "notes": list(box.notes),
                "size": None if box.pixels is None else list(box.pixels.shape),
                "data": None if box.pixels is None else packed(np.clip(box.pixels * 255 + 0.5, 0, 255), "u1"),
            }
            for box in value.boxes
        ]
        return {"boxes": boxes, "labels": list(value.labels), "counter": list(value.counter)}
