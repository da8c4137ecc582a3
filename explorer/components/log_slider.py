"""A slider on a logarithmic scale: the widget of a number that runs over several powers of ten."""

from explorer.components.base import Piece, script
from explorer.settings import Spec


class LogSlider(Piece):
    """A range and a number field, both holding the value itself."""

    def __init__(self, spec: Spec):
        step = spec.step or (1 if spec.integer else (spec.high - spec.low) / 1000)
        hint = f'<span class="hint">{spec.hint}</span>' if spec.hint else ""
        super().__init__(
            f'<div class="log-slider"><div class="head"><label>{spec.label}{hint}</label>'
            f'<input type="number" min="{spec.low}" max="{spec.high}" step="{step}" aria-label="{spec.label}, number">'
            f'</div><input type="range" min="0" max="1" step="any" aria-label="{spec.label}">'
            '<p class="told" role="status"></p></div>',
            f"const LOW = {spec.low}, HIGH = {spec.high}, STEP = {step};\n" + script("log_slider"),
            name="log-slider-piece",
            value=spec.default,
            render=True,
            label=spec.label,
        )
