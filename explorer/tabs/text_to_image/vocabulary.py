"""What the embedded model has pictures of: the names that its captions were made of."""

import difflib
from functools import cache

from core import weights

MODEL = "emoji"


@cache
def names() -> tuple[str, ...]:
    """All that captions of the training pictures name."""
    return tuple(weights.read_json(weights.resolve(MODEL) / "classifier" / "config.json")["answers"]["name"])


def alike(asked: str, many: int = 5) -> list[str]:
    """Names that are spelled nearly so, the nearest first; there may be none."""
    return difflib.get_close_matches(" ".join(asked.lower().split()), names(), many)


def listed() -> str:
    """All names, as a line of Markdown; none where the model is not here."""
    if MODEL not in weights.models():
        return ""
    return f"- What the embedded model was trained to draw, {len(names()):,} names: {', '.join(names())}.\n"
