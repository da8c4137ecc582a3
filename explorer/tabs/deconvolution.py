"""Deconvolution: five answers to one blurred, noisy picture, of which the transposed convolution is only the first."""

import math
import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core import checks
from core.checks import Check
from core.convolution import convolve
from core.deconvolution import (
    KERNELS,
    LARGEST_SVD,
    STEPS,
    adjoint,
    blur,
    naive_inverse,
    never_seen,
    pseudo_inverse,
    rank,
    richardson_lucy,
    svd,
    wiener,
)
from core.photographs import PICTURES
from core.resizing import psnr
from explorer import frame
from explorer.components.live_plot import LivePlot
from explorer.components.pictures import Picture, Pictures
from explorer.figures import style
from explorer.figures.deconvolution import gains
from explorer.formulas import display, percent, sensible, tex
from explorer.frame import View
from explorer.settings import choice, kept, number
from explorer.uploads import in_code, pictured

NAME = "deconvolution"
TITLE = "Deconvolution"
QUESTION = "Deconvolution? Same as transposed convolution? One blurred, noisy picture, and five answers to what it was."
SOURCE = r"""
- Lecture 001, *From U-Nets to diffusion*, the slide "Deconvolution? Same as transposed convolution?" It is not:
  networks that "deconvolve" apply $A^\top$, which has the shape of an inverse and undoes nothing (V. Dumoulin,
  F. Visin, arXiv 1603.07285, section 4).
- $A$ is the convolution of the tab Convolution: only whole windows, stride 1, kernel not flipped. A picture $x$ of
  $H + k - 1$ rows becomes a $y$ of $H$, so there are more unknowns than equations, whatever the kernel.
- Pseudo-inverse: R. Penrose (1955). Beyond 32 pixels: LSMR, D. Fong, M. Saunders (2011). Naive inverse and Wiener's
  filter: R. Gonzalez, R. Woods, *Digital Image Processing* (2018), sections 5.7 and 5.8; here the filter has the
  operator in place of its spectrum, for pixels that know nothing of each other but their mean, which is that of $y$.
- Richardson-Lucy is scikit-image's (`restoration.richardson_lucy`). **Its boundary differs from $A$'s**: $x$ and $y$
  are of one size, and all beyond them is 0, which spoils the edge. So the edge of $y$ goes on for four kernels more
  than $x$ needs, and is cut off in the end. The naive inverse differs in another way: it takes the picture to be a
  tile that repeats, and the rows never seen to be 0.
- The photographs come with scikit-image. Of your own picture the middle square is read on the server, made grey, and
  not kept.
"""

ANSWERS = {
    "adjoint": "transposed convolution A'y",
    "naive_inverse": "naive inverse",
    "pseudo_inverse": "pseudo-inverse A⁺y",
    "wiener": "Wiener",
    "richardson_lucy": "Richardson-Lucy",
}
# Whose boundary is not A's, and what it is.
EDGES = {"naive_inverse": ", as if x were a tile that repeats", "richardson_lucy": ", as if y's edge went on"}


@dataclass(frozen=True)
class Settings:
    picture: str = choice("camera", options=PICTURES, label="Picture", key="x", own=True)
    side: int = number(32, low=12, high=96, step=4, label="Pixels a side", key="n", hint="with the rank up to 32")
    blur: str = choice("gaussian", options=KERNELS, label="Kernel", key="k", group="The blur")
    width: int = number(5, low=3, high=9, step=2, label="Kernel's width", key="w", group="The blur")
    noise: float = number(0.01, low=0, high=0.5, step=1e-4, log=True, label="Noise σ", key="s", group="The blur")
    regularisation: float = number(
        0.001, low=0, high=1, step=1e-6, log=True, label="Regularisation λ", key="r", hint="Wiener", group="The answers"
    )
    iterations: int = number(
        20, low=1, high=200, log=True, label="Iterations", key="i", hint="Richardson-Lucy", group="The answers"
    )
    seed: int = number(0, low=0, high=9999, label="Seed of the noise", key="seed", group="The answers")


PRESETS = {
    "deck 001 · same as transposed?": Settings(),
    "no noise at all": Settings(noise=0.0, regularisation=0.0, iterations=200),
    "a little noise": Settings(noise=0.001, regularisation=1e-5, iterations=100),
    "much noise": Settings(noise=0.1, regularisation=0.05, iterations=6),
    "box: some patterns are gone": Settings(blur="box", noise=0.001, regularisation=1e-4, picture="letters"),
    "motion": Settings(blur="motion", width=9, picture="coins", noise=0.003, regularisation=2e-4, iterations=60),
    "64 pixels, by iteration": Settings(side=64, width=7, noise=0.003, regularisation=2e-4, iterations=50),
}


