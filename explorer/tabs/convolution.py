"""Convolution: a window slides over a picture, and every place it stops at makes one number."""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core import checks
from core.convolution import (
    PADDING_MODES,
    Pair,
    ScatterStep,
    WindowStep,
    convolution_steps,
    convolve,
    output_size,
    pad,
    unread,
)
from core.photographs import CUTS, grey, picture
from core.resizing import resize
from explorer import frame
from explorer.components.channels import Channels, ChannelsPlayer
from explorer.components.pictures import Picture, Pictures
from explorer.components.views import Views
from explorer.components.window_player import WindowPlayer, gather, placed, windows_of
from explorer.formulas import counted, display, sensible, tex
from explorer.frame import View
from explorer.ideas import Idea, Ideas
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
- The photographs come with scikit-image. Your own picture is read on the server, made grey, averaged over the area of
  each cell and not kept.
"""


def drawn(*rows: str) -> Grid:
    """A picture in characters: # is 1, anything else 0."""
    return tuple(tuple(float(c == "#") for c in row) for row in rows)


def gradient(rows: int, cols: int, slope: tuple[float, float]) -> Grid:
    """Brightness that grows evenly from 0 to 1 along (down, across)."""
    top = slope[0] * (rows - 1) + slope[1] * (cols - 1)
    return tuple(tuple(round((slope[0] * y + slope[1] * x) / top, 3) for x in range(cols)) for y in range(rows))


CHECKERBOARD: Grid = ((1, 0, 1), (0, 1, 0), (1, 0, 1))
LETTER = drawn(".......", "...#...", "..#.#..", ".#...#.", ".#####.", ".#...#.", ".......")
LETTER_F = drawn("........", ".#####..", ".#......", ".####...", ".#......", ".#......", ".#......", "........")
DOT = drawn(".....", ".....", "..#..", ".....", ".....")
RAMP: Grid = tuple(tuple(float(x) for x in range(y, y + 6)) for y in range(6))
DISC = tuple(tuple(float((y - 7.5) ** 2 + (x - 7.5) ** 2 < 30) for x in range(16)) for y in range(16))
IMAGES: dict[str, Grid] = {
    "the deck's checkerboard": CHECKERBOARD,
    "letter A": LETTER,
    "letter F": LETTER_F,
    "one dot": DOT,
    "gradient across": gradient(6, 8, (0, 1)),
    "gradient down": gradient(6, 8, (1, 0)),
    "gradient both ways": gradient(8, 8, (1, 1)),
    "counting up": RAMP,
    "edge": drawn(*["....####"] * 6),
    "disc, 16 × 16": DISC,
}

QUARTERS: Grid = ((0.25, 0.25), (0.25, 0.25))
BOX: Grid = ((1 / 9,) * 3,) * 3
GAUSS: Grid = ((1 / 16, 1 / 8, 1 / 16), (1 / 8, 1 / 4, 1 / 8), (1 / 16, 1 / 8, 1 / 16))
WIDE_GAUSS: Grid = tuple(tuple(a * b / 256 for b in (1, 4, 6, 4, 1)) for a in (1, 4, 6, 4, 1))
SHARPEN: Grid = ((0, -1, 0), (-1, 5, -1), (0, -1, 0))
SOBEL: Grid = ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))
SOBEL_Y: Grid = ((-1, -2, -1), (0, 0, 0), (1, 2, 1))
LAPLACE: Grid = ((0, 1, 0), (1, -4, 1), (0, 1, 0))
EMBOSS: Grid = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))
IDENTITY: Grid = ((0, 0, 0), (0, 1, 0), (0, 0, 0))
COUNT: Grid = ((1, 2, 3), (4, 5, 6), (7, 8, 9))
KERNELS: dict[str, Grid] = {
    "the deck's 2 × 2 of .25": QUARTERS,
    "identity": IDENTITY,
    "box 3 × 3": BOX,
    "box 5 × 5": ((1 / 25,) * 5,) * 5,
    "Gaussian 3 × 3": GAUSS,
    "Gaussian 5 × 5": WIDE_GAUSS,
    "sharpen": SHARPEN,
    "Sobel x": SOBEL,
    "Sobel y": SOBEL_Y,
    "Laplacian": LAPLACE,
    "emboss": EMBOSS,
    "1 to 9": COUNT,
}
STEPS, CHANNELS, PHOTOGRAPH = "step by step", "several channels", "on a photograph"
MOST_PADDING = 4
SIDE, CELLS = 256, 6  # of the photograph: its pixels, and how few are left where every cell is to be seen


