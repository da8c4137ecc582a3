"""Schedules against diffusers, plain-Python products, and their own definitions."""

import math

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, EDMEulerScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr
from hypothesis import given, settings
from hypothesis import strategies as st

from core import checks
from core.schedule import (
    SCHEDULES,
    SPACINGS,
    NoiseSchedule,
    at,
    cosine,
    expand,
    flow,
    from_beta,
    karras,
    linear,
    named_schedule,
    quadratic,
    scaled_linear,
    shifted,
    zero_terminal_snr,
)

DIFFUSERS = {
    "linear": dict(beta_schedule="linear", beta_start=1e-4, beta_end=0.02),
    "scaled_linear": dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
    "quadratic": dict(beta_schedule="scaled_linear", beta_start=1e-4, beta_end=0.02),
    "cosine": dict(beta_schedule="squaredcos_cap_v2"),
}


@pytest.mark.parametrize("name", DIFFUSERS)
@pytest.mark.parametrize("T", [50, 1000])
def test_alpha_bar_equals_diffusers(name, T):
    theirs = DDIMScheduler(num_train_timesteps=T, **DIFFUSERS[name]).alphas_cumprod.double()
    ours = SCHEDULES[name](T)
    # 1 - alpha_bar is theirs in float32, so compare with the float32 spacing; the last cosine entries are 1e-6 and less
    assert torch.allclose(ours.alpha_bar[1:], theirs, rtol=2e-4, atol=1e-9)
    assert ours.alpha_bar[0] == 1 and ours.T == T


def test_linear_is_the_product_of_the_paper():
    product, schedule = 1.0, linear(1000)
    for t in range(1, 1001):
        beta = 1e-4 + (t - 1) / 999 * (0.02 - 1e-4)
        product *= 1 - beta
        assert schedule.alpha_bar[t].item() == pytest.approx(product, rel=1e-12)
        assert schedule.beta[t].item() == pytest.approx(beta, rel=1e-9)


def test_cosine_closed_form_where_beta_is_not_capped():
    f = [math.cos((t / 100 + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(100)]
    assert np.allclose(cosine(100).alpha_bar[:100], np.array(f) / f[0], rtol=1e-10)


def test_sigmoid_follows_chens_algorithm():
    def sigmoid(z):
        return 1 / (1 + math.exp(-z))

    schedule = SCHEDULES["sigmoid"](200)
    for t in range(200):
        gamma = (sigmoid(3) - sigmoid(t / 200 * 6 - 3)) / (sigmoid(3) - sigmoid(-3))
        assert schedule.alpha_bar[t].item() == pytest.approx(max(gamma, 1e-9), rel=1e-10)
    assert schedule.alpha_bar[200].item() == 1e-9


@pytest.mark.parametrize("name", DIFFUSERS)
@pytest.mark.parametrize("T", [50, 1000])
def test_beta_equals_diffusers(name, T):
    """Step for step; theirs are float32."""
    theirs = DDIMScheduler(num_train_timesteps=T, **DIFFUSERS[name]).betas.double()
    assert torch.allclose(SCHEDULES[name](T).beta[1:], theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "quadratic"])
@pytest.mark.parametrize("T", [2, 50, 1000])
def test_zero_terminal_snr_equals_diffusers(name, T):
    ours = SCHEDULES[name](T)
    theirs = rescale_zero_terminal_snr(ours.beta[1:])
    repaired = zero_terminal_snr(ours)
    assert torch.allclose(repaired.beta[1:], theirs, rtol=1e-9, atol=1e-12)
    assert repaired.alpha_bar[-1] == 0 and repaired.beta[-1] == 1
    assert repaired.alpha_bar[1].item() == pytest.approx(ours.alpha_bar[1].item(), rel=1e-14)


def test_the_repair_leaves_a_repaired_schedule_as_it_is():
    once = zero_terminal_snr(scaled_linear(30))
    assert torch.allclose(zero_terminal_snr(once).alpha_bar, once.alpha_bar, rtol=1e-12)
    assert torch.allclose(zero_terminal_snr(flow(30)).alpha_bar, flow(30).alpha_bar, rtol=1e-12)


def test_karras_sigmas_equal_diffusers():
    """Two of its schedulers have them: EDM's own, and the one that respaces a model's sigmas."""
    s = karras(40, 0.002, 80.0, 7.0)
    edm = EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, rho=7.0)
    edm.set_timesteps(40)
    assert torch.allclose(s.sigma[1:].flip(0), edm.sigmas[:-1].double(), rtol=1e-5)
    euler = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    model = scaled_linear()
    low, high = model.sigma[1].item(), model.sigma[-1].item()
    theirs = euler._convert_to_karras(in_sigmas=np.array([high, low]), num_inference_steps=25)
    assert np.allclose(karras(25, low, high).sigma[1:].flip(0), theirs, rtol=1e-9)


