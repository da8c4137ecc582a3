"""Gradio's slider, less its refusal of what was typed outside the range: that comes as a bare "Error"."""

from typing import Any

import gradio as gr

from explorer.components.base import Unstubbed


class Slider(gr.Slider, metaclass=Unstubbed):
    """Hands on what came; `settings.parse` says in words what is wrong with it."""

    def preprocess(self, payload: Any) -> Any:
        return payload
