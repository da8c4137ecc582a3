"""The convolution tabs: numbers against torch, code against the endpoint, badges that can turn red."""

import ast
import base64
import inspect
import io
import json
import re
import struct
import zlib
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import signal

from core import convolution as core
from explorer.components.paint import PaintInput
from explorer.figures.plot import Figure
from explorer.settings import from_query, parse, specs, to_query
from explorer.tabs import convolution, transposed_convolution
from explorer.tabs.convolution import CHANNELS, STEPS
from explorer.tabs.transposed_convolution import ARTEFACT, BOTH, FRAMEWORK, SIZES, SLIDES
from explorer.uploads import read_picture, reduced

TABS = (convolution, transposed_convolution)
EVERY_PRESET = [pytest.param(tab, s, id=f"{tab.NAME}: {name}") for tab in TABS for name, s in tab.PRESETS.items()]
FIRST = {convolution.NAME: {"view": STEPS}, transposed_convolution.NAME: {"show": BOTH}}
FIRST_VIEWS = [p for p in EVERY_PRESET if FIRST[p.values[0].NAME].items() <= vars(p.values[1]).items()]


def any_settings(tab, **fixed):
    """Settings with every field drawn from its whole range, in the tab's first view unless ``fixed`` names another."""
    fixed = FIRST[tab.NAME] | fixed

    def field(spec):
        if spec.kind == "number":
            return st.integers(int(spec.low), int(spec.high))
        if spec.kind == "grid":
            cell = st.integers(-9, 9).map(float)
            sides = st.tuples(st.integers(1, spec.max_side), st.integers(1, spec.max_side))
            return sides.flatmap(lambda s: st.tuples(*[st.tuples(*[cell] * s[1])] * s[0]))
        return st.booleans() if spec.kind == "flag" else st.sampled_from(spec.options)

    return st.builds(
        tab.Settings,
        **{name: st.just(fixed[name]) if name in fixed else field(spec) for name, spec in specs(tab.Settings).items()},
    )


def tensors(s):
    return (torch.tensor(rows, dtype=torch.float64)[None, None] for rows in (s.image, s.kernel))


def torch_convolution(s):
    image, kernel = tensors(s)
    mode = "constant" if s.padding_mode == "zeros" else s.padding_mode
    kernel = kernel.flip(2, 3) if s.flip else kernel
    (rows, cols), stride, dilation = pairs(s)
    return F.conv2d(F.pad(image, (cols, cols, rows, rows), mode=mode), kernel, stride=stride, dilation=dilation)[0, 0]


def pairs(s):
    """Padding, stride and dilation as (rows, columns)."""
    return [(getattr(s, n), getattr(s, f"{n}_x" if s.per_axis else n)) for n in ("padding", "stride", "dilation")]


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


@pytest.mark.parametrize(("tab", "chosen"), FIRST_VIEWS)
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
    if tab is transposed_convolution:
        both_ways_are_told(chosen, view.numbers)


def both_ways_are_told(s, numbers):
    """The endpoint's stamps, put down one by one, and its windows over the zero-inserted picture make its output."""
    output, kernel = np.array(numbers["output"]), np.array(s.kernel)
    left = output.copy()
    high, wide = left.shape
    stamps = numbers["stamps"]
    assert [step["value"] for step in stamps] == [s.image[step["row"]][step["col"]] for step in stamps]
    of_kernel = np.array([step["value"] for step in stamps])[:, None, None] * kernel
    np.testing.assert_array_equal(np.array([step["stamp"] for step in stamps]), of_kernel)
    for step in stamps:
        y, x = (at + s.dilation * np.arange(k) for at, k in zip(step["at"], kernel.shape, strict=True))
        rows, cols = (y >= 0) & (y < high), (x >= 0) & (x < wide)
        left[np.ix_(y[rows], x[cols])] -= np.array(step["stamp"])[np.ix_(rows, cols)]
    np.testing.assert_allclose(left, 0, atol=1e-9)
    around, windows = np.array(numbers["zero_inserted"]), numbers["windows"]
    assert [(step["row"], step["col"]) for step in windows] == list(np.ndindex(high, wide))
    v, u = np.indices(kernel.shape) * s.dilation
    seen = [around[step["row"] + v, step["col"] + u] * kernel[::-1, ::-1] for step in windows]
    np.testing.assert_allclose([step["products"] for step in windows], seen, atol=1e-12)
    np.testing.assert_allclose([step["value"] for step in windows], np.ravel(numbers["output"]), atol=1e-9)
    np.testing.assert_allclose(np.sum([step["products"] for step in windows], (1, 2)), np.ravel(output), atol=1e-9)


