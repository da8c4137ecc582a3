"""Windows that slide, kernels that stamp: convolution and its transpose, one cell at a time.

An image is (H, W) or (C, H, W); a kernel is (k, k), applied to each channel, or (C_out, C_in, k, k), which mixes them.
Stride, padding and dilation are an int or a (rows, columns) pair. Sizes and arithmetic: Dumoulin & Visin (2016),
"A guide to convolution arithmetic for deep learning", arXiv 1603.07285.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from core.arguments import whole

Pair = int | tuple[int, int]

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


@dataclass(frozen=True)
class WindowStep:
    """One output cell of a convolution: where it is, what the window holds, the products and their sum.

    Shapes: window (k, k) or (C_in, k, k); products (k, k), (C, k, k) or (C_out, C_in, k, k); value (), (C,) or
    (C_out,).
    """

    row: int
    col: int
    window: Tensor
    products: Tensor
    value: Tensor


@dataclass(frozen=True)
class ScatterStep:
    """One input cell of a transposed convolution: where it is, its value, the stamp it leaves, and the output so far.

    Shapes: value (), (C,) or (C_in,); stamp (k, k), (C, k, k) or (C_out, k, k); output that of `transposed_convolve`.
    Tap (i, j) of the stamp lands on output row row * stride - padding + i * dilation, and so for the column.
    """

    row: int
    col: int
    value: Tensor
    stamp: Tensor
    output: Tensor


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1, along one axis.

    Raises: ValueError if a number is out of range or the kernel is larger than the padded picture.
    Source: Dumoulin & Visin (2016), relationship 15.
    """
    _at_least(1, size=size, kernel=kernel, stride=stride, dilation=dilation)
    _at_least(0, padding=padding)
    span = dilation * (kernel - 1) + 1
    if span > size + 2 * padding:
        raise ValueError(
            f"the kernel must fit the padded picture: it spans {span} cells, the picture has {size} + 2 * {padding} = "
            f"{size + 2 * padding}; a padding of {-((size - span) // 2)} would fit"
        )
    return (size + 2 * padding - span) // stride + 1


def transposed_output_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> int:
    """(size - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1, along one axis.

    Raises: ValueError if a number is out of range, nothing is left after cropping, or output_padding is not below
        stride or dilation: it only tells apart the sizes that a convolution with this stride maps to one.
    Source: Dumoulin & Visin (2016), relationship 14, with PyTorch's dilation.
    """
    _at_least(1, size=size, kernel=kernel, stride=stride, dilation=dilation)
    _at_least(0, padding=padding, output_padding=output_padding)
    if output_padding >= max(stride, dilation):
        raise ValueError(
            f"output_padding must be smaller than stride or dilation (PyTorch's rule), got {output_padding} with "
            f"stride {stride} and dilation {dilation}; at most {max(stride, dilation) - 1} would fit"
        )
    out = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1
    if out < 1:
        most = (out + 2 * padding - 1) // 2
        raise ValueError(
            f"padding {padding} crops everything away: {out} cells would be left; at most {most} would fit"
        )
    return out


def unread(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, padding_mode: str = "zeros"
) -> list[int]:
    """The cells that no window reads, along one axis: {0 .. size - 1} less {i stride + j dilation - padding}, where
    what stands in the padding is read too.

    Raises: ValueError where `output_size` or `pad` does.
    """
    _check_mode(padding_mode)
    places = range(output_size(size, kernel, stride, padding, dilation))
    source = range(-padding, size + padding) if padding_mode == "zeros" else _source(size, padding, padding_mode)
    read = {int(source[i * stride + j * dilation]) for i, j in product(places, range(kernel))}
    return sorted(set(range(size)) - read)


def pad(image: Tensor, padding: Pair, padding_mode: str = "zeros") -> Tensor:
    """The picture with `padding` cells added on every side.

    Modes: zeros; reflect (mirrored, the edge not repeated); replicate (the edge goes on); circular (the other side).
    Raises: ValueError for an unknown mode, reflect with padding >= size, or circular with padding > size.
    """
    _check_image(image)
    _check_mode(padding_mode)
    (rows, cols), (height, width) = _pair("padding", padding, least=0), image.shape[-2:]
    if padding_mode == "zeros":
        padded = image.new_zeros(*image.shape[:-2], height + 2 * rows, width + 2 * cols)
        padded[..., rows : rows + height, cols : cols + width] = image
        return padded
    return image[..., _source(height, rows, padding_mode), :][..., _source(width, cols, padding_mode)]


