"""Samplers: particles walk from noise to data in the plane, led by the exact denoiser."""

import sys
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import plotly.graph_objects as go
import torch

from core import checks
from core.forward import posterior, randn_like
from core.mixtures import GaussianMixture, energy_distance
from core.samplers import SAMPLERS, Step
from core.schedule import SCHEDULES, SPACINGS, NoiseSchedule, named_schedule
from core.toys import MIXTURES, mixture
from explorer import frame
from explorer.components.live_plot import LivePlot
from explorer.components.points import Cloud, Points
from explorer.figures.samplers import pull
from explorer.formulas import plus, tex
from explorer.frame import View
from explorer.settings import choice, number

NAME = "samplers"
TITLE = "Samplers"
QUESTION = "How do particles find their way from noise to data, and how few steps will do?"
SOURCE = r"""
- Lecture 001, *From U-Nets to diffusion*, the experiment: cleaning half-noise in one go works, but one shot from pure
  noise gives ink blots. Lecture 002: the step-by-step against the one shot; particles and concentration.
- DDPM: Ho et al. (2020), arXiv 2006.11239. DDIM: Song et al. (2021), arXiv 2010.02502. Euler and Heun in $\sigma$,
  Karras spacing: Karras et al. (2022), arXiv 2206.00364. DPM-Solver++ (2M): Lu et al. (2022), arXiv 2211.01095.
  Ancestral Euler: k-diffusion.
- No network is at work here. The data are mixtures of Gaussians, for which $E[x_0 \mid x_t]$ is known exactly
  (`core/mixtures.py`), so every error you see is the sampler's.
- DDPM, ancestral Euler and DDIM with $\eta = 1$ are one walk in three notations, and so are Euler and DDIM with
  $\eta = 0$: choose them with one seed and see.
"""
T, N, DATA = 1000, 400, 1000  # times, particles, points of the data they are compared with
EXTENT = (-2.8, 2.8, -2.8, 2.8)
PATHS = tuple(range(6))  # particles whose way is drawn


@dataclass(frozen=True)
class Settings:
    points: str = choice("two moons", options=tuple(MIXTURES), label="Data", key="x")
    sampler: str = choice("ddim", options=tuple(SAMPLERS), label="Sampler", key="s")
    steps: int = number(20, low=1, high=200, label="Steps", key="n")
    look: int = number(14, low=0, high=199, label="Look at step", key="k", hint="the arrows below are of this step")
    spacing: str = choice("trailing", options=SPACINGS, label="Spacing of times", key="sp", group="Details")
    eta: float = number(
        0.0, low=0, high=1, step=0.05, label="Fresh noise η", key="eta", group="Details", hint="ddim alone has it"
    )
    schedule: str = choice("linear", options=tuple(SCHEDULES), label="Schedule", key="sch", group="Details")
    seed: int = number(0, low=0, high=9999, label="Seed", key="seed", group="Details")


PRESETS = {
    "deck 002 · step by step": Settings(),
    "deck 001 · one shot": Settings(steps=1, look=0),
    "deck 002 · many small Gaussian steps": Settings(points="swiss roll", sampler="ddpm", steps=200, look=150),
    "ring of eight, Heun": Settings(points="ring of eight", sampler="heun", steps=20, spacing="karras", look=13),
    "DPM-Solver++ in 12 steps": Settings(points="swiss roll", sampler="dpmpp_2m", steps=12, look=9),
    "too few steps": Settings(points="swiss roll", sampler="euler", steps=4, look=2),
}


@dataclass(frozen=True, eq=False)
class Walk:
    """One run: the mixture, the schedule, the times and the steps."""

    mixture: GaussianMixture
    schedule: NoiseSchedule
    times: torch.Tensor
    steps: list[Step]

    @property
    def end(self) -> torch.Tensor:
        return self.steps[-1].x_next


