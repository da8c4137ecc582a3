"""Independent routes behind the badges: each check takes a result and computes the same thing in another way."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy  # its parts load at their first use: a second less to wait for the page
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from PIL import Image
from skimage import metrics, restoration, transform
from torch import Tensor

if TYPE_CHECKING:
    from core import dream
    from core.clip import CLIP, Iterate, Parametrisation
    from core.networks.classifier import PictureClassifier

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


def worst(*residuals: Any) -> float:
    """The largest; NaN if one is, which `max` may pass over."""
    return float(np.max(residuals))


# Probability


def binomial(pmf: ArrayLike, n: int, p: float) -> Check:
    """The whole distribution against scipy's, largest difference relative to the highest bar."""
    return _close("equals scipy.stats.binom.pmf", pmf, scipy.stats.binom.pmf(np.arange(n + 1), n, p), 1e-10)


def gaussian(density: ArrayLike, x: ArrayLike, mean: float, std: float) -> Check:
    """A bell against scipy's."""
    return _close("equals scipy.stats.norm.pdf", density, scipy.stats.norm.pdf(x, mean, std), 1e-12)


def de_moivre_laplace(bell: ArrayLike, n: int, p: float) -> Check:
    """The coin's bell against scipy's normal with the mean and deviation of scipy's binomial."""
    mean, std = scipy.stats.binom.mean(n, p), scipy.stats.binom.std(n, p)
    k = np.arange(n + 1)
    expected = scipy.stats.norm.pdf(k, mean, std) if std > 0 else scipy.stats.binom.pmf(k, n, p)
    return _close("equals scipy.stats.norm.pdf with the coin's mean and deviation", bell, expected, 1e-10)


def stirling(log_value: float, n: int) -> Check:
    """ln n! - ln(Stirling) must lie between 1 / (12 n + 1) and 1 / (12 n).

    Source: Robbins (1955), "A remark on Stirling's formula", American Mathematical Monthly 62.
    """
    short = float(scipy.special.gammaln(n + 1)) - log_value
    outside = worst(1 / (12 * n + 1) - short, short - 1 / (12 * n), 0.0)
    return Check("is below n! by Robbins' bounds", outside, 1e-15 * (10 + abs(log_value)))


def z_score(z: ArrayLike, x: ArrayLike, mean: float, std: float) -> Check:
    """Walking z deviations from the mean must lead back to x."""
    return _close("mean + z * std leads back to x", mean + np.asarray(z) * std, x, 1e-12)


def total_variation(value: float, p: ArrayLike, q: ArrayLike) -> Check:
    """What the two distributions do not share: their mean mass minus the mass under both."""
    p, q = np.asarray(p), np.asarray(q)
    return _close("equals 1 - shared mass", value, (p.sum() + q.sum()) / 2 - np.minimum(p, q).sum(), 1e-12, 1.0)


def berry_esseen(pmf: ArrayLike, n: int, p: float) -> Check:
    """How far the steps of the distribution function stray from the bell's, against the bound on it.

    Source: Shevtsova (2011), arXiv 1111.6554: C = 0.4748; for a coin the bound is C (p^2 + q^2) / sqrt(n p q).
    """
    std = float(scipy.stats.binom.std(n, p))
    if std == 0:
        return _close("stands on np, for the coin leaves no chance", pmf, np.arange(n + 1) == n * p, 1e-12)
    steps, bell = np.concatenate([[0.0], np.cumsum(pmf)]), scipy.stats.norm.cdf(np.arange(n + 1), n * p, std)
    distance = worst(np.abs(steps[:-1] - bell).max(), np.abs(steps[1:] - bell).max())
    bound = 0.4748 * (p**2 + (1 - p) ** 2) / std
    return Check("strays from the bell no further than Berry and Esseen allow", float(distance), bound)


def berry_esseen_bound(value: float, n: int, p: float) -> Check:
    """The bound against its general form C E|X - p|^3 / (sigma^3 sqrt(n)), the moments of one flip added up."""
    second, third = (math.fsum(w * abs(x - p) ** power for x, w in ((0, 1 - p), (1, p))) for power in (2, 3))
    return _close("equals 0.4748 E|X - p|³ / (σ³ √n)", value, 0.4748 * third / (second**1.5 * math.sqrt(n)), 1e-10)


def kolmogorov_distance(value: float, n: int, p: float) -> Check:
    """The widest gap between the two distribution functions, by scipy's."""
    std, k = float(scipy.stats.binom.std(n, p)), np.arange(n + 1)
    if std == 0:
        return _close("is 0, for the coin leaves no chance", value, 0.0, 0)
    bell, after = scipy.stats.norm.cdf(k, n * p, std), scipy.stats.binom.cdf(k, n, p)
    gap = np.abs(np.concatenate([after - bell, np.append(0.0, after[:-1]) - bell])).max()
    return _close("equals the widest gap between scipy's binom.cdf and norm.cdf", value, gap, 1e-9)


def chi_square(result: tuple[float, int, float], counts: ArrayLike, n: int, p: float) -> Check:
    """Statistic, degrees of freedom and p-value against scipy.stats.chisquare on cells merged from the left."""
    counts = np.asarray(counts, dtype=np.float64)
    up_to, edges = counts.sum() * scipy.stats.binom.cdf(np.arange(n + 1), n, p), [0]
    for k in range(n + 1):
        if up_to[k] - (up_to[edges[-1] - 1] if edges[-1] else 0.0) >= 5 - 1e-9:
            edges.append(k + 1)
    edges = [*edges[:-1], n + 1] if len(edges) > 1 else [0, n + 1]
    seen = [counts[a:b].sum() for a, b in pairwise(edges)]
    due = [up_to[b - 1] - (up_to[a - 1] if a else 0.0) for a, b in pairwise(edges)]
    expected = [0.0, 0.0, 1.0]
    if len(due) > 1:
        test = scipy.stats.chisquare(seen, due, sum_check=False)
        expected = [float(test.statistic), len(due) - 1.0, float(test.pvalue)]
    return _close("χ² equals scipy.stats.chisquare", result, expected, 1e-8)


def sum_of_steps(pmf: ArrayLike, step: ArrayLike, n: int) -> Check:
    """The distribution of a sum of n steps against the n-th power of the step's Fourier transform."""
    step = np.asarray(step, dtype=np.float64)
    length = n * (len(step) - 1) + 1
    expected = np.fft.irfft(np.fft.rfft(step / step.sum(), length) ** n, length) if length > 1 else np.ones(1)
    return _close("equals the n-th power of the step's Fourier transform", pmf, expected, 1e-10)


def spreading(positions: ArrayLike, std: float) -> Check:
    """Mean 0 and variance t std^2 at every time t of a walk (steps + 1, N, D): in standard errors, 6 allowed."""
    positions = np.asarray(positions, dtype=np.float64)
    share = np.square(positions[1:]).mean((1, 2)) / (np.arange(1, len(positions)) * std**2)
    drift = np.abs(positions[1:].mean((1, 2))) / (std * np.sqrt(np.arange(1, len(positions))))
    count = positions[0].size
    off = worst(np.abs(share - 1).max() * math.sqrt(count / 2), drift.max() * math.sqrt(count))
    off = math.inf if positions[0].any() else off
    return Check("variance is t s² and the mean 0, in standard errors", float(off), 6)


def coin_flips(heads: ArrayLike, n: int, p: float) -> Check:
    """The mean of flipped coins against np, which five standard errors hardly ever miss."""
    heads = np.asarray(heads)
    error = scipy.stats.binom.std(n, p) / math.sqrt(heads.size)
    return Check("mean is np within five standard errors", abs(float(heads.mean()) - n * p), 5 * float(error) + 1e-12)


def binomial_tail(value: float, n: int, p: float, k: int) -> Check:
    """P(X >= k) against scipy's survival function."""
    return _close("equals scipy.stats.binom.sf(k - 1)", value, scipy.stats.binom.sf(k - 1, n, p), 1e-10)


def normal_tail(value: float, n: int, p: float, k: int, *, continuity: bool = True) -> Check:
    """The bell's tail against scipy's survival function."""
    mean, std, edge = n * p, float(scipy.stats.binom.std(n, p)), k - 0.5 * continuity
    expected = scipy.stats.norm.sf(edge, mean, std) if std > 0 else edge <= n * p
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


def unread(
    cells: Sequence[int], size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1,
    padding_mode: str = "zeros",
) -> Check:  # fmt: skip
    """The cells that get no gradient from torch's convolution with a kernel of ones."""
    row = torch.ones(1, 1, size, dtype=torch.float64, requires_grad=True)
    around = F.pad(row, (padding, padding), "constant" if padding_mode == "zeros" else padding_mode)
    read = F.conv1d(around, torch.ones(1, 1, kernel).double(), None, stride, 0, dilation)
    (reached,) = torch.autograd.grad(read.sum(), row)
    silent = (reached[0, 0] == 0).nonzero().flatten().tolist()
    return Check("what is not read gets no gradient in torch", len(set(silent) ^ set(cells)), 0)


def channel_sums(sums: Tensor, image: Tensor, kernel: Tensor, **window: Any) -> Check:
    """What every channel adds alone, (out, in, H', W'), against torch's with the kernels of all others at 0."""
    alone = kernel[:, :, None] * torch.eye(kernel.shape[1]).to(kernel)[:, :, None, None]
    return convolution(sums.flatten(0, 1), image, alone.flatten(0, 1), **window)


