// The controls of a tab carry the ids NAME-field; those of fields in `hidden` and the pieces not in `pieces` go.
function apply() {
  const stage = element.closest('.stage'), bench = element.closest('.bench');
  if (!props.value || !stage) return;
  const pieces = [...stage.querySelectorAll(':scope > .piece')].filter((piece) => !piece.contains(element));
  pieces.forEach((piece, i) => piece.toggleAttribute('data-away', !props.value.pieces.includes(i)));
  const gone = new Set(props.value.hidden.map((field) => `${NAME}-${field}`));
  bench.querySelectorAll(`.controls [id^="${NAME}-"]`).forEach((field) => field.toggleAttribute('data-away', gone.has(field.id)));
  requestAnimationFrame(() => window.dispatchEvent(new Event('resize')));  // a plot drawn while hidden takes its width
}
watch('value', apply);
apply();
requestAnimationFrame(apply);
