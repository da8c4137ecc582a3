"""Coin flips: the binomial distribution, and the bell it settles on."""

import math
import sys
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from core import checks, probability
from explorer import frame
from explorer.components.live_plot import LivePlot
from explorer.figures.coin_flips import bars_and_bell, window
from explorer.frame import View
from explorer.settings import number

NAME = "coin_flips"
TITLE = "Coin flips"
QUESTION = "Why does noise look like a bell? Flip a coin often enough and count the heads."
SOURCE = r"""
- Lecture 001, *From U-Nets to diffusion*, the slides "From coin flips to bells".
- W. Feller, *An Introduction to Probability Theory and Its Applications*, vol. I (1968): the binomial distribution
  VI.2, Stirling's formula II.9, the theorem of De Moivre and Laplace VII.3.
- The slide prints Stirling's formula as $\sqrt{2\pi}\,(n/e)^n$. The $n$ under the root was lost: it is
  $\sqrt{2\pi n}\,(n/e)^n$, as above. Without it, $4!$ would come out as 11.75 instead of 23.51; it is 24.
"""


@dataclass(frozen=True)
class Settings:
    n: int = number(4, low=1, high=1000, log=True, label="Flips n", key="n")
    p: float = number(0.5, low=0.01, high=0.99, step=0.01, label="Chance of heads p", key="p")
    k: int = number(2, low=0, high=1000, log=True, label="Heads k", key="k", hint="the yellow bar")


PRESETS = {
    "deck 001 · n = 4, k = 2": Settings(),
    "ten flips": Settings(n=10, k=5),
    "a loaded coin": Settings(n=20, p=0.1, k=2),
    "a hundred flips": Settings(n=100, k=50),
    "a thousand flips": Settings(n=1000, k=500),
}


def update(settings: Settings) -> View:
    n, p, k = settings.n, settings.p, settings.k
    mean, std = n * p, math.sqrt(n * p * (1 - p))
    pmf, bell = probability.binomial_pmf(n, p), probability.de_moivre_laplace(n, p)
    chance, height = (float(pmf[k]) if k <= n else 0.0), float(probability.gaussian_pdf(k, mean, std))
    z, log_stirling = float(probability.z_score(k, mean, std)), probability.log_stirling(n)
    x = np.linspace(*window(n, mean, std), 241)
    apart = probability.total_variation(pmf, bell / bell.sum())
    numbers = {
        "probability": chance,
        "fraction": exact(n, p, k),
        "mean": mean,
        "std": std,
        "z": z,
        "bell": height,
        "stirling_over_factorial": math.exp(log_stirling - math.lgamma(n + 1)),
        "total_variation": apart,
        "pmf": pmf.tolist(),
    }
    return View(
        stage=(bars_and_bell(pmf, bell, k, (x, probability.gaussian_pdf(x, mean, std))),),
        formula=formula(settings, numbers),
        check=frame.weakest(
            checks.binomial(pmf, n, p),
            checks.de_moivre_laplace(bell, n, p),
            checks.z_score(z, k, mean, std),
            checks.stirling(log_stirling, n),
        ),
        notice=notice(settings, numbers),
        numbers=numbers,
    )


def exact(n: int, p: float, k: int) -> str | None:
    """C(n, k) a^k (b - a)^(n - k) / b^n for p = a / b, while the denominator is short enough to read."""
    a, b = Fraction(p).limit_denominator(100).as_integer_ratio()
    if k > n or not math.isclose(a / b, p, rel_tol=1e-12) or b**n > 100_000:
        return None
    return f"{math.comb(n, k) * a**k * (b - a) ** (n - k)}/{b**n}"


