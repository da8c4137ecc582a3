"""Every sampler against diffusers' scheduler on shared noise, times and exact predictions, and against closed forms."""

import math
from itertools import pairwise

import diffusers
import numpy as np
import pytest
import torch

from core.denoiser import Prediction
from core.forward import randn_like
from core.mixtures import GaussianMixture, empirical_denoiser
from core.samplers import SAMPLERS, named_sampler, terms
from core.schedule import NoiseSchedule, cosine, scaled_linear

SCHEDULE = scaled_linear()
BETAS = dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, num_train_timesteps=1000)
MIXTURE = GaussianMixture(
    torch.tensor([[1.0, -0.5], [-1.2, 0.3], [0.2, 1.5]]), torch.tensor([0.3, 0.1, 0.6]), torch.tensor([0.5, 0.2, 0.3])
)
DETERMINISTIC = [name for name, row in SAMPLERS.items() if not row.stochastic]


def start(n=64, seed=0, **kwargs):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), **kwargs)


def ours(name, x, times, *, schedule=SCHEDULE, mixture=MIXTURE, seed=1, **options):
    g = torch.Generator().manual_seed(seed)
    return list(SAMPLERS[name](mixture.denoiser(schedule), schedule, x, times, generator=g, **options))


def theirs(scheduler, x, *, seed=1, **options):
    """Run a diffusers scheduler whose network is the exact noise; it counts time from 0, ours from 1."""
    g, denoiser = torch.Generator().manual_seed(seed), MIXTURE.denoiser(SCHEDULE)
    sample = x * scheduler.init_noise_sigma
    if scheduler.init_noise_sigma != 1:  # sigma space: x_bar = x / signal at the first time exactly
        sample = x * (scheduler.sigmas[0] ** 2 + 1).sqrt()
    for t in scheduler.timesteps:
        eps = denoiser(scheduler.scale_model_input(sample, t), int(t) + 1).eps
        extra = {"generator": g} if "generator" in scheduler.step.__code__.co_varnames else {}
        sample = scheduler.step(eps, t, sample, **extra, **options).prev_sample
    return sample


def close(a, b, rtol=1e-4):
    """Relative to the size of the whole: no coordinate of these samples is let off for being small."""
    return ((a - b).norm() / b.norm()).item() < rtol and (a - b).abs().max().item() < 10 * rtol


UNEVEN = [999, 920, 799, 640, 501, 333, 210, 120, 61, 30, 9, 1]  # diffusers' times, from 0


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("n, spacing", [(20, "leading"), (50, "leading"), (20, "trailing")])
def test_ddim_equals_diffusers(n, spacing, eta):
    scheduler = diffusers.DDIMScheduler(
        **BETAS, clip_sample=False, set_alpha_to_one=True, timestep_spacing=spacing, steps_offset=0
    )
    scheduler.set_timesteps(n)
    x = start()
    got = ours("ddim", x, SCHEDULE.times(n, spacing), eta=eta)[-1].x_next
    assert close(got, theirs(scheduler, x, eta=eta))


def test_ddim_that_ends_at_time_one():
    """A checkpoint with set_alpha_to_one = False stops at the first noise level."""
    scheduler = diffusers.DDIMScheduler(
        **BETAS, clip_sample=False, set_alpha_to_one=False, timestep_spacing="leading", steps_offset=1
    )
    scheduler.set_timesteps(20)
    times = [int(t) + 1 for t in scheduler.timesteps] + [1]
    assert close(ours("ddim", start(), times)[-1].x_next, theirs(scheduler, start()))


@pytest.mark.parametrize("timesteps", [UNEVEN, list(range(990, -1, -10))])
def test_ddpm_equals_diffusers(timesteps):
    scheduler = diffusers.DDPMScheduler(**BETAS, clip_sample=False, variance_type="fixed_small")
    scheduler.set_timesteps(timesteps=timesteps)
    x, times = start(), [t + 1 for t in timesteps] + [0]
    assert close(ours("ddpm", x, times)[-1].x_next, theirs(scheduler, x))


@pytest.mark.parametrize("timesteps", [UNEVEN, list(range(999, 0, -50))])
@pytest.mark.parametrize(
    "name, scheduler",
    [
        ("euler", diffusers.EulerDiscreteScheduler),
        ("heun", diffusers.HeunDiscreteScheduler),
        ("dpmpp_2m", diffusers.DPMSolverMultistepScheduler),
    ],
)
def test_deterministic_samplers_equal_diffusers(name, scheduler, timesteps):
    scheduler = scheduler(**BETAS)
    scheduler.set_timesteps(timesteps=timesteps)
    x = start()
    assert close(ours(name, x, [t + 1 for t in timesteps] + [0])[-1].x_next, theirs(scheduler, x))


