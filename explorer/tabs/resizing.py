"""Resizing: a new pixel is a weighted mean of old ones, and the methods differ in the weights."""

import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core import checks
from core.checks import Check
from core.photographs import CUTS, PICTURES, grey
from core.resizing import FILTERED, METHODS, fit_upscaling, psnr, resize, resize_weights, ssim, upscale
from explorer import frame
from explorer.components.pictures import Picture, Pictures
from explorer.components.views import Views
from explorer.components.weights_view import Resampling, WeightsView
from explorer.formulas import display, plus, sensible, tex
from explorer.frame import View
from explorer.ideas import Idea, Ideas
from explorer.settings import choice, flag, kept, number
from explorer.uploads import in_code, pictured

NAME = "resizing"
TITLE = "Resizing"
QUESTION = (
    "Where do new pixels come from when a picture grows? Each is a mean of old ones; methods differ in the weights."
)
SOURCE = r"""
- Lecture 001, *From U-Nets to diffusion*, the slide "Image resizing": 64 to 128 to 192 pixels.
- R. Keys, *Cubic convolution interpolation for digital image processing* (1981): bicubic, equation 15 is $a=-1/2$.
  PyTorch and OpenCV take $a=-3/4$, Pillow $a=-1/2$; scikit-image's order 3 is a spline, which is another thing.
- C. Duchon, *Lanczos filtering in one and two dimensions* (1979). Z. Wang et al., *Image quality assessment: from error
  visibility to structural similarity* (2004): SSIM, equation 13, here with scikit-image's windows of 7 × 7 pixels.
- The photographs come with scikit-image. The fitted kernel is fitted to the other seven of them, made grey (to all
  eight beside a picture that is none of them), never to the picture shown.
- Of your own picture the middle square is read on the server, in at most 256 × 256 pixels, and not kept.
"""

PIXEL, SIDE, LIBRARIES = "one pixel's weights", "methods side by side", "libraries"
HALF, THREE_QUARTERS = "-0.5", "-0.75"
DOWN = {
    "area": ("area", False),
    "nearest": ("nearest", False),
    "bilinear": ("bilinear", False),
    "bilinear, antialias": ("bilinear", True),
    "bicubic, antialias": ("bicubic", True),
    "lanczos, antialias": ("lanczos", True),
}
FITTED = "fitted transposed convolution"


@dataclass(frozen=True)
class Settings:
    view: str = choice(PIXEL, options=(PIXEL, SIDE, LIBRARIES), label="Show", key="v")
    picture: str = choice("astronaut", options=PICTURES, label="Picture", key="x", own=True)
    small: int = number(64, low=8, high=128, label="From", key="n", group="Pixels a side")
    middle: int = number(128, low=8, high=256, label="to", key="m", group="Pixels a side")
    large: int = number(192, low=16, high=256, label="then to", key="l", group="Pixels a side")
    method: str = choice("bilinear", options=METHODS, label="Method", key="k", group="The resizing")
    a: str = choice(THREE_QUARTERS, options=(THREE_QUARTERS, HALF), label="Bicubic's a", key="a", group="The resizing")
    align_corners: bool = flag(False, label="align_corners", key="ac", group="The resizing")
    antialias: bool = flag(False, label="antialias", key="aa", group="The resizing")
    down: str = choice("area", options=tuple(DOWN), label="Made small by", key="d", group="The resizing")
    row: int = number(60, low=0, high=255, label="Pixel's row", key="i", group="The resizing")
    col: int = number(96, low=0, high=255, label="Pixel's column", key="j", group="The resizing")


PRESETS = {
    "deck 001 · 64 to 128 to 192, bilinear": Settings(),
    "deck 001 · nearest": Settings(method="nearest"),
    "deck 001 · bicubic": Settings(method="bicubic"),
    "side by side": Settings(view=SIDE, method="bicubic"),
    "letters, side by side": Settings(view=SIDE, picture="letters", method="nearest", small=32, middle=64, large=96),
    "bicubic in three libraries": Settings(view=LIBRARIES, method="bicubic", picture="cat"),
    "nearest in three libraries": Settings(view=LIBRARIES, method="nearest", picture="letters", middle=160, large=160),
    "shrinking without antialias": Settings(picture="zone plate", small=128, middle=32, large=32, row=4, col=16),
    "shrinking with antialias": Settings(
        picture="zone plate", small=128, middle=32, large=32, row=4, col=16, antialias=True
    ),
    "Lanczos": Settings(method="lanczos", picture="zone plate"),
}


