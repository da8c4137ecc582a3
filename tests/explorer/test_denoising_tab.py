"""The denoising tab on small networks: numbers against other routes, code against the endpoint, red badges."""

import ast
import contextlib
import io
import json
import math
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from core import datasets, inspection, pipeline, samplers, weights
from core.networks import layers
from core.networks import points as network_of_points
from core.networks.unet import UNet, UNetConfig
from core.toys import mixture
from core.training import points, step
from core.training.recipes import COSINE_V, HALF_NOISE
from core.weights import Card
from explorer.settings import parse, specs
from explorer.tabs import denoising
from explorer.tabs.denoising import Settings, common, inside, sampling, seeing, training
from explorer.tabs.denoising.settings import (
    AMOUNT,
    EXACT,
    INSIDE,
    LEARN,
    LOSS,
    MEMORY,
    NORM,
    ONE_SHOT,
    PRESETS,
    SEES,
    STEP,
    VIEWS,
)

SMALL = UNetConfig(
    sample_size=28, in_channels=1, out_channels=1, block_out_channels=(16, 32, 32), norm_num_groups=8,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=11, patch_size=2,
)  # fmt: skip


def write_model(folder, config, scheduler, defaults, seed):
    torch.manual_seed(seed)
    named = asdict(config) | {"_class_name": "UNet2DConditionModel"}
    weights.save(folder / "unet", named, UNet(config).state_dict(), Card(folder.name, defaults=defaults))
    (folder / "scheduler").mkdir()
    weights.write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
    return str(folder)


@pytest.fixture(scope="module")
def small_models(tmp_path_factory):
    """Both models with random weights, in folders of their own."""
    home = tmp_path_factory.mktemp("models")
    whole = write_model(home / "small", SMALL, COSINE_V, {"sampler": "dpmpp_2m", "steps": 4, "guidance": 2.0}, 0)
    blind = replace(SMALL, cross_attention_dim=1)
    half = write_model(home / "small-oneshot", blind, HALF_NOISE, {"sampler": "ddim", "steps": 1, "guidance": 1.0}, 1)
    return whole, half


@pytest.fixture(scope="module")
def some_fashion(tmp_path_factory):
    """A folder with a data set in FashionMNIST's shape: 30 pictures of each class to train on, 20 to test on."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    labels = np.tile(np.arange(10), 50).astype(np.uint8)
    shapes = rng.integers(0, 255, (10, 7, 7)).repeat(4, 1).repeat(4, 2)
    images = np.clip(shapes[labels] + rng.integers(-30, 30, (500, 28, 28)), 0, 255).astype(np.uint8)
    np.savez(folder / "fashion28.npz", images=images, labels=labels, split=np.arange(500) >= 300)
    return folder


def forget():
    """What a perturbed core, or another model, left behind must not reach the next test."""
    for module in (common, inside, seeing, training):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


@pytest.fixture(autouse=True)
def on_small_networks(monkeypatch, small_models, some_fashion, request):
    """The small models in the place of the embedded ones, with or, where the test says so, without a data set."""
    whole, half = small_models
    monkeypatch.setattr(common, "FASHION", whole)
    monkeypatch.setattr(common, "HALF_NOISE", half)
    for module, name, few in (
        (common, "TIMES", 5), (seeing, "AT", (1, 100, 1000)), (training, "RATES", (0.01, 1.0)), (training, "WALK", 8),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, few)
    bare = "without_the_data" in request.node.name
    monkeypatch.setenv("DIFFUSION_EXPLORER_DATA", "/nowhere" if bare else str(some_fashion))
    monkeypatch.setenv("HOME", "/nowhere")
    forget()
    yield
    forget()


def quick(settings: Settings) -> Settings:
    """The same screen with few steps."""
    return replace(settings, steps=min(settings.steps, 3), training=60, width=16, members=min(settings.members, 20))


QUICK = {name: quick(settings) for name, settings in PRESETS.items()}


@pytest.mark.parametrize("settings", QUICK.values(), ids=QUICK)
def test_every_preset_has_a_green_badge_and_code_that_prints_its_numbers(afresh, some_fashion, settings):
    view = denoising.result(settings)
    assert view.check.ok, view.check
    assert view.numbers and json.loads(json.dumps(view.numbers, allow_nan=False)) == view.numbers
    assert "nan" not in view.formula and "nan" not in view.notice
    compare(afresh(denoising.code(settings), DIFFUSION_EXPLORER_DATA=str(some_fashion)), view.numbers)


def compare(printed, numbers):
    lines = [line.split(" = ", 1) for line in printed.strip().splitlines()]
    assert len(lines) >= 3
    for name, value in lines:
        due = numbers[name]
        nested = isinstance(due, dict) and any(isinstance(part, list) for part in due.values())
        assert ast.literal_eval(value) == (due if nested else pytest.approx(due, rel=1e-4, abs=1e-6)), name


def test_what_the_network_says_is_read_as_the_papers_have_it():
    """Ho et al., equation 15, and Salimans & Ho, written out here, from the network's bare answer."""
    s = Settings(view=SEES, t=333, label="Bag", picture=3, seed=5)
    got, whole = denoising.update(s).numbers, common.model()
    x0, eps = common.chosen(s)
    a = float(whole.schedule.alpha_bar[333])
    x_t = a**0.5 * x0 + (1 - a) ** 0.5 * eps
    with torch.no_grad():
        v = whole.unet(x_t[None].float(), torch.tensor([332]), whole.context([8]))[0].double()
    x0_hat, eps_hat = a**0.5 * x_t - (1 - a) ** 0.5 * v, (1 - a) ** 0.5 * x_t + a**0.5 * v
    assert got["loss_eps"] == pytest.approx(float((eps_hat - eps).square().mean()), rel=1e-4)
    assert got["loss_x0"] == pytest.approx(float((x0_hat - x0).square().mean()), rel=1e-4)
    assert got["pixel"]["x_t"] == pytest.approx(float(x_t[0, 14, 14]), abs=1e-6)
    b = float(whole.schedule.alpha_bar[got["t_next"]])
    x_next = b**0.5 * x0_hat + (1 - b) ** 0.5 * eps_hat
    assert got["t_next"] == 283 and got["pixel"]["x_next"] == pytest.approx(float(x_next[0, 14, 14]), abs=1e-4)


