"""Text to image from inside, with a tiny random model: tokens, attention, guidance, the machine, training examples."""

import ast
import base64
import contextlib
import copy
import dataclasses
import io
import json
import re
from itertools import zip_longest

import numpy as np
import pytest
import torch

from core.networks import attention as layers
from core.text import token_ids
from explorer import models
from explorer.components.attention_view import AttentionView
from explorer.components.machine_view import MachineView
from explorer.components.picture_rows import PictureRows
from explorer.figures.style import thinned
from explorer.tabs import text_to_image as tab
from explorer.tabs.text_to_image import PRESETS, Settings, clip, dream, guidance, machine, words
from explorer.tabs.text_to_image import settings as ground
from explorer.tabs.text_to_image.settings import (
    ALONG,
    ATTENTION,
    CODES,
    DREAM,
    EXAMPLES,
    GRID,
    JOINT,
    LATENT,
    MACHINE,
    NAMED,
    OVER_TIME,
    PIXELS,
    SCALES,
    SEARCH,
    SPECTRUM,
    TEXT,
    TOKENS,
    TOWARD,
    VIEWS,
)

INSIDE = (TOKENS, ATTENTION, TEXT, SCALES, OVER_TIME, MACHINE, EXAMPLES, JOINT, SEARCH, TOWARD, DREAM)
FEW = {JOINT: {"sentences": "red apple; a rocket"}, DREAM: {"moves": 5}}  # these take the embedded model
ALL_THINGS = clip.THINGS
THINGS = ("cat face", "pizza", "hot dog", "french fries")
QUICK = Settings(steps=3)


@pytest.fixture(scope="module")
def model(tiny_offered):
    return tiny_offered


@pytest.fixture(autouse=True)
def a_few_things_to_search(monkeypatch):
    monkeypatch.setattr(clip, "THINGS", THINGS)
    monkeypatch.setattr(clip, "COLLECTIONS", {})


def of(view, **changed):
    return dataclasses.replace(QUICK, view=view, **changed)


def piece(view, name):
    return view.stage.get(name)


def walked(model, prompt="red apple", **more):
    asked = {"sampler": "dpmpp_2m", "steps": 3, "guidance": Settings().guidance, "seed": 0}
    return list(model.stream(prompt, **asked | more))


@pytest.mark.parametrize("view", [view for view in INSIDE if view != TOWARD])  # whose every canvas is below
def test_the_snippet_prints_the_numbers_of_the_view(model, view):
    settings = of(view, prompt="blue heart, fx style, on a red background", negative="red", seed=5, style=1.5)
    settings = dataclasses.replace(settings, **FEW.get(view, {}))
    result = tab.result(settings)
    assert result.check.ok
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(tab.code(settings), {})
    printed = [line.split(" = ", 1) for line in out.getvalue().splitlines()]
    assert len(printed) >= (2 if view == DREAM else 3)
    for name, value in printed:
        assert ast.literal_eval(value) == result.numbers[name], name
    assert json.loads(json.dumps(result.numbers)) == result.numbers


def test_presets_open_every_view():
    assert {settings.view for settings in PRESETS.values()} >= set(INSIDE)


def test_each_plot_says_what_it_shows_to_those_who_do_not_see_it(model):
    """No two the same, each with a word of those at its axes."""
    plots = [piece(tab.result(of(view)), "plot") for view in (TOKENS, TEXT, OVER_TIME)]
    few = {**FEW, TOWARD: {"moves": 5}}
    plots += [piece(tab.result(of(view, **few.get(view, {}))), "plot") for view in (JOINT, SEARCH, TOWARD, DREAM)]
    names = [plot.layout["meta"] for plot in plots]
    assert len(set(names)) == len(names)
    for plot in plots[1:]:  # tokens stand at both axes of the first
        words = re.findall(r"[a-z]{4,}", " ".join(plot.layout[axis]["title"]["text"] for axis in ("xaxis", "yaxis")))
        assert any(word in plot.layout["meta"].lower() for word in words)


# Tokens


def other_tokenizer():
    """CLIP's tokenizer as the library `tokenizers` runs it; only the table of merges is open_clip's."""
    tokenizers = pytest.importorskip("tokenizers")
    from tokenizers import Regex, models, normalizers, pre_tokenizers

    from core.text import tokenizer

    ours = tokenizer()
    made = tokenizers.Tokenizer(
        models.BPE(
            vocab=ours.encoder, merges=list(ours.bpe_ranks), end_of_word_suffix="</w>", unk_token="<end_of_text>"
        )
    )
    made.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return lambda text: made.encode(text).ids