@dataclass(frozen=True)
class Pass:
    """The original, and what became of it: made small, then resized twice by one method."""

    original: Tensor
    small: Tensor
    middle: Tensor
    large: Tensor


def options_of(s: Settings) -> dict[str, Any]:
    return {"align_corners": s.align_corners, "antialias": s.antialias, "a": float(s.a)}


def run(s: Settings, method: str, options: dict[str, Any]) -> Pass:
    original = pictured(s.picture, max(s.large, s.small))
    down, smooth = DOWN[s.down]
    small = resize(original, s.small, down, antialias=smooth)
    middle = resize(small, s.middle, method, **options)
    return Pass(original, small, middle, resize(middle, s.large, method, **options))


def run_checks(s: Settings, done: Pass, method: str, options: dict[str, Any]) -> list[Check]:
    """Every step of a `run` against a library."""
    down, smooth = DOWN[s.down]
    return [
        checks.resizing(done.large, done.middle, method, **options),
        checks.resizing(done.middle, done.small, method, **options),
        checks.resizing(done.small, done.original, down, antialias=smooth),
    ]


@kept(maxsize=4)
def weighed(s: Settings) -> tuple[Pass, Tensor, list[Check]]:
    """The pictures, the weight (H', H) of every old row in every new one, and whether both are right."""
    options = options_of(s)
    done = run(s, s.method, options)
    weights = resize_weights(s.middle, s.large, s.method, **options) @ resize_weights(
        s.small, s.middle, s.method, **options
    )
    again = checks.resizing(weights @ done.small @ weights.T, done.middle, s.method, **options)
    return done, weights, [*run_checks(s, done, s.method, options), again]


def one_pixel(s: Settings) -> View:
    done, weights, found = weighed(replace(s, row=0, col=0))
    row, col = min(s.row, s.large - 1), min(s.col, s.large - 1)
    numbers = {
        "sizes": [s.small, s.middle, s.large],
        "pixel": [row, col],
        "row_weights": taken(weights[row]),
        "column_weights": taken(weights[col]),
        "value": done.large[:, row, col].tolist(),
    }
    shown = Resampling(
        pixels(done.small),
        pixels(done.large),
        weights.numpy(),
        weights.numpy(),
        (f"{s.small} pixels", f"{s.large} pixels, {s.method}: point at one"),
        (row, col),
    )
    return View(
        {"weights": shown},
        formula=formula(s, numbers),
        check=frame.weakest(*found),
        notice=pixel_notice(s, numbers),
        numbers=numbers,
    )


def taken(weights: Tensor) -> list[list[float]]:
    """The old pixels that count, each with its weight."""
    return [[i, w] for i, w in enumerate(weights.tolist()) if abs(w) > 1e-12]


def pixels(planes: Tensor) -> np.ndarray:
    return planes.movedim(0, 2).numpy()


FILTERS = {
    "bilinear": r"h(t)=1-|t|",
    "lanczos": r"h(t)=\operatorname{sinc}(t)\,\operatorname{sinc}(t/3),\ |t|<3,\ \text{scaled to sum }1",
}


def formula(s: Settings, numbers: dict) -> str:
    row, col = numbers["pixel"]
    value = sensible(sum(numbers["value"]) / 3)
    mean = rf"y[{row},{col}]=\sum_{{i,j}} w_i\,v_j\;x[i,j]={value}\ \text{{(mean of the colours)}}"
    lines = [mean, rf"w=({listed(numbers['row_weights'])})"]
    lines += where(s, row)
    return display(*lines)


