"""Text that changes with every move."""

from explorer.components.base import Piece, script


class Prose(Piece):
    """Shows HTML; what has not changed of what stands there is left alone."""

    def __init__(self, name: str) -> None:
        super().__init__('<div class="lines"></div>', script("become", "prose"), name=name, render=True)
