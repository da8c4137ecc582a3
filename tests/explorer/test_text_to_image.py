"""Text to image with a tiny random model: what streams, what is saved, what is said, what the badge notices."""

import ast
import base64
import contextlib
import dataclasses
import hashlib
import io
import json
import shutil
import threading
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from gradio_client import Client
from gradio_client.exceptions import AppError
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from core import text, weights
from core.pipeline import TextToImage
from core.samplers import SAMPLERS, Step
from explorer import frame, models, runs
from explorer.components.player import Player
from explorer.components.result import ResultPiece
from explorer.settings import from_query, opening, parse
from explorer.tabs import text_to_image as tab
from explorer.tabs.text_to_image import PRESETS, Settings, draw, grid, records, vocabulary
from explorer.tabs.text_to_image import settings as ground

QUICK = Settings(steps=4)


@pytest.fixture(scope="module")
def model(tiny_offered):
    return tiny_offered


def piece(view, name):
    return view.stage.get(name)


def views(settings, model):
    return [view for view in tab.stream(settings) if view is not None]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_stream_ends_with_the_pipelines_picture(model, sampler):
    settings = dataclasses.replace(QUICK, sampler=sampler, seed=3)
    *_, last = model.stream("red apple", sampler=sampler, steps=4, guidance=Settings().guidance, seed=3)
    expected = ((model.decode(last.x_next)[0] + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    view = views(settings, model)[-1]
    progress, trajectory, result = (piece(view, name) for name in ("progress", "player", "result"))
    assert np.array_equal(np.array(Image.open(io.BytesIO(result.png))), expected)
    assert view.numbers["sha256"] == hashlib.sha256(expected.tobytes()).hexdigest()
    assert view.check.ok and progress.done == progress.total
    assert trajectory.frames.shape == (5, 2, 64, 64, 3) and trajectory.start == 0
    shown = json.loads(Player("x").postprocess(trajectory))
    assert shown["labels"][-1] == "t = 0: the finished picture"


def test_the_pieces_of_a_stream_join_to_the_whole(model, monkeypatch):
    monkeypatch.setattr(runs, "BETWEEN", 0.0)
    *pieces, whole = [piece(view, "player") for view in views(QUICK, model) if piece(view, "player")]
    assert [piece.start for piece in pieces] == [0, 1, 2, 3]
    assert np.array_equal(np.concatenate([piece.frames for piece in pieces]), whole.frames[:4])
    assert sum((piece.labels for piece in pieces), ()) == whole.labels[:4]


def test_first_frame_is_pure_noise_of_the_seed(model):
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(7))
    first = piece(views(dataclasses.replace(QUICK, seed=7), model)[-1], "player").frames[0, 0]
    assert np.allclose(first, model.decode(noise)[0].clamp(-1, 1).permute(1, 2, 0).numpy(), atol=1e-4)


def test_png_carries_its_settings(model):
    settings = Settings(prompt="red äpfel 苹果", negative="blue", steps=2, guidance=2.5, sampler="euler", seed=9)
    png = piece(views(settings, model)[-1], "result").png
    assert Image.open(io.BytesIO(png)).text["parameters"].splitlines() == [
        "red äpfel 苹果",
        "Negative prompt: blue",
        "Steps: 2, Sampler: Euler, CFG scale: 2.5, Seed: 9, Size: 64x64, Model: tiny",
    ]


def test_unknown_and_cut_words_are_reported(model):
    view = views(Settings(prompt="red zeppelin", steps=2), model)[-1]
    assert ("red", "known") in piece(view, "result").tokens and "unknown" in {
        kind for _, kind in piece(view, "result").tokens
    }
    assert "never saw" in view.notice
    assert {token["text"]: token["known"] for token in view.numbers["tokens"]}["red"]
    assert "“🚀”" in views(Settings(prompt="red 🚀", steps=1), model)[-1].notice
    view = views(Settings(prompt="red " * 100, steps=2), model)[-1]
    kinds = [kind for _, kind in piece(view, "result").tokens]
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
    assert ground.checked(model, steps, sampler).ok
    last = steps[-1]
    steps[-1] = Step(last.t, last.t_next, last.x, last.prediction, last.x_next * 1.01)
    assert not ground.checked(model, steps, sampler).ok


@pytest.mark.parametrize("sampler", ["ddim", "euler", "dpmpp_2m", "ddpm", "euler_ancestral"])
def test_badge_turns_red_when_a_step_in_between_is_wrong(model, sampler):
    steps = list(ground.walk(model, dataclasses.replace(QUICK, sampler=sampler)))
    wrong = 1.2 * steps[1].x_next
    steps[1] = dataclasses.replace(steps[1], x_next=wrong)
    assert not ground.checked(model, steps, sampler).ok


def test_badge_does_not_take_one_sampler_for_another(model):
    steps = list(ground.walk(model, dataclasses.replace(QUICK, sampler="dpmpp_2m")))
    assert not ground.checked(model, steps, "ddim").ok


STYLED = Settings(prompt="cat face, fx style, on a red background", style=1.5, guidance=3.0, steps=2)


@pytest.mark.parametrize(
    "settings", [QUICK, Settings(prompt='it\'s "blue"', negative="red", steps=2, guidance=1.0), STYLED]
)
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


def test_a_batch_is_the_pictures_of_the_seeds_that_follow(model):
    settings = Settings(steps=3, batch=3, seed=5)
    view = views(settings, model)[-1]
    result = piece(view, "result")
    files = [result.png, *(png for _, png in result.more)]
    assert len(files) == 3 and view.check.ok
    for i, png in enumerate(files):
        alone = draw.draw(dataclasses.replace(settings, seed=5 + i, batch=1), model, 0.0)
        picture = Image.open(io.BytesIO(png))
        assert np.abs(np.array(picture).astype(int) - alone.pixels[0]).max() <= 1
        assert f"Seed: {5 + i}," in picture.text["parameters"]
    assert view.numbers["sha256"] == draw.draw(settings, model, 0.0).numbers["sha256"]
    frame_of_all = piece(view, "player").frames[-1, 0]  # two in a row, 2 pixels between
    assert frame_of_all.shape == (130, 130, 3)
    third = np.array(Image.open(io.BytesIO(files[2]))) / 127.5 - 1
    assert np.abs(frame_of_all[66:, :64] - third).max() < 0.01


def test_the_last_seed_is_that_of_the_last_picture(model):
    most = dataclasses.replace(QUICK, steps=1, seed=2**32 - 2, batch=2)
    pngs = [png for _, png in draw.draw(most, model, 0.0).pngs]
    assert [records.restored(Settings, png)[0].seed for png in pngs] == [2**32 - 2, 2**32 - 1]
    for beyond in (dataclasses.replace(most, batch=3), dataclasses.replace(most, seed=2**32 - 1)):
        with pytest.raises(
            ValueError, match=f"at most {2**32 - beyond.batch} for {beyond.batch} pictures at once, got"
        ):
            views(beyond, model)


@pytest.mark.parametrize(("many", "rows", "columns"), [(3, 2, 2), (5, 2, 3), (6, 2, 3), (7, 3, 3), (8, 3, 3)])
def test_pictures_stand_in_a_square_so_that_each_is_shown_large(many, rows, columns):
    white = draw.sheet(torch.ones(many, 3, 8, 8))
    assert white.shape == (10 * rows - 2, 10 * columns - 2, 3)
    assert (white == 1).all(-1).sum() == many * 64 and (white[:8, :8] == 1).all()


def test_larger_pictures_and_what_the_player_shows_of_them(model):
    result = piece(views(Settings(steps=2, size="2"), model)[-1], "result")
    assert Image.open(io.BytesIO(result.png)).size == (128, 128)
    large = torch.rand(1, 3, 512, 512) * 2 - 1
    pooled = large[0].reshape(3, 256, 2, 256, 2).mean((2, 4)).permute(1, 2, 0)
    assert np.allclose(draw.sheet(large), pooled, atol=1e-6)


def test_two_runs_of_one_prompt_and_seed_are_the_same_bytes(model):
    first, second = (piece(views(QUICK, model)[-1], "result").png for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("prompt", "says", "heard"),
    [
        ("qwxzqvk", "Not one word was understood", False),
        ("苹果 😀", "Not one word was understood", False),
        ("   ", "**no word**", False),
        ("\x00\x07\n", "**no word**", False),
        ("red qwxzqvk", "never saw", True),
        ("red " * 249, "tokens were cut", True),
    ],
)
def test_prompts_that_are_not_understood_are_said_and_steer_nothing(model, prompt, says, heard):
    settings = dataclasses.replace(QUICK, prompt=prompt)
    view = views(settings, model)[-1]
    unasked = draw.draw(dataclasses.replace(QUICK, prompt=""), model, 0.0)
    assert says in view.notice
    assert (view.numbers["sha256"] != unasked.numbers["sha256"]) == heard
    assert parse(Settings, vars(records.restored(Settings, piece(view, "result").png)[0])) == settings


def test_words_that_were_never_read_are_said_whole_with_what_is_spelled_like_them(model):
    """Not in the pieces that the tokens are; of another model than the embedded one nobody knows what it knows."""
    known = torch.zeros_like(model.text.known)
    known[[i for word in ("red", "t") for i in text.tokenizer().encode(word)]] = True
    read = text.TextEncoder(model.text.config, known)
    pieces = [token.text for token in read.tokens("red rockt rockt 苹果")]
    assert pieces[1:4] == ["red", "rock", "t"]
    assert ground.unread(read.tokens("red rockt rockt 苹果")) == ["rockt", "苹果"]
    assert ground.unread(read.tokens("red t")) == []
    of = partial(draw.reading, tokens=read.tokens("red rockt"))
    assert of(Settings(prompt="red rockt")).endswith("never saw **“rockt”** in training and reads it blindly.")
    if vocabulary.MODEL in weights.models():
        assert " It knows “rocket”, " in of(Settings(prompt="red rockt", model=vocabulary.MODEL))
        bare = draw.spelled_alike(Settings(model=vocabulary.MODEL), "qwxz")
        assert "It knows" not in bare and "listed under “Where this comes from”" in bare
        assert "1,379 names: 1st place medal, " in vocabulary.listed() and vocabulary.listed().count(", ") > 1370


def test_who_is_drawn_for_doctor_stands_on_the_tab_as_the_card_counted_it(model):
    people = {"doctor": {"pictures": 50, "man": 31, "woman": 7, "neither": 12}}
    counted = dataclasses.replace(model, card=dataclasses.replace(model.card, measured={"people": people}))
    frames = [np.zeros((2, 8, 8, 3), np.float32)]
    asked = draw.wanted(Settings(prompt=" Doctor "))
    told = draw.notice(asked, counted, model.text.tokens("doctor"), frames, frames[0][0])
    assert "Of 50 such pictures a classifier read **31** as a man, **7** as a woman, **12** as neither" in told
    assert "Nothing in the prompt asked for it" in told
    people["doctor"] |= {"man": 0, "woman": 0, "neither": 50}
    told = draw.notice(asked, counted, model.text.tokens("doctor"), frames, frames[0][0])
    assert "**50** as neither. The model does not know this word as a person" in told
    otherwise = ({"prompt": "red"}, {"negative": "man"}, {"guidance": 0.0}, {"steps": 7}, {"size": "2"})
    for change in otherwise:  # another prompt, or other settings than it was counted at
        s = dataclasses.replace(asked, **change)
        assert "classifier" not in draw.notice(s, counted, model.text.tokens(s.prompt), frames, frames[0][0])


def test_what_few_steps_and_a_large_scale_cost_is_said(model, monkeypatch):
    frames = [np.zeros((2, 8, 8, 3), np.float32)] * 6
    picture = np.full((8, 8, 3), 0.25, np.float32)
    picture[:2] = -1

    def told(steps, guidance, prompt="red"):
        asked = Settings(prompt=prompt, steps=steps, guidance=guidance)
        return draw.notice(asked, model, model.text.tokens(prompt), frames[:steps], picture)

    made = dataclasses.replace(draw.wanted(Settings()), steps=20, guidance=3.0)
    monkeypatch.setattr(draw, "wanted", lambda s: made)
    assert "and the last only **22 %** a pixel away from it" in told(3, 3.0)  # (3/4 of 0.25 + 1/4 of 1) / 2
    assert "**25 %** of its colours" in told(6, 8.0)
    assert "the last only" not in told(6, 8.0) and "of its colours" not in told(3, 6.0)
    assert "of its colours" not in told(6, 8.0, prompt=" ")  # nothing is pressed
    made = dataclasses.replace(made, steps=1, guidance=7.5)  # what a model is made for costs nothing
    assert "the last only" not in told(1, 7.5) and "of its colours" not in told(1, 7.5)


def test_png_says_that_it_is_synthetic_and_whose(model):
    png = Image.open(io.BytesIO(piece(views(QUICK, model)[-1], "result").png))
    xmp = ElementTree.fromstring(png.text["XML:com.adobe.xmp"])
    (about,) = xmp.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    kind = about.get("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")
    assert kind == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    assert "tiny" in png.text["Source"] and "synthetic" in png.text["Disclaimer"]
    assert png.text["Software"].startswith("Diffusion Explorer")


plain = st.builds(
    Settings,
    prompt=st.text(max_size=60),
    negative=st.text(max_size=20),
    guidance=st.floats(0, 20),
    steps=st.integers(1, 200),
    sampler=st.sampled_from(list(SAMPLERS)),
    style=st.floats(0, 3),
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 8),
    size=st.sampled_from(ground.SIZES),
)