def where(s: Settings, row: int) -> list[str]:
    """Where a new row stands among those of the step before, and how the old ones are weighted."""
    n, m = (s.middle, s.large) if s.middle != s.large else (s.small, s.middle)
    new = rf"\text{{row }}{row}\text{{ of }}{m}"
    if s.method == "nearest":
        copied = rf"\left\lfloor {row}\cdot\tfrac{{{n}}}{{{m}}}\right\rfloor={row * n // m}"
        return [rf"{new}\leftarrow\text{{row }}{copied}\text{{ of }}{n}"]
    if s.method == "area":
        first, last = row * n // m, -((row + 1) * -n // m) - 1
        return [rf"{new}=\text{{the mean of rows }}{first}\text{{ to }}{last}\text{{ of }}{n}"]
    if s.align_corners:
        centre = rf"c={row}\cdot\tfrac{{{n}-1}}{{{m}-1}}={row * (n - 1) / (m - 1):.6g}"
    else:
        centre = rf"c=({row}+\tfrac12)\cdot\tfrac{{{n}}}{{{m}}}-\tfrac12={(row + 0.5) * n / m - 0.5:.6g}"
    wide = s.antialias and n > m
    weight = rf"w_i=h\!\left(\tfrac{{i-c}}{{{sensible(n / m)}}}\right)" if wide else "w_i=h(i-c)"
    h = FILTERS.get(s.method) or bicubic(float(s.a))
    return [rf"{n}\to{m}:\quad {centre}\qquad {weight}", h]


def bicubic(a: float) -> str:
    """Keys' filter with a put in."""
    near = rf"{tex(a + 2)}|t|^3{plus(-(a + 3))}|t|^2+1"
    far = rf"{tex(a)}|t|^3{plus(-5 * a)}|t|^2{plus(8 * a)}|t|{plus(-4 * a)}"
    return rf"h(t)=\begin{{cases}}{near}&|t|\le1\\{far}&1<|t|<2\end{{cases}}"


def listed(weights: list[list[float]]) -> str:
    if len(weights) > 6:
        return rf"\text{{{len(weights)} weights}}"
    return r",\;".join(tex(w, 3) for _, w in weights)


def pixel_notice(s: Settings, numbers: dict) -> str:
    rows, cols = numbers["row_weights"], numbers["column_weights"]
    count = len(rows) * len(cols)
    below = sum(w * v for _, w in rows for _, v in cols if w * v < 0)
    steps = f"**{s.small} → {s.middle} → {s.large}** pixels"
    made = (
        f"Over {steps}, one pixel is a mean of **{count} old pixel{'s' * (count > 1)}** "
        f"({len(rows)} × {len(cols)}); rows and columns are weighted apart, and both weights add up to 1."
    )
    if s.method == "nearest":
        return f"{made}\nNearest copies: no new value appears, and edges turn into steps."
    if below < -1e-9:
        return (
            f"{made}\n**{tex_plain(below)}** of the weight lies below 0: it sharpens edges, and can leave the range of "
            "the picture, a dark or light seam called ringing."
        )
    if s.large < s.small and not s.antialias and s.method in FILTERED:
        read = len(rows) * s.large / s.small
        unread = "most" if read < 0.5 else "half" if read == 0.5 else "some"
        return (
            f"{made}\nShrinking without antialias, each new row reads {len(rows)} old ones of every "
            f"{s.small / s.large:.3g}{f': {unread} are never read' if read < 1 else ''}, and fine stripes turn into "
            "coarse ones that were never there."
        )
    return (
        f"{made}\nNo weight lies below 0, so no new pixel leaves the range of the old ones: soft, and free of ringing."
    )


def tex_plain(value: float) -> str:
    return sensible(value).replace("-", "−")


# Side by side


# What is compared: a name, the method, and its a.
ENTRIES: dict[str, tuple[str, dict[str, Any]]] = {
    "nearest": ("nearest", {}),
    "bilinear": ("bilinear", {}),
    "bicubic, a = -0.75": ("bicubic", {"a": -0.75}),
    "bicubic, a = -0.5": ("bicubic", {"a": -0.5}),
    "area": ("area", {}),
    "lanczos": ("lanczos", {}),
}


