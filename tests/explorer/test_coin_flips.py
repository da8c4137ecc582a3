"""The coin flips tab: numbers against scipy, code against the endpoint, and badges that can turn red."""

import ast
import contextlib
import io
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from scipy import signal, special, stats

from core import probability
from explorer.settings import from_query, parse, specs, to_query
from explorer.tabs import coin_flips
from explorer.tabs.coin_flips import (
    CLOUD,
    COIN,
    COINS,
    DRAWN,
    EXPONENTIAL,
    ONE_BELL,
    PRESETS,
    SPEED,
    SUMS,
    TAIL,
    TIMES,
    Settings,
    exact,
    update,
)

VIEWS = specs(Settings)["view"].options
SLIDES = [s for s in PRESETS.values() if s.view == Settings().view]


@pytest.fixture(autouse=True)
def nothing_remembered():
    """What a perturbed core left behind must not reach the next test."""
    yield
    for cache in (coin_flips.distances, coin_flips.family, coin_flips.run):
        cache.cache_clear()


@pytest.mark.parametrize("settings", [*SLIDES, Settings(n=7, p=0.3, k=0), Settings(n=1, p=0.99, k=1)])
def test_numbers_are_scipys(settings):
    n, p, k, got = settings.n, settings.p, settings.k, update(settings).numbers
    mean, std = stats.binom.mean(n, p), stats.binom.std(n, p)
    assert got["probability"] == pytest.approx(stats.binom.pmf(k, n, p), rel=1e-9)
    assert got["pmf"] == pytest.approx(stats.binom.pmf(range(n + 1), n, p), abs=1e-12)
    assert got["bell"] == pytest.approx(stats.norm.pdf(k, mean, std), rel=1e-9)
    assert got["z"] == pytest.approx((k - mean) / std)
    stirling = math.log(2 * math.pi * n) / 2 + n * math.log(n / math.e)
    assert got["log_stirling"] == pytest.approx(stirling)
    assert got["stirling_over_factorial"] == pytest.approx(math.exp(stirling - special.gammaln(n + 1)), rel=1e-9)


@pytest.mark.parametrize("continuity", [True, False])
def test_tails_are_scipys(continuity):
    got = update(Settings(view=TAIL, n=100, p=0.3, k=37)).numbers
    assert got["exact"] == pytest.approx(stats.binom.sf(36, 100, 0.3))
    name = f"{'with' if continuity else 'without'}_continuity_correction"
    assert got[name] == pytest.approx(stats.norm.sf(37 - continuity / 2, 30, math.sqrt(21)))


def test_the_standardised_bars_are_a_density_that_nears_the_bell():
    player = update(Settings(view=ONE_BELL, p=0.3)).stage[1]
    gaps = []
    for first, apart, heights in player.frames:
        z = first + apart * np.arange(len(heights))
        assert (heights * apart).sum() == pytest.approx(1, abs=1e-4)
        gaps.append(np.abs(heights - stats.norm.pdf(z)).max())
    assert player.labels[-1].startswith("n = 1000") and gaps[-1] < 0.01 < gaps[1]


@pytest.mark.parametrize("p", [0.5, 0.07])
def test_distances_against_n(p):
    got = update(Settings(view=SPEED, n=200, p=p)).numbers
    k = np.arange(201)
    cdf, bell = stats.binom.cdf(k, 200, p), stats.norm.cdf(k, 200 * p, math.sqrt(200 * p * (1 - p)))
    gap = max(np.abs(cdf - bell).max(), np.abs(np.append(0, cdf[:-1]) - bell).max())
    assert got["kolmogorov_distance"] == pytest.approx(gap) and gap < got["berry_esseen_bound"]
    for apart, gap, bound in zip(*got["curves"].values(), strict=True):
        assert 0 < gap < bound and apart < 1


def test_coins_are_counted_and_every_ball_ends_in_its_bar():
    view = update(Settings(view=COINS, n=10, p=0.4, trials=3000, seed=3))
    got, player = view.numbers, view.stage[1]
    heads = (np.random.default_rng(3).random((10, 3000)) < 0.4).sum(0)
    assert got["counts"] == np.bincount(heads, minlength=11).tolist()
    assert got["mean"] == heads.mean()
    assert player.paths.shape == (len(player.labels), 10)
    assert player.paths[:5].sum(1).tolist() == heads[:5].tolist()
    due = 3000 * stats.binom.pmf(np.arange(11), 10, 0.4)
    merged = [(np.append(x[:9], x[9:].sum())) for x in (np.bincount(heads, minlength=11), due)]  # 5 of the last two
    test = stats.chisquare(*merged)
    assert (got["chi_square"], got["p_value"]) == pytest.approx((test.statistic, test.pvalue))


