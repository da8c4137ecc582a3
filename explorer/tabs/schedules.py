"""Schedules: how fast a picture drowns, what is left of it at the end, and what that does to sampling."""

import sys
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import torch

from core import checks
from core.forward import add_noise, posterior
from core.mixtures import GaussianMixture, distance_of_fresh_draw, energy_distance
from core.samplers import Step, ddim, unrolled
from core.schedule import SCHEDULES, NoiseSchedule, named_schedule, shifted, zero_terminal_snr
from core.toys import MIXTURES, mixture
from explorer import frame
from explorer.components.live_plot import LivePlot
from explorer.components.meter import Meter, Reading
from explorer.components.points import Cloud, Points
from explorer.components.views import Views
from explorer.figures import style
from explorer.figures.schedules import Line, over_time
from explorer.figures.style import Entry
from explorer.formulas import display, percent, tex
from explorer.frame import View
from explorer.ideas import Idea, Ideas
from explorer.settings import choice, flag, number, specs

NAME = "schedules"
TITLE = "Schedules"
QUESTION = "How fast should a picture drown, and what happens if some of it is still there at the end?"
SOURCE = r"""
- Lecture 002, *Fundamentals of diffusion*: many small Gaussian steps. Lecture 004, *Diffusion models*: the product
  form.
- linear: J. Ho et al. (2020), arXiv 2006.11239. scaled linear: R. Rombach et al. (2022), arXiv 2112.10752, code.
  quadratic: J. Song et al. (2021), arXiv 2010.02502, code; it is the formula of scaled linear between the end points of
  linear. cosine: A. Nichol & P. Dhariwal (2021), arXiv 2102.09672, equation 17. sigmoid: T. Chen (2023), arXiv
  2301.10972, algorithm 1.
- karras: T. Karras et al. (2022), arXiv 2206.00364, equation 5: noise $\sigma$ beside a picture of amplitude 1. flow:
  Y. Lipman et al. (2023), arXiv 2210.02747; X. Liu et al. (2023), arXiv 2209.03003: a straight line from picture to
  noise. Their $x$ is longer or shorter than ours. Both are **held at equal SNR**: divided by its length, so that
  $\sqrt{\bar\alpha}^2+\sqrt{1-\bar\alpha}^2=1$. The same pictures, in other units.
- Shift: E. Hoogeboom et al. (2023), arXiv 2301.11093, equation 4; P. Esser et al. (2024), arXiv 2403.03206,
  equation 23.
- The repair: S. Lin et al., *Common diffusion noise schedules and sample steps are flawed* (2023), arXiv 2305.08891,
  algorithm 1. Stable Diffusion leaves $\sqrt{\bar\alpha_T}=0.068$, which is why it cannot draw a black picture.
- The points are mixtures of Gaussians, whose denoiser is exact: what goes wrong is the start's fault alone.
"""

CURVES, START = "the curves", "the start of sampling"
NOTHING, BEFORE = "nothing", "itself, not shifted, not repaired"
MUCH, LITTLE = 0.1, 0.02  # of the amplitude at T: too much, and little enough
N, DATA = 500, 1000
# The controls of each schedule's end points: field -> its name in core.
ENDS: dict[str, dict[str, str]] = {
    "linear": {"beta_1": "beta_1", "beta_T": "beta_T"},
    "quadratic": {"beta_1": "beta_1", "beta_T": "beta_T"},
    "scaled_linear": {"scaled_1": "beta_1", "scaled_T": "beta_T"},
    "cosine": {"offset": "s"},
    "sigmoid": {"start": "start", "end": "end"},
    "karras": {"sigma_min": "sigma_min", "sigma_max": "sigma_max"},
    "flow": {},
}


