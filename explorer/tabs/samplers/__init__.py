"""Samplers: particles walk from noise to data in the plane, what a step is made of, what it costs, and guidance."""

import sys
from types import SimpleNamespace

from explorer import frame
from explorer.components.live_plot import LivePlot
from explorer.components.pictures import Pictures
from explorer.components.points import Points
from explorer.components.progress import ProgressBar
from explorer.components.views import Views
from explorer.ideas import Idea, Ideas
from explorer.tabs.samplers import costs, guidance, particles
from explorer.tabs.samplers.settings import (
    COST,
    GUIDE,
    MOTION,
    PAIR,
    PICTURES,
    PRESETS,
    WALK,
    Settings,
    idle,
)

__all__ = ["NAME", "PRESETS", "Settings", "build", "code", "endpoint", "result", "stream", "update"]

NAME = "samplers"
TITLE = "Samplers"
START = "Run"
QUESTION = "How do particles find their way from noise to data, and how few steps will do?"
SOURCE = r"""
- Lecture 001, *From U-Nets to diffusion*, the experiment: cleaning half-noise in one go works, but one shot from pure
  noise gives ink blots. Lecture 002: the step-by-step against the one shot; particles and concentration. Lecture 004:
  classifier guidance and its problems.
- DDPM: Ho et al. (2020), arXiv 2006.11239. DDIM: Song et al. (2021), arXiv 2010.02502. Euler and Heun in $\sigma$,
  Karras spacing: Karras et al. (2022), arXiv 2206.00364. DPM-Solver++ (2M): Lu et al. (2022), arXiv 2211.01095.
  UniPC: Zhao et al. (2023), arXiv 2302.04867. Ancestral Euler: k-diffusion.
- Classifier guidance: Dhariwal & Nichol (2021), arXiv 2105.05233. Classifier-free guidance: Ho & Salimans (2022), arXiv
  2207.12598. Energy distance: Szekely & Rizzo (2013), *Energy statistics*.
- In the plane no network draws. The data are mixtures of Gaussians, for which $E[x_0 \mid x_t]$ is known exactly
  (`core/mixtures.py`), so every error you see is the sampler's. For one Gaussian the flow itself has a closed form; for
  the others its exact end is found by 1,000 steps of UniPC and checked against `scipy.integrate.solve_ivp`.
- The error against calls is measured between $\sigma=80$ and $\sigma=0.002$, the ends of Karras et al., on 100,000 fine
  times: on 1,000 whole ones rounding and the last jump to $\sigma=0$ hide the order.
- DDPM, ancestral Euler and DDIM with $\eta = 1$ are one walk in three notations, and so are Euler and DDIM with
  $\eta = 0$: see *two samplers*.
"""

IDEAS: dict[str, Idea] = {
    WALK: particles.IDEAS["particles"],
    MOTION: particles.IDEAS["motion"],
    PAIR: particles.IDEAS["pair"],
    COST: costs.IDEAS["cost"],
    PICTURES: costs.IDEAS["pictures"],
    GUIDE: guidance.IDEAS["guidance"],
}
TAB = Ideas(IDEAS, idle)
update, stream, result, code = TAB.update, TAB.stream, TAB.result, TAB.code


endpoint = frame.endpoint(SimpleNamespace(NAME=NAME, QUESTION=QUESTION, Settings=Settings, update=result), long=True)


def build() -> None:
    frame.tab(
        sys.modules[__name__],
        stage={
            "progress": ProgressBar("Computing"),
            "cloud": Points("Particles on their way from noise to data", height=470),
            "pictures": Pictures("What every sampler draws from the same noise", columns=4, side=230, height=260),
            "plot": LivePlot("The plot of this view", height=440),
            "views": Views(NAME, TAB.showing(Settings())),
        },
    )
