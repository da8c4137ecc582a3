const root = element.querySelector('.player'), place = root.querySelector('.boards');
let now = null, data = null, sources = [], kernels = [], targets = [];
const bar = transport(root, show), readout = root.querySelector('.transport-step');
const patch = (step) => Array.from(data.patches.subarray(step * data.taps, (step + 1) * data.taps));
const largest = (values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-9);

function build() {
  const [[cin, H, W], [cout, , k, l], [, h, w]] = now.shapes;
  place.replaceChildren();
  place.style.setProperty('--columns', cout + 1);
  sources = []; kernels = []; targets = [];
  for (let c = 0; c < cin; c++) {
    sources.push(board(place, now.names[c], [H, W]));
    for (let o = 0; o < cout; o++) kernels.push(board(place, `${now.names[c]} → output ${o + 1}`, [k, l]));
  }
  place.appendChild(Object.assign(document.createElement('div'), { className: 'corner', textContent: 'all products of a column add up:' }));
  for (let o = 0; o < cout; o++) targets.push(board(place, `output ${o + 1}`, [h, w]));
  targets.forEach(({ svg }) => {
    const under = (event) => event.target.closest('[data-cell]')?.dataset.cell;
    svg.classList.add('pick');
    svg.addEventListener('pointerover', (event) => { const i = under(event); if (i !== undefined) show(+i); });
    svg.addEventListener('click', (event) => { const i = under(event); if (i !== undefined) { bar.stop(); bar.go(+i); } });
    svg.addEventListener('pointerleave', () => show(bar.step()));
  });
  fit();
}
function fit() {
  const [[, , W], [cout, , , l], [, , w]] = now.shapes, gap = place.clientWidth < 500 ? 10 : 28;
  cell = Math.max(10, Math.min(48, Math.floor((place.clientWidth - gap * cout - 6 * (cout + 1)) / (W + cout * Math.max(l, w)))));
  [...sources, ...kernels, ...targets].forEach((grid) => { grid.svg.style.width = `${grid.cols * cell + 6}px`; });
}
function show(step) {
  const [[cin, H, W], [cout, , k, l], [, h, w]] = now.shapes, marked = patch(step);
  sources.forEach((grid, c) => {
    for (let i = 0; i < H * W; i++) grid.paint(i, data.sources[c * H * W + i], data.bound, data.ghost[i] ? 'ghost' : '');
    grid.mark(marked);
  });
  kernels.forEach((grid, n) => {
    const from = ((n % cout) * cin + Math.floor(n / cout)) * k * l;
    for (let i = 0; i < k * l; i++) grid.paint(i, data.kernels[from + i], data.bound);
  });
  targets.forEach((grid, o) => {
    for (let i = 0; i < h * w; i++) grid.paint(i, data.targets[o * h * w + i], data.bound, i <= step ? '' : 'empty');
    grid.mark([step]);
  });
  readout.textContent = `${step + 1} / ${now.labels.length}`;
  root.querySelector('.transport-label').textContent = now.labels[step] ?? '';
}
function load() {
  if (!props.value) return;
  const shape = (v) => JSON.stringify([v?.shapes, v?.names]), same = shape(now) === shape(props.value);
  now = props.value;
  data = { ghost: unpack(now.ghost, Uint8Array), patches: unpack(now.patches, Int16Array), taps: now.shapes[1][2] * now.shapes[1][3] };
  for (const name of ['sources', 'kernels', 'targets']) data[name] = unpack(now[name], Float32Array);
  data.bound = Math.max(...['sources', 'kernels', 'targets'].map((name) => largest(data[name])));
  if (!same) build();
  bar.load(now.labels);
}
new ResizeObserver(() => { if (now && place.clientWidth) { fit(); show(bar.step()); } }).observe(place);
watch('value', load);
load();