def convolve(
    image: Tensor,
    kernel: Tensor,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    padding_mode: str = "zeros",
    flip: bool = False,
) -> Tensor:
    """Slide the kernel over the picture; each output cell is the sum of the products in its window.

    Unflipped it is what networks call a convolution and mathematics a cross-correlation; ``flip=True`` turns the kernel
    by 180 degrees, which makes it the mathematical convolution.

    Returns: (H', W'), (C, H', W') or (C_out, H', W'), sizes by `output_size`.
    Raises: ValueError if shapes do not match, a value is not finite, or `output_size` or `pad` refuses.
    Source: Dumoulin & Visin (2016), section 2; Goodfellow et al. (2016), equations 9.4 (flipped) and 9.6.
    """
    image, kernel = _operands(image, kernel)
    kernel = kernel.flip(-2, -1) if flip else kernel
    windows = _windows(image, kernel, stride, padding, dilation, padding_mode)
    if kernel.ndim == 4:
        return torch.einsum("chwij,ocij->ohw", windows, kernel)
    output = windows.new_zeros(windows.shape[:-2])
    for i, j in product(*map(range, kernel.shape)):  # a tap at a time for all cells: no copy of every window
        output += windows[..., i, j] * kernel[i, j]
    return output


def convolution_steps(
    image: Tensor,
    kernel: Tensor,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    padding_mode: str = "zeros",
    flip: bool = False,
) -> Iterator[WindowStep]:
    """`convolve` one window at a time, row by row; the window of (row, col) starts at (row, col) * stride when padded.

    Yields: one `WindowStep` per output cell.
    Raises: ValueError as `convolve` does, when the first step is asked for.
    """
    image, kernel = _operands(image, kernel)
    kernel = kernel.flip(-2, -1) if flip else kernel
    windows = _windows(image, kernel, stride, padding, dilation, padding_mode)
    products = windows * (kernel if kernel.ndim == 2 else kernel[:, :, None, None])
    values = products.sum((-2, -1) if kernel.ndim == 2 else (1, -2, -1))
    of_all = windows.flatten(-4, -3).unbind(-3), products.flatten(-4, -3).unbind(-3), values.flatten(-2).unbind(-1)
    for (row, col), *held in zip(product(*map(range, values.shape[-2:])), *of_all, strict=True):
        yield WindowStep(row, col, *held)


def insert_zeros(image: Tensor, stride: Pair) -> Tensor:
    """The picture with stride - 1 zeros between neighbours: (..., (H - 1) stride + 1, (W - 1) stride + 1).

    Raises: ValueError if stride is below 1.
    Source: Dumoulin & Visin (2016), section 4.5.
    """
    _check_image(image)
    (down, across), (height, width) = _pair("stride", stride), image.shape[-2:]
    spread = image.new_zeros(*image.shape[:-2], (height - 1) * down + 1, (width - 1) * across + 1)
    spread[..., ::down, ::across] = image
    return spread


def transposed_convolve(
    image: Tensor,
    kernel: Tensor,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
) -> Tensor:
    """Every input cell stamps the kernel, times its value, into the output, `stride` apart; overlaps add up.

    `padding` crops the result on every side; `output_padding` keeps so many more rows and columns at bottom and right.
    A mixing kernel is (C_out, C_in, k, k) as in `convolve`; PyTorch stores the two channel axes the other way round.

    Returns: (H', W'), (C, H', W') or (C_out, H', W'), sizes by `transposed_output_size`.
    Raises: ValueError if shapes do not match, a value is not finite, or `transposed_output_size` refuses.
    Source: Dumoulin & Visin (2016), section 4.
    """
    image, kernel = _operands(image, kernel)
    (height, width), (down, across), (rows, cols) = (
        image.shape[-2:],
        _pair("stride", stride),
        _pair("dilation", dilation),
    )
    canvas, output = _canvas(image, kernel, stride, padding, output_padding, dilation)
    stamps = _stamps(image, kernel)
    for i, j in product(range(kernel.shape[-2]), range(kernel.shape[-1])):
        y, x = i * rows, j * cols
        canvas[..., y : y + (height - 1) * down + 1 : down, x : x + (width - 1) * across + 1 : across] += stamps[
            ..., i, j
        ]
    return output.clone()


def transposed_steps(
    image: Tensor,
    kernel: Tensor,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
) -> Iterator[ScatterStep]:
    """`transposed_convolve` one stamp at a time, row by row; the last step's output is the result.

    Yields: one `ScatterStep` per input cell.
    Raises: ValueError as `transposed_convolve` does, when the first step is asked for.
    """
    image, kernel = _operands(image, kernel)
    (height, width), (down, across), (rows, cols) = (
        kernel.shape[-2:],
        _pair("stride", stride),
        _pair("dilation", dilation),
    )
    canvas, output = _canvas(image, kernel, stride, padding, output_padding, dilation)
    stamps = _stamps(image, kernel)
    for row, col in product(range(image.shape[-2]), range(image.shape[-1])):
        y, x, stamp = row * down, col * across, stamps[..., row, col, :, :]
        canvas[..., y : y + (height - 1) * rows + 1 : rows, x : x + (width - 1) * cols + 1 : cols] += stamp
        yield ScatterStep(row, col, image[..., row, col], stamp, output.clone())


