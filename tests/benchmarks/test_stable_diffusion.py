"""A whole picture beside diffusers' in the same run: read the ratios.

On a CUDA device: Stable Diffusion 1.5's real size with the same random weights on both sides, 512 x 512 pixels, 20
guided DDIM steps in float16, fused attention, guidance as one batch, text and VAE decode on both sides; ours as it is
and compiled (`TextToImage.load(..., compile=True)`). Elsewhere: the embedded model, in our loop and in diffusers'.

Run: uv run pytest tests/benchmarks/test_stable_diffusion.py -s
"""

import statistics
import time
from collections.abc import Callable

import diffusers
import pytest
import torch
import transformers

from core import weights
from core.networks.unet import UNet, UNetConfig
from core.networks.vae import VAE, VAEConfig
from core.pipeline import TextToImage
from core.scheduler import noise_schedule
from core.text import TextEncoder, token_ids
from core.weights import Card

STEPS, PROMPT = 20, "a red apple on a wooden table, morning light"
CUDA = torch.cuda.is_available()
UNET = dict(cross_attention_dim=768, attention_head_dim=8, sample_size=64)  # the rest are diffusers' defaults
VAE_ = dict(
    block_out_channels=(128, 256, 512, 512), layers_per_block=2, sample_size=512,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
)  # fmt: skip
TEXT = dict(
    hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, hidden_act="quick_gelu",
    vocab_size=49408, eos_token_id=49407, pad_token_id=49407, projection_dim=768,
)  # fmt: skip
SCHEDULER = dict(
    beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, num_train_timesteps=1000, clip_sample=False,
    set_alpha_to_one=False, steps_offset=1, timestep_spacing="leading", prediction_type="epsilon",
)  # fmt: skip


def seconds(work: Callable[[], object]) -> float:
    if CUDA:
        torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    if CUDA:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def compare(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median of each, in turn with the others, so that a busy machine slows all of them."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            taken[name].append(seconds(work))
    return {name: statistics.median(times) for name, times in taken.items()}


def show(title: str, taken: dict[str, float], base: str, more: str = "") -> None:
    print(f"\n{title}{more}")
    for name, value in taken.items():
        print(f"  {name:44}{1000 * value:9.1f} ms   x {taken[base] / value:.3f} as fast as {base}")


# ---- Stable Diffusion 1.5's size, on a GPU


@pytest.fixture(scope="module")
def both():
    """diffusers' pipeline and our model with the same random weights, in float16 on the GPU."""
    torch.manual_seed(0)
    with torch.device("cuda"):
        unet = diffusers.UNet2DConditionModel(**UNET)
        vae = diffusers.AutoencoderKL(**VAE_)
        text = transformers.CLIPTextModel(transformers.CLIPTextConfig(**TEXT))
    unet, vae, text = (part.half().eval().requires_grad_(False) for part in (unet, vae, text))
    pipe = diffusers.StableDiffusionPipeline(
        vae=vae, text_encoder=text, unet=unet, tokenizer=None, scheduler=diffusers.DDIMScheduler(**SCHEDULER),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)

    def ours() -> TextToImage:
        placed = dict(device="cuda", dtype=torch.float16)
        tower = TextEncoder.from_state(TEXT, text.state_dict(), **placed)
        with torch.device("meta"):
            networks = (
                UNet(weights.read_config(UNetConfig, dict(unet.config) | {"zero_is_padding": False})),
                VAE(weights.read_config(VAEConfig, dict(vae.config))),
            )
        for network, theirs in zip(networks, (unet, vae), strict=True):
            weights.fill(network, theirs.state_dict(), "diffusers", **placed)
            network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        return TextToImage(tower, *networks, noise_schedule(SCHEDULER), Card("random"), SCHEDULER)

    return pipe, ours(), ours().compiled()


@pytest.mark.skipif(not CUDA, reason="needs a CUDA device")
@pytest.mark.parametrize("batch", [1, 8])
@torch.no_grad()
def test_at_the_real_size(both, batch):
    pipe, eager, compiled = both
    noise = torch.cat([torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(i)) for i in range(batch)])
    noise = noise.half().cuda()

    def theirs():
        ids = token_ids([PROMPT, ""]).cuda()
        ids[ids == 0] = 49407
        cond, empty = (row.expand(batch, -1, -1) for row in pipe.text_encoder(ids).last_hidden_state.split(1))
        return pipe(
            prompt_embeds=cond, negative_prompt_embeds=empty, latents=noise, num_inference_steps=STEPS,
            guidance_scale=7.5, output_type="pt",
        ).images  # fmt: skip

    def ours(model):
        *_, end = model.stream(PROMPT, sampler="ddim", steps=STEPS, guidance=7.5, batch=batch)
        return model.decode(end.x_next)

    x, t = torch.cat([noise, noise]), torch.full((2 * batch,), 500, device="cuda")

    def bare(model):
        words = model.text([PROMPT, ""]).repeat_interleave(batch, 0)
        for _ in range(STEPS):
            model.unet(x, t, words)
        model.decode(noise)

    first = {"eager": seconds(lambda: ours(eager)), "compiled": seconds(lambda: ours(compiled))}
    drift = ((ours(eager) + 1) / 2 - theirs().float()).abs().mean()
    for _ in range(2):
        theirs(), ours(eager), ours(compiled), bare(eager), bare(compiled)
    taken = compare(
        {
            "diffusers": theirs,
            "ours": lambda: ours(eager),
            "ours, bare calls, words and decode": lambda: bare(eager),
            "ours compiled": lambda: ours(compiled),
            "ours compiled, bare calls, words and decode": lambda: bare(compiled),
        },
        rounds=10,
    )
    show(f"{torch.cuda.get_device_name()}, batch {batch}, {STEPS} guided steps of 512 x 512", taken, "diffusers")
    for name in ("ours", "ours compiled"):
        print(
            f"  the loop of {name}: {100 * (taken[name] / taken[f'{name}, bare calls, words and decode'] - 1):+.1f} %"
        )
    print(f"  first picture: {first['eager']:.1f} s as it is, {first['compiled']:.1f} s compiled")
    print(f"  mean difference of our picture and diffusers': {drift:.1e}")
    assert drift < 0.05


