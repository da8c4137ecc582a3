const place = root.querySelector('.pad-board'), readout = root.querySelector('.reading');
const W = 272, H = 110;
let at = 0, drawing = false;

function build() {
  at = Math.min(at, rows[0].length - 1);
}
function paint() {
  place.replaceChildren();
  const [row] = rows, wide = W / row.length, svg = make(place, 'svg', { viewBox: `0 0 ${W} ${H + 20}` });
  row.forEach((value, j) => {
    const high = ((value - LOW) / (HIGH - LOW)) * (H - 6);
    const chosen = j === at && document.activeElement === place;
    make(svg, 'rect', { x: j * wide + 1.5, y: H - high, width: wide - 3, height: high, fill: 'var(--mark)', stroke: chosen ? '#4d4400' : 'none', 'stroke-width': 2 });
    make(svg, 'text', { x: (j + 0.5) * wide, y: H + 15, 'font-size': 13, 'text-anchor': 'middle', fill: 'var(--soft)' }).textContent = j;
  });
  make(svg, 'path', { d: `M0 ${H}H${W}`, stroke: 'var(--ink)' });
  readout.textContent = `size ${at}: weight ${row[at]}`;
  place.setAttribute('aria-label', readout.textContent);
}
function set(value) {
  const next = Math.max(LOW, Math.min(HIGH, Math.round(value * 10) / 10));
  if (rows[0][at] === next) return;
  rows[0][at] = next;
  send();
}
function follow(event) {
  const box = place.getBoundingClientRect(), { length } = rows[0];
  at = Math.max(0, Math.min(length - 1, Math.floor(((event.clientX - box.left) / box.width) * length)));
  const y = ((event.clientY - box.top) / box.height) * (H + 20);
  set(LOW + ((H - y) / (H - 6)) * (HIGH - LOW));
  paint();
}
place.addEventListener('pointerdown', (event) => { drawing = true; place.setPointerCapture(event.pointerId); follow(event); });
place.addEventListener('pointermove', (event) => { if (drawing) follow(event); });
for (const end of ['pointerup', 'pointercancel']) place.addEventListener(end, () => (drawing = false));
place.addEventListener('keydown', (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
  if (!step && !by) return;
  event.preventDefault();
  if (by) return set(rows[0][at] + by * (HIGH - LOW) / 20);
  at = Math.max(0, Math.min(rows[0].length - 1, at + step));
  paint();
});
for (const name of ['focus', 'blur']) place.addEventListener(name, paint);
watch('value', load);
load();
