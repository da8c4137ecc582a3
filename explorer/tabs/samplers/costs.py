"""What a denoiser call buys: error against calls for every sampler, in the plane and on the embedded picture model."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from core import checks
from core.convergence import Counted, distance, finely, fitted_order, reference, times_to_one
from core.denoiser import Denoiser
from core.forward import randn_like
from core.mixtures import GaussianMixture, distance_of_fresh_draw, energy_distance
from core.pipeline import TextToImage, start_noise
from core.samplers import SAMPLERS, Step, unrolled
from core.schedule import NoiseSchedule, named_schedule
from explorer import frame
from explorer.components.live_plot import named
from explorer.components.pictures import Picture
from explorer.components.progress import Progress
from explorer.figures import samplers as figures
from explorer.formulas import display, sensible
from explorer.frame import View
from explorer.ideas import Idea
from explorer.runs import Pace
from explorer.tabs.samplers.settings import (
    DATA,
    DRAWN,
    ENERGY,
    N,
    Settings,
    T,
    data,
    data_code,
    fresh,
)

STEPS, FEW = (5, 10, 20, 40, 80, 160), 64  # steps of the walks; particles that are compared one by one
MODEL, PICTURE_STEPS, SEEDS, REFERENCE_STEPS = "emoji", (5, 10, 20), 2, 100
ON_PICTURES = ("euler", "heun", "dpmpp_2m", "unipc")


# ---- in the plane


@lru_cache(maxsize=8)
def fine(name: str) -> NoiseSchedule:
    return finely(named_schedule(name, T=T))


def racers(s: Settings) -> list[str]:
    """The end of the same noise is defined for samplers that draw no more of it; energy is for all."""
    return [name for name, row in SAMPLERS.items() if s.measure == ENERGY or not row.stochastic]


def race(s: Settings, points: GaussianMixture, name: str, n: int) -> tuple[int, list[Step]]:
    """Denoiser calls and steps of one walk of n steps."""
    schedule, g = fine(s.schedule), torch.Generator().manual_seed(s.seed)
    x = torch.randn(N if s.measure == ENERGY else FEW, 2, generator=g).double()
    counted = Counted(points.denoiser(schedule))
    steps = list(SAMPLERS[name](counted, schedule, x, times_to_one(schedule, n, s.spacing), generator=g))
    return counted.calls, steps


def ends(s: Settings, points: GaussianMixture) -> tuple[torch.Tensor, torch.Tensor]:
    """The noise that is compared one by one, and where the flow takes it."""
    x = torch.randn(FEW, 2, generator=torch.Generator().manual_seed(s.seed)).double()
    return x, reference(points, fine(s.schedule), x)


def in_the_plane(s: Settings, points: GaussianMixture, steps: list[Step], name: str) -> checks.Check:
    """Sixteen particles' every step, by the sampler's other formula."""
    schedule, g, few = fine(s.schedule), torch.Generator().manual_seed(s.seed), slice(16)
    x = torch.randn(len(steps[0].x), 2, generator=g).double()
    states, _, times = unrolled(steps)
    return checks.sampling(
        [state[few] for state in states],
        times,
        points.means,
        T=schedule.T,
        name=s.schedule,
        sampler=name,
        std=float(points.stds[0]),
        noises=[randn_like(x, g)[few] for _ in steps] if SAMPLERS[name].stochastic else [],
        alpha_bar=schedule.alpha_bar,
    )


def cost(s: Settings) -> Iterator[View]:
    points, schedule = data(s), fine(s.schedule)
    names, exact = racers(s), s.measure != ENERGY
    goal, found = fresh(points), list[checks.Check]()
    x, end = ends(s, points) if exact else (torch.zeros(0, 2), torch.zeros(0, 2))
    curves = {name: [] for name in names}
    last, pace = goal, Pace()
    for i, name in enumerate(names):
        for n in STEPS:
            called, steps = race(s, points, name, n)
            last = steps[-1].x_next
            curves[name].append((called, distance(last, end) if exact else energy_distance(last, goal)))
            if n == 20:
                found.append(in_the_plane(s, points, steps, name))
        if i + 1 < len(names) and pace.due():
            doing = Progress(i + 1, len(names), f"{SAMPLERS[name].title} is done")
            yield View({"progress": doing, "plot": picture(s, curves, None)}, formula(s, curves), None, "", {})
    least = None if exact else distance_of_fresh_draw(goal, N)
    numbers = summary(curves) | {
        "sigma": [float(schedule.sigma[-1]), float(schedule.sigma[1])],
        "energy_distance_of_a_fresh_draw": least,
    }
    if exact:
        few, ends_of_noise = slice(6), (float(schedule.alpha_bar[-1]), float(schedule.alpha_bar[1]))
        std = float(points.stds[0])
        found.insert(0, checks.probability_flow(end[few], x[few], points.means, std, ends_of_noise, 2e-5))
        gap = checks.worst(*(abs(a / b - 1) for (_, a), (_, b) in zip(curves["ddim"], curves["euler"], strict=True)))
        found.append(checks.Check("Euler's errors are those of DDIM with η = 0", gap, 1e-6))
        if s.points == "one Gaussian" and s.spacing == "karras":
            off = checks.worst(*(abs(order - SAMPLERS[name].order) for name, order in numbers["order"].items()))
            found.append(checks.Check("the fitted orders are those of the theory", off, 0.3))
    else:
        found.insert(0, checks.energy_distance(curves[names[-1]][-1][1], last, goal))
    found += [checks.slope(order, *curves_of(curves[name])) for name, order in numbers["order"].items() if order]
    yield View(
        {
            "progress": Progress(1, 1, f"{len(names)} samplers, {len(STEPS)} walks each"),
            "plot": picture(s, curves, least),
        },
        formula(s, curves),
        frame.weakest(*found),
        notice(s, curves, numbers),
        numbers,
    )


def summary(curves: dict[str, list[tuple[int, float]]]) -> dict[str, Any]:
    """Calls, errors and fitted order of every sampler."""
    split = {name: ([c for c, _ in curve], [e for _, e in curve]) for name, curve in curves.items()}
    return {
        "calls": {name: calls for name, (calls, _) in split.items()},
        "error": {name: errors for name, (_, errors) in split.items()},
        "order": {name: fitted_order(*both) for name, both in split.items()},
    }


def curves_of(curve: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [c for c, _ in curve[-3:]], [e for _, e in curve[-3:]]


def picture(s: Settings, curves: dict[str, list[tuple[int, float]]], least: float | None):
    done = {SAMPLERS[name].title: (curve, SAMPLERS[name].stochastic) for name, curve in curves.items() if curve}
    what = "energy distance to the data" if s.measure == ENERGY else "distance to the exact end"
    powers = (-5.6, 0.8) if s.measure != ENERGY else (-3.2, 0.7)
    return named(
        f"{what.capitalize()} of every sampler against denoiser calls",
        figures.cost(done, what, least, (4, 400), powers),
    )


def formula(s: Settings, curves: dict[str, list[tuple[int, float]]]) -> str:
    if s.measure == ENERGY:
        return display(r"\text{energy distance}=2\,E|X-Y|-E|X-X'|-E|Y-Y'|\qquad X\text{ particles},\;Y\text{ data}")
    rule = r"\text{error}=\sqrt{\operatorname{mean}|x-x^*|^2}\;\approx\;C\,\text{calls}^{-p}"
    orders = {SAMPLERS[name].title: order for name, order in summary(curves)["order"].items() if order}
    known = r",\quad ".join(rf"p_{{\text{{{title}}}}}={order:.2f}" for title, order in orders.items())
    exact = r"x^*=\sqrt{\bar\alpha_s}\,\mu+\sqrt{v_s/v_t}\,(x_t-\sqrt{\bar\alpha_t}\,\mu)"
    exact += r"\qquad v=\bar\alpha\,s^2+1-\bar\alpha"
    return display(rule, *([exact] if s.points == "one Gaussian" else []), *([known] if known else []))


def notice(s: Settings, curves: dict[str, list[tuple[int, float]]], numbers: dict) -> str:
    at = {name: min(curve, key=lambda point: abs(point[0] - 20)) for name, curve in curves.items()}
    best = min(at, key=lambda name: at[name][1])
    worst = max(at, key=lambda name: at[name][1])
    first = (
        f"For about 20 calls **{SAMPLERS[best].title}** comes within **{sensible(at[best][1])}**, "
        f"{SAMPLERS[worst].title} within {sensible(at[worst][1])}."
    )
    if s.measure == ENERGY:
        return (
            f"{first} The dotted line is what {N} fresh points of the data have: below it nothing can be seen.\n"
            "Samplers that draw noise on the way (dashed) forget their errors, and need more calls for it."
        )
    orders = numbers["order"]
    said = ", ".join(f"{SAMPLERS[n].title} **{o:.2f}** (theory {SAMPLERS[n].order})" for n, o in orders.items() if o)
    tail = (
        "Euler and DDIM with η = 0 lie on each other: they are one rule."
        if s.spacing == "karras"
        else f"With {s.spacing} spacing the last jump in σ is so wide that it hides the order: try karras."
    )
    return f"{first} Fitted order of the last three walks: {said}.\n{tail}"


def cost_code(s: Settings) -> str:
    exact, made = s.measure != ENERGY, "drawn" if s.points == DRAWN else "mixture"
    names = racers(s)
    goal = (
        "end = reference(points, schedule, torch.randn(64, 2, generator=torch.Generator().manual_seed(seed)).double())"
        if exact
        else f"data = points.sample({DATA}, generator=torch.Generator().manual_seed({DATA}))"
    )
    error = "distance(last.x_next, end)" if exact else "energy_distance(last.x_next, data)"
    least = "None" if exact else f"distance_of_fresh_draw(data, {N})"
    return f"""
