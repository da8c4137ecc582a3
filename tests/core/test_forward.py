"""The forward process against its closed form, Monte Carlo, Bayes' rule on a grid, and diffusers."""

import pytest
import torch
from diffusers import DDPMScheduler

from core.forward import add_noise, forward_chain, posterior, randn_like
from core.schedule import NoiseSchedule, karras, linear


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_add_noise_equals_diffusers_per_sample():
    x0, eps = torch.randn(5, 3, 8, 8, generator=seeded(1)), torch.randn(5, 3, 8, 8, generator=seeded(2))
    t = torch.tensor([1, 3, 42, 500, 1000])
    theirs = DDPMScheduler(beta_start=1e-4, beta_end=0.02).add_noise(x0, eps, t - 1)
    assert torch.allclose(add_noise(x0, eps, t, linear()), theirs, rtol=1e-4, atol=1e-5)
    assert torch.equal(add_noise(x0, eps, 0, linear()), x0)
    assert torch.equal(add_noise(x0, eps, torch.tensor([42] * 5), linear())[2], add_noise(x0, eps, t, linear())[2])


def test_chain_and_jump_have_one_distribution():
    """Mean and variance of 20,000 chains against sqrt(abar) x0 and 1 - abar: within 5 standard errors."""
    schedule, n = linear(40, 1e-3, 0.15), 20_000
    x0 = torch.full((n, 1), 0.7)
    for t, x in enumerate(forward_chain(x0, schedule, generator=seeded()), start=1):
        mean, variance = schedule.signal[t] * 0.7, 1 - schedule.alpha_bar[t]
        assert abs(x.mean() - mean) < 5 * (variance / n).sqrt()
        assert abs(x.var() - variance) < 5 * variance * (2 / n) ** 0.5
    assert t == 40


def test_chain_draws_one_noise_a_step():
    schedule, x0 = linear(3, 0.1, 0.5), torch.ones(2, 2)
    z = [torch.randn(2, 2, generator=g) for g in [seeded(4)] for _ in range(3)]
    x = x0
    for beta, noise, got in zip([0.1, 0.3, 0.5], z, forward_chain(x0, schedule, generator=seeded(4)), strict=True):
        x = (1 - beta) ** 0.5 * x + beta**0.5 * noise
        assert torch.allclose(got, x, rtol=1e-6)


def test_a_chain_goes_on_from_where_it_stood():
    """The same generator, stopped after four steps and gone on, walks the same way."""
    schedule, x0, g = linear(9, 0.01, 0.3), torch.ones(2, 3), seeded(4)
    whole = list(forward_chain(x0, schedule, generator=seeded(4)))
    first = [x for _, x in zip(range(4), forward_chain(x0, schedule, generator=g), strict=False)]
    state = g.get_state()
    rest = list(forward_chain(first[-1], schedule, start=4, generator=torch.Generator().set_state(state)))
    assert len(rest) == 5 and all(torch.equal(a, b) for a, b in zip([*first, *rest], whole, strict=True))
    assert list(forward_chain(x0, schedule, start=9)) == []


@pytest.mark.parametrize("t, s", [(10, 9), (10, 4), (40, 1), (7, 0)])
def test_posterior_is_bayes_rule_on_a_grid(t, s):
    """q(x_s | x_t, x0) is proportional to q(x_t | x_s) q(x_s | x0): integrate that product numerically."""
    schedule, x0, x_t = linear(40, 1e-3, 0.15), 0.3, -0.8
    a_t, a_s = schedule.alpha_bar[t].item(), schedule.alpha_bar[s].item()
    mean, variance = posterior(
        torch.tensor([x0], dtype=torch.float64), torch.tensor([x_t], dtype=torch.float64), t, s, schedule
    )
    if s == 0:
        assert mean.item() == pytest.approx(x0) and variance == 0
        return
    grid = torch.linspace(-8, 8, 400_001, dtype=torch.float64)
    step = a_t / a_s
    log = -((grid - a_s**0.5 * x0) ** 2) / (2 * (1 - a_s)) - (x_t - step**0.5 * grid) ** 2 / (2 * (1 - step))
    weight = (log - log.max()).exp()
    weight /= weight.sum()
    expected = (weight * grid).sum()
    assert mean.item() == pytest.approx(expected.item(), rel=1e-6)
    assert variance.item() == pytest.approx((weight * (grid - expected) ** 2).sum().item(), rel=1e-6)


def test_posterior_per_sample_and_from_pure_noise():
    schedule = NoiseSchedule(torch.tensor([1, 0.8, 0.4, 0.0]))
    x0, x_t = torch.randn(3, 2, generator=seeded(1)), torch.randn(3, 2, generator=seeded(2))
    mean, variance = posterior(x0, x_t, torch.tensor([1, 2, 3]), torch.tensor([0, 1, 1]), schedule)
    assert variance.shape == (3, 1)
    for i, (t, s) in enumerate([(1, 0), (2, 1), (3, 1)]):
        one, v = posterior(x0[i : i + 1], x_t[i : i + 1], t, s, schedule)
        assert torch.allclose(mean[i], one[0]) and variance[i].item() == pytest.approx(float(v))
    assert torch.allclose(mean[2], 0.8**0.5 * x0[2])  # nothing of x0 is in x_T
    fine, t, s = karras(), torch.tensor([2, 2, 2]), torch.tensor([1, 1, 1])  # 1 - alpha_bar is 1e-5 there
    for x in (x0, x0.half()):
        mean, variance = posterior(x, x, t, s, fine)
        one, v = posterior(x.double(), x.double(), 2, 1, fine)
        assert torch.allclose(mean.double(), one, rtol=4 * torch.finfo(x.dtype).eps, atol=1e-3)
        assert torch.allclose(variance.double(), v.expand(3, 1), rtol=torch.finfo(x.dtype).eps, atol=6e-8)


def test_noise_is_the_same_in_every_dtype():
    x = randn_like(torch.zeros(64), seeded(3))
    assert torch.equal(randn_like(torch.zeros(64, dtype=torch.float64), seeded(3)).float(), x)
    assert torch.equal(randn_like(torch.zeros(64, dtype=torch.float16), seeded(3)), x.half())


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda s, x: add_noise(x, x[:1], 3, s), "one shape"),
        (lambda s, x: add_noise(x, x, 1001, s), "from 0 to 1000"),
        (lambda s, x: posterior(x, x, 3, 3, s), "below t"),
        (lambda s, x: posterior(x, x, 3, 5, s), "below t"),
        (lambda s, x: posterior(x, x[:1], 5, 3, s), "one shape"),
        (lambda s, x: next(forward_chain(x, s, start=-1)), "start must be a whole number from 0 to 1000, got -1"),
        (lambda s, x: randn_like(x, [seeded(0)]), "one generator for each of 2 samples, got 1"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call(linear(), torch.zeros(2, 3))