TURBO = opening(Settings, sampler="euler", steps=1, guidance=1.0, style=1.5)  # where another model stands first


@given(plain)
def test_a_png_leads_back_to_its_settings(settings):
    png = records.to_png(np.zeros((4, 4, 3), np.uint8), "x", query=records.whole(settings))
    assert records.restored(Settings, png) == (settings, [])
    assert vars(records.restored(TURBO, png)[0]) == vars(settings)


def test_a_png_says_how_much_its_style_was_pressed():
    """An older one, or another tool's, does not, and its style was not."""
    about = records.parameters(STYLED, "tiny", (64, 64, 3))
    assert about.endswith(", Style scale: 1.5") and records.restored(TURBO, foreign(about))[0].style == 1.5
    assert "Style" not in records.parameters(dataclasses.replace(STYLED, prompt="cat face"), "tiny", (64, 64, 3))
    assert "Style" not in records.parameters(dataclasses.replace(STYLED, style=0.0), "tiny", (64, 64, 3))
    old = records.to_png(np.zeros((4, 4, 3), np.uint8), "x", query="tab=text_to_image&q=a,+fx+style&g=3")
    assert records.restored(TURBO, old)[0] == TURBO(prompt="a, fx style", guidance=3.0, style=0.0)
    assert records.restored(TURBO, foreign("a, fx style\nSteps: 9"))[0].style == 0.0
    assert records.restored(TURBO, foreign("a\nSteps: 9"))[0].style == 1.5  # nothing to press, nothing to say of it