def walk(settings: Settings) -> Walk:
    points, schedule = mixture(settings.points), named_schedule(settings.schedule, T=T)
    times, g = schedule.times(settings.steps, settings.spacing), torch.Generator().manual_seed(settings.seed)
    x = torch.randn(N, 2, generator=g)
    options = {"eta": settings.eta} if settings.sampler == "ddim" else {}
    steps = SAMPLERS[settings.sampler](points.denoiser(schedule), schedule, x, times, generator=g, **options)
    return Walk(points, schedule, times, list(steps))


def update(settings: Settings) -> View:
    run = walk(settings)
    row, end = SAMPLERS[settings.sampler], run.end
    look = min(settings.look, len(run.steps) - 1)
    data = run.mixture.sample(DATA, generator=torch.Generator().manual_seed(DATA))
    # Heun's steps to t = 0 and from pure noise are Euler's
    twice = [step.t_next > 0 and float(run.schedule.sigma[step.t]) <= 1000 for step in run.steps]
    calls = len(run.steps) + (row.calls - 1) * sum(twice)
    numbers = {
        "times": run.times.tolist(),
        "denoiser_calls": calls,
        "mean": end.mean(0).tolist(),
        "std": end.std(0).tolist(),
        "energy_distance": energy_distance(end, data),
        "energy_distance_of_a_fresh_draw": float(torch.cdist(data, data).mean()) * (1 / N + 1 / DATA),
        "first_particle": [run.steps[0].x[0].tolist(), *(step.x_next[0].tolist() for step in run.steps)],
    }
    return View(
        stage=(cloud(settings, run, look), field(settings, run, look)),
        formula=formula(settings, run, look),
        check=check(settings, run),
        notice=notice(settings, run, numbers),
        numbers=numbers,
    )


def check(settings: Settings, run: Walk) -> checks.Check:
    """Sixteen particles' every step, by the other formula, on the noise the seed gives."""
    g, few = torch.Generator().manual_seed(settings.seed), slice(16)
    x = torch.randn(N, 2, generator=g)
    return checks.sampling(
        [x[few], *(step.x_next[few] for step in run.steps)],
        run.times.tolist(),
        run.mixture.means,
        T=T,
        name=settings.schedule,
        sampler=settings.sampler,
        std=float(run.mixture.stds[0]),
        eta=settings.eta,
        noises=[randn_like(x, g)[few] for _ in run.steps] if draws(settings) else [],
    )


def draws(settings: Settings) -> bool:
    """Whether the walk draws fresh noise on its way."""
    return SAMPLERS[settings.sampler].stochastic or (settings.sampler == "ddim" and settings.eta > 0)


def cloud(settings: Settings, run: Walk, look: int) -> Cloud:
    """The particles, and beside them where the denoiser thinks each will end."""
    now = [run.steps[0].x, *(step.x_next for step in run.steps)]
    guess = [*(step.prediction.x0 for step in run.steps), run.end]
    sigma = run.schedule.sigma
    return Cloud(
        torch.stack([torch.stack(now), torch.stack(guess)], 1).numpy(),
        labels=tuple(f"t = {t}, noise σ = {float(sigma[t]):.3g} beside a signal of 1" for t in run.times.tolist()),
        extent=EXTENT,
        titles=("the particles x", "the denoiser’s guess x̂₀"),
        colours=kinds(run),
        field=density(settings.points, settings.schedule, 0, 128)[::-1],
        paths=PATHS[: 1 if draws(settings) and len(run.steps) > 40 else None],  # several random walks hide all else
        at=look if len(run.steps) > 1 else 1,
    )


