"""Settings: address and back, what is refused, and what becomes of the widgets."""

import inspect
import json
import math
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer import settings as s


@dataclass(frozen=True)
class Example:
    n: int = s.number(4, low=1, high=1000, label="Flips n", key="n")
    p: float = s.number(0.5, low=-2.0, high=2.0, step=0.01, label="Chance p", key="p")
    method: str = s.choice("a", options=("a", "b & c"), label="Method", key="m")
    flip: bool = s.flag(False, label="Flip", key="f")
    prompt: str = s.text("red apple", label="Prompt", key="q", max_length=40)
    kernel: tuple[tuple[float, ...], ...] = s.grid(((1.0, 0.0), (0.5, 1.0)), label="Kernel", key="k", max_side=3)


cells = st.floats(-1000, 1000, allow_nan=False)
grids = st.integers(1, 3).flatmap(
    lambda columns: st.lists(st.tuples(*[cells] * columns), min_size=1, max_size=3).map(tuple)
)
examples = st.builds(
    Example,
    n=st.integers(1, 1000),
    p=st.floats(-2, 2, allow_nan=False),
    method=st.sampled_from(["a", "b & c"]),
    flip=st.booleans(),
    prompt=st.text(max_size=40),
    kernel=grids,
)


@given(examples)
def test_address_leads_back_to_the_same_settings(settings):
    query = urlencode(s.to_query(settings), errors="surrogatepass")
    assert s.from_query(Example, dict(parse_qsl(query, keep_blank_values=True, errors="surrogatepass"))) == settings


def test_defaults_are_left_out_of_the_address():
    assert s.to_query(Example()) == {}
    assert s.to_query(Example(n=16, flip=True, kernel=((1.0, -0.25),))) == {"n": "16", "f": "1", "k": "1,-0.25"}


def test_keys_of_others_are_left_alone():
    assert s.from_query(Example, {"tab": "example", "__theme": "dark", "n": "7"}) == Example(n=7)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"n": "many"}, r"^“Flips n” must be a whole number in \[1, 1000\], got 'many'$"),
        ({"n": "0"}, r"^“Flips n” must be a whole number in \[1, 1000\], got 0$"),
        ({"n": "2.5"}, r"whole number .* got 2.5"),
        ({"n": "nan"}, "whole number"),
        ({"n": "inf"}, "whole number"),
        ({"p": "3"}, r"^“Chance p” must be a number in \[-2, 2\], got 3$"),
        ({"m": "z"}, "^“Method” must be one of a, b & c; got 'z'$"),
        ({"f": "yes"}, "^“Flip” must be true or false, got 'yes'$"),
        ({"q": "x" * 41}, "^“Prompt” may have at most 40 characters, got 41$"),
        ({"k": "1,2;3"}, r"^“Kernel” must be rows .* lengths \[1, 2\]$"),
        ({"k": "1,x"}, "^each number of “Kernel” .* got 'x'$"),
        ({"k": "1;2;3;4"}, "at most 3 x 3; got 4 rows"),
        ({"k": ""}, "^each number of “Kernel”"),
    ],
)
def test_bad_addresses_are_refused_with_what_was_wanted_and_what_came(query, says):
    with pytest.raises(ValueError, match=says):
        s.from_query(Example, query)


def test_an_address_that_is_wrong_in_places_is_read_in_all_others():
    settings, wrong = s.readable(Example, {"n": "0", "p": "1.5", "m": "b & c", "f": "yes", "tab": "example"})
    assert settings == Example(p=1.5, method="b & c")
    assert wrong == [
        "“Flips n” must be a whole number in [1, 1000], got 0",
        "“Flip” must be true or false, got 'yes'",
    ]
    with pytest.raises(ValueError, match=r"^“Flips n” must be .*; “Flip” must be"):
        s.from_query(Example, {"n": "0", "f": "yes"})


@pytest.mark.parametrize(("labels", "name"), [(False, "prompt"), (True, "“Prompt”")])
def test_a_program_reads_the_name_of_its_argument_and_a_visitor_the_label(labels, name):
    with pytest.raises(ValueError, match=f"^{name} must be text, got 4$"):
        s.parse(Example, {"prompt": 4}, labels=labels)


@pytest.mark.parametrize(
    "values",
    [
        {"n": None},
        {"n": True},
        {"n": "4"},
        {"n": math.nan},
        {"n": [4]},
        {"p": {}},
        {"method": 1},
        {"flip": 1},
        {"prompt": None},
        {"kernel": None},
        {"kernel": []},
        {"kernel": [[]]},
        {"kernel": [1, 2]},
        {"kernel": [["1"]]},
        {"kernel": [[2000.0]]},
        {"nonsense": 1},
    ],
)
def test_values_of_the_wrong_sort_are_refused(values):
    with pytest.raises(ValueError):
        s.parse(Example, values)


@given(st.dictionaries(st.sampled_from(["n", "p", "method", "flip", "prompt", "kernel", "zzz"]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=6)))  # fmt: skip
def test_whatever_comes_is_settings_or_a_ValueError(values):
    try:
        parsed = s.parse(Example, values)
    except ValueError:
        return
    assert s.parse(Example, {name: getattr(parsed, name) for name in s.specs(Example)}) == parsed


def test_whole_numbers_stay_whole_and_numbers_become_floats():
    parsed = s.parse(Example, {"n": 16.0, "p": 1})
    assert (parsed.n, type(parsed.n), type(parsed.p)) == (16, int, float)


def test_signature_offers_every_field_with_its_default():
    shape = s.signature(Example)
    assert list(shape.parameters) == ["n", "p", "method", "flip", "prompt", "kernel"]
    assert [p.annotation for p in shape.parameters.values()] == [int, float, str, bool, str, list[list[float]]]
    assert shape.bind().arguments == {}
    assert all(p.default is not inspect.Parameter.empty for p in shape.parameters.values())


def test_each_field_has_a_widget_with_its_limits():
    import gradio as gr

    with gr.Blocks():
        made = s.widgets(Example)
    assert list(made) == list(s.specs(Example))
    assert (made["n"].minimum, made["n"].maximum, made["n"].step, made["n"].value) == (1, 1000, 1, 4)
    assert [value for _, value in made["method"].choices] == ["a", "b & c"]
    assert json.loads(made["kernel"].value) == [[1.0, 0.0], [0.5, 1.0]]


def test_what_is_kept_is_made_once_unless_it_is_of_a_visitors_own_picture():
    made = []

    @s.kept(maxsize=2)
    def length(settings: Example, more: str = "") -> int:
        made.append(settings)
        return len(settings.prompt + more)

    first, own = Example(), Example(prompt="data:image/png;base64,AAAA")
    assert [length(first), length(first), length(own), length(own)] == [9, 9, 26, 26]
    assert made == [first, own, own] and length.cache_info().currsize == 1
    assert length(first, "data:") == 14 and length.cache_info().currsize == 1
    length.cache_clear()
    assert length(first) == 9 and made[-1] is first
