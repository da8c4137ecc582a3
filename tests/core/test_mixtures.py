"""Exact denoisers against autograd, torch.distributions, scipy, integration on a grid, and nested loops."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, spatial, stats

from core.forward import add_noise
from core.mixtures import GaussianMixture, distance_of_fresh_draw, empirical_denoiser, energy_distance, mean_distance
from core.schedule import NoiseSchedule, linear

MIXTURE = GaussianMixture(
    torch.tensor([[1.0, -0.5], [-1.2, 0.3], [0.2, 1.5]]).double(),
    torch.tensor([0.3, 0.1, 0.6]).double(),
    torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64),
)
SCHEDULE = linear()


def points(n=50, seed=0, spread=1.5):
    return spread * torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def noised(t):
    """q(x_t) by torch.distributions: shrunk means, widened variances."""
    a = SCHEDULE.alpha_bar[t]
    std = (a * MIXTURE.stds**2 + 1 - a).sqrt()
    parts = torch.distributions.MultivariateNormal(
        a.sqrt() * MIXTURE.means, std[:, None, None] ** 2 * torch.eye(2, dtype=torch.float64)
    )
    return torch.distributions.MixtureSameFamily(torch.distributions.Categorical(MIXTURE.weights), parts)


@pytest.mark.parametrize("t", [0, 1, 100, 500, 1000])
def test_density_and_score(t):
    x = points().requires_grad_()
    log = noised(t).log_prob(x)
    assert torch.allclose(MIXTURE.log_density(x, t, SCHEDULE), log, rtol=1e-10)
    (gradient,) = torch.autograd.grad(log.sum(), x)
    assert torch.allclose(MIXTURE.score(x.detach(), t, SCHEDULE), gradient, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("t", [1, 100, 500, 1000])
def test_denoiser_is_the_posterior_mean_by_integration(t):
    """E[x0 | x_t] by summing x0 q(x_t | x0) p(x0) over a fine grid of x0."""
    a = SCHEDULE.alpha_bar[t].item()
    axis = np.linspace(-5, 5, 1001)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    prior = sum(
        w * stats.multivariate_normal(m, s**2).pdf(grid)
        for w, m, s in zip(MIXTURE.weights.tolist(), MIXTURE.means.numpy(), MIXTURE.stds.tolist(), strict=True)
    )
    x = points(4, seed=1)
    if t == 1:
        x = torch.tensor([[0.8, -0.4], [-1.1, 0.35]], dtype=torch.float64)  # near the data: elsewhere pdfs underflow
    p = MIXTURE.denoiser(SCHEDULE)(x, t)
    for point, mean in zip(x.numpy(), p.x0.numpy(), strict=True):
        weight = prior * np.exp(-((point - a**0.5 * grid) ** 2).sum(1) / (2 * (1 - a)))
        assert np.allclose((weight[:, None] * grid).sum(0) / weight.sum(), mean, rtol=1e-5, atol=1e-6)
    assert torch.allclose(a**0.5 * p.x0 + (1 - a) ** 0.5 * p.eps, x)


def test_denoiser_at_time_zero_changes_nothing():
    x = points(5)
    assert torch.allclose(MIXTURE.denoiser(SCHEDULE)(x, 0).x0, x)


UPPER = torch.tensor([False, True, True])


@pytest.mark.parametrize("t", [0, 1, 100, 500, 1000])
def test_class_and_its_gradient(t):
    """p(y | x_t) by torch.distributions and Bayes' rule, its gradient by autograd."""
    x, everything = points().requires_grad_(), noised(t)
    each = everything.component_distribution.log_prob(x[:, None]) + everything.mixture_distribution.logits
    log = each[:, UPPER].logsumexp(1) - everything.log_prob(x)
    assert torch.allclose(MIXTURE.log_class(x, t, SCHEDULE, UPPER), log, atol=1e-9)
    (gradient,) = torch.autograd.grad(log.sum(), x)
    assert torch.allclose(MIXTURE.class_score(x.detach(), t, SCHEDULE, UPPER), gradient, rtol=1e-7, atol=1e-7)
    both = MIXTURE.log_class(x, t, SCHEDULE, UPPER).exp() + MIXTURE.log_class(x, t, SCHEDULE, ~UPPER).exp()
    assert torch.allclose(both, torch.ones(50).double())


