"""Bars to draw with the pointer or the arrow keys: the widget of a `grid` of one row."""

from explorer.components.table import Table
from explorer.settings import Spec


class Pad(Table):
    """Its value is a list of one row of numbers between ``spec.low`` and ``spec.high``."""

    def __init__(self, spec: Spec):
        board = (
            '<div class="pad-board" tabindex="0" role="application" aria-roledescription="bars to draw"></div>'
            '<output class="hint reading"></output>'
        )
        super().__init__(spec, "pad", board, axes={"columns": "bars"}, least=2)