def test_the_player_opens_at_t_and_shows_its_picture():
    view = denoising.update(Settings(view=SEES, t=700))
    player, sent = view.stage["player"], view.numbers
    assert sent["times"][player.at] == 700 and player.labels[player.at].startswith("t = 700:")
    assert player.frames[player.at, 0, 14, 14] == pytest.approx(sent["pixel"]["x_t"])
    assert player.frames[player.at, 4, 14, 14] == pytest.approx(sent["pixel"]["x0"])


def test_a_view_that_takes_long_opens_empty_and_a_quick_one_has_no_run_button():
    waiting, quick_one = denoising.update(Settings(view=MEMORY)), denoising.update(Settings(view=NORM))
    assert set(waiting.stage) == {"views"} and waiting.check is None and "Run" in waiting.notice
    assert "run" in quick_one.stage["views"].hidden and "run" not in waiting.stage["views"].hidden
    assert list(denoising.stream(Settings(view=NORM))) == []


def test_the_exact_denoiser_knows_its_own_pictures_and_no_others():
    known = denoising.update(Settings(view=EXACT, origin="from the data", members=20, t=200)).numbers
    assert known["nearest"] == 0 and known["exact_error"] < 1e-6 and known["members_in_play"] == pytest.approx(1)
    other = denoising.update(Settings(view=EXACT, members=20, t=200)).numbers
    assert other["exact_error"] > 100 * known["exact_error"] and other["members"] == 20


def test_what_has_decided_is_not_said_to_hesitate():
    """At little noise one picture has all the weight, and at much the weights are spread: by their entropy."""
    for t, decided in ((20, True), (990, False)):
        seen = denoising.update(Settings(view=EXACT, origin="from the data", members=20, t=t))
        assert (seen.numbers["members_in_play"] < 1.005) == decided
        assert ("It has decided on **one** picture, right or wrong." in seen.notice) == decided
        assert ("it still hesitates; at one it would have decided" in seen.notice) != decided


@pytest.mark.parametrize(
    ("view", "says"), [(EXACT, "1 picture by **"), (MEMORY, "1 picture can only"), (LOSS, "1 picture misses")]
)
def test_one_picture_is_counted_as_one(view, says):
    seen = denoising.result(quick(Settings(view=view, members=1)))
    assert f"denoiser of {says}" in seen.notice
    assert "1 pictures" not in seen.formula + seen.notice


def test_everything_the_exact_denoiser_draws_is_in_its_data():
    got = denoising.result(Settings(view=MEMORY, members=20, steps=12)).numbers
    assert max(got["exact_distance"]) < 0.02
    assert len(got["network_distance"]) == len(got["unseen_distance"]) == 4


