"""Deconvolution against explicit matrices, numpy.linalg and scikit-image."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import restoration

from core import checks
from core.convolution import convolve
from core.deconvolution import (
    _Blur,
    adjoint,
    blur,
    matrix,
    naive_inverse,
    never_seen,
    pseudo_inverse,
    rank,
    richardson_lucy,
    svd,
    wiener,
)

SHAPES = st.tuples(*[st.integers(2, 9)] * 2), st.tuples(*[st.integers(1, 5)] * 2)


def random(*shape, seed=0, low=0.0):
    return low + (1 - low) * torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def by_nested_loops(shape, kernel):
    (height, width), (tall, wide) = shape, kernel.shape
    A = np.zeros((height, width, height + tall - 1, width + wide - 1))
    for i, j, u, v in np.ndindex(height, width, tall, wide):
        A[i, j, i + u, j + v] = kernel[u, v]
    return A.reshape(height * width, -1)


@settings(max_examples=60, deadline=None)
@given(*SHAPES, st.integers(0, 99))
def test_every_linear_answer_is_its_matrix(shape, taps, seed):
    y, kernel = random(*shape, seed=seed), random(*taps, seed=seed + 1, low=-1)
    A = by_nested_loops(shape, kernel.numpy())
    full = tuple(n + k - 1 for n, k in zip(shape, taps, strict=True))
    np.testing.assert_array_equal(matrix(shape, kernel), A)
    x = random(*full, seed=seed + 2)
    np.testing.assert_allclose(A @ x.numpy().ravel(), convolve(x, kernel).flatten(), atol=1e-12)
    np.testing.assert_allclose(adjoint(y, kernel), (A.T @ y.numpy().ravel()).reshape(full), atol=1e-12)
    assert rank(shape, kernel) == np.linalg.matrix_rank(A)
    assert checks.operator_rank(rank(shape, kernel), shape, kernel).ok
    inverse = np.linalg.pinv(A, rcond=max(A.shape) * np.finfo(float).eps)
    scale = np.abs(inverse).sum(1).max()
    np.testing.assert_allclose(pseudo_inverse(y, kernel).flatten(), inverse @ y.numpy().ravel(), atol=1e-10 * scale)
    expected = A.T @ np.linalg.solve(A @ A.T + 0.01 * np.eye(len(A)), y.numpy().ravel())
    np.testing.assert_allclose(wiener(y, kernel, 0.01).flatten(), expected, atol=1e-9)
    around = 0.3 + A.T @ np.linalg.solve(
        A @ A.T + 0.01 * np.eye(len(A)), y.numpy().ravel() - A @ np.full(len(A.T), 0.3)
    )
    np.testing.assert_allclose(wiener(y, kernel, 0.01, mean=0.3).flatten(), around, atol=1e-9)
    assert checks.adjoint(adjoint(y, kernel), y, kernel).ok
    assert checks.adjoint_identity(adjoint(y, kernel), y, x, kernel).ok
    assert checks.regularised(pseudo_inverse(y, kernel), y, kernel, 0).ok
    assert checks.regularised(wiener(y, kernel, 0.01), y, kernel, 0.01).ok
    assert checks.naive_inverse(naive_inverse(y, kernel), y, kernel).ok


@settings(max_examples=60, deadline=None)
@given(*SHAPES, st.integers(0, 99))
def test_naive_inverse_solves_the_circular_equations(shape, taps, seed):
    y, kernel = random(*shape, seed=seed), random(*taps, seed=seed + 1)
    kernel[0, 0] += kernel.sum()  # no frequency is lost
    full = [n + k - 1 for n, k in zip(shape, taps, strict=True)]
    around = np.zeros((*full, *full))
    for i, j, u, v in np.ndindex(*full, *taps):
        around[i, j, (i + u) % full[0], (j + v) % full[1]] += kernel[u, v]
    wanted = np.zeros(full)
    wanted[: shape[0], : shape[1]] = y
    expected = np.linalg.solve(around.reshape(wanted.size, -1), wanted.ravel())
    np.testing.assert_allclose(naive_inverse(y, kernel).flatten(), expected, atol=1e-10)


def test_what_the_kernel_takes_to_zero_stays_zero():
    box = torch.full((4, 4), 1 / 16, dtype=torch.float64)
    answer = naive_inverse(random(13, 13), box)  # 16 pixels: every fourth frequency is gone
    assert answer.abs().max() < 1000
    assert torch.fft.fft2(answer)[4::4].abs().max() < 1e-9
    assert checks.naive_inverse(answer, random(13, 13), box).ok


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(*[st.integers(2, 20)] * 2), st.tuples(*[st.sampled_from((1, 3, 5))] * 2), st.integers(1, 30),
    st.integers(0, 9),
)  # fmt: skip
def test_richardson_lucy_is_scikit_images(shape, taps, iterations, seed):
    y, kernel = random(*shape, seed=seed, low=-0.1), random(*taps, seed=seed + 1)
    kernel /= kernel.sum()
    spare = 4 * max(taps)
    around = (taps[1] // 2 + spare,) * 2 + (taps[0] // 2 + spare,) * 2
    seen = F.pad(y.clamp(min=0)[None, None], around, mode="replicate")[0, 0]
    expected = restoration.richardson_lucy(seen.numpy(), kernel.numpy()[::-1, ::-1], iterations, clip=False)
    expected = expected[spare:-spare, spare:-spare]
    answer = richardson_lucy(y, kernel, iterations)
    np.testing.assert_allclose(answer, expected, rtol=1e-6, atol=1e-8)
    assert checks.richardson_lucy(answer, y, kernel, iterations).ok


@pytest.mark.parametrize("iterations", (1, 2, 9))
def test_richardson_lucys_light_is_never_below_0(iterations):
    """Where nothing is seen there is no light: spectra alone would leave -1e-17 for it."""
    y = random(9, 7, low=-0.1)
    y[:, :4] = 0
    answer = richardson_lucy(y, blur("gaussian", 5), iterations)
    assert answer.min() >= 0 and answer[:, :4].max() < 1e-12 and answer.max() > 0.1


def test_what_was_never_seen_and_what_was_make_the_picture():
    x, kernel = random(14, 15), random(3, 4, seed=1)
    lost = never_seen(x, kernel)
    np.testing.assert_allclose(convolve(lost, kernel), torch.zeros(12, 12), atol=1e-12)
    assert abs(float((lost * (x - lost)).sum())) < 1e-10
    assert checks.never_seen(lost, x, kernel).ok and not checks.never_seen(lost + 1e-4, x, kernel).ok
    assert not checks.never_seen(0.999 * lost, x, kernel).ok
    null = np.eye(14 * 15) - np.linalg.pinv(by_nested_loops((12, 12), kernel.numpy())) @ by_nested_loops(
        (12, 12), kernel.numpy()
    )
    np.testing.assert_allclose(lost.flatten(), null @ x.numpy().ravel(), atol=1e-10)


def test_walked_to_or_solved_for_it_is_the_same_answer():
    """33 pixels are above the limit, so this is LSMR against numpy."""
    y, kernel = random(29, 31), random(5, 3, seed=1)
    A = by_nested_loops(y.shape, kernel.numpy())
    expected = A.T @ np.linalg.solve(A @ A.T + 0.1 * np.eye(len(A)), y.numpy().ravel())
    np.testing.assert_allclose(wiener(y, kernel, 0.1).flatten(), expected, atol=1e-8)
    kernel[2, 1] += kernel.sum()  # well conditioned: the pseudo-inverse is reached too
    A = by_nested_loops(y.shape, kernel.numpy())
    np.testing.assert_allclose(pseudo_inverse(y, kernel).flatten(), np.linalg.lstsq(A, y.numpy().ravel())[0], atol=1e-7)
    assert checks.regularised(wiener(y, kernel, 0.1), y, kernel, 0.1, exact=False).ok


def test_the_svd_is_kept():
    kernel = random(3, 3)
    assert svd((6, 6), kernel).s is svd((6, 6), kernel.clone()).s


@pytest.mark.parametrize("slip", [lambda x: -x, lambda x: x.roll(1, -1), lambda x: x + 1e-4, lambda x: 1.001 * x])
def test_a_slip_fails_its_check(slip):
    x, kernel = random(16, 16), random(3, 3, seed=1)
    kernel[1, 1] += 3
    y = convolve(x, kernel)
    assert not checks.adjoint(slip(adjoint(y, kernel)), y, kernel).ok
    assert not checks.adjoint_identity(slip(adjoint(y, kernel)), y, x, kernel).ok
    assert not checks.naive_inverse(slip(naive_inverse(y, kernel)), y, kernel).ok
    assert not checks.regularised(slip(pseudo_inverse(y, kernel)), y, kernel, 0).ok
    assert not checks.regularised(slip(wiener(y, kernel, 0.1)), y, kernel, 0.1).ok
    assert not checks.richardson_lucy(slip(richardson_lucy(y, kernel, 9)), y, kernel, 9).ok


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda y, k: adjoint(y[0], k), r"y must be finite floats of shape \(H, W\)"),
        (lambda y, k: naive_inverse(y, k.long()), "the kernel must be finite floats"),
        (lambda y, k: wiener(y, k, -1.0), "0 or more, got -1"),
        (lambda y, k: wiener(y, k, float("nan")), "0 or more, got nan"),
        (lambda y, k: wiener(y, k, float("inf")), "0 or more, got inf"),
        (lambda y, k: richardson_lucy(y, k[:2], 5), "odd sides"),
        (lambda y, k: richardson_lucy(y, -k, 5), "no negative tap"),
        (lambda y, k: richardson_lucy(y, k, 0), "at least 1, got 0"),
        (lambda y, k: svd((40, 9), k), "up to 32 pixels"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(random(6, 6), random(3, 3))


@pytest.mark.parametrize(("name", "width"), [("gaussian", 5), ("box", 3), ("disc", 7), ("motion", 5)])
def test_blurs_add_up_to_one_and_their_svd_is_numpys(name, width):
    """Gaussian and box take the short way, through rows and columns apart."""
    kernel, shape = blur(name, width), (11, 9)
    assert abs(float(kernel.sum()) - 1) < 1e-12
    A = by_nested_loops(shape, kernel.numpy())
    s, down, across = svd(shape, kernel)
    np.testing.assert_allclose(s, np.linalg.svd(A, compute_uv=False), atol=1e-13)
    for u, _, vt in (down, across):
        np.testing.assert_allclose(u.T @ u, np.eye(u.shape[1]), atol=1e-12)
        np.testing.assert_allclose(vt @ vt.T, np.eye(len(vt)), atol=1e-12)
    D, C = ((u * values) @ vt for u, values, vt in (down, across))
    np.testing.assert_allclose(np.kron(D, C), A, atol=1e-13)
    assert len(D) == (11 if name in ("gaussian", "box") else 99)
    assert checks.singular_values(s, shape, kernel).ok and not checks.singular_values(s * 1.001, shape, kernel).ok
    assert not checks.operator_rank(rank(shape, kernel) + 1, shape, kernel).ok


@pytest.mark.parametrize(("name", "width", "message"), [("bokeh", 3, "kernels are"), ("box", 0, "at least 1, got 0")])
def test_no_such_blur(name, width, message):
    with pytest.raises(ValueError, match=message):
        blur(name, width)


@pytest.mark.parametrize("sides", [(1, 4), (2, 3), (5, 5), (6, 2)])
def test_a_blur_goes_line_by_line_where_it_can(sides):
    """As torch's convolution and its transpose have it, for even sides too; of other kernels by spectra."""
    rng = torch.Generator().manual_seed(3)
    column, row = (torch.rand(n, 1, dtype=torch.float64, generator=rng) - 0.3 for n in sides)
    for kernel, apart in ((column @ row.T, True), (column @ row.T + torch.eye(*sides) / 9, min(sides) == 1)):
        A = _Blur((7, 9), kernel)
        x, y = torch.rand(A.full, dtype=torch.float64, generator=rng), torch.rand(7, 9, dtype=torch.float64)
        taps = kernel[None, None]
        assert bool(A.lines) == apart
        forward, back = A.forward(x.numpy()), A.back(y.numpy())
        assert forward == pytest.approx(F.conv2d(x[None, None], taps)[0, 0].numpy(), abs=1e-14)
        assert back == pytest.approx(F.conv_transpose2d(y[None, None], taps)[0, 0].numpy(), abs=1e-14)


def test_the_taps_sum_does_not_change_what_is_likeliest():
    """Ten times as much light, seen through a kernel that takes in ten times as much, is the same picture."""
    x, kernel = random(16, 16).abs(), random(3, 3, seed=1).abs()
    y = convolve(x, kernel)
    wanted = richardson_lucy(y / kernel.sum(), kernel / kernel.sum(), 20)
    assert richardson_lucy(y, kernel, 20).numpy() == pytest.approx(wanted.numpy(), rel=1e-9)
