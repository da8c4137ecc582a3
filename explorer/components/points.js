const root = element.querySelector('.player'), panels = root.querySelector('.panels');
const NAMES = ['signal', 'noise', 'prediction', 'guidance'];
let now = null, data = null, colours = null, fields = [], behind = null, arrows = null, lines = [], canvases = [];
const bar = transport(root, show);

function build() {
  panels.replaceChildren();
  canvases = now.titles.map((title) => {
    const panel = panels.appendChild(document.createElement('figure'));
    panel.innerHTML = '<figcaption></figcaption><div class="picture"></div>';
    panel.querySelector('figcaption').textContent = title;
    const canvas = panel.querySelector('.picture').appendChild(document.createElement('canvas'));
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', title || root.getAttribute('aria-label'));
    return canvas;
  });
}

function fit() {
  if (!now) return;
  const [x0, x1, y0, y1] = now.extent, ratio = (x1 - x0) / (y1 - y0), count = canvases.length, gap = 24;
  const columns = panels.clientWidth < count * 240 ? 1 : count;
  const room = (panels.clientWidth - gap * (columns - 1)) / columns;
  const height = Math.max(120, Math.min(explorer.room(element, HEIGHT) - (now.titles[0] ? 32 : 0), room / ratio)), width = height * ratio;
  for (const canvas of canvases) {
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * devicePixelRatio);
    canvas.height = Math.round(height * devicePixelRatio);
  }
  show(bar.step());
}

// Each density as a picture of its own: transparent to grey.
function backgrounds() {
  if (!now.field) return [];
  const [h, w] = now.field_shape.slice(-2), values = unpack(now.field, Uint8Array);
  return Array.from({ length: values.length / (h * w) }, (_, f) => {
    const picture = Object.assign(document.createElement('canvas'), { width: w, height: h });
    const context = picture.getContext('2d'), image = context.createImageData(w, h);
    for (let i = 0; i < w * h; i++) image.data.set([128, 128, 128, values[f * w * h + i] * 0.55], 4 * i);
    context.putImageData(image, 0, 0);
    return picture;
  });
}

// The lines of every step, each a flat array x y x y ...
function contours() {
  if (!now.contours) return [];
  const points = unpack(now.contours.data, Float32Array);
  let from = 0;
  return now.contours.lengths.map((step) => step.map((length) => points.subarray(2 * from, 2 * (from += length))));
}

function arrow(c, x0, y0, x1, y1, head) {
  const long = Math.hypot(x1 - x0, y1 - y0);
  if (!(long > 0.5)) return;
  const [u, v] = [(x1 - x0) / long, (y1 - y0) / long], back = Math.min(head, long);
  c.moveTo(x0, y0);
  c.lineTo(x1, y1);
  c.moveTo(x1 - back * (u - 0.5 * v), y1 - back * (v + 0.5 * u));
  c.lineTo(x1, y1);
  c.lineTo(x1 - back * (u + 0.5 * v), y1 - back * (v - 0.5 * u));
}

function show(step) {
  if (!now) return;
  const [, count, N] = now.shape, [x0, x1, y0, y1] = now.extent, style = getComputedStyle(root), ink = style.color;
  const COLOURS = NAMES.map((name) => style.getPropertyValue(`--${name}`));
  canvases.forEach((canvas, panel) => {
    const c = canvas.getContext('2d'), W = canvas.width, H = canvas.height, size = Math.max(1.5, Math.min(W, H) / 220) * (N > 1500 ? 0.8 : 1.2);
    const place = (x, y) => [((x - x0) / (x1 - x0)) * W, ((y1 - y) / (y1 - y0)) * H];
    const share = (steps) => (steps === 65535 ? NaN : (3 * steps) / 65534 - 1);  // of the extent, see points.py
    const at = (s, i) => {
      const k = ((s * count + panel) * N + i) * 2;
      return [share(data[k]) * W, (1 - share(data[k + 1])) * H];
    };
    const f = behind ? behind[step * count + panel] : 0, many = now.paths.length > 12;
    c.clearRect(0, 0, W, H);
    if (fields[f]) { c.imageSmoothingEnabled = true; c.drawImage(fields[f], 0, 0, W, H); }
    if (many) {
      c.globalAlpha = Math.min(0.5, 40 / now.paths.length);
      c.lineWidth = devicePixelRatio;
      for (const i of now.paths) {
        c.strokeStyle = COLOURS[colours ? colours[i] : 0];
        c.beginPath();
        for (let s = 0; s <= step; s++) c.lineTo(...at(s, i));
        c.stroke();
      }
    }
    c.strokeStyle = ink;
    c.lineWidth = 1.2 * devicePixelRatio;
    for (const line of lines[step] ?? []) {
      c.beginPath();
      for (let k = 0; k < line.length; k += 2) c.lineTo(...place(line[k], line[k + 1]));
      c.stroke();
    }
    c.globalAlpha = N > 600 ? 0.55 : 0.8;
    for (let i = 0; i < N; i++) {
      const [x, y] = at(step, i);
      c.fillStyle = COLOURS[colours ? colours[i] : 0];
      c.fillRect(x - size, y - size, 2 * size, 2 * size);
    }
    c.globalAlpha = 1;
    c.lineWidth = 1.5 * devicePixelRatio;
    if (arrows && panel === now.arrows_in) {
      const A = arrows.length / now.shape[0] / 4;
      c.strokeStyle = ink;
      c.globalAlpha = 0.75;
      c.beginPath();
      for (let k = 4 * A * step; k < 4 * A * (step + 1); k += 4) arrow(c, ...place(arrows[k], arrows[k + 1]), ...place(arrows[k + 2], arrows[k + 3]), 3 * size);
      c.stroke();
      c.globalAlpha = 1;
    }
    for (const i of many ? [] : now.paths) {
      c.strokeStyle = c.fillStyle = ink;
      c.beginPath();
      for (let s = 0; s <= step; s++) c.lineTo(...at(s, i));
      c.stroke();
      c.beginPath();
      c.arc(...at(step, i), 2.2 * size, 0, 7);
      c.fill();
    }
  });
}

function load() {
  if (!props.value) return;
  const value = JSON.parse(props.value), same = now && JSON.stringify(now.titles) === JSON.stringify(value.titles);
  now = value;
  data = unpack(now.data, Uint16Array);
  colours = now.colours && unpack(now.colours, Uint8Array);
  behind = now.behind && unpack(now.behind, Uint8Array);
  arrows = now.arrows && unpack(now.arrows, Float32Array);
  fields = backgrounds();
  lines = contours();
  if (!same) build();
  bar.load(now.labels, now.at);
  fit();
}
new ResizeObserver(fit).observe(panels);
element.closest('.stage > .piece')?.addEventListener('fit', fit);
window.addEventListener('restyled', () => show(bar.step()));
watch('value', load);
load();
