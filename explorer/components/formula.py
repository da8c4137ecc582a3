"""The formula with its numbers, set by the KaTeX that ships inside Gradio."""

import json
from functools import cache
from pathlib import Path

import gradio as gr

from explorer.components.base import Piece, script


class Formula(Piece):
    """Shows lines of $$KaTeX$$ with an empty line between them; what has not changed of what is drawn is left alone."""

    def __init__(self) -> None:
        sources = f"const KATEX = {json.dumps(asset('auto-render-*.js'))}, STYLE = {json.dumps(asset('katex-*.css'))};"
        js = f"{sources}\n{script('become', 'formula')}"
        super().__init__('<div class="lines"></div>', js, name="formula", render=True)


@cache
def asset(pattern: str) -> str:
    """The path of one of Gradio's own files, from the app's root; of one that it lacks, where there is none."""
    folder = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
    return f"assets/{next((path.name for path in sorted(folder.glob(pattern))), pattern)}"
