"""A player of pictures or grids of numbers: the whole trajectory is sent once and scrubbed in the browser."""

import base64
import io
import math
from collections.abc import Collection
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal

import numpy as np
from gradio.components.base import server
from PIL import Image

from explorer.components.base import Piece, as_text, digest, packed, script, style

MOST_FRAMES = 5_000_000  # bytes of pictures that are made into an animation: in base64 they fit into one request
ANIMATING = Lock()  # one at a time: each may take seconds and hundreds of megabytes
MOST_STEPS, MOST_PANELS = 1000, 24  # of an animation; the page's own have 301 and 2 at the most
SIDE = 320  # pixels up to which a panel of an animation is enlarged
LONGEST = 65_535  # pixels of a GIF's side, which it has two bytes for
MOST_DRAWN = 300_000_000  # pixels of all its pictures, enlarged, a byte each: 200 steps of 12 panels of 28 x 28 fit


@dataclass(frozen=True)
class Trajectory:
    """What a Player shows.

    frames: float (steps, panels, H, W), or (steps, panels, H, W, 3) for colour; or pixels as bytes, as `shades` gives.
    titles: one per panel. labels: one per step, shown under the scrub bar.
    range: the values shown as black and white ("pixels"), or whose larger size is full colour ("cells").
    at: the step to open with; None keeps the step on the screen.
    start: the number of the first of these frames; those before it are kept from the value before (a stream).
    moving: the one step that a control moves among others that stay; a page that has those is sent this one alone, and
        of steps that all stay none.
    """

    frames: np.ndarray
    titles: tuple[str, ...]
    labels: tuple[str, ...]
    range: tuple[float, float] = (-1.0, 1.0)
    kind: Literal["pixels", "cells"] = "pixels"
    at: int | None = None
    start: int = 0
    moving: int | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.frames)
        if len(shape) not in (4, 5) or (len(shape) == 5 and shape[4] != 3):
            raise ValueError(f"frames must be (steps, panels, H, W) or (steps, panels, H, W, 3), got {shape}")
        if shape[:2] != (len(self.labels), len(self.titles)):
            raise ValueError(
                f"frames {shape} need {shape[0]} labels and {shape[1]} titles, "
                f"got {len(self.labels)} and {len(self.titles)}"
            )


