const root = element.querySelector('.player'), canvas = root.querySelector('canvas'), c = canvas.getContext('2d');
const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
let type = 15, now = null, data = null, starts = [], high = 1, curve = null, outline = null, paths = null, box = null;
const bar = transport(root, show), caption = root.querySelector('.transport-label');

// Round places for ticks: 1, 2 or 5 times a power of ten apart, about `count` of them.
function ticks([low, high], count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const out = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) out.push(+(i * step).toPrecision(8));
  return out;
}
const written = (v) => String(v).replace('-', '−');
const short = (v) => (v !== 0 && Math.abs(v) < 0.001 ? v.toExponential(1) : String(+v.toPrecision(3))).replace('-', '−');

function fit() {
  if (!now || !canvas.clientWidth) return;
  const W = canvas.clientWidth, H = canvas.clientHeight;
  canvas.width = Math.round(W * devicePixelRatio);
  canvas.height = Math.round(H * devicePixelRatio);
  type = parseFloat(css('--plot-size')) || 15;
  const board = now.rows ? Math.min(0.5 * H, Math.max(90, 20 * now.rows)) : 0;
  box = { left: 2 + 4 * type, right: W - 12, top: 12 + board, bottom: H - 5 - 3 * type, board };
  show(bar.step());
}
const X = (x) => box.left + ((x - now.x_range[0]) / (now.x_range[1] - now.x_range[0])) * (box.right - box.left);
const Y = (y) => box.bottom - ((Math.min(y, high) - now.y_range[0]) / (high - now.y_range[0])) * (box.bottom - box.top);

function axes(ink) {
  c.strokeStyle = c.fillStyle = ink;
  c.lineWidth = 1;
  c.font = `${type}px ${css('--font')}`;
  c.textAlign = 'center';
  c.textBaseline = 'top';
  c.beginPath();
  c.moveTo(box.left, box.top);
  c.lineTo(box.left, box.bottom);
  c.lineTo(box.right, box.bottom);
  for (const x of ticks(now.x_range, Math.min(9, (box.right - box.left) / (3 * type)))) {
    c.moveTo(X(x), box.bottom);
    c.lineTo(X(x), box.bottom + 4);
    c.fillText(written(x), X(x), box.bottom + 7);
  }
  c.fillText(now.names[0], (box.left + box.right) / 2, box.bottom + 13 + type);
  c.textAlign = 'right';
  c.textBaseline = 'middle';
  for (const y of ticks([now.y_range[0], high], Math.max(2, (box.bottom - box.top) / 60))) {
    c.moveTo(box.left, Y(y));
    c.lineTo(box.left - 4, Y(y));
    c.fillText(written(y), box.left - 8, Y(y));
  }
  c.stroke();
  c.save();
  c.translate(type - 1, (box.top + box.bottom) / 2);
  c.rotate(-Math.PI / 2);
  c.textAlign = 'center';
  c.fillText(now.names[1], 0, 0);
  c.restore();
}

// Row r has r + 1 pegs; after r rows with h heads the ball is at h + (rows - r) / 2, so that it ends over bar h.
function pegs(step, ink) {
  const rows = now.rows, at = (h, r) => [X(h + (rows - r) / 2), 10 + ((r + 0.5) / (rows + 0.5)) * (box.board - 10)];
  const size = Math.max(1.5, Math.min(4, box.board / rows / 5));
  c.fillStyle = css('--track');
  for (let r = 0; r < rows; r++) for (let h = 0; h <= r; h++) {
    c.beginPath();
    c.arc(...at(h, r), size, 0, 7);
    c.fill();
  }
  let heads = 0;
  c.strokeStyle = c.fillStyle = css('--noise');
  c.lineWidth = 2.5;
  c.beginPath();
  c.moveTo(at(0, 0)[0], 0);
  c.lineTo(...at(0, 0));
  for (let r = 0; r < rows; r++) {
    heads += paths[step * rows + r];
    if (r < rows - 1) c.lineTo(...at(heads, r + 1));
  }
  c.lineTo(X(heads), box.board + 8);
  c.stroke();
  c.beginPath();
  c.arc(X(heads), box.board + 8, size + 3, 0, 7);
  c.fill();
}

function show(step) {
  if (!now || !box) return;
  const ink = css('--ink'), first = now.first[step], apart = now.apart[step], count = now.lengths[step];
  high = now.tops?.[step] ?? now.y_range[1];
  c.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  c.clearRect(0, 0, canvas.width, canvas.height);
  if (now.rows) pegs(step, ink);
  c.save();
  c.beginPath();
  c.rect(box.left, box.top - 2, box.right - box.left, box.bottom - box.top + 2);
  c.clip();
  const width = (apart / (now.x_range[1] - now.x_range[0])) * (box.right - box.left), gap = width > 8 ? width * 0.06 : 0;
  c.fillStyle = css('--mark');
  for (let i = 0; i < count; i++) {
    const left = X(first + (i - 0.5) * apart), y = Y(data[starts[step] + i]);
    c.fillRect(left + gap, y, Math.max(0.5, width - 2 * gap), box.bottom - y);
  }
  if (outline) {
    const [from, by, heights] = outline;
    c.strokeStyle = ink;
    c.lineWidth = 2;
    c.beginPath();
    heights.forEach((h, i) => {
      c.lineTo(X(from + (i - 0.5) * by), Y(h));
      c.lineTo(X(from + (i + 0.5) * by), Y(h));
    });
    c.stroke();
  }
  if (curve) {
    const half = curve.length / 2;
    c.strokeStyle = css('--noise');
    c.lineWidth = 3;
    c.beginPath();
    for (let i = 0; i < half; i++) c.lineTo(X(curve[i]), Y(curve[half + i]));
    c.stroke();
  }
  c.restore();
  axes(ink);
}

// Under the pointer: the bar's own number, and what was expected of it.
for (const kind of ['pointerdown', 'pointermove']) canvas.addEventListener(kind, (event) => {
  if (!now || !box) return;
  const step = bar.step(), x = now.x_range[0] + ((event.offsetX - box.left) / (box.right - box.left)) * (now.x_range[1] - now.x_range[0]);
  const i = Math.round((x - now.first[step]) / now.apart[step]);
  if (i < 0 || i >= now.lengths[step] || event.offsetY < box.top) return;
  const place = now.first[step] + i * now.apart[step], due = outline && outline[2][Math.round((place - outline[0]) / outline[1])];
  caption.textContent = `${now.names[0]} ${short(place)}: ${now.names[1]} ${short(data[starts[step] + i])}` + (due ? `, expected ${short(due)}` : '');
});
canvas.addEventListener('pointerleave', () => (caption.textContent = now?.labels[bar.step()] ?? ''));

function load() {
  if (!props.value) return;
  now = props.value;
  data = unpack(now.data, Float32Array);
  let from = 0;
  starts = now.lengths.map((n) => (from += n) - n);
  curve = now.curve && unpack(now.curve, Float32Array);
  outline = now.outline && [now.outline[0], now.outline[1], unpack(now.outline[2], Float32Array)];
  paths = now.paths && unpack(now.paths, Uint8Array);
  canvas.setAttribute('aria-label', `${now.names[1]} over ${now.names[0]}`);
  bar.load(now.labels, now.at);
  fit();
}
new ResizeObserver(fit).observe(canvas);
window.addEventListener('restyled', fit);
watch('value', load);
load();
