"""The command `explorer`: builds the page from its tabs and serves it."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from explorer import __version__, server

if TYPE_CHECKING:
    import gradio as gr

# Gradio reads these when it is imported: no analytics, nothing fetched, no data frame for every queued event.
os.environ |= {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_ANALYTICS_MAX_EVENTS": "1",
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def build(*names: str, device: str | None = None, dtype: str | None = None, lecture: Path | None = None) -> gr.Blocks:
    """The whole page. ``names`` are the models that the text-to-image tab offers, the first one opened with.

    device, dtype: as `TextToImage.load` takes them. lecture: a file of one's own, shown before the course's lectures.
    Raises: ValueError if it cannot be read.
    """
    import gradio as gr

    from explorer import lectures, models, runs
    from explorer.broker import gather_cores
    from explorer.tabs import TABS

    gather_cores()  # before anything is computed
    models.offer(names, device, dtype)
    taught = lectures.offered(lecture)
    runs.KEPT.clear()
    modules = {name: import_module(f"explorer.tabs.{name}") for name in TABS}
    with gr.Blocks(title="Diffusion Explorer", analytics_enabled=False, delete_cache=(3600, 86400)) as demo:
        teach = f"teach({lectures.to_json(taught)});"
        top = gr.HTML(MASTHEAD, js_on_load=TOP + teach, elem_classes="top", apply_default_css=False)
        with gr.Tabs() as tabs:
            for name, module in modules.items():
                module.build(*([taught] if name == "start" else []))
        gr.HTML(colophon(), elem_classes="bottom", apply_default_css=False)
        begin = f"() => window.explorer.start({list(modules)}, {[one.TITLE for one in modules.values()]})"
        demo.load(None, None, tabs, js=begin, api_visibility="private")
        chosen = "() => ({ selected: window.explorer.current, __type__: 'update' })"  # by a link, Back or Forward
        top.input(None, None, tabs, js=chosen, trigger_mode="multiple", api_visibility="private")
    return demo


def launch(
    demo: gr.Blocks,
    *,
    host: str | None = None,
    port: int | None = None,
    share: bool | None = None,
    root_path: str | None = None,
    auth: list[tuple[str, str]] | None = None,
    **options: Any,
) -> tuple[Any, str, str]:
    """Serve the page by `explorer.server`'s rules; what is None is left to Gradio and its environment variables."""
    from explorer.theme import css, theme

    files = ("lighter.js", "waiting.js", "address.js", "components/fullscreen.js", "lecture.js")
    scripts = "".join(map(beside, files))
    return demo.queue(status_update_rate=1, max_size=server.MOST_WAITING, api_open=False).launch(
        server_name=host,
        server_port=port,
        share=share,
        root_path=root_path,
        auth=auth,
        auth_message="Whoever runs this page has given out a name and a password." if auth else None,
        theme=theme(),
        css=css(),
        head=f"<script>{scripts}</script><style>{beside('components/fullscreen.css')}{beside('lecture.css')}</style>",
        footer_links=[],
        _frontend=False,  # no test of localhost, which gives up after 3 s: a busy machine would not start
        **server.options(demo),
        **options,
    )


def beside(name: str) -> str:
    """The text of a file in this folder."""
    return (Path(__file__).parent / name).read_text("utf-8")


