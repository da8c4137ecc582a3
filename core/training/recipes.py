"""The recipes: what is trained, how large, on what and how; one frozen dataclass each."""

from dataclasses import dataclass, field, replace
from typing import Any

from core.networks.classifier import ClassifierConfig
from core.networks.unet import UNetConfig
from core.networks.vae import VAEConfig


@dataclass(frozen=True)
class Recipe:
    """One network's training.

    model: the model it belongs to, written to `runs/<model>`. part: the folder of it that is filled.
    data: "emoji" (pictures), "prepared" (latents and text states) or "fashion".
    network: the config of the network. train: fields of `TrainConfig`. batch: pictures a step.
    scheduler: for a denoiser, the noise schedule and prediction as a checkpoint's ``scheduler_config.json`` has them.
    late: for a denoiser, how much more often noisy times are drawn (see `core.training.loop.Denoising`).
    unpooled: for a denoiser, how often it is told its words by cross-attention alone (likewise).
    defaults: for a denoiser, what to sample with.
    """

    name: str
    model: str
    part: str
    data: str
    network: Any
    train: dict[str, Any]
    batch: int
    minutes: float
    seed: int = 0
    scheduler: dict[str, Any] = field(default_factory=dict)
    late: float = 0.0
    unpooled: float = 0.0
    defaults: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CLIPConfig:
    """Two towers that meet in one space, in the words of open_clip's configs."""

    embed_dim: int = 128
    image_size: int = 64
    patch_size: int = 16
    vision_width: int = 128
    vision_layers: int = 4
    text_width: int = 128
    text_layers: int = 3
    text_heads: int = 4
    vocab_size: int = 49408


# Latents at t = T are pure noise (alpha_bar_T < 1e-8), so a background's mean colour cannot leak from the start noise.
COSINE_V = {
    "_class_name": "DDIMScheduler",
    "beta_schedule": "squaredcos_cap_v2",
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "set_alpha_to_one": True,
    "clip_sample": False,
}

# One amount of noise, as much as there is signal (alpha_bar_1 = 1/2), and the clean picture as the answer: cleaning in
# one go, without steps.
HALF_NOISE = {
    "_class_name": "DDIMScheduler",
    "trained_betas": [0.5],
    "num_train_timesteps": 1,
    "prediction_type": "sample",
    "timestep_spacing": "trailing",
    "set_alpha_to_one": True,
    "clip_sample": False,
}

FASHION = UNetConfig(
    sample_size=28,
    in_channels=1,
    out_channels=1,
    block_out_channels=(32, 64, 128),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    cross_attention_dim=11,
    layers_per_block=1,
    patch_size=2,  # at 28 x 28 normalisation and SiLU alone take most of the time
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "emoji-clip",
            model="emoji",
            part="text_encoder",
            data="emoji",
            network=CLIPConfig(),
            train={"lr": 1e-3, "warmup": 50, "hold": 0.4, "ema": 0.99, "weight_decay": 0.1, "bf16": False},
            batch=128,
            minutes=9,
        ),
        Recipe(
            "emoji-vae",
            model="emoji",
            part="vae",
            data="emoji",
            # At 16 x 16 from the first convolution on: at full resolution normalisation alone takes most of the time.
            network=VAEConfig(block_out_channels=(128,), patch_size=4, mid_block_add_attention=False),
            train={"lr": 2e-3, "warmup": 100, "hold": 0.5, "ema": 0.998},
            batch=32,
            minutes=20,
        ),
        Recipe(
            "emoji-unet",
            model="emoji",
            part="unet",
            data="prepared",
            # Most weights sit at 8 x 8 and 4 x 4, where they cost little time: names are many, strokes are few.
            network=UNetConfig(
                block_out_channels=(64, 128, 256),
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
                up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
                cross_attention_dim=128,
                layers_per_block=1,
                addition_embed_type="text",
                addition_embed_type_num_heads=4,
            ),
            train={"lr": 1e-3, "warmup": 50, "hold": 0.5, "ema": 0.999, "optimizer": "muon"},
            batch=96,  # of 64, Muon's own work would be over a quarter of a step on a CPU
            minutes=75,
            scheduler=COSINE_V,
            late=1.0,
            unpooled=0.25,
            defaults={"sampler": "dpmpp_2m", "steps": 20, "guidance": 3.0, "style": 1.25, "size": 64},
        ),
        Recipe(
            "emoji-classifier",
            model="emoji",
            part="classifier",
            data="emoji",
            network=ClassifierConfig(),
            train=dict(lr=2e-3, warmup=100, hold=0.3, ema=0.99, weight_decay=0.05, optimizer="muon"),
            batch=128,
            minutes=12,
        ),
        Recipe(
            "fashion-unet",
            model="fashion",
            part="unet",
            data="fashion",
            # One row of context, the class as a one-hot vector: its key and value layers are the class embeddings.
            network=FASHION,
            train={"lr": 1e-3, "warmup": 200, "hold": 0.5, "ema": 0.999},
            batch=64,
            minutes=30,
            scheduler=COSINE_V,
            defaults={"sampler": "dpmpp_2m", "steps": 20, "guidance": 2.0, "size": 28},
        ),
        Recipe(
            "fashion-oneshot",
            model="fashion-oneshot",
            part="unet",
            data="fashion",
            network=replace(FASHION, cross_attention_dim=1),  # no class, only the place that says so
            train={"lr": 1e-3, "warmup": 200, "hold": 0.5, "ema": 0.999},
            batch=64,
            minutes=10,
            scheduler=HALF_NOISE,
            defaults={"sampler": "ddim", "steps": 1, "guidance": 1.0, "size": 28},
        ),
        Recipe(
            "fashion-classifier",
            model="fashion",
            part="classifier",
            data="fashion",
            network=ClassifierConfig(in_channels=1, widths=(32, 64, 128)),
            train={"lr": 2e-3, "warmup": 100, "hold": 0.3, "ema": 0.99, "weight_decay": 0.05},
            batch=64,
            minutes=5,
        ),
    )
}
