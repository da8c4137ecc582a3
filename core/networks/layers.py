"""Blocks that the U-Net and the VAE share. Attribute names are diffusers', so that its weights load without a table."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def timestep_embedding(t: Tensor, dim: int) -> Tensor:
    """Sinusoidal embedding of t: its cos and sin at ``half = dim / 2`` frequencies 10,000^(-i / half), i = 0, 1, ...

    Args:
        t: times, shape (B,).
        dim: an even number of features.
    Returns: shape (B, dim), cosines first, as Stable Diffusion has them.
    Source: Vaswani et al. (2017), arXiv 1706.03762, section 3.5; used for t by Ho et al. (2020),
        arXiv 2006.11239, appendix B.
    """
    half = dim // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(half, device=t.device, dtype=torch.float32) / half)
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class TimestepMLP(nn.Module):
    """Two linear layers from the sinusoidal features (B, dim_in) to the time embedding (B, dim_out).

    Every residual block adds a linear map of its SiLU to all positions of its feature map.
    """

    def __init__(self, dim_in: int, dim_out: int):
        super().__init__()
        self.linear_1 = nn.Linear(dim_in, dim_out)
        self.linear_2 = nn.Linear(dim_out, dim_out)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(features)))


class ResnetBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x))) + time))): the residual block of DDPM and Stable Diffusion.

    Shapes: (B, c_in, H, W) -> (B, c_out, H, W); ``time`` is (B, time_channels), or None in a VAE.
    Source: Ho et al. (2020), arXiv 2006.11239, appendix B.
    """

    def __init__(self, c_in: int, c_out: int, *, groups: int, eps: float, time_channels: int | None = None):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, c_in, eps)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.time_emb_proj = nn.Linear(time_channels, c_out) if time_channels else None
        self.norm2 = nn.GroupNorm(groups, c_out, eps)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else None

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        if self.time_emb_proj is not None and time is not None:
            h = h + self.time_emb_proj(F.silu(time))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class Downsample(nn.Module):
    """Halve height and width by a convolution of stride 2.

    The VAE pads right and bottom only (``symmetric=False``), the U-Net on every side, as in
    Stable Diffusion.
    """

    def __init__(self, channels: int, *, symmetric: bool):
        super().__init__()
        self.symmetric = symmetric
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1 if symmetric else 0)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x if self.symmetric else F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Nearest neighbour to ``size`` (twice as large unless given), then a convolution: no checkerboard artefacts."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        return self.conv(F.interpolate(x, size=size or (2 * x.shape[-2], 2 * x.shape[-1]), mode="nearest"))
