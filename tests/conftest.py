"""What tests of core, explorer and browser share."""

import json
import os
import subprocess
import sys
import time

if "PYTEST_XDIST_WORKER" in os.environ:  # one core each; read when torch is imported, here and in what a test starts
    os.environ["OMP_NUM_THREADS"] = "1"

import hypothesis
import pytest

hypothesis.settings.register_profile("house", deadline=None)  # seconds are never asserted: a machine may be busy
hypothesis.settings.load_profile("house")


def pytest_xdist_auto_num_workers(config):
    """Two processes, as many as a small machine has cores; only this one where `-s` asks for what is printed."""
    return 0 if config.getoption("capture") == "no" else 2


def pytest_configure(config):
    """Files stay in the order of `testpaths`, the long ones first, so that both processes end together."""
    config.option.loadscopereorder = False


FRESH = """
import contextlib, io, json, os, sys, traceback
for line in sys.stdin:
    asked, printed, error = json.loads(line), io.StringIO(), ""
    os.environ |= asked["environment"]
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(asked["code"], "snippet", "exec"), {"__name__": "__main__"})
    except BaseException:
        error = traceback.format_exc()
    print(json.dumps([printed.getvalue(), error]), flush=True)
"""


@pytest.fixture(scope="session")
def afresh():
    """Runs a program as a reader of the code pane does, and gives what it printed.

    In an interpreter that has this project and nothing of these tests, one for all programs, each in a namespace of its
    own: what a program imports is all that it finds there.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-I", "-c", FRESH], **pipes) as interpreter:

        def run(code, **environment):
            interpreter.stdin.write(json.dumps({"code": code, "environment": environment}) + "\n")
            interpreter.stdin.flush()
            printed, error = json.loads(interpreter.stdout.readline())
            assert not error, error
            return printed

        yield run


@pytest.fixture(scope="session")
def until():
    """Waits for something to be true, for a minute at most; whether it is."""

    def wait(true):
        end = time.monotonic() + 60
        while not true() and time.monotonic() < end:
            time.sleep(0.05)
        return true()

    return wait


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A folder with a whole text-to-image model of random weights: small, quick, and good for nothing else."""
    import torch

    from core import weights
    from core.networks.unet import UNet, UNetConfig
    from core.networks.vae import VAE, VAEConfig
    from core.text import TextConfig, TextEncoder, tokenizer, transformers_names
    from core.weights import Card

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    read = tokenizer()
    known = torch.zeros(49408, dtype=torch.bool)
    known[[read.sot_token_id, read.eot_token_id, *read.encode("red apple cat face blue heart on a background")]] = True
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    text_config = sizes | {"projection_dim": 16, "zero_after_end": True}
    text = TextEncoder(TextConfig(**text_config))
    unet_config = {"block_out_channels": (32, 64), "cross_attention_dim": 32}
    unet_config |= {"addition_embed_type": "text", "addition_embed_type_num_heads": 4}
    vae_config = {"block_out_channels": (32,), "patch_size": 4}
    weights.save(folder / "text_encoder", text_config, transformers_names(text.tower, known), Card("tiny text"))
    weights.save(folder / "unet", unet_config, UNet(UNetConfig(**unet_config)).state_dict(), Card("tiny unet"))
    weights.save(folder / "vae", vae_config, VAE(VAEConfig(**vae_config)).state_dict(), Card("tiny vae"))
    (folder / "scheduler").mkdir()
    scheduler = {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "num_train_timesteps": 1000,
        "prediction_type": "v_prediction",
        "timestep_spacing": "trailing",
    }
    weights.write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
    return folder


@pytest.fixture(scope="module")
def tiny_offered(tiny_model, monkeypatch_module):
    """The tiny model, as the one that the explorer draws with."""
    from explorer import models

    monkeypatch_module.setattr(models, "_offer", models.Offer((str(tiny_model),), "cpu"))
    return models.loaded()


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch
