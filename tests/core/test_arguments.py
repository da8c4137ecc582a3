"""Whole numbers are the same kind of thing for all of `core`."""

import re

import numpy as np
import pytest
import torch

from core import clip, convolution, deconvolution, photographs, pictures, probability, resizing, toys
from core.arguments import whole
from core.schedule import linear

ASKED = {
    "blur": lambda n: deconvolution.blur("box", n),
    "photograph": lambda n: photographs.picture("coins", n),
    "picture": lambda n: pictures.picture("coins", n),
    "drawing": lambda n: toys.picture("ball", n),
    "output size": lambda n: convolution.output_size(9, n),
    "resized": lambda n: resizing.resize(torch.ones(1, 4, 4), (n, n), "nearest"),
    "coins": lambda n: probability.binomial_pmf(n, 0.5),
    "times": lambda n: linear(20).times(n),
    "moves": lambda n: next(clip.ascend(None, "", None, moves=n)),
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(
    "wrong",
    [True, 8.5, "9", None, -1, float("nan"), torch.tensor(8.5), torch.tensor(True), torch.tensor([9, 9])],
    ids=str,
)
def test_what_is_no_whole_number_is_refused_everywhere(asked, wrong):
    with pytest.raises(ValueError, match=f"must be a whole number .*, got {re.escape(repr(wrong))}"):
        ASKED[asked](wrong)


@pytest.mark.parametrize("asked", [name for name in ASKED if name != "moves"])
@pytest.mark.parametrize("kind", [np.int64, np.uint8, torch.tensor])
def test_whole_numbers_of_other_libraries_are_taken_everywhere(asked, kind):
    assert torch.equal(*(torch.as_tensor(ASKED[asked](n)) for n in (kind(9), 9)))


def test_a_tensor_counts_steps_as_an_int_does():
    assert all(torch.equal(linear(1000).times(torch.tensor(n)), linear(1000).times(n)) for n in (48, 96, 176, 192))


def test_bounds_are_named():
    assert whole("n", np.uint8(3), 3, 3) == whole("n", torch.tensor(3), 0) == 3
    assert type(whole("n", np.uint8(3), 0)) is int
    with pytest.raises(ValueError, match=r"^n must be a whole number from 1 to 2, got 3$"):
        whole("n", 3, 1, 2)
    with pytest.raises(ValueError, match=r"^n must be a whole number of at least 1, got 0$"):
        whole("n", 0, 1)
