"""Open as notebook: a valid nbformat 4.5 file that says where it runs and has the code on the screen."""

import json
import re
from importlib import import_module
from importlib.metadata import metadata

import pytest

from explorer.components.notebook import Notebook, notebook
from explorer.tabs import TABS


@pytest.mark.parametrize("name", TABS)
def test_a_notebook_holds_the_code_that_is_shown(name):
    module = import_module(f"explorer.tabs.{name}")
    code = module.code(module.Settings()).strip()
    made = json.loads(Notebook(name, module.TITLE, module.QUESTION).postprocess(code))
    about, shown = made["cells"]
    assert shown["source"] == code
    assert module.QUESTION in about["source"]
    assert f"runs where Diffusion Explorer {metadata('diffusion-explorer')['Version']} is installed" in about["source"]
    assert "`uv run --with jupyterlab jupyter lab`" in about["source"]
    assert not any("%pip" in cell["source"] for cell in made["cells"])  # a name on an index that is not the project's
    compile(shown["source"], name, "exec")


def test_a_notebook_is_what_its_format_asks_for():
    """The schema of nbformat 4.5, point by point; and the package itself where it is at hand."""
    made = notebook("A title", "A question?", "print(1)")
    assert set(made) == {"nbformat", "nbformat_minor", "metadata", "cells"}
    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    assert {"name", "display_name"} <= set(made["metadata"]["kernelspec"])
    for cell in made["cells"]:
        assert re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", cell["id"])
        assert isinstance(cell["source"], str) and cell["metadata"] == {}
        wanted = {"id", "cell_type", "metadata", "source"}
        if cell["cell_type"] == "code":
            wanted |= {"execution_count", "outputs"}
            assert cell["execution_count"] is None and cell["outputs"] == []
        assert set(cell) == wanted and cell["cell_type"] in ("code", "markdown")
    assert len({cell["id"] for cell in made["cells"]}) == len(made["cells"])
    try:
        import nbformat  # type: ignore[import-not-found]
    except ImportError:
        return
    nbformat.validate(nbformat.from_dict(made))
