"""Schedules against diffusers, plain-Python products, and their own definitions."""

import math

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from core.schedule import SCHEDULES, SPACINGS, NoiseSchedule, at, cosine, expand, linear, named_schedule, scaled_linear

DIFFUSERS = {
    "linear": dict(beta_schedule="linear", beta_start=1e-4, beta_end=0.02),
    "scaled_linear": dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
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
        (lambda: linear(0), "T must be a whole number in 1"),
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
        (lambda: named_schedule("cosin"), "linear, scaled_linear, cosine, sigmoid"),
        (lambda: NoiseSchedule(torch.tensor([1.0])), "T at least 1"),
        (lambda: NoiseSchedule(torch.tensor([0.9, 0.5])), "from 1"),
        (lambda: NoiseSchedule(torch.tensor([1, 0.5, 0.5])), "strictly"),
        (lambda: NoiseSchedule(torch.tensor([1, 0.5, -0.1])), "above 0"),
        (lambda: NoiseSchedule(torch.tensor([1, float("nan")])), "finite"),
        (lambda: linear().times(0), "1..1000, got 0"),
        (lambda: linear().times(1_000_000), "got 1000000"),
        (lambda: linear().times(20.0), "got 20.0"),
        (lambda: linear().times(20, "quadratic"), "trailing, leading, even, karras"),
        (lambda: at(linear().signal, 1001, torch.zeros(2)), "0..1000"),
        (lambda: at(linear().signal, -1, torch.zeros(2)), "-1"),
        (lambda: at(linear().signal, 0.5, torch.zeros(2)), "0.5"),
        (lambda: at(linear().signal, torch.tensor([0.5, 1]), torch.zeros(2)), "integers"),
        (lambda: at(linear().signal, torch.tensor([1, 1001]), torch.zeros(2)), "1001"),
        (lambda: at(linear().signal, torch.tensor([1, 2, 3]), torch.zeros(2)), r"\(2,\)"),
        (lambda: expand(torch.ones(3), torch.zeros(2, 4)), r"\(2,\)"),
    ],
)
def test_bad_input_is_a_value_error_that_says_what_came(make, words):
    with pytest.raises(ValueError, match=words):
        make()
