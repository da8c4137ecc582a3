"""The coin flips tab: numbers against scipy, code against the endpoint, and badges that can turn red."""

import ast
import inspect
import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from scipy import signal, special, stats

from core import probability
from explorer import frame
from explorer.figures import coin_flips as figures
from explorer.figures.plot import Figure
from explorer.formulas import percent
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
    UNIFORM,
    Settings,
    exact,
    update,
)

VIEWS = specs(Settings)["view"].options
CACHES = coin_flips.distances, coin_flips.family, coin_flips.run
SLIDES = [s for s in PRESETS.values() if s.view == Settings().view]


@pytest.fixture(autouse=True)
def nothing_remembered():
    """What a perturbed core left behind must not reach the next test."""
    yield
    for cache in CACHES:
        cache.cache_clear()


@pytest.mark.parametrize("settings", [*SLIDES, Settings(n=7, p=0.3, k=0), Settings(n=1, p=0.99, k=1)])
def test_numbers_are_scipys(settings):
    n, p, k, got = settings.n, settings.p, settings.k, update(settings).numbers
    mean, std = stats.binom.mean(n, p), stats.binom.std(n, p)
    assert got["probability"] == pytest.approx(stats.binom.pmf(k, n, p), rel=1e-9)
    assert got["pmf"] == pytest.approx(stats.binom.pmf(range(n + 1), n, p), abs=1e-12)
    bell = stats.norm.pdf(range(n + 1), mean, std)
    assert got["bell"] == pytest.approx(stats.norm.pdf(k, mean, std), rel=1e-9)
    assert (got["mean"], got["std"], got["z"]) == pytest.approx((mean, std, (k - mean) / std))
    assert got["error"] == pytest.approx(stats.binom.pmf(range(n + 1), n, p) - bell, abs=1e-12)
    shared = np.minimum(stats.binom.pmf(range(n + 1), n, p), bell / bell.sum()).sum()
    assert got["total_variation"] == pytest.approx(1 - shared, abs=1e-10)
    assert got["fraction"] is None or float(Fraction(got["fraction"])) == pytest.approx(got["probability"], rel=1e-12)
    stirling = math.log(2 * math.pi * n) / 2 + n * math.log(n / math.e)
    assert got["log_stirling"] == pytest.approx(stirling)
    assert got["stirling"] == (pytest.approx(math.exp(stirling), rel=1e-11) if n <= 170 else None)
    assert got["stirling_over_factorial"] == pytest.approx(math.exp(stirling - special.gammaln(n + 1)), rel=1e-9)


@pytest.mark.parametrize("continuity", [True, False])
def test_tails_are_scipys(continuity):
    got = update(Settings(view=TAIL, n=100, p=0.3, k=37)).numbers
    assert got["exact"] == pytest.approx(stats.binom.sf(36, 100, 0.3))
    name = f"{'with' if continuity else 'without'}_continuity_correction"
    assert got[name] == pytest.approx(stats.norm.sf(37 - continuity / 2, 30, math.sqrt(21)))
    assert (got["mean"], got["std"]) == pytest.approx((30, math.sqrt(21)))


@pytest.mark.parametrize(("n", "p"), [(4, 0.3), (777, 0.62)])
def test_the_standardised_bars_are_scipys(n, p):
    view = update(Settings(view=ONE_BELL, n=n, p=p))
    player, got = view.stage["bars"], view.numbers
    sizes = [int(label.split()[2].rstrip(":")) for label in player.labels]
    assert sizes[player.at] == n and sizes[0] == 1 and sizes[-1] == 1000
    for size, (first, apart, heights) in zip(sizes, player.frames, strict=True):
        mean, std = size * p, math.sqrt(size * p * (1 - p))
        k = np.rint(mean + std * (first + apart * np.arange(len(heights))))
        assert (first, apart) == pytest.approx(((k[0] - mean) / std, 1 / std))
        assert heights == pytest.approx(std * stats.binom.pmf(k, size, p), rel=1e-8, abs=1e-12)
        assert (
            stats.binom.cdf(k[-1], size, p) - stats.binom.cdf(k[0] - 1, size, p) > 0.998
        )  # nothing that counts is cut
    _, _, heights = player.frames[player.at]
    assert got["density"] == heights.tolist()
    k = np.rint(n * p + got["std"] * np.array(got["z"]))
    assert got["z"] == pytest.approx((k - n * p) / got["std"], abs=1e-12)
    bell = stats.norm.pdf(np.arange(n + 1), n * p, got["std"])
    both = np.minimum(bell / bell.sum(), stats.binom.pmf(np.arange(n + 1), n, p))
    assert got["total_variation"] == pytest.approx(1 - both.sum(), abs=1e-10)