@pytest.mark.parametrize("tab", TABS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_player_ends_in_the_output(tab, data):
    chosen = data.draw(any_settings(tab))
    try:
        players = [value for value in tab.update(chosen).stage.values() if hasattr(value, "patches")]
    except ValueError:
        return
    assert len(players) == (1 if tab is convolution else 2)
    for player in players:
        ends_in_the_output(player)


def ends_in_the_output(player):
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
def test_code_prints_the_endpoints_numbers(afresh, tab, chosen):
    compare(afresh(tab.code(chosen)), tab.update(chosen).numbers)


def compare(printed, numbers):
    """Every number of the endpoint, and no other; of why PyTorch refuses, whether it does."""
    lines = [line.split(" = ") for line in printed.strip().splitlines() if " = " in line]
    steps = [line for line in printed.strip().splitlines() if " = " not in line]
    expected = dict(numbers)
    if call := numbers.get("pytorch"):
        expected["pytorch"] = call | {"refuses": call["refuses"] is not None}
    said = [f"{s['row']} {s['col']} {s['products']} sum to {s['value']}" for s in expected.pop("steps", ())]
    assert steps == said
    assert {name: ast.literal_eval(value) for name, value in lines} == expected


def each(change):
    """The change made to every step."""
    return lambda steps: (change(step) for step in steps)


def result_of(step):
    return "value" if hasattr(step, "window") else "output"


def negated(step):
    return replace(step, **{result_of(step): -getattr(step, result_of(step))})


def misplaced(step):
    return replace(step, col=step.col + 1) if hasattr(step, "window") else replace(step, output=step.output.roll(1, -1))


def of_another_channel(step):
    """The sums stay, but each channel's share of them is its neighbour's."""
    return replace(step, products=step.products.roll(1, 1))


# A wrong sign, and an off-by-one, in what a function returns.
PICTURE = (lambda result: -result, lambda result: result.roll(1, -1))
SIZE = (lambda size: -size, lambda size: size + 1)
CELLS = (lambda cells: [*cells, 0], lambda cells: [i - 1 for i in cells] or [1])
STEPPED = (each(negated), each(misplaced))
WAVES = (lambda pair: (pair[0], -pair[1]), lambda pair: (pair[0], pair[1].roll(1)))
CROSS = convolution.PRESETS["cross-correlation"]
STAMPS = transposed_convolution.PRESETS["framework · out padding 1"]
MIXED = convolution.PRESETS["3 channels in, 2 out"]
PHOTO = convolution.PRESETS["a photograph's edges"]
BOARD = transposed_convolution.PRESETS["checkerboard artefact"]
SAME = transposed_convolution.PRESETS["two sizes, one output"]
TURNED = replace(STAMPS, view=SLIDES)


SLIPS = [
    (convolution, CROSS, "convolve", PICTURE),
    (convolution, CROSS, "convolution_steps", STEPPED),
    (convolution, CROSS, "output_size", SIZE),
    (convolution, CROSS, "unread", CELLS),
    (convolution, convolution.PRESETS["stride 2 that leaves a row out"], "unread", CELLS),
    (convolution, replace(CROSS, padding=1, padding_mode="replicate"), "pad", PICTURE),
    (convolution, MIXED, "convolve", PICTURE),
    (convolution, MIXED, "convolution_steps", (*STEPPED, each(of_another_channel))),
    (convolution, MIXED, "output_size", SIZE),
    (convolution, replace(MIXED, stride=2), "unread", CELLS),
    (convolution, MIXED, "resize", PICTURE),
    (convolution, replace(MIXED, padding=1, padding_mode="circular"), "pad", PICTURE),
    (convolution, PHOTO, "convolve", PICTURE),
    (convolution, PHOTO, "output_size", SIZE),
    (transposed_convolution, STAMPS, "transposed_convolve", PICTURE),
    (transposed_convolution, STAMPS, "transposed_steps", STEPPED),
    (transposed_convolution, STAMPS, "transposed_output_size", SIZE),
    (transposed_convolution, STAMPS, "convolution_steps", STEPPED),
    (transposed_convolution, TURNED, "convolve", PICTURE),
    (transposed_convolution, TURNED, "convolution_steps", STEPPED),
    (transposed_convolution, TURNED, "transposed_steps", STEPPED),
    (transposed_convolution, replace(TURNED, padding=4), "insert_zeros", PICTURE),
    (transposed_convolution, BOARD, "transposed_convolve", PICTURE),
    (transposed_convolution, BOARD, "convolve", PICTURE),
    (transposed_convolution, BOARD, "resize", PICTURE),
    (transposed_convolution, BOARD, "spectrum", WAVES),
    (transposed_convolution, SAME, "transposed_output_size", SIZE),
    (transposed_convolution, SAME, "output_size", SIZE),
]


@pytest.mark.parametrize(
    ("tab", "chosen", "name", "slip"),
    [
        pytest.param(tab, chosen, name, slip, id=f"{tab.NAME} {name} {i}")
        for tab, chosen, name, slips in SLIPS
        for i, slip in enumerate(slips)
    ],
)
def test_a_slip_in_core_turns_the_badge_red(monkeypatch, tab, chosen, name, slip):
    assert tab.update(chosen).check.ok
    right = getattr(tab, name)
    monkeypatch.setattr(tab, name, lambda *args, **options: slip(right(*args, **options)))
    transposed_convolution.far_from_the_edges.cache_clear()
    transposed_convolution.stamps.cache_clear()
    assert not tab.update(chosen).check.ok
    transposed_convolution.far_from_the_edges.cache_clear()
    transposed_convolution.stamps.cache_clear()


@pytest.mark.parametrize("tab", TABS)
def test_every_core_function_of_a_tab_is_among_the_slips(tab):
    used = {
        name
        for name, thing in vars(tab).items()
        if getattr(thing, "__module__", "") in (core.__name__, "core.resizing") and inspect.isfunction(thing)
    }
    assert used == {name for other, _, name, _ in SLIPS if other is tab}


def test_the_deck_s_four_steps():
    numbers = convolution.update(convolution.Settings()).numbers
    assert [step["products"] for step in numbers["steps"]] == [
        [[0.25, 0.0], [0.0, 0.25]],
        [[0.0, 0.25], [0.25, 0.0]],
        [[0.0, 0.25], [0.25, 0.0]],
        [[0.25, 0.0], [0.0, 0.25]],
    ]
    assert numbers["output"] == [[0.5, 0.5], [0.5, 0.5]]


@pytest.mark.parametrize("chosen", [s for s in convolution.PRESETS.values() if s.view != convolution.PHOTOGRAPH])
def test_the_formula_is_of_the_step_that_the_player_opens_with(chosen):
    """The last one, in whose cell torch has this number."""
    view = convolution.update(chosen)
    row, col, value = re.search(r"y(?:_1)?\[(\d+),(\d+)\]=.*?(-?[\d.]+)\$\$", view.formula).groups()
    mixed = chosen.view == CHANNELS  # equal to torch's as another test has it
    output = np.array(view.numbers["output"])[0] if mixed else torch_convolution(chosen).numpy()
    assert (int(row) + 1, int(col) + 1) == output.shape
    assert float(value) == pytest.approx(output[-1, -1], rel=5e-3)


@pytest.mark.parametrize(("flip", "scipys", "says"), [(False, "correlate2d", r"x\star k"), (True, "convolve2d", "x*k")])
def test_a_star_correlates_and_an_asterisk_convolves(flip, scipys, says):
    chosen = replace(CROSS, flip=flip)
    view = convolution.update(chosen)
    expected = getattr(signal, scipys)(np.array(chosen.image), np.array(chosen.kernel), mode="valid")
    np.testing.assert_allclose(view.numbers["output"], expected, atol=1e-12)
    for one in (view, convolution.update(replace(chosen, view=convolution.PHOTOGRAPH))):
        assert f"$$y={says}" in one.formula
        assert ("*" in one.formula) == flip


@pytest.mark.parametrize("name", convolution.KERNELS)
def test_a_photographs_formula_has_the_kernels_numbers_where_they_are_few(name):
    kernel = convolution.KERNELS[name]
    formula = convolution.update(convolution.Settings(view=convolution.PHOTOGRAPH, kernel=kernel)).formula
    written = formula.split(r"\begin{pmatrix}")[1].split(r"\end{pmatrix}")[0]
    rows = [[float(v) for v in row.split("&")] for row in written.split(r"\\")]
    np.testing.assert_allclose(rows, kernel, rtol=5e-3)
    large = convolution.Settings(view=convolution.PHOTOGRAPH, kernel=((1.0,) * 6,) * 6)
    assert "pmatrix" not in convolution.update(large).formula


def test_one_is_counted_as_one():
    one = convolution.Settings(kernel=((2.0,),), mix=((1.0, 0.0, 0.0),))
    assert "**9 steps**, 1 product each" in convolution.update(one).notice
    notice = convolution.update(replace(one, view=CHANNELS, mix=((1.0,),))).notice
    assert "together 1 parameter (a network adds 1 bias) and" in notice
    for stride, says in ((1, "at as many multiplications."), (2, "at 4 times the multiplications.")):
        shown = transposed_convolution.Settings(show=ARTEFACT, stride=stride)
        assert says in transposed_convolution.update(shown).notice


def test_what_one_bright_pixel_brings_out_is_said():
    seen = convolution.Settings(image=convolution.DOT, kernel=convolution.COUNT)
    for flip, way, out in (
        (False, "turned by half a turn", np.rot90(seen.kernel, 2)),
        (True, "as it stands", seen.kernel),
    ):
        view = convolution.update(replace(seen, flip=flip))
        assert f"the one cell that is not 0 brings the kernel out {way}." in view.notice
        assert np.array_equal(view.numbers["output"], out)
    for other in ({"stride": 2}, {"image": convolution.CHECKERBOARD}, {"per_axis": True, "stride_x": 2}):
        assert "brings the kernel out" not in convolution.update(replace(seen, **other)).notice


@pytest.mark.parametrize("convention", [SLIDES, FRAMEWORK])
def test_out_padding_is_said_to_come_at_the_bottom_and_at_the_right(convention):
    bare = replace(transposed_convolution.STAMPS, kernel=convolution.COUNT, stride=3, view=convention)
    view, small = transposed_convolution.update(replace(bare, output_padding=2)), transposed_convolution.update(bare)
    assert "Out padding adds 2 rows at the bottom, 2 columns at the right." in view.notice
    assert "Out padding" not in small.notice
    more, less = np.array(view.numbers["output"]), np.array(small.numbers["output"])
    assert np.subtract(more.shape, less.shape).tolist() == [2, 2]
    assert np.array_equal(more[:-2, :-2], less)


def test_what_no_window_reaches_is_said():
    view = convolution.update(convolution.PRESETS["stride 2 that leaves a row out"])
    assert view.numbers["never_read"] == {"rows": [5], "columns": [5]}
    assert "row 5 and column 5" in view.notice
    assert r"\lfloor 1.5\rfloor+1=2" in view.formula


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (
            {"stride": 2, "dilation": 2},
            "as taps 2 apart do not reach every place of the stride 2 as often they alternate",
        ),
        (
            {"stride": 3, "dilation": 2},
            "as taps 2 apart do not reach every place of the stride 3 as often they alternate",
        ),
        ({"stride": 2, "kernel": ((1.0,) * 3,) * 3}, "as the stride does not divide the kernel they alternate"),
        ({"stride": 3}, "the stamps are smaller than the stride and leave gaps"),
        ({"stride": 1}, "fewer only towards the edge"),
        ({"stride": 1, "dilation": 2}, "fewer only towards the edge"),
    ],
)
def test_where_stamps_are_fewer_is_said(changed, says):
    """As the overlap of a large picture has it in its middle."""
    chosen = transposed_convolution.Settings(view=FRAMEWORK, image=((1.0,) * 9,) * 9, **changed)
    view = transposed_convolution.update(chosen)
    assert says in view.notice
    middle = np.array(view.numbers["overlap"])[3:-3, 3:-3]
    assert (middle.min() == middle.max()) == ("only towards the edge" in says)


