"""Text to image with a tiny random model: what streams, what is saved, what is said, what the badge notices."""

import ast
import contextlib
import dataclasses
import hashlib
import io

import numpy as np
import pytest
import torch
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from core.samplers import SAMPLERS, Step
from explorer import frame, models
from explorer.components.player import Player
from explorer.settings import parse
from explorer.tabs import text_to_image as tab
from explorer.tabs.text_to_image import PRESETS, Settings, draw
from explorer.tabs.text_to_image import settings as ground

QUICK = Settings(steps=4)


@pytest.fixture(scope="module")
def model(tiny_offered):
    return tiny_offered


def views(settings, model):
    return list(tab.stream(settings))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_stream_ends_with_the_pipelines_picture(model, sampler):
    settings = dataclasses.replace(QUICK, sampler=sampler, seed=3)
    *_, last = model.stream("red apple", sampler=sampler, steps=4, guidance=3.0, seed=3)
    expected = ((model.decode(last.x_next)[0] + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    view = views(settings, model)[-1]
    progress, trajectory, result, *_ = view.stage
    assert np.array_equal(np.array(Image.open(io.BytesIO(result.png))), expected)
    assert view.numbers["sha256"] == hashlib.sha256(expected.tobytes()).hexdigest()
    assert view.check.ok and progress.done == progress.total
    assert trajectory.frames.shape == (5, 2, 64, 64, 3) and trajectory.start == 0
    shown = Player("x").postprocess(trajectory)
    assert shown["labels"][-1] == "t = 0: the finished picture"


def test_the_pieces_of_a_stream_join_to_the_whole(model, monkeypatch):
    monkeypatch.setattr(draw, "BETWEEN", 0.0)
    *pieces, whole = [view.stage[1] for view in views(QUICK, model) if view.stage[1]]
    assert [piece.start for piece in pieces] == [0, 1, 2, 3]
    assert np.array_equal(np.concatenate([piece.frames for piece in pieces]), whole.frames[:4])
    assert sum((piece.labels for piece in pieces), ()) == whole.labels[:4]


def test_first_frame_is_pure_noise_of_the_seed(model):
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(7))
    first = views(dataclasses.replace(QUICK, seed=7), model)[-1].stage[1].frames[0, 0]
    assert np.allclose(first, model.decode(noise)[0].clamp(-1, 1).permute(1, 2, 0).numpy(), atol=1e-4)


def test_png_carries_its_settings(model):
    settings = Settings(prompt="red äpfel 苹果", negative="blue", steps=2, guidance=2.5, sampler="euler", seed=9)
    png = views(settings, model)[-1].stage[2].png
    assert Image.open(io.BytesIO(png)).text["parameters"].splitlines() == [
        "red äpfel 苹果",
        "Negative prompt: blue",
        "Steps: 2, Sampler: euler, CFG scale: 2.5, Seed: 9, Size: 64x64, Model: tiny",
    ]


def test_unknown_and_cut_words_are_reported(model):
    view = views(Settings(prompt="red zeppelin", steps=2), model)[-1]
    assert ("red", "known") in view.stage[2].tokens and "unknown" in {kind for _, kind in view.stage[2].tokens}
    assert "never saw" in view.notice
    assert {token["text"]: token["known"] for token in view.numbers["tokens"]}["red"]
    view = views(Settings(prompt="red " * 100, steps=2), model)[-1]
    kinds = [kind for _, kind in view.stage[2].tokens]
    assert (kinds[0], kinds[-1], kinds.count("known"), kinds.count("cut")) == ("mark", "mark", 75, 25)
    assert "**25** tokens were cut" in view.notice


def test_both_conventions_of_guidance_stand_in_the_formula():
    assert "s=3,\\quad w=s-1=2" in draw.formula(Settings(guidance=3.0))


def test_neighbour_correlation_tells_noise_from_pictures():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    ramp = np.repeat(np.linspace(0, 255, 64)[None, :, None], 64, axis=0).repeat(3, axis=2)
    assert abs(ground.neighbour_correlation(noise)) < 0.05
    assert ground.neighbour_correlation(ramp) > 0.9
    expected = np.corrcoef(noise[:, 1:, 0].ravel(), noise[:, :-1, 0].ravel())[0, 1]
    assert ground.neighbour_correlation(noise[:, :, :1]) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_badge_turns_red_when_a_step_is_wrong(model, sampler):
    steps = list(ground.walk(model, dataclasses.replace(QUICK, sampler=sampler)))
    assert draw.check(steps, model, sampler).ok
    last = steps[-1]
    steps[-1] = Step(last.t, last.t_next, last.x, last.prediction, last.x_next * 1.01)
    assert not draw.check(steps, model, sampler).ok


@pytest.mark.parametrize("sampler", ["ddim", "euler", "dpmpp_2m", "ddpm", "euler_ancestral"])
def test_badge_turns_red_when_a_step_in_between_is_wrong(model, sampler):
    steps = list(ground.walk(model, dataclasses.replace(QUICK, sampler=sampler)))
    wrong = 1.2 * steps[1].x_next
    steps[1] = dataclasses.replace(steps[1], x_next=wrong)
    assert not draw.check(steps, model, sampler).ok


def test_badge_does_not_take_one_sampler_for_another(model):
    steps = list(ground.walk(model, dataclasses.replace(QUICK, sampler="dpmpp_2m")))
    assert not draw.check(steps, model, "ddim").ok


@pytest.mark.parametrize("settings", [QUICK, Settings(prompt='it\'s "blue"', negative="red", steps=2, guidance=1.0)])
def test_code_prints_the_endpoints_numbers(model, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(tab.code(settings), {})
    printed = dict(line.split(" = ") for line in out.getvalue().strip().splitlines())
    numbers = draw.draw(settings, model, 0.0).numbers
    assert printed["sha256"] == numbers["sha256"]
    assert ast.literal_eval(printed["mean"]) == numbers["mean"]
    assert ast.literal_eval(printed["tokens"]) == [token["text"] for token in numbers["tokens"]]
    assert (tmp_path / "picture.png").exists()


def test_every_preset_is_valid_and_the_first_is_the_default():
    assert next(iter(PRESETS.values())) == Settings()
    for settings in PRESETS.values():
        assert parse(Settings, vars(settings)) == settings


@pytest.fixture(scope="module")
def client(model):
    import gradio as gr

    from explorer.app import launch

    with gr.Blocks() as demo, gr.Tabs():
        tab.build()
    _, url, _ = launch(demo, host="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield Client(url, verbose=False)
    demo.close()


def test_endpoint_takes_a_prompt_alone_and_returns_png_and_json(client, model):
    path, about = client.predict("blue heart", api_name="/text_to_image")
    pixels = np.array(Image.open(path))
    assert pixels.shape == (64, 64, 3)
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == about["sha256"]
    assert about["sha256"] == draw.draw(Settings(prompt="blue heart"), model, 0.0).numbers["sha256"]
    assert about["settings"]["prompt"] == "blue heart" and about["settings"]["w"] == 2
    assert [token["text"] for token in about["tokens"]] == ["<start_of_text>", "blue", "heart", "<end_of_text>"]
    assert set(about["seconds"]) == {"load", "steps", "decode"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"prompt": "x", "steps": 0}, r"steps must be a whole number in \[1, 200\], got 0"),
        ({"prompt": "x", "sampler": "magic"}, "sampler must be one of ddpm, ddim"),
        ({"prompt": "x" * 1001}, "at most 1000 characters, got 1001"),
        ({"prompt": "x", "guidance": -1}, "guidance must be a number"),
    ],
)
def test_endpoint_refuses_with_what_was_wanted(client, arguments, says):
    with pytest.raises(AppError, match=says):
        client.predict(**arguments, api_name="/text_to_image")


def test_an_unknown_model_is_a_message_not_a_crash():
    with pytest.raises(ValueError, match="unknown model 'nonsense'"):
        models.loaded("nonsense")


def test_the_badge_waits_for_the_result():
    assert "waiting" in frame.badge_html(None)
