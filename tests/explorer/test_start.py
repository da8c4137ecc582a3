"""The start page: its walk is the samplers' own, its snippet prints its numbers, and its data is reached."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from core.toys import mixture
from explorer.tabs import start


@pytest.mark.parametrize("name", start.PRESETS)
def test_every_preset_is_checked_and_ends_on_the_data(name):
    settings = start.PRESETS[name]
    view = start.update(settings)
    cloud = view.stage["cloud"]
    assert view.check and view.check.ok
    assert len(cloud.positions) <= settings.steps + 1 and cloud.positions.shape[1:] == (400, 2)
    data, end = mixture(settings.points), torch.tensor(cloud.positions[-1]).double()
    if settings.steps == 1:  # the best single answer to pure noise: every particle lands in the middle
        assert float((end - data.means.mean(0)).norm(dim=1).max()) < 0.1
    else:
        away = torch.cdist(end, data.means).min(1).values
        assert float((away < 4 * float(data.stds[0])).double().mean()) > 0.95
    assert np.allclose(cloud.positions[0].std(), 1, atol=0.1)


def test_the_snippet_prints_the_numbers_of_the_screen():
    settings = start.Settings(steps=5)
    program = start.code(settings) + "\n"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    numbers = start.update(settings).numbers
    printed = dict(line.split(" = ", 1) for line in out.strip().splitlines())
    assert float(printed["energy_distance"]) == pytest.approx(numbers["energy_distance"], rel=1e-4)
