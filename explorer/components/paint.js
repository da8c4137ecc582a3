const place = root.querySelector('.paint-board'), ink = root.querySelector('.ink'), readout = root.querySelector('.reading'), broad = root.querySelector('.reach');
let boxes = [], texts = [], cursors = [], at = null, typed = '', brush = null;

function build() {
  place.replaceChildren();
  const side = 40, wide = rows[0].length;
  const svg = make(place, 'svg', { viewBox: `-2 -2 ${wide * side + 4} ${rows.length * side + 4}`, class: 'cells' });
  place.style.setProperty('--columns', wide);
  const each = (draw) => rows.flatMap((row, i) => row.map((_, j) => draw(i, j)));
  boxes = each((i, j) => make(svg, 'rect', { x: j * side, y: i * side, width: side, height: side }));
  texts = each((i, j) => make(svg, 'text', { x: (j + 0.5) * side, y: (i + 0.5) * side, 'font-size': 13 }));
  cursors = [0, 1].map(() => make(svg, 'rect', { class: 'cursor', width: side, height: side, visibility: 'hidden' }));
  if (at && (at[0] >= rows.length || at[1] >= wide)) at = null;
}
function paint() {
  const flat = rows.flat(), bound = Math.max(...flat.map(Math.abs), 1e-9), wide = rows[0].length, small = wide > 10;
  flat.forEach((value, i) => {
    const { fill, ink } = diverging(value / bound);
    boxes[i].setAttribute('fill', fill);
    if (OVER) boxes[i].setAttribute('class', value === 0 ? 'bare' : 'inked');
    texts[i].setAttribute('fill', ink);
    texts[i].textContent = small ? '' : digits(value).replace(/^(−?)0\./, '$1.');
  });
  cursors.forEach((node) => {
    node.setAttribute('visibility', at ? 'visible' : 'hidden');
    if (at) { node.setAttribute('x', at[1] * 40); node.setAttribute('y', at[0] * 40); }
  });
  readout.textContent = at ? `row ${at[0]}, column ${at[1]}: ${digits(rows[at[0]][at[1]])}` : '';
  place.setAttribute('aria-label', at ? readout.textContent : `${rows.length} by ${wide} cells`);
}
function set(value) {
  if (value === null) return;
  const reach = OVER ? (Number(broad.value) - 1) / 2 : 0;
  let changed = false;
  for (let i = at[0] - reach; i <= at[0] + reach; i++) for (let j = at[1] - reach; j <= at[1] + reach; j++) {
    if (rows[i]?.[j] === undefined || rows[i][j] === value) continue;
    rows[i][j] = value;
    changed = true;
  }
  if (!changed) return;
  tell('');
  send();
}
if (!OVER) upload(root, () => ({ rows: rows.length, cols: rows[0].length }), (answer) => {
  take(answer.cells);
  return `in ${rows.length} × ${rows[0].length} cells`;
});

// Click or drag: the cells take the chosen value; a click on a cell that has it already takes it away.
function stroke() {
  const value = read(ink.value, 'paint with');
  return rows[at[0]][at[1]] === value ? 0 : value;
}
const under = (event) => {
  const box = place.querySelector('svg').getBoundingClientRect();
  const j = Math.floor(((event.clientX - box.left) / box.width) * rows[0].length), i = Math.floor(((event.clientY - box.top) / box.height) * rows.length);
  return i >= 0 && j >= 0 && i < rows.length && j < rows[0].length ? [i, j] : null;
};
place.addEventListener('pointerdown', (event) => {
  at = under(event);
  if (!at) return;
  place.setPointerCapture(event.pointerId);
  typed = '';
  brush = stroke();
  set(brush);
  paint();
});
place.addEventListener('pointermove', (event) => {
  const cell = brush !== null && under(event);
  if (cell && (cell[0] !== at[0] || cell[1] !== at[1])) { at = cell; set(brush); paint(); }
});
for (const end of ['pointerup', 'pointercancel']) place.addEventListener(end, () => (brush = null));

// Arrow keys move, digits write, space paints, Delete clears; other keys are the page's, N the next slide of a lecture.
place.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  at ??= [0, 0];
  const way = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (way) {
    at = [Math.max(0, Math.min(rows.length - 1, at[0] + way[0])), Math.max(0, Math.min(rows[0].length - 1, at[1] + way[1]))];
    typed = '';
  } else if (event.key === ' ') { typed = ''; set(stroke()); }
  else if (event.key === 'Delete' || event.key === 'Backspace') { typed = ''; set(0); }
  else if (/^[-−\d.,]$/.test(event.key)) {
    typed = /[-−]/.test(event.key) ? event.key : typed + event.key;  // a minus begins a number
    if (!/^[-−]?[.,]?$/.test(typed)) {  // a minus or a point may begin a number
      const value = read(typed, `row ${at[0]}, column ${at[1]}`);
      if (value === null) typed = '';
      set(value);
    }
  } else return;
  event.preventDefault();
  paint();
});
place.addEventListener('focus', () => { at ??= [0, 0]; paint(); });
place.addEventListener('blur', () => { typed = ''; });

watch('value', load);
load();
