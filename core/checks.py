"""Independent routes behind the badges: each check takes a result and computes the same thing in another way."""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from scipy import signal, special, stats
from torch import Tensor

Pair = int | tuple[int, int]


@dataclass(frozen=True)
class Check:
    """One comparison: what is claimed, how far off the result is, and how far off it may be."""

    claim: str
    residual: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether the residual is within the tolerance; NaN never is."""
        return self.residual <= self.tolerance


def worst(*checks: Check) -> Check:
    """The check to show for several: the first that fails, else the one with the largest residual."""
    return max(checks, key=lambda check: (not check.ok, check.residual))


# Probability


def binomial(pmf: ArrayLike, n: int, p: float) -> Check:
    """The whole distribution against scipy's, largest difference relative to the highest bar."""
    return _close("equals scipy.stats.binom.pmf", pmf, stats.binom.pmf(np.arange(n + 1), n, p), 1e-10)


def gaussian(density: ArrayLike, x: ArrayLike, mean: float, std: float) -> Check:
    """A bell against scipy's."""
    return _close("equals scipy.stats.norm.pdf", density, stats.norm.pdf(x, mean, std), 1e-12)


def de_moivre_laplace(bell: ArrayLike, n: int, p: float) -> Check:
    """The coin's bell against scipy's normal with the mean and deviation of scipy's binomial."""
    mean, std = stats.binom.mean(n, p), stats.binom.std(n, p)
    k = np.arange(n + 1)
    expected = stats.norm.pdf(k, mean, std) if std > 0 else stats.binom.pmf(k, n, p)
    return _close("equals scipy.stats.norm.pdf with the coin's mean and deviation", bell, expected, 1e-10)


def stirling(log_value: float, n: int) -> Check:
    """ln n! - ln(Stirling) must lie between 1 / (12 n + 1) and 1 / (12 n).

    Source: Robbins (1955), "A remark on Stirling's formula", American Mathematical Monthly 62.
    """
    short = float(special.gammaln(n + 1)) - log_value
    outside = max(1 / (12 * n + 1) - short, short - 1 / (12 * n), 0.0)
    return Check("is below n! by Robbins' bounds", outside, 1e-15 * (10 + abs(log_value)))


def z_score(z: ArrayLike, x: ArrayLike, mean: float, std: float) -> Check:
    """Walking z deviations from the mean must lead back to x."""
    return _close("mean + z * std leads back to x", mean + np.asarray(z) * std, x, 1e-12)


def total_variation(value: float, p: ArrayLike, q: ArrayLike) -> Check:
    """What the two distributions do not share: their mean mass minus the mass under both."""
    p, q = np.asarray(p), np.asarray(q)
    return _close("equals 1 - shared mass", value, (p.sum() + q.sum()) / 2 - np.minimum(p, q).sum(), 1e-12)


def berry_esseen(pmf: ArrayLike, n: int, p: float) -> Check:
    """How far the steps of the distribution function stray from the bell's, against the bound on it.

    Source: Shevtsova (2011), arXiv 1111.6554: C = 0.4748; for a coin the bound is C (p^2 + q^2) / sqrt(n p q).
    """
    std = float(stats.binom.std(n, p))
    if std == 0:
        return _close("stands on np, for the coin leaves no chance", pmf, np.arange(n + 1) == n * p, 1e-12)
    steps, bell = np.concatenate([[0.0], np.cumsum(pmf)]), stats.norm.cdf(np.arange(n + 1), n * p, std)
    distance = max(np.abs(steps[:-1] - bell).max(), np.abs(steps[1:] - bell).max())
    bound = 0.4748 * (p**2 + (1 - p) ** 2) / std
    return Check("strays from the bell no further than Berry and Esseen allow", float(distance), bound)


def coin_flips(heads: ArrayLike, n: int, p: float) -> Check:
    """The mean of flipped coins against np, which five standard errors hardly ever miss."""
    heads = np.asarray(heads)
    error = stats.binom.std(n, p) / math.sqrt(heads.size)
    return Check("mean is np within five standard errors", abs(float(heads.mean()) - n * p), 5 * float(error) + 1e-12)


def binomial_tail(value: float, n: int, p: float, k: int) -> Check:
    """P(X >= k) against scipy's survival function."""
    return _close("equals scipy.stats.binom.sf(k - 1)", value, stats.binom.sf(k - 1, n, p), 1e-10)


def normal_tail(value: float, n: int, p: float, k: int, *, continuity: bool = True) -> Check:
    """The bell's tail against scipy's survival function."""
    mean, std, edge = n * p, float(stats.binom.std(n, p)), k - 0.5 * continuity
    expected = stats.norm.sf(edge, mean, std) if std > 0 else edge <= n * p
    return _close("equals scipy.stats.norm.sf", value, expected, 1e-10)


# Convolution


