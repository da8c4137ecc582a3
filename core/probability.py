"""From a coin flip to the bell: the binomial distribution and the Gaussian it settles on.

All in numpy float64; n flips, chance of heads p, k heads.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def binomial_pmf(n: int, p: float) -> Array:
    """P(X = k) = C(n, k) p^k (1 - p)^(n - k) for k = 0..n, shape (n + 1,).

    Built outwards from the likeliest k by the ratio of neighbours, so that nothing overflows however large n is and the
    tails fade to zero.

    Raises: ValueError if n is not a whole number >= 0 or p is outside [0, 1].
    Source: Feller, An Introduction to Probability Theory I (1968), VI.2 and VI.3.
    """
    _check_coin(n, p)
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
    _check_coin(n, p)
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
    """ln n! ~ ln(2 pi n) / 2 + n ln n - n, for any n.

    Raises: ValueError below 1.
    Source: Feller (1968), II.9.
    """
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
    _check_coin(n, p)
    heads = np.zeros(_count("trials", trials), dtype=np.int64)
    for _ in range(n):
        heads += generator.random(trials) < p
    return heads


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
    _check_coin(n, p)
    distance, std = k - continuity / 2 - n * p, math.sqrt(n * p * (1 - p))
    return math.erfc(distance / (std * math.sqrt(2))) / 2 if std > 0 else float(distance <= 0)


def _check_coin(n: int, p: float) -> None:
    _count("n", n)
    if not 0 <= p <= 1:
        raise ValueError(f"p must be in [0, 1], got {p}")


def _count(name: str, value: int) -> int:
    if not isinstance(value, int | np.integer) or value < 0:
        raise ValueError(f"{name} must be a whole number >= 0, got {value!r}")
    return int(value)


def _positive(n: int) -> int:
    if _count("n", n) < 1:
        raise ValueError("Stirling's formula wants n of at least 1, got 0")
    return n
