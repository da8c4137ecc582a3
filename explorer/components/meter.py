"""How much is left at the end: shares of 1 as bars on a scale of powers of ten."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from explorer.components.base import Piece, script, style


@dataclass(frozen=True)
class Reading:
    """share: 0 to 1, the length of the bar. name: what is measured. verdict: what it means, and how grave it is."""

    share: float
    name: str
    verdict: str
    grave: Literal["fine", "careful", "wrong"]


class Meter(Piece):
    """Shows a sequence of `Reading`, from 0.001 to 1; ``marks`` are shares where the verdict changes."""

    def __init__(self, label: str, *, marks: Sequence[float]):
        super().__init__(
            f'{style("meter")}<div class="meter" role="group" aria-label="{label}" style="min-height:110px"></div>',
            f"const MARKS = {list(marks)};\n" + script("meter"),
            name="meter-piece",
            label=label,
        )

    def postprocess(self, value: Sequence[Reading] | None) -> list[dict[str, Any]] | None:
        return None if value is None else [vars(reading) for reading in value]
