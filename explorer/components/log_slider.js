const range = element.querySelector('[type=range]'), number = element.querySelector('[type=number]'), told = element.querySelector('.told');
// The logarithm of the steps above the low end, so that the scale may begin at 0.
const at = (value) => Math.log1p((value - LOW) / STEP) / Math.log1p((HIGH - LOW) / STEP);
const back = (share) => LOW + STEP * Math.expm1(share * Math.log1p((HIGH - LOW) / STEP));
// Whole steps, and two digits of the power of ten where steps are finer than the eye.
function snap(value) {
  const grain = Math.max(STEP, 10 ** (Math.floor(Math.log10(Math.abs(value) || STEP)) - 1));
  return Math.max(LOW, Math.min(HIGH, +(Math.round(value / grain) * grain).toPrecision(12)));
}
function show(value) {
  range.value = at(value);
  range.style.setProperty('--range_progress', `${100 * at(value)}%`);
  range.setAttribute('aria-valuetext', value);
  if (document.activeElement !== number) number.value = value;
}
function send(value) {
  show(value);
  if (value === props.value) return;
  props.value = value;
  trigger('input');
}
range.addEventListener('input', () => send(snap(back(+range.value))));
range.addEventListener('keydown', (event) => {
  const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  if (!way) return;
  event.preventDefault();
  send(Math.max(LOW, Math.min(HIGH, +(props.value + way * STEP).toPrecision(12))));
});
number.addEventListener('input', () => {
  const value = number.valueAsNumber, whole = Number.isInteger(STEP) && !Number.isInteger(value);
  const fits = value >= LOW && value <= HIGH && !whole;
  told.textContent = fits ? '' : `${whole ? 'a whole number from ' : ''}${LOW} to ${HIGH} would fit; ${props.value} stays`;
  if (fits) send(value);
});
number.addEventListener('blur', () => {
  number.value = props.value;
  told.textContent = '';
});
watch('value', () => show(props.value));
show(props.value);
