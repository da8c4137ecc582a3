"""The training loop against closed forms and torch's own schedulers; every recipe run for a moment, end to end."""

import csv
import json
import math
import os
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from itertools import count, islice
from pathlib import Path
from types import SimpleNamespace

import diffusers
import numpy as np
import pytest
import scipy
import skimage.metrics
import torch
from PIL import Image, ImageDraw
from torch import nn

from core import datasets, weights
from core.denoiser import Prediction
from core.mixtures import GaussianMixture
from core.networks.classifier import ClassifierConfig
from core.networks.layers import timestep_embedding
from core.networks.unet import UNet, UNetConfig
from core.networks.vae import VAE, VAEConfig
from core.pipeline import ClassToImage, TextToImage
from core.samplers import SAMPLERS
from core.schedule import linear, scaled_linear
from core.training import __main__ as command
from core.training import batches, compose, evaluate, loop, prepare
from core.training.evaluate import Asked, frechet_distance, spread
from core.training.loop import Denoising, TrainConfig, optimizers_of, schedule_lr, train
from core.training.objectives import Contrast, Reconstruction
from core.training.recipes import RECIPES, CLIPConfig
from core.training.runs import Labels, prepare_run

SCHEDULE = scaled_linear()


class Points(nn.Module):
    """A small network for points in the plane, called as the U-Net is."""

    def __init__(self, width=64):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2 + 32, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.head = nn.Linear(width, 2)

    def forward(self, x, t):
        return self.head(self.body(torch.cat([x, timestep_embedding(t, 32)], dim=1)))


MIXTURE = GaussianMixture(
    torch.tensor([[1.5, 0.5], [-1.0, -1.0], [-0.5, 1.5]]), torch.tensor([0.1, 0.15, 0.1]), torch.ones(3) / 3
)


def draws(n, seed):
    g = torch.Generator().manual_seed(seed)
    while True:
        which = torch.randint(3, (n,), generator=g)
        yield (MIXTURE.means[which] + MIXTURE.stds[which, None] * torch.randn(n, 2, generator=g)).float()


@pytest.mark.parametrize(
    "prediction, optimizer, lr",
    [
        ("epsilon", "adamw", 5e-3),
        ("sample", "adamw", 5e-3),
        ("v_prediction", "adamw", 5e-3),
        ("v_prediction", "muon", 2e-2),
    ],
)
def test_training_beats_saying_nothing_and_not_the_best_possible(prediction, optimizer, lr):
    """The least possible loss is that of the exact posterior mean; a constant is what no training gives."""
    torch.manual_seed(0)
    config = TrainConfig(
        lr=lr, steps=400, warmup=20, prediction=prediction, ema=0.95, bf16=False, weight_decay=0, optimizer=optimizer
    )
    stream = ((x,) for x in draws(256, 0))
    *_, end = train(Points(), stream, SCHEDULE, config)
    assert (end.step, end.pictures) == (400, 400 * 256)

    x0, g = next(draws(20_000, 99)), torch.Generator().manual_seed(1)
    exact, found, nothing = 0.0, 0.0, 0.0
    for t in range(10, 1001, 55):
        alpha_bar = float(SCHEDULE.alpha_bar[t])
        eps = torch.randn(x0.shape, generator=g)
        x_t = alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * eps
        best = MIXTURE.denoiser(SCHEDULE)(x_t, t)
        target, answer = {
            "epsilon": (eps, best.eps),
            "sample": (x0, best.x0),
            "v_prediction": (
                alpha_bar**0.5 * eps - (1 - alpha_bar) ** 0.5 * x0,
                alpha_bar**0.5 * best.eps - (1 - alpha_bar) ** 0.5 * best.x0,
            ),
        }[prediction]
        with torch.no_grad():
            ours = end.network(x_t, torch.full((len(x_t),), t - 1))
        exact += float((answer - target).square().mean())
        found += float((ours - target).square().mean())
        nothing += float((target - target.mean(0)).square().mean())
    assert exact * 0.99 < found < exact + (nothing - exact) / 2


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_targets_are_those_of_diffusers(prediction):
    theirs = diffusers.DDPMScheduler(beta_schedule="linear", num_train_timesteps=1000)
    objective = Denoising(nn.Identity(), linear(), prediction)
    torch.manual_seed(0)
    x0, words = torch.randn(64, 4, 3, 3), torch.randn(64, 2, 5)
    x_t, t, target, same = objective.draw(x0, words)
    assert same is words and t.shape == (64,) and 0 <= t.min() < 100 and 900 < t.max() <= 999
    alpha_bar = theirs.alphas_cumprod[t][:, None, None, None]
    eps = target if prediction == "epsilon" else (x_t - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()
    assert abs(eps.mean()) < 0.1 and abs(eps.std() - 1) < 0.1
    assert torch.allclose(theirs.add_noise(x0, eps, t), x_t, atol=1e-3)
    wanted = {"epsilon": eps, "sample": x0, "v_prediction": theirs.get_velocity(x0, eps, t)}[prediction]
    assert torch.allclose(target, wanted, atol=2e-3)


def test_every_time_is_drawn_and_the_loss_is_a_mean_square():
    schedule = linear(T=4, beta_1=0.1, beta_T=0.4)
    times = []

    class Zero(nn.Module):
        def forward(self, x, t):
            times.extend(t.tolist())
            return torch.zeros_like(x)

    objective = Denoising(Zero(), schedule, "epsilon")
    torch.manual_seed(0)
    drawn = objective.draw(torch.zeros(4000, 3))
    loss = objective(*drawn)
    assert sorted(set(times)) == [0, 1, 2, 3] and min(times.count(t) for t in range(4)) > 900
    assert loss.item() == pytest.approx(np.mean(drawn[2].numpy() ** 2), rel=1e-5)


@pytest.mark.parametrize("late", [0.0, 1.0, 2.5])
def test_times_are_drawn_as_often_as_a_power_of_them(late):
    """t / T has the beta distribution with a = 1 + late and b = 1."""
    objective = Denoising(nn.Identity(), linear(T=1000), "epsilon", torch.Generator().manual_seed(0), late=late)
    _, t, _ = objective.draw(torch.zeros(5000, 1))
    assert scipy.stats.kstest((t.numpy() + 0.5) / 1000, scipy.stats.beta(1 + late, 1).cdf).pvalue > 0.01


def test_some_are_told_their_words_by_cross_attention_alone():
    """A share as asked for, and the network is told which; without one it is told nothing more."""

    class Zero(nn.Module):
        def forward(self, x, t, words, pooled):
            assert words.shape == (4000, 2, 3) and pooled.dtype == torch.bool
            self.told = pooled
            return torch.zeros_like(x)

    x0, words = torch.zeros(4000, 1), torch.zeros(4000, 2, 3)
    network = Zero()
    objective = Denoising(network, linear(), "epsilon", torch.Generator().manual_seed(0), unpooled=0.25)
    objective(*objective.draw(x0, words))
    assert scipy.stats.binomtest(int((~network.told).sum()), 4000, 0.25).pvalue > 0.01
    assert len(Denoising(network, linear(), "epsilon").draw(x0, words)) == 4


def test_learning_rate_is_that_of_torch():
    """Linear warm-up, plateau, cosine: torch's three schedulers in a row."""
    steps, warmup, hold = 60, 10, 0.5
    config = TrainConfig(lr=0.01, steps=steps, warmup=warmup, hold=hold, bf16=False)
    ours = [p.lr for p in train(Points(4), ((x,) for x in draws(4, 0)), SCHEDULE, config)]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.01)
    kinds = torch.optim.lr_scheduler
    scheduler = kinds.SequentialLR(
        optimizer,
        [
            kinds.LinearLR(optimizer, 1 / warmup, 1.0, warmup - 1),
            kinds.ConstantLR(optimizer, 1.0),
            kinds.CosineAnnealingLR(optimizer, T_max=steps - int(steps * hold)),
        ],
        milestones=[warmup, int(steps * hold)],
    )
    theirs = []
    for _ in range(steps):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert np.allclose(ours, theirs, rtol=1e-6)
    assert schedule_lr(10_000, 1.0, config) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("units", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_muon_steps_along_singular_directions_alone(layout, units, monkeypatch):
    """A kernel moves as torch's Muon moves it as a matrix, on CPUs without bfloat16 units as in numpy's full precision;
    the first step is nearly U V^T of its gradient U S V^T."""
    monkeypatch.setattr(loop, "bf16_units", lambda: units)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(32, 24, 3), nn.Conv2d(24, 4, 3)).to(memory_format=layout)
    kernel, gradient = network[0].weight, torch.randn(24, 32, 3, 3)
    before, alone = kernel.detach().clone(), nn.Parameter(kernel.detach().contiguous().flatten(1).clone())
    muon, adamw = optimizers_of(network, TrainConfig(steps=1, optimizer="muon"))
    same = torch.optim.Muon([alone], 1e-3, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    kernel.grad, alone.grad = gradient.to(memory_format=layout), gradient.flatten(1).clone()
    muon.step()
    same.step()
    wanted = alone.detach()
    if not units:  # Jordan et al.'s five steps, by hand
        x = gradient.flatten(1).double().numpy()
        x /= np.linalg.norm(x)
        for _ in range(5):
            square = x @ x.T
            x = 3.4445 * x + (2.0315 * square @ square - 4.7750 * square) @ x
        wanted = before.contiguous().flatten(1) * (1 - 1e-5) - 1e-3 * 0.2 * math.sqrt(32 * 9) * torch.from_numpy(x)
    assert torch.allclose(kernel.detach().contiguous().flatten(1), wanted.float(), atol=1e-6 if units else 1e-7)
    moved = (before - kernel.detach() - 1e-5 * before).contiguous().flatten(1)
    stretch = torch.linalg.svdvals(moved) / (1e-3 * 0.2 * math.sqrt(32 * 9))
    u, _, vh = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
    assert stretch.min() > 0.6 and stretch.max() < 1.3
    assert torch.cosine_similarity(moved.flatten(), (u @ vh).flatten(), dim=0) > 0.97
    thin = [weight for group in adamw.param_groups for weight in group["params"]]
    assert {id(weight) for weight in thin} == {id(weight) for weight in network.parameters()} - {id(kernel)}


def test_what_is_kept_is_a_running_mean():
    """w <- k w + (1 - k) w_now with k = min(ema, (1 + step) / (10 + step)), step by step in numpy."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))

    class Objective(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, x):
            return (self.network(x) - x).square().mean()

    from core.training.loop import fit

    mean = {k: p.detach().numpy().astype(np.float64) for k, p in network.named_parameters()}
    config = TrainConfig(lr=0.1, steps=8, warmup=1, ema=0.3, bf16=False)
    for step, progress in enumerate(fit(network, Objective(), ((x,) for x in draws(16, 0)), config)):
        keep = min(0.3, (1 + step) / (10 + step))
        for key, p in network.named_parameters():
            mean[key] = keep * mean[key] + (1 - keep) * p.detach().numpy()
            assert np.allclose(dict(progress.network.named_parameters())[key].numpy(), mean[key], atol=1e-6)
        assert torch.equal(progress.network[1].running_mean, network[1].running_mean)
        assert progress.network is not network and not torch.equal(progress.network[0].weight, network[0].weight)
    assert step == 7 and min(0.3, 1 / 10) == 0.1  # so that both halves of the rule were met


def test_training_ends_with_its_time_or_its_batches(monkeypatch):
    """By a clock that is two hundredths of a second further on at every look, two looks a step."""
    config = TrainConfig(minutes=1 / 60, warmup=1, bf16=False)
    clock = count()
    with monkeypatch.context() as patched:
        patched.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(clock) / 50))
        run = list(train(Points(4), ((x,) for x in draws(4, 0)), SCHEDULE, config))
    assert len(run) == 25 and run[0].seconds_left == pytest.approx(0.96)
    assert run[0].seconds_left > run[-1].seconds_left > -0.05
    assert run[0].lr == config.lr and run[-1].lr < 0.5 * config.lr
    few = list(train(Points(4), ((x,) for x in islice(draws(4, 0), 3)), SCHEDULE, TrainConfig(steps=10, bf16=False)))
    assert [p.step for p in few] == [1, 2, 3] and [p.pictures for p in few] == [4, 8, 12]
    assert all(math.isfinite(p.loss) and p.pictures_per_second > 0 for p in few)


TWO_PROCESSES = """
import sys, time
from itertools import count
import torch
from torch import distributed as dist, nn
from core.training.loop import TrainConfig, fit

class Line(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, y):
        return (self.network(x) - y).square().mean()

def batches(numbers):
    for i in numbers:
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(i))
        time.sleep(0.005)
        yield x[rank::world], x[rank::world, :2].sin()

