"""Every setting of every tab lives in the page's address, each under a key of its own."""

import math
from importlib import import_module
from urllib.parse import parse_qsl, urlencode

import gradio as gr
import pytest

from explorer.components.live import Live
from explorer.frame import address_of
from explorer.lectures import OF_THE_PAGE
from explorer.settings import from_query, parse, specs
from explorer.tabs import TABS


def others(spec):
    """Values a field may hold beside its default, the ends and the awkward ones among them."""
    match spec.kind:
        case "number":
            middle = (spec.low + spec.high) / 2
            found = [spec.low, spec.high, math.floor(middle) if spec.integer else middle]
        case "choice":
            found = list(spec.options)
        case "flag":
            found = [True, False]
        case "text":
            found = ["", "ä & b=c + #d?/e;f,g %20 <i>"]
        case "grid":
            low, high = max(spec.low, -9.25), min(spec.high, 9.5)
            found = [((high, low),) if spec.look == "bars" else ((high, low), (low, high))]
    return [value for value in found if value != spec.default]


@pytest.mark.parametrize("name", TABS)
def test_every_setting_goes_into_the_address_and_comes_back(name):
    module = import_module(f"explorer.tabs.{name}")
    known = specs(module.Settings)
    everything = {}
    for field, spec in known.items():
        for value in others(spec):
            settings = parse(module.Settings, {field: value})
            address = dict(parse_qsl(address_of(module, settings), keep_blank_values=True, strict_parsing=True))
            assert set(address) == {"tab", spec.key}
            assert from_query(module.Settings, address) == settings
            everything[field] = value
    settings = parse(module.Settings, everything)
    address = dict(parse_qsl(address_of(module, settings), keep_blank_values=True))
    assert from_query(module.Settings, address) == settings
    assert len(address) == 1 + len(everything)


@pytest.mark.parametrize("name", TABS)
def test_no_two_settings_share_a_key_and_none_is_the_pages_own(name):
    keys = [spec.key for spec in specs(import_module(f"explorer.tabs.{name}").Settings).values()]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & {"tab", *OF_THE_PAGE}


GRID, INTERVAL = "a grid of two settings", "guidance over time"


@pytest.mark.parametrize(
    ("name", "said", "became"),
    [
        ("forward_noise", {"T": 10}, {"t": 10}),
        ("forward_noise", {"T": 10, "seed": 3, "v": "particles"}, {"t": 10}),
        ("forward_noise", {"T": 10, "v": "table of noise amounts"}, {"r": 10}),  # the lecture's amounts go up to 42
        ("schedules", {"b1": 0.1}, {"bT": 0.1}),
        ("convolution", {"d": 3}, {"p": 1}),
        ("text_to_image", {"v": GRID, "x": "steps"}, {"y": "guidance"}),
        ("text_to_image", {"v": GRID, "y": "guidance"}, {"x": "steps"}),
        ("text_to_image", {"v": INTERVAL, "a": 0.1}, {"z": 0.1}),
        ("text_to_image", {"v": INTERVAL, "z": 0.9}, {"a": 0.9}),
    ],
)
def test_what_a_link_says_wins_over_what_it_leaves_to_defaults(tiny_offered, name, said, became):
    """The same as a link that says both, but for what is told of it."""
    opened = opener(name)
    values, both = (opened(urlencode({"tab": name, **query})) for query in (said, said | became))
    n = len(specs(import_module(f"explorer.tabs.{name}").Settings))
    assert values[:n] == both[:n] and not both[-1] and values[-1].count(" became ") == 1
    stays = dict(parse_qsl(values[-3]))
    assert stays == dict(parse_qsl(both[-3])) and stays.items() >= {(key, str(value)) for key, value in said.items()}


@pytest.mark.parametrize(
    ("said", "refused", "left"),
    [
        ({"v": GRID, "x": "seed", "y": "seed"}, "got seed twice", {"v": GRID, "x": "seed"}),
        ({"v": GRID, "xs": "0, many"}, "guidance must be a number", {"v": GRID}),
        ({"v": INTERVAL, "a": 0.3, "z": 0.6}, "it cannot go to 0.6", {"v": INTERVAL, "a": 0.3}),
        ({"v": "words and pictures (CLIP)", "se": "one"}, "got 1", {"v": "words and pictures (CLIP)"}),
        ({"s": 2**32 - 1, "b": 2}, "for 2 pictures at once", {"s": 2**32 - 1}),
    ],
)
def test_what_a_run_would_refuse_is_brought_back_when_a_link_opens(tiny_offered, said, refused, left):
    opened = opener("text_to_image")
    values = opened(urlencode({"tab": "text_to_image", **said, "n": "elephant"}))
    assert "got &#x27;elephant&#x27;" in values[-1] and refused in values[-1]  # both can be read
    assert "; the default of “" in values[-1]
    assert dict(parse_qsl(values[-3])) == {"tab": "text_to_image"} | {key: str(value) for key, value in left.items()}


def opener(name):
    """What answers an address on the page of a tab."""
    with gr.Blocks() as demo, gr.Tabs():
        import_module(f"explorer.tabs.{name}").build()
    calls = [call.fn for piece in demo.blocks.values() if isinstance(piece, Live) for call in piece.calls]
    asked = [*calls, *(fn.fn for fn in demo.fns.values())]
    return next(fn for fn in asked if getattr(fn, "__name__", "") == "opened")
