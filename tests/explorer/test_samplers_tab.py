"""The samplers tab: numbers against formulas written out here, code against the endpoint, badges that can turn red."""

import ast
import dataclasses
import json
import math
import re
from itertools import combinations, pairwise, product

import numpy as np
import orjson
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import cdist

from core import checks, classifier, convergence, denoiser, forward, mixtures, samplers, schedule
from core.pipeline import TextToImage
from explorer import models
from explorer.figures.plot import Figure
from explorer.settings import from_query, parse, specs, to_query
from explorer.tabs import denoising, schedules
from explorer.tabs import samplers as tab
from explorer.tabs.samplers import costs, guidance, particles
from explorer.tabs.samplers import settings as ground
from explorer.tabs.samplers.settings import (
    CLEAN,
    COST,
    DRAWINGS,
    DRAWN,
    ENERGY,
    EXACT,
    FREE,
    GUIDE,
    MOTION,
    NOISY,
    PAIR,
    PICTURES,
    PRESETS,
    Settings,
)

QUICK = [name for name, s in PRESETS.items() if s.view not in (COST, PICTURES)]


@pytest.fixture(autouse=True)
def nothing_remembered():
    """What a perturbed core left behind must not reach the next test, nor what a right one did a perturbed core's."""
    caches = [f for m in (ground, costs, guidance, particles) for f in vars(m).values() if hasattr(f, "cache_clear")]
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def read(printed):
    return {key: ast.literal_eval(value) for key, value in (line.split(" = ", 1) for line in printed.splitlines())}


def same(a, b):
    """Alike to rounding, through lists and dictionaries."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b if isinstance(a, str | None) else a == pytest.approx(b, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", QUICK)
def test_code_prints_every_number_of_the_endpoint(afresh, name):
    settings = PRESETS[name]
    view = tab.update(settings)
    assert view.check.ok, view.check
    assert json.loads(json.dumps(view.numbers)) == view.numbers
    assert same(read(afresh(tab.code(settings))), view.numbers)


@pytest.mark.parametrize("measure", specs(Settings)["measure"].options)
def test_code_of_the_cost(afresh, monkeypatch, measure):
    monkeypatch.setattr(costs, "STEPS", (5, 10, 20))
    settings = Settings(view=COST, points="ring of eight", spacing="karras", measure=measure)
    *_, view = tab.stream(settings)
    assert view.check.ok, view.check
    assert same(read(afresh(tab.code(settings))), view.numbers)


def test_endpoint_answers_in_json():
    numbers = tab.endpoint(*vars(Settings()).values())
    sent = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)  # as Gradio does
    assert orjson.loads(sent) == tab.update(Settings()).numbers
    with pytest.raises(Exception, match=r"seed must be a whole number in \[0, 9999\], got -1"):
        tab.endpoint(*vars(Settings(seed=-1)).values())


def test_presets():
    assert next(iter(PRESETS.values())) == Settings()
    for settings in PRESETS.values():
        assert parse(Settings, vars(settings)) == settings == from_query(Settings, to_query(settings))


# ---- bad input


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"drawn": []}, r"drawn must be 2 to 128 points \(x, y\), got 0: draw more"),
        ({"drawn": [[1.0, 1.0]]}, "got 1: draw more"),
        ({"drawn": [[1.0, 1.0]] * 200}, "got 200: draw fewer"),
        ({"drawn": [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]}, r"points \(x, y\)"),
        ({"drawn": [[math.nan, 1.0], [0.0, 0.0]]}, "nan"),
        ({"drawn": [[9.0, 1.0], [0.0, 0.0]]}, r"\[-2.5, 2.5\], got 9"),
        ({"steps": 0}, r"steps must be a whole number in \[1, 200\], got 0"),
        ({"steps": math.nan}, "nan"),
        ({"scale": math.inf}, "inf"),
        ({"sampler": "plms"}, "ddpm, ddim, euler"),
    ],
)
def test_bad_settings_are_refused_in_words(values, says):
    with pytest.raises(ValueError, match=says):
        parse(Settings, values)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (Settings(points=DRAWN, drawn=((1.0, 1.0), (1.0, 1.0))), "two different points"),
        (Settings(view=GUIDE, points="one Gaussian"), "needs classes"),
        (
            Settings(view=GUIDE, wanted=5),
            r"^“Class y” must be one from 0 to 1 \(the upper moon, the lower moon\) on two moons, got 5",
        ),
        (Settings(view=GUIDE, guide=EXACT, schedule="flow"), "alpha_bar = 0"),
    ],
)
def test_what_does_not_go_together_is_refused_in_words(settings, says):
    with pytest.raises(ValueError, match=says):
        tab.update(settings)


@pytest.mark.parametrize("module", [tab, denoising, schedules], ids=["samplers", "denoising", "schedules"])
def test_the_program_is_written_or_refused_in_the_words_of_the_screen(module):
    """With every two fields at an end of what they take, in every view."""
    known = specs(module.Settings)
    ends = {name: ends_of(spec) for name, spec in known.items()}
    refused = {}
    for one, other in combinations(known, 2):
        for values in product(ends[one], ends[other]):
            settings = dataclasses.replace(module.Settings(), **dict(zip((one, other), values, strict=True)))
            try:
                assert "print(" in module.code(settings)
            except ValueError as error:
                refused[str(error)] = settings
    for said, settings in refused.items():
        with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
            module.update(settings)
    assert module is not tab or any("must be one from 0 to 1" in said for said in refused)


def ends_of(spec):
    match spec.kind:
        case "number":
            return (spec.low, spec.high)
        case "flag":
            return (False, True)
        case "grid":
            return (spec.default, ((1.0, 1.0), (1.0, 1.0)))
        case _:
            return spec.options or (spec.default,)


# ---- particles


def linear(t, T=1000):
    """alpha_bar of Ho et al. by a plain product."""
    return math.prod(1 - (1e-4 + (s - 1) / (T - 1) * (0.02 - 1e-4)) for s in range(1, t + 1))


def centres_of_moons():
    """scikit-learn's formula for them."""
    angle = np.linspace(0, np.pi, 48)
    centres = np.concatenate(
        [np.stack([np.cos(angle), np.sin(angle)], 1), np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1)]
    )
    return 1.15 * (centres - [0.5, 0.25])