@pytest.mark.parametrize("step", [COIN, EXPONENTIAL, DRAWN])
def test_sums_of_steps_are_convolutions(step):
    got = update(Settings(view=SUMS, step=step, p=0.3)).numbers
    one = total = np.array(got["step"])
    for _ in range(TIMES - 1):
        total = signal.fftconvolve(total, one)
    assert got["sum_of_60"] == pytest.approx(total, abs=1e-12)
    assert got["total_variation"][-1] < min(0.035, got["total_variation"][0])


def test_steps_that_skip_sizes_are_taken_in_their_own_unit():
    drawn = ((0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0),)
    got = update(Settings(view=SUMS, step=DRAWN, drawn=drawn)).numbers
    assert got["step"] == [0.5, 0.5]
    assert got["sum_of_60"] == pytest.approx(stats.binom.pmf(range(61), 60, 0.5))


@pytest.mark.parametrize(
    "settings", [Settings(view=SUMS, step=COIN, p=0), Settings(view=SUMS, step=DRAWN, drawn=((3.0,),))]
)
def test_one_size_of_step_leaves_nothing_to_chance(settings):
    with pytest.raises(ValueError, match="at least two sizes"):
        update(settings)


def test_particles_spread_by_the_square_root_of_time():
    got = update(Settings(view=CLOUD, size=0.5)).numbers
    assert got["expected_variance"] == pytest.approx([0.25 * t for t in range(TIMES + 1)])
    assert got["variance"][1:] == pytest.approx(got["expected_variance"][1:], rel=0.25)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("p", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("n", [1, 51, 1000])
def test_extremes_give_finite_numbers_and_a_green_badge(view, n, p):
    with np.errstate(all="raise", under="ignore"):
        seen = update(Settings(view=view, n=n, p=p, k=0, trials=300))
    json.dumps(seen.numbers, allow_nan=False)
    assert seen.check.ok
    assert "nan" not in seen.formula and "inf" not in seen.formula.replace(r"\infty", "")
    if p in (0, 1) and view not in (COINS, SUMS, CLOUD):
        assert "no chance left" in seen.notice


@effort(max_examples=60, deadline=None)
@given(
    st.sampled_from([v for v in VIEWS if v != COINS]), st.integers(1, 1000), st.integers(0, 100), st.integers(0, 1000)
)
def test_any_settings_have_a_green_badge_and_come_back_from_the_address(view, n, hundredths, k):
    settings = Settings(view=view, n=n, p=hundredths / 100, k=k)
    seen = update(settings)
    assert seen.check.ok, seen.check
    json.dumps(seen.numbers, allow_nan=False)
    assert from_query(Settings, to_query(settings)) == settings


@effort(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 100), st.integers(1, 3000), st.integers(0, 9999))
def test_any_run_of_coins_has_a_green_badge(n, hundredths, trials, seed):
    view = update(Settings(view=COINS, n=n, p=hundredths / 100, trials=trials, seed=seed))
    assert view.check.ok, view.check


def test_the_slide():
    view = update(Settings())
    assert (view.numbers["fraction"], view.numbers["probability"]) == ("6/16", 0.375)
    assert r"\tfrac{6}{16}=0.375" in view.formula and r"\binom{4}{2}" in view.formula and "23.51" in view.formula
    assert "6/16 = 0.375" in view.notice


@pytest.mark.parametrize(("n", "form"), [(170, r"\sqrt{2\pi\cdot170}"), (171, r"\ln 171!")])
def test_beyond_170_flips_stirling_is_written_in_logarithms(n, form):
    assert form in update(Settings(n=n)).formula


@pytest.mark.parametrize(("n", "p", "k"), [(4, 0.5, 2), (3, 0.25, 1), (2, 0.1, 2), (5, 0.75, 0)])
def test_the_fraction_is_the_probability(n, p, k):
    above, below = map(int, exact(n, p, k).split("/"))
    assert above / below == pytest.approx(stats.binom.pmf(k, n, p), rel=1e-12)


def test_more_heads_than_flips_cannot_happen():
    view = update(Settings(n=4, k=9))
    assert view.numbers["probability"] == 0 and view.check.ok
    assert "cannot happen" in view.notice


