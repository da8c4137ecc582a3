"""The convolution tabs: numbers against torch, code against the endpoint, badges that can turn red."""

import ast
import contextlib
import io
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.settings import from_query, parse, specs, to_query
from explorer.tabs import convolution, transposed_convolution
from explorer.tabs.transposed_convolution import FRAMEWORK, SLIDES

TABS = (convolution, transposed_convolution)
EVERY_PRESET = [pytest.param(tab, s, id=f"{tab.NAME}: {name}") for tab in TABS for name, s in tab.PRESETS.items()]


def any_settings(tab):
    """Settings with every field drawn from its whole range."""

    def field(spec):
        if spec.kind == "number":
            return st.integers(int(spec.low), int(spec.high))
        if spec.kind == "grid":
            cell = st.integers(-9, 9).map(float)
            sides = st.tuples(st.integers(1, spec.max_side), st.integers(1, spec.max_side))
            return sides.flatmap(lambda s: st.tuples(*[st.tuples(*[cell] * s[1])] * s[0]))
        return st.booleans() if spec.kind == "flag" else st.sampled_from(spec.options)

    return st.builds(tab.Settings, **{name: field(spec) for name, spec in specs(tab.Settings).items()})


def tensors(s):
    return (torch.tensor(rows, dtype=torch.float64)[None, None] for rows in (s.image, s.kernel))


def torch_convolution(s):
    image, kernel = tensors(s)
    mode = "constant" if s.padding_mode == "zeros" else s.padding_mode
    kernel = kernel.flip(2, 3) if s.flip else kernel
    return F.conv2d(F.pad(image, (s.padding,) * 4, mode=mode), kernel, stride=s.stride, dilation=s.dilation)[0, 0]


def torch_transposed(s):
    """Without PyTorch's limits: everything stamped, then cropped or filled up with zeros."""
    image, kernel = tensors(s)
    full = F.conv_transpose2d(image, kernel, stride=s.stride, dilation=s.dilation)[0, 0]
    edges = []
    for k in reversed(kernel.shape[2:]):
        around = s.padding - s.dilation * (k - 1) if s.view == SLIDES else -s.padding
        edges += [around, around + s.output_padding]
    if s.view == FRAMEWORK and s.output_padding >= max(s.stride, s.dilation):
        raise RuntimeError("PyTorch refuses this output padding")
    cropped = F.pad(full, edges)
    if 0 in cropped.shape:
        raise RuntimeError("nothing left")
    return cropped


REFERENCES = {convolution.NAME: torch_convolution, transposed_convolution.NAME: torch_transposed}


@pytest.mark.parametrize(("tab", "chosen"), EVERY_PRESET)
def test_presets_equal_torch(tab, chosen):
    view = tab.update(chosen)
    np.testing.assert_allclose(view.numbers["output"], REFERENCES[tab.NAME](chosen), atol=1e-12)
    assert view.check.ok
    assert from_query(tab.Settings, to_query(chosen)) == chosen