@dataclass(frozen=True)
class Settings:
    view: str = choice(CURVES, options=(CURVES, START), label="Show", key="v")
    schedule: str = choice("linear", options=tuple(SCHEDULES), label="Schedule", key="s")
    T: int = number(1000, low=2, high=2000, label="Steps in all T", key="T")
    beta_1: float = number(1e-4, low=1e-5, high=0.1, step=1e-5, log=True, label="First β", key="b1")
    beta_T: float = number(0.02, low=1e-4, high=0.999, step=1e-4, log=True, label="Last β", key="bT")
    scaled_1: float = number(0.00085, low=1e-5, high=0.1, step=1e-5, log=True, label="First β", key="c1")
    scaled_T: float = number(0.012, low=1e-4, high=0.999, step=1e-4, log=True, label="Last β", key="cT")
    offset: float = number(0.008, low=0, high=0.2, step=0.001, label="Offset s", key="o", hint="keeps β₁ above 0")
    start: float = number(-3.0, low=-8, high=7, step=0.1, label="Curve from", key="a")
    end: float = number(3.0, low=-7, high=8, step=0.1, label="Curve to", key="e")
    sigma_min: float = number(0.002, low=0.001, high=1, step=0.001, log=True, label="Least σ", key="l")
    sigma_max: float = number(80.0, low=1, high=200, step=0.5, log=True, label="Largest σ", key="h")
    shift: float = number(1.0, low=0.1, high=10, step=0.1, log=True, label="Shift", key="sh", hint="multiplies σ")
    repair: bool = flag(False, label="Repair: zero signal at T", key="z")
    other: str = choice("cosine", options=(NOTHING, BEFORE, *SCHEDULES), label="Compare with", key="c")
    t: int = number(400, low=1, high=2000, label="Look at time t", key="t")
    points: str = choice("two moons", options=tuple(MIXTURES), label="Data", key="x")
    away: float = number(1.2, low=0, high=2, step=0.1, label="Data's mean", key="m", hint="how far from 0, both ways")
    steps: int = number(40, low=1, high=200, label="Steps of DDIM", key="n")
    seed: int = number(0, low=0, high=9999, label="Seed", key="seed")


PRESETS = {
    "linear and cosine": Settings(),
    "scaled linear, repaired": Settings(schedule="scaled_linear", repair=True, other=BEFORE, t=900),
    "Karras σ and the flow line": Settings(schedule="karras", other="flow", t=500),
    "flow, shifted by 3": Settings(schedule="flow", shift=3.0, other="flow", t=500),
    "quadratic and linear": Settings(schedule="quadratic", other="linear"),
    "deck 002 · T = 150 is too few": Settings(T=150, t=75, other=NOTHING),
    "the wrong start: T = 150": Settings(view=START, T=150, other=NOTHING, t=75),
    "the wrong start, a little: Stable Diffusion's": Settings(view=START, schedule="scaled_linear", away=2.0),
    "a start from pure noise": Settings(view=START, schedule="cosine"),
}


def ends_of(s: Settings) -> dict[str, float]:
    """The end points of the chosen schedule, under core's names."""
    return {name: getattr(s, field) for field, name in ENDS[s.schedule].items()}


def named(s: Settings) -> NoiseSchedule:
    """The chosen schedule; ends in the wrong order are refused by the names of their controls, not by core's."""
    if len(fields := list(ENDS[s.schedule])) == 2:
        first, last = (getattr(s, field) for field in fields)
        names, betas = [specs(Settings)[field].label for field in fields], "beta" in ENDS[s.schedule][fields[0]]
        if first > last or (first == last and not betas):  # a β may stay as it is
            order = "at most" if betas else "below"
            raise ValueError(f"“{names[0]}” must be {order} “{names[1]}”, got {first:g} and {last:g}")
    return named_schedule(s.schedule, T=s.T, **ends_of(s))


def schedule_of(s: Settings) -> NoiseSchedule:
    made = shifted(named(s), s.shift)
    return zero_terminal_snr(made) if s.repair else made


def other_of(s: Settings) -> NoiseSchedule | None:
    """What it is compared with, over the same times: another with its paper's end points, or itself as it was."""
    if s.other == NOTHING:
        return None
    if s.other == BEFORE:
        return named(s)
    return named_schedule(s.other, T=s.T)


