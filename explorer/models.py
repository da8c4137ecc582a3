"""The text-to-image models that this process offers, each read once, at its first use."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

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

    return TextToImage.load(name, device=device)
