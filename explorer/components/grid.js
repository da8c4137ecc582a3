const table = element.querySelector('.grid-cells'), size = element.querySelector('output');
const fills = element.querySelector('select');
let rows = [], mine = '';

// Which named table stands there, "your own" if none does.
function name() {
  if (fills) fills.value = Object.keys(FILLS).find((key) => JSON.stringify(FILLS[key]) === JSON.stringify(rows)) ?? '';
}
fills?.addEventListener('change', () => {
  if (!FILLS[fills.value]) return name();
  rows = FILLS[fills.value].map((row) => [...row]);
  build();
  send();
});

function build() {
  table.style.setProperty('--columns', rows[0].length);
  size.textContent = `${rows.length} × ${rows[0].length}`;
  name();
  table.replaceChildren(...rows.flatMap((row, i) => row.map((value, j) => {
    const cell = Object.assign(document.createElement('input'), { type: 'text', inputMode: 'decimal', value: String(+value.toFixed(4)) });
    cell.setAttribute('aria-label', `row ${i + 1}, column ${j + 1}`);
    cell.addEventListener('input', () => {
      const number = cell.value.trim() === '' ? NaN : Number(cell.value.replace(',', '.').replace('−', '-'));
      const fine = number >= LOW && number <= HIGH;
      cell.toggleAttribute('aria-invalid', !fine);
      if (fine) { rows[i][j] = number; send(); }
    });
    cell.addEventListener('keydown', (event) => {
      const by = { ArrowUp: -rows[0].length, ArrowDown: rows[0].length }[event.key];
      if (by) { event.preventDefault(); table.children[i * rows[0].length + j + by]?.focus(); }
    });
    return cell;
  })));
}
function send() {
  name();
  mine = JSON.stringify(rows);
  props.value = JSON.parse(mine);
  trigger('input');
}
element.addEventListener('click', (event) => {
  const by = +event.target.dataset?.by;
  if (!by) return;
  const to = Math.max(rows.length, rows[0].length) + by;
  if (to < 1 || to > MOST) return;
  rows = Array.from({ length: to }, (_, i) => Array.from({ length: to }, (_, j) => rows[i]?.[j] ?? 0));
  build();
  send();
});
function load() {
  if (!props.value || JSON.stringify(props.value) === mine) return;
  mine = JSON.stringify(props.value);
  rows = JSON.parse(mine);
  build();
}
watch('value', load);
load();