def moons(x, a, centres=None):
    """E[x0 | x_t] of the two moons by Bayes' rule, loops for points."""
    centres, v = centres_of_moons() if centres is None else centres, a * 0.07**2 + 1 - a
    out = []
    for point in x:
        log = -((point - a**0.5 * centres) ** 2).sum(1) / (2 * v)
        weight = np.exp(log - log.max())
        means = centres + a**0.5 * 0.07**2 / v * (point - a**0.5 * centres)
        out.append(weight @ means / weight.sum())
    return np.array(out)


def noise_of_seed(n=400):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(0)).double().numpy()


def test_numbers_by_ddim_written_out():
    view, x = tab.update(Settings(steps=10)), noise_of_seed()
    for t in range(1000, 0, -100):
        a, b = linear(t), linear(t - 100)
        x0 = moons(x, a)
        x = b**0.5 * x0 + (1 - b) ** 0.5 * (x - a**0.5 * x0) / (1 - a) ** 0.5
    assert view.numbers["times"] == list(range(1000, -1, -100))
    assert view.numbers["mean"] == pytest.approx(x.mean(0), abs=1e-3)
    assert view.numbers["std"] == pytest.approx(x.std(0, ddof=1), abs=1e-3)
    assert np.median(np.abs(view.stage["cloud"].positions[-1, 0] - x)) < 1e-4


@pytest.mark.parametrize("sampler", ["ddpm", "euler_ancestral"])
def test_without_fresh_noise_the_walk_goes_from_mean_to_mean(sampler):
    """Ho et al., equation 7, written out; every particle then ends nearly where all others do."""
    view, x = tab.update(Settings(sampler=sampler, steps=20)), noise_of_seed()
    for t in range(1000, 0, -50):
        a, b = linear(t), linear(t - 50)
        x = b**0.5 * (1 - a / b) / (1 - a) * moons(x, a) + (a / b) ** 0.5 * (1 - b) / (1 - a) * x
    y = ground.data(Settings()).sample(ground.DATA, generator=torch.Generator().manual_seed(ground.DATA)).numpy()
    far = 2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()
    assert view.numbers["energy_distance_without_fresh_noise"] == pytest.approx(far, rel=1e-4)
    assert far > 20 * view.numbers["energy_distance"] and view.check.ok
    assert f"Without its fresh noise this walk would end at **{far:.3f}**" in view.notice


