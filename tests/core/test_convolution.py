"""Windows and stamps against nested loops, torch and scipy."""

from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core import checks
from core import convolution as cv

CHECKERBOARD = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
QUARTERS = torch.full((2, 2), 0.25)
MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def pairs(low, high):
    return st.one_of(st.integers(low, high), st.tuples(st.integers(low, high), st.integers(low, high)))


def both(value):
    return value if isinstance(value, tuple) else (value, value)


def numbers(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@st.composite
def operands(draw):
    """A picture and a kernel of any of the kinds that go together."""
    side, seed = st.integers(1, 7), draw(st.integers(0, 2**31))
    height, width, rows, cols = (draw(side) for _ in range(4))
    kind, c_in, c_out = (
        draw(st.sampled_from(["plain", "each", "mix", "mix one"])),
        *(draw(st.integers(1, 3)) for _ in "io"),
    )
    image = numbers(seed, *([] if kind in ("plain", "mix one") else [c_in]), height, width)
    kernel = numbers(seed + 1, *([c_out, 1 if kind == "mix one" else c_in] if "mix" in kind else []), rows, cols)
    return image, kernel


def torch_weight(image, kernel, transposed=False):
    channels = image.shape[0] if image.ndim == 3 else 1
    if kernel.ndim == 2:
        return {"weight": kernel.expand(channels, 1, *kernel.shape), "groups": channels}
    return {"weight": kernel.transpose(0, 1) if transposed else kernel}


def batch(image):
    return image.reshape(1, -1, *image.shape[-2:])


@settings(max_examples=300, deadline=None)
@given(operands(), pairs(1, 3), pairs(0, 3), pairs(1, 3), st.sampled_from(cv.PADDING_MODES), st.booleans())
def test_convolution_equals_torch(pair, stride, padding, dilation, mode, flip):
    image, kernel = pair
    rows, cols = both(padding)
    turned = kernel.flip(-2, -1) if flip else kernel
    options = {"stride": stride, "padding": padding, "dilation": dilation, "padding_mode": mode, "flip": flip}
    try:
        padded = F.pad(batch(image), (cols, cols, rows, rows), mode=MODES[mode])
        expected = F.conv2d(padded, stride=stride, dilation=dilation, **torch_weight(image, turned))[0]
    except RuntimeError:  # torch refuses: so must we
        with pytest.raises(ValueError):
            cv.convolve(image, kernel, **options)
        return
    result = cv.convolve(image, kernel, **options)
    flat = image.ndim == 2 and kernel.ndim == 2
    torch.testing.assert_close(result, expected[0] if flat else expected)
    assert checks.convolution(result, image, kernel, **options).ok
    assert not checks.convolution(-result + 1e-3, image, kernel, **options).ok
    assert not checks.convolution(torch.cat([result, result[..., -1:, :]], -2), image, kernel, **options).ok
    steps = list(cv.convolution_steps(image, kernel, **options))
    assert [(s.row, s.col) for s in steps] == list(product(*map(range, result.shape[-2:])))
    for step in steps:
        torch.testing.assert_close(step.value, result[..., step.row, step.col])
        assert step.window.shape[-2:] == step.products.shape[-2:] == kernel.shape[-2:]
        assert checks.window(step.value.sum(), step.products).ok


@settings(max_examples=100, deadline=None)
@given(*[st.integers(1, 6)] * 4, st.integers(1, 3), st.integers(0, 3), st.integers(1, 3))
def test_convolution_equals_nested_loops(height, width, rows, cols, stride, padding, dilation):
    image, kernel = numbers(height, height, width), numbers(rows, rows, cols)
    sizes = [len(range(0, n + 2 * padding - dilation * (k - 1), stride)) for n, k in ((height, rows), (width, cols))]
    assume(all(sizes))
    expected = torch.zeros(sizes, dtype=torch.float64)
    for r, c, i, j in product(*map(range, (*sizes, rows, cols))):
        y, x = r * stride + i * dilation - padding, c * stride + j * dilation - padding
        if 0 <= y < height and 0 <= x < width:
            expected[r, c] += image[y, x] * kernel[i, j]
    torch.testing.assert_close(cv.convolve(image, kernel, stride=stride, padding=padding, dilation=dilation), expected)


def test_windows_follow_the_picture_and_carry_the_products():
    image, kernel = numbers(0, 5, 6), numbers(1, 3, 2)
    steps = list(cv.convolution_steps(image, kernel, stride=(2, 1), dilation=(1, 2)))
    for step in steps:
        y, x = step.row * 2, step.col
        torch.testing.assert_close(step.window, image[y : y + 3, x : x + 3 : 2])
        torch.testing.assert_close(step.products, step.window * kernel)
        assert step.value == step.products.sum()


def test_the_deck_s_checkerboard_takes_four_steps():
    steps = list(cv.convolution_steps(CHECKERBOARD, QUARTERS))
    assert [s.products.tolist() for s in steps] == [
        [[0.25, 0.0], [0.0, 0.25]],
        [[0.0, 0.25], [0.25, 0.0]],
        [[0.0, 0.25], [0.25, 0.0]],
        [[0.25, 0.0], [0.0, 0.25]],
    ]
    assert cv.convolve(CHECKERBOARD, QUARTERS).tolist() == [[0.5, 0.5], [0.5, 0.5]]


@settings(max_examples=300, deadline=None)
@given(operands(), pairs(1, 3), pairs(0, 3), pairs(0, 3), pairs(1, 3))
def test_transposed_convolution_equals_torch(pair, stride, padding, output_padding, dilation):
    image, kernel = pair
    options = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    try:
        expected = F.conv_transpose2d(batch(image), **options, **torch_weight(image, kernel, transposed=True))[0]
    except RuntimeError:
        with pytest.raises(ValueError):
            cv.transposed_convolve(image, kernel, **options)
        return
    if 0 in expected.shape:
        with pytest.raises(ValueError, match="crops everything away"):
            cv.transposed_convolve(image, kernel, **options)
        return
    result = cv.transposed_convolve(image, kernel, **options)
    flat = image.ndim == 2 and kernel.ndim == 2
    torch.testing.assert_close(result, expected[0] if flat else expected)
    assert checks.transposed_convolution(result, image, kernel, **options).ok
    assert not checks.transposed_convolution(-result + 1e-3, image, kernel, **options).ok
    assert not checks.transposed_convolution(torch.cat([result, result[..., -1:, :]], -2), image, kernel, **options).ok
    *_, last = steps = list(cv.transposed_steps(image, kernel, **options))
    torch.testing.assert_close(last.output, result)
    assert [(s.row, s.col) for s in steps] == list(product(*map(range, image.shape[-2:])))


def test_stamps_land_where_they_say():
    image, kernel = numbers(0, 3, 2), numbers(1, 2, 3)
    before = torch.zeros_like(cv.transposed_convolve(image, kernel, stride=2, padding=1, dilation=2, output_padding=1))
    for step in cv.transposed_steps(image, kernel, stride=2, padding=1, dilation=2, output_padding=1):
        torch.testing.assert_close(step.stamp, kernel * image[step.row, step.col])
        for i, j in product(range(2), range(3)):
            y, x = step.row * 2 - 1 + i * 2, step.col * 2 - 1 + j * 2
            if 0 <= y < before.shape[0] and 0 <= x < before.shape[1]:
                before[y, x] += step.stamp[i, j]
        torch.testing.assert_close(step.output, before)


def test_extra_rows_come_at_the_bottom_and_right():
    result = cv.transposed_convolve(CHECKERBOARD, QUARTERS, stride=2, output_padding=1)
    assert result.shape == (7, 7)
    assert result[-1].abs().sum() == result[:, -1].abs().sum() == 0
    torch.testing.assert_close(result[:-1, :-1], cv.transposed_convolve(CHECKERBOARD, QUARTERS, stride=2))


@given(operands(), pairs(1, 3))
def test_scatter_is_the_turned_kernel_over_the_zero_inserted_picture(pair, stride):
    image, kernel = pair
    around = tuple(k - 1 for k in kernel.shape[-2:])
    gathered = cv.convolve(cv.insert_zeros(image, stride), kernel, padding=around, flip=True)
    torch.testing.assert_close(gathered, cv.transposed_convolve(image, kernel, stride=stride))


@given(*[st.integers(1, 6)] * 4, pairs(1, 3), pairs(0, 2), pairs(1, 2))
def test_transposed_is_the_transpose(height, width, rows, cols, stride, padding, dilation):
    """<A x, y> = <x, A' y>, with the output padding that leads back to the size of x."""
    x, kernel = numbers(0, height, width), numbers(1, rows, cols)
    try:
        ax = cv.convolve(x, kernel, stride=stride, padding=padding, dilation=dilation)
    except ValueError:
        assume(False)
    y = numbers(2, *ax.shape)
    extra = tuple(
        (n + 2 * p - d * (k - 1) - 1) % s
        for n, p, d, k, s in zip(x.shape, both(padding), both(dilation), kernel.shape, both(stride), strict=True)
    )
    back = cv.transposed_convolve(y, kernel, stride=stride, padding=padding, output_padding=extra, dilation=dilation)
    torch.testing.assert_close((ax * y).sum(), (x * back).sum())


@given(
    st.integers(1, 20), st.integers(1, 7), st.integers(1, 4), st.integers(0, 4), st.integers(1, 4), st.integers(0, 5)
)
def test_sizes_equal_a_count(size, kernel, stride, padding, dilation, extra):
    places = [i for i in range(0, size + 2 * padding, stride) if i + dilation * (kernel - 1) < size + 2 * padding]
    if places:
        out = cv.output_size(size, kernel, stride, padding, dilation)
        assert out == len(places)
        assert checks.output_size(out, size, kernel, stride, padding, dilation).ok
        assert not checks.output_size(out + 1, size, kernel, stride, padding, dilation).ok
    else:
        with pytest.raises(ValueError, match="must fit the padded picture"):
            cv.output_size(size, kernel, stride, padding, dilation)
    try:
        out = cv.transposed_output_size(size, kernel, stride, padding, extra, dilation)
    except ValueError:
        return
    assert checks.transposed_output_size(out, size, kernel, stride, padding, extra, dilation).ok
    assert not checks.transposed_output_size(out - 1, size, kernel, stride, padding, extra, dilation).ok
    assert cv.output_size(out, kernel, stride, padding, dilation) == size or extra >= stride


@given(st.integers(1, 5), st.integers(1, 5), pairs(0, 3), st.sampled_from(cv.PADDING_MODES))
def test_padding_equals_torch(height, width, padding, mode):
    image, (rows, cols) = numbers(0, 2, height, width), both(padding)
    try:
        expected = F.pad(image[None], (cols, cols, rows, rows), mode=MODES[mode])[0]
    except RuntimeError:
        with pytest.raises(ValueError, match="can be at most"):
            cv.pad(image, padding, mode)
        return
    padded = cv.pad(image, padding, mode)
    assert torch.equal(padded, expected)
    assert checks.padding(padded, image, padding, mode).ok
    assert not checks.padding(-padded, image, padding, mode).ok


def test_zero_insertion_is_torchs_transposed_convolution_with_a_kernel_of_one_cell():
    image = numbers(0, 2, 3, 4)
    spread = F.conv_transpose2d(image[:, None], torch.ones(1, 1, 1, 1).to(image), stride=(2, 3))[:, 0]
    assert torch.equal(cv.insert_zeros(image, (2, 3)), spread)


@given(*[st.integers(1, 5)] * 4, st.integers(1, 3), st.integers(0, 3), st.integers(0, 3), st.integers(1, 3))
def test_zero_inserted_check_agrees_with_torch(height, width, rows, cols, stride, padding, extra, dilation):
    image, kernel = numbers(0, height, width), numbers(1, rows, cols)
    around = F.pad(cv.insert_zeros(image, stride), (padding, padding + extra, padding, padding + extra))
    assume(all(n > dilation * (k - 1) for n, k in zip(around.shape, kernel.shape, strict=True)))
    result = F.conv2d(around[None, None], kernel.flip(0, 1)[None, None], dilation=dilation)[0, 0]
    options = {"stride": stride, "padding": padding, "output_padding": extra, "dilation": dilation}
    assert checks.zero_inserted_convolution(result, image, kernel, **options).ok
    assert not checks.zero_inserted_convolution(-result + 1e-3, image, kernel, **options).ok
    assert not checks.zero_inserted_convolution(result[:-1], image, kernel, **options).ok


def test_cancelling_products_are_no_fault():
    image, kernel = torch.full((4, 4), 0.1).double(), torch.tensor([[0.1, 0.2, -0.3]]).double()
    for flip in (False, True):
        assert checks.convolution(cv.convolve(image, kernel, flip=flip), image, kernel, flip=flip).ok


def test_single_precision_and_whole_numbers():
    image, kernel = torch.arange(12).reshape(3, 4), torch.tensor([[1, -1]])
    assert cv.convolve(image, kernel).tolist() == [[-1] * 3] * 3
    assert cv.convolve(CHECKERBOARD, QUARTERS.double()).dtype == torch.float64
    assert checks.convolution(cv.convolve(CHECKERBOARD, QUARTERS), CHECKERBOARD, QUARTERS).ok


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cv.convolve(CHECKERBOARD, torch.ones(5, 5)), "spans 5 cells.* a padding of 1 would fit"),
        (lambda: cv.convolve(CHECKERBOARD, QUARTERS, stride=0), "stride of rows must be a whole number of at least 1"),
        (lambda: cv.convolve(CHECKERBOARD, QUARTERS, stride=1.5), "got 1.5"),
        (lambda: cv.convolve(CHECKERBOARD, QUARTERS, padding=(0, -1)), "padding of columns .* got -1"),
        (lambda: cv.convolve(CHECKERBOARD, QUARTERS, padding_mode="mirror"), "one of zeros, reflect.* got 'mirror'"),
        (lambda: cv.convolve(CHECKERBOARD, QUARTERS, padding=3, padding_mode="reflect"), "at most 2"),
        (lambda: cv.convolve(CHECKERBOARD, QUARTERS, padding=4, padding_mode="circular"), "at most 3"),
        (lambda: cv.convolve(CHECKERBOARD, torch.ones(2, 3, 2, 2)), "wants 3 channels, the picture has 1"),
        (lambda: cv.convolve(torch.ones(3), QUARTERS), r"\(H, W\) or \(C, H, W\)"),
        (lambda: cv.convolve(torch.ones(0, 3), QUARTERS), "no empty side"),
        (lambda: cv.convolve(CHECKERBOARD, torch.ones(2)), r"\(k, k\)"),
        (lambda: cv.convolve(CHECKERBOARD * float("nan"), QUARTERS), "finite"),
        (lambda: next(cv.convolution_steps(CHECKERBOARD, torch.ones(4, 4))), "must fit"),
        (lambda: cv.insert_zeros(CHECKERBOARD, 0), "at least 1"),
        (lambda: cv.transposed_convolve(CHECKERBOARD, QUARTERS, output_padding=1), "PyTorch's rule.*at most 0"),
        (lambda: cv.transposed_convolve(CHECKERBOARD, QUARTERS, stride=2, output_padding=2), "smaller than stride"),
        (lambda: cv.transposed_convolve(CHECKERBOARD, QUARTERS, padding=2), "crops everything away.*at most 1"),
        (lambda: next(cv.transposed_steps(CHECKERBOARD, QUARTERS, stride=0)), "stride"),
        (lambda: cv.convolve(CHECKERBOARD, QUARTERS, stride=(1, 1, 1)), r"a pair \(rows, columns\), got \(1, 1, 1\)"),
        (lambda: cv.unread(5, 2, padding_mode="mirror"), "got 'mirror'"),
    ],
)
def test_bad_input_says_what_was_wanted(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.bool])
def test_whole_numbers_do_not_wrap(dtype):
    image, kernel = torch.full((4, 4), 100).to(dtype), torch.ones(3, 3).to(dtype)
    assert cv.convolve(image, kernel).tolist() == [[9 * int(image[0, 0])] * 2] * 2
    assert cv.transposed_convolve(image, kernel, stride=np.int64(1)).max() == 9 * int(image[0, 0])
