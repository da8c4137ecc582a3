const number = element.querySelector('input'), dice = element.querySelector('.dice'), told = element.querySelector('.told');
const show = () => { if (document.activeElement !== number) number.value = props.value; };
function send(value) {
  props.value = value;
  told.textContent = '';
  trigger('input');
}
number.addEventListener('input', () => {
  const value = number.valueAsNumber;
  if (Number.isInteger(value) && value >= LOW && value <= HIGH) send(value);
  else told.textContent = `a whole number from ${LOW} to ${HIGH} would fit; ${props.value} stays`;
});
number.addEventListener('blur', () => {
  number.value = props.value;
  told.textContent = '';
});
dice.addEventListener('click', () => {
  const [drawn] = crypto.getRandomValues(new Uint32Array(1));
  send(LOW + (drawn % 1_000_000));  // short enough to be read out in a lecture
  number.value = props.value;
});
watch('value', show);
show();
