"""Where the picture looks for each word: the network's own attention as light on the picture, step by step."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.components.base import Piece, packed, script, style


@dataclass(frozen=True)
class Looks:
    """What an AttentionView shows.

    pictures: (steps, H, W, 3) in [-1, 1], what lies under the light.
    maps: name of a layer -> its attention in [0, 1], (steps, heads, side, side, tokens).
    tokens: their texts. labels: one per step. at: the token shown first.
    """

    pictures: np.ndarray
    maps: dict[str, np.ndarray]
    tokens: tuple[str, ...]
    labels: tuple[str, ...]
    at: int = 1

    def __post_init__(self) -> None:
        wanted = (len(self.labels), len(self.tokens))
        for name, maps in self.maps.items():
            if maps.ndim != 5 or (maps.shape[0], maps.shape[4]) != wanted or maps.shape[2] != maps.shape[3]:
                raise ValueError(
                    f"the maps of {name} must be ({wanted[0]}, heads, side, side, {wanted[1]}), got {maps.shape}"
                )
        if self.pictures.ndim != 4 or len(self.pictures) != len(self.labels):
            raise ValueError(f"pictures must be ({len(self.labels)}, H, W, 3), got {self.pictures.shape}")


def levels(maps: np.ndarray) -> np.ndarray:
    """Numbers of [0, 1] as whole numbers of two bytes; in float32, for half precision has no 65,535."""
    return np.clip(maps.astype("f4") * 65535 + 0.5, 0, 65535)


class AttentionView(Piece):
    """Shows a `Looks`."""

    def __init__(self, label: str):
        super().__init__(
            f'{style("attention_view")}<div class="player looks" tabindex="0" role="group" aria-label="{label}">'
            '<div class="looks-tools"><label>Layer <select class="layer"></select></label>'
            '<label>Head <select class="head"></select></label>'
            '<button type="button" class="quiet bare">map alone</button></div>'
            '<div class="looks-sheet" style="min-height:460px"><figure><canvas role="img" class="large">'
            '</canvas></figure><ol class="looks-words" aria-label="Tokens"></ol></div>'
            '<p class="looks-says" aria-live="polite"></p></div>',
            script("pixels", "transport", "attention_view"),
            name="looks-piece",
            label=label,
        )

    def postprocess(self, value: Looks | None) -> dict[str, Any] | None:
        if value is None:
            return None
        return {
            "shape": list(value.pictures.shape),
            "pictures": packed(np.clip(value.pictures * 127.5 + 128, 0, 255), "u1"),
            "maps": [
                {"name": name, "shape": list(maps.shape), "data": packed(levels(maps), "u2")}
                for name, maps in value.maps.items()
            ],
            "tokens": list(value.tokens),
            "labels": list(value.labels),
            "at": value.at,
        }
