"""The one place that finds, reads and writes weights and their cards.

A model is a folder in diffusers' layout: ``unet/ vae/ text_encoder/ scheduler/``, each with a ``config.json`` and its
weights as safetensors, whole or in shards. Models of this project add a ``card.json`` to the folder and to each part.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core import assets
from core.networks.classifier import ClassifierConfig, PictureClassifier
from core.networks.unet import UNet, UNetConfig
from core.networks.vae import VAE, VAEConfig

NAMES = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"}  # of the weights file; else "model"
SHARD = 15 * 2**20  # bytes
READ = ("text_encoder", "unet", "vae")  # what a text-to-image model is read from
PICKLED = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
REFUSED = "pickled weights, which can run any program when they are opened: only safetensors are read"
SD_SCALING = 0.18215  # of Stable Diffusion's latents: its first VAE configs do not say it, diffusers has it by default
Report = Callable[[float, str], None]  # told how far something is, 0 to 1, and what

# What diffusers' configs may ask for that these networks do not have, with the values that mean "not asked for".
UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "act_fn": ("silu",),
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
    "layer_norm_eps": (1e-5,),
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
    defaults: sampler, steps, guidance, style and size to sample with. files: file name -> SHA-256 of its bytes.
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
    return {path.name: path for path in sorted(assets.folder("models").glob("*")) if path.is_dir()}


def resolve(name: str | Path, *, half: bool = False, report: Report | None = None) -> Path:
    """The folder of a model: one of `models`, a folder, or a repository on the Hugging Face hub (then downloaded).

    Args:
        half: of a repository that has its weights in both precisions, fetch those in float16.
        report: told how far a download is.
    Raises: ValueError if it is none of these, with the list of known names, or cannot be fetched, with what to do.
    """
    known = models()
    if str(name) in known:
        return known[str(name)]
    if Path(name).is_dir():
        return Path(name)
    wanted = f"wanted one of {', '.join(known) or '(none embedded)'}, a folder in diffusers' layout, or a hub id"
    if Path(name).is_file():
        if Path(name).suffix in PICKLED:
            raise ValueError(f"{name} holds {REFUSED}; {wanted}")
        raise ValueError(
            f"{name} is a single file; {wanted}. diffusers writes such a folder: "
            "StableDiffusionPipeline.from_single_file(FILE).save_pretrained(FOLDER)"
        )
    if is_hub_id(name):
        return download(str(name), half=half, report=report)
    raise ValueError(f"unknown model {str(name)!r}: {wanted} such as 'stabilityai/sd-turbo'")


def is_hub_id(name: str | Path) -> bool:
    return str(name).count("/") == 1 and not str(name).startswith((".", "/", "~")) and not Path(name).exists()


def download(hub_id: str, *, half: bool = False, report: Report | None = None) -> Path:
    """Fetch what of a repository is needed to draw, and nothing else; what is there already is not fetched again.

    Raises: ValueError saying what to do: the repository is unknown, closed or has no safetensors, or no network.
    """
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    page = f"https://huggingface.co/{hub_id}"
    consent = f"{hub_id!r} asks for consent: accept its licence on {page}, then `hf auth login`"
    try:
        listed = huggingface_hub.HfApi().model_info(hub_id, files_metadata=True).siblings or []
        sizes = {file.rfilename: file.size or 0 for file in listed}
    except GatedRepoError:
        raise ValueError(consent) from None
    except (RepositoryNotFoundError, HFValidationError):
        raise ValueError(
            f"there is no model {hub_id!r} on the hub (or it is private: then `hf auth login`); "
            f"embedded are {', '.join(models())}; a folder in diffusers' layout would do too"
        ) from None
    except Exception as error:  # every error of a missing network; then a copy from earlier will do
        try:
            return Path(
                huggingface_hub.snapshot_download(hub_id, local_files_only=True, allow_patterns=["*/config.json"])
            )
        except Exception:  # none there, or half of one
            raise ValueError(
                f"{hub_id!r} could not be fetched from the hub ({type(error).__name__}: {error}) and is not on this "
                "machine yet: connect to the network once, or give the folder of a copy"
            ) from None
    files = needed(sizes, hub_id, half)
    bar = reporting(report, f"downloading {hub_id}", sum(sizes[file] for file in files)) if report else None
    try:
        return Path(huggingface_hub.snapshot_download(hub_id, allow_patterns=files, tqdm_class=bar))
    except GatedRepoError:
        raise ValueError(consent) from None
    except Exception as error:  # the network went, or the disk is full
        raise ValueError(f"the download of {hub_id!r} stopped ({error}): try again, it goes on from there") from error


def needed(files: Iterable[str], where: str, half: bool) -> list[str]:
    """Of a repository's files those a text-to-image model is read from. Raises: ValueError if there are none."""
    files = set(files)
    wanted = {f"{part}/config.json" for part in READ} | {"scheduler/scheduler_config.json"}
    if missing := sorted(wanted - files):
        raise ValueError(f"{where!r} has no {missing[0]}: wanted a text-to-image model in diffusers' layout")
    wanted |= {"card.json", *(f"{part}/card.json" for part in READ)} & files
    wanted |= {f"tokenizer/{name}.json" for name in ("special_tokens_map", "tokenizer_config")} & files
    for part in READ:
        inside = [file.removeprefix(f"{part}/") for file in files if file.startswith(f"{part}/")]
        wanted |= {f"{part}/{name}" for name in weight_files(inside, f"{where}/{part}", half)}
    return sorted(wanted)


