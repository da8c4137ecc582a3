const root = element.querySelector('.weights'), sheet = root.querySelector('.sheet'), says = root.querySelector('.weights-says');
const [oldFigure, , newFigure] = sheet.querySelectorAll('figure'), taps = root.querySelector('.taps');
const [oldCanvas, newCanvas] = sheet.querySelectorAll('canvas.source, canvas.target');
const LEAST = 31;  // pixels that a weight needs to be written out; smaller ones are only coloured
let now = null, earlier = null;  // what is shown, and what was before it: the server may have been told that it is held
let at = [0, 0], boards = new Map(), side = 0;

const spread = (band) => ({ taps: band.taps, first: unpack(band.first, Int16Array), values: unpack(band.values, Float32Array) });
const counts = (w) => Math.abs(w) > 1e-12, weighing = (line) => line.filter(counts).length;
// The first old pixel that counts for new pixel i, and the weights from there to the last one.
function counted(band, i) {
  const all = Array.from(band.values.subarray(i * band.taps, (i + 1) * band.taps)), used = all.map(counts);
  const [first, last] = [used.indexOf(true), used.lastIndexOf(true)];
  return [band.first[i] + first, all.slice(first, last + 1)];
}

function picture(data, shape) {
  const canvas = document.createElement('canvas'), bytes = unpack(data, Uint8Array);
  lay(canvas, bytes, shape);
  return { canvas, bytes };
}

const parts = ({ source, target, shapes, rows, cols }) => ({
  shapes, old: picture(source, shapes[0]), fresh: picture(target, shapes[1]), weights: [spread(rows), spread(cols)],
});

// Whole-number zooms: the new picture large, what it is made of beside it, or above it on a phone.
function fit() {
  if (!now || !sheet.clientWidth) return;
  const wide = sheet.clientWidth, narrow = wide < 640, part = narrow ? (wide - 12) / 2 : 260;
  const place = (canvas, [H, W], room) => {
    const zoom = enlarge(canvas, [H, W], room / Math.max(H, W)), scale = window.devicePixelRatio || 1;
    Object.assign(canvas, { width: Math.round(W * zoom * scale), height: Math.round(H * zoom * scale) });
  };
  sheet.classList.toggle('narrow', narrow);
  place(oldCanvas, now.shapes[0], part);
  place(newCanvas, now.shapes[1], narrow ? wide : Math.min(580, wide - part - 36));
  // Where the weights can be read only in the whole width, they have it.
  const most = Math.max(...now.weights.map((band) => band.taps));
  side = part / most < LEAST && wide / most >= LEAST && narrow ? Math.min(wide, 48 * most + 2) : part;
  boards = new Map();
  Object.assign(taps.style, { width: `${side}px`, height: `${side}px` });
  show();
}

function frame(canvas, shape, x, y, w, h) {
  const c = canvas.getContext('2d'), zoom = canvas.width / shape[1], thick = Math.max(2, zoom / 4);
  const box = [x * zoom - thick / 2, y * zoom - thick / 2, w * zoom + thick, h * zoom + thick];
  c.lineWidth = thick + 2;
  c.strokeStyle = '#4d4400';
  c.strokeRect(...box);
  c.lineWidth = thick;
  c.strokeStyle = '#f0e442';
  c.strokeRect(...box);
}

function show() {
  const { old, fresh, weights: [rows, cols] } = now, [y, x] = at, [top, down] = counted(rows, y), [left, across] = counted(cols, x);
  for (const [canvas, { canvas: source }] of [[oldCanvas, old], [newCanvas, fresh]]) {
    const c = canvas.getContext('2d');
    c.imageSmoothingEnabled = false;
    c.drawImage(source, 0, 0, canvas.width, canvas.height);
  }
  frame(oldCanvas, now.shapes[0], left, top, across.length, down.length);
  frame(newCanvas, now.shapes[1], x, y, 1, 1);
  const products = down.flatMap((a) => across.map((b) => a * b)), bound = Math.max(...products.map(Math.abs));
  board(down.length, across.length)(products, [-bound, bound], { write: weight, sizes: [17, 17] });
  const value = [0, 1, 2].map((k) => (fresh.bytes[(y * now.shapes[1][1] + x) * 3 + k] / 255).toFixed(2));
  const less = products.filter((w) => w < 0).reduce((a, b) => a + b, 0), many = weighing(down) * weighing(across);
  const span = (what, first, n) => (n > 1 ? `${what}s ${first} to ${first + n - 1}` : `${what} ${first}`);
  says.textContent = `Pixel (${y}, ${x}) is ${span('row', top, down.length)} and ${span('column', left, across.length)} of the old picture: `
    + `${many} weight${many > 1 ? 's that add' : ' that adds'} up to 1${less < -1e-6 ? `, ${digits(less)} of it below 0` : ''}. Red, green, blue: ${value.join(', ')}.`;
}

// Three decimals, and in small cells no 0 before the point.
const weight = (w) => String(+w.toFixed(3)).replace('-', '−').replace(/^(−?)0\./, '$1.').replace('−0', '0');

// One board for each size of patch, kept; only colours where the weights are too many to read.
function board(H, W) {
  const size = `${H} ${W}`;
  if (!boards.has(size)) {
    const parent = document.createElement('div');
    parent.style.width = `${Math.min(100, W * 34)}%`;
    boards.set(size, { parent, draw: Math.max(H, W) * LEAST <= side ? cells(parent, H, W) : colours(parent, H, W) });
  }
  const { parent, draw } = boards.get(size);
  if (taps.firstChild !== parent) taps.replaceChildren(parent);
  return draw;
}

function colours(parent, H, W) {
  const canvas = Object.assign(document.createElement('canvas'), { width: W, height: H });
  canvas.style.width = '100%';
  parent.appendChild(canvas);
  const c = canvas.getContext('2d');
  return (values, [, bound]) => values.forEach((v, i) => {
    c.fillStyle = diverging(v / bound).fill;
    c.fillRect(i % W, Math.floor(i / W), 1, 1);
  });
}

function go(y, x) {
  const clip = (v, n) => Math.max(0, Math.min(n - 1, v));
  at = [clip(y, now.shapes[1][0]), clip(x, now.shapes[1][1])];
  show();
}
for (const kind of ['pointerdown', 'pointermove']) newCanvas.addEventListener(kind, (event) => {
  const box = newCanvas.getBoundingClientRect(), [H, W] = now.shapes[1];
  go(Math.floor(((event.clientY - box.top) / box.height) * H), Math.floor(((event.clientX - box.left) / box.width) * W));
});
newCanvas.addEventListener('pointerleave', () => go(...now.at));
root.addEventListener('keydown', (event) => {
  const way = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!now || !way || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  go(at[0] + way[0], at[1] + way[1]);
});

function load() {
  if (!props.value) return;
  const before = JSON.stringify(now?.shapes), value = JSON.parse(props.value);
  const known = [now, earlier].find((one) => one?.hash === value.hash), { hash, titles, at: pixel } = value;
  if (!known && !value.source) return;
  if (known !== now) earlier = now;
  now = { ...(known ?? parts(value)), hash, titles, at: pixel };
  root.dataset.held = now.hash;
  oldFigure.querySelector('figcaption').textContent = now.titles[0];
  newFigure.querySelector('figcaption').textContent = now.titles[1];
  [oldCanvas, newCanvas].forEach((canvas, i) => canvas.setAttribute('aria-label', now.titles[i]));
  at = [...now.at];
  if (JSON.stringify(now.shapes) === before) show();
  else fit();
}
new ResizeObserver(fit).observe(sheet);
watch('value', load);
load();