def check_of(s: Settings, schedule: NoiseSchedule, other: NoiseSchedule | None) -> checks.Check:
    curve = ends_of(s) | {"shift": s.shift, "repaired": s.repair}
    found = [
        checks.schedule(schedule.alpha_bar, s.schedule, **curve),
        checks.posterior_variance(posterior_variances(schedule)[1:], s.schedule, **curve),
    ]
    if other is not None:
        before = s.other == BEFORE
        found.append(
            checks.schedule(other.alpha_bar, s.schedule if before else s.other, **(ends_of(s) if before else {}))
        )
    return frame.weakest(*found)


@lru_cache(maxsize=4)  # the same schedule is read for the numbers, the figures and the badge
def posterior_variances(schedule: NoiseSchedule) -> torch.Tensor:
    """The variance of the step back from t to t - 1 once the picture is known, (T + 1,), 0 at times 0 and 1."""
    t, nothing = torch.arange(1, schedule.T + 1), torch.zeros(schedule.T, 1, dtype=torch.float64)
    variance = posterior(nothing, nothing, t, t - 1, schedule)[1].flatten()
    return torch.cat([variance.new_zeros(1), variance])


def update(settings: Settings) -> View:
    try:
        return TAB.update(settings)
    except ValueError as error:  # what core calls alpha_bar and betas
        raise ValueError(str(error).replace("alpha_bar", "ᾱ").replace("smaller betas", "a smaller β")) from error


# The curves


def curves(s: Settings) -> View:
    schedule, other = schedule_of(s), other_of(s)
    t = min(s.t, s.T)
    numbers = {"T": s.T, "t": t, **readings(schedule, t), "curves": whole(schedule)}
    if other is not None:
        numbers["other"] = readings(other, t) | {"curves": whole(other)}
    return View(
        {"meter": meter(s, schedule, other), **figures(s, schedule, other, t)},
        formula=formula(s, t, numbers),
        check=check_of(s, schedule, other),
        notice=notice(s, schedule, other, numbers),
        numbers=numbers,
    )


def readings(schedule: NoiseSchedule, t: int) -> dict[str, float | None]:
    """Everything at time t, and the signal at the end."""
    return {
        "beta": float(schedule.beta[t]),
        "alpha_bar": float(schedule.alpha_bar[t]),
        "snr": float(schedule.snr[t]),
        "signal": float(schedule.signal[t]),
        "noise": float(schedule.noise[t]),
        "sigma": finite(float(schedule.sigma[t])),
        "posterior_variance": float(posterior_variances(schedule)[t]),
        "signal_at_T": float(schedule.signal[-1]),
    }


def whole(schedule: NoiseSchedule) -> dict[str, list[float | None]]:
    """The curves as drawn, over the times 0..T; None where the SNR is infinite."""
    endless = set((~schedule.snr.isfinite()).nonzero().flatten().tolist())
    return {
        "beta": schedule.beta.tolist(),
        "alpha_bar": schedule.alpha_bar.tolist(),
        "snr": [None if i in endless else v for i, v in enumerate(schedule.snr.tolist())],
        "signal": schedule.signal.tolist(),
        "noise": schedule.noise.tolist(),
        "posterior_variance": posterior_variances(schedule).tolist(),
    }


def finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def title(s: Settings) -> str:
    return (
        s.schedule.replace("_", " ") + (f", shifted by {s.shift:g}" if s.shift != 1 else "") + ", repaired" * s.repair
    )


def other_title(s: Settings) -> str:
    return "before" if s.other == BEFORE else s.other.replace("_", " ")


def meter(s: Settings, schedule: NoiseSchedule, other: NoiseSchedule | None) -> list[Reading]:
    """The signal that is left at T, of one schedule or of both."""
    both = [(title(s), schedule)] + ([(other_title(s), other)] if other is not None else [])
    return [reading(name, float(one.signal[-1])) for name, one in both]


