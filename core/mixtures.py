"""Exact denoisers, with no network: where the data's distribution is known, so is the best guess at every t."""

import math
from dataclasses import dataclass

import torch

from .denoiser import Denoiser, Prediction
from .forward import randn_like
from .schedule import NoiseSchedule, at

TABLE = 1 << 18  # entries of the table of weights held at once: about what a cache holds


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """A weighted sum of round Gaussians; noised, it stays one, so density, score and posterior mean are exact.

    Args:
        means: centres, (K, D).
        stds: standard deviations, the same in every direction, (K,), above 0.
        weights: shares, (K,), at least 0, summing to 1.
    Raises: ValueError if the shapes or the ranges do not fit.
    """

    means: torch.Tensor
    stds: torch.Tensor
    weights: torch.Tensor

    def __post_init__(self):
        for name in ("means", "stds", "weights"):
            values = torch.as_tensor(getattr(self, name), dtype=torch.float64).detach()
            if not values.isfinite().all():
                raise ValueError(f"{name} must be finite, got NaN or infinity")
            object.__setattr__(self, name, values)
        K = len(self.means) if self.means.ndim == 2 else 0
        if not K or self.stds.shape != (K,) or self.weights.shape != (K,):
            raise ValueError(
                "wanted means (K, D), stds (K,) and weights (K,), got "
                f"{tuple(self.means.shape)}, {tuple(self.stds.shape)} and {tuple(self.weights.shape)}"
            )
        if not (self.stds > 0).all():
            raise ValueError(f"stds must be above 0, got {self.stds.tolist()}")
        if not (self.weights >= 0).all() or abs(self.weights.sum() - 1) > 1e-6:
            raise ValueError(f"weights must be at least 0 and sum to 1, got {self.weights.tolist()}")

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> torch.Tensor:
        """Draw n points, (n, D), float32."""
        return self.draw(n, generator=generator)[0]

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw n points, (n, D), float32, and which Gaussian each came from, (n,)."""
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        means = self.means[k].float()
        return means + self.stds[k].float()[:, None] * randn_like(means, generator), k

    def log_density(self, x: torch.Tensor, t: int, schedule: NoiseSchedule) -> torch.Tensor:
        """log q(x_t) at points x, (N, D): the mixture shrunk by sqrt(alpha_bar_t) and widened by the noise; (N,)."""
        return self._noised(x, t, schedule)[0].logsumexp(1)

    def astray(self, x: torch.Tensor, draw: torch.Tensor, schedule: NoiseSchedule, rare: float = 0.01) -> float:
        """The share of points x, (N, D), that lie where the density at t = 0 is below that at all but a share ``rare``
        of the points of a draw, (M, D)."""
        here, there = (self.log_density(points.double(), 0, schedule) for points in (x, draw))
        return float((here < there.quantile(rare)).double().mean())

    def score(self, x: torch.Tensor, t: int, schedule: NoiseSchedule) -> torch.Tensor:
        """The gradient of `log_density` in x, (N, D): each centre pulls with its share of the responsibility."""
        logs, means, variance = self._noised(x, t, schedule)
        r = logs.softmax(1) / variance
        return r @ means - r.sum(1, keepdim=True) * x

    def denoiser(self, schedule: NoiseSchedule) -> Denoiser:
        """The exact denoiser: x0 = E[x0 | x_t], eps = E[eps | x_t] = -sqrt(1 - alpha_bar_t) score.

        Source: Efron (2011), "Tweedie's formula and selection bias"; Song et al. (2021), arXiv 2011.13456.
        """

        def denoise(x: torch.Tensor, t: int) -> Prediction:
            logs, means, variance = self._noised(x, t, schedule)
            r = logs.softmax(1)
            # in one Gaussian: E[x0 | x_t] = mu + sqrt(alpha_bar_t) s^2 / variance (x_t - sqrt(alpha_bar_t) mu)
            gain = r * schedule.signal[t].to(x) * self.stds.to(x) ** 2 / variance
            x0 = r @ self.means.to(x) + gain.sum(1, keepdim=True) * x - gain @ means
            pull = r / variance
            return Prediction(x0, schedule.noise[t] * (pull.sum(1, keepdim=True) * x - pull @ means))

        return denoise

    def only(self, chosen: torch.Tensor) -> "GaussianMixture":
        """The Gaussians marked in ``chosen``, (K,) bool, by themselves: q(x | y) of the class they make up.

        Raises: ValueError unless it marks at least one that has a weight.
        """
        chosen = self._class(chosen)
        weights = self.weights[chosen]
        return GaussianMixture(self.means[chosen], self.stds[chosen], weights / weights.sum())

    def log_class(self, x: torch.Tensor, t: int, schedule: NoiseSchedule, chosen: torch.Tensor) -> torch.Tensor:
        """log p(y | x_t), (N,): how likely x_t came from one of the ``chosen`` Gaussians, by Bayes' rule."""
        logs = self._noised(x, t, schedule)[0]
        return logs[:, self._class(chosen)].logsumexp(1) - logs.logsumexp(1)

    def class_score(self, x: torch.Tensor, t: int, schedule: NoiseSchedule, chosen: torch.Tensor) -> torch.Tensor:
        """The gradient of `log_class` in x, (N, D): what exact classifier guidance adds to the score.

        log p(y | x_t) = log q(x_t | y) - log q(x_t) + log p(y), so it is the difference of two scores.
        Source: Dhariwal & Nichol (2021), arXiv 2105.05233, section 4.
        """
        return self.only(chosen).score(x, t, schedule) - self.score(x, t, schedule)

    def flow(self, x: torch.Tensor, t: int, s: int, schedule: NoiseSchedule) -> torch.Tensor:
        """Where the probability flow takes x from time t to s: exactly, for one Gaussian.

        It moves with the mean and stretches as the standard deviation does:
        x_s = signal_s mu + sqrt(v_s / v_t) (x_t - signal_t mu) with v = alpha_bar std^2 + 1 - alpha_bar.

        Raises: ValueError if there are several Gaussians: their flow has no closed form.
        Source: the flow of Song et al. (2021), arXiv 2011.13456, equation 13, solved for a Gaussian.
        """
        if len(self.means) != 1:
            raise ValueError(f"the flow has a closed form for one Gaussian, got {len(self.means)}")
        _, mean_t, v_t = self._noised(x, t, schedule)
        _, mean_s, v_s = self._noised(x, s, schedule)
        return mean_s + (v_s / v_t).sqrt() * (x - mean_t)

    def _class(self, chosen):
        chosen = torch.as_tensor(chosen)
        if chosen.dtype != torch.bool or chosen.shape != self.weights.shape or not self.weights[chosen].sum() > 0:
            raise ValueError(f"wanted a mark for each of {len(self.weights)} Gaussians, one at least set")
        return chosen

    def _noised(self, x, t, schedule):
        """Log weight plus log density in every Gaussian (N, K); the centres (K, D) and variances (K,) at time t."""
        D = self.means.shape[1]
        if x.ndim != 2 or x.shape[1] != D:
            raise ValueError(f"wanted points of shape (N, {D}), got {tuple(x.shape)}")
        a = at(schedule.alpha_bar, t, x)
        variance, means = (a * self.stds**2 + 1 - a).to(x), (a.sqrt() * self.means).to(x)
        far = torch.cdist(x, means, compute_mode="donot_use_mm_for_euclid_dist").square()
        return self.weights.log().to(x) - D / 2 * (2 * math.pi * variance).log() - far / (2 * variance), means, variance


