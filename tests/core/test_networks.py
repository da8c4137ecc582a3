"""The networks against diffusers' own, with its weights in ours and the same input."""

from dataclasses import asdict, replace

import diffusers
import pytest
import torch
from diffusers.models.embeddings import TextTimeEmbedding, get_timestep_embedding
from torch import nn
from torch.nn import functional as F

from core.networks.attention import Attention, Record, SpatialTransformer, TextEmbedding, attend, not_padding
from core.networks.layers import timestep_embedding
from core.networks.unet import UNet, UNetConfig
from core.networks.vae import VAE, VAEConfig

SMALL = UNetConfig(
    sample_size=8,
    block_out_channels=(16, 32),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    cross_attention_dim=12,
    attention_head_dim=4,
    norm_num_groups=8,
)
THREE = dict(
    sample_size=28,
    in_channels=1,
    out_channels=1,
    block_out_channels=(16, 32, 48),
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"),
)
UNETS = {
    "small": (SMALL, (8, 8)),
    "linear projection, two layers": (replace(SMALL, use_linear_projection=True, layers_per_block=2), (8, 8)),
    "heads for each level": (replace(SMALL, attention_head_dim=(2, 8)), (8, 8)),
    "no attention on the way": (
        replace(SMALL, down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2),
        (16, 8),
    ),
    "28 to 14 to 7": (replace(SMALL, **THREE), (28, 28)),
    "sizes that halve unevenly": (replace(SMALL, **THREE, layers_per_block=2), (13, 7)),
    "words in the time embedding": (
        replace(SMALL, addition_embed_type="text", addition_embed_type_num_heads=4),
        (8, 8),
    ),
    "two transformers deep": (replace(SMALL, transformer_layers_per_block=2), (8, 8)),
    "Stable Diffusion 2's shape": (
        replace(
            SMALL,
            block_out_channels=(8, 16, 32, 32),
            down_block_types=(*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
            up_block_types=("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
            layers_per_block=2,
            attention_head_dim=(1, 2, 4, 4),
            use_linear_projection=True,
        ),
        (16, 16),
    ),
}


def roughen(network: nn.Module) -> nn.Module:
    """Random weights everywhere: fresh norms and biases are ones and zeros, which would hide a missing one."""
    for p in network.parameters():
        p.data += 0.1 * torch.randn(p.shape)
    return network.eval().requires_grad_(False)


def shared(config):
    """What a config of ours says in diffusers' words."""
    return {key: value for key, value in asdict(config).items() if key not in ("patch_size", "zero_is_padding")}


def unet_pair(config):
    torch.manual_seed(0)
    theirs = roughen(diffusers.UNet2DConditionModel(**shared(config)))
    ours = UNet(config).eval().requires_grad_(False)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def inputs(config, size, batch=2, words=5):
    g = torch.Generator().manual_seed(1)
    x = torch.randn(batch, config.in_channels, *size, generator=g)
    return x, torch.tensor([7, 801])[:batch], torch.randn(batch, words, config.cross_attention_dim, generator=g)


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("name", UNETS)
def test_unet_equals_diffusers(name):
    config, size = UNETS[name]
    ours, theirs = unet_pair(config)
    x, t, context = inputs(config, size)
    with torch.no_grad():
        wanted = theirs(x, t, context).sample
    got = ours(x, t, context)
    assert got.shape == x.shape and wanted.std() > 0.1
    assert relative(got, wanted) < 1e-5


def test_unet_gradients_equal_diffusers():
    ours, theirs = unet_pair(SMALL)
    x, t, context = inputs(SMALL, (8, 8))
    a, b = (context.clone().requires_grad_() for _ in range(2))
    ours(x, t, a).square().sum().backward()
    theirs(x, t, b).sample.square().sum().backward()
    assert relative(a.grad, b.grad) < 1e-4


def test_recording_attention_changes_nothing_and_its_rows_sum_to_one():
    config = replace(SMALL, **THREE)
    ours, _ = unet_pair(config)
    x, t, context = inputs(config, (28, 28))
    record = Record()
    recorded = ours(x, t, context, record=record)
    assert relative(recorded, ours(x, t, context)) < 1e-5
    # each of CrossAttnDown has 1 layer, each of CrossAttnUp 2, and the middle 1
    sides = {"down_blocks.0": 28, "down_blocks.2": 7, "mid_block": 7, "up_blocks.0": 7, "up_blocks.2": 28}
    assert {name.split(".attentions")[0] for name in record.attention} == set(sides)
    assert len(record.attention) == 2 * 1 + 1 + 2 * 2
    for name, weights in record.attention.items():
        assert weights.shape == (2, 4, sides[name.split(".attentions")[0]] ** 2, 5)
        assert (weights >= 0).all() and torch.allclose(weights.sum(-1), torch.ones(()), atol=1e-5)
    shapes = {name: tuple(f.shape) for name, f in record.features.items()}
    assert shapes["down_blocks.1"] == (2, 32, 14, 14) and shapes["mid_block"] == (2, 48, 7, 7)
    assert shapes["up_blocks.2"] == (2, 16, 28, 28) and len(shapes) == 7


def test_recorded_attention_is_that_of_diffusers():
    """diffusers' own processor is asked for its scores at the same layer."""
    from diffusers.models.attention_processor import AttnProcessor

    ours, theirs = unet_pair(SMALL)
    x, t, context = inputs(SMALL, (8, 8))
    seen = []

    class Recorder(AttnProcessor):
        def __call__(self, attn, hidden_states, encoder_hidden_states=None, **kwargs):
            q, k = (attn.head_to_batch_dim(y) for y in (attn.to_q(hidden_states), attn.to_k(encoder_hidden_states)))
            seen.append(attn.get_attention_scores(q, k))
            return super().__call__(attn, hidden_states, encoder_hidden_states, **kwargs)

    theirs.down_blocks[1].attentions[0].transformer_blocks[0].attn2.set_processor(Recorder())
    with torch.no_grad():
        theirs(x, t, context)
    record = Record()
    ours(x, t, context, record=record)
    assert relative(record.attention["down_blocks.1.attentions.0.0"].flatten(0, 1), seen[0]) < 1e-5


def test_attend_by_nested_loops():
    g = torch.Generator().manual_seed(3)
    q, k, v = (torch.randn(1, n, 6, generator=g, dtype=torch.float64) for n in (3, 4, 4))
    out, weights = attend(q, k, v, heads=2)
    for head in range(2):
        part = slice(3 * head, 3 * head + 3)
        for i in range(3):
            scores = [float((q[0, i, part] * k[0, j, part]).sum()) / 3**0.5 for j in range(4)]
            exps = [2.718281828459045**s for s in scores]
            row = [e / sum(exps) for e in exps]
            assert torch.allclose(weights[0, head, i], torch.tensor(row, dtype=torch.float64))
            mixed = sum(w * v[0, j, part] for j, w in enumerate(row))
            assert torch.allclose(out[0, i, part], mixed)


def test_attention_equals_torch():
    """nn.MultiheadAttention with the same four matrices."""
    torch.manual_seed(0)
    ours, theirs = Attention(8, 8, 2, bias=True), nn.MultiheadAttention(8, 2, batch_first=True)
    theirs.in_proj_weight.data = torch.cat([layer.weight.data for layer in (ours.to_q, ours.to_k, ours.to_v)])
    theirs.in_proj_bias.data = torch.cat([layer.bias.data for layer in (ours.to_q, ours.to_k, ours.to_v)])
    theirs.out_proj.load_state_dict(ours.to_out[0].state_dict())
    x, context = torch.randn(2, 5, 8), torch.randn(2, 3, 8)
    record = Record()
    wanted, weights = theirs(x, context, context, average_attn_weights=False)
    assert torch.allclose(ours(x, context, record, "here"), wanted, atol=1e-6)
    assert torch.allclose(ours(x, context), wanted, atol=1e-6)
    assert torch.allclose(record.attention["here"], weights, atol=1e-6)


def test_padding_is_masked_out():
    """Zero rows behind a context change nothing; torch's own attention with a key mask says the same."""
    torch.manual_seed(0)
    ours, x, words = Attention(16, 12, 4), torch.randn(2, 5, 16), torch.randn(2, 7, 12)
    padded = torch.cat([words, torch.zeros(2, 4, 12)], dim=1)
    mask = not_padding(padded)
    assert torch.allclose(ours(x, padded, mask=mask), ours(x, words), atol=1e-6)
    ours(x, padded, record := Record(), "here", mask)
    assert (record.attention["here"][..., 7:] == 0).all()
    theirs = nn.MultiheadAttention(16, 4, kdim=12, vdim=12, batch_first=True)
    with torch.no_grad():
        theirs.q_proj_weight.copy_(ours.to_q.weight)
        theirs.k_proj_weight.copy_(ours.to_k.weight)
        theirs.v_proj_weight.copy_(ours.to_v.weight)
        theirs.in_proj_bias.zero_()
        theirs.out_proj.load_state_dict(ours.to_out[0].state_dict())
    padding = (torch.arange(11) >= 7).expand(2, -1)  # torch's key mask has the other polarity
    assert torch.allclose(ours(x, padded, mask=mask), theirs(x, padded, padded, key_padding_mask=padding)[0], atol=1e-6)
    nothing = torch.zeros(2, 3, 12)
    assert ours(x, nothing, mask=not_padding(nothing)).isfinite().all()  # nothing but padding


def test_padding_adds_nothing_to_the_time_embedding():
    """Zero rows behind a text change nothing in what it adds; in diffusers' module, which knows no padding, they do."""
    torch.manual_seed(0)
    ours = roughen(TextEmbedding(12, 32, 4))
    theirs = TextTimeEmbedding(12, 32, num_heads=4)
    theirs.load_state_dict(ours.state_dict())
    words = torch.randn(2, 7, 12)
    padded = torch.cat([words, torch.zeros(2, 4, 12)], dim=1)
    with torch.no_grad():
        assert torch.allclose(ours(words), theirs(words), atol=1e-5)
        assert relative(theirs(padded), theirs(words)) > 0.01
    record = Record()
    assert torch.allclose(ours(padded, not_padding(padded), record), ours(words), atol=1e-5)
    assert record.pooled.shape == (2, 4, 12) and torch.allclose(record.pooled.sum(-1), torch.ones(2, 4))
    assert (record.pooled[..., 8:] == 0).all() and (record.pooled[..., :8] > 0).all()  # the mean and seven words
    with pytest.raises(ValueError, match="5 attention heads must divide the 12 channels"):
        TextEmbedding(12, 32, 5)


def test_a_new_text_embedding_is_silent():
    """Training can go on from a network that had none: until it learns, the text adds exactly nothing."""
    torch.manual_seed(0)
    assert (TextEmbedding(12, 32, 4)(torch.randn(2, 7, 12)) == 0).all()
    with pytest.raises(ValueError, match="addition_embed_type = 'image' is not supported"):
        replace(SMALL, addition_embed_type="image")


def test_pictures_that_hear_their_words_by_attention_alone():
    """Those not told the pooled words get the answer of a network that has none; the others that of the whole."""
    torch.manual_seed(0)
    config = replace(SMALL, addition_embed_type="text", addition_embed_type_num_heads=4)
    whole, without = UNet(config), UNet(SMALL)
    torch.nn.init.normal_(whole.add_embedding.norm2.weight)
    without.load_state_dict({k: v for k, v in whole.state_dict().items() if not k.startswith("add_embedding")})
    x, t, words = torch.randn(3, 4, 8, 8), torch.tensor([5, 50, 500]), torch.randn(3, 6, config.cross_attention_dim)
    with torch.no_grad():
        answer = whole(x, t, words, torch.tensor([True, False, True]))
        both = whole(x, t, words), without(x, t, words)
    assert torch.allclose(answer, torch.stack([both[0][0], both[1][1], both[0][2]]), atol=1e-5)
    assert (both[0] - both[1]).abs().amax((1, 2, 3)).min() > 1e-2


def test_attention_heads_must_divide_the_channels():
    with pytest.raises(ValueError, match="3 attention heads must divide the 16 channels"):
        SpatialTransformer(16, 8, 3, depth=1, groups=4, linear=False)


@pytest.mark.parametrize("dim", [16, 64, 320])
def test_timestep_embedding_equals_diffusers(dim):
    t = torch.tensor([0, 1, 10, 499, 999])
    wanted = get_timestep_embedding(t, dim, flip_sin_to_cos=True, downscale_freq_shift=0)
    assert torch.allclose(timestep_embedding(t, dim), wanted, atol=1e-6)


@pytest.mark.parametrize(
    "shapes, words",
    [
        (((2, 3, 8, 8), (2,), (2, 5, 12)), r"x must have shape \(B, 4, H, W\), got \(2, 3, 8, 8\)"),
        (((4, 8, 8), (2,), (2, 5, 12)), r"x must have shape"),
        (((2, 4, 8, 8), (2,), (2, 5, 9)), r"context must have shape \(2, L, 12\), got \(2, 5, 9\)"),
        (((2, 4, 8, 8), (2,), (1, 5, 12)), r"context must have shape"),
        (((2, 4, 8, 8), (), (2, 5, 12)), r"t must have shape \(2,\), got \(\)"),
    ],
)
def test_unet_names_the_shape_that_does_not_fit(shapes, words):
    x, t, context = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=words):
        UNet(SMALL)(x, t, context)


def test_patched_unet_is_diffusers_unet_over_folded_pixels():
    """Channel c, row i, column j of a 2 x 2 patch become channel 4 c + 2 i + j, and come back the same way."""
    folded = replace(SMALL, in_channels=4 * SMALL.in_channels, out_channels=4 * SMALL.out_channels)
    plain, theirs = unet_pair(folded)
    ours = UNet(replace(SMALL, patch_size=2)).eval().requires_grad_(False)
    ours.load_state_dict(plain.state_dict())
    x, t, context = inputs(SMALL, (16, 8))
    patches, wanted = torch.empty(2, folded.in_channels, 8, 4), torch.empty(2, SMALL.out_channels, 16, 8)
    places = [(c, i, j) for c in range(SMALL.in_channels) for i in range(2) for j in range(2)]
    for c, i, j in places:
        patches[:, 4 * c + 2 * i + j] = x[:, c, i::2, j::2]
    answer = theirs(patches, t, context).sample
    for c, i, j in places:
        wanted[:, c, i::2, j::2] = answer[:, 4 * c + 2 * i + j]
    assert relative(ours(x, t, context), wanted) < 1e-5
    with pytest.raises(ValueError, match=r"multiples of 2, got \(15, 8\)"):
        ours(x[:, :, 1:], t, context)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"block_out_channels": (16, 32, 64)}, "3 widths need 3 down and 3 up block types"),
        ({"down_block_types": ("DownBlock2D", "AttnDownBlock2D")}, "unknown block types.*AttnDownBlock2D"),
    ],
)
def test_unet_config_must_be_one_we_can_build(change, words):
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **change)


