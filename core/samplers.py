"""From noise to data, one step at a time: every sampler is a generator that asks a denoiser and moves x."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from .denoiser import Denoiser, Prediction
from .forward import Generator, posterior, randn_like
from .schedule import NoiseSchedule


@dataclass(frozen=True, eq=False)
class Step:
    """One step: from x at time t, with what the denoiser said there, to x_next at the earlier time t_next."""

    t: int
    t_next: int
    x: torch.Tensor
    prediction: Prediction
    x_next: torch.Tensor


Times = torch.Tensor | Sequence[int]


def unrolled(steps: Sequence[Step]) -> tuple[list[torch.Tensor], list[torch.Tensor], list[int]]:
    """A walk of n steps as its n + 1 states, its n guesses of x0, and its n + 1 times."""
    states = [steps[0].x, *(step.x_next for step in steps)]
    return states, [step.prediction.x0 for step in steps], [steps[0].t, *(step.t_next for step in steps)]


@torch.no_grad()
def ddpm(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    x: torch.Tensor,
    times: Times,
    *,
    s_noise: float = 1.0,
    generator: Generator = None,
) -> Iterator[Step]:
    """Draw each earlier state from the posterior, as if the predicted picture were the true one.

    Args:
        denoiser: what is asked at every time.
        x: the state at ``times[0]``, shape (B, ...); unit variance at T.
        times: strictly descending integers, shape (steps + 1,).
        s_noise: what the fresh noise is multiplied by; with 0 every step goes to the posterior's mean.
        generator: where the fresh noise of every step comes from.
    Yields: one `Step` per pair of times; the last ``x_next`` is the sample.
    Raises: ValueError if x is not finite or the times do not descend within 0..T, when the first step is asked for.
    Source: Ho et al. (2020), arXiv 2006.11239, algorithm 2 with equations 6 and 7 (the smaller variance).
    """
    for t, s in time_pairs(x, times, schedule):
        p = denoiser(x, t)
        mean, variance = posterior(p.x0, x, t, s, schedule)
        x_next = combine((1, mean), (s_noise * variance.sqrt(), randn_like(x, generator)))
        yield Step(t, s, x, p, x_next)
        x = x_next


@torch.no_grad()
def ddim(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    x: torch.Tensor,
    times: Times,
    *,
    eta: float = 0.0,
    generator: Generator = None,
) -> Iterator[Step]:
    """Walk noise to data with DDIM (eta = 0) or ancestral DDPM (eta = 1) steps.

    Args and yields as `ddpm`; eta: the standard deviation of the fresh noise, as a share of the posterior's, 0 to 1.
    Raises: ValueError as `ddpm`, and if eta is outside [0, 1].
    Source: Song et al. (2021), arXiv 2010.02502, equations 12 and 16.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must be in [0, 1], got {eta}")
    for t, s in time_pairs(x, times, schedule):
        p, a_t, a_s = denoiser(x, t), schedule.alpha_bar[t], schedule.alpha_bar[s]
        fresh = eta * ((1 - a_s) / (1 - a_t) * (1 - a_t / a_s)).sqrt()  # eq. 16
        kept = (1 - a_s - fresh**2).clamp(min=0).sqrt()
        x_next = combine((a_s.sqrt(), p.x0), (kept, p.eps))  # eq. 12
        if eta > 0:
            x_next = x_next + fresh * randn_like(x, generator)
        yield Step(t, s, x, p, x_next)
        x = x_next


@torch.no_grad()
def euler(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    x: torch.Tensor,
    times: Times,
    *,
    generator: Generator = None,
) -> Iterator[Step]:
    """Follow the probability flow in straight steps of sigma: d x_bar / d sigma = eps, with x_bar = x / signal.

    As x_bar = x0 + sigma_t eps, the step ends on x0 + sigma_s eps: the same walk as `ddim` with eta = 0, and finite
    where sigma_t is not. Args, yields and raises as `ddpm`; no noise is drawn.
    Source: Karras et al. (2022), arXiv 2206.00364, algorithm 1 without its correction; order 1.
    """
    for t, s in time_pairs(x, times, schedule):
        p = denoiser(x, t)
        x_next = schedule.signal[s] * combine((1, p.x0), (schedule.sigma[s], p.eps))
        yield Step(t, s, x, p, x_next)
        x = x_next


