"""Forward noise and Schedules: numbers against formulas written out here, code against the endpoint, red badges."""

import ast
import base64
import io
import json
import math
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import orjson
import plotly.graph_objects as go
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

from core import mixtures, samplers, schedule
from core.mixtures import GaussianMixture
from core.pictures import NAMES, picture
from explorer import frame
from explorer.figures.plot import Figure
from explorer.settings import from_query, parse, to_query
from explorer.tabs import forward_noise, schedules

TABS = (forward_noise, schedules)
PRESETS = [(tab, name) for tab in TABS for name in tab.PRESETS]


@pytest.mark.parametrize(("tab", "name"), PRESETS)
def test_code_prints_the_endpoints_numbers(afresh, tab, name):
    settings = tab.PRESETS[name]
    printed = dict(line.split(" = ", 1) for line in afresh(tab.code(settings)).strip().splitlines())
    view = tab.update(settings)
    assert set(printed) == set(view.numbers)
    for key, value in printed.items():
        assert alike(ast.literal_eval(value), view.numbers[key]), key
    assert view.check.ok, view.check
    assert "nan" not in view.formula and "nan" not in view.notice
    for figure in (shown for shown in view.stage.values() if isinstance(shown, Figure)):
        go.Figure(figure.to_dict())  # refuses what plotly does not have


