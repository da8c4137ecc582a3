"""How much signal and how much noise stand in a picture at every time: alpha_bar and its readings."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from .arguments import whole

MAX_T = 1_000_000
SPACINGS = ("trailing", "leading", "even", "karras")


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """A variance-preserving schedule: x_t = signal[t] x0 + noise[t] eps, with signal^2 + noise^2 = 1.

    Args:
        alpha_bar: the share of the signal's variance left at every time, float64 of shape (T + 1,),
            strictly falling from ``alpha_bar[0] == 1``; the last entry may be 0 (zero terminal SNR).
    Raises: ValueError if it is not such a sequence.
    Source: Ho et al. (2020), arXiv 2006.11239, equation 4; time 0 is the clean picture.
    """

    alpha_bar: torch.Tensor

    def __post_init__(self):
        a = torch.as_tensor(self.alpha_bar, dtype=torch.float64).detach().clone()  # what is frozen is not shared
        object.__setattr__(self, "alpha_bar", a)
        if a.ndim != 1 or len(a) < 2:
            raise ValueError(f"alpha_bar must have shape (T + 1,) with T at least 1, got {tuple(a.shape)}")
        if not a.isfinite().all():
            raise ValueError("alpha_bar must be finite, got NaN or infinity")
        if a[0] == 1 and (a >= 0).all() and (a == 0).sum() > 1:
            raise ValueError(
                f"alpha_bar must fall strictly, but is 0 from t = {int((a == 0).nonzero()[0])} on: what is left of the "
                "picture there is less than float64 holds; fewer steps or smaller betas would fit"
            )
        if a[0] == 1 and (a.diff() == 0).any():
            t = int((a.diff() == 0).nonzero()[0])
            raise ValueError(f"alpha_bar must fall strictly, but is {a[t]:g} at t = {t} and at {t + 1}")
        if a[0] != 1 or a[-1] < 0 or not (a.diff() < 0).all():
            raise ValueError(
                f"alpha_bar must fall strictly from 1 and stay at or above 0, got {a[0]:g} ... {a[-1]:g}; "
                "every beta must lie in (0, 1), or reach 1 at T alone"
            )

    @property
    def T(self) -> int:
        """The number of noising steps; times run 0 (clean) to T."""
        return len(self.alpha_bar) - 1

    @cached_property
    def beta(self) -> torch.Tensor:
        """Variance added by each step, (T + 1,), with beta[0] = 0: beta_t = 1 - alpha_bar_t / alpha_bar_{t-1}."""
        return torch.cat([self.alpha_bar.new_zeros(1), 1 - self.alpha_bar[1:] / self.alpha_bar[:-1]])

    @cached_property
    def signal(self) -> torch.Tensor:
        """Amplitude of the picture in x_t, (T + 1,): sqrt(alpha_bar)."""
        return self.alpha_bar.sqrt()

    @cached_property
    def noise(self) -> torch.Tensor:
        """Amplitude of the noise in x_t, (T + 1,): sqrt(1 - alpha_bar)."""
        return (1 - self.alpha_bar).sqrt()

    @cached_property
    def snr(self) -> torch.Tensor:
        """Signal-to-noise ratio of variances, (T + 1,): alpha_bar / (1 - alpha_bar); infinite at 0."""
        return self.alpha_bar / (1 - self.alpha_bar)

    @cached_property
    def sigma(self) -> torch.Tensor:
        """Noise beside a signal of amplitude 1, (T + 1,): sqrt((1 - alpha_bar) / alpha_bar) (Karras et al. 2022)."""
        return ((1 - self.alpha_bar) / self.alpha_bar).sqrt()

    @cached_property
    def half(self) -> int | None:
        """The first time at which more of the variance is noise than picture: alpha_bar < 1/2. None: there is none."""
        first = int((self.alpha_bar >= 0.5).sum())
        return first if first <= self.T else None

    def to(self, device: torch.device | str) -> "NoiseSchedule":
        """The same schedule with its numbers on another device (training looks times up there)."""
        return NoiseSchedule(self.alpha_bar.to(device))

    def times(self, n: int, spacing: str = "trailing") -> torch.Tensor:
        """Integer times from T down to 0 for a walk of n steps.

        Args:
            n: steps, 1 to T.
            spacing: ``trailing`` T, T - T/n, ... (from T, evenly); ``leading`` 1, 1 + T//n, ... reversed;
                ``even`` n times evenly from T to 1; ``karras`` even in sigma^(1/7). All end with 0.
        Returns: strictly descending int64; times that fall together are kept once, so at most n + 1 of them.
        Raises: ValueError for n outside 1..T or an unknown spacing.
        Source: Lin et al. (2023), arXiv 2305.08891, table 2; Karras et al. (2022), arXiv 2206.00364, equation 5.
        """
        n, T = whole("steps n", n, 1, self.T), self.T
        if spacing == "trailing":
            times = torch.from_numpy(np.arange(T, 0, -T / n)[:n])  # the very sums of diffusers: halves round as there
        elif spacing == "leading":
            times = torch.arange(n).flip(0) * (T // n) + 1
        elif spacing == "even":
            times = torch.from_numpy(np.linspace(0, T - 1, n).round()) + 1 if n > 1 else torch.tensor([T])
        elif spacing == "karras":
            times = self.karras_times(n, T)
        else:
            raise ValueError(f"spacing must be one of {', '.join(SPACINGS)}, got {spacing!r}")
        return torch.cat([times.round().long(), torch.zeros(1, dtype=torch.int64)]).unique().flip(0)

    def karras_times(self, n: int, first: int, last: int = 1, rho: float = 7.0) -> torch.Tensor:
        """At most n times from first down to last, the nearest whole ones to an even spacing in sigma^(1/rho).

        Source: Karras et al. (2022), arXiv 2206.00364, equation 5.
        """
        sigma = self.sigma.cpu().numpy()
        start = first if self.alpha_bar[first] > 0 else first - 1  # sigma is infinite where alpha_bar is 0
        n -= first - start  # and that time is then a step of its own
        last = min(start, last)
        high, low = sigma[start] ** (1 / rho), sigma[last] ** (1 / rho)
        wanted = (high + np.linspace(0, 1, n) * (low - high)) ** rho
        known = np.arange(last, start + 1)
        times = np.interp(np.log(wanted), np.log(sigma[known]), known) if n else wanted
        return torch.tensor([*[first] * (first - start), *times], dtype=torch.float64).round().long().unique().flip(0)


def at(values: torch.Tensor, t: int | torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Look a schedule's values up at time t, shaped to multiply x.

    Args:
        values: any of a schedule's readings, (T + 1,).
        t: one time for the whole batch, or one per sample, (B,), integers 0..T.
        x: what they will multiply, (B, ...).
    Returns: a 0-d tensor for one time, (B, 1, ..., 1) in x's dtype and on its device for several.
    Raises: ValueError if t is no integer or lies outside 0..T.
    """
    if not isinstance(t, torch.Tensor) or t.ndim == 0:
        return values[whole("time t", t, 0, len(values) - 1)]
    if t.is_floating_point() or t.dtype == torch.bool:
        raise ValueError(f"times t must be integers, got {t.dtype}")
    if t.shape != x.shape[:1]:
        raise ValueError(f"times t must be one integer or of shape ({x.shape[0]},), got {tuple(t.shape)}")
    if t.numel() and not 0 <= t.min() <= t.max() < len(values):
        raise ValueError(f"times t must lie in 0..{len(values) - 1}, got {int(t.min())}..{int(t.max())}")
    return expand(values.to(t.device)[t], x)


