"""One description of a tab's settings: its widgets, its address, its endpoint's signature and its validation."""

import dataclasses
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, Literal, TypeVar, get_type_hints

Grid = tuple[tuple[float, ...], ...]
Kind = Literal["number", "choice", "flag", "text", "grid"]
Look = Literal["cells", "paint", "brush", "bars", "points", "button"]
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Spec:
    """What a field may hold and how it is shown; `name` and `integer` come from the dataclass itself."""

    kind: Kind
    default: Any
    label: str
    key: str
    group: str = ""
    hint: str = ""
    low: float = -math.inf
    high: float = math.inf
    step: float | None = None
    log: bool = False
    options: tuple[str, ...] = ()
    offered: Callable[[], tuple[str, ...]] | None = None
    title: Callable[[str], str] = str
    own: bool = False
    max_length: int = 300
    max_side: int = 7
    look: Look = "cells"
    fills: tuple[tuple[str, Grid], ...] = ()
    name: str = ""
    integer: bool = False


def _field(spec: Spec) -> Any:
    return dataclasses.field(default=spec.default, metadata={"spec": spec})


def number(
    default: float,
    *,
    low: float,
    high: float,
    step: float | None = None,
    log: bool = False,
    label: str,
    key: str,
    group: str = "",
    hint: str = "",
    look: Look = "cells",
) -> Any:
    """A number in [low, high], shown as a slider, on a log scale if asked; annotate the field ``int`` if whole.

    look: "button" counts a whole number up at every press; its hint names the way back to the default.
    """
    return _field(Spec("number", default, label, key, group, hint, low=low, high=high, step=step, log=log, look=look))


def choice(
    default: str, *, options: tuple[str, ...], label: str, key: str, group: str = "", hint: str = "", own: bool = False
) -> Any:
    """One of ``options``; with ``own``, they name pictures, and a picture file as a data address may stand instead."""
    return _field(Spec("choice", default, label, key, group, hint, options=tuple(options), own=own))


def offer(
    options: Callable[[], tuple[str, ...]],
    *,
    title: Callable[[str], str],
    label: str,
    key: str,
    group: str = "",
    hint: str = "",
) -> Any:
    """One of what ``options()`` names when it is asked, "" (the default) among them, shown under its ``title``."""
    return _field(Spec("choice", "", label, key, group, hint, offered=options, title=title))


def flag(default: bool, *, label: str, key: str, group: str = "", hint: str = "") -> Any:
    """On or off."""
    return _field(Spec("flag", default, label, key, group, hint))


def text(default: str, *, label: str, key: str, max_length: int = 300, group: str = "", hint: str = "") -> Any:
    """One line of text."""
    return _field(Spec("text", default, label, key, group, hint, max_length=max_length))


def grid(
    default: Grid,
    *,
    label: str,
    key: str,
    max_side: int = 7,
    low: float = -1000.0,
    high: float = 1000.0,
    look: Look = "cells",
    fills: Mapping[str, Grid] | None = None,
    group: str = "",
    hint: str = "",
) -> Any:
    """A small table of numbers, at most ``max_side`` rows and columns.

    look: number fields ("cells"), cells to "paint" or to "brush" over a picture, one row of "bars", or "points" (x, y),
        two at least and a row each.
    fills: named tables to choose from.
    """
    chosen = tuple((fills or {}).items())
    return _field(
        Spec("grid", default, label, key, group, hint, low=low, high=high, max_side=max_side, look=look, fills=chosen)
    )


def specs(cls: type) -> dict[str, Spec]:
    """The fields of a Settings dataclass in order, each with its name and whether it is a whole number."""
    return {
        spec.name: dataclasses.replace(spec, options=spec.offered()) if spec.offered else spec for spec in _named(cls)
    }


@lru_cache(maxsize=64)  # asked for several times in every move
def _named(cls: type) -> tuple[Spec, ...]:
    types = get_type_hints(cls)
    return tuple(
        dataclasses.replace(f.metadata["spec"], name=f.name, integer=types[f.name] is int)
        for f in dataclasses.fields(cls)
    )


