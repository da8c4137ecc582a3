"""The screen of Diffusion Explorer; it holds no science."""

__version__ = "0.1.0"
