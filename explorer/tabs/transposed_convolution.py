"""Transposed convolution: every cell of a small picture stamps the kernel into a larger one."""

import sys
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from core import checks
from core.checks import Check
from core.convolution import (
    convolution_steps,
    convolve,
    insert_zeros,
    transposed_convolve,
    transposed_output_size,
    transposed_steps,
)
from explorer import frame
from explorer.components.live_plot import LivePlot
from explorer.components.window_player import WindowPlayer, Windows, gather, scatter
from explorer.figures.transposed_convolution import overlap_profile
from explorer.frame import View
from explorer.settings import Grid, choice, grid, number
from explorer.tabs.convolution import CHECKERBOARD, COUNT, QUARTERS, literal, shape

NAME = "transposed_convolution"
TITLE = "Transposed convolution"
QUESTION = "How does a network make a picture larger? Each cell stamps the kernel, and the stamps add up."
SOURCE = r"""
- Lecture 001, *From U-Nets to diffusion*, the slides "Image upscaling": the same kernel over the zero-inserted picture,
  stride 2 and 3, padding 0 and 2, out padding 0, 1 and 2.
- V. Dumoulin, F. Visin, *A guide to convolution arithmetic for deep learning* (2016), arXiv 1603.07285, section 4.
- A. Odena, V. Dumoulin, C. Olah, *Deconvolution and Checkerboard Artifacts* (2016), Distill.
- The slides' **padding** puts zeros around the zero-inserted picture. A framework's padding crops the result instead:
  the slides' padding $P$ is PyTorch's $d\,(k-1)-P$.
"""

SLIDES, FRAMEWORK = "zero-inserted", "framework"


@dataclass(frozen=True)
class Settings:
    image: tuple[tuple[float, ...], ...] = grid(CHECKERBOARD, label="Picture", key="x", max_side=6)
    kernel: tuple[tuple[float, ...], ...] = grid(QUARTERS, label="Kernel", key="k", max_side=5)
    view: str = choice(SLIDES, options=(SLIDES, FRAMEWORK), label="Seen as", key="v", group="The stamps")
    stride: int = number(2, low=1, high=4, label="Stride", key="s", group="The stamps")
    padding: int = number(
        0, low=0, high=4, label="Padding", key="p", group="The stamps", hint="slides: zeros around; framework: crops"
    )
    output_padding: int = number(0, low=0, high=3, label="Out padding", key="o", group="The stamps")
    dilation: int = number(1, low=1, high=3, label="Dilation", key="d", group="The stamps")


DECK = Settings()
STAMPS = Settings(view=FRAMEWORK)
FLAT: Grid = ((1.0,) * 4,) * 4

PRESETS = {
    "deck 001 · stride 2": DECK,
    "deck 001 · stride 2, padding 2": replace(DECK, padding=2),
    "deck 001 · stride 3": replace(DECK, stride=3),
    "deck 001 · stride 3, padding 2": replace(DECK, stride=3, padding=2),
    "deck 001 · out padding 1": replace(DECK, stride=1, output_padding=1),
    "deck 001 · out padding 2": replace(DECK, stride=1, output_padding=2),
    "framework · stride 2": STAMPS,
    "framework · padding 1 crops": replace(STAMPS, kernel=COUNT, padding=1),
    "framework · out padding 1": replace(STAMPS, kernel=COUNT, padding=1, output_padding=1),
    "checkerboard artefact": replace(STAMPS, image=FLAT, kernel=((1.0,) * 3,) * 3),
    "even overlap": replace(STAMPS, image=FLAT, kernel=((1.0,) * 4,) * 4),
}