@pytest.mark.parametrize(
    "prompt",
    [
        "red apple",
        "",
        "paradise cosmic beach",
        "an Unbelievably tall zeppelin, it's 2026!",
        "äpfel 苹果 🚀",
        "red " * 100,
    ],
)
def test_tokens_are_those_of_another_library(model, prompt):
    view = tab.update(of(TOKENS, prompt=prompt))
    ids = other_tokenizer()(prompt)
    assert view.numbers["ids"] == [49406, *ids[:75], 49407]
    assert len(view.numbers["cut"]) == max(0, len(ids) - 75)
    assert view.check.ok


def test_every_place_is_shown_and_a_cut_word_beside_them(model):
    grid = piece(tab.update(of(TOKENS, prompt="red zeppelin")), "tokens")
    assert [place.number for place in grid] == list(range(77))
    assert [place.kind for place in grid[:5]] == ["mark", "known", "unknown", "mark", "padding"]
    assert {place.id for place in grid[4:]} == {model.text.config.pad_token_id}
    view = tab.update(of(TOKENS, prompt="red " * 80))
    grid = piece(view, "tokens")
    assert (
        [place.kind for place in grid].count("cut") == 5 and grid[76].kind == "mark" and "**5** tokens" in view.notice
    )
    assert "No word" in tab.update(of(TOKENS, prompt="zeppelin")).notice


def test_tokens_are_spelled_as_they_were_typed(model):
    shown = [place.text for place in piece(tab.update(of(TOKENS, prompt="äpfel 🚀 苹")), "tokens") if place.text]
    assert shown[0] == "start" and shown[-1] == "end"
    letters = b"".join(bytes.fromhex(t) if re.fullmatch("[0-9A-F ]+", t) else t.encode() for t in shown[1:-1])
    assert letters.decode() == "äpfel🚀苹" and "🚀" in shown


def test_words_that_are_cut_are_spelled_too(model):
    places = piece(tab.update(of(TOKENS, prompt="apple 🚀 " * 60)), "tokens")
    assert {place.text for place in places if place.kind == "cut"} == {"apple", "🚀"}


def test_likeness_is_torchs_cosine(model):
    view = tab.update(of(TOKENS, prompt="red apple blue heart"))
    states = model.text(["red apple blue heart"])[0, :6]
    expected = torch.nn.functional.cosine_similarity(states[:, None], states[None], dim=-1)
    assert np.allclose(view.numbers["likeness"], expected, atol=1e-5)
    assert np.allclose(piece(view, "plot").to_dict()["data"][0]["z"], expected, atol=1e-5)


def test_the_badge_sees_a_wrong_token(model, monkeypatch):
    right = type(model.text).tokens
    monkeypatch.setattr(
        type(model.text), "tokens", lambda self, p: [dataclasses.replace(t, id=t.id + 1) for t in right(self, p)]
    )
    assert not tab.update(of(TOKENS)).check.ok


# Attention


@pytest.mark.parametrize(("sampler", "scale"), [("dpmpp_2m", 3.0), ("heun", 3.0), ("ddim", 0.0), ("ddim", 1.0)])
def test_maps_are_the_networks_own_attention(model, sampler, scale):
    settings = of(ATTENTION, sampler=sampler, guidance=scale, negative="blue")
    view = tab.result(settings)
    looks = piece(view, "attention")
    record = layers.Record()
    walked(model, sampler=sampler, guidance=scale, negative="blue", record=record)
    count = 3 if scale == 0 else 4
    assert len(looks.tokens) == count and view.check.ok
    for maps, weights in zip(looks.maps.values(), record.attention.values(), strict=True):
        side = maps.shape[2]
        expected = weights[0, :, :, :count].reshape(-1, side, side, count)
        assert np.allclose(maps[-1], expected, atol=1e-3)
        assert np.allclose(maps.sum(-1, dtype=np.float64), 1, atol=2e-3)


def test_what_stands_behind_the_end_mark_is_looked_at_where_it_is_not_zero(model, monkeypatch):
    """As in Stable Diffusion, whose tower makes something of padding."""
    text = copy.deepcopy(model.text)
    text.config = dataclasses.replace(text.config, zero_after_end=False)
    padded = dataclasses.replace(model, text=text)
    monkeypatch.setattr(models, "loaded", lambda option="": padded)
    view = tab.result(of(ATTENTION))
    looks = piece(view, "attention")
    assert view.check.ok and looks.tokens == ("start", "red", "apple", "end", "behind the end")
    record = layers.Record()
    walked(padded, record=record)
    expected = np.mean([float(w[..., 4:].sum(-1).mean()) for w in record.attention.values()])
    assert view.numbers["share_behind_the_end"] == pytest.approx(expected, rel=1e-4) and expected > 0.5
    for maps in looks.maps.values():
        assert np.allclose(maps.sum(-1, dtype=np.float64), 1, atol=3e-3)
    view = tab.update(of(TOKENS))
    assert view.check.ok and "Their states are not zero" in view.notice