@pytest.mark.parametrize("settings", [*PRESETS.values(), Settings(n=3, k=9), *(Settings(view=v, p=0.0) for v in VIEWS)])
def test_code_prints_the_endpoints_numbers(settings):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(coin_flips.code(settings), {})
    compare(out.getvalue(), update(settings).numbers)


@pytest.mark.parametrize("settings", PRESETS.values(), ids=PRESETS)
def test_code_runs_in_a_fresh_interpreter(settings):
    code = coin_flips.code(settings)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    compare(out.stdout, update(settings).numbers)


def compare(printed, numbers):
    lines = [line.split(" = ") for line in printed.strip().splitlines() if " are z = " not in line]
    assert lines
    assert {name: ast.literal_eval(value) for name, value in lines} == {name: numbers[name] for name, _ in lines}


@pytest.mark.parametrize("settings", PRESETS.values())
def test_badge_is_green(settings):
    assert update(settings).check.ok


def scaled(by):
    return lambda right, *a, **o: by * right(*a, **o)


def each(change):
    return lambda right, *a, **o: (change(item) for item in right(*a, **o))


@pytest.mark.parametrize(
    ("settings", "name", "wrong"),
    [
        (Settings(), "binomial_pmf", lambda right, *a: right(*a)[::-1] + 1e-6),
        (Settings(), "de_moivre_laplace", scaled(1.001)),
        (Settings(), "gaussian_pdf", scaled(1.001)),
        (Settings(), "z_score", lambda right, x, mean, std: right(x, mean, std) + 0.01),
        (Settings(), "total_variation", scaled(2)),
        (Settings(), "log_stirling", lambda right, n: right(n) - math.log(n) / 2),  # the n the slide lost
        (Settings(view=TAIL, k=3), "binomial_tail", lambda right, n, p, k: right(n, p, k + 1)),
        (Settings(view=TAIL, k=3), "normal_tail", lambda right, n, p, k, **o: right(n, p, k + 1, **o)),
        (Settings(view=TAIL, k=3), "normal_tail", lambda right, *a, **o: 1 - right(*a, **o)),
        (Settings(view=ONE_BELL), "binomial_pmf", lambda right, *a: np.roll(right(*a), 1)),
        (Settings(view=ONE_BELL), "z_score", scaled(-1)),
        (Settings(view=ONE_BELL), "gaussian_pdf", scaled(1.001)),
        (Settings(view=SPEED), "kolmogorov_distance", scaled(0.99)),
        (Settings(view=SPEED), "berry_esseen", lambda right, n, p: right(n + 1, p)),
        (Settings(view=SPEED), "total_variation", scaled(-1)),
        (Settings(view=COINS), "chi_square", lambda right, counts, pmf: right(counts + 1, pmf)),
        (Settings(view=COINS), "flip_coins", lambda right, n, *a, **o: n - right(n, *a, **o)),
        (Settings(view=COINS), "flip_coins", lambda right, n, *a, **o: right(n - 1, *a, **o)),
        (Settings(view=COINS, p=0.3), "toss", lambda right, *a, **o: (~flip for flip in right(*a, **o))),
        (Settings(view=SUMS), "sums_of_steps", each(lambda pmf: np.roll(pmf, 1))),
        (Settings(view=SUMS), "sums_of_steps", lambda right, step, n: right(step[::-1] + np.arange(len(step)), n)),
        (Settings(view=SUMS), "z_score", scaled(-1)),
        (Settings(view=CLOUD), "random_walk", scaled(1.5)),
        (Settings(view=CLOUD), "random_walk", lambda right, *a, **o: right(*a, **o)[::-1]),
    ],
)
def test_badge_turns_red_when_core_is_wrong(monkeypatch, settings, name, wrong):
    assert update(settings).check.ok
    nothing_remembered_yet = (coin_flips.distances, coin_flips.family, coin_flips.run)
    for cache in nothing_remembered_yet:
        cache.cache_clear()
    right = getattr(probability, name)
    monkeypatch.setattr(probability, name, lambda *a, **o: wrong(right, *a, **o))
    assert not update(settings).check.ok


def test_axes_rest_while_the_slider_moves():
    ranges = {tuple(update(Settings(n=n)).stage[0].layout.xaxis.range) for n in range(11, 21)}
    assert len(ranges) == 1


def test_every_preset_is_valid_and_the_first_is_the_default():
    assert next(iter(PRESETS.values())) == Settings()
    for settings in PRESETS.values():
        assert parse(Settings, vars(settings)) == settings
