"""The one place that finds and reads data sets. None is part of this project; its models were trained on them.

A data set is looked for in a given path, then in the folder named by ``$DIFFUSION_EXPLORER_DATA``. FashionMNIST is then
downloaded from its official home, unless a path was given; the emoji pictures are asked for (they are gathered from
several homes: see `EMOJI`).
"""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

EMOJI = """The emoji pictures are two files, emoji64.npz (array `images`, uint8 (N, 64, 64, 4), straight-alpha RGBA) and
emoji64.csv (columns index, codepoints, char, name, keywords, group, style, variant), gathered from
  noto       github.com/googlefonts/noto-emoji       Apache-2.0
  blob       github.com/C1710/blobmoji               Apache-2.0
  twemoji    github.com/jdecked/twemoji              CC-BY 4.0
  emojitwo   github.com/EmojiTwo/emojitwo            CC-BY 4.0
  fx         github.com/mozilla/fxemoji              CC-BY 4.0
  fluent3d, fluentflat   github.com/microsoft/fluentui-emoji   MIT
with names and keywords from Unicode CLDR. They cannot be downloaded as one file: put both in one folder and name it."""

# The colours a caption can ask for. White is what an unmentioned background is.
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "black": (24, 24, 24),
    "gray": (128, 128, 128),
    "red": (214, 56, 48),
    "orange": (244, 144, 40),
    "yellow": (250, 220, 70),
    "green": (64, 160, 80),
    "blue": (56, 108, 214),
    "purple": (128, 72, 176),
    "pink": (246, 164, 200),
}


@dataclass(frozen=True)
class Emoji:
    """The emoji pictures with what is written about them.

    images: uint8 (N, 4, 64, 64), straight alpha. names, keywords, styles, groups: one for each (keywords is a tuple).
    """

    images: Tensor
    names: tuple[str, ...]
    keywords: tuple[tuple[str, ...], ...]
    styles: tuple[str, ...]
    groups: tuple[str, ...]


RAW = [f"{split}-{kind}-ubyte" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


def find(name: str, path: str | Path | None = None) -> Path:
    """The folder that holds data set ``name`` ("emoji" or "fashion").

    Raises: ValueError for an unknown name; FileNotFoundError if it is in no place and cannot be downloaded.
    """
    wanted = {"emoji": ("emoji64.npz", "emoji64.csv"), "fashion": ("fashion28.npz",)}
    if name not in wanted:
        raise ValueError(f"unknown data set {name!r}; known are {', '.join(sorted(wanted))}")
    looked = [Path(p).expanduser() for p in (path, os.environ.get("DIFFUSION_EXPLORER_DATA")) if p]
    for folder in looked:
        if all((folder / file).is_file() for file in wanted[name]):
            return folder
        if name == "fashion" and all((folder / "FashionMNIST" / "raw" / file).is_file() for file in RAW):
            return folder
    if name == "fashion" and path is None:
        return download_fashion(looked[0] if looked else Path.home() / ".cache" / "diffusion-explorer")
    files, rest = " and ".join(wanted[name]), f".\n{EMOJI}"
    if name == "fashion":
        files += f", or FashionMNIST/raw with {', '.join(RAW)}"
        rest = ", or leave --data out: then it is downloaded."
    raise FileNotFoundError(
        f"data set {name!r} needs {files} (looked in: {', '.join(map(str, looked)) or 'no folder named'}). "
        f"Give --data FOLDER or set DIFFUSION_EXPLORER_DATA{rest}"
    )


def at_hand(name: str) -> Path | None:
    """The folder that holds data set ``name`` on this machine, or None; nothing is downloaded."""
    try:
        return find(name, Path.home() / ".cache" / "diffusion-explorer")
    except FileNotFoundError:
        return None


def download_fashion(folder: Path) -> Path:
    """Fetch FashionMNIST into ``folder`` from its official home; torchvision shows the progress and compares checksums.

    Raises: ConnectionError if the home cannot be reached.
    """
    from torchvision.datasets import FashionMNIST

    try:
        FashionMNIST(str(folder), download=True)
    except (RuntimeError, OSError) as error:
        raise ConnectionError(
            f"FashionMNIST is not in {folder} and could not be downloaded ({error}). With a network, try again; "
            "without one, put fashion28.npz or FashionMNIST/raw into a folder named by DIFFUSION_EXPLORER_DATA."
        ) from error
    return folder


def fashion(split: str = "train", path: str | Path | None = None) -> tuple[Tensor, Tensor]:
    """FashionMNIST: pictures uint8 (N, 1, 28, 28) and classes int64 (N,); 60,000 in "train", 10,000 in "test".

    Raises: ValueError for another split; FileNotFoundError if it is not in ``path``.
    Source: Xiao et al. (2017), arXiv 1708.07747.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    folder = find("fashion", path)
    if (folder / "fashion28.npz").is_file():
        with np.load(folder / "fashion28.npz") as file:
            chosen = file["split"] == (split == "test")
            return torch.from_numpy(file["images"][chosen])[:, None], torch.from_numpy(file["labels"][chosen]).long()
    from torchvision.datasets import FashionMNIST

    data = FashionMNIST(str(folder), train=split == "train")
    return data.data[:, None], data.targets.long()


def emoji(path: str | Path | None = None) -> Emoji:
    """The training core of the emoji pictures: no flags, no variants, one of two nearly equal Fluent styles."""
    folder = find("emoji", path)
    with open(folder / "emoji64.csv", newline="", encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["group"] != "Flags" and not row["variant"] and row["style"] != "fluentcolor"
        ]
    with np.load(folder / "emoji64.npz") as file:
        images = torch.from_numpy(file["images"][[int(row["index"]) for row in rows]]).permute(0, 3, 1, 2).contiguous()
    return Emoji(
        images,
        tuple(row["name"].lower() for row in rows),
        tuple(tuple(filter(None, row["keywords"].lower().split("|"))) for row in rows),
        tuple(row["style"] for row in rows),
        tuple(row["group"] for row in rows),
    )


def composite(rgba: Tensor, background: Tensor) -> Tensor:
    """Lay pictures over plain colours: alpha * picture + (1 - alpha) * colour.

    Args:
        rgba: uint8 (B, 4, H, W), straight alpha.
        background: uint8 (B, 3).
    Returns: float32 (B, 3, H, W) in [-1, 1].
    """
    rgb, alpha = rgba[:, :3].float(), rgba[:, 3:].float() / 255
    return (alpha * rgb + (1 - alpha) * background.float()[:, :, None, None]) / 127.5 - 1
