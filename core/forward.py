"""From picture to noise: in one jump, step by step, and the exact step back when the picture is known."""

from collections.abc import Iterator, Sequence

import torch

from .arguments import whole
from .schedule import NoiseSchedule, at

Generator = torch.Generator | Sequence[torch.Generator] | None


def randn_like(x: torch.Tensor, generator: Generator = None) -> torch.Tensor:
    """Standard normal noise shaped like x, drawn on the CPU in float32 and then moved, so a seed means one noise.

    With one generator a sample, each draws what it would draw alone. Raises: ValueError if there are more or fewer.
    """
    if isinstance(generator, Sequence):
        if len(generator) != len(x):
            raise ValueError(f"wanted one generator for each of {len(x)} samples, got {len(generator)}")
        return torch.cat([torch.randn(x[:1].shape, generator=g) for g in generator]).to(x)
    return torch.randn(x.shape, generator=generator, dtype=torch.float32).to(x)


def add_noise(x0: torch.Tensor, eps: torch.Tensor, t: int | torch.Tensor, schedule: NoiseSchedule) -> torch.Tensor:
    """Jump to time t: x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps.

    Args:
        x0: clean pictures, (B, ...).
        eps: standard normal noise, the same shape.
        t: one time 0..T, or one per sample, (B,).
    Raises: ValueError if the shapes differ or a time lies outside 0..T.
    Source: Ho et al. (2020), arXiv 2006.11239, equation 4.
    """
    if x0.shape != eps.shape:
        raise ValueError(f"x0 and eps must have one shape, got {tuple(x0.shape)} and {tuple(eps.shape)}")
    return at(schedule.signal, t, x0) * x0 + at(schedule.noise, t, x0) * eps


def forward_chain(
    x0: torch.Tensor, schedule: NoiseSchedule, *, start: int = 0, generator: torch.Generator | None = None
) -> Iterator[torch.Tensor]:
    """Noise x0 one small step at a time; yields x_1 .. x_T, each of x0's shape.

    x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) z with a fresh z at every step.

    Args:
        start: the time x0 is of, if the chain is to go on from x_start; then x_{start+1} .. x_T come.
    Raises: ValueError if start lies outside 0..T, when the first step is asked for.
    Source: Ho et al. (2020), arXiv 2006.11239, equation 2.
    """
    start = whole("start", start, 0, schedule.T)
    x = x0
    for beta in schedule.beta[start + 1 :].tolist():
        x = (1 - beta) ** 0.5 * x + beta**0.5 * randn_like(x, generator)
        yield x


def posterior(
    x0: torch.Tensor, x_t: torch.Tensor, t: int | torch.Tensor, s: int | torch.Tensor, schedule: NoiseSchedule
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of q(x_s | x_t, x0), the exact step back to an earlier time s < t.

    Args:
        x0, x_t: the picture and its noised state, (B, ...).
        t, s: times, each one integer or one per sample.
    Returns: the mean, (B, ...), and the variance, 0-d or (B, 1, ..., 1).
    Raises: ValueError unless 0 <= s < t <= T.
    Source: Ho et al. (2020), arXiv 2006.11239, equations 6 and 7, with t - 1 widened to any s.
    """
    if x0.shape != x_t.shape:
        raise ValueError(f"x0 and x_t must have one shape, got {tuple(x0.shape)} and {tuple(x_t.shape)}")
    like = torch.empty(*x0.shape[:1], *[1] * (x0.ndim - 1), dtype=torch.float64)  # float32 loses 1 - alpha_bar
    a_t, a_s = at(schedule.alpha_bar, t, like), at(schedule.alpha_bar, s, like)
    if not (a_t < a_s).all():
        raise ValueError(f"the earlier time s must lie below t, got s = {s} and t = {t}")
    step = a_t / a_s  # the signal kept between s and t: alpha_t where s = t - 1
    of_x0, of_x_t = a_s.sqrt() * (1 - step) / (1 - a_t), step.sqrt() * (1 - a_s) / (1 - a_t)
    variance = (1 - a_s) / (1 - a_t) * (1 - step)
    if variance.ndim:
        of_x0, of_x_t, variance = of_x0.to(x0), of_x_t.to(x0), variance.to(x0)
    return of_x0 * x0 + of_x_t * x_t, variance