def reading(name: str, left: float) -> Reading:
    what = f"{name}: signal left at T, √ᾱ"
    if left > MUCH:
        return Reading(left, what, "too much: sampling must not start from pure noise", "wrong")
    if left > LITTLE:
        return Reading(left, what, "enough to tell the picture's brightness: samples will be too grey", "careful")
    return Reading(left, what, "nothing that matters" if left else "nothing at all", "fine")


def figures(s: Settings, schedule: NoiseSchedule, other: NoiseSchedule | None, t: int) -> dict[str, Any]:
    """The five plots."""
    both = [(title(s), "solid", schedule)] + ([(other_title(s), "dot", other)] if other is not None else [])

    def lines(colour: str, read: Any) -> list[Line]:
        return [Line(read(one).numpy(), name, colour, dash) for name, dash, one in both]

    amplitudes = [
        Line(read(one).numpy(), f"{word}, {name}" if other is not None else word, colour, dash)
        for name, dash, one in both
        for word, colour, read in (
            ("signal √ᾱ", style.SIGNAL, lambda one: one.signal),
            ("noise √(1 − ᾱ)", style.NOISE, lambda one: one.noise),
        )
    ]
    names: list[Entry] = [("signal √ᾱ", style.SIGNAL), ("noise √(1 − ᾱ)", style.NOISE)]
    names += [(other_title(s), style.GREY, "dot")] * (other is not None)
    snr, beta = lines(style.SIGNAL, lambda one: one.snr), lines(style.NOISE, lambda one: one.beta)
    back = lines(style.PREDICTION, posterior_variances)
    return {
        "share": over_time(lines(style.SIGNAL, lambda one: one.alpha_bar), t, "signal’s share ᾱ", (0, 1.05)),
        "amplitudes": over_time(amplitudes, t, "amplitude", (0, 1.05), names=names),
        "snr": over_time(snr, t, "SNR", (-9, 6), log=True),
        "beta": over_time(beta, t, "noise added, β", (-7, 0.2), log=True),
        "posterior": over_time(back, t, "posterior variance", (-7, 0.2), log=True),
    }


def formula(s: Settings, t: int, numbers: dict) -> str:
    lines = [definition(s, t)]
    if s.shift != 1:
        lines.append(rf"\text{{shift:}}\quad\sigma_t\;\leftarrow\;{s.shift:g}\,\sigma_t")
    if s.repair:
        before = shifted(named_schedule(s.schedule, T=s.T, **ends_of(s)), s.shift)
        first, last = float(before.signal[1]), float(before.signal[-1])
        lines.append(
            r"\text{repair:}\quad\sqrt{\bar\alpha_t}\;\leftarrow\;\bigl(\sqrt{\bar\alpha_t}-\sqrt{\bar\alpha_T}\bigr)"
            r"\frac{\sqrt{\bar\alpha_1}}{\sqrt{\bar\alpha_1}-\sqrt{\bar\alpha_T}}"
            rf"=({tex(float(before.signal[t]))}-{tex(last)})\cdot{tex(first / (first - last))}={tex(numbers['signal'])}"
        )
    lines.append(
        rf"\bar\alpha_{{{t}}}={tex(numbers['alpha_bar'])},\quad\beta_{{{t}}}={tex(numbers['beta'])},\quad"
        rf"\mathrm{{SNR}}=\frac{{\bar\alpha}}{{1-\bar\alpha}}={tex(numbers['snr'])},\quad "
        rf"\tilde\beta_{{{t}}}=\frac{{1-\bar\alpha_{{{t - 1}}}}}{{1-\bar\alpha_{{{t}}}}}\,\beta_{{{t}}}"
        rf"={tex(numbers['posterior_variance'])}"
    )
    return display(*lines)


