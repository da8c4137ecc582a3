"""Making pictures larger and smaller: every method is one matrix of weights for the rows and one for the columns.

The conventions are PyTorch's: pixel centres at half integers, `nearest` rounded down, `area` the mean of every pixel
touched, bicubic with a = -0.75. Pictures are (..., H, W).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from core.arguments import whole
from core.convolution import pad, transposed_convolve

METHODS = ("nearest", "bilinear", "bicubic", "area", "lanczos")
FILTERED = ("bilinear", "bicubic", "lanczos")  # weights from a filter, which antialias can widen
REACH = {"bilinear": 1, "bicubic": 2, "lanczos": 3}


def resize_weights(
    n_in: int, n_out: int, method: str, *, align_corners: bool = False, antialias: bool = False, a: float = -0.75
) -> Tensor:
    """What every new pixel takes of every old one, along one axis; each row adds up to 1.

    - nearest: pixel floor(i n_in / n_out).
    - area: the mean of pixels floor(i n_in / n_out) to ceil((i + 1) n_in / n_out) - 1.
    - bilinear, bicubic, lanczos: h(j - c) at c = (i + 1/2) n_in / n_out - 1/2, or c = i (n_in - 1) / (n_out - 1) with
      align_corners. Beyond the picture its edge goes on.
    - antialias, when shrinking, widens h by n_in / n_out; what lies beyond the picture is left out and the rest scaled
      to 1, as Pillow does. Lanczos, which no library continues at the edge, always does that.

    Args: a: the slope of bicubic's h at distance 1; -0.75 in PyTorch and OpenCV, -0.5 in Pillow and Keys.
    Returns: (n_out, n_in), float64.
    Raises: ValueError for an unknown method or a size below 1; align_corners or antialias where the method has none;
        both at once, which put pixel centres in two places.
    Source: Keys (1981), "Cubic convolution interpolation for digital image processing", equation 15 with a = -1/2;
        Duchon (1979), "Lanczos filtering in one and two dimensions".
    """
    _check(n_in, n_out, method, align_corners, antialias)
    places = torch.arange(n_out)
    if method == "nearest":
        return (torch.arange(n_in) == (places * n_in // n_out)[:, None]).double()
    if method == "area":
        first, end = places * n_in // n_out, -((places + 1) * -n_in // n_out)
        j = torch.arange(n_in)
        touched = ((j >= first[:, None]) & (j < end[:, None])).double()
        return touched / touched.sum(1, keepdim=True)
    if align_corners:
        centres = places.double() * ((n_in - 1) / max(n_out - 1, 1))
    else:
        centres = (places.double() + 0.5) * (n_in / n_out) - 0.5
    stretch, reach = max(n_in / n_out, 1) if antialias else 1, REACH[method]
    j = torch.arange(-reach, n_in + reach)
    weights = kernel((j - centres[:, None]) / stretch, method, a)
    inside = weights[:, reach:-reach].clone()
    if antialias or method == "lanczos":
        return inside / inside.sum(1, keepdim=True)
    inside[:, 0] += weights[:, :reach].sum(1)
    inside[:, -1] += weights[:, -reach:].sum(1)
    return inside


def kernel(t: Tensor, method: str, a: float = -0.75) -> Tensor:
    """h(t), the weight of a pixel at distance t from where a new one is to stand, in old pixels."""
    t = t.abs()
    if method == "bilinear":
        return (1 - t).clamp(min=0)
    if method == "bicubic":
        near = ((a + 2) * t - (a + 3)) * t**2 + 1
        far = a * (((t - 5) * t + 8) * t - 4)
        return torch.where(t <= 1, near, torch.where(t < 2, far, 0.0))
    return torch.where(t < 3, torch.sinc(t) * torch.sinc(t / 3), 0.0)


def resize(
    image: Tensor,
    size: int | tuple[int, int],
    method: str,
    *,
    align_corners: bool = False,
    antialias: bool = False,
    a: float = -0.75,
) -> Tensor:
    """The picture (..., H, W) at another size, (H', W') or both the same: rows' weights @ picture @ columns' weights^T.

    Raises: ValueError if the picture is not of floats or has an empty side, or as `resize_weights` does.
    """
    if image.ndim < 2 or 0 in image.shape or not image.is_floating_point():
        raise ValueError(
            f"the picture must be floats of shape (..., H, W) with no empty side, "
            f"got {image.dtype} of shape {tuple(image.shape)}"
        )
    sizes = size if isinstance(size, tuple) else (size, size)
    if len(sizes) != 2:
        raise ValueError(f"size must be one number or a pair (H, W), got {size!r}")
    rows, cols = (
        resize_weights(old, new, method, align_corners=align_corners, antialias=antialias, a=a).to(image)
        for old, new in zip(image.shape[-2:], sizes, strict=True)
    )
    return rows @ image @ cols.T


def fit_upscaling(pairs: list[tuple[Tensor, Tensor]], factor: int, reach: int = 2) -> Tensor:
    """The kernel with which a transposed convolution best enlarges small pictures to large ones, by least squares.

    Each of the factor^2 pixels that one small pixel becomes is its own weighting of the (2 reach + 1)^2 small pixels
    around: together they are the taps of one kernel, applied with stride `factor` by `upscale`.

    Args: pairs: (small (..., H, W), large (..., factor H, factor W)) pictures.
    Returns: kernel ((2 reach + 1) factor, (2 reach + 1) factor), float64.
    Raises: ValueError if a large picture is not `factor` times the small one.
    """
    side = 2 * reach + 1
    windows, targets = [], []
    for small, large in pairs:
        if large.shape[-2:] != tuple(factor * n for n in small.shape[-2:]):
            raise ValueError(
                f"a picture of {tuple(small.shape[-2:])} enlarged {factor} times is "
                f"{tuple(factor * n for n in small.shape[-2:])}, got {tuple(large.shape[-2:])}"
            )
        planes = pad(small.double().reshape(-1, *small.shape[-2:]), reach, "replicate")
        windows.append(planes.unfold(1, side, 1).unfold(2, side, 1).reshape(-1, side * side))
        blocks = large.double().reshape(-1, *large.shape[-2:])
        targets.append(F.pixel_unshuffle(blocks[:, None], factor).flatten(2).transpose(1, 2).reshape(-1, factor**2))
    taps = torch.linalg.lstsq(torch.cat(windows), torch.cat(targets), driver="gelsd").solution
    # Small pixel q + d reaches large pixel factor q + s through tap factor (reach - d) + s.
    return taps.reshape(side, side, factor, factor).flip(0, 1).transpose(1, 2).reshape(side * factor, side * factor)


def upscale(image: Tensor, kernel: Tensor, factor: int) -> Tensor:
    """`transposed_convolve` with stride `factor`, the picture's edge repeated and the result cropped to factor H, W.

    Raises: ValueError if the kernel is not square with a side of an odd multiple of `factor`, as `fit_upscaling`'s is.
    """
    side = kernel.shape[-1]
    if kernel.shape != (side, side) or side % factor or side // factor % 2 == 0:
        raise ValueError(
            f"the kernel must be square, its side an odd multiple of {factor}, got shape {tuple(kernel.shape)}"
        )
    reach = (len(kernel) // factor - 1) // 2
    return transposed_convolve(
        pad(image, reach, "replicate"), kernel.to(image), stride=factor, padding=2 * reach * factor
    )


def psnr(image: Tensor, reference: Tensor, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB: 10 log10(peak^2 / mean squared error); infinite for equal pictures.

    Raises: ValueError if the shapes differ.
    """
    _alike(image, reference)
    error = float((image.cpu().double() - reference.cpu().double()).square().mean())
    return 10 * math.log10(peak**2 / error) if error else math.inf


