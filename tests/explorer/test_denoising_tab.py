"""The denoising tab on small networks: numbers against other routes, code against the endpoint, red badges."""

import ast
import contextlib
import io
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from core import weights
from core.networks.unet import UNet, UNetConfig
from core.training.recipes import COSINE_V, HALF_NOISE
from core.weights import Card
from explorer.tabs import denoising
from explorer.tabs.denoising import Settings, common, inside, seeing, training
from explorer.tabs.denoising.settings import PRESETS

SMALL = UNetConfig(
    sample_size=28, in_channels=1, out_channels=1, block_out_channels=(16, 32, 32), norm_num_groups=8,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=11,
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
    """The small models in the place of the embedded ones, with or (marked `bare`) without a data set."""
    whole, half = small_models
    monkeypatch.setattr(common, "FASHION", whole)
    monkeypatch.setattr(common, "HALF_NOISE", half)
    monkeypatch.setattr(common, "TIMES", 5)
    bare = request.node.get_closest_marker("bare")
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
def test_every_preset_has_a_green_badge_and_numbers_in_json(settings):
    view = denoising.result(settings)
    assert view.check.ok, view.check
    assert view.numbers and json.loads(json.dumps(view.numbers, allow_nan=False)) == view.numbers
    assert "nan" not in view.formula and "nan" not in view.notice


@pytest.mark.parametrize("settings", QUICK.values(), ids=QUICK)
def test_code_prints_the_endpoints_numbers(settings):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(denoising.code(settings), {})
    compare(out.getvalue(), denoising.result(settings).numbers)


def compare(printed, numbers):
    lines = [line.split(" = ", 1) for line in printed.strip().splitlines()]
    assert len(lines) >= 3
    for name, value in lines:
        assert ast.literal_eval(value) == pytest.approx(numbers[name], rel=1e-4, abs=1e-6), name
