"""The text-to-image models that this process offers, each read once, at its first use."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, TimeoutError
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from explorer import errors

if TYPE_CHECKING:
    from core.pipeline import TextToImage  # at run time it would bring torch, which takes seconds


@dataclass(frozen=True)
class Offer:
    """names: a model name, folder or hub id each; the first is what a tab opens with. device: None for the best.
    dtype: of the networks' numbers, by name; None for what suits the device."""

    names: tuple[str, ...] = ("emoji",)
    device: str | None = None
    dtype: str | None = None


@dataclass
class Reading:
    """A model on its way. share: how far, 0 to 1, and doing: at what; left: seconds, None while unknown."""

    share: float = 0.0
    doing: str = "reading the model"
    left: float | None = None
    model: "Future[TextToImage]" = field(default_factory=Future)
    _first: tuple[float, float] = (0.0, 0.0)  # when this began to be done, and how far it was then

    def told(self, share: float, doing: str) -> None:
        now = time.monotonic()
        if doing != self.doing:
            self._first = now, share
        began, first = self._first
        self.left = (now - began) * (1 - share) / (share - first) if share > first else None
        self.share, self.doing = share, doing

    @property
    def there(self) -> bool:
        return self.model.done() and self.model.exception() is None


_offer = Offer()
_reading: dict[tuple[str | None, ...], Reading] = {}
_looking, _one = Lock(), Lock()  # for the table; and for the device, onto which one model is read at a time


def offer(names: Sequence[str], device: str | None = None, dtype: str | None = None) -> None:
    """Say once, before the page is built, what is to be offered; the embedded model comes after those named."""
    global _offer
    from core import weights

    embedded = [name for name in ("emoji",) if name in weights.models()]
    _offer = Offer(tuple(dict.fromkeys([*names, *embedded])), device, dtype)


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
    """What the model wants to be sampled with, from its card and configs alone: sampler, steps, guidance, style, size.

    Without a card it is what suits its scheduler. The size is left out where no config says it.
    """
    from core import weights
    from core.networks.unet import UNetConfig
    from core.networks.vae import VAEConfig
    from core.scheduler import default_sampling

    found = default_sampling({}, title(option))
    with suppress(ValueError, KeyError, TypeError):  # what cannot be read is said by `loaded`
        folder = _folder(title(option))
        found = default_sampling(weights.read_json(folder / "scheduler" / "scheduler_config.json"))
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
    return _begun(option).model.result()


def at_hand(option: str = "") -> bool:
    """Whether `loaded` answers at once."""
    known = _reading.get((title(option), _offer.device, _offer.dtype))
    return known is not None and known.there


def loading(option: str = "", every: float = 0.1) -> Iterator[Reading]:
    """How far the model is, every so many seconds until it has been read; what has begun goes on if nobody listens.

    Raises: ValueError as `loaded`.
    """
    begun = _begun(option)
    while True:
        with suppress(TimeoutError):
            begun.model.result(every)
            return
        yield begun


def source(option: str = "") -> str:
    """The Python that loads it."""
    placed = {"device": _offer.device, "dtype": _offer.dtype}
    how = "".join(f", {name}={value!r}" for name, value in placed.items() if value)
    return f"TextToImage.load({title(option)!r}{how})"


def _begun(option: str) -> Reading:
    """The model on its way; one that could not be read is tried again."""
    key = title(option), _offer.device, _offer.dtype
    with _looking:
        known = _reading.get(key)
        if known is None or (known.model.done() and not known.there):
            known = _reading[key] = Reading()
            Thread(target=_read, args=(*key, known), daemon=True).start()
    return known


def _read(name: str, device: str | None, dtype: str | None, reading: Reading) -> None:
    from core.pipeline import TextToImage
    from explorer.broker import shared

    with _one:
        try:
            reading.model.set_result(shared(TextToImage.load(name, device=device, dtype=dtype, report=reading.told)))
        except BaseException as error:
            reading.model.set_exception(errors.without_frames(error))