def output_size(value: int, size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Check:
    """Counts the places where the kernel starts and ends within the padded picture."""
    starts = range(0, size + 2 * padding, stride)
    fit = sum(start + dilation * (kernel - 1) < size + 2 * padding for start in starts)
    return Check("equals a count of the places that fit", abs(value - fit), 0)


def transposed_output_size(
    value: int, size: int, kernel: int, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> Check:
    """Counts the cells from the first tap of the first stamp to the last tap of the last one."""
    last = max(i * stride + j * dilation for i, j in product(range(size), range(kernel)))
    return Check("equals a count of the cells stamped", abs(value - (last + 1 - 2 * padding + output_padding)), 0)


def convolution(
    result: Tensor,
    image: Tensor,
    kernel: Tensor,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    padding_mode: str = "zeros",
    flip: bool = False,
) -> Check:
    """Against torch's conv2d on a picture that torch padded; flipped, against scipy's convolve2d with cells skipped."""
    (down, across), (rows, cols), (high, wide) = _pair(stride), _pair(padding), _pair(dilation)
    picture, kernel = _planes(image).double(), kernel.double()
    mode = "constant" if padding_mode == "zeros" else padding_mode
    picture = F.pad(picture[None], (cols, cols, rows, rows), mode=mode)[0]
    if not flip:
        per_channel = kernel.ndim == 2
        weight = kernel.expand(len(picture), 1, *kernel.shape) if per_channel else kernel
        groups = len(picture) if per_channel else 1
        expected = F.conv2d(picture[None], weight, stride=(down, across), dilation=(high, wide), groups=groups)[0]
        return _close("equals torch conv2d", _planes(result), expected, _tolerance(result, image))
    spans = (kernel.shape[-2] - 1) * high + 1, (kernel.shape[-1] - 1) * wide + 1
    spread = kernel.new_zeros(*kernel.shape[:-2], *spans)
    spread[..., ::high, ::wide] = kernel
    if kernel.ndim == 2:
        planes = [signal.convolve2d(plane, spread, mode="valid") for plane in picture.numpy()]
    else:
        planes = [
            sum(signal.convolve2d(plane, taps, mode="valid") for plane, taps in zip(picture.numpy(), out, strict=True))
            for out in spread.numpy()
        ]
    expected = np.stack(planes)[:, ::down, ::across]
    return _close("equals scipy.signal.convolve2d", _planes(result), expected, _tolerance(result, image))


def window(value: Tensor, products: Tensor) -> Check:
    """One output cell against its products added up one by one."""
    return _close("is the sum of its products", value, math.fsum(products.flatten().tolist()), _tolerance(value))


def zero_insertion(result: Tensor, image: Tensor, stride: Pair) -> Check:
    """Against torch's transposed convolution with a kernel of one cell, which only spreads the picture out."""
    expected = F.conv_transpose2d(_planes(image).double()[:, None], torch.ones(1, 1, 1, 1).double(), stride=stride)
    return _close("equals torch conv_transpose2d with kernel 1", _planes(result), expected[:, 0], 0)


def transposed_convolution(
    result: Tensor,
    image: Tensor,
    kernel: Tensor,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
) -> Check:
    """Against torch's conv_transpose2d."""
    picture, kernel = _planes(image).double(), kernel.double()
    per_channel = kernel.ndim == 2
    weight = kernel.expand(len(picture), 1, *kernel.shape) if per_channel else kernel.transpose(0, 1)
    expected = F.conv_transpose2d(
        picture[None],
        weight,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        groups=len(picture) if per_channel else 1,
    )[0]
    return _close("equals torch conv_transpose2d", _planes(result), expected, _tolerance(result, image))


def zero_inserted_convolution(
    result: Tensor,
    image: Tensor,
    kernel: Tensor,
    *,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    dilation: int = 1,
) -> Check:
    """A kernel, turned, over the zero-inserted picture with so many zeros around it: against nested loops that stamp.

    Input cell (y, x) reaches output row y stride + i dilation + padding - dilation (k - 1) through tap (i, j) of the
    kernel, and so for the column; `output_padding` more zeros stand at the bottom and right.
    """
    shifts = [padding - dilation * (k - 1) for k in kernel.shape]
    sizes = [
        (n - 1) * stride + 1 + padding + output_padding + shift for n, shift in zip(image.shape, shifts, strict=True)
    ]
    expected = np.zeros(sizes)
    for y, x, i, j in product(*map(range, (*image.shape, *kernel.shape))):
        row, col = y * stride + i * dilation + shifts[0], x * stride + j * dilation + shifts[1]
        if 0 <= row < sizes[0] and 0 <= col < sizes[1]:
            expected[row, col] += float(image[y, x]) * float(kernel[i, j])
    return _close("equals nested loops that stamp the kernel", result, expected, _tolerance(result, image))


def _pair(value: Pair) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _planes(image: Tensor) -> Tensor:
    return image.reshape(-1, *image.shape[-2:])


def _tolerance(*operands: Tensor) -> float:
    """A few hundred roundings of the coarsest number format among the operands."""
    return 500 * max((torch.finfo(x.dtype).eps for x in operands if x.is_floating_point()), default=2e-16)


def _close(claim: str, value: ArrayLike | Tensor, expected: ArrayLike | Tensor, tolerance: float) -> Check:
    """The largest difference relative to the largest expected number."""
    value, expected = np.asarray(value, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if value.shape != expected.shape:
        return Check(f"{claim} (shape {expected.shape}, got {value.shape})", math.inf, tolerance)
    scale = np.abs(expected).max() or 1.0
    return Check(claim, float(np.abs(value - expected).max() / scale), tolerance)