def weight_files(names: Iterable[str], where: Path | str, half: bool = False) -> list[str]:
    """Of a part's files those that hold its weights: whole or in shards, their index first, else the float16 variant.

    With ``half`` the variant is taken first. Weights without the moving average (``non_ema``) are for training on.
    Raises: ValueError if there are none, with the reason where there are pickled ones.
    """
    names = sorted(names, key=lambda name: (not name.startswith(("model.", "diffusion_pytorch_model.")), name))
    float16 = [name for name in names if ".fp16" in name]
    plain = [name for name in names if name not in float16]
    for variant in (float16, plain) if half else (plain, float16):
        files = [n for n in variant if n.endswith(".safetensors") and n.replace(".fp16", "").count(".") == 1]
        if index := [n for n in variant if n.replace(".fp16", "").endswith(".safetensors.index.json")]:
            return [index[0], *files]
        if entire := [n for n in files if "-of-" not in n]:
            return entire[:1]
    if any(name.endswith(PICKLED) for name in names):
        raise ValueError(
            f"{where} has {REFUSED}. diffusers writes them: "
            "StableDiffusionPipeline.from_pretrained(MODEL).save_pretrained(FOLDER, safe_serialization=True)"
        )
    raise ValueError(f"no safetensors weights in {where}")


def reporting(report: Report, what: str, total: int) -> Any:
    """Bars in the hub's manner, for the terminal, that also tell ``report`` of ``total`` bytes."""
    from huggingface_hub.utils import tqdm

    most = 0.0

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any):
            self.bytes = 0 if options.get("unit") == "B" else None  # there is one bar of files too
            super().__init__(*args, **options)

        def update(self, n: float | None = 1) -> bool | None:
            nonlocal most
            if self.bytes is not None and total:  # counted here: a bar that is not shown does not count
                self.bytes += n or 0
                if (share := min(self.bytes / total, 1.0)) > most:  # of two bars, fetched and written, the further one
                    most = share
                    report(share, what)
            return super().update(n)

    return Bar


def load(
    name: str | Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[Any, Card]:
    """Read one part of a model, for example ``load("emoji/unet")``: the network, ready to run, and its card.

    Its weights go straight from the file to their device and precision, one tensor after the other.
    Returns: a `UNet`, a `VAE` or a `TextEncoder`, and its `Card`.
    Raises: ValueError if the part is unknown or its files are missing, damaged, foreign, or not the card's.
    """
    model, _, part = str(name).rpartition("/")
    if part not in READ or not model:
        raise ValueError(f"wanted MODEL/unet, MODEL/vae or MODEL/text_encoder, got {str(name)!r}")
    half = dtype != torch.float32
    folder = resolve(model, half=half) / part
    config = read_json(folder / "config.json")
    card = read_card(folder)
    state = read_state(folder, half=half)
    try:
        if part == "text_encoder":
            from core.text import TextEncoder  # open_clip takes seconds to import, and training does without it

            encoder = TextEncoder.from_state(config | padding(folder.parent, config), state, device=device, dtype=dtype)
            return encoder, card
        with torch.device("meta"):  # no weights yet: neither time nor memory is spent on random ones
            if part == "unet":
                network = UNet(read_config(UNetConfig, config))
            else:
                network = VAE(read_config(VAEConfig, {"scaling_factor": SD_SCALING} | config))
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError) as error:
        if out_of_memory(error):
            raise
        raise ValueError(f"{folder / 'config.json'} describes no network: {error}") from error
    if part == "vae" and dtype == torch.float16 and config.get("force_upcast"):
        dtype = torch.float32  # its activations leave the range of float16
    fill(network, {modern(key): value for key, value in state.items()}, folder, device=device, dtype=dtype)
    return network.eval().requires_grad_(False), card


def load_classifier(folder: Path) -> tuple[PictureClassifier, Card]:
    """A classifier with the names of its answers, on the CPU, and its card.

    Raises: ValueError if its files are missing, damaged or foreign.
    """
    config = dict(read_json(folder / "config.json"))
    answers = config.pop("answers", {})
    try:
        classifier = PictureClassifier(read_config(ClassifierConfig, config), answers)
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / 'config.json'} describes no classifier: {error}") from error
    fill(classifier, read_state(folder), folder)
    return classifier.eval().requires_grad_(False), read_card(folder)