import torch

from core.convergence import Counted, distance, finely, fitted_order, reference, times_to_one
from core.mixtures import {"energy_distance" if exact else "distance_of_fresh_draw, energy_distance"}
from core.samplers import SAMPLERS
from core.schedule import named_schedule
from core.toys import {made}

points, seed = {data_code(s)}, {s.seed}
schedule = finely(named_schedule({s.schedule!r}, T={T}))
{goal}
calls, error = {{}}, {{}}
for name in {names!r}:
    calls[name], error[name] = [], []
    for n in {list(STEPS)}:
        g, denoiser = torch.Generator().manual_seed(seed), Counted(points.denoiser(schedule))
        x = torch.randn({FEW if exact else N}, 2, generator=g).double()
        *_, last = SAMPLERS[name](denoiser, schedule, x, times_to_one(schedule, n, {s.spacing!r}), generator=g)
        calls[name].append(denoiser.calls)
        error[name].append({error})

print("calls =", calls)
print("error =", error)
print("order =", {{name: fitted_order(calls[name], error[name]) for name in calls}})
print("sigma =", [float(schedule.sigma[-1]), float(schedule.sigma[1])])
print("energy_distance_of_a_fresh_draw =", {least})
"""


# ---- on pictures


def denoiser_of(model: TextToImage, s: Settings) -> Denoiser:
    words, empty = model.text([s.prompt, ""]).split(1)
    return model.denoiser(words.expand(SEEDS, -1, -1), empty, s.scale)


def noise_of(model: TextToImage, s: Settings) -> torch.Tensor:
    """One noise for each of SEEDS seeds."""
    return start_noise(model.unet, [torch.Generator().manual_seed(s.seed + i) for i in range(SEEDS)])


def seen(model: TextToImage, latent: torch.Tensor) -> np.ndarray:
    """The first picture of a batch of latents, (H, W, 3) in [0, 1]."""
    return ((model.decode(latent[:1])[0] + 1) / 2).clamp(0, 1).permute(1, 2, 0).cpu().numpy()


def pictures(s: Settings) -> Iterator[View]:
    from explorer import models

    total = REFERENCE_STEPS + sum(n * SAMPLERS[name].calls for name in ON_PICTURES for n in PICTURE_STEPS)
    yield View({"progress": Progress(0, total, "reading the model")}, pictures_formula(), None, "", {})
    model = models.loaded(MODEL)
    counted, x = Counted(denoiser_of(model, s)), noise_of(model, s)
    pace = Pace()
    curves: dict[str, list[tuple[int, float]]] = {name: [] for name in ON_PICTURES}
    shown: dict[str, list[Picture]] = {name: [] for name in ON_PICTURES}
    found: list[checks.Check] = []
    goal, exact = x, Picture(np.full((8, 8, 3), 0.5), "")
    for name, n in [("dpmpp_2m", REFERENCE_STEPS), *((name, n) for name in ON_PICTURES for n in PICTURE_STEPS)]:
        before, steps = counted.calls, list[Step]()
        title = SAMPLERS[name].title
        for step in SAMPLERS[name](counted, model.schedule, x, model.schedule.times(n, s.spacing)):
            steps.append(step)
            if pace.due():
                left = pace.left(counted.calls, total)
                doing = Progress(counted.calls, total, f"{title}, step {len(steps)} of {n}", left)
                shows: dict[str, Any] = {"progress": doing}
                if len(steps) == 1 and exact.title:
                    shows |= {"pictures": sheet(exact, shown), "plot": pictures_figure(curves)}
                yield View(shows, pictures_formula(), None, "", {})
        latent = steps[-1].x_next
        if n == REFERENCE_STEPS:
            goal, exact = latent, Picture(seen(model, latent), "the reference", f"{title}, {n} steps", marked=True)
            continue
        error = distance(latent.cpu(), goal.cpu())
        curves[name].append((counted.calls - before, error))
        shown[name].append(Picture(seen(model, latent), f"{title}, {n} steps", f"off by {error:.3f}"))
        found.append(checks.denoising(*unrolled(steps), model.schedule.alpha_bar, name))
    numbers = summary(curves) | {"model": model.card.name, "seeds": [s.seed + i for i in range(SEEDS)]}
    yield View(
        {
            "progress": Progress(
                1, 1, f"{counted.calls} network calls for {SEEDS} pictures each, in {pace.spent:.0f} s"
            ),
            "pictures": sheet(exact, shown),
            "plot": pictures_figure(curves),
        },
        pictures_formula(),
        frame.weakest(*found),
        pictures_notice(numbers),
        numbers,
    )


def sheet(exact: Picture, shown: dict[str, list[Picture]]) -> list[Picture]:
    """A row for every sampler, the reference first."""
    return [cell for row in shown.values() if row for cell in (exact, *row)]


def pictures_figure(curves: dict[str, list[tuple[int, float]]]):
    done = {SAMPLERS[name].title: (curve, False) for name, curve in curves.items() if curve}
    what = "distance to the reference"
    name = "Distance of every sampler’s picture to the reference against network calls"
    return named(name, figures.cost(done, what, None, (4, 60), (-2.2, 0.3)))


def pictures_formula() -> str:
    return display(
        r"\text{error}=\sqrt{\operatorname{mean}\,(z-z^*)^2}\qquad z^*\text{: the latent after }"
        rf"{REFERENCE_STEPS}\text{{ steps of DPM-Solver++ from the same noise}}"
    )


def pictures_notice(numbers: dict) -> str:
    few = {name: errors[0] for name, errors in numbers["error"].items()}
    many = {name: errors[-1] for name, errors in numbers["error"].items()}
    best, worst = min(many, key=lambda n: many[n]), max(many, key=lambda n: many[n])
    said = ", ".join(f"{SAMPLERS[n].title} {o:.2f}" for n, o in numbers["order"].items() if o)
    return (
        f"With {PICTURE_STEPS[-1]} steps **{SAMPLERS[best].title}** is off by **{many[best]:.3f}** a number of the "
        f"latent, {SAMPLERS[worst].title} by {many[worst]:.3f}; with {PICTURE_STEPS[0]} steps they were "
        f"{few[best]:.3f} and {few[worst]:.3f}.\nFitted slopes: {said}. A network is no smooth formula and its times "
        "are whole numbers, so the orders of the plane are not reached; the ranking mostly is."
    )


def pictures_code(s: Settings, model: str = MODEL) -> str:
    return f"""
