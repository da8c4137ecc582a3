"""A visitor's own picture: read, with what is wrong said in words, and reduced to a grid of numbers."""

import io
import re
import warnings

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from core.resizing import resize

MOST_BYTES, MOST_PIXELS = 2_000_000, 16_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")


def read_picture(data: bytes) -> tuple[Tensor, str]:
    """A picture file as (3, H, W) float64 in [0, 1], and what had to be done to it, "" if nothing.

    Raises: ValueError that says which rule the file breaks and what would fit.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"a picture may have at most 2 MB, this file has {len(data) / 1e6:.1f}: save it smaller")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError as error:
        raise ValueError("this file is no picture that can be read; a PNG, JPEG, WebP or BMP file would fit") from error
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        raise _too_large(int(pixels[0]) if pixels else None) from error
    if image.width * image.height > MOST_PIXELS:
        raise _too_large(image.width * image.height)
    if image.format not in FORMATS or getattr(image, "is_animated", False):
        raise ValueError(f"a {image.format} can hold more than one picture; save one of them as PNG or JPEG")
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"the file says it is a {image.format}, but it is damaged or cut short") from error
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        grey = np.asarray(image, dtype=np.float64) / 65535
        return torch.tensor(grey).clamp(0, 1).expand(3, -1, -1), "16 bits a pixel: read at full depth, 65535 is white"
    note = ""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        note = "the see-through parts were laid on white"
    pixels = np.asarray(image.convert("RGB"), dtype=np.float64) / 255
    return torch.tensor(pixels).movedim(2, 0), note


def reduced(picture: Tensor, rows: int, cols: int) -> list[list[float]]:
    """The grey of a picture (3, H, W) in so many cells, each the mean of its area, to two digits."""
    cells = resize(picture.mean(0), (rows, cols), "area")
    return [[round(float(v), 2) for v in row] for row in cells]


def _too_large(pixels: int | None) -> ValueError:
    has = f"this one has {pixels:,}" if pixels else "this one has far more"
    return ValueError(f"a picture may have at most {MOST_PIXELS:,} pixels, {has}; 4000 x 4000 would fit")
