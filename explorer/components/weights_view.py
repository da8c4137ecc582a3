"""A resized picture to point at: the patch of the old picture a new pixel is made of, and the weight of each part."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.components.base import Piece, as_text, digest, packed, script, style


@dataclass(frozen=True)
class Resampling:
    """What a WeightsView shows.

    source, target: float (H, W, 3) and (H', W', 3), 0 black and 1 white. titles: theirs.
    rows, cols: what each new row (column) takes of each old one, (H', H) and (W', W).
    at: the pixel (row, column) shown until one is pointed at.
    """

    source: np.ndarray
    target: np.ndarray
    rows: np.ndarray
    cols: np.ndarray
    titles: tuple[str, str]
    at: tuple[int, int]

    def __post_init__(self) -> None:
        sides = self.target.shape[0], self.source.shape[0], self.target.shape[1], self.source.shape[1]
        if (*self.rows.shape, *self.cols.shape) != sides:
            raise ValueError(
                f"{self.source.shape} to {self.target.shape} needs weights {sides[:2]} and {sides[2:]}, "
                f"got {self.rows.shape} and {self.cols.shape}"
            )


class WeightsView(Piece):
    """Shows a `Resampling`."""

    holds = True

    def __init__(self, label: str):
        super().__init__(
            f'{style("weights_view")}<div class="weights" tabindex="0" role="group" aria-label="{label}">'
            '<div class="sheet" style="min-height:600px"><div class="parts">'
            '<figure><figcaption></figcaption><canvas role="img" aria-label="before" class="source"></canvas></figure>'
            '<figure><figcaption>weights</figcaption><div class="taps"></div></figure></div>'
            '<figure><figcaption></figcaption><canvas role="img" aria-label="after" class="target"></canvas></figure>'
            "</div>"
            '<p class="weights-says" aria-live="polite"></p></div>',
            script("pixels", "svg", "cells", "weights_view"),
            name="weights-piece",
            label=label,
        )

    def postprocess(self, value: Resampling | None, held: Collection[str] = ()) -> str | None:
        """As JSON. Of pictures and weights that are ``held``, the name alone."""
        if value is None:
            return None
        source, target = (np.clip(p * 255 + 0.5, 0, 255).astype("u1") for p in (value.source, value.target))
        name = digest(source, target, value.rows, value.cols)
        told: dict[str, Any] = {"hash": name, "titles": value.titles, "at": value.at}
        if name not in held:
            told |= {"shapes": [source.shape, target.shape], "rows": band(value.rows), "cols": band(value.cols)}
            told |= {"source": packed(source, "u1"), "target": packed(target, "u1")}
        return as_text(told)


def band(weights: np.ndarray) -> dict[str, Any]:
    """The weights that are not 0: for each new pixel the first old one that counts, and as many as the widest needs."""
    used = np.abs(weights) > 1e-12
    first, end = used.argmax(1), weights.shape[1] - used[:, ::-1].argmax(1)
    taps = int((end - first).max())
    first = np.minimum(first, weights.shape[1] - taps)
    values = np.take_along_axis(weights, first[:, None] + np.arange(taps), 1)
    return {"first": packed(first, "i2"), "taps": taps, "values": packed(values, "f4")}