def alike(a, b):
    """Equal to six digits, lists and tables of numbers too."""
    if isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in b)
    if isinstance(b, list):
        return len(a) == len(b) and all(map(alike, a, b))
    return a == b or a == pytest.approx(b, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("tab", TABS)
def test_endpoint_answers_in_json(tab):
    call = frame.endpoint(tab)
    for settings in {settings.view: settings for settings in tab.PRESETS.values()}.values():
        numbers = tab.update(settings).numbers
        sent = orjson.dumps(call(*vars(settings).values()), option=orjson.OPT_SERIALIZE_NUMPY)  # as Gradio does
        assert orjson.loads(sent) == json.loads(json.dumps(numbers, allow_nan=False))
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
    assert "nothing at all" in view.stage["meter"][0].verdict or not repair


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


def test_a_time_with_more_noise_than_picture_is_named_only_where_there_is_one():
    short = forward_noise.update(forward_noise.Settings(view=forward_noise.STRIP, T=50))
    assert "At **no time** is more of the variance noise" in short.notice and r"\beta_{50}" in short.formula
    assert "at no time has noise the larger part" in schedules.update(schedules.Settings(T=50)).notice
    half = next(t for t in range(1001) if schedule.linear().alpha_bar[t] < 0.5)
    assert (
        f"From **t = {half}** of 1000" in forward_noise.update(forward_noise.Settings(view=forward_noise.STRIP)).notice
    )
    assert f"from t = {half} of 1000 on" in schedules.update(schedules.Settings()).notice


def test_last_steps_that_have_next_to_no_signal_are_counted():
    late = sum(linear(t) < 0.01 for t in range(1, 1001))
    beside = sum(np.cos((t / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2 < 0.01 for t in range(1, 1001))  # its f(0) is 1
    notice = schedules.update(schedules.Settings()).notice
    assert f"In the last **{late}** steps less than 1 % of the variance is signal (in {beside} with cosine)" in notice
    assert "less than 1 %" not in schedules.update(schedules.Settings(T=150)).notice


def test_schedules_share_of_the_variance_says_of_which_picture():
    """Only a picture of variance 1 has the share alpha_bar; what it is compared with is told by its own alpha_bar."""
    s = schedules.PRESETS["scaled linear, repaired"]
    a, before = linear(900), schedule.scaled_linear().alpha_bar[900]
    assert (
        f"is **{100 * a:.3g} %** of the variance, for a picture of variance 1"
        in schedules.update(schedules.Settings(t=900)).notice
    )
    assert f"(before any change: {100 * before:.3g} %, from t = 355 on)" in schedules.update(s).notice
    assert "(with cosine: " in schedules.update(schedules.Settings()).notice


@pytest.mark.parametrize("other", [schedules.NOTHING, schedules.BEFORE, "scaled_linear"])
@pytest.mark.parametrize("shift", [1.0, 0.1])
def test_schedules_keys_fit_four_in_a_row(other, shift):
    """26 letters at the lecture's size are 220 pixels, of 225 that such a panel leaves beside its margin."""
    s = schedules.Settings(schedule="scaled_linear", repair=True, shift=shift, other=other)
    for figure in [schedules.update(s).stage[name] for name in schedules.PLOTS]:
        text = figure.to_dict()["layout"]["annotations"][-1]["text"].replace("&nbsp;", " ")
        lines = [re.sub("<[^>]*>", "", line) for line in text.split("<br>")]
        assert max(map(len, lines)) <= 26 and ("┄" in text) == (other != schedules.NOTHING)


def test_a_share_near_all_is_no_power_of_ten():
    notice = frame.notice_html(forward_noise.update(forward_noise.Settings(t=5)).notice)
    assert "<strong>99.93\xa0%</strong> of the variance" in notice


def test_a_time_that_is_nan_turns_the_badge_red(monkeypatch):
    right = forward_noise.add_noise
    monkeypatch.setattr(
        forward_noise, "add_noise", lambda x0, eps, t, s: right(x0, eps, t, s) * (1 if t < 9 else math.nan)
    )
    assert not forward_noise.update(forward_noise.Settings(view=forward_noise.STRIP, T=50)).check.ok


def test_much_signal_is_never_said_to_be_too_little():
    wrong = schedules.PRESETS["the wrong start: T = 150"]
    assert "takes that for a message" in schedules.update(wrong).notice
    few = schedules.update(replace(wrong, steps=1)).notice
    assert "too little" not in few and "so few steps blur all three ends" in few


def test_schedules_meter_warns():
    def verdicts(**settings):
        return [r.grave for r in schedules.update(schedules.Settings(**settings)).stage["meter"]]

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
        ({"beta_1": 0.1, "beta_T": 0.02}, "^“First β” must be at most “Last β”, got 0.1 and 0.02$"),
        (
            {"schedule": "scaled_linear", "scaled_1": 0.1, "view": schedules.START},
            "^“First β” must be at most “Last β”, got 0.1 and 0.012$",
        ),
        ({"schedule": "sigmoid", "start": 3.0, "end": 2.0}, "^“Curve from” must be below “Curve to”, got 3 and 2$"),
        ({"schedule": "sigmoid", "start": 3.0, "end": 3.0}, "^“Curve from” must be below “Curve to”, got 3 and 3$"),
        ({"schedule": "karras", "sigma_min": 1.0, "sigma_max": 1.0}, "^“Least σ” must be below “Largest σ”, got 1 and"),
        (
            {"T": 2000, "beta_T": 0.999},
            "^ᾱ must fall strictly, but is 0 .*fewer steps or a smaller β would fit$",
        ),
    ],
)
def test_schedules_that_cannot_be_are_told(settings, says):
    """In the words of the controls that are to be moved."""
    with pytest.raises(ValueError, match=says):
        schedules.update(schedules.Settings(**settings))


def test_a_beta_that_stays_as_it_is_is_a_schedule():
    got = schedules.update(schedules.Settings(beta_1=0.01, beta_T=0.01, T=100, t=7)).numbers
    assert got["alpha_bar"] == pytest.approx(0.99**7, rel=1e-9)


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
    cloud = schedules.update(s).stage["cloud"]
    assert cloud.positions.shape[:2] == (len(cloud.labels), 3)


# Forward noise


def linear(t, T=1000):
    """alpha_bar of Ho et al. by a plain product."""
    return math.prod(1 - (1e-4 + (s - 1) / (T - 1) * (0.02 - 1e-4)) for s in range(1, t + 1))


@pytest.mark.parametrize("t", [0, 1, 3, 400, 1000])
def test_forward_noise_numbers(t):
    """The pictures' moments: signal x0 plus unit noise, within 5 standard errors over the pixels."""
    view = forward_noise.update(forward_noise.Settings(picture="ball", t=t))
    got, x0, a = view.numbers, picture("ball", 64), linear(t)
    assert view.check.ok, view.check
    assert got["alpha_bar"] == pytest.approx(a, rel=1e-9)
    assert (got["signal"], got["noise"]) == pytest.approx((a**0.5, (1 - a) ** 0.5), abs=1e-9)
    for route in ("jump", "chain"):
        error = 5 * (1 - a) ** 0.5 / math.sqrt(x0.numel()) + 1e-6
        assert abs(got[f"{route}_mean"] - a**0.5 * float(x0.mean())) < error
        spread = math.sqrt(a * float(x0.var()) + 1 - a)
        assert abs(got[f"{route}_std"] - spread) < 2 * error
    if t:
        beta = 1 - linear(t) / linear(t - 1)
        assert got["added_std"] == pytest.approx(beta**0.5, rel=5 / math.sqrt(2 * x0.numel()))


def same_shades(shown, x):
    """Whether these bytes are the shades nearest to the values x, black at -1 and white at 1."""
    expected = (np.clip(np.asarray(x, dtype=np.float64), -1, 1) + 1) * 127.5
    return np.abs(shown - expected).max() < 0.51


def test_forward_noise_frames_are_the_pictures(monkeypatch):
    """The chain gone on from a kept time is the chain walked from the start, and the jump is its equation."""
    shown, values = forward_noise.trajectory, []
    monkeypatch.setattr(forward_noise, "trajectory", lambda *of: values.extend(of[-2:]) or shown(*of))
    view = forward_noise.update(forward_noise.Settings(picture="letter", t=137, T=500))
    trajectory, (x_t, at_t) = view.stage["player"], values
    assert trajectory.labels[trajectory.at].startswith("t = 137:")
    jump, walked = trajectory.frames[trajectory.at]
    x0, a = picture("letter", 64), linear(137, 500)
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    assert np.allclose(x_t, a**0.5 * x0 + (1 - a) ** 0.5 * eps, atol=1e-5) and same_shades(jump, x_t[0])
    assert np.allclose(forward_noise.chain_of("letter", 64, False, "linear", 500, 0).states[0], x0)
    assert same_shades(trajectory.frames[0], x0.expand(2, -1, -1)) and len(trajectory.labels) == 42
    x, g = x0, torch.Generator().manual_seed(100_000)
    for t in range(1, 138):
        beta = 1 - linear(t, 500) / linear(t - 1, 500)
        x = (1 - beta) ** 0.5 * x + beta**0.5 * torch.randn(x0.shape, generator=g)
    assert np.allclose(at_t, x, atol=1e-4) and same_shades(walked, at_t[0])
    assert not same_shades(jump, x[0])


def test_forward_noise_keeps_little():
    """What stays in memory for a moving t, and what travels: both bounded, whatever the size."""
    for size, grey in ((28, True), (64, False), (256, False)):
        s = forward_noise.Settings(picture="galaxy", size=size, grey=grey, T=60, t=30)
        sent = forward_noise.update(s).stage["player"].frames
        assert sent.shape[2:4] == (size, size) and sent.size <= forward_noise.BUDGET + 2 * sent[0].size
        kept = forward_noise.chain_of(s.picture, size, grey, s.schedule, 60, 0)
        assert sum(x.numel() for x in kept.states) <= forward_noise.BUDGET
        assert 4 * sum(x.numel() for x in kept.states) + sum(g.numel() for g in kept.generators) <= 9e6  # bytes
        shades = forward_noise.shades_of(s.picture, size, grey, s.schedule, 60, 0)
        assert shades.nbytes <= forward_noise.BUDGET + 2 * shades[0].nbytes
    for cached in (forward_noise.chain_of, forward_noise.shades_of):
        assert cached.cache_info().maxsize == 12


def test_forward_noise_says_when_too_much_signal_is_left():
    view = forward_noise.update(forward_noise.Settings(t=150, T=150))
    assert "Too few steps" in view.notice and f"{100 * linear(150, 150) ** 0.5:.0f} %" in view.notice
    for name in (forward_noise.PLAY, forward_noise.PROOF, forward_noise.CLOUD):
        with pytest.raises(ValueError, match="at most T = 50, got 51"):
            forward_noise.update(forward_noise.Settings(view=name, t=51, T=50))
    with pytest.raises(ValueError, match="go up to 42: T must be at least that, got 41"):
        forward_noise.update(forward_noise.Settings(view=forward_noise.TABLE, T=41))


@pytest.mark.parametrize("name", schedule.SCHEDULES)
@pytest.mark.parametrize("view", forward_noise.TAB.table)
def test_forward_noise_badge_is_green_everywhere(name, view):
    for t in (0, 7, 50):
        s = forward_noise.Settings(view=view, schedule=name, T=50, t=t, draws=60, picture="ball", size=28)
        shown = forward_noise.update(s)
        assert shown.check.ok, shown.check
        assert "nan" not in shown.formula + shown.notice


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("grey", [False, True])
def test_forward_noise_takes_every_start_picture(name, grey):
    if name.startswith("drawn by"):
        pytest.skip("takes the embedded model")
    view = forward_noise.update(forward_noise.Settings(picture=name, size=48, grey=grey, T=20, t=5))
    shape = view.stage["player"].frames.shape
    assert shape[2:4] == (48, 48) and (len(shape) == 4 or not grey) and view.check.ok


def test_pictures_are_made_grey_as_pillow_averages():
    from PIL import Image

    x = picture("galaxy", 256)
    source = np.asarray(Image.open(forward_noise.__file__.split("explorer")[0] + "assets/images/start/galaxy.png"))
    assert np.allclose((x.permute(1, 2, 0).numpy() + 1) * 127.5, source, atol=1e-3)
    assert np.allclose((picture("galaxy", 256, grey=True)[0].numpy() + 1) * 127.5, source.mean(2), atol=1e-3)


def test_forward_noise_of_an_own_picture():
    from PIL import Image

    pixels, file = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8), io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    own = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    s = parse(forward_noise.Settings, {"picture": own, "size": 40, "t": 0})
    view = forward_noise.update(s)
    assert np.array_equal(view.stage["player"].frames[0, 0], pixels)
    assert "x" not in to_query(s) and "picture.png" in forward_noise.code(s)
    bad = "data:image/png;base64," + base64.b64encode(b"no picture").decode()
    with pytest.raises(ValueError, match="no picture that can be read"):
        forward_noise.update(replace(s, picture=bad))