@torch.no_grad()
def euler_ancestral(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    x: torch.Tensor,
    times: Times,
    *,
    generator: Generator = None,
) -> Iterator[Step]:
    """An Euler step to below the wanted sigma, then fresh noise up to it: by another way the step of `ddpm`, and of
    `ddim` with eta = 1. Args, yields and raises as `ddpm`.

    Source: k-diffusion, `sample_euler_ancestral`: sigma_up^2 + sigma_down^2 = sigma_s^2; the posterior's own variance.
    """
    for t, s in time_pairs(x, times, schedule):
        p, sigma_t, sigma_s = denoiser(x, t), schedule.sigma[t], schedule.sigma[s]
        down = sigma_s**2 / sigma_t
        up = (sigma_s**2 - down**2).sqrt()
        x_next = schedule.signal[s] * combine((1, p.x0), (down, p.eps), (up, randn_like(x, generator)))
        yield Step(t, s, x, p, x_next)
        x = x_next


@torch.no_grad()
def heun(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    x: torch.Tensor,
    times: Times,
    *,
    generator: Generator = None,
) -> Iterator[Step]:
    """An Euler step, then once more with the mean of the slopes at both ends: two denoiser calls a step.

    The step to sigma = 0 stays Euler's, and so does one from pure noise (sigma above 1000, or infinite), where the
    correction would multiply every error of the denoiser by sigma. Args, yields and raises as `ddpm`; no noise drawn.
    Source: Karras et al. (2022), arXiv 2206.00364, algorithm 1; order 2.
    """
    for t, s in time_pairs(x, times, schedule):
        p, sigma_t, sigma_s = denoiser(x, t), schedule.sigma[t], schedule.sigma[s]
        x_next = schedule.signal[s] * combine((1, p.x0), (sigma_s, p.eps))
        if sigma_s > 0 and sigma_t <= 1000:
            correction = (denoiser(x_next, s).eps - p.eps) / 2  # mean slope less the first
            x_next = x_next + schedule.signal[s] * (sigma_s - sigma_t) * correction
        yield Step(t, s, x, p, x_next)
        x = x_next


@torch.no_grad()
def dpmpp_2m(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    x: torch.Tensor,
    times: Times,
    *,
    generator: Generator = None,
) -> Iterator[Step]:
    """DPM-Solver++(2M): x0 is held, over a step, at its value half the step on in lambda, on the straight line through
    this prediction and the one before; a step is off by O(h^3), h its length in lambda.

    The first step and the one to sigma = 0 take this prediction alone. Args, yields and raises as `ddpm`; no noise
    is drawn.
    Source: Lu et al. (2022), arXiv 2211.01095, algorithm 2, with lambda = -log sigma; order 2.
    """
    history = []
    for t, s in time_pairs(x, times, schedule):
        p = denoiser(x, t)
        history = [*history[-1:], (t, p.x0)]
        x_next = exponential_step(x, extrapolated_x0(history, s, schedule), t, s, schedule)
        yield Step(t, s, x, p, x_next)
        x = x_next


@torch.no_grad()
def unipc(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    x: torch.Tensor,
    times: Times,
    *,
    generator: Generator = None,
) -> Iterator[Step]:
    """UniPC: steps of `dpmpp_2m`, each set right once the next prediction is there, at no further denoiser call.

    What was predicted at x also says how x0 bent over the step that led to x; the step is taken again with it, and
    the next one starts from that corrected x (`Step.x` is the x the denoiser was asked about). Args, yields and
    raises as `ddpm`; no noise is drawn.
    Source: Zhao et al. (2023), arXiv 2302.04867, algorithms 1 and 2 for x0, p = 2, B(h) = e^h - 1; order 3.
    """
    start, history = x, []  # start: the corrected x at the last time
    for t, s in time_pairs(x, times, schedule):
        p = denoiser(x, t)
        history = [*history[-2:], (t, p.x0)]
        start = corrected(start, history, schedule)
        x_next = exponential_step(start, extrapolated_x0(history, s, schedule), t, s, schedule)
        yield Step(t, s, x, p, x_next)
        x = x_next


History = Sequence[tuple[int, torch.Tensor]]  # (time, x0 as predicted then), the latest last


def exponential_step(x: torch.Tensor, x0: torch.Tensor, t: int, s: int, schedule: NoiseSchedule) -> torch.Tensor:
    """Where the flow takes x from t to s if x0 stays the same all the way: exactly, however long the step.

    Source: Lu et al. (2022), arXiv 2211.01095: the solver of order 1, which is DDIM.
    """
    shrink = schedule.sigma[s] / schedule.sigma[t]
    return combine((schedule.noise[s] / schedule.noise[t], x), (schedule.signal[s] * (1 - shrink), x0))


