"""Predictions against the noise and picture they were made from, diffusers' conversions, and guidance by hand."""

import pytest
import torch
from diffusers import DDIMScheduler

from core.denoiser import Prediction, classifier_guided, guide, guided, velocity
from core.forward import add_noise
from core.mixtures import GaussianMixture
from core.pipeline import network_denoiser
from core.schedule import NoiseSchedule, linear, scaled_linear
from core.toys import mixture


def pair(seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(4, 3, 5, 5, generator=g, dtype=dtype), torch.randn(4, 3, 5, 5, generator=g, dtype=dtype)


@pytest.mark.parametrize("t", [1, 250, 1000, torch.tensor([1, 10, 400, 1000])])
def test_three_readings_give_back_picture_and_noise(t):
    schedule, (x0, eps) = linear(), pair()
    x, a = add_noise(x0, eps, t, schedule), schedule.alpha_bar[t]
    for p in (
        Prediction.from_eps(x, eps, a),
        Prediction.from_x0(x, x0, a),
        Prediction.from_v(x, velocity(x0, eps, a), a),
    ):
        assert torch.allclose(p.x0, x0, atol=1e-9) and torch.allclose(p.eps, eps, atol=1e-9)


def test_float32_keeps_its_digits_near_the_picture():
    schedule, (x0, eps) = linear(), pair(dtype=torch.float32)
    t = torch.tensor([1, 1, 1, 1])
    x, a = add_noise(x0, eps, t, schedule), schedule.alpha_bar[t]
    assert torch.allclose(Prediction.from_x0(x, x0, a).eps, eps, atol=1e-4)
    assert torch.equal(Prediction.from_x0(x, x0, a).eps[1], Prediction.from_x0(x[1:2], x0[1:2], a[0]).eps[0])


def test_velocity_is_diffusers_target():
    scheduler = DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    x0, eps = pair(dtype=torch.float32)
    t = torch.tensor([1, 100, 700, 1000])
    theirs = scheduler.get_velocity(x0, eps, t - 1)
    assert torch.allclose(velocity(x0, eps, scaled_linear().alpha_bar[t]), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
def test_readings_equal_diffusers(kind):
    """One DDIM step of diffusers from the same output: it must see the same x0."""
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type=kind, clip_sample=False
    )
    scheduler.set_timesteps(10)
    x, output = pair(dtype=torch.float32)
    read = {"epsilon": Prediction.from_eps, "sample": Prediction.from_x0, "v_prediction": Prediction.from_v}[kind]
    ours = read(x, output, scaled_linear().alpha_bar[501])
    assert torch.allclose(ours.x0, scheduler.step(output, 500, x).pred_original_sample, rtol=1e-4, atol=1e-5)


def test_pure_noise_stays_finite_where_it_can():
    x, other = pair()
    assert torch.equal(Prediction.from_x0(x, other, 0.0).eps, x)
    p = Prediction.from_v(x, other, torch.tensor([0.0, 0.5, 0.2, 0.0], dtype=torch.float64))
    assert torch.equal(p.x0[0], -other[0]) and torch.equal(p.eps[3], x[3]) and p.x0.isfinite().all()
    with pytest.raises(ValueError, match="alpha_bar = 0"):
        Prediction.from_eps(x, other, 0.0)
    with pytest.raises(ValueError, match="alpha_bar = 0"):
        Prediction.from_eps(x, other, torch.tensor([0.5, 0.5, 0.0, 0.5]))
    with pytest.raises(ValueError, match="alpha_bar = 1"):
        Prediction.from_x0(x, other, 1.0)


@pytest.mark.parametrize("a", [-0.1, 1.1, float("nan")])
def test_alpha_bar_outside_its_range(a):
    x, other = pair()
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        Prediction.from_v(x, other, a)


def test_guidance_scale_is_our_convention():
    """1 is conditional, 0 unconditional, and Ho & Salimans' (1 + w) c - w u is scale = 1 + w."""
    c, u = Prediction(*pair(1)), Prediction(*pair(2))
    assert torch.allclose(guide(c, u, 1.0).eps, c.eps) and torch.allclose(guide(c, u, 0.0).x0, u.x0)
    w = 2.5
    assert torch.allclose(guide(c, u, 1 + w).eps, (1 + w) * c.eps - w * u.eps)


def test_guided_pair_still_fits_together():
    schedule, (x, e1), (e2, _) = linear(), pair(1), pair(2)
    a = schedule.alpha_bar[300]

    def cond(x, t):
        return Prediction.from_eps(x, e1, schedule.alpha_bar[t])

    def uncond(x, t):
        return Prediction.from_eps(x, e2, schedule.alpha_bar[t])

    p = guided(cond, uncond, 4.0)(x, 300)
    assert torch.allclose(a.sqrt() * p.x0 + (1 - a).sqrt() * p.eps, x)
    assert torch.allclose(p.eps, e2 + 4 * (e1 - e2))
    falling = guided(cond, uncond, lambda t: t / 100)
    assert torch.allclose(falling(x, 300).eps, e2 + 3 * (e1 - e2))


@pytest.mark.parametrize("t", [1, 50, 400, 1000])
def test_what_says_nothing_of_each_other_adds_up(t):
    """Rows and columns of a lattice are independent: q(x | row, column) = q(x | row) q(x | column) / q(x), up to a
    factor, so a place in it that nobody has shown is reached exactly."""
    schedule, where = linear(), torch.tensor([-1.5, -0.2, 1.0], dtype=torch.float64)
    points = GaussianMixture(
        torch.cartesian_prod(where, where / 2), torch.full((9,), 0.2, dtype=torch.float64),
        torch.outer(torch.tensor([0.2, 0.3, 0.5]), torch.tensor([0.6, 0.1, 0.3])).flatten().double(),
    )  # fmt: skip
    row, column = torch.arange(9) // 3 == 1, torch.arange(9) % 3 == 2
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    told = [points.denoiser(schedule), *(points.only(chosen).denoiser(schedule) for chosen in (row, column))]

    class Told(torch.nn.Module):
        """The exact noise of all points, of the row's or of the column's, by the number that a row of x is told."""

        def forward(self, x, time, words, record=None):
            answers = torch.stack([one(x, int(time[0]) + 1).eps for one in told])
            return answers[words[:, 0, 0].long(), torch.arange(len(x))]

    def asked(weight):
        """Guided by 2: twice the row's less that of all, and the column's over the row's, once or not at all."""
        every, of_row, of_column = (torch.full((20, 1, 1), i, dtype=torch.float64) for i in range(3))
        style = (of_column, of_row, weight)
        return network_denoiser(Told(), schedule, "epsilon", of_row, every, 2.0, style=style)(x, t)

    said, wanted = asked(1.0), points.only(row & column).denoiser(schedule)(x, t)
    assert torch.allclose(said.x0, wanted.x0) and torch.allclose(said.eps, wanted.eps)
    plain = guide(told[1](x, t), told[0](x, t), 2.0)
    assert torch.allclose(asked(0.0).x0, plain.x0)


@pytest.mark.parametrize("t", [1, 50, 400, 1000])
@pytest.mark.parametrize("scale", [0.0, 1.0, 5.0])
def test_classifier_guidance_by_autograd_is_classifier_free_guidance(t, scale):
    """The gradient of log p(y | x_t) comes from autograd; guided between class and all it is the same prediction."""
    schedule, points = linear(), mixture("letters")
    chosen = torch.arange(120) < 40
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def gradient(x, t):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(points.log_class(x, t, schedule, chosen).sum(), x)[0]

    led = classifier_guided(points.denoiser(schedule), gradient, schedule, scale)(x, t)
    free = guided(points.only(chosen).denoiser(schedule), points.denoiser(schedule), scale)(x, t)
    assert torch.allclose(led.eps, free.eps, rtol=1e-5, atol=1e-6) and torch.allclose(led.x0, free.x0, atol=1e-6)


def test_a_classifier_is_silent_without_signal():
    schedule = NoiseSchedule(torch.tensor([1, 0.5, 0.0]))
    led = classifier_guided(lambda x, t: Prediction(x, x), lambda x, t: x, schedule, 2.0)
    with pytest.raises(ValueError, match="alpha_bar = 0"):
        led(torch.zeros(2, 2), 2)


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_guidance_must_be_a_number(scale):
    p = Prediction(*pair())
    with pytest.raises(ValueError, match="finite"):
        classifier_guided(lambda x, t: p, lambda x, t: x, linear(), scale)
    with pytest.raises(ValueError, match="finite"):
        guide(p, p, scale)
