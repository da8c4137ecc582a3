const root = element.querySelector('.paint'), place = root.querySelector('.paint-board'), message = root.querySelector('.paint-message');
const select = root.querySelector('select'), ink = root.querySelector('.ink'), readout = root.querySelector('.reading'), file = root.querySelector('[type=file]');
let rows = [], mine = '', boxes = [], texts = [], cursors = [], at = null, typed = '', brush = null;

function build() {
  const NS = 'http://www.w3.org/2000/svg', side = 40, svg = document.createElementNS(NS, 'svg'), wide = rows[0].length;
  const make = (tag, attributes) => {
    const node = svg.appendChild(document.createElementNS(NS, tag));
    Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
    return node;
  };
  svg.setAttribute('viewBox', `-2 -2 ${wide * side + 4} ${rows.length * side + 4}`);
  svg.setAttribute('class', 'cells');
  place.style.setProperty('--columns', wide);
  const each = (draw) => rows.flatMap((row, i) => row.map((_, j) => draw(i, j)));
  boxes = each((i, j) => make('rect', { x: j * side, y: i * side, width: side, height: side }));
  texts = each((i, j) => make('text', { x: (j + 0.5) * side, y: (i + 0.5) * side, 'font-size': 13 }));
  cursors = [0, 1].map(() => make('rect', { class: 'cursor', width: side, height: side, visibility: 'hidden' }));
  place.replaceChildren(svg);
  root.querySelector('.rows').textContent = rows.length;
  root.querySelector('.columns').textContent = wide;
  if (at && (at[0] >= rows.length || at[1] >= wide)) at = null;
  paint();
}
function paint() {
  const flat = rows.flat(), bound = Math.max(...flat.map(Math.abs), 1e-9), wide = rows[0].length, small = wide > 10;
  flat.forEach((value, i) => {
    const { fill, ink } = diverging(value / bound);
    boxes[i].setAttribute('fill', fill);
    texts[i].setAttribute('fill', ink);
    texts[i].textContent = small ? '' : digits(value).replace(/^(−?)0\./, '$1.');
  });
  cursors.forEach((node) => {
    node.setAttribute('visibility', at ? 'visible' : 'hidden');
    if (at) { node.setAttribute('x', at[1] * 40); node.setAttribute('y', at[0] * 40); }
  });
  readout.textContent = at ? `row ${at[0]}, column ${at[1]}: ${digits(rows[at[0]][at[1]])}` : '';
  place.setAttribute('aria-label', at ? readout.textContent : `${rows.length} by ${wide} cells`);
  const name = Object.keys(FILLS).find((key) => JSON.stringify(FILLS[key]) === JSON.stringify(rows));
  select.value = name ?? '';
}
function send() {
  mine = JSON.stringify(rows);
  props.value = JSON.parse(mine);
  trigger('input');
}
function take(next) {
  rows = next.map((row) => [...row]);
  build();
  send();
}
function set(value) {
  if (!(value >= LOW && value <= HIGH) || rows[at[0]][at[1]] === value) return;
  rows[at[0]][at[1]] = value;
  paint();
  send();
}
const tell = (text, wrong = false) => {
  message.textContent = text;
  message.classList.toggle('wrong', wrong);
};

// Click or drag: the cells take the chosen value; a click on a cell that has it already takes it away.
const under = (event) => {
  const box = place.querySelector('svg').getBoundingClientRect();
  const j = Math.floor(((event.clientX - box.left) / box.width) * rows[0].length), i = Math.floor(((event.clientY - box.top) / box.height) * rows.length);
  return i >= 0 && j >= 0 && i < rows.length && j < rows[0].length ? [i, j] : null;
};
place.addEventListener('pointerdown', (event) => {
  at = under(event);
  if (!at) return;
  place.setPointerCapture(event.pointerId);
  const value = Number.isFinite(ink.valueAsNumber) ? ink.valueAsNumber : 1;
  brush = rows[at[0]][at[1]] === value ? 0 : value;
  typed = '';
  set(brush);
  paint();
});
place.addEventListener('pointermove', (event) => {
  const cell = brush !== null && under(event);
  if (cell && (cell[0] !== at[0] || cell[1] !== at[1])) { at = cell; set(brush); paint(); }
});
for (const end of ['pointerup', 'pointercancel']) place.addEventListener(end, () => (brush = null));

// Arrow keys move, digits write, space paints, Delete clears.
place.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  at ??= [0, 0];
  const way = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (way) {
    at = [Math.max(0, Math.min(rows.length - 1, at[0] + way[0])), Math.max(0, Math.min(rows[0].length - 1, at[1] + way[1]))];
    typed = '';
  } else if (event.key === ' ') set(rows[at[0]][at[1]] === ink.valueAsNumber ? 0 : ink.valueAsNumber);
  else if (event.key === 'Delete' || event.key === 'Backspace') { typed = ''; set(0); }
  else if (/^[-0-9.,]$/.test(event.key)) {
    typed += event.key.replace(',', '.');
    if (Number.isFinite(+typed) && typed !== '') set(+typed);
  } else return;
  event.preventDefault();
  paint();
});
place.addEventListener('focus', () => { at ??= [0, 0]; paint(); });
place.addEventListener('blur', () => { typed = ''; });

root.addEventListener('click', (event) => {
  const { axis, by } = event.target.dataset ?? {};
  if (!axis) return;
  const [high, wide] = [rows.length + (axis === 'rows') * by, rows[0].length + (axis === 'columns') * by];
  if (Math.min(high, wide) < 1 || Math.max(high, wide) > MOST) return;
  take(Array.from({ length: high }, (_, i) => Array.from({ length: wide }, (_, j) => rows[i]?.[j] ?? 0)));
});
select.addEventListener('change', () => {
  if (FILLS[select.value]) take(FILLS[select.value]);
  else paint();
  tell('');
});
root.querySelector('.wide').addEventListener('click', () => file.click());
file.addEventListener('change', async () => {
  const chosen = file.files[0];
  file.value = '';
  if (!chosen) return;
  if (chosen.size > BYTES) return tell(`a picture may have at most ${BYTES / 1e6} MB, this file has ${(chosen.size / 1e6).toFixed(1)}: save it smaller`, true);
  tell(`reading ${chosen.name} …`);
  const url = await new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.readAsDataURL(chosen);
  });
  const answer = await server.reduce({ file: url.slice(url.indexOf(',') + 1), rows: rows.length, cols: rows[0].length }).catch(() => ({ error: 'the picture did not reach the server; try again' }));
  if (answer.error) return tell(answer.error, true);
  take(answer.cells);
  tell(`${chosen.name} in ${rows.length} × ${rows[0].length} cells${answer.note ? '; ' + answer.note : ''}`);
});

function load() {
  if (!props.value || JSON.stringify(props.value) === mine) return;
  mine = JSON.stringify(props.value);
  rows = JSON.parse(mine);
  build();
  tell('');
}
watch('value', load);
load();