def formula(settings: Settings, numbers: dict) -> str:
    n, p, k, q = settings.n, f"{settings.p:g}", settings.k, f"{1 - settings.p:.12g}"
    mean, std = frame.sensible(numbers["mean"]), frame.sensible(numbers["std"])
    fraction = numbers["fraction"]
    value = "=" + r"\tfrac{{{}}}{{{}}}".format(*fraction.split("/")) if fraction else ""
    chance = f"{tex(numbers['probability'])}"
    if k > n:
        forms = rf"P(X={k})=\binom{{{n}}}{{{k}}}\,{p}^{{{k}}}\,{q}^{{{n - k}}}=0\quad\text{{more heads than flips}}"
    else:
        forms = (
            rf"P(X={k})=\binom{{{n}}}{{{k}}}\,{p}^{{{k}}}\,{q}^{{{n - k}}}"
            rf"=\frac{{{n}!}}{{{k}!\,{n - k}!}}\,{p}^{{{k}}}\,{q}^{{{n - k}}}{value}={chance}"
        )
    bell = (
        rf"z=\frac{{k-np}}{{\sqrt{{np(1-p)}}}}=\frac{{{k}-{mean}}}{{{std}}}={tex(numbers['z'])}\qquad "
        rf"\mathcal N({k};\,{mean},\,{std}^2)=\frac{{e^{{-z^2/2}}}}{{{std}\sqrt{{2\pi}}}}={tex(numbers['bell'])}"
    )
    stirling = (
        rf"{n}!\;\approx\;\sqrt{{2\pi\cdot{n}}}\left(\tfrac{{{n}}}{{e}}\right)^{{{n}}}"
        + (rf"={probability.stirling(n):.4g}" if n <= 10 else "")
        + rf"\quad\text{{too small by a factor of }}{numbers['stirling_over_factorial']:.5f}"
    )
    return f"$${forms}$$\n\n$${bell}$$\n\n$${stirling}$$"


def tex(value: float) -> str:
    """A number in TeX: 0.375, or 2.1 times a power of ten."""
    written = frame.sensible(value) if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.1e}"
    mantissa, _, power = written.partition("e")
    return rf"{mantissa}\cdot10^{{{int(power)}}}" if power else written


def notice(settings: Settings, numbers: dict) -> str:
    n, k = settings.n, settings.k
    chance, height = numbers["probability"], numbers["bell"]
    if k > n:
        return (
            f"You asked for **{k}** heads in **{n}** flips: that cannot happen, and the bar is missing.\n"
            f"The bell does not know it and still gives {height:.1e}."
        )
    short = numbers["fraction"]
    says = f"**{short} = {chance:.4g}**" if short else f"**{frame.sensible(chance)}**"
    off = (
        f"{100 * abs(height / chance - 1):.2g} % too {'high' if height > chance else 'low'}"
        if chance > 0
        else "too high"
    )
    return (
        f"{k} heads in {n} flips come up with chance {says}; the bell says **{frame.sensible(height)}**, {off}.\n"
        f"Over all counts, bars and bell disagree on **{100 * numbers['total_variation']:.2g} %** of the probability: "
        f"{'raise n and watch it shrink' if n < 100 else 'with this many flips the two can hardly be told apart'}."
    )


def code(settings: Settings) -> str:
    chance = "pmf[k]" if settings.k <= settings.n else "0.0  # more heads than flips"
    return f"""
import math

from core.probability import binomial_pmf, de_moivre_laplace, gaussian_pdf, log_stirling, total_variation, z_score

n, p, k = {settings.n}, {settings.p!r}, {settings.k}
mean, std = n * p, math.sqrt(n * p * (1 - p))
pmf, bell = binomial_pmf(n, p), de_moivre_laplace(n, p)
probability = {chance}

print("probability =", float(probability))
print("z =", float(z_score(k, mean, std)))
print("bell =", float(gaussian_pdf(k, mean, std)))
print("stirling_over_factorial =", math.exp(log_stirling(n) - math.lgamma(n + 1)))
print("total_variation =", total_variation(pmf, bell / bell.sum()))
"""


def build() -> None:
    frame.tab(sys.modules[__name__], stage=[LivePlot("Chance of each number of heads, and the bell", height=460)])