def test_what_is_sent_is_the_maps(model):
    looks = piece(tab.result(of(ATTENTION)), "attention")
    sent = AttentionView("x").postprocess(looks)
    name, maps = next(iter(looks.maps.items()))
    first = sent["maps"][0]
    values = np.frombuffer(base64.b64decode(first["data"]), "<u2").reshape(first["shape"]) / 65535
    assert first["name"] == name and np.allclose(values, maps, atol=1e-4)
    assert sent["shape"] == [3, 64, 64, 3] and sent["tokens"] == ["start", "red", "apple", "end"]


def test_a_muted_token_is_what_a_run_without_its_state_draws(model):
    view = tab.result(of(ATTENTION, word=2, factor=0.0))
    before, after = (model.decode(walked(model, token_weights=w)[-1].x_next)[0] for w in ([1.0], [1.0, 1.0, 0.0]))
    shown = piece(view, "pictures")
    for picture, drawn in zip(shown, (before, after), strict=False):
        assert np.allclose(picture.pixels, (drawn.permute(1, 2, 0) + 1) / 2, atol=1e-6)
    apart = np.abs(np.float64(shown[1].pixels) - np.float64(shown[0].pixels)).mean()
    assert view.numbers["difference"] == pytest.approx(apart)
    assert view.numbers["difference"] > 0
    assert tab.result(of(ATTENTION, factor=1.0)).numbers["difference"] < 1e-5
    with pytest.raises(ValueError, match="one of the prompt's 4"):
        tab.result(of(ATTENTION, word=4))


def test_the_badge_sees_attention_that_is_not_scaled(model, monkeypatch):
    def unscaled(q, k, v, heads, mask=None):
        return right(q * 3, k, v, heads, mask)

    right = layers.attend
    monkeypatch.setattr(layers, "attend", unscaled)
    assert not tab.result(of(ATTENTION)).check.ok


def test_the_badge_sees_rows_that_are_no_shares(model, monkeypatch):
    def more(q, k, v, heads, mask=None):
        out, weights = right(q, k, v, heads, mask)
        return out, weights * 1.001

    right = layers.attend
    monkeypatch.setattr(layers, "attend", more)
    assert not tab.result(of(ATTENTION)).check.ok


def test_what_the_texts_vector_is_mixed_of(model, monkeypatch):
    """The shares of the screen are the network's own; a vector mixed otherwise turns the badge red."""
    view = tab.result(of(ATTENTION))
    walked(model, record=(record := layers.Record()))
    shares = view.numbers["pooled_share"]
    assert np.allclose(shares, record.pooled[0].mean(0)[1:5], atol=1e-6) and 0 < sum(shares) < 1
    assert view.numbers["tokens"][int(np.argmax(shares))] in view.notice
    right = layers.attend
    monkeypatch.setattr(layers, "attend", lambda q, k, *rest: right(2 * q if q.shape[1] == 1 else q, k, *rest))
    check = tab.result(of(ATTENTION)).check
    assert not check.ok and "mixed as torch's multi-head attention" in check.claim


def test_the_texts_vector_does_not_hear_a_factor_but_0(model):
    """As the screen says of a strengthened word: only a muted one changes what is added to the time."""
    context = model.text(["red apple"])
    one, two, none = (context.clone() for _ in range(3))
    two[:, 1] *= 2
    none[:, 1] = 0
    heard = copy.deepcopy(model.unet.add_embedding)
    torch.nn.init.ones_(heard.norm2.weight)  # untrained it says nothing
    with torch.no_grad():
        said = [heard(c, layers.not_padding(c)) for c in (one, two, none)]
    assert torch.allclose(said[0], said[1], atol=1e-4) and (said[0] - said[2]).abs().max() > 1e-2
    sentence = "a factor other than 0 is lost on it"
    told = [sentence in tab.result(of(ATTENTION, factor=factor)).notice for factor in (0.0, 1.0, 2.0)]
    assert told == [False, False, True]