# ---- the embedded model, anywhere


@torch.no_grad()
def test_embedded():
    """Our loop and diffusers' over the same network calls from the same noise, and what a stream shows on top."""
    model = TextToImage.load("emoji", device="cpu")
    states, guidance = model.text(["red apple", ""]), 3.0
    scheduler = diffusers.DDIMScheduler.from_config(dict(model.scheduler))
    side = model.unet.config.sample_size
    noise = torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(0))
    x, t = torch.cat([noise, noise]), torch.full((2,), 500)

    def bare():
        for _ in range(STEPS):
            model.unet(x, t, states)

    def theirs():
        scheduler.set_timesteps(STEPS)
        latents = noise * scheduler.init_noise_sigma
        for time_ in scheduler.timesteps:
            asked = scheduler.scale_model_input(torch.cat([latents] * 2), time_)
            cond, empty = model.unet(asked, time_.expand(2), states).chunk(2)
            latents = scheduler.step(empty + guidance * (cond - empty), time_, latents, return_dict=False)[0]
        return latents

    def ours():
        *_, end = model.stream("red apple", sampler="ddim", steps=STEPS, guidance=guidance)
        return end.x_next

    def streamed():
        for step in model.stream("red apple", sampler="ddim", steps=STEPS, guidance=guidance):
            model.decode(torch.cat([step.x_next, step.prediction.x0]))

    assert ((ours() - theirs()).norm() / theirs().norm()) < 1e-3
    taken = compare(
        {
            "bare calls": bare,
            "diffusers' loop": theirs,
            "our stream, words and all": ours,
            "streamed, both decoded": streamed,
        },
        rounds=9,
    )
    show(f"the embedded model, {STEPS} guided steps, {torch.get_num_threads()} threads", taken, "bare calls")

    answer, unet = torch.randn(2, 4, side, side), model.unet.forward
    model.unet.forward = lambda *args, **options: answer  # the loops alone, on a network that costs nothing
    try:
        loops = compare({"diffusers' loop": theirs, "our stream, words and all": ours}, rounds=30)
        words = compare({"words": lambda: model.text(["red apple", ""])}, rounds=10)["words"]
    finally:
        model.unet.forward = unet
    for name, value in loops.items():
        print(f"  {name} without its network: {100 * value / taken['bare calls']:.1f} % of the bare calls")
    print(f"  of it, the words: {100 * words / taken['bare calls']:.1f} %")
