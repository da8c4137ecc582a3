"""Where data sets are looked for, in both layouts, on tiny files; and what is said when they are not there."""

import csv
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from core import datasets


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """No data set of this computer is found, and none is fetched."""
    monkeypatch.delenv("DIFFUSION_EXPLORER_DATA", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")

    def refuse(*args, **kwargs):
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz: no route to host")

    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "download", refuse)


def pictures(seed, n=7):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), rng.integers(0, 10, n, dtype=np.uint8)


def npz(folder, seed):
    folder.mkdir(exist_ok=True)
    images, labels = pictures(seed)
    np.savez(folder / "fashion28.npz", images=images, labels=labels, split=np.array([0, 1, 0, 0, 1, 0, 0]))
    return folder


def idx(folder, seed):
    """The official files, byte by byte: magic number, sizes (big endian), bytes."""
    raw = folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for i, prefix in enumerate(("train", "t10k")):
        images, labels = pictures(seed + i, 5 - i)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(
            struct.pack(">IIII", 2051, len(images), 28, 28) + bytes(images)
        )
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, len(labels)) + bytes(labels))
    return folder


def emoji(folder, name="Red Apple"):
    folder.mkdir(exist_ok=True)
    images = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 4), dtype=np.uint8)
    np.savez(folder / "emoji64.npz", images=images)
    rows = [
        (4, "1F34E", "🍎", name, "Fruit|apple|", "Food & Drink", "noto", ""),
        (0, "1F1E6", "🇦", "Flag: A", "", "Flags", "noto", ""),
        (2, "1F44B", "👋", "Wave", "hand", "People", "blob", "medium skin tone"),
        (1, "1F355", "🍕", "Pizza", "", "Food & Drink", "fluent3d", ""),
        (3, "1F355", "🍕", "Pizza", "", "Food & Drink", "fluentcolor", ""),
    ]
    with open(folder / "emoji64.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "codepoints", "char", "name", "keywords", "group", "style", "variant"])
        writer.writerows(rows)
    return images


def test_fashion_from_one_file(tmp_path):
    images, labels = pictures(1)
    for split, rows in (("train", [0, 2, 3, 5, 6]), ("test", [1, 4])):
        x, y = datasets.fashion(split, npz(tmp_path, 1))
        assert x.shape == (len(rows), 1, 28, 28) and x.dtype == torch.uint8 and y.dtype == torch.int64
        assert np.array_equal(x[:, 0].numpy(), images[rows]) and y.tolist() == labels[rows].tolist()


def test_fashion_from_the_official_files(tmp_path):
    idx(tmp_path, 3)
    for i, split in enumerate(("train", "test")):
        images, labels = pictures(3 + i, 5 - i)
        x, y = datasets.fashion(split, tmp_path)
        assert x.dtype == torch.uint8 and y.dtype == torch.int64
        assert np.array_equal(x[:, 0].numpy(), images) and y.tolist() == labels.tolist()


def test_a_path_comes_before_the_environment(tmp_path, monkeypatch):
    named, other = npz(tmp_path / "named", 1), npz(tmp_path / "other", 2)
    assert datasets.find("fashion", named) == named
    monkeypatch.setenv("DIFFUSION_EXPLORER_DATA", str(other))
    assert datasets.find("fashion", named) == datasets.find("fashion", str(named)) == named
    assert datasets.find("fashion") == other
    assert np.array_equal(datasets.fashion("test")[0][:, 0].numpy(), pictures(2)[0][[1, 4]])
    (tmp_path / "empty").mkdir()
    assert datasets.find("fashion", tmp_path / "empty") == other  # what the path lacks, the environment may have


def test_emoji_keeps_the_training_core(tmp_path):
    images = emoji(tmp_path)
    data = datasets.emoji(tmp_path)
    assert data.names == ("red apple", "pizza") and data.styles == ("noto", "fluent3d")
    assert data.keywords == (("fruit", "apple"), ())
    assert data.images.shape == (2, 4, 64, 64) and data.images.dtype == torch.uint8
    assert np.array_equal(data.images.permute(0, 2, 3, 1).numpy(), images[[4, 1]])


def test_emoji_from_the_environment(tmp_path, monkeypatch):
    emoji(tmp_path / "a", "Named"), emoji(tmp_path / "b", "Found")
    monkeypatch.setenv("DIFFUSION_EXPLORER_DATA", str(tmp_path / "b"))
    assert datasets.emoji().names[0] == "found" and datasets.emoji(tmp_path / "a").names[0] == "named"


def test_missing_emoji_says_what_is_wanted_and_where_it_comes_from(tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFUSION_EXPLORER_DATA", str(tmp_path / "b"))
    with pytest.raises(FileNotFoundError) as error:
        datasets.emoji(tmp_path / "a")
    said = str(error.value)
    for part in (
        "emoji64.npz",
        "emoji64.csv",
        f"{tmp_path / 'a'}, {tmp_path / 'b'}",
        "--data",
        "DIFFUSION_EXPLORER_DATA",
    ):
        assert part in said
    for home in ("googlefonts/noto-emoji", "jdecked/twemoji", "microsoft/fluentui-emoji", "CC-BY 4.0", "Apache-2.0"):
        assert home in said
    monkeypatch.delenv("DIFFUSION_EXPLORER_DATA")
    with pytest.raises(FileNotFoundError, match="no folder named"):
        datasets.emoji()


def test_half_of_the_emoji_files_is_not_found(tmp_path):
    emoji(tmp_path)
    (tmp_path / "emoji64.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"emoji64\.csv"):
        datasets.find("emoji", tmp_path)


def test_missing_fashion_at_a_given_path_is_not_fetched(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"'fashion' needs fashion28\.npz.*looked in: .*nowhere.*DIFFUSION_EXP"):
        datasets.find("fashion", tmp_path / "nowhere")


def test_missing_fashion_says_which_files_are_wanted_and_how_to_have_it_fetched(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        datasets.fashion("train", tmp_path)
    said = str(error.value)
    kinds = torchvision.datasets.FashionMNIST.resources  # the names of what torchvision fetches
    wanted = ["FashionMNIST/raw", f"looked in: {tmp_path})", "leave --data out: then it is downloaded"]
    assert len(kinds) == 4 and all(part in said for part in wanted + [name.removesuffix(".gz") for name, _ in kinds])


@pytest.mark.parametrize("error", [RuntimeError, OSError])
def test_without_a_network_the_message_says_what_to_do(tmp_path, monkeypatch, error):
    def refuse(self):
        raise error("no route to host")

    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "download", refuse)
    with pytest.raises(ConnectionError) as raised:
        datasets.fashion()
    said = str(raised.value)
    assert "no route to host" in said and "With a network, try again" in said
    assert "fashion28.npz" in said and "FashionMNIST/raw" in said and "DIFFUSION_EXPLORER_DATA" in said
    assert str(tmp_path / "home") in said


def test_a_download_broken_off_is_no_data_set(tmp_path, monkeypatch):
    def broken(self):
        Path(self.raw_folder).mkdir(parents=True)
        (Path(self.raw_folder) / "train-images-idx3-ubyte").write_bytes(b"half")
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "download", broken)
    with pytest.raises(ConnectionError):
        datasets.fashion()
    assert datasets.at_hand("fashion") is None


@pytest.mark.parametrize("where", ["environment", "home"])
def test_what_is_fetched_is_read(tmp_path, monkeypatch, where):
    """torchvision's own code fetches, checks and unpacks; here the files come from a folder instead of its mirrors."""
    home, chosen = tmp_path / "official", tmp_path / "chosen"
    idx(home, 5)

    def fetch(self):
        raw = Path(self.raw_folder)
        raw.mkdir(parents=True, exist_ok=True)
        for file in (home / "FashionMNIST" / "raw").iterdir():
            (raw / file.name).write_bytes(file.read_bytes())

    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "download", fetch)
    if where == "environment":
        monkeypatch.setenv("DIFFUSION_EXPLORER_DATA", str(chosen))
    x, _ = datasets.fashion("train")
    assert np.array_equal(x[:, 0].numpy(), pictures(5, 5)[0])
    root = chosen if where == "environment" else tmp_path / "home" / ".cache" / "diffusion-explorer"
    assert (root / "FashionMNIST" / "raw").is_dir()
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "download", None)
    again, _ = datasets.fashion("train", root)  # a second time nothing is fetched
    assert torch.equal(again, x)


def test_unknown_names_and_splits(tmp_path):
    with pytest.raises(ValueError, match="unknown data set 'cifar'; known are emoji, fashion"):
        datasets.find("cifar", tmp_path)
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'valid'"):
        datasets.fashion("valid", npz(tmp_path, 1))


def test_class_names_are_torchvisions():
    assert list(datasets.FASHION_CLASSES) == torchvision.datasets.FashionMNIST.classes
