"""From words to pictures against diffusers' own pipelines, on a tiny model that diffusers and transformers saved."""

import json
import math
from dataclasses import asdict, replace

import diffusers
import numpy as np
import pytest
import torch
import transformers

from core import weights
from core.networks.attention import Record
from core.networks.unet import UNet, UNetConfig
from core.pipeline import ClassToImage, TextToImage
from core.samplers import SAMPLERS
from core.scheduler import SCHEDULERS as NAMES
from core.scheduler import noise_schedule, read_scheduler, sampling_plan
from core.style import style_of
from core.text import token_ids
from core.weights import Card

SD15 = dict(
    beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, num_train_timesteps=1000, steps_offset=1,
    timestep_spacing="leading", set_alpha_to_one=False, clip_sample=False, prediction_type="epsilon",
)  # fmt: skip
TRAILING = SD15 | dict(timestep_spacing="trailing", set_alpha_to_one=True, steps_offset=0)
NAMED = {"_class_name": "UNet2DConditionModel"}
SIZE = 16
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:diffusers.*", "ignore:The configuration file of this scheduler:FutureWarning"
)


@pytest.fixture(scope="module")
def parts():
    """diffusers' and transformers' networks with random weights, large enough that words and noise matter."""
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), layers_per_block=1, cross_attention_dim=16,
        attention_head_dim=2, norm_num_groups=8,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 16), norm_num_groups=4, layers_per_block=1, scaling_factor=0.5, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=49408, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            hidden_act="quick_gelu", bos_token_id=49406, eos_token_id=49407, pad_token_id=49407, projection_dim=16,
        )
    )  # fmt: skip
    for network in (unet, vae, text):
        for p in network.parameters():
            p.data += 0.1 * torch.randn(p.shape)
        network.eval().requires_grad_(False)
        network.half().float()  # what is compared was once stored in half precision
    return unet, vae, text


@pytest.fixture(scope="module")
def folder(parts, tmp_path_factory):
    where = tmp_path_factory.mktemp("models") / "tiny"
    for part, network in zip(("unet", "vae", "text_encoder"), parts, strict=True):
        network.save_pretrained(where / part)
    diffusers.DDIMScheduler(**TRAILING).save_pretrained(where / "scheduler")
    return where


@pytest.fixture(scope="module")
def model(folder):
    return TextToImage.load(folder, device="cpu")


def last(steps):
    *_, end = steps
    return end.x_next


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


# ---- a checkpoint's conventions


def written(scheduler):
    """What diffusers writes into scheduler_config.json."""
    return json.loads(scheduler.to_json_string())


PLANS = [(n, spacing) for n in (1, 4, 20, 30, 50) for spacing in ("leading", "trailing", "linspace")]
PLANS.remove((1, "linspace"))  # diffusers' single step would start at the clean end


@pytest.mark.parametrize("steps, spacing", [*PLANS, (1000, "leading"), (1000, "trailing")])
@pytest.mark.parametrize("to_one", [True, False])
def test_times_are_those_of_ddim(steps, spacing, to_one):
    """diffusers counts from 0; its last jump goes to alpha_bar of time 0 (no noise) or of its time 0 (our 1)."""
    offset = 1 if spacing == "leading" and steps < 1000 else 0  # with 1000, diffusers' own times run past the end
    theirs = diffusers.DDIMScheduler(
        **SD15 | dict(timestep_spacing=spacing, steps_offset=offset, set_alpha_to_one=to_one)
    )
    theirs.set_timesteps(steps)
    times, scale = sampling_plan(written(theirs), steps)
    wanted = [t + 1 for t in theirs.timesteps.tolist()]
    assert times[:-1].tolist() == [t for t in wanted if t > times[-1]] and scale == 1 == theirs.init_noise_sigma
    # where the last of diffusers' times is our last one there is no way left to walk, so that step does nothing
    assert len(wanted) - len(times[:-1]) == (not to_one and wanted[-1] == 1)
    assert noise_schedule(written(theirs)).alpha_bar[times[-1]].item() == pytest.approx(
        float(theirs.final_alpha_cumprod), rel=1e-5
    )


