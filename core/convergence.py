"""What a sampler costs and how near it comes: walks of more and more steps from the same noise, and their order."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from .denoiser import Denoiser, Prediction
from .mixtures import GaussianMixture
from .samplers import SAMPLERS
from .schedule import NoiseSchedule

SIGMA_MIN, SIGMA_MAX, FINE = 0.002, 80.0, 100_000


def finely(schedule: NoiseSchedule, T: int = FINE) -> NoiseSchedule:
    """The same curve in T fine steps, from sigma = 0.002 at time 1 to sigma = 80 at T, or to its own ends if nearer.

    On whole times of the usual 1,000 the rounding of times, and the last jump to sigma = 0, hide the order of a
    sampler. Between two times log sigma runs straight; within the first step sigma^2 does.
    Source of the ends: Karras et al. (2022), arXiv 2206.00364, table 1.
    """
    sigma = schedule.sigma.numpy()
    known = np.flatnonzero(np.isfinite(sigma) & (sigma > 0))
    logs = np.log(sigma[known])

    def when(wanted: float) -> float:
        if wanted < sigma[1]:
            return float((wanted / sigma[1]) ** 2)
        return float(np.interp(math.log(wanted), logs, known))

    u = np.linspace(when(SIGMA_MIN), when(SIGMA_MAX), T)
    fine = np.where(u < 1, sigma[1] * np.sqrt(u), np.exp(np.interp(u, known, logs)))
    return NoiseSchedule(torch.tensor(np.append(1.0, 1 / (1 + fine**2))))


def reference(points: GaussianMixture, schedule: NoiseSchedule, x: torch.Tensor, steps: int = 1000) -> torch.Tensor:
    """Where the probability flow takes x from T to time 1: exact for one Gaussian, else by UniPC in many steps."""
    if len(points.means) == 1:
        return points.flow(x, schedule.T, 1, schedule)
    *_, last = SAMPLERS["unipc"](points.denoiser(schedule), schedule, x, times_to_one(schedule, steps, "karras"))
    return last.x_next


def times_to_one(schedule: NoiseSchedule, n: int, spacing: str) -> torch.Tensor:
    """The times of a walk of n steps that stops at time 1, where the flow still has a direction."""
    times = schedule.times(n, spacing)[:-1]
    if times[-1] == 1 and n < schedule.T:  # these spacings come by there on their way to 0
        times = schedule.times(n + 1, spacing)[:-1]
    return torch.cat([times[times > 1], torch.ones(1, dtype=torch.int64)])


class Counted:
    """A denoiser that counts how often it is asked: what a walk costs where the denoiser is a network."""

    def __init__(self, denoiser: Denoiser):
        self.denoiser, self.calls = denoiser, 0

    def __call__(self, x: torch.Tensor, t: int) -> Prediction:
        self.calls += 1
        return self.denoiser(x, t)


def distance(x: torch.Tensor, y: torch.Tensor) -> float:
    """Root mean square distance of the samples (N, ...) of two walks from the same noise, per number they hold."""
    return float((x.double() - y.double()).square().mean().sqrt())


def fitted_order(calls: Sequence[float], errors: Sequence[float], last: int = 3) -> float | None:
    """The slope of log error against log calls, falling counted positive, through the last few points.

    None where there are not two points whose error is a number above 0.
    """
    kept = [(c, e) for c, e in zip(calls, errors, strict=True) if e > 0 and math.isfinite(e)][-last:]
    if len(kept) < 2:
        return None
    slope, _ = np.polyfit([math.log(c) for c, _ in kept], [math.log(e) for _, e in kept], 1)
    return -float(slope)
