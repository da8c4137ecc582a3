let sources = [], kernels = [], targets = [];
const sizes = () => ['sources', 'kernels', 'targets'].map((name) => now.shapes[name]);

function build() {
  const [[cin, H, W], [cout, , k, l], [, h, w]] = sizes();
  place.replaceChildren();
  place.style.setProperty('--columns', cout + 1);
  sources = []; kernels = []; targets = [];
  for (let c = 0; c < cin; c++) {
    sources.push(board(place, now.titles[c], [H, W]));
    for (let o = 0; o < cout; o++) kernels.push(board(place, `${now.titles[c]} → output ${o + 1}`, [k, l]));
  }
  place.appendChild(Object.assign(document.createElement('div'), { className: 'corner', textContent: 'all products of a column add up:' }));
  for (let o = 0; o < cout; o++) targets.push(board(place, `output ${o + 1}`, [h, w]));
  targets.forEach(pick);
  fit();
}
function fit() {
  const [[, , W], [cout, , , l], [, , w]] = sizes(), gap = wide < 500 ? 10 : 28;
  cell = Math.max(10, Math.min(48, Math.floor((wide - gap * cout - 6 * (cout + 1)) / (W + cout * Math.max(l, w)))));
  [...sources, ...kernels, ...targets].forEach((grid) => { grid.svg.style.width = `${grid.cols * cell + 6}px`; });
}
function show(step) {
  const [[cin, H, W], [cout, , k, l], [, h, w]] = sizes(), marked = patch(step);
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
  caption.textContent = now.labels[step];
}
const readFrom = () => sources;
load();
