"""From a coin flip to the bell: the binomial distribution and the Gaussian it settles on.

All in numpy float64; n flips, chance of heads p, k heads.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from core.arguments import whole

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ChiSquare:
    """How far counts stray from what was expected: the statistic, its degrees of freedom, and P(at least as far)."""

    statistic: float
    degrees: int
    p_value: float


def binomial_pmf(n: int, p: float) -> Array:
    """P(X = k) = C(n, k) p^k (1 - p)^(n - k) for k = 0..n, shape (n + 1,).

    Built outwards from the likeliest k by the ratio of neighbours, so that nothing overflows however large n is and the
    tails fade to zero.

    Raises: ValueError if n is not a whole number >= 0 or p is outside [0, 1].
    Source: Feller, An Introduction to Probability Theory I (1968), VI.2 and VI.3.
    """
    n = _check_coin(n, p)
    mode = min(n, math.floor((n + 1) * p))
    up, down = np.arange(mode, n), np.arange(mode, 0, -1)
    rising = np.cumprod((n - up) * p / ((up + 1) * (1 - p)))  # P(k + 1) / P(k) = (n - k) p / ((k + 1) (1 - p))
    falling = np.cumprod(down * (1 - p) / ((n - down + 1) * p))  # and its inverse
    weights = np.concatenate([falling[::-1], [1.0], rising])
    return weights / weights.sum()


def gaussian_pdf(x: ArrayLike, mean: float, std: float) -> Array:
    """The bell N(x; mean, std^2) = exp(-z^2 / 2) / (std sqrt(2 pi)), in the shape of x.

    Raises: ValueError if std is not positive.
    """
    return np.asarray(np.exp(-(z_score(x, mean, std) ** 2) / 2) / (std * math.sqrt(2 * math.pi)))


def de_moivre_laplace(n: int, p: float) -> Array:
    """The bell with the coin's own mean np and variance np(1 - p), at k = 0..n, shape (n + 1,).

    Where there is no chance left (n = 0, p = 0 or p = 1) the bell has no width: all of it stands on k = np.

    Raises: ValueError as `binomial_pmf` does.
    Source: Feller (1968), VII.3.
    """
    n = _check_coin(n, p)
    k, std = np.arange(n + 1), math.sqrt(n * p * (1 - p))
    return gaussian_pdf(k, n * p, std) if std > 0 else (k == n * p).astype(float)


def stirling(n: int) -> float:
    """n! ~ sqrt(2 pi n) (n / e)^n, too small by a factor of about 1 + 1 / (12 n).

    Raises: ValueError below 1, and above 170, where n! no longer fits a float: `log_stirling` goes on.
    Source: Feller (1968), II.9.
    """
    if n > 170:
        raise ValueError(f"stirling wants n of at most 170, got {n}: beyond it n! overflows, use log_stirling")
    return math.sqrt(2 * math.pi * _positive(n)) * (n / math.e) ** n


def log_stirling(n: int) -> float:
    """ln n! ~ ln(2 pi n) / 2 + n ln n - n.

    Raises: ValueError below 1, and above 10^305, where ln n! no longer fits a float.
    Source: Feller (1968), II.9.
    """
    if n > 10**305:
        raise ValueError("log_stirling wants n of at most 10^305: beyond it ln n! overflows")
    return math.log(2 * math.pi * _positive(n)) / 2 + n * math.log(n) - n


def z_score(x: ArrayLike, mean: float, std: float) -> Array:
    """How many standard deviations x lies above the mean: z = (x - mean) / std, in the shape of x.

    Raises: ValueError if std is not positive.
    """
    if not (std > 0 and math.isfinite(std)):
        raise ValueError(f"std must be a positive number, got {std}")
    return np.asarray((np.asarray(x, dtype=np.float64) - mean) / std)


def total_variation(p: ArrayLike, q: ArrayLike) -> float:
    """Half the summed difference of two distributions on the same outcomes: 0 = equal, 1 = nothing in common.

    Raises: ValueError if the shapes differ.
    """
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    if p.shape != q.shape:
        raise ValueError(f"both distributions must have the same outcomes, got shapes {p.shape} and {q.shape}")
    return float(np.abs(p - q).sum() / 2)


def flip_coins(n: int, p: float, trials: int, *, generator: np.random.Generator) -> NDArray[np.int64]:
    """Really flip n coins, `trials` times over: the number of heads in each trial, shape (trials,).

    Raises: ValueError as `binomial_pmf` does, or if trials is not a whole number >= 0.
    """
    heads = np.zeros(whole("trials", trials, 0), dtype=np.int64)
    for flip in toss(n, p, trials, generator=generator):
        heads += flip
    return heads


def toss(n: int, p: float, trials: int, *, generator: np.random.Generator) -> Iterator[NDArray[np.bool_]]:
    """The flips behind `flip_coins`, one coin of every trial after the other.

    Yields: n times an array (trials,), True for heads.
    Raises: ValueError as `flip_coins` does, when the first flip is asked for.
    """
    n = _check_coin(n, p)
    trials = whole("trials", trials, 0)
    for _ in range(n):
        yield generator.random(trials) < p


def chi_square(counts: ArrayLike, pmf: ArrayLike) -> ChiSquare:
    """Pearson's sum of (seen - expected)^2 / expected, neighbours merged until 5 are expected in every cell.

    Args:
        counts: how often each outcome came up, shape (m,). pmf: the chance of each, shape (m,).
    Returns: with one cell left there is nothing to compare: statistic 0, 0 degrees, p-value 1.
    Raises: ValueError if the shapes differ, a count is negative or no number, or nothing was counted.
    Source: Pearson (1900), "On the criterion ...", Philosophical Magazine 50; the rule of five: Cochran (1954).
    """
    counts, pmf = np.asarray(counts, dtype=np.float64), np.asarray(pmf, dtype=np.float64)
    if counts.shape != pmf.shape or counts.ndim != 1:
        raise ValueError(f"counts and chances must be of the same outcomes, got shapes {counts.shape} and {pmf.shape}")
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise ValueError("counts must be finite and not negative")
    if counts.sum() <= 0:
        raise ValueError("chi_square wants at least one trial, got none")
    cells, seen, due = [], 0.0, 0.0
    for count, expected in zip(counts, counts.sum() * pmf, strict=True):
        seen, due = seen + count, due + expected
        if due >= 5 - 1e-9:
            cells.append((seen, due))
            seen = due = 0.0
    if cells:  # what is left over joins the last cell
        cells[-1] = (cells[-1][0] + seen, cells[-1][1] + due)
    if len(cells) < 2:
        return ChiSquare(0.0, 0, 1.0)
    statistic = math.fsum((seen - due) ** 2 / due for seen, due in cells)
    return ChiSquare(statistic, len(cells) - 1, float(special.gammaincc((len(cells) - 1) / 2, statistic / 2)))


def kolmogorov_distance(n: int, p: float) -> float:
    """The widest gap between P(X <= k) and the bell's share up to k, over all places: 0 where no chance is left.

    Raises: ValueError as `binomial_pmf` does.
    """
    pmf, std = binomial_pmf(n, p), math.sqrt(n * p * (1 - p))
    if std == 0:
        return 0.0
    bell = special.erfc((n * p - np.arange(n + 1)) / (std * math.sqrt(2))) / 2
    after = np.cumsum(pmf)
    return float(max(np.abs(after - bell).max(), np.abs(after - pmf - bell).max()))


def berry_esseen(n: int, p: float) -> float:
    """What `kolmogorov_distance` can be at most: 0.4748 (p^2 + (1 - p)^2) / sqrt(n p (1 - p)).

    Raises: ValueError as `binomial_pmf` does, or where no chance is left (n = 0, p = 0 or p = 1).
    Source: Shevtsova (2011), arXiv 1111.6554, with the third moment of one coin, p (1 - p) (p^2 + (1 - p)^2).
    """
    n = _check_coin(n, p)
    variance = n * p * (1 - p)
    if variance == 0:
        raise ValueError(f"the Berry-Esseen bound wants some chance: n >= 1 and 0 < p < 1, got n = {n}, p = {p}")
    return 0.4748 * (p**2 + (1 - p) ** 2) / math.sqrt(variance)


def sums_of_steps(step: ArrayLike, n: int) -> Iterator[Array]:
    """The distribution of the sum of 1, 2, ..., n independent steps, each of size 0..m with the chances ``step``.

    Yields: n arrays, the i-th of shape (i m + 1,): the chances of the sums 0..i m.
    Raises: ValueError if a chance is negative or not finite, or all are 0, when the first sum is asked for.
    Source: Feller (1968), XI.2: the distribution of a sum is the convolution of the distributions.
    """
    chances = np.asarray(step, dtype=np.float64)
    if chances.ndim != 1 or not np.isfinite(chances).all() or (chances < 0).any() or chances.sum() == 0:
        raise ValueError("the chances of a step must be a row of numbers >= 0, not all of them 0")
    chances, total = chances / chances.sum(), np.ones(1, dtype=np.float64)
    for _ in range(whole("n", n, 0)):
        total = np.asarray(np.convolve(total, chances), dtype=np.float64)
        yield total


def random_walk(
    particles: int, steps: int, std: float, *, generator: np.random.Generator, dimensions: int = 2
) -> Array:
    """Particles that start at 0 and take Gaussian steps N(0, std^2) along every axis; variances add: t std^2 after t.

    Returns: positions, shape (steps + 1, particles, dimensions).
    Raises: ValueError if a count is not a whole number >= 0 or std is negative.
    Source: Einstein (1905), "Über die ... Bewegung von in ruhenden Flüssigkeiten suspendierten Teilchen".
    """
    if not (std >= 0 and math.isfinite(std)):
        raise ValueError(f"std must be a number >= 0, got {std}")
    shape = whole("steps", steps, 0), whole("particles", particles, 0), whole("dimensions", dimensions, 0)
    moves = std * generator.standard_normal(shape)
    return np.concatenate([np.zeros((1, *shape[1:])), np.cumsum(moves, axis=0)])


def binomial_tail(n: int, p: float, k: int) -> float:
    """P(X >= k): the bars from k on, summed; 1 for k <= 0 and 0 for k > n.

    Raises: ValueError as `binomial_pmf` does.
    """
    return min(1.0, math.fsum(binomial_pmf(n, p)[max(k, 0) :]))


def normal_tail(n: int, p: float, k: int, *, continuity: bool = True) -> float:
    """P(X >= k) read off the bell; with the continuity correction the bell is cut at k - 1/2, the edge of k's bar.

    Raises: ValueError as `binomial_pmf` does.
    Source: Feller (1968), VII.3.
    """
    n = _check_coin(n, p)
    distance, std = k - continuity / 2 - n * p, math.sqrt(n * p * (1 - p))
    return math.erfc(distance / (std * math.sqrt(2))) / 2 if std > 0 else float(distance <= 0)


def _check_coin(n: int, p: float) -> int:
    n = whole("n", n, 0)
    if not 0 <= p <= 1:
        raise ValueError(f"p must be in [0, 1], got {p}")
    return n


def _positive(n: int) -> int:
    if (n := whole("n", n, 0)) < 1:
        raise ValueError("Stirling's formula wants n of at least 1, got 0")
    return n
