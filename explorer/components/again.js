const [next, back] = ['.next', '.back'].map((name) => element.querySelector(name));
function send(value) {
  props.value = value;
  show();
  trigger('input');
}
const show = () => (back.hidden = props.value === FIRST);
next.addEventListener('click', () => send(props.value < HIGH ? props.value + 1 : LOW));
back.addEventListener('click', () => send(FIRST));
watch('value', show);
show();
