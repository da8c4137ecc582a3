"""Several channels in, several out: every output cell adds up one window of every channel."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from explorer.components.base import Piece, packed, script


@dataclass(frozen=True)
class Channels:
    """What a ChannelsPlayer shows, one step per output cell.

    sources (C_in, H, W), as padded; kernels (C_out, C_in, k, k) as applied; targets (C_out, H', W').
    ghost: bool (H, W), the cells of the sources that are padding. patches: int (steps, k * k), cells of the window.
    names: of the channels in. labels: one per step.
    """

    sources: np.ndarray
    kernels: np.ndarray
    targets: np.ndarray
    ghost: np.ndarray
    patches: np.ndarray
    names: tuple[str, ...]
    labels: tuple[str, ...]


class ChannelsPlayer(Piece):
    """Shows `Channels`: a row for each channel in, a column of kernels for each one out, the outputs below."""

    def __init__(self, label: str, *, height: int = 420, value: Channels | None = None, render: bool = False):
        style = Path(__file__).with_name("window_player.css").read_text("utf-8")
        own = Path(__file__).with_suffix(".css").read_text("utf-8")
        super().__init__(
            f'<div class="player channels" tabindex="0" role="group" aria-label="{label}"><style>{style}{own}</style>'
            f'<div class="boards table" style="min-height:{height}px"></div></div>',
            script("transport", "cells", "board", "channels"),
            name="channels-piece",
            value=value,
            render=render,
            label=label,
        )

    def postprocess(self, value: Channels | None) -> dict[str, Any] | None:
        if value is None:
            return None
        return {
            "shapes": [list(a.shape) for a in (value.sources, value.kernels, value.targets)],
            "sources": packed(value.sources, "f4"),
            "kernels": packed(value.kernels, "f4"),
            "targets": packed(value.targets, "f4"),
            "ghost": packed(value.ghost, "u1"),
            "patches": packed(value.patches, "i2"),
            "names": list(value.names),
            "labels": list(value.labels),
        }
