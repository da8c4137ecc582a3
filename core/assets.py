"""The one place that knows where the files that come with this project lie: in a wheel or in a checkout."""

from pathlib import Path

HERE = Path(__file__).parent


def folder(*parts: str) -> Path:
    """A folder within `assets`; that of a checkout, there or not, where no wheel brought it."""
    wheel, checkout = (root.joinpath("assets", *parts) for root in (HERE, HERE.parent))
    return wheel if wheel.is_dir() else checkout
