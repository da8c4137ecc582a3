"""Several channels in, several out: every output cell adds up one window of every channel."""

from dataclasses import dataclass

import numpy as np

from explorer.components.base import Piece, payload, script, style


@dataclass(frozen=True)
class Channels:
    """What a ChannelsPlayer shows, one step per output cell.

    sources (C_in, H, W), as padded; kernels (C_out, C_in, k, k) as applied; targets (C_out, H', W').
    ghost: bool (H, W), the cells of the sources that are padding. patches: int (steps, k * k), cells of the window.
    titles: of the channels in. labels: one per step.
    """

    sources: np.ndarray
    kernels: np.ndarray
    targets: np.ndarray
    ghost: np.ndarray
    patches: np.ndarray
    titles: tuple[str, ...]
    labels: tuple[str, ...]


class ChannelsPlayer(Piece):
    """Shows `Channels`: a column (or a row) for each channel in, a row (column) of kernels for each one out, its output
    at the end."""

    def __init__(self, label: str):
        super().__init__(
            f'{style("window_player", "channels")}<div class="player channels" tabindex="0" role="group" '
            f'aria-label="{label}"><div class="boards table" style="min-height:420px"></div></div>',
            script("pixels", "transport", "svg", "cells", "board", "steps", "channels"),
            name="channels-piece",
            label=label,
        )

    def postprocess(self, value: Channels | None) -> str | None:
        return None if value is None else payload(value)