def test_a_png_of_a_model_that_is_not_here_says_so(model):
    png = records.to_png(np.zeros((4, 4, 3), np.uint8), "x\nSteps: 9, Model: sd-turbo", query=records.whole(Settings()))
    settings, (note,) = records.restored(Settings, png)
    assert settings == Settings() and "'sd-turbo' is not offered here" in note


def foreign(about: str) -> bytes:
    info, out = PngInfo(), io.BytesIO()
    info.add_text("parameters", about)
    Image.new("RGB", (4, 4)).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def test_a_png_of_another_tool_is_read_as_far_as_it_can_be(model):
    about = (
        "a red apple,\n(detailed:1.2)\nNegative prompt: blurry, blue\nSteps: 25, Sampler: DPM++ 2M Karras, CFG scale: "
        '6.5, Seed: 17, Size: 64x64, Model hash: 6ce01616, Model: v1-5-pruned, Lora hashes: "a: b, c: d", Version: 1.6'
    )
    settings, notes = records.restored(Settings, foreign(about))
    assert settings == Settings(
        prompt="a red apple, (detailed:1.2)",
        negative="blurry, blue",
        steps=25,
        sampler="dpmpp_2m",
        guidance=6.5,
        seed=17,
    )
    assert [note.split()[0] for note in notes] == ["model", "its"] and "v1-5-pruned" in notes[0]


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_are_understood_as_others_spell_them(name):
    assert records.sampler(records.SPELLED[name]) == name == records.sampler(name)
    assert records.sampler("Euler a") == "euler_ancestral" and records.sampler("LMS") == "LMS"
    assert records.sampler("DPM++ 2M Karras") == records.sampler("DPMSolverMultistepScheduler") == "dpmpp_2m"


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ("x\nSteps: 999999, Seed: 1", "steps must be"),
        ("x\nSteps: many, Sampler: magic", "sampler must be one of"),
        ("x\nSteps: 5, CFG scale: nan", "guidance must be a number"),
        ("x\nSteps: 5, Seed: 99999999999999999999999", "seed must be"),
        ("x\nSteps: 5, Size: 512x768", "squares"),
        ("x\nSteps: 5, Size: 100000x100000", "size must be one of"),
        ("y" * 2000, "at most 1000 characters"),
    ],
)
def test_forged_settings_are_said_and_left_out(model, about, says):
    settings, notes = records.restored(Settings, foreign(about))
    assert any(says in note for note in notes) and parse(Settings, vars(settings)) == settings