out, rank, world = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if world > 1:
    dist.init_process_group("gloo", init_method=f"file://{out}/meeting", rank=rank, world_size=world)
torch.manual_seed(rank)  # the processes begin with other weights: the first one's count
network, config = nn.Linear(3, 2), TrainConfig(lr=0.05, steps=6, warmup=2, bf16=False)
*_, end = fit(network, Line(network), batches(range(6)), config)
timed, real, start = nn.Linear(3, 2), time.monotonic, time.monotonic()
if rank == 1:
    time.monotonic = lambda: start + 2 * (real() - start)  # a clock that runs fast
*_, last = fit(timed, Line(timed), batches(count()), TrainConfig(lr=0.05, minutes=1 / 60, warmup=2, bf16=False))
torch.save(
    [network.state_dict(), end.network.state_dict(), end.pictures, timed.state_dict(), last.step, last.lr],
    f"{out}/{rank}-{world}.pt",
)
"""


def test_two_processes_learn_as_one(tmp_path, monkeypatch):
    """Half a batch in each of two processes is the whole batch in one; by the clock, both take the same steps."""
    script = tmp_path / "script.py"
    script.write_text(TWO_PROCESSES)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    two = [subprocess.Popen([sys.executable, str(script), str(tmp_path), rank, "2"], env=environment) for rank in "01"]
    monkeypatch.setattr(sys, "argv", ["script.py", str(tmp_path), "0", "1"])
    runpy.run_path(str(script))
    try:
        assert [process.wait(timeout=300) for process in two] == [0, 0]
    finally:
        for process in two:
            process.kill()
    first, second, whole = (torch.load(tmp_path / f"{name}.pt") for name in ("0-2", "1-2", "0-1"))
    for key in ("weight", "bias"):
        assert torch.allclose(first[0][key], whole[0][key], atol=1e-5)
        assert torch.equal(first[0][key], second[0][key])
        assert torch.allclose(first[1][key], whole[1][key], atol=1e-5)  # the running mean
        assert torch.equal(first[3][key], second[3][key])
    assert first[2] == whole[2] == 48
    assert first[4:] == second[4:] and first[4] > 5


@pytest.mark.parametrize(
    "bad, words",
    [
        ({}, "give either steps or minutes, got steps=None and minutes=None"),
        ({"steps": 3, "minutes": 1.0}, "got steps=3 and minutes=1.0"),
        ({"steps": 3, "prediction": "score"}, "unknown prediction 'score'; known are epsilon, sample, v_prediction"),
        ({"steps": 0}, "must be above 0 and warmup at least 1, got steps=0"),
        ({"minutes": 0.0}, "got steps=None, minutes=0.0"),
        ({"steps": 3, "warmup": 0}, "warmup=0"),
        ({"steps": 3, "optimizer": "sgd"}, "unknown optimizer 'sgd'; known are adamw, muon"),
    ],
)
def test_configs_that_make_no_sense(bad, words):
    with pytest.raises(ValueError, match=words):
        TrainConfig(**bad)


def test_contrast_is_that_of_open_clip():
    from open_clip.loss import ClipLoss

    torch.manual_seed(0)
    image, text = (nn.functional.normalize(torch.randn(6, 8), dim=1) for _ in range(2))

    class Towers(nn.Module):
        def forward(self, images, tokens):
            return images, tokens, torch.tensor(14.0)

    wanted = ClipLoss()(image, text, torch.tensor(14.0))
    assert Contrast(Towers())(image, text).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_reconstruction_is_the_sum_it_says():
    torch.manual_seed(0)
    vae = VAE(VAEConfig(block_out_channels=(8,), norm_num_groups=4, patch_size=4))
    x = torch.rand(2, 3, 8, 8) * 2 - 1
    _, noise = Reconstruction(vae).draw(x)
    assert noise.shape == (2, 4, 2, 2)
    mean, log_var = vae.moments(x)
    posterior = torch.distributions.Normal(mean, (log_var / 2).exp())
    y = vae.reconstruct(mean + posterior.stddev * noise)
    d = (y - x).detach().numpy()
    edges = np.abs(np.diff(d, axis=3)).mean() + np.abs(np.diff(d, axis=2)).mean()
    kl = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0, 1)).mean().item()
    wanted = np.abs(d).mean() + 2 * (d**2).mean() + 0.5 * edges + 2e-3 * kl
    assert Reconstruction(vae)(x, noise).item() == pytest.approx(wanted, rel=1e-5)


# ---- pictures and captions


def test_composite_is_that_of_pillow():
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 256, (3, 4, 16, 16), dtype=np.uint8)
    colours = np.array([[255, 255, 255], [56, 108, 214], [24, 24, 24]], dtype=np.uint8)
    ours = datasets.composite(torch.from_numpy(rgba), torch.from_numpy(colours))
    for i in range(3):
        ground = Image.new("RGBA", (16, 16), (*colours[i].tolist(), 255))
        ground.alpha_composite(Image.fromarray(rgba[i].transpose(1, 2, 0).copy(), "RGBA"))
        theirs = np.asarray(ground)[..., :3].transpose(2, 0, 1) / 127.5 - 1
        assert np.abs(ours[i].numpy() - theirs).max() <= 1.01 / 127.5  # Pillow rounds to whole levels
    assert ours.shape == (3, 3, 16, 16) and ours.dtype == torch.float32 and ours.abs().max() <= 1


def disc(side=64, radius=16, centre=(32, 32), colour=(200, 40, 30)):
    y, x = np.mgrid[:side, :side]
    inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
    return torch.from_numpy(np.stack([np.full((side, side), c) for c in colour] + [255 * inside]).astype(np.uint8))


@pytest.mark.parametrize("flip", [False, True])
def test_augment_moves_scales_and_mirrors_and_keeps_colours(flip):
    """A disc stays a disc of its colour; its area says the scale, its centre the shift."""
    n = 200
    rgba = disc(centre=(40, 32)).repeat(n, 1, 1, 1)
    rgba[:, :3][(rgba[:, 3:] == 0).expand(-1, 3, -1, -1)] = 255  # what is invisible must not bleed in
    out = batches.augment(rgba, torch.Generator().manual_seed(0), flip=flip)
    assert out.shape == rgba.shape and out.dtype == torch.uint8
    alpha = out[:, 3].double() / 255
    visible = (alpha > 0.1)[:, None].expand(-1, 3, -1, -1)
    colour = torch.tensor([200, 40, 30])[None, :, None, None].expand(n, 3, 64, 64)
    assert (out[:, :3][visible].int() - colour[visible]).abs().max() <= 10  # alpha of 1/10 is rounded to 1/255
    area = (rgba[0, 3] > 0).sum()
    scale = (alpha.sum((1, 2)) / area).sqrt()
    assert 0.87 < scale.min() < 0.91 and 1.01 < scale.max() < 1.05
    place = torch.arange(64) - 31.5
    x = (alpha * place).sum((1, 2)) / alpha.sum((1, 2))
    y = (alpha * place[:, None]).sum((1, 2)) / alpha.sum((1, 2))
    before = 40 - 31.5
    shift_y, shift_x = (y / scale) - 0.5, x.abs() / scale - before
    assert 2 < shift_y.abs().max() < 3.3 and 2 < shift_x.abs().max() < 3.5
    mirrored = (x < 0).float().mean()
    assert (0.35 < mirrored < 0.65) if flip else mirrored == 0
    still = batches.augment(rgba[:9], torch.Generator().manual_seed(0), flip=False, move=0)
    assert torch.equal(still, still[:1].expand_as(still))


def test_pictures_over_their_backgrounds():
    images = torch.stack([disc(radius=r) for r in (8, 10, 12, 14)])
    g = torch.Generator().manual_seed(0)
    grounds = []
    for x, which, ground in islice(
        batches.pictures(images, 50, g, flip=False, white=0.4, chosen=torch.tensor([1, 3])), 20
    ):
        assert x.shape == (50, 3, 64, 64) and set(which.tolist()) == {1, 3}
        corner = ((x[:, :, 0, 0] + 1) * 127.5).round()
        assert torch.equal(corner, batches.COLOURS[ground].float())
        grounds.extend(ground.tolist())
    share = grounds.count(0) / len(grounds)
    assert abs(share - (0.4 + 0.6 / 10)) < 0.05 and len(set(grounds)) == 10
    _, which, _ = next(batches.pictures(images, 0, g, flip=False, white=0.5, every=True))
    assert which.tolist() == [0, 1, 2, 3]


def test_disguised_pictures_keep_their_shapes():
    """Grey ones keep even their colours, but for blur and noise; of the others half are mixed by one matrix each."""
    g = torch.Generator().manual_seed(0)
    grey = 2 * torch.rand(400, 1, 1, 1, generator=g).expand(400, 3, 16, 16) - 1
    seen, mixed = batches.disguise(grey, g)
    assert 150 < mixed.sum() < 250
    same = (seen.mean((2, 3)) - grey.mean((2, 3))).abs().amax(1) < 0.05  # the mean of 256 times 0.1 N(0, 1)
    assert same[~mixed].all() and same[mixed].float().mean() > 0.75
    noise = (seen - grey).std((1, 2, 3))[same]
    assert scipy.stats.kstest(10 * noise.numpy(), "uniform").pvalue > 0.01

    halves = (
        torch.where(torch.arange(16) < 8, 1.0, -1.0).expand(400, 3, 16, 16) * torch.tensor([1, 0.3, 0.1])[:, None, None]
    )
    seen, mixed = batches.disguise(halves, g)
    left, right = (seen[..., part].mean((2, 3)) for part in (slice(0, 4), slice(12, 16)))
    assert (left + right).abs().max() < 0.15  # a linear map of opposite colours
    moved = (left - halves[:, :, 0, 0]).abs().amax(1) > 0.1
    assert not moved[~mixed].any() and moved[mixed].float().mean() > 0.6
    edge = (seen[..., 7] - seen[..., 8]).mean(2).abs().amax(1) / (left - right).abs().amax(1)  # 1 sharp, 1/3 blurred
    assert edge.min() > 0.25 and 0.35 < (edge > 0.95).float().mean() < 0.7


def test_captions_name_every_background_but_white():
    rng = np.random.default_rng(0)
    kinds = set()
    for background in datasets.BACKGROUNDS:
        for style in batches.STYLES:
            for _ in range(20):
                said = batches.caption("red apple", ("fruit", "food", "green"), style, background, rng)
                assert said and said == said.strip() and "  " not in said
                if background != "white":
                    assert f"{background} background" in said
                assert all(f"{other} background" not in said for other in datasets.BACKGROUNDS if other != background)
                assert all(f"{v} style" not in said for k, v in batches.STYLES.items() if k != style)
                kinds.add(("style" in said, "background" in said, "red apple" in said, "," in said))
    assert len(kinds) > 10
    without = [batches.caption("cat", (), "noto", "white", rng) for _ in range(50)]
    assert all("cat" in said or bare("noto style", said) for said in without)


def bare(style, said):
    """Whether a caption says this style, perhaps a white background, and nothing else."""
    return style in said and not re.sub(rf"{style}|(on a )?white background|[ ,]", "", said)


def test_captions_name_the_style_mostly_and_sometimes_nothing_else():
    n, rng = 4000, np.random.default_rng(0)
    said = [batches.caption("cat", (), "fluent3d", "white", rng) for _ in range(n)]
    styled, alone = (
        sum(map(kind, said)) / n for kind in (lambda one: "fluent 3d style" in one, lambda one: "cat" not in one)
    )
    assert all("cat" in one or bare("fluent 3d style", one) for one in said)
    for share, expected in ((styled, 0.9), (alone, 0.9 * 0.12)):
        assert abs(share - expected) < 4 * (expected / n) ** 0.5


def test_captions_of_people_name_their_keywords_more_often():
    """ "nurse" is no name but a keyword: so that it is learnt, people's names give way to keywords more often."""
    thing = 1 - 0.9 * 0.12  # the others say a style alone
    n, shares = 4000, {"People": 0.35 * thing, "Objects": 0.2 * thing}
    data = datasets.Emoji(
        images=torch.zeros(2, 4, 64, 64, dtype=torch.uint8), names=("worker", "syringe"), styles=("noto", "noto"),
        keywords=(("nurse",), ("nurse",)), groups=tuple(shares),
    )  # fmt: skip
    for i, (group, share) in enumerate(shares.items()):
        which, ground = torch.full((n,), i), torch.zeros(n, dtype=torch.long)
        said = batches.captions(data, which, ground, np.random.default_rng(i))
        assert abs(sum("nurse" in one for one in said) / n - share) < 4 * (share / n) ** 0.5, group


