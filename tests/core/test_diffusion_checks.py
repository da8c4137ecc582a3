"""The diffusion badges: green for what core computes, red for a wrong sign, an off-by-one, a wrong schedule."""

import pytest
import torch

from core import checks
from core.denoiser import Prediction
from core.forward import add_noise, forward_chain, randn_like
from core.mixtures import empirical_denoiser
from core.networks.attention import Record
from core.pipeline import TextToImage
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
def test_jump(name, t):
    s = SCHEDULES[name](100)
    x0, eps = torch.rand(1, 8, 8), torch.randn(1, 8, 8, generator=seeded(1))
    x = add_noise(x0, eps, t, s)
    assert checks.jump(x, x0, eps, t, 100, name).ok
    assert not checks.jump(x + 1e-4, x0, eps, t, 100, name).ok
    assert not checks.jump(add_noise(x0, -eps, t, s), x0, eps, t, 100, name).ok
    assert not checks.jump(add_noise(x0, eps, t - 1, s), x0, eps, t, 100, name).ok


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("start, t", [(0, 1), (0, 7), (0, 100), (40, 43), (99, 100)])
def test_noising(name, start, t):
    s, x_start = SCHEDULES[name](100), torch.rand(1, 8, 8)
    steps = zip(forward_chain(x_start, s, start=start, generator=seeded(2)), range(t - start), strict=False)
    x = [x for x, _ in steps][-1]
    g = seeded(2)
    noises = [randn_like(x_start, g) for _ in range(t - start)]
    assert checks.noising(x, x_start, noises, start, 100, name).ok
    assert not checks.noising(x + 0.001, x_start, noises, start, 100, name).ok
    assert not checks.noising(x, x_start, [-z for z in noises], start, 100, name).ok
    if start and t < 100:
        assert not checks.noising(x, x_start, noises, start - 5, 100, name).ok


@pytest.mark.parametrize("t", [1, 20, 60])
def test_noised(t):
    s, x0 = linear(60, 1e-4, 0.02), torch.rand(30_000)
    x = list(forward_chain(x0, s, generator=seeded(3)))[t - 1]
    assert checks.noised(x, x0, t, 60, "linear").ok
    assert not checks.noised(x, -x0, t, 60, "linear").ok
    assert not checks.noised(s.signal[t] * x0 + 1.03 * (x - s.signal[t] * x0), x0, t, 60, "linear").ok


@pytest.mark.parametrize("t", [1, 20, 60])
def test_pixel_moments(t):
    s, n = linear(60, 1e-4, 0.02), 400
    x0 = torch.linspace(-1, 1, 90)
    variance, mean = torch.var_mean(list(forward_chain(x0.expand(n, -1), s, generator=seeded(3)))[t - 1], 0)

    def ok(m, v):
        return checks.pixel_moments(m, v, x0, t, 60, "linear", n).ok

    assert ok(mean, variance)
    assert not ok(-mean, variance) and not ok(mean, 1.1 * variance) and not ok(mean, 0.9 * variance)
    assert not ok(mean + 0.2 * variance.mean().sqrt(), variance)
    assert not ok(s.signal[t] * x0, variance)  # too good to be a sample
    wrong = mean.clone()
    wrong[7] += 8 * (variance.mean() / n).sqrt()  # one pixel alone
    assert not ok(wrong, variance)


def test_pixel_moments_of_the_picture_itself():
    x0 = torch.linspace(-1, 1, 90)
    assert checks.pixel_moments(x0, 0 * x0, x0, 0, 60, "linear", 9).ok
    assert not checks.pixel_moments(x0 + 1e-3, 0 * x0, x0, 0, 60, "linear", 9).ok


