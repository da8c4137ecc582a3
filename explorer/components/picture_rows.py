"""A table with pictures in its cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.components.base import Piece, packed, script, style


@dataclass(frozen=True)
class Rows:
    """heads: one per column. rows: cells of text, or of pixels: float (H, W) or (H, W, 3), 0 black and 1 white."""

    heads: tuple[str, ...]
    rows: Sequence[Sequence[str | np.ndarray]]

    def __post_init__(self) -> None:
        if any(len(row) != len(self.heads) for row in self.rows):
            raise ValueError(f"every row needs {len(self.heads)} cells, got {[len(row) for row in self.rows]}")


class PictureRows(Piece):
    """Shows `Rows`."""

    def __init__(self, label: str):
        super().__init__(
            f'{style("picture_rows")}<table class="picture-rows" aria-label="{label}" style="min-height:600px">'
            "<thead></thead><tbody></tbody></table>",
            script("pixels", "picture_rows"),
            name="rows-piece",
            label=label,
        )

    def postprocess(self, value: Rows | None) -> dict[str, Any] | None:
        if value is None:
            return None
        return {"heads": list(value.heads), "rows": [[cell(one) for one in row] for row in value.rows]}


def cell(content: str | np.ndarray) -> str | dict[str, Any]:
    """Text as it is, pixels as bytes."""
    if isinstance(content, str):
        return content
    return {
        "shape": [*np.shape(content), 1][:3],
        "data": packed(np.clip(np.nan_to_num(content) * 255 + 0.5, 0, 255), "u1"),
    }
