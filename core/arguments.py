"""What is said of a whole number that cannot be used: the same everywhere."""

import operator
from typing import Any


def whole(name: str, value: Any, low: int, high: int | None = None) -> int:
    """``value`` as an int. Whole numbers of numpy and torch are such, True and False are not.

    Raises: ValueError, under that name, unless it is one from low to high, or of at least low where there is no high.
    """
    try:
        flag = isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")
        number = None if flag else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < low or (high is not None and number > high):
        wanted = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} must be a whole number {wanted}, got {value!r}")
    return number