@pytest.mark.parametrize("t", [0, 3, 400, 1000])
def test_entropy(t):
    points, s = mixture("swiss roll"), linear()
    x0 = points.sample(2000, generator=seeded(0))
    x = add_noise(x0, torch.randn(2000, 2, generator=seeded(1)), t, s)
    logs = points.log_density(x, t, s).double()
    value, error = -float(logs.mean()), float(logs.std()) / 2000**0.5
    std = float(points.stds[0])
    assert checks.entropy(value, error, points.means, std, t, 1000, "linear").ok
    assert not checks.entropy(value + 0.2, error, points.means, std, t, 1000, "linear").ok
    assert not checks.entropy(-value, error, points.means, std, t, 1000, "linear").ok


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
    assert not checks.sampling([*states[:5], *(x * float("nan") for x in states[5:])], times.tolist(), data, **given).ok
    if spacing == "trailing":
        late = walk([*(times[:-1] - 1), 0])
        assert not checks.sampling(late, times.tolist(), data, **given).ok


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_walk_that_becomes_nan_is_never_right(sampler):
    """As a network in half precision does that overflows: from its first answer on all is NaN, or from a later one."""
    s, x = SCHEDULES["linear"](), torch.randn(1, 4, 8, 8, generator=seeded(5))
    for late in (0, 2):

        def denoiser(x, t, late=late):
            return Prediction.from_eps(x, x * (1.0 if t > 1000 - 250 * late else float("nan")), s.alpha_bar[t])

        steps = list(SAMPLERS[sampler](denoiser, s, x, s.times(4), generator=seeded(6)))
        states, guesses = [x, *(step.x_next for step in steps)], [step.prediction.x0 for step in steps]
        assert states[-1].isnan().all()
        assert not checks.denoising(states, guesses, s.times(4).tolist(), s.alpha_bar, sampler).ok


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", ["flow", "cosine"])
def test_a_networks_walk_is_right_from_pure_noise_too(name, sampler):
    """Of flow's x_T no share is signal."""
    s, x = SCHEDULES[name](), torch.randn(1, 4, 8, 8, generator=seeded(5), dtype=torch.float64)

    def denoiser(x, t):
        return Prediction.from_x0(x, torch.tanh(3 * x + s.alpha_bar[t]), s.alpha_bar[t])

    steps = list(SAMPLERS[sampler](denoiser, s, x, s.times(12), generator=seeded(6)))
    states, guesses = [x, *(step.x_next for step in steps)], [step.prediction.x0 for step in steps]
    given = (s.times(12).tolist(), s.alpha_bar, sampler)
    assert checks.denoising(states, guesses, *given).ok, checks.denoising(states, guesses, *given)
    assert not checks.denoising([*states[:-1], states[-1] + 0.01], guesses, *given).ok
    if sampler != "heun":  # whose first step asks the network twice
        assert not checks.denoising([x, 0 * x + 7, *states[2:]], guesses, *given).ok


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_one_step_from_pure_noise_is_taken_again(sampler):
    x = torch.randn(1, 4, 8, 8, generator=seeded(5), dtype=torch.float64)
    guess, given = torch.tanh(x), ([1000, 0], SCHEDULES["flow"]().alpha_bar, sampler)
    assert checks.denoising([x, guess], [guess], *given).residual == 0
    assert not checks.denoising([x, 0 * x + 7], [guess], *given).ok


def test_a_sampler_without_a_second_formula_is_refused():
    x = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match="no independent route for the sampler 'mine'"):
        checks.denoising([x, x], [x], [1000, 0], SCHEDULES["flow"]().alpha_bar, "mine")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("prompt", ["blue heart", "red apple"])
def test_looks_are_right_in_half_precision_too(dtype, prompt):
    """Of "blue heart" two words draw one place nearly alike: there a look turns by 0.03 with the batch."""
    model, record = TextToImage.load("emoji", device="cpu", dtype=dtype), Record()
    *_, end = model.stream(prompt, steps=6, record=record, style=0.0)
    context, t = model.text([prompt]).to(dtype), torch.tensor([end.t - 1])

    def check(change):
        looks = {name: change(w.float()).to(w.dtype) for name, w in record.attention.items()}
        return checks.cross_attention(looks, model.unet, end.x.to(dtype), t, context)

    assert check(lambda w: w).ok, check(lambda w: w)
    assert not check(lambda w: w.roll(1, -1)).ok  # another word's
    assert not check(lambda w: w.roll(1, 1)).ok  # another head's
    assert not check(lambda w: w.sqrt() / w.sqrt().sum(-1, keepdim=True)).ok  # another temperature
    assert not check(lambda w: 0.95 * w).ok


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_guidance(dtype):
    """A network in half precision answers another batch otherwise by its rounding, and not by half of the scale."""
    cond, uncond = (torch.randn(1, 4, 8, 8, generator=seeded(i), dtype=torch.float64) for i in (0, 1))
    rounded = (x.to(dtype).double() for x in (cond, uncond))
    guided = torch.lerp(*reversed([*rounded]), 3.0)
    assert checks.guidance(guided, cond, uncond, scale=3.0, dtype=dtype).ok
    assert not checks.guidance(guided, cond, uncond, scale=3.5, dtype=dtype).ok
    style = cond.roll(1, -1), uncond.roll(1, -1)
    guided = guided + 2 * 1.5 * (style[0] - style[1])
    assert checks.guidance(guided, cond, uncond, *style, scale=3.0, k=1.5, dtype=dtype).ok
    assert not checks.guidance(guided, cond, uncond, *style, scale=3.0, k=1.25, dtype=dtype).ok
    below = torch.lerp(uncond, cond, 0.5)  # where words are not pressed, their style is not
    said = checks.guidance(below, cond, uncond, *style, scale=0.5, k=1.5, dtype=dtype)
    assert said.ok and said.claim == "guided = (1 − s) without + s with + max(s − 1, 0) k (style − rest)"


def test_sampling_of_a_mixture():
    s, x = SCHEDULES["cosine"](), torch.randn(30, 2, generator=seeded(5))
    points, times = mixture("two moons"), s.times(12)
    states = [x, *(step.x_next for step in SAMPLERS["heun"](points.denoiser(s), s, x, times))]
    given = dict(T=1000, name="cosine", sampler="heun")
    assert checks.sampling(states, times.tolist(), points.means, std=0.07, **given).ok
    assert not checks.sampling(states, times.tolist(), points.means, std=0.08, **given).ok