# ---- whole recipes, made small

NAMES = ("red apple", "cat face", "rocket", "pizza", "blue heart")
SMALL_FASHION = UNetConfig(
    sample_size=28, in_channels=1, out_channels=1, block_out_channels=(8, 16), cross_attention_dim=11,
    norm_num_groups=4,
)  # fmt: skip
SIZES = {
    "emoji-clip": CLIPConfig(
        embed_dim=16, patch_size=32, vision_width=64, vision_layers=1, text_width=32, text_layers=1, text_heads=2
    ),
    "emoji-vae": VAEConfig(
        block_out_channels=(32,), patch_size=8, mid_block_add_attention=False, norm_num_groups=8
    ),
    "emoji-unet": UNetConfig(
        sample_size=8, block_out_channels=(16, 32), cross_attention_dim=32, norm_num_groups=8,
        addition_embed_type="text", addition_embed_type_num_heads=4,
    ),
    "emoji-classifier": ClassifierConfig(widths=(4, 8, 8)),
    "fashion-unet": SMALL_FASHION,
    "fashion-oneshot": replace(SMALL_FASHION, cross_attention_dim=1),
    "fashion-classifier": ClassifierConfig(in_channels=1, widths=(4, 8, 8)),
}  # fmt: skip


@pytest.fixture(scope="module")
def emoji_folder(tmp_path_factory):
    """Drawn pictures of five names in four styles, in the layout of the emoji data set, with rows it must pass over."""
    folder = tmp_path_factory.mktemp("data")
    colours = ["red", "tan", "silver", "orange", "blue"]  # none is a background's
    rows, images = [], []
    for number, style in enumerate(("noto", "blob", "fx", "twemoji")):
        for shift in range(3):
            for name, colour in zip(NAMES, colours, strict=True):
                picture = Image.new("RGBA", (64, 64))
                pen, box = ImageDraw.Draw(picture), (10 + 3 * shift, 12, 46 + 3 * shift, 48 + number)
                (pen.ellipse if NAMES.index(name) % 2 else pen.rectangle)(box, fill=colour)
                images.append(np.asarray(picture))
                rows.append((name.title(), "thing|small one", "Objects", style, ""))
    images += [np.zeros((64, 64, 4), np.uint8)] * 3
    rows += [("Flag", "", "Flags", "noto", ""), ("Cat", "", "Animals", "noto", "dark skin"),
             ("Pizza", "food", "Food", "fluentcolor", "")]  # fmt: skip
    np.savez(folder / "emoji64.npz", images=np.stack(images))
    with open(folder / "emoji64.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "codepoints", "char", "name", "keywords", "group", "style", "variant"])
        writer.writerows((i, "1F34E", "?", *row) for i, row in enumerate(rows))
    return folder


@pytest.fixture(scope="module")
def small_recipes():
    with pytest.MonkeyPatch.context() as patch:
        for name, network in SIZES.items():
            recipe = RECIPES[name]
            train, defaults = (
                recipe.train | {"warmup": 2},
                recipe.defaults | {"steps": min(4, recipe.defaults.get("steps", 4))},
            )
            small = replace(recipe, network=network, train=train, batch=8, defaults=defaults)
            patch.setitem(RECIPES, name, small)
        yield


def learn(recipe, data, out, *more, steps):
    """Train for so many steps in float32, however busy the machine is and whatever it is quick at: by the loop's clock
    each step takes a tenth of a second."""
    ticks, minutes = count(), str(steps / 10 / 60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(ticks) / 20))  # asked twice a step
        patch.setattr(loop, "bf16_units", lambda: False)
        command.main(
            [recipe, f"--data={data}", f"--out={out}", "--minutes", minutes, "--no-compile", "--device=cpu", *more]
        )


