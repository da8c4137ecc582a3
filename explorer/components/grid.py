"""Editable numbers: the widget of a small `grid` setting."""

from explorer.components.table import Table
from explorer.settings import Spec


class GridInput(Table):
    """A table of number fields; one that begins as a square can grow on both sides at once."""

    def __init__(self, spec: Spec):
        square = {"size": "cells a side"} if len(spec.default) == len(spec.default[0]) else {}
        axes = square | {"rows": "rows", "columns": "columns"}
        super().__init__(spec, "grid", '<div class="grid-cells"></div>', axes=axes)
