"""Convolution: a window slides over a picture, and every place it stops at makes one number."""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from core import checks
from core.convolution import PADDING_MODES, convolution_steps, convolve, output_size, pad
from explorer import frame
from explorer.components.window_player import WindowPlayer, gather
from explorer.frame import View
from explorer.settings import Grid, choice, flag, grid, number

NAME = "convolution"
TITLE = "Convolution"
QUESTION = "What does a network see in a picture? A small window slides over it, and each stop becomes one number."
SOURCE = r"""
- Lecture 001, *From U-Nets to diffusion*, the slides "Convolution review": the checkerboard, the 2 × 2 kernel of .25,
  four steps.
- V. Dumoulin, F. Visin, *A guide to convolution arithmetic for deep learning* (2016), arXiv 1603.07285: the output size
  is relationship 15.
- What networks call convolution is, in mathematics, the **cross-correlation**; the **convolution** turns the kernel by
  180° first (Goodfellow, Bengio, Courville, *Deep Learning*, equations 9.4 and 9.6).
"""

CHECKERBOARD: Grid = ((1, 0, 1), (0, 1, 0), (1, 0, 1))
QUARTERS: Grid = ((0.25, 0.25), (0.25, 0.25))


@dataclass(frozen=True)
class Settings:
    image: tuple[tuple[float, ...], ...] = grid(CHECKERBOARD, label="Picture", key="x", max_side=8)
    kernel: tuple[tuple[float, ...], ...] = grid(QUARTERS, label="Kernel", key="k", max_side=7)
    stride: int = number(1, low=1, high=4, label="Stride", key="s", group="The window")
    padding: int = number(0, low=0, high=4, label="Padding", key="p", group="The window")
    dilation: int = number(1, low=1, high=3, label="Dilation", key="d", group="The window")
    padding_mode: str = choice("zeros", options=PADDING_MODES, label="Padded with", key="m", group="The window")
    flip: bool = flag(False, label="Flip the kernel", key="f", group="The window")


def drawn(*rows: str) -> Grid:
    """A picture in characters: # is 1, anything else 0."""
    return tuple(tuple(float(c == "#") for c in row) for row in rows)


LETTER = drawn(".......", "...#...", "..#.#..", ".#...#.", ".#####.", ".#...#.", ".......")
DOT = drawn(".....", ".....", "..#..", ".....", ".....")
RAMP: Grid = tuple(tuple(float(x) for x in range(y, y + 6)) for y in range(6))
BOX: Grid = ((1 / 9,) * 3,) * 3
GAUSS: Grid = ((1 / 16, 1 / 8, 1 / 16), (1 / 8, 1 / 4, 1 / 8), (1 / 16, 1 / 8, 1 / 16))
SHARPEN: Grid = ((0, -1, 0), (-1, 5, -1), (0, -1, 0))
SOBEL: Grid = ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))
LAPLACE: Grid = ((0, 1, 0), (1, -4, 1), (0, 1, 0))
COUNT: Grid = ((1, 2, 3), (4, 5, 6), (7, 8, 9))

PRESETS = {
    "deck 001 · checkerboard, four steps": Settings(),
    "blur": Settings(image=LETTER, kernel=GAUSS, padding=1),
    "sharpen": Settings(image=LETTER, kernel=SHARPEN, padding=1),
    "edges (Sobel x)": Settings(image=LETTER, kernel=SOBEL, padding=1),
    "Laplacian": Settings(image=LETTER, kernel=LAPLACE, padding=1),
    "stride 2 that leaves a row out": Settings(image=RAMP, kernel=BOX, stride=2),
    "dilation 2": Settings(image=LETTER, kernel=BOX, dilation=2),
    "cross-correlation": Settings(image=DOT, kernel=COUNT),
    "convolution, kernel flipped": Settings(image=DOT, kernel=COUNT, flip=True),
}


def update(settings: Settings) -> View:
    s = settings
    image, kernel = (torch.tensor(rows, dtype=torch.float64) for rows in (s.image, s.kernel))
    window = {"stride": s.stride, "padding": s.padding, "dilation": s.dilation}
    options: dict[str, Any] = window | {"padding_mode": s.padding_mode, "flip": s.flip}
    output, steps = convolve(image, kernel, **options), list(convolution_steps(image, kernel, **options))
    size = [output_size(n, k, **window) for n, k in zip(image.shape, kernel.shape, strict=True)]
    padded, inside = pad(image, s.padding, s.padding_mode), pad(torch.ones_like(image), s.padding)
    applied = (kernel.flip(0, 1) if s.flip else kernel).numpy()
    reached = [
        {at * s.stride + tap * s.dilation - s.padding for at in range(n) for tap in range(k)}
        for n, k in zip(size, kernel.shape, strict=True)
    ]
    unread = [sorted(set(range(n)) - seen) for n, seen in zip(image.shape, reached, strict=True)]
    numbers = {
        "output_size": size,
        "output": output.tolist(),
        "steps": [
            {"row": step.row, "col": step.col, "products": step.products.tolist(), "value": float(step.value)}
            for step in steps
        ],
        "padded": padded.tolist(),
        "never_read": {"rows": unread[0], "columns": unread[1]},
    }
    player = gather(
        steps,
        padded.numpy(),
        inside.numpy() == 0,
        applied,
        stride=s.stride,
        dilation=s.dilation,
        titles=("picture, padded" if s.padding else "picture", "kernel, flipped" if s.flip else "kernel", "output"),
    )
    sizes = zip(size, image.shape, kernel.shape, strict=True)
    return View(
        stage=(player,),
        formula=formula(settings, numbers, applied),
        check=frame.weakest(
            checks.convolution(output, image, kernel, **options),
            checks.convolution(torch.tensor(player.target), image, kernel, **options),
            checks.padding(padded, image, s.padding, s.padding_mode),
            *(checks.output_size(out, n, k, s.stride, s.padding, s.dilation) for out, n, k in sizes),
        ),
        notice=notice(settings, numbers),
        numbers=numbers,
    )


