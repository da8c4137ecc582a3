"""How far a long computation is, and how long it will still take."""

from dataclasses import asdict, dataclass
from typing import Any

from explorer.components.base import Piece, script


@dataclass(frozen=True)
class Progress:
    """done of total; what is being done; left: seconds, or None while unknown."""

    done: int
    total: int
    doing: str = ""
    left: float | None = None


class ProgressBar(Piece):
    """Shows a `Progress`; its place is kept while nothing runs."""

    def __init__(self, label: str):
        super().__init__(
            f'<div class="progress"><div class="progress-bar" role="progressbar" aria-label="{label}" '
            'aria-valuemin="0" aria-valuemax="100"><div></div></div><p class="progress-text"></p></div>',
            script("progress"),
            name="progress-piece",
            label=label,
        )

    def postprocess(self, value: Progress | None) -> dict[str, Any] | None:
        return None if value is None else asdict(value)