@pytest.fixture(scope="module")
def trained(emoji_folder, small_recipes, tmp_path_factory):
    """The chain of the README's training section: words, pictures, latents, the U-Net."""
    out, prepared = tmp_path_factory.mktemp("runs") / "emoji", tmp_path_factory.mktemp("prepared")
    learn("emoji-clip", emoji_folder, out, steps=120)
    learn("emoji-vae", emoji_folder, out, steps=150)
    data = ["--data", str(emoji_folder), "--model", str(out), "--out", str(prepared)]
    command.main(["prepare", *data, "--variants", "1", "--captions", "2"])
    learn("emoji-unet", prepared, out, steps=150)
    return out, prepared


def test_recipes_leave_a_model_that_loads_and_draws(trained):
    out, _ = trained
    model = TextToImage.load(out, device="cpu")
    *_, end = model.stream("red apple, on a blue background", steps=3, guidance=2.0)
    picture = model.decode(end.x_next)
    assert picture.shape == (1, 3, 64, 64) and picture.isfinite().all() and picture.std() > 0.01
    for part, name in (("unet", "emoji-unet"), ("vae", "emoji-vae"), ("text_encoder", "emoji-clip")):
        _, card = weights.load(out / part)
        assert card.name == name and card.steps > 0 and card.pictures == 8 * card.steps and card.seed == 0
        assert card.recipe["batch"] == 8 and card.recipe["train"]["warmup"] == 2 and len(card.files) == 2
        assert card.recipe["network"] == json.loads(json.dumps(asdict(SIZES[name])))
    assert weights.load(out / "unet")[1].defaults["sampler"] == "dpmpp_2m"  # the tab's own default
    told = {t.text: t.known for t in model.text.tokens("red pizza violin")}
    assert told["red"] and told["pizza"] and not told["violin"]
    for name in ("emoji-vae", "emoji-unet"):
        sheet = Image.open(out / f"{name}.png")
        assert sheet.width == 12 * 64 and sheet.height % 64 == 0
    measured = weights.load(out / "vae")[1].measured
    assert measured["unseen_pictures"] == 2 and measured["psnr_unseen_db"] > 5


def test_latents_have_unit_variance(trained):
    """The card's statistics are those of many pictures: what the U-Net sees is about normal in every channel."""
    _, prepared = trained
    z = prepare.read(prepared).latents.float()
    assert z.shape == (60, 4, 8, 8)
    assert (z.mean((0, 2, 3)).abs() < 0.35).all() and ((z.std((0, 2, 3)) - 1).abs() < 0.3).all()