def formula(settings: Settings, numbers: dict, kernel: np.ndarray) -> str:
    s, d, p = settings.stride, settings.dilation, settings.padding
    i, j = (f"{s}{axis}" if s > 1 else axis for axis in "ij")
    u, v = (f"{d}{axis}" if d > 1 else axis for axis in "uv")
    turned = r"\tilde k[u,v]" if settings.flip else r"k[u,v]"
    loudest = max(numbers["steps"], key=lambda step: abs(step["value"]))
    example = rf"y[{loudest['row']},{loudest['col']}]={products(loudest, settings, kernel)}"
    lines = [rf"y[i,j]=\sum_{{u,v}} x[{i}+{u},\;{j}+{v}]\;{turned}\qquad {example}"]
    names = ("H'", "W'")
    shapes = shape(settings.image), shape(settings.kernel)
    sides = list(zip(names, numbers["output_size"], *shapes, strict=True))
    for name, out, n, k in sides[: 1 if sides[0][1:] == sides[1][1:] else 2]:
        top = n + 2 * p - d * (k - 1) - 1
        lines.append(
            rf"{name}=\left\lfloor\frac{{{n}+2\cdot{p}-{d}\,({k}-1)-1}}{{{s}}}\right\rfloor+1"
            rf"=\lfloor {frame.sensible(top / s)}\rfloor+1={out}"
        )
    return "\n\n".join(f"$${line}$$" for line in lines)


def products(step: dict, settings: Settings, kernel: np.ndarray) -> str:
    """The sum behind one output cell in TeX; products that are 0 are left out when there are many."""
    written = [
        rf"{frame.sensible(value / tap)}\cdot{bracketed(tap)}" if tap else "0"
        for value, tap in zip(np.ravel(step["products"]), kernel.ravel(), strict=True)
        if value or kernel.size <= 4
    ]
    if not 1 <= len(written) <= 9:
        return frame.sensible(step["value"])
    return "+".join(written) + "=" + frame.sensible(step["value"])


def bracketed(value: float) -> str:
    return f"({frame.sensible(value)})" if value < 0 else frame.sensible(value)


def shape(rows: Grid) -> tuple[int, int]:
    return len(rows), len(rows[0])


def notice(settings: Settings, numbers: dict) -> str:
    (high, wide), taps = numbers["output_size"], len(settings.kernel) * len(settings.kernel[0])
    stops = (
        f"The window stops at {high} × {wide} places: **{high * wide} step{'s' * (high * wide > 1)}**, "
        f"{taps} products each"
    )
    rows, columns = numbers["never_read"]["rows"], numbers["never_read"]["columns"]
    left_out = " and ".join(
        f"{name}{'s' * (len(which) > 1)} {', '.join(map(str, which))}"
        for name, which in (("row", rows), ("column", columns))
        if which
    )
    stops += f"; no window reaches **{left_out}**." if left_out else ", and every cell of the picture is read."
    total = sum(map(sum, settings.kernel))
    if abs(total) < 1e-9:
        brightness = "The kernel adds up to **0**: flat areas give 0, and only changes answer."
    elif abs(total - 1) < 1e-9:
        brightness = "The kernel adds up to **1**: flat areas keep their brightness."
    else:
        brightness = f"The kernel adds up to **{frame.sensible(total)}**: flat areas are multiplied by that."
    word = (
        " Flipped, it is mathematics' **convolution**."
        if settings.flip
        else " Not flipped, it is a **cross-correlation**, which networks call convolution."
    )
    return f"{stops}\n{brightness}{word}"


def code(settings: Settings) -> str:
    s = settings
    return f"""
import torch

from core.convolution import convolution_steps, convolve

image = torch.tensor({literal(s.image, 22)}, dtype=torch.float64)
kernel = torch.tensor({literal(s.kernel, 23)}, dtype=torch.float64)
window = dict(stride={s.stride}, padding={s.padding}, dilation={s.dilation}, \
padding_mode={s.padding_mode!r}, flip={s.flip})

for step in convolution_steps(image, kernel, **window):
    print(step.row, step.col, step.products.tolist(), "sum to", step.value.item())
output = convolve(image, kernel, **window)
print("output_size =", list(output.shape))
print("output =", output.tolist())
"""


def literal(rows: Grid, indent: int) -> str:
    """Rows of numbers as Python, one row a line; whole numbers without a point."""
    written = (", ".join(str(int(v)) if v == int(v) else repr(v) for v in row) for row in rows)
    return "[" + f",\n{' ' * indent}".join(f"[{row}]" for row in written) + "]"


def build() -> None:
    frame.tab(sys.modules[__name__], stage=[WindowPlayer("The kernel's window on the picture, and the output")])
