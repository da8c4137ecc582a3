"""The Python of a screen as a Jupyter notebook, saved by the browser; the server keeps no file."""

import json
from typing import Any

from explorer import __version__
from explorer.components.base import Piece, script


def notebook(title: str, question: str, code: str) -> dict[str, Any]:
    """A notebook (nbformat 4.5) that says what the screen asks and where it runs, and has its code.

    No cell installs the project: it is on no index, and whoever took its name there would run code in the notebook.
    """
    asks = (
        f"# {title}\n\n{question}\n\nThe numbers of the screen, computed anew. This notebook runs where Diffusion "
        f"Explorer {__version__} is installed: in its folder, `uv run --with jupyterlab jupyter lab` opens it."
    )
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
        "cells": [cell("about", asks, "markdown"), cell("code", code)],
    }


def cell(name: str, source: str, kind: str = "code") -> dict[str, Any]:
    empty = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"id": name, "cell_type": kind, "metadata": {}, "source": source, **empty}


class Notebook(Piece):
    """A button that saves the code it was given last as `name`.ipynb."""

    def __init__(self, name: str, title: str, question: str):
        self.about = title, question
        super().__init__(
            '<button type="button" class="quiet">Open as notebook</button><span class="saved" role="status"></span>',
            f"const NAME = {name!r};\n" + script("notebook"),
            name="notebook-piece",
            render=True,
        )

    def postprocess(self, value: str | None) -> str | None:
        return None if value is None else json.dumps(notebook(*self.about, value), ensure_ascii=False, indent=1)
