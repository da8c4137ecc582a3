"""Text to image: a sentence steers noise into a picture, step by step, and everything inside can be looked at."""

import sys
from types import SimpleNamespace

from gradio.events import api

from explorer import frame
from explorer.components.player import Player
from explorer.components.progress import ProgressBar
from explorer.components.result import ResultPiece
from explorer.components.views import Views
from explorer.ideas import Idea, Ideas
from explorer.tabs.text_to_image import draw
from explorer.tabs.text_to_image.settings import PLACES, PRESETS, Settings, idle

__all__ = ["NAME", "PRESETS", "Settings", "build", "code", "endpoint", "result", "stream", "update"]

NAME = "text_to_image"
TITLE = "Text to image"
START = "Generate"
QUESTION = "How does a sentence become a picture? Start from noise, and let the words say what to take away."
SOURCE = r"""
- Lecture 003, *Illustrated text-to-image*: the picture information creator, conditioning, "without text, with text".
- Latent diffusion: Rombach et al. (2022), arXiv 2112.10752. The words enter through cross-attention.
- Guidance: Ho & Salimans (2022), arXiv 2207.12598, equation 6. Their $w$ is $s-1$: at $s=1$ ($w=0$) there is no
  guidance, at $s=0$ the words are not read at all.
- Samplers: DDPM (Ho et al. 2020), DDIM (Song et al. 2021), Euler and Heun (Karras et al. 2022), DPM-Solver++ (Lu et al.
  2022).
"""

IDEAS: dict[str, Idea] = {**draw.IDEAS}
TAB = Ideas(IDEAS, len(PLACES), idle, start=START)
update, stream, result, code = TAB.update, TAB.stream, TAB.result, TAB.code
endpoint = draw.endpoint()
# The numbers of any view; `endpoint` gives the picture itself.
inside = frame.endpoint(
    SimpleNamespace(NAME=f"{NAME}_inside", QUESTION=QUESTION, Settings=Settings, update=result)
)  # fmt: skip


def build() -> None:
    """The tab. `explorer.models.offer` says before it what it draws with."""
    stage = {
        "progress": ProgressBar("Sampling"),
        "player": Player("Noise turning into a picture, with the model's guess beside it", height=424),
        "result": ResultPiece("Tokens and download"),
    }
    page = frame.tab(
        sys.modules[__name__], stage=[*(stage[name] for name in PLACES), Views(NAME, TAB.showing(Settings()))]
    )
    with page:
        api(inside, api_name=f"{NAME}_inside", concurrency_id=frame.DEVICE, concurrency_limit=1)
