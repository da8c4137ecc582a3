"""A button that draws anew: the widget of a whole number with the look "button", which it counts up."""

from explorer.components.base import Piece, script
from explorer.settings import Spec


class Again(Piece):
    """Its value counts the presses; a second button leads back to the default."""

    def __init__(self, spec: Spec):
        super().__init__(
            f'<div class="again"><button type="button" class="quiet next">{spec.label}</button> '
            f'<button type="button" class="quiet back">{spec.hint or "back"}</button></div>',
            f"const LOW = {spec.low}, HIGH = {spec.high}, FIRST = {spec.default};\n" + script("again"),
            name="again-piece",
            value=spec.default,
            render=True,
            label=spec.label,
        )