class Player(Piece):
    """Shows a `Trajectory`; `height` is the room kept for the panels before the first one arrives.

    saves: what the file is called that its pictures can be saved to as a GIF; "" offers none.
    """

    holds = True

    def __init__(self, label: str, *, height: int = 320, saves: str = ""):
        super().__init__(
            f'{style("player") if saves else ""}<div class="player" tabindex="0" role="group" aria-label="{label}">'
            f'<div class="panels" style="min-height:{height}px"></div></div>',
            f"const HEIGHT = {height}, SAVES = {saves!r}, BYTES = {MOST_FRAMES};\n"
            + script("pixels", "transport", "svg", "cells", "player"),
            name="player-piece",
            label=label,
        )

    def postprocess(self, value: Trajectory | None, held: Collection[str] = ()) -> str | None:
        return None if value is None else as_text(payload(value, held))

    @server
    def animate(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The pictures ``data`` (bytes in base64, of ``shape``) that the browser holds, as a GIF; or the ``error``."""
        try:
            shape, data = asked.get("shape"), asked.get("data")
            if not isinstance(data, str) or len(data) > 2 * MOST_FRAMES:
                raise ValueError(f"an animation may have at most {MOST_FRAMES / 1e6:g} MB of pixels")
            pixels = np.frombuffer(base64.b64decode(data, validate=True), np.uint8)
            if not isinstance(shape, list) or len(shape) != 5 or not all(isinstance(n, int) and n > 0 for n in shape):
                raise ValueError("an animation needs (steps, panels, height, width, channels)")
            if shape[4] not in (1, 3) or math.prod(shape) != pixels.size:
                raise ValueError(f"an animation of {shape} needs {math.prod(shape)} bytes, got {pixels.size}")
            if not ANIMATING.acquire(timeout=20):
                raise ValueError("others are saving animations: try again in a minute")
            try:
                return {"file": base64.b64encode(animation(pixels.reshape(shape))).decode()}
            finally:
                ANIMATING.release()
        except ValueError as error:
            return {"error": str(error)}


def animation(frames: np.ndarray) -> bytes:
    """Bytes (steps, panels, H, W, 1 or 3) as a GIF, the panels side by side, at a whole-number zoom up to `SIDE`.

    As long as the player takes: eight seconds, at most 0.7 s a step; the last picture stays for two more.

    Raises: ValueError if it would have too many steps, panels or pixels, before any is drawn.
    """
    steps, panels, height, width, _ = frames.shape
    zoom = max(1, SIDE // max(height, width))
    if steps > MOST_STEPS or panels > MOST_PANELS:
        raise ValueError(
            f"an animation may have at most {MOST_STEPS} steps and {MOST_PANELS} panels, got {steps} and {panels}"
        )
    high, wide = height * zoom, (panels * (width + 4) - 4) * zoom
    if max(high, wide) > LONGEST:
        raise ValueError(f"a GIF may have at most {LONGEST:,} pixels a side, this one would have {wide:,} x {high:,}")
    if steps * high * wide > MOST_DRAWN:
        raise ValueError(
            f"an animation may have at most {MOST_DRAWN // 1_000_000} million pixels, {steps} steps of "
            f"{wide:,} x {high:,} are more: fewer steps would fit"
        )
    pictures = []
    for step in np.broadcast_to(frames, (*frames.shape[:4], 3)):
        joined = np.full((height, panels * (width + 4) - 4, 3), 255, np.uint8)
        for i, panel in enumerate(step):
            joined[:, i * (width + 4) : i * (width + 4) + width] = panel
        colours = Image.fromarray(joined).quantize(256)  # each step its own: noise and picture share few
        pictures.append(colours.resize((colours.width * zoom, colours.height * zoom), Image.Resampling.NEAREST))
    pace = int(min(700, 8000 / steps))
    out, comment = io.BytesIO(), "Synthetic pictures, drawn by a trained model. Diffusion Explorer"
    pictures[0].save(
        out, "GIF", save_all=True, append_images=pictures[1:], duration=[*[pace] * (steps - 1), 2000], loop=0,
        comment=comment,
    )  # fmt: skip
    return out.getvalue()


def shades(frames: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Values as bytes, 0 and 255 at the limits and beyond; bytes stay as they are, what is no number is black."""
    if frames.dtype == np.uint8:
        return frames
    low, high = limits
    scale = 255 / (high - low)
    out = frames.astype(np.float32, order="C")
    out *= scale
    out += 0.5 - low * scale
    return np.fmin(np.fmax(out, 0, out=out), 255, out=out).astype(np.uint8)


def payload(value: Trajectory, held: Collection[str] = ()) -> dict[str, Any]:
    """A trajectory as JSON: pixels as bytes 0..255, cells as float32.

    "rest" is a hash of all steps but the one that moves; if that is ``held``, they are not sent again.
    """
    frames = np.asarray(value.frames)
    sent = shades(frames, value.range) if value.kind == "pixels" else frames.astype(np.float32, order="C")
    rest, at = None, value.moving
    if value.start == 0:
        still = (sent,) if at is None else (sent[:at], sent[at + 1 :])
        rest = value.kind + digest(*still)
        if rest in held:
            sent = sent[:0] if at is None else sent[at]
    return {
        "kind": value.kind,
        "shape": [*frames.shape, 1][:5],
        "titles": list(value.titles),
        "labels": list(value.labels),
        "range": list(value.range),
        "at": value.at,
        "start": value.start,
        "moving": value.moving,
        "rest": rest,
        "data": packed(sent, sent.dtype.str[1:]),
    }
