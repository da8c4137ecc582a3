"""What a visitor reads when something cannot be done."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from core.weights import out_of_memory

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


def without_frames(error: BaseException) -> BaseException:
    """An error that visitors are told, without the frames it came through: they hold what lay in memory there, which
    a full device must have back before anything else can be tried.

    Others keep theirs, for the log.
    """
    one: BaseException | None = error if isinstance(error, ValueError) or out_of_memory(error) else None
    while one is not None:
        one.__traceback__ = None
        one = one.__cause__ or one.__context__
    return error
