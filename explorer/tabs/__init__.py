"""The tabs, one module each, in lecture order."""

TABS = (
    "start",
    "coin_flips",
    "convolution",
    "transposed_convolution",
    "resizing",
    "deconvolution",
    "forward_noise",
    "schedules",
    "denoising",
    "samplers",
    "text_to_image",
)
