const root = element.querySelector('.xy'), table = root.querySelector('table'), title = root.querySelector('.xy-title');
const scroll = root.querySelector('.xy-scroll'), button = root.querySelector('.xy-hint button');
let now = null;
smoothing(button, root);

// One whole-number zoom for all; larger pictures are scaled down, but never below 48 pixels: then the table scrolls.
function fit() {
  if (!now || !scroll.clientWidth) return;
  const head = Math.max(0, ...[...table.querySelectorAll('th[scope="row"]')].map((th) => th.offsetWidth));
  const room = (scroll.clientWidth - head - 16) / now.across[1].length - 8, most = Math.min(room, 256) / now.side;
  const side = Math.max(now.side * zoomed(most), 48);
  for (const place of table.querySelectorAll('tbody td')) Object.assign(place.style, { width: `${side}px`, height: `${side}px` });
  for (const canvas of table.querySelectorAll('canvas')) Object.assign(canvas.style, { width: `${side}px`, height: `${side}px` });
}

function build() {
  const [across, columns] = now.across, [down, rows] = now.down;
  title.textContent = `${across} across, ${down} down`;
  table.replaceChildren();
  const head = table.createTHead().insertRow(), body = table.createTBody();
  head.appendChild(document.createElement('td')).style.background = 'none';
  for (const name of columns) head.appendChild(Object.assign(document.createElement('th'), { scope: 'col', textContent: name }));
  for (const name of rows) {
    const row = body.insertRow();
    row.appendChild(Object.assign(document.createElement('th'), { scope: 'row', textContent: name }));
    for (const _ of columns) row.insertCell();
  }
}

function draw({ at: [row, column], data, query, note }) {
  const place = table.tBodies[0].rows[row].cells[column + 1], press = document.createElement('button');
  lay(press.appendChild(document.createElement('canvas')), unpack(data, Uint8Array), [now.side, now.side]);
  press.type = 'button';
  press.title = note;
  press.setAttribute('aria-label', `${note}: open its settings`);
  press.addEventListener('click', () => window.explorer.go(query));
  place.replaceChildren(press);
}

function load() {
  if (!props.value?.across) return;
  const head = (value) => JSON.stringify([value?.across, value?.down, value?.side]);
  const same = props.value.start > 0 && head(props.value) === head(now);
  now = props.value;
  if (!same) build();
  now.cells.forEach(draw);
  fit();
}
new ResizeObserver(fit).observe(scroll);
watch('value', load);
load();