def update(settings: Settings) -> View:
    s = settings
    image, kernel = (torch.tensor(rows, dtype=torch.float64) for rows in (s.image, s.kernel))
    output, overlap = upscale(image, kernel, s), upscale(torch.ones_like(image), torch.ones_like(kernel), s)
    player, stepped = play(image, kernel, s)
    pytorch = framework_call(s)
    numbers = {
        "output_size": list(output.shape),
        "output": output.tolist(),
        "overlap": overlap.round().long().tolist(),
        "pytorch": pytorch,
    }
    most = max((-(-k // s.stride)) for k in kernel.shape) ** 2
    return View(
        stage=(player, overlap_profile(overlap[overlap.sum(1).argmax()].round().numpy(), max(4, most))),
        formula=formula(s, numbers),
        check=frame.weakest(
            check(output, image, kernel, s),
            check(stepped, image, kernel, s),
            check(overlap, torch.ones_like(image), torch.ones_like(kernel), s),
            *size_checks(s),
        ),
        notice=notice(s, numbers),
        numbers=numbers,
    )


def surrounded(image: Tensor, s: Settings) -> Tensor:
    """The zero-inserted picture with the slides' padding: zeros all round, and more of them at the bottom and right."""
    far = s.padding + s.output_padding
    return functional.pad(insert_zeros(image, s.stride), (s.padding, far, s.padding, far))


def upscale(image: Tensor, kernel: Tensor, s: Settings) -> Tensor:
    if s.view == SLIDES:
        return convolve(surrounded(image, s), kernel, dilation=s.dilation, flip=True)
    return transposed_convolve(image, kernel, **options(s))


def options(s: Settings) -> dict[str, int]:
    return {"stride": s.stride, "padding": s.padding, "output_padding": s.output_padding, "dilation": s.dilation}


def play(image: Tensor, kernel: Tensor, s: Settings) -> tuple[Windows, Tensor]:
    """The player's steps, and the output they end in."""
    if s.view == FRAMEWORK:
        steps = list(transposed_steps(image, kernel, **options(s)))
        titles = ("picture", "kernel", "output")
        shown = scatter(
            steps,
            image.numpy(),
            kernel.numpy(),
            stride=s.stride,
            padding=s.padding,
            dilation=s.dilation,
            titles=titles,
        )
        return shown, steps[-1].output
    around, inserted = surrounded(image, s), surrounded(torch.ones_like(image), s).numpy() == 0
    windows = list(convolution_steps(around, kernel, dilation=s.dilation, flip=True))
    titles = ("picture with zeros inserted", "kernel, turned", "output")
    turned = kernel.flip(0, 1).numpy()
    shown = gather(windows, around.numpy(), inserted, turned, stride=1, dilation=s.dilation, titles=titles)
    return shown, torch.tensor(shown.target)


def check(output: Tensor, image: Tensor, kernel: Tensor, s: Settings) -> Check:
    """Against PyTorch where it takes these settings, else against nested loops."""
    if s.view == FRAMEWORK:
        return checks.transposed_convolution(output, image, kernel, **options(s))
    call = framework_call(s)
    if call["refuses"] is None:
        same = {"stride": s.stride, "output_padding": s.output_padding, "dilation": s.dilation}
        return checks.transposed_convolution(output, image, kernel, padding=tuple(call["padding"]), **same)
    return checks.zero_inserted_convolution(output, image, kernel, **options(s))


def size_checks(s: Settings) -> list[Check]:
    """The framework's size formula, where it applies."""
    if s.view == SLIDES:
        return []
    window = (s.stride, s.padding, s.output_padding, s.dilation)
    sides = ((len(s.image), len(s.kernel)), (len(s.image[0]), len(s.kernel[0])))
    return [checks.transposed_output_size(transposed_output_size(n, k, *window), n, k, *window) for n, k in sides]


def framework_call(s: Settings) -> dict:
    """PyTorch's padding for the picture on the screen, and why PyTorch refuses it, if it does."""
    crops = [
        s.padding if s.view == FRAMEWORK else s.dilation * (k - 1) - s.padding
        for k in (len(s.kernel), len(s.kernel[0]))
    ]
    refuses = None
    if s.output_padding >= max(s.stride, s.dilation):
        refuses = (
            f"output padding {s.output_padding} must be smaller than stride ({s.stride}) or dilation ({s.dilation}), "
            "since it only tells apart the sizes that one strided convolution maps to the same"
        )
    elif min(crops) < 0:
        refuses = f"its padding crops, and here it would have to crop {min(crops)}: less than nothing".replace("-", "−")
    return {"padding": crops, "output_padding": s.output_padding, "refuses": refuses}


def formula(s: Settings, numbers: dict) -> str:
    if s.view == FRAMEWORK:
        where = rf"s={s.stride},\;d={s.dilation},\;p={s.padding}"
        lines = [rf"y[i\,s+u\,d-p,\;j\,s+v\,d-p]\mathrel{{+}}=x[i,j]\;k[u,v]\qquad {where}"]
    else:
        lines = [
            rf"y[i,j]=\sum_{{u,v}}\hat x[i+u\,d,\;j+v\,d]\;\tilde k[u,v]\qquad "
            rf"\hat x\text{{: zeros inserted}},\;\tilde k\text{{: turned by 180°}},\;d={s.dilation}"
        ]
    sides = list(zip(("H'", "W'"), numbers["output_size"], shape(s.image), shape(s.kernel), strict=True))
    for name, out, n, k in sides[: 1 if sides[0][1:] == sides[1][1:] else 2]:
        strides, crop, taps = rf"({n}-1)\cdot{s.stride}", rf"2\cdot{s.padding}", rf"{s.dilation}\,({k}-1)"
        if s.view == FRAMEWORK:
            terms = ("", strides, "strides"), ("-", crop, "cropped"), ("+", f"{taps}+1", "one stamp")
        else:
            terms = ("", f"{strides}+1", "zeros inserted"), ("+", crop, "padding"), ("-", taps, "window")
        terms += (("+", str(s.output_padding), "out padding"),)
        total = "".join(rf"{sign}\underbrace{{{term}}}_{{\text{{{what}}}}}" for sign, term, what in terms)
        lines.append(f"{name}={total}={out}")
    return "\n\n".join(f"$${line}$$" for line in lines)


def notice(s: Settings, numbers: dict) -> str:
    (height, width), (high, wide) = shape(s.image), numbers["output_size"]
    counts = sorted({count for row in numbers["overlap"] for count in row})
    grows = f"{height} × {width} becomes **{high} × {wide}**; "
    if len(counts) == 1:
        grows += f"every output cell gets **{counts[0]}** stamp{'s' * (counts[0] != 1)}."
    else:
        grows += f"an output cell gets between **{counts[0]}** and **{counts[-1]}** stamps, "
        if any(s.dilation * (k - 1) + 1 < s.stride for k in shape(s.kernel)):
            grows += "for the stamps are smaller than the stride and leave gaps."
        elif s.dilation == 1 and any(k % s.stride for k in shape(s.kernel)):
            grows += (
                "and as the stride does not divide the kernel they alternate far from the edge too: a checkerboard."
            )
        else:
            grows += "fewer only towards the edge."
    call = numbers["pytorch"]
    if call["refuses"]:
        return f"{grows}\nPyTorch **refuses** this picture: {call['refuses']}."
    crop = "{} and {}".format(*call["padding"]) if len(set(call["padding"])) > 1 else str(call["padding"][0])
    if s.view == SLIDES:
        return (
            f"{grows}\nIn PyTorch the same picture is `conv_transpose2d` with stride {s.stride} and padding **{crop}**."
        )
    around = [s.dilation * (k - 1) - s.padding for k in shape(s.kernel)]
    if min(around) < 0:
        return f"{grows}\nPadding {s.padding} crops more than one stamp reaches, so whole stamps are cut away."
    zeros = "{} and {}".format(*around) if len(set(around)) > 1 else str(around[0])
    return f"{grows}\nThe zero-inserted picture gives the same numbers with a padding of **{zeros}**."


def code(settings: Settings) -> str:
    s = settings
    if s.view == FRAMEWORK:
        names, arguments = (
            "transposed_convolve",
            ", ".join(f"{name}={value}" for name, value in options(s).items()),
        )
        steps = f"output = transposed_convolve(image, kernel, {arguments})"
    else:
        names, far = "convolve, insert_zeros", s.padding + s.output_padding
        steps = f"""spread = insert_zeros(image, stride={s.stride})
around = torch.nn.functional.pad(spread, ({s.padding}, {far}, {s.padding}, {far}))  # left, right, top, bottom
output = convolve(around, kernel, dilation={s.dilation}, flip=True)"""
    return f"""
import torch

from core.convolution import {names}

image = torch.tensor({literal(s.image, 22)}, dtype=torch.float64)
kernel = torch.tensor({literal(s.kernel, 23)}, dtype=torch.float64)

{steps}
print("output_size =", list(output.shape))
print("output =", output.tolist())
"""


def build() -> None:
    frame.tab(
        sys.modules[__name__],
        stage=[
            WindowPlayer("The stamps of the picture's cells, and the output they add up to", height=320),
            LivePlot("How many stamps fall on each cell", height=220),
        ],
    )