@pytest.mark.parametrize("steps, spacing", PLANS)
@pytest.mark.parametrize("to_one", [True, False])
def test_times_and_start_are_those_of_euler(steps, spacing, to_one):
    """SD-Turbo's folder says set_alpha_to_one = false, which Euler's scheduler does not read: it ends at sigma 0."""
    config = SD15 | dict(timestep_spacing=spacing, steps_offset=int(spacing == "leading"))
    del config["set_alpha_to_one"], config["clip_sample"]
    theirs = diffusers.EulerDiscreteScheduler(**config)
    theirs.set_timesteps(steps)
    times, scale = sampling_plan(written(theirs) | dict(set_alpha_to_one=to_one), steps)
    wanted = theirs.timesteps.numpy() + 1  # linspace is not rounded there
    assert len(times) == len(wanted) + 1 and np.abs(times[:-1].numpy() - wanted).max() <= 0.5
    assert times[-1] == 0 and theirs.sigmas[-1] == 0
    # x_sigma = noise * init_noise_sigma is sqrt(sigma^2 + 1) times the variance-preserving state
    assert scale == pytest.approx(float(theirs.init_noise_sigma / (theirs.sigmas[0] ** 2 + 1).sqrt()), rel=1e-5)


@pytest.mark.parametrize("steps", [1, 4, 20, 50])
def test_times_are_those_of_dpm_solver(steps):
    config = {k: v for k, v in TRAILING.items() if k not in ("set_alpha_to_one", "clip_sample")}
    theirs = diffusers.DPMSolverMultistepScheduler(**config)
    theirs.set_timesteps(steps)
    times, scale = sampling_plan(written(theirs), steps)
    assert times.tolist() == [*(theirs.timesteps + 1).tolist(), 0] and scale == theirs.init_noise_sigma
    assert theirs.sigmas[-1] == 0


@pytest.mark.parametrize(
    "config",
    [
        SD15,
        dict(beta_schedule="linear", beta_start=1e-4, beta_end=0.02, num_train_timesteps=200),
        dict(beta_schedule="squaredcos_cap_v2"),
        dict(trained_betas=[0.1, 0.2, 0.05, 0.3], num_train_timesteps=4),
        SD15 | dict(rescale_betas_zero_snr=True),
        {},
    ],
)
def test_noise_schedules_are_those_of_diffusers(config):
    theirs = diffusers.DDIMScheduler(**config)
    ours = noise_schedule(written(theirs))
    assert len(theirs.alphas_cumprod) == ours.T
    # float32 there: a relative error of its running product, and of 1 - it
    assert np.allclose(ours.alpha_bar[1:].numpy(), theirs.alphas_cumprod.numpy(), rtol=2e-4, atol=1e-7)


@pytest.mark.parametrize(
    "config, words",
    [
        ({"beta_schedule": "sigmoid_like"}, "unknown noise schedule 'sigmoid_like'; known are linear"),
        ({"timestep_spacing": "log"}, "unknown timestep_spacing 'log'; known are trailing, leading, linspace"),
        ({"num_train_timesteps": 1, "set_alpha_to_one": False}, "1 steps spaced 'leading' leave none to walk before t"),
    ],
)
def test_conventions_that_are_not_ours(config, words):
    with pytest.raises(ValueError, match=words):
        sampling_plan(config, config.get("num_train_timesteps", 10))


@pytest.mark.parametrize("steps", [0, -1, 1001, 1_000_000, 2.5, "20", True, None])
def test_plans_take_a_whole_number_of_steps(steps):
    with pytest.raises(ValueError, match=r"steps must be a whole number from 1 to 1000, got"):
        sampling_plan(TRAILING, steps)


def test_all_thousand_steps_of_a_leading_plan_can_be_walked():
    times, _ = sampling_plan(SD15, 1000)
    assert (times.diff() < 0).all() and times[0] == 1000


# ---- the whole way against diffusers' pipelines


def states(text, prompts):
    """transformers' states of open_clip's tokens, padded as Stable Diffusion 1 pads."""
    ids = token_ids(prompts)
    ids[torch.arange(77) > ids.argmax(1, keepdim=True)] = 49407
    return text(ids).last_hidden_state