def own_picture(width, height, mode="RGB"):
    """Random pixels as a PNG file, and as a data address."""
    from PIL import Image

    pixels, file = np.random.default_rng(1).integers(0, 256, (height, width, len(mode)), dtype=np.uint8), io.BytesIO()
    Image.fromarray(pixels, mode).save(file, "PNG")
    return file.getvalue(), "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize(("view", "grey"), [(name, name == forward_noise.STRIP) for name in forward_noise.TAB.table])
def test_forward_noise_code_of_an_own_picture_prints_its_numbers(afresh, tmp_path, view, grey):
    """Larger than what is kept of it, oblong and see-through: the program prepares it as the screen does."""
    data, own = own_picture(560, 500, "RGBA")
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    s = forward_noise.Settings(view=view, picture=own, grey=grey, T=50, t=20, draws=30)
    code = forward_noise.code(s).replace('"picture.png"', repr(str(path)))
    printed = dict(line.split(" = ", 1) for line in afresh(code).strip().splitlines())
    numbers = forward_noise.update(s).numbers
    assert set(printed) == set(numbers)
    for key, value in printed.items():
        assert alike(ast.literal_eval(value), numbers[key]), key


def test_many_chains_leave_no_memory_behind():
    """What is kept is two numbers a pixel and time; no state of 2000 chains may stay mapped between them."""
    program = """
import gc
from pathlib import Path
from explorer.tabs.forward_noise import SIDE, many_chains

def resident():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

many_chains("ball", "linear", 3, 0, 2000)
before, T = resident(), 150
means, variances = many_chains("ball", "linear", T, 1, 2000)
print(resident() - before, means.nbytes + variances.nbytes)
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    grown, kept = map(int, out.split())
    assert kept == 2 * 151 * 256 * 4 and grown < 100e6


def test_the_moments_of_many_chains_are_numpys():
    s = ("letter", "cosine", 9, 3, 40)
    means, variances = forward_noise.many_chains(*s)
    x0 = forward_noise.small("letter")
    chain = forward_noise.forward_chain(
        x0.expand(40, -1), schedule.named_schedule("cosine", T=9), generator=forward_noise.chance(3, 2)
    )
    states = np.stack([x.double().numpy() for x in chain])
    assert means.dtype == variances.dtype == torch.float32 and torch.equal(means[0], x0) and not variances[0].any()
    np.testing.assert_allclose(means[1:], states.mean(1), atol=1e-6)
    np.testing.assert_allclose(variances[1:], states.var(1, ddof=1), rtol=1e-4, atol=1e-7)


def test_forward_noise_proof_is_the_closed_form_for_every_pixel():
    """Means within six standard errors of sqrt(abar) x0, x0 by Pillow's box filter; scipy for variances."""
    from PIL import Image
    from scipy.stats import chi2, kstest

    got = forward_noise.update(forward_noise.PRESETS["are they the same?"]).numbers
    x0 = picture("beach", 64).mean(0).numpy()
    x0 = np.asarray(Image.fromarray(x0).resize((16, 16), Image.Resampling.BOX)).ravel()
    a, n = linear(250), got["draws"]
    for route in ("jump", "chain"):
        z = (np.array(got[f"{route}_means"]) - a**0.5 * x0) / ((1 - a) / n) ** 0.5
        assert np.abs(z).max() < 6 and kstest(z, "norm").pvalue > 1e-3
        share = np.array(got[f"{route}_variances"]) / (1 - a) * (n - 1)
        assert kstest(share, chi2(n - 1).cdf).pvalue > 1e-3