@pytest.mark.parametrize("tab", TABS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_settings_equal_torch_or_are_refused_with_it(tab, data):
    chosen = data.draw(any_settings(tab))
    try:
        expected = REFERENCES[tab.NAME](chosen)
    except RuntimeError:
        with pytest.raises(ValueError):
            tab.update(chosen)
        return
    view = tab.update(chosen)
    np.testing.assert_allclose(view.numbers["output"], expected, atol=1e-9)
    assert view.check.ok, view.check
    assert view.numbers["output_size"] == list(expected.shape)


@pytest.mark.parametrize("tab", TABS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_player_ends_in_the_output(tab, data):
    chosen = data.draw(any_settings(tab))
    try:
        player = tab.update(chosen).stage[0]
    except ValueError:
        return
    shown = np.zeros(player.target.size + 1)  # cells cropped away land in the last place
    for step, patch in enumerate(player.patches):
        places = [step] if player.kind == "gather" else patch
        shown[places] = player.after[step]
    np.testing.assert_allclose(shown[:-1], player.target.ravel(), atol=1e-12)
    if player.kind == "gather":
        windows = player.source.ravel()[player.patches]
        np.testing.assert_allclose(player.products, windows * player.kernel.ravel(), atol=1e-12)
        np.testing.assert_allclose(player.products.sum(1), player.target.ravel(), atol=1e-9)


@pytest.mark.parametrize(("tab", "chosen"), EVERY_PRESET)
def test_code_prints_the_endpoints_numbers(tab, chosen):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(tab.code(chosen), {})
    compare(out.getvalue(), tab.update(chosen).numbers)


@pytest.mark.parametrize("tab", TABS)
def test_code_runs_in_a_fresh_interpreter(tab):
    out = subprocess.run([sys.executable, "-c", tab.code(tab.Settings())], capture_output=True, text=True, check=True)
    compare(out.stdout, tab.update(tab.Settings()).numbers)


def compare(printed, numbers):
    *steps, size, output = printed.strip().splitlines()
    assert size == f"output_size = {numbers['output_size']}"
    name, values = output.split(" = ")
    assert name == "output"
    assert ast.literal_eval(values) == numbers["output"]
    expected = [f"{s['row']} {s['col']} {s['products']} sum to {s['value']}" for s in numbers.get("steps", ()) if steps]
    assert steps == expected


def negated(result):
    return -result


def moved(result):
    return result.roll(1, -1)


def one_more(result):
    return result + 1


def each(change):
    """The change made to what every step says it has computed."""

    def changed(steps):
        for step in steps:
            yield replace(step, **{"value" if hasattr(step, "window") else "output": change(step)})

    return changed


SLIP_OF_STEPS = each(lambda step: step.value + 1e-6 if hasattr(step, "window") else step.output.roll(1, -1))
CROSS = convolution.PRESETS["cross-correlation"]
STAMPS = transposed_convolution.PRESETS["framework · out padding 1"]
TURNED = replace(STAMPS, view=SLIDES)


@pytest.mark.parametrize(
    ("tab", "chosen", "name", "slip"),
    [
        (convolution, CROSS, "convolve", negated),
        (convolution, CROSS, "convolve", moved),
        (convolution, CROSS, "convolution_steps", SLIP_OF_STEPS),
        (convolution, CROSS, "output_size", one_more),
        (convolution, replace(CROSS, padding=1, padding_mode="replicate"), "pad", moved),
        (transposed_convolution, STAMPS, "transposed_convolve", negated),
        (transposed_convolution, STAMPS, "transposed_convolve", moved),
        (transposed_convolution, STAMPS, "transposed_steps", SLIP_OF_STEPS),
        (transposed_convolution, STAMPS, "transposed_output_size", one_more),
        (transposed_convolution, TURNED, "convolve", negated),
        (transposed_convolution, TURNED, "convolve", moved),
        (transposed_convolution, TURNED, "convolution_steps", SLIP_OF_STEPS),
        (transposed_convolution, TURNED, "insert_zeros", negated),
        (transposed_convolution, replace(TURNED, padding=4), "insert_zeros", moved),
    ],
)
def test_a_slip_in_core_turns_the_badge_red(monkeypatch, tab, chosen, name, slip):
    assert tab.update(chosen).check.ok
    right = getattr(tab, name)
    monkeypatch.setattr(tab, name, lambda *args, **options: slip(right(*args, **options)))
    assert not tab.update(chosen).check.ok


def test_the_deck_s_four_steps():
    numbers = convolution.update(convolution.Settings()).numbers
    assert [step["products"] for step in numbers["steps"]] == [
        [[0.25, 0.0], [0.0, 0.25]],
        [[0.0, 0.25], [0.25, 0.0]],
        [[0.0, 0.25], [0.25, 0.0]],
        [[0.25, 0.0], [0.0, 0.25]],
    ]
    assert numbers["output"] == [[0.5, 0.5], [0.5, 0.5]]


def test_what_no_window_reaches_is_said():
    view = convolution.update(convolution.PRESETS["stride 2 that leaves a row out"])
    assert view.numbers["never_read"] == {"rows": [5], "columns": [5]}
    assert "row 5 and column 5" in view.notice
    assert r"\lfloor 1.5\rfloor+1=2" in view.formula


@settings(max_examples=100, deadline=None)
@given(any_settings(convolution))
def test_never_read_is_what_torch_does_not_read(chosen):
    chosen = replace(chosen, padding_mode="zeros", kernel=tuple((1.0,) * len(row) for row in chosen.kernel))
    try:
        unread = convolution.update(chosen).numbers["never_read"]
    except ValueError:
        return
    image, kernel = tensors(chosen)
    image.requires_grad_()
    read = F.conv2d(image, kernel, stride=chosen.stride, padding=chosen.padding, dilation=chosen.dilation)
    (reached,) = torch.autograd.grad(read.sum(), image)
    rows, columns = (
        torch.tensor([i not in unread[axis] for i in range(n)])
        for axis, n in zip(("rows", "columns"), image.shape[2:], strict=True)
    )
    assert torch.equal(reached[0, 0] != 0, rows[:, None] & columns)


@settings(max_examples=100, deadline=None)
@given(any_settings(transposed_convolution))
def test_what_pytorch_is_said_to_do_it_does(chosen):
    try:
        numbers = transposed_convolution.update(chosen).numbers
    except ValueError:
        return
    call, (image, kernel) = numbers["pytorch"], tensors(chosen)

    def ask(kernel):
        return F.conv_transpose2d(
            image,
            kernel,
            stride=chosen.stride,
            padding=tuple(call["padding"]),
            output_padding=call["output_padding"],
            dilation=chosen.dilation,
        )

    if call["refuses"]:
        with pytest.raises(RuntimeError):
            ask(kernel)
    else:
        np.testing.assert_allclose(numbers["output"], ask(kernel)[0, 0], atol=1e-9)
        image = torch.ones_like(image)
        np.testing.assert_allclose(numbers["overlap"], ask(torch.ones_like(kernel))[0, 0])


@pytest.mark.parametrize(
    ("tab", "values", "message"),
    [
        (convolution, {"kernel": ((1.0,) * 7,) * 7}, "a padding of 2 would fit"),
        (convolution, {"padding": 3, "padding_mode": "reflect"}, "at most 2"),
        (convolution, {"image": ()}, "image must be rows of numbers"),
        (convolution, {"image": (("a",),)}, "each number of image"),
        (convolution, {"stride": 0}, "stride must be a whole number"),
        (transposed_convolution, {"view": FRAMEWORK, "output_padding": 2}, "PyTorch's rule.*at most 1"),
        (transposed_convolution, {"view": FRAMEWORK, "padding": 4}, "crops everything away"),
        (transposed_convolution, {"view": "both"}, "view must be one of"),
    ],
)
def test_impossible_settings_say_what_would_fit(tab, values, message):
    with pytest.raises(ValueError, match=message):
        tab.update(parse(tab.Settings, values))
