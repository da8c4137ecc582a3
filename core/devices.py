"""Where networks run, in which numbers, and what is said where that is too small."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from core import weights

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


@contextmanager
def memory(doing: str, device: torch.device) -> Iterator[None]:
    """Answer what a device says when it is full with a ValueError, and give back what the attempt took."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not weights.out_of_memory(error):
            raise
        full = f"{doing} needs more memory than {device} has free"
    else:
        return
    if device.type == "cuda":
        torch.cuda.empty_cache()
    raise ValueError(f"{full}: choose a smaller size or batch, a smaller model, or another device")


def best_device() -> torch.device:
    """CUDA if there is one, else Apple's MPS, else the CPU."""
    mps = torch.backends.mps.is_available()
    return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")


def usable(device: torch.device | str | None) -> torch.device:
    """``device``, or the best there is. Raises: ValueError if torch does not know it or cannot use it here."""
    try:
        at = best_device() if device is None else torch.device(device)
        torch.zeros(1, device=at)
    except (RuntimeError, AssertionError) as error:  # without the device; without CUDA in torch's build
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"cannot run on device {str(device)!r}: {reason}; the best here is {best_device()}") from None
    return at