def test_a_long_text_is_read_in_a_time_that_grows_with_it(model):
    """Words without a colon, and the name of a sampler again and again: minutes, were it the square of the letters."""
    for about in ("Steps: 1," + "a" * 190_000, "Steps: 1, " + "Sampler: " * 20_000):
        assert records.restored(Settings, foreign(about))[0].steps == 1


@given(st.text(max_size=200))
def test_whatever_a_png_says_is_settings_or_notes(about):
    with contextlib.suppress(ValueError):
        settings, _ = records.restored(Settings, foreign(about))
        assert parse(Settings, vars(settings)) == settings


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"no picture", "none that can be read"),
        (foreign("Steps: 1," + "a" * 200_000), "at most 200,000 letters, those of this PNG have 200,009"),
        (b"", "none that can be read"),
        (foreign("x")[:50], "no settings|damaged|none that can be read"),
        (records.to_png(np.zeros((4, 4, 3), np.uint8), "")[:8], "none that can be read|damaged"),
    ],
)
def test_a_file_without_settings_is_refused_with_what_would_fit(data, says):
    with pytest.raises(ValueError, match=says):
        records.restored(Settings, data)


def test_the_button_for_a_png_answers_with_an_address_or_an_error(model):
    opener = ResultPiece("x", reader=records.reader(Settings))
    asked = Settings(prompt="cat face", steps=7)
    png = records.to_png(np.zeros((4, 4, 3), np.uint8), "x", query=records.whole(asked))
    answer = opener.reduce({"file": base64.b64encode(png).decode()})
    assert answer == {"query": "tab=text_to_image&q=cat+face&n=7", "note": "its settings are back"}
    assert "error" in opener.reduce({"file": "!"}) and "error" in opener.reduce({})