def test_sizes_are_named_by_their_out_padding():
    """A kernel of 2, padding 3: H = (3 - 1) 2 - 2 * 3 + 1 + 1 + out padding = out padding; 0 rows are no picture."""
    from explorer.figures import transposed_convolution as figures

    view = transposed_convolution.update(replace(SAME, kernel=((1.0,) * 2,) * 2, padding=3, output_padding=1))
    figure = next(piece for piece in view.stage.values() if isinstance(piece, Figure))
    assert view.numbers["chosen"] == 1 and view.numbers["same"] == [1]
    assert [note["text"] for note in figure.to_dict()["layout"]["annotations"]] == ["<b>out padding 1</b>"]
    several = figures.sizes([4, 5, 6], [2, 3, 3], 3, 6, 5).to_dict()["layout"]["annotations"]
    assert [note["text"] for note in several] == ["0", "<b>out padding 1</b>"]


@settings(max_examples=100, deadline=None)
@given(any_settings(convolution))
def test_never_read_is_what_torch_does_not_read(chosen):
    chosen = replace(chosen, kernel=tuple((1.0,) * len(row) for row in chosen.kernel))
    try:
        unread = convolution.update(chosen).numbers["never_read"]
    except ValueError:
        return
    image, kernel = tensors(chosen)
    image.requires_grad_()
    (rows, cols), stride, dilation = pairs(chosen)
    mode = "constant" if chosen.padding_mode == "zeros" else chosen.padding_mode
    read = F.conv2d(F.pad(image, (cols, cols, rows, rows), mode), kernel, stride=stride, dilation=dilation)
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
        (convolution, {"kernel": ((1.0,) * 5,) * 5, "dilation": 3}, "spans 13 rows.*= 3; 1 rows of kernel would fit"),
        (
            convolution,
            {"kernel": ((1.0,) * 5,) * 5, "dilation": 2, "padding": 2, "padding_mode": "reflect"},
            "4 rows of",
        ),
        (
            transposed_convolution,
            {"kernel": ((1.0,) * 7,) * 7, "stride": 1, "padding": 1},
            r"spans 7 cells, and there are 3 \+ 2 \* 1 = 5; a padding of 2 would fit",
        ),
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


