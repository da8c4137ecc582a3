// Rows of numbers and what every widget of them does: fill, resize, send, load, say what is wrong.
// The widget's own script has build(), which draws `rows` anew, and paint(), which shows changed values; it calls load().
const root = element.querySelector('.grid-input'), select = root.querySelector('select'), message = root.querySelector('.told');
let rows = [], mine = '';

function tell(text, wrong = false) {
  message.textContent = text;
  message.classList.toggle('wrong', wrong);
}
// The number that was typed; or null, and a message, if it cannot stand there.
function read(text, where) {
  const value = text.trim() === '' ? NaN : Number(text.trim().replace(',', '.').replace('−', '-'));
  if (value >= LOW && value <= HIGH) return value;
  tell(`${where}: ${text.trim() ? `“${text.trim()}”` : 'nothing'} is no number from ${LOW} to ${HIGH}, so the last one stays`.replaceAll('-', '−'), true);
  return null;
}
function draw() {
  build();
  const [high, wide] = [rows.length, rows[0].length];
  for (const [axis, length] of [['rows', high], ['columns', wide], ['size', high === wide ? high : `${high} × ${wide}`]]) {
    const readout = root.querySelector(`.stepper .${axis}`);
    if (readout) readout.textContent = length;
  }
  show();
}
function show() {
  paint();
  if (select) select.value = Object.keys(FILLS).find((key) => JSON.stringify(FILLS[key]) === JSON.stringify(rows)) ?? '';
}
function send() {
  show();
  mine = JSON.stringify(rows);
  props.value = mine;
  trigger('input');
}
function take(next) {
  rows = next.map((row) => [...row]);
  tell('');
  draw();
  send();
}
root.addEventListener('click', ({ target }) => {
  const { axis, by } = target.dataset ?? {};
  if (!axis) return;
  const size = { rows: rows.length, columns: rows[0].length }, moved = axis === 'size' ? ['rows', 'columns'] : [axis];
  for (const one of moved) size[one] += +by;
  if (moved.some((one) => size[one] < LEAST || size[one] > MOST)) return tell(`${target.getAttribute('aria-label').split(' ')[1]}: ${LEAST} to ${MOST} would fit`, true);
  take(Array.from({ length: size.rows }, (_, i) => Array.from({ length: size.columns }, (_, j) => rows[i]?.[j] ?? 0)));
});
select?.addEventListener('change', () => (FILLS[select.value] ? take(FILLS[select.value]) : show()));
function load() {
  if (!props.value || props.value === mine) return;
  mine = props.value;
  rows = JSON.parse(mine);
  tell('');
  draw();
}