def test_one_shot_lands_on_the_mean():
    numbers = tab.update(Settings(points="ring of eight", steps=1)).numbers
    assert np.abs(numbers["mean"]).max() < 0.01 and max(numbers["std"]) < 0.02


def test_a_start_that_the_schedule_does_not_expect_is_said():
    """The first of few leading times, as diffusers has them: 1 of one step, 501 of two; of twenty it is 951."""
    for steps, expected in ((1, True), (2, False), (20, False)):
        view = tab.update(Settings(spacing="leading", steps=steps))
        assert ("the denoiser is told t = 1, where 100 % of the variance" in view.notice) == expected
    assert "One shot:" in tab.update(Settings(steps=1)).notice


@pytest.mark.parametrize("points", ground.MIXTURES)
def test_the_datas_variance_is_that_of_its_points(points):
    mix = ground.data(Settings(points=points))
    drawn = mix.sample(20_000, generator=torch.Generator().manual_seed(0))
    assert particles.variance(mix) == pytest.approx(drawn.var(0).mean().item(), rel=0.03)


@pytest.mark.parametrize("name", schedule.SCHEDULES)
def test_one_shot_is_said_to_land_near_the_average_where_it_does(name):
    """Near beside the data's own width: it is an average, and no ink blot of a network that never saw pure noise."""
    settings = Settings(steps=1, schedule=name)
    view = tab.update(settings)
    assert "every particle lands near it" in view.notice and "ink blot" not in view.notice
    mix = ground.data(settings)
    far = view.stage["cloud"].positions[-1, 0] - (mix.weights @ mix.means).numpy()
    assert np.sqrt((far**2).mean()) < 0.15 * particles.variance(mix) ** 0.5


def test_a_classifiers_scale_is_none_at_0():
    for guide, none, said in ((FREE, 1, True), (EXACT, 0, False)):
        view = tab.update(Settings(view=GUIDE, guide=guide, scale=1.0))
        figure = next(piece for piece in view.stage.values() if isinstance(piece, Figure)).to_dict()["layout"]
        assert figure["shapes"][0]["x0"] == none and ("w = s − 1" in str(figure["xaxis"]["title"])) == said
        assert ("(w = 0)" in view.notice) == said


def test_more_steps_come_nearer():
    told = [tab.update(Settings(steps=n)) for n in (1, 4, 20, 100)]
    far, astray = ([view.numbers[name] for view in told] for name in ("energy_distance", "astray"))
    assert far[:3] == sorted(far[:3], reverse=True) and astray == sorted(astray, reverse=True)
    assert ["astray" in view.notice for view in told[1:]] == [True, True, False]
    assert far[2] < 2 * tab.update(Settings(steps=20)).numbers["energy_distance_of_a_fresh_draw"]


@pytest.mark.parametrize("name", DRAWINGS)
def test_particles_find_what_was_drawn(name):
    """Every drawn point gets its share, and no particle ends far from all of them."""
    drawing = np.array(DRAWINGS[name])
    view = tab.update(Settings(points=DRAWN, drawn=DRAWINGS[name], steps=60, sampler="dpmpp_2m", spacing="karras"))
    far = np.linalg.norm(view.stage["cloud"].positions[-1, 0][:, None] - drawing, axis=2).min(1)
    assert np.quantile(far, 0.95) < 0.06 * math.sqrt(stats.chi2.ppf(0.99, 2)) and view.check.ok


