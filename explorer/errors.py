"""What a visitor reads when something cannot be done."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

PLACE = re.compile(r"(?<![\w.:/])(?:/[\w.@+-]+)+/([\w.@+-]+)")


def plain(error: ValueError) -> str:
    """The text of an error; of a place in this machine's file system the last name alone."""
    return PLACE.sub(r"…/\1", str(error))


def message(error: ValueError) -> str:
    """The text of an error as HTML for a tab's message line."""
    return html.escape(plain(error))


@contextmanager
def told() -> Iterator[None]:
    """Turn the ValueErrors of `core` and `settings` into messages that reach the caller of an endpoint."""
    try:
        yield
    except ValueError as error:
        raise gr.Error(plain(error), print_exception=False) from error
