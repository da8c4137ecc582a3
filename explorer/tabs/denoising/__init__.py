"""Denoising: what the network sees and says, one shot against many steps, how it is built and how it learns."""

import sys
from types import SimpleNamespace

from explorer import frame
from explorer.components.live_plot import LivePlot
from explorer.components.pictures import Pictures
from explorer.components.player import Player
from explorer.components.points import Points
from explorer.components.progress import ProgressBar
from explorer.components.views import Views
from explorer.ideas import Idea, Ideas
from explorer.tabs.denoising import inside, sampling, seeing, training
from explorer.tabs.denoising.settings import (
    AMOUNT,
    EXACT,
    INSIDE,
    LEARN,
    LOSS,
    MEMORY,
    NORM,
    ONE_SHOT,
    PRESETS,
    SEES,
    STEP,
    Settings,
)

__all__ = ["NAME", "PRESETS", "Settings", "build", "code", "endpoint", "result", "stream", "update"]

NAME = "denoising"
TITLE = "Denoising"
START = "Run"
QUESTION = "What does the network see in the noise, and why is it asked many times instead of once?"
SOURCE = r"""
- Lecture 001, *From U-Nets to diffusion*: the experiment "generate an image from noise" (a U-Net trained to clean half
  noise in one go gives ink blots); the U-shape with and without skips; part 3: the noise amount as an input, group
  norm, GELU. Lecture 003, *Illustrated text-to-image*: one training step. Lecture 004: small changes are easier than
  everything at once.
- The three readings: Ho et al. (2020), arXiv 2006.11239, equation 15 (noise); Salimans & Ho (2022), arXiv 2202.00512,
  appendix D (velocity). Guidance: Ho & Salimans (2022), arXiv 2207.12598, equation 6.
- The exact denoiser of a data set: Karras et al. (2022), arXiv 2206.00364, equation 57.
- The U and its skips: Ronneberger et al. (2015), arXiv 1505.04597. Group norm: Wu & He (2018), arXiv 1803.08494.
  GELU: Hendrycks & Gimpel (2016), arXiv 1606.08415.
- Both networks were trained by this project on FashionMNIST (Xiao et al. 2017, arXiv 1708.07747), whose pictures are
  not part of it: `python -m core.training fashion-unet` and `fashion-oneshot`. Where the pictures are at hand (in the
  folder named by `DIFFUSION_EXPLORER_DATA`), this tab shows them; nothing is downloaded for it.
"""

IDEAS: dict[str, Idea] = {
    ONE_SHOT: sampling.IDEAS["one_shot"],
    SEES: seeing.IDEAS["sees"],
    LOSS: seeing.IDEAS["loss"],
    EXACT: seeing.IDEAS["exact"],
    MEMORY: sampling.IDEAS["memory"],
    INSIDE: inside.IDEAS["inside"],
    AMOUNT: inside.IDEAS["amount"],
    NORM: inside.IDEAS["norm"],
    STEP: training.IDEAS["step"],
    LEARN: training.IDEAS["learn"],
}
TAB = Ideas(IDEAS)
update, stream, result, code = TAB.update, TAB.stream, TAB.result, TAB.code
endpoint = frame.endpoint(SimpleNamespace(NAME=NAME, QUESTION=QUESTION, Settings=Settings, update=result), long=True)


def build() -> None:
    frame.tab(
        sys.modules[__name__],
        stage={
            "progress": ProgressBar("Computing"),
            "player": Player("Noise, what the network says of it, and the picture it sees", height=280),
            "pictures": Pictures("Pictures side by side", columns=4, side=240, height=200),
            "cloud": Points("Points drawn by the network while it learns, beside the data", height=400),
            "left": LivePlot("First plot of this view", height=360),
            "right": LivePlot("Second plot of this view", height=300),
            "views": Views(NAME, TAB.showing(Settings())),
        },
    )
