"""What can be set, the screens the presets open, and what every view starts from: the data, and a walk over them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch

from core.denoiser import Denoiser
from core.forward import randn_like
from core.mixtures import GaussianMixture
from core.samplers import SAMPLERS, Step, unrolled
from core.schedule import SCHEDULES, SPACINGS, NoiseSchedule, named_schedule
from core.toys import CLASSES, MIXTURES, drawn, mixture
from explorer.ideas import Idea
from explorer.settings import Grid, choice, grid, number, only, text

WALK, MOTION, PAIR = "particles", "one step in slow motion", "two samplers"
COST, PICTURES, GUIDE = "cost against error", "cost against error: pictures", "guidance"
DRAWN = "points you draw"
FEW, ALL, ARROWS = "the way of a few", "the way of all", "arrows of the flow"
FREE, EXACT = "classifier-free", "classifier: exact"
NOISY, CLEAN = "classifier: trained on noisy points", "classifier: trained on clean points"
SAME_NOISE, ENERGY = "exact end of the same noise", "energy distance to the data"
T, N, DATA = 1000, 400, 1000  # times, particles, points of the data they are compared with
EXTENT = (-2.8, 2.8, -2.8, 2.8)


def _curve(x: Callable[[float], float], y: Callable[[float], float], n: int, turn: float = 2 * math.pi) -> Grid:
    angles = [turn * i / n for i in range(n)]
    return tuple((round(x(u), 2), round(y(u), 2)) for u in angles)


HEART = _curve(
    lambda u: 1.6 * math.sin(u) ** 3,
    lambda u: 1.3 * math.cos(u) - 0.5 * math.cos(2 * u) - 0.2 * math.cos(3 * u) - 0.1 * math.cos(4 * u) + 0.15,
    56,
)
DRAWINGS = {
    "a heart": HEART,
    "a wave": tuple((round(-2 + i / 12, 2), round(0.9 * math.sin(3 * (-2 + i / 12)), 2)) for i in range(49)),
    "a face": (
        *_curve(lambda u: 1.6 * math.cos(u), lambda u: 1.6 * math.sin(u), 44),
        *_curve(lambda u: 0.8 * math.cos(u + math.pi), lambda u: 0.8 * math.sin(u + math.pi) - 0.1, 12, math.pi),
        (-0.55, 0.55), (0.55, 0.55), (-0.55, 0.65), (0.55, 0.65),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    view: str = choice(WALK, options=(WALK, MOTION, PAIR, COST, PICTURES, GUIDE), label="Show", key="v")
    points: str = choice("two moons", options=(*MIXTURES, DRAWN), label="Data", key="x")
    drawn: tuple[tuple[float, ...], ...] = grid(
        HEART,
        label="Draw the data",
        key="d",
        max_side=128,
        low=-2.5,
        high=2.5,
        look="points",
        fills=DRAWINGS,
        hint="click or drag; or arrow keys and space",
    )
    guide: str = choice(FREE, options=(FREE, EXACT, NOISY, CLEAN), label="Guided by", key="g")
    wanted: int = number(0, low=0, high=7, label="Class y", key="y", hint="counted from 0")
    scale: float = number(
        3.0,
        low=0,
        high=10,
        step=0.25,
        label="Guidance scale s",
        key="gs",
        hint="1 draws the class; w = s − 1 in Ho & Salimans",
    )
    sampler: str = choice("ddim", options=tuple(SAMPLERS), label="Sampler", key="s")
    other: str = choice("heun", options=tuple(SAMPLERS), label="Second sampler", key="s2", hint="from the same noise")
    measure: str = choice(SAME_NOISE, options=(SAME_NOISE, ENERGY), label="Error", key="e")
    prompt: str = text("red apple", label="Prompt", key="q", max_length=200)
    steps: int = number(20, low=1, high=200, log=True, label="Steps", key="n")
    look: int = number(14, low=0, high=199, label="Look at step", key="k", hint="the formula is of this step")
    particle: int = number(0, low=0, high=N - 1, label="Particle", key="i")
    show: str = choice(FEW, options=(FEW, ALL, ARROWS), label="Draw with them", key="p")
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
    "hundreds of ways": Settings(points="letters", steps=50, look=49, show=ALL),
    "the flow": Settings(points="ring of eight", sampler="heun", spacing="karras", look=13, show=ARROWS),
    "points you draw": Settings(points=DRAWN, sampler="dpmpp_2m", steps=30, look=29),
    "too few steps": Settings(points="swiss roll", sampler="euler", steps=4, look=2),
    "one step in slow motion": Settings(view=MOTION, steps=8, look=4),
    "slow motion: Heun looks ahead": Settings(view=MOTION, sampler="heun", steps=8, look=4),
    "Euler is DDIM with η = 0": Settings(view=PAIR, other="euler"),
    "UniPC against Euler": Settings(view=PAIR, points="letters", sampler="euler", other="unipc", steps=12, look=12),
    "what a network call buys": Settings(view=COST, points="one Gaussian", spacing="karras"),
    "what it buys on two moons": Settings(view=COST, spacing="karras", measure=ENERGY),
    "what it buys on pictures": Settings(view=PICTURES),
    "guidance narrows": Settings(view=GUIDE, points="letters", wanted=1, sampler="dpmpp_2m", look=20),
    "deck 004 · a classifier guides": Settings(view=GUIDE, guide=EXACT, scale=1.0, look=10),
    "deck 004 · trained on clean points": Settings(view=GUIDE, guide=CLEAN, scale=1.0, look=10),
    "deck 004 · trained on noisy points": Settings(view=GUIDE, guide=NOISY, scale=1.0, look=10),
}

WALKS = ("points", "steps", "spacing", "eta", "schedule", "seed")
SHARED = (*WALKS, "drawn", "sampler", "look")


def idle(s: Settings, idea: Idea) -> set[str]:
    """The drawing where other data is chosen, and eta where no walk on the screen is DDIM's."""
    walks = (s.sampler, s.other) if "other" in idea.uses else (s.sampler,)
    return ({"drawn"} if s.points != DRAWN else set()) | ({"eta"} if "ddim" not in walks else set())