def padding(padded: Tensor, image: Tensor, around: Pair, padding_mode: str = "zeros") -> Check:
    """Against torch's pad."""
    return _close("equals torch pad", _planes(padded), _padded(image, around, padding_mode), 0)


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
    (down, across), (high, wide) = _pair(stride), _pair(dilation)
    picture, kernel = _padded(image, padding, padding_mode).double(), kernel.double()
    if not flip:
        per_channel = kernel.ndim == 2
        weight = kernel.expand(len(picture), 1, *kernel.shape) if per_channel else kernel
        groups = len(picture) if per_channel else 1
        expected = F.conv2d(picture[None], weight, stride=(down, across), dilation=(high, wide), groups=groups)[0]
        return _close("equals torch conv2d", _planes(result), expected, *_rounding(result, image, kernel))
    spans = (kernel.shape[-2] - 1) * high + 1, (kernel.shape[-1] - 1) * wide + 1
    spread = kernel.new_zeros(*kernel.shape[:-2], *spans)
    spread[..., ::high, ::wide] = kernel
    if kernel.ndim == 2:
        planes = [scipy.signal.convolve2d(plane, spread, mode="valid") for plane in picture.numpy()]
    else:
        planes = [
            sum(
                scipy.signal.convolve2d(plane, taps, mode="valid")
                for plane, taps in zip(picture.numpy(), out, strict=True)
            )
            for out in spread.numpy()
        ]
    expected = np.stack(planes)[:, ::down, ::across]
    return _close("equals scipy.signal.convolve2d", _planes(result), expected, *_rounding(result, image, kernel))


def window(value: Tensor, products: Tensor) -> Check:
    """One output cell against its products added up one by one."""
    return _close(
        "is the sum of its products", value, math.fsum(products.flatten().tolist()), *_rounding(value, products)
    )


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
    return _close("equals torch conv_transpose2d", _planes(result), expected, *_rounding(result, image, kernel))