def test_prepared_captions_come_back_as_the_tower_says_them(trained):
    out, folder = trained
    data = prepare.read(folder)
    text, _ = weights.load(out / "text_encoder")
    captions = len(data.offset) - 1
    prompts = ["", *prepare.SHEET]
    states = text(prompts)
    got = data.context(torch.arange(len(prompts)))
    assert got.shape == states.shape == (9, 77, 32)
    assert torch.allclose(got, states, atol=5e-3)  # half precision
    # the others: words from the ids that were kept with them
    from core.text import tokenizer

    for number in range(len(prompts), captions):
        ids = data.ids[data.offset[number] : data.offset[number + 1]].tolist()
        assert ids[0] == 49406 and ids[-1] == 49407
        prompt = tokenizer().decode(ids[1:-1]).strip()
        assert torch.allclose(data.context(torch.tensor([number])), text([prompt]), atol=5e-3), prompt
    assert data.picture.tolist() == list(range(60))
    assert data.caption.shape == (60, 2) and data.caption.min() >= 1 and data.caption.max() == captions - 1


def test_denoising_batches(trained):
    """Latents go with a caption of their own picture; a tenth goes without any."""
    _, folder = trained
    data = prepare.read(folder)
    empty = data.context(torch.tensor([0]), batches.LONGEST_CAPTION)
    own = [data.context(row, batches.LONGEST_CAPTION) for row in data.caption]
    without = 0
    for z, context in islice(prepare.denoising_batches(data, 50, torch.Generator().manual_seed(0)), 20):
        for one, words in zip(z, context, strict=True):
            if torch.equal(words, empty[0]):
                without += 1
                continue
            row = (data.latents.float() == one).flatten(1).all(1).nonzero()[0, 0]
            assert any(torch.equal(words, said) for said in own[row])
    assert 70 < without < 130


WRITTEN = {"prepared.safetensors", "vae"}


def half_of_a_file(state, path, **options):
    Path(path).write_bytes(b"half of a file")
    raise KeyboardInterrupt


def same(a, b):
    return all(torch.equal(value, getattr(b, name)) for name, value in vars(a).items())


def test_an_interrupted_preparation_leaves_what_was_there(trained, emoji_folder, tmp_path, monkeypatch):
    """Ctrl-C while the latents are written, then while the VAE is."""
    out, prepared = trained
    folder, fresh = tmp_path / "prepared", tmp_path / "fresh"
    shutil.copytree(prepared, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    other = ["prepare", "--data", str(emoji_folder), "--model", str(out), "--variants", "1", "--captions", "1"]
    for module, writer in ((prepare, "save_file"), (shutil, "copytree")):
        with monkeypatch.context() as patch:
            patch.setattr(module, writer, half_of_a_file)
            for place in (folder, fresh):
                with pytest.raises(KeyboardInterrupt):
                    command.main([*other, "--out", str(place)])
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
        assert not list(fresh.iterdir())
    command.main([*other, "--out", str(folder)])
    assert not same(prepare.read(folder), prepare.read(prepared)) and {p.name for p in folder.iterdir()} == WRITTEN


@pytest.mark.parametrize("there", [True, False])
def test_a_file_or_a_folder_is_replaced_when_all_of_it_is_written(tmp_path, there):
    file, folder = tmp_path / "a" / "file", tmp_path / "a" / "folder"
    if there:
        folder.mkdir(parents=True)
        file.write_text("old")
        (folder / "old").write_text("old")

    def write(words):
        with weights.replacing(folder) as new, weights.replacing(file) as one:
            new.mkdir()
            (new / words).write_text(words)
            one.write_text(words)
            assert file.exists() == there and one.name == file.name
            if words == "half":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write("half")
    found = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == ({"a/file": "old", "a/folder/old": "old"} if there else {})
    write("new")
    found = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"a/file": "new", "a/folder/new": "new"} and len(list((tmp_path / "a").iterdir())) == 2


def test_missing_styles_are_drawn_and_added(trained, emoji_folder, tmp_path, monkeypatch):
    """Of the names that lack a style, those that no score asks for are drawn, said in captions and trained on."""
    out, prepared = trained
    folder, fewer = tmp_path / "prepared", tmp_path / "data"
    shutil.copytree(prepared, folder)
    shutil.copytree(emoji_folder, fewer)
    with open(fewer / "emoji64.csv", newline="") as file:
        header, *rows = csv.reader(file)
    # In alphabetical order: styles blob, fx, noto, twemoji; names blue heart (0), cat face (1), pizza (2), ...
    # Asked for are styles i and i + 3 mod 4: of a blue heart blob and twemoji, of a cat face fx and blob.
    gone = [("blue heart", "noto"), ("blue heart", "twemoji"), ("cat face", "twemoji")]
    with open(fewer / "emoji64.csv", "w", newline="") as file:
        csv.writer(file).writerows([header] + [r for r in rows if (r[3].lower(), r[6]) not in gone])
    labels = Labels.of(datasets.emoji(fewer))
    assert compose.missing(labels) == [(0, 2), (1, 3)]
    before = prepare.read(folder)
    options = ["--data", str(fewer), "--model", str(out), "--out", str(folder), "--each", "3", "--often", "2"]
    command.main(["compose", *options])
    after = prepare.read(folder)
    for name, value in vars(before).items():
        assert torch.equal(getattr(after, name)[: len(value)], value), name
    assert after.latents.shape == (66, 4, 8, 8) and after.latents.isfinite().all() and after.caption.shape == (66, 2)
    # 51 pictures, once each, show 18 pairs; two pairs twice as often as one picture, over three latents each.
    assert after.weight[60:].tolist() == pytest.approx([2 * 1.5 * 60 / 51 / 3] * 6)
    assert Image.open(folder / "drawn.png").height % 64 == 0
    text, _ = weights.load(out / "text_encoder")
    from core.text import tokenizer

    new = after.caption[60:].flatten().tolist()
    assert new == list(range(len(before.offset) - 1, len(after.offset) - 1))
    for place, number in enumerate(new):
        ids = after.ids[after.offset[number] : after.offset[number + 1]].tolist()
        prompt = tokenizer().decode(ids[1:-1]).strip()
        assert not {"blob", "fx", "noto" if place >= 6 else "twemoji"} & set(prompt.split()), prompt
        assert torch.allclose(after.context(torch.tensor([number])), text([prompt]), atol=5e-3), prompt
    command.main(["compose", *options[:-3], "1", "--often", "4", "--seed", "1"])
    more = prepare.read(folder)
    assert len(more.latents) == 68 and torch.equal(more.latents[:66], after.latents)
    # Of the four latents of a pair now, three keep three quarters of twice, and one has a quarter of four times.
    assert torch.equal(more.weight[:60], before.weight)
    assert more.weight[60:].tolist() == pytest.approx([2 * 1.5 * 60 / 51 / 4] * 6 + [4 * 1.5 * 60 / 51 / 4] * 2)
    monkeypatch.setattr(compose, "save_file", half_of_a_file)
    with pytest.raises(KeyboardInterrupt):
        command.main(["compose", *options, "--seed", "2"])
    assert same(prepare.read(folder), more) and {path.name for path in folder.iterdir()} == {*WRITTEN, "drawn.png"}
    with pytest.raises(ValueError, match="there is nothing to draw"):
        command.main(["compose", "--data", str(emoji_folder), "--model", str(out), "--out", str(prepared)])