@settings(max_examples=40, deadline=None)
@given(any_settings(convolution, view=CHANNELS))
def test_several_channels_equal_torch_or_are_refused_with_it(chosen):
    (rows, cols), stride, dilation = pairs(chosen)
    image = convolution.channels_in(chosen)[0][None]
    kernel = torch.tensor(chosen.mix, dtype=torch.float64)[:, :, None, None] * torch.tensor(chosen.kernel).double()
    kernel = kernel.flip(2, 3) if chosen.flip else kernel
    mode = "constant" if chosen.padding_mode == "zeros" else chosen.padding_mode
    try:
        expected = F.conv2d(F.pad(image, (cols, cols, rows, rows), mode=mode), kernel, stride=stride, dilation=dilation)
    except RuntimeError:
        with pytest.raises(ValueError):
            convolution.update(chosen)
        return
    view = convolution.update(chosen)
    player, numbers = view.stage["channels"], view.numbers
    np.testing.assert_allclose(numbers["output"], expected[0], atol=1e-9)
    assert view.check.ok, view.check
    weights = torch.nn.Conv2d(len(chosen.mix[0]), len(chosen.mix), kernel.shape[2:], bias=False).weight
    assert numbers["parameters"] == weights.numel()
    assert numbers["multiplications"] == weights.numel() * expected[0, 0].numel()
    for o, plane in enumerate(player.targets):  # every window, read where the player marks it
        windows = player.sources.reshape(len(image[0]), -1)[:, player.patches].transpose(1, 0, 2)
        np.testing.assert_allclose(
            np.einsum("nct,ct->n", windows, player.kernels[o].reshape(len(image[0]), -1)), plane.ravel(), atol=1e-9
        )
        alone = np.einsum("nct,ct->cn", windows, player.kernels[o].reshape(len(image[0]), -1))
        np.testing.assert_allclose(numbers["by_channel"][o], alone.reshape(-1, *plane.shape), atol=1e-9)


