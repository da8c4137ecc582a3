"""A window that slides, or a kernel that stamps: one step per cell, scrubbed in the browser."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch

from core.convolution import Pair, ScatterStep, WindowStep
from explorer.components.base import Piece, payload, script, style


@dataclass(frozen=True)
class Windows:
    """What a WindowPlayer shows. Every step pairs one cell with a patch of cells, one for each tap of the kernel.

    kind: "gather": a patch of the source makes one target cell; "scatter": one source cell makes a patch of the target.
    source (H, W), kernel (k, k) as it is applied, target (H', W') as it is in the end.
    ghost: bool (H, W), the source cells that are not of the picture: padding, inserted zeros.
    patches: int (steps, k * k), index of each cell of the patch, -1 where it is cropped away.
    products: float (steps, k * k).
    after: float (steps, 1 or k * k), the target cell, or the target's patch, once the step is done.
    titles: of source, kernel and target. labels: one per step.
    """

    kind: Literal["gather", "scatter"]
    source: np.ndarray
    kernel: np.ndarray
    target: np.ndarray
    ghost: np.ndarray
    patches: np.ndarray
    products: np.ndarray
    after: np.ndarray
    titles: tuple[str, str, str]
    labels: tuple[str, ...]


def gather(
    steps: Sequence[WindowStep],
    source: np.ndarray,
    ghost: np.ndarray,
    kernel: np.ndarray,
    *,
    stride: Pair,
    dilation: Pair,
    titles: tuple[str, str, str],
) -> Windows:
    """The steps of a convolution over ``source``, which is the picture as padded."""
    values = stacked(steps, "value")
    return Windows(
        kind="gather",
        source=source,
        kernel=kernel,
        target=placed(steps),
        ghost=ghost,
        patches=windows_of(steps, source.shape[1], kernel.shape, stride, dilation),
        products=stacked(steps, "products"),
        after=values,
        titles=titles,
        labels=tuple(
            f"output[{step.row}, {step.col}] = {total} = {_digits(value, bare=True)}"
            for step, total, (value,) in zip(steps, _sums(steps, kernel), values.tolist(), strict=True)
        ),
    )


def stacked(steps: Sequence[Any], name: str) -> np.ndarray:
    """One tensor of every step, flat, as rows."""
    return torch.stack([getattr(step, name) for step in steps]).reshape(len(steps), -1).numpy()


def windows_of(
    steps: Sequence[WindowStep], width: int, taps: Sequence[int], stride: Pair, dilation: Pair
) -> np.ndarray:
    """Index of every cell that each step's window reads of a source so many cells wide: int (steps, k * k)."""
    (down, across), apart = _pair(stride), _pair(dilation)
    taps_y, taps_x = (a.ravel() * d for a, d in zip(np.indices(taps), apart, strict=True))
    rows, cols = np.array([(step.row, step.col) for step in steps]).T[:, :, None]
    return (rows * down + taps_y) * width + cols * across + taps_x


def placed(steps: Sequence[WindowStep]) -> np.ndarray:
    """The value of every step where the step says it stands: (..., H', W'), NaN where there is none."""
    rows, cols = np.array([(step.row, step.col) for step in steps]).T
    values = torch.stack([step.value for step in steps], dim=-1).numpy()
    target = np.full((*values.shape[:-1], rows.max() + 1, cols.max() + 1), np.nan)
    target[..., rows, cols] = values
    return target


def scatter(
    steps: Sequence[ScatterStep],
    source: np.ndarray,
    kernel: np.ndarray,
    *,
    stride: int,
    crop: tuple[int, int],
    dilation: int,
    titles: tuple[str, str, str],
) -> Windows:
    """The steps of a transposed convolution of ``source``; ``crop``: rows and columns cut away at the top and left."""
    target = steps[-1].output.numpy()
    taps_y, taps_x = (a.ravel() * dilation for a in np.indices(kernel.shape))
    patches, after = [], []
    for step in steps:
        y, x = step.row * stride - crop[0] + taps_y, step.col * stride - crop[1] + taps_x
        kept = (y >= 0) & (y < target.shape[0]) & (x >= 0) & (x < target.shape[1])
        patches.append(np.where(kept, y * target.shape[1] + x, -1))
        after.append(np.append(step.output.numpy().ravel(), 0.0)[patches[-1]])
    return Windows(
        kind="scatter",
        source=source,
        kernel=kernel,
        target=target,
        ghost=np.zeros(source.shape, dtype=bool),
        patches=np.array(patches),
        products=stacked(steps, "stamp"),
        after=np.array(after),
        titles=titles,
        labels=tuple(
            f"input[{step.row}, {step.col}] stamps {_digits(float(step.value), bare=True)} × kernel at "
            f"output[{step.row * stride - crop[0]}, {step.col * stride - crop[1]}]".replace("-", "−")
            for step in steps
        ),
    )


class WindowPlayer(Piece):
    """Shows a `Windows`; `height` is the room kept for the grids."""

    def __init__(self, label: str, *, height: int = 280):
        super().__init__(
            f'{style("window_player")}<div class="player windows" tabindex="0" role="group" aria-label="{label}">'
            f'<div class="boards" style="min-height:{height}px"></div></div>',
            script("pixels", "transport", "svg", "cells", "board", "steps", "window_player"),
            name="windows-piece",
            label=label,
        )

    def postprocess(self, value: Windows | None) -> str | None:
        return None if value is None else payload(value)


def _pair(value: Pair) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _sums(steps: Sequence[WindowStep], kernel: np.ndarray) -> Iterator[str]:
    """Each step's sum as far as it fits a line: factors and all, the products alone, or their number."""
    if kernel.size > 9:
        yield from [f"the sum of {kernel.size} products"] * len(steps)
    elif kernel.size > 4:
        for row in stacked(steps, "products").tolist():
            yield " + ".join(map(_digits, row))
    else:
        taps = kernel.ravel().tolist()
        for row in stacked(steps, "window").tolist():
            yield " + ".join(f"{_digits(a)}·{_digits(b)}" for a, b in zip(row, taps, strict=True))


@lru_cache(maxsize=4096)  # a picture has far fewer values than its windows have products
def _digits(value: float, *, bare: bool = False) -> str:
    """Three digits that count; whole numbers whole; negative ones in brackets unless bare."""
    rounded = float(f"{value:.3g}") + 0.0 if abs(value) < 1000 else round(value)
    shown = f"{rounded:.6g}".replace("-", "−")
    return shown if bare or value >= 0 else f"({shown})"
