"""The whole page: started in this process, used through gradio_client; and the command itself."""

import subprocess
import sys
from importlib import import_module

import httpx
import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from scipy.stats import binom

from core import pictures
from explorer import models
from explorer.app import build, colophon, launch, read_all, warm_up
from explorer.tabs import TABS, deconvolution, forward_noise


@pytest.fixture(scope="module")
def page(tiny_model, tiny_offered):
    demo = build(str(tiny_model), device="cpu")
    _, url, _ = launch(demo, host="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield Client(url, verbose=False)
    demo.close()


def test_coin_flips_with_defaults(page):
    numbers = page.predict(api_name="/coin_flips")
    assert (numbers["probability"], numbers["fraction"]) == (0.375, "6/16")


def test_coin_flips_with_arguments(page):
    numbers = page.predict(n=10, k=5, api_name="/coin_flips")
    assert numbers["probability"] == pytest.approx(252 / 1024)
    assert numbers["pmf"] == pytest.approx(binom.pmf(np.arange(11), 10, 0.5).tolist())  # numbers, and not their text
    assert len(page.predict(n=1000, api_name="/coin_flips")["pmf"]) == 1001


def test_text_to_image_with_the_model_of_the_command(page):
    _, about = page.predict("red apple", steps=2, api_name="/text_to_image")
    assert about["settings"]["model"] == "tiny"


def test_what_waits_in_a_queue_cannot_be_run_past_it(page):
    for name in ("text_to_image", "text_to_image_inside", "denoising"):
        assert httpx.post(f"{page.src}gradio_api/run/{name}", json={"data": []}, timeout=60).status_code == 404
    assert httpx.post(f"{page.src}gradio_api/run/schedules", json={"data": []}, timeout=60).status_code != 404


def test_every_model_is_read_where_runs_keep_nothing(monkeypatch):
    """One that cannot be read does not keep the page from being served, nor the others from being read."""
    read = []

    def loaded(option):
        read.append(option)
        if option == "gone":
            raise ValueError("no such folder")

    monkeypatch.setattr(models, "options", lambda: ("", "gone", "other"))
    monkeypatch.setattr(models, "loaded", loaded)
    read_all()
    assert read == ["", "gone", "other"]


def test_bad_arguments_are_answered_with_what_was_wanted(page):
    with pytest.raises(AppError, match=r"n must be a whole number in \[1, 1000\], got 0"):
        page.predict(n=0, api_name="/coin_flips")


def test_only_the_named_endpoints_are_public(page):
    assert set(page.view_api(return_format="dict")["named_endpoints"]) == {
        "/text_to_image_inside",
        *(f"/{name}" for name in TABS),
    }


def test_tabs_stand_in_lecture_order():
    playgrounds = ("coin_flips", "convolution", "transposed_convolution", "resizing", "deconvolution")
    order = ("start", *playgrounds, "forward_noise", "schedules", "denoising", "samplers", "text_to_image")
    assert list(TABS) == [name for name in order if name in TABS]


def test_footer_names_the_version():
    from importlib.metadata import version

    assert version("diffusion-explorer") in colophon()


def test_help_loads_nothing_heavy():
    program = (
        "import sys\nfrom explorer.app import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'gradio', 'numpy', 'plotly') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.strip().endswith("[]")
    for option in ("--host", "--port", "--share", "--model", "--device", "--lecture", "--root-path"):
        assert option in out


def test_every_tab_is_ready_before_its_first_visitor(monkeypatch):
    monkeypatch.setattr(models, "loaded", lambda: None)
    monkeypatch.setattr(pictures, "NAMES", tuple(one for one in pictures.NAMES if not one.startswith(pictures.MODEL)))
    cleared = (deconvolution.unweighted, deconvolution.rank_check, forward_noise.chain_of)
    for cache in cleared:
        cache.cache_clear()
    warm_up()
    for module, cache in zip((deconvolution, deconvolution, forward_noise), cleared, strict=True):
        misses = cache.cache_info().misses
        module.update(module.Settings())
        assert cache.cache_info().misses == misses == 1


def test_a_model_that_cannot_be_read_keeps_no_tab_from_being_ready(monkeypatch, capsys):
    def gone():
        raise ValueError("no such folder")

    drawn = []
    monkeypatch.setattr(models, "loaded", gone)
    monkeypatch.setattr(pictures, "NAMES", (f"{pictures.MODEL}red apple", "beach"))
    monkeypatch.setattr(pictures, "picture", lambda name, size, **options: drawn.append(name))
    for name in TABS:
        module = import_module(f"explorer.tabs.{name}")
        monkeypatch.setattr(module, "update", lambda settings, module=module: drawn.append(module.NAME))
    warm_up()
    assert {"coin_flips", "samplers", f"{pictures.MODEL}red apple"} <= {*drawn} and "beach" not in drawn
    assert "text to image will not work: no such folder" in capsys.readouterr().err