def update(settings: Settings) -> View:
    s = settings
    known = unweighted(replace(s, regularisation=0.0))
    x, y, kernel, small = known.x, known.y, known.kernel, s.side <= LARGEST_SVD
    mean = float(y.mean())  # the kernel adds up to 1, so this is about x's
    best_linear = wiener(y, kernel, s.regularisation, mean=mean)
    answers = {name: known.answers.get(name, best_linear) for name in ANSWERS}
    ratios = {name: psnr(answer, x) for name, answer in answers.items()}
    numbers: dict[str, Any] = known.numbers | {"psnr": ratios}
    found = [
        *known.found,
        checks.regularised(best_linear - mean, y - mean, kernel, s.regularisation, exact=small),
        *(checks.psnr(ratios[name], answers[name], x) for name in ANSWERS),
    ]
    pictures = [
        Picture(x.numpy(), "x, what it was", f"{s.side} × {s.side}"),
        Picture(y.numpy(), "y, what is seen", f"{y.shape[0]} × {y.shape[1]}, {numbers['psnr_seen']:.2f} dB"),
    ]
    best = max(ratios, key=lambda name: ratios[name])
    pictures += [
        Picture(answers[name].numpy(), title, decibels(ratios[name]) + EDGES.get(name, ""), name == best)
        for name, title in ANSWERS.items()
    ]
    if known.lost is not None:
        share = f"{percent(numbers['lost_share'])} of x"
        pictures.append(Picture(0.5 + known.lost.numpy(), "never seen (grey is 0)", share))
    levels = {
        "√λ: below, Wiener lets go": (math.sqrt(s.regularisation), style.GUIDANCE),
        "noise / spread of x": (s.noise / math.sqrt(numbers["variance"]), style.NOISE),
    }
    title = "singular values of A" if small else "frequencies of the kernel"
    return View(
        stage={"pictures": pictures, "gains": gains(np.asarray(numbers["gains"]), levels, x=title)},
        formula=formula(s, numbers),
        check=frame.weakest(*found),
        notice=notice(s, numbers),
        numbers=numbers,
    )


@dataclass(frozen=True)
class Known:
    """What does not hang on what Wiener is told. lost: the part of x that is never seen, where A is taken apart."""

    x: Tensor
    kernel: Tensor
    y: Tensor
    answers: dict[str, Tensor]
    numbers: dict[str, Any]
    found: list[Check]
    lost: Tensor | None


@kept(maxsize=4)
def unweighted(s: Settings) -> Known:
    x, kernel, clean, found = blurred(s.picture, s.side, s.blur, width_of(s))
    y = clean + s.noise * noise_like(clean, s.seed)
    if float(x.var(correction=0)) < 1e-12:
        raise ValueError(
            "the picture is of one grey, and a blur takes nothing from it: one with light and dark would do"
        )
    small, shape, half = s.side <= LARGEST_SVD, (y.shape[0], y.shape[1]), s.width // 2
    middle = x[half : s.side - half, half : s.side - half]
    answers = {
        "adjoint": adjoint(y, kernel),
        "naive_inverse": naive_inverse(y, kernel),
        "pseudo_inverse": pseudo_inverse(y, kernel),
        "richardson_lucy": richardson_lucy(y, kernel, s.iterations),
    }
    share = adjoint(torch.ones_like(y), kernel)
    reached = share != 0
    evened = answers["adjoint"][reached] / share[reached]
    numbers: dict[str, Any] = {
        "equations": y.numel(),
        "unknowns": x.numel(),
        "psnr_seen": psnr(y, middle),
        "least_share": float(share.min()),
        "psnr_evened": psnr(evened, x[reached]),
        "Ax_y": float((clean * y).sum()),
        "x_Aty": float((x * answers["adjoint"]).sum()),
        "variance": float(x.var(correction=0)),
        "rank": None,
        "lost_share": None,
        "gain": None,
    }
    found = [
        checks.adjoint_identity(answers["adjoint"], y, x, kernel),
        checks.adjoint(answers["adjoint"], y, kernel),
        checks.adjoint(share, torch.ones_like(y), kernel),
        checks.psnr(numbers["psnr_evened"], evened, x[reached]),
        *found,
        checks.naive_inverse(answers["naive_inverse"], y, kernel),
        checks.regularised(answers["pseudo_inverse"], y, kernel, 0, exact=small),
        checks.richardson_lucy(answers["richardson_lucy"], y, kernel, s.iterations),
        checks.psnr(numbers["psnr_seen"], y, middle),
    ]
    lost = None
    if small:
        values, lost = svd(shape, kernel).s, never_seen(x, kernel)
        numbers["rank"] = rank(shape, kernel)
        numbers["lost_share"] = float(lost.square().sum() / x.square().sum())
        numbers["gain"] = [float(values[0]), float(values[-1])]
        found += [
            checks.never_seen(lost, x, kernel),
            checks.singular_values(values, shape, kernel),
            rank_check(numbers["rank"], shape, s.blur, width_of(s)),
        ]
    else:
        values = torch.fft.fft2(kernel, s=(s.side, s.side)).abs().flatten().sort(descending=True).values
    numbers["gains"] = values.tolist()
    return Known(x, kernel, y, answers, numbers, found, lost)