@pytest.mark.parametrize("p", [0.5, 0.07])
def test_distances_against_n_are_scipys(p):
    got = update(Settings(view=SPEED, n=200, p=p)).numbers

    def expected(n):
        k, std = np.arange(n + 1), math.sqrt(n * p * (1 - p))
        cdf, pmf = stats.binom.cdf(k, n, p), stats.binom.pmf(k, n, p)
        under, bell = stats.norm.cdf(k, n * p, std), stats.norm.pdf(k, n * p, std)
        gap = max(np.abs(cdf - under).max(), np.abs(np.append(0, cdf[:-1]) - under).max())
        bound = 0.4748 * ((1 - p) * p**3 + p * (1 - p) ** 3) / ((p * (1 - p)) ** 1.5 * math.sqrt(n))
        return np.abs(pmf - bell / bell.sum()).sum() / 2, gap, bound

    here = [got[name] for name in ("total_variation", "kolmogorov_distance", "berry_esseen_bound")]
    assert here == pytest.approx(expected(200), rel=1e-6)
    assert (got["sizes"][0], got["sizes"][-1]) == (1, 1000)
    curves = np.array(list(got["curves"].values()))
    for at in range(0, len(got["sizes"]), 7):
        assert curves[:, at] == pytest.approx(expected(got["sizes"][at]), rel=1e-6, abs=1e-14)


def test_coins_are_counted_and_every_ball_ends_in_its_bar():
    view = update(Settings(view=COINS, n=10, p=0.4, trials=3000, seed=3))
    got, player = view.numbers, view.stage["bars"]
    heads = (np.random.default_rng(3).random((10, 3000)) < 0.4).sum(0)
    assert got["counts"] == np.bincount(heads, minlength=11).tolist()
    assert got["mean"] == heads.mean()
    assert player.paths.shape == (len(player.labels), 10)
    assert player.paths[:5].sum(1).tolist() == heads[:5].tolist()
    due = 3000 * stats.binom.pmf(np.arange(11), 10, 0.4)
    merged = [(np.append(x[:9], x[9:].sum())) for x in (np.bincount(heads, minlength=11), due)]  # 5 of the last two
    test = stats.chisquare(*merged)
    assert (got["chi_square"], got["p_value"]) == pytest.approx((test.statistic, test.pvalue))
    assert (got["degrees"], got["expected_mean"]) == (9, 4)
    for size, (first, _, heights) in zip((1, 2, 3), player.frames, strict=False):
        assert (first, (heights * size).tolist()) == (0, np.bincount(heads[:size], minlength=11).tolist())
    assert player.frames[-1][2] == pytest.approx(np.bincount(heads, minlength=11) / 3000)
    assert player.outline[2] == pytest.approx(stats.binom.pmf(np.arange(11), 10, 0.4))