def test_a_style_asked_for_twice(trained):
    """With weight 0 a picture is drawn as ever; with 0.5 the U-Net's four answers are put together as written."""
    out, _ = trained
    model = TextToImage.load(out, device="cpu")
    prompts, seeds = (
        ["kiss: a, b, fx style, on a red background", "red apple, noto style, on a blue background"],
        [4, 5],
    )
    plain = evaluate.walk(
        model, lambda rows: evaluate.asking(model, [prompts[i] for i in rows], 3.0, 0.0), seeds, steps=compose.STEPS
    )
    assert torch.allclose(compose.draw(model, prompts, seeds, 0.0), next(plain))
    told = ["", *prompts, "fx style, on a red background", "noto style, on a blue background"]
    told += ["on a red background", "on a blue background"]
    context = model.text(told)

    def by_hand(x, t):
        v = model.unet(x[[0, 0, 1, 0, 1, 0, 1]], torch.full((7,), t - 1), context)
        none = model.unet(x[1:], torch.full((1,), t - 1), context[:1])
        empty = torch.cat([v[:1], none])
        return Prediction.from_v(x, empty + 3 * (v[1:3] - empty) + v[3:5] - v[5:7], model.schedule.alpha_bar[t])

    x = torch.cat([torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(s)) for s in seeds])
    with torch.no_grad():
        *_, last = SAMPLERS["dpmpp_2m"](by_hand, model.schedule, x, model.schedule.times(compose.STEPS))
    assert torch.allclose(compose.draw(model, prompts, seeds, 0.5), last.x_next, atol=1e-4)


def test_halfway_between_two_trainings(trained, tmp_path):
    """Against numpy's mean of the numbers in the files; the losses on its card are those of the saved weights."""
    out, prepared = trained
    second, middle = tmp_path / "second", tmp_path / "middle"
    learn("emoji-unet", prepared, second, "--resume", str(out), "--lr", "0.01", steps=40)
    command.main(["average", str(out), str(second), "--data", str(prepared), "--out", str(middle), "--share", "0.25"])
    a, b, c = (weights.read_state(folder / "unet") for folder in (out, second, middle))
    assert any(not torch.equal(a[key], b[key]) for key in a)
    for key, value in c.items():
        expected = 0.75 * a[key].numpy().astype(float) + 0.25 * b[key].numpy().astype(float)
        np.testing.assert_allclose(value.numpy(), expected, rtol=1e-3, atol=1e-6)  # saved in float16
    card, of_first = weights.read_card(middle / "unet"), weights.read_card(out / "unet")
    assert card.recipe["averaged"] == {
        "share": 0.25,
        "with": {"steps": of_first.steps, "pictures": of_first.pictures, "seed": of_first.seed},
    }
    job = prepare_run(RECIPES["emoji-unet"], data=str(prepared), out=out, resume=middle, device=torch.device("cpu"))
    assert card.measured == pytest.approx(job.measure(job.network.eval()), rel=0.01)
    with pytest.raises(ValueError, match=r"from 0 to 1, got 1\.5"):
        command.main(["average", str(out), str(second), "--share", "1.5"])
    with pytest.raises(ValueError, match="would lose its own weights"):
        command.main(["average", str(out), str(second), "--out", str(second)])
    (second / "unet" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="are not of one build"):
        command.main(["average", str(out), str(second)])


def test_what_the_words_do(trained):
    """The losses on the card come back from the saved weights; deaf to the words, all are one; and where they enter by
    cross-attention alone, that says as much as both ways."""
    out, prepared = trained
    told = weights.load(out / "unet")[1].measured
    job = prepare_run(RECIPES["emoji-unet"], data=str(prepared), out=out, resume=out, device=torch.device("cpu"))
    again = job.measure(job.network.eval())
    attention = "own_caption_by_attention_alone"
    assert set(again) == {f"loss_with_{name}" for name in ("own_caption", attention, "no_caption", "another_caption")}
    assert {name: told[name] for name in again} == pytest.approx(again, rel=0.01)  # saved in float16
    assert again["loss_with_own_caption"] != again[f"loss_with_{attention}"]
    for part in ("add_embedding.norm2", "attn2.to_v"):
        for name, p in job.network.named_parameters():
            if part in name:
                p.data.zero_()
        found = job.measure(job.network)
        assert found["loss_with_own_caption"] == found[f"loss_with_{attention}"]
    assert len(set(found.values())) == 1


def test_nothing_prepared(tmp_path):
    with pytest.raises(ValueError, match=r"prepared\.safetensors is missing: run `python -m core\.training prepare`"):
        prepare.read(tmp_path)
    (tmp_path / "prepared.safetensors").write_bytes(b"half of a file")
    with pytest.raises(
        ValueError, match=r"prepared\.safetensors is not what `python -m core\.training prepare` writes"
    ):
        prepare.read(tmp_path)


@pytest.mark.parametrize("recipe, part, kind", [("emoji-vae", "vae", VAE), ("emoji-unet", "unet", UNet)])
def test_resuming_starts_from_the_weights(trained, emoji_folder, tmp_path, recipe, part, kind):
    out, prepared = trained
    data = str(emoji_folder if part == "vae" else prepared)
    job = prepare_run(RECIPES[recipe], data=data, out=tmp_path, resume=out, device=torch.device("cpu"))
    saved, _ = weights.load(out / part)
    assert isinstance(saved, kind)
    for key, value in job.network.state_dict().items():
        assert torch.equal(value, saved.state_dict()[key]), key
    learn(recipe, data, tmp_path, "--resume", str(out), "--lr", "1e-9", steps=40)
    for key, value in weights.load(tmp_path / part)[0].state_dict().items():
        assert torch.allclose(value, saved.state_dict()[key], atol=1e-3), key
    fresh = prepare_run(RECIPES[recipe], data=data, out=tmp_path, resume=None, device=torch.device("cpu"))
    assert not torch.equal(next(fresh.network.parameters()), next(job.network.parameters()))


def test_resuming_the_two_towers(trained, emoji_folder, tmp_path):
    out, _ = trained
    job = prepare_run(
        RECIPES["emoji-clip"], data=str(emoji_folder), out=tmp_path, resume=out, device=torch.device("cpu")
    )
    text, card = weights.load(out / "text_encoder")
    for key, value in job.network.text.state_dict().items():
        assert torch.equal(value, text.tower.state_dict()[key]), key
    scale = weights.read_json(out / "image_encoder" / "config.json")["logit_scale"]
    assert job.network.logit_scale.item() == pytest.approx(scale) and scale != pytest.approx(math.log(1 / 0.07))
    job.save(job.network, card)
    again, _ = weights.load(tmp_path / "text_encoder")
    assert again.known[text.known].all() and text.known.sum() > 9  # words that this run has not met, too


def test_what_goes_on_draws_other_noises(trained, tmp_path, monkeypatch):
    """With the same seed: it would learn from what it has learnt from before."""
    out, prepared = trained
    seeds = []
    monkeypatch.setattr(
        "core.training.runs.prepare_run", lambda recipe, **given: seeds.append(recipe.seed) or sys.exit()
    )
    for resume in ([], ["--resume", str(out)]):
        with pytest.raises(SystemExit):
            command.main(["emoji-unet", "--data", str(prepared), "--out", str(tmp_path), "--seed", "3", *resume])
    assert seeds == [3, 3 + weights.read_card(out / "unet").steps] and seeds[1] > seeds[0]


def test_resuming_from_another_size_is_refused(trained, emoji_folder, tmp_path):
    out, _ = trained
    wider = replace(RECIPES["emoji-vae"], network=replace(SIZES["emoji-vae"], block_out_channels=(40,)))
    with pytest.raises(ValueError, match="do not fit its config"):
        prepare_run(wider, data=str(emoji_folder), out=tmp_path, resume=out, device=torch.device("cpu"))


