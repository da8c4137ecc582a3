"""What a denoiser says about x_t, in one form whatever it was trained to say, and how to guide it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from .schedule import NoiseSchedule, expand


@dataclass(frozen=True, eq=False)
class Prediction:
    """A denoiser's answer: the clean picture x0 and the noise eps it sees in x, both of x's shape.

    They fit together as x = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps, so either gives the other. In the
    three readings below ``alpha_bar_t`` is one number, a 0-d tensor, or one per sample, (B,).
    """

    x0: torch.Tensor
    eps: torch.Tensor

    @classmethod
    def from_eps(cls, x: torch.Tensor, eps: torch.Tensor, alpha_bar_t: float | torch.Tensor) -> "Prediction":
        """Read a predicted noise: x0 = (x - sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_bar_t).

        Raises: ValueError at alpha_bar_t = 0, where the noise says nothing about the picture.
        Source: Ho et al. (2020), arXiv 2006.11239, equation 15.
        """
        signal, noise = _amplitudes(alpha_bar_t, x)
        if not (signal > 0).all():
            raise ValueError("a noise prediction cannot give x0 where alpha_bar = 0: predict x0 or v there")
        return cls((x - noise * eps) / signal, eps)

    @classmethod
    def from_x0(cls, x: torch.Tensor, x0: torch.Tensor, alpha_bar_t: float | torch.Tensor) -> "Prediction":
        """Read a predicted picture: eps = (x - sqrt(alpha_bar_t) x0) / sqrt(1 - alpha_bar_t).

        Raises: ValueError at alpha_bar_t = 1, where there is no noise to speak of.
        """
        signal, noise = _amplitudes(alpha_bar_t, x)
        if not (noise > 0).all():
            raise ValueError("a picture prediction cannot give eps where alpha_bar = 1: there is no noise at t = 0")
        return cls(x0, (x - signal * x0) / noise)

    @classmethod
    def from_v(cls, x: torch.Tensor, v: torch.Tensor, alpha_bar_t: float | torch.Tensor) -> "Prediction":
        """Read a predicted velocity, finite at every alpha_bar_t.

        Source: Salimans & Ho (2022), arXiv 2202.00512, appendix D: x0 = alpha x - sigma v, eps = sigma x + alpha v.
        """
        signal, noise = _amplitudes(alpha_bar_t, x)
        return cls(signal * x - noise * v, noise * x + signal * v)


def velocity(x0: torch.Tensor, eps: torch.Tensor, alpha_bar_t: float | torch.Tensor) -> torch.Tensor:
    """The target of v-prediction: v = sqrt(alpha_bar_t) eps - sqrt(1 - alpha_bar_t) x0.

    Args:
        x0, eps: the picture and the noise that was added, (B, ...).
        alpha_bar_t: one number, or one per sample, (B,).
    Source: Salimans & Ho (2022), arXiv 2202.00512, section 4.
    """
    signal, noise = _amplitudes(alpha_bar_t, x0)
    return signal * eps - noise * x0


# What a network may be trained to say of x_t, by the names that checkpoints use: how its answer is read, from x_t, the
# answer and alpha_bar_t; and what it is told to say, from x0, eps and alpha_bar_t.
READINGS: dict[str, Callable[[torch.Tensor, torch.Tensor, float | torch.Tensor], Prediction]] = {
    "epsilon": Prediction.from_eps,
    "sample": Prediction.from_x0,
    "v_prediction": Prediction.from_v,
}
TARGETS: dict[str, Callable[[torch.Tensor, torch.Tensor, float | torch.Tensor], torch.Tensor]] = {
    "epsilon": lambda x0, eps, alpha_bar_t: eps,
    "sample": lambda x0, eps, alpha_bar_t: x0,
    "v_prediction": velocity,
}


class Denoiser(Protocol):
    """Anything that says what it sees in x at time t (0..T, one for the whole batch)."""

    def __call__(self, x: torch.Tensor, t: int, /) -> Prediction: ...


def guide(cond: Prediction, uncond: Prediction, scale: float) -> Prediction:
    """Classifier-free guidance: eps_u + scale (eps_c - eps_u), and the same for x0.

    Args:
        scale: 0 is the unconditional prediction, 1 the conditional one, above 1 goes past it. Ho & Salimans'
            w is scale - 1.
    Raises: ValueError if scale is not finite.
    Source: Ho & Salimans (2022), arXiv 2207.12598, equation 6.
    """
    if not math.isfinite(scale):
        raise ValueError(f"the guidance scale must be a finite number, got {scale}")
    return Prediction(
        uncond.x0 + scale * (cond.x0 - uncond.x0),
        uncond.eps + scale * (cond.eps - uncond.eps),
    )


def guided(cond: Denoiser, uncond: Denoiser, scale: float | Callable[[int], float]) -> Denoiser:
    """A denoiser that asks both and guides one by the other; scale is a number or a function of t."""

    def denoiser(x: torch.Tensor, t: int) -> Prediction:
        return guide(cond(x, t), uncond(x, t), scale(t) if callable(scale) else scale)

    return denoiser


def classifier_guided(
    denoiser: Denoiser,
    gradient: Callable[[torch.Tensor, int], torch.Tensor],
    schedule: NoiseSchedule,
    scale: float,
) -> Denoiser:
    """A denoiser led by a classifier: the score gains scale times the gradient of log p(y | x_t).

    With the exact gradient this is `guided` between the class and all data at the same scale: 0 is unguided, 1 draws
    the class.

    Args:
        gradient: of log p(y | x_t) in x, (B, ...), for x of that shape and a time.
    Raises: ValueError if scale is not finite; the denoiser, where alpha_bar = 0 and a class leaves no trace in x.
    Source: Dhariwal & Nichol (2021), arXiv 2105.05233, algorithm 2: eps - sqrt(1 - alpha_bar_t) scale gradient.
    """
    if not math.isfinite(scale):
        raise ValueError(f"the guidance scale must be a finite number, got {scale}")

    def led(x: torch.Tensor, t: int) -> Prediction:
        p, noise, signal = denoiser(x, t), schedule.noise[t], schedule.signal[t]
        if not signal > 0:
            raise ValueError("a classifier can say nothing where alpha_bar = 0: choose a schedule that keeps a trace")
        push = scale * gradient(x, t)
        return Prediction(p.x0 + noise**2 / signal * push, p.eps - noise * push)

    return led


def _amplitudes(alpha_bar_t: float | torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    a = torch.as_tensor(alpha_bar_t, dtype=torch.float64)  # in float32, 1 - alpha_bar loses its digits near t = 0
    if not ((a >= 0) & (a <= 1)).all():
        raise ValueError(f"alpha_bar_t must lie in [0, 1], got {alpha_bar_t}")
    return expand(a.sqrt(), x), expand((1 - a).sqrt(), x)
