"""What the widgets share: a constant template, a script and a style made of the files beside this one."""

import base64
import hashlib
import json
from abc import ABCMeta
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import orjson


@cache
def script(*names: str) -> str:
    """The named .js files of this folder joined; they run with `element`, `props`, `watch`, `trigger` in scope."""
    return "\n".join((Path(__file__).parent / f"{name}.js").read_text(encoding="utf-8") for name in names)


@cache
def style(*names: str) -> str:
    """The named .css files of this folder, as an element of a template."""
    files = (Path(__file__).parent / f"{name}.css" for name in names)
    return f"<style>{''.join(file.read_text(encoding='utf-8') for file in files)}</style>"


def packed(values: Any, dtype: str) -> str:
    """An array as base64 of its little-endian bytes in C order, to be read as a typed array in the browser."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<")).tobytes()).decode()


def digest(*parts: np.ndarray) -> str:
    """What tells these bytes, in C order, from any others."""
    told = hashlib.sha256()
    for part in parts:
        told.update(np.ascontiguousarray(part).data)
    return told.hexdigest()[:24]


def as_text(told: Any) -> str:
    """As JSON in one text: the page watches every part of an object that it is given, and of a long one that takes its
    time."""
    # All that json takes: orjson by itself refuses numpy's numbers, named tuples, and keys that are numbers.
    return orjson.dumps(told, default=list, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS).decode()


def payload(value: Any) -> str:
    """A dataclass as JSON: its arrays packed (numbers float32, places int16, marks bytes), with their shapes."""
    kinds, fields = {"f": "f4", "i": "i2", "b": "u1"}, vars(value)
    arrays = {name: field for name, field in fields.items() if isinstance(field, np.ndarray)}
    shapes = {name: list(array.shape) for name, array in arrays.items()}
    return as_text(fields | {"shapes": shapes} | {name: packed(a, kinds[a.dtype.kind]) for name, a in arrays.items()})


class Rows:
    """A widget whose value is rows of numbers. They travel as text: the page watches every part of a list it is given,
    and copies it at every move."""

    def postprocess(self, value: Any) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def preprocess(self, payload: Any) -> Any:
        try:
            return json.loads(payload)
        except (TypeError, ValueError, RecursionError):
            return payload  # `settings.parse` says in words what is wrong with it


class Unstubbed(type(gr.HTML)):
    """Gradio's rules for a component's class, less two that our pieces have no use for.

    It writes a .pyi beside every subclass: ours add no events. And it makes every output that a function skips anew
    from the arguments of its making: ours never change, so `Piece.constructor_args` hands over the piece itself.
    """

    def __new__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> type:
        return ABCMeta.__new__(cls, name, bases, attributes)

    def __call__(cls, *args: Any, made: Any = None, **options: Any) -> Any:
        return super().__call__(*args, **options) if made is None else made


class Piece(gr.HTML, metaclass=Unstubbed):
    """A widget drawn by its own script; the template never depends on the value, so it is rendered once.

    Created unrendered: `frame.tab` renders it in its place.

    holds: its `postprocess` can be told what parts of a value the page has, by the `digest`s that its script puts into
    `data-held`.
    """

    holds = False

    def __init__(self, template: str, js: str, *, name: str, value: Any = None, render: bool = False, label: str = ""):
        super().__init__(
            value,
            html_template=template,
            apply_default_css=False,
            elem_classes=["piece", name],
            render=render,
            label=label,
        )
        # With its number, under which an answer to a move finds it (`live.js`).
        number = f"watch = window.explorer.piece({self._id}, element, props, watch);"
        self.js_on_load = f"{number}\n{js}\nwindow.explorer.full?.(element);"

    @property
    def constructor_args(self) -> dict[str, Any]:
        return {"made": self}

    def get_config(self) -> dict[str, Any]:  # type: ignore[override]
        """The configuration of a gr.HTML: our own arguments are in the template and the script already."""
        return super(gr.HTML, self).get_config(gr.HTML) | {"component_class_name": self.component_class_name}

    def postprocess(self, value: Any) -> Any:
        return value
