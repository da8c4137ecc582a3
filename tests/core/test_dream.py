"""Deep Dream against closed forms, scipy's convolutions and differences."""

from dataclasses import replace

import numpy as np
import pytest
import scipy
import torch

from core import checks, weights
from core.dream import RATE, activity, dream, log_probability
from core.networks.classifier import ClassifierConfig, PictureClassifier
from core.photographs import picture

FOLDER = weights.resolve("emoji") / "classifier"


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def judge():
    return weights.load_classifier(FOLDER)[0]


@pytest.fixture(scope="module")
def small():
    """Few channels and two names; batch normalisation as after a training."""
    torch.manual_seed(0)
    network = PictureClassifier(ClassifierConfig(1, (2, 3, 4)), {"name": ["a", "b"], "style": ["c"]})
    for layer in network.body[1::3]:
        for what in (layer.running_mean, layer.running_var, layer.weight.data, layer.bias.data):
            what.copy_(torch.rand(what.shape) + 0.2)
    return network.eval().requires_grad_(False)


def test_a_dream_climbs_as_its_equation_says():
    """Of |x - c|^2 the gradient is 2 (x - c): every pixel goes away from c, each move 0.02 on average, to the edge."""
    start = torch.rand(1, 1, 5, 7, generator=seeded(), dtype=torch.float64) - 0.5
    way = list(dream(lambda x: (x - 0.1).square().sum(), start, moves=600))
    gradient = 2 * (start.numpy() - 0.1)
    np.testing.assert_allclose(way[0].gradient, gradient, rtol=1e-12)
    moved = way[1].picture - start
    np.testing.assert_allclose(moved, RATE * gradient / np.abs(gradient).mean(), rtol=1e-9)
    assert float(moved.abs().mean()) == pytest.approx(RATE) and torch.equal(way[0].picture, start)
    assert way[0].objective == pytest.approx(((start.numpy() - 0.1) ** 2).sum()) and len(way) == 601
    np.testing.assert_array_equal(way[-1].picture, np.where(start.numpy() > 0.1, 1, -1))


def test_a_rolled_picture_has_its_gradient_rolled_back():
    """Weights w of places: the gradient is w rolled the other way, however the picture was rolled; all shifts occur."""
    w = torch.rand(1, 1, 4, 6, generator=seeded(1))
    way = list(dream(lambda x: (w * x).sum(), torch.zeros(1, 1, 4, 6), moves=200, jitter=2, generator=seeded()))
    assert {one.shift for one in way} == {(i, j) for i in range(-2, 3) for j in range(-2, 3)}
    for one in way[:20]:
        np.testing.assert_array_equal(one.gradient[0, 0], np.roll(w[0, 0], tuple(-n for n in one.shift), (0, 1)))
        assert one.objective == pytest.approx(float((w * one.picture).sum()), abs=1e-5)


def test_the_last_places_of_a_plateau_are_kept():
    """Where nothing slopes nothing moves, and no 0 is divided by."""
    start = torch.full((1, 1, 3, 3), 0.3)
    *_, last = dream(lambda x: 0 * x.sum(), start, moves=3)
    assert torch.equal(last.picture, start) and last.objective == 0


def test_a_layer_is_convolution_normalisation_and_relu(small):
    x = torch.rand(1, 1, 16, 16, generator=seeded()) * 2 - 1
    h = x[0].double().numpy()
    for i in range(6):
        conv, norm = small.body[3 * i], small.body[3 * i + 1]
        kernel, stride = conv.weight.double().numpy(), conv.stride[0]
        planes = [
            sum(scipy.signal.correlate2d(plane, one, "same") for plane, one in zip(h, kernels, strict=True)) + float(b)
            for kernels, b in zip(kernel, conv.bias, strict=True)
        ]
        h = np.stack(planes)[:, ::stride, ::stride]
        mean, var, scale, shift = (
            t.double().numpy()[:, None, None] for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        h = np.maximum((h - mean) / np.sqrt(var + 1e-5) * scale + shift, 0)
        assert float(activity(small, i + 1)(x)) == pytest.approx((h**2).mean(), rel=1e-5)
        np.testing.assert_allclose(small.activations(x, i + 1)[0], h, atol=1e-5)
    logits = np.concatenate([h.mean((1, 2)), h.max((1, 2))]) @ small.head.weight.double().numpy().T
    logits = (logits + small.head.bias.double().numpy())[:2]
    expected = scipy.special.log_softmax(logits)
    found = [float(log_probability(small, name)(x)) for name in "ab"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("what", [1, 5, "rose"])
def test_the_check_sees_a_dream_that_begins_otherwise(judge, what):
    grows = log_probability(judge, what) if isinstance(what, str) else activity(judge, what)
    x = (2 * picture("cat", 64) - 1).float()[None]
    first, second = dream(grows, x, moves=1, jitter=2, generator=seeded(3))
    assert first.shift != (0, 0) and all(check.ok for check in checks.dreamt(first, second, judge, what))
    wrong = (
        (replace(first, objective=1.01 * first.objective), second),
        (replace(first, gradient=1.5 * first.gradient), second),
        (replace(first, gradient=first.gradient.roll(1, 2)), second),
        (first, replace(second, picture=2 * first.picture - second.picture)),
        (first, first),
    )
    for one, two in wrong:
        assert not all(check.ok for check in checks.dreamt(one, two, judge, what))


def test_a_classifier_of_clean_pictures_sees_what_is_not_there(judge):
    """After a few moves it is sure of a rose, in a picture that scikit-image finds hardly changed."""
    from skimage.metrics import structural_similarity

    x = (2 * picture("cat", 64) - 1).float()[None]
    way = list(dream(log_probability(judge, "rose"), x, moves=5, jitter=2, generator=seeded()))
    before, after = (one.picture[0].numpy() for one in (way[0], way[-1]))
    assert np.exp(way[0].objective) < 0.01 and np.exp(way[-1].objective) > 0.9
    assert structural_similarity(before, after, channel_axis=0, data_range=2) > 0.75
    assert judge.answers["name"][int(judge(x)[0].argmax())] != "rose"


def test_what_cannot_be_dreamt_is_refused(judge, tmp_path):
    x = torch.zeros(1, 3, 16, 16)
    for layer in (0, 7, 1.5, True):
        with pytest.raises(ValueError, match="layer must be a whole number from 1 to 6"):
            activity(judge, layer)
    with pytest.raises(ValueError, match="knows 1,379 names, and 'qwx' is none"):
        log_probability(judge, "qwx")
    for more in ({"moves": -1}, {"moves": 2, "jitter": 0.5}):
        with pytest.raises(ValueError, match="must be a whole number of at least 0"):
            next(dream(activity(judge, 1), x, **more))
    (tmp_path / "config.json").write_text('{"widths": [4], "answers": {"name": ["a"]}}')
    with pytest.raises(ValueError, match="describes no classifier"):
        weights.load_classifier(tmp_path)