def definition(s: Settings, t: int) -> str:
    """The schedule's own formula at time t, with its end points in it."""
    T, e = s.T, ends_of(s)
    share = rf"\tfrac{{{t}-1}}{{{T}-1}}"
    product = r"\qquad\bar\alpha_t=\textstyle\prod_{s\le t}(1-\beta_s)"
    if s.schedule == "linear":
        return rf"\beta_{{{t}}}={tex(e['beta_1'])}+{share}\,({tex(e['beta_T'])}-{tex(e['beta_1'])}){product}"
    if s.schedule in ("scaled_linear", "quadratic"):
        low, high = rf"\sqrt{{{tex(e['beta_1'])}}}", rf"\sqrt{{{tex(e['beta_T'])}}}"
        return rf"\sqrt{{\beta_{{{t}}}}}={low}+{share}\,\bigl({high}-{low}\bigr){product}"
    if s.schedule == "cosine":
        turn = rf"\frac{{{t}/{T}+{e['s']:g}}}{{1+{e['s']:g}}}\cdot\frac\pi2"
        return rf"\bar\alpha_{{{t}}}=\frac{{f({t})}}{{f(0)}},\quad f({t})=\cos^2\!\Bigl({turn}\Bigr),\quad\beta\le0.999"
    if s.schedule == "sigmoid":
        a, b = f"{e['start']:g}", f"{e['end']:g}"
        place = rf"{a}+\tfrac{{{t}}}{{{T}}}({b}-({a}))"
        return (
            rf"\bar\alpha_{{{t}}}=\frac{{S({b})-S(u)}}{{S({b})-S({a})}},\quad u={place},\quad S(u)=\frac1{{1+e^{{-u}}}}"
        )
    held = r"\qquad\text{held at equal SNR:}\quad\bar\alpha=\frac1{1+\sigma^2}"
    if s.schedule == "karras":
        low, high = f"{e['sigma_min']:g}^{{1/7}}", f"{e['sigma_max']:g}^{{1/7}}"
        return rf"\sigma_{{{t}}}=\Bigl({low}+{share}\,\bigl({high}-{low}\bigr)\Bigr)^7{held}"
    return rf"u=\tfrac{{{t}}}{{{T}}},\quad x=(1-u)\,x_0+u\,\varepsilon,\quad\sigma=\frac{{u}}{{1-u}}{held}"


def notice(s: Settings, schedule: NoiseSchedule, other: NoiseSchedule | None, numbers: dict) -> str:
    t, left = numbers["t"], numbers["signal_at_T"]
    half, when = schedule.half, "at no time has noise the larger part"
    if half:
        when = f"from t = {half} of {s.T} on, noise has the larger part"
    first = (
        f"At t = {t} the signal's share ᾱ is **{100 * numbers['alpha_bar']:.3g} %** of the variance, for a picture of "
        f"variance 1; {when}"
    )
    if other is not None:
        when = f"from t = {other.half} on" if other.half else "at no time"
        name = "before any change" if s.other == BEFORE else f"with {other_title(s)}"
        first += f" ({name}: {100 * numbers['other']['alpha_bar']:.3g} %, {when})"
    if left > MUCH:
        end = (
            f"**Too much is left at T:** {100 * left:.0f} % of the picture's amplitude. Sampling from pure noise would "
            "start where no picture ever was: see the view “the start of sampling”."
        )
    elif left > LITTLE:
        end = (
            f"At T **{100 * left:.1f} %** of the amplitude is left. It is faint, yet a network trained so learns to "
            "read a picture's brightness from it, and finds the wrong one in pure noise: tick the repair."
        )
    elif left:
        end = f"At T **{percent(left)}** of the amplitude is left: sampling may start from pure noise."
    else:
        end = (
            "At T **nothing** is left, and the noise says nothing about the picture: a network must not be trained to "
            "predict ε here, but x₀ or v."
        )
    return f"{first}.\n{end}{faint(s, schedule, other)}"


def faint(s: Settings, schedule: NoiseSchedule, other: NoiseSchedule | None) -> str:
    """How many of the last steps have next to no signal, in a sentence; nothing where there are none."""
    late, late_too = (int((one.alpha_bar < 0.01).sum()) if one is not None else 0 for one in (schedule, other))
    if not late:
        return ""
    beside = f" (in {late_too} {'before any change' if s.other == BEFORE else f'with {other_title(s)}'})"
    return (
        f" In {'the last step' if late == 1 else f'the last **{late}** steps'} less than 1 % of the variance is "
        f"signal{beside if other is not None else ''}: next to nothing of the picture is there to be seen."
    )


