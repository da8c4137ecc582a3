"""The U-Net that finds the noise in a picture, told its amount and the words; in Stable Diffusion's structure."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.networks.attention import Record, SpatialTransformer, TextEmbedding, not_padding
from core.networks.layers import Downsample, ResnetBlock, TimestepMLP, Upsample, timestep_embedding


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of a `UNet`; the names are those of diffusers' UNet2DConditionModel, but for ``patch_size`` and
    ``zero_is_padding``.

    down_block_types, up_block_types: whether a level attends to the words (CrossAttn...) or not; up runs from
        the bottom.
    patch_size: the picture enters as patches of this side, folded into channels, and leaves the same way. 1 is Stable
        Diffusion's own; 2 and more spare small machines the full resolution.
    attention_head_dim: the number of heads, for all levels or for each (the name is an old mistake that files keep).
    upcast_attention: attention in float32 where the rest is in half precision.
    zero_is_padding: rows of the context that are all zero stand for no word and are masked out, unless all are zero.
        False where there are none, as in Stable Diffusion, whose U-Net attends to the states of padding.
    addition_embed_type: "text" adds the pooled words to the time embedding, in ``addition_embed_type_num_heads`` heads.
    """

    sample_size: int = 16
    in_channels: int = 4
    out_channels: int = 4
    block_out_channels: tuple[int, ...] = (64, 128)
    down_block_types: tuple[str, ...] = ("DownBlock2D", "CrossAttnDownBlock2D")
    up_block_types: tuple[str, ...] = ("CrossAttnUpBlock2D", "UpBlock2D")
    layers_per_block: int = 1
    cross_attention_dim: int = 192
    attention_head_dim: int | tuple[int, ...] = 4
    transformer_layers_per_block: int = 1
    norm_num_groups: int = 32
    use_linear_projection: bool = False
    patch_size: int = 1
    upcast_attention: bool | None = False
    zero_is_padding: bool = True
    addition_embed_type: str | None = None
    addition_embed_type_num_heads: int = 64

    def __post_init__(self) -> None:
        levels = len(self.block_out_channels)
        if len(self.down_block_types) != levels or len(self.up_block_types) != levels:
            raise ValueError(
                f"{levels} widths need {levels} down and {levels} up block types, "
                f"got {self.down_block_types} and {self.up_block_types}"
            )
        if self.addition_embed_type not in (None, "text"):
            raise ValueError(
                f"addition_embed_type = {self.addition_embed_type!r} is not supported; wanted None or 'text'"
            )
        unknown = set(self.down_block_types + self.up_block_types) - {
            "DownBlock2D", "CrossAttnDownBlock2D", "UpBlock2D", "CrossAttnUpBlock2D",
        }  # fmt: skip
        if unknown:
            raise ValueError(
                f"unknown block types {sorted(unknown)}; known are (CrossAttn)DownBlock2D, (CrossAttn)UpBlock2D"
            )

    def heads(self, level: int) -> int:
        return self.attention_head_dim if isinstance(self.attention_head_dim, int) else self.attention_head_dim[level]


class Level(nn.Module):
    """Residual blocks at one resolution, each followed by a transformer where there is one for it.

    All levels take x (B, C, H, W), the time embedding (B, time_channels), the context (B, L, D) and its attention mask
    (B, 1, 1, L), True = attended; None attends to all.
    """

    def __init__(self, config: UNetConfig, level: int, channels_in: list[int], transformers: int):
        super().__init__()
        c, width = config, config.block_out_channels[level]
        self.resnets = nn.ModuleList(
            ResnetBlock(n, width, groups=c.norm_num_groups, eps=1e-5, time_channels=4 * c.block_out_channels[0])
            for n in channels_in
        )
        self.attentions = nn.ModuleList(
            SpatialTransformer(
                width,
                c.cross_attention_dim,
                c.heads(level),
                depth=c.transformer_layers_per_block,
                groups=c.norm_num_groups,
                linear=c.use_linear_projection,
                upcast=bool(c.upcast_attention),
            )
            for _ in range(transformers)
        )

    def layer(
        self, i: int, x: Tensor, time: Tensor, context: Tensor, mask: Tensor | None, record: Record | None, name: str
    ) -> Tensor:
        x = self.resnets[i](x, time)
        if i < len(self.attentions):
            x = self.attentions[i](x, context, record, f"{name}.attentions.{i}", mask)
        return x


class DownLevel(Level):
    """One level of the down path: (B, c_in, H, W) -> (B, c_out, H / 2, W / 2), rounded up; the last keeps H and W."""

    def __init__(self, config: UNetConfig, level: int):
        widths, n = config.block_out_channels, config.layers_per_block
        channels_in = [widths[max(level - 1, 0)], *[widths[level]] * (n - 1)]
        super().__init__(config, level, channels_in, n * config.down_block_types[level].startswith("CrossAttn"))
        last = level == len(widths) - 1
        self.downsamplers = nn.ModuleList([] if last else [Downsample(widths[level], symmetric=True)])

    def forward(
        self, x: Tensor, time: Tensor, context: Tensor, mask: Tensor | None, record: Record | None, name: str
    ) -> tuple[Tensor, list[Tensor]]:
        """The map that goes on, and the skip connections: every map that the up path will be given."""
        skips = []
        for i in range(len(self.resnets)):
            x = self.layer(i, x, time, context, mask, record, name)
            skips.append(x)
        keep(record, name, x)
        for downsample in self.downsamplers:
            x = downsample(x)
            skips.append(x)
        return x, skips