@pytest.mark.parametrize("step", [COIN, UNIFORM, EXPONENTIAL, DRAWN])
def test_sums_of_steps_are_convolutions(step):
    view = update(Settings(view=SUMS, step=step, p=0.3))
    got, frames = view.numbers, view.stage["bars"].frames
    chances = {
        COIN: [0.7, 0.3],
        UNIFORM: [1 / 8] * 8,
        EXPONENTIAL: stats.planck(1 / 3).pmf(np.arange(24)) / stats.planck(1 / 3).cdf(23),
        DRAWN: np.array([6, 1, 0, 0, 3, 0, 0, 9]) / 19,
    }[step]
    assert got["step"] == pytest.approx(chances)
    sizes = np.arange(len(chances))
    mean, std = np.average(sizes, weights=chances), math.sqrt(np.cov(sizes, aweights=chances, bias=True))
    assert (got["step_mean"], got["step_std"]) == pytest.approx((mean, std))
    total, one = np.ones(1), np.array(chances)
    for n in range(1, TIMES + 1):
        total = signal.fftconvolve(total, one)
        bell = stats.norm.pdf(np.arange(len(total)), n * mean, math.sqrt(n) * std)
        apart = np.abs(total - bell / bell.sum()).sum() / 2
        assert got["total_variation"][n - 1] == pytest.approx(apart, abs=1e-10)
        first, distance, heights = frames[n - 1]
        k = np.rint(n * mean + math.sqrt(n) * std * (first + distance * np.arange(len(heights)))).astype(int)
        assert heights == pytest.approx(math.sqrt(n) * std * total[k], abs=1e-10)
    assert got["sum_of_60"] == pytest.approx(total, abs=1e-12)


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
    view = update(Settings(view=CLOUD, size=0.5, seed=4))
    got = view.numbers
    walk = 0.5 * np.random.default_rng(4).standard_normal((TIMES, 400, 2)).cumsum(0)
    assert got["expected_variance"] == pytest.approx([0.25 * t for t in range(TIMES + 1)])
    assert got["variance"] == pytest.approx([0, *(walk**2).mean((1, 2))])
    assert view.stage["cloud"].positions[1:] == pytest.approx(walk)
    spread = np.array(got["variance"][1:]) / got["expected_variance"][1:]
    # the sum of 800 squares of N(0, 1) is chi-square; 60 looks at it, each missed once in 10^8
    assert (stats.chi2.ppf(1e-8, 800) / 800 < spread).all() and (spread < stats.chi2.isf(1e-8, 800) / 800).all()


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


def test_sentences_and_formulas_say_their_numbers_right():
    one = update(Settings(n=1, p=0.5, k=1))
    assert one.notice.startswith("1 head in 1 flip comes up with chance **1/2 = 0.5**")
    assert "disagree on <strong>0\xa0%</strong>" in frame.notice_html(one.notice)
    assert r"\frac{100-102.5}{7.16}" in update(Settings(n=205, p=0.5, k=100)).formula
    assert r"1-\Phi\!\left(\tfrac{100-102.5}{7.16}\right)" in update(Settings(view=TAIL, n=205, p=0.5, k=100)).formula
    assert r"\cdot10^{4}=" in update(Settings(n=8)).formula  # 8! is 40320
    assert "1835 % too high" in update(Settings(n=100, p=0.1, k=0)).notice
    steps = update(Settings(view=SUMS, step=COIN, p=0.5))
    assert steps.numbers["total_variation"][0] == pytest.approx(0, abs=1e-12)
    assert steps.notice.startswith("One step is two bars, on the bell by chance; two steps disagree on **7.6 %**")
    for other in (Settings(view=SUMS, step=UNIFORM), Settings(view=SUMS, step=DRAWN, drawn=((1.0, 1.0, 9.0),))):
        assert "One step looks nothing like a bell" in update(other).notice
    assert "nothing to compare" in update(Settings(view=COINS, p=1.0)).notice
    assert "on 1 degree of freedom" in update(Settings(view=COINS, n=1, p=0.5, trials=1000)).notice


def apart(n, p):
    """The total variation between bars and bell, the bell scaled to add up to 1, by scipy."""
    k = np.arange(n + 1)
    bell = stats.norm.pdf(k, n * p, math.sqrt(n * p * (1 - p)))
    return float(np.abs(stats.binom.pmf(k, n, p) - bell / bell.sum()).sum() / 2)


@pytest.mark.parametrize("view", ["bars and bell", ONE_BELL])
@pytest.mark.parametrize(("n", "p"), [(1, 0.5), (5, 0.02), (4, 0.5), (99, 0.3), (1000, 0.01)])
def test_what_more_flips_do_is_said_as_it_is(view, n, p):
    """At n = 1 the distance of a fair coin is 0, and grows first; a loaded coin's is not small at n = 1000."""
    says = update(Settings(view=view, n=n, p=p, k=1)).notice
    assert f"four times the flips make it **{percent(apart(4 * n, p))}**" in says
    assert ("it grows before it shrinks" in says) == (apart(4 * n, p) > apart(n, p))
    assert "watch it shrink" not in says
    assert "can hardly be told apart" in update(Settings(view=view, n=1000, p=0.5)).notice


