"""Calls of many threads, answered together: the same pictures, one pass at a time, and nothing lost."""

import gc
import subprocess
import sys
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

import numpy as np
import pytest
import torch

from core import checks
from core.networks.attention import Record
from core.pipeline import TextToImage
from explorer.broker import CROWD, NETWORKS, Broker, SharedUNet, halved, hurried, on_networks, shared

PROMPTS = ["red apple", "cat face", "blue heart", "a cat", "apple on a background", "heart"]


class Counted:
    """A function of rows that notes how many it was given, and that no two calls run at once."""

    def __init__(self, function):
        self.function, self.sizes, self.alone = function, [], Lock()

    def __call__(self, *rows):
        assert self.alone.acquire(blocking=False), "two passes at once"
        self.sizes.append(len(rows[0]))
        answer = self.function(*rows)
        self.alone.release()
        return answer


def at_once(function, inputs):
    together = Barrier(len(inputs))

    def one(given):
        together.wait()
        return function(given)

    with ThreadPoolExecutor(len(inputs)) as pool:
        return list(pool.map(one, inputs))


def held_until(broker, waiting):
    """No pass begins before so many wait."""

    def hold():
        while len(broker.waiting) < waiting:
            time.sleep(0.001)

    NETWORKS.submit(hold)


def test_each_call_gets_the_answer_to_its_own_rows():
    double = Counted(lambda x, t: 2 * x + t[:, None])
    broker = Broker(double, most=40)
    held_until(broker, 12)

    def visit(i):
        rows = torch.arange(i % 3 + 1.0)[:, None] + 10 * i
        for step in range(20):
            t = torch.full((len(rows),), float(step))
            assert torch.equal(broker(rows, t), 2 * rows + step)

    at_once(visit, list(range(12)))
    assert max(double.sizes) <= 40 and sum(double.sizes) == 20 * sum(i % 3 + 1 for i in range(12))
    assert double.sizes[0] == 24  # all who had come


def test_shapes_that_do_not_fit_are_not_mixed():
    broker = Broker(Counted(lambda x: x.flatten(1).sum(1)), most=10_000)
    answers = at_once(lambda side: [broker(torch.ones(2, side, side)) for _ in range(10)], [2, 3, 4, 5])
    for side, given in zip([2, 3, 4, 5], answers, strict=True):
        assert all(torch.equal(one, torch.full((2,), float(side**2))) for one in given)


def test_a_failed_pass_is_told_to_all_who_shared_it_and_to_no_one_after():
    def fails(x):
        if (x < 0).any():
            raise RuntimeError("no room")
        return x

    broker = Broker(fails, most=100)
    with pytest.raises(RuntimeError, match="no room"):
        broker(torch.tensor([-1.0]))
    assert torch.equal(broker(torch.ones(1)), torch.ones(1))


def picture(model, prompt, sampler="dpmpp_2m", steps=6, guidance=3.0):
    *_, last = model.stream(prompt, sampler=sampler, steps=steps, guidance=guidance, seed=PROMPTS.index(prompt))
    return model.decode(last.x_next)[0].numpy()


def test_prompts_drawn_together_are_the_pictures_drawn_alone(tiny_model):
    alone = TextToImage.load(tiny_model, device="cpu")
    model = shared(alone)
    counted = model.unet._ask.function = Counted(alone.unet)
    held_until(model.unet._ask, len(PROMPTS))
    visits = [  # at different steps, with and without guidance, by samplers of one and of two calls a step
        (PROMPTS[0], "dpmpp_2m", 6, 3.0), (PROMPTS[1], "ddim", 9, 3.0), (PROMPTS[2], "heun", 5, 1.0),
        (PROMPTS[3], "euler_ancestral", 7, 0.0), (PROMPTS[4], "ddpm", 6, 7.5), (PROMPTS[5], "euler", 8, 2.0),
    ]  # fmt: skip
    drawn = at_once(lambda visit: picture(model, *visit), visits)
    assert counted.sizes[0] >= 8 and max(counted.sizes) <= 12  # six visitors, most of them with two rows
    for visit, one in zip(visits, drawn, strict=True):
        np.testing.assert_allclose(one, picture(alone, *visit), atol=1e-3)


def test_alone_the_bytes_are_the_same(tiny_model):
    alone = TextToImage.load(tiny_model, device="cpu")
    assert picture(shared(alone), "red apple").tobytes() == picture(alone, "red apple").tobytes()


