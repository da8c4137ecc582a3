"""Pictures side by side with what each is worth; pointing at one magnifies the same place in all of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.components.base import Piece, as_text, digest, packed, script, style


@dataclass(frozen=True)
class Picture:
    """pixels: float (H, W) or (H, W, 3), 0 black and 1 white. title above, note below; marked: the chosen one."""

    pixels: np.ndarray
    title: str
    note: str = ""
    marked: bool = False

    def __post_init__(self) -> None:
        shape = np.shape(self.pixels)
        if len(shape) not in (2, 3) or 0 in shape or (len(shape) == 3 and shape[2] != 3):
            raise ValueError(f"pixels must be (H, W) or (H, W, 3) with no empty side, got {shape}")


class Pictures(Piece):
    """Shows a sequence of `Picture`; `columns` at most in a row, each at most `side` CSS pixels wide."""

    holds = True

    def __init__(self, label: str, *, columns: int = 4, side: int = 240, height: int = 420):
        super().__init__(
            f'{style("pictures")}<div class="pictures" tabindex="0" role="group" aria-label="{label}">'
            f'<div class="sheet" style="min-height:{height}px"></div>'
            '<p class="pictures-hint"><button type="button" class="quiet"></button> '
            "Point at a picture, or press the arrow keys, to see the same place of all of them larger; Escape to stop."
            "</p></div>",
            f"const COLUMNS = {columns}, SIDE = {side};\n" + script("pixels", "pictures"),
            name="pictures-piece",
            label=label,
        )

    def postprocess(self, value: Sequence[Picture] | None, held: Collection[str] = ()) -> str | None:
        """Of a picture that is ``held``, all but its pixels."""

        def told(one: Picture) -> dict[str, Any]:
            pixels = np.fmin(np.fmax(one.pixels * 255.0 + 0.5, 0), 255).astype(np.uint8)  # NaN becomes 0
            name, about = digest(pixels), {"title": one.title, "note": one.note, "marked": one.marked}
            data = None if name in held else packed(pixels, "u1")
            return {"shape": [*pixels.shape, 1][:3], "hash": name, "data": data} | about

        return None if value is None else as_text([told(one) for one in value])