def kinds(run: Walk) -> np.ndarray:
    """Four colours by the Gaussian a particle ends in, so that neighbours on the data keep theirs on the way."""
    nearest = torch.cdist(run.end.double(), run.mixture.means).argmin(1)
    return (nearest * 4 // len(run.mixture.means)).to(torch.uint8).numpy()


@lru_cache(maxsize=8)  # the data's own density stands behind every walk
def density(points: str, schedule: str, t: int, side: int) -> np.ndarray:
    """q(x_t) on a square grid, (side, side), first row at the bottom."""
    log = mixture(points).log_density(lattice(side), t, named_schedule(schedule, T=T))
    return log.exp().view(side, side).numpy()


def lattice(side: int) -> torch.Tensor:
    axis = torch.linspace(EXTENT[0], EXTENT[1], side)
    return torch.cartesian_prod(axis, axis)[:, [1, 0]]


def field(settings: Settings, run: Walk, look: int) -> go.Figure:
    """Which way the flow goes at the step looked at, over the density there."""
    step, grid = run.steps[look], lattice(21)
    downhill = -run.mixture.denoiser(run.schedule)(grid, step.t).eps  # the flow's direction: less noise
    arrows = 0.22 * downhill / downhill.norm(dim=1).quantile(0.9).clamp(min=1e-9)
    behind = density(settings.points, settings.schedule, step.t, 64)
    title = f"the flow at t = {step.t}, away from the noise"
    return pull(grid.numpy(), arrows.numpy(), behind, step.x.numpy(), EXTENT, title)


def formula(settings: Settings, run: Walk, look: int) -> str:
    """The sampler's step, and the same with the numbers of the step looked at."""
    t, s, schedule = run.steps[look].t, run.steps[look].t_next, run.schedule
    a, b = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[s])
    sigma, sigma_s = float(schedule.sigma[t]), float(schedule.sigma[s])
    x, x_s, x0, eps = f"x_{{{t}}}", f"x_{{{s}}}", r"\hat x_0", r"\hat\varepsilon"
    bar, bar_s = rf"\bar x_{{{t}}}", rf"\bar x_{{{s}}}"
    if settings.sampler == "ddpm":
        one, zero = torch.ones(()).double()[None], torch.zeros(()).double()[None]
        (from_x0, variance), (from_x, _) = posterior(one, zero, t, s, schedule), posterior(zero, one, t, s, schedule)
        general = r"x_s=\frac{\sqrt{\bar\alpha_s}\,\beta}{1-\bar\alpha_t}\,\hat x_0"
        general += r"+\frac{\sqrt{\alpha}\,(1-\bar\alpha_s)}{1-\bar\alpha_t}\,x_t+\sqrt{\tilde\beta}\,z"
        general += r"\qquad\alpha=\tfrac{\bar\alpha_t}{\bar\alpha_s},\;\beta=1-\alpha"
        here = f"{x_s}={tex(float(from_x0))}\\,{x0}+{tex(float(from_x))}\\,{x}+{tex(float(variance) ** 0.5)}\\,z"
    elif settings.sampler == "ddim":
        fresh = settings.eta * ((1 - b) / (1 - a) * (1 - a / b)) ** 0.5
        general = r"x_s=\sqrt{\bar\alpha_s}\,\hat x_0+\sqrt{1-\bar\alpha_s-\sigma^2}\,\hat\varepsilon+\sigma z"
        kept = max(1 - b - fresh**2, 0) ** 0.5
        here = f"{x_s}={tex(b**0.5)}\\,{x0}+{tex(kept)}\\,{eps}+{tex(fresh)}\\,z"
    elif settings.sampler == "euler_ancestral":
        down = sigma_s**2 / sigma
        general = r"\bar x_s=\bar x_t+(\sigma_\downarrow-\sigma_t)\,\hat\varepsilon+\sigma_\uparrow z"
        general += r"\qquad\bar x=x/\sqrt{\bar\alpha},\;\sigma_\downarrow^2+\sigma_\uparrow^2=\sigma_s^2"
        here = f"{bar_s}={bar}{plus(down - sigma)}\\,{eps}+{tex((sigma_s**2 - down**2) ** 0.5)}\\,z"
    elif settings.sampler == "dpmpp_2m":
        general = r"x_s=\tfrac{\sigma_s\sqrt{\bar\alpha_s}}{\sigma_t\sqrt{\bar\alpha_t}}\,x_t"
        general += r"+\sqrt{\bar\alpha_s}\,\bigl(1-\tfrac{\sigma_s}{\sigma_t}\bigr)\,D"
        general += r"\qquad D=\hat x_0+\tfrac{h}{2h_{\text{last}}}\bigl(\hat x_0-\hat x_0^{\text{last}}\bigr)"
        here = f"{x_s}={tex(((1 - b) / (1 - a)) ** 0.5)}\\,{x}+{tex(b**0.5 * (1 - sigma_s / sigma))}\\,D"
    else:
        bent = settings.sampler == "heun" and s and sigma <= 1000
        slope = r"\tfrac12(\hat\varepsilon_t+\hat\varepsilon_s)" if bent else eps
        general = rf"\bar x_s=\bar x_t+(\sigma_s-\sigma_t)\,{slope}\qquad\bar x=x/\sqrt{{\bar\alpha}}"
        here = f"{bar_s}={bar}{plus(sigma_s - sigma)}\\,{slope}"
    return f"$${general}$$\n\n$$\\text{{from step }}{look}:\\quad {here}$$"


