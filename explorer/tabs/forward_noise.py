"""Forward noise: one jump to any time, and the chain of small steps, from the same picture."""

import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from core import checks
from core.forward import add_noise, forward_chain, randn_like
from core.pictures import NAMES, picture
from core.resizing import resize
from core.schedule import SCHEDULES, NoiseSchedule, named_schedule
from core.toys import MIXTURES, mixture
from explorer import frame, runs
from explorer.components.live_plot import LivePlot
from explorer.components.picture_rows import PictureRows, Rows
from explorer.components.pictures import Picture, Pictures
from explorer.components.player import Player, Trajectory, shades
from explorer.components.points import Cloud, Points
from explorer.components.views import Views
from explorer.figures import forward_noise as figures
from explorer.formulas import counted, display, percent, sensible, tex
from explorer.frame import View
from explorer.ideas import Idea, Ideas
from explorer.settings import choice, flag, is_own, number
from explorer.uploads import in_code, pictured

NAME = "forward_noise"
TITLE = "Forward noise"
QUESTION = "How does a picture turn into noise: in many small steps, or all at once?"
SOURCE = r"""
- Lecture 002, *Fundamentals of diffusion*: many small Gaussian steps, and the one shot that equals them; particles and
  concentration. Lecture 003, *Illustrated text-to-image*: the table "noise amount | noisy image | noise sample", with
  its amounts, here on 50 steps. Lecture 004: $q(x_t \mid x_{t-1})$ and the product form.
- J. Ho, A. Jain, P. Abbeel, *Denoising Diffusion Probabilistic Models* (2020), arXiv 2006.11239: (1) is their equation
  2, (2) their equation 4.
- Where the schedules come from is said in the tab Schedules.
- Pictures: drawn by formulas (`core/toys.py`), files of `assets/images/start`, scikit-image's photographs, drawn by the
  embedded model, or your own, of which the middle square is taken. Values run from -1 (black) to 1 (white); what goes
  beyond is shown black or white.
- Entropy here is differential entropy, $-\int q\ln q$, in nats; it lies below 0 where the particles crowd together.
"""

PLAY, PROOF, STRIP = "one jump and many steps", "are they the same?", "filmstrips"
TABLE, CLOUD = "table of noise amounts", "particles"
AMOUNTS = (3, 14, 7, 42, 2, 21)  # of lecture 003
BUDGET, MOST_FRAMES = 4_000_000, 40  # bytes that travel with every move of a slider, and times between 0 and T
SIDE = 16  # pixels a side where every pixel is drawn many times
PARTICLES, EXTENT, GRID, CLOUD_FRAMES = 2000, (-3.2, 3.2, -3.2, 3.2), 60, 20


@dataclass(frozen=True)
class Settings:
    view: str = choice(PLAY, options=(PLAY, PROOF, STRIP, TABLE, CLOUD), label="Show", key="v")
    picture: str = choice("beach", options=NAMES, label="Picture x₀", key="x", own=True)
    size: int = number(64, low=28, high=256, step=4, label="Pixels a side", key="n")
    grey: bool = flag(False, label="In grey", key="g")
    points: str = choice("two moons", options=tuple(MIXTURES), label="Particles", key="p")
    t: int = number(250, low=0, high=1000, label="Noise amount t", key="t", hint="from 0, clean, to T")
    schedule: str = choice("linear", options=tuple(SCHEDULES), label="Schedule", key="sch")
    T: int = number(1000, low=2, high=1000, label="Steps in all T", key="T")
    draws: int = number(200, low=20, high=2000, log=True, label="Draws", key="d", hint="of every pixel, each way")
    rows: int = number(0, low=0, high=9999, look="button", label="Six new rows", key="r", hint="the lecture’s amounts")
    seed: int = number(0, low=0, high=9999, label="Seed of the noise", key="seed")


PRESETS = {
    "deck 002 · step by step = one shot": Settings(),
    "deck 003 · the table": Settings(view=TABLE, T=50, schedule="cosine"),
    "deck 004 · a letter drowns": Settings(view=STRIP, picture="letter", schedule="cosine"),
    "are they the same?": Settings(view=PROOF),
    "deck 002 · particles": Settings(view=CLOUD),
    "ink in water: a spiral": Settings(view=CLOUD, points="swiss roll", t=120),
    "a photograph": Settings(picture="astronaut", size=128, t=150),
    "FashionMNIST's size": Settings(picture="letter", size=28, t=500, schedule="cosine"),
    "too few steps: T = 150": Settings(picture="ball", t=150, T=150),
}


