"""One idea in view at a time: which pieces of the stage, and which controls, the chosen view needs."""

from dataclasses import dataclass
from typing import Any

from explorer.components.base import Piece, script


@dataclass(frozen=True)
class Showing:
    """pieces: names of the pieces of the stage to show. hidden: fields whose controls this view does not read,
    and classes of headings that stand over none."""

    pieces: tuple[str, ...]
    hidden: tuple[str, ...] = ()


class Views(Piece):
    """Takes no room itself; "views" in its stage. ``first`` is shown before the first value arrives."""

    def __init__(self, name: str, first: Showing):
        super().__init__(
            "<style>.views-piece { display: none !important; }</style>",
            f"const NAME = {name!r};\n" + script("views"),
            name="views-piece",
            value=first,
        )

    def postprocess(self, value: Showing | None) -> dict[str, Any] | None:
        return None if value is None else {"pieces": list(value.pieces), "hidden": list(value.hidden)}
