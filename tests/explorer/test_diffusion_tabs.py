"""Samplers: numbers against formulas written out here, code against the endpoint, red badges."""

import ast
import contextlib
import io
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from core import denoiser, forward, mixtures, samplers, schedule
from explorer import frame
from explorer.settings import parse
from explorer.tabs import samplers as walks

TABS = (walks,)
PRESETS = [(tab, name) for tab in TABS for name in tab.PRESETS]


@pytest.mark.parametrize(("tab", "name"), PRESETS)
def test_code_prints_the_endpoints_numbers(tab, name):
    settings, out = tab.PRESETS[name], io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(tab.code(settings), {})
    printed = dict(line.split(" = ") for line in out.getvalue().strip().splitlines())
    view = tab.update(settings)
    assert len(printed) >= 4
    for key, value in printed.items():
        assert ast.literal_eval(value) == pytest.approx(view.numbers[key], rel=1e-5, abs=1e-6), key
    assert view.check.ok, view.check


@pytest.mark.parametrize("tab", TABS)
def test_code_runs_in_a_fresh_interpreter(tab):
    out = subprocess.run([sys.executable, "-c", tab.code(tab.Settings())], capture_output=True, text=True, check=True)
    assert len(out.stdout.strip().splitlines()) >= 4


@pytest.mark.parametrize("tab", TABS)
def test_endpoint_answers_in_json(tab):
    call = frame.endpoint(tab)
    assert json.loads(json.dumps(call(*vars(tab.Settings()).values()))) == tab.update(tab.Settings()).numbers
    with pytest.raises(Exception, match=r"seed must be a whole number in \[0, 9999\], got -1"):
        call(*vars(tab.Settings(seed=-1)).values())


@pytest.mark.parametrize("tab", TABS)
def test_the_first_preset_is_the_default_and_all_are_valid(tab):
    assert next(iter(tab.PRESETS.values())) == tab.Settings()
    for settings in tab.PRESETS.values():
        assert parse(tab.Settings, vars(settings)) == settings


def linear(t, T=1000):
    """alpha_bar of Ho et al. by a plain product."""
    return math.prod(1 - (1e-4 + (s - 1) / (T - 1) * (0.02 - 1e-4)) for s in range(1, t + 1))


def moons(x, a):
    """E[x0 | x_t] of the two moons, from scikit-learn's formula for them and Bayes' rule, loops for points."""
    angle = np.linspace(0, np.pi, 48)
    centres = np.concatenate(
        [np.stack([np.cos(angle), np.sin(angle)], 1), np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1)]
    )
    centres, v = 1.15 * (centres - [0.5, 0.25]), a * 0.07**2 + 1 - a
    out = []
    for point in x:
        log = -((point - a**0.5 * centres) ** 2).sum(1) / (2 * v)
        weight = np.exp(log - log.max())
        means = centres + a**0.5 * 0.07**2 / v * (point - a**0.5 * centres)
        out.append(weight @ means / weight.sum())
    return np.array(out)


def test_samplers_numbers_by_ddim_written_out():
    view = walks.update(walks.Settings(steps=10))
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0)).double().numpy()
    for t in range(1000, 0, -100):
        a, b = linear(t), linear(t - 100)
        x0 = moons(x, a)
        x = b**0.5 * x0 + (1 - b) ** 0.5 * (x - a**0.5 * x0) / (1 - a) ** 0.5
    assert view.numbers["times"] == list(range(1000, -1, -100))
    assert view.numbers["mean"] == pytest.approx(x.mean(0), abs=1e-3)
    assert view.numbers["std"] == pytest.approx(x.std(0, ddof=1), abs=1e-3)
    assert np.median(np.abs(view.stage[0].positions[-1, 0] - x)) < 1e-4


def test_samplers_one_shot_lands_on_the_mean():
    numbers = walks.update(walks.Settings(points="ring of eight", steps=1)).numbers
    assert np.abs(numbers["mean"]).max() < 0.01 and max(numbers["std"]) < 0.02


def test_more_steps_come_nearer():
    far = [walks.update(walks.Settings(steps=n)).numbers["energy_distance"] for n in (1, 4, 20)]
    assert far == sorted(far, reverse=True)
    fresh = walks.update(walks.Settings(steps=20)).numbers["energy_distance_of_a_fresh_draw"]
    assert far[-1] < 2 * fresh


def test_two_names_for_one_walk_on_the_screen():
    a, b = (walks.update(walks.Settings(sampler=name)).numbers["first_particle"] for name in ("ddim", "euler"))
    assert np.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("sampler", samplers.SAMPLERS)
@pytest.mark.parametrize("name", schedule.SCHEDULES)
def test_samplers_badge_is_green_everywhere(sampler, name):
    for spacing, steps in (("karras", 12), ("even", 7)):
        settings = walks.Settings(sampler=sampler, schedule=name, spacing=spacing, steps=steps, eta=0.4)
        view = walks.update(settings)
        assert view.check.ok, view.check
        assert "nan" not in view.formula


def shifted(right):
    """An off-by-one in the schedule: every time holds what belongs to the next."""

    def made(*args, **kwargs):
        s = right(*args, **kwargs)
        return schedule.NoiseSchedule(torch.cat([s.alpha_bar[:1], s.alpha_bar[2:], s.alpha_bar[-1:] * 0.99]))

    return made


@pytest.mark.parametrize(
    ("module", "name", "wrong", "sampler"),
    [
        (walks, "named_schedule", shifted, "ddim"),
        (samplers, "posterior", lambda right: lambda *a: (-right(*a)[0], right(*a)[1]), "ddpm"),
        (samplers, "posterior", lambda right: lambda *a: (right(*a)[0], 1.1 * right(*a)[1]), "ddpm"),
        (samplers, "randn_like", lambda right: lambda *a: -right(*a), "euler_ancestral"),
        (samplers, "combine", lambda right: lambda *terms: right(*terms[:-1], (-terms[-1][0], terms[-1][1])), "heun"),
        (mixtures, "Prediction", lambda right: lambda x0, eps: right(x0 + 0.001, eps), "dpmpp_2m"),
        (mixtures, "Prediction", lambda right: lambda x0, eps: right(x0, -eps), "euler"),
    ],
)
def test_samplers_badge_turns_red_when_core_is_wrong(monkeypatch, module, name, wrong, sampler):
    monkeypatch.setattr(module, name, wrong(getattr(module, name)))
    view = walks.update(walks.Settings(sampler=sampler))
    assert not view.check.ok, view.check


def test_modules_under_test_are_the_real_ones():
    assert mixtures.Prediction is denoiser.Prediction and samplers.posterior is forward.posterior
