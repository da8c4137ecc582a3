"""The text-to-image models that this process offers, each read once, at its first use."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.pipeline import TextToImage  # at run time it would bring torch, which takes seconds


@dataclass(frozen=True)
class Offer:
    """names: a model name, folder or hub id each; the first is what a tab opens with. device: None for the best."""

    names: tuple[str, ...] = ("emoji",)
    device: str | None = None


_offer = Offer()
_loading = Lock()


def offer(names: Sequence[str], device: str | None = None) -> None:
    """Say once, before the page is built, what is to be offered; the embedded model comes after those named."""
    global _offer
    from core import weights

    embedded = [name for name in ("emoji",) if name in weights.models()]
    _offer = Offer(tuple(dict.fromkeys([*names, *embedded])), device)


def options() -> tuple[str, ...]:
    """What a setting may hold: "" stands for the first model, so that an address need not name it."""
    return ("", *_offer.names[1:])


def title(option: str = "") -> str:
    """The model behind an option."""
    return option or _offer.names[0]


def name(option: str = "") -> str:
    """What to call the model: the last part of its path or hub id."""
    return title(option).rstrip("/").rpartition("/")[2]


def defaults(option: str = "") -> dict[str, Any]:
    """What the model wants to be sampled with, from its card and configs alone: sampler, steps, guidance and size.

    Without a card it is what suits Stable Diffusion. The size is left out where no config says it.
    """
    from core import weights
    from core.networks.unet import UNetConfig
    from core.networks.vae import VAEConfig

    if "turbo" in title(option).lower():  # distilled to a single step without guidance, which its files do not say
        found: dict[str, Any] = {"sampler": "euler", "steps": 1, "guidance": 1.0}
    else:
        found = {"sampler": "dpmpp_2m", "steps": 25, "guidance": 7.5}
    with suppress(ValueError, KeyError, TypeError):  # what cannot be read is said by `loaded`
        folder = _folder(title(option))
        unet, vae = (
            weights.read_config(kind, weights.read_json(folder / part / "config.json"))
            for part, kind in (("unet", UNetConfig), ("vae", VAEConfig))
        )
        found["size"] = unet.sample_size * vae.factor
        found |= weights.read_model_card(folder).defaults
    return found


def _folder(name: str) -> Path:
    """Where the files of a model lie, nothing fetched."""
    from core import weights

    if name in weights.models():
        return weights.models()[name]
    if name.count("/") == 1 and not Path(name).is_dir():
        from huggingface_hub import try_to_load_from_cache

        config = try_to_load_from_cache(name, "unet/config.json")
        return Path(config).parent.parent if isinstance(config, str) else Path(name)
    return Path(name)


def loaded(option: str = "") -> "TextToImage":
    """The model, read at the first use, or before it by whoever warms it up.

    Raises: ValueError if it is unknown, or its files are missing, damaged or foreign.
    """
    with _loading:
        return _read(title(option), _offer.device)


def source(option: str = "") -> str:
    """The Python that loads it."""
    where = f", device={_offer.device!r}" if _offer.device else ""
    return f"TextToImage.load({title(option)!r}{where})"


@cache
def _read(name: str, device: str | None) -> "TextToImage":
    from core.pipeline import TextToImage
    from explorer.broker import shared

    return shared(TextToImage.load(name, device=device))