def their_pipeline(kind, parts, scheduler):
    unet, vae, text = parts
    pipe = kind(
        vae=vae, text_encoder=text, tokenizer=None, unet=unet, scheduler=scheduler, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe


SCHEDULERS = {
    "Stable Diffusion 1.5": ("ddim", diffusers.DDIMScheduler(**SD15)),
    "v, trailing": ("ddim", diffusers.DDIMScheduler(**TRAILING | dict(prediction_type="v_prediction"))),
    "x0, trailing": ("ddim", diffusers.DDIMScheduler(**TRAILING | dict(prediction_type="sample"))),
    "SD-Turbo": (
        "euler",
        diffusers.EulerDiscreteScheduler.from_config(TRAILING | dict(set_alpha_to_one=False)),
    ),
    "DPM-Solver++": (
        "dpmpp_2m",
        diffusers.DPMSolverMultistepScheduler.from_config(TRAILING, lower_order_final=False, euler_at_final=True),
    ),
}


@pytest.mark.parametrize("guidance", [1.0, 3.5])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_same_picture_as_diffusers(parts, model, name, guidance):
    sampler, scheduler = SCHEDULERS[name]
    config = written(scheduler)
    ours = replace(model, scheduler=config, schedule=noise_schedule(config))
    prompt, negative = "a red apple", "blurry"
    got = last(ours.stream(prompt, negative=negative, sampler=sampler, steps=10, guidance=guidance, seed=5))

    cond, uncond = states(parts[2], [prompt, negative]).split(1)
    pipe = their_pipeline(diffusers.StableDiffusionPipeline, parts, scheduler)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    options = dict(
        prompt_embeds=cond, negative_prompt_embeds=uncond, latents=noise, num_inference_steps=10,
        guidance_scale=guidance, height=SIZE, width=SIZE,
    )  # fmt: skip
    wanted = pipe(**options, output_type="latent").images
    assert wanted.std() > 0.1 and relative(got, wanted) < 1e-4
    picture = torch.from_numpy(pipe(**options, output_type="np").images).permute(0, 3, 1, 2)
    assert ((ours.decode(got) + 1) / 2 - picture).abs().max() < 1e-4


COUNTS = (7, 30)
NEAR = [(name, spacing) for name in ("euler", "heun", "dpmpp_2m", "unipc") for spacing in ("leading", "trailing")]
NEAR += [("ddim", "leading"), ("dpmpp_2m", "linspace"), ("unipc", "linspace")]


def apart(parts, model, sampler, steps, other=None, **options):
    """How far our latent ends from that of diffusers' pipeline: with the same scheduler, or with an ``other`` that is
    given our times."""
    config = SD15 | {"_class_name": NAMES[sampler].name} | options
    ours = replace(model, scheduler=config, schedule=noise_schedule(config))
    got = last(ours.stream("a red apple", sampler=sampler, steps=steps, guidance=3.5, seed=5))
    walked = (ours.plan(steps, sampler)[0][:-1] - 1).tolist()
    times = {"timesteps": walked} if other else {"num_inference_steps": steps}
    cond, uncond = states(parts[2], ["a red apple", ""]).split(1)
    scheduler = other or getattr(diffusers, NAMES[sampler].name).from_config(config)
    pipe = their_pipeline(diffusers.StableDiffusionPipeline, parts, scheduler)
    wanted = pipe(
        prompt_embeds=cond, negative_prompt_embeds=uncond, guidance_scale=3.5, height=SIZE, width=SIZE, **times,
        latents=torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5)), output_type="latent",
    ).images  # fmt: skip
    assert wanted.std() > 0.1
    return relative(got, wanted)


@pytest.mark.parametrize("sampler, spacing", NEAR)
def test_a_whole_sample_of_any_number_of_steps(parts, model, sampler, spacing):
    """T is no multiple of it."""
    for steps in COUNTS:
        assert apart(parts, model, sampler, steps, timestep_spacing=spacing) < 1e-4


@pytest.mark.parametrize("spacing", ["trailing", "linspace"])
def test_ddim_ends_each_step_at_the_next_time(parts, model, spacing):
    """As diffusers' Euler does, which is the same walk; its DDIM goes T // n back, and T is no multiple of n."""
    config = dict(timestep_spacing=spacing, set_alpha_to_one=True)
    euler = diffusers.EulerDiscreteScheduler.from_config(SD15)  # "leading": from noise of variance 1, as DDIM
    for steps in COUNTS:
        assert apart(parts, model, "ddim", steps, euler, **config) < 1e-4
        assert apart(parts, model, "ddim", steps, **config) > 1e-2


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m", "unipc"])
@pytest.mark.parametrize("spacing, karras", [("linspace", False), ("linspace", True), ("leading", True)])
def test_whole_times_are_nearly_the_fractions(parts, model, sampler, spacing, karras):
    """Given our times diffusers draws the same; with the fractions it keeps, nearly."""
    kind = getattr(diffusers, NAMES[sampler].name)
    assert apart(parts, model, sampler, 20, timestep_spacing=spacing, use_karras_sigmas=karras) < 5e-3
    if sampler != "unipc":  # which takes no times
        given = kind.from_config(SD15 | dict(timestep_spacing=spacing))
        assert apart(parts, model, sampler, 20, given, timestep_spacing=spacing, use_karras_sigmas=karras) < 1e-4


