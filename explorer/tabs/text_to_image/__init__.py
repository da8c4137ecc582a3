"""Text to image: a sentence steers noise into a picture, step by step, and everything inside can be looked at."""

import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

from gradio.events import api

from explorer import frame, models, runs
from explorer.components.attention_view import AttentionView
from explorer.components.live_plot import LivePlot
from explorer.components.machine_view import MachineView
from explorer.components.picture_rows import PictureRows
from explorer.components.pictures import Pictures
from explorer.components.player import Player
from explorer.components.progress import ProgressBar
from explorer.components.result import ResultPiece
from explorer.components.route import RouteTable
from explorer.components.sheet import SheetPiece
from explorer.components.token_grid import TokenGrid
from explorer.components.underlay import Underlay
from explorer.components.views import Views
from explorer.frame import View
from explorer.ideas import Idea, Ideas
from explorer.settings import opening
from explorer.tabs.text_to_image import change, clip, draw, dream, grid, guidance, latents, machine, vocabulary, words
from explorer.tabs.text_to_image.lending import seconds
from explorer.tabs.text_to_image.records import reader
from explorer.tabs.text_to_image.settings import (
    ATTENTION,
    OF_MODEL,
    PRESETS,
    SPOKEN,
    Settings,
    deaf,
    idle,
    made_for,
    wanted,
)

__all__ = ["NAME", "PRESETS", "Settings", "build", "code", "endpoint", "result", "seconds", "stream", "update"]

NAME = "text_to_image"
TITLE = "Text to image"
START = "Generate"
TOGETHER = 16  # runs at a time: `explorer.broker` answers their network calls together
QUESTION = "How does a sentence become a picture? Start from noise, and let the words say what to take away."
SOURCE = r"""
- Lecture 003, *Illustrated text-to-image*: the picture information creator, conditioning, "without text, with text".
- Latent diffusion: Rombach et al. (2022), arXiv 2112.10752. The words enter through cross-attention; in
  the embedded model also as one vector, added to the time: Saharia et al. (2022), arXiv 2205.11487, section 2.5.
- Guidance: Ho & Salimans (2022), arXiv 2207.12598, equation 6. Their $w$ is $s-1$: at $s=1$ ($w=0$) there is no
  guidance, at $s=0$ the words are not read at all.
- Guidance that changes on the way: Wang et al. (2024), arXiv 2404.13040 (rising, falling); Kynkäänniemi et al. (2024),
  arXiv 2404.07724 (an interval). Lecture 004: captions by cross-attention; attention: Vaswani et al. (2017), arXiv
  1706.03762, equation 1.
- A style pressed beside the prompt, as concepts are composed: Liu et al. (2022), arXiv 2206.01714. What "fx style, on a
  blue background" says over "on a blue background" is added $k\,(s-1)$ times, where $s$ is above 1.
- Samplers: DDPM (Ho et al. 2020), DDIM (Song et al. 2021), Euler and Heun (Karras et al. 2022), DPM-Solver++ (Lu et al.
  2022).
- CLIP: Radford et al. (2021), arXiv 2103.00020, figure 3, here a small one, trained with the embedded model. A picture
  moved toward a sentence by it, and why through crops: Crowson et al. (2022), arXiv 2204.08583. Its spectrum: Olah,
  Mordvintsev & Schubert (2017), *Feature Visualization*, Distill. A search among pictures by their vectors, in lecture
  004 among LAION's: Schuhmann et al. (2022), arXiv 2210.08402.
- Deep Dream: Mordvintsev, Olah & Tyka (2015), *Inceptionism: Going Deeper into Neural Networks*, Google Research. What
  a gradient makes a classifier see in a picture of something else: Szegedy et al. (2014), arXiv 1312.6199.
- Image to image: SDEdit, Meng et al. (2022), arXiv 2108.01073. Inpainting: what is kept is put into every guess, as in
  Avrahami et al. (2023), *Blended latent diffusion*, arXiv 2206.02779. The arc between two noises: Shoemake (1985).
"""