@kept(maxsize=4)
def blurred(picture: str, side: int, name: str, width: int) -> tuple[Tensor, Tensor, Tensor, list[Check]]:
    """The picture x, the kernel, A x, and how the last two are checked."""
    x, kernel = pictured(picture, side).mean(0), blur(name, width)
    clean = convolve(x, kernel)
    return x, kernel, clean, [checks.convolution(clean, x, kernel), checks.blur(kernel, name, width)]


def width_of(s: Settings) -> int:
    """Odd, as Richardson and Lucy's kernel must be."""
    if s.width % 2 == 0:
        raise ValueError(f"width must be odd, so that the kernel has a centre, got {s.width}; {s.width + 1} would fit")
    return s.width


def noise_like(y: Tensor, seed: int) -> Tensor:
    return torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@lru_cache(maxsize=32)
def rank_check(value: int, shape: tuple[int, int], name: str, width: int) -> Check:
    return checks.operator_rank(value, shape, blur(name, width))


def formula(s: Settings, numbers: dict) -> str:
    m, n, high = numbers["equations"], numbers["unknowns"], s.side - s.width + 1
    lam = tex(s.regularisation)
    lines = [
        rf"y=Ax+\text{{noise}}:\quad {high}\cdot{high}={m}\text{{ equations}},\quad {s.side}\cdot{s.side}={n}"
        r"\text{ unknowns}",
        rf"\langle Ax,y\rangle={numbers['Ax_y']:.6f}\qquad\langle x,A^{{\top}}y\rangle={numbers['x_Aty']:.6f}",
        rf"\text{{Wiener}}:\ \bar y+A^{{\top}}(AA^{{\top}}+{lam}\,I)^{{-1}}(y-A\bar y)",
    ]
    if numbers["rank"] is not None:
        least = numbers["gain"][1]
        r, gone = numbers["rank"], n - numbers["rank"]
        lines[1:1] = [rf"\operatorname{{rank}}A={r}:\quad {n}-{r}={gone}\text{{ patterns lost}}"]
        if least > 1e-12:
            kept = least / (least**2 + s.regularisation)
            lines.append(
                rf"\text{{weakest }}s={tex(least)}:\quad A^{{+}}:\ \tfrac1s={tex(1 / least)}\qquad "
                rf"\text{{Wiener}}:\ \tfrac{{s}}{{s^2+{lam}}}={tex(kept)}"
            )
    return display(*lines)


def decibels(value: float) -> str:
    return f"{value:.2f} dB".replace("-", "−")


def second_blur(ratio: float, numbers: dict) -> str:
    """Why A'y is far from x: pixels near the edge get less than a stamp, and all are blurred once more."""
    least, evened, seen = (numbers[name] for name in ("least_share", "psnr_evened", "psnr_seen"))
    edge = f": the dark edge costs **{evened - ratio:.2f} dB**" if evened > ratio else ""
    blurring = f": the second blur costs about **{seen - evened:.2f} dB**" if seen > evened else ""
    return (
        f"The transposed convolution, which networks call deconvolution, gives {decibels(ratio)}. Pixels at its edge "
        f"get as little as {sensible(least)} of a stamp; divided by what each gets{'' if least else ', if any'}, it "
        f"gives {decibels(evened)}{edge}. What is seen has {decibels(seen)}{blurring}."
    )