FULL = ("out of memory", "allocate memory", "ALLOC_FAILED")  # the last is cuBLAS's and cuDNN's


def out_of_memory(error: BaseException) -> bool:
    """Whether CUDA, MPS or the CPU's allocator says so (each in words of its own)."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in FULL)
    )


def padding(model: Path, config: Mapping[str, Any]) -> dict[str, int]:
    """What follows the end mark, from the tokenizer's files: in most text encoders' configs it is wrong.

    Without such files, and with the 1 that those configs say by default, it is the end mark, as in Stable Diffusion 1.
    """
    for name in ("special_tokens_map", "tokenizer_config"):
        if (model / "tokenizer" / f"{name}.json").is_file():
            pad = read_json(model / "tokenizer" / f"{name}.json").get("pad_token")
            if pad is not None:
                return {"pad_token_id": 0 if (pad["content"] if isinstance(pad, dict) else pad) == "!" else 49407}
    return {"pad_token_id": 49407} if config.get("pad_token_id", 1) == 1 else {}


def fill(
    network: nn.Module,
    state: Mapping[str, Tensor],
    where: Path | str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> None:
    """Give ``network`` the weights of ``state``: copies on ``device`` in ``dtype`` if it has none yet (torch's meta
    device), else in place.

    Raises: ValueError naming the first keys that are missing, unknown, of another shape, or not finite.
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
    placed = {}
    for key, value in state.items():
        placed[key] = value.to(device, dtype if value.is_floating_point() else value.dtype, copy=True)
        if not placed[key].isfinite().all():
            fault = "NaN or infinity" if not value.isfinite().all() else f"numbers beyond {dtype}"
            raise ValueError(f"the weights in {where} cannot be used: {key} has {fault}")
    network.load_state_dict(placed, assign=any(p.is_meta for p in network.parameters()))


def modern(key: str) -> str:
    """A key as diffusers writes it today; Stable Diffusion 1.5's VAE has older names for its attention."""
    for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
        key = key.replace(f"attentions.0.{old}.", f"attentions.0.{new}.")
    return key


def read_config(kind: type, values: Mapping[str, Any]) -> Any:
    """A frozen config from a ``config.json``.

    Raises: ValueError where the file asks for something that these networks do not have; TypeError where it has
        something else for a number.
    """
    known = {f.name for f in fields(kind)}
    for key, allowed in UNSUPPORTED.items():
        if key in values and key not in known and values[key] not in allowed:
            raise ValueError(f"config {key} = {values[key]!r} is not supported; wanted {allowed[0]!r}")
    for f in fields(kind):
        value = values.get(f.name, f.default)
        if type(f.default) in (int, float) and (value is None or isinstance(value, str | dict)):
            raise TypeError(f"{f.name} must be a number, got {value!r}")
    freeze = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items() if key in known}
    return kind(**freeze)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises: ValueError if the file is missing or holds anything else."""
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
        for name in ("recipe", "measured", "defaults", "files"):
            dict(getattr(card, name))
    except (TypeError, ValueError) as error:
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


def read_state(folder: Path, *, half: bool = False) -> dict[str, Tensor]:
    """All tensors of a part, from one safetensors file or from the shards that its index names.

    half: of two variants, take the one in float16.
    Raises: ValueError if there are none or a file is damaged.
    """
    names = weight_files((path.name for path in folder.glob("*")), folder, half)
    if names[0].endswith(".json"):
        shards = read_json(folder / names[0]).get("weight_map")
        if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
            raise ValueError(f"{folder / names[0]} must map every tensor to a file in weight_map, got {shards!r:.80}")
        names = sorted(set(shards.values()))
    state: dict[str, Tensor] = {}
    for name in names:
        try:
            state |= load_file(folder / name)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{folder / name} is no readable safetensors file: {error}") from None
    return state


def save(folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor], card: Card) -> None:
    """Write a part: float16 weights in shards of 15 MiB at most, config and card, all at once or not at all.

    Raises: ValueError if a weight is not finite in float16; what stood there stays.
    """
    shards: list[dict[str, Tensor]] = [{}]
    for key, value in state.items():
        half = value.detach().to("cpu", torch.float16 if value.is_floating_point() else value.dtype).contiguous()
        if not half.isfinite().all():  # a training that went astray must not take the place of one that did not
            raise ValueError(f"{folder} is not written: {key} has NaN, or numbers beyond float16")
        if shards[-1] and sum(t.nbytes for t in shards[-1].values()) + half.nbytes > SHARD:
            shards.append({})
        shards[-1][key] = half
    name = NAMES.get(folder.name, "model")
    with replacing(folder) as new:
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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write what shall stand at ``path``, a file or a folder: it is moved there once all of it is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as beside:
        new = Path(beside) / path.name
        yield new
        (swap if path.is_dir() else os.replace)(new, path)


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
    """Write an object as JSON, all of it or nothing."""
    with replacing(path) as new:
        new.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
