"""Coin flips: the binomial distribution, the bell it settles on, and the same bell under any small steps."""

import math
import sys
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from core import checks, probability
from core.checks import Check
from explorer import frame
from explorer.components.bars import Bars, BarsPlayer
from explorer.components.live_plot import LivePlot
from explorer.components.points import Cloud, Points
from explorer.components.views import Views
from explorer.figures import coin_flips as figures
from explorer.figures import style
from explorer.formulas import counted, display, percent, sensible, tex
from explorer.frame import View
from explorer.ideas import Idea, Ideas
from explorer.settings import choice, grid, number

NAME = "coin_flips"
TITLE = "Coin flips"
QUESTION = "Why does noise look like a bell? Flip a coin often enough and count the heads."
SOURCE = r"""
- Lecture 001, *From U-Nets to diffusion*, the slides "From coin flips to bells". Lecture 002: many small steps.
- W. Feller, *An Introduction to Probability Theory and Its Applications*, vol. I (1968): the binomial distribution
  VI.2, Stirling's formula II.9, the theorem of De Moivre and Laplace VII.3.
- The slide prints Stirling's formula as $\sqrt{2\pi}\,(n/e)^n$. The $n$ under the root was lost: it is
  $\sqrt{2\pi n}\,(n/e)^n$, as above. Without it, $4!$ would come out as 11.75 instead of 23.51; it is 24.
- The Berry-Esseen bound with the constant 0.4748: I. Shevtsova (2011), arXiv 1111.6554.
- The $\chi^2$ figure: K. Pearson (1900); neighbouring counts are merged until 5 are expected in each cell.
"""

LEAST = "below 1e-307"  # what no number of 64 bits holds with its digits
BARS, TAIL, ONE_BELL = "bars and bell", "tail: k heads or more", "one bell for every n"
SPEED, COINS, SUMS, CLOUD = "how fast", "real coins", "any small steps", "particles"
COIN, UNIFORM, EXPONENTIAL, DRAWN = "coin", "uniform", "exponential", "drawn"
CURVES = "total variation", "widest gap of the sums", "Berry-Esseen bound"
TIMES, PARTICLES, MOST_PEGS = 60, 400, 24
SIZES = np.unique(np.concatenate([np.arange(1, 61), np.geomspace(60, 1000, 40).round()]).astype(int))


@dataclass(frozen=True)
class Settings:
    view: str = choice(BARS, options=(BARS, TAIL, ONE_BELL, SPEED, COINS, SUMS, CLOUD), label="Show", key="v")
    n: int = number(4, low=1, high=1000, log=True, label="Flips n", key="n")
    p: float = number(0.5, low=0.0, high=1.0, step=0.01, label="Chance of heads p", key="p")
    k: int = number(2, low=0, high=1000, log=True, label="Heads k", key="k", hint="the yellow bar")
    trials: int = number(2000, low=1, high=100_000, log=True, label="Trials", key="t", hint="n flips each")
    step: str = choice(UNIFORM, options=(COIN, UNIFORM, EXPONENTIAL, DRAWN), label="One small step", key="w")
    drawn: tuple[tuple[float, ...], ...] = grid(
        ((6.0, 1.0, 0.0, 0.0, 3.0, 0.0, 0.0, 9.0),),
        label="Draw the step's chances",
        key="d",
        max_side=12,
        low=0,
        high=10,
        look="bars",
    )
    size: float = number(0.2, low=0.01, high=1, step=0.01, label="Step size s", key="s")
    seed: int = number(0, low=0, high=9999, label="Seed", key="seed")


PRESETS = {
    "deck 001 · n = 4, k = 2": Settings(),
    "a loaded coin": Settings(n=20, p=0.1, k=2),
    "a thousand flips": Settings(n=1000, k=500),
    "60 heads of 100 or more": Settings(view=TAIL, n=100, k=60),
    "every n on one bell": Settings(view=ONE_BELL, n=4, p=0.3),
    "how fast": Settings(view=SPEED, n=100, p=0.3),
    "Galton's board": Settings(view=COINS, n=10),
    "100,000 real trials": Settings(view=COINS, n=100, trials=100_000),
    "uniform steps": Settings(view=SUMS),
    "steps you draw": Settings(view=SUMS, step=DRAWN),
    "particles spread": Settings(view=CLOUD),
}


def coin(s: Settings) -> tuple[float, float, np.ndarray, tuple[np.ndarray, np.ndarray], list[Check]]:
    """Mean, deviation, bars, the bell drawn finely (flat 0 where no chance is left), and their checks."""
    n, p = s.n, s.p
    mean, std = n * p, math.sqrt(n * p * (1 - p))
    pmf, x = probability.binomial_pmf(n, p), np.linspace(*figures.window(n, mean, std), 241)
    found = [checks.binomial(pmf, n, p)]
    if not std:
        return mean, std, pmf, (x, np.zeros_like(x)), found
    curve = probability.gaussian_pdf(x, mean, std)
    return mean, std, pmf, (x, curve), [*found, checks.gaussian(curve, x, mean, std)]