def opening(cls: type, **defaults: Any) -> type:
    """The same Settings with other defaults; a default that its field cannot hold is left as it was."""
    known, types, fields = specs(cls), get_type_hints(cls), []
    for f in dataclasses.fields(cls):
        spec: Spec = f.metadata["spec"]
        if f.name in defaults:
            with suppress(ValueError):
                spec = dataclasses.replace(spec, default=_validate(known[f.name], defaults[f.name], f.name))
        fields.append((f.name, types[f.name], _field(spec)))
    return dataclasses.make_dataclass(cls.__name__, fields, bases=(cls,), frozen=True)


def parse(cls: type[T], values: Mapping[str, Any], *, labels: bool = False) -> T:
    """Build Settings from untrusted values; fields left out take their defaults.

    Raises: ValueError naming the field, or with ``labels`` what stands over its control, what was wanted and what came.
    """
    known = specs(cls)
    if unknown := [name for name in values if name not in known]:
        raise ValueError(f"unknown setting {_shown(unknown[0])}; the settings are {', '.join(known)}")
    called = {name: labelled(spec) if labels else name for name, spec in known.items()}
    return cls(**{name: _validate(known[name], value, called[name]) for name, value in values.items()})


def labelled(spec: Spec) -> str:
    """A field as a message to the page names it."""
    return f"“{spec.label}”"


def to_query(settings: Any) -> dict[str, str]:
    """Settings as the short keys of an address; defaults are left out, and so are pictures of one's own."""
    return {
        spec.key: _write(spec, value)
        for name, spec in specs(type(settings)).items()
        if (value := getattr(settings, name)) != spec.default and not (spec.own and is_own(value))
    }


def from_query(cls: type[T], params: Mapping[str, str]) -> T:
    """Settings from an address; keys that belong to no field are left to others.

    Raises: ValueError naming each field that is wrong, what was wanted and what came.
    """
    settings, wrong = readable(cls, params)
    if wrong:
        raise ValueError("; ".join(wrong))
    return settings


def readable(cls: type[T], params: Mapping[str, str]) -> tuple[T, list[str]]:
    """As `from_query`, but what is wrong is left at its default, and told."""
    values, wrong = {}, []
    for name, spec in specs(cls).items():
        if spec.key in params:
            try:
                values[name] = _validate(spec, _read(spec, params[spec.key]), labelled(spec))
            except ValueError as error:
                wrong.append(str(error))
    return cls(**values), wrong


def alternatives(settings: Any) -> Iterator[tuple[Any, str]]:
    """Of settings that are refused together, those that differ in one field, and what is then to be said of it.

    What is at its default, as an address leaves it out, gives way first: to what is said of another field (t to T), or
    to the default of that (of two axes that are the same), the nearest first. Then what is said, to its default. Of
    each the last field comes first; the first field, the view, gives way to nothing but its default, at the very end.
    """
    known = list(reversed(specs(type(settings)).values()))
    given = [spec for spec in known if getattr(settings, spec.name) != spec.default]
    for spec in known[:-1]:
        if spec in given or spec.kind not in ("number", "choice"):
            continue
        others = [one for one in given if one.kind == spec.kind]
        values = [value for one in others for value in (getattr(settings, one.name), one.default)]
        for value in sorted(values, key=lambda value: abs(value - spec.default) if spec.kind == "number" else 0):
            with suppress(ValueError):
                changed = {spec.name: _validate(spec, value, spec.name)}
                yield dataclasses.replace(settings, **changed), f"{labelled(spec)} became {_write(spec, value)}"
    for spec in given:
        taken = dataclasses.replace(settings, **{spec.name: spec.default})
        yield taken, f"the default of {labelled(spec)} was taken"


def is_own(value: Any) -> bool:
    """Whether this is a picture file as a data address, as a `choice` with ``own`` takes it."""
    return isinstance(value, str) and value.startswith("data:")


