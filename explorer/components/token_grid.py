"""The places of a prompt as the text tower reads them: a mark, a word, nothing; and the words that did not fit."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from explorer.components.base import Piece, script, style


@dataclass(frozen=True)
class Place:
    """number: from 0, or -1 for a word that was cut. id: the token's. kind: what became of it."""

    number: int
    id: int
    text: str
    kind: Literal["mark", "known", "unknown", "padding", "cut"]


class TokenGrid(Piece):
    """Shows a sequence of `Place`; ``height`` is the room kept for them."""

    def __init__(self, label: str, *, height: int):
        super().__init__(
            f'{style("token_grid")}<div class="token-grid" style="min-height:{height}px">'
            f'<ol class="places" start="0" aria-label="{label}"></ol><p class="cut-title" hidden></p>'
            '<ol class="places lost" aria-label="Words that were cut" hidden></ol></div>',
            script("token_grid"),
            name="token-grid-piece",
            label=label,
        )

    def postprocess(self, value: Sequence[Place] | None) -> list[dict[str, Any]] | None:
        return None if value is None else [asdict(place) for place in value]