def test_the_animation_is_the_steps_as_they_were(model):
    trajectory = piece(views(QUICK, model)[-1], "player")
    sent = json.loads(Player("x", saves="steps").postprocess(trajectory))
    answer = Player("x", saves="steps").animate({"shape": sent["shape"], "data": sent["data"]})
    gif = Image.open(io.BytesIO(base64.b64decode(answer["file"])))
    assert (gif.n_frames, gif.size, gif.info["loop"]) == (5, ((64 + 4 + 64) * 5, 64 * 5), 0)
    assert b"ynthetic" in gif.info["comment"]
    for i in range(gif.n_frames):
        gif.seek(i)
        pixels = np.array(gif.convert("RGB"))[2::5, 2::5]
        wanted = (trajectory.frames[i] + 1) * 127.5
        assert np.abs(pixels[:, :64] - wanted[0]).mean() < 12  # 256 colours for each step


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"shape": [1, 1, 2, 2, 3], "data": ""},
        {"shape": [-1, -1, 2, 2, 3], "data": base64.b64encode(bytes(12)).decode()},
        {"shape": [1, 1, 2, 2, 4], "data": base64.b64encode(bytes(16)).decode()},
        {"shape": "x", "data": "AAAA"},
        {"shape": [1, 1, 1, 1, 3], "data": "§§"},
        {"shape": [1, 1, 1, 1, 3], "data": "A" * 20_000_000},
    ],
)
def test_animations_that_do_not_fit_are_refused(asked):
    assert "error" in Player("x", saves="steps").animate(asked)


GRIDDED = Settings(view=ground.GRID, x="guidance", across="0, 3", y="steps", down="1, 2, 3")


def test_the_grid_holds_what_its_settings_draw_alone(model):
    view = tab.result(GRIDDED)
    sheet, numbers = piece(view, "sheet"), view.numbers
    assert view.check.ok and (sheet.across, sheet.down) == (("guidance", ("0", "3")), ("steps", ("1", "2", "3")))
    assert len(sheet.cells) == len(numbers["pictures"]) == 6
    for cell, about in zip(sheet.cells, numbers["pictures"], strict=True):
        opened = from_query(Settings, dict(parse_qsl(cell.query)))
        assert opened == Settings(guidance=(0.0, 3.0)[cell.column], steps=(1, 2, 3)[cell.row])
        alone = draw.draw(opened, model, 0.0)
        assert np.array_equal(cell.pixels, alone.pixels[0]) and about["sha256"] == alone.numbers["sha256"]
    table = np.stack([cell.pixels for cell in sheet.cells]).reshape(3, 2, 64, 64, 3) / 255
    assert numbers["change_across"] == pytest.approx(np.abs(table[:, 1] - table[:, 0]).mean())
    assert numbers["change_down"] == pytest.approx(np.abs(table[1:] - table[:-1]).mean())


def test_the_grid_comes_picture_by_picture(model):
    sheets = [piece(view, "sheet") for view in views(GRIDDED, model)]
    sent = [(sheet.start, len(sheet.cells)) for sheet in sheets if sheet is not None]
    assert sent == [(0, 0), (0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (0, 6)]


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (
            Settings(prompt="red apple", x=ground.WORD, across="red, blue", y="seed", down="7"),
            ["red apple", "blue apple"],
        ),
        (
            Settings(prompt="a red apple, a cat", x=ground.WORD, across="", y="seed", down="7"),
            [
                "a red apple, a cat",
                "blue red apple, blue cat",
                "green red apple, green cat",
                "yellow red apple, yellow cat",
            ],
        ),
        (Settings(prompt="cat face", x=ground.WORD, across="at, b", y="seed"), "must stand in the prompt 'cat face'"),
        (Settings(prompt="", x=ground.WORD, across="", y="seed"), "must stand in the prompt"),
        (
            Settings(prompt="cat", x=ground.WORD, across="dog, cat", y="seed"),
            "must stand in the prompt 'cat', got 'dog'",
        ),
        (Settings(x="steps", y="steps"), "two different settings"),
        (Settings(prompt="cat", x="style", y="seed"), "wanted a thing and a style in the prompt, such as"),
        (Settings(prompt="cat", x="style", y=ground.WORD), "wanted a thing and a style in the prompt, .* got 'cat'"),
        (Settings(x="steps", across="5, many", y="seed"), "steps must be a whole number"),
        (Settings(x="sampler", across="DPM++ 2M, LMS"), "sampler must be one of"),
        (Settings(x="seed", across="1,2,3,4,5,6,7"), "1 to 6 values"),
        (Settings(x="seed", across=" , ,"), "1 to 6 values"),
        (Settings(x="guidance", across="1e400"), "guidance must be"),
    ],
)
def test_axes_of_the_grid_are_read_or_refused(settings, wanted):
    if isinstance(wanted, list):
        assert [cell.prompt for cell in grid.squares(settings)[0]] == wanted
        return
    with pytest.raises(ValueError, match=wanted):
        grid.squares(settings)
    with pytest.raises(ValueError, match=wanted):
        grid.code(settings)


