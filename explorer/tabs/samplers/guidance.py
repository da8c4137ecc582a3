"""Guidance in the plane: by a classifier, exact or just trained, or without one; and what it costs in variety."""

from functools import lru_cache

import numpy as np
import torch

from core import checks
from core.classifier import Classifier, train_classifier
from core.denoiser import Denoiser, classifier_guided, guided
from core.mixtures import GaussianMixture, energy_distance, mean_distance
from core.schedule import NoiseSchedule, named_schedule
from explorer import frame, runs
from explorer.components.live_plot import named
from explorer.components.points import Cloud
from explorer.figures import samplers as figures
from explorer.formulas import display, sensible, tex
from explorer.frame import View
from explorer.ideas import Idea
from explorer.tabs.samplers.particles import (
    SIDE,
    arguments,
    arrows,
    backgrounds,
    captions,
    check,
    head,
    lattice,
    moments,
    paths,
)
from explorer.tabs.samplers.settings import (
    ARROWS,
    CLEAN,
    DATA,
    DRAWN,
    EXTENT,
    FREE,
    NOISY,
    SHARED,
    N,
    Settings,
    T,
    Walk,
    classes,
    data,
    fresh,
    labels,
    still,
    walk,
)

SCALES = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)


def chosen(s: Settings, points: GaussianMixture) -> torch.Tensor:
    """Which Gaussians make up the wanted class, (K,)."""
    many = len(classes(s))
    if many < 2 or len(points.means) < many:
        raise ValueError(f"guidance needs classes to choose from, and {s.points} has one: choose other points")
    if s.wanted >= many:
        raise ValueError(
            f"“Class y” must be one from 0 to {many - 1} ({', '.join(classes(s))}) on {s.points}, got {s.wanted}"
        )
    return labels(points, many) == s.wanted


def trained(s: Settings) -> Classifier:
    drawn = s.drawn if s.points == DRAWN else None
    return _trained(s.points, drawn, s.schedule, s.guide == NOISY, s.seed)


