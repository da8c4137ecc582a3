const buttons = [...element.querySelectorAll('button')];
const row = element.querySelector('.chips');
const mark = () => {
  buttons.forEach((b) => b.setAttribute('aria-pressed', b.textContent === props.value));
  const chosen = buttons.find((b) => b.textContent === props.value);
  if (chosen && row.scrollWidth > row.clientWidth) row.scrollLeft = chosen.offsetLeft - row.offsetLeft - 40;  // on a phone
};
buttons.forEach((b) => b.addEventListener('click', () => {
  props.value = b.textContent;
  mark();
  trigger('input');
}));
watch('value', mark);
mark();