def test_a_small_step_downhill_lowers_the_loss_as_far_as_the_gradient_says():
    got = denoising.update(Settings(view=STEP, rate=0.001)).numbers
    assert got["loss"] - got["loss_after"] == pytest.approx(got["drop_foreseen"], rel=0.05)
    assert got["gradient"] ** 2 == pytest.approx(sum(g**2 for g in got["gradient_of_parts"].values()))


def test_the_training_step_leaves_the_loaded_network_alone():
    before = {name: w.clone() for name, w in common.model().unet.named_parameters()}
    denoising.update(Settings(view=STEP, rate=5.0))
    after = dict(common.model().unet.named_parameters())
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(w.requires_grad and w.grad is not None for w in after.values())


def test_a_live_training_learns_and_ends_above_the_floor():
    views = list(denoising.stream(Settings(view=LEARN, training=200, width=32)))
    got = views[-1].numbers
    assert got["curve"]["loss"][-1] < got["curve"]["loss"][0] and got["loss"] > got["floor"]
    assert len(views) > 5 and views[-1].stage["cloud"].positions.shape[1:] == (2, 300, 2)


def test_the_floor_of_the_loss_is_half_the_trace_of_the_posterior_covariance():
    """Of v = (sqrt(a) x_t - x0) / sqrt(1 - a), for what x_t leaves open of the moons' x0, by Bayes' rule."""
    *_, view = denoising.stream(Settings(view=LEARN, training=60, width=16))
    moons, schedule, g, floor = mixture("two moons"), training.SCHEDULE, torch.Generator().manual_seed(9), []
    means, std = moons.means.double(), float(moons.stds[0])
    for t in range(8, 1001, 16):
        a = float(schedule.alpha_bar[t])
        x = a**0.5 * moons.sample(2000, generator=g) + (1 - a) ** 0.5 * torch.randn(2000, 2, generator=g).double()
        v = a * std**2 + 1 - a
        weight = (-(torch.cdist(x, a**0.5 * means) ** 2) / (2 * v)).softmax(1)[..., None]
        each = means + a**0.5 * std**2 / v * (x[:, None] - a**0.5 * means)
        between = (weight * (each - (weight * each).sum(1, keepdim=True)) ** 2).sum((1, 2)).mean()
        floor.append((float(between) + 2 * std**2 * (1 - a) / v) / (1 - a) / 2)
    assert view.numbers["floor"] == pytest.approx(np.mean(floor), rel=0.01)
    assert r"\ge\;\tfrac12E\operatorname{tr}\operatorname{Cov}[v\mid x_t]" in view.formula


def test_the_loss_on_the_way_is_said_to_be_of_recent_batches():
    """It is another number than the answer's, which is measured on fixed points; chance moves it."""
    *_, view = denoising.stream(Settings(view=LEARN, training=60, width=16))
    last = view.stage["cloud"].labels[-1]
    assert float(last.split("loss of recent batches ")[1]) == pytest.approx(view.numbers["curve"]["loss"][-1], abs=6e-4)
    assert "The curve is the mean of recent batches" in view.notice
    assert "loss of recent batches" in said_by_key(view.stage["left"])[0]


def said_by_key(figure):
    """The lines of a figure's key, as they are read."""
    text = figure.to_dict()["layout"]["annotations"][-1]["text"].replace("&nbsp;", " ")
    return [re.sub("<[^>]*>", "", line) for line in text.split("<br>")]


