"""On a ZeroGPU Space a GPU is asked for where a run needs one, for no longer than it may take; nowhere else."""

import sys
from dataclasses import dataclass, replace
from functools import wraps
from types import SimpleNamespace

import pytest

from explorer import runs
from explorer.frame import Answers
from explorer.settings import number
from explorer.tabs import text_to_image
from explorer.tabs.text_to_image import grid, guidance
from explorer.tabs.text_to_image.settings import (
    DREAM,
    GRID,
    JOINT,
    OWN,
    PRESETS,
    SCALES,
    TOKENS,
    TOWARD,
    TWO,
    VIEWS,
    Settings,
)


@dataclass(frozen=True)
class Steps:
    steps: int = number(3, low=1, high=9, label="Steps", key="n")
    size: int = number(1, low=1, high=4, label="Size", key="px")


needy = SimpleNamespace(Settings=Steps, seconds=lambda s: 10 * s.steps + s.size)


def walk(*values, known=False):
    yield from range(values[0])


@pytest.fixture
def asked(monkeypatch):
    """A stand-in for the package that a ZeroGPU Space has: what the decorated functions asked for at each call."""
    seconds = []

    def gpu(duration):
        def decorate(function):
            @wraps(function)
            def called(*args, **options):
                seconds.append(duration(*args, **options))
                return function(*args, **options)

            return called

        return decorate

    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=gpu))
    return seconds


def test_elsewhere_it_is_the_function_itself(monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert runs.lent(needy, walk, ("steps", "size")) is walk


def test_a_module_that_names_no_seconds_needs_none(asked):
    assert runs.lent(SimpleNamespace(), walk) is walk


def test_each_call_asks_for_as_long_as_its_settings_take(asked):
    run = runs.lent(needy, walk, ("steps", "size"))
    assert list(run(3, 1)) == [0, 1, 2] and list(run(5, 2, known=True)) == [0, 1, 2, 3, 4]
    assert asked == [31, 52]
    list(run(100, 2))  # beyond its field: refused by the run, which needs no time for that
    assert asked[2] == 1

    def endpoint(steps: int = 3, size: int = 1) -> int:
        return steps

    assert runs.lent(needy, endpoint)(4, 1) == 4 and asked[3] == 41


def test_the_whole_tab_borrows_for_its_runs_and_for_both_endpoints(asked, tiny_offered, tiny_model):
    """Built as a Space builds it: what a button runs, and both endpoints, ask with the settings they were given."""
    import gradio as gr

    with gr.Blocks() as demo:
        text_to_image.build()
    found = {fn.api_name: fn.fn for fn in demo.fns.values() if fn.api_name}
    named = Settings(prompt="red apple", steps=2, sampler="heun", size="0.5")
    values = [getattr(named, name) for name in text_to_image.draw.FIELDS]
    found["text_to_image"](*values)
    assert asked == [text_to_image.seconds(named)]
    found["text_to_image_inside"](*(getattr(named, name) for name in Settings.__dataclass_fields__))
    assert asked == 2 * [text_to_image.seconds(named)]
    buttons = [fn for fn in demo.fns.values() if fn.targets and fn.targets[0][1] == "click" and fn.queue]
    list(buttons[0].fn(*(getattr(named, name) for name in Settings.__dataclass_fields__)))
    assert asked == 3 * [text_to_image.seconds(named)]


def test_longer_runs_ask_for_longer(monkeypatch, tiny_offered):
    ask, walks, one = text_to_image.seconds, text_to_image.lending.walks, Settings(steps=20)
    assert ask(one) == 10  # nearly all of it to get going: the network is small
    monkeypatch.setattr("explorer.models.defaults", lambda option="": {"size": 512})  # Stable Diffusion's
    assert ask(one) == 12 < ask(replace(one, size="1.5")) < ask(replace(one, size="2")) < ask(replace(one, batch=8))
    assert ask(replace(one, sampler="heun")) == ask(replace(one, steps=40)) == 16
    assert ask(replace(one, view=TOKENS)) == 8  # nothing is drawn
    assert ask(replace(one, view=TWO)) == ask(replace(one, batch=8)) < 120
    assert [one.guidance for one in walks(Settings(view=SCALES))] == list(guidance.row(Settings()))
    styled = replace(one, view=SCALES, prompt="cat face, fx style", guidance=1.0)
    assert ask(styled) < ask(replace(styled, style=1.0)) < 120  # four of its six scales press it
    sizes = {"emoji": {"size": 64, "steps": 20}}  # the embedded model draws for CLIP, whichever stands first
    monkeypatch.setattr("explorer.models.defaults", lambda option="": sizes.get(option, {"size": 512}))
    joint = replace(one, view=JOINT, sentences="a; b")
    assert 8 < ask(joint) < ask(replace(joint, sentences="a; b; c; d; e; f; g; h")) < 20
    toward = replace(one, view=TOWARD, moves=10)
    assert ask(toward) < ask(replace(toward, moves=300)) < ask(replace(toward, moves=300, crops=8)) < 120
    dream = replace(one, view=DREAM, start="cat", moves=10)
    assert 8 < ask(dream) < ask(replace(dream, moves=300)) < 120 and walks(dream) == []
    assert ask(dream) < ask(replace(dream, start=OWN))  # drawn first
    assert walks(Settings(view=GRID)) == [cell for row in grid.squares(Settings(view=GRID)) for cell in row]
    for settings in [*PRESETS.values(), *(Settings(view=view, steps=200, batch=8, size="2") for view in VIEWS)]:
        assert 8 <= ask(settings) <= 120


def test_a_preset_and_an_address_borrow_for_their_runs_too(asked):
    module = SimpleNamespace(NAME="needy", update=lambda s: None, stream=lambda s: iter(()), **vars(needy))
    answers = Answers(module, ["steps", "size"], ["plot"])
    list(answers.rerun(3, 1))
    list(answers.reopened(5, 2, ""))
    assert asked == [31, 52]