def extrapolated_x0(history: History, s: int, schedule: NoiseSchedule) -> torch.Tensor:
    """x0 half a step on towards s, on the straight line in lambda = -log sigma through the last two predictions.

    The first step has no line to follow, and the one to sigma = 0 no half.
    """
    *_, (t, x0) = history
    if len(history) < 2 or s == 0:
        return x0
    last, x0_last = history[-2]
    ahead = _lambda_step(t, s, schedule) / _lambda_step(last, t, schedule) / 2
    return combine((1 + ahead, x0), (-ahead, x0_last))


def corrected(start: torch.Tensor, history: History, schedule: NoiseSchedule) -> torch.Tensor:
    """UniC-2: the last step taken again from where it began, now that x0 is predicted at its end too.

    The first step takes the mean of its two predictions; later ones are exact for the parabola through three.
    Source: Zhao et al. (2023), arXiv 2302.04867, theorem 3.1 with r = (-h_last / h, 1), in -h as x0 is predicted.
    """
    if len(history) < 2:
        return start
    (before, x0_before), (t, x0) = history[-2:]
    x0_mean = (x0 + x0_before) / 2  # over the step, each time weighed as the exponential integrator does
    if len(history) > 2:
        first, x0_first = history[-3]
        h, h_last = _lambda_step(before, t, schedule), _lambda_step(first, before, schedule)
        phi = -math.expm1(-h) / h - 1
        b_1, b_2 = phi / math.expm1(-h), -2 * (phi / h + 0.5) / math.expm1(-h)
        w_first = (b_1 - b_2) / (1 + h_last / h) * -h / h_last
        w_now = b_1 + w_first * h_last / h if h_last < math.inf else b_1
        x0_mean = combine((1 - w_now - w_first, x0_before), (w_now, x0), (w_first, x0_first))
    return exponential_step(start, x0_mean, before, t, schedule)


def _lambda_step(t: int, s: int, schedule: NoiseSchedule) -> float:
    return float(schedule.sigma[t].log() - schedule.sigma[s].log())


@dataclass(frozen=True, eq=False)
class Term:
    """One summand of a step, weight times vector; `name` is x, x0, eps, z, eps_next, x0_last or correction."""

    name: str
    weight: float
    vector: torch.Tensor


def terms(
    name: str,
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    steps: Sequence[Step],
    i: int,
    *,
    noise: torch.Tensor | None = None,
    eta: float = 0.0,
) -> list[Term]:
    """What step i of a walk adds up: x_next is the sum of the terms, to rounding.

    Args:
        name, denoiser, schedule: of the walk. steps: the walk up to i at least.
        noise: the fresh noise that step drew, where it draws any. eta: ddim's.
    Raises: ValueError for an unknown name, one without arrows of its own here, or an i outside the steps.
    Source: each sampler's own; here every one in the variance-preserving x.
    """
    named_sampler(name)
    if not 0 <= i < len(steps):
        raise ValueError(f"step i must lie in 0..{len(steps) - 1}, got {i}")
    step, z = steps[i], torch.zeros_like(steps[i].x) if noise is None else noise
    t, s, x, x0, eps = step.t, step.t_next, step.x, step.prediction.x0, step.prediction.eps
    a, b = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[s])
    sigma, sigma_s, signal_s = float(schedule.sigma[t]), float(schedule.sigma[s]), float(schedule.signal[s])
    if name == "ddpm":
        alpha = a / b
        spread = math.sqrt((1 - b) / (1 - a) * (1 - alpha))
        pull, keep = signal_s * (1 - alpha) / (1 - a), math.sqrt(alpha) * (1 - b) / (1 - a)
        return [Term("x0", pull, x0), Term("x", keep, x), Term("z", spread, z)]
    # From pure noise, or nearly: x and eps in units of a signal would be huge, and all but cancel.
    if name == "ddim" or (sigma > 1000 and name in ("euler", "heun", "euler_ancestral")):
        share = 1.0 if name == "euler_ancestral" else eta if name == "ddim" else 0.0
        fresh = share * math.sqrt((1 - b) / (1 - a) * (1 - a / b))
        drawn = [Term("z", fresh, z)] * (fresh > 0 or name == "ddim")
        return [Term("x0", signal_s, x0), Term("eps", math.sqrt(max(1 - b - fresh**2, 0)), eps), *drawn]
    if name in ("dpmpp_2m", "unipc"):
        ratio, gain = float(schedule.noise[s] / schedule.noise[t]), signal_s * (1 - sigma_s / sigma)
        history = [(past.t, past.prediction.x0) for past in steps[: i + 1]]
        out = [Term("x", ratio, x)]
        if name == "unipc":
            start = steps[0].x
            for j in range(i + 1):
                start = corrected(start, history[max(0, j - 2) : j + 1], schedule)
            out.append(Term("correction", ratio, start - x))
        if i == 0 or s == 0:
            return [*out, Term("x0", gain, x0)]
        ahead = _lambda_step(t, s, schedule) / _lambda_step(history[-2][0], t, schedule) / 2
        return [*out, Term("x0", gain * (1 + ahead), x0), Term("x0_last", -gain * ahead, history[-2][1])]
    ratio = signal_s / float(schedule.signal[t])
    if name == "euler_ancestral":
        down = sigma_s**2 / sigma
        up = math.sqrt(sigma_s**2 - down**2)
        return [Term("x", ratio, x), Term("eps", signal_s * (down - sigma), eps), Term("z", signal_s * up, z)]
    if name not in ("euler", "heun"):
        raise ValueError(f"no arrows are known for the sampler {name!r}: add its terms")
    stride = signal_s * (sigma_s - sigma)
    if name == "heun" and s > 0 and sigma <= 1000:
        after = denoiser(combine((ratio, x), (stride, eps)), s).eps
        return [Term("x", ratio, x), Term("eps", stride / 2, eps), Term("eps_next", stride / 2, after)]
    return [Term("x", ratio, x), Term("eps", stride, eps)]


