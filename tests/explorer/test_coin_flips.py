"""The coin flips tab: numbers against scipy, code against the endpoint, and a badge that can turn red."""

import contextlib
import io
import math

import pytest
from scipy import special, stats

from core import probability
from explorer.settings import parse
from explorer.tabs import coin_flips
from explorer.tabs.coin_flips import PRESETS, Settings, exact, update


@pytest.mark.parametrize("settings", [*PRESETS.values(), Settings(n=7, p=0.3, k=0), Settings(n=1, p=0.99, k=1)])
def test_numbers_are_scipys(settings):
    n, p, k, got = settings.n, settings.p, settings.k, update(settings).numbers
    mean, std = stats.binom.mean(n, p), stats.binom.std(n, p)
    assert got["probability"] == pytest.approx(stats.binom.pmf(k, n, p), rel=1e-9)
    assert got["pmf"] == pytest.approx(stats.binom.pmf(range(n + 1), n, p), abs=1e-12)
    assert got["bell"] == pytest.approx(stats.norm.pdf(k, mean, std), rel=1e-9)
    assert got["z"] == pytest.approx((k - mean) / std)
    stirling = math.log(2 * math.pi * n) / 2 + n * math.log(n / math.e)
    assert got["stirling_over_factorial"] == pytest.approx(math.exp(stirling - special.gammaln(n + 1)), rel=1e-9)


def test_the_slide():
    view = update(Settings())
    assert (view.numbers["fraction"], view.numbers["probability"]) == ("6/16", 0.375)
    assert r"\tfrac{6}{16}=0.375" in view.formula and r"\binom{4}{2}" in view.formula and "23.51" in view.formula
    assert "6/16 = 0.375" in view.notice


@pytest.mark.parametrize(("n", "p", "k"), [(4, 0.5, 2), (3, 0.25, 1), (2, 0.1, 2), (5, 0.75, 0)])
def test_the_fraction_is_the_probability(n, p, k):
    above, below = map(int, exact(n, p, k).split("/"))
    assert above / below == pytest.approx(stats.binom.pmf(k, n, p), rel=1e-12)


def test_more_heads_than_flips_cannot_happen():
    view = update(Settings(n=4, k=9))
    assert view.numbers["probability"] == 0 and view.check.ok
    assert "cannot happen" in view.notice


@pytest.mark.parametrize("settings", [*PRESETS.values(), Settings(n=3, k=9)])
def test_code_prints_the_endpoints_numbers(settings):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(coin_flips.code(settings), {})
    printed = dict(line.split(" = ") for line in out.getvalue().strip().splitlines())
    numbers = update(settings).numbers
    assert len(printed) == 5
    assert {name: float(value) for name, value in printed.items()} == {name: numbers[name] for name in printed}


@pytest.mark.parametrize("settings", PRESETS.values())
def test_badge_is_green(settings):
    assert update(settings).check.ok


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("binomial_pmf", lambda right, *a: right(*a)[::-1] + 1e-6),
        ("de_moivre_laplace", lambda right, *a: 1.001 * right(*a)),
        ("z_score", lambda right, x, mean, std: right(x, mean, std) + 0.01),
        ("log_stirling", lambda right, n: right(n) - math.log(n) / 2),  # the n the slide lost
    ],
)
def test_badge_turns_red_when_core_is_wrong(monkeypatch, name, wrong):
    right = getattr(probability, name)
    monkeypatch.setattr(probability, name, lambda *a: wrong(right, *a))
    assert not update(Settings()).check.ok


def test_axes_rest_while_the_slider_moves():
    ranges = {tuple(update(Settings(n=n)).stage[0].layout.xaxis.range) for n in range(11, 21)}
    assert len(ranges) == 1


def test_every_preset_is_valid_and_the_first_is_the_default():
    assert next(iter(PRESETS.values())) == Settings()
    for settings in PRESETS.values():
        assert parse(Settings, vars(settings)) == settings
