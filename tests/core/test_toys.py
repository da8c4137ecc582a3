"""Toy data: the shapes they claim to be, and pictures fit to be noised."""

import math

import pytest
import torch

from core.toys import MIXTURES, PICTURES, mixture, picture


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
    assert x.mean(0).abs().max() < 0.05 and x.std(0).min() > 0.4 and x.std(0).max() < 1.2


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
        (lambda: picture("ball", 4), "8..512"),
        (lambda: mixture("spiral"), "two moons, ring of eight, swiss roll"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(ValueError, match=words):
        make()