def side_by_side(s: Settings) -> View:
    run(s, s.method, options_of(s))  # refuses what the chosen method cannot do
    made, methods, made_check, kernel_side = compared(
        s.picture, s.small, s.middle, s.large, s.down, s.align_corners, s.antialias
    )
    original, chosen = pictured(s.picture, s.large), f"bicubic, a = {s.a}" if s.method == "bicubic" else s.method
    numbers = {
        "sizes": [s.small, s.middle, s.large],
        "methods": {name: {"psnr": finite(of["psnr"]), "ssim": of["ssim"]} for name, of in methods.items()},
        "kernel_side": kernel_side,
    }
    shown = [Picture(pixels(original), "original", f"{s.large} pixels")]
    shown += [Picture(pixels(image), name, said(methods[name]), name == chosen) for name, image in made.items()]
    score = methods[chosen]
    scores = [checks.ssim(score["ssim"], made[chosen], original)]
    if finite(score["psnr"]) is not None:
        scores.append(checks.psnr(score["psnr"], made[chosen], original))
    return View(
        {"methods": shown},
        formula=side_formula(s, numbers, chosen),
        check=frame.weakest(made_check, *scores),
        notice=side_notice(s, numbers),
        numbers=numbers,
    )


def finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def said(of: dict[str, float]) -> str:
    ratio = f"{of['psnr']:.2f} dB" if np.isfinite(of["psnr"]) else "the same"
    return f"{ratio} · SSIM {of['ssim']:.3f}"


@kept(maxsize=16)
def compared(
    name: str, small: int, middle: int, large: int, down: str, align_corners: bool, antialias: bool
) -> tuple[dict[str, Tensor], dict[str, dict[str, float]], Check, int | None]:
    """Every method's picture, what it is worth, their check, and where the sizes allow a fitted kernel its side."""
    base = Settings(picture=name, small=small, middle=middle, large=large, down=down)
    made, found, kernel_side, factor = {}, [], None, whole_factor(base)
    for entry, (method, slope) in ENTRIES.items():
        can = {"align_corners": align_corners and method in ("bilinear", "bicubic")}
        can["antialias"] = antialias and method in FILTERED
        done = run(base, method, can | slope)
        made[entry] = done.large
        found += run_checks(base, done, method, can | slope)
    if factor:
        (kernel, fit), start = fitted(name if name in CUTS else "", small, large, down), run(base, "area", {}).small
        made[FITTED], kernel_side = torch.stack([upscale(plane, kernel, factor) for plane in start]), len(kernel)
        found = [fit, checks.upscaling(made[FITTED], start, kernel, factor), *found]
    original = pictured(name, large)
    worth = {entry: {"psnr": psnr(image, original), "ssim": ssim(image, original)} for entry, image in made.items()}
    return made, worth, frame.weakest(*found), kernel_side