VAES = {
    "Stable Diffusion's shape": VAEConfig(block_out_channels=(8, 16, 16), layers_per_block=2, norm_num_groups=4),
    "no attention in the middle": VAEConfig(
        block_out_channels=(8, 16), norm_num_groups=4, mid_block_add_attention=False, latent_channels=3
    ),
    "scaled": VAEConfig(block_out_channels=(8, 16), norm_num_groups=4, scaling_factor=0.18215),
}


def vae_pair(config):
    torch.manual_seed(0)
    levels = len(config.block_out_channels)
    theirs = diffusers.AutoencoderKL(
        **shared(config),
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
    )
    ours = VAE(config).eval().requires_grad_(False)
    ours.load_state_dict(roughen(theirs).state_dict(), strict=True)
    return ours, theirs


@pytest.mark.parametrize("name", VAES)
@pytest.mark.parametrize("size", [(16, 16), (24, 8)])
def test_vae_equals_diffusers(name, size):
    ours, theirs = vae_pair(VAES[name])
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1)) * 2 - 1
    posterior = theirs.encode(x).latent_dist
    mean, log_var = ours.moments(x)
    assert relative(mean, posterior.mean) < 1e-5 and relative(log_var, posterior.logvar) < 1e-5
    factor = ours.config.scaling_factor
    z = ours.encode(x)
    assert z.shape[-2:] == (size[0] // ours.config.factor, size[1] // ours.config.factor)
    assert relative(z, posterior.mean * factor) < 1e-5
    wanted = theirs.decode(posterior.mean).sample
    assert relative(ours.reconstruct(mean), wanted) < 1e-5
    assert relative(ours.decode(z), wanted.clamp(-1, 1)) < 1e-5


def test_vae_draws_from_its_posterior_as_diffusers_does():
    ours, theirs = vae_pair(VAES["scaled"])
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    wanted = theirs.encode(x).latent_dist.sample(torch.Generator().manual_seed(5)) * 0.18215
    got = ours.encode(x, generator=torch.Generator().manual_seed(5))
    assert relative(got, wanted) < 1e-5 and relative(got, ours.encode(x)) > 1e-3


def test_latents_are_normalised_by_channel():
    """With mean and deviation measured over some pictures, the latents of those have mean 0 and deviation 1."""
    plain, _ = vae_pair(VAES["Stable Diffusion's shape"])
    x = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    z = plain.encode(x)
    mean, std = z.mean((0, 2, 3)).tolist(), z.std((0, 2, 3)).tolist()
    ours = VAE(replace(plain.config, latents_mean=tuple(mean), latents_std=tuple(std), scaling_factor=0.5)).eval()
    ours.load_state_dict(plain.state_dict())
    with torch.no_grad():
        normal = ours.encode(x)
        assert torch.allclose(normal.mean((0, 2, 3)), torch.zeros(4), atol=1e-5)
        assert torch.allclose(normal.std((0, 2, 3)), torch.full((4,), 0.5), atol=1e-5)
        assert relative(ours.decode(normal), plain.decode(z)) < 1e-4


def test_patched_vae_folds_pixels_and_unfolds_them_again():
    """A picture goes in as patches: channel c, row i, column j of a patch become channel c * 16 + 4 i + j."""
    torch.manual_seed(0)
    config = VAEConfig(block_out_channels=(8, 16), norm_num_groups=4, patch_size=4)
    vae = roughen(VAE(config))
    assert config.factor == 8
    x = torch.rand(2, 3, 32, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    assert vae.encode(x).shape == (2, 4, 4, 2) and vae.decode(vae.encode(x)).shape == x.shape

    folded = torch.empty(2, 48, 8, 4)
    for c in range(3):
        for i in range(4):
            for j in range(4):
                folded[:, 16 * c + 4 * i + j] = x[:, c, i::4, j::4]
    seen = []
    vae.encoder.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    vae.decoder.register_forward_hook(lambda module, args, out: folded)  # what the decoder would have to say
    mean, _ = vae.moments(x)
    assert torch.equal(seen[0], folded)
    assert torch.equal(vae.reconstruct(mean), x)


def test_vae_names_the_shape_that_does_not_fit():
    vae = VAE(VAEConfig(block_out_channels=(8, 16), norm_num_groups=4, patch_size=4))
    with pytest.raises(ValueError, match=r"multiples of 8, got \(1, 3, 12, 16\)"):
        vae.encode(torch.zeros(1, 3, 12, 16))
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\).*got \(1, 4, 16, 16\)"):
        vae.moments(torch.zeros(1, 4, 16, 16))
    with pytest.raises(ValueError, match=r"latents must have shape \(B, 4, h, w\), got \(1, 3, 2, 2\)"):
        vae.decode(torch.zeros(1, 3, 2, 2))


def test_half_precision_weights_run():
    """bfloat16 stands for what a GPU runs in: no part may insist on float32."""
    ours, _ = unet_pair(SMALL)
    x, t, context = inputs(SMALL, (8, 8))
    wanted = ours(x, t, context)
    got = ours.to(torch.bfloat16)(x.bfloat16(), t, context.bfloat16(), record=Record())
    assert got.dtype == torch.bfloat16 and F.cosine_similarity(got.float().flatten(), wanted.flatten(), 0) > 0.99
