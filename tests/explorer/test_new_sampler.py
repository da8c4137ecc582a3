"""A sampler added as the README says, a generator, a row and its formulas: text to image draws with it, all race it."""

from dataclasses import replace

import pytest
import torch

from core import checks
from core.samplers import SAMPLERS, Sampler, Step, combine, time_pairs
from explorer.tabs import samplers
from explorer.tabs.text_to_image import draw
from explorer.tabs.text_to_image.records import sampler
from explorer.tabs.text_to_image.settings import Settings

# One step, as the README writes it, and in DDIM's words without fresh noise: each rounds as its twin in `core` does.
STEPS = {
    "euler": lambda schedule, s, p: schedule.signal[s] * combine((1, p.x0), (schedule.sigma[s], p.eps)),
    "ddim": lambda schedule, s, p: combine((schedule.signal[s], p.x0), (schedule.noise[s], p.eps)),
}


@pytest.mark.parametrize("twin", STEPS)
def test_a_new_sampler_is_drawn_with_and_raced(monkeypatch, tiny_offered, twin):
    @torch.no_grad()
    def mine(denoiser, schedule, x, times, *, generator=None):
        for t, s in time_pairs(x, times, schedule):
            p = denoiser(x, t)
            x_next = STEPS[twin](schedule, s, p)
            yield Step(t, s, x, p, x_next)
            x = x_next

    monkeypatch.setitem(SAMPLERS, "mine", Sampler(mine, "Mine", order=1))
    # Its twin's, for the formulas that are written a second time.
    sampling, denoising = checks.sampling, checks.denoising
    known_as = lambda name: twin if name == "mine" else name  # noqa: E731
    monkeypatch.setattr(checks, "sampling", lambda *a, sampler, **m: sampling(*a, sampler=known_as(sampler), **m))
    monkeypatch.setattr(checks, "denoising", lambda *a: denoising(*a[:-1], known_as(a[-1])))
    asked = Settings(sampler="mine", steps=4)
    *_, last = draw.stream(asked)
    *_, known = draw.stream(replace(asked, sampler=twin))
    assert last is not None and known is not None and last.check is not None and last.check.ok
    assert last.numbers["sha256"] == known.numbers["sha256"]
    other = samplers.result(samplers.PRESETS["what it buys on two moons"])  # where all are raced, it is one of them
    assert "Mine" in {trace["name"] for trace in other.stage["plot"].to_dict()["data"]}
    assert sampler("Mine") == "mine" and "Sampler: mine" in draw.parameters(asked, "tiny", (16, 16, 3))
