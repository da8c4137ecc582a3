"""From a picture, in part of a picture, and inside the latent: with a tiny random model."""

import ast
import contextlib
import io
import json
import math
from dataclasses import replace
from urllib.parse import parse_qsl

import numpy as np
import pytest
import torch
from PIL import Image

from core import checks
from core.latents import angle, slerp, stream_from
from core.samplers import SAMPLERS
from explorer.components.paint import PaintInput
from explorer.settings import from_query, parse, specs, to_query
from explorer.tabs import text_to_image as tab
from explorer.tabs.text_to_image import change, latents, records
from explorer.tabs.text_to_image.settings import (
    ALL,
    ALONG,
    ARC,
    CHANGE,
    ERASE,
    LATENT,
    MASKS,
    OWN,
    PAINT,
    STRAIGHT,
    STROKES,
    TWO,
    TWO_SEEDS,
    Settings,
)
from explorer.uploads import data_address

FROM = Settings(view=CHANGE, prompt="blue heart", steps=5, strength=0.6, seed=3)


@pytest.fixture(scope="module")
def model(tiny_offered):
    return tiny_offered


def piece(view, name):
    return view.stage.get(name)


def views(settings):
    return [view for view in tab.stream(settings) if view is not None]


def printed(settings) -> dict:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(tab.code(settings), {})
    return {k: ast.literal_eval(v.replace("inf", "1e999")) for k, v in (
        line.split(" = ", 1) for line in out.getvalue().replace("'", "\"").splitlines() if not line.startswith("sha")
    )}  # fmt: skip


def own_picture() -> str:
    return data_address(torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0)).double())


def test_image_to_image_is_the_pipelines_own(model):
    settings = replace(FROM, start="cat")
    from core.pictures import picture

    image = picture("cat", model.size)[None]
    steps = list(
        model.stream(
            "blue heart", image=image, strength=0.6, steps=5, guidance=Settings().guidance, seed=3, sampler="dpmpp_2m"
        )
    )
    *_, view = views(settings)
    expected = ((model.decode(steps[-1].x_next)[0] + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    assert np.array_equal(np.array(Image.open(io.BytesIO(piece(view, "result").png))), expected)
    assert view.numbers["walked"] == len(steps) == 3 and view.check.ok
    assert view.numbers["times"] == [step.t for step in steps] + [0]
    route = piece(view, "route")
    assert [on for _, _, on in route.steps] == [False, False, True, True, True]
    assert route.steps[0][0] == model.schedule.T and route.steps[0][1] == pytest.approx(
        100 * (1 - float(model.schedule.alpha_bar[-1]))
    )
    assert piece(view, "player").frames.shape == (4, 2, 64, 64, 3)


def test_what_came_of_a_picture_is_kept_for_the_visit_and_its_png_leads_back(model):
    settings = replace(FROM, start="cat")
    result = piece(views(settings)[-1], "result")
    assert from_query(Settings, dict(parse_qsl(result.query))) == settings
    pixels = (result.picture.frames[0, 0] + 1) * 127.5
    png = Image.open(io.BytesIO(result.png))
    assert np.abs(pixels - np.array(png)).max() <= 0.51
    assert png.text["parameters"].endswith(", Denoising strength: 0.6")
    assert records.restored(Settings, result.png) == (settings, [])
    own = replace(FROM, start=own_picture())
    result = piece(views(own)[-1], "result")
    assert result.query == ""  # it is in no address, nor in the PNG
    settings, (note,) = records.restored(Settings, result.png)
    assert settings == replace(FROM, start=Settings().start) and "a picture of your own, which is not in it" in note
    plain = piece(views(replace(own, view=Settings().view))[-1], "result")  # it began from noise
    assert records.restored(Settings, plain.png) == (replace(settings, view=Settings().view), [])


def test_strength_zero_is_the_vae_there_and_back(model):
    settings = replace(FROM, start="coffee", strength=0.0)
    *_, view = views(settings)
    from skimage.metrics import peak_signal_noise_ratio

    from core.pictures import picture

    image = picture("coffee", model.size)
    with torch.no_grad():
        back = model.vae.decode(model.vae.encode(image[None]))[0]
    wanted = peak_signal_noise_ratio(image.numpy(), back.numpy(), data_range=2)
    assert view.numbers["psnr_round_trip"] == view.numbers["psnr_to_start"] == pytest.approx(wanted, rel=1e-4)
    assert view.numbers["walked"] == 0 and view.numbers["times"] == [0] and view.check.ok
    assert piece(view, "player").frames.shape == (1, 2, 64, 64, 3)
    assert "through the VAE and back" in view.notice


def test_the_models_own_start_is_drawn_once_and_shown_on_the_way(model):
    change.KEPT.clear()
    told = [piece(view, "progress").doing for view in views(replace(FROM, start_prompt="cat face"))]
    assert sum("the start picture" in doing for doing in told) == model.default("steps")
    *_, last = model.stream("cat face", seed=0)
    assert torch.equal(change.start_picture(replace(FROM, start_prompt="cat face"), model), model.decode(last.x_next))
    told = [piece(view, "progress").doing for view in views(replace(FROM, start_prompt="cat face", strength=0.2))]
    assert not any("the start picture" in doing for doing in told)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_is_not_painted_stays_the_noised_original_at_every_step(model, sampler):
    settings = replace(FROM, view=PAINT, start="cat", sampler=sampler, mask=MASKS["the left half"])
    *_, view = views(settings)
    assert view.check.ok, view.check
    assert (view.numbers["cells_kept"], view.numbers["cells"]) == (128, 256)
    assert view.numbers["latent_difference_kept"] < 1e-5
    assert view.numbers["pixel_difference_anew"] > view.numbers["pixel_difference_kept"]


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "ddpm"])
def test_the_badge_sees_one_kept_cell_that_moved(model, sampler):
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    mask = change.mask_of(MASKS["the left half"], 64)
    with torch.no_grad():
        z = model.vae.encode(image)
    steps = list(model.stream("cat", image=image, mask=mask, strength=0.6, steps=5, seed=3, sampler=sampler))
    states, times = [steps[0].x, *(s.x_next for s in steps)], [steps[0].t, *(s.t_next for s in steps)]
    eps = torch.randn(z.shape, generator=torch.Generator().manual_seed(3))
    where = change.anew(mask, 16) == 0

    def check():
        return checks.kept(states, times, z, eps, model.schedule.alpha_bar, where, fresh=sampler == "ddpm")

    assert check().ok
    states[-1] = states[-1].clone()
    states[-1][0, 1, 4, 12] += 0.01
    assert not check().ok