@pytest.mark.parametrize("shift", [1.0, 3.0, 0.5])
def test_flow_line_and_its_shift_equal_diffusers(shift):
    """There sigma is the share of noise u on the line (1 - u) x0 + u eps, so u / (1 - u) is ours."""
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=shift)
    u = scheduler.sigmas.double().flip(0)
    assert len(u) == 1000
    ours = shifted(flow(1000), shift)
    assert torch.allclose(ours.sigma[1:1000], u[:-1] / (1 - u[:-1]), rtol=1e-3)  # theirs in float32, near u = 1
    assert u[-1] == 1 and ours.alpha_bar[-1] == 0
    assert torch.allclose(ours.sigma[1:500], u[:499] / (1 - u[:499]), rtol=1e-5)


def test_flow_line_holds_the_lines_own_picture_scaled():
    """x = (1 - u) x0 + u eps divided by its length sqrt((1 - u)^2 + u^2) is our x_t."""
    s = flow(10)
    for t in range(11):
        u = t / 10
        length = math.hypot(1 - u, u)
        assert s.signal[t].item() == pytest.approx((1 - u) / length, abs=1e-12)
        assert s.noise[t].item() == pytest.approx(u / length, abs=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("shift", [0.25, 1.0, 4.0])
def test_shift_divides_the_snr_by_its_square(name, shift):
    s = SCHEDULES[name](300)
    assert torch.allclose(shifted(s, shift).snr[1:], s.snr[1:] / shift**2, rtol=1e-9)


ENDS = {
    "linear": dict(beta_1=0.001, beta_T=0.03),
    "scaled_linear": dict(beta_1=0.002, beta_T=0.05),
    "quadratic": dict(beta_1=1e-3, beta_T=0.01),
    "cosine": dict(s=0.1),
    "sigmoid": dict(start=-4.0, end=2.0),
    "karras": dict(sigma_min=0.05, sigma_max=14.0),
    "flow": {},
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("T", [2, 33, 400])
@pytest.mark.parametrize("repaired", [False, True])
def test_the_badge_knows_end_points_shift_and_repair(name, T, repaired):
    s = shifted(SCHEDULES[name](T, **ENDS[name]), 1.7)
    s = zero_terminal_snr(s) if repaired else s
    curve = ENDS[name] | {"shift": 1.7, "repaired": repaired}
    assert checks.schedule(s.alpha_bar, name, **curve).ok
    assert not checks.schedule(s.alpha_bar, name, **(curve | {"shift": 1.71})).ok
    assert checks.schedule(s.alpha_bar, name, **(curve | {"repaired": not repaired})).ok == (name == "flow")


@pytest.mark.parametrize("name", SCHEDULES)
def test_readings_fit_together(name):
    s = SCHEDULES[name](1000)
    assert torch.allclose(s.signal**2 + s.noise**2, torch.ones(1001, dtype=torch.float64))
    assert torch.allclose((1 - s.beta).cumprod(0), s.alpha_bar, rtol=1e-9)
    assert torch.allclose(s.sigma[1:] ** -2, s.snr[1:], rtol=1e-9)
    assert s.beta[0] == 0 and s.sigma[0] == 0 and s.snr[0] == math.inf
    assert s.alpha_bar.dtype == torch.float64


@pytest.mark.parametrize("n", [1, 3, 7, 20, 50, 999, 1000])
@pytest.mark.parametrize("ours, theirs", [("trailing", "trailing"), ("leading", "leading"), ("even", "linspace")])
def test_times_are_diffusers_plus_one(n, ours, theirs):
    scheduler = DDIMScheduler(num_train_timesteps=1000, timestep_spacing=theirs, steps_offset=0)
    scheduler.set_timesteps(n)
    expected = [int(t) + 1 for t in scheduler.timesteps if t >= 0]
    got = linear().times(n, ours).tolist()
    if n == 1 and ours == "even":
        assert got == [1000, 0]  # theirs starts a single step at 0, where there is nothing to clean
    else:
        assert got == [*expected, 0]


@pytest.mark.parametrize("T", [50, 1000])
@pytest.mark.parametrize("ours, theirs", [("trailing", "trailing"), ("leading", "leading"), ("even", "linspace")])
def test_times_are_diffusers_plus_one_for_every_number_of_steps(T, ours, theirs):
    """Halves are rounded as there. Its sums of T / n may miss 0, as with 61 steps: it then adds a time -1."""
    scheduler, schedule = DDIMScheduler(num_train_timesteps=T, timestep_spacing=theirs, steps_offset=0), linear(T)
    for n in range(2 if ours == "even" else 1, T + 1):
        scheduler.set_timesteps(n)
        assert schedule.times(n, ours).tolist() == [*(t + 1 for t in scheduler.timesteps.tolist() if t >= 0), 0]


def test_karras_times_are_the_nearest_to_karras_sigmas():
    s = scaled_linear(10_000, 0.000085, 0.0012)
    high, low = s.sigma[-1].item(), s.sigma[1].item()
    for i, t in enumerate(s.times(12, "karras")[:-1].tolist()):
        sigma = (high ** (1 / 7) + i / 11 * (low ** (1 / 7) - high ** (1 / 7))) ** 7
        nearest = (s.sigma[1:].log() - math.log(sigma)).abs().argmin().item() + 1
        assert abs(t - nearest) <= 1


@given(st.integers(1, 60), st.sampled_from(SPACINGS), st.sampled_from(sorted(SCHEDULES)), st.data())
@settings(max_examples=150, deadline=None)
def test_times_descend_from_at_most_T_to_0(T, spacing, name, data):
    s = SCHEDULES[name](T)
    n = data.draw(st.integers(1, T))
    times = s.times(n, spacing)
    assert times.dtype == torch.int64 and times[-1] == 0 and 1 <= times[0] <= T
    assert (times.diff() < 0).all() and 2 <= len(times) <= n + 1
    if spacing != "leading":
        assert times[0] == T


def test_times_of_a_schedule_that_ends_in_pure_noise():
    s = NoiseSchedule(torch.tensor([1, 0.9, 0.5, 0.1, 0.0]))
    for spacing in SPACINGS:
        for n in range(1, 5):
            times = s.times(n, spacing)
            assert (times.diff() < 0).all() and len(times) <= n + 1
    assert s.sigma[-1] == math.inf and s.snr[-1] == 0
    assert NoiseSchedule(torch.tensor([1.0, 0.0])).times(1, "karras").tolist() == [1, 0]


def test_at_reads_one_time_or_one_per_sample():
    s, x = linear(), torch.zeros(3, 2, 4, 4)
    assert at(s.signal, 5, x) == s.signal[5] and at(s.signal, torch.tensor(5), x) == s.signal[5]
    per_sample = at(s.signal, torch.tensor([0, 10, 1000]), x)
    assert per_sample.shape == (3, 1, 1, 1) and per_sample.dtype == torch.float32
    assert torch.allclose(per_sample.flatten().double(), s.signal[[0, 10, 1000]], rtol=1e-6)
    assert expand(torch.tensor([1.0, 2, 3]), x).shape == (3, 1, 1, 1)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: linear(0), "T must be a whole number from 1"),
        (lambda: linear(2.5), "2.5"),
        (lambda: linear(True), "True"),
        (lambda: linear(10**9), "1000000"),
        (lambda: linear(100, 0.0, 0.02), "beta_1"),
        (lambda: linear(100, 0.1, 1.5), "beta_T = 1.5"),
        (lambda: linear(100, float("nan"), 0.02), "nan"),
        (lambda: scaled_linear(100, 0.5, 0.1), "beta_1 <= beta_T"),
        (lambda: cosine(10, s=-1), "s in"),
        (lambda: SCHEDULES["sigmoid"](10, start=3, end=-3), "start"),
        (lambda: SCHEDULES["sigmoid"](10, tau=0), "tau"),
        (lambda: named_schedule("cosin"), "linear, scaled_linear, quadratic, cosine, sigmoid, karras, flow"),
        (lambda: quadratic(0), "T must be a whole number from 1 to 1000000, got 0"),
        (lambda: quadratic(10, 0.1, 1.5), "beta_T = 1.5"),
        (lambda: karras(10, 2.0, 1.0), "sigma_min = 2.0"),
        (lambda: karras(10, float("nan"), 1.0), "sigma_min = nan"),
        (lambda: karras(10, rho=0), "rho = 0"),
        (lambda: flow(0), "got 0"),
        (lambda: shifted(linear(), 0.0), "shift above 0, got 0.0"),
        (lambda: shifted(linear(), float("inf")), "got inf"),
        (lambda: zero_terminal_snr(linear(1)), "at least 2, got 1"),
        (lambda: NoiseSchedule(torch.tensor([1.0])), "T at least 1"),
        (lambda: NoiseSchedule(torch.tensor([0.9, 0.5])), "from 1"),
        (lambda: NoiseSchedule(torch.tensor([1, 0.5, 0.5])), "strictly, but is 0.5 at t = 1 and at 2"),
        (lambda: NoiseSchedule(torch.tensor([1, 0.5, -0.1])), "above 0"),
        (lambda: NoiseSchedule(torch.tensor([1, float("nan")])), "finite"),
        (
            lambda: linear(1000, 1e-4, 0.999),
            r"is 0 from t = \d+ on: .* less than float64 holds; fewer steps or smaller",
        ),
        (lambda: linear().times(0), "from 1 to 1000, got 0"),
        (lambda: linear().times(1_000_000), "got 1000000"),
        (lambda: linear().times(20.0), "got 20.0"),
        (lambda: linear().times(20, "quadratic"), "trailing, leading, even, karras"),
        (lambda: at(linear().signal, 1001, torch.zeros(2)), "from 0 to 1000"),
        (lambda: at(linear().signal, -1, torch.zeros(2)), "-1"),
        (lambda: at(linear().signal, 0.5, torch.zeros(2)), "0.5"),
        (lambda: at(linear().signal, torch.tensor([0.5, 1]), torch.zeros(2)), "integers"),
        (lambda: at(linear().signal, torch.tensor([1, 1001]), torch.zeros(2)), "1001"),
        (lambda: at(linear().signal, torch.tensor([1, 2, 3]), torch.zeros(2)), r"\(2,\)"),
        (lambda: expand(torch.ones(3), torch.zeros(2, 4)), r"\(2,\)"),
        (lambda: expand(torch.ones(5, 2), torch.zeros(1, 2)), r"\(1,\), got \(5, 2\)"),
        (lambda: SCHEDULES["sigmoid"](10, tau=0.1), r"strictly, but is 1e-09 at t = \d and at \d"),
    ],
)
def test_bad_input_is_a_value_error_that_says_what_came(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_schedule_is_float64_and_its_own():
    beta = torch.linspace(1e-4, 0.02, 1000)  # float32
    assert torch.equal(from_beta(beta).alpha_bar[1:], (1 - beta.double()).cumprod(0))
    given = torch.tensor([1, 0.5, 0.2], dtype=torch.float64)
    schedule = NoiseSchedule(given)
    given[1] = 7
    assert schedule.alpha_bar.tolist() == [1, 0.5, 0.2]
    points = expand(torch.tensor([1.0, 2.0]), torch.zeros(2, dtype=torch.float64))
    assert points.tolist() == [1, 2] and points.dtype == torch.float64