def spectrum(amplitudes: Tensor, values: Tensor) -> Check:
    """Amplitudes against sines and cosines added up one frequency at a time."""
    row = np.asarray(values, dtype=np.float64)
    n = len(row)
    k = np.arange(n // 2 + 1)
    turn, at = 2 * np.pi * np.arange(n) / n, np.outer(k, np.arange(n)) % n
    once = np.where((k == 0) | (2 * k == n), 1, 2)
    expected = once * np.hypot(np.cos(turn)[at] @ row, np.sin(turn)[at] @ row) / n
    return _close("amplitudes equal sums of sines and cosines", amplitudes, expected, 1e-10)


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
    return _close("equals nested loops that stamp the kernel", result, expected, *_rounding(result, image, kernel))


# Resizing


def library_resize(
    image: ArrayLike | Tensor,
    size: tuple[int, int],
    method: str,
    library: str,
    *,
    align_corners: bool = False,
    antialias: bool = False,
) -> np.ndarray:
    """What a library makes of (C, H, W) by its own name for the method, in float64; Pillow reckons in float32.

    torch: interpolate. Pillow: Image.resize, always with antialias, bicubic with a = -0.5. scikit-image:
    transform.resize, splines instead of Keys' cubic, a Gaussian blur as antialias, the edge repeated.
    Raises: ValueError where the library has no such method.
    """
    planes = np.asarray(image, dtype=np.float64)
    if method not in (names := LIBRARIES[library]):
        raise ValueError(f"{library} has no {method}")
    if library == "torch":
        options = {"antialias": antialias} if method in ("bilinear", "bicubic") else {}
        if options:
            options["align_corners"] = align_corners
        return F.interpolate(torch.tensor(planes)[None], size=size, mode=names[method], **options)[0].numpy()
    if library == "Pillow":
        flat = [Image.fromarray(plane.astype(np.float32)) for plane in planes]
        return np.stack([np.asarray(p.resize((size[1], size[0]), names[method]), dtype=np.float64) for p in flat])
    if method == "area":
        blocks = 1, *_whole_factor(planes.shape[1:], size)
        return np.asarray(transform.downscale_local_mean(planes, blocks))
    options: dict[str, Any] = {"order": names[method], "mode": "edge", "anti_aliasing": antialias}
    return np.stack([np.asarray(transform.resize(plane, list(size), **options)) for plane in planes])


LIBRARIES: dict[str, dict[str, Any]] = {
    "torch": {"nearest": "nearest", "bilinear": "bilinear", "bicubic": "bicubic", "area": "area"},
    "Pillow": {
        "nearest": Image.Resampling.NEAREST,
        "bilinear": Image.Resampling.BILINEAR,
        "bicubic": Image.Resampling.BICUBIC,
        "area": Image.Resampling.BOX,
        "lanczos": Image.Resampling.LANCZOS,
    },
    "scikit-image": {"nearest": 0, "bilinear": 1, "bicubic": 3, "area": None},
}


def resizing(
    result: Tensor,
    image: Tensor,
    method: str,
    *,
    align_corners: bool = False,
    antialias: bool = False,
    a: float = -0.75,
) -> Check:
    """Against the library that keeps to the same convention, or where none does the formula summed pixel by pixel.

    torch may look for the nearest pixel in float32, where i n / m can come out below the whole number that it is
    (23 14 / 46), and takes the pixel before: there floor(i n / m) is counted off among m copies of each pixel instead.
    """
    planes, size = _planes(image).double(), (result.shape[-2], result.shape[-1])
    options = {"align_corners": align_corners, "antialias": antialias}
    if method == "nearest" and any(map(nearest_rounds_down, planes.shape[1:], size)):
        expected = planes.numpy()
        for axis, m in zip((1, 2), size, strict=True):
            every = np.arange(m) * planes.shape[axis]
            expected = expected.repeat(m, axis).take(every, axis)
        claim = "equals m copies of each pixel, every n-th taken"
        return _close(claim, _planes(result), expected, *_rounding(result, image))
    known = method in LIBRARIES["torch"] and (method != "bicubic" or a == (-0.5 if antialias else -0.75))
    if known and not (antialias and size[1] == 1):  # torch 2.15 gets one column wrong with antialias
        expected = library_resize(planes, size, method, "torch", **options)
        return _close("equals torch interpolate", _planes(result), expected, *_rounding(result, image))
    enlarged = size[0] >= planes.shape[1] and size[1] >= planes.shape[2]
    if method == "lanczos" and (antialias or enlarged):
        expected = library_resize(planes, size, method, "Pillow")
        return _close("equals Pillow's resize (float32)", _planes(result), expected, 2e-5, float(image.abs().max()))
    rows, cols = (
        np.array([_weights(i, n, m, method, **options, a=a) for i in range(m)])
        for n, m in zip(planes.shape[1:], size, strict=True)
    )
    expected = np.einsum("ij,cjk,lk->cil", rows, planes.numpy(), cols, optimize=True)
    return _close("equals its formula, weight by weight", _planes(result), expected, *_rounding(result, image))


def nearest_rounds_down(n: int, m: int) -> bool:
    """Whether float32, in which torch may reckon, falls below floor(i n / m) for some new pixel i of m."""
    places = np.arange(m)
    return bool((np.floor(places.astype(np.float32) * (np.float32(n) / np.float32(m))) != places * n // m).any())


def _weights(i: int, n: int, m: int, method: str, *, align_corners: bool, antialias: bool, a: float) -> list[float]:
    """What pixel i of m takes of each of n, from the filter written as its pieces."""
    centre = i * (n - 1) / max(m - 1, 1) if align_corners else (2 * i + 1) * n / (2 * m) - 0.5
    wide = max(n / m, 1.0) if antialias else 1.0
    taken = [0.0] * n
    for j in range(-4, n + 4):
        d = abs(j - centre) / wide
        if method == "lanczos":
            value = 0.0 if d >= 3 else 1.0 if d == 0 else 3 * math.sin(math.pi * d) * math.sin(math.pi * d / 3)
            value /= (math.pi * d) ** 2 if 0 < d < 3 else 1
        elif method == "bicubic":
            value = 0.0
            if d <= 1:
                value = (a + 2) * d**3 - (a + 3) * d**2 + 1
            elif d < 2:
                value = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
        else:
            value = max(1 - d, 0.0)
        if 0 <= j < n:
            taken[j] += value
        elif not antialias and method != "lanczos":
            taken[min(max(j, 0), n - 1)] += value
    whole = math.fsum(taken) if antialias or method == "lanczos" else 1.0
    return [value / whole for value in taken]


def upscaling_fit(kernel: Tensor, pairs: Sequence[tuple[Tensor, Tensor]], factor: int) -> Check:
    """No tap can be moved to lessen the squared error: its gradient through torch's conv_transpose2d is 0."""
    reach = (len(kernel) // factor - 1) // 2
    taps = kernel.detach().double().clone().requires_grad_()
    total, scale = torch.zeros((), dtype=torch.float64), 0.0
    for small, large in pairs:
        edged = F.pad(_planes(small).double()[:, None], (reach,) * 4, mode="replicate")
        shown = F.conv_transpose2d(edged, taps[None, None], stride=factor, padding=2 * reach * factor)
        total = total + (shown - _planes(large).double()[:, None]).square().sum() / 2
        scale += float(_planes(small).double().square().sum())
    (slope,) = torch.autograd.grad(total, taps)
    return Check("is where the squared error is flat (torch's gradient)", float(slope.abs().max()) / scale, 1e-9)


def upscaling(result: Tensor, image: Tensor, kernel: Tensor, factor: int) -> Check:
    """Against torch's conv_transpose2d on the picture that torch padded, cropped to factor H, W."""
    reach = (len(kernel) // factor - 1) // 2
    edged = F.pad(_planes(image).double()[:, None], (reach,) * 4, mode="replicate")
    expected = F.conv_transpose2d(edged, kernel.double()[None, None], stride=factor, padding=2 * reach * factor)
    return _close("equals torch conv_transpose2d", _planes(result), expected[:, 0], *_rounding(result, image, kernel))


def psnr(value: float, image: Tensor, reference: Tensor, *, peak: float = 1.0) -> Check:
    """Against scikit-image's."""
    pictures = (np.asarray(p, dtype=np.float64) for p in (reference, image))
    expected = metrics.peak_signal_noise_ratio(*pictures, data_range=peak)
    return _close("equals skimage.metrics.peak_signal_noise_ratio", value, expected, 1e-10)


def ssim(value: float, image: Tensor, reference: Tensor) -> Check:
    """Against scikit-image's with its own defaults, for values up to 1."""
    planes = (np.asarray(_planes(p), dtype=np.float64) for p in (image, reference))
    expected = metrics.structural_similarity(*planes, data_range=1.0, channel_axis=0)
    return _close("equals skimage.metrics.structural_similarity", value, expected, 1e-9, 1.0)


def _whole_factor(old: Sequence[int], new: Sequence[int]) -> tuple[int, ...]:
    if any(n % m for n, m in zip(old, new, strict=True)):
        raise ValueError("scikit-image averages areas of whole pixels only")
    return tuple(n // m for n, m in zip(old, new, strict=True))


# Deconvolution


def blur(kernel: Tensor, name: str, width: int) -> Check:
    """A kernel against its shape by scipy and numpy, divided by its sum."""
    line = np.ones(width) if name == "box" else scipy.signal.windows.gaussian(width, width / 4)
    shape = np.outer(line, line)
    if name == "motion":
        shape = np.eye(width)
    if name == "disc":
        cells = product(range(width), repeat=2)
        inside = [math.dist((i, j), ((width - 1) / 2,) * 2) <= width / 2 for i, j in cells]
        shape = np.reshape(inside, (width, width)).astype(float)
    return _close("the kernel is scipy's and adds up to 1", kernel, shape / shape.sum(), 1e-12)


def adjoint_identity(answer: Tensor, y: Tensor, x: Tensor, kernel: Tensor) -> Check:
    """<A x, y> = <x, A' y> with A by torch's conv2d; relative to the lengths of A x and y."""
    seen = F.conv2d(x.double()[None, None], kernel.double()[None, None])[0, 0]
    apart = abs(float((seen * y).sum()) - float((x * answer).sum()))
    return Check("<Ax, y> = <x, A'y>, A by torch conv2d", apart / _lengths(seen, y), 1e-12)


def adjoint(answer: Tensor, y: Tensor, kernel: Tensor) -> Check:
    """Against torch's gradient of <A x, y> with respect to x."""
    x = torch.zeros(_before(y, kernel), dtype=torch.float64, requires_grad=True)
    inner = (F.conv2d(x[None, None], kernel.double()[None, None])[0, 0] * y).sum()
    (slope,) = torch.autograd.grad(inner, x)
    return _close("adjoint equals torch's gradient of <Ax, y>", answer, slope, *_rounding(answer, y, kernel))


def naive_inverse(answer: Tensor, y: Tensor, kernel: Tensor) -> Check:
    """Blurred again by scipy, going around, the answer must give y, and 0 in the rows never seen.

    What the kernel takes to 0 at a frequency cannot come back, and is left out of y.
    """
    full = _before(y, kernel)
    wanted = np.zeros(full)
    wanted[: y.shape[0], : y.shape[1]] = y
    waves = zip(full, kernel.shape, strict=True)
    down, across = (np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(k)) / n) for n, k in waves)
    gain = np.abs(down @ np.asarray(kernel, dtype=complex) @ across.T)
    spectrum = np.fft.fft2(wanted)
    wanted = np.fft.ifft2(np.where(gain > 1e-12 * gain.max(), spectrum, 0)).real
    blurred = scipy.ndimage.correlate(
        np.asarray(answer, dtype=np.float64),
        np.asarray(kernel, dtype=np.float64),
        mode="wrap",
        origin=tuple(-(k // 2) for k in kernel.shape),  # type: ignore[arg-type]  # one an axis, says scipy
    )
    loud = float(np.abs(np.asarray(answer)).max() * np.abs(np.asarray(kernel)).sum())
    return _close("naive inverse, blurred around by scipy, gives y", blurred, wanted, 1e-11, loud)


def regularised(answer: Tensor, y: Tensor, kernel: Tensor, noise: float, *, exact: bool = True) -> Check:
    """The slope of |A x - y|^2 + noise |x|^2 must be 0 at the answer, with A by torch; the noise 0 is least squares.

    The residual is relative to the terms that cancel. Walked to, not solved for, the answer is less exact: to 1e-3, and
    with more noise to 1e-6, as each of 200 steps shrinks what is missing to some (1 - sqrt(noise))^2 of it (conjugate
    gradients' rate for little noise, Saad (2003), equation 6.128).
    """
    x, taps = answer.double()[None, None], kernel.double()[None, None]
    misfit = F.conv2d(x, taps) - y.double()
    slope = F.conv_transpose2d(misfit, taps) + noise * x
    size = _lengths(F.conv_transpose2d(F.conv2d(x, taps).abs() + y.abs(), taps.abs()))
    name = "Wiener's" if noise else "pseudo-inverse's"
    claim = f"{name} answer is where the squared error is flat (torch)"
    walked = max(1e-6, min(1e-3, 0.02 * (1 - min(noise, 1) ** 0.5) ** 400))
    return Check(claim, float(slope.norm()) / size, 1e-11 if exact else walked)


def richardson_lucy(answer: Tensor, y: Tensor, kernel: Tensor, iterations: int) -> Check:
    """Against scikit-image's, given the edge of y repeated by numpy, four kernels further than x goes."""
    spare = 4 * max(kernel.shape)
    around = [(k // 2 + spare, k // 2 + spare) for k in kernel.shape]
    seen = np.pad(np.maximum(np.asarray(y, dtype=np.float64), 0), around, mode="edge")
    light = restoration.richardson_lucy(seen, np.flip(np.asarray(kernel)), num_iter=iterations, clip=False)
    expected = light[spare:-spare, spare:-spare]
    return _close("Richardson-Lucy equals skimage.restoration.richardson_lucy", answer, expected, 1e-6)


def singular_values(s: Tensor, shape: tuple[int, int], kernel: Tensor) -> Check:
    """The squares of A's singular values add up to those of its entries: each tap once in each of H W equations."""
    expected = shape[0] * shape[1] * float(kernel.double().square().sum())
    return _close("singular values have A's Frobenius norm", float(s.square().sum()), expected, 1e-12)


def never_seen(lost: Tensor, x: Tensor, kernel: Tensor) -> Check:
    """torch's convolution takes the lost part to 0, and it stands at right angles to the rest of x."""
    dark = float(F.conv2d(lost.double()[None, None], kernel.double()[None, None]).norm())
    turned = abs(float((lost * (x - lost)).sum()))
    residual = worst(dark / _lengths(x), turned / _lengths(x, x))
    return Check("what was never seen is taken to 0 by torch conv2d", residual, 1e-6)


def operator_rank(value: int, shape: tuple[int, int], kernel: Tensor) -> Check:
    """Against numpy's matrix_rank of A, whose columns are torch's answers to single bright pixels."""
    full = [n + k - 1 for n, k in zip(shape, kernel.shape, strict=True)]
    pixels = torch.eye(full[0] * full[1], dtype=torch.float64).reshape(-1, 1, *full)
    A = F.conv2d(pixels, kernel.double()[None, None]).flatten(1).T
    return Check("rank equals numpy.linalg.matrix_rank", abs(value - int(np.linalg.matrix_rank(A.numpy()))), 0)


def _before(y: Tensor, kernel: Tensor) -> tuple[int, int]:
    return y.shape[0] + kernel.shape[0] - 1, y.shape[1] + kernel.shape[1] - 1


def _lengths(*factors: Tensor) -> float:
    return max(math.prod(float(x.double().norm()) for x in factors), 1e-290)


# Diffusion


def schedule(alpha_bar: ArrayLike | Tensor, name: str, **curve: Any) -> Check:
    """A named schedule against its paper's formula; curve: its end points if not the usual ones, shift, repaired."""
    alpha_bar = np.asarray(alpha_bar)
    return _close("follows its paper's formula", alpha_bar, _alpha_bar(name, len(alpha_bar) - 1, **curve), 1e-10)


def posterior_variance(variance: ArrayLike | Tensor, name: str, **curve: Any) -> Check:
    """Variances (T,) of the step back from t to t - 1 against Bayes' rule: precisions of prior and step added up."""
    variance = np.asarray(variance)
    alpha_bar, expected = _alpha_bar(name, len(variance), **curve), [0.0]
    for before, now in pairwise(alpha_bar[1:]):
        keep = now / before
        expected.append(1 / (1 / (1 - before) + keep / (1 - keep)))
    return _close("posterior variance is Bayes' rule's", variance, expected, 1e-8)


def jump(x_t: Tensor, x0: Tensor, eps: Tensor, t: int, T: int, name: str) -> Check:
    """One jump against sqrt(abar) x0 + sqrt(1 - abar) eps in float64, abar from the schedule's own formula."""
    a = float(_alpha_bar(name, T)[t])
    expected = math.sqrt(a) * x0.double() + math.sqrt(1 - a) * eps.double()
    return _close("x_t = √ᾱ x₀ + √(1 − ᾱ) ε, pixel by pixel", x_t, expected, 1e-6)


def noising(x_t: Tensor, x_start: Tensor, noises: Sequence[Tensor], start: int, T: int, name: str) -> Check:
    """A piece of the chain, from the betas alone: unrolled, it is one weighted sum of its noises.

    x_t = prod_i sqrt(1 - beta_i) x_start + sum_i w_i z_i with w_i = sqrt(beta_i) prod_{j > i} sqrt(1 - beta_j).

    Args:
        x_t, x_start: its two ends. noises: the z of every step between them. start: the time it begins at.
    """
    alpha_bar = _alpha_bar(name, T)
    steps = range(start + 1, start + len(noises) + 1)
    keep = [math.sqrt(alpha_bar[i] / alpha_bar[i - 1]) for i in steps]
    expected = math.prod(keep) * x_start.double()
    for place, z in enumerate(noises):
        expected = expected + math.sqrt(1 - keep[place] ** 2) * math.prod(keep[place + 1 :]) * z.double()
    return _close("the chain is the sum of its small noises, one by one", x_t, expected, 1e-4)


def noised(x_t: Tensor, x0: Tensor, t: int, T: int, name: str) -> Check:
    """What stands in x_t beside the picture must be N(0, 1 - abar): its mean and variance, in standard errors."""
    a = float(_alpha_bar(name, T)[t])
    z = (np.asarray(x_t, dtype=np.float64) - math.sqrt(a) * np.asarray(x0, dtype=np.float64)) / math.sqrt(1 - a)
    off = worst(abs(z.mean()) * math.sqrt(z.size), abs(z.var() - 1) * math.sqrt(z.size / 2))
    return Check("its noise has mean 0 and variance 1 − ᾱ, in standard errors", float(off), 6)


def pixel_moments(
    mean: ArrayLike | Tensor,
    variance: ArrayLike | Tensor,
    x0: ArrayLike | Tensor,
    t: int,
    T: int,
    name: str,
    draws: int,
) -> Check:
    """Mean and variance of every pixel over many draws against the closed form: in standard errors, 6 allowed.

    Each pixel by itself, and all together: the squares of their standardised errors must have the mean 1. The
    variance's error is standardised by Wilson & Hilferty (1931): the cube root of chi^2 / k is nearly normal.

    Args:
        mean, variance: over the draws, of shape x0's; the variance with draws - 1 below.
    """
    mean, variance, x0 = (np.asarray(v, dtype=np.float64).ravel() for v in (mean, variance, x0))
    expected, spread = x0, 0.0
    alpha_bar = _alpha_bar(name, T)
    for keep in alpha_bar[1 : t + 1] / alpha_bar[:t]:
        expected, spread = math.sqrt(keep) * expected, keep * spread + 1 - keep
    claim = "every pixel's mean and variance, in standard errors"
    if t == 0:
        return Check(claim, 1e6 * float(np.abs(mean - x0).max() + np.abs(variance).max()), 6)
    k = 2 / (9 * (draws - 1))
    errors = (mean - expected) / math.sqrt(spread / draws), (np.cbrt(variance / spread) - 1 + k) / math.sqrt(k)
    together = [abs(np.square(z).mean() - 1) * math.sqrt(z.size / 2) for z in errors]
    alone = [np.abs(z).max() for z in errors]
    return Check(claim, worst(*together, *alone), 6)


def entropy(
    value: float, error: float, means: ArrayLike | Tensor, std: float, t: int, T: int, name: str, reach: float = 7.0
) -> Check:
    """The entropy of noised points, by summing -q log q over a fine grid: in the standard errors of the estimate.

    q is a sum of equal round Gaussians, each the product of one in x and one in y.

    Args:
        value: the estimate, in nats. error: its standard error. means: (K, 2) and std: of the clean Gaussians.
    """
    a, means = float(_alpha_bar(name, T)[t]), np.asarray(means, dtype=np.float64)
    wide = math.sqrt(a * std**2 + 1 - a)
    grid = np.linspace(-reach, reach, int(2 * reach / min(wide, 0.5) * 6) + 1)
    across, down = (scipy.stats.norm.pdf(grid[:, None], math.sqrt(a) * m, wide) for m in means.T)
    q = across @ down.T / len(means)
    expected = float(scipy.special.entr(q).sum()) * (grid[1] - grid[0]) ** 2
    return Check("equals −∫ q ln q, in standard errors", abs(value - expected) / error, 5)


def sampling(
    states: Sequence[ArrayLike | Tensor],
    times: Sequence[int],
    data: ArrayLike | Tensor,
    *,
    T: int,
    name: str,
    sampler: str,
    std: float = 0.0,
    eta: float = 0.0,
    noises: Sequence[ArrayLike | Tensor] = (),
    curve: Mapping[str, Any] | None = None,
    mean: Callable[[np.ndarray, float], np.ndarray] | None = None,
    alpha_bar: ArrayLike | Tensor | None = None,
) -> Check:
    """Every step of a walk over a data set of points, taken again in float64 by the sampler's other formula.

    The denoiser is summed over the data anew, each member a Gaussian as wide as `std`; what `core.samplers` writes for
    the variance-preserving x is taken here in x / signal, as k-diffusion does, and the other way round; ancestral
    Euler by multiplying two Gaussians.

    Args:
        states: x at every time, each (N, D). times: as many. noises: the fresh noise of every step, if it draws any.
        curve: what else the schedule was made with, as in `schedule`.
        mean: what x0 is taken for, from x and alpha_bar, if not E[x0 | x]: `led_mean`, `network_led_mean`.
        alpha_bar: the schedule itself, (T + 1,), where it is none of the published ones.
    """
    alpha_bar = np.asarray(_alpha_bar(name, T, **(curve or {})) if alpha_bar is None else alpha_bar, dtype=np.float64)
    data = np.asarray(data, dtype=np.float64)
    mean = mean or (lambda x, a: _posterior_mean(x, data, a, std))
    x0_last, h_last, residual = None, math.inf, 0.0
    kept, guesses = np.asarray(states[0], dtype=np.float64), []  # UniPC's corrected x, and x0 at all times so far
    for i, (t, s) in enumerate(pairwise(times)):
        x, x_next = np.asarray(states[i], dtype=np.float64), np.asarray(states[i + 1], dtype=np.float64)
        a, b = alpha_bar[t], alpha_bar[s]
        x0 = mean(x, a)
        z = np.asarray(noises[i], dtype=np.float64) if len(noises) else 0.0
        if a == 0:  # all noise: x is eps, there are no units of a signal, and every sampler's first step is DDIM's
            fresh = {"ddpm": 1.0, "euler_ancestral": 1.0, "ddim": eta}.get(sampler, 0.0)
            expected = math.sqrt(b) * x0 + math.sqrt(1 - b) * (math.sqrt(1 - fresh**2) * x + fresh * z)
            residual = worst(residual, float(np.abs(x_next - expected).max()) / max(1.0, float(np.abs(expected).max())))
            x0_last = x0
            guesses.append(x0)
            continue
        sigma, sigma_next, rounding = math.sqrt(1 / a - 1), math.sqrt(1 / b - 1), 1.0
        x_bar = x / math.sqrt(a)
        slope = (x_bar - x0) / sigma
        if sampler == "euler":
            expected = math.sqrt(b) * x0 + math.sqrt(1 - b) * slope
        elif sampler == "euler_ancestral":
            expected = x0
            if s:
                step = a / b
                precision = 1 / (1 - b) + step / (1 - step)
                pull = math.sqrt(b) / (1 - b) * x0 + math.sqrt(step) / (1 - step) * x
                expected = pull / precision + z / math.sqrt(precision)
        elif sampler in ("ddim", "ddpm"):
            up = (1.0 if sampler == "ddpm" else eta) * sigma_next / sigma * math.sqrt(sigma**2 - sigma_next**2)
            down = math.sqrt(sigma_next**2 - up**2)
            expected = math.sqrt(b) * (x_bar + (down - sigma) * slope + up * z)
        elif sampler == "heun":
            ahead = x_bar + (sigma_next - sigma) * slope
            if s and sigma <= 1000:  # from pure noise the step is Euler's
                end = (ahead - mean(math.sqrt(b) * ahead, b)) / sigma_next
                ahead = x_bar + (sigma_next - sigma) * (slope + end) / 2
                rounding = max(1.0, math.sqrt(b) * (sigma - sigma_next) / 2)  # the step enlarges float32's by this
            expected = math.sqrt(b) * ahead
        elif sampler == "dpmpp_2m":
            h = math.log(sigma / sigma_next) if s else math.inf
            guess = x0
            if x0_last is not None and s:
                r = h_last / h
                guess = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * x0_last
            expected = math.sqrt(b) * (sigma_next / sigma * x_bar - math.expm1(-h) * guess)
            x0_last, h_last = x0, h
        elif sampler == "unipc":
            guesses.append(x0)
            past = [alpha_bar[u] for u in times[: i + 1]]
            kept = _corrected(kept, guesses, past)
            expected = _ahead(kept, guesses, [*past, b])
        else:
            raise ValueError(f"no independent route for the sampler {sampler!r}")
        size = max(1.0, float(np.abs(expected).max()))
        residual = worst(residual, float(np.abs(x_next - expected).max()) / size / rounding)
    return Check("every step equals its other formula, in float64", residual, 1e-5)


def led_mean(
    data: ArrayLike | Tensor, chosen: ArrayLike | Tensor, std: float, scale: float
) -> Callable[[np.ndarray, float], np.ndarray]:
    """x0 of a walk guided to the chosen members of the data: the class's posterior mean, and that of all, combined."""
    data, chosen = np.asarray(data, dtype=np.float64), np.asarray(chosen)

    def mean(x: np.ndarray, a: float) -> np.ndarray:
        return (1 - scale) * _posterior_mean(x, data, a, std) + scale * _posterior_mean(x, data[chosen], a, std)

    return mean


def network_led_mean(
    data: ArrayLike | Tensor, weights: Mapping[str, Tensor], noisy: bool, y: int, std: float, scale: float
) -> Callable[[np.ndarray, float], np.ndarray]:
    """x0 of a walk led by a classifier of two hidden layers: its log p(y | x) in numpy, by central differences."""
    data = np.asarray(data, dtype=np.float64)
    layers = [np.asarray(value, dtype=np.float64) for value in weights.values()]

    def log_class(x: np.ndarray, a: float) -> np.ndarray:
        told = np.clip(math.log(math.sqrt(1 / a - 1)) / 4, -2, 2) if noisy else 0.0
        h = np.append(x, np.full((len(x), 1), told), axis=1)
        for i in (0, 2):
            h = h @ layers[i].T + layers[i + 1]
            h = h * scipy.special.expit(h)
        return scipy.special.log_softmax(h @ layers[4].T + layers[5], axis=1)[:, y]

    def mean(x: np.ndarray, a: float) -> np.ndarray:
        tiny = 1e-5 * np.eye(x.shape[1])
        slope = np.stack([(log_class(x + h, a) - log_class(x - h, a)) / 2e-5 for h in tiny], 1)
        return _posterior_mean(x, data, a, std) + scale * (1 - a) / math.sqrt(a) * slope

    return mean


def class_score(gradient: Tensor, x: Tensor, means: Tensor, chosen: Tensor, std: float, alpha_bar: float) -> Check:
    """The gradient of log p(y | x_t) against autograd through torch.distributions, all members equally likely."""
    x = x.detach().double().requires_grad_()
    width = math.sqrt(alpha_bar * std**2 + 1 - alpha_bar)
    each = torch.distributions.Independent(
        torch.distributions.Normal(math.sqrt(alpha_bar) * means.double(), torch.tensor(width).double()), 1
    )
    log = each.log_prob(x[:, None])
    torch.where(chosen, log, -math.inf).logsumexp(1).sub(log.logsumexp(1)).sum().backward()
    return _close("the gradient of log p(y | x) is autograd's", gradient, x.grad, 1e-4, 1.0)  # type: ignore[arg-type]


def probability_flow(
    ends: Tensor, starts: Tensor, data: Tensor, std: float, alpha_bars: tuple[float, float], tolerance: float
) -> Check:
    """Where the flow takes points between two noise levels, by scipy's Runge-Kutta of order 8 over log sigma."""
    members = np.asarray(data, dtype=np.float64)
    logs = [0.5 * math.log(1 / a - 1) for a in alpha_bars]

    def velocity(log: float, flat: np.ndarray) -> np.ndarray:
        a, x_bar = 1 / (1 + math.exp(2 * log)), flat.reshape(starts.shape)
        return (x_bar - _posterior_mean(math.sqrt(a) * x_bar, members, a, std)).ravel()

    begin = np.asarray(starts, dtype=np.float64) / math.sqrt(alpha_bars[0])
    path = scipy.integrate.solve_ivp(velocity, logs, begin.ravel(), "DOP853", rtol=1e-8, atol=1e-9)
    expected = math.sqrt(alpha_bars[1]) * path.y[:, -1].reshape(starts.shape)
    return _close("ends where scipy's solve_ivp does", ends, expected, tolerance, 1.0)


def slope(order: float, calls: Sequence[float], errors: Sequence[float]) -> Check:
    """The fitted order against scipy's straight line through the logarithms."""
    line: Any = scipy.stats.linregress(np.log(np.asarray(calls)), np.log(np.asarray(errors)))
    return _close("the fitted order is scipy.stats.linregress's slope", order, -line.slope, 1e-9, 1.0)


def energy_distance(value: float, x: Tensor, y: Tensor) -> Check:
    """By scipy's distances; of a cloud with itself, each pair once."""
    clouds = [np.asarray(cloud, dtype=np.float64) for cloud in (x, y)]
    own = sum(2 * scipy.spatial.distance.pdist(cloud).sum() / len(cloud) ** 2 for cloud in clouds)
    expected = 2 * scipy.spatial.distance.cdist(*clouds).mean() - own
    return _close("energy distance by scipy's cdist and pdist", value, expected, 1e-9, 1.0)


def astray(
    value: float, x: Tensor, draw: Tensor, means: Tensor, stds: Tensor, weights: Tensor, rare: float = 0.01
) -> Check:
    """The share of points where a mixture is rarer than at all but ``rare`` of a draw, by torch.distributions."""
    parts = torch.distributions.Independent(torch.distributions.Normal(means, stds[:, None]), 1)
    law = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(weights), parts)
    here, there = (law.log_prob(points.double()).numpy() for points in (x, draw))
    expected = np.mean(here < np.quantile(there, rare))
    return _close("who is astray by torch.distributions", value, expected, 1e-9, 1.0)


def denoising(
    states: Sequence[Tensor],
    guesses: Sequence[Tensor],
    times: Sequence[int],
    alpha_bar: ArrayLike | Tensor,
    sampler: str,
) -> Check:
    """The steps of a walk with any network, taken again in float64 from what it guessed.

    What a step draws or asks the network a second time cannot be taken again. There the fresh noise must have the
    variance that it should, to six standard errors, and only the last step, which draws none, is repeated (Heun too).

    Args:
        states: x at every time. guesses: the network's x0 at every time but the last. alpha_bar: (T + 1,).
    Raises: ValueError for a sampler without an independent route.
    """
    if sampler not in ("ddpm", "euler_ancestral", "ddim", "euler", "heun", "dpmpp_2m", "unipc"):
        raise ValueError(f"no independent route for the sampler {sampler!r}")
    a = [float(np.asarray(alpha_bar, dtype=np.float64)[t]) for t in times]
    x0 = [np.asarray(guess.cpu(), dtype=np.float64) for guess in guesses]
    x = [np.asarray(state.cpu(), dtype=np.float64) for state in states]
    residual, last, kept = 0.0, len(x0) - 1, x[0]
    for i, (a_t, a_s) in enumerate(pairwise(a)):
        if sampler == "heun" and i < last:
            continue
        if sampler in ("ddpm", "euler_ancestral") and a_s < 1:
            variance = (1 - a_s) / (1 - a_t) * (1 - a_t / a_s)  # of q(x_s | x_t, x_0)
            eps = (x[i] - math.sqrt(a_t) * x0[i]) / math.sqrt(1 - a_t)
            fresh = x[i + 1] - math.sqrt(a_s) * x0[i] - math.sqrt(1 - a_s - variance) * eps
            share = float((fresh**2).mean()) / variance
            residual = worst(residual, (abs(share - 1) * math.sqrt(fresh.size / 2) > 6) * abs(share - 1))
            continue
        kept = _corrected(kept, x0[: i + 1], a[: i + 1]) if sampler == "unipc" else x[i]
        first = max(0, i - 1) if sampler in ("dpmpp_2m", "unipc") else i  # the earliest guess that is looked at
        wanted = _ahead(kept, x0[first : i + 1], a[first : i + 2])
        residual = worst(residual, float(np.abs(x[i + 1] - wanted).max() / np.abs(x[i]).max()))
    return Check("every step that can be is taken again in float64", residual, 1e-4)


def _corrected(kept: np.ndarray, guesses: Sequence[np.ndarray], a: Sequence[float]) -> np.ndarray:
    """UniPC's x at the last of the times a, from the corrected one before: its integral by Gauss and Legendre.

    x / noise gains the integral of e^lambda x0 over lambda = log(signal / noise), along the parabola through the last
    three guesses; the first step takes the mean of its two.
    """
    if len(guesses) < 2:
        return kept
    if a[-2] == 0:  # from all noise
        return math.sqrt(1 - a[-1]) * kept + math.sqrt(a[-1]) * (guesses[-1] + guesses[-2]) / 2
    known = 2 if len(a) > 2 and a[-3] == 0 else 3  # infinitely far back, a guess bends nothing
    lam = [0.5 * math.log(v / (1 - v)) for v in a[-known:]]
    nodes, weights = np.polynomial.legendre.leggauss(60)
    half = (lam[-1] - lam[-2]) / 2
    at = lam[-2] + half * (nodes + 1)
    grow = half * weights * np.exp(at - lam[-1])
    if len(guesses) == 2:
        share = [0.5 * grow.sum()] * 2
    else:
        share = [(grow * math.prod((at - other) / (own - other) for other in lam if other != own)).sum() for own in lam]
    bend = np.einsum("k,k...->...", np.array(share), np.stack(guesses[-len(share) :]))
    return math.sqrt((1 - a[-1]) / (1 - a[-2])) * kept + math.sqrt(a[-1]) * bend


def _ahead(kept: np.ndarray, guesses: Sequence[np.ndarray], a: Sequence[float]) -> np.ndarray:
    """One step on to the last of the times a, with x0 half a step ahead on the line through the last two guesses."""
    guess, a_t, a_s = guesses[-1], a[-2], a[-1]
    if len(guesses) > 1 and a_s < 1 and a[-3] > 0:
        sigma = [math.sqrt(1 / v - 1) for v in a[-3:]]
        guess = guess + (guess - guesses[-2]) * math.log(sigma[1] / sigma[2]) / math.log(sigma[0] / sigma[1]) / 2
    return math.sqrt(a_s) * guess + math.sqrt((1 - a_s) / (1 - a_t)) * (kept - math.sqrt(a_t) * guess)


# A trained denoiser


def readings(x_t: Tensor, x0: Tensor, eps: Tensor, v: Tensor, alpha_bar: float | Tensor) -> Check:
    """The three readings of one answer, by a turn of the plane: (x0 + i eps) e^(-i phi) = x_t + i v, cos phi = signal.

    ``alpha_bar``: one number, or one per sample.
    """
    phi = np.arccos(np.sqrt(np.asarray(alpha_bar, dtype=np.float64))).reshape(-1, *[1] * (x_t.ndim - 1))
    said, true = (np.asarray(a, np.float64) + 1j * np.asarray(b, np.float64) for a, b in ((x0, eps), (x_t, v)))
    turned = said * np.exp(-1j * phi)
    both = np.stack([turned.real, turned.imag])
    return _close(
        "ε, x₀ and v are one answer: a turn by φ gives xₜ and v", both, np.stack([true.real, true.imag]), 1e-4
    )


def squared_error(value: float, said: Tensor, true: Tensor) -> Check:
    """A mean squared error against its terms added up one by one in float64."""
    terms = np.square(np.asarray(said, np.float64) - np.asarray(true, np.float64)).ravel()
    return _close(
        "the loss is the mean of its squares, added up one by one", value, math.fsum(terms) / terms.size, 1e-5
    )


def one_error(eps: ArrayLike, x0: ArrayLike, v: ArrayLike, alpha_bar: ArrayLike) -> Check:
    """Losses of the three readings at several times: L_x0 snr and L_v alpha_bar must both be L_eps."""
    a, eps = np.asarray(alpha_bar, dtype=np.float64), np.asarray(eps, dtype=np.float64)
    shares = np.stack([np.asarray(x0) * a / (1 - a), np.asarray(v) * a]) / np.maximum(eps, 1e-290)
    claim = "the losses of ε, x₀ and v are one error in three units"
    return _close(claim, shares, np.ones_like(shares), 1e-3)


def guidance(
    guided: Tensor,
    cond: Tensor,
    uncond: Tensor,
    *style: Tensor,
    scale: float,
    k: float = 0.0,
    dtype: torch.dtype = torch.float32,
) -> Check:
    """A guided answer against (1 - s) times the one without words plus s times the one with them.

    style: the answers to the style alone and to the rest; k (s - 1) times what they differ by comes on top, for s > 1.
    dtype: what the network computes in; half precision rounds a batch of another size differently.
    """
    said = [np.asarray(x.cpu(), dtype=np.float64) for x in (cond, uncond, *style)]
    more = max(scale - 1, 0) * k
    terms = [weight * one for weight, one in zip((scale, 1 - scale, more, -more), said, strict=False)]
    tolerance, size = max(1e-4, 10 * torch.finfo(dtype).eps), float(np.abs(terms).max())
    claim = "guided = (1 − s) without + s with" + " + max(s − 1, 0) k (style − rest)" * bool(style)
    return _close(claim, guided.cpu(), sum(terms), tolerance, size)


def shared_space(cosines: Tensor, sentences: Sequence[str], pictures: Tensor, clip: "CLIP") -> Check:
    """Cosines (sentences, pictures) against open_clip's whole model with the same weights."""
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP

    from core.text import token_ids

    c = clip.text.config
    words = CLIPTextCfg(width=c.hidden_size, heads=c.num_attention_heads, layers=c.num_hidden_layers)
    names = {one.name for one in fields(CLIPVisionCfg)}
    looks = CLIPVisionCfg(**{name: value for name, value in clip.config.items() if name in names})
    with torch.device("meta"):  # no weights yet: neither time nor chance is spent on random ones
        model = CustomTextCLIP(clip.config["embed_dim"], looks, words).eval()
    model.visual.load_state_dict(clip.vision.state_dict(), assign=True)
    model.text.load_state_dict(clip.text.tower.state_dict(), assign=True)
    model.text.register_buffer("attn_mask", clip.text.tower.attn_mask, persistent=False)  # which no state holds
    with torch.no_grad():
        seen, said, _ = model(pictures, token_ids(list(sentences)))
    return _close("equals open_clip's CustomTextCLIP", cosines, (said @ seen.T).double(), 1e-5)


def way_begun(
    first: "Iterate", second: "Iterate", sentence: str, parametrisation: "Parametrisation", clip: "CLIP"
) -> tuple[Check, Check]:
    """A first move against Adam's by hand, lr g / (|g| + 1e-8), and its gradient g against central differences.

    Of two differences D, over a way and over half of it, (4 D(h / 2) - D(h)) / 3 is right to h^4 (Richardson).
    """
    from core.clip import similarity

    g, target = np.asarray(first.gradient, dtype=np.float64), clip.words([sentence])[0]
    moved = np.asarray(second.parameters - first.parameters, dtype=np.float64)
    by_hand = _close("the first move is Adam's, by hand", moved, parametrisation.lr * g / (np.abs(g) + 1e-8), 1e-3)
    size = max(float(np.linalg.norm(g)), 1e-30)
    along = first.gradient * (0.01 / size**2)  # so far that the cosine changes by about 0.01 there and back

    def difference(way: Tensor) -> float:
        with torch.no_grad():
            ends = (parametrisation.draw(first.parameters + one) for one in (way, -way))
            up, down = (float(similarity(clip, picture, first.crops, target)) for picture in ends)
        return (up - down) / (2 * float(way.double().norm()))

    wanted_size = (4 * difference(along / 2) - difference(along)) / 3
    return by_hand, _close("the slope is a central difference's", np.array([size]), np.array([wanted_size]), 0.01)


def dreamt(
    first: "dream.Iterate", second: "dream.Iterate", classifier: "PictureClassifier", what: int | str
) -> tuple[Check, Check, Check]:
    """A first move of Deep Dream, with convolutions as one product of matrices each, in float64.

    What grows, a layer's mean square or the logarithm of a name's probability, is computed anew; the gradient's length
    is that of central differences along it, as in `way_begun`; and the move is by hand.
    """
    from core.dream import RATE

    body = [layer.state_dict() for layer in (*classifier.body, classifier.head)]
    shapes = [(int(layer.stride[0]), int(layer.padding[0])) for layer in classifier.body[::3]]  # type: ignore[index]

    def grows(x: Tensor) -> float:
        h = x.double()
        for i in range(classifier.LAYERS if isinstance(what, str) else what):
            (stride, around), convolution, norm = shapes[i], body[3 * i], body[3 * i + 1]
            weight, size = convolution["weight"].double(), h.shape[-2:]
            side = weight.shape[-1]
            rows = F.unfold(h, side, padding=around, stride=stride)
            out = [(n + 2 * around - side) // stride + 1 for n in size]
            h = (weight.flatten(1) @ rows + convolution["bias"].double()[:, None]).unflatten(-1, out)
            one, scale = h.transpose(1, -1), (norm["running_var"].double() + 1e-5).sqrt()
            one = (one - norm["running_mean"].double()) / scale * norm["weight"].double() + norm["bias"].double()
            h = one.transpose(1, -1).clamp(min=0)
        if not isinstance(what, str):
            return float((h**2).mean())
        seen = torch.cat([h.flatten(2).mean(2), h.flatten(2).amax(2)], 1)
        names = classifier.answers["name"]
        logits = (seen @ body[-1]["weight"].double().T + body[-1]["bias"].double())[0, : len(names)].numpy()
        return float(logits[names.index(what)] - scipy.special.logsumexp(logits))

    g = first.gradient.double()
    size = max(float(g.norm()), 1e-300)
    at = first.picture.double().roll(first.shift, (-2, -1))
    towards = g.roll(first.shift, (-2, -1)) / size

    def difference(way: float) -> float:
        return (grows(at + way * towards) - grows(at - way * towards)) / (2 * way)

    steps = 1e-4 * at.numel() ** 0.5  # a pixel moves by about as much: fewer kinks of ReLU are crossed
    wanted = (4 * difference(steps / 2) - difference(steps)) / 3
    by_hand = (first.picture.double() + RATE * g / max(float(g.abs().mean()), 1e-300)).clamp(-1, 1)
    unit = 1.0 if isinstance(what, str) else 0.0  # a logarithm may be as near to 0 as it likes
    found, slope = np.array([grows(first.picture)]), np.array([wanted])
    return (
        _close("what grows, with unfolded convolutions", np.array([first.objective]), found, 1e-4, unit),
        _close("the slope is a central difference's", np.array([size]), slope, 0.01, 1e-3 * unit),
        _close("the first move, by hand", second.picture, by_hand, 1e-5),
    )


def competing(shares: Tensor, logits: Tensor) -> Check:
    """Rows of a softmax against scipy's in float64."""
    wanted = scipy.special.softmax(np.asarray(logits, dtype=np.float64), axis=1)
    return _close("equals scipy.special.softmax", shares, wanted, 1e-5)


def exact_denoiser(x0: Tensor, in_play: ArrayLike | Tensor, x_t: Tensor, data: Tensor, alpha_bar: ArrayLike) -> Check:
    """The posterior mean over a data set, and among how many members it hesitates, by Bayes' rule in float64.

    x0, x_t: (B, ...). in_play, alpha_bar: (B,).
    """
    members, residual = np.asarray(data, dtype=np.float64).reshape(len(data), -1), 0.0
    for said, count, x, a in zip(x0, np.asarray(in_play), x_t, np.asarray(alpha_bar), strict=True):
        apart = np.asarray(x, np.float64).ravel() - math.sqrt(a) * members
        logs = -np.einsum("nd,nd->n", apart, apart) / (2 * (1 - a))
        share = np.exp(logs - scipy.special.logsumexp(logs))
        off = float(np.abs(np.asarray(said, np.float64).ravel() - share @ members).max())
        residual = worst(residual, off, abs(float(count) / math.exp(scipy.stats.entropy(share)) - 1))
    return Check("the exact answer is Bayes' mean over the data, in float64", residual, 1e-3)


def apart(value: float, x: Tensor) -> Check:
    """The mean distance between two pictures against scipy's, pair by pair."""
    rows = np.asarray(x, dtype=np.float64).reshape(len(x), -1)
    expected = scipy.spatial.distance.pdist(rows).mean() / math.sqrt(rows.shape[1])
    return _close("mean distance of two pictures by scipy's pdist", value, expected, 1e-6)


def answer(reading: Tensor, raw: Tensor) -> Check:
    """The reading that a network was trained to say is what it answered, bare."""
    return _close("one of the readings is the network's bare answer", reading, raw, 1e-4)


def nearest(which: ArrayLike | Tensor, distance: ArrayLike | Tensor, x: Tensor, data: Tensor) -> Check:
    """The nearest members of a data set against all distances by scipy."""
    rows, members = (np.asarray(p, dtype=np.float64).reshape(len(p), -1) for p in (x, data))
    far = scipy.spatial.distance.cdist(rows, members) / math.sqrt(rows.shape[1])
    found = far[np.arange(len(rows)), np.asarray(which)]
    residual = worst(np.abs(found - far.min(1)).max(), np.abs(np.asarray(distance) - far.min(1)).max())
    return Check("nearest by all of scipy's distances", residual, 1e-6)


def timestep_embedding(waves: Tensor, t: ArrayLike) -> Check:
    """cos and sin of t / 10000^(k / half), from powers of one complex number a frequency."""
    return _close("waves are cos and sin of t · 10000^(−k/half)", waves, _waves(t, waves.shape[1]), 2e-3)


def _waves(t: ArrayLike, dim: int) -> np.ndarray:
    half = dim // 2
    turns: Any = np.exp(1j * np.multiply.outer(np.asarray(t, dtype=np.float64), 10_000.0 ** -(np.arange(half) / half)))
    return np.hstack([turns.real, turns.imag])


def group_norm(result: Tensor, x: Tensor, groups: int) -> Check:
    """Each group of channels less its mean, over its deviation, by numpy."""
    cells = np.asarray(x, dtype=np.float64).reshape(len(x), groups, -1)
    expected = (cells - cells.mean(2, keepdims=True)) / np.sqrt(cells.var(2, keepdims=True) + 1e-5)
    return _close("every group less its mean, over its deviation (numpy)", result, expected.reshape(x.shape), 1e-4)


def activation(values: ArrayLike | Tensor, slope: float, x: ArrayLike, at: float, name: str) -> Check:
    """An activation against scipy's bell or logistic curve, and its slope at one place against a small difference."""
    gate = {"ReLU": lambda u: u > 0, "GELU": scipy.stats.norm.cdf, "SiLU": scipy.special.expit}[name]
    x, h = np.asarray(x, dtype=np.float64), 1e-5
    rise = ((at + h) * gate(at + h) - (at - h) * gate(at - h)) / (2 * h)
    kink = name == "ReLU" and abs(at) < h
    off = 0.0 if kink else abs(float(rise) - slope)
    residual = worst(float(np.abs(np.asarray(values) - x * gate(x)).max()), off)
    return Check(f"{name} is x times its gate (scipy), its slope a small difference", residual, 1e-5)


def gradient(slopes: dict[str, Tensor], network: torch.nn.Module, loss: Callable[[torch.nn.Module], float]) -> Check:
    """Backpropagation against differences: the loss a little way along the gradient, and along a random direction.

    ``network`` is in float64 and stays as it is; the residual is relative to |gradient| |direction|.
    """
    rng, residual = torch.Generator().manual_seed(0), 0.0
    random = {name: torch.randn(g.shape, generator=rng, dtype=torch.float64) for name, g in slopes.items()}
    own = math.sqrt(math.fsum(float(g.double().square().sum()) for g in slopes.values()))
    for way in (slopes, random):
        length = math.sqrt(math.fsum(float(d.square().sum()) for d in way.values()))
        if own == 0 or length == 0:
            continue
        h, ends = 1e-4, []
        for sign in (1, -1):
            there = copy.deepcopy(network)
            with torch.no_grad():
                for name, weights in there.named_parameters():
                    weights += sign * h / length * way[name]
                ends.append(loss(there))
        due = math.fsum(float((slopes[name] * way[name]).sum()) for name in way) / length
        residual = worst(residual, abs((ends[0] - ends[1]) / (2 * h) - due) / own)
    return Check("the gradient is the loss's own slope, by small differences", residual, 1e-4)


def descent(
    loss_after: float, slopes: dict[str, Tensor], rate: float, network: torch.nn.Module,
    loss: Callable[[torch.nn.Module], float],
) -> Check:  # fmt: skip
    """The loss after one step against torch.optim.SGD on a copy of the network."""
    there = copy.deepcopy(network).requires_grad_(True)
    for name, weights in there.named_parameters():
        weights.grad = slopes[name].clone()
    torch.optim.SGD(there.parameters(), lr=rate).step()
    with torch.no_grad():
        return _close("the loss after the step is torch.optim.SGD's", loss_after, loss(there), 1e-6)


def without_skips(answer: Tensor, unet: Any, *inputs: Tensor) -> Check:
    """A U-Net without its skip connections against a copy whose up path forgets, by hooks, all channels but its own."""
    blind: Any = copy.deepcopy(unet)
    widths = unet.config.block_out_channels
    for block in blind.up_blocks:
        for resnet in block.resnets:

            def forget(module: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
                own = given[0].clone()
                own[:, module.own :] = 0
                return own, *given[1:]

            resnet.register_forward_pre_hook(forget)
    for level, block in enumerate(blind.up_blocks):
        below = widths[max(len(widths) - level, 0)] if level else widths[-1]
        for i, resnet in enumerate(block.resnets):
            resnet.own = below if i == 0 else widths[len(widths) - 1 - level]
    with torch.no_grad():
        return _close("equals a copy whose way up forgets the skips", answer, blind(*inputs), 1e-4)


def above(loss: float, floor: float, share: float = 0.01) -> Check:
    """No network's loss lies below that of the exact answer on the same draws, but for ``share`` of chance."""
    return Check("no better than the best possible answer", worst(0.0, 1 - loss / floor), share)


def level_sizes(sides: Sequence[int]) -> Check:
    """Sides of the maps through a U: a stride of 2 keeps every second place, and the up path mirrors the down path."""
    half = (len(sides) - 1) // 2
    down = [sides[0]]
    for _ in range(half - 1):
        down.append(len(range(0, down[-1], 2)))
    return _close("sides of the maps are counts of every second place", sides, [*down, down[-1], *down[::-1]], 0)


def points_network(
    answer: Tensor,
    layers: Sequence[tuple[Tensor, Tensor]],
    x: Tensor,
    t: ArrayLike,
    frequencies: Sequence[float],
    waves: int,
    slower: float,
) -> Check:
    """A small network of linear layers with SiLU between, layer by layer in numpy's float64.

    It is told x, sines and cosines of x at the frequencies, and so many waves of t / slower.
    """
    places = np.asarray(x, dtype=np.float64)
    waves_of_x = [f(k * places) for k in frequencies for f in (np.sin, np.cos)]
    h = np.hstack([places, *waves_of_x, _waves(np.asarray(t, dtype=np.float64) / slower, waves)])
    for i, (weights, bias) in enumerate(layers):
        h = h @ np.asarray(weights, dtype=np.float64).T + np.asarray(bias, dtype=np.float64)
        h = h * scipy.special.expit(h) if i < len(layers) - 1 else h
    return _close("the trained network's answers, layer by layer in numpy", answer, h, 1e-3)


# Words


def tokens(ids: Sequence[int], prompt: str, length: int = 77) -> Check:
    """The ids at a prompt's places against open_clip's own row, and the first words' pieces against merges one by one.

    A merge that was learned earlier is made earlier.
    """
    from core.text import tokenizer  # brings open_clip, which takes seconds

    read: Any = tokenizer()
    row = read([prompt], context_length=length)[0].tolist()
    row = row[: row.index(read.eot_token_id) + 1]
    wrong = sum(a != b for a, b in zip(ids, row, strict=False)) + abs(len(ids) - len(row))
    place = 1
    for word in read.pat.findall(read.clean_fn(prompt))[:8]:
        pieces = [read.byte_encoder[b] for b in word.encode()]
        pieces[-1] += "</w>"
        for one, two in read.bpe_ranks:
            if len(pieces) > 1 and one in pieces and two in pieces:
                joined: list[str] = []
                for piece in pieces:
                    both = joined and joined[-1] == one and piece == two
                    joined[-1:] = [one + two] if both else [*joined[-1:], piece]
                pieces = joined
        own = [read.encoder[piece] for piece in pieces]
        shown = list(ids[place : min(place + len(own), length - 1)])
        wrong += shown != own[: len(shown)]
        place += len(own)
    return Check("open_clip's own 77 ids, and merges made one by one in the order of learning", float(wrong), 0.0)


def cosines(matrix: ArrayLike | Tensor, states: Tensor) -> Check:
    """Cosines between rows against scipy's cosine distances."""
    rows = np.asarray(states.cpu(), dtype=np.float64)
    expected = 1 - scipy.spatial.distance.cdist(rows, rows, "cosine")
    return _close("equals 1 − scipy's cosine distance", np.asarray(matrix), expected, 1e-5)


def attention_rows(furthest: float, dtype: torch.dtype = torch.float32) -> Check:
    """How far the sum over the tokens is from 1, at the place where it is furthest."""
    claim = "every place of every layer, head and step divides one look among the tokens"
    return Check(claim, furthest, 1e-5 if dtype == torch.float32 else 1e-2)


def examples(z: Tensor, z0: Tensor, eps: Tensor, alpha_bar: Tensor) -> Check:
    """Training examples: z turned by phi, cos phi = signal, must have the clean latent for its real part.

    z, eps: (B, ...). z0: (1, ...). alpha_bar: (B,). (z + i v) e^(i phi) = z0 + i eps, and v = signal eps - noise z0.
    """
    phi = np.arccos(np.sqrt(np.asarray(alpha_bar, dtype=np.float64))).reshape(-1, *[1] * (z.ndim - 1))
    noisy, clean, noise = (np.asarray(x.cpu(), dtype=np.float64) for x in (z, z0, eps))
    turned = (noisy + 1j * (np.cos(phi) * noise - np.sin(phi) * clean)) * np.exp(1j * phi)
    both = np.stack([turned.real, turned.imag])
    expected = np.stack(np.broadcast_arrays(clean, noise))
    return _close("every row is z₀ and ε, turned by φ with cos φ = √ᾱ", both, expected, 1e-6)


def cross_attention(seen: Mapping[str, Tensor], unet: Any, x: Tensor, t: Tensor, context: Tensor) -> Check:
    """Attention weights against torch's fused attention, which is fed the identity in place of values, at what the
    same layers are given in a run of their own (caught by hooks).

    seen: name of a block -> (B, heads, N, L). x, t, context: what the network was given. In half precision a batch of
    another size is rounded otherwise, and where two words draw nearly the same a single look turns by more than that
    (0.04 was seen): there the residual is how far a place's looks turn on average, and not the furthest.
    """
    caught: dict[str, tuple[Any, Tensor]] = {}
    hooks = []
    for name in seen:
        transformer, _, block = name.rpartition(".")
        layer = unet.get_submodule(f"{transformer}.transformer_blocks.{block}.attn2")

        def catch(module: Any, given: tuple[Any, ...], name: str = name) -> None:
            if given[1] is context:  # and not that of another visitor of the same network
                caught[name] = module, given[0]

        hooks.append(layer.register_forward_pre_hook(catch))
    try:
        with torch.no_grad():
            unet(x, t, context, skips=True)  # spelt out, a network that is shared answers this call alone
    finally:
        for hook in hooks:
            hook.remove()
    mask = _words(context)[:, None, None]
    residual = 0.0
    for name, weights in seen.items():
        layer, rows = caught[name]
        q, k = layer.to_q(rows), layer.to_k(context)
        q, k = (y.reshape(*y.shape[:2], layer.heads, -1).movedim(2, 1) for y in (q, k))
        identity = torch.eye(context.shape[1]).to(q).expand(*k.shape[:2], -1, -1)
        again = F.scaled_dot_product_attention(q, k, identity, attn_mask=mask)
        turned = (again - weights).abs()
        residual = worst(residual, float(turned.max() if x.dtype == torch.float32 else turned.sum(-1).mean()))
    tolerance = 1e-3 if x.dtype == torch.float32 else 2e-2
    return Check("equals torch's fused attention with the identity as values", residual, tolerance)


def _words(context: Tensor) -> Tensor:
    """Which places of a context (B, L, D) hold a word, and not zeros: (B, L); every one where there is no word."""
    there = context.abs().sum(-1) > 0
    return torch.where(there.any(-1, keepdim=True), there, True)


def text_pooling(seen: Tensor, embedding: Any, context: Tensor) -> Check:
    """What the text's vector is mixed of, against torch's own multi-head attention with the same weights.

    seen: (B, heads, 1 + L). embedding: the layer that made it. context: the words, (B, L, D).
    """
    pool, rows = embedding.pool, embedding.norm1(context)
    there = _words(context)
    mean = torch.stack([row[kept].mean(0) for row, kept in zip(rows, there, strict=True)]) + pool.positional_embedding
    rows = torch.cat([mean[:, None], rows], 1).transpose(0, 1)
    weight, bias = (
        torch.cat([getattr(layer, name) for layer in (pool.q_proj, pool.k_proj, pool.v_proj)])
        for name in ("weight", "bias")
    )
    identity = torch.eye(rows.shape[-1]).to(rows)
    _, again = F.multi_head_attention_forward(
        rows[:1], rows, rows, rows.shape[-1], pool.heads, weight, bias, None, None, False, 0.0, identity, None,
        training=False, key_padding_mask=~F.pad(there, (1, 0), value=True), average_attn_weights=False,
    )  # fmt: skip
    assert again is not None  # it was asked for
    tolerance = 1e-3 if context.dtype == torch.float32 else 2e-2
    residual = float((again[:, :, 0] - seen).abs().max())
    return Check("the text's vector is mixed as torch's multi-head attention does", residual, tolerance)


# Latents


def kept(
    states: Sequence[Tensor],
    times: Sequence[int],
    z: Tensor,
    eps: Tensor,
    alpha_bar: ArrayLike | Tensor,
    where: Tensor,
    *,
    fresh: bool = False,
) -> Check:
    """What a walk leaves as it was, against sqrt(alpha_bar_t) z + sqrt(1 - alpha_bar_t) eps in float64, at every time.

    Args:
        states: x at every time, (B, C, h, w). z, eps: the latent kept and the start noise. where: bool (h, w).
        fresh: the sampler draws noise on its way; then what noise lies over z must have the variance that it should, to
            six standard errors, except at the first time and where there is none.
    """
    claim = "what is kept is the original, with the start noise that its t asks for" if len(states) > 1 else (
        "the walk starts at the noised latent, in float64"
    )  # fmt: skip
    if not where.any():
        return Check("no place is kept", 0.0, 0.0)
    inside, noise = (np.asarray(v.cpu(), dtype=np.float64)[..., where.cpu().numpy()] for v in (z, eps))
    residual = 0.0
    for i, (state, t) in enumerate(zip(states, times, strict=True)):
        a = float(np.asarray(alpha_bar, dtype=np.float64)[t])
        x = np.asarray(state.cpu(), dtype=np.float64)[..., where.cpu().numpy()]
        if fresh and i > 0 and a < 1:
            share = float(((x - math.sqrt(a) * inside) ** 2).mean()) / (1 - a)
            residual = worst(residual, (abs(share - 1) * math.sqrt(x.size / 2) > 6) * abs(share - 1))
        else:
            expected = math.sqrt(a) * inside + math.sqrt(1 - a) * noise
            residual = worst(residual, float(np.abs(x - expected).max() / max(1.0, np.abs(expected).max())))
    return Check(claim, residual, 1e-4)


def channel_moments(means: ArrayLike, spreads: ArrayLike, z: Tensor) -> Check:
    """Mean and standard deviation of every channel (C, h, w) against scipy.stats.describe."""
    found = [scipy.stats.describe(np.asarray(c.cpu(), dtype=np.float64), axis=None, ddof=0) for c in z]
    expected = [[float(d.mean) for d in found], [math.sqrt(d.variance) for d in found]]
    return _close("means and spreads equal scipy.stats.describe", [list(means), list(spreads)], expected, 1e-6, 1.0)  # type: ignore


def slerp(noises: Tensor, a: Tensor, b: Tensor, shares: Sequence[float]) -> Check:
    """The way between two noises against scipy.spatial.geometric_slerp, their lengths taken along the same weights."""
    one, two = (np.asarray(v.cpu(), dtype=np.float64).ravel() for v in (a, b))
    long, wide = np.linalg.norm(one), np.linalg.norm(two)
    # scipy's way lies on the unit sphere: from it the weights of both ends are read by least squares.
    unit = scipy.spatial.geometric_slerp(one / long, two / wide, np.asarray(shares))
    weights = np.linalg.lstsq(np.stack([one / long, two / wide], 1), unit.T, rcond=None)[0]
    if math.isclose(abs(float(one @ two)) / (long * wide), 1.0):
        weights = np.stack([1 - np.asarray(shares), np.asarray(shares)])
    expected = weights.T @ np.stack([one, two])
    given = np.asarray(noises.cpu(), dtype=np.float64).reshape(len(shares), -1)
    return _close("equals scipy.spatial.geometric_slerp", given, expected, 1e-5)


def straight(noises: Tensor, a: Tensor, b: Tensor, shares: Sequence[float]) -> Check:
    """The straight way between two noises against numpy's interpolation, place by place."""
    one, two = (np.asarray(v.cpu(), dtype=np.float64).ravel() for v in (a, b))
    expected = np.stack([np.interp(shares, [0, 1], ends) for ends in zip(one, two, strict=True)], axis=1)
    given = np.asarray(noises.cpu(), dtype=np.float64).reshape(len(shares), -1)
    return _close("equals numpy.interp at every place", given, expected, 1e-5)


@lru_cache(maxsize=32)  # one schedule is asked for several times at every move
def _alpha_bar(name: str, T: int, *, shift: float = 1.0, repaired: bool = False, **ends: float) -> np.ndarray:
    """The published schedules, one product at a time, with other end points, shifted and repaired if asked."""
    share = [(t - 1) / (T - 1) if T > 1 else 0.0 for t in range(1, T + 1)]
    if name == "sigmoid":
        start, end, tau = ends.get("start", -3.0), ends.get("end", 3.0), ends.get("tau", 1.0)
        curve = scipy.special.expit(np.linspace(start, end, T + 1) / tau)
        alpha_bar = np.maximum((curve[-1] - curve) / (curve[-1] - curve[0]), 1e-9)
    elif name in ("karras", "flow"):
        low, high, rho = ends.get("sigma_min", 0.002), ends.get("sigma_max", 80.0), ends.get("rho", 7.0)
        if name == "flow":
            line = [(1 - t / T, t / T) for t in range(T + 1)]  # how much picture, how much noise
        else:
            share = share if T > 1 else [1.0]
            line = [(1.0, 0.0)] + [(1.0, (low ** (1 / rho) * (1 - u) + high ** (1 / rho) * u) ** rho) for u in share]
        alpha_bar = np.array([a**2 / (a**2 + b**2) for a, b in line])
    else:
        usual = {"scaled_linear": (0.00085, 0.012)}.get(name, (1e-4, 0.02))
        first, last = ends.get("beta_1", usual[0]), ends.get("beta_T", usual[1])
        if name == "linear":
            beta = [(1 - u) * first + u * last for u in share]
        elif name in ("scaled_linear", "quadratic"):
            beta = [((1 - u) * math.sqrt(first) + u * math.sqrt(last)) ** 2 for u in share]
        elif name == "cosine":
            s, most = ends.get("s", 0.008), ends.get("beta_max", 0.999)
            f = [math.cos((t / T + s) / (1 + s) * math.pi / 2) ** 2 for t in range(T + 1)]
            beta = [min(1 - f[t] / f[t - 1], most) for t in range(1, T + 1)]
        else:
            raise ValueError(f"no independent route for the schedule {name!r}")
        alpha_bar = np.append(1.0, np.cumprod(1 - np.array(beta)))
    noise_to_signal = np.divide(1 - alpha_bar, alpha_bar, out=np.full(T + 1, np.inf), where=alpha_bar > 0)
    alpha_bar = 1 / (1 + shift**2 * noise_to_signal) if shift != 1 else alpha_bar
    if repaired:  # Lin et al. 2023, algorithm 1, line by line
        root = np.sqrt(alpha_bar[1:])
        first, last = root[0].copy(), root[-1].copy()
        root -= last
        root *= first / (first - last)
        alpha_bar = np.append(1.0, root**2)
    alpha_bar.flags.writeable = False
    return alpha_bar


def _posterior_mean(x: np.ndarray, data: np.ndarray, a: float, std: float) -> np.ndarray:
    """E[x0 | x_t = x] over equally likely members of a data set, each of that standard deviation, by Bayes' rule."""
    variance = a * std**2 + 1 - a
    distance = ((x[:, None] - math.sqrt(a) * data) ** 2).sum(2)
    weight = np.exp((distance.min(1, keepdims=True) - distance) / (2 * variance))
    nearest = weight @ data / weight.sum(1, keepdims=True)
    return ((1 - a) * nearest + math.sqrt(a) * std**2 * x) / variance  # precisions 1 / std^2 and a / (1 - a), combined


def _pair(value: Pair) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _planes(image: Tensor) -> Tensor:
    return image.reshape(-1, *image.shape[-2:])


def _padded(image: Tensor, around: Pair, padding_mode: str) -> Tensor:
    (rows, cols), mode = _pair(around), "constant" if padding_mode == "zeros" else padding_mode
    return F.pad(_planes(image)[None], (cols, cols, rows, rows), mode=mode)[0]


def _rounding(result: Tensor, *factors: Tensor) -> tuple[float, float]:
    """Tolerance and scale of sums of products: some hundred roundings of products that may cancel each other."""
    floats = [x for x in (result, *factors) if x.is_floating_point()]
    scale = math.prod(float(x.abs().double().max()) for x in factors)
    return 500 * max((torch.finfo(x.dtype).eps for x in floats), default=2e-16), scale


def _close(
    claim: str, value: ArrayLike | Tensor, expected: ArrayLike | Tensor, tolerance: float, scale: float = 0.0
) -> Check:
    """The largest difference, relative to ``scale`` or the largest expected number."""
    value, expected = np.asarray(value, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if value.shape != expected.shape:
        return Check(f"{claim} (shape {expected.shape}, got {value.shape})", math.inf, tolerance)
    scale = max(scale, np.abs(expected).max())
    scale = scale if scale > 1e-290 else 1.0  # 0, or so near that no digits are left
    return Check(claim, float(np.abs(value - expected).max() / scale), tolerance)