# The start of sampling


@dataclass(frozen=True, eq=False)
class Walks:
    """Three walks from one noise: from that noise alone, from noised data, and from it with the schedule repaired."""

    data: GaussianMixture
    schedules: tuple[NoiseSchedule, NoiseSchedule, NoiseSchedule]
    steps: tuple[list[Step], list[Step], list[Step]]
    fresh: torch.Tensor  # DATA points to compare with

    def end(self, i: int) -> torch.Tensor:
        return self.steps[i][-1].x_next


@lru_cache(maxsize=4)
def walks(s: Settings) -> Walks:
    schedule = schedule_of(s)
    data, repaired = moved(mixture(s.points), s.away), zero_terminal_snr(schedule)
    g = torch.Generator().manual_seed(s.seed)
    noise = torch.randn(N, 2, generator=g)
    x0 = data.sample(N, generator=g)
    schedules = schedule, schedule, repaired
    beginnings = noise, add_noise(x0, noise, s.T, schedule), noise
    n = min(s.steps, s.T)
    ways = [list(ddim(data.denoiser(one), one, x, one.times(n))) for one, x in zip(schedules, beginnings, strict=True)]
    return Walks(data, schedules, (ways[0], ways[1], ways[2]), data.sample(DATA, generator=g))


def moved(points: GaussianMixture, away: float) -> GaussianMixture:
    """The same points with their mean at (away, away)."""
    return GaussianMixture(points.means - points.weights @ points.means + away, points.stds, points.weights)


def starts(s: Settings) -> View:
    run = walks(s)
    schedule = run.schedules[0]
    left, mean = float(schedule.signal[-1]), run.data.weights @ run.data.means
    apart = [energy_distance(run.end(i), run.fresh) for i in range(3)]
    floor = distance_of_fresh_draw(run.fresh, N)
    numbers = {
        "T": s.T,
        "signal_at_T": left,
        "times": unrolled(run.steps[0])[2],
        "data_mean": mean.tolist(),
        "mean_from_pure_noise": run.end(0).mean(0).tolist(),
        "mean_from_noised_data": run.end(1).mean(0).tolist(),
        "mean_repaired": run.end(2).mean(0).tolist(),
        "distance_from_pure_noise": apart[0],
        "distance_from_noised_data": apart[1],
        "distance_repaired": apart[2],
        "distance_of_a_fresh_draw": floor,
    }
    return View(
        {"meter": meter(s, schedule, None), "cloud": cloud(s, run, apart)},
        formula=start_formula(s, schedule, mean),
        check=start_check(s, run),
        notice=start_notice(numbers),
        numbers=numbers,
    )


def start_check(s: Settings, run: Walks) -> checks.Check:
    """Every step of sixteen particles of each walk again, over the schedules' own formulas."""
    curve, few = ends_of(s) | {"shift": s.shift, "repaired": s.repair}, slice(16)
    found = [checks.schedule(run.schedules[0].alpha_bar, s.schedule, **curve)]
    for steps, how in zip(run.steps, (curve, curve, curve | {"repaired": True}), strict=True):
        states, _, times = unrolled(steps)
        found.append(
            checks.sampling(
                [x[few] for x in states],
                times,
                run.data.means,
                T=s.T,
                name=s.schedule,
                sampler="ddim",
                std=float(run.data.stds[0]),
                curve=how,
            )
        )
    return frame.weakest(*found)