def understood(idea: Idea, *read: str) -> Idea:
    """The same idea, whose last screen says first in which of these fields no word was understood."""
    steps = idea.walk
    if steps is None:
        return idea

    def walk(s: Settings) -> Iterator[View | None]:
        for view in steps(s):
            yield view if view is None or view.check is None else replace(view, notice=deaf(s, *read) + view.notice)

    return replace(idea, walk=walk)


IDEAS: dict[str, Idea] = {
    **{name: understood(idea, "negative") for name, idea in draw.IDEAS.items()},  # of its prompt it says more
    **{
        name: understood(idea, *(field for field in SPOKEN if field in idea.uses))
        for ideas in (grid, guidance, machine, change, latents)
        for name, idea in ideas.IDEAS.items()
    },
    **{name: understood(idea, *("prompt", "negative") * (name == ATTENTION)) for name, idea in words.IDEAS.items()},
    **clip.IDEAS,
    **dream.IDEAS,
}
TAB = Ideas(IDEAS, idle, start=START)
stream, result, code = TAB.stream, TAB.result, TAB.code
endpoint = draw.endpoint()
FOLLOWED = {"model": wanted}  # another model brings its own settings along


def update(settings: Settings) -> View:
    """The screen at once; before a run it says too what the model is made for, if there are several."""
    view = TAB.update(settings)
    idea = IDEAS[settings.view]
    if idea.show is not None or "model" not in idea.uses:
        return view
    return replace(view, notice=f"{view.notice}\n{made_for(settings)}".strip())


def presets(cls: type) -> dict[str, Any]:
    """The presets with the defaults of ``cls`` in place of those of `Settings`."""
    usual = Settings()
    return {
        name: cls(**{f.name: getattr(s, f.name) for f in fields(s) if getattr(s, f.name) != getattr(usual, f.name)})
        for name, s in PRESETS.items()
    }


def build() -> None:
    """The tab. `explorer.models.offer` says before it what it draws with; it opens with what that model wants."""
    wants = models.defaults()
    opened: Any = opening(Settings, **{name: wants[name] for name in OF_MODEL if name in wants})
    module = SimpleNamespace(**vars(sys.modules[__name__]))
    module.Settings, module.PRESETS, module.endpoint = opened, presets(opened), draw.endpoint(opened)
    module.SOURCE = SOURCE + vocabulary.listed()
    stage = {
        "progress": ProgressBar("Sampling"),
        "route": RouteTable("Steps of the walk"),
        "player": Player("Noise turning into a picture, with the model's guess beside it", height=436, saves="steps"),
        "moved": Player("A picture on its way, moved by a gradient", height=300, saves="moves"),
        "result": ResultPiece("Tokens, download, and what was made before", reader=reader(opened)),
        "sheet": SheetPiece("A grid of two settings"),
        "tokens": TokenGrid("The places of the prompt", height=300),
        "attention": AttentionView("Where the picture looks for each token"),
        "panels": Player("What the network says without the words, with them, and guided", height=250),
        "pictures": Pictures("Pictures side by side", columns=4, side=256, height=240),
        "plot": LivePlot("The plot of this view", height=400),
        "machine": MachineView("The whole machine, a tensor in every box", NAME),
        "amounts": PictureRows("Training examples: noise amount, noisy latent, noise"),
        "examples": PictureRows("Training examples with text: step, image, text, noise sample"),
        "underlay": Underlay(),
        "views": Views(NAME, TAB.showing(opened())),
    }
    page = frame.tab(module, stage)
    # The numbers of any view; `endpoint` gives the picture itself.
    inside = SimpleNamespace(NAME=f"{NAME}_inside", QUESTION=QUESTION, Settings=opened, update=result)
    with page:
        answer = runs.answered(inside.NAME, runs.lent(module, frame.endpoint(inside, long=True)))
        api(answer, api_name=inside.NAME, **frame.heavily(module))
