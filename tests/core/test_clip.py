"""CLIP against open_clip's own model, and ascents toward a sentence against closed forms and numpy."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from core import checks, weights
from core.clip import CLIP, Parametrisation, ascend, codes, pixels, random_crops, similarity, spectrum


@pytest.fixture(scope="module")
def clip():
    return CLIP.load("emoji")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_both_towers_are_those_of_open_clip(clip):
    said, x = (
        ["red apple", "a cat face, fx style", "red <end_of_text> qwxzqvk"],
        torch.rand(2, 3, 64, 64, generator=seeded()) * 2 - 1,
    )
    with torch.no_grad():
        cosines = clip.words(said) @ clip.pictures(x).T
    assert cosines.shape == (3, 2) and checks.shared_space(cosines, said, x, clip).ok
    assert not checks.shared_space(-cosines, said, x, clip).ok
    assert not checks.shared_space(cosines.roll(1, 0), said, x, clip).ok
    assert clip.scale == pytest.approx(np.exp(clip.config["logit_scale"])) and clip.side == 64


def test_larger_pictures_are_resized_and_the_sentences_find_theirs(clip):
    """Coloured discs on white: CLIP has seen red, green and blue circles."""
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 128)] * 2, indexing="ij")
    inside = (x**2 + y**2 < 0.7).float()
    colours = torch.tensor([[0.8, -0.6, -0.7], [-0.4, 0.6, -0.5], [-0.7, 0.2, 0.8]])
    discs = inside * colours[:, :, None, None] + (1 - inside)
    with torch.no_grad():
        cosines = clip.words(["red circle", "green circle", "blue circle"]) @ clip.pictures(discs).T
        small = clip.pictures(torch.nn.functional.avg_pool2d(discs, 2))
    assert cosines.argmax(1).tolist() == [0, 1, 2] == cosines.argmax(0).tolist()
    assert (clip.pictures(discs) * small).sum(1).min() > 0.98


class Flat:
    """A space in which a picture points where its pixels do, and every sentence where ``wanted`` does."""

    side = 4

    def __init__(self, wanted):
        self.wanted = torch.nn.functional.normalize(wanted.flatten(), dim=0)

    def words(self, sentences):
        return self.wanted.expand(len(sentences), -1)

    def pictures(self, x):
        return torch.nn.functional.normalize(x.flatten(1), dim=1)


def test_an_ascent_begins_along_the_gradient_and_ends_at_the_sentence():
    """cos(w, x) = w x / |x| has the gradient g = (w - cos x / |x|) / |x|; Adam's first move is lr g / (|g| + 1e-8)."""
    start, wanted = (torch.randn(1, 3, 4, 4, generator=seeded(i), dtype=torch.float64) for i in (0, 1))
    clip, plain = Flat(wanted), Parametrisation(start, lambda x: x, 0.05)
    way = list(ascend(clip, "", plain, moves=200))
    w, x = clip.wanted.numpy(), start.flatten().numpy()
    cosine = w @ x / np.linalg.norm(x)
    gradient = (w - cosine * x / np.linalg.norm(x)) / np.linalg.norm(x)
    assert len(way) == 201 and torch.equal(way[0].picture, start) and way[0].likeness == pytest.approx(cosine)
    moved = (way[1].picture - start).flatten().numpy()
    np.testing.assert_allclose(way[0].gradient.flatten(), gradient, rtol=1e-9)
    np.testing.assert_allclose(moved, 0.05 * gradient / (np.abs(gradient) + 1e-8), rtol=1e-9)
    assert way[-1].likeness > 0.999 and way[-1].objective == way[-1].likeness
    assert torch.equal(start, plain.start) and not way[-1].picture.requires_grad


def test_crops_are_squares_of_the_picture():
    """Everywhere in it, of 18 to 30 cells of 30; the objective takes these, each as large as the image tower wants."""
    picture, wanted = torch.rand(1, 3, 30, 40, generator=seeded()), torch.randn(1, 3, 4, 4, generator=seeded(1))
    places = random_crops(picture, 400, seeded())
    assert {n for _, _, n in places} == set(range(18, 31))
    assert {top for top, _, _ in places} == set(range(13)) and {left for _, left, _ in places} == set(range(23))
    assert max(top + n for top, _, n in places) == 30 and max(left + n for _, left, n in places) == 40
    space = Flat(wanted)
    parts = [picture[..., top : top + n, left : left + n] for top, left, n in places[:5]]
    small = torch.cat([torch.nn.functional.interpolate(one, (4, 4), mode="bilinear") for one in parts]).flatten(1)
    cosines = torch.nn.functional.cosine_similarity(small, wanted.flatten()[None])
    assert float(similarity(space, picture, places[:5], space.wanted)) == pytest.approx(float(cosines.mean()), abs=1e-6)


