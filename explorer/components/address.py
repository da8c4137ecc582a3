"""The two small pieces of a tab's heading: its address with Copy link, and its preset chips."""

import html
from typing import Any

from explorer.components.base import Piece, script


class Word(Piece):
    """A piece whose value is text."""

    def preprocess(self, payload: Any) -> str:
        if not isinstance(payload, str):
            raise ValueError(f"wanted text, got {type(payload).__name__}")
        return payload


class Address(Word):
    """Holds the query part of the tab's address, keeps the browser's address bar current, and copies the link.

    Its input event asks the tab to read the address anew.
    """

    def __init__(self, value: str):
        super().__init__(
            '<button type="button" class="quiet copy-link">Copy link</button>',
            script("address"),
            name="address-piece",
            value=value,
            render=True,
        )


class Chips(Word):
    """Preset names as buttons; the value is the chosen one, or "" when the settings are no preset's."""

    def __init__(self, names: tuple[str, ...]):
        buttons = "".join(
            f'<button type="button" class="chip" aria-pressed="false">{html.escape(name)}</button>' for name in names
        )
        super().__init__(
            f'<div class="chips" role="group" aria-label="Presets">{buttons}</div>'
            f'<button type="button" class="quiet more" aria-expanded="false" hidden>all {len(names)} presets</button>',
            script("chips"),
            name="chips-piece",
            value=names[0],
            render=True,
        )
