"""What a visitor reads when something cannot be done."""

import html
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr


def message(error: ValueError) -> str:
    """The text of an error as HTML for a tab's message line."""
    return html.escape(str(error))


@contextmanager
def told() -> Iterator[None]:
    """Turn the ValueErrors of `core` and `settings` into messages that reach the caller of an endpoint."""
    try:
        yield
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from error