@dataclass(frozen=True)
class Settings:
    view: str = choice(STEPS, options=(STEPS, CHANNELS, PHOTOGRAPH), label="Show", key="v")
    image: tuple[tuple[float, ...], ...] = grid(
        CHECKERBOARD, label="Picture", key="x", max_side=16, look="paint", fills=IMAGES
    )
    photo: str = choice("astronaut", options=tuple(CUTS), label="Photograph", key="i")
    kernel: tuple[tuple[float, ...], ...] = grid(QUARTERS, label="Kernel", key="k", max_side=7, fills=KERNELS)
    mix: tuple[tuple[float, ...], ...] = grid(
        ((0.3, 0.6, 0.1), (1.0, 0.0, -1.0)),
        label="Channel shares",
        key="c",
        max_side=3,
        hint="a row for each output: kernel times red, green, blue",
    )
    stride: int = number(1, low=1, high=4, label="Stride", key="s")
    padding: int = number(0, low=0, high=MOST_PADDING, label="Padding", key="p")
    dilation: int = number(1, low=1, high=3, label="Dilation", key="d")
    per_axis: bool = flag(False, label="Columns differ from rows", key="a")
    stride_x: int = number(1, low=1, high=4, label="Stride across", key="sx")
    padding_x: int = number(0, low=0, high=MOST_PADDING, label="Padding across", key="px")
    dilation_x: int = number(1, low=1, high=3, label="Dilation across", key="dx")
    padding_mode: str = choice("zeros", options=PADDING_MODES, label="Padded with", key="m")
    flip: bool = flag(False, label="Flip the kernel", key="f")


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
    "stride 1 down, 2 across": Settings(image=DISC, kernel=SOBEL_Y, padding=1, per_axis=True, stride_x=2, padding_x=1),
    "3 channels in, 2 out": Settings(view=CHANNELS, kernel=SOBEL),
    "a photograph embossed": Settings(view=PHOTOGRAPH, kernel=EMBOSS, padding=1, padding_mode="reflect"),
    "a photograph's edges": Settings(view=PHOTOGRAPH, kernel=SOBEL, padding=1, padding_mode="reflect"),
}


def window_of(s: Settings) -> dict[str, Pair]:
    """Stride, padding and dilation: one number each, or (rows, columns) where they differ."""
    if not s.per_axis:
        return {"stride": s.stride, "padding": s.padding, "dilation": s.dilation}
    return {
        "stride": (s.stride, s.stride_x),
        "padding": (s.padding, s.padding_x),
        "dilation": (s.dilation, s.dilation_x),
    }


def axes(s: Settings) -> list[tuple[int, int, int]]:
    """(stride, padding, dilation) of rows and of columns."""
    rows = (s.stride, s.padding, s.dilation)
    return [rows, (s.stride_x, s.padding_x, s.dilation_x) if s.per_axis else rows]