@pytest.mark.parametrize("n, spacing", [(8, "trailing"), (20, "trailing"), (30, "leading")])
def test_unipc_equals_diffusers(n, spacing):
    scheduler = diffusers.UniPCMultistepScheduler(**BETAS, timestep_spacing=spacing)
    scheduler.set_timesteps(n)
    x, times = start(), [int(t) + 1 for t in scheduler.timesteps] + [0]
    assert close(ours("unipc", x, times)[-1].x_next, theirs(scheduler, x))


def test_euler_ancestral_equals_diffusers():
    scheduler = diffusers.EulerAncestralDiscreteScheduler(**BETAS, timestep_spacing="trailing")
    scheduler.set_timesteps(25)
    x = start()
    assert close(ours("euler_ancestral", x, SCHEDULE.times(25))[-1].x_next, theirs(scheduler, x))


def test_three_names_for_one_walk():
    """In exact arithmetic Euler in sigma is DDIM with eta 0; and DDPM, ancestral Euler and DDIM with eta 1 are one."""
    x, times = start(dtype=torch.float64), SCHEDULE.times(30)
    flow = [ours(name, x, times)[-1].x_next for name in ("ddim", "euler")]
    assert torch.allclose(*flow, atol=1e-9)
    a, b, c = (
        ours(name, x, times, **options)[-1].x_next
        for name, options in [("ddpm", {}), ("euler_ancestral", {}), ("ddim", {"eta": 1.0})]
    )
    assert torch.allclose(a, b, atol=1e-9) and torch.allclose(a, c, atol=1e-9)


GAUSS = GaussianMixture(torch.tensor([[0.7, -0.4]]), torch.tensor([0.5]), torch.tensor([1.0]))


def flow(x, t, s, schedule):
    """The probability flow of one Gaussian: it stretches around the moving mean as its standard deviation does."""
    a, b = schedule.alpha_bar[t], schedule.alpha_bar[s]
    stretch = ((b * 0.25 + 1 - b) / (a * 0.25 + 1 - a)).sqrt()
    return b.sqrt() * GAUSS.means + stretch * (x - a.sqrt() * GAUSS.means)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_orders_of_convergence(name):
    """Errors against the closed-form flow, Karras-spaced, n = 20 to 160, T = 100,000: the slope is the order."""
    schedule = scaled_linear(100_000, 0.0000085, 0.00012)
    x, low = start(16, dtype=torch.float64), 20  # over [t_min, T]: the jump to sigma = 0 is first order for all
    steps, errors = [20, 40, 80, 160], []
    for n in steps:
        times = schedule.times(n, "karras")
        times = torch.cat([times[times > low], torch.tensor([low])])
        end = ours(name, x, times, schedule=schedule, mixture=GAUSS)[-1].x_next
        errors.append((end - flow(x, schedule.T, low, schedule)).norm().item())
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(SAMPLERS[name].order, abs=0.25), errors


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_terms_of_a_step_add_up_to_it(name):
    """On shared noise, from an ordinary schedule and from one that leaves no signal."""
    options = {"eta": 0.6} if name == "ddim" else {}
    bare = NoiseSchedule(torch.cat([SCHEDULE.alpha_bar[:-1], torch.zeros(1, dtype=torch.float64)]))
    for schedule in (SCHEDULE, bare):
        x, times = start(dtype=torch.float64), schedule.times(8, "karras")
        steps, g = ours(name, x, times, schedule=schedule, **options), torch.Generator().manual_seed(1)
        draws = SAMPLERS[name].stochastic or bool(options)
        for i, step in enumerate(steps):
            z = randn_like(x, g) if draws else None
            sum_ = terms(name, MIXTURE.denoiser(schedule), schedule, steps, i, noise=z, **options)
            assert torch.allclose(sum(term.weight * term.vector for term in sum_), step.x_next, atol=1e-9), i
    with pytest.raises(ValueError, match=r"0\.\.\d+, got 99"):
        terms(name, MIXTURE.denoiser(SCHEDULE), SCHEDULE, steps, 99)


@pytest.mark.parametrize("name", ["ddpm", "euler_ancestral"])
def test_stochastic_samplers_reach_the_data(name):
    """20,000 particles, 200 steps: mean within 5 standard errors, standard deviation within 2 %."""
    end = ours(name, start(20_000), SCHEDULE.times(200, "karras"), mixture=GAUSS)[-1].x_next
    assert torch.allclose(
        end.mean(0).double(), GAUSS.means[0], atol=0.02
    )  # the start is not quite N(0, I): abar_T = 0.5 %
    assert torch.allclose(end.std(0), torch.tensor(0.5), rtol=0.02)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_data_set_comes_back(name):
    """Followed to t = 0 the exact denoiser of a data set ends on its members, picture-shaped too."""
    data = torch.randn(12, 1, 4, 4, generator=torch.Generator().manual_seed(5))
    x = torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(6))
    denoiser = empirical_denoiser(data, SCHEDULE)
    steps = list(SAMPLERS[name](denoiser, SCHEDULE, x, SCHEDULE.times(60, "karras"), generator=torch.Generator()))
    end = steps[-1].x_next
    assert torch.cdist(end.flatten(1), data.flatten(1)).amin(1).max() < 1e-2
    assert steps[0].t == 1000 and steps[-1].t_next == 0 and torch.equal(steps[0].x, x)
    for a, b in pairwise(steps):
        assert a.x_next is b.x and a.t_next == b.t