@dataclass(frozen=True)
class Sampler:
    """A row of `SAMPLERS`: its steps, its order of convergence, denoiser calls a step, whether it draws noise."""

    steps: Callable[..., Iterator[Step]]
    title: str
    order: int
    calls: int = 1
    stochastic: bool = False
    options: tuple[str, ...] = ()

    def __call__(
        self,
        denoiser: Denoiser,
        schedule: NoiseSchedule,
        x: torch.Tensor,
        times: Times,
        *,
        generator: Generator = None,
        **options: float,
    ) -> Iterator[Step]:
        unknown = set(options) - set(self.options)
        if unknown:
            raise ValueError(f"{self.title} takes {', '.join(self.options) or 'no options'}, got {sorted(unknown)}")
        return self.steps(denoiser, schedule, x, times, generator=generator, **options)


SAMPLERS: dict[str, Sampler] = {
    "ddpm": Sampler(ddpm, "DDPM", order=1, stochastic=True),
    "ddim": Sampler(ddim, "DDIM", order=1, options=("eta",)),
    "euler": Sampler(euler, "Euler", order=1),
    "euler_ancestral": Sampler(euler_ancestral, "Euler ancestral", order=1, stochastic=True),
    "heun": Sampler(heun, "Heun", order=2, calls=2),
    "dpmpp_2m": Sampler(dpmpp_2m, "DPM-Solver++ (2M)", order=2),
    "unipc": Sampler(unipc, "UniPC", order=3),
}


def named_sampler(name: str) -> Sampler:
    """The row of that name in `SAMPLERS`. Raises: ValueError with the known names."""
    if name not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {name!r}")
    return SAMPLERS[name]


def time_pairs(x: torch.Tensor, times: Times, schedule: NoiseSchedule) -> list[tuple[int, int]]:
    """The pairs (t, s) of a walk, once x and times are seen to be fit for one. Raises: ValueError if they are not."""
    if not x.is_floating_point() or not x.isfinite().all():
        raise ValueError(f"x must be finite floats, got {x.dtype} with {int((~x.isfinite()).sum())} not finite")
    times = torch.as_tensor(times)
    if times.ndim != 1 or len(times) < 2 or times.is_floating_point() or times.dtype == torch.bool:
        raise ValueError(f"times must be two integers or more, got {times.dtype} of shape {tuple(times.shape)}")
    if not (times.diff() < 0).all() or times[-1] < 0 or times[0] > schedule.T:
        raise ValueError(f"times must descend strictly within {schedule.T}..0, got {times.tolist()}")
    return list(pairwise(times.tolist()))


def combine(*terms: tuple[float | torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """The weighted sum of the terms (weight, x), one number and one tensor each."""
    total = terms[0][0] * terms[0][1]
    for weight, x in terms[1:]:
        total = total + weight * x
    return total