def test_a_photograph_is_convolved_whole():
    chosen = convolution.PRESETS["a photograph's edges"]
    view = convolution.update(chosen)
    before, after = view.stage["pictures"]
    image = torch.tensor(before.pixels)[None, None]
    expected = F.conv2d(F.pad(image, (1,) * 4, mode="reflect"), list(tensors(chosen))[1])
    assert view.numbers["output_size"] == [256, 256] == list(after.pixels.shape)
    assert view.numbers["minimum"] == pytest.approx(float(expected.min()))
    assert view.numbers["middle_row"] == pytest.approx(expected[0, 0, 128].tolist())
    beside = convolution.update(replace(chosen, view=STEPS))  # the same pictures beside the steps
    np.testing.assert_array_equal(beside.stage["pictures"][1].pixels, after.pixels)
    assert beside.numbers["photograph"] == [view.numbers["minimum"], view.numbers["maximum"]]


@pytest.mark.parametrize("show", [ARTEFACT, SIZES])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_other_views_have_a_green_badge_or_say_why_not(show, data):
    chosen = data.draw(any_settings(transposed_convolution, show=show))
    try:
        view = transposed_convolution.update(chosen)
    except ValueError as error:
        assert "would fit" in str(error) or "fits" in str(error)
        return
    assert view.check.ok, view.check
    json.dumps(view.numbers, allow_nan=False)


