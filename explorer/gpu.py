"""A ZeroGPU Space lends its GPU for the length of one call; everywhere else there is nothing to ask for."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

START, CALL, DECODE = (
    6.0,
    0.05,
    0.3,
)  # seconds at the most: to get going; a guided call and a decode of 512 x 512 pixels


def seconds(steps: int, batch: int = 1, size: int = 512, *, calls: int = 1, decodes: int = 1) -> int:
    """What a run of Stable Diffusion 1.5's size may take in float16, generously: the smaller, the sooner it is lent.

    calls: of the network, a step. decodes: of the whole batch, in the run.
    """
    share = batch * (size / 512) ** 2
    return round(START + share * (steps * calls * CALL + decodes * DECODE))


def lent(duration: int | Callable[..., int] = 60) -> Callable[[F], F]:
    """`@spaces.GPU(duration=duration)` on a ZeroGPU Space, and the bare function elsewhere; for generators too.

    duration: seconds, or a function of the same arguments that says how many. A Space looks for such functions when it
    starts, so this stands above a function of a module, not of one made later.
    """
    if not os.environ.get("SPACES_ZERO_GPU"):
        return lambda function: function
    import spaces  # type: ignore[import-not-found]  # there alone

    return spaces.GPU(duration=duration)