@pytest.mark.parametrize("strength", [0.3, 0.55, 1.0])
def test_from_a_picture_as_diffusers(parts, model, strength):
    scheduler = diffusers.DDIMScheduler(**TRAILING)
    image = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    steps = list(
        model.stream("red apple", image=image, strength=strength, sampler="ddim", steps=20, guidance=2.0, seed=3)
    )
    assert len(steps) == int(20 * strength)
    cond, uncond = states(parts[2], ["red apple", ""]).split(1)
    pipe = their_pipeline(diffusers.StableDiffusionImg2ImgPipeline, parts, scheduler)
    latent = parts[1].encode(image).latent_dist.mean * 0.5
    wanted = pipe(
        prompt_embeds=cond, negative_prompt_embeds=uncond, image=latent, strength=strength, num_inference_steps=20,
        guidance_scale=2.0, generator=torch.Generator().manual_seed(3), output_type="latent",
    ).images  # fmt: skip
    assert relative(steps[-1].x_next, wanted) < 1e-4


# ---- what the arguments do


def test_the_same_seed_gives_the_same_bytes(model):
    for name in SAMPLERS:
        a, b, other = (
            last(model.stream("red apple", sampler=name, steps=4, guidance=2, seed=s, size=SIZE)) for s in (8, 8, 9)
        )
        assert torch.equal(a, b) and relative(a, other) > 0.1


def test_chance_from_elsewhere_changes_nothing(model):
    torch.manual_seed(1)
    a = last(model.stream("red apple", sampler="ddpm", steps=4))
    torch.manual_seed(2)
    walk = model.stream("red apple", sampler="ddpm", steps=4)
    next(walk)
    between = last(model.stream("another", sampler="ddpm", steps=3))  # two visitors at once
    assert torch.equal(a, last(walk)) and between.isfinite().all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_batched_equals_alone(model, name):
    together = last(model.stream("red apple", sampler=name, steps=6, guidance=3.0, seed=11, batch=3))
    for i in range(3):
        alone = last(model.stream("red apple", sampler=name, steps=6, guidance=3.0, seed=11 + i))
        assert together.shape == (3, 4, 8, 8) and (together[i] - alone[0]).abs().max() < 1e-3


@pytest.fixture
def calls(model):
    """(rows, context, network's time) of every call of the U-Net."""
    seen = []
    handle = model.unet.register_forward_pre_hook(lambda module, args: seen.append((len(args[0]), args[2], args[1])))
    yield seen
    handle.remove()


@pytest.mark.parametrize("guidance, rows", [(1, 2), (1.0, 2), (0, 2), (0.0, 2), (2.5, 4), (-1, 4)])
def test_no_guidance_asks_once(model, calls, guidance, rows):
    list(model.stream("red apple", sampler="ddim", steps=5, guidance=guidance, batch=2))
    assert [n for n, _, _ in calls] == [rows] * 5


def test_guidance_one_is_the_prompt_and_zero_the_negative(model):
    walk = dict(sampler="ddim", steps=5, seed=2)
    a = last(model.stream("red apple", negative="blue cat", guidance=1, **walk))
    assert torch.equal(a, last(model.stream("red apple", negative="", guidance=1, **walk)))
    b = last(model.stream("red apple", negative="blue cat", guidance=0, **walk))
    assert torch.equal(b, last(model.stream("blue cat", guidance=1, **walk))) and relative(a, b) > 1e-3


STYLED = "red apple, fx style, on a blue background"


@pytest.mark.parametrize(
    "prompt, said",
    [
        (STYLED, ("fx style, on a blue background", "on a blue background")),
        ("a castle, in Watercolor Style", ("Watercolor Style", "")),
        ("on a red background ,noto style, red apple", ("noto style, on a red background", "on a red background")),
        ("a red apple in fx style, smiling", ("fx style", "")),
        (
            "a red apple in fluent flat style, blue background.",
            ("fluent flat style, blue background", "blue background"),
        ),
        ("a cat in a hat in fx style on a blue background", ("fx style, on a blue background", "on a blue background")),
        ("a cat on a mat on a blue background, fx style.", ("fx style, on a blue background", "on a blue background")),
        ("a cat on a blue background in fx style", ("fx style, on a blue background", "on a blue background")),
        ("red apple with a blue background, fx style", ("fx style, with a blue background", "with a blue background")),
        ("a dog with trees in the background, fx style", ("fx style", "")),
        ("fx style on a blue background, cat", ("fx style, on a blue background", "on a blue background")),
        ("cat, an oil painting style", ("an oil painting style", "")),
        ("a woman with a new hair style, smiling", ("", "")),
        ("a hairstyle, smiling", ("", "")),
        ("a cat, in the style of van Gogh", ("", "")),
        ("a style guide, open", ("", "")),
        ("cat, in style", ("", "")),
        ("in fx style", ("", "")),
        ("red apple, on a blue background", ("", "")),
        ("fx style, on a blue background", ("", "")),  # there is nothing else to press it beside
        ("a lifestyle", ("", "")),
        ("stylish, backgrounds", ("", "")),
        ("", ("", "")),
    ],
)
def test_the_style_that_a_prompt_names(prompt, said):
    assert style_of(prompt) == said


