let sources = [], kernels = [], targets = [];
const sizes = () => ['sources', 'kernels', 'targets'].map((name) => now.shapes[name]);

let corner = null;

function build() {
  const [[cin, H, W], [cout, , k, l], [, h, w]] = sizes();
  place.replaceChildren();
  sources = []; kernels = []; targets = [];
  for (let c = 0; c < cin; c++) {
    sources.push(board(place, now.titles[c], [H, W]));
    for (let o = 0; o < cout; o++) kernels.push(board(place, `${now.titles[c]} → ${o + 1}`, [k, l]));
  }
  corner = place.appendChild(Object.assign(document.createElement('div'), { className: 'corner' }));
  for (let o = 0; o < cout; o++) targets.push(board(place, `output ${o + 1}`, [h, w]));
  targets.forEach(pick);
  fit();
}

// Channels beside each other and the outputs at the right, or below each other and the outputs under them: as cells are larger.
function fit() {
  const [[cin, H, W], [cout, , k, l], [, h, w]] = sizes(), gap = wide < 500 ? 10 : 28, tall = 600, caption = 40;
  const side = (columns, rows, cols, lines) => Math.min((wide - gap * (cols - 1) - 6 * cols) / columns, (tall - caption * lines) / rows);
  const beside = side(cin * Math.max(W, l) + w, H + cout * Math.max(k, h), cin + 1, cout + 1);
  const below = side(W + cout * Math.max(l, w), cin * Math.max(H, k) + h, cout + 1, cin + 1), across = beside > below;
  const put = (node, channel, output) => (node.style.gridArea = across ? `${output} / ${channel}` : `${channel} / ${output}`);
  cell = Math.floor(Math.max(10, Math.min(48, Math.max(beside, below))));
  [...sources, ...kernels, ...targets].forEach((grid) => { grid.svg.style.width = `${grid.cols * cell + 6}px`; });
  sources.forEach(({ figure }, c) => put(figure, c + 1, 1));
  kernels.forEach(({ figure }, n) => put(figure, Math.floor(n / cout) + 1, (n % cout) + 2));
  targets.forEach(({ figure }, o) => put(figure, cin + 1, o + 2));
  put(corner, cin + 1, 1);
  corner.textContent = `all products of a ${across ? 'row' : 'column'} add up:`;
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