@lru_cache(maxsize=16)
def fitted(without: str, small: int, large: int, down: str) -> tuple[Tensor, Check]:
    """The kernel fitted to every photograph but one, and its check."""
    method, smooth = DOWN[down]
    photographs = [grey(name, large) for name in CUTS if name != without]
    pairs = [(resize(image, small, method, antialias=smooth), image) for image in photographs]
    kernel = fit_upscaling(pairs, large // small)
    return kernel, checks.upscaling_fit(kernel, pairs, large // small)


def whole_factor(s: Settings) -> int | None:
    """How many times the last size is the first, if that is a whole number of at least 2."""
    factor, rest = divmod(s.large, s.small)
    return factor if factor >= 2 and not rest else None


def side_formula(s: Settings, numbers: dict, chosen: str) -> str:
    ratio, alike = numbers["methods"][chosen]["psnr"], numbers["methods"][chosen]["ssim"]
    value = r"\infty" if ratio is None else rf"10\log_{{10}}\frac{{1}}{{{tex(10 ** (-ratio / 10))}}}={ratio:.2f}"
    lines = [
        rf"\text{{{chosen}:}}\quad\mathrm{{PSNR}}=10\log_{{10}}\frac{{1}}{{\mathrm{{mse}}}}={value}\ \mathrm{{dB}}",
        rf"\text{{{chosen}:}}\quad\mathrm{{SSIM}}={alike:.4f}",
    ]
    if side := numbers["kernel_side"]:
        factor = s.large // s.small
        lines += [
            rf"\text{{fitted kernel }}k:\quad\min_k\textstyle\sum\|\text{{large}}-A_k^{{\top}}\,\text{{small}}\|^2,"
            rf"\quad\text{{stride }}{factor},\ {side}\times{side}={factor}^2\cdot{side // factor}^2\text{{ taps}}"
        ]
    return display(*lines)


def side_notice(s: Settings, numbers: dict) -> str:
    methods = {name: of for name, of in numbers["methods"].items() if of["psnr"] is not None}
    exact = [name for name in numbers["methods"] if name not in methods]
    if s.small == s.middle == s.large:
        return "Nothing was resized: all three sizes are one.\nChange one of them."
    if not methods:
        return "Every method gives back the very original: it has one value alone.\nChoose a picture with edges."
    best, worst = (those(methods, end(of["psnr"] for of in methods.values())) for end in (max, min))
    way = f"{s.small} → {s.middle} → {s.large} pixels"
    way = f"Made small and enlarged again, {s.large} → {way}" if s.large > s.small else way
    closest = f"**{named(best)}** come{'s' * (len(best) == 1)} closest to the original"
    if exact:
        gives = f"give{'s' * (len(exact) == 1)} back the very original"
        closest = f"**{named(exact)}** {gives}; of the others {named(best)} come{'s' * (len(best) == 1)} closest"
    first = f"{way}: {closest} ({methods[best[0]]['psnr']:.2f} dB)"
    if worst != best:
        stays = f"stay{'s' * (len(worst) == 1)} furthest from it"
        first += f", {named(worst)} {stays} ({methods[worst[0]]['psnr']:.2f} dB)"
    first += "."
    if FITTED not in numbers["methods"]:
        return (
            f"{first}\nNo transposed convolution is fitted here: it enlarges by whole factors, and "
            f"{s.large} / {s.small} is {s.large / s.small:.3g}."
        )
    if FITTED not in methods or len(methods) == 1:
        return first
    rival = max((m for m in methods if m != FITTED), key=lambda m: methods[m]["psnr"])
    gain = methods[FITTED]["psnr"] - methods[rival]["psnr"]
    return (
        f"{first}\nThe fitted kernel, which never saw this picture, is **{abs(gain):.2f} dB "
        f"{'better' if gain > 0 else 'worse'}** than {rival}: enlarging by a whole factor is a transposed convolution, "
        "whose kernel can be learned."
    )


def those(methods: dict[str, dict[str, float]], ratio: float) -> list[str]:
    """The methods that are shown with this PSNR."""
    return [name for name, of in methods.items() if f"{of['psnr']:.2f}" == f"{ratio:.2f}"]


def named(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


# Libraries


def libraries(s: Settings) -> View:
    options = options_of(s)
    small = run(s, s.method, options).small
    ours = resize(small, s.large, s.method, **options)
    theirs = {library: by_library(s, small, library) for library in checks.LIBRARIES}
    apart = {
        library: None if image is None else (ours - torch.from_numpy(image)).abs() for library, image in theirs.items()
    }
    largest = {library: None if d is None else float(d.max()) for library, d in apart.items()}
    numbers = {"sizes": [s.small, s.large], "largest_difference": largest}
    white = max((d for d in largest.values() if d is not None and d > 1e-6), default=1.0)
    shown = [Picture(pixels(ours), f"ours: {s.method}", f"{s.small} → {s.large} in one step", marked=True)]
    for library, difference in apart.items():
        if difference is None:
            shown.append(Picture(np.zeros((s.large, s.large)), library, reason(s, library, None)))
        else:
            title = f"ours − {library}"
            shown.append(Picture(difference.mean(0).numpy() / white, title, reason(s, library, largest[library])))
    return View(
        {"libraries": shown},
        formula=library_formula(s, numbers),
        check=checks.resizing(ours, small, s.method, **options),
        notice=library_notice(s, numbers, white),
        numbers=numbers,
    )


def by_library(s: Settings, small: Tensor, library: str) -> np.ndarray | None:
    """The library's own answer, or None where it has no such method."""
    own = {"align_corners": s.align_corners} if library == "torch" else {}
    try:
        return checks.library_resize(
            small, (s.large, s.large), s.method, library, antialias=s.antialias and s.method in FILTERED, **own
        )
    except ValueError:
        return None


def reason(s: Settings, library: str, largest: float | None) -> str:
    """Why it differs, or that it does not."""
    if largest is None:
        return f"has no {s.method}" if s.method == "lanczos" else "averages whole blocks only"
    if largest < 1e-6:
        return "the same"
    size = f"up to {sensible(largest)}"
    if s.align_corners and library != "torch":
        return f"{size}: has no align_corners"
    if library == "torch" and s.method == "nearest":
        return f"{size}: its float32 rounds {s.small}/{s.large} down"
    if library == "torch":
        return f"{size}: a = {'−0.5' if s.antialias else '−0.75'}"
    if s.method == "nearest":
        return f"{size}: the nearest centre, not rounded down"
    if s.method == "area":
        return f"{size}: counts parts of pixels"
    if library == "scikit-image":
        return f"{size}: a Gaussian blur as antialias" if s.antialias else f"{size}: a spline, not Keys' cubic"
    if s.large < s.small and not s.antialias:
        return f"{size}: always antialiases"
    return f"{size}: a = −0.5, the edge left out"


def library_formula(s: Settings, numbers: dict) -> str:
    parts = [
        rf"\max|\text{{ours}}-\text{{{library}}}|={tex(value, 3)}"
        for library, value in numbers["largest_difference"].items()
        if value is not None
    ]
    lines = [r",\quad ".join(parts[:2]), *parts[2:]]
    if s.method == "bicubic":
        lines.append(rf"a={s.a}:\quad {bicubic(float(s.a))}")
    return display(*lines)


def library_notice(s: Settings, numbers: dict, white: float) -> str:
    largest = numbers["largest_difference"]
    same = [name for name, value in largest.items() if value is not None and value < 1e-6]
    other = {name: value for name, value in largest.items() if value is not None and value >= 1e-6}
    none = [name for name, value in largest.items() if value is None]
    agree = (
        f"**{' and '.join(same)}** give{'s' * (len(same) == 1)} the same picture as ours"
        if same
        else "No library agrees"
    )
    lacks = f"; {' and '.join(none)} {'has' if len(none) == 1 else 'have'} no such method" if none else ""
    if not other:
        return f"{agree}{lacks}.\nWith these settings the name {s.method} means one thing."
    worst = max(other, key=lambda name: other[name])
    return (
        f"{agree}{lacks}. **{worst}** differs by up to **{sensible(other[worst])}**, "
        f"{255 * other[worst]:.0f} of 255 grey levels (white in the differences is {sensible(white)}).\n"
        f"One name, {s.method}, and more than one meaning: say which library resized a picture."
    )


# The code pane


def written(s: Settings) -> str:
    a = f", a={s.a}" if s.method == "bicubic" else ""
    return f"dict(align_corners={s.align_corners}, antialias={s.antialias}{a})"


def started(s: Settings) -> str:
    method, smooth = DOWN[s.down]
    call, source, _ = in_code(s.picture)
    return f"""original = {call}({source}, {max(s.large, s.small)})
small = resize(original, {s.small}, {method!r}{", antialias=True" if smooth else ""})"""


def pixel_code(s: Settings) -> str:
    row, col = min(s.row, s.large - 1), min(s.col, s.large - 1)
    call, _, reading = in_code(s.picture)
    return f"""
from core.photographs import {call}
from core.resizing import resize, resize_weights
{reading}
method, options = {s.method!r}, {written(s)}
{started(s)}
middle = resize(small, {s.middle}, method, **options)
large = resize(middle, {s.large}, method, **options)
first, second = resize_weights({s.small}, {s.middle}, method, **options), \
resize_weights({s.middle}, {s.large}, method, **options)
weights = second @ first

row, col = {row}, {col}
print("sizes =", [small.shape[-1], middle.shape[-1], large.shape[-1]])
print("pixel =", [row, col])
for name, line in (("row_weights", weights[row]), ("column_weights", weights[col])):
    print(name, "=", [[i, w] for i, w in enumerate(line.tolist()) if abs(w) > 1e-12])
print("value =", large[:, row, col].tolist())
"""


def side_code(s: Settings) -> str:
    factor, (call, source, reading) = whole_factor(s), in_code(s.picture)
    method, smooth = DOWN[s.down]
    shrink = f"resize(image, {s.small}, {method!r}{', antialias=True' if smooth else ''})"
    lines = []
    for name, (kind, slope) in ENTRIES.items():
        can = dict(slope)
        if s.align_corners and kind in ("bilinear", "bicubic"):
            can["align_corners"] = True
        if s.antialias and kind in FILTERED:
            can["antialias"] = True
        lines.append(f"    {name!r}: twice({', '.join([repr(kind), *(f'{k}={v}' for k, v in can.items())])}),")
    fitted = (
        f"""
others = [grey(name, {s.large}) for name in CUTS{f" if name != {source}" if s.picture in CUTS else ""}]
kernel = fit_upscaling([(shrink(image), image) for image in others], {factor})
made[{FITTED!r}] = torch.stack([upscale(plane, kernel, {factor}) for plane in small])
"""
        if factor
        else ""
    )
    return f"""
import torch

from core.photographs import CUTS, grey, {call}
from core.resizing import fit_upscaling, psnr, resize, ssim, upscale
{reading}

def shrink(image):
    return {shrink}


def twice(method, **options):
    return resize(resize(small, {s.middle}, method, **options), {s.large}, method, **options)


small = shrink({call}({source}, {max(s.large, s.small)}))
made = {{
{chr(10).join(lines)}
}}
{fitted.strip()}
original = {call}({source}, {s.large})
print("sizes =", [{s.small}, {s.middle}, {s.large}])
print("kernel_side =", {"len(kernel)" if factor else None})
for name, image in made.items():
    print(name, "=", [psnr(image, original), ssim(image, original)])
"""


def library_code(s: Settings) -> str:
    smooth = s.antialias and s.method in FILTERED
    size = (s.large, s.large)
    call, _, reading = in_code(s.picture)
    return f"""
import torch

from core import checks
from core.photographs import {call}
from core.resizing import resize
{reading}
{started(s)}
ours = resize(small, {s.large}, {s.method!r}, **{written(s)})
print("sizes =", [small.shape[-1], ours.shape[-1]])
for library, more in (("torch", dict(align_corners={s.align_corners})), ("Pillow", {{}}), ("scikit-image", {{}})):
    try:
        theirs = checks.library_resize(small, {size}, {s.method!r}, library, antialias={smooth}, **more)
        print(library, "=", float((ours - torch.from_numpy(theirs)).abs().max()))
    except ValueError:
        print(library, "= None")
"""


OF_ALL = ("picture", "small", "large", "method", "a", "align_corners", "antialias", "down")
TAB = Ideas(
    {
        PIXEL: Idea(("weights",), (*OF_ALL, "middle", "row", "col"), pixel_code, show=one_pixel),
        SIDE: Idea(("methods",), (*OF_ALL, "middle"), side_code, show=side_by_side),
        LIBRARIES: Idea(("libraries",), OF_ALL, library_code, show=libraries),
    },
    idle=lambda s, idea: {"a"} if s.method != "bicubic" else set(),
)
update, code = TAB.update, TAB.code


def build() -> None:
    frame.tab(
        sys.modules[__name__],
        stage={
            "weights": WeightsView("The old picture, the weights of one new pixel, and the new picture"),
            "methods": Pictures("The same picture enlarged by every method"),
            "libraries": Pictures("The picture, and how far three libraries are from it", columns=2, side=400),
            "views": Views(NAME, TAB.showing(Settings())),
        },
    )