def test_code_of_the_grid_prints_its_pictures(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(tab.code(GRIDDED), {})
    printed = ast.literal_eval(out.getvalue().split(" = ")[1])
    assert printed == [one["sha256"] for one in tab.result(GRIDDED).numbers["pictures"]]
    assert Image.open(tmp_path / "grid.png").size == (128, 192)


@pytest.mark.parametrize("view", [view for view in ground.VIEWS if view != ground.TOKENS])
def test_a_run_that_is_given_up_asks_the_network_no_more(model, view):
    settings, most = (
        dataclasses.replace(GRIDDED, view=view, start_seed=987),
        3 if view == ground.TEXT else 1,
    )  # asked three ways there
    calls = []
    drawer = models.loaded("emoji") if view in (ground.JOINT, ground.SEARCH, ground.TOWARD) else model
    hook = drawer.unet.register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        run = tab.stream(dataclasses.replace(settings, steps=50))
        while not calls:
            next(run)
        for seen in range(2, 4):  # not more than one step from one yield, where it can be stopped, to the next
            next(run)
            assert len(calls) <= most * seen
        run.close()
        assert len(calls) <= 3 * most
    finally:
        hook.remove()


def change_json(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_an_endpoints_run_ends_at_the_deadline(model):
    runs.limit(1e-6)
    try:
        with pytest.raises(ValueError, match="took more than 1e-06 seconds and was ended"):
            draw.draw(QUICK, model, 0.0)
        with pytest.raises(ValueError, match="took more than 1e-06 seconds and was ended"):
            tab.result(QUICK)
    finally:
        runs.limit(600)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"guidance": 0.0}, "the words are not read at all: this is what the model draws unasked"),
        ({"guidance": 0.0, "negative": "blue heart"}, "the negative prompt alone is read"),
        ({"prompt": "", "negative": "blue", "guidance": 0.0}, "the negative prompt alone is read"),
        ({"prompt": "", "negative": "blue", "guidance": 1.0}, "no word** in the prompt: this is what the model draws"),
        ({"prompt": "", "negative": "qwxzqvk"}, "no word** in the prompt: this is what the model draws unasked"),
        ({"prompt": "", "negative": "blue"}, "no word** in the prompt: this is drawn away from the negative prompt"),
        ({"prompt": "qwxzqvk", "negative": "blue"}, "so this is drawn away from the negative prompt: nothing of the"),
    ],
)
def test_what_steered_is_said(model, changed, says):
    settings = dataclasses.replace(QUICK, **changed)
    away = bool(model.text.heard(settings.negative))
    assert says in draw.reading(settings, model.text.tokens(settings.prompt), away=away)


def test_a_negative_prompt_of_unknown_words_steers_nothing(model):
    unknown = dataclasses.replace(QUICK, negative="qwxzqvk")
    assert not any(token.known for token in model.text.tokens("qwxzqvk")[1:-1])
    plain = draw.draw(QUICK, model, 0.0).numbers["sha256"]
    assert draw.draw(unknown, model, 0.0).numbers["sha256"] == plain
    assert draw.draw(dataclasses.replace(QUICK, negative="blue heart"), model, 0.0).numbers["sha256"] != plain


