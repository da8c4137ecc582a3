"""Forward noise: one jump to any time, and the chain of small steps, from the same picture."""

import sys
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from core import checks
from core.forward import add_noise, forward_chain, randn_like
from core.schedule import SCHEDULES, named_schedule
from core.toys import PICTURES, picture
from explorer import frame
from explorer.components.live_plot import LivePlot
from explorer.components.player import Player, Trajectory
from explorer.figures.forward_noise import amplitudes, pixel_values
from explorer.formulas import tex
from explorer.frame import View
from explorer.settings import choice, number

NAME = "forward_noise"
TITLE = "Forward noise"
QUESTION = "How does a picture turn into noise: in many small steps, or all at once?"
SOURCE = r"""
- Lecture 002, *Fundamentals of diffusion*: many small Gaussian steps, and the one shot that equals them. Lecture 003,
  *Illustrated text-to-image*: the table "noise amount | noisy image | noise sample", with the amounts of the buttons
  above, here on 50 steps. Lecture 004: $q(x_t \mid x_{t-1})$ and the product form.
- J. Ho, A. Jain, P. Abbeel, *Denoising Diffusion Probabilistic Models* (2020), arXiv 2006.11239: the step is
  equation 2, the jump equation 4.
- Schedules: linear (Ho et al. 2020), scaled linear (Rombach et al. 2022, arXiv 2112.10752), cosine (Nichol & Dhariwal
  2021, arXiv 2102.09672), sigmoid (Chen 2023, arXiv 2301.10972).
- The pictures are drawn by formulas in `core/toys.py`. Values run from -1 (black) to 1 (white); what goes beyond is
  shown black or white.
"""
CHAINS = 4000  # of one pixel, for the mean and variance of the chain
FRAMES = 25  # the player's times between 0 and T: what travels with every move of a slider stays near 1 MB


@dataclass(frozen=True)
class Settings:
    picture: str = choice("beach", options=tuple(PICTURES), label="Picture x₀", key="x")
    t: int = number(250, low=0, high=1000, label="Noise amount t", key="t", hint="from 0, clean, to T")
    schedule: str = choice("linear", options=tuple(SCHEDULES), label="Schedule", key="sch", group="Schedule")
    T: int = number(1000, low=2, high=1000, label="Steps in all T", key="T", group="Schedule")
    seed: int = number(0, low=0, high=9999, label="Seed of the noise", key="seed", group="Chance")


PRESETS = {
    "deck 002 · step by step = one shot": Settings(),
    **{
        f"{'deck 003 · ' * (t == 3)}amount {t}": Settings(t=t, schedule="cosine", T=50, seed=t)
        for t in (3, 14, 7, 42, 2, 21)
    },
    "deck 004 · a letter drowns": Settings(picture="letter", t=500, schedule="cosine"),
    "too few steps: T = 150": Settings(picture="ball", t=150, T=150),
}


@dataclass(frozen=True, eq=False)
class Chain:
    """One chain from the picture, x_0 to x_T, its noises at a few pixels, and the moments of many chains of one."""

    states: torch.Tensor  # (T + 1, C, H, W)
    noises: torch.Tensor  # (T, watched pixels)
    mean: list[float]
    variance: list[float]


@lru_cache(maxsize=2)  # a moving t walks along a chain that stands already
def chain_of(name: str, schedule_name: str, T: int, seed: int) -> Chain:
    x0, schedule = picture(name), named_schedule(schedule_name, T=T)
    states = torch.stack([x0, *forward_chain(x0, schedule, generator=chance(seed, 1))])
    g = chance(seed, 1)
    noises = torch.stack([randn_like(x0, g).flatten()[watched(x0)] for _ in range(T)])
    many = x0[0, 32, 32].repeat(CHAINS)
    moments = [torch.var_mean(x) for x in (many, *forward_chain(many, schedule, generator=chance(seed, 2)))]
    return Chain(states, noises, [float(m) for _, m in moments], [float(v) for v, _ in moments])


def chance(seed: int, stream: int) -> torch.Generator:
    """One generator for each use: 0 the jump's noise, 1 the chain's, 2 the many chains'."""
    return torch.Generator().manual_seed(3 * seed + stream)