@pytest.mark.parametrize("chosen", [BOARD, SAME], ids=["overlap and spectrum", "sizes"])
def test_plotly_knows_all_that_the_figures_say(chosen):
    figures = [piece for piece in transposed_convolution.update(chosen).stage.values() if isinstance(piece, Figure)]
    for figure in figures:
        go.Figure(figure.to_dict())  # refuses what it does not know
        heights = [y for trace in figure.data for y in trace["y"] if y is not None]  # a gap parts two lines
        assert np.isfinite(heights).all()
    assert len(figures) == (2 if chosen is BOARD else 1)


@settings(max_examples=60, deadline=None)
@given(any_settings(transposed_convolution, show=SIZES, view=FRAMEWORK))
def test_sizes_that_are_said_to_become_one_do(chosen):
    try:
        numbers = transposed_convolution.update(chosen).numbers
    except ValueError:
        return
    k = len(chosen.kernel)
    torchs = [
        n
        for n in range(1, numbers["chosen"] + 9)
        if n + 2 * chosen.padding > chosen.dilation * (k - 1)
        and F.conv1d(
            torch.ones(1, 1, n),
            torch.ones(1, 1, k),
            stride=chosen.stride,
            padding=chosen.padding,
            dilation=chosen.dilation,
        ).shape[2]
        == len(chosen.image)
    ]
    assert numbers["same"] == torchs
    assert numbers["chosen"] == torchs[0] + chosen.output_padding if torchs[0] > 1 else numbers["chosen"] in torchs


