"""Forward noise and Schedules: numbers against formulas written out here, code against the endpoint, red badges."""

import ast
import contextlib
import io
import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

from core import samplers, schedule
from core.mixtures import GaussianMixture
from explorer import frame
from explorer.settings import from_query, parse, to_query
from explorer.tabs import schedules

TABS = (schedules,)
PRESETS = [(tab, name) for tab in TABS for name in tab.PRESETS]


@pytest.mark.parametrize(("tab", "name"), PRESETS)
def test_code_prints_the_endpoints_numbers(tab, name):
    settings, out = tab.PRESETS[name], io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(tab.code(settings), {})
    printed = dict(line.split(" = ", 1) for line in out.getvalue().strip().splitlines())
    view = tab.update(settings)
    assert len(printed) >= 3
    for key, value in printed.items():
        assert np.allclose(ast.literal_eval(value), view.numbers[key], rtol=1e-5, atol=1e-6), key
    assert view.check.ok, view.check
    assert "nan" not in view.formula and "nan" not in view.notice


@pytest.mark.parametrize("tab", TABS)
def test_every_views_code_runs_in_a_fresh_interpreter(tab):
    views = {settings.view: settings for settings in reversed(tab.PRESETS.values())}
    script = "\n".join(tab.code(settings) for settings in views.values())
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert len(out.stdout.strip().splitlines()) >= 3 * len(views)


@pytest.mark.parametrize("tab", TABS)
def test_endpoint_answers_in_json(tab):
    call = frame.endpoint(tab)
    for settings in {settings.view: settings for settings in tab.PRESETS.values()}.values():
        numbers = tab.update(settings).numbers
        assert json.loads(json.dumps(call(*vars(settings).values()), allow_nan=False)) == numbers
    with pytest.raises(Exception, match=r"seed must be a whole number in \[0, 9999\], got -1"):
        call(*vars(tab.Settings(seed=-1)).values())


@pytest.mark.parametrize("tab", TABS)
def test_the_first_preset_is_the_default_and_all_are_valid(tab):
    assert next(iter(tab.PRESETS.values())) == tab.Settings()
    for settings in tab.PRESETS.values():
        assert parse(tab.Settings, vars(settings)) == settings
        assert from_query(tab.Settings, to_query(settings)) == settings


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("value", [0, 1, -5, 2.5, math.nan, math.inf, True, "many", None])
def test_a_bad_T_is_told(tab, value):
    with pytest.raises(ValueError, match=r"T must be a whole number in \[2, "):
        parse(tab.Settings, {"T": value})


# Schedules


THEIRS = {
    "linear": dict(beta_schedule="linear", beta_start=1e-4, beta_end=0.02),
    "scaled_linear": dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
    "quadratic": dict(beta_schedule="scaled_linear", beta_start=1e-4, beta_end=0.02),
    "cosine": dict(beta_schedule="squaredcos_cap_v2"),
}


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("repair", [False, True])
def test_schedules_numbers_are_diffusers(name, repair):
    """alpha_bar, and the variance their DDPM adds on the way back; theirs in float32."""
    t, T = 300, 500
    options = THEIRS[name] | {"num_train_timesteps": T, "rescale_betas_zero_snr": repair}
    theirs = DDIMScheduler(**options)
    view = schedules.update(schedules.Settings(schedule=name, T=T, t=t, repair=repair))
    got = view.numbers
    assert view.check.ok, view.check
    alpha_bar = theirs.alphas_cumprod.double()
    assert got["alpha_bar"] == pytest.approx(alpha_bar[t - 1].item(), rel=1e-4)
    assert got["beta"] == pytest.approx(theirs.betas[t - 1].item(), rel=1e-4)
    assert got["signal_at_T"] == pytest.approx(alpha_bar[-1].sqrt().item(), rel=2e-3, abs=2e-4)
    assert got["snr"] == pytest.approx((alpha_bar / (1 - alpha_bar))[t - 1].item(), rel=1e-4)
    back = DDPMScheduler(**options, variance_type="fixed_small")
    assert got["posterior_variance"] == pytest.approx(float(back._get_variance(t - 1)), rel=1e-3)
    assert len(got["curves"]["alpha_bar"]) == T + 1 and got["curves"]["snr"][0] is None
    assert "nothing at all" in view.stage[0][0].verdict or not repair


def test_schedules_repair_is_diffusers_step_for_step():
    s = schedules.Settings(schedule="scaled_linear", repair=True, other=schedules.BEFORE)
    got = schedules.update(s).numbers
    before = torch.tensor(got["other"]["curves"]["beta"][1:], dtype=torch.float64)
    assert np.allclose(got["curves"]["beta"][1:], rescale_zero_terminal_snr(before), rtol=1e-9)
    assert got["other"]["signal_at_T"] == pytest.approx(0.068265, abs=1e-6)  # Lin et al., section 3.1


def test_schedules_karras_and_flow_are_held_at_equal_snr():
    got = schedules.update(schedules.Settings(schedule="karras", other="flow", t=250)).numbers
    sigma = (0.002 ** (1 / 7) + 249 / 999 * (80 ** (1 / 7) - 0.002 ** (1 / 7))) ** 7
    assert got["sigma"] == pytest.approx(sigma, rel=1e-9)
    assert got["alpha_bar"] == pytest.approx(1 / (1 + sigma**2), rel=1e-9)
    assert got["other"]["snr"] == pytest.approx((0.75 / 0.25) ** 2, rel=1e-9)
    shifted = schedules.update(schedules.Settings(schedule="flow", shift=3.0, t=250)).numbers
    u = 3 * 0.25 / (1 + 2 * 0.25)  # Esser et al., equation 23
    assert shifted["snr"] == pytest.approx(((1 - u) / u) ** 2, rel=1e-9)