def empirical_denoiser(data: torch.Tensor, schedule: NoiseSchedule) -> Denoiser:
    """The exact denoiser of a data set: the average of its members, weighted by how likely each became x_t.

    x0 = sum_i softmax_i(-|x_t - sqrt(alpha_bar_t) y_i|^2 / (2 (1 - alpha_bar_t))) y_i. It can only ever draw what
    it has seen: followed to t = 0 it returns members of the data set.

    Args:
        data: points (N, D) or pictures (N, C, H, W).
    Returns: a denoiser for x of shape (B, ...) like the data, with t from 1 to T.
    Raises: ValueError if the data are empty, not finite or no batch; the denoiser, if x does not fit or t is 0.
    Source: Karras et al. (2022), arXiv 2206.00364, equation 57 (appendix B.3).
    """
    if data.ndim < 2 or len(data) == 0 or not data.isfinite().all():
        raise ValueError(f"wanted finite data of shape (N, ...) with N at least 1, got {tuple(data.shape)}")
    flat = data.flatten(1)
    y = flat.double()  # the log weights reach 1e5 and more near t = 0, too long for float32
    squares = y.square().sum(1)
    rows = max(16, TABLE // len(y))

    def denoise(x: torch.Tensor, t: int) -> Prediction:
        if x.shape[1:] != data.shape[1:]:
            raise ValueError(f"wanted x of shape (B, {', '.join(map(str, data.shape[1:]))}), got {tuple(x.shape)}")
        signal, noise = at(schedule.signal, t, x), at(schedule.noise, t, x)
        means = []
        for chunk in x.flatten(1).split(rows):
            # -|x - signal y|^2 / 2 without |x|^2, which all members share
            logs = signal * (chunk.double() @ y.to(x.device).T) - signal**2 / 2 * squares.to(x.device)
            logs = (logs - logs.amax(1, keepdim=True)) / noise**2
            means.append(logs.to(x.dtype).softmax(1) @ flat.to(x))
        return Prediction.from_x0(x, torch.cat(means).view_as(x), schedule.alpha_bar[t])

    return denoise


def energy_distance(x: torch.Tensor, y: torch.Tensor) -> float:
    """How far apart two clouds of points (N, D) and (M, D) are: 2 E|X - Y| - E|X - X'| - E|Y - Y'|, at least 0.

    Two draws of one distribution are not at 0: compare with `distance_of_fresh_draw`.

    Raises: ValueError unless both hold points of the same dimension.
    Source: Szekely & Rizzo (2013), "Energy statistics", equation 1.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not len(x) or not len(y):
        raise ValueError(f"wanted two clouds of points, (N, D) and (M, D), got {(*x.shape,)} and {(*y.shape,)}")
    x, y = x.double(), y.double()
    return float(2 * torch.cdist(x, y).mean() - torch.cdist(x, x).mean() - torch.cdist(y, y).mean())


def distance_of_fresh_draw(y: torch.Tensor, n: int) -> float:
    """The energy distance of n more points of its distribution to y, (M, D), on average: (1 / n + 1 / M) E|Y - Y'|.

    Raises: ValueError unless y has two points at least.
    """
    return (1 / n + 1 / len(y)) * mean_distance(y)


def mean_distance(x: torch.Tensor) -> float:
    """How various a cloud of points (N, D) is: the mean distance of two different ones, E|X - X'|.

    Raises: ValueError unless there are two points at least.
    """
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"wanted two points at least, (N, D), got {(*x.shape,)}")
    return float(torch.pdist(x.double()).mean())
