"""What "deconvolution" is and is not: five answers to a blurred picture y = A x.

A is ``convolve(x, kernel)``: valid, stride 1, not flipped, so every answer to a y of (H, W) is an x of
(H + k - 1, W + k - 1), and there are more unknowns than equations. Its transpose A' is `transposed_convolve`.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from math import inf, prod
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.ndimage import correlate1d
from scipy.sparse.linalg import LinearOperator, lsmr
from torch import Tensor

from core.arguments import whole
from core.convolution import convolve, pad, transposed_convolve

LARGEST_SVD = 32  # sides of x up to which A is taken apart; above, LSMR walks towards the answer
STEPS = 200  # of LSMR at most


KERNELS = ("gaussian", "box", "disc", "motion")


def blur(name: str, width: int) -> Tensor:
    """A kernel of width x width taps that add up to 1, float64.

    gaussian: deviation width / 4. box: all equal. disc: equal within half the width. motion: equal on the diagonal.
    Raises: ValueError for an unknown name or a width below 1.
    """
    if name not in KERNELS:
        raise ValueError(f"the kernels are {', '.join(KERNELS)}; got {name!r}")
    width = whole("width", width, 1)
    place = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
    distance = place[:, None] ** 2 + place**2
    taps = {
        "gaussian": torch.exp(-distance / (2 * (width / 4) ** 2)),
        "box": torch.ones(width, width, dtype=torch.float64),
        "disc": (distance <= (width / 2) ** 2).double(),
        "motion": torch.eye(width, dtype=torch.float64),
    }[name]
    return taps / taps.sum()


Factors = tuple[Tensor, Tensor, Tensor]  # u, s, vt with M = u diag(s) vt, s descending


class SVD(NamedTuple):
    """A = D ⊗ C, down the columns and across the rows of a picture: A x is D x C' for x as a picture.

    s: the singular values of A, (HW,), descending, which are all products of those of D and C. Where the kernel is no
    column times a row, D is A itself, C the number 1, and "a picture" is one column of all pixels.
    """

    s: Tensor
    down: Factors
    across: Factors


def matrix(shape: tuple[int, int], kernel: Tensor) -> Tensor:
    """A written out: (H W, (H + k - 1)(W + k - 1)) for a y of `shape`; row by row in both pictures."""
    (height, width), (tall, wide) = shape, kernel.shape
    full = height + tall - 1, width + wide - 1
    A = torch.zeros(height, width, *full, dtype=torch.float64)
    i, j = torch.arange(height)[:, None], torch.arange(width)
    for u in range(tall):
        for v in range(wide):
            A[i, j, i + u, j + v] = kernel[u, v].double()
    return A.reshape(height * width, full[0] * full[1])


def svd(shape: tuple[int, int], kernel: Tensor) -> SVD:
    """The singular values and vectors of A for a y of `shape`; kept for the next call.

    Raises: ValueError if a side of x is above 32 pixels.
    """
    full = tuple(n + k - 1 for n, k in zip(shape, kernel.shape, strict=True))
    if max(full) > LARGEST_SVD:
        raise ValueError(f"A is taken apart for pictures of up to {LARGEST_SVD} pixels a side, got {full}")
    return _svd(tuple(shape), tuple(map(tuple, kernel.double().tolist())))


@lru_cache(maxsize=8)
def _svd(shape: tuple[int, int], kernel: tuple[tuple[float, ...], ...]) -> SVD:
    taps = torch.tensor(kernel, dtype=torch.float64)
    if lines := _lines(taps):
        D, C = (matrix((1, n), line[None]) for n, line in zip(shape, lines, strict=True))
    else:
        D, C = matrix(shape, taps), torch.ones(1, 1, dtype=torch.float64)
    down, across = (torch.linalg.svd(factor, full_matrices=False) for factor in (D, C))
    return SVD(torch.kron(down.S, across.S).sort(descending=True).values, tuple(down), tuple(across))


def _lines(kernel: Tensor) -> tuple[Tensor, Tensor] | None:
    """The column and the row that the kernel is the product of, if it is one."""
    u, s, vt = torch.linalg.svd(kernel.double())
    if len(s) > 1 and s[1] > 1e-14 * s[0]:
        return None
    return s[0].sqrt() * u[:, 0], s[0].sqrt() * vt[0]


def rank(shape: tuple[int, int], kernel: Tensor) -> int:
    """How many singular values of A stand above rounding, max(HW, H'W') eps times the largest.

    In exact arithmetic it is always H W: A' y is a product of two polynomials, which is never 0 unless y is.
    """
    s = svd(shape, kernel).s
    return int((s > _rounding(shape, kernel) * s[0]).sum())


def adjoint(y: Tensor, kernel: Tensor) -> Tensor:
    """A' y: every pixel stamps the kernel. This is what networks call deconvolution; it undoes nothing.

    Raises: ValueError unless y and the kernel are finite tables.
    Source: Dumoulin & Visin (2016), arXiv 1603.07285, section 4.
    """
    _check(y, kernel)
    return transposed_convolve(y, kernel)


def naive_inverse(y: Tensor, kernel: Tensor) -> Tensor:
    """Divides by the kernel's spectrum, as if the picture went around and the k - 1 rows never seen were 0.

    Frequencies that the kernel takes to 0, up to rounding, stay 0.
    Raises: ValueError as `adjoint`.
    Source: Gonzalez & Woods (2018), *Digital Image Processing*, equation 5-78.
    """
    _check(y, kernel)
    full = [n + k - 1 for n, k in zip(y.shape, kernel.shape, strict=True)]
    gain = torch.fft.fft2(kernel.double(), s=full).conj()  # not flipped: a correlation
    dead = gain.abs() <= 1e-12 * gain.abs().max()
    spectrum = torch.fft.fft2(y.double(), s=full)
    return torch.fft.ifft2(torch.where(dead, 0, spectrum / torch.where(dead, 1, gain))).real.to(y)


def pseudo_inverse(y: Tensor, kernel: Tensor) -> Tensor:
    """A+ y: of all x that come nearest to A x = y, the smallest. Noise is divided by the singular values too.

    Up to 32 pixels by the singular values above rounding; beyond, LSMR in at most 200 steps, which leaves out what the
    smallest of them would take longer to bring in. Of such walks it is the one on which the error gets flatter with
    every step, so that it can be left early.

    Source: Penrose (1955); Fong & Saunders (2011), arXiv 1006.0758, "LSMR".
    """
    return wiener(y, kernel, 0.0)


def wiener(y: Tensor, kernel: Tensor, noise: float, mean: float = 0.0) -> Tensor:
    """mean + A' (A A' + noise I)^-1 (y - A mean): the best linear guess for pixels that know nothing of each other.

    A singular value s answers with s / (s^2 + noise) instead of 1 / s; noise 0 and mean 0 is the pseudo-inverse.

    Args: noise: variance of the noise in y over the variance of x. mean: of x, before anything of it is seen.
    Raises: ValueError if noise is negative or not finite.
    Source: Gonzalez & Woods (2018), equation 5-85, with the operator in place of its spectrum.
    """
    _check(y, kernel)
    if not 0 <= noise < inf:
        raise ValueError(f"noise must be a finite number of 0 or more, got {noise}")
    if mean:
        return mean + wiener(y - mean * kernel.sum(), kernel, noise)
    full = [n + k - 1 for n, k in zip(y.shape, kernel.shape, strict=True)]
    if max(full) > LARGEST_SVD:
        stop = {"atol": 1e-12, "btol": 1e-12, "conlim": 0, "maxiter": STEPS}
        x = lsmr(_Blur(y.shape, kernel), y.double().flatten().numpy(), damp=noise**0.5, **stop)[0]
        return torch.from_numpy(x).reshape(full).to(y)
    shape = (y.shape[0], y.shape[1])
    largest, (u, down, vt), (w, across, zt) = svd(shape, kernel)
    s = torch.outer(down, across)
    gain = torch.where(s > _rounding(shape, kernel) * largest[0], s / (s**2 + noise), 0)
    return (vt.T @ (gain * (u.T @ y.double().reshape(len(u), len(w)) @ w)) @ zt).reshape(full).to(y)


def richardson_lucy(y: Tensor, kernel: Tensor, iterations: int) -> Tensor:
    """The likeliest light behind counted photons, step by step: x <- x A'(y / A x) / A'1, from x = 1/2.

    As scikit-image has it, for taps that sum to 1: x and y are of one size, and beyond them all is 0; A'1 is taken as
    the taps' sum. That edge spoils more rows with every step, so the edge of y is repeated for four kernels more than x
    needs, and cut off in the end. What is below 0 in y is taken as 0.

    Raises: ValueError if the kernel has an even side, a negative tap or only zeros, or iterations is below 1.
    Source: Richardson (1972); Lucy (1974); scikit-image, `restoration.richardson_lucy`.
    """
    _check(y, kernel)
    if not all(k % 2 for k in kernel.shape):
        raise ValueError(f"Richardson-Lucy needs a kernel with odd sides, got {tuple(kernel.shape)}")
    if kernel.min() < 0 or kernel.max() == 0:
        raise ValueError("Richardson-Lucy needs a kernel with no negative tap and at least one above 0")
    iterations = whole("iterations", iterations, 1)
    (down, across), spare = (k // 2 for k in kernel.shape), 4 * max(kernel.shape)
    seen = pad(y.double().clamp(min=0), (down + spare, across + spare), "replicate").numpy()
    A, back = _dark_beyond(seen.shape, kernel)
    x, total = np.full(seen.shape, 0.5), float(kernel.double().sum())
    for _ in range(iterations):
        x *= np.maximum(back(seen / (A(x) + 1e-12)), 0) / total  # spectra have -1e-17 for 0
    return torch.from_numpy(x[spare:-spare, spare:-spare]).to(y)


def never_seen(x: Tensor, kernel: Tensor) -> Tensor:
    """What A takes to 0: the part of x that no answer can bring back, x - A+ A x."""
    return x - pseudo_inverse(convolve(x, kernel), kernel)


def _dark_beyond(shape: Sequence[int], kernel: Tensor) -> tuple[Callable[[np.ndarray], np.ndarray], ...]:
    """A from pictures of this shape to pictures of this shape, beyond which all is 0, and its transpose.

    Line by line where the kernel, of odd sides, is a column times a row, else by spectra.
    """
    if lines := _lines(kernel):
        forth, back = ([line.numpy()[::step] for line in lines] for step in (1, -1))
        return partial(_line_by_line, lines=forth), partial(_line_by_line, lines=back)
    sides: Any = [next_fast_len(n + k - 1, real=True) for n, k in zip(shape, kernel.shape, strict=True)]
    centred = np.zeros(sides)
    centred[: kernel.shape[0], : kernel.shape[1]] = kernel.double().numpy()
    gain = np.fft.rfft2(np.roll(centred, [-(k // 2) for k in kernel.shape], axis=(0, 1)))

    def by_spectra(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
        return np.fft.irfft2(np.fft.rfft2(x, sides) * gain, sides)[: shape[0], : shape[1]]

    return partial(by_spectra, gain=gain.conj()), partial(by_spectra, gain=gain)


def _line_by_line(x: np.ndarray, lines: Sequence[np.ndarray]) -> np.ndarray:
    for axis, line in enumerate(lines):
        x = correlate1d(x, line, axis, mode="constant")
    return x


class _Blur(LinearOperator):
    """A and its transpose, line by line where the kernel is a column times a row, else by spectra: what goes around is
    cut off, or was 0.

    seen, full: the sides (H, W) of a y and of its x. For scipy's solvers, pictures are rows of pixels.
    """

    def __init__(self, seen: Sequence[int], kernel: Tensor):
        (height, width), (tall, wide) = seen, kernel.shape
        self.seen, self.full = (height, width), (height + tall - 1, width + wide - 1)
        self.sides: Any = [next_fast_len(n, real=True) for n in self.full]
        self.gain = np.fft.rfft2(kernel.double().numpy(), self.sides)
        self.lines = [line.numpy() for line in _lines(kernel) or ()]
        super().__init__(np.float64, (prod(self.seen), prod(self.full)))

    def forward(self, x: np.ndarray) -> np.ndarray:
        if self.lines:
            down, across = (len(line) // 2 for line in self.lines)  # where scipy has a line's middle
            return _line_by_line(x, self.lines)[down:, across:][: self.seen[0], : self.seen[1]]
        around = np.fft.irfft2(np.fft.rfft2(x, self.sides) * self.gain.conj(), self.sides)
        return around[: self.seen[0], : self.seen[1]]

    def back(self, y: np.ndarray) -> np.ndarray:
        if self.lines:
            down, across = ((len(line) - 1) // 2 for line in self.lines)
            around = np.zeros(self.full)
            around[down : down + self.seen[0], across : across + self.seen[1]] = y
            return _line_by_line(around, [line[::-1] for line in self.lines])
        around = np.fft.irfft2(np.fft.rfft2(y, self.sides) * self.gain, self.sides)
        return around[: self.full[0], : self.full[1]]

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self.forward(x.reshape(self.full)).ravel()

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        return self.back(x.reshape(self.seen)).ravel()


def _rounding(shape: tuple[int, int], kernel: Tensor) -> float:
    return (shape[0] + kernel.shape[0] - 1) * (shape[1] + kernel.shape[1] - 1) * torch.finfo(torch.float64).eps


def _check(y: Tensor, kernel: Tensor) -> None:
    for name, value in (("y", y), ("the kernel", kernel)):
        if value.ndim != 2 or 0 in value.shape or not value.is_floating_point() or not value.isfinite().all():
            raise ValueError(
                f"{name} must be finite floats of shape (H, W) with no empty side, "
                f"got {value.dtype} of shape {tuple(value.shape)}"
            )