def only(settings: T, *names: str) -> T:
    """The same of these fields alone, the others as at first: what a cache keeps by, whose result they do not touch."""
    return type(settings)(**{name: getattr(settings, name) for name in names})


class Kept(Generic[R]):
    """A function as `functools.lru_cache` has it; what it makes of a visitor's own picture is not kept."""

    def __init__(self, function: Callable[..., R], maxsize: int):
        self.function, self.cached = function, lru_cache(maxsize)(function)
        self.cache_clear, self.cache_info = self.cached.cache_clear, self.cached.cache_info

    def __call__(self, *given: Any) -> R:
        values = (value for one in given for value in (vars(one).values() if dataclasses.is_dataclass(one) else (one,)))
        return (self.function if any(map(is_own, values)) else self.cached)(*given)


def kept(maxsize: int) -> Callable[[Callable[..., R]], Kept[R]]:
    """Decorates a function of Settings, or of some of their values, whose last ``maxsize`` results are `Kept`."""
    return lambda function: Kept(function, maxsize)


def signature(cls: type) -> inspect.Signature:
    """The settings as keyword arguments with defaults, for the tab's endpoint."""
    types = {"choice": str, "flag": bool, "text": str, "grid": list[list[float]]}
    return inspect.Signature(
        [
            inspect.Parameter(
                name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=[list(row) for row in spec.default] if spec.kind == "grid" else spec.default,
                annotation=types.get(spec.kind, int if spec.integer else float),
            )
            for name, spec in specs(cls).items()
        ],
        return_annotation=dict,
    )


def heading(group: str) -> str:
    """The class of a group's heading on the page."""
    return f"group-{group.lower().replace(' ', '-')}"


def widgets(cls: type) -> dict[str, Any]:
    """One Gradio component per field, placed where the call stands, with a small heading before each group."""
    import gradio as gr

    from explorer.components.again import Again
    from explorer.components.dots import Dots
    from explorer.components.grid import GridInput
    from explorer.components.log_slider import LogSlider
    from explorer.components.pad import Pad
    from explorer.components.paint import PaintInput
    from explorer.components.picture_input import PictureInput
    from explorer.components.seed import Seed
    from explorer.components.slider import Slider

    made: dict[str, Any] = {}
    group = ""
    for name, spec in specs(cls).items():
        if spec.group != group:
            group = spec.group
            gr.HTML(f"<h3>{group}</h3>", elem_classes=["group", heading(group)])
        shared: dict[str, Any] = {"label": spec.label, "info": spec.hint or None}
        match spec.kind:
            case "number" if spec.look == "button":
                made[name] = Again(spec)
            case "number" if spec.high - spec.low > 1e6:  # a seed: too many values for a slider
                made[name] = Seed(spec)
            case "number" if spec.log:
                made[name] = LogSlider(spec)
            case "number":
                step = spec.step or (1 if spec.integer else (spec.high - spec.low) / 100)
                made[name] = Slider(spec.low, spec.high, spec.default, step=step, buttons=[], **shared)
            case "choice" if spec.own:
                made[name] = PictureInput(spec)
            case "choice":
                options = [(spec.title(option), option) for option in spec.options]
                if len(options) <= 3 and spec.offered is None:
                    made[name] = gr.Radio(options, value=spec.default, **shared)
                else:
                    made[name] = gr.Dropdown(options, value=spec.default, filterable=False, **shared)
            case "flag":
                made[name] = gr.Checkbox(spec.default, **shared)
            case "text":
                made[name] = gr.Textbox(spec.default, max_length=spec.max_length, lines=1, **shared)
            case "grid":
                boards = {"cells": GridInput, "paint": PaintInput, "brush": PaintInput, "bars": Pad, "points": Dots}
                made[name] = boards[spec.look](spec)
    return made


