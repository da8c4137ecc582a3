"""A visitor's own picture: read, with what is wrong said in words, and reduced to a grid of numbers."""

import base64
import binascii
import contextlib
import io
import re
import threading
import warnings
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from core.photographs import picture, square
from core.resizing import resize
from explorer.settings import is_own

MOST_BYTES, MOST_PIXELS = 2_000_000, 16_000_000
SIDE = 256  # of an own picture, where a tab works with squares of pixels
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # no other decoder is ever tried on a visitor's file
OTHERS = {  # known by how they begin, to say what came
    "GIF": rb"GIF8",
    "TIFF": rb"II\*\0|MM\0\*",
    "AVIF": rb".{4}ftypavi",
    "HEIC": rb".{4}ftyp(hei|hev|mif)",
    "PPM": rb"P[1-6]\s",
    "JPEG 2000": rb".{4}jP  |\xff\x4f\xff\x51",
    "SVG": rb"(\xef\xbb\xbf)?\s*(<[?!][^>]*>[\s\]>]*)*<(svg:)?svg[\s/>]",  # its root, after <?xml ...> and the like
    "PDF": rb"%PDF",
}
ONE_AT_A_TIME = threading.Lock()  # a picture of 16 million pixels is 0.4 GB until it is reduced


def read_picture(data: bytes) -> tuple[Tensor, str]:
    """A picture file as (3, H, W) float64 in [0, 1], and what had to be done to it, "" if nothing.

    Raises: ValueError that says which rule the file breaks and what would fit.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"a picture may have at most 2 MB, this file has {len(data) / 1e6:.1f}: save it smaller")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        raise _too_large(int(pixels[0]) if pixels else None) from error
    except Exception as error:  # Pillow's readers raise many kinds where a file is cut short
        raise ValueError(_unread(data)) from error
    if image.width * image.height > MOST_PIXELS:
        raise _too_large(image.width * image.height)
    kind = "JPEG" if image.format == "MPO" else image.format  # so Pillow calls a camera's with a small copy behind it
    if getattr(image, "is_animated", False) and kind != "JPEG":
        raise ValueError(f"a {kind} can hold more than one picture; save one of them as PNG or JPEG")
    try:
        image.load()
    except Exception as error:
        raise ValueError(f"the file says it is a {kind}, but it is damaged or cut short") from error
    with contextlib.suppress(Exception):  # where it cannot be read which way is up, the picture stays as it is
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        grey = np.asarray(image, dtype=np.float64) / 65535
        return torch.from_numpy(grey).clamp(0, 1).expand(
            3, -1, -1
        ), "16 bits a pixel: read at full depth, 65535 is white"
    note = ""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        note = "the see-through parts were laid on white"
    pixels = np.asarray(image.convert("RGB"), dtype=np.float64) / 255
    return torch.from_numpy(pixels).movedim(2, 0), note


def received(file: Any) -> bytes:
    """What the browser sent of a file, in base64.

    Raises: ValueError if it is too much, or did not arrive whole.
    """
    if not isinstance(file, str) or len(file) > 2 * MOST_BYTES:
        raise ValueError(f"a picture may have at most {MOST_BYTES / 1e6:g} MB: save it smaller")
    try:
        return base64.b64decode(file, validate=True)
    except binascii.Error as error:
        raise ValueError("the file did not arrive whole; try again") from error


def own_square(data: bytes) -> tuple[Tensor, str]:
    """The middle square of a picture file, (3, n, n) float64 in steps of 1/255, n at most `SIDE`; and `read_picture`'s
    note. Its own answer, saved as PNG and read again, gives the same.

    Raises: ValueError as `read_picture` does.
    """
    with ONE_AT_A_TIME:
        planes, note = read_picture(data)
        return square(planes, min(SIDE, *planes.shape[1:])).mul(255).round() / 255, note


def pictured(name: str, side: int) -> Tensor:
    """A picture of `core.photographs` by its name, or one's own by its data address: (3, side, side) in [0, 1].

    Raises: ValueError as `own_square` and `core.photographs.picture` do.
    """
    return square(own_square(received(name.partition(",")[2]))[0], side) if is_own(name) else picture(name, side)


def data_address(planes: Tensor) -> str:
    """A picture (3, H, W) in [0, 1] as the data address of a PNG file."""
    file = io.BytesIO()
    pixels = planes.movedim(0, 2).mul(255).round().to(torch.uint8).numpy()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def in_code(name: str) -> tuple[str, str, str]:
    """How the code pane gets `pictured`: the function of `core.photographs` it takes, its first argument, and the lines
    that read an own picture from its file."""
    if not is_own(name):
        return "picture", repr(name), ""
    lines = """
from pathlib import Path

from explorer.uploads import own_square

own, _ = own_square(Path("picture.png").read_bytes())  # the file of your picture
"""
    return "square", "own", lines


def reduced(picture: Tensor, rows: int, cols: int) -> list[list[float]]:
    """The grey of a picture (3, H, W) in so many cells, each the mean of its area, to two digits."""
    cells = resize(picture.mean(0), (rows, cols), "area")
    return [[round(float(v), 2) for v in row] for row in cells]


def _unread(data: bytes) -> str:
    """What to say of a file of none of the FORMATS."""
    kind = next((kind for kind, begins in OTHERS.items() if re.match(begins, data, re.DOTALL)), None)
    if kind in ("GIF", "TIFF"):
        return f"a {kind} can hold more than one picture; save one of them as PNG or JPEG"
    if kind:
        return f"files of the kind {kind} are not read here; save the picture as PNG or JPEG"
    return "this file is no picture that can be read; a PNG, JPEG, WebP or BMP file would fit"


def _too_large(pixels: int | None) -> ValueError:
    has = f"this one has {pixels:,}" if pixels else "this one has far more"
    return ValueError(f"a picture may have at most {MOST_PIXELS:,} pixels, {has}; 4000 x 4000 would fit")
