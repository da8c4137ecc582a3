"""The diffusion badges: green for what core computes, red for a wrong sign, an off-by-one, a wrong schedule."""

import pytest
import torch

from core import checks
from core.forward import add_noise, forward_chain, randn_like
from core.mixtures import empirical_denoiser
from core.samplers import SAMPLERS
from core.schedule import SCHEDULES, linear
from core.toys import mixture


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("T", [1, 2, 50, 1000])
def test_schedule(name, T):
    alpha_bar = SCHEDULES[name](T).alpha_bar
    assert checks.schedule(alpha_bar, name).ok
    other = "cosine" if name in ("linear", "quadratic") else "linear"  # these two are one at their end points
    assert not checks.schedule(SCHEDULES[other](T).alpha_bar, name).ok
    assert not checks.schedule(0.999 * alpha_bar + 0.001 * (alpha_bar < 1), name).ok


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("t", [1, 7, 100])
def test_noising(name, t):
    s = SCHEDULES[name](100)
    x0, eps = torch.rand(1, 8, 8), torch.randn(1, 8, 8, generator=seeded(1))
    chain = [x for x, _ in zip(forward_chain(x0, s, generator=seeded(2)), range(t), strict=False)][-1]
    g = seeded(2)
    noises = [randn_like(x0, g) for _ in range(t)]
    jump = add_noise(x0, eps, t, s)
    assert checks.noising(jump, chain, x0, eps, noises, t, 100, name).ok
    assert not checks.noising(jump + 0.001, chain, x0, eps, noises, t, 100, name).ok
    assert not checks.noising(jump, chain + 0.001, x0, eps, noises, t, 100, name).ok
    assert not checks.noising(add_noise(x0, -eps, t, s), chain, x0, eps, noises, t, 100, name).ok
    assert not checks.noising(add_noise(x0, eps, t - 1, s), chain, x0, eps, noises, t, 100, name).ok


def test_chain_moments():
    s, n = linear(60, 1e-4, 0.02), 20_000
    chains = list(forward_chain(torch.full((n,), -0.6), s, generator=seeded(3)))
    for t in (1, 20, 60):
        x = chains[t - 1]
        assert checks.chain_moments(x.mean().item(), x.var().item(), -0.6, t, 60, "linear", n).ok
        assert not checks.chain_moments(-x.mean().item(), x.var().item(), -0.6, t, 60, "linear", n).ok
        assert not checks.chain_moments(x.mean().item(), 1.2 * x.var().item(), -0.6, t, 60, "linear", n).ok


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("spacing", ["trailing", "karras"])
def test_sampling(name, sampler, spacing):
    s, data, x = SCHEDULES[name](), torch.randn(40, 2, generator=seeded(4)), torch.randn(30, 2, generator=seeded(5))
    options = {"eta": 0.5} if sampler == "ddim" else {}

    def walk(times):
        steps = SAMPLERS[sampler](empirical_denoiser(data, s), s, x, times, generator=seeded(6), **options)
        return [x, *(step.x_next for step in steps)]

    times, g = s.times(25, spacing), seeded(6)
    noises = [randn_like(x, g) for _ in times[1:]] if SAMPLERS[sampler].stochastic or options else []
    given = dict(T=1000, name=name, sampler=sampler, noises=noises, **options)
    states = walk(times)
    check = checks.sampling(states, times.tolist(), data, **given)
    assert check.ok, check
    assert not checks.sampling([states[0], *(-x for x in states[1:])], times.tolist(), data, **given).ok
    assert not checks.sampling(states, times.tolist(), data + 0.01, **given).ok
    if spacing == "trailing":
        late = walk([*(times[:-1] - 1), 0])
        assert not checks.sampling(late, times.tolist(), data, **given).ok


def test_sampling_of_a_mixture():
    s, x = SCHEDULES["cosine"](), torch.randn(30, 2, generator=seeded(5))
    points, times = mixture("two moons"), s.times(12)
    states = [x, *(step.x_next for step in SAMPLERS["heun"](points.denoiser(s), s, x, times))]
    given = dict(T=1000, name="cosine", sampler="heun")
    assert checks.sampling(states, times.tolist(), points.means, std=0.07, **given).ok
    assert not checks.sampling(states, times.tolist(), points.means, std=0.08, **given).ok