def test_an_interrupted_run_leaves_what_it_last_saved(emoji_folder, small_recipes, tmp_path, monkeypatch):
    """Saving after every step, then Ctrl-C in the middle of the fourth saving."""
    monkeypatch.setattr(command, "EVERY", 0)
    real, calls = weights.save_file, []

    def interrupted(state, path, metadata):
        calls.append(path)
        if len(calls) == 4:
            path.write_bytes(b"half of a file")
            raise KeyboardInterrupt
        real(state, path, metadata=metadata)

    monkeypatch.setattr(weights, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        learn("emoji-vae", emoji_folder, tmp_path, "--sheet-minutes", "60", steps=300)
    network, card = weights.load(tmp_path / "vae")
    assert card.steps == 3 and network.config.latents_std is not None
    assert [path.name for path in tmp_path.iterdir()] == ["vae"]


def test_the_judge(trained, emoji_folder, small_recipes, tmp_path, capsys):
    """A classifier is trained on the real pictures, then says what is right among the drawn ones."""
    out, _ = trained
    learn("emoji-classifier", emoji_folder, tmp_path, "--lr", "0.01", steps=300)
    judge, card = weights.load_classifier(tmp_path / "classifier")
    names = judge.answers["name"]
    assert names == tuple(sorted(NAMES)) and judge.answers["style"] == ("blob", "fx", "noto", "twemoji")
    assert card.measured["name_top5"] == 1 and card.measured["unseen_pictures"] == 5
    emoji = datasets.emoji(emoji_folder)
    x, which, _ = next(
        batches.pictures(emoji.images, 60, torch.Generator().manual_seed(5), flip=False, white=1.0, every=True)
    )
    with torch.no_grad():
        found = judge(x)[0].argmax(1)
    right = [names[f] == emoji.names[i] for f, i in zip(found.tolist(), which.tolist(), strict=True)]
    assert np.mean(right) > 0.5  # chance is 0.2

    classifier = ["--classifier", str(tmp_path / "classifier")]
    where = ["--data", str(emoji_folder)]
    command.main(["evaluate", "emoji", "--folder", str(out), *classifier, *where, "--seeds", "2", "--every", "2"])
    measured = TextToImage.load(out, device="cpu").card.measured
    assert set(measured["prompts"]) == set(NAMES) and measured["seeds"] == 2
    every = measured["names_styles_backgrounds"]
    assert (every["pictures"], every["names"]) == (12, 3)  # of five names every other, two styles, two seeds
    assert every["name"]["all"]["top5"] == 1 >= every["name"]["all"]["top1"]
    for asked in ("name", "style"):  # both counted apart where a training picture shows name and style together
        of = every[asked]
        apart = [of[part] for part in ("known_combinations", "new_combinations") if of[part]]
        assert sum(part["pictures"] for part in apart) == of["all"]["pictures"] == 12
        mean = sum(part["pictures"] * part["top1"] for part in apart) / 12
        assert mean == pytest.approx(of["all"]["top1"], abs=2e-4)
    assert set(every["style"]["all"]) == {"pictures", "top1"}
    assert every["frechet"] > every["frechet_real"] > 0 and every["nearest"]["median"] > 0
    assert all(sum(list(row.values())[1:]) >= row["pictures"] == 50 for row in measured["people"].values())
    assert measured["vae_on_unseen_pictures"]["psnr_unseen_db"] > 0
    assert all(row == {"top1": row["top1"], "top5": 2} for row in measured["prompts"].values())  # of five names
    assert Image.open(out / "sheet.png").size == (2 * 64, 5 * 64)

    # Two guidance scales with two weights of the style each, on the other two names; nothing is written.
    before = (out / "card.json").read_bytes()
    scales = ["--guidance", "1", "3", "--style", "0", "2"]
    command.main(["evaluate", "emoji", "--folder", str(out), *classifier, *where, "--every", "2", *scales])
    rows = [line.partition(": ") for line in capsys.readouterr().out.splitlines() if line.startswith("guidance ")]
    assert [head for head, _, _ in rows] == [f"guidance {s}, style {k}" for s in (1, 3) for k in (0, 2)]
    assert (out / "card.json").read_bytes() == before
    one, same, three, pressed = (json.loads(row) for _, _, row in rows)
    assert one == same and three != pressed  # at 1 no words are pressed, nor is their style
    assert (one["pictures"], one["names"]) == (4, 2) and one != three
    parts = one["name"]["all"]["top5"], one["style"]["all"]["top1"], one["background_within_0.1"]
    assert one["score"] == pytest.approx(np.mean(parts), abs=1e-4)
    for asked in (["emoji"], ["fashion", "--every", "2"]):
        with pytest.raises(SystemExit):
            command.main(["evaluate", *asked, *classifier, "--guidance", "1", "3"])
        assert "on names that are not scored: give --every 2 or more" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main(["evaluate", "emoji", *classifier, "--style", "0", "2"])
    assert "give both" in capsys.readouterr().err


def test_evaluate_measures_the_parts_too(trained, emoji_folder, tmp_path, monkeypatch):
    """Against scikit-image's PSNR and answers counted one by one, with cards that say something else."""
    folder = tmp_path / "emoji"
    shutil.copytree(trained[0], folder)
    untaught = prepare_run(
        RECIPES["emoji-classifier"], data=str(emoji_folder), out=folder, resume=None, device=torch.device("cpu")
    )
    untaught.save(untaught.network, weights.read_card(folder / "vae"))
    for part in ("vae", "text_encoder", "classifier"):
        card = weights.read_json(folder / part / "card.json")
        weights.write_json(folder / part / "card.json", card | {"measured": {"psnr_unseen_db": 99, "name_top1": 0.99}})
    monkeypatch.setattr(evaluate, "PEOPLE", ())
    where = ["--data", str(emoji_folder), "--folder", str(folder), "--classifier", str(folder / "classifier")]
    command.main(["evaluate", "emoji", *where, "--seeds", "1", "--every", "5"])
    measured = weights.read_card(folder).measured

    emoji = datasets.emoji(emoji_folder)
    names, n = sorted(NAMES), len(emoji.images)

    def drawn(white, every):
        kept = torch.tensor([i for i in range(n) if i % every == 7])
        chance = torch.Generator().manual_seed(1)
        return next(batches.pictures(emoji.images, 0, chance, flip=False, white=white, chosen=kept, every=True))

    vae, _ = weights.load(folder / "vae")
    x, _, _ = drawn(0.3, 50)
    y = vae.decode(vae.encode(x)).clamp(-1, 1)
    psnr = [
        skimage.metrics.peak_signal_noise_ratio(a, b, data_range=2) for a, b in zip(x.numpy(), y.numpy(), strict=True)
    ]
    told = measured["vae_on_unseen_pictures"]
    assert told == {"psnr_unseen_db": pytest.approx(np.mean(psnr), abs=0.01), "unseen_pictures": 2}

    text, _ = weights.load(folder / "text_encoder")
    clip = prepare_run(
        RECIPES["emoji-clip"], data=str(emoji_folder), out=folder, resume=folder, device=torch.device("cpu")
    ).network.eval()
    x, which, _ = drawn(1.0, 50)
    from core.text import token_ids

    place = []
    for picture, i in zip(x, which.tolist(), strict=True):
        seen = clip.visual(picture[None])[0]
        alike = [torch.cosine_similarity(seen, clip.text(token_ids([name], 24))[0], dim=0).item() for name in names]
        place.append(sum(one > alike[names.index(emoji.names[i])] for one in alike))
    assert measured["clip_on_unseen_pictures"] == {
        "unseen_picture_to_name_top1": np.mean(np.array(place) < 1), "unseen_picture_to_name_top5": 1,
        "names": 5, "known_tokens": int(text.known.sum()),
    }  # fmt: skip

    judge, _ = weights.load_classifier(folder / "classifier")
    right = []
    for picture, i, ground in zip(*drawn(0.3, 12), strict=True):
        said = [answer[0].argmax().item() for answer in judge(picture[None])]
        said = [names_[k] for names_, k in zip(judge.answers.values(), said, strict=True)]
        right.append(np.equal(said, [emoji.names[i], emoji.styles[i], list(datasets.BACKGROUNDS)[ground]]))
    told = measured["classifier_on_unseen_real_pictures"]
    assert told["unseen_pictures"] == len(right) == 5 and told["name_top5"] == 1 and len(told) == 5
    assert [told[key] for key in ("name_top1", "style", "background")] == np.mean(right, axis=0).round(4).tolist()

    # Of pictures with other names its answers would be numbers of the wrong names.
    other = tmp_path / "other"
    shutil.copytree(emoji_folder, other)
    (other / "emoji64.csv").write_text((other / "emoji64.csv").read_text().replace("Rocket", "Zebra"))
    with pytest.raises(ValueError, match="other names or styles than these pictures have: train one on them"):
        command.main(["evaluate", "emoji", *where[2:], "--data", str(other)])

    (folder / "image_encoder").rename(tmp_path / "image_encoder")
    command.main(["evaluate", "emoji", *where, "--seeds", "1", "--every", "5"])  # a model needs none
    assert "clip_on_unseen_pictures" not in weights.read_card(folder).measured


def test_a_missing_judge_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for where in ([], ["--classifier", str(tmp_path / "nowhere")]):
        with pytest.raises(
            ValueError, match=r"no(ne|where).* `python -m core\.training fashion-classifier --data DATA`"
        ):
            command.main(["evaluate", "fashion", *where])


@pytest.mark.parametrize(
    "flags, wanted",
    [
        *(
            (f"{line} {bad}", f"wanted a whole number of at least 1, got {bad}")
            for line in ("emoji-vae --batch", "evaluate emoji --every", "evaluate emoji --seeds", "compose --each",
                         "prepare --variants", "prepare --captions")
            for bad in ("0", "-3", "1.5", "few")
        ),
        *(
            (f"{line} {bad}", f"wanted a finite number above 0, got {bad}")
            for line in ("emoji-vae --minutes", "emoji-vae --lr", "emoji-vae --sheet-minutes", "compose --often")
            for bad in ("0", "-1", "nan", "inf", "long")
        ),
        *(
            (f"{line} {bad}", f"wanted a finite number, got {bad}")
            for line in ("evaluate emoji --every 2 --guidance", "compose --style")
            for bad in ("nan", "inf")
        ),
        *(
            (f"{line} --seed -1", "wanted a whole number of at least 0, got -1")
            for line in ("emoji-vae", "prepare", "compose")
        ),
        ("average first second --share nan", "wanted a finite number, got nan"),
        (f"emoji-vae --seed {2**63}", f"wanted a whole number of at least 0 and at most {2**63 - 1}, got {2**63}"),
    ],
)  # fmt: skip
def test_flags_that_make_no_sense_are_refused_in_a_line(flags, wanted, capsys):
    with pytest.raises(SystemExit) as end:
        command.main(flags.split())
    told = capsys.readouterr().err
    assert end.value.code == 2 and wanted in told and flags.split()[-2] in told and told.count("\n") == 1


def test_minutes_too_short_for_a_step(emoji_folder, small_recipes, tmp_path):
    """Said, and nothing is written."""
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="not one step fits into 1e-09 minutes, nothing is saved: try --minutes 1"):
        learn("emoji-vae", emoji_folder, out, steps=6e-7)
    assert not out.exists()


