"""Transposed convolution: every cell of a small picture stamps the kernel into a larger one."""

import sys
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from core import checks
from core.checks import Check
from core.convolution import (
    ScatterStep,
    WindowStep,
    convolution_steps,
    convolve,
    insert_zeros,
    output_size,
    spectrum,
    transposed_convolve,
    transposed_output_size,
    transposed_steps,
)
from core.resizing import resize
from explorer import frame
from explorer.components.live_plot import LivePlot
from explorer.components.pictures import Picture, Pictures
from explorer.components.views import Showing, Views
from explorer.components.window_player import WindowPlayer, Windows, gather, scatter
from explorer.figures import transposed_convolution as figures
from explorer.formulas import counted, display
from explorer.frame import View
from explorer.settings import Grid, choice, grid, kept, number
from explorer.tabs.convolution import (
    BOX,
    CHECKERBOARD,
    COUNT,
    GAUSS,
    IMAGES,
    KERNELS,
    QUARTERS,
    gradient,
    listed,
    literal,
    shape,
    tensor,
)

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
BOTH, ARTEFACT, SIZES = "stamps and windows", "checkerboard", "which size"
LONG = 64  # cells of the row whose spectrum is taken
SMALL = {name: rows for name, rows in IMAGES.items() if max(len(rows), len(rows[0])) <= 8}
SMALL_KERNELS = {name: rows for name, rows in KERNELS.items()} | {"2 × 2 of 1": ((1.0,) * 2,) * 2}


@dataclass(frozen=True)
class Settings:
    show: str = choice(BOTH, options=(BOTH, ARTEFACT, SIZES), label="Show", key="show")
    image: tuple[tuple[float, ...], ...] = grid(
        CHECKERBOARD, label="Picture", key="x", max_side=8, look="paint", fills=SMALL
    )
    kernel: tuple[tuple[float, ...], ...] = grid(QUARTERS, label="Kernel", key="k", max_side=7, fills=SMALL_KERNELS)
    view: str = choice(SLIDES, options=(SLIDES, FRAMEWORK), label="Padding means", key="v")
    stride: int = number(2, low=1, high=4, label="Stride", key="s")
    padding: int = number(0, low=0, high=4, label="Padding", key="p", hint="slides: zeros around; framework: crops")
    output_padding: int = number(0, low=0, high=3, label="Out padding", key="o")
    dilation: int = number(1, low=1, high=3, label="Dilation", key="d")


DECK = Settings()
STAMPS = Settings(view=FRAMEWORK)
FLAT: Grid = ((1.0,) * 4,) * 4
ONES: Grid = ((1.0,) * 3,) * 3

PRESETS = {
    "deck 001 · stride 2": DECK,
    "deck 001 · stride 2, padding 2": replace(DECK, padding=2),
    "deck 001 · stride 3": replace(DECK, stride=3),
    "deck 001 · stride 3, padding 2": replace(DECK, stride=3, padding=2),
    "deck 001 · out padding 0": replace(DECK, stride=1),
    "deck 001 · out padding 1": replace(DECK, stride=1, output_padding=1),
    "deck 001 · out padding 2": replace(DECK, stride=1, output_padding=2),
    "framework · stride 2": STAMPS,
    "framework · padding 1 crops": replace(STAMPS, kernel=COUNT, padding=1),
    "framework · out padding 1": replace(STAMPS, kernel=COUNT, padding=1, output_padding=1),
    "checkerboard artefact": replace(STAMPS, show=ARTEFACT, image=gradient(6, 6, (1, 1)), kernel=ONES),
    "even overlap": replace(STAMPS, show=ARTEFACT, image=gradient(6, 6, (1, 1)), kernel=((1.0,) * 4,) * 4),
    "weights that even it out": replace(STAMPS, show=ARTEFACT, image=FLAT, kernel=GAUSS, padding=1),
    "two sizes, one output": replace(STAMPS, show=SIZES, kernel=BOX, padding=1, output_padding=1),
}


def update(settings: Settings) -> View:
    fits(settings)
    view = {BOTH: stamps_and_windows, ARTEFACT: checkerboard, SIZES: which_size}[settings.show](settings)
    return replace(view, stage={**view.stage, "views": Showing(tuple(view.stage))})