def test_density_behind_the_particles_is_the_noised_datas():
    """At the start of a walk the background is the density of x_T, by scipy on the pixels' centres."""
    cloud = tab.update(Settings(steps=5)).stage["cloud"]
    assert len(cloud.field) == 6 and cloud.behind[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert (cloud.behind[:, 1] == 5).all()  # the guesses stand before the data themselves
    axis, a = np.linspace(-2.8, 2.8, 72), linear(600)
    grid = np.stack(np.meshgrid(axis, axis[::-1]), -1)
    parts = [stats.multivariate_normal(a**0.5 * m, a * 0.07**2 + 1 - a).pdf(grid) for m in centres_of_moons()]
    assert np.allclose(cloud.field[2], np.sum(parts, 0) / np.sum(parts, 0).max(), atol=0.01)


def test_arrows_point_down_the_noise():
    """Each arrow is along the denoiser's eps, away from it, at the step's own time."""
    cloud = tab.update(Settings(steps=5, show=ground.ARROWS)).stage["cloud"]
    start, way = cloud.arrows[2, :, :2], cloud.arrows[2, :, 2:] - cloud.arrows[2, :, :2]
    a = linear(600)
    pull = -(start - a**0.5 * moons(start, a)) / (1 - a) ** 0.5
    long = (np.linalg.norm(way, axis=1) > 0.05) & (np.abs(way) < 0.27).all(1)
    cos = (way * pull).sum(1) / np.linalg.norm(way, axis=1) / np.linalg.norm(pull, axis=1)
    assert long.sum() > 50 and cos[long].min() > 0.999


def test_all_ways_are_drawn_when_asked():
    assert len(tab.update(Settings(show=ground.ALL)).stage["cloud"].paths) == 400


@pytest.mark.parametrize("sampler", samplers.SAMPLERS)
@pytest.mark.parametrize("name", schedule.SCHEDULES)
def test_badge_is_green_everywhere(sampler, name):
    for spacing, steps in (("karras", 12), ("even", 7)):
        view = tab.update(Settings(sampler=sampler, schedule=name, spacing=spacing, steps=steps, eta=0.4))
        assert view.check.ok, view.check
        assert "nan" not in view.formula and "inf" not in view.formula


# ---- one step in slow motion


@pytest.mark.parametrize("sampler", samplers.SAMPLERS)
@pytest.mark.parametrize("name", schedule.SCHEDULES)
def test_the_arrows_of_a_step_lead_to_where_it_ends(sampler, name):
    for look in (0, 3, 7):
        settings = Settings(view=MOTION, sampler=sampler, steps=8, look=look, eta=0.5, particle=17, schedule=name)
        view = tab.update(settings)
        got = view.numbers
        total = np.array(got["weights"]) @ np.array(got["vectors"])
        assert total == pytest.approx(got["x_next"], abs=2e-5) and view.check.ok, view.check
        path = tab.update(dataclasses.replace(settings, view=Settings().view)).stage["cloud"].positions[:, 0, 17]
        assert path[[look, look + 1]].tolist() == [pytest.approx(got["x"]), pytest.approx(got["x_next"])]
        assert "nan" not in view.formula and "inf" not in view.formula


def test_the_terms_of_ddim_by_hand():
    got = tab.update(Settings(view=MOTION, steps=8, look=4)).numbers
    a, b = linear(got["t"]), linear(got["t_next"])
    x0 = moons(np.array([got["x"]]), a)[0]
    assert (got["t"], got["t_next"]) == (500, 375)
    assert got["x0"] == pytest.approx(x0, abs=1e-5)
    assert got["eps"] == pytest.approx((np.array(got["x"]) - a**0.5 * x0) / (1 - a) ** 0.5, abs=1e-5)
    assert got["weights"] == pytest.approx([b**0.5, (1 - b) ** 0.5])


# ---- two samplers


@pytest.mark.parametrize(
    ("sampler", "other", "eta"), [("ddim", "euler", 0.0), ("ddpm", "euler_ancestral", 0.0), ("ddpm", "ddim", 1.0)]
)
def test_two_names_for_one_walk(sampler, other, eta):
    view = tab.update(Settings(view=PAIR, sampler=sampler, other=other, eta=eta))
    assert view.numbers["largest_distance_of_ends"] < 1e-3 and "One walk" in view.notice and view.check.ok


def test_two_walks_start_from_one_noise():
    view = tab.update(Settings(view=PAIR, points="letters", sampler="euler", other="unipc", steps=12))
    left, right = view.stage["cloud"].positions[:, 0], view.stage["cloud"].positions[:, 1]
    assert np.array_equal(left[0], right[0]) and view.numbers["denoiser_calls"] == [12, 12]
    apart = np.linalg.norm(left[-1] - right[-1], axis=1)
    assert view.numbers["mean_distance_of_ends"] == pytest.approx(apart.mean(), rel=1e-4) and apart.mean() > 0.05


# ---- cost against error


def test_orders_on_one_gaussian_are_the_theorys():
    *first, view = tab.stream(PRESETS["what a network call buys"])
    assert view.check.ok, view.check
    got = view.numbers
    for name, order in got["order"].items():
        assert order == pytest.approx(samplers.SAMPLERS[name].order, abs=0.3)
        slope = stats.linregress(np.log(got["calls"][name][-3:]), np.log(got["error"][name][-3:])).slope
        assert order == pytest.approx(-slope)
    assert got["error"]["ddim"] == pytest.approx(got["error"]["euler"], rel=1e-6)
    assert got["calls"]["heun"] == [2 * n for n in got["calls"]["euler"]]
    assert got["sigma"] == pytest.approx([80, 0.002], rel=1e-3)
    shown = view.stage["plot"].to_dict()["data"]
    assert {trace["name"] for trace in shown} == {samplers.SAMPLERS[name].title for name in got["order"]}
    assert all(step.stage["progress"].done <= step.stage["progress"].total for step in first)


def test_errors_on_one_gaussian_by_its_flow_written_out():
    """Euler in 5 Karras steps against the exact end, in numpy: sigma^(1/7) even between the ends."""
    s = PRESETS["what a network call buys"]
    sigma = np.linspace(80 ** (1 / 7), 0.002 ** (1 / 7), 6) ** 7
    x = noise_of_seed(64)
    mu, v = np.array([0.7, -0.4]), 0.45**2
    bar = x * math.sqrt(1 + sigma[0] ** 2)
    exact = mu + (bar - mu) * math.sqrt((v + sigma[-1] ** 2) / (v + sigma[0] ** 2))
    for now, after in pairwise(sigma):
        bar = bar + (after - now) * now * (bar - mu) / (v + now**2)
    error = np.sqrt(((bar - exact) ** 2).mean()) / math.sqrt(1 + sigma[-1] ** 2)
    (steps,) = (costs.race(s, ground.data(s), "euler", 5)[1],)
    _, end = costs.ends(s, ground.data(s))
    assert convergence.distance(steps[-1].x_next, end) == pytest.approx(error, rel=0.02)


# ---- on pictures


@pytest.fixture
def tiny(monkeypatch, tiny_model):
    model = TextToImage.load(tiny_model, device="cpu")
    monkeypatch.setattr(models, "loaded", lambda option: model)
    monkeypatch.setattr(costs, "REFERENCE_STEPS", 40)
    monkeypatch.setattr(costs, "PICTURE_STEPS", (3, 6))
    return model


def test_pictures_are_compared_with_the_reference_of_the_same_noise(afresh, tiny, tiny_model):
    settings = Settings(view=PICTURES, scale=2.0)
    *_, view = tab.stream(settings)
    assert view.check.ok, view.check
    assert len(view.stage["pictures"]) == 4 * 3 and view.stage["pictures"][0].marked
    *_, last = tiny.stream("red apple", sampler="unipc", steps=6, guidance=2.0, seed=1)
    *_, goal = tiny.stream("red apple", sampler="dpmpp_2m", steps=40, guidance=2.0, seed=1)
    *_, first = tiny.stream("red apple", sampler="unipc", steps=6, guidance=2.0, seed=0)
    *_, start = tiny.stream("red apple", sampler="dpmpp_2m", steps=40, guidance=2.0, seed=0)
    gap = torch.cat([last.x_next - goal.x_next, first.x_next - start.x_next])
    assert view.numbers["error"]["unipc"][1] == pytest.approx(gap.square().mean().sqrt().item(), rel=1e-3)
    assert view.numbers["calls"]["heun"] == [5, 11] and view.numbers["calls"]["euler"] == [3, 6]
    assert same(read(afresh(costs.pictures_code(settings, str(tiny_model)))), view.numbers)


def test_pictures_stop_between_steps(tiny):
    walk = tab.stream(Settings(view=PICTURES))
    assert "reading" in next(walk).stage["progress"].doing
    walk.close()


@pytest.mark.parametrize("view", [COST, PICTURES])
def test_a_long_view_waits_for_run(view):
    shown = tab.update(Settings(view=view))
    assert set(shown.stage) == {"views"} and "Press **Run**" in shown.notice
    assert "run" not in shown.stage["views"].hidden and "run" in tab.update(Settings()).stage["views"].hidden


# ---- guidance


def test_a_scale_of_one_draws_the_class_and_more_narrows_it():
    settings = Settings(view=GUIDE, points="letters", wanted=1, sampler="dpmpp_2m", steps=40, spacing="karras")
    one, three, none = (tab.update(dataclasses.replace(settings, scale=scale)).numbers for scale in (1.0, 3.0, 0.0))
    assert one["share_in_class"] > 0.98 and one["variety"] == pytest.approx(1, abs=0.06)
    assert one["energy_distance_to_class"] < 0.01
    assert three["variety"] < one["variety"] - 0.05 and none["share_in_class"] == pytest.approx(1 / 3, abs=0.08)
    curve = three["variety_at_scales"]
    assert curve[three["scales"].index(3.0)] == pytest.approx(three["variety"])
    assert curve[:5] == sorted(curve[:5], reverse=True)


def test_guided_ends_by_both_conventions_written_out():
    """DDIM on eps = (1 + w) eps_y - w eps, with both from Bayes' rule over the moons."""
    w, x, centres = 1.5, noise_of_seed(), centres_of_moons()
    for t in range(1000, 0, -100):
        a, b = linear(t), linear(t - 100)
        eps = [(x - a**0.5 * moons(x, a, part)) / (1 - a) ** 0.5 for part in (centres[48:], centres)]
        eps = (1 + w) * eps[0] - w * eps[1]
        x = b**0.5 * (x - (1 - a) ** 0.5 * eps) / a**0.5 + (1 - b) ** 0.5 * eps
    for guide in (FREE, EXACT):
        view = tab.update(Settings(view=GUIDE, guide=guide, wanted=1, scale=1 + w, steps=10))
        assert np.allclose(view.stage["cloud"].positions[-1, 0], x, atol=1e-6)
        assert view.numbers["w"] == w
    assert "s=1+w=2.5,\\quad w=1.5" in tab.update(Settings(view=GUIDE, scale=2.5, steps=2)).formula


def test_the_lectures_problem_a_guide_that_never_saw_noise():
    far = {
        guide: tab.update(Settings(view=GUIDE, guide=guide, points="letters", wanted=1, scale=1.0)).numbers
        for guide in (EXACT, NOISY, CLEAN)
    }
    exact, noisy, clean = (far[guide]["energy_distance_to_class"] for guide in (EXACT, NOISY, CLEAN))
    assert exact < 0.03 and noisy < 3 * exact and clean > 3 * noisy


@pytest.mark.parametrize("points", [name for name in ground.CLASSES if name != "one Gaussian"])
def test_a_guide_that_never_saw_noise_is_too_sure_and_too_strong(points):
    """At T, where Bayes' rule can hardly do better than guess; its pull is long, and for most not the wrong way."""
    s = Settings(view=GUIDE, guide=CLEAN, points=points, scale=1.0)
    mix, plan, learned = ground.data(s), schedule.named_schedule(s.schedule, T=1000), guidance.trained(s)
    many, want = len(ground.classes(s)), guidance.chosen(s, mix)
    label = ground.labels(mix, many)
    x = torch.randn(2000, 2, generator=torch.Generator().manual_seed(1)).double()
    best = torch.stack([mix.log_class(x, 1000, plan, label == k) for k in range(many)], 1).exp().max(1).values
    pull, right = learned.gradient(x, 1000, 0), mix.class_score(x, 1000, plan, want)
    assert best.mean() < 1 / many + 0.01 and learned.log_class(x, 1000).exp().max(1).values.mean() > 0.85
    assert pull.square().mean() > (100**2) * right.square().mean()
    assert ((pull * right).sum(1) > 0).double().mean() > 0.75
    notice = tab.update(dataclasses.replace(s, steps=4)).notice
    assert "near T it is sure where nothing can be known, and its pull is far too strong" in notice


@pytest.mark.parametrize(("points", "wanted"), [("two moons", 1), ("letters", 0)])
def test_with_enough_steps_a_scale_of_one_draws_the_class(points, wanted):
    """Few steps miss some of the variety; 200 have as much as 400 fresh points of the class, to three deviations."""
    s = Settings(view=GUIDE, guide=EXACT, points=points, wanted=wanted, scale=1.0)
    few, some, most = (tab.update(dataclasses.replace(s, steps=n)).numbers["variety"] for n in (5, 20, 200))
    own = ground.data(s).only(guidance.chosen(s, ground.data(s)))
    draws = [own.sample(400, generator=torch.Generator().manual_seed(i)) for i in range(30)]
    fresh = np.array([mixtures.mean_distance(draw) for draw in draws])
    fresh /= mixtures.mean_distance(own.sample(ground.DATA, generator=torch.Generator().manual_seed(ground.DATA)))
    assert few < some < most and abs(most - fresh.mean()) < 3 * fresh.std()
    notice = tab.update(s).notice
    assert "At s = 1, with enough steps, the particles are draws of the class; few steps miss some of its" in notice


@pytest.mark.parametrize("points", [name for name in ground.CLASSES if name != "one Gaussian"])
@pytest.mark.parametrize("guide", specs(Settings)["guide"].options)
def test_guided_badge_is_green(points, guide):
    view = tab.update(Settings(view=GUIDE, points=points, guide=guide, wanted=1, scale=2.0, steps=8))
    assert view.check.ok, view.check
    assert "nan" not in view.formula and np.isfinite(view.stage["cloud"].arrows).all()


# ---- red badges


def shifted(right):
    """An off-by-one in the schedule: every time holds what belongs to the next."""

    def made(*args, **kwargs):
        s = right(*args, **kwargs)
        return schedule.NoiseSchedule(torch.cat([s.alpha_bar[:1], s.alpha_bar[2:], s.alpha_bar[-1:] * 0.99]))

    return made


def scaled(right):
    return lambda *args, **kwargs: 1.02 * right(*args, **kwargs)


WRONG = [
    (ground, "named_schedule", shifted, Settings()),
    (samplers, "posterior", lambda right: lambda *a: (-right(*a)[0], right(*a)[1]), Settings(sampler="ddpm")),
    (samplers, "posterior", lambda right: lambda *a: (right(*a)[0], 1.1 * right(*a)[1]), Settings(sampler="ddpm")),
    (samplers, "randn_like", lambda right: lambda *a: -right(*a), Settings(sampler="euler_ancestral")),
    (
        samplers,
        "combine",
        lambda right: lambda *terms: right(*terms[:-1], (-terms[-1][0], terms[-1][1])),
        Settings(sampler="heun"),
    ),
    (mixtures, "Prediction", lambda right: lambda x0, eps: right(x0 + 0.001, eps), Settings(sampler="dpmpp_2m")),
    (mixtures, "Prediction", lambda right: lambda x0, eps: right(x0, -eps), Settings(sampler="euler")),
    (samplers, "corrected", lambda right: lambda start, history, s: start, Settings(sampler="unipc")),
    (samplers, "extrapolated_x0", lambda right: lambda history, s, sch: history[-1][1], Settings(sampler="unipc")),
    (particles, "energy_distance", scaled, Settings()),
    (mixtures.GaussianMixture, "astray", scaled, Settings(steps=4)),
    (particles, "terms", lambda right: lambda *a, **k: right(*a, **k)[1:], Settings(view=MOTION)),
    (samplers, "exponential_step", scaled, Settings(view=PAIR, other="dpmpp_2m")),
    (particles, "energy_distance", scaled, Settings(view=PAIR)),
    (guidance, "guided", lambda right: lambda c, u, s: right(c, u, s + 0.1), Settings(view=GUIDE)),
    (
        guidance,
        "classifier_guided",
        lambda right: lambda d, g, s, k: right(d, g, s, -k),
        Settings(view=GUIDE, guide=EXACT),
    ),
    (mixtures.GaussianMixture, "class_score", scaled, Settings(view=GUIDE)),
    (classifier.Classifier, "gradient", scaled, Settings(view=GUIDE, guide=NOISY)),
    (guidance, "energy_distance", scaled, Settings(view=GUIDE)),
    (costs, "reference", scaled, PRESETS["what a network call buys"]),
    (costs, "fitted_order", lambda right: lambda *a: 1.02 * (right(*a) or 0), PRESETS["what a network call buys"]),
    (samplers, "exponential_step", lambda right: lambda *a: 1.0001 * right(*a), PRESETS["what a network call buys"]),
    (costs, "energy_distance", scaled, Settings(view=COST, measure=ENERGY)),
]


@pytest.mark.parametrize(("module", "name", "wrong", "settings"), WRONG)
def test_badge_turns_red_when_core_is_wrong(monkeypatch, module, name, wrong, settings):
    monkeypatch.setattr(costs, "STEPS", (5, 20))
    right = getattr(module, name)
    monkeypatch.setattr(module, name, wrong(right))
    view = tab.result(settings)
    assert not view.check.ok, view.check


def test_badge_of_the_pictures_turns_red(monkeypatch, tiny):
    monkeypatch.setattr(samplers, "exponential_step", scaled(samplers.exponential_step))
    assert not tab.result(Settings(view=PICTURES)).check.ok


def test_modules_under_test_are_the_real_ones():
    assert mixtures.Prediction is denoiser.Prediction and samplers.posterior is forward.posterior
    assert checks.Check("", math.nan, 1).ok is False
