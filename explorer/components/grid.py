"""Editable numbers: the widget of a small `grid` setting."""

from typing import Any

from explorer.components.table import Table
from explorer.settings import Spec


class GridInput(Table):
    """A table of number fields."""

    def __init__(self, spec: Spec, *, value: Any = None, render: bool = True):
        super().__init__(spec, "grid", '<div class="grid-cells"></div>', value=value, render=render)