def fits(s: Settings) -> None:
    """Raises: ValueError if the kernel is larger than the slides' zero-inserted picture with its padding."""
    for n, k in zip(shape(s.image), shape(s.kernel), strict=True):
        span, cells = s.dilation * (k - 1) + 1, (n - 1) * s.stride + 1 + s.output_padding
        if s.view == SLIDES and span > cells + 2 * s.padding:
            raise ValueError(
                f"the kernel must fit the picture with its zeros: it spans {span} cells, and there are {cells} + 2 * "
                f"{s.padding} = {cells + 2 * s.padding}; a padding of {-((cells - span) // 2)} would fit"
            )


def stamps_and_windows(s: Settings) -> View:
    image, kernel = tensor(s.image), tensor(s.kernel)
    output, overlap = upscale(image, kernel, s), upscale(torch.ones_like(image), torch.ones_like(kernel), s)
    around = surrounded(image, s)
    stamped = list(transposed_steps(image, kernel, stride=s.stride, dilation=s.dilation))
    read = list(convolution_steps(around, kernel, dilation=s.dilation, flip=True))
    stamps, windows = stamping(stamped, image, kernel, s), sliding(read, around, kernel, s)
    numbers = {
        "output_size": list(output.shape),
        "output": output.tolist(),
        "overlap": overlap.round().long().tolist(),
        "stamps": [
            {**step, "at": [n * s.stride - crop for n, crop in zip((step["row"], step["col"]), crops(s), strict=True)]}
            for step in listed(stamped, "stamp")
        ],
        "zero_inserted": around.tolist(),
        "windows": listed(read, "products"),
        "pytorch": framework_call(s),
    }
    first, second = (windows, stamps) if s.view == SLIDES else (stamps, windows)
    return View(
        {"first": first, "second": second},
        formula(s, numbers),
        frame.weakest(
            check(output, image, kernel, s),
            check(torch.tensor(stamps.target), image, kernel, s),
            check(torch.tensor(windows.target), image, kernel, s),
            check(overlap, torch.ones_like(image), torch.ones_like(kernel), s),
            *size_checks(s),
        ),
        notice(s, numbers),
        numbers,
    )


def crops(s: Settings) -> list[int]:
    """Rows and columns that the framework would cut away at the top and left; below 0 it would have to add them."""
    return [s.padding if s.view == FRAMEWORK else s.dilation * (k - 1) - s.padding for k in shape(s.kernel)]


def surrounded(image: Tensor, s: Settings) -> Tensor:
    """The zero-inserted picture with the slides' padding: zeros all round, and more of them at the bottom and right."""
    high, wide = (s.dilation * (k - 1) - crop for k, crop in zip(shape(s.kernel), crops(s), strict=True))
    extra = s.output_padding
    return functional.pad(insert_zeros(image, s.stride), (wide, wide + extra, high, high + extra))


def upscale(image: Tensor, kernel: Tensor, s: Settings) -> Tensor:
    if s.view == SLIDES:
        return convolve(surrounded(image, s), kernel, dilation=s.dilation, flip=True)
    return transposed_convolve(image, kernel, **options(s))


def options(s: Settings) -> dict[str, int]:
    return {"stride": s.stride, "padding": s.padding, "output_padding": s.output_padding, "dilation": s.dilation}


def stamping(full: list[ScatterStep], image: Tensor, kernel: Tensor, s: Settings) -> Windows:
    """Every stamp in full, then cropped, or zeros added where the slides go beyond what a framework does."""
    top, left = crops(s)
    edges = (-left, s.output_padding - left, -top, s.output_padding - top)
    steps = [replace(step, output=functional.pad(step.output, edges)) for step in full]
    titles = ("picture", "kernel", "output, stamp by stamp")
    apart = {"stride": s.stride, "dilation": s.dilation}
    return scatter(steps, image.numpy(), kernel.numpy(), crop=(top, left), titles=titles, **apart)


