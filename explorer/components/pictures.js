const root = element.querySelector('.pictures'), sheet = root.querySelector('.sheet'), button = root.querySelector('.pictures-hint button');
let drawn = [], at = null, frame = 0, before = new Map(), width = 0;

smoothing(button, root);

// One whole-number zoom for all; pictures larger than their places are scaled down.
function fit() {
  const gap = 20;
  if (!width || !drawn.length) return;
  const columns = Math.max(1, Math.min(COLUMNS, drawn.length, Math.floor((width + gap) / (150 + gap))));
  const room = Math.floor((width - gap * (columns - 1)) / columns);
  const tall = explorer.room(element, 0), rows = Math.ceil(drawn.length / columns);
  const side = tall ? Math.min(room, Math.max(tall / rows - 70, 120)) : Math.min(SIDE, room);
  const most = side / Math.max(...drawn.flatMap((one) => one.shape));
  for (const { figure, view, shape } of drawn) {
    enlarge(view, shape, most);
    figure.style.width = `${side}px`;
  }
  paint();
}

// The whole picture, or the third of it around `at` (shares of the sides), from a whole pixel on.
function paint() {
  for (const { canvas, shape } of drawn) {
    const [y, x] = shape.map((n, i) => at ? Math.floor(Math.max(0, Math.min(n - n / 3, at[1 - i] * n - n / 6))) / n : 0);
    canvas.style.transform = at ? `scale(3) translate(${-100 * x}%, ${-100 * y}%)` : '';
  }
}
function look(place) {
  at = place;
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(paint);
}

function figure(index) {
  const one = { figure: document.createElement('figure'), shape: [1, 1] };
  one.figure.innerHTML = '<figcaption></figcaption><div class="view"><canvas role="img"></canvas></div><p class="note"></p>';
  one.view = one.figure.querySelector('.view');
  one.canvas = one.figure.querySelector('canvas');
  for (const kind of ['pointerdown', 'pointermove']) one.view.addEventListener(kind, (event) => {
    const box = one.view.getBoundingClientRect();
    look([(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]);
  });
  one.view.addEventListener('pointerleave', () => look(null));
  sheet.appendChild(one.figure);
  return one;
}

root.addEventListener('keydown', (event) => {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (event.key === 'Escape') return look(null);
  if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  look((at ?? [0.5, 0.5]).map((v, i) => Math.max(1 / 6, Math.min(5 / 6, v + way[i] / 24))));
});

function load() {
  if (!props.value) return;
  const values = JSON.parse(props.value), shapes = JSON.stringify(drawn.map((one) => one.shape));
  const shown = new Map(drawn.map((one) => [one.hash, one.bytes])), known = new Map([...before, ...shown]);
  before = shown;  // what the server was told is held may have left the screen before its answer came
  if (values.length !== drawn.length) {
    sheet.replaceChildren();
    drawn = values.map((_, i) => figure(i));
  }
  values.forEach((value, i) => {
    const one = drawn[i], [H, W] = value.shape;
    const same = one.hash === value.hash && String(one.shape) === String([H, W]);
    one.shape = [H, W];
    one.figure.classList.toggle('marked', Boolean(value.marked));
    explorer.say(one.figure.querySelector('figcaption'), value.title);
    explorer.say(one.figure.querySelector('.note'), value.note);
    const label = `${value.title}. ${value.note}`;
    if (one.canvas.ariaLabel !== label) one.canvas.ariaLabel = label;
    if (same) return;  // most moves leave the original as it was
    const bytes = value.data ? unpack(value.data, Uint8Array) : known.get(value.hash);
    if (!bytes) return;
    Object.assign(one, { hash: value.hash, bytes });
    lay(one.canvas, bytes, value.shape);
  });
  root.dataset.held = drawn.map((one) => one.hash).join(' ');
  if (JSON.stringify(drawn.map((one) => one.shape)) !== shapes) fit();
}
new ResizeObserver(() => {
  width = sheet.clientWidth;  // kept: asked between two writes, the page would be laid out for it
  fit();
}).observe(sheet);
element.closest('.stage > .piece')?.addEventListener('fit', fit);
watch('value', load);
load();