@lru_cache(maxsize=16)  # half a second: once for each data set, however far the scale is moved
def _trained(points: str, drawn, schedule: str, noisy: bool, seed: int) -> Classifier:
    s = Settings(points=points, schedule=schedule, **({"drawn": drawn} if drawn else {}))
    mix, many = data(s), len(classes(s))
    label = labels(mix, many)

    def draw(n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        x, which = mix.draw(n, generator=generator)
        return x, label[which]

    g = torch.Generator().manual_seed(seed)
    return train_classifier(draw, many, named_schedule(schedule, T=T), noisy=noisy, generator=g)


def led(s: Settings, scale: float):
    """The guided denoiser, asked for by `walk`."""

    def made(points: GaussianMixture, schedule: NoiseSchedule) -> Denoiser:
        want, everything = chosen(s, points), points.denoiser(schedule)
        if s.guide == FREE:
            return guided(points.only(want).denoiser(schedule), everything, scale)
        return classifier_guided(everything, gradient(s, points, schedule), schedule, scale)

    return made


def gradient(s: Settings, points: GaussianMixture, schedule: NoiseSchedule):
    """What the guide adds to the score, (x, t) -> (N, 2)."""
    if s.guide in (NOISY, CLEAN):
        classifier = trained(s)
        return lambda x, t: classifier.gradient(x, t, s.wanted)
    want = chosen(s, points)
    return lambda x, t: points.class_score(x, t, schedule, want)


def belief(s: Settings, points: GaussianMixture, schedule: NoiseSchedule, x: torch.Tensor, t: int) -> torch.Tensor:
    """p(y | x_t) as the guide sees it, (N,)."""
    if s.guide in (NOISY, CLEAN):
        return trained(s).log_class(x, t)[:, s.wanted].exp()
    return points.log_class(x, t, schedule, chosen(s, points)).exp()


def measured(points: GaussianMixture, want: torch.Tensor, schedule: NoiseSchedule, end: torch.Tensor):
    """The share of ends that are of the class, by Bayes' rule, and their variety beside the class's own."""
    share = float((points.log_class(end, 0, schedule, want) > np.log(0.5)).double().mean())
    own = points.only(want).sample(DATA, generator=torch.Generator().manual_seed(DATA))
    return share, mean_distance(end) / mean_distance(own)


@lru_cache(maxsize=32)
def against_scale(s: Settings) -> tuple[tuple[float, float], ...]:
    """Share and variety at every one of SCALES; `s` is `still`."""
    out = []
    with runs.at_length():
        for scale in SCALES:
            run = walk(s, s.sampler, led=led(s, scale))
            out.append(measured(run.mixture, chosen(s, run.mixture), run.schedule, run.end))
    return tuple(out)


@lru_cache(maxsize=8)
def guided_walk(s: Settings) -> Walk:
    with runs.at_length():
        return walk(s, s.sampler, led=led(s, s.scale))


def guidance(s: Settings) -> View:
    points = data(s)
    want, label = chosen(s, points), classes(s)[s.wanted]
    run = guided_walk(still(s, "guide", "wanted", "sampler", "scale"))
    schedule, look = run.schedule, min(s.look, len(run.steps))
    own = points.only(want)
    goal = fresh(own)
    share, variety = measured(points, want, schedule, run.end)
    curve = against_scale(still(s, "guide", "wanted", "sampler"))
    numbers = {
        "class": label,
        "scale": s.scale,
        "w": s.scale - 1,
        "share_in_class": share,
        "variety": variety,
        "energy_distance_to_class": energy_distance(run.end, goal),
        "scales": list(SCALES),
        "share_at_scales": [a for a, _ in curve],
        "variety_at_scales": [b for _, b in curve],
        "first_particle": [x[0].tolist() for x in run.states],
    }
    if s.guide in (NOISY, CLEAN):
        numbers["classifier_loss"] = float(np.mean(trained(s).losses[-50:]))
    return View(
        {
            "cloud": cloud(s, run, own, look),
            "plot": named(
                "Share of the class and its variety against the guidance scale",
                figures.diversity(SCALES, curve, s.scale, (share, variety), s.guide == FREE),
            ),
        },
        formula(s, run, min(s.look, len(run.steps) - 1)),
        frame.weakest(
            *verified(s, run, want), checks.energy_distance(numbers["energy_distance_to_class"], run.end, goal)
        ),
        notice(s, numbers),
        numbers,
    )


def verified(s: Settings, run: Walk, want: torch.Tensor) -> list[checks.Check]:
    """Every step with the guide worked out in another way; a classifier's word against Bayes' rule."""
    means, std = run.mixture.means, float(run.mixture.stds[0])
    if s.guide in (NOISY, CLEAN):
        classifier = trained(s)
        weights = classifier.network.state_dict()
        mean = checks.network_led_mean(means, weights, classifier.noisy, s.wanted, std, s.scale)
    else:
        mean = checks.led_mean(means, want, std, s.scale)
    t = run.steps[len(run.steps) // 2].t
    x, a = run.steps[len(run.steps) // 2].x[:16], float(run.schedule.alpha_bar[t])
    score = run.mixture.class_score(x, t, run.schedule, want)
    return [check(s, s.sampler, run, mean=mean), checks.class_score(score, x, means, want, std, a)]


def cloud(s: Settings, run: Walk, own: GaussianMixture, look: int) -> Cloud:
    """The particles over q(x_t | y), and over what the guide believes, with its pull."""
    fields, behind = backgrounds(run, own)
    beliefs, pulls = landscape(still(s, "guide", "wanted"), tuple(run.times.tolist()), tuple(moments(run).tolist()))
    states = torch.stack(run.states)
    label = classes(s)[s.wanted]
    return Cloud(
        torch.stack([states, states], 1).numpy(),
        labels=captions(run),
        extent=EXTENT,
        titles=(f"guided to “{label}”, over q(xₜ | y)", "over p(y | xₜ), as the guide sees it"),
        colours=np.where(in_class(s, run), 3, 1),
        field=np.concatenate([fields, beliefs]),
        behind=np.stack([behind, behind + len(fields)], 1),
        arrows=pulls,
        arrows_in=1,
        paths=() if s.show == ARROWS else paths(s, run),
        at=look if len(run.steps) > 1 else 1,
    )


@lru_cache(maxsize=8)
def landscape(s: Settings, times: tuple[int, ...], shown: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """What the guide believes at the times shown, (F, SIDE, SIDE), and its pull at all, (times, A, 4): at any scale."""
    points, schedule = data(s), named_schedule(s.schedule, T=T)
    grid, ways, pull = lattice(SIDE), lattice(17).double(), gradient(s, points, schedule)
    asked = [max(t, 1) for t in times]
    seen = torch.stack([belief(s, points, schedule, grid, asked[i]) for i in shown])
    beliefs = seen.view(-1, SIDE, SIDE).flip(1).clamp(max=1).numpy().copy()
    beliefs[:, 0, 0] = 1.0  # one grey for certainty in all of them
    return beliefs, arrows(ways, torch.stack([pull(ways, t).double() for t in asked]))


def in_class(s: Settings, run: Walk) -> np.ndarray:
    return (run.mixture.log_class(run.end, 0, run.schedule, chosen(s, run.mixture)) > np.log(0.5)).numpy()


def formula(s: Settings, run: Walk, i: int) -> str:
    scale, t = sensible(s.scale), run.steps[i].t
    w = sensible(s.scale - 1)
    if s.guide == FREE:
        one = (
            rf"\hat\varepsilon=\hat\varepsilon_\varnothing+s\,(\hat\varepsilon_y-\hat\varepsilon_\varnothing)"
            rf"={scale}\,\hat\varepsilon_y{'-' if s.scale >= 1 else '+'}{sensible(abs(s.scale - 1))}"
            r"\,\hat\varepsilon_\varnothing"
        )
    else:
        noise = float(run.schedule.noise[t])
        one = (
            r"\hat\varepsilon=\hat\varepsilon_\varnothing-s\sqrt{1-\bar\alpha_t}\;\nabla_{x_t}\log p(y\mid x_t)"
            rf"=\hat\varepsilon_\varnothing-{scale}\cdot{tex(noise)}\,\nabla\log p(y\mid x_{{{t}}})"
        )
    two = (
        r"\hat\varepsilon=(1+w)\,\hat\varepsilon_y-w\,\hat\varepsilon_\varnothing\qquad "
        rf"s=1+w={scale},\quad w={w}\;\text{{(Ho \& Salimans)}}"
    )
    bayes = (
        r"\nabla\log p(y\mid x_t)=\nabla\log q(x_t\mid y)-\nabla\log q(x_t)"
        r"=-(\hat\varepsilon_y-\hat\varepsilon_\varnothing)/\sqrt{1-\bar\alpha_t}"
    )
    return display(one, two if s.guide == FREE else bayes)


def notice(s: Settings, numbers: dict) -> str:
    share, variety, w = numbers["share_in_class"], numbers["variety"], f" (w = {sensible(s.scale - 1)})"
    first = (
        f"At s = {sensible(s.scale)}{w * (s.guide == FREE)} **{100 * share:.0f} %** of the "
        f"particles end as “{numbers['class']}”, with **{100 * variety:.0f} %** of the variety of its own points."
    )
    if s.guide == CLEAN:
        return (
            f"{first}\nThis classifier never saw noise: near T it is sure where nothing can be known, and its pull is "
            "far too strong. The lecture's first problem: a guide must be trained on noisy data."
        )
    if s.guide == NOISY:
        return (
            f"{first}\nTrained a moment ago on points noised at every t (its loss is {numbers['classifier_loss']:.2f} "
            "nats), it is as unsure far out as it should be. Still, a classifier for every wish: the second problem."
        )
    if s.scale > 1:
        return (
            f"{first}\nRaise s and the particles crowd where the class can be told best, away from its border: more "
            "certain, less various. At s = 1, with enough steps, they are draws of the class."
        )
    return (
        f"{first}\nAt s = 1, with enough steps, the particles are draws of the class; few steps miss some of its "
        "variety. At s = 0 the class is not asked about at all."
    )


def code(s: Settings) -> str:
    """Raises: ValueError as `chosen`."""
    chosen(s, data(s))
    many = len(classes(s))
    learned = s.guide in (NOISY, CLEAN)
    train = ""
    if learned:
        train = f"""

def draw(n, generator):
    x, which = points.draw(n, generator=generator)
    return x, label[which]


classifier = train_classifier(
    draw, {many}, schedule, noisy={s.guide == NOISY}, generator=torch.Generator().manual_seed({s.seed})
)

"""
        made = f"classifier_guided(everything, lambda x, t: classifier.gradient(x, t, {s.wanted}), schedule, scale)"
    elif s.guide == FREE:
        made = "guided(points.only(want).denoiser(schedule), everything, scale)"
    else:
        exact = "lambda x, t: points.class_score(x, t, schedule, want)"
        made = f"classifier_guided(everything, {exact}, schedule, scale)"
    loss = '\nprint("classifier_loss =", sum(classifier.losses[-50:]) / 50)' if learned else ""
    return f"""
import math

import torch

from core.classifier import train_classifier
from core.denoiser import classifier_guided, guided
from core.mixtures import energy_distance, mean_distance
from core.samplers import SAMPLERS, unrolled
from core.schedule import named_schedule
{head(s)}
label = torch.arange(len(points.means)) * {many} // len(points.means)
want, everything = label == {s.wanted}, points.denoiser(schedule)
{train}
def walk(scale):
    denoiser = {made}
    g = torch.Generator().manual_seed({s.seed})
    x = torch.randn({N}, 2, generator=g).double()
    return list(SAMPLERS[{s.sampler!r}](denoiser, schedule, x, times, generator=g{arguments(s, s.sampler)}))


own = points.only(want).sample({DATA}, generator=torch.Generator().manual_seed({DATA}))


def measured(end):
    share = float((points.log_class(end, 0, schedule, want) > math.log(0.5)).double().mean())
    return share, mean_distance(end) / mean_distance(own)


steps = walk({s.scale!r})
share, variety = measured(steps[-1].x_next)
curve = [measured(walk(scale)[-1].x_next) for scale in {list(SCALES)}]

print("class =", {repr(classes(s)[s.wanted])!r})
print("scale =", {s.scale!r})
print("w =", {s.scale!r} - 1)
print("share_in_class =", share)
print("variety =", variety)
print("energy_distance_to_class =", energy_distance(steps[-1].x_next, own))
print("scales =", {list(SCALES)})
print("share_at_scales =", [a for a, _ in curve])
print("variety_at_scales =", [b for _, b in curve])
print("first_particle =", [x[0].tolist() for x in unrolled(steps)[0]]){loss}
"""


IDEAS = {"guidance": Idea(("cloud", "plot"), ("guide", "wanted", "scale", "show", *SHARED), code, guidance)}
