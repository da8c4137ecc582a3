"""The one place that finds, reads and writes weights and their cards.

A model is a folder in diffusers' layout: ``unet/ vae/ text_encoder/ scheduler/``, each with a ``config.json`` and its
weights as safetensors, whole or in shards. Models of this project add a ``card.json`` to the folder and to each part.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.networks.unet import UNet, UNetConfig
from core.networks.vae import VAE, VAEConfig

PARTS = ("text_encoder", "image_encoder", "unet", "vae", "scheduler")
NAMES = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"}  # of the weights file; else "model"
SHARD = 15 * 2**20  # bytes

# What diffusers' configs may ask for that these networks do not have, with the values that mean "not asked for".
UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "act_fn": ("silu",),
    "addition_embed_type": (None,),
    "attention_type": ("default",),
    "center_input_sample": (False,),
    "class_embed_type": (None,),
    "class_embeddings_concat": (False,),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "cross_attention_norm": (None,),
    "downsample_padding": (1,),
    "dual_cross_attention": (False,),
    "encoder_hid_dim": (None,),
    "encoder_hid_dim_type": (None,),
    "flip_sin_to_cos": (True,),
    "freq_shift": (0,),
    "mid_block_scale_factor": (1,),
    "mid_block_type": ("UNetMidBlock2DCrossAttn",),
    "norm_eps": (1e-5,),
    "num_attention_heads": (None,),
    "num_class_embeds": (None,),
    "only_cross_attention": (False,),
    "resnet_time_scale_shift": ("default",),
    "reverse_transformer_layers_per_block": (None,),
    "shift_factor": (None,),
    "time_cond_proj_dim": (None,),
    "time_embedding_type": ("positional",),
    "use_post_quant_conv": (True,),
    "use_quant_conv": (True,),
}


@dataclass(frozen=True)
class Card:
    """What is known of a model, or of one of its parts.

    recipe: the settings it was trained with. steps, pictures: how long. measured: what was measured, by name.
    defaults: sampler, steps, guidance and size to sample with. files: file name -> SHA-256 of its bytes.
    """

    name: str
    summary: str = ""
    license: str = ""
    attributions: tuple[str, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 0
    pictures: int = 0
    seed: int | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def models() -> dict[str, Path]:
    """The models that come with this project, name -> folder."""
    here = Path(__file__).parent
    for assets in (here / "assets", here.parent / "assets"):  # in a wheel, in a checkout
        if (assets / "models").is_dir():
            return {path.name: path for path in sorted((assets / "models").iterdir()) if path.is_dir()}
    return {}


def resolve(name: str | Path) -> Path:
    """The folder of a model: one of `models`, a folder, or a repository on the Hugging Face hub (then downloaded).

    Raises: ValueError if it is none of these, with the list of known names.
    """
    known = models()
    if str(name) in known:
        return known[str(name)]
    if Path(name).is_dir():
        return Path(name)
    if str(name).count("/") == 1 and not str(name).startswith((".", "/", "~")):
        return _download(str(name))
    raise ValueError(
        f"unknown model {str(name)!r}: wanted one of {', '.join(known) or '(none embedded)'}, "
        "a folder in diffusers' layout, or a hub id such as 'stabilityai/sd-turbo'"
    )


def _download(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                hub_id,
                allow_patterns=[
                    f"{part}/*.{ending}" for part in (*PARTS, "tokenizer") for ending in ("json", "safetensors")
                ],
                ignore_patterns=["*.fp16.*", "*non_ema*", "*flax*"],
            )
        )
    except Exception as error:  # the hub's own errors, and every error of a missing network
        raise ValueError(
            f"model {hub_id!r} is not one of {', '.join(models())} and could not be fetched from the hub: {error}"
        ) from error


def load(name: str | Path) -> tuple[Any, Card]:
    """Read one part of a model, for example ``load("emoji/unet")``: the network, ready to run, and its card.

    Returns: a `UNet`, a `VAE` or a `TextEncoder`, and its `Card`.
    Raises: ValueError if the part is unknown or its files are missing, damaged, foreign, or not the card's.
    """
    model, _, part = str(name).rpartition("/")
    if part not in ("unet", "vae", "text_encoder") or not model:
        raise ValueError(f"wanted MODEL/unet, MODEL/vae or MODEL/text_encoder, got {str(name)!r}")
    folder = resolve(model) / part
    config = read_json(folder / "config.json")
    card = read_card(folder)
    state = read_state(folder)
    try:
        if part == "text_encoder":
            from core.text import TextEncoder  # open_clip takes seconds to import, and training does without it

            return TextEncoder.from_state(config | padding(folder.parent), state), card
        network = UNet(read_config(UNetConfig, config)) if part == "unet" else VAE(read_config(VAEConfig, config))
    except (TypeError, IndexError, ZeroDivisionError, RuntimeError) as error:  # torch's own words about sizes
        raise ValueError(f"{folder / 'config.json'} describes no network: {error}") from error
    fill(network, {modern(key): value for key, value in state.items()}, folder)
    return network.eval().requires_grad_(False), card


def padding(model: Path) -> dict[str, int]:
    """What follows the end mark, from the tokenizer's files: in most text encoders' configs it is wrong."""
    marks = model / "tokenizer" / "special_tokens_map.json"
    if not marks.is_file():
        return {}
    pad = read_json(marks).get("pad_token", "<|endoftext|>")
    return {"pad_token_id": 0 if (pad["content"] if isinstance(pad, dict) else pad) == "!" else 49407}


def fill(network: nn.Module, state: Mapping[str, Tensor], where: Path | str) -> None:
    """Copy ``state`` into ``network``.

    Raises: ValueError naming the first keys that are missing, unknown or of another shape.
    """
    own = network.state_dict()
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    shapes = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        for key in sorted(own.keys() & state.keys())
        if own[key].shape != state[key].shape
    ]
    for what, keys in (("lacks", missing), ("has unknown", unknown), ("has", shapes)):
        if keys:
            raise ValueError(f"the weights in {where} do not fit its config: it {what} {', '.join(keys[:3])}" + (
                f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            ))  # fmt: skip
    network.load_state_dict(
        {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    )


def modern(key: str) -> str:
    """A key as diffusers writes it today; Stable Diffusion 1.5's VAE has older names for its attention."""
    for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
        key = key.replace(f"attentions.0.{old}.", f"attentions.0.{new}.")
    return key


