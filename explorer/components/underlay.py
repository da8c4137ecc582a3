"""The picture under the cells that are painted on: it stands in the page's style, where the brush finds it."""

from explorer.components.base import Piece


class Underlay(Piece):
    """Takes no room itself; its value, a data address, becomes `--underlay` in the style of its tab."""

    def __init__(self) -> None:
        super().__init__(
            "<style>.underlay-piece { display: none !important; }</style>",
            """
const tab = element.closest('[id^="tab-"]');
const lay = () => props.value && tab.style.setProperty('--underlay', `url("${props.value}")`);
watch('value', lay);
lay();
""",
            name="underlay-piece",
            label="The picture under the brush",
        )