@pytest.mark.parametrize("name", SAMPLERS)
def test_from_zero_terminal_snr(name):
    """At alpha_bar_T = 0 a picture prediction keeps every sampler finite, and the first step is the limit's."""
    base = cosine(100).alpha_bar
    schedule = NoiseSchedule(torch.cat([base[:-1], torch.zeros(1, dtype=torch.float64)]))
    near = NoiseSchedule(torch.cat([base[:-1], torch.full((1,), 1e-12, dtype=torch.float64)]))
    x, times = start(dtype=torch.float64), [100, 80, 60, 40, 20, 10, 0]
    a, b = (ours(name, x, times, schedule=s) for s in (schedule, near))
    assert all(step.x_next.isfinite().all() for step in a)
    assert torch.allclose(a[0].x_next, b[0].x_next, atol=1e-4)


def test_a_noise_prediction_at_zero_terminal_snr_is_refused():
    schedule = NoiseSchedule(torch.tensor([1, 0.5, 0.0]))

    def denoiser(x, t):
        return Prediction.from_eps(x, x, schedule.alpha_bar[t])

    with pytest.raises(ValueError, match="alpha_bar = 0"):
        list(SAMPLERS["ddim"](denoiser, schedule, start(), [2, 1, 0]))


@pytest.mark.parametrize("name", SAMPLERS)
def test_chance_is_the_generators(name):
    """The same seed gives the same bytes; another gives others exactly where the table says so."""
    x, times = start(), SCHEDULE.times(10)
    a, b, c = (ours(name, x, times, seed=seed)[-1].x_next for seed in (1, 1, 2))
    assert torch.equal(a, b) and torch.equal(a, c) != SAMPLERS[name].stochastic
    assert not a.requires_grad


def test_denoiser_calls_are_as_the_table_says():
    for row in SAMPLERS.values():
        asked, exact = [], MIXTURE.denoiser(SCHEDULE)

        def denoiser(x, t, asked=asked, exact=exact):
            asked.append(t)
            return exact(x, t)

        list(row(denoiser, SCHEDULE, start(), [1000, 500, 100, 0], generator=torch.Generator()))
        assert len(asked) == 3 * row.calls - (row.calls - 1)  # the last step is Euler's
        assert min(asked) >= 1  # a network is never asked about time 0


def test_ddim_without_noise_leaves_the_generator_alone():
    g = torch.Generator().manual_seed(3)
    list(SAMPLERS["ddim"](MIXTURE.denoiser(SCHEDULE), SCHEDULE, start(), [1000, 0], generator=g))
    assert torch.equal(randn_like(torch.zeros(3), g), randn_like(torch.zeros(3), torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize(
    "x, times, words",
    [
        (torch.full((2, 2), math.nan), [1000, 0], "finite"),
        (torch.full((2, 2), math.inf), [1000, 0], "finite"),
        (torch.zeros(2, 2, dtype=torch.int64), [1000, 0], "float"),
        (torch.zeros(2, 2), [1000], "two integers"),
        (torch.zeros(2, 2), [], "two integers"),
        (torch.zeros(2, 2), [1000.0, 0.0], "integers"),
        (torch.zeros(2, 2), [0, 1000], "descend"),
        (torch.zeros(2, 2), [1000, 500, 500, 0], "descend"),
        (torch.zeros(2, 2), [1001, 0], "1000..0"),
        (torch.zeros(2, 2), [1000, -1], "1000..0"),
    ],
)
def test_bad_walks(name, x, times, words):
    with pytest.raises(ValueError, match=words):
        next(SAMPLERS[name](MIXTURE.denoiser(SCHEDULE), SCHEDULE, x, times, generator=torch.Generator()))


def test_bad_options():
    with pytest.raises(ValueError, match=r"eta must be in \[0, 1\], got 1.5"):
        ours("ddim", start(), [1000, 0], eta=1.5)
    with pytest.raises(ValueError, match="nan"):
        ours("ddim", start(), [1000, 0], eta=math.nan)
    with pytest.raises(ValueError, match="no options"):
        ours("heun", start(), [1000, 0], eta=0.5)
    with pytest.raises(ValueError, match="ddpm, ddim, euler"):
        named_sampler("plms")