def test_a_mask_covers_its_share_of_the_pixels_whatever_the_size():
    cells = ((1.0, 0.0), (0.0, 0.5))
    mask = change.mask_of(cells, 64)
    assert torch.equal(mask, torch.tensor(cells).repeat_interleave(32, 0).repeat_interleave(32, 1))
    assert torch.equal(change.anew(mask, 2), torch.tensor(cells))


def test_nothing_painted_is_the_round_trip(model):
    *_, view = views(replace(FROM, view=PAINT, start="cat", mask=MASKS["nothing"]))
    assert view.numbers["psnr_to_start"] == pytest.approx(view.numbers["psnr_round_trip"], abs=0.01)
    assert "Nothing is painted" in view.notice and view.check.ok


def test_a_mask_lives_in_the_address_and_bad_ones_are_refused():
    settings = replace(FROM, view=PAINT, mask=MASKS["the upper half"])
    assert from_query(Settings, to_query(settings)) == settings
    with pytest.raises(ValueError, match="each number of mask must be a number in"):
        parse(Settings, {"mask": [[0.0, math.nan]]})
    with pytest.raises(ValueError, match="at most 16 x 16"):
        parse(Settings, {"mask": [[0.0] * 17]})
    piece = PaintInput(specs(Settings)["mask"])
    assert json.loads(piece.postprocess(settings.mask))[0] == [1.0] * 16


def test_own_pictures_are_reduced_to_the_models_size_and_bad_ones_refused(model):
    *_, view = views(replace(FROM, start=own_picture()))
    assert view.check.ok and view.numbers["settings"]["start"] == "own"
    for file, says in (
        ("data:image/png;base64,", "no picture that can be read"),
        ("data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "a GIF can hold more"),
        ("data:text/plain;base64,@@@", "did not arrive whole"),
    ):
        with pytest.raises(ValueError, match=says):
            views(replace(FROM, start=file))


# Latents


def test_slerp_is_scipys_and_keeps_the_length():
    from scipy.spatial import geometric_slerp

    a, b = (torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(i), dtype=torch.float64) for i in (0, 1))
    a, b = a / a.norm(), b / b.norm()
    wanted = geometric_slerp(a.flatten().numpy(), b.flatten().numpy(), np.array(latents.SHARES))
    for share, row in zip(latents.SHARES, wanted, strict=True):
        assert np.allclose(slerp(a, b, share).flatten(), row, atol=1e-12)
    assert angle(a, b) == pytest.approx(math.acos(float((a * b).sum())))
    assert torch.allclose(slerp(a, a, 0.3), a)
    with pytest.raises(ValueError, match="no one arc"):
        slerp(a, -a, 0.5)
    with pytest.raises(ValueError, match="one shape"):
        slerp(a, b[:, :2], 0.5)


def test_slerps_badge_sees_another_way():
    a, b = (torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    arc, line = (torch.cat([way(a, b, share) for share in latents.SHARES]) for way in (slerp, torch.lerp))
    assert checks.slerp(arc, a, b, latents.SHARES).ok and checks.straight(line, a, b, latents.SHARES).ok
    assert not checks.slerp(line, a, b, latents.SHARES).ok and not checks.straight(arc, a, b, latents.SHARES).ok
    assert checks.slerp(torch.cat([a] * 8), a, a, latents.SHARES).ok


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "ddpm"])
def test_both_ends_are_the_pictures_of_their_own(model, sampler):
    s = Settings(view=TWO, steps=3, sampler=sampler, other_prompt="cat face", seed=4, other_seed=5)
    for ends, way in (("two prompts", ARC), (TWO_SEEDS, ARC), (TWO_SEEDS, STRAIGHT)):
        settings = replace(s, ends=ends, way=way)
        *_, view = views(settings)
        assert view.check.ok, view.check
        shown = piece(view, "pictures")
        assert len(shown) == 8
        other = {"prompt": "cat face"} if ends != TWO_SEEDS else {"seed": 5}
        for place, asked in ((0, {}), (7, other)):
            if place == 7 and ends == TWO_SEEDS and sampler == "ddpm":
                continue  # the noise on the way is seed A's
            asked = {"prompt": "red apple", "seed": 4} | asked
            *_, last = model.stream(**asked, steps=3, sampler=sampler, guidance=Settings().guidance)
            wanted = model.decode(last.x_next)[0].permute(1, 2, 0).numpy()
            assert np.abs(2 * shown[place].pixels - 1 - wanted).max() < 2e-3
    assert min(view.numbers["noise_lengths"]) < 0.75 < 0.95 < view.numbers["noise_lengths"][0]


def test_stream_from_refuses_rows_that_do_not_go_together(model):
    states = model.text(["red", "blue"])
    with pytest.raises(ValueError, match=r"as many rows, or one, got \(2, 77, \d+\) and \(3, 4, 16, 16\)"):
        stream_from(model, states, torch.zeros(3, 4, 16, 16))
    with pytest.raises(ValueError, match=r"noise \(B, C, h, w\) must.* and \(4, 16, 16\)"):
        stream_from(model, states[:1], torch.zeros(4, 16, 16))


def test_a_brush_on_a_latent_changes_the_picture_at_once(model):
    s = Settings(view=LATENT, start="cat", cells=STROKES["nothing"])
    view = tab.update(s)
    assert view.numbers["pixels_changed"] == 0 and view.numbers["psnr_to_round_trip"] == math.inf
    assert (view.numbers["picture_numbers"], view.numbers["latent_numbers"], view.numbers["ratio"]) == (12288, 1024, 12)
    painted = tab.update(replace(s, cells=STROKES["a spot"], channel="2"))
    assert painted.numbers["pixels_changed"] > 0 and painted.check.ok
    count = painted.numbers["cells_painted"]
    moved = [b - a for a, b in zip(view.numbers["means"], painted.numbers["means"], strict=True)]
    assert moved == pytest.approx([0, 3 * count / 256, 0, 0], abs=1e-6)
    erased = tab.update(replace(s, cells=STROKES["everything, a little"], channel=ALL, stroke=ERASE))
    assert erased.numbers["means"] == [0] * 4 == erased.numbers["spreads"]
    assert len(piece(painted, "pictures")) == 8 and piece(painted, "underlay").startswith("data:image/png")


def test_a_latent_waits_for_a_picture_that_the_model_must_draw(model):
    change.KEPT.clear()
    s = Settings(view=LATENT)
    assert s.start == OWN and "Press **Generate**" in tab.update(s).notice
    *_, view = views(s)
    assert view.numbers == tab.update(s).numbers


def test_channels_along_the_walk_end_as_the_pictures_latent(model):
    s = Settings(view=ALONG, steps=4)
    *_, view = views(s)
    *_, last = model.stream("red apple", steps=4, guidance=Settings().guidance, seed=0, sampler="dpmpp_2m")
    end = last.x_next[0].double().numpy()
    assert view.numbers["means"][-1] == pytest.approx(end.mean((1, 2)).tolist())
    assert view.numbers["spreads"][-1] == pytest.approx(end.std((1, 2)).tolist())
    assert piece(view, "player").frames.shape == (5, 6, 64, 64, 3) and view.check.ok


@pytest.mark.parametrize(
    "settings",
    [
        FROM,
        replace(FROM, view=PAINT, start="cat", prompt='it\'s "blue"'),
        replace(FROM, strength=0.0, start="ball"),
        Settings(view=LATENT, start="coffee", channel="3"),
        Settings(view=LATENT, start="cat", channel=ALL, stroke=ERASE),
        Settings(view=ALONG, steps=2, prompt="cat face, fx style", style=1.5),
        Settings(view=TWO, steps=2, prompt="cat face, fx style", style=1.5),
        Settings(view=TWO, steps=2, ends=TWO_SEEDS),
        Settings(view=TWO, steps=2, ends=TWO_SEEDS, way=STRAIGHT),
    ],
    ids=lambda s: s.view,
)
def test_code_prints_the_views_numbers(model, settings):
    numbers = tab.result(settings).numbers
    said = printed(settings)
    assert len(said) >= 3
    for name, value in said.items():
        assert np.shape(value) == np.shape(numbers[name]), name
        assert np.allclose(value, numbers[name], rtol=1e-5, atol=1e-6, equal_nan=True), name


def test_eight_pictures_that_are_one_are_said_to_be(model):
    for same, why in (({"guidance": 0.0}, "at s = 0 the words"), ({"other_prompt": "red apple"}, "both ends are one")):
        view = tab.result(Settings(view=TWO, steps=2, sampler="ddim", **same))
        assert view.notice.startswith("All eight pictures are the same: " + why)