def test_another_model_brings_its_own_settings(model, tmp_path, monkeypatch):
    folder = tmp_path / "quick"  # its scheduler says what it is, not its name
    shutil.copytree(models.title(), folder)
    turbo = {"_class_name": "EulerDiscreteScheduler", "prediction_type": "epsilon"}  # "trailing" as the one copied
    change_json(folder / "scheduler" / "scheduler_config.json", **turbo)
    monkeypatch.setattr(models, "_offer", models.Offer((models.title(), str(folder)), "cpu"))
    own = Settings(prompt="cat", guidance=3.0, steps=9, sampler="ddim", size="2", seed=4, model=str(folder))
    taken = tab.FOLLOWED["model"](own)
    assert taken == dataclasses.replace(own, guidance=1.0, steps=1, sampler="euler", size="1")
    assert "The model quick is made for euler, 1 step and s = 1." in tab.update(taken).notice
    assert "1 step and s = 1: you have set others." in tab.update(own).notice
    assert models.loaded(str(folder)).default("steps") == 1
    change_json(folder / "scheduler" / "scheduler_config.json", timestep_spacing="leading")
    assert tab.FOLLOWED["model"](own).steps == 25
    (folder / "card.json").write_text(json.dumps({"name": "quick", "defaults": {"steps": 10**6, "guidance": 2.0}}))
    assert dataclasses.astuple(tab.FOLLOWED["model"](own))[:4] == ("a picture", "cat", "", 2.0)
    assert tab.FOLLOWED["model"](own).steps == 9  # what no control can be set to


def test_a_model_says_how_far_it_is_until_it_is_there(model, tmp_path, monkeypatch):
    folder = tmp_path / "slow"
    shutil.copytree(models.title(), folder)
    monkeypatch.setattr(models, "_offer", models.Offer((models.title(), str(folder)), "cpu"))
    load, go = TextToImage.load, threading.Event()

    def slowly(name, *, device, dtype, report):
        report(0.25, "downloading slow")
        report(0.5, "downloading slow")
        assert go.wait(60)
        return load(name, device=device, dtype=dtype)

    monkeypatch.setattr(TextToImage, "load", slowly)
    settings = Settings(view=ground.TOKENS, model=str(folder))
    waiting = tab.update(settings)
    assert "Press **Generate**" in waiting.notice and "run" not in piece_of_views(waiting).hidden
    run = tab.stream(settings)
    progress = next(told for view in run if (told := piece(view, "progress")).done == 500)
    assert progress.doing == "downloading slow" and progress.total == 1000 and 0 <= progress.left < 60
    assert not models.at_hand(settings.model)
    go.set()
    *_, last = run
    assert last.check.ok and len(piece(last, "tokens")) == 77 and models.at_hand(settings.model)
    assert "run" in piece_of_views(tab.update(settings)).hidden  # nothing to wait for any more


def piece_of_views(view):
    return view.stage["views"]


def test_a_model_that_cannot_be_read_is_said_and_tried_again(model, tmp_path, monkeypatch):
    folder = tmp_path / "late"
    monkeypatch.setattr(models, "_offer", models.Offer((models.title(), str(folder)), "cpu"))
    for settings in (Settings(model=str(folder)), Settings(view=ground.TOKENS, model=str(folder))):
        with pytest.raises(ValueError, match="late"):
            list(tab.stream(settings))
    shutil.copytree(models.title(), folder)
    assert list(tab.stream(Settings(model=str(folder), steps=1)))[-1].check.ok


def test_headings_stand_over_controls_alone():
    def of(view):
        return tab.TAB.showing(Settings(view=view)).hidden

    assert "group-sampling" in of(ground.TOKENS) and "group-sampling" not in of(ground.DRAW)


def test_snippets_import_in_order(model):
    lines = ground.opens(Settings(), "torch", "hashlib", "core.latents.slerp", "core.latents.angle", "PIL.Image")
    assert lines.splitlines()[:-1] == [
        *("import hashlib", "", "import torch", "from PIL import Image", ""),
        *("from core.latents import angle, slerp", "from core.pipeline import TextToImage", ""),
    ]


def test_the_tab_opens_with_what_its_model_wants(model, tmp_path, monkeypatch):
    assert models.defaults() == {"size": 64, "sampler": "dpmpp_2m", "steps": 25, "guidance": 7.5, "style": 0.0}
    folder = tmp_path / "sd-turbo"
    shutil.copytree(models.title(), folder)
    turbo = {"_class_name": "EulerDiscreteScheduler", "prediction_type": "epsilon"}  # "trailing" as the one copied
    change_json(folder / "scheduler" / "scheduler_config.json", **turbo)
    monkeypatch.setattr(models, "_offer", models.Offer((str(folder), models.title()), "cpu"))
    wants = models.defaults()
    assert (wants["sampler"], wants["steps"], wants["guidance"], wants["size"]) == ("euler", 1, 1.0, 64)
    opened = opening(Settings, **{name: wants[name] for name in ground.OF_MODEL})
    assert (opened().sampler, opened().steps, opened().guidance, opened().prompt) == ("euler", 1, 1.0, "red apple")
    presets = tab.presets(opened)
    assert next(iter(presets.values())) == opened() and presets["in three steps"] == opened(steps=3)
    assert (
        records.address(opened()) == "tab=text_to_image" and records.address(Settings()).endswith("m=dpmpp_2m") is False
    )
    assert from_query(opened, {"q": "cat"}) == opened(prompt="cat")
    assert isinstance(opened(), Settings) and opening(Settings, steps=10**9)().steps == 20
    monkeypatch.setattr(models, "_offer", models.Offer((str(tmp_path / "nothing"),), "cpu"))
    assert "size" not in models.defaults()


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
    wants = {name: models.defaults()[name] for name in ground.OF_MODEL}  # the model's, not the embedded one's
    assert about["sha256"] == draw.draw(Settings(prompt="blue heart", **wants), model, 0.0).numbers["sha256"]
    assert about["settings"]["prompt"] == "blue heart" and about["settings"]["w"] == 6.5
    assert [token["text"] for token in about["tokens"]] == ["<start_of_text>", "blue", "heart", "<end_of_text>"]
    assert set(about["seconds"]) == {"load", "steps", "decode"}


