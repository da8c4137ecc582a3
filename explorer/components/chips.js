const buttons = [...element.querySelectorAll('button')];
const mark = () => buttons.forEach((b) => b.setAttribute('aria-pressed', b.textContent === props.value));
buttons.forEach((b) => b.addEventListener('click', () => {
  props.value = b.textContent;
  mark();
  trigger('input');
}));
watch('value', mark);
mark();
