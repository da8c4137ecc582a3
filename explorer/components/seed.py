"""A number field with a dice beside it: the widget of a seed."""

from explorer.components.base import Piece, script, style
from explorer.settings import Spec


class Seed(Piece):
    """Holds the number until it is changed by hand or the dice is pressed, which draws another one."""

    def __init__(self, spec: Spec):
        hint = f'<span class="hint">{spec.hint}</span>' if spec.hint else ""
        super().__init__(
            f'{style("seed")}<div class="seed log-slider"><label>{spec.label}{hint}</label><div class="row">'
            f'<input type="number" min="{spec.low:.0f}" max="{spec.high:.0f}" step="1" aria-label="{spec.label}">'
            f'<button type="button" class="dice" aria-label="Draw another {spec.label.lower()}" title="Draw another">'
            '<svg viewBox="0 0 20 20" aria-hidden="true"><path fill-rule="evenodd" d="M4 1h12a3 3 0 0 1 3 3v12a3 3 0 0 '
            "1-3 3H4a3 3 0 0 1-3-3V4a3 3 0 0 1 3-3zm0 1.6A1.4 1.4 0 0 0 2.6 4v12A1.4 1.4 0 0 0 4 17.4h12a1.4 1.4 0 0 0 "
            '1.4-1.4V4A1.4 1.4 0 0 0 16 2.6z"/><circle cx="6" cy="6" r="1.7"/><circle cx="14" cy="6" r="1.7"/><circle '
            'cx="10" cy="10" r="1.7"/><circle cx="6" cy="14" r="1.7"/><circle cx="14" cy="14" r="1.7"/></svg></button>'
            '</div><p class="told" role="status"></p></div>',
            f"const LOW = {spec.low:.0f}, HIGH = {spec.high:.0f};\n" + script("seed"),
            name="seed-piece",
            value=spec.default,
            render=True,
            label=spec.label,
        )