def fits(s: Settings) -> None:
    """Raises: ValueError if the kernel is larger than the padded picture, with what can be set here and would do."""
    picture = {STEPS: shape(s.image), CHANNELS: (CELLS, CELLS)}.get(s.view, (SIDE, SIDE))
    for name, n, k, (_, padding, dilation) in zip(("rows", "columns"), picture, shape(s.kernel), axes(s), strict=True):
        span = dilation * (k - 1) + 1
        if span <= n + 2 * padding:
            continue
        need = -((n - span) // 2)
        most = {"reflect": min(MOST_PADDING, n - 1), "circular": min(MOST_PADDING, n)}.get(s.padding_mode, MOST_PADDING)
        would = f"a padding of {need}" if need <= most else f"{(n + 2 * padding - 1) // dilation + 1} {name} of kernel"
        raise ValueError(
            f"the kernel must fit the padded picture: it spans {span} {name}, the picture has {n} + 2 * {padding} = "
            f"{n + 2 * padding}; {would} would fit"
        )


def tensor(rows: Grid) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def sizes(s: Settings, picture: tuple[int, int]) -> tuple[list[int], list[checks.Check]]:
    """The output's rows and columns, each with its check."""
    out, found = [], []
    for n, k, side in zip(picture, shape(s.kernel), axes(s), strict=True):
        out.append(output_size(n, k, *side))
        found.append(checks.output_size(out[-1], n, k, *side))
    return out, found


def never_read(s: Settings, picture: tuple[int, int]) -> tuple[dict[str, list[int]], list[checks.Check]]:
    """Rows and columns of the picture that no window reaches, and their checks."""
    sides = [(n, k, *side, s.padding_mode) for n, k, side in zip(picture, shape(s.kernel), axes(s), strict=True)]
    rows, columns = (unread(*side) for side in sides)
    found = [checks.unread(cells, *side) for cells, side in zip((rows, columns), sides, strict=True)]
    return {"rows": rows, "columns": columns}, found


def listed(steps: Sequence[WindowStep | ScatterStep], made: str) -> list[dict[str, Any]]:
    """What every step pairs for the endpoint: its cell, and the numbers it made of the kernel."""
    return [
        {"row": step.row, "col": step.col, made: getattr(step, made).tolist(), "value": float(step.value)}
        for step in steps
    ]


def step_by_step(s: Settings) -> View:
    image, kernel, window = tensor(s.image), tensor(s.kernel), window_of(s)
    options: dict[str, Any] = window | {"padding_mode": s.padding_mode, "flip": s.flip}
    output, steps = convolve(image, kernel, **options), list(convolution_steps(image, kernel, **options))
    size, size_checks = sizes(s, shape(s.image))
    left_out, left_out_checks = never_read(s, shape(s.image))
    padded, inside = pad(image, window["padding"], s.padding_mode), pad(torch.ones_like(image), window["padding"])
    applied = (kernel.flip(0, 1) if s.flip else kernel).numpy()
    pictures, photograph, photograph_check = photographed(s)
    numbers = {
        "output_size": size,
        "output": output.tolist(),
        "steps": listed(steps, "products"),
        "padded": padded.tolist(),
        "never_read": left_out,
        "photograph": [photograph["minimum"], photograph["maximum"]],
    }
    around = any(padding for _, padding, _ in axes(s))
    player = gather(
        steps,
        padded.numpy(),
        inside.numpy() == 0,
        applied,
        stride=window["stride"],
        dilation=window["dilation"],
        titles=("picture, padded" if around else "picture", "kernel, flipped" if s.flip else "kernel", "output"),
    )
    return View(
        {"window": player, "pictures": pictures},
        formula(s, numbers, applied),
        frame.weakest(
            checks.convolution(output, image, kernel, **options),
            checks.convolution(torch.tensor(player.target), image, kernel, **options),
            checks.padding(padded, image, window["padding"], s.padding_mode),
            photograph_check,
            *size_checks,
            *left_out_checks,
        ),
        notice(s, numbers),
        numbers,
    )


COLOURS = ("red", "green", "blue")


def channels_in(s: Settings) -> tuple[Tensor, checks.Check]:
    """As many of the photograph's channels as the shares have columns, in a few cells, to two digits; and the check."""
    whole = picture(s.photo, SIDE)[: len(s.mix[0])]
    cells = resize(whole, CELLS, "area")
    return cells.mul(100).round() / 100, checks.resizing(cells, whole, "area")


def several_channels(s: Settings) -> View:
    window = window_of(s)
    options: dict[str, Any] = window | {"padding_mode": s.padding_mode, "flip": s.flip}
    image, image_check = channels_in(s)
    kernel = tensor(s.mix)[:, :, None, None] * tensor(s.kernel)
    output, steps = convolve(image, kernel, **options), list(convolution_steps(image, kernel, **options))
    size, size_checks = sizes(s, (CELLS, CELLS))
    left_out, left_out_checks = never_read(s, (CELLS, CELLS))
    (out, into, rows, cols), (high, wide) = kernel.shape, size
    padded, inside = pad(image, window["padding"], s.padding_mode), pad(torch.ones(CELLS, CELLS), window["padding"])
    parameters, multiplies = kernel.numel(), kernel.numel() * high * wide
    sums = torch.stack([step.products.sum((-2, -1)) for step in steps], -1).unflatten(-1, output.shape[1:])
    numbers = {
        "input": image.tolist(),
        "kernel": kernel.tolist(),
        "output_size": size,
        "output": output.tolist(),
        "by_channel": sums.tolist(),
        "parameters": parameters,
        "multiplications": multiplies,
        "never_read": left_out,
    }
    player = Channels(
        sources=padded.numpy(),
        kernels=(kernel.flip(2, 3) if s.flip else kernel).numpy(),
        targets=placed(steps),
        ghost=inside.numpy() == 0,
        patches=windows_of(steps, padded.shape[2], (rows, cols), window["stride"], window["dilation"]),
        titles=COLOURS[:into],
        labels=tuple(channel_sums(sums, output)),
    )
    by_channel = " + ".join(f"({v:.3g})" if v < 0 else f"{v:.3g}" for v in sums[0, :, -1, -1].tolist())
    return View(
        {"channels": player},
        r"$$y_o[i,j]=\sum_{c}\sum_{u,v} x_c[\dots]\;k_{o,c}[u,v]\qquad "
        rf"y_1[{high - 1},{wide - 1}]={by_channel}={float(output[0, -1, -1]):.3g}$$"
        "\n\n"
        rf"$$\underbrace{{{out}}}_{{\text{{out}}}}\cdot\underbrace{{{into}}}_{{\text{{in}}}}\cdot"
        rf"\underbrace{{{rows}\cdot{cols}}}_{{\text{{kernel}}}}={parameters}\text{{ parameters}},\qquad "
        rf"{parameters}\cdot\underbrace{{{high}\cdot{wide}}}_{{\text{{places}}}}={multiplies}"
        rf"\text{{ multiplications}}$$",
        frame.weakest(
            checks.convolution(output, image, kernel, **options),
            checks.convolution(torch.tensor(player.targets), image, kernel, **options),
            checks.channel_sums(sums, image, kernel, **options),
            checks.padding(padded, image, window["padding"], s.padding_mode),
            image_check,
            *size_checks,
            *left_out_checks,
        ),
        f"{into} channel{'s' * (into > 1)} in, {out} out: **{out} × {into} kernels** of {rows} × {cols}, together "
        f"{counted(parameters, 'parameter')} (a network adds {'1 bias' if out == 1 else f'{out} biases'}) and "
        f"{multiplies:,} multiplication{'s' * (multiplies > 1)}.\nEvery "
        "output looks at **all** channels at one place: it answers to what they do together, here "
        + " and ".join(mixture(row) for row in s.mix)
        + ".",
        numbers,
    )


def mixture(shares: tuple[float, ...]) -> str:
    parts = (f"{share:+.3g} {name}".replace("-", "−") for share, name in zip(shares, COLOURS, strict=False) if share)
    return "“" + (" ".join(parts).removeprefix("+") or "nothing") + "”"


def channel_sums(sums: Tensor, output: Tensor) -> Iterator[str]:
    """Every output's sum at every place, channel by channel: of (out, in, H', W') and (out, H', W')."""
    for row, col in np.ndindex(*output.shape[1:]):
        outputs = (
            f"output {o}[{row}, {col}] = "
            + " + ".join(f"{v:.3g}" for v in parts).replace("+ -", "− ").replace("-", "−")
            + f" = {value:.3g}".replace("-", "−")
            for o, (parts, value) in enumerate(
                zip(sums[:, :, row, col].tolist(), output[:, row, col].tolist(), strict=True), 1
            )
        )
        yield ";  ".join(outputs)


def photographed(s: Settings) -> tuple[list[Picture], dict[str, Any], checks.Check]:
    """The photograph before and after the kernel, what its values became, and the check of it."""
    image, kernel = grey(s.photo, SIDE), tensor(s.kernel)
    options: dict[str, Any] = window_of(s) | {"padding_mode": s.padding_mode, "flip": s.flip}
    output = convolve(image, kernel, **options)
    low, high = float(output.min()), float(output.max())
    if min(low, 0) >= -0.25 and abs(float(kernel.sum()) - 1) < 0.25:
        shown, scale = output, "black is 0, white is 1"
    else:
        bound = max(abs(low), abs(high), 1e-9)
        shown, scale = 0.5 + output / (2 * bound), f"black is −{bound:.3g}, grey 0, white {bound:.3g}"
    numbers = {
        "output_size": list(output.shape),
        "minimum": low,
        "maximum": high,
        "mean": float(output.mean()),
        "middle_row": output[len(output) // 2].tolist(),
        "multiplications": kernel.numel() * output.numel(),
    }
    pictures = [
        Picture(image.numpy(), f"{s.photo}, {SIDE} × {SIDE}", "black is 0, white is 1"),
        Picture(shown.numpy(), "the same kernel on it, {} × {}".format(*output.shape), scale),
    ]
    return pictures, numbers, checks.convolution(output, image, kernel, **options)


def on_a_photograph(s: Settings) -> View:
    pictures, numbers, check = photographed(s)
    size, size_checks = sizes(s, (SIDE, SIDE))
    return View(
        {"pictures": pictures},
        display(operands(s), *size_lines(s, (SIDE, SIDE), size)),
        frame.weakest(check, *size_checks),
        f"The same {len(s.kernel)} × {len(s.kernel[0])} kernel at {math.prod(size):,} places: "
        f"**{numbers['multiplications']:,}** multiplications. Values now run from **{numbers['minimum']:.3g}** to "
        f"**{numbers['maximum']:.3g}**.\n{brightness(s)}{word(s)}",
        numbers,
    )


def formula(settings: Settings, numbers: dict, kernel: np.ndarray) -> str:
    strides, dilations = (([side[at] for side in axes(settings)]) for at in (0, 2))
    i, j = (f"{by}{axis}" if by > 1 else axis for by, axis in zip(strides, "ij", strict=True))
    u, v = (f"{by}{axis}" if by > 1 else axis for by, axis in zip(dilations, "uv", strict=True))
    flipped = r"\tilde k[u,v]" if settings.flip else r"k[u,v]"
    last = numbers["steps"][-1]  # with which the player opens
    example = rf"y[{last['row']},{last['col']}]={products(last, kernel)}"
    lines = [rf"{symbols(settings)}\qquad y[i,j]=\sum_{{u,v}} x[{i}+{u},\;{j}+{v}]\;{flipped}", example]
    lines += size_lines(settings, shape(settings.image), numbers["output_size"])
    return display(*lines)


def symbols(s: Settings) -> str:
    """Cross-correlation, or convolution: that of the flipped kernel."""
    return r"y=x*k=x\star\tilde k,\;\tilde k\text{: }k\text{ flipped}" if s.flip else r"y=x\star k"


def operands(s: Settings) -> str:
    """What is done, and with which numbers, where they are few."""
    if max(shape(s.kernel)) > 5:
        return symbols(s)
    rows = r"\\".join("&".join(tex(v, 3) for v in row) for row in s.kernel)
    return rf"{symbols(s)}\qquad k=\begin{{pmatrix}}{rows}\end{{pmatrix}}"


def size_lines(s: Settings, picture: tuple[int, int], size: list[int]) -> list[str]:
    """The output size with its numbers; one line where rows and columns have the same."""
    sides = list(zip(("H'", "W'"), size, picture, shape(s.kernel), axes(s), strict=True))
    lines = []
    for name, out, n, k, (stride, padding, dilation) in sides[: 1 if sides[0][1:] == sides[1][1:] else 2]:
        top = n + 2 * padding - dilation * (k - 1) - 1
        lines.append(
            rf"{name}=\left\lfloor\frac{{{n}+2\cdot{padding}-{dilation}\,({k}-1)-1}}{{{stride}}}\right\rfloor+1"
            rf"=\lfloor {top / stride:.6g}\rfloor+1={out}"
        )
    return lines


def products(step: dict, kernel: np.ndarray) -> str:
    """The sum behind one output cell in TeX; when products are many, those that are 0 go, then those in the middle."""
    written = [
        rf"{sensible(value / tap)}\cdot{bracketed(tap)}" if tap else "0"
        for value, tap in zip(np.ravel(step["products"]), kernel.ravel(), strict=True)
        if value or kernel.size <= 4
    ]
    if len(written) > 5:
        written[2:-1] = [r"\dots"]
    return "=".join(["+".join(written)] * bool(written) + [sensible(step["value"])])


def bracketed(value: float) -> str:
    return f"({sensible(value)})" if value < 0 else sensible(value)


def shape(rows: Grid) -> tuple[int, int]:
    return len(rows), len(rows[0])


def notice(settings: Settings, numbers: dict) -> str:
    (high, wide), taps = numbers["output_size"], len(settings.kernel) * len(settings.kernel[0])
    stops = (
        f"The window stops at {high} × {wide} places: **{high * wide} step{'s' * (high * wide > 1)}**, "
        f"{counted(taps, 'product')} each"
    )
    rows, columns = numbers["never_read"]["rows"], numbers["never_read"]["columns"]
    left_out = " and ".join(
        f"{name}{'s' * (len(which) > 1)} {', '.join(map(str, which))}"
        for name, which in (("row", rows), ("column", columns))
        if which
    )
    stops += f"; no window reaches **{left_out}**." if left_out else ", and every cell of the picture is read."
    return f"{stops}\n{brightness(settings)}{word(settings)}"


def brightness(s: Settings) -> str:
    total = sum(map(sum, s.kernel))
    if abs(total) < 1e-9:
        return "The kernel adds up to **0**: flat areas give 0, and only changes answer."
    if abs(total - 1) < 1e-9:
        alike = len({tap for row in s.kernel for tap in row}) == 1
        mean = "; its weights are all the same, so an output is its window's mean, wherever in it the bright cells lie"
        return f"The kernel adds up to **1**: flat areas keep their brightness{mean * alike}."
    return f"The kernel adds up to **{sensible(total)}**: flat areas are multiplied by that."


def word(s: Settings) -> str:
    cells = [cell for row in s.image for cell in row]
    alone = s.view == STEPS and sum(map(bool, cells)) == 1 and {stride for stride, *_ in axes(s)} == {1}
    one = "; the one cell that is not 0 brings the kernel out "
    if s.flip:
        return f" Flipped, it is mathematics' **convolution**{f'{one}as it stands' * alone}."
    way = "turned by half a turn"
    return f" Not flipped, it is a **cross-correlation**, which networks call convolution{f'{one}{way}' * alone}."


# The code pane


def kernel_code(s: Settings) -> str:
    window = ", ".join(f"{name}={value}" for name, value in window_of(s).items())
    return f"""kernel = torch.tensor({literal(s.kernel, 23)}, dtype=torch.float64)
window = dict({window}, padding_mode={s.padding_mode!r}, flip={s.flip})
"""


def unread_code(s: Settings, picture: tuple[int, int]) -> str:
    left_out = ", ".join(
        f'"{name}": unread{(n, k, *side, s.padding_mode)}'
        for name, n, k, side in zip(("rows", "columns"), picture, shape(s.kernel), axes(s), strict=True)
    )
    return f'print("never_read =", {{{left_out}}})'


def steps_code(s: Settings) -> str:
    return f"""
import torch

from core.convolution import convolution_steps, convolve, pad, unread
from core.photographs import grey

image = torch.tensor({literal(s.image, 22)}, dtype=torch.float64)
{kernel_code(s)}
for step in convolution_steps(image, kernel, **window):
    print(step.row, step.col, step.products.tolist(), "sum to", step.value.item())
output = convolve(image, kernel, **window)
print("output_size =", list(output.shape))
print("output =", output.tolist())
print("padded =", pad(image, window["padding"], window["padding_mode"]).tolist())
{unread_code(s, shape(s.image))}

after = convolve(grey({s.photo!r}, {SIDE}), kernel, **window)  # the same on a photograph
print("photograph =", [after.min().item(), after.max().item()])
"""


def channels_code(s: Settings) -> str:
    return f"""
import torch

from core.convolution import convolution_steps, convolve, unread
from core.photographs import picture
from core.resizing import resize

image = resize(picture({s.photo!r}, {SIDE})[:{len(s.mix[0])}], {CELLS}, "area").mul(100).round() / 100
shares = torch.tensor({literal(s.mix, 23)}, dtype=torch.float64)
{kernel_code(s)}
kernels = shares[:, :, None, None] * kernel  # (out, in, rows, columns)
output = convolve(image, kernels, **window)
print("input =", image.tolist())
print("kernel =", kernels.tolist())
print("parameters =", kernels.numel())
print("multiplications =", kernels.numel() * output[0].numel())
print("output_size =", list(output.shape[1:]))
print("output =", output.tolist())
sums = [step.products.sum((-2, -1)) for step in convolution_steps(image, kernels, **window)]  # (out, in) at each place
print("by_channel =", torch.stack(sums, -1).unflatten(-1, output.shape[1:]).tolist())
{unread_code(s, (CELLS, CELLS))}
"""


def photograph_code(s: Settings) -> str:
    return f"""
import torch

from core.convolution import convolve
from core.photographs import grey

image = grey({s.photo!r}, {SIDE})
{kernel_code(s)}
output = convolve(image, kernel, **window)
print("output_size =", list(output.shape))
print("minimum =", output.min().item())
print("maximum =", output.max().item())
print("mean =", output.mean().item())
print("middle_row =", output[len(output) // 2].tolist())
print("multiplications =", kernel.numel() * output.numel())
"""


def literal(rows: Grid, indent: int) -> str:
    """Rows of numbers as Python, one row a line; whole numbers without a point."""
    written = (", ".join(str(int(v)) if v == int(v) else repr(v) for v in row) for row in rows)
    return "[" + f",\n{' ' * indent}".join(f"[{row}]" for row in written) + "]"


ACROSS = ("stride_x", "padding_x", "dilation_x")
OF_ALL = ("photo", "kernel", "stride", "padding", "dilation", "per_axis", *ACROSS, "padding_mode", "flip")
TAB = Ideas(
    {
        STEPS: Idea(("window", "pictures"), (*OF_ALL, "image"), steps_code, show=step_by_step),
        CHANNELS: Idea(("channels",), (*OF_ALL, "mix"), channels_code, show=several_channels),
        PHOTOGRAPH: Idea(("pictures",), OF_ALL, photograph_code, show=on_a_photograph),
    },
    idle=lambda s, idea: set() if s.per_axis else {*ACROSS},
)
code = TAB.code


def update(settings: Settings) -> View:
    fits(settings)
    return TAB.update(settings)


def build() -> None:
    frame.tab(
        sys.modules[__name__],
        stage={
            "window": WindowPlayer("The kernel's window on the picture, and the output"),
            "channels": ChannelsPlayer("Three channels, their kernels, and the outputs"),
            "pictures": Pictures("A photograph before and after the kernel", columns=2, side=340, height=330),
            "views": Views(NAME, TAB.showing(Settings())),
        },
    )