def cloud(s: Settings, run: Walks, apart: list[float]) -> Cloud:
    """The three walks side by side; those with fewer times (times that fell together) wait at their end."""
    ways = [unrolled(steps)[0] for steps in run.steps]
    longest = max(map(len, ways))
    ways = [[*way, *[way[-1]] * (longest - len(way))] for way in ways]
    times = unrolled(run.steps[0])[2]
    times += [0] * (longest - len(times))
    low, high = -2.5, max(2.5, s.away + 2.2)
    axis = np.linspace(low, high, 128)
    lattice = torch.tensor(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2))
    density = run.data.log_density(lattice, 0, run.schedules[0]).exp().view(128, 128).numpy()
    words = "from pure noise", "from noised data", "from pure noise, repaired"
    return Cloud(
        torch.stack([torch.stack(way) for way in zip(*ways, strict=True)]).numpy(),
        labels=tuple(f"t = {t}" for t in times),
        extent=(low, high, low, high),
        titles=tuple(f"{word}: off by {distance:.3f}" for word, distance in zip(words, apart, strict=True)),
        field=density[::-1],
        at=longest - 1,
    )


def start_formula(s: Settings, schedule: NoiseSchedule, mean: torch.Tensor) -> str:
    left, noise, T = float(schedule.signal[-1]), float(schedule.noise[-1]), s.T

    def point(scale: float) -> str:
        return rf"({tex(scale * float(mean[0]))},\,{tex(scale * float(mean[1]))})"

    lines = [
        rf"\text{{what training saw:}}\quad x_{{{T}}}=\sqrt{{\bar\alpha_{{{T}}}}}\,x_0"
        rf"+\sqrt{{1-\bar\alpha_{{{T}}}}}\,\varepsilon={tex(left)}\,x_0+{tex(noise)}\,\varepsilon",
        rf"\text{{its mean:}}\quad {tex(left)}\cdot{point(1)}={point(left)}",
        rf"\text{{what sampling starts from:}}\quad x_{{{T}}}=\varepsilon,\quad\text{{mean }}(0,\,0)",
    ]
    return display(*lines)


def start_notice(numbers: dict) -> str:
    wrong, right, repaired, floor = (
        numbers[f"distance_{key}"] for key in ("from_pure_noise", "from_noised_data", "repaired", "of_a_fresh_draw")
    )
    (x, y), (true_x, true_y) = numbers["mean_from_pure_noise"], numbers["data_mean"]
    left = 100 * numbers["signal_at_T"]
    ends = (
        f"From pure noise the mean ends at **({x:.2f}, {y:.2f})** instead of ({true_x:.2f}, {true_y:.2f}), energy "
        f"distance to the data **{wrong:.3f}**; from noised data **{right:.3f}**, repaired **{repaired:.3f}** (a fresh "
        f"draw of the data has about {floor:.3f})."
    )
    if wrong > 2 * max(right, floor):
        return (
            f"{ends}\nThe denoiser looks for {left:.3g} % of signal, finds none, and takes that for a message: “this "
            "one is nearer to 0 than most”. Every particle heeds it. Move the data's mean and see."
        )
    if left > 100 * LITTLE:
        return (
            f"{ends}\n{left:.3g} % of signal is missed at the start, yet it hardly shows: the data's mean is near 0, "
            "or so few steps blur all three ends. Move the mean, or raise the steps."
        )
    return f"{ends}\n{left:.2g} % of signal is too little to lead astray: the three ends can hardly be told apart."


# The code pane


def made(s: Settings) -> str:
    """The lines that make the schedule, and the names they import."""
    lines = [f"schedule = named_schedule({s.schedule!r}, T={s.T}{written_ends(s)})"]
    lines += [f"schedule = shifted(schedule, {s.shift!r})"] * (s.shift != 1)
    lines += ["schedule = zero_terminal_snr(schedule)"] * s.repair
    return "\n".join(lines)


def written_ends(s: Settings) -> str:
    return "".join(f", {name}={value!r}" for name, value in ends_of(s).items())


def imported(s: Settings, *more: str) -> str:
    names = {"named_schedule", *more} | ({"shifted"} if s.shift != 1 else set())
    return ", ".join(sorted(names | ({"zero_terminal_snr"} if s.repair else set())))