@pytest.mark.parametrize("name", schedule.SCHEDULES)
@pytest.mark.parametrize("view", [schedules.CURVES, schedules.START])
@pytest.mark.parametrize("T", [2, 37])
def test_schedules_badge_is_green_everywhere(name, view, T):
    for shift, repair in ((1.0, False), (2.5, True)):
        s = schedules.Settings(
            view=view, schedule=name, T=T, shift=shift, repair=repair, steps=7, other=schedules.BEFORE
        )
        shown = schedules.update(s)
        assert shown.check.ok, shown.check
        assert "nan" not in shown.formula + shown.notice


def test_schedules_meter_warns():
    def verdicts(**settings):
        return [r.grave for r in schedules.update(schedules.Settings(**settings)).stage[0]]

    assert verdicts(T=150, other=schedules.NOTHING) == ["wrong"]
    assert verdicts(schedule="scaled_linear", other="cosine") == ["careful", "fine"]
    assert verdicts(T=150, other=schedules.BEFORE, repair=True) == ["fine", "wrong"]
    assert "Too much is left" in schedules.update(schedules.Settings(T=150)).notice


def test_the_wrong_start_pulls_one_gaussian_as_the_closed_form_says(monkeypatch):
    """On one Gaussian the flow is x0 = mean + std / spread_T (x_T - signal_T mean): from N(0, I) the mean misses."""
    one = GaussianMixture(torch.zeros(1, 2), torch.tensor([0.4]), torch.ones(1))
    monkeypatch.setattr(schedules, "mixture", lambda name: one)
    schedules.walks.cache_clear()
    T, away = 150, 1.5
    run = schedules.walks(schedules.Settings(view=schedules.START, T=T, steps=150, away=away))
    schedules.walks.cache_clear()
    a = math.prod(1 - (1e-4 + (s - 1) / (T - 1) * (0.02 - 1e-4)) for s in range(1, T + 1))
    spread = math.sqrt(a * 0.4**2 + 1 - a)
    for i in (0, 1):
        x = run.steps[i][0].x.double()
        expected = away + 0.4 / spread * (x - math.sqrt(a) * away)
        assert (run.end(i) - expected).abs().max() < 0.03  # 150 steps of first order
    miss = away - float(run.end(0).mean())
    assert miss == pytest.approx(math.sqrt(a) * 0.4 / spread * away, abs=0.05) and miss > 0.2
    assert abs(float(run.end(2).mean()) - away) < 0.05  # repaired, it arrives


def test_schedules_distances_tell_the_wrong_start_from_the_right_one():
    got = schedules.update(schedules.PRESETS["the wrong start: T = 150"]).numbers
    floor = got["distance_of_a_fresh_draw"]
    assert got["distance_from_pure_noise"] > 10 * floor
    assert max(got["distance_from_noised_data"], got["distance_repaired"]) < 2 * floor


def off_by_one(right):
    """Every time holds what belongs to the next."""

    def made(*args, **kwargs):
        s = right(*args, **kwargs)
        return schedule.NoiseSchedule(torch.cat([s.alpha_bar[:1], s.alpha_bar[2:], s.alpha_bar[-1:] * 0.99]))

    return made


@pytest.mark.parametrize(
    ("module", "name", "wrong", "settings"),
    [
        (schedules, "named_schedule", off_by_one, {}),
        (schedules, "named_schedule", off_by_one, {"view": schedules.START}),
        (schedules, "shifted", lambda right: lambda s, shift: right(s, 1 / shift), {"shift": 2.0}),
        (schedules, "zero_terminal_snr", lambda right: lambda s: s, {"repair": True}),
        (schedules, "zero_terminal_snr", lambda right: lambda s: s, {"view": schedules.START, "T": 150}),
        (schedules, "posterior", lambda right: lambda *a: (right(*a)[0], 1.01 * right(*a)[1]), {}),
        (
            samplers,
            "combine",
            lambda right: lambda *t: right(*t[:-1], (-t[-1][0], t[-1][1])),
            {"view": schedules.START},
        ),
    ],
)
def test_schedules_badge_turns_red_when_core_is_wrong(monkeypatch, module, name, wrong, settings):
    schedules.walks.cache_clear()
    monkeypatch.setattr(module, name, wrong(getattr(module, name)))
    view = schedules.update(schedules.Settings(**settings))
    schedules.walks.cache_clear()
    assert not view.check.ok, view.check


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"beta_1": 0.1, "beta_T": 0.02}, "beta_1 <= beta_T"),
        ({"schedule": "sigmoid", "start": 3.0, "end": 2.0}, "start < end"),
    ],
)
def test_schedules_that_cannot_be_are_told(settings, says):
    with pytest.raises(ValueError, match=says):
        schedules.update(schedules.Settings(**settings))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"beta_T": 1.5}, r"beta_T must be a number in \[0.0001, 0.999\], got 1.5"),
        ({"beta_1": math.nan}, "beta_1 must be a number"),
        ({"beta_1": 0}, "beta_1 must be a number"),
        ({"sigma_max": math.inf}, "sigma_max must be a number"),
        ({"shift": 0}, "shift must be a number"),
        ({"schedule": "cosin"}, "schedule must be one of linear, scaled_linear"),
    ],
)
def test_schedules_bad_values_are_told(values, says):
    with pytest.raises(ValueError, match=says):
        parse(schedules.Settings, values)


def test_a_walk_of_fewer_times_waits_at_its_end():
    s = schedules.Settings(view=schedules.START, schedule="cosine", T=30, steps=200)
    cloud = schedules.update(replace(s)).stage[6]
    assert cloud.positions.shape[:2] == (len(cloud.labels), 3)