def test_endpoint_gives_several_pictures_side_by_side(client, model):
    path, about = client.predict(
        "red", steps=2, guidance=Settings().guidance, batch=2, seed=4, api_name="/text_to_image"
    )
    row = Image.open(path)
    pixels = np.stack(np.split(np.array(row), 2, axis=1))
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == about["sha256"]
    assert row.size == (128, 64) and row.text["parameters"].endswith("Batch size: 2")
    assert records.restored(Settings, Path(path).read_bytes())[0] == Settings(
        "a picture", "red", steps=2, batch=2, seed=4
    )


def test_a_style_is_pressed_where_the_prompt_names_one(model):
    """Where it is heard it is told; a view of muted or mixed words leaves it out, and says so."""
    styled, plain = STYLED, dataclasses.replace(STYLED, style=0.0)
    pixels = [draw.draw(s, model, 0.0).pixels for s in (styled, plain)]
    assert not np.array_equal(*pixels)
    assert "style" in tab.TAB.showing(QUICK).hidden and "style" not in tab.TAB.showing(styled).hidden
    assert r"w\,k\,(\epsilon_{\text{style}}" in draw.formula(styled) and "k=1.5" in draw.formula(styled)
    assert not any("text{style}" in draw.formula(s) for s in (plain, dataclasses.replace(styled, guidance=0.0), QUICK))
    tokens = [dataclasses.replace(token, known=True) for token in model.text.tokens(styled.prompt)]
    assert "**3** times what its style alone says is added" in draw.reading(styled, tokens)
    grid_of = dataclasses.replace(styled, view=ground.GRID, x="style", across="0, 1.5", y="steps", down="2")
    assert [c.pixels.tobytes() for c in piece(tab.result(grid_of), "sheet").cells] == [
        p[0].tobytes() for p in pixels[::-1]
    ]
    brought = dataclasses.replace(grid_of, prompt="cat face, fx drawing", x=ground.WORD, across="drawing, style")
    assert r"k=1.5" in grid.formula(brought) and "style" not in tab.TAB.showing(brought).hidden
    for view in (ground.ATTENTION, ground.TWO):
        shown = [tab.result(dataclasses.replace(s, view=view)) for s in (styled, plain)]
        assert "not pressed here" in shown[0].notice and "pressed" not in shown[1].notice
        assert "style" in tab.TAB.showing(dataclasses.replace(styled, view=view)).hidden
        one, two = (piece(s, "pictures")[0].pixels for s in shown)
        assert np.array_equal(one, two)


def test_the_grid_hides_what_it_goes_through():
    hidden = tab.TAB.showing(GRIDDED).hidden
    assert {"guidance", "steps", "batch"} <= set(hidden) and not {"seed", "sampler", "x", "down"} & set(hidden)


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


def test_names_of_files_fit_every_file_system_and_tell_pictures_apart():
    for prompt in ("𠀀" * 100, " ".join(["immeasurably"] * 12), "red apple", "!?"):
        one, two = (ground.file_name(Settings(prompt=prompt, seed=seed)) for seed in (7, 2**32 - 1))
        assert one != two and len(f"{two}.png".encode()) < 200 and two.endswith(str(2**32 - 1))
    assert ground.file_name(Settings(prompt="red apple", seed=7)) == "red-apple-7"
    assert ground.file_name(Settings(prompt="", seed=7)) == "7"


def test_a_model_is_read_in_the_precision_that_was_asked_for(model, tiny_model, monkeypatch):
    monkeypatch.setattr(models, "_offer", models.Offer((str(tiny_model),), "cpu", "bfloat16"))
    asked = Settings(steps=2, sampler="ddim")
    assert models.loaded().unet.conv_in.weight.dtype == torch.bfloat16
    assert f"TextToImage.load({str(tiny_model)!r}, device='cpu', dtype='bfloat16')" in tab.code(asked)
    view = tab.result(asked)
    assert view.check.ok and view.numbers["sha256"] != draw.draw(asked, model, 0.0).numbers["sha256"]
