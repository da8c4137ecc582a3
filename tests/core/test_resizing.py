"""Resizing against torch, Pillow and scikit-image; the fitted kernel against torch's gradient and numpy."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import metrics, transform

from core import checks
from core.resizing import FILTERED, METHODS, fit_upscaling, psnr, resize, resize_weights, ssim, upscale

SIDE = st.integers(1, 24)


def picture(*shape, seed=0):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=200, deadline=None)
@given(
    old=st.tuples(SIDE, SIDE),
    new=st.tuples(SIDE, SIDE),
    method=st.sampled_from(("nearest", "bilinear", "bicubic", "area")),
    mode=st.sampled_from(("", "align_corners", "antialias")),
)
def test_equals_torch(old, new, method, mode):
    assume(mode != "antialias" or new[1] > 1)  # torch 2.15 enlarges to one column wrongly there
    image = picture(2, *old)
    options = {mode: True} if mode and method in ("bilinear", "bicubic") else {}
    expected = F.interpolate(image[None], size=new, mode=method, **options)[0]
    slope = {"a": -0.5} if mode == "antialias" and method == "bicubic" else {}
    result = resize(image, new, method, **options, **slope)
    np.testing.assert_allclose(result, expected, atol=1e-12)
    check = checks.resizing(result, image, method, **options, **slope)
    assert check.claim == "equals torch interpolate" and check.ok


@pytest.mark.parametrize(("n", "m"), [(14, 46), (2, 82), (28, 92)])
def test_nearest_where_a_whole_number_is_rounded_down(n, m):
    """By exact fractions; in float32 torch takes the pixel before in places, and the check must not fail for that."""
    image = picture(2, n, n).float()
    taken = [math.floor(Fraction(i * n, m)) for i in range(m)]
    result = resize(image, m, "nearest")
    assert torch.equal(result, image[:, taken][:, :, taken])
    assert not torch.equal(result, F.interpolate(image[None], size=m, mode="nearest")[0])
    assert checks.resizing(result, image, "nearest").ok
    assert not checks.resizing(result.roll(1, 1), image, "nearest").ok


def test_torch_rounds_down_only_where_it_is_expected():
    rounded = 0
    for n, m in itertools.product(range(1, 65), range(1, 129)):
        ramp = torch.arange(n).expand(1, 1, n, n)
        taken = [math.floor(Fraction(i * n, m)) for i in range(m)]
        for dtype in (torch.float32, torch.float64):
            differs = F.interpolate(ramp.to(dtype), size=m, mode="nearest")[0, 0, 0].tolist() != taken
            assert checks.nearest_rounds_down(n, m) or not differs, (n, m, dtype)
            rounded += differs
    assert rounded


@settings(max_examples=100, deadline=None)
@given(old=st.tuples(SIDE, SIDE), new=st.tuples(SIDE, SIDE), method=st.sampled_from(FILTERED))
def test_antialiased_equals_pillow(old, new, method):
    image = picture(*old)
    name = getattr(Image.Resampling, method.upper())
    expected = np.asarray(Image.fromarray(image.float().numpy()).resize(new[::-1], name))
    np.testing.assert_allclose(resize(image, new, method, antialias=True, a=-0.5), expected, atol=5e-6)


def test_lanczos_enlarges_as_pillow_does():
    image = picture(7, 9)
    expected = Image.fromarray(image.float().numpy()).resize((31, 20), Image.Resampling.LANCZOS)
    np.testing.assert_allclose(resize(image, (20, 31), "lanczos"), np.asarray(expected), atol=5e-6)


def test_bilinear_is_scikit_images_order_1():
    image = picture(9, 12)
    expected = transform.resize(image.numpy(), (23, 17), order=1, mode="edge", anti_aliasing=False)
    np.testing.assert_allclose(resize(image, (23, 17), "bilinear"), expected, atol=1e-12)


def test_area_of_whole_blocks_is_scikit_images_local_mean():
    image = picture(12, 18)
    np.testing.assert_allclose(
        resize(image, (4, 6), "area"), transform.downscale_local_mean(image.numpy(), (3, 3)), atol=1e-12
    )


@settings(max_examples=150, deadline=None)
@given(
    n_in=SIDE,
    n_out=SIDE,
    method=st.sampled_from(METHODS),
    antialias=st.booleans(),
    align=st.booleans(),
    a=st.floats(-1, 0),
)
def test_each_new_pixel_is_a_mean_and_the_badge_agrees(n_in, n_out, method, antialias, align, a):
    options = {"antialias": antialias and method in FILTERED, "a": a}
    options["align_corners"] = align and method in ("bilinear", "bicubic") and not antialias
    weights = resize_weights(n_in, n_out, method, **options)
    assert weights.shape == (n_out, n_in)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-12)
    image = picture(3, n_in, n_in)
    assert checks.resizing(resize(image, n_out, method, **options), image, method, **options).ok


@pytest.mark.parametrize("method", METHODS)
def test_the_same_size_changes_nothing(method):
    np.testing.assert_allclose(resize_weights(9, 9, method), np.eye(9), atol=1e-12)


@pytest.mark.parametrize(("a", "degree"), [(-0.5, 2), (-0.75, 0)])
def test_what_bicubic_keeps(a, degree):
    """Keys' a = -1/2 carries parabolas over exactly, a = -3/4 no more than constants."""
    x = torch.arange(30, dtype=torch.float64)
    new = (torch.arange(90).double() + 0.5) / 3 - 0.5
    weights, inside = resize_weights(30, 90, "bicubic", a=a), slice(9, -9)
    for power in (0, 1, 2):
        error = float((weights @ x**power - new**power)[inside].abs().max())
        assert (error < 1e-9) == (power <= degree)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: resize_weights(4, 0, "area"), "at least 1, got 0"),
        (lambda: resize_weights(4, 2, "cubic"), "one of nearest.*got 'cubic'"),
        (lambda: resize_weights(4, 2, "area", align_corners=True), "align_corners is for"),
        (lambda: resize_weights(4, 2, "nearest", antialias=True), "antialias is for"),
        (lambda: resize_weights(4, 2, "bilinear", antialias=True, align_corners=True), "two places"),
        (lambda: resize(torch.zeros(4, 4, dtype=torch.uint8), 2, "area"), "must be floats"),
        (lambda: resize(torch.zeros(0, 4), 2, "area"), "no empty side"),
        (lambda: fit_upscaling([(torch.zeros(4, 4), torch.zeros(9, 8))], 2), r"\(8, 8\), got \(9, 8\)"),
        (lambda: ssim(torch.zeros(6, 9), torch.zeros(6, 9)), "at least 7 x 7"),
        (lambda: ssim(torch.zeros(1, 9, 9), torch.zeros(3, 9, 9)), r"one shape.*\(1, 9, 9\) and \(3, 9, 9\)"),
        (lambda: psnr(torch.zeros(9), torch.zeros(1)), "one shape"),
        (lambda: resize(torch.zeros(4, 4), (2, 2, 2), "area"), r"a pair \(H, W\), got \(2, 2, 2\)"),
        (lambda: upscale(torch.zeros(3, 3), torch.zeros(4, 4), 2), r"an odd multiple of 2, got shape \(4, 4\)"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
def test_a_fit_to_resized_pictures_finds_the_resizing(factor, method):
    """Enlarging by a whole factor is a transposed convolution, which the fit must find exactly."""
    small = picture(2, 16, 16)
    kernel = fit_upscaling([(small, resize(small, 16 * factor, method))], factor)
    other = picture(11, 13, seed=1)
    np.testing.assert_allclose(
        upscale(other, kernel, factor), resize(other, (11 * factor, 13 * factor), method), atol=1e-9
    )


@pytest.mark.parametrize("reach", [1, 2])
def test_the_fit_is_the_least_squares_solution_of_the_whole_operator(reach):
    factor, pairs = 2, [(picture(5, 6, seed=s), picture(10, 12, seed=9 + s)) for s in (1, 2)]
    kernel = fit_upscaling(pairs, factor, reach)
    side = (2 * reach + 1) * factor
    columns = []
    for tap in torch.eye(side * side, dtype=torch.float64).reshape(-1, 1, 1, side, side):
        shown = [
            F.conv_transpose2d(
                F.pad(s[None, None], (reach,) * 4, "replicate"), tap, stride=factor, padding=2 * reach * factor
            )
            for s, _ in pairs
        ]
        columns.append(torch.cat([p.flatten() for p in shown]))
    target = torch.cat([large.flatten() for _, large in pairs])
    expected = np.linalg.lstsq(torch.stack(columns, 1).numpy(), target.numpy(), rcond=None)[0]
    np.testing.assert_allclose(kernel.flatten(), expected, atol=1e-8)
    assert checks.upscaling_fit(kernel, pairs, factor).ok
    assert not checks.upscaling_fit(kernel + 1e-5, pairs, factor).ok
    assert checks.upscaling(upscale(pairs[0][0], kernel, factor), pairs[0][0], kernel, factor).ok


def test_psnr_and_ssim_are_scikit_images():
    image = picture(3, 20, 17)
    near = (image + 0.1 * picture(3, 20, 17, seed=1)).clamp(0, 1)
    expected = metrics.structural_similarity(near.numpy(), image.numpy(), data_range=1.0, channel_axis=0)
    assert math.isclose(ssim(near, image), expected, rel_tol=1e-12)
    assert math.isclose(psnr(near, image), metrics.peak_signal_noise_ratio(image.numpy(), near.numpy(), data_range=1))
    x, y = (image.float() * 2 - 1 for image in (image, near))
    expected = metrics.peak_signal_noise_ratio(x.double().numpy(), y.double().numpy(), data_range=2)
    assert math.isclose(psnr(y, x, peak=2), expected)
    assert psnr(image, image) == math.inf and math.isclose(ssim(image, image), 1)
    assert checks.psnr(psnr(near, image), near, image).ok and checks.ssim(ssim(near, image), near, image).ok
    assert not checks.psnr(psnr(near, image) + 1e-6, near, image).ok
    assert not checks.ssim(ssim(near, image) + 1e-6, near, image).ok