def test_how_fast_a_fair_coin_falls():
    """The slopes on log axes: -1 for p = 1/2, -1/2 for any other, half a power apart."""
    slopes = {
        p: np.polyfit(np.log([100, 400, 900]), np.log([apart(n, p) for n in (100, 400, 900)]), 1)[0] for p in (0.5, 0.3)
    }
    assert slopes[0.3] - slopes[0.5] == pytest.approx(0.5, abs=0.05)
    says = update(Settings(view=SPEED, n=100, p=0.5)).notice
    assert "half a power of n faster" in says and "one power faster" not in says
    assert apart(400, 0.5) / apart(100, 0.5) == pytest.approx(1 / 4, rel=0.05) and "a quarter of the distance" in says


def test_only_steps_that_have_become_a_bell_are_said_to_be_one():
    def step(p):
        return update(Settings(view=SUMS, step=COIN, p=p))

    for p, bell, chance in ((0.5, True, True), (0.4, True, True), (0.1, True, False), (0.02, False, False)):
        shown = step(p)
        assert (apart(60, p) < 0.05, apart(1, p) < 0.01) == (bell, chance)
        assert ("Only the step's mean and deviation are left" in shown.notice) == bell
        assert ("No bell yet" in shown.notice) == (not bell)
        assert ("by chance" in shown.notice) == chance
    assert f"off the bell by **{percent(apart(1, 0.02))}**" in step(0.02).notice


def test_one_is_counted_as_one():
    assert update(Settings(view=COINS, n=1, trials=1)).notice.startswith("1 trial of 1 flip, each")
    assert update(Settings(view=COINS, n=2, trials=2000)).notice.startswith("2,000 trials of 2 flips, each")


def test_what_is_too_little_for_a_number_is_not_said_to_be_nothing():
    """log10 of the chance by scipy: -346.6."""
    assert stats.binom.logpmf(900, 1000, 0.3) / math.log(10) < -320
    for view in ("bars and bell", TAIL):
        shown = update(Settings(view=view, n=1000, p=0.3, k=900))
        assert "**below 1e-307**" in shown.notice and shown.check.ok
    assert "<10^{-307}" in update(Settings(n=1000, p=0.3, k=900)).formula


def test_steps_are_drawn_in_full_height():
    for settings in (PRESETS["steps you draw"], Settings(view=SUMS, step=EXPONENTIAL), Settings(view=SUMS)):
        bars = update(settings).stage["bars"]
        assert max(float(heights.max()) for _, _, heights in bars.frames) <= bars.y_range[1]
    near = update(Settings(view=SUMS, step=DRAWN, drawn=((1.0, 4.0, 6.0, 4.0, 1.0),)))
    assert near.notice.startswith("One step is near a bell already, it disagrees on **2.8 %**")


@pytest.mark.parametrize(("n", "p", "trials"), [(4, 0.5, 2000), (100, 0.5, 100_000), (1, 0.3, 1), (1000, 0.02, 50)])
def test_no_bar_of_real_coins_is_cut_by_the_axis_which_only_shrinks(n, p, trials):
    bars = update(Settings(view=COINS, n=n, p=p, trials=trials)).stage["bars"]
    assert all(heights.max() <= top for (_, _, heights), top in zip(bars.frames, bars.tops, strict=True))
    assert bars.tops == sorted(bars.tops, reverse=True) and bars.tops[-1] >= bars.outline[2].max()


def test_more_heads_than_flips_cannot_happen():
    view = update(Settings(n=4, k=9))
    assert view.numbers["probability"] == 0 and view.check.ok
    assert "cannot happen" in view.notice


@pytest.mark.parametrize(
    "settings", [*PRESETS.values(), Settings(n=3, k=9), *(Settings(view=v, p=0.0) for v in VIEWS if v != SUMS)]
)
def test_code_prints_the_endpoints_numbers(afresh, settings):
    assert printed(afresh(coin_flips.code(settings))) == update(settings).numbers


