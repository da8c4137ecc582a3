"""What the views share: the models, the pictures, their noise, and how formulas are written."""

from collections.abc import Sequence
from functools import cache, lru_cache
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from core import inspection
from core.datasets import FASHION_CLASSES
from core.inspection import Pictures
from core.pipeline import ClassToImage
from explorer.tabs.denoising.settings import ANY, SEEN, UNSEEN, Settings

FASHION, HALF_NOISE = "fashion", "fashion-oneshot"  # the models' names; tests put small ones in their place
TIMES = 24  # the players' times; what travels with every move stays small
SHOWN = 2.5  # noise of this size is drawn white, of minus this size black
LOADING = Lock()


@cache
def _load(name: str) -> ClassToImage:
    return ClassToImage.load(name, device="cpu")


def model(name: str = "") -> ClassToImage:
    """The step-by-step model, or the one named; read once a process, at its first use."""
    with LOADING:
        return _load(name or FASHION)


@lru_cache(maxsize=8)
def _pictures(name: str, label: int | None, split: str) -> Pictures:
    return inspection.class_pictures(model(name), label, split)


def pictures(s: Settings, origin: str = UNSEEN) -> Pictures:
    """Pictures of the chosen class: of the data that the exact denoiser knows, or others."""
    return _pictures(FASHION, number(s), "train" if origin == SEEN else "test")


def number(s: Settings) -> int | None:
    return None if s.label == ANY else FASHION_CLASSES.index(s.label)


def chosen(s: Settings, origin: str = UNSEEN) -> tuple[Tensor, Tensor]:
    """The chosen picture (1, H, W) and its noise, in float64."""
    x0 = pictures(s, origin).x0[s.picture].double()
    return x0, noises(1, x0, s.seed)[0]


def noises(n: int, like: Tensor, seed: int) -> Tensor:
    """n noises in the shape of one picture, float64, from one generator."""
    return torch.randn(n, *like.shape[-3:], generator=torch.Generator().manual_seed(seed)).double()


def players_times(t: int, T: int) -> list[int]:
    """Evenly spaced times from 1 to T, t among them."""
    return np.unique(np.append(np.linspace(1, T, TIMES).round().astype(int), t)).tolist()


def fitting(t: int, T: int, what: str = "the noise amount t") -> int:
    if t > T:
        raise ValueError(f"{what} must be at most T = {T} of this model, got {t}")
    return t


def tile(x: Tensor, columns: int) -> np.ndarray:
    """(B, 1, H, W) as one picture (rows H, columns W); rows are filled up with black."""
    spare = -len(x) % columns
    x = torch.cat([x, -torch.ones(spare, *x.shape[1:]).to(x)])[:, 0]
    rows = x.unflatten(0, (-1, columns))
    return rows.transpose(1, 2).flatten(2).flatten(0, 1).numpy()


def bright(x: np.ndarray) -> np.ndarray:
    """[-1, 1] as 0 black, 1 white."""
    return np.clip((x + 1) / 2, 0, 1)


def source(real: bool) -> str:
    """Which pictures these are, in words for a notice."""
    if real:
        return "The pictures are FashionMNIST's."
    return "The pictures were drawn by the model itself: **not the training set**, which is not on this machine."


def listed(values: Sequence[float] | Tensor | np.ndarray) -> list[float]:
    return [float(v) for v in values]


def imports(*lines: str) -> str:
    return "\n".join(sorted(lines))


def head(s: Settings, split: str = "test") -> str:
    """The first lines of most snippets: the model and the picture with its noise."""
    return f"""
model = ClassToImage.load({FASHION!r}, device="cpu")
schedule, label = model.schedule, {number(s)}  # {s.label}
x0 = class_pictures(model, label, {split!r}).x0[{s.picture}].double()
eps = torch.randn(1, *x0.shape, generator=torch.Generator().manual_seed({s.seed})).double()[0]
""".strip()