def notice(settings: Settings, run: Walk, numbers: dict) -> str:
    far, floor, calls = (
        numbers["energy_distance"],
        numbers["energy_distance_of_a_fresh_draw"],
        numbers["denoiser_calls"],
    )
    n = len(run.steps)
    count = f"**{n}** step{'s' * (n > 1)}, **{calls}** denoiser call{'s' * (calls > 1)}"
    apart = f"energy distance to the data **{far:.3f}** (a fresh draw of the data has about {floor:.3f})"
    left = float(run.schedule.signal[T])
    if left > 0.1:
        return f"**Careful:** at T the schedule leaves {100 * left:.0f} % of the signal.\n{count}: {apart}."
    if n == 1:
        return (
            f"**One shot:** asked about pure noise, the best single answer is the average of all data, so every "
            f"particle lands in the middle: the ink blot of the lecture.\n{count}: {apart}."
        )
    if max(numbers["std"]) > 3:
        verdict = "they overshot: no second-order step spans so wide a gap of σ, so try Karras spacing or more steps"
    elif far < 2 * floor:
        verdict = "the particles can hardly be told from the data"
    else:
        verdict = "still off: try more steps, Karras spacing, or a second-order sampler"
    return (
        f"{count}: {apart}; {verdict}.\n"
        "Early on all guesses huddle in the middle; later each particle settles for one place: press play and see when."
    )


def code(settings: Settings) -> str:
    options = f", eta={settings.eta!r}" if settings.sampler == "ddim" else ""
    return f"""
import torch

from core.mixtures import energy_distance
from core.samplers import SAMPLERS
from core.schedule import named_schedule
from core.toys import mixture

points, schedule = mixture({settings.points!r}), named_schedule({settings.schedule!r}, T={T})
times, g = schedule.times({settings.steps}, {settings.spacing!r}), torch.Generator().manual_seed({settings.seed})
x = torch.randn({N}, 2, generator=g)
sampler = SAMPLERS[{settings.sampler!r}]
for step in sampler(points.denoiser(schedule), schedule, x, times, generator=g{options}):
    x = step.x_next
data = points.sample({DATA}, generator=torch.Generator().manual_seed({DATA}))

print("times =", times.tolist())
print("mean =", x.mean(0).tolist())
print("std =", x.std(0).tolist())
print("energy_distance =", energy_distance(x, data))
"""


def build() -> None:
    frame.tab(
        sys.modules[__name__],
        stage=[
            Points("Particles on their way from noise to data, and the denoiser's guesses", height=470),
            LivePlot("Arrows of the flow at the chosen step, over the noised density", height=440),
        ],
    )