def test_a_style_is_pressed_beside_the_words(model, calls):
    """One step, by hand: eps = eps_none + s (eps_words - eps_none) + (s - 1) k (eps_style - eps_rest)."""
    step = next(model.stream(STYLED, sampler="ddim", steps=10, guidance=4.0, style=1.5, batch=2))
    words = model.text([STYLED, "", "fx style, on a blue background", "on a blue background"])
    assert [(n, len(c)) for n, c, _ in calls] == [(8, 8)] and torch.allclose(calls[0][1][::2], words, atol=1e-5)
    with torch.no_grad():
        asked, time = step.x.repeat(4, 1, 1, 1), torch.full((8,), step.t - 1)
        one, none, style, rest = model.unet(asked, time, words.repeat_interleave(2, 0)).chunk(4)
    wanted = none + 4 * (one - none) + 3 * 1.5 * (style - rest)
    assert relative(step.prediction.eps, wanted) < 1e-5 and relative(none + 4 * (one - none), wanted) > 1e-3


@pytest.mark.parametrize(
    "prompt, guidance, style, rows",
    [
        (STYLED, 1.0, 2.0, 1),
        (STYLED, 0.0, 2.0, 1),
        (STYLED, 0.5, 2.0, 2),
        (STYLED, 3.0, 0.0, 2),
        ("apple", 3.0, 2.0, 2),
    ],
)
def test_no_style_is_pressed_where_words_are_not(model, calls, prompt, guidance, style, rows):
    walk = dict(sampler="ddim", steps=3, seed=2, guidance=guidance)
    a = last(model.stream(prompt, style=style, **walk))
    assert [n for n, _, _ in calls] == [rows] * 3
    assert torch.equal(a, last(model.stream(prompt, **walk)))  # which Stable Diffusion wants none of


def test_guidance_as_a_function_of_time(model, calls):
    walk = dict(sampler="ddim", steps=10, seed=2)
    constant = last(model.stream("red apple", guidance=4.0, **walk))
    assert torch.equal(constant, last(model.stream("red apple", guidance=lambda t: 4.0, **walk)))
    calls.clear()
    asked = []

    def early(t):
        asked.append(t)
        return 4.0 if t > 500 else 1.0

    steps = list(model.stream("red apple", guidance=early, **walk))
    assert asked == [step.t for step in steps] == list(range(1000, 0, -100))
    assert [n for n, _, _ in calls] == [2] * 5 + [1] * 5
    assert [int(t[0]) for _, _, t in calls] == [t - 1 for t in asked]  # a network counts from 0
    assert relative(steps[-1].x_next, constant) > 1e-4


def test_heun_calls_twice_and_the_last_step_once(model, calls):
    list(model.stream("red apple", sampler="heun", steps=5, guidance=2.0))
    assert len(calls) == 9


def test_the_card_decides_what_is_not_said(model, folder):
    card = Card("tiny", defaults={"sampler": "euler", "steps": 3, "guidance": 1.5, "style": 0.5})
    ours = replace(model, card=card)
    said = last(model.stream(STYLED, sampler="euler", steps=3, guidance=1.5, style=0.5, seed=0, size=SIZE))
    assert torch.equal(last(ours.stream(STYLED)), said)
    assert model.size == SIZE and len(list(model.stream("cat"))) == 25  # as Stable Diffusion


def test_size(model):
    steps = list(model.stream("cat", steps=2, size=24, batch=2))
    assert steps[-1].x_next.shape == (2, 4, 12, 12) and model.decode(steps[-1].x_next).shape == (2, 3, 24, 24)


def picture(seed=0, size=SIZE):
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_strength_zero_walks_nowhere(model):
    assert list(model.stream("cat", image=picture(), strength=0, steps=20)) == []
    assert list(model.stream("cat", image=picture(), strength=0.04, steps=20)) == []
    shown = model.decode(model.vae.encode(picture()))
    assert shown.shape == (1, 3, SIZE, SIZE) and shown.abs().max() <= 1


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_mask_keeps_what_is_known(model, name):
    """The latents under 0 come out as they went in, the others are drawn; edges inside a latent place are shared."""
    image = picture()
    z = model.vae.encode(image)
    mask = torch.zeros(SIZE, SIZE)
    mask[:, 8:] = 1
    drawn = last(model.stream("cat", image=image, mask=mask, sampler=name, steps=8, guidance=2.0))
    assert torch.allclose(drawn[..., :4], z[..., :4], atol=1e-5)
    assert relative(drawn[..., 4:], z[..., 4:]) > 0.1
    kept = last(model.stream("cat", image=image, mask=0 * mask, sampler=name, steps=8))
    assert torch.allclose(kept, z, atol=1e-5)
    free = last(model.stream("cat", image=image, sampler=name, steps=8, guidance=2.0))
    open_ = last(model.stream("cat", image=image, mask=torch.ones(SIZE, SIZE), sampler=name, steps=8, guidance=2.0))
    assert relative(open_, free) < 1e-3