def test_most_cores_go_to_the_thread_of_the_networks():
    """In a process of its own, for it changes the process: of three cores two to passes, one to threads old and new;
    to the pass of a crowd all three."""
    program = """
import threading, time, torch
torch.set_num_threads(3)
from explorer.broker import CROWD, NETWORKS, Broker, gather_cores
gather_cores(), gather_cores()
broker = Broker(lambda x: torch.full_like(x, torch.get_num_threads()), most=10)
print(torch.get_num_threads(), [int(broker(torch.zeros(1))) for _ in range(2)])
other = threading.Thread(target=lambda: print(torch.get_num_threads(), int(broker(torch.zeros(1)))))
other.start(), other.join()
held, told = threading.Event(), []
NETWORKS.submit(held.wait)
crowd = [threading.Thread(target=lambda: told.append(int(broker(torch.zeros(1))))) for _ in range(CROWD)]
for one in crowd: one.start()
while len(broker.waiting) < CROWD: time.sleep(0.001)
held.set()
for one in crowd: one.join()
print(told, int(broker(torch.zeros(1))), torch.get_num_threads())
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == ["1 [2, 2]", "1 2", f"{[3] * CROWD} 2 1"]


def test_gradients_are_kept_where_they_are_wanted():
    weight = torch.ones(2, requires_grad=True)
    assert on_networks(lambda x: (x * weight).sum(), torch.ones(2)).requires_grad
    with torch.no_grad():
        assert not on_networks(lambda x: (x * weight).sum(), torch.ones(2)).requires_grad


def test_a_pass_of_several_may_be_hurried_one_alone_never_is(tiny_model):
    """On CPUs with matrix units several are answered in bfloat16, of 8 bits: nearly the same pictures. Whoever draws
    alone, or asks for more than a picture, has the bytes of float32."""
    alone = TextToImage.load(tiny_model, device="cpu")
    model = shared(alone)
    quick = hurried(model)
    broker = quick.unet._ask
    assert model.unet._ask.together is None
    assert picture(quick, PROMPTS[0]).tobytes() == picture(alone, PROMPTS[0]).tobytes()

    half = halved(alone.unet)
    assert (half is None) != torch.cpu._is_amx_tile_supported()
    half = half or (lambda *rows: torch.autocast("cpu", torch.bfloat16)(alone.unet)(*rows))
    broker.function, broker.together = Counted(alone.unet), Counted(half)
    held_until(broker, len(PROMPTS))
    drawn = at_once(lambda prompt: picture(quick, prompt), PROMPTS)
    assert broker.together.sizes[0] == 2 * len(PROMPTS)
    for prompt, one in zip(PROMPTS, drawn, strict=True):
        difference = np.abs(one - picture(alone, prompt)).max()
        assert 0 < difference < 0.1
    assert picture(quick, PROMPTS[0]).tobytes() == picture(alone, PROMPTS[0]).tobytes()
    assert set(broker.function.sizes) == {2}
    assert hurried(alone).unet is alone.unet


def test_a_record_holds_one_visitors_maps(tiny_model):
    alone = TextToImage.load(tiny_model, device="cpu")
    model = shared(alone)

    def visit(prompt):
        record = Record()
        for _ in model.stream(prompt, steps=3, record=record):
            pass
        return record

    for prompt, record in zip(PROMPTS, at_once(visit, PROMPTS), strict=True):
        assert record.attention and all(len(maps) == 1 for maps in record.attention.values()), prompt


def test_layers_caught_by_hooks_are_ones_own_while_others_draw(tiny_model):
    """The badge of the attention view, of which every visitor's pass goes through the same layers."""
    model = shared(TextToImage.load(tiny_model, device="cpu"))
    record = Record()
    *_, last = model.stream(PROMPTS[0], steps=3, record=record, guidance=1.0)
    context = model.text([PROMPTS[0]])

    def visit(prompt):
        if prompt != PROMPTS[0]:
            return picture(model, prompt)
        seen = (record.attention, model.unet, last.x, torch.tensor([last.t - 1]), context)
        return [checks.cross_attention(*seen) for _ in range(10)]

    found, *_ = at_once(visit, PROMPTS)
    assert all(check.ok for check in found)


def test_where_runs_have_processes_of_their_own_nothing_is_shared(tiny_model, monkeypatch):
    alone = TextToImage.load(tiny_model, device="cpu")
    assert isinstance(shared(alone).unet, SharedUNet)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert shared(alone) is alone


@pytest.mark.parametrize("what", ["a step", "decoding"])
def test_a_full_device_is_given_back_what_the_attempt_took(what, monkeypatch):
    """At once, and not when Python looks for cycles: what is tried next needs the room."""
    model, taken = TextToImage.load("emoji", device="cpu"), []

    def full(x):
        activation = torch.zeros(1000)
        taken.append(weakref.ref(activation))
        raise torch.OutOfMemoryError("CUDA out of memory")

    together = shared(model)
    monkeypatch.setattr(model.unet.conv_out if what == "a step" else model.vae.decoder.conv_out, "forward", full)
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(ValueError, match=f"{what} needs more memory than cpu has free"):
            list(together.stream("cat", steps=2)) if what == "a step" else together.decode(torch.zeros(1, 4, 16, 16))
        assert [activation() for activation in taken] == [None]
    finally:
        gc.enable()