def test_parametrisations_draw_pictures(clip):
    waves = spectrum(16, seeded())
    f = np.maximum(np.hypot(np.fft.fftfreq(16)[:, None], np.fft.rfftfreq(16)), 1 / 16)
    z = waves.start.numpy().astype(np.float64)
    expected = np.tanh(np.fft.irfft2((z[..., 0] + 1j * z[..., 1]) / f, norm="ortho"))
    np.testing.assert_allclose(waves.draw(waves.start), expected, atol=1e-6)
    plain = pixels(16, seeded(3))
    np.testing.assert_allclose(plain.draw(plain.start), np.tanh(plain.start.numpy()), atol=1e-6)
    vae, _ = weights.load("emoji/vae")
    latent = codes(vae, 64, seeded())
    assert torch.allclose(latent.draw(latent.start), vae.decode(latent.start).clamp(-1, 1))
    assert waves.draw(waves.start).shape == (1, 3, 16, 16) and latent.draw(latent.start).shape == (1, 3, 64, 64)


@pytest.mark.parametrize("crops", [0, 3])
@pytest.mark.parametrize("kind", ["pixels", "spectrum", "codes"])
def test_the_check_sees_an_ascent_that_begins_otherwise(clip, kind, crops):
    vae, _ = weights.load("emoji/vae")
    parametrisation = {"pixels": pixels, "spectrum": spectrum, "codes": lambda *a: codes(vae, *a)}[kind](64, seeded(1))
    first, second = ascend(clip, "red apple", parametrisation, moves=1, crops=crops, generator=seeded(2))
    assert all(check.ok for check in checks.way_begun(first, second, "red apple", parametrisation, clip))
    back = replace(second, parameters=2 * first.parameters - second.parameters)
    aside = replace(first, gradient=first.gradient.roll(1, 2)), replace(second, parameters=second.parameters.roll(1, 2))
    steeper = replace(first, gradient=1.5 * first.gradient)
    for one, two in ((first, back), aside, (steeper, second)):
        assert not all(check.ok for check in checks.way_begun(one, two, "red apple", parametrisation, clip))


def test_shares_that_are_of_columns_are_seen():
    logits = torch.randn(3, 3, generator=seeded())
    assert checks.competing(logits.softmax(1), logits).ok and not checks.competing(logits.softmax(0), logits).ok


@pytest.mark.parametrize("crops", [0, 2])
def test_a_picture_is_moved_by_the_real_towers(clip, crops):
    """Twice the same; more like the sentence at the end; the objective is of the whole picture, or is not."""
    one, two = (
        list(ascend(clip, "red apple", pixels(64, seeded(1)), moves=12, crops=crops, generator=seeded(2)))
        for _ in range(2)
    )
    assert [a.likeness for a in one] == [b.likeness for b in two] and torch.equal(one[-1].picture, two[-1].picture)
    assert one[-1].likeness > one[0].likeness + 0.3
    assert ([a.objective for a in one] == [a.likeness for a in one]) == (crops == 0)
    with torch.no_grad():
        again = clip.pictures(one[-1].picture)[0] @ clip.words(["red apple"])[0]
    assert one[-1].likeness == pytest.approx(float(again), abs=1e-6)


@pytest.mark.parametrize(
    ("asked", "says"),
    [({"moves": -1}, "moves must be a whole number of at least 0, got -1"), ({"moves": 2, "crops": 1.5}, "crops must")],
)
def test_what_cannot_be_moved_is_refused(clip, asked, says):
    with pytest.raises(ValueError, match=says):
        next(ascend(clip, "red apple", pixels(64, seeded()), **asked))


def test_towers_that_cannot_be_read(tmp_path):
    shutil.copytree(weights.resolve("emoji") / "text_encoder", tmp_path / "text_encoder")
    with pytest.raises(ValueError, match="image_encoder"):
        CLIP.load(tmp_path)
    shutil.copytree(weights.resolve("emoji") / "image_encoder", tmp_path / "image_encoder")
    config = tmp_path / "image_encoder" / "config.json"
    right = json.loads(config.read_text())
    for wrong in (right | {"width": "wide"}, {k: v for k, v in right.items() if k != "logit_scale"}):
        config.write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match="describes no tower of pictures"):
            CLIP.load(tmp_path)
    config.write_text(json.dumps(right | {"layers": 2}))
    with pytest.raises(ValueError, match="image_encoder"):
        CLIP.load(tmp_path)
    config.write_text(json.dumps(right))
    assert CLIP.load(tmp_path).side == 64