def watched(x0: torch.Tensor) -> slice:
    """The pixels the badge follows: about a thousand, evenly."""
    return slice(None, None, max(1, x0.numel() // 1000))


def update(settings: Settings) -> View:
    t, T = settings.t, settings.T
    if t > T:
        raise ValueError(f"the noise amount t must be at most T = {T}, got {t}: lower t or raise T")
    schedule = named_schedule(settings.schedule, T=T)
    chain = chain_of(settings.picture, settings.schedule, T, settings.seed)
    x0 = chain.states[0]
    eps = randn_like(x0, chance(settings.seed, 0))
    x_t, walked = add_noise(x0, eps, t, schedule), chain.states[t]
    pixel = float(x0[0, 32, 32])
    numbers = {
        "alpha_bar": float(schedule.alpha_bar[t]),
        "signal": float(schedule.signal[t]),
        "noise": float(schedule.noise[t]),
        "beta": float(schedule.beta[t]),
        "signal_at_T": float(schedule.signal[T]),
        "jump_mean": float(x_t.mean()),
        "jump_std": float(x_t.std()),
        "chain_mean": float(walked.mean()),
        "chain_std": float(walked.std()),
        "pixel": pixel,
        "chains_mean": chain.mean[t],
        "chains_variance": chain.variance[t],
    }
    seen = watched(x0)
    closed = checks.noising(
        x_t.flatten()[seen],
        walked.flatten()[seen],
        x0.flatten()[seen],
        eps.flatten()[seen],
        chain.noises[:t],
        t,
        T,
        settings.schedule,
    )
    moments = [
        checks.chain_moments(chain.mean[t], chain.variance[t], pixel, t, T, settings.schedule, CHAINS)
        for _ in range(t > 0)
    ]
    return View(
        stage=(
            trajectory(x0, eps, chain, schedule, t),
            pixel_values(x_t.numpy(), walked.numpy()),
            amplitudes(schedule.signal.numpy(), schedule.noise.numpy(), t),
        ),
        formula=formula(t, numbers),
        check=frame.weakest(closed, *moments),
        notice=notice(settings, numbers),
        numbers=numbers,
    )


def trajectory(x0, eps, chain: Chain, schedule, t: int) -> Trajectory:
    """The jump, its noise and the chain at up to FRAMES + 2 times, t among them."""
    T = schedule.T
    times = np.unique(np.append(np.linspace(0, T, min(T, FRAMES) + 1).round().astype(int), t))
    jumps = torch.stack([add_noise(x0, eps, s, schedule) for s in times.tolist()])
    frames = torch.stack([jumps, eps.expand_as(jumps), chain.states[times]], 1)  # (times, panels, C, H, W)
    frames = frames.permute(0, 1, 3, 4, 2) if len(x0) == 3 else frames[:, :, 0]
    return Trajectory(
        frames.numpy(),
        titles=("in one jump", "the jump’s noise ε", "step by step"),
        labels=tuple(
            f"t = {s}: signal {schedule.signal[s]:.3f}, noise {schedule.noise[s]:.3f}" for s in times.tolist()
        ),
        at=int(np.searchsorted(times, t)),
    )


def formula(t: int, numbers: dict) -> str:
    signal, noise, beta = (numbers[key] for key in ("signal", "noise", "beta"))
    jump = (
        rf"\text{{one jump:}}\quad x_{{{t}}}=\sqrt{{\bar\alpha_{{{t}}}}}\,x_0"
        rf"+\sqrt{{1-\bar\alpha_{{{t}}}}}\,\varepsilon"
        rf"={tex(signal)}\,x_0+{tex(noise)}\,\varepsilon"
    )
    if t == 0:
        return f"$${jump}$$"
    step = (
        rf"\text{{one step:}}\quad x_{{{t}}}=\sqrt{{1-\beta_{{{t}}}}}\,x_{{{t - 1}}}+\sqrt{{\beta_{{{t}}}}}\,z"
        rf"={tex((1 - beta) ** 0.5)}\,x_{{{t - 1}}}+{tex(beta**0.5)}\,z"
    )
    product = (
        rf"\text{{where}}\quad\beta_{{{t}}}={tex(beta)},\quad"
        rf"\bar\alpha_{{{t}}}=(1-\beta_1)\cdots(1-\beta_{{{t}}})={tex(numbers['alpha_bar'])}"
    )
    return f"$${jump}$$\n\n$${step}$$\n\n$${product}$$"


def notice(settings: Settings, numbers: dict) -> str:
    t, T, left = settings.t, settings.T, numbers["signal_at_T"]
    share = 100 * numbers["alpha_bar"]
    closed = numbers["signal"] * numbers["pixel"], 1 - numbers["alpha_bar"]
    both = (
        f"{CHAINS:,} chains of the middle pixel reach mean **{numbers['chains_mean']:.3f}** and variance "
        f"**{numbers['chains_variance']:.3f}**; the formula of the jump says {closed[0]:.3f} and {closed[1]:.3f}."
    )
    if left > 0.1:
        return (
            f"**Too few steps:** at T = {T} this schedule still leaves **{100 * left:.0f} %** of the picture's "
            f"amplitude at the end, so a sampler must not start from pure noise here.\n{both}"
        )
    if t == 0:
        return "At t = 0 nothing has happened yet: both histograms are the picture's own.\nRaise t, or press play."
    return (
        f"After {t} of {T} steps **{share:.2g} %** of the variance is the picture's. The two noisy pictures differ, "
        f"for their noise does, but both are draws of one distribution:\n{both}"
    )


def code(settings: Settings) -> str:
    return f"""
import torch

from core.forward import add_noise, forward_chain, randn_like
from core.schedule import named_schedule
from core.toys import picture

t, seed = {settings.t}, {settings.seed}
x0, schedule = picture({settings.picture!r}), named_schedule({settings.schedule!r}, T={settings.T})


def chance(stream):
    return torch.Generator().manual_seed(3 * seed + stream)


jump = add_noise(x0, randn_like(x0, chance(0)), t, schedule)
chain = [x0, *forward_chain(x0, schedule, generator=chance(1))][t]
many = x0[0, 32, 32].repeat({CHAINS})
chains = [many, *forward_chain(many, schedule, generator=chance(2))][t]

print("alpha_bar =", float(schedule.alpha_bar[t]))
print("signal =", float(schedule.signal[t]))
print("noise =", float(schedule.noise[t]))
print("beta =", float(schedule.beta[t]))
print("jump_mean =", float(jump.mean()))
print("jump_std =", float(jump.std()))
print("chain_mean =", float(chain.mean()))
print("chain_std =", float(chain.std()))
print("chains_mean =", float(chains.mean()))
print("chains_variance =", float(chains.var()))
"""


def build() -> None:
    frame.tab(
        sys.modules[__name__],
        stage=[
            Player("The picture in one jump, its noise, and the picture step by step", height=320),
            LivePlot("How often each pixel value occurs, beside the bell of pure noise", height=260),
            LivePlot("Amplitude of signal and noise over time", height=240),
        ],
    )