@pytest.mark.parametrize(("stride", "side", "even"), [(2, 3, False), (2, 4, True), (3, 4, False), (3, 3, True)])
def test_the_checkerboard_and_its_wave(stride, side, even):
    kernel = ((1.0,) * side,) * side
    numbers = transposed_convolution.update(replace(BOARD, stride=stride, kernel=kernel)).numbers
    low, high = numbers["stamps_far_from_the_edge"]
    assert (low == high) == even
    assert (low, high) == (side // stride, -(-side // stride))
    waves = dict(zip(numbers["frequency"], numbers["amplitude"], strict=True))
    loud = {round(f, 3) for f, a in waves.items() if f > 0 and a > 1e-9}
    assert loud == (set() if even else {round(1 / stride, 3)})
    assert max(numbers["amplitude_resized"][1:]) < 1e-12


@settings(max_examples=60, deadline=None)
@given(any_settings(transposed_convolution, show=ARTEFACT))
def test_bars_formula_text_and_spectrum_are_of_one_row(chosen):
    """Stamps along a row by hand; in the plane they multiply, as torch adds them up."""
    try:
        view = transposed_convolution.update(chosen)
        expected = torch_transposed(
            replace(chosen, **{f: tuple((1.0,) * len(r) for r in getattr(chosen, f)) for f in ("image", "kernel")})
        )
    except (ValueError, RuntimeError):
        return
    lines = []
    for n, k, wide in zip(*map(np.shape, (chosen.image, chosen.kernel)), expected.shape, strict=True):
        crop = chosen.padding if chosen.view == FRAMEWORK else chosen.dilation * (k - 1) - chosen.padding
        places = [i * chosen.stride + u * chosen.dilation - crop for i in range(n) for u in range(k)]
        lines.append([places.count(x) for x in range(wide)])
    bars = view.stage["overlap"].to_dict()["data"][0]["y"]
    assert view.numbers["stamps_along_a_row"] == list(bars) == lines[1]
    np.testing.assert_allclose(np.outer(*lines), expected, atol=1e-9)
    low, high = view.numbers["stamps_far_from_the_edge"]
    assert rf":\quad{low}\le" in view.formula and rf"\le{high}\qquad" in view.formula
    assert max(lines[1]) <= high
    assert (f"between **{low}** and **{high}** stamps" in view.notice) == (low < high)


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def asked(file, rows, cols):
    return {"file": file, "rows": rows, "cols": cols}


def bomb():
    """A PNG that says it has 30,000 x 30,000 pixels."""
    data = bytearray(saved(Image.new("L", (1, 1))))
    data[16:24] = struct.pack(">II", 30_000, 30_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bomb(), "at most 16,000,000 pixels.*900,000,000.*4000 x 4000 would fit"),
        (saved(Image.new("L", (5000, 4000))), "at most 16,000,000 pixels, this one has 20,000,000"),
        (b"hello", "no picture that can be read; a PNG"),
        (b"", "no picture that can be read"),
        (saved(Image.new("P", (4, 4)), "GIF"), "a GIF can hold more than one picture; save one of them as PNG"),
        (saved(Image.effect_noise((99, 99), 90))[:800], "damaged or cut short"),
        (b"0" * 2_000_001, "at most 2 MB, this file has 2.0"),
    ],
)
def test_files_that_cannot_be_read_say_why(data, message):
    with pytest.raises(ValueError, match=message):
        read_picture(data)
    piece = PaintInput(specs(convolution.Settings)["image"])
    answer = piece.reduce(asked(base64.b64encode(data).decode(), 4, 4))
    assert answer["error"]


def test_transparency_and_16_bits_are_read_and_said():
    half = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    picture, note = read_picture(saved(half))
    assert float(picture.min()) == 1 and "see-through" in note
    deep = Image.fromarray(np.array([[0, 32768], [65535, 1]], dtype=np.uint16))
    picture, note = read_picture(saved(deep))
    assert "16 bits" in note
    np.testing.assert_allclose(picture[0], np.array([[0, 32768], [65535, 1]]) / 65535)
    picture, note = read_picture(saved(Image.new("RGB", (2, 3), (255, 0, 51))))
    assert (note, picture[:, 0, 0].tolist()) == ("", [1, 0, 0.2])


def test_an_own_picture_is_averaged_into_the_chosen_cells():
    pixels = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    piece = PaintInput(specs(convolution.Settings)["image"])
    answer = piece.reduce(asked(base64.b64encode(saved(Image.fromarray(pixels))).decode(), 3, 2))
    expected = (pixels / 255).reshape(3, 2, 2, 4).mean((1, 3))
    np.testing.assert_allclose(answer["cells"], expected, atol=0.0051)
    assert parse(convolution.Settings, {"image": answer["cells"]})
    assert reduced(torch.ones(3, 5, 5).double(), 2, 2) == [[1, 1], [1, 1]]
    for bad in (("AAAA", 0, 2), ("AAAA", 3, 17), ("not base64!", 2, 2), (None, 2, 2), ("AAAA", "x", 2)):
        assert piece.reduce(asked(*bad))["error"]