def no_chance(s: Settings) -> str:
    """What is left of the statistics at p = 0 and p = 1."""
    side = "tails" if s.p == 0 else "heads"
    return (
        f"At **p = {s.p:g}** every flip comes up {side}: there is no chance left, and all probability stands on "
        f"**{round(s.n * s.p)}** heads.\nThe deviation is 0, so the bell has no width, and z, which divides by it, "
        "has no value."
    )


def bars_and_bell(s: Settings) -> View:
    n, p, k = s.n, s.p, s.k
    mean, std, pmf, curve, found = coin(s)
    bell = probability.de_moivre_laplace(n, p)
    log_stirling = probability.log_stirling(n)
    certain = float(k == mean)
    z = float(probability.z_score(k, mean, std)) if std else None
    numbers = {
        "probability": float(pmf[k]) if k <= n else 0.0,
        "fraction": exact(n, p, k),
        "mean": mean,
        "std": std,
        "z": z,
        "bell": float(probability.gaussian_pdf(k, mean, std)) if std else certain,
        "stirling": probability.stirling(n) if n <= 170 else None,
        "log_stirling": log_stirling,
        "stirling_over_factorial": math.exp(log_stirling - math.lgamma(n + 1)),
        "total_variation": probability.total_variation(pmf, bell / bell.sum()),
        "pmf": pmf.tolist(),
        "error": (pmf - bell).tolist(),
    }
    lines = [pmf_line(s, numbers), bell_line(s, numbers), stirling_line(n, numbers)]
    return View(
        {"plot": figures.bars_and_bell(pmf, bell, k, curve)},
        display(*lines),
        frame.weakest(
            *found,
            checks.de_moivre_laplace(bell, n, p),
            *([checks.z_score(z, k, mean, std)] if z is not None else []),
            *([checks.gaussian(numbers["bell"], k, mean, std)] if std else []),
            checks.stirling(log_stirling, n),
            *([checks.stirling(log(numbers["stirling"]), n)] if n <= 170 else []),
            checks.total_variation(numbers["total_variation"], pmf, bell / bell.sum()),
        ),
        bars_notice(s, numbers),
        numbers,
    )


def exact(n: int, p: float, k: int) -> str | None:
    """C(n, k) a^k (b - a)^(n - k) / b^n for p = a / b, while the denominator is short enough to read."""
    a, b = Fraction(p).limit_denominator(100).as_integer_ratio()
    if k > n or not math.isclose(a / b, p, rel_tol=1e-12) or b**n > 100_000:
        return None
    return f"{math.comb(n, k) * a**k * (b - a) ** (n - k)}/{b**n}"


def pmf_line(s: Settings, numbers: dict) -> str:
    n, p, k, q = s.n, f"{s.p:g}", s.k, f"{1 - s.p:.12g}"
    powers = rf"{{{p}}}^{{{k}}}\,{{{q}}}^{{{n - k}}}"
    if k > n:
        return rf"P(X={k})=\binom{{{n}}}{{{k}}}\,{powers}=0\quad\text{{more heads than flips}}"
    fraction = numbers["fraction"]
    value = "=" + r"\tfrac{{{}}}{{{}}}".format(*fraction.split("/")) if fraction and fraction[-2:] != "/1" else ""
    vanishes = numbers["probability"] == 0 and 0 < s.p < 1
    return (
        rf"P(X={k})=\binom{{{n}}}{{{k}}}\,{powers}=\frac{{{n}!}}{{{k}!\,{n - k}!}}\,{powers}"
        rf"{value}{r'<10^{-307}' if vanishes else '=' + tex(numbers['probability'])}"
    )


def bell_line(s: Settings, numbers: dict) -> str:
    k, mean, std = s.k, f"{numbers['mean']:.6g}", sensible(numbers["std"])
    if numbers["z"] is None:
        return (
            rf"z=\frac{{k-np}}{{\sqrt{{np(1-p)}}}}=\frac{{{k}-{mean}}}{{0}}\quad\text{{has no value: no chance left}}"
        )
    return (
        rf"z=\frac{{k-np}}{{\sqrt{{np(1-p)}}}}=\frac{{{k}-{mean}}}{{{std}}}={tex(numbers['z'])}\qquad "
        rf"\mathcal N({k};\,{mean},\,{{{std}}}^2)=\frac{{e^{{-z^2/2}}}}{{{std}\sqrt{{2\pi}}}}={tex(numbers['bell'])}"
    )


def log(value: float) -> float:
    """ln, and NaN, which no check lets pass, where there is none."""
    return math.log(value) if value > 0 else math.nan