def _validate(spec: Spec, value: Any, called: str) -> Any:
    """The value as the field holds it. Raises: ValueError naming it as ``called``."""
    match spec.kind:
        case "number":
            return _validate_number(spec, value, called)
        case "choice":
            titles = [spec.title(option) for option in spec.options]
            if value in titles:
                return spec.options[titles.index(value)]
            if value not in spec.options and not (spec.own and is_own(value)):
                own = ", or a picture as data:image/png;base64,..." if spec.own else ""
                raise ValueError(f"{called} must be one of {', '.join(titles)}{own}; got {_shown(value)}")
            return value
        case "flag":
            if not isinstance(value, bool):
                raise ValueError(f"{called} must be true or false, got {_shown(value)}")
            return value
        case "text":
            if not isinstance(value, str):
                raise ValueError(f"{called} must be text, got {_shown(value)}")
            if len(value) > spec.max_length:
                raise ValueError(f"{called} may have at most {spec.max_length} characters, got {len(value)}")
            if any("\ud800" <= c <= "\udfff" for c in value):
                raise ValueError(f"{called} must be whole characters, got half of a surrogate pair")
            return value
        case "grid":
            return _validate_grid(spec, value, called)


def _validate_number(spec: Spec, value: Any, called: str) -> float:
    sort = "a whole number" if spec.integer else "a number"
    wanted = f"{called} must be {sort} in [{_digits(spec.low)}, {_digits(spec.high)}]"
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:  # nor NaN
        raise ValueError(f"{wanted}, got {_shown(value)}")
    if not spec.low <= value <= spec.high or (spec.integer and value != int(value)):
        raise ValueError(f"{wanted}, got {value:.12g}")
    return int(value) if spec.integer else float(value)


def _validate_grid(spec: Spec, value: Any, called: str) -> Grid:
    wanted = f"{called} must be rows of numbers of equal length, at most {spec.max_side} x {spec.max_side}"
    points = spec.look == "points"
    if points:
        wanted = f"{called} must be 2 to {spec.max_side} points (x, y)"
    if not isinstance(value, list | tuple) or not all(isinstance(row, list | tuple) for row in value):
        raise ValueError(f"{wanted}; got {_shown(value)}")
    lengths = {len(row) for row in value}
    if points and not 2 <= len(value) <= spec.max_side:
        raise ValueError(f"{wanted}, got {len(value)}: draw {'more' if len(value) < 2 else 'fewer'}")
    if points and lengths != {2}:
        raise ValueError(f"{wanted}, got rows of lengths {sorted(lengths)}")
    if len(lengths) != 1 or not 1 <= max(lengths) <= spec.max_side or len(value) > spec.max_side:
        raise ValueError(f"{wanted}; got {len(value)} rows of lengths {sorted(lengths)}")
    return tuple(tuple(_validate_number(spec, v, f"each number of {called}") for v in row) for row in value)


def _write(spec: Spec, value: Any) -> str:
    match spec.kind:
        case "number":
            return _digits(value)
        case "flag":
            return "1" if value else "0"
        case "grid":
            return ";".join(",".join(_digits(v) for v in row) for row in value)
        case _:
            return value


def _read(spec: Spec, written: str) -> Any:
    """Text of an address to a value; what cannot be read goes on as text and is refused by `parse`."""
    match spec.kind:
        case "number":
            return as_number(written)
        case "flag":
            return {"1": True, "0": False}.get(written, written)
        case "grid":
            return [[as_number(cell) for cell in row.split(",")] for row in written.split(";")]
        case _:
            return written


def _digits(value: float) -> str:
    """The shortest text that reads back as the same number: 1.0 as 1, 0.1 as 0.1."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def as_number(written: str) -> float | str:
    """What is no number stays as it was written, for `parse` to say so."""
    try:
        return float(written)
    except ValueError:
        return written


def _shown(value: Any) -> str:
    """A value as a message quotes it: short, whatever came."""
    quoted = repr(value)
    return quoted if len(quoted) <= 60 else quoted[:57] + "..."