def test_forward_noise_table_rows_are_their_equation():
    s = forward_noise.PRESETS["deck 003 · the table"]
    view = forward_noise.update(s)
    assert view.numbers["amounts"] == [3, 14, 7, 42, 2, 21] == [int(row[0]) for row in view.stage["table"].rows]
    theirs = DDPMScheduler(num_train_timesteps=50, beta_schedule="squaredcos_cap_v2")
    x0, g = picture("beach", 64), torch.Generator().manual_seed(500_000)
    for t, row in zip(view.numbers["amounts"], view.stage["table"].rows, strict=True):
        eps = torch.randn(x0.shape, generator=g)
        noisy = theirs.add_noise(x0[None], eps[None], torch.tensor([t - 1]))[0]
        assert np.allclose(row[1], ((noisy + 1) / 2).clamp(0, 1).permute(1, 2, 0), atol=1e-4)
        assert np.allclose(row[2], ((eps + 1) / 2).clamp(0, 1).permute(1, 2, 0), atol=1e-6)
    assert max(view.numbers["largest_difference"]) < 1e-6
    others = [forward_noise.update(replace(s, rows=n)).numbers["amounts"] for n in (1, 2)]
    assert others[0] != others[1] and all(1 <= t <= 50 for row in others for t in row)


def test_forward_noise_strips_grow_by_steps_and_by_factors():
    got = forward_noise.update(forward_noise.Settings(view=forward_noise.STRIP)).numbers
    assert got["even_times"] == [0, 111, 222, 333, 444, 556, 667, 778, 889, 1000]
    assert got["log_times"] == [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    assert got["log_alpha_bar"] == pytest.approx([linear(t) for t in got["log_times"]], rel=1e-9)


def test_forward_noise_entropy_of_one_gaussian_is_its_closed_form():
    """ln(2 pi e v) in the plane for N(., v), and the particles' spread is that v."""
    s = forward_noise.Settings(view=forward_noise.CLOUD, points="one Gaussian", t=300)
    got = forward_noise.update(s).numbers
    v = linear(300) * 0.45**2 + 1 - linear(300)
    assert got["entropy"] == pytest.approx(math.log(2 * math.pi * math.e * v), abs=5 * got["entropy_error"])
    assert got["std"] == pytest.approx([v**0.5] * 2, rel=5 / math.sqrt(4000))
    assert got["entropies"] == sorted(got["entropies"], key=float) or np.diff(got["entropies"]).min() > -0.05


def test_one_push_is_said_as_one():
    def says(view, t):
        return forward_noise.update(forward_noise.Settings(view=view, t=t, T=50, draws=30)).notice

    assert "each pushed once." in says(forward_noise.CLOUD, 1) and "pushed 2 times." in says(forward_noise.CLOUD, 2)
    assert "30 chains of 1 step," in says(forward_noise.PROOF, 1)


def test_contours_of_a_round_gaussian_are_circles_of_the_right_radius():
    """A share p of N(0, I) in the plane lies within sqrt(-2 ln(1 - p))."""
    axis = np.linspace(-4, 4, 161)
    density = np.exp(-(axis[:, None] ** 2 + axis**2) / 2)
    lines = forward_noise.figures.contours(density, (-4, 4, -4, 4))
    radii = [np.hypot(*line.T) for line in lines]
    expected = [math.sqrt(-2 * math.log(1 - p)) for p in forward_noise.figures.SHARES]
    assert [r.mean() for r in radii] == pytest.approx(expected, rel=0.02)
    assert max(np.ptp(r) for r in radii) < 0.02


def earlier(t):
    """One step before each of these times, of one or of several."""
    return (torch.as_tensor(t) - 1).clamp(min=0)


CACHES = (
    forward_noise.chain_of,
    forward_noise.shades_of,
    forward_noise.many_chains,
    forward_noise.spreading,
    forward_noise.density,
)


@pytest.mark.parametrize(
    ("module", "name", "wrong", "settings"),
    [
        (forward_noise, "add_noise", lambda right: lambda x0, eps, t, s: right(x0, -eps, t, s), {}),
        (forward_noise, "add_noise", lambda right: lambda x0, eps, t, s: right(x0, eps, earlier(t), s), {}),
        (forward_noise, "forward_chain", lambda right: lambda *a, **k: (1.002 * x for x in right(*a, **k)), {}),
        (forward_noise, "forward_chain", lambda right: lambda *a, **k: (-x for x in right(*a, **k)), {}),
        (forward_noise, "named_schedule", off_by_one, {}),
        (
            forward_noise,
            "forward_chain",
            lambda right: lambda *a, **k: (1.2 * x for x in right(*a, **k)),
            {"view": forward_noise.PROOF},
        ),
        (
            forward_noise,
            "add_noise",
            lambda right: lambda x0, eps, t, s: right(-x0, eps, t, s),
            {"view": forward_noise.PROOF},
        ),
        (
            forward_noise,
            "add_noise",
            lambda right: lambda x0, eps, t, s: right(x0, eps, earlier(t), s),
            {"view": forward_noise.TABLE},
        ),
        (
            forward_noise,
            "add_noise",
            lambda right: lambda x0, eps, t, s: right(x0, -eps, t, s),
            {"view": forward_noise.STRIP},
        ),
        (
            forward_noise,
            "forward_chain",
            lambda right: lambda *a, **k: (1.2 * x for x in right(*a, **k)),
            {"view": forward_noise.CLOUD},
        ),
        (
            mixtures.GaussianMixture,
            "log_density",
            lambda right: lambda *a: 1.1 * right(*a),
            {"view": forward_noise.CLOUD},
        ),
    ],
)
def test_forward_badge_turns_red_when_core_is_wrong(monkeypatch, module, name, wrong, settings):
    for cache in CACHES:
        cache.cache_clear()
    monkeypatch.setattr(module, name, wrong(getattr(module, name)))
    view = forward_noise.update(forward_noise.Settings(picture="ball", **settings))
    for cache in CACHES:
        cache.cache_clear()
    assert not view.check.ok, view.check