def stirling_line(n: int, numbers: dict) -> str:
    """Stirling's formula itself while n! fits a float, its logarithm beyond."""
    value, ratio = numbers["stirling"], f"{numbers['stirling_over_factorial']:.5f}"
    if value is None:
        short = rf"{numbers['log_stirling']:.2f}\quad\text{{too small by a factor of }}{ratio}"
        return rf"\ln {n}!\;\approx\;\tfrac12\ln(2\pi\cdot{n})+{n}\ln{n}-{n}={short}"
    stirling = rf"\sqrt{{2\pi\cdot{n}}}\left(\tfrac{{{n}}}{{e}}\right)^{{{n}}}={tex(value)}={ratio}\cdot{n}!"
    lost = rf"\quad(\text{{the slide's root has no }}n\text{{: }}{tex(value / math.sqrt(n))})"
    return rf"{n}!\;\approx\;{stirling}{lost}"


def bars_notice(s: Settings, numbers: dict) -> str:
    n, k, heads = s.n, s.k, counted(s.k, "head")
    chance, height, apart = numbers["probability"], numbers["bell"], numbers["total_variation"]
    if k > n:
        return (
            f"You asked for **{heads}** in **{counted(n, 'flip')}**: that cannot happen, the bar is missing.\n"
            f"The bell does not know it and still gives {sensible(height)}."
        )
    if numbers["z"] is None:
        return no_chance(s)
    short = numbers["fraction"]
    says = f"**{short} = {chance:.4g}**" if short else f"**{sensible(chance) if chance else LEAST}**"
    if not chance:
        off = "too high" if height else "which is as little"
    elif height > 100 * chance:
        off = f"{sensible(height / chance)} times as much"
    else:
        off = f"{percent(abs(height / chance - 1))} too {'high' if height > chance else 'low'}"
    return (
        f"{heads} in {counted(n, 'flip')} come{'s' * (k == 1)} up with chance {says}; the bell says "
        f"**{sensible(height)}**, {off}.\n"
        "Over all counts, with the bell scaled to add up to 1, the two disagree on "
        f"**{percent(apart)}** of the probability{more_flips(s, apart)}."
    )


def more_flips(s: Settings, apart: float) -> str:
    """What becomes of the distance with more flips: few bars may lie on the bell by chance, and it then grows first."""
    if s.n >= 100 and apart < 0.02:
        return ": with this many flips they can hardly be told apart"
    more = disagreement(4 * s.n, s.p)
    return f"; four times the flips make it **{percent(more)}**{': it grows before it shrinks' * (more > apart)}"


def tail(s: Settings) -> View:
    n, p, k = s.n, s.p, s.k
    mean, std, pmf, curve, found = coin(s)
    sure, halved, plain = (
        probability.binomial_tail(n, p, k),
        probability.normal_tail(n, p, k, continuity=True),
        probability.normal_tail(n, p, k, continuity=False),
    )
    numbers = {
        "exact": sure,
        "with_continuity_correction": halved,
        "without_continuity_correction": plain,
        "mean": mean,
        "std": std,
    }
    at = f"{mean:.6g}", sensible(std)
    forms = [
        rf"P(X\ge {k})=\sum_{{j={k}}}^{{{n}}}\binom{{{n}}}{{j}}\,{{{p:g}}}^j\,{{{1 - p:.12g}}}^{{{n}-j}}={tex(sure)}"
    ]
    if std:
        forms += [
            rf"\text{{bell from }}k-\tfrac12:\;1-\Phi\!\left(\tfrac{{{k}-0.5-{at[0]}}}{{{at[1]}}}\right)={tex(halved)}"
            rf"\qquad\text{{from }}k:\;1-\Phi\!\left(\tfrac{{{k}-{at[0]}}}{{{at[1]}}}\right)={tex(plain)}"
        ]

    def off(value: float) -> str:
        relative = f" ({'+' * (value > sure)}{percent(value / sure - 1)})" if sure > 0 else ""
        return f"**{sensible(value)}**{relative}"

    chance = sensible(sure) if sure or k > n else LEAST
    says = (
        f"{counted(k, 'head')} or more in {counted(n, 'flip')}: **{chance}**. Cut at the "
        f"edge of k's bar, at k − ½, the bell gives {off(halved)}; cut at k, {off(plain)}.\nA bar is one wide "
        "and half of k's stands left of k: that half is what the **continuity correction** adds."
    )
    return View(
        {"plot": figures.tail(pmf, k, curve)},
        display(*forms),
        frame.weakest(
            checks.binomial_tail(sure, n, p, k),
            checks.normal_tail(halved, n, p, k, continuity=True),
            checks.normal_tail(plain, n, p, k, continuity=False),
            *found,
        ),
        says if std else no_chance(s),
        numbers,
    )