def expand(values: float | torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Shape one number, or one per sample (B,), so that it multiplies x (B, ...): (B, 1, ..., 1).

    Raises: ValueError for any other shape, unless it goes with x's already.
    """
    values = torch.as_tensor(values)
    if values.ndim == 0:
        return values
    if values.shape == x.shape[:1]:
        return values.to(x).reshape(-1, *[1] * (x.ndim - 1))
    if values.ndim != x.ndim or any(n not in (1, m) for n, m in zip(values.shape, x.shape, strict=True)):
        raise ValueError(f"wanted one number or shape ({x.shape[0]},), got {tuple(values.shape)}")
    return values


def from_beta(beta: torch.Tensor) -> NoiseSchedule:
    """The schedule whose steps 1..T add the variances beta, (T,), each in (0, 1), the last perhaps 1.

    Raises: ValueError for another shape, or as `NoiseSchedule`.
    """
    if beta.ndim != 1:
        raise ValueError(f"beta must have shape (T,), got {tuple(beta.shape)}")
    beta = beta.double()
    return NoiseSchedule(torch.cat([beta.new_ones(1), (1 - beta).cumprod(0)]))


def linear(T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> NoiseSchedule:
    """beta evenly from beta_1 to beta_T.

    Raises: ValueError unless T is a whole number from 1 to 10^6 and 0 < beta_1 <= beta_T < 1.
    Source: Ho et al. (2020), arXiv 2006.11239, section 4.
    """
    T = _betas(T, beta_1, beta_T)
    return from_beta(torch.linspace(beta_1, beta_T, T, dtype=torch.float64))


def scaled_linear(T: int = 1000, beta_1: float = 0.00085, beta_T: float = 0.012) -> NoiseSchedule:
    """sqrt(beta) evenly from sqrt(beta_1) to sqrt(beta_T).

    Raises: ValueError as `linear`.
    Source: Rombach et al. (2022), arXiv 2112.10752, code.
    """
    T = _betas(T, beta_1, beta_T)
    return from_beta(torch.linspace(beta_1**0.5, beta_T**0.5, T, dtype=torch.float64) ** 2)


def cosine(T: int = 1000, s: float = 0.008, beta_max: float = 0.999) -> NoiseSchedule:
    """alpha_bar = cos^2 of a quarter turn, with beta held below beta_max.

    Raises: ValueError for a T as in `linear`, s outside [0, 1), or beta_max outside (0, 1).
    Source: Nichol & Dhariwal (2021), arXiv 2102.09672, equation 17.
    """
    T = whole("T", T, 1, MAX_T)
    if not 0 <= s < 1 or not 0 < beta_max < 1:
        raise ValueError(f"wanted s in [0, 1) and beta_max in (0, 1), got s = {s} and beta_max = {beta_max}")
    u = torch.arange(T + 1, dtype=torch.float64) / T
    f = ((u + s) / (1 + s) * torch.pi / 2).cos() ** 2
    return from_beta((1 - f[1:] / f[:-1]).clamp(max=beta_max))


def sigmoid(T: int = 1000, start: float = -3.0, end: float = 3.0, tau: float = 1.0) -> NoiseSchedule:
    """alpha_bar falls along a logistic curve from `start` to `end`, softened by tau, and ends at 1e-9.

    Raises: ValueError for a T as in `linear`, or unless start < end and tau > 0, all finite.
    Source: Chen (2023), arXiv 2301.10972, algorithm 1 (after Jabri et al. 2022).
    """
    T = whole("T", T, 1, MAX_T)
    if not (start < end and 0 < tau < float("inf") and end - start < float("inf")):
        raise ValueError(f"wanted finite start < end and tau > 0, got start {start}, end {end}, tau {tau}")
    u = torch.linspace(start, end, T + 1, dtype=torch.float64)
    curve = torch.sigmoid(u / tau)
    return NoiseSchedule(((curve[-1] - curve) / (curve[-1] - curve[0])).clamp(min=1e-9))


def quadratic(T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> NoiseSchedule:
    """`scaled_linear` between `linear`'s end points, under the name it had first.

    Raises: ValueError as `linear`.
    Source: Song et al. (2021), arXiv 2010.02502, code: the beta schedule "quad".
    """
    return scaled_linear(T, beta_1, beta_T)


def karras(T: int = 1000, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0) -> NoiseSchedule:
    """sigma^(1/rho) evenly from sigma_min at time 1 to sigma_max at T, held at equal SNR: alpha_bar = 1/(1 + sigma^2).

    Raises: ValueError for a T as in `linear`, or unless 0 < sigma_min < sigma_max and rho > 0, all finite.
    Source: Karras et al. (2022), arXiv 2206.00364, equation 5 and table 1.
    """
    T = whole("T", T, 1, MAX_T)
    if not (0 < sigma_min < sigma_max < float("inf") and 0 < rho < float("inf")):
        raise ValueError(
            f"wanted 0 < sigma_min < sigma_max and rho > 0, all finite, got sigma_min = {sigma_min}, "
            f"sigma_max = {sigma_max} and rho = {rho}"
        )
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    sigma = torch.linspace(high, low, T, dtype=torch.float64).flip(0) ** rho  # one time alone has sigma_max
    return from_sigma(sigma)


def flow(T: int = 1000) -> NoiseSchedule:
    """The straight line x = (1 - u) x0 + u eps with u = t / T, held at equal SNR: sigma = u / (1 - u).

    At T nothing of the picture is left. `shifted` moves it as its users do.
    Raises: ValueError for a T as in `linear`.
    Source: Lipman et al. (2023), arXiv 2210.02747; Liu et al. (2023), arXiv 2209.03003, equation 1.
    """
    T = whole("T", T, 1, MAX_T)
    u = torch.arange(1, T + 1, dtype=torch.float64) / T
    return from_sigma(u / (1 - u))


def from_sigma(sigma: torch.Tensor) -> NoiseSchedule:
    """The schedule with the noise sigma, (T,), beside a signal of 1 at times 1..T, the last perhaps infinite."""
    return NoiseSchedule(torch.cat([sigma.new_ones(1), 1 / (1 + sigma**2)]))


def shifted(schedule: NoiseSchedule, shift: float) -> NoiseSchedule:
    """The same times with sigma times `shift`: the SNR falls by its square. 1 changes nothing.

    A picture of s times the side hides its noise s times better, and wants this shift. On the flow line it is
    u -> shift u / (1 + (shift - 1) u).
    Raises: ValueError unless shift is above 0 and finite.
    Source: Hoogeboom et al. (2023), arXiv 2301.11093, equation 4; Esser et al. (2024), arXiv 2403.03206, equation 23.
    """
    if not 0 < shift < float("inf"):
        raise ValueError(f"wanted a finite shift above 0, got {shift}")
    a = schedule.alpha_bar
    return NoiseSchedule(a / (a + shift**2 * (1 - a)))


def zero_terminal_snr(schedule: NoiseSchedule) -> NoiseSchedule:
    """The repair of a schedule that leaves some signal at T: amplitudes lowered to end at 0, the first as before.

    Raises: ValueError if T is 1: there is no time left that could stay as it was.
    Source: Lin et al. (2023), arXiv 2305.08891, algorithm 1.
    """
    if schedule.T < 2:
        raise ValueError(f"the repair needs T of at least 2, got {schedule.T}")
    first, last = schedule.signal[1], schedule.signal[-1]
    signal = (schedule.signal[1:] - last) * (first / (first - last))
    return NoiseSchedule(torch.cat([signal.new_ones(1), signal**2]))


SCHEDULES: dict[str, Callable[..., NoiseSchedule]] = {
    "linear": linear,
    "scaled_linear": scaled_linear,
    "quadratic": quadratic,
    "cosine": cosine,
    "sigmoid": sigmoid,
    "karras": karras,
    "flow": flow,
}


def named_schedule(name: str, **arguments) -> NoiseSchedule:
    """The schedule of that name in `SCHEDULES`. Raises: ValueError with the known names."""
    if name not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {name!r}")
    return SCHEDULES[name](**arguments)


def _betas(T, beta_1, beta_T) -> int:
    T = whole("T", T, 1, MAX_T)
    if not 0 < beta_1 <= beta_T < 1:
        raise ValueError(f"wanted 0 < beta_1 <= beta_T < 1, got beta_1 = {beta_1} and beta_T = {beta_T}")
    return T