def data(s: Settings) -> GaussianMixture:
    return drawn(s.drawn) if s.points == DRAWN else mixture(s.points)


def data_code(s: Settings) -> str:
    return f"drawn({[list(p) for p in s.drawn]!r})" if s.points == DRAWN else f"mixture({s.points!r})"


def classes(s: Settings) -> tuple[str, ...]:
    return CLASSES.get(s.points, ("the first half of your drawing", "its second half"))


def labels(points: GaussianMixture, many: int) -> torch.Tensor:
    """The class of every Gaussian, (K,): equal numbers, in order."""
    return torch.arange(len(points.means)) * many // len(points.means)


@dataclass(frozen=True, eq=False)
class Walk:
    """One run: the mixture, the schedule, the times and the steps."""

    mixture: GaussianMixture
    schedule: NoiseSchedule
    times: torch.Tensor
    steps: list[Step]
    noises: list[torch.Tensor]

    @property
    def end(self) -> torch.Tensor:
        return self.steps[-1].x_next

    @property
    def states(self) -> list[torch.Tensor]:
        return unrolled(self.steps)[0]


def options(s: Settings, sampler: str) -> dict[str, float]:
    return {"eta": s.eta} if sampler == "ddim" else {}


def draws(s: Settings, sampler: str) -> bool:
    """Whether the walk draws fresh noise on its way."""
    return SAMPLERS[sampler].stochastic or (sampler == "ddim" and s.eta > 0)


def walk(s: Settings, sampler: str, *, led: Callable[[GaussianMixture, NoiseSchedule], Denoiser] | None = None) -> Walk:
    """N particles from the seed's noise; `led` is asked for a denoiser instead of the exact one, in float64."""
    points, schedule = data(s), named_schedule(s.schedule, T=T)
    times, g = schedule.times(s.steps, s.spacing), torch.Generator().manual_seed(s.seed)
    x = torch.randn(N, 2, generator=g)
    denoiser = points.denoiser(schedule)
    if led is not None:
        x, denoiser = x.double(), led(points, schedule)
    steps = list(SAMPLERS[sampler](denoiser, schedule, x, times, generator=g, **options(s, sampler)))
    g = torch.Generator().manual_seed(s.seed)
    torch.randn(N, 2, generator=g)
    return Walk(points, schedule, times, steps, [randn_like(x, g) for _ in steps] if draws(s, sampler) else [])


def still(s: Settings, *parts: str) -> Settings:
    """The settings that a walk depends on but for its sampler, and ``parts``: what it is kept by."""
    return only(s, *WALKS, *(["drawn"] if s.points == DRAWN else []), *parts)


def walked(s: Settings, sampler: str) -> Walk:
    """The walk with the exact denoiser; one that was just walked is not walked again."""
    return _walked(still(s), sampler)


@lru_cache(maxsize=8)  # at most 6 MB each
def _walked(s: Settings, sampler: str) -> Walk:
    return walk(s, sampler)


def calls(run: Walk, sampler: str) -> int:
    """How often the denoiser was asked: Heun's steps to t = 0 and from pure noise are Euler's."""
    twice = [step.t_next > 0 and float(run.schedule.sigma[step.t]) <= 1000 for step in run.steps]
    return len(run.steps) + (SAMPLERS[sampler].calls - 1) * sum(twice)


def fresh(points: GaussianMixture) -> torch.Tensor:
    """What the particles' ends are compared with."""
    return points.sample(DATA, generator=torch.Generator().manual_seed(DATA))