def test_a_blot_is_no_average():
    """An average would be one picture: two blots differ, two answers at t = T, where no noise tells, far less."""
    x = torch.randn(8, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    half, whole = (pipeline.ClassToImage.load(name, device="cpu") for name in ("fashion-oneshot", "fashion"))
    T = whole.schedule.T
    blots, first = inspection.ask(half, x, [1] * 8, None).x0, inspection.ask(whole, x, [T] * 8, None).x0
    assert inspection.apart(blots) > 1.5 * inspection.apart(first)
    assert half.schedule.alpha_bar.tolist() == [1, 0.5]  # what it was trained on
    notice = denoising.result(quick(Settings())).notice
    assert "average" not in notice and "half noise is all that this network was trained on" in notice


def test_a_step_is_told_by_its_own_weights_of_signal_and_noise():
    view = denoising.result(quick(Settings()))
    *steps, last = view.stage["player"].labels
    for label, t in zip(steps, view.numbers["times"], strict=False):
        signal, noise = map(float, re.fullmatch(rf"t = {t}: signal (.*), noise (.*)", label).groups())
        assert signal == pytest.approx(math.sqrt(float(common.model().schedule.alpha_bar[t])), abs=6e-4)
        assert signal**2 + noise**2 == pytest.approx(1, abs=2e-3)
    assert last == "t = 0: the finished pictures"


@pytest.mark.parametrize(
    ("label", "members", "alike"), [("Bag", 30, True), ("Bag", 20, False), ("no class", 300, False)]
)
def test_the_gap_is_the_networks_error_alone_where_both_know_the_same_pictures(label, members, alike):
    """The data set of these tests has thirty pictures of each class to train on."""
    notice = denoising.update(Settings(view=EXACT, label=label, members=members)).notice
    assert ("What separates the two is the network's approximation error" in notice) == alike
    assert ("trained on more pictures than these" in notice) != alike


def test_without_the_data_the_gap_is_not_called_the_networks_error():
    notice = denoising.update(Settings(view=EXACT, members=48)).notice
    assert "approximat" not in notice and "the network was trained on FashionMNIST" in notice


@pytest.mark.parametrize("without", [False, True], ids=["with_the_data", "without_the_data"])
def test_groups_of_pictures_are_named_by_what_the_network_saw_of_them(without):
    view = denoising.result(quick(Settings(view=LOSS)))
    got, key = view.numbers, said_by_key(view.stage["left"])
    assert got["real_pictures"] != without
    seen = view.notice.removesuffix(common.source(not without))
    assert all((word in seen) != without for word in ("never saw", "training set"))
    assert ("it was trained on neither" in seen) == without
    assert f"by **{got['exact_known'][1]:.2g}** and others by **{got['exact_other'][1]:.2g}**" in seen
    assert key[0] == "network   exact denoiser" and len(key) == 2
    assert key[1] == ("─ others   ┄ the exact one’s own" if without else "─ unseen pictures   ┄ training set")


@pytest.mark.parametrize("view", [INSIDE, AMOUNT, EXACT, LOSS, SEES])
def test_a_mean_square_is_called_one(view):
    assert "(mean square" in denoising.result(quick(Settings(view=view))).notice


@pytest.mark.parametrize("view", [SEES, LOSS, EXACT, AMOUNT, STEP, LEARN])
def test_the_key_tells_dashed_lines_from_others(view):
    """As many entries with a dash as there are colours, or names, of dashed lines; no two lines look alike in it."""
    for place in ("left", "right"):
        figure = denoising.result(quick(Settings(view=view))).stage.get(place)
        if figure is None or not all("scatter" in trace["type"] for trace in figure.to_dict()["data"]):
            continue
        lines = [trace["line"] for trace in figure.to_dict()["data"]]
        dashed = any(line["dash"] != "solid" for line in lines) or view == LEARN  # the floor is a shape
        assert any("┄" in line for line in said_by_key(figure)) == dashed
        assert len({(line["color"], line["dash"]) for line in lines}) == len(lines)


@pytest.mark.parametrize("view", [ONE_SHOT, EXACT, MEMORY])
def test_without_the_data_set_it_says_so_and_claims_no_training_picture(view):
    assert datasets.at_hand("fashion") is None
    seen = denoising.result(quick(Settings(view=view)))
    assert "not the training set" in seen.notice and seen.numbers["real_pictures"] is False and seen.check.ok
    if view == MEMORY:
        assert "network_nearest" not in seen.numbers
        assert not any("training" in picture.title for picture in seen.stage["pictures"])


def test_code_prints_the_same_without_the_data():
    settings, out = Settings(view=EXACT, members=20), io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(denoising.code(settings), {})
    compare(out.getvalue(), denoising.result(settings).numbers)


@pytest.mark.parametrize("view", [v for v in VIEWS if v not in (LEARN, LOSS)])
def test_told_no_class_the_badge_is_green(view):
    settings = quick(Settings(view=view, label="no class", t=1000, told=1, picture=15, guidance=0.0))
    seen = denoising.result(settings)
    assert seen.check.ok, seen.check
    json.dumps(seen.numbers, allow_nan=False)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"t": 0}, r"t must be a whole number in \[1, 1000\], got 0"),
        ({"guidance": float("nan")}, "guidance must be a number"),
        ({"label": "Hat"}, "label must be one of"),
        ({"view": "upside down"}, "view must be one of"),
        ({"view": EXACT, "origin": "from the data", "members": 3, "picture": 5}, "the data hold 3 pictures"),
    ],
)
def test_bad_input_gets_a_message(given, says):
    values = vars(Settings()) | given
    with pytest.raises(Exception, match=says):
        denoising.endpoint(*values.values())