def notice(s: Settings, numbers: dict) -> str:
    ratios = numbers["psnr"]
    best = max(ratios, key=lambda name: ratios[name])
    closest = f"**{ANSWERS[best]}** (in the blue frame) comes closest, {decibels(ratios[best])}"
    first = f"{closest}. {second_blur(ratios['adjoint'], numbers)}"
    if best == "adjoint":
        averages = ", and so averages the noise, which the others make larger" if s.noise else ""
        first = f"{closest}, though the transposed convolution blurs a second time{averages}."
    if numbers["rank"] is None:
        kept_out = ", which by itself keeps out some of the noise" if s.noise else ""
        return (
            f"{first}\nAbove {LARGEST_SVD} pixels A is not taken apart, so no rank is given: LSMR walks to the "
            f"pseudo-inverse and stops after {STEPS} steps{kept_out}."
        )
    lost = (
        f"{numbers['unknowns'] - numbers['rank']} of {numbers['unknowns']} patterns are never seen "
        f"(**{percent(numbers['lost_share'])}** of this picture), with or without noise"
    )
    if s.noise == 0:
        return (
            f"{first}\n{lost}. The pseudo-inverse brings back all the rest; the naive inverse fails without any noise, "
            "because the picture is no tile that repeats."
        )
    louder = 1 / numbers["gain"][1]
    louder = f"{louder:,.0f}" if louder < 1e7 else f"{louder:.1e}"
    ideal = s.noise**2 / numbers["variance"]
    return (
        f"{first}\n{lost}; the weakest that are seen come back with their noise **{louder} times** larger. "
        f"Wiener's λ is meant to be the variance of the noise over that of x: {ideal:.2g} here, and you have "
        f"{s.regularisation:.2g}."
    )


def code(settings: Settings) -> str:
    s = settings
    rank_lines = (
        """
shape = tuple(y.shape)
lost = never_seen(x, kernel)
print("rank =", rank(shape, kernel))
print("lost_share =", float(lost.square().sum() / x.square().sum()))
print("gain =", svd(shape, kernel).s[[0, -1]].tolist())
print("gains =", svd(shape, kernel).s.tolist())
"""
        if s.side <= LARGEST_SVD
        else """
print("rank =", None)  # above {LARGEST_SVD} pixels A is not taken apart
print("lost_share =", None)
print("gain =", None)
frequencies = torch.fft.fft2(kernel, s=({SIDE}, {SIDE})).abs().flatten()
print("gains =", frequencies.sort(descending=True).values.tolist())
""".replace("{LARGEST_SVD}", str(LARGEST_SVD)).replace("{SIDE}", str(s.side))
    )
    call, source, reading = in_code(s.picture)
    return f"""
import torch

from core.convolution import convolve
from core.deconvolution import (
    adjoint, blur, naive_inverse, never_seen, pseudo_inverse, rank, richardson_lucy, svd, wiener,
)
from core.photographs import {call}
from core.resizing import psnr
{reading}
x, kernel = {call}({source}, {s.side}).mean(0), blur({s.blur!r}, {s.width})
clean = convolve(x, kernel)
noise = torch.randn(clean.shape, dtype=torch.float64, generator=torch.Generator().manual_seed({s.seed}))
y = clean + {s.noise!r} * noise

print("equations =", y.numel())
print("unknowns =", x.numel())
print("variance =", float(x.var(correction=0)))
print("Ax_y =", float((clean * y).sum()))
print("x_Aty =", float((x * adjoint(y, kernel)).sum()))
half = {s.width // 2}
print("psnr_seen =", psnr(y, x[half:-half, half:-half]))
print("adjoint =", psnr(adjoint(y, kernel), x))
share = adjoint(torch.ones_like(y), kernel)
print("least_share =", float(share.min()))
print("psnr_evened =", psnr(adjoint(y, kernel)[share != 0] / share[share != 0], x[share != 0]))
print("naive_inverse =", psnr(naive_inverse(y, kernel), x))
print("pseudo_inverse =", psnr(pseudo_inverse(y, kernel), x))
print("wiener =", psnr(wiener(y, kernel, {s.regularisation!r}, mean=float(y.mean())), x))
print("richardson_lucy =", psnr(richardson_lucy(y, kernel, {s.iterations}), x))
{rank_lines}"""


def build() -> None:
    frame.tab(
        sys.modules[__name__],
        stage={
            "pictures": Pictures("The picture, what is seen of it, and five answers"),
            "gains": LivePlot("How much of each pattern the blur lets through", height=300),
        },
    )
