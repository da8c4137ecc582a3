const root = element.querySelector('.dots'), place = root.querySelector('.dots-board'), select = root.querySelector('select'), readout = root.querySelector('output');
const SIDE = 300, APART = (HIGH - LOW) / 50;
let points = [], mine = '', cursor = null, drawing = false;

const round = (v) => Math.max(LOW, Math.min(HIGH, Math.round(v * 100) / 100));
function draw() {
  place.replaceChildren();
  const svg = make(place, 'svg', { viewBox: `0 0 ${SIDE} ${SIDE}` });
  const at = ([x, y]) => [((x - LOW) / (HIGH - LOW)) * SIDE, ((HIGH - y) / (HIGH - LOW)) * SIDE];
  make(svg, 'path', { d: `M${SIDE / 2} 0V${SIDE}M0 ${SIDE / 2}H${SIDE}`, stroke: 'var(--line)' });
  points.forEach((point, i) => {
    const [cx, cy] = at(point);
    make(svg, 'circle', { cx, cy, r: 4.5, fill: i < points.length / 2 ? 'var(--signal)' : 'var(--prediction)' });
  });
  if (cursor && document.activeElement === place) {
    const [x, y] = at(cursor);
    make(svg, 'path', { d: `M${x - 9} ${y}h18M${x} ${y - 9}v18`, stroke: 'var(--ink)', 'stroke-width': 2 });
  }
  readout.textContent = `${points.length} of ${MOST} points`;
  place.setAttribute('aria-label', cursor ? `${readout.textContent}; at ${cursor.join(', ')}` : readout.textContent);
  select.value = Object.keys(FILLS).find((name) => JSON.stringify(FILLS[name]) === JSON.stringify(points)) ?? '';
}
function send() {
  mine = JSON.stringify(points);
  props.value = mine;
  trigger('input');
  draw();
}
function add(point) {
  if (points.length >= MOST) return;
  points.push(point);
  send();
}
const under = (event) => {
  const box = place.querySelector('svg').getBoundingClientRect();
  return [round(LOW + ((event.clientX - box.left) / box.width) * (HIGH - LOW)), round(HIGH - ((event.clientY - box.top) / box.height) * (HIGH - LOW))];
};

// Click for a point, drag for a line of them.
place.addEventListener('pointerdown', (event) => {
  drawing = true;
  place.setPointerCapture(event.pointerId);
  cursor = under(event);
  add(cursor);
});
place.addEventListener('pointermove', (event) => {
  const next = drawing && under(event), last = points.at(-1);
  if (next && last && Math.hypot(next[0] - last[0], next[1] - last[1]) >= APART) { cursor = next; add(next); }
});
for (const end of ['pointerup', 'pointercancel']) place.addEventListener(end, () => (drawing = false));

// Arrow keys move a cross, space sets a point, Backspace takes the last one away.
place.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  cursor ??= [0, 0];
  if (way) cursor = [round(cursor[0] + way[0] * APART), round(cursor[1] + way[1] * APART)];
  else if (event.key === ' ' || event.key === 'Enter') add([...cursor]);
  else if (event.key === 'Backspace' || event.key === 'Delete') { points.pop(); send(); }
  else return;
  event.preventDefault();
  draw();
});
place.addEventListener('focus', () => { cursor ??= [0, 0]; draw(); });
place.addEventListener('blur', draw);
root.addEventListener('click', (event) => {
  const what = event.target.dataset?.do;
  if (!what) return;
  points = what === 'clear' ? [] : points.slice(0, -1);
  send();
});
select.addEventListener('change', () => {
  if (FILLS[select.value]) { points = FILLS[select.value].map((point) => [...point]); send(); } else draw();
});
function load() {
  if (!props.value || props.value === mine) return;
  mine = props.value;
  points = JSON.parse(mine);
  draw();
}
watch('value', load);
load();