def test_a_model_that_is_missing_is_said(monkeypatch):
    monkeypatch.setattr(common, "FASHION", "nowhere")
    with pytest.raises(ValueError, match="unknown model 'nowhere'"):
        denoising.update(Settings(view=SEES))


def scaled(by):
    return lambda right, *a, **o: by * right(*a, **o)


def flipped(right, *a, **o):
    return {name: -value if name == "v" else value for name, value in right(*a, **o).items()}


@pytest.mark.parametrize(
    ("view", "where", "name", "wrong"),
    [
        (ONE_SHOT, sampling, "psnr", scaled(1.01)),
        (ONE_SHOT, inspection, "apart", scaled(1.01)),
        (ONE_SHOT, pipeline.torch, "lerp", lambda right, u, c, scale: right(c, u, scale)),
        (ONE_SHOT, samplers, "combine", lambda right, *terms: right((1.01 * terms[0][0], terms[0][1]), *terms[1:])),
        (SEES, inspection, "readings", flipped),
        (SEES, inspection, "losses", lambda right, *a: {n: v * (1 + (n == "x0")) for n, v in right(*a).items()}),
        (
            SEES,
            inspection,
            "noised",
            lambda right, x0, eps, times, s: right(x0, eps, [max(t - 1, 0) for t in times], s),
        ),
        (SEES, inspection, "ask", lambda right, m, x, times, label, **o: right(m, -x, times, label, **o)),
        (LOSS, inspection, "losses", lambda right, *a: {n: v * (1 + (n == "v")) for n, v in right(*a).items()}),
        (EXACT, seeing, "empirical_denoiser", lambda right, data, schedule: right(data.flip(-1), schedule)),
        (EXACT, inspection, "members_in_play", scaled(1.1)),
        (EXACT, inspection, "nearest", lambda right, x, data: (right(x, data)[0] * 0 + 1, right(x, data)[1])),
        (MEMORY, inspection, "nearest", lambda right, x, data: (right(x, data)[0], 2 * right(x, data)[1] + 1)),
        (INSIDE, UNet, "forward", lambda right, *a, skips=True, **o: right(*a, **o)),
        (AMOUNT, layers, "timestep_embedding", lambda right, t, dim: right(t, dim).flip(1)),
        (NORM, inspection, "group_norm", lambda right, x, groups: right(x, 2 * groups)),
        (NORM, inspection, "derivative", lambda right, *a: right(*a) + 0.01),
        (STEP, step.TrainingStep, "moved", lambda right, taken, rate: right(taken, -rate)),
        (STEP, step.torch.autograd, "grad", lambda right, *a, **o: [2 * g for g in right(*a, **o)]),
        (LEARN, points, "loss_of", lambda right, d, *a: right(d, *a) / (1 + 9 * ("unconditional" in d.__qualname__))),
        (LEARN, network_of_points, "timestep_embedding", lambda right, t, dim: right(t + 1, dim)),
    ],
)
def test_badge_turns_red_when_core_is_wrong(monkeypatch, view, where, name, wrong):
    right = getattr(where, name)
    monkeypatch.setattr(where, name, lambda *a, **o: wrong(right, *a, **o))
    seen = denoising.result(quick(Settings(view=view, t=400, guidance=3.0, at=0.5)))
    assert not seen.check.ok, seen.check


def test_gelu_by_its_usual_shortcut_turns_the_badge_red(monkeypatch):
    rough = {**inspection.ACTIVATIONS, "GELU": lambda x: torch.nn.functional.gelu(x, approximate="tanh")}
    monkeypatch.setattr(inspection, "ACTIVATIONS", rough)
    assert not denoising.update(Settings(view=NORM)).check.ok


def test_every_preset_is_valid_and_the_first_is_the_default():
    assert next(iter(PRESETS.values())) == Settings()
    for settings in PRESETS.values():
        assert parse(Settings, vars(settings)) == settings
    assert {settings.view for settings in PRESETS.values()} == set(VIEWS) == set(denoising.IDEAS)
    assert set(specs(Settings)) == set(vars(Settings()))
