"""Fine schedules against the coarse ones they refine, the reference against scipy, orders against theory."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate

from core.convergence import Counted, distance, finely, fitted_order, reference, times_to_one
from core.samplers import SAMPLERS
from core.schedule import SCHEDULES, linear
from core.toys import mixture


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_fine_schedule_is_the_same_curve(name):
    """At the whole times of the coarse one it has that sigma; it runs from 0.002 to 80 or the curve's end."""
    coarse, fine = SCHEDULES[name](), finely(SCHEDULES[name](), 20_000)
    top = coarse.sigma[coarse.sigma.isfinite()].max().item()
    assert fine.sigma[-1].item() == pytest.approx(min(80, top), rel=1e-6)
    assert fine.sigma[1].item() == pytest.approx(0.002, rel=1e-6)
    inside = coarse.sigma[(coarse.sigma > fine.sigma[1]) & (coarse.sigma < fine.sigma[-1])]
    place = np.searchsorted(fine.sigma.numpy(), inside.numpy())
    assert np.allclose(fine.sigma.numpy()[place] / inside.numpy(), 1, atol=0.02)


@pytest.mark.parametrize("name", ["two moons", "one Gaussian"])
def test_reference_by_scipys_ode_solver(name):
    """d x_bar / d log sigma = sigma eps, with eps by hand from the mixture's centres."""
    points, schedule = mixture(name), finely(linear())
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    centres, std = points.means.numpy(), float(points.stds[0])

    def velocity(log, flat):
        sigma, y = math.exp(log), flat.reshape(-1, 2)
        v = sigma**2 + std**2
        weight = -((y[:, None] - centres) ** 2).sum(2) / (2 * v)
        weight = np.exp(weight - weight.max(1, keepdims=True))
        nearest = weight @ centres / weight.sum(1, keepdims=True)
        return (sigma**2 * (y - nearest) / v).ravel()

    ends = np.log([float(schedule.sigma[-1]), float(schedule.sigma[1])])
    start = x.numpy() / float(schedule.signal[-1])
    end = integrate.solve_ivp(velocity, ends, start.ravel(), "DOP853", rtol=1e-9, atol=1e-10).y[:, -1].reshape(-1, 2)
    assert np.allclose(reference(points, schedule, x).numpy(), end * float(schedule.signal[1]), atol=2e-5)


@pytest.mark.parametrize("spacing", ["trailing", "leading", "even", "karras"])
def test_walks_to_one_have_as_many_steps_as_asked(spacing):
    times = times_to_one(finely(linear(), 10_000), 12, spacing)
    assert len(times) == 13 and times[0] <= 10_000 and times[-1] == 1 and (times.diff() < 0).all()


def test_counting_is_the_number_of_calls():
    points, schedule = mixture("one Gaussian"), finely(linear(), 1000)
    counted = Counted(points.denoiser(schedule))
    list(SAMPLERS["heun"](counted, schedule, torch.zeros(1, 2), times_to_one(schedule, 10, "karras")))
    assert counted.calls == 20  # two a step; none of these ends at time 0


def test_distance_and_order():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert distance(x, torch.zeros(2, 2)) == pytest.approx(2.5)
    calls = [5, 10, 20, 40, 80]
    assert fitted_order(calls, [7.0, 1.0, *(3 / c**2.5 for c in calls[2:])]) == pytest.approx(2.5)
    assert fitted_order(calls, [math.nan, 0, 0, 1.0, 0.0]) is None


@pytest.mark.parametrize("name", ["ddim", "euler", "heun", "dpmpp_2m", "unipc"])
def test_orders_are_seen_on_one_gaussian(name):
    points, schedule = mixture("one Gaussian"), finely(linear())
    x = torch.randn(16, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    end, errors = reference(points, schedule, x), []
    for n in (40, 80, 160):
        *_, last = SAMPLERS[name](points.denoiser(schedule), schedule, x, times_to_one(schedule, n, "karras"))
        errors.append(distance(last.x_next, end))
    assert fitted_order([40, 80, 160], errors) == pytest.approx(SAMPLERS[name].order, abs=0.3), errors