def begin(s: Settings) -> tuple[torch.Tensor, NoiseSchedule]:
    """The picture, (C, H, W) in [-1, 1], and the schedule, once t is seen to fit it."""
    if s.t > s.T and s.view in (PLAY, PROOF, CLOUD):
        raise ValueError(f"the noise amount t must be at most T = {s.T}, got {s.t}: lower t or raise T")
    return start(s.picture, s.size, s.grey), named_schedule(s.schedule, T=s.T)


def start(name: str, size: int, grey: bool) -> torch.Tensor:
    """A picture by its name, or a visitor's own."""
    if not is_own(name):
        return picture(name, size, grey=grey)
    x = 2 * pictured(name, size) - 1
    return (x.mean(0, keepdim=True) if grey else x).float()


def chance(seed: int, stream: int) -> torch.Generator:
    """One generator for each use: 0 the jump's noise, 1 the chain's, 2 many chains', 3 many jumps', 4 and on rows'."""
    return torch.Generator().manual_seed(100_000 * stream + seed)


# One jump and many steps


@dataclass(frozen=True, eq=False)
class Chain:
    """One chain from a picture or from points, kept at some times with the generator as it stood there, to go on."""

    times: tuple[int, ...]  # from 0 to T
    states: tuple[torch.Tensor, ...]  # each (C, H, W), or (PARTICLES, 2)
    generators: tuple[torch.Tensor, ...]


@lru_cache(maxsize=12)  # a moving t goes on from a chain that stands already, of every visitor; 9 MB each at most
def chain_of(name: str, size: int, grey: bool, schedule_name: str, T: int, seed: int) -> Chain:
    x0 = start(name, size, grey)
    return walk(x0, named_schedule(schedule_name, T=T), frames(x0, T), chance(seed, 1))


@lru_cache(maxsize=12)  # 4 MB each at most
def shades_of(name: str, size: int, grey: bool, schedule_name: str, T: int, seed: int) -> np.ndarray:
    """The jump and the chain at the kept times, as a player shows them."""
    chain, schedule = chain_of(name, size, grey, schedule_name, T, seed), named_schedule(schedule_name, T=T)
    x0 = chain.states[0]
    eps = randn_like(x0, chance(seed, 0))
    every = len(chain.times), *x0.shape
    jumps = add_noise(x0.expand(every), eps.expand(every), torch.tensor(chain.times), schedule)
    return shades(panels(jumps, torch.stack(chain.states)), (-1, 1))


def panels(*of: torch.Tensor) -> np.ndarray:
    """Pictures (steps, C, H, W), a panel each, as a player takes them."""
    x = torch.stack(of, dim=1)
    return (x.permute(0, 1, 3, 4, 2) if x.shape[2] == 3 else x[:, :, 0]).numpy()


def walk(x0: torch.Tensor, schedule: NoiseSchedule, n: int, g: torch.Generator) -> Chain:
    """A chain from x0, kept at 0 and at n times more, evenly to T."""
    keep = set(np.linspace(0, schedule.T, n + 1).round().astype(int).tolist())
    states, generators = [x0], [g.get_state()]
    for t, x in enumerate(forward_chain(x0, schedule, generator=g), start=1):
        if t in keep:
            states.append(x)
            generators.append(g.get_state())
    return Chain(tuple(sorted(keep)), tuple(states), tuple(generators))