def test_one_picture_serves_a_batch(model):
    image = picture()
    pair = list(model.stream("cat", image=image, strength=0.5, steps=6, batch=2, seed=4, sampler="ddim"))
    assert len(pair) == 3 and pair[0].x.shape == (2, 4, 8, 8)
    two = list(model.stream("cat", image=image.repeat(2, 1, 1, 1), strength=0.5, steps=6, batch=2, seed=4))
    alone = list(model.stream("cat", image=image, strength=0.5, steps=6, seed=5, sampler="ddim"))
    assert torch.allclose(pair[0].x, two[0].x, atol=1e-6)
    assert torch.allclose(pair[-1].x_next[1], alone[-1].x_next[0], atol=1e-3)


def test_a_weight_of_zero_mutes_a_token(model, calls):
    prompt = "red apple"  # start, red, apple, end
    walk = dict(sampler="ddim", steps=1, guidance=2.0)
    list(model.stream(prompt, **walk))
    list(model.stream(prompt, token_weights=[1, 1, 0, 0.5], **walk))
    (_, plain, _), (_, weighted, _) = calls
    factor = torch.ones(77)
    factor[2], factor[3] = 0, 0.5
    assert torch.allclose(weighted[0], plain[0] * factor[:, None]) and not weighted[0, 2].any()
    assert torch.equal(weighted[1], plain[1])  # the unconditional row is left alone
    same = last(model.stream(prompt, token_weights=[1.0] * 77, **walk))
    assert torch.equal(same, last(model.stream(prompt, **walk)))