def main(argv: list[str] | None = None) -> None:
    given = sys.argv[1:] if argv is None else argv
    if given[:1] == ["deploy-space"]:
        from explorer import space

        return space.main(given[1:])
    parser = argparse.ArgumentParser(
        prog="explorer",
        description="From a coin flip to a picture made from a sentence: diffusion models, computed live.",
        epilog="explorer deploy-space USER/NAME puts this checkout on a Hugging Face Space.",
    )
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default: the first free one from 7860)")
    parser.add_argument("--share", action="store_true", default=None, help="also open a temporary public link")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        help="model name, folder or hub id for text to image, several times for a choice (default: emoji)",
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps ... (default: the best there is)")
    parser.add_argument(
        "--dtype",
        choices=("float16", "bfloat16", "float32"),
        help="of the networks' numbers (default: float16 on a GPU, else float32)",
    )
    parser.add_argument("--lecture", type=Path, help="a lecture of your own, a Markdown file: see CONTRIBUTING.md")
    parser.add_argument("--root-path", help="path under which a reverse proxy serves the app, for example /explorer")
    parser.add_argument(
        "--auth",
        default=os.environ.get("EXPLORER_AUTH"),
        help="let in who knows USER:PASSWORD, or one of them in @FILE, a line each (default: the environment variable "
        "EXPLORER_AUTH, which other users of the machine cannot see; without it, everyone)",
    )
    parser.add_argument("--log", metavar="FILE", help="write every event as a line of JSON; - is standard output")
    parser.add_argument("--deadline", type=seconds, default=600, help="seconds that one run may take (%(default)g)")
    args = parser.parse_args(given)
    try:
        auth = server.passwords(args.auth)
        server.write_log(args.log)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    from explorer import runs

    runs.limit(args.deadline)
    try:
        demo = build(*args.model, device=args.device, dtype=args.dtype, lecture=args.lecture)
    except ValueError as error:
        parser.error(str(error))
    if os.environ.get("SPACES_ZERO_GPU"):  # a run has a process of its own there, which keeps nothing that it reads
        read_all()
    where = {"host": args.host, "port": args.port, "share": args.share, "root_path": args.root_path}
    launch(demo, **where, auth=auth, prevent_thread_lock=True)
    Thread(target=warm_up, daemon=True).start()
    demo.block_thread()


def seconds(written: str) -> float:
    if not (value := float(written)) > 0:
        raise ValueError
    return value


def read_all() -> None:
    """Read every model that is offered; what cannot be read is said where it is asked for."""
    from explorer import models

    for option in models.options():
        with suppress(ValueError):
            models.loaded(option)


def warm_up() -> None:
    """Read the model while the first visitor still reads the page; say at once if it cannot be read.

    Then what takes seconds the first time and is waited for at a control: what each tab opens with (libraries are read,
    matrices taken apart), and the model's pictures that Forward noise offers to start from.
    """
    from explorer import models
    from explorer.tabs import TABS

    try:
        models.loaded()
    except ValueError as error:
        print(f"explorer: text to image will not work: {error}", file=sys.stderr)
    for module in (import_module(f"explorer.tabs.{name}") for name in TABS):
        with suppress(ValueError):  # said on that tab; the others are made ready all the same
            module.update(module.Settings())
    from core import pictures

    for name in pictures.NAMES:
        if name.startswith(pictures.MODEL):
            with suppress(ValueError):
                pictures.picture(name, 64)


def colophon() -> str:
    """Version, licence and source; on a Space the source is the Space's own files."""
    space = os.environ.get("SPACE_ID")
    source = f'<a href="https://huggingface.co/spaces/{space}/tree/main">Source</a>' if space else (
        "Source: the Python under every screen, and the packages <code>core</code> and <code>explorer</code>"
    )  # fmt: skip
    parts = (
        f"Diffusion Explorer {__version__}",
        "Licence Apache-2.0",
        source,
        "Every screen is also an endpoint: gradio_client, api_name=&quot;/coin_flips&quot; …",
    )
    return '<div class="colophon">' + "".join(f"<span>{part}</span>" for part in parts) + "</div>"


MASTHEAD = """<div class="masthead"><h1>Diffusion <b>Explorer</b></h1>
<p>from a coin flip to a picture made from a sentence</p>
<button type="button" class="quiet lecture-toggle" aria-pressed="false">Lecture</button>
<button type="button" class="quiet dark-toggle">Dark</button></div>"""
TOP = """
const { lecture, lecturing, selects, teach, theme } = window.explorer;
selects(() => trigger('input'));
element.querySelector('.lecture-toggle').addEventListener('click', () => lecture(!lecturing()));
const button = element.querySelector('.dark-toggle');
const mark = () => (button.textContent = document.body.classList.contains('dark') ? 'Light' : 'Dark');
button.addEventListener('click', () => theme(document.body.classList.contains('dark') ? 'light' : 'dark'));
window.addEventListener('restyled', mark);
mark();
"""

if __name__ == "__main__":
    main()