import torch

from core.convergence import Counted, distance, fitted_order
from core.pipeline import TextToImage, start_noise
from core.samplers import SAMPLERS

model = TextToImage.load({model!r})
words, empty = model.text([{s.prompt!r}, ""]).split(1)
denoiser = Counted(model.denoiser(words.expand({SEEDS}, -1, -1), empty, {s.scale!r}))
seeds = {[s.seed + i for i in range(SEEDS)]}
x = start_noise(model.unet, [torch.Generator().manual_seed(seed) for seed in seeds])


def end(name, n):
    *_, last = SAMPLERS[name](denoiser, model.schedule, x, model.schedule.times(n, {s.spacing!r}))
    return last.x_next.cpu()


goal, calls, error = end("dpmpp_2m", {REFERENCE_STEPS}), {{}}, {{}}
for name in {list(ON_PICTURES)}:
    calls[name], error[name] = [], []
    for n in {list(PICTURE_STEPS)}:
        before = denoiser.calls
        error[name].append(distance(end(name, n), goal))
        calls[name].append(denoiser.calls - before)

print("calls =", calls)
print("error =", error)
print("order =", {{name: fitted_order(calls[name], error[name]) for name in calls}})
print("model =", repr(model.card.name))
print("seeds =", seeds)
"""


def waiting(s: Settings) -> str:
    return formula(s, {})


IDEAS = {
    "cost": Idea(
        ("progress", "plot"),
        ("points", "drawn", "measure", "spacing", "schedule", "seed"),
        cost_code,
        walk=cost,
        waiting=waiting,
    ),
    "pictures": Idea(
        ("progress", "pictures", "plot"),
        ("prompt", "scale", "spacing", "seed"),
        pictures_code,
        walk=pictures,
        waiting=lambda s: pictures_formula(),
    ),
}
