"""A GPU is asked for where one is lent, and nowhere else."""

import sys
import types

import pytest

from explorer.gpu import lent, seconds


def picture(steps):
    yield from range(steps)


def test_elsewhere_it_is_the_function_itself(monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert lent(30)(picture) is picture and lent()(picture) is picture


def test_on_a_space_the_gpu_is_lent_for_so_long(monkeypatch):
    asked = []

    def gpu(duration):
        asked.append(duration)
        return lambda function: lambda *args: list(function(*args))

    monkeypatch.setenv("SPACES_ZERO_GPU", "1")
    monkeypatch.setitem(sys.modules, "spaces", types.SimpleNamespace(GPU=gpu))
    assert lent(seconds(steps=3))(picture)(3) == [0, 1, 2] and asked == [6]
    lent(seconds)(picture)
    assert asked[1] is seconds  # asked anew with the arguments of each call


def test_longer_runs_are_lent_longer():
    assert seconds(20) == 7 and seconds(20, batch=8) == pytest.approx(16, abs=1)
    assert seconds(20, size=1024) > seconds(20) and seconds(20, calls=2) > seconds(20)
