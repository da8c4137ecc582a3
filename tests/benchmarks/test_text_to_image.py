"""A guided picture with the embedded model, beside the network calls it is made of: read the ratios.

Run: uv run pytest tests/benchmarks -s
"""

import pytest
import torch

from core.pipeline import TextToImage

STEPS = 20


@pytest.fixture(scope="module")
def model() -> TextToImage:
    return TextToImage.load("emoji", device="cpu")


@pytest.mark.benchmark(group="20 guided steps")
def test_the_network_alone(benchmark, model):
    x, t, context = torch.randn(2, 4, 16, 16), torch.full((2,), 500), model.text(["red apple", ""])

    @torch.no_grad()
    def calls():
        for _ in range(STEPS):
            model.unet(x, t, context)

    benchmark.pedantic(calls, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="20 guided steps")
@pytest.mark.parametrize(
    ("sampler", "prompt"),
    [("ddim", "red apple"), ("dpmpp_2m", "red apple"), ("dpmpp_2m", "red apple, blob style")],  # the last one's pressed
)
def test_picture(benchmark, model, sampler, prompt):
    def picture():
        *_, last = model.stream(prompt, sampler=sampler, steps=STEPS, guidance=3.0)
        return model.decode(last.x_next)

    benchmark.pedantic(picture, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="20 guided steps")
def test_streamed_picture(benchmark, model):
    def stream():
        for step in model.stream("red apple", sampler="ddim", steps=STEPS, guidance=3.0):
            model.decode(torch.cat([step.x_next, step.prediction.x0]))

    benchmark.pedantic(stream, rounds=5, warmup_rounds=1)
