"""Toy data: the shapes they claim to be, and pictures fit to be noised."""

import math

import numpy as np
import pytest
import torch

from core.toys import CLASSES, MIXTURES, PICTURES, along, drawn, mixture, picture


def test_ring_of_eight_is_eight_points_on_a_circle():
    means = mixture("ring of eight").means
    assert torch.allclose(means.norm(dim=1), torch.full((8,), 1.35, dtype=torch.float64))
    gaps = torch.cdist(means, means).topk(2, largest=False).values[:, 1]
    assert torch.allclose(gaps, torch.full((8,), 2 * 1.35 * math.sin(math.pi / 8), dtype=torch.float64))


def test_two_moons_are_scikit_learns():
    """sklearn.datasets.make_moons: (cos, sin) and (1 - cos, 0.5 - sin), shifted and enlarged."""
    means = mixture("two moons").means / 1.15 + torch.tensor([0.5, 0.25])
    upper, lower = means[:48], means[48:] - torch.tensor([1.0, 0.5])
    for moon, side in ((upper, 1), (lower, -1)):
        assert torch.allclose(moon.norm(dim=1), torch.ones(48, dtype=torch.float64))
        assert (side * moon[:, 1] >= -1e-12).all()


def test_swiss_roll_is_even_along_its_length():
    means = mixture("swiss roll").means
    steps = means.diff(dim=0).norm(dim=1)
    assert steps.max() / steps.min() < 1.6


@pytest.mark.parametrize("name", MIXTURES)
def test_points_have_the_size_of_the_noise(name):
    x = mixture(name).sample(20_000, generator=torch.Generator().manual_seed(0))
    middle = 0.12 if name != "one Gaussian" else 0.75
    assert x.mean(0).abs().max() < middle and x.std(0).min() > 0.4 and x.std(0).max() < 1.2


def test_letters_stand_where_their_strokes_do():
    """A is left of B and B of C; A is symmetric, B has a straight back, C is open to the right."""
    a, b, c = mixture("letters").means.view(3, 40, 2)
    assert a[:, 0].max() < b[:, 0].min() and b[:, 0].max() < c[:, 0].min()
    mirrored = torch.stack([-2.6 - a[:, 0], a[:, 1]], 1)
    assert torch.cdist(mirrored, a).amin(1).max() < 0.1
    assert (b[:, 0] - b[:, 0].min() < 1e-6).sum() >= 12 and b[:, 1].max() > 0.8 > -0.8 > b[:, 1].min()
    right = c[c[:, 0] > c[:, 0].mean()]
    assert right[:, 1].abs().min() > 0.3


def test_points_along_strokes():
    """By numpy's interpolation along the length of one line with a bend."""
    corners = torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 1.0]], dtype=torch.float64)
    at = (np.arange(8) + 0.5) / 8 * 4
    wanted = np.stack([np.interp(at, [0, 3, 4], [0, 3, 3]), np.interp(at, [0, 3, 4], [0, 0, 1])], 1)
    assert np.allclose(along([corners], 8), wanted)


def test_drawn_points_are_the_middles_of_gaussians():
    points = [(0.5, 1.0), (-1.0, 0.25), (0.5, 1.0)]
    assert drawn(points).means.tolist() == [list(p) for p in points]


@pytest.mark.parametrize("name", MIXTURES)
def test_every_set_has_its_classes(name):
    assert len(mixture(name).means) % len(CLASSES[name]) == 0


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("size", [28, 64])
def test_pictures(name, size):
    x = picture(name, size)
    assert x.shape == (3 if name == "beach" else 1, size, size) and x.dtype == torch.float32
    assert x.min() >= -1 and x.max() <= 1 and x.std() > 0.2 and torch.equal(x, picture(name, size))


def test_checkerboard_is_the_lectures():
    x = picture("checkerboard", 60)[0]
    assert x[10::20, 10::20].tolist() == [[1, -1, 1], [-1, 1, -1], [1, -1, 1]]


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: picture("mona lisa"), "beach, ball, letter, checkerboard"),
        (lambda: picture("ball", 4), "from 8 to 512, got 4"),
        (lambda: mixture("spiral"), "two moons, ring of eight, swiss roll"),
        (lambda: drawn([]), "two different points"),
        (lambda: drawn([(1.0, 1.0)]), "got 1"),
        (lambda: drawn([(1.0, 1.0), (1.0, 1.0)]), "two different"),
        (lambda: drawn([(1.0, 1.0), (math.nan, 1.0)]), "finite"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(ValueError, match=words):
        make()
