"""Start pictures: every source, as Pillow and scikit-image have them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from core.pictures import MODEL, NAMES, files, picture

KEPT = [name for name in NAMES if not name.startswith(MODEL)]


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("size", [28, 50])
def test_every_picture_fits(name, size):
    x, grey = picture(name, size), picture(name, size, grey=True)
    assert x.shape[1:] == (size, size) and len(x) in (1, 3) and grey.shape == (1, size, size)
    assert x.min() >= -1 and x.max() <= 1 and x.std() > 0.05  # brick is the faintest
    assert np.allclose(grey[0], x.mean(0), atol=1e-6)


def test_files_are_the_folders():
    folder = Path(__file__).parents[2] / "assets" / "images" / "start"
    assert set(files()) == {path.stem for path in folder.glob("*.png")} and len(files()) >= 3
    for name, path in files().items():
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert np.allclose(picture(name, 256).permute(1, 2, 0), pixels / 127.5 - 1, atol=1e-6)


def test_a_photograph_has_scikit_images_colours():
    """The mean colour of the square that is cut out, whatever the size."""
    cut = data.astronaut()[:320, 64:384].mean((0, 1)) / 127.5 - 1
    assert np.allclose(picture("astronaut", 64).mean((1, 2)), cut, atol=0.01)


@pytest.mark.slow
def test_the_model_draws_its_own():
    """Red where it is not white, as its prompt says."""
    x = picture(MODEL + "red apple", 48)
    red, green, _ = x.mean((1, 2))
    assert x.shape == (3, 48, 48) and x.std() > 0.1 and red > green + 0.1


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: picture("mona lisa", 64), "picture must be one of beach"),
        (lambda: picture("ball", 4), "from 8 to 512, got 4"),
        (lambda: picture("cat", 1000), "512"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(ValueError, match=words):
        make()