def test_a_class_by_itself():
    part = MIXTURE.only(UPPER)
    assert torch.equal(part.means, MIXTURE.means[1:]) and part.weights.tolist() == pytest.approx([0.4, 0.6])
    x, which = MIXTURE.draw(5000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(x, MIXTURE.sample(5000, generator=torch.Generator().manual_seed(0)))
    assert torch.bincount(which) / 5000 == pytest.approx(MIXTURE.weights, abs=0.04)
    for k in range(3):
        assert torch.allclose(x[which == k].double().mean(0), MIXTURE.means[k], atol=0.07)


def test_flow_of_one_gaussian_by_scipys_ode_solver():
    """The probability flow in the VP form, d x / d u = -(beta / 2) (x + score) with beta = -d log(alpha_bar) / d u."""
    one = GaussianMixture(torch.tensor([[0.7, -0.4]]), torch.tensor([0.5]), torch.tensor([1.0]))
    x, a = points(6, seed=7), [float(SCHEDULE.alpha_bar[t]) for t in (900, 40)]

    def velocity(u, flat):
        """u = log alpha_bar; the score of N(sqrt(a) mu, a 0.25 + 1 - a) written out."""
        bar, y = math.exp(u), flat.reshape(-1, 2)
        score = -(y - bar**0.5 * one.means.numpy()) / (0.25 * bar + 1 - bar)
        return ((y + score) / 2).ravel()

    end = integrate.solve_ivp(velocity, np.log(a), x.numpy().ravel(), rtol=1e-10, atol=1e-12).y[:, -1].reshape(-1, 2)
    assert np.allclose(one.flow(x, 900, 40, SCHEDULE).numpy(), end, atol=1e-7)


def test_samples_have_the_mixtures_moments():
    """40,000 draws: mean and covariance within 5 standard errors (about 0.025)."""
    x = MIXTURE.sample(40_000, generator=torch.Generator().manual_seed(0)).double()
    w, m = MIXTURE.weights[:, None], MIXTURE.means
    mean = (w * m).sum(0)
    cov = (w[..., None] * (m[:, :, None] * m[:, None] + MIXTURE.stds[:, None, None] ** 2 * torch.eye(2))).sum(0)
    assert torch.allclose(x.mean(0), mean, atol=0.025)
    assert torch.allclose(x.T.cov(), cov - mean[:, None] * mean, atol=0.03)


@pytest.mark.parametrize("shape", [(2,), (1, 3, 4)])
@pytest.mark.parametrize("t", [1, 30, 400, 1000])
def test_empirical_denoiser_by_nested_loops(shape, t):
    g = torch.Generator().manual_seed(2)
    data = torch.randn(17, *shape, generator=g, dtype=torch.float64)
    eps = torch.randn(5, *shape, generator=g, dtype=torch.float64)
    x = add_noise(data[:5], eps, t, SCHEDULE)
    p, a = empirical_denoiser(data, SCHEDULE)(x, t), SCHEDULE.alpha_bar[t].item()
    for b in range(5):
        logs = [-((x[b] - a**0.5 * y) ** 2).sum().item() / (2 * (1 - a)) for y in data]
        top = max(logs)
        weights = [math.exp(v - top) for v in logs]
        expected = sum(w / sum(weights) * y for w, y in zip(weights, data, strict=True))
        assert torch.allclose(p.x0[b], expected, atol=1e-9)
    assert torch.allclose(a**0.5 * p.x0 + (1 - a) ** 0.5 * p.eps, x, atol=1e-9)


def test_empirical_denoiser_is_a_mixture_of_narrow_gaussians():
    narrow = GaussianMixture(points(30), torch.full((30,), 1e-6), torch.full((30,), 1 / 30))
    x = points(20, seed=3)
    for t in (20, 300, 900):
        theirs, ours = narrow.denoiser(SCHEDULE)(x, t), empirical_denoiser(narrow.means, SCHEDULE)(x, t)
        assert torch.allclose(theirs.x0, ours.x0, atol=1e-6)


def test_empirical_denoiser_in_chunks_and_float32_near_the_data(monkeypatch):
    """Pictures of 784 numbers at t = 1: log weights near 1e6 must not lose the nearest neighbour to float32."""
    g = torch.Generator().manual_seed(4)
    data = torch.rand(300, 1, 28, 28, generator=g) * 2 - 1
    x = add_noise(data[:40], torch.randn(40, 1, 28, 28, generator=g), 1, SCHEDULE)
    whole = empirical_denoiser(data, SCHEDULE)(x, 1)
    assert torch.allclose(whole.x0, data[:40], atol=1e-6) and whole.x0.dtype == torch.float32
    monkeypatch.setattr("core.mixtures.TABLE", 1)
    assert torch.allclose(empirical_denoiser(data, SCHEDULE)(x, 1).x0, whole.x0, atol=1e-6)


def test_pure_noise_says_the_mean():
    s = NoiseSchedule(torch.tensor([1, 0.5, 0.0]))
    x = points(6)
    assert torch.allclose(empirical_denoiser(points(9, seed=1), s)(x, 2).x0, points(9, seed=1).mean(0))
    mixed = MIXTURE.denoiser(s)(x, 2)
    assert torch.allclose(mixed.x0, (MIXTURE.weights[:, None] * MIXTURE.means).sum(0)) and torch.allclose(mixed.eps, x)


def test_energy_distance_on_a_line_is_the_square_of_scipys():
    x, y = points(40, seed=1)[:, :1], points(60, seed=2)[:, :1] + 0.7
    theirs = stats.energy_distance(x[:, 0].numpy(), y[:, 0].numpy()) ** 2
    assert energy_distance(x, y) == pytest.approx(theirs, rel=1e-9)


def test_mean_distance_is_scipys():
    x = points(30, seed=1)
    assert mean_distance(x) == pytest.approx(spatial.distance.pdist(x.numpy()).mean())


def test_astray_is_the_tail_of_a_bell():
    """Of a round bell's density less than 1 % lies beyond r^2 = 2 ln 100; of one twice as wide, 100^(-1/4) of it."""
    bell = GaussianMixture(torch.zeros(1, 2), torch.ones(1), torch.ones(1))
    g = torch.Generator().manual_seed(0)
    wide, draw = 2 * torch.randn(20_000, 2, generator=g), bell.sample(20_000, generator=g)
    assert bell.astray(wide, draw, linear()) == pytest.approx(100**-0.25, abs=0.02)
    assert bell.astray(draw, draw, linear()) == pytest.approx(0.01, abs=1e-4)


def test_energy_distance_of_two_draws_of_one_distribution():
    """200 pairs of 50 standard normal draws: the mean is (2 / 50) E|X - X'| = 0.04 sqrt(pi), within 4 errors."""
    draws = [points(50, seed=i, spread=1) for i in range(400)]
    values = torch.tensor([energy_distance(draws[i], draws[i + 1]) for i in range(0, 400, 2)])
    assert abs(values.mean() - 0.04 * math.pi**0.5) < 4 * values.std() / 200**0.5
    foreseen = torch.tensor([distance_of_fresh_draw(y, 50) for y in draws])
    assert abs(foreseen.mean() - 0.04 * math.pi**0.5) < 4 * foreseen.std() / 400**0.5


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: GaussianMixture(torch.zeros(2), torch.ones(2), torch.ones(2) / 2), "means"),
        (lambda: GaussianMixture(torch.zeros(2, 2), torch.ones(3), torch.ones(2) / 2), r"\(3,\)"),
        (lambda: GaussianMixture(torch.zeros(2, 2), torch.zeros(2), torch.ones(2) / 2), "above 0"),
        (lambda: GaussianMixture(torch.zeros(2, 2), torch.ones(2), torch.ones(2)), "sum to 1"),
        (lambda: GaussianMixture(torch.zeros(2, 2), torch.ones(2), torch.tensor([1.5, -0.5])), "at least 0"),
        (lambda: GaussianMixture(torch.full((1, 2), float("nan")), torch.ones(1), torch.ones(1)), "finite"),
        (lambda: MIXTURE.score(torch.zeros(3, 5), 1, SCHEDULE), r"\(N, 2\), got \(3, 5\)"),
        (lambda: MIXTURE.score(torch.zeros(3, 2), 2000, SCHEDULE), "from 0 to 1000"),
        (lambda: MIXTURE.only(torch.tensor([True])), "each of 3"),
        (lambda: MIXTURE.only(torch.zeros(3, dtype=torch.bool)), "one at least"),
        (lambda: MIXTURE.log_class(points(), 1, SCHEDULE, torch.tensor([0, 1, 1])), "a mark"),
        (lambda: MIXTURE.flow(points(), 1, 0, SCHEDULE), "one Gaussian, got 3"),
        (lambda: mean_distance(torch.zeros(1, 2)), "two points"),
        (lambda: empirical_denoiser(torch.zeros(0, 2), SCHEDULE), "at least 1"),
        (lambda: energy_distance(torch.zeros(5, 2), torch.zeros(5, 3)), r"\(5, 3\)"),
        (lambda: empirical_denoiser(torch.full((3, 2), float("nan")), SCHEDULE), "finite"),
        (lambda: empirical_denoiser(torch.zeros(3), SCHEDULE), r"\(3,\)"),
        (lambda: empirical_denoiser(torch.zeros(3, 2), SCHEDULE)(torch.zeros(4, 3), 5), r"\(B, 2\), got \(4, 3\)"),
        (lambda: empirical_denoiser(torch.zeros(3, 2), SCHEDULE)(torch.zeros(4, 2), 0), "t = 0"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(ValueError, match=words):
        make()
