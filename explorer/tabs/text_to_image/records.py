"""What the file of a picture says of itself: its settings, as other tools read them, and that a model drew it."""

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl, urlencode

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from core.samplers import SAMPLERS
from core.style import style_of
from explorer import __version__, models
from explorer.settings import as_number, from_query, is_own, parse, specs, to_query
from explorer.tabs.text_to_image.settings import OF_MODEL
from explorer.uploads import MOST_PIXELS

if TYPE_CHECKING:
    from core.weights import Card

NAME = "text_to_image"
LONGEST = 200_000  # letters of a PNG's settings that are read
YOURS = "own"  # in place of a picture of one's own, which is not written down
STYLE = "Style scale"  # no other tool's word
# Our samplers as most other tools write them; `sampler` also reads the spellings of ComfyUI and diffusers.
SPELLED = {
    "ddpm": "DDPM",
    "ddim": "DDIM",
    "euler": "Euler",
    "euler_ancestral": "Euler a",
    "heun": "Heun",
    "dpmpp_2m": "DPM++ 2M",
    "unipc": "UniPC",
}
ALSO = {
    "eulerancestral": "euler_ancestral",
    "eulerdiscrete": "euler",
    "eulerancestraldiscrete": "euler_ancestral",
    "heundiscrete": "heun",
    "dpmsolvermultistep": "dpmpp_2m",
    "unipcbh2": "unipc",
    "unipcmultistep": "unipc",
}
# The International Press Telecommunications Council's word for a picture that a trained model made, in XMP.
SYNTHETIC = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/>
</rdf:RDF></x:xmpmeta><?xpacket end="r"?>"""


def address(settings: Any) -> str:
    """The query part of the address that opens the tab with these settings."""
    return urlencode({"tab": NAME, **to_query(settings)})


def whole(settings: Any, *, started: bool = False) -> str:
    """The same for a file, which may be opened where another model, with other defaults, is offered first.

    started: the picture began from the start picture of the settings.
    """
    known = specs(type(settings))
    always = {known[name].key: f"{getattr(settings, name)}" for name in OF_MODEL}
    own = {spec.key: YOURS for name, spec in known.items() if started and spec.own and is_own(getattr(settings, name))}
    return urlencode({"tab": NAME, **always, **to_query(settings), **own})


def to_png(pixels: np.ndarray, about: str, card: "Card | None" = None, query: str = "") -> bytes:
    """Pixels (H, W, 3) as a PNG: the settings in the text chunk `parameters`, and where the picture comes from.

    query: the settings as an address, from which they can be read again without loss.
    """
    info, out = PngInfo(), io.BytesIO()
    info.add_text("parameters", about)
    info.add_text("Software", f"Diffusion Explorer {__version__}")
    info.add_text("Disclaimer", "A synthetic picture, drawn by a trained model.")
    if card is not None:
        licence = f"; licence: {card.license}" if card.license else ""
        info.add_text("Source", f"the text-to-image model {card.name}{licence}")
    if query:
        info.add_text("explorer", query)
    info.add_itxt("XML:com.adobe.xmp", SYNTHETIC)
    Image.fromarray(pixels).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def parameters(s: Any, model: str, shape: tuple[int, ...]) -> str:
    """The settings as other tools write and read them in a PNG's text chunk."""
    return "\n".join(
        [
            s.prompt,
            *([f"Negative prompt: {s.negative}"] if s.negative else []),
            f"Steps: {s.steps}, Sampler: {SPELLED.get(s.sampler, s.sampler)}, CFG scale: {s.guidance:g}, "
            f"Seed: {s.seed}, Size: {shape[1]}x{shape[0]}, Model: {model}"
            + f", {STYLE}: {s.style:g}"
            * bool(s.style and style_of(s.prompt)[0]),
        ]
    )


def sampler(spelled: str) -> str:
    """Our name of a sampler, whatever tool spelled it; unknown ones come back as they are."""
    bare = re.sub(r"[^a-z0-9+]", "", spelled.lower()).removesuffix("karras").removesuffix("scheduler")
    ours = {re.sub(r"[^a-z0-9+]", "", way.lower()): name for name, way in SPELLED.items()}
    ours |= {name.replace("_", ""): name for name in SAMPLERS} | ALSO
    return ours.get(bare, spelled)


def reader(cls: type) -> Callable[[bytes], dict[str, str]]:
    """A function from a PNG file to the address it names, ``query``, and what to say about it, ``note``."""

    def read(data: bytes) -> dict[str, str]:
        settings, notes = restored(cls, data)
        return {"query": address(settings), "note": "; ".join(notes) or "its settings are back"}

    return read