def ssim(image: Tensor, reference: Tensor, peak: float = 1.0) -> float:
    """Structural similarity, the mean over all windows of 7 x 7 pixels inside and all channels; 1 is equal.

    Raises: ValueError if the shapes differ, or a side is below 7.
    Source: Wang et al. (2004), "Image quality assessment", equation 13, with K1 = 0.01 and K2 = 0.03; uniform windows
        and sample variances as in scikit-image.
    """
    _alike(image, reference)
    if min(image.shape[-2:]) < 7:
        raise ValueError(f"SSIM needs pictures of at least 7 x 7 pixels, got {tuple(image.shape[-2:])}")
    x, y = (p.double().reshape(-1, 1, *p.shape[-2:]) for p in (image, reference))
    mean_x, mean_y, xx, yy, xy = (_window_means(p) for p in (x, y, x * x, y * y, x * y))
    sample = 49 / 48
    var_x, var_y, cov = (sample * (p - q) for p, q in ((xx, mean_x**2), (yy, mean_y**2), (xy, mean_x * mean_y)))
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    alike = (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return float(alike.mean())


def _alike(image: Tensor, reference: Tensor) -> None:
    if image.shape != reference.shape:
        raise ValueError(
            f"pictures must have one shape to be compared, got {tuple(image.shape)} and {tuple(reference.shape)}"
        )


def _window_means(planes: Tensor) -> Tensor:
    return F.avg_pool2d(F.avg_pool2d(planes, (7, 1), stride=1), (1, 7), stride=1)


def _check(n_in: int, n_out: int, method: str, align_corners: bool, antialias: bool) -> None:
    for size in (n_in, n_out):
        whole("a size", size, 1)
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    if align_corners and method not in ("bilinear", "bicubic"):
        raise ValueError(f"align_corners is for bilinear and bicubic, as in PyTorch; {method} has none")
    if antialias and method not in FILTERED:
        raise ValueError(f"antialias is for {', '.join(FILTERED)}; {method} has no filter to widen")
    if align_corners and antialias:
        raise ValueError("align_corners and antialias put pixel centres in two places: leave one of them out")