def curves_code(s: Settings) -> str:
    second = {
        NOTHING: "",
        BEFORE: f"named_schedule({s.schedule!r}, T={s.T}{written_ends(s)})",
    }.get(s.other, f"named_schedule({s.other!r}, T={s.T})")
    other = f'\nnumbers["other"] = read({second})' if second else ""
    return f"""
import math

import torch

from core.forward import posterior
from core.schedule import {imported(s)}

{made(s)}
t = {min(s.t, s.T)}


def read(one):
    steps, nothing = torch.arange(1, one.T + 1), torch.zeros(one.T, 1, dtype=torch.float64)
    back = torch.cat([nothing[0], posterior(nothing, nothing, steps, steps - 1, one)[1].flatten()])
    curves = {{name: getattr(one, name).tolist() for name in ("beta", "alpha_bar", "snr", "signal", "noise")}}
    curves |= {{"snr": [v if math.isfinite(v) else None for v in curves["snr"]], "posterior_variance": back.tolist()}}
    sigma = float(one.sigma[t])
    numbers = {{name: values[t] for name, values in curves.items()}}
    numbers |= {{"sigma": sigma if math.isfinite(sigma) else None, "signal_at_T": float(one.signal[-1])}}
    return numbers | {{"curves": curves}}


numbers = {{"T": schedule.T, "t": t}} | read(schedule){other}
for name, value in numbers.items():
    print(name, "=", value)
"""


def starts_code(s: Settings) -> str:
    return f"""
import torch

from core.forward import add_noise
from core.mixtures import GaussianMixture, distance_of_fresh_draw, energy_distance
from core.samplers import ddim
from core.schedule import {imported(s, "zero_terminal_snr")}
from core.toys import mixture

{made(s)}
repaired = zero_terminal_snr(schedule)
points = mixture({s.points!r})
means = points.means - points.weights @ points.means + {s.away!r}
data = GaussianMixture(means, points.stds, points.weights)


times = schedule.times({min(s.steps, s.T)})


def end(schedule, x):
    for step in ddim(data.denoiser(schedule), schedule, x, schedule.times({min(s.steps, s.T)})):
        x = step.x_next
    return x


g = torch.Generator().manual_seed({s.seed})
noise = torch.randn({N}, 2, generator=g)
x0 = data.sample({N}, generator=g)
fresh = data.sample({DATA}, generator=g)
ends = {{
    "from_pure_noise": end(schedule, noise),
    "from_noised_data": end(schedule, add_noise(x0, noise, schedule.T, schedule)),
    "repaired": end(repaired, noise),
}}

print("T =", schedule.T)
print("signal_at_T =", float(schedule.signal[-1]))
print("times =", times.tolist())
print("data_mean =", (data.weights @ data.means).tolist())
for name, x in ends.items():
    print(f"mean_{{name}} =", x.mean(0).tolist())
    print(f"distance_{{name}} =", energy_distance(x, fresh))
print("distance_of_a_fresh_draw =", distance_of_fresh_draw(fresh, {N}))
"""


PLOTS = {
    "share": "Signal's share over time",
    "amplitudes": "Amplitudes over time",
    "snr": "Signal-to-noise ratio",
    "beta": "Noise added",
    "posterior": "Posterior",
}
OF_ALL = ("schedule", "T", *chain(*ENDS.values()), "shift", "repair")
TAB = Ideas(
    {
        CURVES: Idea(("meter", *PLOTS), (*OF_ALL, "other", "t"), curves_code, show=curves),
        START: Idea(("meter", "cloud"), (*OF_ALL, "points", "away", "steps", "seed"), starts_code, show=starts),
    },
    idle=lambda s, idea: {*chain(*ENDS.values())} - {*ENDS[s.schedule]},
)
code = TAB.code


def build() -> None:
    frame.tab(
        sys.modules[__name__],
        stage={
            "meter": Meter("Signal that is left at the end", marks=(LITTLE, MUCH)),
            **{name: LivePlot(label, height=280, half=True) for name, label in PLOTS.items()},
            "cloud": Points("Three walks: from pure noise, from noised data, and repaired", height=360),
            "views": Views(NAME, TAB.showing(Settings())),
        },
    )