@pytest.mark.parametrize("steps", [1, 20, 200])
def test_what_a_large_network_sees_is_reduced_and_stays_shares(steps):
    """Stable Diffusion's 16 layers with 8 heads, all 77 places."""
    g = torch.Generator().manual_seed(0)
    sides = {"down_blocks.0": 64, "down_blocks.1": 32, "down_blocks.2": 16, "up_blocks.1": 16, "up_blocks.2": 32}
    names = {f"{block}.attentions.{i}.0": n for block, n in (sides | {"up_blocks.3": 64}).items() for i in range(2)}
    names["mid_block.attentions.0.0"] = 8
    seen = {name: torch.rand(1, 2, n * n, 77, generator=g).softmax(-1) for name, n in names.items()}
    way = words.fitting(seen, steps, 77)
    maps = words.squares(seen, 10, True, way)
    assert sum(m.size for m in maps.values()) * min(steps, way[2]) * 11 // 77 <= words.MOST
    assert len(maps) == 7
    for m in maps.values():
        assert m.shape[1] == m.shape[2] and m.shape[3] == 11
        assert np.allclose(m.sum(-1, dtype=np.float64), 1, atol=5e-3)
    side = next(iter(maps.values())).shape[1]
    mean = torch.stack([seen["down_blocks.0.attentions.0.0"], seen["down_blocks.0.attentions.1.0"]]).mean((0, 1))[0]
    pooled = mean[:, 3].numpy().reshape(64, 64).reshape(side, 64 // side, side, 64 // side).mean((1, 3))
    assert np.allclose(maps[f"down 1, {side} × {side}"][..., 3].mean(0), pooled, atol=1e-3) or way[1]


def test_thinned_keeps_the_ends():
    assert thinned(0, 199, 5, near=0).tolist() == [0, 50, 100, 149, 199] and thinned(0, 2, 24).tolist() == [0, 1, 2]
    assert thinned(1, 100, 3, near=2).tolist() == [1, 2, 50, 99, 100]
    assert thinned(0, 4, 10**12, near=0).tolist() == [0, 1, 2, 3, 4]  # a film may ask for any number


# Guidance


def test_panels_are_what_the_network_says_with_and_without_the_words(model):
    view = tab.result(of(TEXT, negative="blue"))
    frames = piece(view, "panels").frames
    context, empty = model.text(["red apple"]), model.text(["blue"])
    for i, step in enumerate(walked(model, negative="blue")):
        with torch.no_grad():
            v = [model.unet(step.x, torch.tensor([step.t - 1]), c) for c in (empty, context)]
        a, b = float(model.schedule.alpha_bar[step.t]) ** 0.5, float(1 - model.schedule.alpha_bar[step.t]) ** 0.5
        without, with_text = (a * step.x - b * answer for answer in v)
        shown = torch.cat([without, with_text, without + Settings().guidance * (with_text - without)])
        expected = model.decode(shown).permute(0, 2, 3, 1).numpy()
        assert np.allclose(frames[i, :3], expected, atol=1e-3)
        assert np.allclose(frames[i, 3], (expected[1] - expected[0]) / 2, atol=1e-3)
        apart = float((v[1] - v[0]).square().mean().sqrt())
        assert view.numbers["pull_on_noise"][i] == pytest.approx(a * apart, rel=1e-3)
        assert view.numbers["pull_on_guess"][i] == pytest.approx(b * apart, rel=1e-3)


def test_scales_start_from_one_noise_and_are_the_pipelines_pictures(model):
    view = tab.result(of(SCALES, guidance=4.5))
    assert view.numbers["scales"] == [0, 1, 2, 3, 4.5, 5, 8]
    for scale, picture in zip(view.numbers["scales"], piece(view, "pictures"), strict=True):
        expected = model.decode(walked(model, guidance=scale)[-1].x_next)[0].permute(1, 2, 0).numpy()
        assert np.allclose(picture.pixels, (expected + 1) / 2, atol=1e-6)
        assert picture.marked == (scale == 4.5)


def test_courses_of_the_scale():
    courses = guidance.courses(Settings(guidance=5.0, since=0.8, until=0.2), 1000)
    t = np.arange(1001)
    for name, mean in (("constant", 5), ("rising", 5), ("falling", 5), ("interval", 1 + 4 * 601 / 1001)):
        assert np.mean([courses[name](int(i)) for i in t]) == pytest.approx(mean)
    assert (courses["rising"](1000), courses["rising"](0), courses["falling"](0)) == (1, 9, 1)
    with pytest.raises(ValueError, match="interval"):
        list(tab.stream(of(OVER_TIME, since=0.2, until=0.5)))


def test_guidance_over_time_asks_once_where_the_scale_is_1(model):
    view = tab.result(of(OVER_TIME, steps=4, since=0.6, until=0.3))
    assert view.numbers["network_rows"] == {"constant": 8, "rising": 7, "falling": 8, "interval": 5}
    scale = Settings().guidance
    expected = walked(model, steps=4, guidance=lambda t: scale if 0.3 <= t / 1000 <= 0.6 else 1.0)[-1].x_next
    shown = {picture.title: picture.pixels for picture in piece(view, "pictures")}
    assert np.allclose(shown["interval"], (model.decode(expected)[0].permute(1, 2, 0) + 1) / 2, atol=1e-6)


def test_guidance_over_time_counts_every_call_of_heun(model):
    """Two calls a step but for the last: at 1000 and 500, 500 and 0 ... each with two rows, or one where s = 1."""
    s = of(OVER_TIME, steps=3, sampler="heun", since=0.6, until=0.3)
    rows: list[int] = []
    with model.unet.register_forward_pre_hook(lambda _, asked: rows.append(len(asked[0]))):
        for _ in model.stream(
            s.prompt, sampler="heun", steps=3, guidance=guidance.courses(s, 1000)["interval"], seed=0
        ):
            pass
    asked = tab.result(s).numbers["network_rows"]
    assert asked["constant"] == 10 and asked["interval"] == sum(rows)


@pytest.mark.parametrize("view", [TEXT, SCALES, OVER_TIME])
def test_the_badge_sees_a_scale_that_is_not_kept(model, view, monkeypatch):
    right = guidance.walk

    def other(model, s, **more):
        asked = more.get("guidance", s.guidance)
        return right(model, s, guidance=lambda t: (asked(t) if callable(asked) else asked) + 0.5)

    monkeypatch.setattr(guidance, "walk", other)
    assert not tab.result(of(view)).check.ok


@pytest.mark.parametrize("view", [TEXT, SCALES, OVER_TIME])
def test_the_badge_sees_a_style_that_is_pressed_otherwise(model, view, monkeypatch):
    styled, right = of(view, prompt="cat face, fx style", style=1.5), guidance.walk
    assert tab.result(styled).check.ok
    monkeypatch.setattr(guidance, "walk", lambda model, s, **more: right(model, s, style=1.75, **more))
    assert not tab.result(styled).check.ok


def test_guidance_over_time_counts_the_rows_of_a_style(model):
    """Four answers wherever the words are pressed."""
    s, rows = of(OVER_TIME, prompt="cat face, fx style", style=1.5, steps=4, since=0.6, until=0.3), []
    with model.unet.register_forward_pre_hook(lambda _, asked: rows.append(len(asked[0]))):
        asked = dict(sampler="dpmpp_2m", steps=4, style=1.5, seed=0)
        list(model.stream(s.prompt, guidance=guidance.courses(s, 1000)["rising"], **asked))
    assert tab.result(s).numbers["network_rows"] == {"constant": 16, "rising": sum(rows), "falling": 16, "interval": 7}


# CLIP


def test_the_badge_sees_pictures_that_are_mixed_up(model, monkeypatch):
    right = clip.CLIP.pictures
    monkeypatch.setattr(clip.CLIP, "pictures", lambda self, x: right(self, x).roll(1, 0))
    view = tab.result(of(JOINT, **FEW[JOINT]))
    assert not view.check.ok and view.numbers["find_their_own"] == 0


def test_the_nearest_pictures_come_first_and_are_drawn_once(model, monkeypatch):
    view = tab.result(of(SEARCH, prompt="french cat"))
    got, found = view.numbers, [picture.title for picture in piece(view, "pictures")]
    assert view.check.ok and got["words"] == ["french", "cat"] and sorted(got["nearest"]) == sorted(THINGS)
    assert got["cosines"][0] == sorted(got["cosines"][0], reverse=True) and len(got["cosines"]) == 3
    assert found == [f"{place}. {name}" for place, name in enumerate(got["nearest"], start=1)]
    assert f"finds **{got['nearest'][0]}** first" in view.notice
    assert "“french” alone finds" in view.notice and "(french fries)" in view.notice
    towers, x = clip.towers(), torch.cat([clip.COLLECTIONS[0][thing] for thing in THINGS])
    with torch.no_grad():
        alike = torch.nn.functional.cosine_similarity(towers.words(["french cat"]), towers.pictures(x)).tolist()
    wanted = sorted(zip(THINGS, alike, strict=True), key=lambda one: -one[1])
    assert got["nearest"] == [name for name, _ in wanted]
    assert got["cosines"][0] == pytest.approx([cosine for _, cosine in wanted], abs=1e-5)
    monkeypatch.setattr(clip, "drawn", None)  # not needed again
    single = tab.result(of(SEARCH, prompt="cat"))
    assert single.numbers["words"] == [] and "“cat” stands in" in single.notice
    assert "no word** was seen in training: CLIP reads blindly" in tab.result(of(SEARCH, prompt="zzkrjj")).notice


@pytest.mark.parametrize(
    "query, words, said",
    [
        ("cat cat", ["cat"], "“cat” alone finds"),
        ("(Cat), cat!", ["cat"], "“cat” alone finds"),
        ("Cat", [], "“Cat” stands in 1"),
        ("blood", [], "“blood” stands in 5 of the 1,379 names"),
        ("", [], "“” stands in none of the 1,379 names"),
        ("hot cat red black pizza fries", ["hot", "cat", "red", "black", "pizza"], "“pizza” alone finds"),
    ],
)
def test_words_are_told_apart_from_signs_and_counted_once(model, query, words, said):
    view = tab.result(of(SEARCH, prompt=query))
    assert view.check.ok and view.numbers["words"] == words and said in view.notice
    shown = {picture.title.split(". ")[1] for picture in piece(view, "pictures")}
    for row in view.numbers["cosines"][1:]:  # what a word alone finds is among them
        assert view.numbers["nearest"][row.index(max(row))] in shown


def test_a_collection_that_was_stopped_goes_on_where_it_was(model, monkeypatch):
    run = tab.stream(of(SEARCH, seed=3))
    while not clip.COLLECTIONS.get(3):
        next(run)
    run.close()
    first, right, more = clip.COLLECTIONS[3][THINGS[0]], clip.drawn, []
    monkeypatch.setattr(clip, "drawn", lambda model, thing, *a: more.append(thing) or right(model, thing, *a))
    view = tab.result(of(SEARCH, seed=3))
    assert more == [*THINGS[1:]] and clip.COLLECTIONS[3][THINGS[0]] is first
    assert "3 pictures drawn, 4 searched" in piece(view, "progress").doing
    assert "4 pictures searched" in piece(tab.result(of(SEARCH, seed=3)), "progress").doing


def test_visitors_who_draw_one_collection_at_once_draw_each_picture_once(model, monkeypatch):
    """One of them stops in the middle of a picture: that one is drawn by another."""
    begun, done, right = [], [], clip.drawn

    def drawn(model, thing, *a):
        begun.append(thing)
        picture = yield from right(model, thing, *a)
        done.append(thing)
        return picture

    monkeypatch.setattr(clip, "drawn", drawn)
    runs = [tab.stream(of(SEARCH, seed=3, prompt="cat")) for _ in range(3)]
    while len(begun) < 3:
        for run in runs:
            next(run)
    runs.pop(0).close()
    ends = [[view for view in views if view][-1] for views in zip(*zip_longest(*runs), strict=True)]
    assert sorted(done) == sorted(THINGS) and sorted(begun) == sorted([*THINGS, begun[0]])
    assert ends[0].numbers == ends[1].numbers and ends[0].check.ok and not clip.DRAWING
    told = [re.match(r"(\d) pictures? drawn, 4 searched", piece(end, "progress").doing) for end in ends]
    assert sum(int(one[1]) for one in told) == 4


def test_the_numbers_of_a_search_can_be_read_on_a_phone(model):
    """Of at least 11 px, in 192 px that a window of 375 leaves its cells; plotly's own size is less than 12 px where
    there are more than four, and 15 px where there is room."""
    for prompt in ("cat", "french cat", "hot cat red black pizza fries"):
        figure = piece(tab.result(of(SEARCH, prompt=prompt)), "plot")
        [table] = figure.data
        columns = len(table["z"][0])
        assert len(table["z"]) == len(THINGS) and columns == len(figure.layout["xaxis"]["ticktext"]) <= 6
        size = table["textfont"].get("size", 15 if columns < 5 else 0)
        assert size >= 11 and size * len("0.00") / 2 < 192 / columns


def test_the_things_to_search_are_names_that_were_learnt():
    assert set(ALL_THINGS) <= set(clip.names()) and len(set(ALL_THINGS)) == 36


def test_only_a_few_collections_are_kept(model, monkeypatch):
    monkeypatch.setattr(clip, "THINGS", THINGS[:3])
    for seed in range(6):
        tab.result(of(SEARCH, seed=seed))
    assert list(clip.COLLECTIONS) == [2, 3, 4, 5]


def test_a_way_is_shown_from_its_first_place_to_its_last(model):
    view = tab.result(of(TOWARD, prompt="red apple", moves=150, canvas=PIXELS))
    way, shown = view.numbers["likeness"], piece(view, "moved")
    assert view.check.ok and len(way) == 151 and len(shown.labels) <= clip.FRAMES
    assert shown.labels[0].startswith("move 0:") and shown.labels[-1] == f"move 150: cosine {way[-1]:.3f}"
    assert way[-1] > view.numbers["drawn"] > 0.8  # noise to the eye, and more like the sentence than what was drawn
    assert "Which of them would you show" in view.notice and view.numbers["seen"] == way
    assert np.allclose(shown.frames[-1, 0].mean((0, 1)), view.numbers["mean"], atol=1e-6)
    assert np.array_equal(shown.frames[0, 1], shown.frames[-1, 1])


@pytest.mark.parametrize("changed", [{"canvas": SPECTRUM, "prompt": "zzkrjj"}, {"canvas": CODES, "crops": 2}, {}])
def test_every_canvas_is_moved_as_its_snippet_says(model, changed):
    settings = of(TOWARD, moves=5, **changed)
    view, out = tab.result(settings), io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(tab.code(settings), {})
    printed = dict(line.split(" = ", 1) for line in out.getvalue().splitlines())
    assert view.check.ok and {name: ast.literal_eval(value) for name, value in printed.items()} == view.numbers
    assert ("no word** was seen in training" in view.notice) == ("prompt" in changed)
    assert ("like the sentence" in view.notice) == ("prompt" not in changed)
    assert clip.unheard(model, ["red " * 90]).count("beyond 77 tokens") == 1 and not clip.unheard(model, ["red apple"])


def test_the_badge_sees_a_way_that_goes_back(model, monkeypatch):
    right = clip.ascend

    def other(towers, sentence, parametrisation, **more):
        first, *rest = right(towers, sentence, parametrisation, **more)
        yield from (first, *(dataclasses.replace(x, parameters=2 * first.parameters - x.parameters) for x in rest))

    monkeypatch.setattr(clip, "ascend", other)
    assert not tab.result(of(TOWARD, prompt="red apple", moves=5)).check.ok


def test_a_dream_shows_moves_0_10_and_50(model):
    """A fifth of the way and its end, and that a layer answers more and more strongly."""
    view = tab.result(of(DREAM, start="cat", moves=50, grows="layer 1"))
    values, shown, way = view.numbers["values"], piece(view, "pictures"), piece(view, "moved")
    assert view.check.ok and len(values) == 51 and values == sorted(values) and values[-1] > 5 * values[0]
    assert [one.title for one in shown] == ["0 moves", "10 moves", "50 moves"]
    assert len(way.labels) <= dream.FRAMES and way.labels[-1].startswith("move 50: the mean square of layer 1 is ")
    np.testing.assert_allclose(shown[-1].pixels.mean((0, 1)), (np.array(view.numbers["mean"]) + 1) / 2, atol=1e-6)
    np.testing.assert_allclose(way.frames[0, 0], 2 * shown[0].pixels - 1, atol=1e-6)
    assert f"**{values[-1] / values[0]:.3g} times** as strongly" in view.notice


def test_a_name_is_dreamt_as_its_snippet_says(model):
    settings, out = of(DREAM, start="cat", grows=NAMED, prompt=" Rose", moves=6), io.StringIO()
    view = tab.result(settings)
    with contextlib.redirect_stdout(out):
        exec(tab.code(settings), {})
    printed = dict(line.split(" = ", 1) for line in out.getvalue().splitlines())
    assert view.check.ok and {name: ast.literal_eval(value) for name, value in printed.items()} == view.numbers
    values = view.numbers["values"]
    assert values[0] < 0.01 < 0.9 < values[-1] and view.numbers["last_guess"] == "rose"
    first = next(i for i, p in enumerate(values) if p > 0.5)
    assert f"above one half from move {first} on" in view.notice and "“hippopotamus”" in view.notice
    unknown = dataclasses.replace(settings, prompt="rosse")
    with pytest.raises(ValueError, match="“rosse” is none of them; it knows “rose”"):
        tab.result(unknown)
    with pytest.raises(ValueError, match=r"^the judge was trained on 1,379 names"):  # at the control, before any run
        tab.code(unknown)


def test_the_badge_sees_a_dream_that_goes_back(model, monkeypatch):
    right = dream.dream

    def other(grows, picture, **more):
        first, *rest = right(grows, picture, **more)
        yield from (first, *(dataclasses.replace(x, picture=2 * first.picture - x.picture) for x in rest))

    monkeypatch.setattr(dream, "dream", other)
    assert not tab.result(of(DREAM, start="cat", moves=5)).check.ok


@pytest.mark.parametrize(
    "sentences", ["red apple", "; ;", "; ".join("abcdefghi"), "red apple; Red  Apple"], ids=["one", "none", "9", "same"]
)
def test_too_few_or_too_many_sentences_are_refused(model, sentences):
    settings = of(JOINT, sentences=sentences)
    with pytest.raises(ValueError, match="2 to 8 different sentences"):
        list(tab.stream(settings))
    with pytest.raises(ValueError, match="2 to 8 different sentences"):  # at the control, before any run
        tab.code(settings)
    assert clip.split(of(JOINT, sentences="b; a;A ; c; B")) == ("b", "a", "c")


# The machine, and what it learned from


def test_every_box_holds_its_tensor(model):
    view = tab.result(of(MACHINE))
    shown = piece(view, "machine")
    boxes = {box.name: box for box in shown.boxes}
    steps = walked(model)
    assert shown.counter == ("after 0 of 3 steps", "after 1 of 3 steps", "after 2 of 3 steps", "finished")
    assert {box.opens for box in shown.boxes} <= set(VIEWS)
    assert [box.opens for box in shown.boxes if box.name in ("latent", "decoder")] == [ALONG, LATENT]
    picture = model.decode(steps[-1].x_next)[0].permute(1, 2, 0).numpy()
    assert np.allclose(boxes["picture"].pixels[-1], (picture + 1) / 2, atol=1e-6)
    for i, step in enumerate(steps):
        latent = step.x[0, 3].numpy()  # the fourth channel stands at the bottom right
        corner = boxes["latent"].pixels[i, 17:, 17:]
        colour = np.where(latent[..., None] < 0, [0, 114, 178], [213, 94, 0]) / 255
        share = np.clip(np.abs(latent) / 3, 0, 1)[..., None]
        assert np.allclose(corner, (1 - share) + share * colour, atol=1e-5)
    assert np.array_equal(boxes["noise"].pixels[0], boxes["latent"].pixels[0])
    assert view.numbers["weights"]["unet"] == sum(w.numel() for w in model.unet.parameters())
    assert view.numbers["calls"] == 3
    sent = MachineView("x", "t").postprocess(shown)
    assert len(sent["boxes"]) == 8 and len(base64.b64decode(sent["boxes"][7]["data"])) == 4 * 64 * 64 * 3


def test_the_machine_lists_the_tokens_that_are_heard(model):
    box = piece(tab.result(of(MACHINE, prompt="red apple " * 60)), "machine").boxes[1]
    ids = token_ids(["red apple " * 60])[0].tolist()
    assert [line.split(" ", 1)[0] for line in box.text.splitlines()] == [str(i) for i in ids] and box.text.endswith(
        " end"
    )


def test_heun_calls_the_network_twice_a_step_but_for_the_last(model):
    assert tab.result(of(MACHINE, sampler="heun")).numbers["calls"] == 5


def test_colours_are_blue_white_and_vermilion():
    assert np.allclose(machine.coloured(np.array([-9.0, 0.0, 9.0])) * 255, [[0, 114, 178], [255] * 3, [213, 94, 0]])


def test_every_row_is_noised_by_its_amount(model):
    view = tab.result(of(EXAMPLES))
    amounts, told = piece(view, "amounts"), piece(view, "examples")
    assert amounts.heads == ("noise amount", "noisy latent", "noise")
    assert told.heads == ("step", "image", "text", "noise sample")
    assert [row[0].split("\n")[0] for row in amounts.rows] == ["3", "14", "7", "42", "2", "21"]
    assert all("red apple" in row[2] for row in told.rows)
    alpha_bar = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)
    for amount, signal, noise in zip(
        view.numbers["amounts"], view.numbers["signal"], view.numbers["noise"], strict=True
    ):
        assert signal**2 == pytest.approx(float(alpha_bar[20 * amount - 1]))
        assert noise**2 == pytest.approx(1 - float(alpha_bar[20 * amount - 1]))
    assert len(PictureRows("x").postprocess(told)["rows"]) == 6
    assert "drawn by the model itself" in view.notice


