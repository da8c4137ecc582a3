"""Looking into a denoiser: against formulas written out, scipy, scikit-image, and diffusers with blinded skips."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial import distance
from torch import nn

from core import inspection
from core.denoiser import Prediction
from core.mixtures import empirical_denoiser
from core.networks.points import PointNetwork
from core.networks.unet import UNet, UNetConfig
from core.pipeline import ClassToImage
from core.schedule import cosine, linear
from core.toys import mixture
from core.training.points import learn, loss_of, unconditional_denoiser
from core.training.step import training_step


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_three_readings_are_one_error_in_three_units():
    x0, eps, off = draw(3, 1, 4, 4), draw(3, 1, 4, 4, seed=1), draw(3, 1, 4, 4, seed=2)
    a = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    signal, noise = a.sqrt()[:, None, None, None], (1 - a).sqrt()[:, None, None, None]
    said = Prediction.from_eps(signal * x0 + noise * eps, eps + off, a)
    got = inspection.losses(said, x0, eps, a)
    square = off.square().flatten(1).mean(1)
    assert got["eps"] == pytest.approx(square)
    assert got["x0"] == pytest.approx(square * (1 - a) / a)
    assert got["v"] == pytest.approx(square / a)


def test_nearest_and_apart_are_scipys():
    x, data = draw(4, 1, 3, 3), draw(9, 1, 3, 3, seed=1)
    which, far = inspection.nearest(x, data)
    table = distance.cdist(x.flatten(1), data.flatten(1)) / 3
    assert which.tolist() == table.argmin(1).tolist() and far == pytest.approx(table.min(1))
    assert inspection.apart(x) == pytest.approx(distance.pdist(x.flatten(1)).mean() / 3)


def test_members_in_play_are_all_in_pure_noise_and_one_near_the_data():
    data, schedule = draw(20, 1, 6, 6), cosine()
    assert inspection.members_in_play(data[:2], data, 1000, schedule) == pytest.approx(20, rel=0.01)
    assert inspection.members_in_play(data[:2], data, 1, schedule) == pytest.approx(1)
    x_t = inspection.noised(data[0], draw(1, 6, 6, seed=3), [1], schedule)
    assert empirical_denoiser(data, schedule)(x_t, 1).x0 == pytest.approx(data[:1])
    with pytest.raises(ValueError, match="t = 0"):
        inspection.members_in_play(data, data, 0, schedule)


@pytest.mark.parametrize(("name", "reference"), [("ReLU", nn.ReLU()), ("GELU", nn.GELU()), ("SiLU", nn.SiLU())])
def test_derivatives_are_small_differences(name, reference):
    for x in (-1.5, -0.2, 0.7, 3.0):
        ends = [reference(torch.tensor(x + h, dtype=torch.float64)) for h in (1e-6, -1e-6)]
        assert inspection.derivative(name, x) == pytest.approx(float(ends[0] - ends[1]) / 2e-6, abs=1e-6)


def test_group_norm_by_hand():
    x = draw(2, 6, 3, 3) * 4 + 1
    cells = x.reshape(2, 3, -1)
    expected = (cells - cells.mean(2, keepdim=True)) / (cells.var(2, keepdim=True, unbiased=False) + 1e-5).sqrt()
    assert torch.allclose(inspection.group_norm(x, 3), expected.reshape(x.shape))
    with pytest.raises(ValueError, match="4 groups do not divide 6 channels"):
        inspection.group_norm(x, 4)


def test_a_unet_without_its_skips_is_diffusers_with_zeros_in_their_place():
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    config = UNetConfig(block_out_channels=(16, 32), cross_attention_dim=8, attention_head_dim=4, norm_num_groups=8)
    ours = UNet(config).eval()
    theirs = UNet2DConditionModel(
        sample_size=16, block_out_channels=(16, 32), layers_per_block=1, cross_attention_dim=8, attention_head_dim=4,
        norm_num_groups=8, down_block_types=config.down_block_types, up_block_types=config.up_block_types,
    ).eval()  # fmt: skip
    theirs.load_state_dict(ours.state_dict())
    for block in theirs.up_blocks:
        block.register_forward_pre_hook(blinded, with_kwargs=True)
    x, t, words = torch.randn(2, 4, 16, 16), torch.tensor([3, 900]), torch.randn(2, 5, 8)
    with torch.no_grad():
        blind, seeing = ours(x, t, words, skips=False), ours(x, t, words)
        expected = theirs(x, t, words).sample
    assert torch.allclose(blind, expected, atol=1e-5) and not torch.allclose(blind, seeing, atol=1e-2)


def blinded(block, args, kwargs):
    kwargs["res_hidden_states_tuple"] = tuple(torch.zeros_like(left) for left in kwargs["res_hidden_states_tuple"])
    return args, kwargs


def test_a_training_step_is_torchs_sgd():
    torch.manual_seed(0)
    network, schedule = PointNetwork(16), linear()
    x0, eps = draw(5, 2), draw(5, 2, seed=1)
    step = training_step(network, x0, eps, 400, [], schedule, prediction="epsilon")
    twin = PointNetwork(16).double()
    twin.load_state_dict(network.state_dict())
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    x_t = schedule.signal[400] * x0 + schedule.noise[400] * eps

    def loss():
        return (twin(x_t, torch.full((5,), 399)) - eps).square().mean()

    before = loss()
    before.backward()
    optimizer.step()
    there = step.moved(0.1)
    assert step.loss == pytest.approx(before.item()) and step.loss_of(there) == pytest.approx(loss().item())
    assert step.length == pytest.approx(math.sqrt(sum(float(w.grad.square().sum()) for w in twin.parameters())))
    assert all(torch.allclose(a, b) for a, b in zip(there.parameters(), twin.parameters(), strict=True))


def test_a_training_step_refuses():
    def step(t):
        return training_step(PointNetwork(8), draw(1, 2), draw(1, 2), t, [], linear(), prediction="epsilon")

    with pytest.raises(ValueError, match="t must be from 1 to 1000"):
        step(0)
    with pytest.raises(ValueError, match="finite"):
        step(5).moved(math.nan)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_a_small_network_learns_towards_the_floor_and_not_below(prediction):
    data, schedule = mixture("ring of eight"), linear()
    *_, end = learn(data, schedule, prediction=prediction, width=32, steps=300, seed=0)
    floor = loss_of(data.denoiser(schedule), data, schedule, prediction)
    loss = loss_of(unconditional_denoiser(end.network, schedule, prediction), data, schedule, prediction)
    new = loss_of(unconditional_denoiser(PointNetwork(32), schedule, prediction), data, schedule, prediction)
    assert 0.99 * floor < loss < (floor + new) / 2


def test_the_same_seed_trains_the_same_network():
    ends = [
        list(learn(mixture("two moons"), linear(), prediction="epsilon", width=8, steps=20, seed=4))[-1] for _ in "ab"
    ]
    weights = [torch.cat([w.flatten() for w in end.network.parameters()]).numpy() for end in ends]
    assert np.array_equal(*weights)


def test_without_the_data_set_a_model_of_no_class_and_one_step_draws_too(monkeypatch):
    monkeypatch.setattr(inspection.datasets, "at_hand", lambda name: None)
    drawn = inspection.class_pictures(ClassToImage.load("fashion-oneshot"), None)
    assert not drawn.real and drawn.x0.shape[1:] == (1, 28, 28) and drawn.x0.std() > 0.05
