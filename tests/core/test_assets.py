"""Where the files that come with the project are found: both layouts that it is installed in."""

import pytest

from core import assets


@pytest.mark.parametrize("layout", ["wheel", "checkout"])
def test_a_folder_of_assets_is_found_in_a_wheel_and_in_a_checkout(tmp_path, monkeypatch, layout):
    """A wheel has it within `core` (pyproject's force-include), a checkout beside it."""
    core = tmp_path / "core"
    wanted = (core if layout == "wheel" else tmp_path) / "assets" / "images" / "start"
    wanted.mkdir(parents=True)
    monkeypatch.setattr(assets, "HERE", core)
    assert assets.folder("images", "start") == wanted
    assert not assets.folder("images", "gone").exists()
