const buttons = [...element.querySelectorAll('.chip')];
const row = element.querySelector('.chips'), more = element.querySelector('.more');
const open = (all) => {
  row.classList.toggle('all', all);
  more.setAttribute('aria-expanded', all);
  more.textContent = all ? 'fewer presets' : `all ${buttons.length} presets`;
};
more.addEventListener('click', () => open(!row.classList.contains('all')));
new ResizeObserver(() => {  // two rows, unless there are no more or all are asked for
  if (!row.classList.contains('all')) more.hidden = row.scrollHeight <= row.clientHeight + 8;
}).observe(row);
const mark = () => {
  for (const b of buttons) {
    const pressed = String(b.textContent === props.value);
    if (b.getAttribute('aria-pressed') !== pressed) b.setAttribute('aria-pressed', pressed);
  }
  requestAnimationFrame(see);  // when all that has changed is laid out
};
// One of a hidden row comes into sight.
function see() {
  const chosen = buttons.find((b) => b.textContent === props.value);
  if (!chosen) return;
  const top = chosen.offsetTop - row.offsetTop;
  if (top < row.scrollTop || top + chosen.offsetHeight > row.scrollTop + row.clientHeight) row.scrollTop = top;
}
buttons.forEach((b) => b.addEventListener('click', () => {
  props.value = b.textContent;
  mark();
  trigger('input');
}));
watch('value', mark);
mark();
