"""The variational autoencoder: pictures to latents and back, in Stable Diffusion's structure."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.networks.attention import PixelAttention
from core.networks.layers import Downsample, ResnetBlock, Upsample


@dataclass(frozen=True)
class VAEConfig:
    """Sizes of a `VAE`; the names are those of diffusers' AutoencoderKL, but for ``patch_size``.

    patch_size: the picture enters as patches of this side, folded into channels, and leaves the same way. 1 is Stable
        Diffusion; 4 lets a small VAE work at a quarter of the resolution, ten times faster on a CPU.
    latents_mean, latents_std: per channel, measured over the training pictures; a U-Net sees
        (z - mean) / std * scaling_factor.
    """

    in_channels: int = 3
    out_channels: int = 3
    latent_channels: int = 4
    block_out_channels: tuple[int, ...] = (128,)
    layers_per_block: int = 1
    norm_num_groups: int = 32
    mid_block_add_attention: bool = True
    scaling_factor: float = 1.0
    latents_mean: tuple[float, ...] | None = None
    latents_std: tuple[float, ...] | None = None
    patch_size: int = 1
    sample_size: int = 64

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scaling_factor) and self.scaling_factor != 0):
            raise ValueError(f"scaling_factor must be a finite number other than 0, got {self.scaling_factor!r}")
        for name in ("latents_mean", "latents_std"):
            given = getattr(self, name)
            if given is not None and len(given) != self.latent_channels:
                raise ValueError(f"{name} must have {self.latent_channels} numbers, got {given!r}")

    @property
    def factor(self) -> int:
        """How many pixels one latent place is wide."""
        return self.patch_size * 2 ** (len(self.block_out_channels) - 1)


class Block(nn.Module):
    """Residual blocks, then down- or upsampling by 2 unless it is the last one: (B, c_in, H, W) -> (B, c_out, ...)."""

    def __init__(self, c_in: int, c_out: int, layers: int, groups: int, resize: nn.Module | None, resize_name: str):
        super().__init__()
        self.resnets = nn.ModuleList(
            [ResnetBlock(c_in if i == 0 else c_out, c_out, groups=groups, eps=1e-6) for i in range(layers)]
        )
        self.add_module(resize_name, nn.ModuleList([resize]) if resize is not None else nn.ModuleList())

    def forward(self, x: Tensor) -> Tensor:
        for part in self.children():
            for layer in part.children():
                x = layer(x)
        return x


class MidBlock(nn.Module):
    """Residual block, self-attention if wanted, residual block: (B, C, h, w) -> (B, C, h, w)."""

    def __init__(self, channels: int, groups: int, attention: bool):
        super().__init__()
        self.resnets = nn.ModuleList([ResnetBlock(channels, channels, groups=groups, eps=1e-6) for _ in range(2)])
        self.attentions = nn.ModuleList([PixelAttention(channels, groups=groups)] if attention else [])

    def forward(self, x: Tensor) -> Tensor:
        x = self.resnets[0](x)
        for attention in self.attentions:
            x = attention(x)
        return self.resnets[1](x)


class Encoder(nn.Module):
    """Pictures as patches, (B, in_channels p^2, H / p, W / p), to mean and log variance, (B, 2 latent_channels, h, w).

    p is ``patch_size``, h = H / factor, w = W / factor.
    """

    def __init__(self, c: VAEConfig):
        super().__init__()
        widths, last = c.block_out_channels, len(c.block_out_channels) - 1
        self.conv_in = nn.Conv2d(c.in_channels * c.patch_size**2, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            Block(
                widths[max(i - 1, 0)],
                width,
                c.layers_per_block,
                c.norm_num_groups,
                Downsample(width, symmetric=False) if i < last else None,
                "downsamplers",
            )
            for i, width in enumerate(widths)
        )
        self.mid_block = MidBlock(widths[-1], c.norm_num_groups, c.mid_block_add_attention)
        self.conv_norm_out = nn.GroupNorm(c.norm_num_groups, widths[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[-1], 2 * c.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.conv_out(F.silu(self.conv_norm_out(self.mid_block(x))))


class Decoder(nn.Module):
    """Latents (B, latent_channels, h, w) to pictures as patches, (B, out_channels p^2, H / p, W / p)."""

    def __init__(self, c: VAEConfig):
        super().__init__()
        widths, last = c.block_out_channels[::-1], len(c.block_out_channels) - 1
        self.conv_in = nn.Conv2d(c.latent_channels, widths[0], 3, padding=1)
        self.mid_block = MidBlock(widths[0], c.norm_num_groups, c.mid_block_add_attention)
        self.up_blocks = nn.ModuleList(
            Block(
                widths[max(i - 1, 0)],
                width,
                c.layers_per_block + 1,
                c.norm_num_groups,
                Upsample(width) if i < last else None,
                "upsamplers",
            )
            for i, width in enumerate(widths)
        )
        self.conv_norm_out = nn.GroupNorm(c.norm_num_groups, widths[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[-1], c.out_channels * c.patch_size**2, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        z = self.mid_block(self.conv_in(z))
        for block in self.up_blocks:
            z = block(z)
        return self.conv_out(F.silu(self.conv_norm_out(z)))


class VAE(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1] to latents (B, C, H / factor, W / factor) of about unit variance, and back.

    Source: Kingma & Welling (2014), arXiv 1312.6114; the structure is that of Rombach et al. (2022), arXiv 2112.10752,
    appendix G.
    """

    def __init__(self, config: VAEConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_conv = nn.Conv2d(2 * config.latent_channels, 2 * config.latent_channels, 1)
        self.post_quant_conv = nn.Conv2d(config.latent_channels, config.latent_channels, 1)

    def moments(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | picture), each (B, C, h, w), before scaling.

        Raises: ValueError if height or width is not a multiple of ``config.factor``.
        """
        c = self.config
        if (
            picture.ndim != 4
            or picture.shape[1] != c.in_channels
            or any(n % c.factor or not n for n in picture.shape[-2:])
        ):
            raise ValueError(
                f"pictures must have shape (B, {c.in_channels}, H, W) with H and W multiples of {c.factor}, "
                f"got {tuple(picture.shape)}"
            )
        mean, log_var = self.quant_conv(self.encoder(F.pixel_unshuffle(picture, c.patch_size))).chunk(2, dim=1)
        return mean, log_var.clamp(-30, 20)

    def reconstruct(self, z: Tensor) -> Tensor:
        """Unscaled latents to pictures, not clamped."""
        return F.pixel_shuffle(self.decoder(self.post_quant_conv(z)), self.config.patch_size)

    def encode(self, picture: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """The latent of a picture: the mean of q(z | picture), or a draw from it if ``generator`` is given."""
        mean, log_var = self.moments(picture)
        if generator is not None:
            mean = mean + (log_var / 2).exp() * torch.randn(mean.shape, generator=generator).to(mean)
        shift, scale = self._normalisation(mean)
        return (mean - shift) * scale

    def decode(self, latents: Tensor) -> Tensor:
        """Latents as the U-Net knows them to pictures, (B, 3, H, W), clamped to [-1, 1].

        Raises: ValueError if ``latents`` is not (B, latent_channels, h, w).
        """
        if latents.ndim != 4 or latents.shape[1] != self.config.latent_channels:
            raise ValueError(
                f"latents must have shape (B, {self.config.latent_channels}, h, w), got {tuple(latents.shape)}"
            )
        shift, scale = self._normalisation(latents)
        return self.reconstruct(latents / scale + shift).clamp(-1, 1)

    def _normalisation(self, like: Tensor) -> tuple[Tensor, Tensor]:
        c = self.config
        mean = like.new_tensor(c.latents_mean or [0.0] * c.latent_channels)
        std = like.new_tensor(c.latents_std or [1.0] * c.latent_channels)
        return mean[:, None, None], c.scaling_factor / std[:, None, None]