def printed(out):
    """Every line is a name and its value."""
    return {name: ast.literal_eval(value) for name, value in (line.split(" = ", 1) for line in out.splitlines())}


@pytest.mark.parametrize("settings", PRESETS.values())
def test_badge_is_green(settings):
    assert update(settings).check.ok


def test_every_figure_is_one_that_plotly_knows():
    for settings in (*PRESETS.values(), *(Settings(view=v, p=1.0, n=60) for v in VIEWS if v != SUMS)):
        for piece in update(settings).stage.values():
            if isinstance(piece, Figure):
                known = go.Figure(piece.to_dict())  # refuses what it does not know
                assert len(known.data) == len(json.loads(piece.to_json())["data"])


def by(factor):
    return lambda right, *a, **o: factor * right(*a, **o)


def more(n, step=1):
    """The same for one flip more."""
    return lambda right, *a, **o: right(*(v + step if i == n else v for i, v in enumerate(a)), **o)


def each(change):
    return lambda right, *a, **o: (change(item) for item in right(*a, **o))


def one_place_on(right, *a, **o):
    return np.roll(right(*a, **o), 1, axis=0)


SLIPS = [
    (Settings(), "binomial_pmf", by(-1)),
    (Settings(), "binomial_pmf", one_place_on),
    (Settings(n=20, p=0.1), "binomial_pmf", lambda right, n, p: right(n, 1 - p)),
    (Settings(), "de_moivre_laplace", by(-1)),
    (Settings(n=20, p=0.1), "de_moivre_laplace", one_place_on),
    (Settings(), "gaussian_pdf", by(-1)),
    (Settings(), "gaussian_pdf", more(0)),
    (Settings(k=3), "z_score", by(-1)),
    (Settings(k=3), "z_score", more(0)),
    (Settings(), "total_variation", by(-1)),
    (Settings(), "total_variation", lambda right, p, q: right(p[1:], q[:-1])),
    (Settings(), "log_stirling", by(-1)),
    (Settings(), "log_stirling", more(0)),
    (Settings(), "log_stirling", lambda right, n: right(n) - math.log(n) / 2),  # the n the slide lost
    (Settings(), "stirling", by(-1)),
    (Settings(), "stirling", more(0)),
    (Settings(), "stirling", lambda right, n: right(n) / math.sqrt(n)),
    (Settings(view=TAIL, k=3), "binomial_tail", by(-1)),
    (Settings(view=TAIL, k=3), "binomial_tail", more(2)),
    (Settings(view=TAIL, k=3), "binomial_pmf", one_place_on),
    (Settings(view=TAIL, k=3), "gaussian_pdf", by(-1)),
    (Settings(view=TAIL, k=3), "z_score", more(0)),
    (Settings(view=TAIL, k=3), "normal_tail", by(-1)),
    (Settings(view=TAIL, k=3), "normal_tail", more(2)),
    (Settings(view=TAIL, k=3), "normal_tail", lambda right, *a, continuity: right(*a, continuity=not continuity)),
    (Settings(view=ONE_BELL), "binomial_pmf", by(-1)),
    (Settings(view=ONE_BELL), "binomial_pmf", one_place_on),
    (Settings(view=ONE_BELL), "z_score", by(-1)),
    (Settings(view=ONE_BELL), "z_score", more(0)),
    (Settings(view=ONE_BELL), "gaussian_pdf", by(-1)),
    (Settings(view=ONE_BELL), "total_variation", by(-1)),
    (Settings(view=ONE_BELL), "de_moivre_laplace", one_place_on),
    (Settings(view=SPEED), "kolmogorov_distance", by(-1)),
    (Settings(view=SPEED), "kolmogorov_distance", more(0)),
    (Settings(view=SPEED), "berry_esseen", by(-1)),
    (Settings(view=SPEED), "berry_esseen", more(0)),
    (Settings(view=SPEED), "total_variation", by(-1)),
    (Settings(view=SPEED), "gaussian_pdf", by(-1)),
    (Settings(view=SPEED), "z_score", more(0)),
    (Settings(view=SPEED), "binomial_pmf", one_place_on),
    (Settings(view=SPEED), "de_moivre_laplace", one_place_on),
    (Settings(view=COINS), "chi_square", lambda right, counts, pmf: right(counts + 1, pmf)),
    (Settings(view=COINS), "chi_square", lambda right, *a: replace(right(*a), degrees=right(*a).degrees + 1)),
    (Settings(view=COINS), "chi_square", lambda right, *a: replace(right(*a), statistic=-right(*a).statistic)),
    (Settings(view=COINS), "binomial_pmf", one_place_on),
    (Settings(view=COINS), "flip_coins", more(0, -1)),
    (Settings(view=COINS), "flip_coins", lambda right, n, *a, **o: n - right(n, *a, **o)),
    (Settings(view=COINS, p=0.3), "toss", each(lambda flip: ~flip)),
    (Settings(view=SUMS), "sums_of_steps", each(lambda pmf: -pmf)),
    (Settings(view=SUMS), "sums_of_steps", each(lambda pmf: np.roll(pmf, 1))),
    (Settings(view=SUMS, step=DRAWN), "sums_of_steps", lambda right, step, n: right(step[::-1], n)),
    (Settings(view=SUMS), "z_score", by(-1)),
    (Settings(view=SUMS), "z_score", more(0)),
    (Settings(view=SUMS), "gaussian_pdf", by(-1)),
    (Settings(view=SUMS), "gaussian_pdf", more(0)),
    (Settings(view=SUMS), "total_variation", by(-1)),
    (Settings(view=CLOUD), "random_walk", one_place_on),
    (Settings(view=CLOUD), "random_walk", by(1.5)),
    (Settings(view=CLOUD), "random_walk", lambda right, *a, **o: right(*a, **o)[::-1]),
]


