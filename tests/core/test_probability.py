"""Coins and bells against exact fractions, enumeration, math.comb and scipy."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from core import checks
from core import probability as pb

N = st.integers(0, 1000)
P = st.floats(0, 1).filter(lambda p: p in (0, 1) or 1e-12 < p < 1 - 1e-12)


@given(st.integers(0, 60), st.integers(0, 100))
def test_pmf_is_the_exact_fraction(n, hundredths):
    p = Fraction(hundredths, 100)
    exact = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    assert pb.binomial_pmf(n, float(p)) == pytest.approx([float(x) for x in exact], rel=1e-12, abs=1e-300)


def test_pmf_counts_every_sequence_of_four_flips():
    heads = [sum(flips) for flips in product((0, 1), repeat=4)]
    assert pb.binomial_pmf(4, 0.5) == pytest.approx([heads.count(k) / 16 for k in range(5)], rel=1e-14)


@given(N, P)
def test_pmf_equals_scipy(n, p):
    pmf = pb.binomial_pmf(n, p)
    assert pmf.shape == (n + 1,)
    assert pmf == pytest.approx(stats.binom.pmf(np.arange(n + 1), n, p), rel=1e-9, abs=1e-290)
    assert pmf.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("n", [0, 1, 4, 1000, 100_000])
@pytest.mark.parametrize("p", [0.0, 1e-300, 0.5, 1.0])
def test_extremes_stay_finite(n, p):
    with np.errstate(all="raise", under="ignore"):
        for values in (pb.binomial_pmf(n, p), pb.de_moivre_laplace(n, p)):
            assert np.isfinite(values).all()
        for k in (-1, 0, n, n + 1):
            assert 0 <= pb.binomial_tail(n, p, k) <= 1
            assert 0 <= pb.normal_tail(n, p, k) <= 1
    if p in (0, 1):
        assert pb.binomial_pmf(n, p)[round(n * p)] == pb.de_moivre_laplace(n, p)[round(n * p)] == 1


@given(st.lists(st.floats(-1e3, 1e3), min_size=1), st.floats(-1e3, 1e3), st.floats(1e-2, 1e3))
def test_gaussian_equals_scipy(x, mean, std):
    assert pb.gaussian_pdf(x, mean, std) == pytest.approx(stats.norm.pdf(x, mean, std), rel=1e-10, abs=1e-290)
    assert stats.norm.logpdf(pb.z_score(x, mean, std)) - math.log(std) == pytest.approx(
        stats.norm.logpdf(x, mean, std), rel=1e-10
    )


@given(st.integers(1, 1000), st.floats(0.01, 0.99))
def test_bell_has_the_coins_mean_and_variance(n, p):
    expected = stats.norm.pdf(np.arange(n + 1), n * p, math.sqrt(n * p * (1 - p)))
    assert pb.de_moivre_laplace(n, p) == pytest.approx(expected, rel=1e-9, abs=1e-290)


@given(st.integers(1, 170))
def test_stirling_is_short_of_the_factorial_by_robbins_bounds(n):
    ratio = math.factorial(n) / pb.stirling(n)
    assert math.exp(1 / (12 * n + 1)) < ratio < math.exp(1 / (12 * n))
    assert pb.log_stirling(n) == pytest.approx(math.log(pb.stirling(n)), rel=1e-12, abs=1e-12)


@given(st.integers(171, 10**9))
def test_log_stirling_goes_on_where_the_factorial_overflows(n):
    assert pb.log_stirling(n) == pytest.approx(math.lgamma(n + 1), abs=1 / (12 * n) + 1e-15 * math.lgamma(n + 1))


@given(N, P, st.integers(-5, 1005))
def test_tails_equal_scipy(n, p, k):
    assert pb.binomial_tail(n, p, k) == pytest.approx(stats.binom.sf(k - 1, n, p), rel=1e-9, abs=1e-280)
    std = math.sqrt(n * p * (1 - p))
    if std > 1e-3:
        for continuity in (True, False):
            expected = stats.norm.sf(k - 0.5 * continuity, n * p, std)
            assert pb.normal_tail(n, p, k, continuity=continuity) == pytest.approx(expected, rel=1e-9, abs=1e-280)


def test_continuity_correction_helps():
    exact = pb.binomial_tail(40, 0.5, 22)
    assert abs(pb.normal_tail(40, 0.5, 22) - exact) < 0.05 * abs(pb.normal_tail(40, 0.5, 22, continuity=False) - exact)


@given(st.lists(st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)), min_size=2, max_size=8))
def test_total_variation_is_the_largest_difference_over_all_events(pairs):
    p, q = (np.array(side) / np.sum(side) for side in zip(*pairs, strict=True))
    events = product((0, 1), repeat=len(p))
    assert pb.total_variation(p, q) == pytest.approx(max(abs((p - q) @ event) for event in events), abs=1e-12)


@pytest.mark.parametrize("p", [0.5, 0.2])
def test_bars_settle_on_the_bell(p):
    """The distance falls like 1 / n for the fair coin (its skew is 0) and like 1 / sqrt(n) for any other."""
    sizes = [16 * 4**i for i in range(5)]
    distances = [pb.total_variation(pb.binomial_pmf(n, p), pb.de_moivre_laplace(n, p)) for n in sizes]
    order = -np.polyfit(np.log(sizes), np.log(distances), 1)[0]
    assert order == pytest.approx(1 if p == 0.5 else 0.5, abs=0.05)


@given(st.integers(1, 1000), st.floats(0.01, 0.99))
def test_berry_esseen_holds(n, p):
    assert checks.berry_esseen(pb.binomial_pmf(n, p), n, p).ok


def test_berry_esseen_catches_another_coin():
    assert not checks.berry_esseen(pb.binomial_pmf(100, 0.6), 100, 0.5).ok


@pytest.mark.parametrize(("n", "p"), [(4, 0.5), (30, 0.1), (7, 0.0), (7, 1.0)])
def test_flips_follow_the_pmf(n, p):
    heads = pb.flip_coins(n, p, 50_000, generator=np.random.default_rng(0))
    seen, expected = np.bincount(heads, minlength=n + 1), 50_000 * stats.binom.pmf(np.arange(n + 1), n, p)
    often = expected > 5
    chi_square = ((seen - expected)[often] ** 2 / expected[often]).sum()
    assert chi_square < stats.chi2.isf(1e-4, max(often.sum() - 1, 1))
    assert np.array_equal(heads, pb.flip_coins(n, p, 50_000, generator=np.random.default_rng(0)))


def test_tosses_are_the_flips():
    flips = list(pb.toss(7, 0.3, 500, generator=np.random.default_rng(5)))
    assert (len(flips), flips[0].dtype) == (7, bool)
    assert np.array_equal(sum(map(np.int64, flips)), pb.flip_coins(7, 0.3, 500, generator=np.random.default_rng(5)))


@given(st.integers(1, 300), st.floats(0.01, 0.99), st.integers(0, 3000), st.integers(0, 99))
def test_chi_square_equals_scipys_on_merged_cells(n, p, trials, seed):
    counts = np.bincount(pb.flip_coins(n, p, trials + 1, generator=np.random.default_rng(seed)), minlength=n + 1)
    fit = pb.chi_square(counts, pb.binomial_pmf(n, p))
    assert checks.chi_square((fit.statistic, fit.degrees, fit.p_value), counts, n, p).ok
    if fit.degrees:
        assert not checks.chi_square((fit.statistic + 0.1, fit.degrees, fit.p_value), counts, n, p).ok
        assert not checks.chi_square((fit.statistic, fit.degrees + 1, fit.p_value), counts, n, p).ok


def test_chi_square_of_a_textbook_die():
    """Every face expected 20 times of 120: the statistic is the plain sum, with 5 degrees of freedom."""
    fit = pb.chi_square([15, 29, 14, 18, 20, 24], np.full(6, 1 / 6))
    assert (fit.statistic, fit.degrees) == (pytest.approx((25 + 81 + 36 + 4 + 0 + 16) / 20), 5)
    assert fit.p_value == pytest.approx(stats.chi2.sf(fit.statistic, 5))


@given(st.integers(1, 1000), st.floats(0.01, 0.99))
def test_the_gap_between_distribution_functions_stays_below_the_bound(n, p):
    gap, bound = pb.kolmogorov_distance(n, p), pb.berry_esseen(n, p)
    assert 0 < gap <= bound
    assert checks.kolmogorov_distance(gap, n, p).ok and checks.berry_esseen_bound(bound, n, p).ok
    assert not checks.kolmogorov_distance(gap * 1.001, n, p).ok
    assert not checks.berry_esseen_bound(pb.berry_esseen(n + 1, p), n, p).ok


def test_no_chance_no_gap():
    assert pb.kolmogorov_distance(9, 0.0) == pb.kolmogorov_distance(9, 1.0) == 0
    assert checks.kolmogorov_distance(0.0, 9, 1.0).ok


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6).filter(lambda w: sum(w) > 0.1), st.integers(1, 8))
def test_sums_of_steps_equal_enumeration(weights, n):
    n = min(n, 4)
    chances = np.array(weights) / sum(weights)
    expected = np.zeros(n * (len(weights) - 1) + 1)
    for sizes in product(range(len(weights)), repeat=n):
        expected[sum(sizes)] += math.prod(chances[size] for size in sizes)
    *_, total = pb.sums_of_steps(weights, n)
    assert total == pytest.approx(expected, abs=1e-14)
    assert checks.sum_of_steps(total, weights, n).ok
    assert not checks.sum_of_steps(np.append(total[1:], total[0] + 0.1), weights, n).ok


def test_random_walk_spreads_as_einstein_says():
    walk = pb.random_walk(5000, 20, 0.3, generator=np.random.default_rng(0))
    assert walk.shape == (21, 5000, 2) and not walk[0].any()
    assert np.diff(walk, axis=0).std() == pytest.approx(0.3, rel=0.01)
    assert checks.spreading(walk, 0.3).ok
    assert not checks.spreading(walk * 1.2, 0.3).ok
    assert not checks.spreading(walk + 0.1, 0.3).ok


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pb.binomial_pmf(-1, 0.5), "n must be a whole number of at least 0, got -1"),
        (lambda: pb.binomial_pmf(2.5, 0.5), "got 2.5"),
        (lambda: pb.binomial_pmf(4, 1.5), r"p must be in \[0, 1\], got 1.5"),
        (lambda: pb.de_moivre_laplace(4, math.nan), "got nan"),
        (lambda: pb.gaussian_pdf([0], 0, 0), "std must be a positive number, got 0"),
        (lambda: pb.stirling(171), "use log_stirling"),
        (lambda: pb.log_stirling(0), "at least 1"),
        (lambda: pb.log_stirling(10**306), r"at most 10\^305"),
        (lambda: pb.total_variation([1.0], [0.5, 0.5]), r"\(1,\) and \(2,\)"),
        (lambda: pb.berry_esseen(4, 1.0), "some chance.*p = 1.0"),
        (lambda: pb.chi_square([1, 2], [1.0]), "same outcomes"),
        (lambda: pb.chi_square([0, 0], [0.5, 0.5]), "at least one trial"),
        (lambda: pb.chi_square([math.nan, 20], [0.5, 0.5]), "finite and not negative"),
        (lambda: pb.chi_square([-5, 20], [0.5, 0.5]), "finite and not negative"),
        (lambda: next(pb.sums_of_steps([0.0], 2)), "not all of them 0"),
        (lambda: next(pb.sums_of_steps([1.0, -1.0], 2)), "numbers >= 0"),
        (lambda: pb.random_walk(3, -1, 1.0, generator=np.random.default_rng(0)), "steps"),
        (lambda: pb.random_walk(3, 1, -1.0, generator=np.random.default_rng(0)), "std"),
        (lambda: pb.flip_coins(4, 0.5, -1, generator=np.random.default_rng(0)), "trials"),
    ],
)
def test_bad_input_says_what_was_wanted(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@settings(max_examples=30)
@given(st.integers(2, 1000), st.floats(0.01, 0.99), st.data())
def test_checks_pass_and_catch_a_wrong_sign_or_an_off_by_one(n, p, data):
    k = data.draw(st.integers(0, n))
    std = math.sqrt(n * p * (1 - p))
    pmf, bell = pb.binomial_pmf(n, p), pb.de_moivre_laplace(n, p)
    tail, normal = pb.binomial_tail(n, p, k), pb.normal_tail(n, p, k)
    assert checks.binomial(pmf, n, p).ok
    assert not checks.binomial(-pmf, n, p).ok
    assert not checks.binomial(np.roll(pmf, 1), n, p).ok
    assert not checks.binomial(pmf[:-1], n, p).ok
    assert checks.de_moivre_laplace(bell, n, p).ok
    assert not checks.de_moivre_laplace(bell * 1.001, n, p).ok
    assert checks.gaussian(pb.gaussian_pdf([0.0, k], n * p, std), [0.0, k], n * p, std).ok
    assert checks.z_score(pb.z_score(k, n * p, std), k, n * p, std).ok
    assert not checks.z_score(-pb.z_score(k, n * p, std) + 1e-3, k, n * p, std).ok
    assert checks.binomial_tail(tail, n, p, k).ok
    assert not checks.binomial_tail(tail * 1.001 + 1e-9, n, p, k).ok
    assert checks.normal_tail(normal, n, p, k).ok
    assert checks.total_variation(pb.total_variation(pmf, bell), pmf, bell).ok
    assert not checks.total_variation(-pb.total_variation(pmf, bell), pmf, bell).ok
    assert checks.stirling(pb.log_stirling(n), n).ok
    assert not checks.stirling(pb.log_stirling(n) - math.log(n) / 2, n).ok  # the deck's, without the n
    heads = pb.flip_coins(n, p, 200, generator=np.random.default_rng(1))
    assert checks.coin_flips(heads, n, p).ok
    assert not checks.coin_flips(heads + std, n, p).ok
