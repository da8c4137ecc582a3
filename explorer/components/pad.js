const place = element.querySelector('.pad-board'), size = element.querySelector('.grid-size output'), readout = element.querySelector('.hint');
const W = 272, H = 110, NS = 'http://www.w3.org/2000/svg';
let row = [], mine = '', at = 0, drawing = false;

function draw() {
  const wide = W / row.length, svg = document.createElementNS(NS, 'svg');
  svg.setAttribute('viewBox', `0 0 ${W} ${H + 20}`);
  svg.style.cssText = 'display:block;width:100%';
  const add = (tag, attributes, text) => {
    const node = svg.appendChild(document.createElementNS(NS, tag));
    Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
    if (text !== undefined) node.textContent = text;
  };
  row.forEach((value, j) => {
    const high = ((value - LOW) / (HIGH - LOW)) * (H - 6);
    const chosen = j === at && document.activeElement === place;
    add('rect', { x: j * wide + 1.5, y: H - high, width: wide - 3, height: high, fill: 'var(--mark)', stroke: chosen ? '#4d4400' : 'none', 'stroke-width': 2 });
    add('text', { x: (j + 0.5) * wide, y: H + 15, 'font-size': 13, 'text-anchor': 'middle', fill: 'var(--soft)' }, j);
  });
  add('path', { d: `M0 ${H}H${W}`, stroke: 'var(--ink)' });
  place.replaceChildren(svg);
  size.textContent = row.length;
  readout.textContent = `size ${at}: weight ${row[at]}`;
  place.setAttribute('aria-label', readout.textContent);
}
function send() {
  mine = JSON.stringify([row]);
  props.value = JSON.parse(mine);
  trigger('input');
  draw();
}
function set(value) {
  const next = Math.max(LOW, Math.min(HIGH, Math.round(value * 10) / 10));
  if (row[at] === next) return;
  row[at] = next;
  send();
}
function follow(event) {
  const box = place.getBoundingClientRect();
  at = Math.max(0, Math.min(row.length - 1, Math.floor(((event.clientX - box.left) / box.width) * row.length)));
  const y = ((event.clientY - box.top) / box.height) * (H + 20);
  set(LOW + ((H - y) / (H - 6)) * (HIGH - LOW));
  draw();
}
place.addEventListener('pointerdown', (event) => { drawing = true; place.setPointerCapture(event.pointerId); follow(event); });
place.addEventListener('pointermove', (event) => { if (drawing) follow(event); });
for (const end of ['pointerup', 'pointercancel']) place.addEventListener(end, () => (drawing = false));
place.addEventListener('keydown', (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
  if (!step && !by) return;
  event.preventDefault();
  if (by) return set(row[at] + by * (HIGH - LOW) / 20);
  at = Math.max(0, Math.min(row.length - 1, at + step));
  draw();
});
for (const name of ['focus', 'blur']) place.addEventListener(name, draw);
element.addEventListener('click', (event) => {
  const by = +event.target.dataset?.by, to = row.length + by;
  if (!by || to < 2 || to > MOST) return;
  row = Array.from({ length: to }, (_, j) => row[j] ?? LOW);
  at = Math.min(at, to - 1);
  send();
});
function load() {
  if (!props.value || JSON.stringify(props.value) === mine) return;
  mine = JSON.stringify(props.value);
  row = JSON.parse(mine)[0];
  at = Math.min(at, row.length - 1);
  draw();
}
watch('value', load);
load();
