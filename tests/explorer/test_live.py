"""Moves and their answers: what is sent, what need not be sent again, and what nonsense is told."""

import base64
import json
from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from explorer.components.live import Live, sent
from explorer.components.pictures import Picture, Pictures
from explorer.components.player import Player, Trajectory
from explorer.components.weights_view import Resampling, WeightsView

FRAMES = np.random.default_rng(0).normal(size=(5, 2, 4, 4))
NAMES = ("a", "b")


@pytest.fixture
def live():
    """A slider and a word, a text that tells both in Markdown, and a line for what is wrong."""
    with gr.Blocks():
        inputs, outputs = [gr.Slider(0, 9, 3), gr.Textbox()], [gr.Markdown(), gr.HTML()]
        piece = Live("small", inputs)

        def told(number, word):
            return [f"  {word} {number}", ""] if number != 7 else [gr.skip(), "not 7"]

        piece.on(inputs, told, inputs, outputs)
    return piece


def asked(live, value):
    answer = live.move(value)
    return answer.status_code, json.loads(answer.body)


def test_a_move_is_answered_as_the_outputs_take_it(live):
    move = {"call": 0, "values": [4, "hello"]}
    assert asked(live, move) == (200, ["hello 4", ""])  # Gradio's Markdown takes the margin off
    assert asked(live, move | {"values": [7, ""], "held": []}) == (200, [gr.skip(), "not 7"])


@pytest.mark.parametrize(
    "nonsense",
    [
        None, 3, "call", [], {}, {"call": 0}, {"call": 1, "values": [4, ""]}, {"call": "0", "values": [4, ""]},
        {"call": 0, "values": [4]}, {"call": 0, "values": [4, "", 5]}, {"call": 0, "values": 7},
        {"call": 0, "values": [10, ""]}, {"call": 0, "values": [4, ""], "held": 3}, {"call": None, "values": []},
    ],
)  # fmt: skip
def test_what_is_no_move_is_told_so(live, nonsense):
    status, answer = asked(live, nonsense)
    assert status == 400 and "no move of the tab small" in answer["error"]


def walk(frames, moving=2, **changes):
    labels = tuple(str(i) for i in range(len(frames)))
    return Trajectory(frames, NAMES, labels, **{"range": (-3, 3), "moving": moving} | changes)


def pixels(payload):
    return np.frombuffer(base64.b64decode(payload["data"]), np.uint8).reshape(-1, *payload["shape"][1:])


@pytest.mark.parametrize("moving", [0, 2, 4])
def test_steps_that_stay_are_sent_once(moving):
    player = Player("x")
    first = json.loads(player.postprocess(walk(FRAMES, moving)))
    assert pixels(first).shape == (5, 2, 4, 4, 1)
    moved = FRAMES.copy()
    moved[moving] = FRAMES[::-1].copy()[moving] + 1
    second = json.loads(sent(player, walk(moved, moving), {first["rest"], "another"}))
    assert second["rest"] == first["rest"] and second["shape"] == first["shape"]
    assert np.array_equal(pixels(second)[0], pixels(json.loads(player.postprocess(walk(moved, moving))))[moving])
    assert len(pixels(second)) == 1


def test_steps_that_changed_are_sent_again():
    player, held = Player("x"), {json.loads(Player("x").postprocess(walk(FRAMES)))["rest"]}
    for other in (walk(FRAMES + 0.5), walk(FRAMES[:4]), walk(FRAMES, range=(-1, 1)), walk(FRAMES, kind="cells")):
        told = json.loads(sent(player, other, held))
        size = 4 if other.kind == "cells" else 1
        assert told["rest"] not in held and len(base64.b64decode(told["data"])) == other.frames.size * size
    later = json.loads(sent(player, walk(FRAMES, moving=None, start=3), held))
    assert later["rest"] is None and pixels(later).shape == (5, 2, 4, 4, 1)


def test_a_walk_that_is_held_takes_one_step_more_and_comes_back():
    """As a control leaves a step that is among the others, moves between them, and returns."""
    player, still = Player("x"), walk(FRAMES, moving=None)
    first = json.loads(player.postprocess(still))
    assert pixels(first).shape == (5, 2, 4, 4, 1)
    between = np.insert(FRAMES, 2, 0.25, axis=0)
    second = json.loads(sent(player, walk(between, 2), {first["rest"]}))
    assert second["rest"] == first["rest"] and len(pixels(second)) == 1 and second["shape"][0] == 6
    back = json.loads(sent(player, still, {second["rest"]}))
    assert back["data"] == "" and back["rest"] == first["rest"] and back["shape"] == first["shape"]


def test_bytes_are_sent_as_they_are():
    frames = np.random.default_rng(1).integers(0, 256, (3, 2, 4, 4), dtype=np.uint8)
    assert np.array_equal(pixels(json.loads(Player("x").postprocess(walk(frames, None))))[..., 0], frames)


def test_a_picture_that_stays_is_sent_once():
    piece, shots = Pictures("x"), [Picture(np.random.default_rng(i).random((6, 5, 3)), f"{i}") for i in range(3)]
    first = json.loads(piece.postprocess(shots))
    held = {one["hash"] for one in first}
    assert len(held) == 3 and all(len(base64.b64decode(one["data"])) == 90 for one in first)
    changed = Picture(1 - shots[1].pixels, "changed")
    second = json.loads(sent(piece, [shots[2], changed, shots[0]], held))
    assert [one["hash"] for one in second[::2]] == [first[2]["hash"], first[0]["hash"]]
    assert [one["data"] is None for one in second] == [True, False, True]
    assert [one["title"] for one in second] == ["2", "changed", "0"] and second[1]["hash"] not in held


def test_others_are_not_told_what_is_held():
    took = SimpleNamespace(postprocess=lambda value: ["took", value])
    assert sent(took, 3, {"held"}) == ["took", 3] and sent(took, gr.skip(), ()) == gr.skip()


@pytest.mark.parametrize("name", ["coin_flips", "convolution", "transposed_convolution", "resizing", "schedules"])
def test_every_preset_can_be_answered(name):
    """Whatever numbers a tab puts into its pieces, numpy's among them, they can be written as JSON."""
    module = import_module(f"explorer.tabs.{name}")
    with gr.Blocks() as demo, gr.Tabs():
        module.build()
    [live] = [piece for piece in demo.blocks.values() if isinstance(piece, Live)]
    for title, settings in module.PRESETS.items():
        inputs = zip(live.calls[0].inputs, vars(settings).values(), strict=True)
        values = [field.postprocess(value) for field, value in inputs]
        status, shown = asked(live, {"call": 0, "values": values})
        assert status == 200 and shown[-1] == "" and len(shown) == len(live.calls[0].outputs), title


def test_weights_that_stay_are_sent_once():
    piece, rng = WeightsView("x"), np.random.default_rng(2)
    weights = np.eye(5)[[0, 0, 1, 2, 3, 4, 4]]
    shown = Resampling(rng.random((5, 5, 3)), rng.random((7, 7, 3)), weights, weights, ("5", "7"), (1, 2))
    first = json.loads(piece.postprocess(shown))
    second = json.loads(sent(piece, replace(shown, at=(3, 4), titles=("five", "seven")), {first["hash"]}))
    assert second == {"hash": first["hash"], "titles": ["five", "seven"], "at": [3, 4]}
    turned = json.loads(sent(piece, replace(shown, target=shown.target[::-1]), {first["hash"]}))
    assert turned["hash"] != first["hash"] and pixels({"data": turned["target"], "shape": (7, 7, 3)}).shape == (7, 7, 3)