def test_a_record_holds_what_the_words_did(model):
    record = Record()
    seen = []
    for step in model.stream("red apple", steps=3, sampler="ddim", guidance=3.0, batch=2, record=record):
        assert {name.split(".")[0] for name in record.attention} == {"down_blocks", "mid_block", "up_blocks"}
        for weights_ in record.attention.values():
            assert weights_.shape[0] == 2 and weights_.shape[-1] == 77  # conditional rows only
            assert torch.allclose(weights_.sum(-1), torch.ones(()), atol=1e-5)
        assert all(len(f) == 2 for f in record.features.values())
        seen.append(record.attention["mid_block.attentions.0.0"])
        assert step.x.shape == (2, 4, 8, 8)
    assert len(seen) == 3 and not torch.allclose(seen[0], seen[2])
    recorded, plain = (
        last(model.stream("red apple", steps=3, sampler="ddim", guidance=3.0, record=r)) for r in (Record(), None)
    )
    assert relative(recorded, plain) < 1e-4
    # the conditional rows are those of the prompt on its own
    alone = Record()
    next(model.stream("red apple", steps=3, sampler="ddim", guidance=1, batch=2, record=alone))
    assert torch.allclose(alone.attention["mid_block.attentions.0.0"], seen[0], atol=1e-5)


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    "bad, words",
    [
        ({"prompt": 3}, r"prompt.*3"),
        ({"prompt": None}, r"prompt.*None"),
        ({"prompt": ["a cat"]}, r"prompt.*a cat"),
        ({"negative": None}, r"prompt.*None"),
        ({"sampler": "plms"}, "sampler must be one of ddpm, ddim, euler.*got 'plms'"),
        ({"steps": 0}, "steps must be a whole number from 1 to 1000, got 0"),
        ({"steps": 1_000_000}, "steps must be .* got 1000000"),
        ({"steps": 2.5}, r"steps must be .* got 2\.5"),
        ({"guidance": NAN}, "guidance must be a finite number or a function of t, got nan"),
        ({"guidance": INF}, "guidance must be .* got inf"),
        ({"guidance": "7"}, "guidance must be .* got '7'"),
        ({"strength": 1.01, "image": picture()}, r"strength must be in \[0, 1\], got 1\.01"),
        ({"strength": -0.1, "image": picture()}, r"strength must be in \[0, 1\], got -0\.1"),
        ({"strength": NAN}, r"strength must be in \[0, 1\], got nan"),
        ({"seed": -1}, "seed must be .* got -1"),
        ({"seed": 2**63}, "seed must be .* got 9223372036854775808"),
        ({"seed": 0.5}, r"seed must be .* got 0\.5"),
        ({"style": NAN}, "style must be a finite number, got nan"),
        ({"style": "1"}, "style must be .* got '1'"),
        ({"seed": None}, "seed must be .* got None"),
        ({"seed": True}, "seed must be .* got True"),
        ({"seed": torch.tensor(0.5)}, "seed must be .* got tensor"),
        ({"size": 15}, "size must be a multiple of 4 pixels from 4 to 4096, got 15"),
        ({"size": 0}, "size must be .* got 0"),
        ({"size": 5000}, "size must be .* got 5000"),
        ({"size": 16.0}, r"size must be .* got 16\.0"),
        ({"batch": 0}, "batch must be a whole number from 1 to 64, got 0"),
        ({"batch": 65}, "batch must be .* got 65"),
        ({"batch": "2"}, "batch must be .* got '2'"),
        ({"batch": 1.0}, r"batch must be .* got 1\.0"),
        ({"image": picture(size=12)}, r"image must be a tensor of shape \(1, 3, 16, 16\), got \(1, 3, 12, 12\)"),
        ({"image": picture()[:, :1]}, r"image must be .* got \(1, 1, 16, 16\)"),
        ({"image": picture().repeat(3, 1, 1, 1), "batch": 2}, r"\(1, 3, 16, 16\) or \(2, 3, 16, 16\), got \(3, 3"),
        ({"image": picture().numpy()}, "image must be a tensor .* got ndarray"),
        ({"image": picture() * NAN}, "image must be finite"),
        ({"mask": torch.ones(16, 16)}, "a mask needs an image"),
        ({"image": picture(), "mask": torch.ones(8, 8)}, r"mask must be .* \(16, 16\), got \(8, 8\)"),
        ({"image": picture(), "mask": torch.ones(1, 16, 16)}, r"mask must be .* got \(1, 16, 16\)"),
        ({"image": picture(), "mask": torch.full((16, 16), NAN)}, "mask must be finite"),
        ({"image": picture(), "mask": 255 * torch.ones(16, 16)}, r"mask must lie in \[0, 1\], got 255 to 255"),
        ({"image": picture(), "mask": -torch.ones(16, 16)}, r"mask must lie in \[0, 1\], got -1 to -1"),
        ({"image": 127.5 * (picture() + 1)}, r"image must lie in \[-1, 1\], got .* to 25"),
        ({"token_weights": [1.0] * 78}, "token_weights must be at most 77 finite numbers"),
        ({"token_weights": [1.0, NAN]}, "token_weights must be at most 77 finite numbers"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(f"{k}" for k in value),
)
def test_bad_input_is_named_at_the_call(model, bad, words):
    with pytest.raises(ValueError, match=words):
        model.stream(**{"prompt": "a cat"} | bad)


ODD = {
    "ten thousand letters": "a" * 10_000,
    "ten thousand characters of words": ("red apple, " * 1000)[:10_000],
    "only spaces": "   \t\n  ",
    "control characters": "red\x00 \x07apple\x1b[31m \x7f\u200b",
    "right to left and back": "\u202eتفاحة حمراء\u202c apple",
    "other scripts": "苹果 яблоко りんご सेब ულამაზესი",
    "emoji, joined and coloured": "👩🏽‍🚀🏳️‍🌈❤️‍🔥",
    "half a surrogate pair": "apple \ud83c",
    "markup": "<script>alert('x')</script> &lt;b&gt; {{7*7}} %s \\n",
    "combining marks": "Z̷̢͝a̸l̵g̶o" * 50,
}


@pytest.mark.parametrize("name", ODD)
def test_odd_prompts(model, name):
    """Whatever is typed becomes at most 77 tokens, start and end mark included, and a picture of finite numbers."""
    prompt = ODD[name]
    tokens = model.text.tokens(prompt)
    kept = [token.id for token in tokens if token.kept]
    assert kept[0] == 49406 and kept[-1] == 49407 == tokens[-1].id and len(kept) <= 77
    assert kept == [i for i in token_ids([prompt])[0].tolist() if i][: len(kept)]
    assert len(tokens) == 2 if name == "only spaces" else len(tokens) > 2
    assert all(isinstance(token.text, str) for token in tokens)
    end = last(model.stream(prompt, negative=prompt, steps=1, seed=2**63 - 2))
    assert end.isfinite().all()


def test_guidance_that_turns_bad_on_the_way(model):
    walk = model.stream("a cat", steps=4, guidance=lambda t: 2.0 if t > 500 else NAN)
    next(walk), next(walk)
    with pytest.raises(ValueError, match="guidance"):
        next(walk)


def test_parts_that_do_not_belong_together(folder, tmp_path):
    import shutil

    where = shutil.copytree(folder, tmp_path / "model")
    scheduler = where / "scheduler" / "scheduler_config.json"
    good = json.loads(scheduler.read_text())
    weights.write_json(scheduler, good | {"prediction_type": "flow_prediction"})
    with pytest.raises(ValueError, match="unknown prediction_type 'flow_prediction'; known are epsilon, sample, v_"):
        TextToImage.load(where)
    scheduler.unlink()
    with pytest.raises(ValueError, match=r"scheduler_config\.json is missing"):
        TextToImage.load(where)
    weights.write_json(scheduler, good)
    sizes = dict(hidden_size=24, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, projection_dim=16)
    transformers.CLIPTextModel(transformers.CLIPTextConfig(vocab_size=49408, **sizes)).save_pretrained(
        where / "text_encoder"
    )
    with pytest.raises(ValueError, match="attends to 16 numbers a token, but its text encoder gives 24"):
        TextToImage.load(where)


def test_a_model_of_classes_reads_its_folder_as_one_of_words_does(tmp_path):
    """A folder without a card, of a scheduler that spaces its steps otherwise, and what it cannot draw."""
    config = UNetConfig(8, 1, 1, (8, 16), cross_attention_dim=4, attention_head_dim=2, norm_num_groups=4)
    weights.save(tmp_path / "unet", asdict(config) | NAMED, UNet(config).state_dict(), Card("tiny"))
    theirs = diffusers.DDIMScheduler(**SD15)
    (tmp_path / "scheduler").mkdir()
    weights.write_json(tmp_path / "scheduler" / "scheduler_config.json", written(theirs))
    model = ClassToImage.load(tmp_path, device="cpu")
    assert model.prediction_type == "epsilon"
    steps = list(model.stream([1], sampler="ddim", steps=10, guidance=1.0))
    theirs.set_timesteps(10)
    assert [step.t - 1 for step in steps] == theirs.timesteps.tolist()
    for bad in ({"labels": []}, {"labels": None, "batch": 0}):
        with pytest.raises(ValueError, match="wanted at least one picture"):
            model.stream(**bad)
    for bad in ([1.0], [True], [3], ["a"]):
        with pytest.raises(ValueError, match=r"classes must be whole numbers from 0 to 2, got \["):
            model.stream(bad)
    assert model.context(np.arange(3)).shape == model.context(torch.tensor([0, 1, 2])).shape == (3, 1, 4)
    weights.write_json(tmp_path / "scheduler" / "scheduler_config.json", {"prediction_type": "flow_prediction"})
    with pytest.raises(ValueError, match="unknown prediction_type 'flow_prediction'"):
        ClassToImage.load(tmp_path, device="cpu")


KARRAS = {
    "dpmpp_2m": "DPMSolverMultistepScheduler",
    "unipc": "UniPCMultistepScheduler",
    "euler": "EulerDiscreteScheduler",
}


@pytest.mark.parametrize("steps", [2, 5, 8, 20, 30])
@pytest.mark.parametrize("sampler", KARRAS)
def test_karras_times_are_those_of_diffusers(sampler, steps):
    """Whole numbers here, and of those that fall together one."""
    name = KARRAS[sampler]
    config = SD15 | {"_class_name": name, "use_karras_sigmas": True, "timestep_spacing": "linspace"}
    theirs = getattr(diffusers, name).from_config(config)
    theirs.set_timesteps(steps)
    times, start = sampling_plan(config, steps)
    wanted = sorted({round(float(t)) for t in theirs.timesteps}, reverse=True)
    assert abs(len(times) - 1 - len(wanted)) <= 1
    assert all(min(abs(t - 1 - other) for other in wanted) <= 1 for t in times[:-1].tolist())
    assert times[0] == 1000 and times[-1] == 0
    assert start == (pytest.approx(float(noise_schedule(SD15).noise[1000])) if sampler == "euler" else 1.0)


@pytest.mark.parametrize(
    "config, words",
    [
        ({"beta_start": None}, r"scheduler_config\.json cannot be used"),
        ({"beta_start": "a"}, r"scheduler_config\.json cannot be used"),
        ({"_class_name": None}, r"scheduler_config\.json cannot be used"),
        ({"timestep_spacing": ["leading"]}, r"scheduler_config\.json cannot be used"),
        ({"prediction_type": ["epsilon"]}, r"scheduler_config\.json cannot be used"),
        ({"trained_betas": 5}, r"beta must have shape \(T,\), got \(\)"),
        ({"thresholding": True}, "asks for thresholding, which latents do not stand: wanted false"),
    ],
)
def test_a_scheduler_that_cannot_be_used_says_why(tmp_path, config, words):
    (tmp_path / "scheduler").mkdir()
    weights.write_json(tmp_path / "scheduler" / "scheduler_config.json", SD15 | config)
    with pytest.raises(ValueError, match=words):
        read_scheduler(tmp_path)