def read_config(kind: type, values: Mapping[str, Any]) -> Any:
    """A frozen config from a ``config.json``.

    Raises: ValueError where the file asks for something that these networks do not have.
    """
    known = {f.name for f in fields(kind)}
    for key, allowed in UNSUPPORTED.items():
        if key in values and key not in known and values[key] not in allowed:
            raise ValueError(f"config {key} = {values[key]!r} is not supported; wanted {allowed[0]!r}")
    freeze = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items() if key in known}
    return kind(**freeze)


def read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: wanted a model folder in diffusers' layout") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(values).__name__}")
    return values


def read_card(folder: Path) -> Card:
    """The card of a folder; one with only its name where there is none (a model from elsewhere).

    Raises: ValueError if a file that the card names is missing or has other bytes than the card says.
    """
    if not (folder / "card.json").is_file():
        return Card(folder.name)
    values: dict[str, Any] = read_json(folder / "card.json")
    values |= {key: tuple(v) for key, v in values.items() if isinstance(v, list)}
    try:
        card = Card(**values)
    except TypeError as error:
        raise ValueError(f"{folder / 'card.json'} is not a card: {error}") from None
    for name, wanted in card.files.items():
        if not (folder / name).is_file():
            raise ValueError(f"the card of {folder} names {name}, which is missing")
        if (got := sha256(folder / name)) != wanted:
            raise ValueError(f"{folder / name} does not match its card: wanted SHA-256 {wanted[:12]}…, got {got[:12]}…")
    return card


def read_model_card(folder: Path) -> Card:
    """The card of a whole model; where it has none of its own yet, that of its U-Net under the folder's name."""
    if (folder / "card.json").is_file():
        return read_card(folder)
    return replace(read_card(folder / "unet"), name=folder.name, files={})


def read_state(folder: Path) -> dict[str, Tensor]:
    """All tensors of a part, from one safetensors file or from the shards that its index names.

    Raises: ValueError if there are none or a file is damaged.
    """
    indices = sorted(folder.glob("*.safetensors.index.json"))
    if indices:
        files = sorted({folder / name for name in read_json(indices[0]).get("weight_map", {}).values()})
    else:
        files = sorted(folder.glob("*.safetensors"), key=lambda path: (".fp16." in path.name, path.name))[:1]
    if not files:
        raise ValueError(f"no safetensors weights in {folder}")
    state: dict[str, Tensor] = {}
    for file in files:
        try:
            state |= load_file(file)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{file} is no readable safetensors file: {error}") from None
    return state


def save(folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor], card: Card) -> None:
    """Write a part: float16 weights in shards of 15 MiB at most, config and card, all at once or not at all."""
    shards: list[dict[str, Tensor]] = [{}]
    for key, value in state.items():
        half = value.detach().to("cpu", torch.float16 if value.is_floating_point() else value.dtype).contiguous()
        if shards[-1] and sum(t.nbytes for t in shards[-1].values()) + half.nbytes > SHARD:
            shards.append({})
        shards[-1][key] = half
    name = NAMES.get(folder.name, "model")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        new = Path(beside) / folder.name
        new.mkdir()
        if len(shards) == 1:
            names = [f"{name}.safetensors"]
        else:
            names = [f"{name}-{i + 1:05d}-of-{len(shards):05d}.safetensors" for i in range(len(shards))]
            index = {
                "metadata": {"total_size": sum(t.nbytes for s in shards for t in s.values())},
                "weight_map": {key: file for file, shard in zip(names, shards, strict=True) for key in shard},
            }
            write_json(new / f"{name}.safetensors.index.json", index)
        for file, shard in zip(names, shards, strict=True):
            save_file(shard, new / file, metadata={"format": "pt"})
        write_json(new / "config.json", config)
        files = {file: sha256(new / file) for file in (*names, "config.json")}
        write_json(new / "card.json", asdict(card) | {"files": files})
        swap(new, folder)


def swap(new: Path, folder: Path) -> None:
    """Put the finished folder ``new`` in the place of ``folder``, which ends up beside where ``new`` was."""
    old = new.with_name(f"{new.name}-old")
    try:
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
    finally:
        if old.exists() and not folder.exists():  # the second move failed
            os.replace(old, folder)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