def test_no_names_to_ask_for():
    with pytest.raises(ValueError, match="of 5 every 20-th from 10 on is none"):
        Asked.of({"name": NAMES, "style": ["noto"], "background": ["white"]}, 20, first=10)


@pytest.mark.parametrize("every", [1, 7, 10])
def test_prompts_are_spread_over_styles_and_backgrounds(every):
    """Also where the names left out keep step with the styles or the backgrounds."""
    answers = {
        "name": [f"thing {n}" for n in range(2450)],
        "style": list(batches.STYLES),
        "background": list(datasets.BACKGROUNDS),
    }
    asked, n = Asked.of(answers, every), 2450 // every
    assert asked.name.unique().tolist() == list(range(0, 2450, every)) and len(asked.name) == 4 * n
    assert len(set(zip(*(x.tolist() for x in vars(asked).values()), strict=True))) == len(asked.name)
    assert asked.style.bincount().tolist() == [4 * n // 7] * 7
    assert asked.background.bincount().tolist() == [4 * n // 10] * 10
    first = asked.prompts(answers)[0]
    assert first == "thing 0, noto style, on a white background"


def test_fashion(small_recipes, tmp_path):
    """The three FashionMNIST recipes on ten kinds of bars; then what they draw is judged."""
    kind = np.arange(500) % 10
    images = np.random.default_rng(0).integers(0, 60, (500, 28, 28), dtype=np.uint8)
    for i, k in enumerate(kind):
        images[i, 2 * k + 2 : 2 * k + 8] += 150
    split = np.arange(500) % 20 >= 10
    np.savez(tmp_path / "fashion28.npz", images=images, labels=kind, split=split.astype(int))
    out, oneshot = tmp_path / "fashion", tmp_path / "oneshot"
    learn("fashion-unet", tmp_path, out, steps=30)
    learn("fashion-oneshot", tmp_path, oneshot, "--lr", "0.01", steps=45)
    learn("fashion-classifier", tmp_path, out, "--lr", "0.01", steps=500)
    assert Image.open(out / "fashion-unet.png").size == Image.open(oneshot / "fashion-oneshot.png").size == (280, 112)

    # Cleaning in one go removes most of half noise from pictures it never saw.
    model = ClassToImage.load(oneshot, device="cpu")
    assert model.classes == 0 and model.schedule.alpha_bar.tolist() == [1, 0.5]
    x0, _ = datasets.fashion("test", tmp_path)
    x0 = x0[:50].float() / 127.5 - 1
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        cleaned = model.denoiser(None, 50)(x0 / 2**0.5 + eps / 2**0.5, 1).x0
    assert (cleaned - x0).square().mean() < 0.8 * eps.var() / 2

    model = ClassToImage.load(out, device="cpu")
    *_, last = model.stream([3, 3], seed=4)
    *_, alone = model.stream([3], seed=5)
    assert torch.allclose(last.x_next[1:], alone.x_next, atol=1e-4)  # picture i starts from seed + i
    with pytest.raises(ValueError, match="classes must be whole numbers from 0 to 9, got"):
        model.context([10])
    for folder in (out, oneshot):
        name = {out: "fashion", oneshot: "fashion-oneshot"}[folder]
        judge = ["--classifier", str(out / "classifier")]
        command.main(["evaluate", name, "--folder", str(folder), *judge, "--data", str(tmp_path), "--seeds", "10"])
        measured = ClassToImage.load(folder, device="cpu").card.measured
        assert measured["frechet"] > measured["frechet_real"] > 0 and measured["diversity"] > 0
        assert measured["classifier_on_unseen_real_pictures"]["name_top1"] > 0.9
    with pytest.raises(ValueError, match=r"wanted 2 to 12 samples of a class, .* got 13"):
        command.main(["evaluate", "fashion", "--folder", str(out), *judge, "--data", str(tmp_path), "--seeds", "13"])


@pytest.mark.parametrize("size", [1, 3])
def test_frechet_distance_is_that_of_the_formula(size):
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 2, (50, size)), rng.normal(1, 1, (80, size)) @ rng.normal(size=(size, size))
    cov_a, cov_b = (np.cov(x.T).reshape(size, size) for x in (a, b))
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * scipy.linalg.sqrtm(cov_a @ cov_b))
    assert frechet_distance(a, b) == pytest.approx(expected.real, rel=1e-9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_spread_is_the_mean_distance_within_a_group():
    x = np.random.default_rng(1).normal(size=(8, 3))
    distances = [scipy.spatial.distance.pdist(group).mean() for group in (x[:4], x[4:])]
    assert spread(x, 4) == pytest.approx(np.mean(distances))


def test_the_shipped_recipes_are_whole():
    """Each builds a network and a loop; the parts of the emoji model fit together."""
    for recipe in RECIPES.values():
        TrainConfig(minutes=recipe.minutes, **recipe.train)
    unet, vae, clip = (RECIPES[f"emoji-{name}"].network for name in ("unet", "vae", "clip"))
    assert unet.sample_size * vae.factor == 64 == clip.image_size
    assert (unet.in_channels, unet.cross_attention_dim) == (vae.latent_channels, clip.text_width)
    numbers = sum(p.numel() for n in (UNet(unet), VAE(vae)) for p in n.parameters())
    assert 2 * numbers < 40 * 2**20  # float16 in 40 MiB, with room for the words


def test_an_unknown_recipe_is_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["emoji-gan"])
    assert "emoji-vae" in capsys.readouterr().err
