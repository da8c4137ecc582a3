"""The small classifier against the exact one of the data, and the lecture's problem: trained clean, asked noisy."""

import pytest
import torch

from core.classifier import train_classifier
from core.forward import add_noise
from core.schedule import linear
from core.toys import CLASSES, mixture

SCHEDULE, POINTS = linear(), mixture("two moons")
LABELS = torch.arange(96) * 2 // 96


def draw(n, generator):
    x, which = POINTS.draw(n, generator=generator)
    return x, LABELS[which]


@pytest.fixture(scope="module")
def trained():
    return {
        noisy: train_classifier(
            draw, len(CLASSES["two moons"]), SCHEDULE, noisy=noisy, generator=torch.Generator().manual_seed(0)
        )
        for noisy in (True, False)
    }


def surprise(classifier, t):
    """KL from the exact p(y | x_t) to the classifier's, in nats, over noised data."""
    g = torch.Generator().manual_seed(5)
    x0, _ = draw(2000, g)
    x = add_noise(x0, torch.randn(2000, 2, generator=g), t, SCHEDULE)
    exact = torch.stack([POINTS.log_class(x.double(), t, SCHEDULE, y == LABELS) for y in (0, 1)], 1)
    said = classifier.log_class(x, t)
    assert torch.allclose(said.exp().sum(1), torch.ones(2000).double(), atol=1e-9)
    return float((exact.exp() * (exact - said)).sum(1).mean())


def test_trained_on_noisy_points_it_nears_bayes_rule(trained):
    assert all(surprise(trained[True], t) < 0.03 for t in (200, 400, 700))
    assert trained[True].losses[0] > 0.6 > min(trained[True].losses)


def test_trained_on_clean_points_it_is_right_on_them_and_sure_and_wrong_on_noise(trained):
    assert surprise(trained[False], 1) < 0.01
    assert all(surprise(trained[False], t) > 1 for t in (200, 400, 700))


def test_gradient_by_finite_differences(trained):
    x = torch.randn(10, 2, generator=torch.Generator().manual_seed(1)).double()
    for classifier in trained.values():
        slope = classifier.gradient(x, 300, 1)
        assert not slope.requires_grad
        for d in (0, 1):
            h = torch.zeros(1, 2).double()
            h[0, d] = 1e-5
            rise = (classifier.log_class(x + h, 300) - classifier.log_class(x - h, 300))[:, 1] / 2e-5
            assert torch.allclose(slope[:, d], rise, rtol=1e-4, atol=1e-6)


def test_the_same_seed_trains_the_same_classifier():
    a, b, c = (
        train_classifier(draw, 2, SCHEDULE, noisy=True, steps=5, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert a.losses == b.losses != c.losses


def test_one_class_is_none():
    with pytest.raises(ValueError, match="two classes at least, got 1"):
        train_classifier(draw, 1, SCHEDULE, noisy=True, generator=torch.Generator())