class MidLevel(Level):
    """The bottom of the U: residual block, transformer, residual block; (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, config: UNetConfig):
        level = len(config.block_out_channels) - 1
        super().__init__(config, level, [config.block_out_channels[level]] * 2, 1)

    def forward(
        self, x: Tensor, time: Tensor, context: Tensor, mask: Tensor | None, record: Record | None, name: str
    ) -> Tensor:
        for i in range(len(self.resnets)):
            x = self.layer(i, x, time, context, mask, record, name)
        keep(record, name, x)
        return x


class UpLevel(Level):
    """One level of the up path: every residual block is given a skip connection, concatenated to its channels.

    Shapes: (B, c_in, H, W) -> (B, c_out, ...), as high and wide as the next skip connection; the last keeps H and W.
    """

    def __init__(self, config: UNetConfig, level: int):
        widths, n = config.block_out_channels, config.layers_per_block
        skips = [widths[level]] * n + [widths[max(level - 1, 0)]]
        own = [widths[min(level + 1, len(widths) - 1)], *[widths[level]] * n]
        kind = config.up_block_types[len(widths) - 1 - level]
        super().__init__(
            config, level, [a + b for a, b in zip(own, skips, strict=True)], (n + 1) * kind.startswith("CrossAttn")
        )
        self.upsamplers = nn.ModuleList([Upsample(widths[level])] if level > 0 else [])

    def forward(
        self,
        x: Tensor,
        skips: list[Tensor],
        time: Tensor,
        context: Tensor,
        mask: Tensor | None,
        record: Record | None,
        name: str,
    ) -> Tensor:
        """``skips`` are the skip connections of the down path; those that are used are popped from its end."""
        for i in range(len(self.resnets)):
            x = self.layer(i, torch.cat([x, skips.pop()], dim=1), time, context, mask, record, name)
        keep(record, name, x)
        for upsample in self.upsamplers:
            x = upsample(x, size=tuple(skips[-1].shape[-2:]))
        return x


class UNet(nn.Module):
    """(x_t, t, words) -> the network's answer (noise, picture or v: its checkpoint says), same shape as x_t.

    Source: Ronneberger et al. (2015), arXiv 1505.04597 (the U and its skip connections); Rombach et al. (2022),
    arXiv 2112.10752 (cross-attention, section 3.3).
    """

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = c = config
        first, levels = c.block_out_channels[0], range(len(c.block_out_channels))
        self.conv_in = nn.Conv2d(c.in_channels * c.patch_size**2, first, 3, padding=1)
        self.time_embedding = TimestepMLP(first, 4 * first)
        if c.addition_embed_type == "text":
            self.add_embedding = TextEmbedding(c.cross_attention_dim, 4 * first, c.addition_embed_type_num_heads)
        self.down_blocks = nn.ModuleList(DownLevel(c, level) for level in levels)
        self.mid_block = MidLevel(c)
        self.up_blocks = nn.ModuleList(UpLevel(c, level) for level in reversed(levels))
        self.conv_norm_out = nn.GroupNorm(c.norm_num_groups, first, eps=1e-5)
        self.conv_out = nn.Conv2d(first, c.out_channels * c.patch_size**2, 3, padding=1)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        pooled: Tensor | None = None,
        *,
        record: Record | None = None,
        skips: bool = True,
    ) -> Tensor:
        """Run the network once.

        Args:
            x: noisy pictures or latents, (B, in_channels, H, W), both sides multiples of ``patch_size``.
            t: the network's time, (B,), 0..T-1 (one less than this project's t).
            context: the words, (B, L, cross_attention_dim).
            pooled: which pictures are told of their words in one vector too, (B,) of True and False, and not by
                cross-attention alone; all if None. Of meaning with ``addition_embed_type`` alone.
            record: filled with every cross-attention and feature map on the way, if given.
            skips: False replaces the skip connections by zeros, to see what they are for.
        Returns: (B, out_channels, H, W).
        Raises: ValueError if the shapes do not fit the config.
        """
        c = self.config
        if x.ndim != 4 or x.shape[1] != c.in_channels:
            raise ValueError(f"x must have shape (B, {c.in_channels}, H, W), got {tuple(x.shape)}")
        if x.shape[-1] % c.patch_size or x.shape[-2] % c.patch_size:
            raise ValueError(f"height and width must be multiples of {c.patch_size}, got {tuple(x.shape[-2:])}")
        if context.ndim != 3 or context.shape[::2] != (len(x), c.cross_attention_dim):
            raise ValueError(
                f"context must have shape ({len(x)}, L, {c.cross_attention_dim}), got {tuple(context.shape)}"
            )
        if t.shape != x.shape[:1]:
            raise ValueError(f"t must have shape ({len(x)},), got {tuple(t.shape)}")

        mask = not_padding(context) if c.zero_is_padding else None
        time = self.time_embedding(timestep_embedding(t, c.block_out_channels[0]).to(x.dtype))
        if c.addition_embed_type == "text":
            text = self.add_embedding(context, mask, record)
            time = time + (text if pooled is None else pooled[:, None] * text)
        x = self.conv_in(F.pixel_unshuffle(x, c.patch_size))
        connections = [x]
        for level, block in enumerate(self.down_blocks):
            x, more = block(x, time, context, mask, record, f"down_blocks.{level}")
            connections += more
        if not skips:
            connections = [torch.zeros_like(features) for features in connections]
        x = self.mid_block(x, time, context, mask, record, "mid_block")
        for level, block in enumerate(self.up_blocks):
            x = block(x, connections, time, context, mask, record, f"up_blocks.{level}")
        return F.pixel_shuffle(self.conv_out(F.silu(self.conv_norm_out(x))), c.patch_size)


def keep(record: Record | None, name: str, features: Tensor) -> None:
    if record is not None:
        record.features[name] = features
