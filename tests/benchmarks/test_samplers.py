"""2,000 particles for 50 steps over the exact denoiser, beside the denoiser calls they are made of.

Run: uv run pytest tests/benchmarks -s
"""

import pytest
import torch

from core.samplers import SAMPLERS
from core.schedule import linear
from core.toys import mixture

PARTICLES, STEPS = 2000, 50
SCHEDULE = linear()


@pytest.fixture(scope="module", params=["two moons", "swiss roll"])
def points(request):
    return mixture(request.param)


def start():
    return torch.randn(PARTICLES, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.benchmark(group=f"{PARTICLES} particles, {STEPS} steps")
def test_the_denoiser_alone(benchmark, points):
    denoiser, x, times = points.denoiser(SCHEDULE), start(), SCHEDULE.times(STEPS)[:-1].tolist()

    def calls():
        for t in times:
            denoiser(x, t)

    benchmark.pedantic(calls, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group=f"{PARTICLES} particles, {STEPS} steps")
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_walk(benchmark, points, name):
    denoiser, x, times = points.denoiser(SCHEDULE), start(), SCHEDULE.times(STEPS)

    def walk():
        *_, last = SAMPLERS[name](denoiser, SCHEDULE, x, times, generator=torch.Generator().manual_seed(1))
        return last.x_next

    end = benchmark.pedantic(walk, rounds=5, warmup_rounds=1)
    assert end.isfinite().all()
