"""The pictures that are noised: drawn by formulas, photographs, files in `assets/images/start`, the model's own."""

from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from PIL import Image

from . import assets, toys
from .arguments import whole
from .photographs import CUTS, square
from .photographs import picture as photograph

MODEL = "drawn by the model: "  # followed by its prompt


def files() -> dict[str, Path]:
    """The PNG files that come with this project, name -> path; one more file there is one more picture."""
    return {path.stem: path for path in sorted(assets.folder("images", "start").glob("*.png"))}


NAMES = (*toys.PICTURES, *files(), *CUTS, *(MODEL + prompt for prompt in ("red apple", "cat face")))


@lru_cache(maxsize=8)
def picture(name: str, size: int, *, grey: bool = False) -> torch.Tensor:
    """A square picture to be noised, (1 or 3, size, size) float32 in [-1, 1]. Read it only: it is kept.

    Args:
        name: one of `NAMES`. What the model draws takes seconds, once. grey: the mean of the colours.
    Raises: ValueError for an unknown name, a size outside 8..512, or a model that cannot be read.
    """
    size = whole("size", size, 8, 512)
    if name not in NAMES:
        raise ValueError(f"picture must be one of {', '.join(NAMES)}, got {name!r}")
    if name in toys.PICTURES:
        x = toys.picture(name, size)
    elif name in CUTS:
        x = 2 * photograph(name, size) - 1
    elif name in files():
        pixels = np.asarray(Image.open(files()[name]).convert("RGB"), dtype=np.float64) / 255
        x = 2 * square(torch.tensor(pixels).movedim(2, 0), size) - 1
    else:
        x = 2 * square((_drawn(name.removeprefix(MODEL)) + 1) / 2, size) - 1
    return (x.mean(0, keepdim=True) if grey else x).float()


DRAWING = Lock()


def _drawn(prompt: str) -> torch.Tensor:
    """What the embedded model makes of a prompt at seed 0 in ten steps, (3, H, W); who asks meanwhile waits for it."""
    with DRAWING:
        return _drawn_once(prompt)


@lru_cache(maxsize=4)
def _drawn_once(prompt: str) -> torch.Tensor:
    from .pipeline import TextToImage

    model = TextToImage.load("emoji", device="cpu")
    *_, last = model.stream(prompt, steps=10, seed=0)
    return model.decode(last.x_next)[0].double().clamp(-1, 1)