def restored(cls: type, data: bytes) -> tuple[Any, list[str]]:
    """The settings that a PNG carries, and what of them could not be used. Nothing in the file is trusted.

    Raises: ValueError if it is no PNG, or carries no settings.
    """
    chunks = text_chunks(data)
    settings, notes = cls(), []
    for name, claim in claims(cls, chunks):
        try:
            settings = replace(settings, **{name: getattr(claim(), name)})
        except ValueError as error:
            notes.append(str(error))
    pairs = parsed(chunks.get("parameters", ""))[2]
    if any("Karras" in pairs.get(name, "") for name in ("Sampler", "Schedule type")):
        notes.append("its times were Karras's; here they are the model's own")
    return settings, notes


def claims(cls: type, chunks: Mapping[str, str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What the text of a PNG says: names of fields, and how to get settings that hold them, or a ValueError."""
    known = specs(cls)
    if "explorer" in chunks:
        asked = dict(parse_qsl(chunks["explorer"], keep_blank_values=True))
        if style_of(asked.get(known["prompt"].key) or "")[0]:
            asked = {known["style"].key: "0"} | asked  # old ones do not say it
        for name, spec in known.items():
            if spec.own and asked.get(spec.key) == YOURS:
                yield name, lambda: refuse("it began from a picture of your own, which is not in it: choose that again")
            elif spec.key in asked and name != "model":
                yield name, lambda key=spec.key: from_query(cls, {key: asked[key]})
        if model := parsed(chunks.get("parameters", ""))[2].get("Model"):
            yield "model", lambda: parse(cls, {"model": offered(model)})
        return
    prompt, negative, pairs = parsed(chunks["parameters"])
    yield "prompt", lambda: parse(cls, {"prompt": prompt})
    yield "negative", lambda: parse(cls, {"negative": negative})
    if style_of(prompt)[0]:
        yield "style", lambda: parse(cls, {"style": 0.0})  # no other tool presses it
    for word, value in pairs.items():
        if word in PAIRS:
            name, ours = PAIRS[word]
            yield name, lambda name=name, ours=ours, value=value: parse(cls, {name: ours(value)})


def refuse(reason: str) -> NoReturn:
    raise ValueError(reason)


def parsed(about: str) -> tuple[str, str, dict[str, str]]:
    """Prompt, negative prompt, and the pairs of the last line, of a chunk `parameters`."""
    lines = about.splitlines() or [""]
    last = next((i for i in reversed(range(len(lines))) if re.match(r"\s*Steps: ", lines[i])), len(lines))
    pairs = dict(re.findall(r'([\w ]{1,40}): ("[^"]*"|[^,]*)', lines[last])) if last < len(lines) else {}
    told, marks = lines[:last], [i for i, line in enumerate(lines[:last]) if line.startswith("Negative prompt:")]
    split = marks[-1] if marks else len(told)
    negative = " ".join(told[split:]).removeprefix("Negative prompt:").strip()
    return " ".join(told[:split]), negative, {name.strip(): value.strip() for name, value in pairs.items()}


def times(written: str) -> str:
    """A size in pixels as a multiple of what the model draws."""
    width, _, height = written.partition("x")
    own = models.defaults().get("size", 0)
    if width != height or not own or not (width.isascii() and width.isdigit()):
        raise ValueError(f"size {written[:20]!r} cannot be drawn here: pictures are squares of the model's own size")
    return f"{int(width[:9]) / own:g}"


def offered(name: str) -> str:
    """The option of `explorer.models` whose model has this name."""
    for option in models.options():
        if name in (models.title(option), models.name(option)):
            return option
    raise ValueError(f"model {name[:60]!r} is not offered here; {models.title()!r} stands in its place")


# A word of the text `parameters` -> our field, and its value as ours.
PAIRS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "Steps": ("steps", as_number),
    "Sampler": ("sampler", sampler),
    "CFG scale": ("guidance", as_number),
    "Seed": ("seed", as_number),
    "Size": ("size", times),
    "Denoising strength": ("strength", as_number),
    "Model": ("model", offered),
    STYLE: ("style", as_number),
}


def text_chunks(data: bytes) -> dict[str, str]:
    """The text of a PNG up to its pixels, which are not read.

    Raises: ValueError if it is no PNG, too large, damaged, or has no settings.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=["PNG"])
    except UnidentifiedImageError:
        raise ValueError("settings are kept in PNG files, and this is none that can be read") from None
    except Image.DecompressionBombError:
        raise ValueError(f"a picture may have at most {MOST_PIXELS:,} pixels, this one has far more") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"this PNG is damaged: {error}") from None
    chunks = {name: str(value) for name, value in image.info.items() if name in ("parameters", "explorer")}
    if (longest := max(map(len, chunks.values()), default=0)) > LONGEST:
        raise ValueError(f"settings may have at most {LONGEST:,} letters, those of this PNG have {longest:,}")
    if not chunks:
        raise ValueError("this PNG carries no settings: wanted the text `parameters`, as this page and others write it")
    return chunks