def spectrum(values: Tensor) -> tuple[Tensor, Tensor]:
    """How strongly a row (n,) waves at each frequency: (cycles per cell, amplitudes), (n // 2 + 1,) each.

    A wave a cos(2 pi f x + phase) of a frequency on the list has amplitude a there; at frequency 0 stands the mean, at
    1/2, where neighbours take turns, |a cos(phase)|, both without their sign.

    Raises: ValueError if values is not one row of at least two numbers.
    """
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"spectrum wants one row of at least two numbers, got shape {tuple(values.shape)}")
    n = len(values)
    amplitude = torch.fft.rfft(values.double()).abs() * 2 / n
    amplitude[0] /= 2
    if n % 2 == 0:
        amplitude[-1] /= 2
    return torch.arange(n // 2 + 1, dtype=torch.float64) / n, amplitude


def _windows(image: Tensor, kernel: Tensor, stride: Pair, padding: Pair, dilation: Pair, padding_mode: str) -> Tensor:
    """Every window of the padded picture, as a view: (..., H', W', k, k)."""
    steps, apart, around = _pair("stride", stride), _pair("dilation", dilation), _pair("padding", padding, least=0)
    for side in zip(image.shape[-2:], kernel.shape[-2:], steps, around, apart, strict=True):
        output_size(*side)
    height, width = ((k - 1) * d + 1 for k, d in zip(kernel.shape[-2:], apart, strict=True))
    windows = pad(image, padding, padding_mode).unfold(-2, height, steps[0]).unfold(-2, width, steps[1])
    return windows[..., :: apart[0], :: apart[1]]


def _stamps(image: Tensor, kernel: Tensor) -> Tensor:
    """What each input cell leaves behind: (..., H, W, k, k)."""
    if kernel.ndim == 2:
        return image[..., None, None] * kernel
    return torch.einsum("chw,ocij->ohwij", image, kernel)


def _canvas(
    image: Tensor, kernel: Tensor, stride: Pair, padding: Pair, output_padding: Pair, dilation: Pair
) -> tuple[Tensor, Tensor]:
    """Zeros large enough for every stamp, and the view of them that cropping keeps."""
    crops, extras = _pair("padding", padding, least=0), _pair("output_padding", output_padding, least=0)
    steps, apart = _pair("stride", stride), _pair("dilation", dilation)
    kept = [
        transposed_output_size(*side)
        for side in zip(image.shape[-2:], kernel.shape[-2:], steps, crops, extras, apart, strict=True)
    ]
    full = [size + 2 * crop for size, crop in zip(kept, crops, strict=True)]
    channels = image.shape[:-2] if kernel.ndim == 2 else kernel.shape[:1]
    canvas = image.new_zeros(*channels, *full)
    (top, left), (rows, cols) = crops, kept
    return canvas, canvas[..., top : top + rows, left : left + cols]


def _source(size: int, padding: int, mode: str) -> Tensor:
    """Which row (or column) of the picture stands at each place of the padded one."""
    room = size - 1 if mode == "reflect" else size
    if mode != "replicate" and padding > room:
        raise ValueError(f"{mode} padding can be at most {room} on a side of {size} cells, got {padding}")
    place = torch.arange(-padding, size + padding)
    if mode == "replicate":
        return place.clamp(0, size - 1)
    if mode == "circular":
        return place % size
    return size - 1 - (size - 1 - place.abs()).abs()


def _operands(image: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor]:
    _check_image(image)
    if kernel.ndim not in (2, 4) or 0 in kernel.shape:
        raise ValueError(f"the kernel must be (k, k) or (C_out, C_in, k, k), got shape {tuple(kernel.shape)}")
    if kernel.ndim == 4:
        image = image if image.ndim == 3 else image[None]
        if image.shape[0] != kernel.shape[1]:
            raise ValueError(f"the kernel wants {kernel.shape[1]} channels, the picture has {image.shape[0]}")
    if not (image.isfinite().all() and kernel.isfinite().all()):
        raise ValueError("every cell of the picture and the kernel must be a finite number")
    dtype = torch.promote_types(image.dtype, kernel.dtype)
    if not (dtype.is_floating_point or dtype.is_complex):
        dtype = torch.int64  # a byte cannot hold a sum of bytes
    return image.to(dtype), kernel.to(dtype)


def _check_mode(padding_mode: str) -> None:
    if padding_mode not in PADDING_MODES:
        raise ValueError(f"padding_mode must be one of {', '.join(PADDING_MODES)}, got {padding_mode!r}")


def _check_image(image: Tensor) -> None:
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(f"the picture must be (H, W) or (C, H, W) with no empty side, got shape {tuple(image.shape)}")


def _pair(name: str, value: Pair, least: int = 1) -> tuple[int, int]:
    if isinstance(value, tuple) and len(value) != 2:
        raise ValueError(f"{name} must be one number or a pair (rows, columns), got {value!r}")
    rows, cols = value if isinstance(value, tuple) else (value, value)
    return whole(f"{name} of rows", rows, least), whole(f"{name} of columns", cols, least)


def _at_least(least: int, **numbers: int) -> None:
    for name, value in numbers.items():
        whole(name, value, least)
