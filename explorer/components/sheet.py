"""A table of pictures, one setting across and another down: the widget of an X/Y grid."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.components.base import Piece, packed, script, style


@dataclass(frozen=True)
class Cell:
    """row, column: its place. pixels: uint8 (H, W, 3). query: the address of its settings. note: what it is."""

    row: int
    column: int
    pixels: np.ndarray
    query: str
    note: str


@dataclass(frozen=True)
class Sheet:
    """across, down: the name of each setting and its values. side: of every picture, in pixels.

    cells: those drawn so far; with ``start`` above 0 those before it are kept from the value before (a stream).
    """

    across: tuple[str, tuple[str, ...]]
    down: tuple[str, tuple[str, ...]]
    side: int
    cells: tuple[Cell, ...] = ()
    start: int = 0


class SheetPiece(Piece):
    """Shows a `Sheet`; a press on a picture opens its settings."""

    def __init__(self, label: str):
        super().__init__(
            f'{style("sheet")}<div class="xy" role="group" aria-label="{label}" style="min-height:420px">'
            '<p class="xy-title"></p><div class="xy-scroll" tabindex="0" role="region" aria-label="The grid"><table>'
            '</table></div><p class="xy-hint"><button type="button" class="quiet"></button> '
            "Press a picture to open its settings.</p></div>",
            script("pixels", "sheet"),
            name="xy-piece",
            label=label,
        )

    def postprocess(self, value: Sheet | None) -> dict[str, Any] | None:
        if value is None:
            return None
        return {
            "across": list(value.across),
            "down": list(value.down),
            "side": value.side,
            "start": value.start,
            "cells": [
                {"at": [c.row, c.column], "data": packed(c.pixels, "u1"), "query": c.query, "note": c.note}
                for c in value.cells
            ],
        }