def test_the_badge_sees_a_row_that_is_noised_wrongly(model, monkeypatch):
    right = machine.add_noise
    monkeypatch.setattr(machine, "add_noise", lambda x0, eps, t, schedule: right(x0, eps, t + 1, schedule))
    assert not tab.result(of(EXAMPLES)).check.ok


@pytest.mark.parametrize("view", [SCALES, OVER_TIME, TEXT, MACHINE, EXAMPLES, ATTENTION])
def test_every_view_says_first_that_no_word_was_understood(model, view):
    quick = Settings(view=view, prompt="qwxzqvk", steps=2, sampler="ddim")
    assert tab.result(quick).notice.startswith("**No word was understood** of the prompt “qwxzqvk”: ")
    both = tab.result(dataclasses.replace(quick, prompt="red apple", negative="qwxzqvk"))
    assert both.notice.startswith("**No word was understood** of the negative prompt “qwxzqvk”: ")
    assert "away" not in both.formula
    assert "understood" not in tab.result(dataclasses.replace(quick, prompt="red apple")).notice


def test_a_negative_prompt_is_named_where_it_stands_for_no_words(model):
    s = Settings(view=SCALES, negative="blue heart", steps=2, sampler="ddim")
    view = tab.result(s)
    assert "away" in view.formula and "varnothing" not in view.formula
    assert "was told the negative prompt alone" in view.notice
    assert piece(view, "pictures")[0].title == "s = 0, w = −1, the negative prompt"
    assert piece(tab.result(dataclasses.replace(s, view=TEXT)), "panels").titles[0] == "x̂₀ of the negative prompt"
    for other in (OVER_TIME, GRID):
        formula = tab.result(dataclasses.replace(s, view=other, across="0, 3", down="1, 2")).formula
        assert "away" in formula and "varnothing" not in formula


def test_heuns_looks_are_labelled_with_the_time_they_are_of(model):
    """Its last call of a step is about where the step would end; the last step has one call."""
    s = Settings(view=ATTENTION, steps=3, sampler="heun")
    times = [step.t for step in ground.walk(model, s)]
    labels = piece(tab.result(s), "attention").labels
    assert [label.partition(":")[0] for label in labels] == [f"t = {t}" for t in (*times[1:], times[-1])]


def test_a_course_that_presses_nothing_says_so(model):
    assert "all four are one walk" in tab.result(Settings(view=OVER_TIME, guidance=1.0, steps=2)).notice
    assert (
        "it is the constant scale"
        in tab.result(Settings(view=OVER_TIME, guidance=3.0, since=1.0, until=0.0, steps=2)).notice
    )


def test_the_looks_shown_first_are_those_of_the_token_that_is_changed(model):
    seen = [piece(view, "attention") for view in tab.stream(Settings(view=ATTENTION, word=2, steps=3)) if view]
    assert {looks.at for looks in seen if looks} == {2}