@pytest.mark.parametrize(("settings", "name", "wrong"), SLIPS)
def test_badge_turns_red_when_core_is_wrong(monkeypatch, settings, name, wrong):
    assert update(settings).check.ok
    for cache in CACHES:
        cache.cache_clear()
    right = getattr(probability, name)
    monkeypatch.setattr(probability, name, lambda *a, **o: wrong(right, *a, **o))
    assert not update(settings).check.ok


def test_every_core_function_of_every_view_was_made_wrong():
    """Which functions of core each view calls is watched, not listed."""
    tried = {(settings.view, name) for settings, name, _ in SLIPS}
    for view in VIEWS:
        for cache in CACHES:
            cache.cache_clear()
        assert called(Settings(view=view)) <= {name for v, name in tried if v == view}, view


def watched(names, right):
    return lambda *a, **o: names.add(right.__name__) or right(*a, **o)


def called(settings):
    names = set()
    with pytest.MonkeyPatch.context() as patch:
        for name, function in vars(probability).items():
            own = inspect.isfunction(function) and function.__module__ == probability.__name__
            if own and not name.startswith("_"):
                patch.setattr(probability, name, watched(names, function))
        update(settings)
    return names


def test_axes_rest_while_the_slider_moves():
    ranges = {tuple(update(Settings(n=n)).stage["plot"].layout["xaxis"]["range"]) for n in range(11, 21)}
    assert len(ranges) == 1


def test_every_preset_is_valid_and_the_first_is_the_default():
    assert next(iter(PRESETS.values())) == Settings()
    for settings in PRESETS.values():
        assert parse(Settings, vars(settings)) == settings


@given(n=st.integers(51, 1000), p=st.floats(0.01, 0.99))
def test_the_heads_shown_hold_the_bell_and_rest_while_p_moves(n, p):
    mean, std = n * p, math.sqrt(n * p * (1 - p))
    low, high = figures.window(n, mean, std)
    assert low <= max(-0.7, mean - 4.5 * std) and high >= min(n + 0.7, mean + 4.5 * std)
    assert -0.7 <= low < high <= n + 0.7 and high - low <= 4 * 4.5 * std + 10


def test_between_two_windows_p_moves_the_bell_alone():
    shown = [figures.window(100, 100 * p, math.sqrt(100 * p * (1 - p))) for p in np.arange(0.45, 0.555, 0.01)]
    assert len(set(shown)) == 1