def sliding(windows: list[WindowStep], around: Tensor, kernel: Tensor, s: Settings) -> Windows:
    """A cross-correlation of the flipped kernel with the zero-inserted picture."""
    inserted = surrounded(torch.ones(shape(s.image)), s).numpy() == 0
    titles = ("picture with zeros inserted", "kernel, flipped", "output, cell by cell")
    turned = kernel.flip(0, 1).numpy()
    return gather(windows, around.numpy(), inserted, turned, stride=1, dilation=s.dilation, titles=titles)


def resized(image: Tensor, kernel: Tensor, s: Settings) -> Tensor:
    """Enlarged by repeating cells, then convolved: the same brightness in all, for every cell stands stride^2 times."""
    larger = resize(image, (image.shape[0] * s.stride, image.shape[1] * s.stride), "nearest")
    around = tuple(s.dilation * (k - 1) // 2 for k in shape(s.kernel))
    return convolve(larger, kernel / s.stride**2, padding=around, dilation=s.dilation, flip=True)  # type: ignore[arg-type]


class Far(NamedTuple):
    """What is the same far from the edges of every picture."""

    row: Tensor  # stamps along a row, a whole number of strides long
    frequency: Tensor
    amplitude: Tensor
    even: Tensor  # amplitudes of resize-then-convolve
    flat: list[float]  # the smallest and the largest value that a flat picture of 1 becomes
    check: Check


@kept(maxsize=16)
def far_from_the_edges(kernel: Grid, stride: int, dilation: int) -> Far:
    s = Settings(kernel=kernel, stride=stride, dilation=dilation)
    row, even_row = long_row(tensor(kernel), s)
    frequency, amplitude = spectrum(row)
    _, even = spectrum(even_row)
    check = frame.weakest(checks.spectrum(amplitude, row), checks.spectrum(even, even_row))
    return Far(row, frequency, amplitude, even, flat_picture(tensor(kernel), s), check)


def along(n: int, k: int, s: Settings, around: int = 0) -> tuple[Tensor, Tensor]:
    """Stamps of k taps on a row that n cells are enlarged to: transposed in full; resized, with zeros around."""
    ones, taps = torch.ones(1, n, dtype=torch.float64), torch.ones(1, k, dtype=torch.float64)
    stamps = transposed_convolve(ones, taps, stride=(1, s.stride), dilation=(1, s.dilation))[0]
    larger = resize(ones, (1, n * s.stride), "nearest")
    return stamps, convolve(larger, taps / s.stride, padding=(0, around), dilation=(1, s.dilation), flip=True)[0]


def long_row(kernel: Tensor, s: Settings) -> tuple[Tensor, Tensor]:
    """Stamps along a long row far from its ends, transposed and resized; a whole number of strides long."""
    stamps, even = along(LONG, kernel.shape[1], s)
    edge, length = edge_and_length(kernel.shape[1], s)
    return stamps[edge : edge + length], even[:length]


def edge_and_length(k: int, s: Settings) -> tuple[int, int]:
    """Of a long row the cells at its start that fewer stamps reach, and how many follow that are like all others."""
    edge = -(-s.dilation * (k - 1) // s.stride) * s.stride
    return edge, (LONG - 2 * edge // s.stride - 2) * s.stride


def flat_picture(kernel: Tensor, s: Settings) -> list[float]:
    """The smallest and the largest value that a large flat picture of 1 becomes, away from its edges."""
    reach = [-(-s.dilation * (k - 1) // s.stride) for k in kernel.shape]
    ones = torch.ones([2 * r + 2 for r in reach], dtype=torch.float64)
    whole = transposed_convolve(ones, kernel, stride=s.stride, dilation=s.dilation)
    inside = [slice(r * s.stride, (r + 2) * s.stride) for r in reach]
    return [float(v) for v in torch.aminmax(whole[inside[0], inside[1]])]


def spread(low: float, high: float) -> str:
    even = abs(high - low) < 1e-9
    return f"**{high:.3g}** everywhere" if even else f"anything between **{low:.3g}** and **{high:.3g}**"


class Stamps(NamedTuple):
    """How many every cell gets, transposed and resized, where picture and kernel are all ones.

    A cell of the plane gets those of its place in a column times those of its place in a row.
    """

    plane: Tensor
    even: Tensor
    row: Tensor
    even_row: Tensor
    check: Check


@kept(maxsize=16)
def stamps(s: Settings) -> Stamps:
    ones, taps = tensor(s.image), tensor(s.kernel)
    plane, even = upscale(ones, taps, s), resized(ones, taps, s)
    lines = []
    for n, k, crop in zip(shape(s.image), shape(s.kernel), crops(s), strict=True):
        full, even_line = along(n, k, s, around=s.dilation * (k - 1) // 2)
        lines.append((functional.pad(full, (-crop, s.output_padding - crop)), even_line))
    (column, even_column), (row, even_row) = lines
    found = frame.weakest(
        *(check(of, ones, taps, s) for of in (plane, torch.outer(column, row))),
        *(resized_check(of, ones, taps, s) for of in (even, torch.outer(even_column, even_row))),
    )
    return Stamps(plane, even, row, even_row, found)


def all_ones(grid: Grid) -> Grid:
    return ((1.0,) * len(grid[0]),) * len(grid)


def checkerboard(s: Settings) -> View:
    image, kernel = tensor(s.image), tensor(s.kernel)
    output, even = upscale(image, kernel, s), resized(image, kernel, s)
    overlap, even_overlap, row, even_row, stamps_check = stamps(
        replace(s, image=all_ones(s.image), kernel=all_ones(s.kernel))
    )
    far = far_from_the_edges(s.kernel, s.stride, s.dilation)
    low, high = int(far.row.min().round()), int(far.row.max().round())
    numbers = {
        "output_size": list(output.shape),
        "output": output.tolist(),
        "overlap": overlap.round().long().tolist(),
        "resized_then_convolved": even.tolist(),
        "overlap_resized": even_overlap.tolist(),
        "stamps_along_a_row": row.round().long().tolist(),
        "stamps_far_from_the_edge": [low, high],
        "a_flat_picture_becomes": far.flat,
        "frequency": far.frequency.tolist(),
        "amplitude": far.amplitude.tolist(),
        "amplitude_resized": far.even.tolist(),
    }
    most, bright = max(float(overlap.max()), 1e-9), max(float(output.abs().max()), float(even.abs().max()), 1e-9)
    pictures = [
        Picture((overlap / most).numpy(), "stamps a cell gets", f"black 0, white {most:g}"),
        Picture((even_overlap / most).clamp(0, 1).numpy(), "resize, then convolve", "the same scale"),
        Picture((output / bright).numpy(), "your picture, transposed", f"white {bright:.3g}"),
        Picture((even / bright).numpy(), "resized, then convolved", "the same scale"),
    ]
    k, strong = shape(s.kernel)[1], float(far.amplitude[1:].max())
    says = (
        f"Along a row, far from its ends, a cell gets between **{low}** and **{high}** stamps"
        if high > low
        else f"Along a row, far from its ends, every cell gets **{low}** stamp{'s' * (low != 1)}"
    )
    reason = (
        f"the stride {s.stride} does not divide the kernel's {k}"
        if k % s.stride and s.dilation == 1
        else f"the stride {s.stride} divides the kernel's {k}"
        if s.dilation == 1
        else f"of the taps {s.dilation} apart, not every place of the stride {s.stride} gets as many"
        if high > low
        else f"the taps {s.dilation} apart reach every place of the stride {s.stride} as often"
    )
    return View(
        {
            "pictures": pictures,
            "overlap": figures.overlap_profile(row.round().numpy(), even_row.numpy(), max(2, float(row.max()))),
            "spectrum": figures.spectrum(far.frequency.numpy(), far.amplitude.numpy(), far.even.numpy(), s.stride),
        },
        rf"$$\text{{stamps along a row, on column }}x:\quad{low}\le\#\{{u: u\cdot{s.dilation}\equiv x\;"
        rf"(\mathrm{{mod}}\;{s.stride}),\;0\le u<{k}\}}\le{high}\qquad "
        rf"\tfrac{{k}}{{s}}=\tfrac{{{k}}}{{{s.stride}}}={k / s.stride:.3g}$$",
        frame.weakest(
            check(output, image, kernel, s),
            stamps_check,
            far.check,
            resized_check(even, image, kernel, s),
            *size_checks(s),
        ),
        f"{says}: {reason}. "
        + (f"The row's strongest wave has amplitude **{strong:.3g}**. " if high > low else "No wave is left. ")
        + "In the plane the counts of rows and columns multiply. "
        f"With the kernel's weights a flat picture of 1 becomes {spread(*far.flat)}.\n"
        "Enlarging first and convolving after (green) treats every cell alike: **no checkerboard**, at "
        f"{'as many' if s.stride == 1 else f'{s.stride**2} times the'} multiplications.",
        numbers,
    )


def resized_check(result: Tensor, image: Tensor, kernel: Tensor, s: Settings) -> Check:
    """Cells repeated by torch, then torch's convolution."""
    larger = image.repeat_interleave(s.stride, 0).repeat_interleave(s.stride, 1)
    around = tuple(s.dilation * (k - 1) // 2 for k in shape(s.kernel))
    scaled = kernel.flip(0, 1) / s.stride**2
    return checks.convolution(result, larger, scaled, padding=around, dilation=s.dilation)  # type: ignore[arg-type]


def which_size(s: Settings) -> View:
    rows, k, crop = len(s.image), len(s.kernel), crops(s)[0]
    if crop < 0:
        raise ValueError(
            f"no convolution leads here: its padding would be {crop}; a padding of at most {s.dilation * (k - 1)} fits"
        )
    if s.output_padding >= s.stride:
        raise ValueError(
            f"out padding only tells the {s.stride} sizes apart that a stride of {s.stride} maps to one; "
            f"got {s.output_padding}, at most {s.stride - 1} would fit"
        )
    back = transposed_output_size(rows, k, s.stride, crop, s.output_padding, s.dilation)
    least = max(1, s.dilation * (k - 1) + 1 - 2 * crop)
    before = list(range(least, max(back + s.stride + 2, least + 8)))
    after = [output_size(n, k, s.stride, crop, s.dilation) for n in before]
    same = [n for n, out in zip(before, after, strict=True) if out == rows]
    numbers = {
        "before": before,
        "after": after,
        "same": same,
        "chosen": back,
    }
    several = (
        f"**{' and '.join(map(str, same))}** rows all become **{rows}**"
        if len(same) > 1
        else f"only **{''.join(map(str, same))}** rows become **{rows}**"
    )
    return View(
        {"sizes": figures.sizes(before, after, rows, back, back - s.output_padding)},
        rf"$$\left\lfloor\frac{{H+2\cdot{crop}-{s.dilation}\,({k}-1)-1}}{{{s.stride}}}\right\rfloor+1={rows}"
        rf"\quad\text{{for}}\quad H\in\{{{', '.join(map(str, same))}\}}\qquad "
        rf"H=({rows}-1)\cdot{s.stride}-2\cdot{crop}+{s.dilation}\,({k}-1)+1+{s.output_padding}={back}$$",
        frame.weakest(
            checks.transposed_output_size(back, rows, k, s.stride, crop, s.output_padding, s.dilation),
            *(checks.output_size(out, n, k, s.stride, crop, s.dilation) for n, out in zip(before, after, strict=True)),
        ),
        f"A convolution with stride {s.stride}, padding {crop} and this kernel rounds down: {several}.\n"
        f"Going back, the size is not known: **out padding {s.output_padding}** says that it was **{back}**.",
        numbers,
    )


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
    cropped = crops(s)
    refuses = None
    if s.output_padding >= max(s.stride, s.dilation):
        refuses = (
            f"output padding {s.output_padding} must be smaller than stride ({s.stride}) or dilation ({s.dilation}), "
            "since it only tells apart the sizes that one strided convolution maps to the same"
        )
    elif min(cropped) < 0:
        refuses = f"its padding crops, and here it would have to crop {min(cropped)}: less than nothing".replace(
            "-", "−"
        )
    return {"padding": cropped, "output_padding": s.output_padding, "refuses": refuses}


def formula(s: Settings, numbers: dict) -> str:
    if s.view == FRAMEWORK:
        where = rf"s={s.stride},\;d={s.dilation},\;p={s.padding}"
        lines = [rf"y[i\,s+u\,d-p,\;j\,s+v\,d-p]\mathrel{{+}}=x[i,j]\;k[u,v]\qquad {where}"]
    else:
        lines = [
            rf"y=\hat x\star\tilde k\qquad y[i,j]=\sum_{{u,v}}\hat x[i+u\,d,\;j+v\,d]\;\tilde k[u,v]\qquad "
            rf"\hat x\text{{: zeros inserted}},\;\tilde k\text{{: }}k\text{{ flipped}},\;d={s.dilation}"
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
    return display(*lines)


def stamps_by_place(k: int, s: Settings) -> set[int]:
    """How many of k taps reach a place of the stride, far from the edge: one number if all get as many."""
    return {sum(u * s.dilation % s.stride == place for u in range(k)) for place in range(s.stride)}


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
        elif any(len(stamps_by_place(k, s)) > 1 for k in shape(s.kernel)):
            reason = (
                "the stride does not divide the kernel"
                if s.dilation == 1
                else f"taps {s.dilation} apart do not reach every place of the stride {s.stride} as often"
            )
            grows += f"and as {reason} they alternate far from the edge too: a checkerboard."
        else:
            grows += "fewer only towards the edge."
    if extra := s.output_padding:
        grows += f" Out padding adds {counted(extra, 'row')} at the bottom, {counted(extra, 'column')} at the right."
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
    if s.show == SIZES:
        return code_sizes(s)
    names, lines = {"transposed_convolve"} if s.view == FRAMEWORK else {"convolve", "insert_zeros"}, [code_upscale(s)]
    imports = ""
    if s.show == ARTEFACT:
        names |= {"convolve", "spectrum", "transposed_convolve"}
        lines.append(code_artefact(s))
        imports = "from core.resizing import resize\n"
    else:
        names |= {"convolution_steps", "insert_zeros", "transposed_steps"}
        lines.append(code_framework(s))
    return f"""
import torch

from core.convolution import {", ".join(sorted(names))}
{imports}
image = torch.tensor({literal(s.image, 22)}, dtype=torch.float64)
kernel = torch.tensor({literal(s.kernel, 23)}, dtype=torch.float64)
ones, taps = torch.ones_like(image), torch.ones_like(kernel)

{"".join(lines)}"""


def code_upscale(s: Settings) -> str:
    """The output, and the stamps on each of its cells."""
    if s.view == FRAMEWORK:
        arguments = ", ".join(f"{name}={value}" for name, value in options(s).items())
        steps = f"    return transposed_convolve(image, kernel, {arguments})"
    else:
        far = s.padding + s.output_padding
        steps = f"""    spread = insert_zeros(image, stride={s.stride})
    around = torch.nn.functional.pad(spread, ({s.padding}, {far}, {s.padding}, {far}))  # left, right, top, bottom
    return convolve(around, kernel, dilation={s.dilation}, flip=True)"""
    return f"""
def upscale(image, kernel):
{steps}


output = upscale(image, kernel)
print("output_size =", list(output.shape))
print("output =", output.tolist())
print("overlap =", upscale(ones, taps).round().long().tolist())
"""


def code_framework(s: Settings) -> str:
    """Every stamp and every window; what PyTorch calls the padding of the same picture, and whether it takes it."""
    crop = "padding" if s.view == FRAMEWORK else "dilation * (k - 1) - padding"
    return f"""
stride, padding, output_padding, dilation = {s.stride}, {s.padding}, {s.output_padding}, {s.dilation}
crop = [{crop} for k in kernel.shape]

stamps = [
    {{"row": step.row, "col": step.col, "stamp": step.stamp.tolist(), "value": step.value.item(),
     "at": [step.row * stride - crop[0], step.col * stride - crop[1]]}}
    for step in transposed_steps(image, kernel, stride=stride, dilation=dilation)
]
print("stamps =", stamps)
high, wide = (dilation * (k - 1) - c for k, c in zip(kernel.shape, crop))
sides = (wide, wide + output_padding, high, high + output_padding)  # left, right, top, bottom
around = torch.nn.functional.pad(insert_zeros(image, stride), sides)
print("zero_inserted =", around.tolist())
windows = [
    {{"row": step.row, "col": step.col, "products": step.products.tolist(), "value": step.value.item()}}
    for step in convolution_steps(around, kernel, dilation=dilation, flip=True)
]
print("windows =", windows)

window = dict(stride=stride, padding=crop, output_padding=output_padding, dilation=dilation)
try:
    torch.nn.functional.conv_transpose2d(image[None, None], kernel[None, None], **window)
    refuses = False
except RuntimeError:
    refuses = True
print("pytorch =", {{"padding": crop, "output_padding": output_padding, "refuses": refuses}})
"""


def code_artefact(s: Settings) -> str:
    """The picture enlarged and then convolved; a long row of stamps, and a large flat picture, far from their edges."""
    k, enlarged = shape(s.kernel)[1], tuple(n * s.stride for n in shape(s.image))
    around = tuple(s.dilation * (side - 1) // 2 for side in shape(s.kernel))
    edge, length = edge_and_length(k, s)
    rows, cols = (-(-s.dilation * (side - 1) // s.stride) for side in shape(s.kernel))
    crop = crops(s)[1]
    return f"""
larger = resize(image, {enlarged}, "nearest")
even = convolve(larger, kernel / {s.stride**2}, padding={around}, dilation={s.dilation}, flip=True)
print("resized_then_convolved =", even.tolist())
larger, taps = torch.ones_like(larger), torch.ones_like(kernel) / {s.stride**2}
print("overlap_resized =", convolve(larger, taps, padding={around}, dilation={s.dilation}, flip=True).tolist())

few, taps = torch.ones(1, {shape(s.image)[1]}).double(), torch.ones(1, {k}).double()
row = transposed_convolve(few, taps, stride=(1, {s.stride}), dilation=(1, {s.dilation}))[0]
row = torch.nn.functional.pad(row, ({-crop}, {s.output_padding - crop}))
print("stamps_along_a_row =", row.round().long().tolist())

line, taps = torch.ones(1, {LONG}).double(), torch.ones(1, {k}).double()
row = transposed_convolve(line, taps, stride=(1, {s.stride}), dilation=(1, {s.dilation}))[0, {edge}:{edge + length}]
larger = resize(line, (1, {LONG * s.stride}), "nearest")
even_row = convolve(larger, taps / {s.stride}, dilation=(1, {s.dilation}), flip=True)[0, :{length}]
print("stamps_far_from_the_edge =", [int(row.min().round()), int(row.max().round())])
frequency, amplitude = spectrum(row)
print("frequency =", frequency.tolist())
print("amplitude =", amplitude.tolist())
print("amplitude_resized =", spectrum(even_row)[1].tolist())

flat = torch.ones({2 * rows + 2}, {2 * cols + 2}).double()
whole = transposed_convolve(flat, kernel, stride={s.stride}, dilation={s.dilation})
inside = whole[{rows * s.stride}:{(rows + 2) * s.stride}, {cols * s.stride}:{(cols + 2) * s.stride}]
print("a_flat_picture_becomes =", [float(inside.min()), float(inside.max())])
"""


def code_sizes(s: Settings) -> str:
    window = f"{s.stride}, {crops(s)[0]}"
    return f"""
from core.convolution import output_size, transposed_output_size

rows, kernel = {len(s.image)}, {len(s.kernel)}
chosen = transposed_output_size(rows, kernel, {window}, {s.output_padding}, {s.dilation})
print("chosen =", chosen)
least = {max(1, s.dilation * (len(s.kernel) - 1) + 1 - 2 * crops(s)[0])}
before = list(range(least, max(chosen + {s.stride + 2}, least + 8)))
after = [output_size(n, kernel, {window}, {s.dilation}) for n in before]
print("before =", before)
print("after =", after)
print("same =", [n for n, size in zip(before, after) if size == rows])
"""


def build() -> None:
    frame.tab(
        sys.modules[__name__],
        stage={
            "first": WindowPlayer("The output, first way", height=300),
            "second": WindowPlayer("The same output, the other way", height=300),
            "pictures": Pictures("Stamps and outputs, transposed and resized", columns=4, side=190, height=230),
            "overlap": LivePlot("How many stamps fall on each cell of a row", height=240),
            "spectrum": LivePlot("The spectrum of the stamps far from the edges", height=240),
            "sizes": LivePlot("Sizes before and after a convolution", height=400),
            "views": Views(NAME, Showing(("first", "second"))),
        },
    )