def frames(x0: torch.Tensor, T: int) -> int:
    """Times between 0 and T that the player gets: fewer of large pictures."""
    return min(T, MOST_FRAMES, max(4, BUDGET // (2 * x0.numel())))


def piece(chain: Chain, schedule: NoiseSchedule, t: int) -> tuple[int, list[torch.Tensor], list[torch.Tensor]]:
    """The chain from the last kept time before t on to t: that time, its states, and the noises it draws again."""
    at = max(0, int(np.searchsorted(chain.times, t)) - 1)
    first, x = chain.times[at], chain.states[at]

    def generator() -> torch.Generator:
        return torch.Generator().set_state(chain.generators[at].clone())

    on = forward_chain(x, schedule, start=first, generator=generator())
    states = [x, *(x for _, x in zip(range(t - first), on, strict=False))]
    g = generator()
    return first, states, [randn_like(x, g).flatten()[watched(x)] for _ in range(t - first)]


def watched(x: torch.Tensor) -> slice:
    """The pixels whose every step the badge follows: about a thousand, evenly."""
    return slice(None, None, max(1, x.numel() // 1000))


def play(s: Settings) -> View:
    x0, schedule = begin(s)
    t, T = s.t, s.T
    chain = chain_of(s.picture, s.size, s.grey, s.schedule, T, s.seed)
    eps = randn_like(x0, chance(s.seed, 0))
    first, states, noises = piece(chain, schedule, t)
    x_t, walked = add_noise(x0, eps, t, schedule), states[-1]
    numbers = amounts(schedule, t) | {
        "signal_at_T": float(schedule.signal[T]),
        "jump_mean": float(x_t.mean()),
        "jump_std": float(x_t.std()),
        "chain_mean": float(walked.mean()),
        "chain_std": float(walked.std()),
    }
    found = [checks.jump(x_t, x0, eps, t, T, s.schedule)]
    if t:
        added = walked - (1 - schedule.beta[t]).sqrt() * states[-2]
        numbers |= {"added_mean": float(added.mean()), "added_std": float(added.std())}
        seen = watched(x0)
        ends = walked.flatten()[seen], states[0].flatten()[seen]
        found += [
            checks.noising(*ends, noises, first, T, s.schedule),
            checks.noised(walked, x0, t, T, s.schedule),
            checks.noised(x_t, x0, t, T, s.schedule),
        ]
    return View(
        {
            "player": trajectory(s, schedule, chain.times, x_t, walked),
            "values": figures.pixel_values(x_t.numpy(), walked.numpy()),
            "amplitudes": figures.amplitudes(schedule.signal.numpy(), schedule.noise.numpy(), t),
            "steps": figures.steps(schedule.beta.numpy(), t),
        },
        formula=formula(t, numbers),
        check=frame.weakest(*found),
        notice=play_notice(s, numbers, float(x0.var(correction=0))),
        numbers=numbers,
    )


def amounts(schedule: NoiseSchedule, t: int) -> dict[str, float]:
    return {name: float(getattr(schedule, name)[t]) for name in ("alpha_bar", "signal", "noise", "beta")}


def trajectory(
    s: Settings, schedule: NoiseSchedule, times: tuple[int, ...], x_t: torch.Tensor, walked: torch.Tensor
) -> Trajectory:
    """The jump and the chain at the kept times and at t."""
    at, moves = int(np.searchsorted(times, s.t)), s.t not in times
    steps = shades_of(s.picture, s.size, s.grey, s.schedule, s.T, s.seed)
    if moves:
        times = (*times[:at], s.t, *times[at:])
        steps = np.insert(steps, at, shades(panels(x_t[None], walked[None])[0], (-1, 1)), axis=0)
    signal, noise = schedule.signal.tolist(), schedule.noise.tolist()
    return Trajectory(
        steps,
        titles=("in one jump", "step by step"),
        labels=tuple(f"t = {u}: signal {signal[u]:.3f}, noise {noise[u]:.3f}" for u in times),
        at=at,
        moving=at if moves else None,
    )


def formula(t: int, numbers: dict) -> str:
    """Equations (1), one step, and (2), one jump, at time t."""
    a, beta = numbers["alpha_bar"], numbers["beta"]
    jump = (
        rf"\text{{(2) in one jump:}}\quad q(x_{{{t}}}\mid x_0)=\mathcal N\bigl(\sqrt{{\bar\alpha_{{{t}}}}}\,x_0,\;"
        rf"(1-\bar\alpha_{{{t}}})\,I\bigr),\quad x_{{{t}}}={tex(numbers['signal'])}\,x_0+{tex(numbers['noise'])}\,"
        r"\varepsilon"
    )
    if t == 0:
        return display(jump)
    step = (
        rf"\text{{(1) one step:}}\quad q(x_{{{t}}}\mid x_{{{t - 1}}})=\mathcal N\bigl(\sqrt{{1-\beta_{{{t}}}}}\,"
        rf"x_{{{t - 1}}},\;\beta_{{{t}}}I\bigr),\quad x_{{{t}}}={tex((1 - beta) ** 0.5)}\,x_{{{t - 1}}}"
        rf"+{tex(beta**0.5)}\,z"
    )
    product = (
        rf"\beta_{{{t}}}={tex(beta)},\quad\bar\alpha_{{{t}}}=(1-\beta_1)\cdots(1-\beta_{{{t}}})={tex(a)},\quad "
        rf"q(x_{{1:{t}}}\mid x_0)=\textstyle\prod_{{s=1}}^{{{t}}}q(x_s\mid x_{{s-1}})"
    )
    return display(step, product, jump)


def play_notice(s: Settings, numbers: dict, variance: float) -> str:
    t, T, left = s.t, s.T, numbers["signal_at_T"]
    if t == 0:
        return "At t = 0 nothing has happened yet: both histograms are the picture's own.\nRaise t, or press play."
    step = (
        f"Step {t} takes {percent(1 - (1 - numbers['beta']) ** 0.5)} off the mean and adds noise of spread "
        f"√β = **{numbers['beta'] ** 0.5:.4f}**; over the picture's pixels it was {numbers['added_std']:.4f}, with the "
        f"mean {round(numbers['added_mean'], 4) + 0.0:.4f}."  # + 0.0: no −0
    ).replace("-", "−")
    if left > 0.1:
        return (
            f"**Too few steps:** at T = {T} this schedule still leaves **{100 * left:.0f} %** of the picture's "
            f"amplitude at the end, so a sampler must not start from pure noise here.\n{step}"
        )
    a = numbers["alpha_bar"]
    return (
        f"After {t} of {T} steps **{percent(a)}** of the variance is the picture's, if its own is 1; that of these "
        f"pixels is {variance:.3g}, so here it is **{percent(a * variance / (a * variance + 1 - a))}**. The two "
        f"noisy pictures differ, for their noise does, but both are draws of one distribution: see “{PROOF}”.\n{step}"
    )


# Are they the same?


@lru_cache(maxsize=4)
def many_chains(name: str, schedule_name: str, T: int, seed: int, draws: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of every pixel over many chains, at every time: each (T + 1, SIDE * SIDE)."""
    x0, schedule = small(name), named_schedule(schedule_name, T=T)
    means, variances = x0.repeat(T + 1, 1), torch.zeros(T + 1, len(x0))  # a tensor a step would pin the states' memory
    with runs.at_length():  # 0.3 s for a hundred chains of 1,000 steps
        for t, x in enumerate(forward_chain(x0.expand(draws, -1), schedule, generator=chance(seed, 2)), start=1):
            variances[t], means[t] = torch.var_mean(x, 0)
    return means, variances


def small(name: str) -> torch.Tensor:
    """The picture's grey in SIDE x SIDE pixels, flat, float32."""
    return resize(start(name, 64, True)[0].double(), SIDE, "area").flatten().float()


def proof(s: Settings) -> View:
    _, schedule = begin(s)
    x0, t, n = small(s.picture), s.t, s.draws
    means, spreads = many_chains(s.picture, s.schedule, s.T, s.seed, n)
    many = x0.expand(n, -1)
    variance, mean = torch.var_mean(add_noise(many, randn_like(many, chance(s.seed, 3)), t, schedule), 0)
    expected, spread = schedule.signal[t] * x0, float(1 - schedule.alpha_bar[t])
    measured = {"jump": (mean, variance), "chain": (means[t], spreads[t])}
    numbers: dict[str, Any] = amounts(schedule, t) | {"draws": n, "standard_error_of_a_mean": (spread / n) ** 0.5}
    for name, (m, v) in measured.items():
        numbers |= {
            f"{name}_mean_off": float((m - expected).square().mean().sqrt()),
            f"{name}_variance": float(v.mean()),
            f"{name}_means": m.tolist(),
            f"{name}_variances": v.tolist(),
        }
    found = [checks.pixel_moments(m, v, x0, t, s.T, s.schedule, n) for m, v in measured.values()]
    return View(
        {
            "maps": maps(expected, spread, measured, numbers),
            "means": figures.moments(expected.numpy(), mean.numpy(), means[t].numpy(), (spread / n) ** 0.5),
            "variances": figures.variances(spread, variance.numpy(), spreads[t].numpy()),
        },
        formula=formula(t, numbers),
        check=frame.weakest(max(found, key=lambda check: check.residual), *found),
        notice=proof_notice(s, numbers, spread),
        numbers=numbers,
    )


def maps(expected: torch.Tensor, spread: float, measured: dict, numbers: dict) -> list[Picture]:
    """Mean and variance of every pixel as pictures: closed form, jumps, chains. White is twice the true variance."""

    def shown(values: torch.Tensor) -> np.ndarray:
        return values.view(SIDE, SIDE).double().numpy()

    n = numbers["draws"]
    means = [Picture(shown((expected + 1) / 2), "mean: closed form", "√ᾱ x₀")]
    spreads = [Picture(np.full((SIDE, SIDE), 0.5), "variance: closed form", f"1 − ᾱ = {spread:.4f}")]
    for name, (m, v) in measured.items():
        means.append(Picture(shown((m + 1) / 2), f"mean of {n} {name}s", f"off by {numbers[f'{name}_mean_off']:.4f}"))
        part = v / (2 * spread) if spread else torch.full_like(v, 0.5)
        spreads.append(
            Picture(shown(part), f"variance of {n} {name}s", f"on average {numbers[f'{name}_variance']:.4f}")
        )
    return [*means, *spreads]


def proof_notice(s: Settings, numbers: dict, spread: float) -> str:
    if s.t == 0:
        return "At t = 0 every draw is the picture itself: the variance is 0.\nRaise t."
    return (
        f"{s.draws} jumps and {s.draws} chains of {counted(s.t, 'step')}, for each of {SIDE * SIDE} pixels: "
        f"their means miss √ᾱ x₀ by **{numbers['jump_mean_off']:.4f}** and **{numbers['chain_mean_off']:.4f}** on "
        f"average (root mean square), where {numbers['standard_error_of_a_mean']:.4f} is due to chance.\n"
        f"Their variances are **{numbers['jump_variance']:.4f}** and **{numbers['chain_variance']:.4f}**, and should "
        f"be {spread:.4f}: the two ways cannot be told apart."
    )


# Filmstrips


def strip(s: Settings) -> View:
    x0, schedule = begin(s)
    eps = randn_like(x0, chance(s.seed, 0))
    strips = {"even": np.linspace(0, s.T, min(10, s.T + 1)).round().astype(int).tolist(), "log": log_times(s.T)}
    made = {t: add_noise(x0, eps, t, schedule) for t in sorted({*strips["even"], *strips["log"]})}
    numbers: dict[str, Any] = {
        f"{name}_{key}": [value(t) for t in times]
        for name, times in strips.items()
        for key, value in (
            ("times", int),
            ("alpha_bar", lambda t: float(schedule.alpha_bar[t])),
            ("std", lambda t: float(made[t].std())),
        )
    }
    half = schedule.half or s.T
    when = (
        f"From **t = {half}** of {s.T} on more of the variance is noise than picture, if the picture's own is 1; the "
        "formula has"
    )
    if schedule.half is None:
        when = (
            "At **no time** is more of the variance noise than picture, if the picture's own is 1; the formula is of "
            "the last, t = T, and has"
        )
    shown = [
        [Picture(pixels(made[t]), f"t = {t}", signal_left(schedule, t)) for t in times] for times in strips.values()
    ]
    found = [checks.jump(x, x0, eps, t, s.T, s.schedule) for t, x in made.items()]
    return View(
        {"even": shown[0], "log": shown[1]},
        formula=formula(half, amounts(schedule, half)),
        check=frame.weakest(max(found, key=lambda check: check.residual), *found),
        notice=(
            f"Above, times apart by equal steps; below, by equal factors: the first steps change almost nothing that "
            f"can be seen, and fine detail drowns first.\n{when} the numbers of that time."
        ),
        numbers=numbers,
    )


def log_times(T: int) -> list[int]:
    """1, 2, 5, 10, 20, 50 ... and T."""
    return sorted({T, *(n * 10**k for k in range(4) for n in (1, 2, 5) if n * 10**k <= T)})


def signal_left(schedule: NoiseSchedule, t: int) -> str:
    left = float(schedule.alpha_bar[t])
    return f"ᾱ = {left:.4f}" if left >= 1e-3 else f"ᾱ = {sensible(left)}"


def pixels(x: torch.Tensor) -> np.ndarray:
    """(C, H, W) in [-1, 1] as (H, W) or (H, W, 3) in [0, 1], what lies beyond as black or white."""
    x = ((x + 1) / 2).clamp(0, 1)
    return (x[0] if len(x) == 1 else x.permute(1, 2, 0)).numpy()


# The table of lecture 003


def table(s: Settings) -> View:
    x0, schedule = begin(s)
    times = row_times(s)
    g = chance(s.seed, 5 + s.rows)
    rows, off, found, noises = [], [], [], []
    for t in times:
        eps = randn_like(x0, g)
        x = add_noise(x0, eps, t, schedule)
        sides = schedule.signal[t] * x0.double() + schedule.noise[t] * eps.double()
        off.append(float((x - sides).abs().max()))
        noises.append([float(eps.mean()), float(eps.std())])
        found.append(checks.jump(x, x0, eps, t, s.T, s.schedule))
        equation = f"{schedule.signal[t]:.3f} x₀ + {schedule.noise[t]:.3f} ε\nthe same to {sensible(off[-1])}"
        rows.append((str(t), pixels(x), pixels(eps), equation))
    numbers = {
        "amounts": times,
        "signal": [float(schedule.signal[t]) for t in times],
        "noise": [float(schedule.noise[t]) for t in times],
        "largest_difference": off,
        "noise_mean_and_std": noises,
    }
    t = times[-1]
    return View(
        {"table": Rows(("noise amount t", "noisy picture", "noise sample ε", "√ᾱ x₀ + √(1 − ᾱ) ε"), rows)},
        formula=formula(t, amounts(schedule, t)),
        check=frame.weakest(max(found, key=lambda check: check.residual), *found),
        notice=(
            f"Each row is one training example: the network sees the noisy picture and the amount, and is to name the "
            f"noise. {'The amounts are the lecture’s' if s.rows == 0 else 'The amounts were drawn at random'}, of "
            f"{s.T} steps.\nIn every row the noisy picture equals its sum to **{sensible(max(off))}** at most: "
            "rounding, and nothing else."
        ),
        numbers=numbers,
    )


def row_times(s: Settings) -> list[int]:
    """The lecture's amounts, or six drawn evenly from 1 to T."""
    if s.rows == 0:
        if max(AMOUNTS) > s.T:
            raise ValueError(f"the lecture's amounts go up to {max(AMOUNTS)}: T must be at least that, got {s.T}")
        return list(AMOUNTS)
    return torch.randint(1, s.T + 1, (6,), generator=chance(s.seed, 5 + s.rows)).tolist()


# Particles


@lru_cache(maxsize=4)  # a moving t goes on from particles that are on their way already
def spreading(points: str, schedule_name: str, T: int, seed: int) -> tuple[Chain, tuple[float, ...]]:
    """The particles at evenly spaced times, and their entropies."""
    data, schedule = mixture(points), named_schedule(schedule_name, T=T)
    x0 = data.sample(PARTICLES, generator=chance(seed, 0))
    chain = walk(x0, schedule, min(T, CLOUD_FRAMES), chance(seed, 1))
    found = zip(chain.times, chain.states, strict=True)
    return chain, tuple(-float(data.log_density(x, t, schedule).mean()) for t, x in found)


def cloud_times(T: int, t: int) -> list[int]:
    """When the particles are shown: evenly from 0 to T, and at t."""
    return sorted({*np.linspace(0, T, min(T, CLOUD_FRAMES) + 1).round().astype(int).tolist(), t})


@lru_cache(maxsize=256)
def density(points: str, schedule_name: str, T: int, t: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """q(x_t) on the grid, and its contours."""
    axis = torch.linspace(EXTENT[0], EXTENT[1], GRID)
    lattice = torch.cartesian_prod(axis, axis)[:, [1, 0]]
    log = mixture(points).log_density(lattice, t, named_schedule(schedule_name, T=T))
    values = log.double().exp().view(GRID, GRID).numpy()
    return values.astype(np.float32), figures.contours(values, EXTENT)


def particles(s: Settings) -> View:
    if s.t > s.T:
        raise ValueError(f"the noise amount t must be at most T = {s.T}, got {s.t}: lower t or raise T")
    schedule, data, t = named_schedule(s.schedule, T=s.T), mixture(s.points), s.t
    chain, entropies = spreading(s.points, s.schedule, s.T, s.seed)
    x = piece(chain, schedule, t)[1][-1]
    logs = data.log_density(x, t, schedule).double()
    at_times = dict(zip(chain.times, zip(chain.states, entropies, strict=True), strict=True))
    at_times[t] = x, -float(logs.mean())
    times = sorted(at_times)
    states, entropies = zip(*(at_times[time] for time in times), strict=True)
    fields, lines = zip(*(density(s.points, s.schedule, s.T, time) for time in times), strict=True)
    here = times.index(t)
    numbers = amounts(schedule, t) | {
        "mean": x.mean(0).tolist(),
        "std": x.std(0).tolist(),
        "entropy": entropies[here],
        "entropy_error": float(logs.std()) / PARTICLES**0.5,
        "entropy_of_pure_noise": float(np.log(2 * np.pi * np.e)),
        "times": times,
        "entropies": list(entropies),
        "first_particle": [state[0].tolist() for state in states],
    }
    ends = numbers["entropy"], numbers["entropy_error"]
    found = [checks.entropy(*ends, data.means, float(data.stds[0]), t, s.T, s.schedule)]
    if t:
        found.append(checks.noised(x, states[0], t, s.T, s.schedule))
    cloud = Cloud(
        torch.stack(states).numpy(),
        labels=tuple(f"t = {time}: entropy {entropy:.3f} nats" for time, entropy in zip(times, entropies, strict=True)),
        extent=EXTENT,
        field=np.stack(fields)[:, ::-1],
        behind=np.arange(len(times))[:, None],
        contours=lines,
        paths=tuple(range(3)),
        at=here,
    )
    return View(
        {"cloud": cloud, "entropy": figures.entropies(np.array(times), np.array(entropies), t, entropies[here])},
        formula=f"{formula(t, numbers)}\n\n{entropy_formula(t, numbers)}",
        check=frame.weakest(*found),
        notice=(
            f"{PARTICLES:,} particles, each pushed {'once' if t == 1 else f'{t} times'}. Inside the lines lie 20, 50, "
            "80 and 95 % of them, were there endlessly many; three particles leave a trail.\n"
            f"Entropy **{numbers['entropy']:.3f}** nats, on its way to {numbers['entropy_of_pure_noise']:.3f}: what is "
            "known about where a particle began is lost step by step. Going back needs the density, and brings back "
            "the distribution, not where each one began."
        ),
        numbers=numbers,
    )


def entropy_formula(t: int, numbers: dict) -> str:
    return display(
        rf"h(x_{{{t}}})=-\int q\,\ln q\approx-\tfrac1{{{PARTICLES}}}\textstyle\sum_i\ln q(x^{{(i)}}_{{{t}}})"
        rf"={numbers['entropy']:.3f}\pm{numbers['entropy_error']:.3f}"
    )


# The code pane


def opened(s: Settings, forward: str, *more: str) -> str:
    """Imports, the picture, the schedule and the generators: how every snippet about a picture begins."""
    if is_own(s.picture):
        call, source, file = in_code(s.picture)
        local, grey = [f"from core.photographs import {call}", *more], ".mean(0, keepdim=True)" if s.grey else ""
        lines = f"{file.strip()}\nx0 = (2 * {call}({source}, {s.size}) - 1){grey}.float()"
    else:
        local = ["from core.pictures import picture", *more]
        lines = f"x0 = picture({s.picture!r}, {s.size}{', grey=True' if s.grey else ''})"
    local = sorted([*local, f"from core.forward import {forward}", "from core.schedule import named_schedule"])
    return f"""
import torch

{chr(10).join(local)}

{lines}
schedule = named_schedule({s.schedule!r}, T={s.T})


def chance(stream):
    return torch.Generator().manual_seed(100_000 * stream + {s.seed})

"""


def reading(t: int) -> str:
    return f"""for name in ("alpha_bar", "signal", "noise", "beta"):
    print(name, "=", float(getattr(schedule, name)[{t}]))"""


def play_code(s: Settings) -> str:
    chain = f"chain = [x0, *forward_chain(x0, schedule, generator=chance(1))]\nwalked = chain[{s.t}]"
    added = (
        f"""
added = walked - (1 - schedule.beta[{s.t}]).sqrt() * chain[{s.t - 1}]
print("added_mean =", float(added.mean()))
print("added_std =", float(added.std()))
"""
        if s.t
        else ""
    )
    return f"""{opened(s, "add_noise, forward_chain, randn_like")}
t = {s.t}
jump = add_noise(x0, randn_like(x0, chance(0)), t, schedule)
{chain}

{reading(s.t)}
print("signal_at_T =", float(schedule.signal[-1]))
print("jump_mean =", float(jump.mean()))
print("jump_std =", float(jump.std()))
print("chain_mean =", float(walked.mean()))
print("chain_std =", float(walked.std()))
{added}"""


def proof_code(s: Settings) -> str:
    more = "from core.resizing import resize"
    chain = (
        "chains = many\n"
        if s.t == 0
        else f"""for t, chains in enumerate(forward_chain(many, schedule, generator=chance(2)), start=1):
    if t == {s.t}:
        break
"""
    )
    return f"""{opened(replace(s, size=64, grey=True), "add_noise, forward_chain, randn_like", more)}
small = resize(x0[0].double(), {SIDE}, "area").flatten().float()
many = small.expand({s.draws}, -1)
jumps = add_noise(many, randn_like(many, chance(3)), {s.t}, schedule)
{chain}
expected = schedule.signal[{s.t}] * small
{reading(s.t)}
print("draws =", len(many))
print("standard_error_of_a_mean =", float((1 - schedule.alpha_bar[{s.t}]) / len(many)) ** 0.5)
for name, draws in (("jump", jumps), ("chain", chains)):
    variance, mean = torch.var_mean(draws, 0)
    print(f"{{name}}_mean_off =", float((mean - expected).square().mean().sqrt()))
    print(f"{{name}}_variance =", float(variance.mean()))
    print(f"{{name}}_means =", mean.tolist())
    print(f"{{name}}_variances =", variance.tolist())
"""


def strip_code(s: Settings) -> str:
    even = np.linspace(0, s.T, min(10, s.T + 1)).round().astype(int).tolist()
    return f"""{opened(s, "add_noise, randn_like")}
eps = randn_like(x0, chance(0))
for name, times in (("even", {even}), ("log", {log_times(s.T)})):
    print(f"{{name}}_times =", times)
    print(f"{{name}}_alpha_bar =", [float(schedule.alpha_bar[t]) for t in times])
    print(f"{{name}}_std =", [float(add_noise(x0, eps, t, schedule).std()) for t in times])
"""


def table_code(s: Settings) -> str:
    return f"""{opened(s, "add_noise, randn_like")}
g = chance({5 + s.rows})
amounts, off, noises = {row_times(s)}, [], []
for t in amounts:
    eps = randn_like(x0, g)
    noisy = add_noise(x0, eps, t, schedule)
    sides = schedule.signal[t] * x0.double() + schedule.noise[t] * eps.double()
    off.append(float((noisy - sides).abs().max()))
    noises.append([float(eps.mean()), float(eps.std())])

print("amounts =", amounts)
print("signal =", [float(schedule.signal[t]) for t in amounts])
print("noise =", [float(schedule.noise[t]) for t in amounts])
print("largest_difference =", off)
print("noise_mean_and_std =", noises)
"""


def cloud_code(s: Settings) -> str:
    return f"""
import math

import torch

from core.forward import forward_chain
from core.schedule import named_schedule
from core.toys import mixture

data, schedule = mixture({s.points!r}), named_schedule({s.schedule!r}, T={s.T})


def chance(stream):
    return torch.Generator().manual_seed(100_000 * stream + {s.seed})


x0 = data.sample({PARTICLES}, generator=chance(0))
chain = [x0, *forward_chain(x0, schedule, generator=chance(1))]
times = {cloud_times(s.T, s.t)}
x, logs = chain[{s.t}], data.log_density(chain[{s.t}], {s.t}, schedule)
entropies = [-float(data.log_density(chain[t], t, schedule).mean()) for t in times]

{reading(s.t)}
print("mean =", x.mean(0).tolist())
print("std =", x.std(0).tolist())
print("entropy =", -float(logs.mean()))
print("entropy_error =", float(logs.double().std()) / {PARTICLES}**0.5)
print("entropy_of_pure_noise =", math.log(2 * math.pi * math.e))
print("times =", times)
print("entropies =", entropies)
print("first_particle =", [chain[t][0].tolist() for t in times])
"""


OF_ALL, PICTURED = ("schedule", "T", "seed"), ("picture", "size", "grey")
TAB = Ideas(
    {
        PLAY: Idea(("player", "values", "amplitudes", "steps"), (*OF_ALL, *PICTURED, "t"), play_code, show=play),
        PROOF: Idea(("maps", "means", "variances"), (*OF_ALL, "picture", "t", "draws"), proof_code, show=proof),
        STRIP: Idea(("even", "log"), (*OF_ALL, *PICTURED), strip_code, show=strip),
        TABLE: Idea(("table",), (*OF_ALL, *PICTURED, "rows"), table_code, show=table),
        CLOUD: Idea(("cloud", "entropy"), (*OF_ALL, "points", "t"), cloud_code, show=particles),
    }
)
update, code = TAB.update, TAB.code


def build() -> None:
    frame.tab(
        sys.modules[__name__],
        stage={
            "player": Player("The picture in one jump and the picture step by step", height=360),
            "values": LivePlot("How often each pixel value occurs, beside the bell of pure noise", height=280),
            "amplitudes": LivePlot("Amplitude of signal and noise over time", height=260, half=True),
            "steps": LivePlot("What each step takes from the mean and adds to the spread", height=260, half=True),
            "maps": Pictures(
                "Mean and variance of every pixel: closed form, jumps, chains", columns=3, side=208, height=520
            ),
            "means": LivePlot("The mean of every pixel against the closed form", height=320, half=True),
            "variances": LivePlot("The variances of the pixels around the closed form", height=320, half=True),
            "even": Pictures("The picture at times apart by equal steps", columns=5, side=150, height=400),
            "log": Pictures("The picture at times apart by equal factors", columns=5, side=150, height=400),
            "table": PictureRows("Noise amount, noisy picture, noise sample"),
            "cloud": Points("Particles spreading, with the contours of their density", height=520),
            "entropy": LivePlot("Entropy of the particles over time", height=280),
            "views": Views(NAME, TAB.showing(Settings())),
        },
    )