@lru_cache(maxsize=32)
def distances(p: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Total variation, Kolmogorov distance and Berry-Esseen bound at every n of SIZES, for 0 < p < 1."""
    rows = [at_size(int(n), p) for n in SIZES]
    first, second, third = np.array(rows).T
    return first, second, third


def at_size(n: int, p: float) -> tuple[float, float, float]:
    return disagreement(n, p), probability.kolmogorov_distance(n, p), probability.berry_esseen(n, p)


def disagreement(n: int, p: float) -> float:
    """The total variation between the bars and the bell, scaled to add up to 1."""
    bell = probability.de_moivre_laplace(n, p)
    return probability.total_variation(probability.binomial_pmf(n, p), bell / bell.sum())


def reach(n: int, p: float) -> tuple[int, int]:
    """The smallest and the largest number of heads within 4.6 deviations."""
    wide = 4.6 * math.sqrt(n * p * (1 - p))
    return max(0, math.floor(n * p - wide)), min(n, math.ceil(n * p + wide))


def standardised(n: int, p: float) -> tuple[float, float, np.ndarray]:
    """The bars over z, as densities: first z, distance between bars, heights; cropped to where there is anything."""
    std, (low, high) = math.sqrt(n * p * (1 - p)), reach(n, p)
    first = float(probability.z_score(low, n * p, std))
    return first, 1 / std, std * probability.binomial_pmf(n, p)[low : high + 1]


@lru_cache(maxsize=8)
def family(p: float, n: int) -> tuple[tuple[int, ...], list[tuple[float, float, np.ndarray]]]:
    """Every n of SIZES, and this one, with its standardised bars."""
    sizes = tuple(sorted({*SIZES.tolist(), n}))
    return sizes, [standardised(size, p) for size in sizes]


def bell_over_z() -> tuple[np.ndarray, np.ndarray]:
    z = np.linspace(-4.5, 4.5, 181)
    return z, probability.gaussian_pdf(z, 0, 1)


def one_bell(s: Settings) -> View:
    n, p = s.n, s.p
    if p in (0, 1):
        numbers: dict[str, Any] = {"std": 0.0, "z": None}
        spike = [(0.0, 0.1, np.array([10.0]))]
        shown = Bars(spike, ("all bars stand on one place",), (-4.5, 4.5), (0, 0.55), "z", "density", at=0)
        flat = r"$$z=\frac{k-np}{\sqrt{np(1-p)}}=\frac{0}{0}\quad\text{has no value: no chance left}$$"
        pmf = probability.binomial_pmf(n, p)
        return View({"bars": shown}, flat, checks.binomial(pmf, n, p), no_chance(s), numbers)
    sizes, frames = family(p, n)
    std = math.sqrt(n * p * (1 - p))
    _, _, heights = standardised(n, p)
    bars, bell = probability.binomial_pmf(n, p), probability.de_moivre_laplace(n, p)
    apart_here = probability.total_variation(bars, bell / bell.sum())
    low, high = reach(n, p)
    here = np.arange(low, high + 1)
    numbers = {
        "std": std,
        "z": probability.z_score(here, n * p, std).tolist(),
        "density": heights.tolist(),
        "total_variation": apart_here,
    }
    shown = Bars(
        frames,
        tuple(f"n = {size}: the bars are {sensible(1 / math.sqrt(size * p * (1 - p)))} wide" for size in sizes),
        (-4.5, 4.5),
        (0, 0.55),
        "z",
        "density",
        curve=bell_over_z(),
        at=sizes.index(n),
    )
    bars[low : high + 1] = heights / std
    return View(
        {"bars": shown},
        rf"$$z=\frac{{k-np}}{{\sqrt{{np(1-p)}}}}=\frac{{k-{n * p:.6g}}}{{{sensible(std)}}}\qquad "
        rf"P(X=k)\,\sqrt{{np(1-p)}}\;\to\;\frac{{e^{{-z^2/2}}}}{{\sqrt{{2\pi}}}}$$",
        frame.weakest(
            checks.binomial(bars, n, p),
            checks.de_moivre_laplace(bell, n, p),
            checks.total_variation(apart_here, bars, bell / bell.sum()),
            checks.z_score(numbers["z"], here, n * p, std),
            checks.gaussian(shown.curve[1], shown.curve[0], 0, 1),  # type: ignore[index]
        ),
        f"In units of the deviation, **{sensible(std)}** heads here, the {n + 1} bars of n = {n} stand under a "
        f"bell that does not depend on n; they disagree with it on **{percent(apart_here)}**"
        f"{more_flips(s, apart_here)}.\n"
        f"Play: from 1 flip to 1000 the bars grow narrower and settle on it{skew(p)}.",
        numbers,
    )


def skew(p: float) -> str:
    return "" if p == 0.5 else ", slower than for a fair coin, for they lean to one side at first"


def how_fast(s: Settings) -> View:
    n, p = s.n, s.p
    names = CURVES
    colours = style.SIGNAL, style.PREDICTION, style.NOISE
    if p in (0, 1):
        fig = figures.convergence(SIZES, {}, n, {})
        fig.add_annotation(text="every distance is 0 here", x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
        numbers: dict[str, Any] = {"total_variation": 0.0, "kolmogorov_distance": 0.0, "berry_esseen_bound": None}
        says = no_chance(s).split("\n")[0] + "\nBars and bell are the same for every n, and a log axis cannot show 0."
        flat = r"$$\sup_x|F_n(x)-\Phi(x)|=0$$"
        pmf = probability.binomial_pmf(n, p)
        return View({"plot": fig}, flat, checks.binomial(pmf, n, p), says, numbers)
    curves, values = distances(p), at_size(n, p)
    apart, gap, bound = values
    numbers = {
        "total_variation": apart,
        "kolmogorov_distance": gap,
        "berry_esseen_bound": bound,
        "sizes": SIZES.tolist(),
        "curves": {name: curve.tolist() for name, curve in zip(names, curves, strict=True)},
    }
    drawn = {name: (y, colour) for name, y, colour in zip(names, curves, colours, strict=True)}
    bell = probability.de_moivre_laplace(n, p)
    pmf = probability.binomial_pmf(n, p)
    fall = "1/n" if p == 0.5 else "1/√n"
    return View(
        {"plot": figures.convergence(SIZES, drawn, n, dict(zip(names, values, strict=True)))},
        display(
            rf"\sup_x|F_n(x)-\Phi(x)|={tex(gap)}\;\le\;0.4748\,\frac{{p^2+q^2}}{{\sqrt{{npq}}}}"
            rf"=0.4748\,\frac{{{p**2 + (1 - p) ** 2:.4g}}}{{{sensible(math.sqrt(n * p * (1 - p)))}}}={tex(bound)}",
            rf"\tfrac12\sum_k|P(X=k)-\mathcal N(k)|={tex(apart)}",
        ),
        frame.weakest(
            checks.total_variation(apart, pmf, bell / bell.sum()),
            checks.de_moivre_laplace(bell, n, p),
            checks.kolmogorov_distance(gap, n, p),
            checks.berry_esseen_bound(bound, n, p),
            checks.berry_esseen(pmf, n, p),
        ),
        f"At n = {n} bars and bell disagree on **{percent(apart)}** of the probability, and their sums are never "
        f"more than **{sensible(gap)}** apart; the bound allows {sensible(bound)}.\nFor p = {p:g} the blue "
        f"line falls like **{fall}**: "
        + (
            "four times the flips, a quarter of the distance. It leans to no side, so half a power of n faster than "
            "any other."
            if p == 0.5
            else "four times the flips, half the distance. Try p = 0.5, which leans to no side."
        ),
        numbers,
    )


@lru_cache(maxsize=4)
def run(n: int, p: float, trials: int, seed: int) -> np.ndarray:
    return probability.flip_coins(n, p, trials, generator=np.random.default_rng(seed))


def real_coins(s: Settings) -> View:
    n, p, trials = s.n, s.p, s.trials
    heads, pmf = run(n, p, trials, s.seed), probability.binomial_pmf(n, p)
    so_far = np.unique(np.concatenate([np.arange(1, min(trials, 20) + 1), np.geomspace(1, trials, 80).round()]))
    so_far = so_far.astype(int)
    low, high = (0, n) if n <= MOST_PEGS else (max(0, heads.min() - 2), min(n, heads.max() + 2))
    counts = np.stack([np.bincount(heads[:m], minlength=n + 1) for m in so_far])
    fits = [probability.chi_square(row, pmf) for row in counts]
    paths, ends = None, heads[so_far - 1]
    if n <= MOST_PEGS:
        flips = probability.toss(n, p, trials, generator=np.random.default_rng(s.seed))
        paths = np.stack([flip[so_far - 1] for flip in flips], axis=1)
        ends = paths.sum(1)
    fit = fits[-1]
    numbers = {
        "counts": counts[-1].tolist(),
        "mean": float(heads.mean()),
        "expected_mean": n * p,
        "chi_square": fit.statistic,
        "degrees": fit.degrees,
        "p_value": fit.p_value,
    }
    labels = tuple(
        f"{m:,} trial{'' if m == 1 else 's'}: the last has {counted(end, 'head')}"
        + (f"; χ² = {fit.statistic:.3g} on {counted(fit.degrees, 'degree')}" if fit.degrees else "")
        for m, end, fit in zip(so_far, ends, fits, strict=True)
    )
    shares, top = counts / so_far[:, None], style.ceiling(1.35 * pmf.max())
    highest = np.maximum.accumulate(shares.max(1)[::-1])[::-1]  # a few trials need more room: the axis only shrinks
    shown = Bars(
        [(low, 1.0, row[low : high + 1]) for row in shares],
        labels,
        (low - 0.7, high + 0.7),
        (0, top),
        "heads",
        "share of trials",
        outline=(low, 1.0, pmf[low : high + 1]),
        paths=paths,
        tops=[max(top, style.ceiling(share)) for share in highest],
    )
    sum_ = r"\chi^2=\sum\frac{(\text{seen}-\text{expected})^2}{\text{expected}}"
    found = [
        checks.chi_square((fit.statistic, fit.degrees, fit.p_value), counts[-1], n, p),
        checks.Check("every ball ends where its trial was counted", float(np.abs(ends - heads[so_far - 1]).max()), 0),
    ]
    if n * p * (1 - p) * trials >= 100:  # below, five standard errors are no rare event
        found.append(checks.coin_flips(heads, n, p))
    freedom = f"{counted(fit.degrees, 'degree')} of freedom"
    if fit.degrees:
        chance = f"**{percent(fit.p_value)}**"
        verdict = (
            f"χ² = **{fit.statistic:.3g}** on {freedom}: honest coins stray this far or further "
            f"in {chance} of all such runs."
        )
    elif p in (0, 1):
        verdict = "There is no chance left, and χ² has nothing to compare."
    else:
        verdict = "χ² needs at least two cells with 5 trials expected in each: raise the trials."
    pegs = "" if n <= MOST_PEGS else f" The pegs are drawn up to n = {MOST_PEGS}."
    return View(
        {"bars": shown},
        rf"$${sum_}={tex(fit.statistic)}\qquad \text{{{freedom}}},\quad P={tex(fit.p_value)}$$",
        frame.weakest(*found),
        f"{trials:,} trial{'s' * (trials > 1)} of {counted(n, 'flip')}, each really flipped: "
        f"**{numbers['mean']:.4g}** heads on average, {n * p:.4g} expected; the stepped line is the exact chance of "
        f"each count.{pegs}\n{verdict}",
        numbers,
    )


def weights(s: Settings) -> list[float]:
    """The chances of a step of size 0, 1, 2, ...: from the smallest that can come, in their largest common unit."""
    if s.step == COIN:
        rows = [1 - s.p, s.p]
    elif s.step == UNIFORM:
        rows = [1.0] * 8
    elif s.step == EXPONENTIAL:
        rows = [math.exp(-j / 3) for j in range(24)]
    else:
        rows = [value for row in s.drawn for value in row]
    sizes = [j for j, weight in enumerate(rows) if weight > 0]
    if len(sizes) < 2:
        raise ValueError(
            "the steps leave nothing to chance: at least two sizes must be possible, "
            + ("choose p between 0.01 and 0.99" if s.step == COIN else "draw a second one")
        )
    unit = math.gcd(*(j - sizes[0] for j in sizes))
    return rows[sizes[0] : sizes[-1] + 1 : unit]


def any_steps(s: Settings) -> View:
    step = np.array(weights(s)) / sum(weights(s))
    sizes = np.arange(len(step))
    mean = float(step @ sizes)
    std = math.sqrt(float(step @ (sizes - mean) ** 2))
    sums = list(probability.sums_of_steps(step, TIMES))
    frames, apart = [], []
    for n, pmf in enumerate(sums, 1):
        wide = math.sqrt(n) * std
        z = probability.z_score(np.arange(len(pmf)), n * mean, wide)
        bell = probability.gaussian_pdf(z, 0, 1)
        apart.append(probability.total_variation(pmf, bell / bell.sum()))
        inside = np.flatnonzero(np.abs(z) <= 4.7)
        frames.append((float(z[inside[0]]), 1 / wide, wide * pmf[inside]))
    numbers = {
        "step": step.tolist(),
        "step_mean": mean,
        "step_std": std,
        "total_variation": apart,
        "sum_of_60": sums[-1].tolist(),
    }
    shown = Bars(
        frames,
        tuple(f"sum of {counted(n, 'step')}: bars and bell disagree on {percent(tv)}" for n, tv in enumerate(apart, 1)),
        (-4.5, 4.5),
        (0, max(0.8, style.ceiling(1.05 * max(float(heights.max()) for _, _, heights in frames)))),
        "z",
        "density",
        curve=bell_over_z(),
    )
    half = apart[TIMES // 4 - 1]
    one = f"One step looks nothing like a bell, it disagrees on **{percent(apart[0])}**"
    if apart[0] < 0.1:
        one = f"One step is near a bell already, it disagrees on **{percent(apart[0])}**"
    if len(step) == 2:
        meets = "on the bell by chance" if apart[0] < 0.01 else f"off the bell by **{percent(apart[0])}**"
        one = f"One step is two bars, {meets}; two steps disagree on **{percent(apart[1])}**"
    if apart[-1] < 0.05:
        end = "Only the step's mean and deviation are left: "
    else:
        end = f"**No bell yet**: this step needs more than {TIMES}. In the end only its mean and deviation are left: "
    return View(
        {"bars": shown},
        rf"$$S_n=X_1+\dots+X_n\qquad z=\frac{{S_n-n\mu}}{{\sigma\sqrt n}}\qquad "
        rf"\mu={tex(mean)},\;\sigma={tex(std)}$$",
        frame.weakest(
            checks.sum_of_steps(sums[-1], step, TIMES),
            checks.sum_of_steps(sums[1], step, 2),
            checks.gaussian(shown.curve[1], shown.curve[0], 0, 1),  # type: ignore[index]
            checks.gaussian(bell, z, 0, 1),  # type: ignore[possibly-undefined]
            checks.total_variation(apart[-1], sums[-1], bell / bell.sum()),  # type: ignore[possibly-undefined]
            checks.z_score(z, np.arange(len(sums[-1])), TIMES * mean, wide),  # type: ignore[possibly-undefined]
        ),
        f"{one}; after {TIMES // 4} steps it is {percent(half)}, after {TIMES} **{percent(apart[-1])}**.\n"
        f"{end}this is why many small steps of any noise end in **Gaussian** noise, and diffusion starts there.",
        numbers,
    )


def particles(s: Settings) -> View:
    positions = probability.random_walk(PARTICLES, TIMES, s.size, generator=np.random.default_rng(s.seed))
    measured, expected = np.square(positions).mean((1, 2)), np.arange(TIMES + 1) * s.size**2
    reach = 3.2 * s.size * math.sqrt(TIMES)
    numbers = {"variance": measured.tolist(), "expected_variance": expected.tolist()}
    cloud = Cloud(
        positions,
        tuple(
            f"t = {t}: variance {m:.3g}, t s² = {e:.3g}"
            for t, (m, e) in enumerate(zip(measured, expected, strict=True))
        ),
        (-1.6 * reach, 1.6 * reach, -reach, reach),
        paths=(0,),
    )
    return View(
        {"cloud": cloud, "variance": figures.variance(measured, expected)},
        rf"$$x_t=x_{{t-1}}+s\,\varepsilon_t,\quad\varepsilon_t\sim\mathcal N(0,1)\qquad "
        rf"\operatorname{{Var}}x_t=t\,s^2={TIMES}\cdot{s.size:g}^2={tex(float(expected[-1]))},\quad "
        rf"\text{{measured }}{tex(float(measured[-1]))}$$",
        checks.spreading(positions, s.size),
        f"{PARTICLES} particles leave one point in steps of size {s.size:g}: after {TIMES} steps they are "
        f"**{math.sqrt(measured[-1]):.3g}** from it along each axis, √{TIMES} · {s.size:g} = "
        f"{math.sqrt(expected[-1]):.3g} expected.\nVariances add, so **one** Gaussian step of that size does the same: "
        "the shortcut every diffusion model is trained with.",
        numbers,
    )


# The code pane


def code_bars(s: Settings) -> str:
    chance = "pmf[k]" if s.k <= s.n else "0.0  # more heads than flips"
    flat, small = s.p in (0, 1), s.n <= 170
    names = ["binomial_pmf", "de_moivre_laplace", "log_stirling", "total_variation"]
    names += [*(() if flat else ("gaussian_pdf", "z_score")), *(("stirling",) if small else ())]
    a, b = Fraction(s.p).limit_denominator(100).as_integer_ratio()
    fraction = f'f"{{math.comb(n, k) * {a}**k * {b - a}**(n - k)}}/{{{b}**n}}"' if exact(s.n, s.p, s.k) else None
    return f"""
import math

from core.probability import {", ".join(sorted(names))}

n, p, k = {s.n}, {s.p!r}, {s.k}
mean, std = n * p, math.sqrt(n * p * (1 - p))
pmf, bell = binomial_pmf(n, p), de_moivre_laplace(n, p)
probability = {chance}

print("probability =", float(probability))
print("fraction =", repr({fraction}))
print("mean =", mean)
print("std =", std)
print("z =", {"None" if flat else "float(z_score(k, mean, std))"})
print("bell =", float({"k == mean" if flat else "gaussian_pdf(k, mean, std)"}))
print("stirling =", {"stirling(n)" if small else "None"})
print("log_stirling =", log_stirling(n))
print("stirling_over_factorial =", math.exp(log_stirling(n) - math.lgamma(n + 1)))
print("total_variation =", total_variation(pmf, bell / bell.sum()))
print("pmf =", pmf.tolist())
print("error =", (pmf - bell).tolist())
"""


def code_tail(s: Settings) -> str:
    return f"""
import math

from core.probability import binomial_tail, normal_tail

n, p, k = {s.n}, {s.p!r}, {s.k}
print("exact =", binomial_tail(n, p, k))
print("with_continuity_correction =", normal_tail(n, p, k, continuity=True))
print("without_continuity_correction =", normal_tail(n, p, k, continuity=False))
print("mean =", n * p)
print("std =", math.sqrt(n * p * (1 - p)))
"""


def code_one_bell(s: Settings) -> str:
    if s.p in (0, 1):
        return f"""
import math

n, p = {s.n}, {s.p!r}
print("std =", math.sqrt(n * p * (1 - p)))
print("z =", None)  # no chance left
"""
    return f"""
import math

import numpy as np

from core.probability import binomial_pmf, de_moivre_laplace, total_variation, z_score

n, p = {s.n}, {s.p!r}
pmf, bell, std = binomial_pmf(n, p), de_moivre_laplace(n, p), math.sqrt(n * p * (1 - p))
wide = 4.6 * std
heads = np.arange(max(0, math.floor(n * p - wide)), min(n, math.ceil(n * p + wide)) + 1)
print("std =", std)
print("z =", z_score(heads, n * p, std).tolist())
print("density =", (std * pmf[heads]).tolist())
print("total_variation =", total_variation(pmf, bell / bell.sum()))
"""


def code_speed(s: Settings) -> str:
    if s.p in (0, 1):
        return f"""
from core.probability import binomial_pmf, de_moivre_laplace, kolmogorov_distance, total_variation

n, p = {s.n}, {s.p!r}  # no chance left: bars and bell are the same
print("total_variation =", total_variation(binomial_pmf(n, p), de_moivre_laplace(n, p)))
print("kolmogorov_distance =", kolmogorov_distance(n, p))
print("berry_esseen_bound =", None)
"""
    return f"""
import numpy as np

from core.probability import berry_esseen, binomial_pmf, de_moivre_laplace, kolmogorov_distance, total_variation


def distances(n, p):
    bell = de_moivre_laplace(n, p)
    apart = total_variation(binomial_pmf(n, p), bell / bell.sum())
    return apart, kolmogorov_distance(n, p), berry_esseen(n, p)


n, p = {s.n}, {s.p!r}
for name, value in zip(("total_variation", "kolmogorov_distance", "berry_esseen_bound"), distances(n, p)):
    print(name, "=", value)
sizes = np.unique(np.concatenate([np.arange(1, 61), np.geomspace(60, 1000, 40).round()])).astype(int).tolist()
print("sizes =", sizes)
curves = [list(curve) for curve in zip(*[distances(size, p) for size in sizes])]
print("curves =", dict(zip({CURVES!r}, curves)))
"""


def code_coins(s: Settings) -> str:
    return f"""
import numpy as np

from core.probability import binomial_pmf, chi_square, flip_coins

n, p, trials = {s.n}, {s.p!r}, {s.trials}
heads = flip_coins(n, p, trials, generator=np.random.default_rng({s.seed}))
counts = np.bincount(heads, minlength=n + 1)
fit = chi_square(counts, binomial_pmf(n, p))
print("counts =", counts.tolist())
print("mean =", float(heads.mean()))
print("expected_mean =", n * p)
print("chi_square =", fit.statistic)
print("degrees =", fit.degrees)
print("p_value =", fit.p_value)
"""


def code_steps(s: Settings) -> str:
    return f"""
import math

import numpy as np

from core.probability import gaussian_pdf, sums_of_steps, total_variation, z_score

step = np.array({weights(s)})
step = step / sum(step.tolist())
sizes = np.arange(len(step))
mean = float(step @ sizes)
std = math.sqrt(float(step @ (sizes - mean) ** 2))
apart = []
for n, total in enumerate(sums_of_steps(step, {TIMES}), 1):
    bell = gaussian_pdf(z_score(np.arange(len(total)), n * mean, math.sqrt(n) * std), 0, 1)
    apart.append(total_variation(total, bell / bell.sum()))
print("step =", step.tolist())
print("step_mean =", mean)
print("step_std =", std)
print("total_variation =", apart)
print("sum_of_{TIMES} =", total.tolist())
"""


def code_particles(s: Settings) -> str:
    return f"""
import numpy as np

from core.probability import random_walk

positions = random_walk({PARTICLES}, {TIMES}, {s.size!r}, generator=np.random.default_rng({s.seed}))
print("variance =", np.square(positions).mean((1, 2)).tolist())
print("expected_variance =", (np.arange({TIMES} + 1) * {s.size!r}**2).tolist())
"""


TAB = Ideas(
    {
        BARS: Idea(("plot",), ("n", "p", "k"), code_bars, show=bars_and_bell),
        TAIL: Idea(("plot",), ("n", "p", "k"), code_tail, show=tail),
        ONE_BELL: Idea(("bars",), ("n", "p"), code_one_bell, show=one_bell),
        SPEED: Idea(("plot",), ("n", "p"), code_speed, show=how_fast),
        COINS: Idea(("bars",), ("n", "p", "trials", "seed"), code_coins, show=real_coins),
        SUMS: Idea(("bars",), ("step", "p", "drawn"), code_steps, show=any_steps),
        CLOUD: Idea(("cloud", "variance"), ("size", "seed"), code_particles, show=particles),
    },
    idle=lambda s, idea: {name for name, step in (("p", COIN), ("drawn", DRAWN)) if s.view == SUMS and s.step != step},
)
update, code = TAB.update, TAB.code


def build() -> None:
    frame.tab(
        sys.modules[__name__],
        stage={
            "plot": LivePlot("Chance of each number of heads, and the bell", height=460),
            "bars": BarsPlayer("Bars that settle on the bell", height=460),
            "cloud": Points("Particles that spread by small steps", height=380),
            "variance": LivePlot("Variance of the particles against time", height=220),
            "views": Views(NAME, TAB.showing(Settings())),
        },
    )
